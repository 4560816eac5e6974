//! Normalisation over the batch.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, Mode, WeightSpec, common_methods, layer_basics};
use crate::layers::{axis, features, features_along};
use crate::{Constraint, Error, Initializer, Regularizer};
use footlight_graph::ops::Unary;

/// Normalisation over the batch, `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, feature by feature over all
/// other axes.
///
/// # Shapes
/// Input and output `[N, ..., F]`; gamma, beta, moving_mean, moving_variance `[F]`.
///
/// # Arguments
/// Defaults as in Keras: `momentum` 0.99, `epsilon` 1e-3, `center` and `scale` true; gamma and the moving variance begin as
/// ones, beta and the moving mean as zeros.
///
/// # Train and infer
/// Training uses mean and population variance of the batch and moves the statistics,
/// `moving = momentum moving + (1 - momentum) batch`; answering, or a layer that is not trainable, uses the moving ones.
///
/// # Differences
/// PyTorch moves with the unbiased variance, its momentum is one minus this one, and its epsilon is 1e-5.
///
/// # References
/// Ioffe and Szegedy (2015), "Batch normalization", algorithms 1 and 2.
///
/// # Examples
/// ```
/// use footlight_nn::{BatchNormalization, Layer};
/// let weights = BatchNormalization::new().weights(&[28, 28, 16]).unwrap();
/// assert!(weights.len() == 4 && weights.iter().all(|w| w.shape == [16]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization {
    common: Common,
    axis: i64,
    momentum: f32,
    epsilon: f32,
    center: bool,
    scale: bool,
    initializers: [Initializer; 4],
    gamma_regularizer: Option<Regularizer>,
    beta_regularizer: Option<Regularizer>,
    gamma_constraint: Option<Constraint>,
    beta_constraint: Option<Constraint>,
}

common_methods!(BatchNormalization);

const INITIALIZER_KEYS: [&str; 4] =
    ["beta_initializer", "gamma_initializer", "moving_mean_initializer", "moving_variance_initializer"];

impl Default for BatchNormalization {
    fn default() -> BatchNormalization {
        BatchNormalization {
            common: Common::default(),
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            initializers: [Initializer::Zeros, Initializer::Ones, Initializer::Zeros, Initializer::Ones],
            gamma_regularizer: None,
            beta_regularizer: None,
            gamma_constraint: None,
            beta_constraint: None,
        }
    }
}

impl BatchNormalization {
    /// A layer with Keras' defaults.
    pub fn new() -> BatchNormalization {
        BatchNormalization::default()
    }

    /// How much of the moving statistics stays with each step; default 0.99.
    pub fn momentum(mut self, momentum: f32) -> BatchNormalization {
        self.momentum = momentum;
        self
    }

    /// Added to the variance; default 1e-3.
    pub fn epsilon(mut self, epsilon: f32) -> BatchNormalization {
        self.epsilon = epsilon;
        self
    }

    /// Whether `beta` is added; default true.
    pub fn center(mut self, center: bool) -> BatchNormalization {
        self.center = center;
        self
    }

    /// Whether `gamma` multiplies; default true.
    pub fn scale(mut self, scale: bool) -> BatchNormalization {
        self.scale = scale;
        self
    }

    /// A penalty on gamma; default none.
    pub fn gamma_regularizer(mut self, regularizer: Regularizer) -> BatchNormalization {
        self.gamma_regularizer = Some(regularizer);
        self
    }

    /// A penalty on beta; default none.
    pub fn beta_regularizer(mut self, regularizer: Regularizer) -> BatchNormalization {
        self.beta_regularizer = Some(regularizer);
        self
    }

    /// What gamma is kept to after each update; default nothing.
    pub fn gamma_constraint(mut self, constraint: Constraint) -> BatchNormalization {
        self.gamma_constraint = Some(constraint);
        self
    }

    /// What beta is kept to after each update; default nothing.
    pub fn beta_constraint(mut self, constraint: Constraint) -> BatchNormalization {
        self.beta_constraint = Some(constraint);
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<BatchNormalization, Error> {
        let mut layer = BatchNormalization::new();
        layer.momentum = read.f32("momentum", layer.momentum)?;
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.center = read.bool("center", true)?;
        layer.scale = read.bool("scale", true)?;
        for (key, initializer) in INITIALIZER_KEYS.iter().zip(&mut layer.initializers) {
            if let Some(given) = read.object(key, Initializer::from_config)? {
                *initializer = given;
            }
        }
        layer.gamma_regularizer = read.object("gamma_regularizer", Regularizer::from_config)?;
        layer.beta_regularizer = read.object("beta_regularizer", Regularizer::from_config)?;
        layer.gamma_constraint = read.object("gamma_constraint", Constraint::from_config)?;
        layer.beta_constraint = read.object("beta_constraint", Constraint::from_config)?;
        read.only("synchronized", false)?;
        read.only("renorm", false)?;
        read.ignore(&["renorm_clipping", "renorm_momentum"]);
        layer.axis = axis(read)?;
        Ok(layer)
    }
}

impl Layer for BatchNormalization {
    layer_basics!("BatchNormalization");

    fn config(&self) -> Config {
        let mut config = config! {
            "axis": self.axis, "momentum": self.momentum, "epsilon": self.epsilon,
            "center": self.center, "scale": self.scale,
        };
        for (key, initializer) in INITIALIZER_KEYS.iter().zip(&self.initializers) {
            config.insert((*key).into(), initializer.to_config());
        }
        config.extend(config! {
            "beta_regularizer": self.beta_regularizer.map(|r| r.to_config()),
            "gamma_regularizer": self.gamma_regularizer.map(|r| r.to_config()),
            "beta_constraint": self.beta_constraint.as_ref().map(Constraint::to_config),
            "gamma_constraint": self.gamma_constraint.as_ref().map(Constraint::to_config),
            "synchronized": false,
        });
        config
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let shape = [features_along(self.axis, input)?];
        let [beta, gamma, mean, variance] = self.initializers.clone();
        let mut weights = Vec::new();
        if self.scale {
            let gamma = WeightSpec::new("gamma", shape, gamma).regularizer(self.gamma_regularizer);
            weights.push(gamma.constraint(&self.gamma_constraint));
        }
        if self.center {
            let beta = WeightSpec::new("beta", shape, beta).regularizer(self.beta_regularizer);
            weights.push(beta.constraint(&self.beta_constraint));
        }
        weights.push(WeightSpec::statistic("moving_mean", shape, mean));
        weights.push(WeightSpec::statistic("moving_variance", shape, variance));
        Ok(weights)
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = input.value;
        let (affine, statistics) = cx.weights.split_at(cx.weights.len() - 2);
        let (mean, variance) = if cx.mode == Mode::Train && self.common.trainable {
            let axes: Vec<usize> = (0..g.shape(x).len() - 1).collect();
            let mean = g.reduce_mean(x, &axes, false);
            let centred = g.sub(x, mean);
            let square = g.mul(centred, centred);
            let variance = g.reduce_mean(square, &axes, false);
            for (moving, batch) in statistics.iter().zip([mean, variance]) {
                let kept = g.mul_scalar(*moving, self.momentum);
                let added = g.mul_scalar(batch, 1.0 - self.momentum);
                let next = g.add(kept, added);
                g.set_next(*moving, next);
            }
            (mean, variance)
        } else {
            (statistics[0], statistics[1])
        };
        let stable = g.add_scalar(variance, self.epsilon);
        let deviation = g.unary(Unary::Sqrt, stable);
        let centred = g.sub(x, mean);
        let mut y = g.div(centred, deviation);
        let mut affine = affine.iter();
        if self.scale {
            y = g.mul(y, *affine.next().expect("gamma is a weight"));
        }
        if self.center {
            y = g.add(y, *affine.next().expect("beta is a weight"));
        }
        input.with(y)
    }
}
