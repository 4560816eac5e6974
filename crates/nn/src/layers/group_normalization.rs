//! Normalisation within groups of channels.

use crate::config::{Axes, Config, POSITIVE, Reader, Setting, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::along::{along, extents, places};
use crate::layers::weight::{Affine, affine_methods};
use crate::{Error, ErrorKind};
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
/// the last axis as that of channels,
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
    axis: Axes,
    epsilon: f32,
    affine: Affine,
}

common_methods!(GroupNormalization);
affine_methods!(GroupNormalization);

impl Default for GroupNormalization {
    fn default() -> GroupNormalization {
        GroupNormalization {
            common: Common::default(),
            groups: 32,
            axis: Axes::from(-1),
            epsilon: 1e-3,
            affine: Affine::new(),
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

    /// Along which axis, counted with that of the batch; default the last.
    pub fn axis(mut self, axis: i64) -> GroupNormalization {
        self.axis = Axes::from(axis);
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GroupNormalization, Error> {
        let mut layer = GroupNormalization::new(read.i64_or("groups", 32)?);
        layer.epsilon = read.f32("epsilon", layer.epsilon)?;
        layer.affine.read(read)?;
        layer.axis = Axes::read_one(read)?;
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

impl GroupNormalization {
    /// `x`, whose last axis is that of the channels, by groups of them.
    fn normalized(&self, g: &mut Builder, value: Value, weights: &[Value]) -> Value {
        let shape = g.shape(value);
        let [batch, space @ .., channels] = shape.as_slice() else { return value };
        let Ok(groups) = self.groups_of(*channels) else { return value };
        let x = g.reshape(value, [*batch, space.iter().product(), groups, channels / groups]);
        let mean = mean_of_groups(g, x);
        let centred = g.sub(x, mean);
        let square = g.mul(centred, centred);
        let variance = mean_of_groups(g, square);
        let stable = g.add_scalar(variance, self.epsilon);
        let deviation = g.unary(Unary::Sqrt, stable);
        let y = g.div(centred, deviation);
        let y = g.reshape(y, shape.clone());
        self.affine.lower(g, y, weights)
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
        let mut config = config! {
            "groups": self.groups,
            "axis": self.axis.write(),
            "epsilon": self.epsilon,
        };
        self.affine.write(&mut config);
        config
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
        self.groups_of(extents(&self.axis, input)?[0])?;
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let channels = extents(&self.axis, input)?;
        self.groups_of(channels[0])?;
        Ok(self.affine.specs(&channels))
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let (g, weights) = (&mut *cx.graph, cx.weights);
        let rank = g.shape(input.value).len();
        let Ok(axes) = places(&self.axis, rank) else { return input };
        input.with(along(g, input.value, &axes, |g, x| self.normalized(g, x, weights)))
    }
}
