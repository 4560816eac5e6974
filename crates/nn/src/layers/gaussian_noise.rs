//! Addition of noise.

use crate::Error;
use crate::config::{self, Config, NULL, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::noise::training_step;

/// Adds normal noise of mean 0 and standard deviation `stddev` while training.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `stddev`: in `[0, 1]`, as in Keras.
///
/// # Train and infer
/// When the model answers the layer is not there.
///
/// # Examples
/// ```
/// use footlight_nn::{GaussianNoise, Layer};
/// assert_eq!(GaussianNoise::new(0.1).output_shape(&[128]).unwrap(), [128]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianNoise {
    common: Common,
    stddev: f32,
}

common_methods!(GaussianNoise);

impl GaussianNoise {
    /// A layer that adds noise of standard deviation `stddev`.
    pub fn new(stddev: f32) -> GaussianNoise {
        GaussianNoise { common: Common::default(), stddev }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GaussianNoise, Error> {
        read.ignore(&["seed"]);
        read.maybe_f32("stddev")?.map(GaussianNoise::new).ok_or_else(|| config::missing("stddev"))
    }
}

impl Layer for GaussianNoise {
    layer_basics!("GaussianNoise");

    fn config(&self) -> Config {
        config! { "stddev": self.stddev, "seed": NULL }
    }

    fn check(&self) -> Result<(), Error> {
        within("stddev", self.stddev, 0.0..=1.0)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let Some(step) = training_step(cx).filter(|_| self.stddev > 0.0) else { return input };
        let shape = cx.graph.shape(input.value);
        let noise = cx.graph.random_normal(cx.key, step, shape);
        let scaled = cx.graph.mul_scalar(noise, self.stddev);
        input.with(cx.graph.add(input.value, scaled))
    }
}
