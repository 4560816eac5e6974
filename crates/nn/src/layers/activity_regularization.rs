//! A penalty on what passes through.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, layer_basics};
use crate::{Error, Regularizer};

/// Hands on what it is given, and adds the penalty `(l1 sum |x| + l2 sum x^2) / N` of it to the loss.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `l1` and `l2`: at least 0; Keras' defaults are 0.
///
/// # Examples
/// ```
/// use footlight_nn::{ActivityRegularization, Layer};
/// let layer = ActivityRegularization::new(0.0, 0.01);
/// assert!(layer.common().activity_regularizer.is_some());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityRegularization {
    common: Common,
    l1: f32,
    l2: f32,
}

impl ActivityRegularization {
    /// A layer with a penalty of `l1` on magnitudes and `l2` on squares.
    pub fn new(l1: f32, l2: f32) -> ActivityRegularization {
        let activity_regularizer = Some(Regularizer::L1L2 { l1, l2 });
        ActivityRegularization { common: Common { activity_regularizer, ..Common::default() }, l1, l2 }
    }

    /// Names the layer; a model gives a name where none is given, as Keras does.
    pub fn name(mut self, name: &str) -> ActivityRegularization {
        self.common.name = Some(name.into());
        self
    }

    /// The shape of one sample, for the first layer of a model.
    pub fn input_shape(mut self, shape: impl Into<Vec<usize>>) -> ActivityRegularization {
        self.common.input_shape = Some(shape.into().into());
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<ActivityRegularization, Error> {
        Ok(ActivityRegularization::new(read.f32("l1", 0.0)?, read.f32("l2", 0.0)?))
    }
}

impl Layer for ActivityRegularization {
    layer_basics!("ActivityRegularization");

    fn config(&self) -> Config {
        config! { "l1": self.l1, "l2": self.l2 }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(input.to_vec())
    }

    fn call(&self, _: &mut Call<'_>, input: Masked) -> Masked {
        input
    }
}
