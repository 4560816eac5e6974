//! Normalisation to length one.

use crate::Error;
use crate::config::{Axes, Config, Reader, Setting, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use footlight_graph::ops::Unary;

/// Division by the Euclidean length, `y = x / max(sqrt(sum x^2), 1e-12)` along `axis`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `axis`: one axis or several, counted with that of the batch; default the last, as in Keras.
///
/// # Numerics
/// A vector of zeros stays one, with a finite gradient.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, UnitNormalization};
/// assert!(UnitNormalization::new().axis(3).output_shape(&[20, 64]).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UnitNormalization {
    common: Common,
    axis: Axes,
}

common_methods!(UnitNormalization);

impl Default for UnitNormalization {
    fn default() -> UnitNormalization {
        UnitNormalization { common: Common::default(), axis: Axes::from(-1) }
    }
}

impl UnitNormalization {
    /// A layer along the last axis.
    pub fn new() -> UnitNormalization {
        UnitNormalization::default()
    }

    /// Along which axes the length is taken; default the last.
    pub fn axis(mut self, axis: impl Into<Axes>) -> UnitNormalization {
        self.axis = axis.into();
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<UnitNormalization, Error> {
        Ok(UnitNormalization::new().axis(Axes::read(read, "axis")?.unwrap_or(Axes::from(-1))))
    }
}

impl Layer for UnitNormalization {
    layer_basics!("UnitNormalization");

    fn config(&self) -> Config {
        config! { "axis": self.axis.write() }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        if self.axis.of(input.len() + 1)?.contains(&0) {
            let message = "axis = 0 is that of the batch: an answer would depend on other samples";
            return Err(Error::config(message).in_key("axis"));
        }
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        /// The square of the least length, as Keras has it.
        const LEAST: f32 = 1e-24;
        let g = &mut *cx.graph;
        let x = input.value;
        let axes = self.axis.of(g.shape(x).len()).unwrap_or_default();
        let square = g.mul(x, x);
        let sum = g.reduce_sum(square, &axes, true);
        let positive = g.maximum_scalar(sum, LEAST);
        let length = g.unary(Unary::Sqrt, positive);
        input.with(g.div(x, length))
    }
}
