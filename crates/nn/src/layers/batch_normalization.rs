//! Normalisation over the batch.

use crate::config::{Axes, Config, NOT_NEGATIVE, Reader, Setting, config, within};
use crate::layer::{Call, Common, Layer, Masked, Mode, WeightSpec, common_methods, layer_basics};
use crate::layers::along::{along, extents, places};
use crate::layers::masks::fitting;
use crate::layers::weight::{Affine, affine_methods};
use crate::losses::FUZZ;
use crate::{Error, Initializer};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, ErrorKind, Value};

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

    fn check(&self) -> Result<(), Error> {
        within("momentum", self.momentum, 0.0..=1.0)?;
        within("epsilon", self.epsilon, NOT_NEGATIVE)
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
        let shape = g.shape(input.value);
        let Ok(axes) = places(&self.axis, shape.len()) else { return input };
        let last = shape.len() - 1;
        let mask = input.mask.map(|mask| fitting(g, mask, &shape[..last]));
        if let Some(poison) = mask.filter(|mask| g.is_poison(*mask)) {
            return input.with(poison);
        }
        let mask = mask.filter(|_| is_training);
        if mask.is_some() && axes != [last] {
            let message = "a mask leaves out steps, whose features must be the last axis";
            return input.with(g.fault(ErrorKind::Shape, message, Some("normalize along axis -1")));
        }
        input.with(along(g, input.value, &axes, |g, x| self.normalized(g, x, mask, weights, is_training)))
    }
}

impl BatchNormalization {
    /// `x`, whose last axis is that of the features, by the statistics of the batch or the moving ones.
    fn normalized(
        &self,
        g: &mut Builder,
        x: Value,
        mask: Option<Value>,
        weights: &[Value],
        is_training: bool,
    ) -> Value {
        let (affine, statistics) = weights.split_at(weights.len() - 2);
        let (mean, variance) = if is_training {
            let batch = Batch::of(g, x, mask);
            let mean = batch.mean(g, x);
            let centre = g.unary(Unary::StopGradient, mean);
            let centred = g.sub(x, centre);
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

/// What the mean of a batch runs over: all axes but the last, under a mask those numbers that it keeps.
struct Batch {
    axes: Vec<usize>,
    mask: Option<Value>,
}

impl Batch {
    fn of(g: &mut Builder, x: Value, mask: Option<Value>) -> Batch {
        let mut steps = g.shape(x);
        steps.pop();
        let mask = mask.map(|mask| g.reshape(mask, [steps.as_slice(), &[1]].concat()));
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
