//! Numbers as arguments: one, or nested lists of them.

use crate::config::{FINITE, within};
use crate::{Error, ErrorKind};
use footlight_graph::{Builder, Value};
use footlight_tensor::display_shape;
use serde_json::{Value as Json, json};

/// One number, or some of a shape.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, Numbers, Rescaling};
/// assert_eq!(Rescaling::new(2.0), Rescaling::new(Numbers::from(2.0)));
/// assert_eq!(Rescaling::new([1.0, 2.0]).config()["scale"][1], 2.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl From<f32> for Numbers {
    fn from(value: f32) -> Numbers {
        Numbers { shape: vec![], values: vec![value] }
    }
}

impl From<Vec<f32>> for Numbers {
    fn from(values: Vec<f32>) -> Numbers {
        Numbers { shape: vec![values.len()], values }
    }
}

impl<const N: usize> From<[f32; N]> for Numbers {
    fn from(values: [f32; N]) -> Numbers {
        Numbers::from(values.to_vec())
    }
}

impl Numbers {
    /// As many `values` as `shape` has.
    pub(crate) fn of_shape(shape: Vec<usize>, values: Vec<f32>) -> Numbers {
        Numbers { shape, values }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// A number or even lists of lists.
    pub(crate) fn read(value: &Json) -> Option<Numbers> {
        let Json::Array(list) = value else { return value.as_f64().map(|x| Numbers::from(x as f32)) };
        let parts = list.iter().map(Numbers::read).collect::<Option<Vec<_>>>()?;
        let inner = parts.first()?.shape.clone();
        let is_even = parts.iter().all(|part| part.shape == inner);
        is_even.then(|| Numbers {
            shape: [&[parts.len()], inner.as_slice()].concat(),
            values: parts.into_iter().flat_map(|part| part.values).collect(),
        })
    }

    pub(crate) fn write(&self) -> Json {
        fn nested(shape: &[usize], values: &[f32]) -> Json {
            match shape.split_first() {
                None => json!(values[0]),
                Some((0, _)) => json!([]),
                Some((count, inner)) => values.chunks(values.len() / count).map(|part| nested(inner, part)).collect(),
            }
        }
        nested(&self.shape, &self.values)
    }

    /// Refuses numbers that are not finite.
    pub(crate) fn check(&self, key: &str) -> Result<(), Error> {
        self.values.iter().try_for_each(|x| within(key, *x, FINITE))
    }

    /// Complains if the numbers do not broadcast to axes of these extents, matched from the last.
    pub(crate) fn fit(&self, key: &str, extents: &[usize]) -> Result<(), Error> {
        let mut pairs = self.shape.iter().rev().zip(extents.iter().rev());
        if self.shape.len() <= extents.len() && pairs.all(|(given, extent)| *given == 1 || given == extent) {
            return Ok(());
        }
        let (given, extents) = (display_shape(&self.shape), display_shape(extents));
        let message = format!("`{key}` has shape {given}, which does not broadcast to {extents} of the samples");
        Err(Error::new(ErrorKind::Shape, message).help("give one number, or one for each position along an axis"))
    }

    /// The numbers in a graph, matched from the last of `axes` of a tensor of `rank`.
    pub(crate) fn lower(&self, g: &mut Builder, axes: &[usize], rank: usize) -> Value {
        if self.shape.is_empty() {
            return g.constant(self.values[0]);
        }
        let mut shape = vec![1; rank];
        for (axis, extent) in axes.iter().rev().zip(self.shape.iter().rev()) {
            shape[*axis] = *extent;
        }
        g.literal(shape, self.values.as_slice())
    }
}
