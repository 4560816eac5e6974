//! Normalisation within each sample.

use crate::Error;
use crate::config::{Axes, Config, NOT_NEGATIVE, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::along::{along, extents, places};
use crate::layers::weight::{Affine, affine_methods};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};

/// Normalisation within each sample, `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, over the last axis, or
/// others.
///
/// # Shapes
/// Input and output `[N, ..., F]`; gamma and beta have the extents of the axes, `[F]`.
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
    axis: Axes,
    epsilon: f32,
    rms_scaling: bool,
    affine: Affine,
}

common_methods!(LayerNormalization);
affine_methods!(LayerNormalization);

impl Default for LayerNormalization {
    fn default() -> LayerNormalization {
        LayerNormalization {
            common: Common::default(),
            axis: Axes::from(-1),
            epsilon: 1e-3,
            rms_scaling: false,
            affine: Affine::new(),
        }
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

    /// Along which axes, counted with that of the batch; default the last.
    pub fn axis(mut self, axis: impl Into<Axes>) -> LayerNormalization {
        self.axis = axis.into();
        self
    }

    /// Whether the layer divides by the deviation and does nothing else, in Keras' older form of it: `y = gamma x /
    /// sqrt(variance + epsilon)`; default false.
    pub fn rms_scaling(mut self, rms_scaling: bool) -> LayerNormalization {
        self.rms_scaling = rms_scaling;
        self
    }

    /// What is learned: always gamma alone where the layer only divides.
    fn learned(&self) -> Affine {
        match self.rms_scaling {
            true => Affine { scale: true, center: false, ..self.affine.clone() },
            false => self.affine.clone(),
        }
    }

    /// `x`, normalized along its last axis.
    fn normalized(&self, g: &mut Builder, x: Value, weights: &[Value]) -> Value {
        let axis = [g.shape(x).len() - 1];
        let mean = g.reduce_mean(x, &axis, true);
        let centred = g.sub(x, mean);
        let square = g.mul(centred, centred);
        let variance = g.reduce_mean(square, &axis, true);
        let stable = g.add_scalar(variance, self.epsilon);
        let deviation = g.unary(Unary::Sqrt, stable);
        let y = g.div(if self.rms_scaling { x } else { centred }, deviation);
        self.learned().lower(g, y, weights)
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<LayerNormalization, Error> {
        let mut layer = LayerNormalization::new();
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.affine.read(read)?;
        layer.rms_scaling = read.bool("rms_scaling", false)?;
        layer.axis = Axes::read_or_last(read)?;
        Ok(layer)
    }
}

impl Layer for LayerNormalization {
    layer_basics!("LayerNormalization");

    fn config(&self) -> Config {
        let mut config = config! {
            "axis": self.axis.list(),
            "epsilon": self.epsilon,
        };
        self.affine.write(&mut config);
        config.insert("rms_scaling".into(), self.rms_scaling.into());
        config
    }

    fn check(&self) -> Result<(), Error> {
        within("epsilon", self.epsilon, NOT_NEGATIVE)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        places(&self.axis, input.len() + 1)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        Ok(self.learned().specs(&extents(&self.axis, input)?))
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let (g, weights) = (&mut *cx.graph, cx.weights);
        let rank = g.shape(input.value).len();
        let Ok(axes) = places(&self.axis, rank) else { return input };
        input.with(along(g, input.value, &axes, |g, x| self.normalized(g, x, weights)))
    }
}
