//! The shape of a sample, as far as it is known.

use serde_json::{Value as Json, json};
use std::fmt;

/// The extents of a sample; `None` for one that only the samples tell, such as the length of a text.
///
/// # Examples
/// ```
/// use footlight_nn::Extents;
/// let extents = Extents::from([None, Some(64)]);
/// assert!(extents.fit(&[20, 64]) && !extents.fit(&[20, 32]));
/// assert_eq!(extents.known(), None);
/// assert_eq!(Extents::from([28, 28]).known(), Some(vec![28, 28]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extents(pub Vec<Option<usize>>);

impl Extents {
    /// All extents, if all are known.
    pub fn known(&self) -> Option<Vec<usize>> {
        self.0.iter().copied().collect()
    }

    /// Whether samples of `shape` are such.
    pub fn fit(&self, shape: &[usize]) -> bool {
        self.0.len() == shape.len()
            && self.0.iter().zip(shape).all(|(extent, d)| extent.is_none_or(|known| known == *d))
    }

    /// As Keras writes them, after that of the batch.
    pub(crate) fn batched(&self) -> Json {
        json!([None].into_iter().chain(self.0.iter().copied()).collect::<Vec<Option<usize>>>())
    }

    /// The shape in which every extent that is not known is `extent`.
    pub(crate) fn with(&self, extent: usize) -> Vec<usize> {
        self.0.iter().map(|known| known.unwrap_or(extent)).collect()
    }

    /// What two shapes of the same thing have in common.
    pub(crate) fn common_to(a: &[usize], b: &[usize]) -> Extents {
        Extents(a.iter().zip(b).map(|(a, b)| Some(*a).filter(|a| a == b)).collect())
    }
}

impl fmt::Display for Extents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents = self.0.iter().map(|extent| extent.map_or("None".into(), |known| known.to_string()));
        write!(f, "[{}]", extents.collect::<Vec<_>>().join(", "))
    }
}

impl From<&[usize]> for Extents {
    fn from(shape: &[usize]) -> Extents {
        Extents(shape.iter().copied().map(Some).collect())
    }
}

impl From<Vec<usize>> for Extents {
    fn from(shape: Vec<usize>) -> Extents {
        Extents::from(shape.as_slice())
    }
}

impl<const N: usize> From<[usize; N]> for Extents {
    fn from(shape: [usize; N]) -> Extents {
        Extents::from(shape.as_slice())
    }
}

impl From<()> for Extents {
    /// One number, without axes.
    fn from((): ()) -> Extents {
        Extents::from([0usize; 0])
    }
}

impl<const N: usize> From<[Option<usize>; N]> for Extents {
    fn from(extents: [Option<usize>; N]) -> Extents {
        Extents(extents.to_vec())
    }
}
