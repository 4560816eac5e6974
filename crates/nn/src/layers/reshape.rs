//! Samples under another shape.

use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::{Error, ErrorKind};
use footlight_tensor::display_shape;

/// Gives each sample another shape, in row-major order.
///
/// # Shapes
/// Input `[N, ...]`, output `[N, target...]`; one extent of the target may be -1 and is then found.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, Reshape};
/// assert_eq!(Reshape::new([-1, 14]).output_shape(&[28, 28]).unwrap(), [56, 14]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    common: Common,
    target_shape: Vec<i64>,
}

common_methods!(Reshape);

impl Reshape {
    /// A layer that reshapes samples to `target_shape`.
    pub fn new(target_shape: impl Into<Vec<i64>>) -> Reshape {
        Reshape { common: Common::default(), target_shape: target_shape.into() }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Reshape, Error> {
        match read.i64s("target_shape")? {
            Some(shape) => Ok(Reshape::new(shape)),
            None => Err(config::missing("target_shape")),
        }
    }
}

impl Layer for Reshape {
    layer_basics!("Reshape");

    fn config(&self) -> Config {
        config! { "target_shape": self.target_shape }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let count: usize = input.iter().product();
        let mut known = self.target_shape.iter().filter(|d| **d != -1).map(|d| usize::try_from(*d).ok());
        let known = known.try_fold(1usize, |known, extent| known.checked_mul(extent?));
        let open = self.target_shape.iter().filter(|d| **d == -1).count();
        let fits = known.is_some_and(|known| match open {
            0 => known == count,
            1 => known > 0 && count.is_multiple_of(known),
            _ => false,
        });
        if !fits {
            let message = format!(
                "samples of shape {} ({count} elements) cannot take shape {:?}",
                display_shape(input),
                self.target_shape
            );
            return Err(Error::new(ErrorKind::Shape, message).help("at most one extent may be -1"));
        }
        let rest = count / known.unwrap_or(1).max(1);
        Ok(self.target_shape.iter().map(|d| usize::try_from(*d).unwrap_or(rest)).collect())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let shape = cx.graph.shape(input.value);
        let Some((batch, sample)) = shape.split_first() else { return input };
        let target = self.output_shape(sample).unwrap_or_default();
        let y = cx.graph.reshape(input.value, [&[*batch], target.as_slice()].concat());
        Masked::new(y)
    }
}
