//! Normalisation within groups of channels.

use crate::config::{Config, POSITIVE, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::{axis, features, features_along};
use crate::{Constraint, Error, ErrorKind, Initializer, Regularizer};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};

/// Normalisation within groups of neighbouring channels of each sample,
/// `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, over a group's channels and all axes of space and time.
///
/// # Shapes
/// Input and output `[N, ..., C]`; gamma and beta `[C]`.
///
/// # Arguments
/// `groups`: a divisor of `C`, or -1 for a group of each channel (instance normalisation). Defaults as in Keras: 32 groups,
/// `epsilon` 1e-3 (PyTorch: 1e-5), `center` and `scale` true; gamma begins as ones, beta as zeros.
///
/// # References
/// Wu and He (2018), "Group normalization", section 3.
///
/// # Examples
/// ```
/// use footlight_nn::{GroupNormalization, Layer};
/// assert_eq!(GroupNormalization::new(8).weights(&[7, 7, 64]).unwrap()[0].shape, [64]);
/// assert!(GroupNormalization::new(3).weights(&[64]).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNormalization {
    common: Common,
    groups: i64,
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

common_methods!(GroupNormalization);

impl Default for GroupNormalization {
    fn default() -> GroupNormalization {
        GroupNormalization {
            common: Common::default(),
            groups: 32,
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

impl GroupNormalization {
    /// A layer of `groups` groups; -1 makes a group of each channel.
    pub fn new(groups: i64) -> GroupNormalization {
        GroupNormalization { groups, ..GroupNormalization::default() }
    }

    /// Added to the variance; default 1e-3.
    pub fn epsilon(mut self, epsilon: f32) -> GroupNormalization {
        self.epsilon = epsilon;
        self
    }

    /// Whether `beta` is added; default true.
    pub fn center(mut self, center: bool) -> GroupNormalization {
        self.center = center;
        self
    }

    /// Whether `gamma` multiplies; default true.
    pub fn scale(mut self, scale: bool) -> GroupNormalization {
        self.scale = scale;
        self
    }

    /// A penalty on gamma; default none.
    pub fn gamma_regularizer(mut self, regularizer: Regularizer) -> GroupNormalization {
        self.gamma_regularizer = Some(regularizer);
        self
    }

    /// A penalty on beta; default none.
    pub fn beta_regularizer(mut self, regularizer: Regularizer) -> GroupNormalization {
        self.beta_regularizer = Some(regularizer);
        self
    }

    /// What gamma is kept to after each update; default nothing.
    pub fn gamma_constraint(mut self, constraint: Constraint) -> GroupNormalization {
        self.gamma_constraint = Some(constraint);
        self
    }

    /// What beta is kept to after each update; default nothing.
    pub fn beta_constraint(mut self, constraint: Constraint) -> GroupNormalization {
        self.beta_constraint = Some(constraint);
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GroupNormalization, Error> {
        let mut layer = GroupNormalization::new(read.i64_or("groups", 32)?);
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
        layer.axis = axis(read)?;
        Ok(layer)
    }

    /// The number of groups of so many channels.
    fn groups_of(&self, channels: usize) -> Result<usize, Error> {
        let groups = if self.groups == -1 { channels } else { usize::try_from(self.groups).unwrap_or(0) };
        if groups > 0 && channels.is_multiple_of(groups) {
            return Ok(groups);
        }
        let message = format!("{channels} channels cannot be cut into {} equal groups", self.groups);
        Err(Error::new(ErrorKind::Shape, message).help("choose a divisor of the channels, or -1 for one group each"))
    }
}

/// The mean over all but the first axis and that of the groups, of `[N, S, G, K]`.
fn mean_of_groups(g: &mut Builder, x: Value) -> Value {
    let along_space = g.reduce_mean(x, &[1], true);
    g.reduce_mean(along_space, &[3], true)
}

impl Layer for GroupNormalization {
    layer_basics!("GroupNormalization");

    fn config(&self) -> Config {
        config! {
            "groups": self.groups,
            "axis": self.axis,
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

    fn check(&self) -> Result<(), Error> {
        if self.groups < 1 && self.groups != -1 {
            let message = format!("groups = {}: there must be at least one, or -1 for one each channel", self.groups);
            return Err(Error::config(message).in_key("groups"));
        }
        within("epsilon", self.epsilon, POSITIVE)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.check()?;
        self.groups_of(features(input)?)?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let channels = features_along(self.axis, input)?;
        self.groups_of(channels)?;
        let mut weights = Vec::new();
        if self.scale {
            let gamma = WeightSpec::new("gamma", [channels], self.gamma_initializer.clone());
            weights.push(gamma.regularizer(self.gamma_regularizer).constraint(&self.gamma_constraint));
        }
        if self.center {
            let beta = WeightSpec::new("beta", [channels], self.beta_initializer.clone());
            weights.push(beta.regularizer(self.beta_regularizer).constraint(&self.beta_constraint));
        }
        Ok(weights)
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let shape = g.shape(input.value);
        let [batch, space @ .., channels] = shape.as_slice() else { return input };
        let Ok(groups) = self.groups_of(*channels) else { return input };
        let x = g.reshape(input.value, [*batch, space.iter().product(), groups, channels / groups]);
        let mean = mean_of_groups(g, x);
        let centred = g.sub(x, mean);
        let square = g.mul(centred, centred);
        let variance = mean_of_groups(g, square);
        let stable = g.add_scalar(variance, self.epsilon);
        let deviation = g.unary(Unary::Sqrt, stable);
        let y = g.div(centred, deviation);
        let mut y = g.reshape(y, shape.clone());
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
