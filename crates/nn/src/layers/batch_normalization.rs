//! Normalisation over the batch.

use crate::config::{Axes, Config, Reader, Setting, config};
use crate::layer::{Call, Common, Layer, Masked, Mode, WeightSpec, common_methods, layer_basics};
use crate::layers::along::{along, extents, places};
use crate::layers::weight::{Affine, affine_methods};
use crate::{Error, Initializer};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};

/// Normalisation over the batch, `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, feature by feature over all
/// other axes.
///
/// # Shapes
/// Input and output `[N, ..., F]`; gamma, beta, moving_mean, moving_variance `[F]`.
///
/// # Arguments
/// Defaults as in Keras: the last axis as that of features, `momentum` 0.99, `epsilon` 1e-3, `center` and `scale` true; gamma and the moving variance begin as
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
    axis: Axes,
    momentum: f32,
    epsilon: f32,
    affine: Affine,
    moving_mean_initializer: Initializer,
    moving_variance_initializer: Initializer,
}

common_methods!(BatchNormalization);
affine_methods!(BatchNormalization);

impl Default for BatchNormalization {
    fn default() -> BatchNormalization {
        BatchNormalization {
            common: Common::default(),
            axis: Axes::from(-1),
            momentum: 0.99,
            epsilon: 1e-3,
            affine: Affine::new(),
            moving_mean_initializer: Initializer::Zeros,
            moving_variance_initializer: Initializer::Ones,
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

    /// Along which axis, counted with that of the batch; default the last.
    pub fn axis(mut self, axis: i64) -> BatchNormalization {
        self.axis = Axes::from(axis);
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<BatchNormalization, Error> {
        let mut layer = BatchNormalization::new();
        layer.momentum = read.f32("momentum", layer.momentum)?;
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.affine.read(read)?;
        let moving = [
            ("moving_mean_initializer", &mut layer.moving_mean_initializer),
            ("moving_variance_initializer", &mut layer.moving_variance_initializer),
        ];
        for (key, initializer) in moving {
            if let Some(given) = read.object(key, Initializer::from_config)? {
                *initializer = given;
            }
        }
        read.only("synchronized", false)?;
        read.only("renorm", false)?;
        read.ignore(&["renorm_clipping", "renorm_momentum"]);
        layer.axis = Axes::read_one(read)?;
        Ok(layer)
    }
}

impl Layer for BatchNormalization {
    layer_basics!("BatchNormalization");

    fn config(&self) -> Config {
        let mut config = config! { "axis": self.axis.write(), "momentum": self.momentum, "epsilon": self.epsilon };
        self.affine.write(&mut config);
        config.extend(config! {
            "moving_mean_initializer": self.moving_mean_initializer.to_config(),
            "moving_variance_initializer": self.moving_variance_initializer.to_config(),
            "synchronized": false,
        });
        config
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        places(&self.axis, input.len() + 1)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let features = extents(&self.axis, input)?;
        let mut weights = self.affine.specs(&features);
        weights.push(WeightSpec::statistic("moving_mean", features.clone(), self.moving_mean_initializer.clone()));
        weights.push(WeightSpec::statistic("moving_variance", features, self.moving_variance_initializer.clone()));
        Ok(weights)
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let is_training = cx.mode == Mode::Train && self.common.trainable;
        let (g, weights) = (&mut *cx.graph, cx.weights);
        let rank = g.shape(input.value).len();
        let Ok(axes) = places(&self.axis, rank) else { return input };
        input.with(along(g, input.value, &axes, |g, x| self.normalized(g, x, weights, is_training)))
    }
}

impl BatchNormalization {
    /// `x`, whose last axis is that of the features, by the statistics of the batch or the moving ones.
    fn normalized(&self, g: &mut Builder, x: Value, weights: &[Value], is_training: bool) -> Value {
        let (affine, statistics) = weights.split_at(weights.len() - 2);
        let (mean, variance) = if is_training {
            let axes: Vec<usize> = (0..g.shape(x).len() - 1).collect();
            let mean = g.reduce_mean(x, &axes, false);
            let centre = g.unary(Unary::StopGradient, mean);
            let centred = g.sub(x, centre);
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
        let (gamma, beta) = self.affine.parts(g, affine);
        let gamma = gamma.unwrap_or_else(|| g.constant(1.0));
        let scale = g.div(gamma, deviation);
        // The mean enters twice, so that its gradient is a sum that the one of beta needs too: `mean - centre` is 0.
        let centre = g.unary(Unary::StopGradient, mean);
        let centred = g.sub(x, centre);
        let scaled = g.mul(centred, scale);
        let off_centre = g.sub(centre, mean);
        let moved = g.mul(off_centre, scale);
        let shift = beta.map_or(moved, |beta| g.add(moved, beta));
        g.add(scaled, shift)
    }
}
