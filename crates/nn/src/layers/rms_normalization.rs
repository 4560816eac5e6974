//! Normalisation by the root mean square.

use crate::Error;
use crate::Initializer;
use crate::config::{Config, POSITIVE, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::{axis, features, features_along};
use footlight_graph::ops::Unary;

/// Division by the root mean square of the features, `y = scale x / sqrt(mean(x^2) + epsilon)`, over the last axis.
///
/// # Shapes
/// Input and output `[N, ..., F]`; scale `[F]`.
///
/// # Arguments
/// `epsilon`: above 0; default 1e-6 as in Keras. The scale begins as ones.
///
/// # Differences
/// A mask ends here, as in Keras.
///
/// # References
/// Zhang and Sennrich (2019), "Root mean square layer normalization", equation 4.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, RMSNormalization};
/// assert_eq!(RMSNormalization::new().weights(&[20, 64]).unwrap()[0].shape, [64]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RMSNormalization {
    common: Common,
    axis: i64,
    epsilon: f32,
}

common_methods!(RMSNormalization);

impl Default for RMSNormalization {
    fn default() -> RMSNormalization {
        RMSNormalization { common: Common::default(), axis: -1, epsilon: 1e-6 }
    }
}

impl RMSNormalization {
    /// A layer with Keras' defaults.
    pub fn new() -> RMSNormalization {
        RMSNormalization::default()
    }

    /// Added to the mean of squares; default 1e-6.
    pub fn epsilon(mut self, epsilon: f32) -> RMSNormalization {
        self.epsilon = epsilon;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<RMSNormalization, Error> {
        let mut layer = RMSNormalization::new();
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.axis = axis(read)?;
        Ok(layer)
    }
}

impl Layer for RMSNormalization {
    layer_basics!("RMSNormalization");

    fn config(&self) -> Config {
        config! { "axis": [self.axis], "epsilon": self.epsilon }
    }

    fn check(&self) -> Result<(), Error> {
        within("epsilon", self.epsilon, POSITIVE)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        Ok(vec![WeightSpec::new("scale", [features_along(self.axis, input)?], Initializer::Ones)])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = input.value;
        let last = g.shape(x).len().saturating_sub(1);
        let square = g.mul(x, x);
        let mean = g.reduce_mean(square, &[last], true);
        let stable = g.add_scalar(mean, self.epsilon);
        let root = g.unary(Unary::Sqrt, stable);
        let y = g.div(x, root);
        Masked::new(g.mul(y, cx.weights[0]))
    }
}
