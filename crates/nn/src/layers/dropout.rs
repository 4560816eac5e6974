//! Dropout.

use crate::config::{Config, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, Mode, common_methods, layer_basics};
use crate::layers::noise::NoiseShape;
use crate::{Error, Extents};
use footlight_graph::ops::Binary;

/// Drops each number with probability `rate` while training, and divides those that stay by `1 - rate`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `rate`: the fraction dropped, in `[0, 1]`, as in Keras; at 1 everything is dropped. `noise_shape`: along which axes what
/// is dropped is the same; default none.
///
/// # Train and infer
/// When the model answers the layer is not there.
///
/// # References
/// Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.
///
/// # Examples
/// ```
/// use footlight_nn::{Dropout, Layer};
/// assert_eq!(Dropout::new(0.2).output_shape(&[128]).unwrap(), [128]);
/// assert!(Dropout::new(20.0).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    common: Common,
    rate: f32,
    noise_shape: NoiseShape,
}

common_methods!(Dropout);

impl Dropout {
    /// A layer that drops the fraction `rate`.
    pub fn new(rate: f32) -> Dropout {
        Dropout { common: Common::default(), rate, noise_shape: NoiseShape::default() }
    }

    /// The shape of what is drawn, with the axis of the batch: what has an extent of 1 there is dropped together; default
    /// that of the values.
    pub fn noise_shape(mut self, noise_shape: impl Into<Extents>) -> Dropout {
        self.noise_shape = NoiseShape(Some(noise_shape.into()));
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Dropout, Error> {
        read.ignore(&["seed"]);
        let layer = Dropout::new(read.f32("rate", 0.5)?);
        Ok(Dropout { noise_shape: NoiseShape::read(read)?, ..layer })
    }
}

impl Layer for Dropout {
    layer_basics!("Dropout");

    fn config(&self) -> Config {
        config! { "rate": self.rate, "seed": NULL, "noise_shape": self.noise_shape.write() }
    }

    fn check(&self) -> Result<(), Error> {
        if (0.0..=1.0).contains(&self.rate) {
            return Ok(());
        }
        let message = format!("rate = {}, a dropout rate must be in [0, 1]", self.rate);
        Err(Error::config(message).in_key("rate").help("`rate` is the fraction dropped, as in Keras"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.noise_shape.check(input)?;
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let (Mode::Train, Some(step)) = (cx.mode, cx.step) else { return input };
        if self.rate == 0.0 {
            return input;
        }
        let g = &mut *cx.graph;
        if self.rate == 1.0 {
            return input.with(g.mul_scalar(input.value, 0.0));
        }
        let shape = g.shape(input.value);
        let uniform = g.random_uniform(cx.key, step, self.noise_shape.of(shape));
        let rate = g.constant(self.rate);
        let kept = g.binary(Binary::GreaterEqual, uniform, rate);
        let scale = g.mul_scalar(kept, 1.0 / (1.0 - self.rate));
        input.with(g.mul(input.value, scale))
    }
}
