//! Dropout for self-normalising networks.

use crate::config::{self, Config, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::noise::{NoiseShape, check_rate, kept, training_step};
use crate::{Error, Extents};

/// Sets each number to `alpha' = -1.7581` with probability `rate` while training, and then scales and shifts all of them so
/// that mean and variance stay what they were: `y = a (x m + alpha' (1 - m)) + b` with `m` 1 where a number is kept,
/// `a = ((1 - rate) (1 + rate alpha'^2))^(-1/2)` and `b = -a alpha' rate`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `rate`: the fraction dropped, in `[0, 1)`.
///
/// # Train and infer
/// When the model answers the layer is not there.
///
/// # References
/// Klambauer et al. (2017), "Self-normalizing neural networks", section "New dropout technique".
///
/// # Examples
/// ```
/// use footlight_nn::{AlphaDropout, Layer};
/// assert_eq!(AlphaDropout::new(0.1).output_shape(&[128]).unwrap(), [128]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AlphaDropout {
    common: Common,
    rate: f32,
    noise_shape: NoiseShape,
}

common_methods!(AlphaDropout);

/// What selu approaches far below 0: the negative product of its two constants.
const LOWEST: f64 = -1.673_263_242_354_377_2 * 1.050_700_987_355_480_5;

impl AlphaDropout {
    /// A layer that drops the fraction `rate`.
    pub fn new(rate: f32) -> AlphaDropout {
        AlphaDropout { common: Common::default(), rate, noise_shape: NoiseShape::default() }
    }

    /// The shape of what is drawn, with the axis of the batch: what has an extent of 1 there is dropped together; default
    /// that of the values.
    pub fn noise_shape(mut self, noise_shape: impl Into<Extents>) -> AlphaDropout {
        self.noise_shape = NoiseShape(Some(noise_shape.into()));
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<AlphaDropout, Error> {
        read.ignore(&["seed"]);
        let layer = read.maybe_f32("rate")?.map(AlphaDropout::new).ok_or_else(|| config::missing("rate"))?;
        Ok(AlphaDropout { noise_shape: NoiseShape::read(read)?, ..layer })
    }
}

impl Layer for AlphaDropout {
    layer_basics!("AlphaDropout");

    fn config(&self) -> Config {
        config! { "rate": self.rate, "seed": NULL, "noise_shape": self.noise_shape.write() }
    }

    fn check(&self) -> Result<(), Error> {
        check_rate(self.rate)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.noise_shape.check(input)?;
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let Some(step) = training_step(cx).filter(|_| self.rate > 0.0) else { return input };
        let rate = f64::from(self.rate);
        let a = ((1.0 - rate) * (1.0 + rate * LOWEST * LOWEST)).powf(-0.5);
        let b = -a * LOWEST * rate;
        let shape = self.noise_shape.of(cx.graph.shape(input.value));
        let kept = kept(cx, step, shape, self.rate);
        let g = &mut *cx.graph;
        let scaled = g.mul_scalar(input.value, a as f32);
        let stays = g.add_scalar(scaled, b as f32);
        let dropped = g.constant((a * LOWEST + b) as f32);
        input.with(g.select(kept, stays, dropped))
    }
}
