//! A number for each stretch of steps.

use crate::Error;
use crate::config::{Config, Reader, config, missing, within};
use crate::optimizers::settings::NOT_NEGATIVE;
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value};

/// A rate for each stretch of steps: `values[i]` for `boundaries[i - 1] < step <= boundaries[i]`.
///
/// # Arguments
/// `boundaries` ascending, one fewer than `values`, at least one; `values` in `[0, ∞)`. As in Keras.
///
/// # Examples
/// ```
/// use footlight_nn::{PiecewiseConstantDecay, SGD};
/// SGD::new().learning_rate(PiecewiseConstantDecay::new([1000, 2000], [0.1, 0.01, 0.001]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseConstantDecay {
    boundaries: Vec<usize>,
    values: Vec<f32>,
}

impl PiecewiseConstantDecay {
    /// The last step of each stretch but the last, and the rate of each.
    pub fn new(boundaries: impl Into<Vec<usize>>, values: impl Into<Vec<f32>>) -> PiecewiseConstantDecay {
        PiecewiseConstantDecay { boundaries: boundaries.into(), values: values.into() }
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<PiecewiseConstantDecay, Error> {
        let boundaries = read.f32s("boundaries")?.ok_or_else(|| missing("boundaries"))?;
        let values = read.f32s("values")?.ok_or_else(|| missing("values"))?;
        if let Some(boundary) = boundaries.iter().find(|x| **x < 0.0 || x.fract() != 0.0) {
            return Err(Error::config(format!("`boundaries` holds {boundary}, which is no count of steps"))
                .in_key("boundaries"));
        }
        Ok(PiecewiseConstantDecay::new(boundaries.iter().map(|x| *x as usize).collect::<Vec<_>>(), values))
    }

    pub(super) fn config(&self) -> Config {
        config! { "boundaries": self.boundaries, "values": self.values, "name": "PiecewiseConstant" }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let (boundaries, values) = (self.boundaries.len(), self.values.len());
        if boundaries == 0 || boundaries + 1 != values {
            let message = format!("{boundaries} boundaries need {} values, got {values}", boundaries + 1);
            return Err(Error::config(message).help("give at least one boundary, and one value more"));
        }
        if !self.boundaries.is_sorted() {
            return Err(Error::config(format!("boundaries = {:?} must ascend", self.boundaries)).in_key("boundaries"));
        }
        self.values.iter().try_for_each(|value| within("values", *value, NOT_NEGATIVE))
    }

    pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
        let first = g.constant(self.values.first().copied().unwrap_or_default());
        self.boundaries.iter().zip(self.values.iter().skip(1)).fold(first, |rate, (boundary, value)| {
            let boundary = g.constant(*boundary as f32);
            let is_past = g.binary(Binary::Greater, step, boundary);
            let value = g.constant(*value);
            g.select(is_past, value, rate)
        })
    }
}
