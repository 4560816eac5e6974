//! Normalisation within each sample.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::{axis, features, features_along};
use crate::{Constraint, Error, Initializer, Regularizer};
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
    center: bool,
    scale: bool,
    beta_initializer: Initializer,
    gamma_initializer: Initializer,
    gamma_regularizer: Option<Regularizer>,
    beta_regularizer: Option<Regularizer>,
    gamma_constraint: Option<Constraint>,
    beta_constraint: Option<Constraint>,
}

common_methods!(LayerNormalization);

impl Default for LayerNormalization {
    fn default() -> LayerNormalization {
        LayerNormalization {
            common: Common::default(),
            axis: -1,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            gamma_regularizer: None,
            beta_regularizer: None,
            gamma_constraint: None,
            beta_constraint: None,
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

    /// Whether `beta` is added; default true.
    pub fn center(mut self, center: bool) -> LayerNormalization {
        self.center = center;
        self
    }

    /// Whether `gamma` multiplies; default true.
    pub fn scale(mut self, scale: bool) -> LayerNormalization {
        self.scale = scale;
        self
    }

    /// A penalty on gamma; default none.
    pub fn gamma_regularizer(mut self, regularizer: Regularizer) -> LayerNormalization {
        self.gamma_regularizer = Some(regularizer);
        self
    }

    /// A penalty on beta; default none.
    pub fn beta_regularizer(mut self, regularizer: Regularizer) -> LayerNormalization {
        self.beta_regularizer = Some(regularizer);
        self
    }

    /// What gamma is kept to after each update; default nothing.
    pub fn gamma_constraint(mut self, constraint: Constraint) -> LayerNormalization {
        self.gamma_constraint = Some(constraint);
        self
    }

    /// What beta is kept to after each update; default nothing.
    pub fn beta_constraint(mut self, constraint: Constraint) -> LayerNormalization {
        self.beta_constraint = Some(constraint);
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<LayerNormalization, Error> {
        let mut layer = LayerNormalization::new();
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.center = read.bool("center", true)?;
        layer.scale = read.bool("scale", true)?;
        if let Some(initializer) = read.object("beta_initializer", Initializer::from_config)? {
            layer.beta_initializer = initializer;
        }
        if let Some(initializer) = read.object("gamma_initializer", Initializer::from_config)? {
            layer.gamma_initializer = initializer;
        }
        layer.gamma_regularizer = read.object("gamma_regularizer", Regularizer::from_config)?;
        layer.beta_regularizer = read.object("beta_regularizer", Regularizer::from_config)?;
        layer.gamma_constraint = read.object("gamma_constraint", Constraint::from_config)?;
        layer.beta_constraint = read.object("beta_constraint", Constraint::from_config)?;
        read.only("rms_scaling", false)?;
        layer.axis = axis(read)?;
        Ok(layer)
    }
}

impl Layer for LayerNormalization {
    layer_basics!("LayerNormalization");

    fn config(&self) -> Config {
        config! {
            "axis": [self.axis],
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": self.beta_initializer.to_config(),
            "gamma_initializer": self.gamma_initializer.to_config(),
            "beta_regularizer": self.beta_regularizer.map(|r| r.to_config()),
            "gamma_regularizer": self.gamma_regularizer.map(|r| r.to_config()),
            "beta_constraint": self.beta_constraint.as_ref().map(Constraint::to_config),
            "gamma_constraint": self.gamma_constraint.as_ref().map(Constraint::to_config),
        }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let shape = [features_along(self.axis, input)?];
        let mut weights = Vec::new();
        if self.scale {
            let gamma = WeightSpec::new("gamma", shape, self.gamma_initializer.clone());
            weights.push(gamma.regularizer(self.gamma_regularizer).constraint(&self.gamma_constraint));
        }
        if self.center {
            let beta = WeightSpec::new("beta", shape, self.beta_initializer.clone());
            weights.push(beta.regularizer(self.beta_regularizer).constraint(&self.beta_constraint));
        }
        Ok(weights)
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
        let mut y = g.div(centred, deviation);
        let mut weights = cx.weights.iter();
        if self.scale {
            y = g.mul(y, *weights.next().expect("gamma is a weight"));
        }
        if self.center {
            y = g.add(y, *weights.next().expect("beta is a weight"));
        }
        input.with(y)
    }
}
