//! Normalisation by numbers known before training.

use crate::config::{Axes, Config, KeyKind, NULL, Reader, Setting, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::numbers::Numbers;
use crate::{Error, ErrorKind, Initializer};
use footlight_graph::ops::Unary;
use footlight_tensor::{Tensor, display_shape};

/// Normalisation by the mean and variance of a data set, `y = (x - mean) / max(sqrt(variance), 1e-7)`, for each position
/// along the kept axes.
///
/// # Shapes
/// Input and output `[N, ...]`; mean and variance as the kept axes.
///
/// # Arguments
/// `axis`: the kept axes, counted with that of the batch; default the last, as in Keras. Mean and variance are given, see
/// [`Normalization::of`], or found by [`Normalization::adapt`]; a layer read from a file of Keras that was adapted there
/// keeps them as weights, zeros and ones at first.
///
/// # Differences
/// Adapted statistics are arguments here, written with the configuration; Keras keeps them as weights.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, Normalization};
/// use footlight_tensor::Tensor;
/// let ages = Tensor::new([4, 1], vec![10.0, 20.0, 30.0, 40.0]).unwrap();
/// let layer = Normalization::new().adapt(&ages).unwrap();
/// assert_eq!(layer.config()["mean"], 25.0);
/// assert_eq!(layer.config()["variance"], 125.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    common: Common,
    axis: Axes,
    statistics: Option<[Numbers; 2]>,
    invert: bool,
}

common_methods!(Normalization);

/// The least deviation that is divided by, as in Keras.
const LEAST: f32 = 1e-7;

impl Default for Normalization {
    fn default() -> Normalization {
        Normalization { common: Common::default(), axis: Axes::from(-1), statistics: None, invert: false }
    }
}

impl Normalization {
    /// A layer along the last axis that is still to be adapted.
    pub fn new() -> Normalization {
        Normalization::default()
    }

    /// A layer with this mean and variance: one number each, or one for each position along the last axis.
    pub fn of(mean: impl Into<Numbers>, variance: impl Into<Numbers>) -> Normalization {
        let statistics = Some([mean.into(), variance.into()]);
        Normalization { statistics, ..Normalization::default() }
    }

    /// The kept axes, counted with that of the batch; default the last.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Normalization {
        self.axis = axis.into();
        self
    }

    /// Whether the layer goes back from normalised numbers, `y = mean + x sqrt(variance)`; default false.
    pub fn invert(mut self, invert: bool) -> Normalization {
        self.invert = invert;
        self
    }

    /// The same layer with the mean and the population variance of `data`, `[N, ...]`, over all but the kept axes.
    ///
    /// # Errors
    /// `ErrorKind::Config` when an axis does not exist, `ErrorKind::Shape` when there is no sample.
    pub fn adapt(mut self, data: &Tensor) -> Result<Normalization, Error> {
        if data.is_empty() {
            let message = format!("data of shape {} has no numbers to adapt to", display_shape(data.shape()));
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let kept = self.axis.of(data.shape().len())?;
        let extents: Vec<usize> = kept.iter().map(|axis| data.shape()[*axis]).collect();
        let cells: usize = extents.iter().product();
        let (count, numbers) = ((data.len() / cells) as f64, data.to_f64());
        let cell_of = |mut element: usize| {
            let (mut cell, mut stride) = (0, 1);
            for (axis, extent) in data.shape().iter().enumerate().rev() {
                if kept.contains(&axis) {
                    cell += element % extent * stride;
                    stride *= extent;
                }
                element /= extent;
            }
            cell
        };
        let mean_of = |term: &dyn Fn(usize, f64) -> f64| {
            let mut sums = vec![0.0; cells];
            numbers.iter().enumerate().for_each(|(i, x)| sums[cell_of(i)] += term(cell_of(i), *x));
            sums.iter().map(|sum| sum / count).collect::<Vec<f64>>()
        };
        let mean = mean_of(&|_, x| x);
        let variance = mean_of(&|cell, x| (x - mean[cell]).powi(2));
        let statistic = |values: Vec<f64>| match values.as_slice() {
            [one] => Numbers::from(*one as f32),
            all => Numbers::of_shape(extents.clone(), all.iter().map(|x| *x as f32).collect()),
        };
        self.statistics = Some([statistic(mean), statistic(variance)]);
        Ok(self)
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Normalization, Error> {
        let mut layer = Normalization::new().axis(Axes::read(read, "axis")?.unwrap_or(Axes::from(-1)));
        layer.invert = read.bool("invert", false)?;
        let mean = read.parse("mean", KeyKind::Numbers, Numbers::read)?;
        let variance = read.parse("variance", KeyKind::Numbers, Numbers::read)?;
        layer.statistics = match (mean, variance) {
            (Some(mean), Some(variance)) => Some([mean, variance]),
            (None, None) => None,
            (mean, _) => {
                let (there, missing) = if mean.is_some() { ("mean", "variance") } else { ("variance", "mean") };
                let message = format!("`{there}` is given without `{missing}`");
                return Err(Error::config(message).in_key(missing).help("give both, or neither"));
            }
        };
        Ok(layer)
    }

    /// The kept axes of samples, counted with that of the batch, and their extents.
    fn kept(&self, input: &[usize]) -> Result<(Vec<usize>, Vec<usize>), Error> {
        let kept = self.axis.of(input.len() + 1)?;
        if kept.first() == Some(&0) {
            return Err(Error::config("axis = 0 is that of the batch, along which nothing is kept"));
        }
        let extents = kept.iter().map(|axis| input[axis - 1]).collect();
        Ok((kept, extents))
    }
}

impl Layer for Normalization {
    layer_basics!("Normalization");

    fn config(&self) -> Config {
        let mut config = config! { "axis": self.axis.list(), "invert": self.invert, "mean": NULL, "variance": NULL };
        if let Some([mean, variance]) = &self.statistics {
            config.extend(config! { "mean": mean.write(), "variance": variance.write() });
        }
        config
    }

    fn check(&self) -> Result<(), Error> {
        let Some([mean, variance]) = &self.statistics else { return Ok(()) };
        if mean.shape() != variance.shape() {
            let (mean, variance) = (display_shape(mean.shape()), display_shape(variance.shape()));
            return Err(Error::config(format!("mean has shape {mean}, variance {variance}")).in_key("mean"));
        }
        mean.check("mean")?;
        variance.values().iter().try_for_each(|x| within("variance", *x, 0.0..f32::INFINITY))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.check()?;
        let (_, extents) = self.kept(input)?;
        if let Some([mean, _]) = &self.statistics {
            mean.fit("mean", &extents)?;
        }
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let (_, extents) = self.kept(input)?;
        if self.statistics.is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![
            WeightSpec::statistic("mean", extents.clone(), Initializer::Zeros),
            WeightSpec::statistic("variance", extents, Initializer::Ones),
            WeightSpec::statistic("count", [], Initializer::Zeros),
        ])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let (x, shape) = (input.value, g.shape(input.value));
        let kept = self.axis.of(shape.len()).unwrap_or_default();
        let [mean, variance] = match &self.statistics {
            Some(numbers) => [0, 1].map(|i: usize| numbers[i].lower(g, &kept, shape.len())),
            None => {
                let wide: Vec<usize> =
                    shape.iter().enumerate().map(|(axis, d)| if kept.contains(&axis) { *d } else { 1 }).collect();
                [0, 1].map(|i: usize| g.reshape(cx.weights[i], wide.clone()))
            }
        };
        let root = g.unary(Unary::Sqrt, variance);
        let deviation = g.maximum_scalar(root, LEAST);
        if self.invert {
            let wide = g.mul(x, deviation);
            return input.with(g.add(mean, wide));
        }
        let centred = g.sub(x, mean);
        input.with(g.div(centred, deviation))
    }
}
