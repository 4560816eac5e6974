//! Multiplication by noise.

use crate::Error;
use crate::config::{self, Config, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::noise::{check_rate, training_step};

/// Multiplies each number by a normal one of mean 1 and standard deviation `sqrt(rate / (1 - rate))` while training: the
/// mean and variance that dropout of `rate` has.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `rate`: in `[0, 1)`.
///
/// # Train and infer
/// When the model answers the layer is not there.
///
/// # References
/// Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting", section 10.
///
/// # Examples
/// ```
/// use footlight_nn::{GaussianDropout, Layer};
/// assert!(GaussianDropout::new(1.0).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianDropout {
    common: Common,
    rate: f32,
}

common_methods!(GaussianDropout);

impl GaussianDropout {
    /// A layer with the noise of a dropout of `rate`.
    pub fn new(rate: f32) -> GaussianDropout {
        GaussianDropout { common: Common::default(), rate }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GaussianDropout, Error> {
        read.ignore(&["seed"]);
        read.maybe_f32("rate")?.map(GaussianDropout::new).ok_or_else(|| config::missing("rate"))
    }
}

impl Layer for GaussianDropout {
    layer_basics!("GaussianDropout");

    fn config(&self) -> Config {
        config! { "rate": self.rate, "seed": NULL }
    }

    fn check(&self) -> Result<(), Error> {
        check_rate(self.rate)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let Some(step) = training_step(cx).filter(|_| self.rate > 0.0) else { return input };
        let shape = cx.graph.shape(input.value);
        let noise = cx.graph.random_normal(cx.key, step, shape);
        let g = &mut *cx.graph;
        let scaled = g.mul_scalar(noise, (self.rate / (1.0 - self.rate)).sqrt());
        let factor = g.add_scalar(scaled, 1.0);
        input.with(g.mul(input.value, factor))
    }
}
