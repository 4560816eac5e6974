//! Normalisation by the root mean square.

use crate::config::{Axes, Config, POSITIVE, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::along::{extents, places};
use crate::{Error, ErrorKind, Initializer};
use footlight_graph::broadcast_shapes;
use footlight_graph::ops::Unary;
use footlight_tensor::display_shape;

/// Division by the root mean square of the features, `y = scale x / sqrt(mean(x^2) + epsilon)`, over the last axis, or
/// others.
///
/// # Shapes
/// Input and output `[N, ..., F]`; scale `[F]`.
///
/// # Arguments
/// `epsilon`: above 0; default 1e-6 as in Keras. The scale begins as ones.
///
/// # Differences
/// A mask ends here, and the scale of the extents of `axis` is matched with the last axes of the samples, both as in Keras.
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
    axis: Axes,
    epsilon: f32,
}

common_methods!(RMSNormalization);

impl Default for RMSNormalization {
    fn default() -> RMSNormalization {
        RMSNormalization { common: Common::default(), axis: Axes::from(-1), epsilon: 1e-6 }
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

    /// Along which axes, counted with that of the batch; default the last.
    pub fn axis(mut self, axis: impl Into<Axes>) -> RMSNormalization {
        self.axis = axis.into();
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<RMSNormalization, Error> {
        let mut layer = RMSNormalization::new();
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.axis = Axes::read_or_last(read)?;
        Ok(layer)
    }
}

impl Layer for RMSNormalization {
    layer_basics!("RMSNormalization");

    fn config(&self) -> Config {
        config! { "axis": self.axis.list(), "epsilon": self.epsilon }
    }

    fn check(&self) -> Result<(), Error> {
        within("epsilon", self.epsilon, POSITIVE)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let scale = extents(&self.axis, input)?;
        match broadcast_shapes(input, &scale) {
            Ok(shape) if shape == input => Ok(shape),
            _ => {
                let (scale, shape) = (display_shape(&scale), display_shape(input));
                let message = format!("scale {scale} does not fit the last axes of samples of shape {shape}");
                let help = "as in Keras, the scale of other axes than the last is not turned to them";
                Err(Error::new(ErrorKind::Shape, message).help(help))
            }
        }
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        self.output_shape(input)?;
        Ok(vec![WeightSpec::new("scale", extents(&self.axis, input)?, Initializer::Ones)])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = input.value;
        let rank = g.shape(x).len();
        let Ok(axes) = places(&self.axis, rank) else { return input };
        let square = g.mul(x, x);
        let mean = g.reduce_mean(square, &axes, true);
        let stable = g.add_scalar(mean, self.epsilon);
        let root = g.unary(Unary::Sqrt, stable);
        let y = g.div(x, root);
        Masked::new(g.mul(y, cx.weights[0]))
    }
}
