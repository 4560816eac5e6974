//! Normalisation within each sample.

use crate::Error;
use crate::config::{Config, NOT_NEGATIVE, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::weight::{Affine, affine_methods};
use crate::layers::{axis, features, features_along};
use footlight_graph::ops::Unary;

/// Normalisation within each sample, `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, over the last axis.
///
/// # Shapes
/// Input and output `[N, ..., F]`; gamma and beta `[F]`.
///
/// # Arguments
/// Defaults as in Keras: `epsilon` 1e-3 (PyTorch: 1e-5), `center` and `scale` true; gamma begins as ones, beta as zeros. The
/// variance is the biased one.
///
/// # References
/// Ba, Kiros and Hinton (2016), "Layer normalization", equation 4.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, LayerNormalization};
/// assert_eq!(LayerNormalization::new().weights(&[20, 64]).unwrap()[0].shape, [64]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    common: Common,
    axis: i64,
    epsilon: f32,
    affine: Affine,
}

common_methods!(LayerNormalization);
affine_methods!(LayerNormalization);

impl Default for LayerNormalization {
    fn default() -> LayerNormalization {
        LayerNormalization { common: Common::default(), axis: -1, epsilon: 1e-3, affine: Affine::new() }
    }
}

impl LayerNormalization {
    /// A layer with Keras' defaults.
    pub fn new() -> LayerNormalization {
        LayerNormalization::default()
    }

    /// Added to the variance; default 1e-3.
    pub fn epsilon(mut self, epsilon: f32) -> LayerNormalization {
        self.epsilon = epsilon;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<LayerNormalization, Error> {
        let mut layer = LayerNormalization::new();
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.affine.read(read)?;
        read.only("rms_scaling", false)?;
        layer.axis = axis(read)?;
        Ok(layer)
    }
}

impl Layer for LayerNormalization {
    layer_basics!("LayerNormalization");

    fn config(&self) -> Config {
        let mut config = config! {
            "axis": [self.axis],
            "epsilon": self.epsilon,
        };
        self.affine.write(&mut config);
        config
    }

    fn check(&self) -> Result<(), Error> {
        within("epsilon", self.epsilon, NOT_NEGATIVE)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        Ok(self.affine.specs(features_along(self.axis, input)?))
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = input.value;
        let axis = [g.shape(x).len() - 1];
        let mean = g.reduce_mean(x, &axis, true);
        let centred = g.sub(x, mean);
        let square = g.mul(centred, centred);
        let variance = g.reduce_mean(square, &axis, true);
        let stable = g.add_scalar(variance, self.epsilon);
        let deviation = g.unary(Unary::Sqrt, stable);
        let y = g.div(centred, deviation);
        input.with(self.affine.lower(g, y, cx.weights))
    }
}
