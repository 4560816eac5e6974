//! Normalisation over the batch.

use crate::config::{Config, NOT_NEGATIVE, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, Mode, WeightSpec, common_methods, layer_basics};
use crate::layers::masks::fitting;
use crate::layers::weight::{Affine, affine_methods};
use crate::layers::{axis, features, features_along};
use crate::losses::FUZZ;
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
/// Defaults as in Keras: `momentum` 0.99, `epsilon` 1e-3, `center` and `scale` true; gamma and the moving variance begin as
/// ones, beta and the moving mean as zeros.
///
/// # Train and infer
/// Training uses mean and population variance of the batch and moves the statistics,
/// `moving = momentum moving + (1 - momentum) batch`; answering, or a layer that is not trainable, uses the moving ones.
/// Under a mask `[N, ...]` the batch is what the mask keeps, their number being `count + 1e-7`.
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
            axis: -1,
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
        layer.axis = axis(read)?;
        Ok(layer)
    }
}

impl Layer for BatchNormalization {
    layer_basics!("BatchNormalization");

    fn config(&self) -> Config {
        let mut config = config! { "axis": self.axis, "momentum": self.momentum, "epsilon": self.epsilon };
        self.affine.write(&mut config);
        config.extend(config! {
            "moving_mean_initializer": self.moving_mean_initializer.to_config(),
            "moving_variance_initializer": self.moving_variance_initializer.to_config(),
            "synchronized": false,
        });
        config
    }

    fn check(&self) -> Result<(), Error> {
        within("momentum", self.momentum, 0.0..=1.0)?;
        within("epsilon", self.epsilon, NOT_NEGATIVE)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let features = features_along(self.axis, input)?;
        let mut weights = self.affine.specs(features);
        weights.push(WeightSpec::statistic("moving_mean", [features], self.moving_mean_initializer.clone()));
        weights.push(WeightSpec::statistic("moving_variance", [features], self.moving_variance_initializer.clone()));
        Ok(weights)
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = input.value;
        let (affine, statistics) = cx.weights.split_at(cx.weights.len() - 2);
        let (mean, variance) = if cx.mode == Mode::Train && self.common.trainable {
            let batch = Batch::of(g, input);
            let mean = batch.mean(g, x);
            let centred = g.sub(x, mean);
            let square = g.mul(centred, centred);
            let variance = batch.mean(g, square);
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
        let y = g.div(centred, deviation);
        input.with(self.affine.lower(g, y, affine))
    }
}

/// What the mean of a batch runs over: all axes but the last, under a mask those numbers that it keeps.
struct Batch {
    axes: Vec<usize>,
    mask: Option<Value>,
}

impl Batch {
    fn of(g: &mut Builder, input: Masked) -> Batch {
        let mut steps = g.shape(input.value);
        steps.pop();
        let mask = input.mask.map(|mask| {
            let mask = fitting(g, mask, &steps);
            g.reshape(mask, [steps.as_slice(), &[1]].concat())
        });
        Batch { axes: (0..steps.len()).collect(), mask }
    }

    fn mean(&self, g: &mut Builder, x: Value) -> Value {
        let Some(mask) = self.mask else { return g.reduce_mean(x, &self.axes, false) };
        let zero = g.constant(0.0);
        let kept = g.select(mask, x, zero);
        let (sum, count) = (g.reduce_sum(kept, &self.axes, false), g.reduce_sum(mask, &self.axes, false));
        let stable = g.add_scalar(count, FUZZ);
        g.div(sum, stable)
    }
}
