//! How far predictions are from numbers.

use super::{Direction, Observed, PerSample, Rule, constructors, sum_samples};
use crate::activations::softplus_tail;
use crate::config::{Config, NULL, Reader, config};
use crate::losses::FUZZ;
use crate::{Error, Loss, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};

/// Metrics without settings that are the mean of a function.
macro_rules! means {
    ($($(#[$doc:meta])* $class:ident $direction:ident |$g:ident, $batch:ident| $each:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $class;

        $crate::metrics::constructors!($class);

        impl $class {
            pub(super) fn from_settings(_: &mut $crate::config::Reader<'_>) -> Result<Self, $crate::Error> {
                Ok($class)
            }
        }

        impl $crate::metrics::PerSample for $class {
            fn class_name(&self) -> &'static str {
                stringify!($class)
            }
            fn direction(&self) -> Option<$crate::metrics::Direction> {
                Some($crate::metrics::Direction::$direction)
            }
            fn each(
                &self,
                $g: &mut footlight_graph::Builder,
                $batch: &$crate::metrics::Observed<'_>,
            ) -> footlight_graph::Value {
                $each
            }
        }
    )*};
}
pub(super) use means;

means! {
    /// The mean of squared errors, `mean (y - p)^2`; the [`struct@crate::MeanSquaredError`] of an epoch.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::MeanSquaredError};
    /// assert_eq!(Metric::from(MeanSquaredError::new()).result(&[vec![6.0], vec![4.0]]), [1.5]);
    /// ```
    MeanSquaredError Min |g, batch| Loss::MeanSquaredError.lower(g, batch.y, batch.p);

    /// The mean of absolute errors, `mean |y - p|`; the [`struct@crate::MeanAbsoluteError`] of an epoch.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::MeanAbsoluteError};
    /// assert_eq!(Metric::from(MeanAbsoluteError::new().name("mm")).name(), "mm");
    /// ```
    MeanAbsoluteError Min |g, batch| Loss::MeanAbsoluteError.lower(g, batch.y, batch.p);

    /// The mean error in percent of the targets, `100 mean |y - p| / max(|y|, 1e-7)`.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::MeanAbsolutePercentageError};
    /// assert_eq!(Metric::from(MeanAbsolutePercentageError::new()).name(), "mean_absolute_percentage_error");
    /// ```
    MeanAbsolutePercentageError Min |g, batch| {
        let error = g.sub(batch.y, batch.p.value);
        let error = g.unary(Unary::Abs, error);
        let size = g.unary(Unary::Abs, batch.y);
        let size = g.maximum_scalar(size, FUZZ);
        let share = g.div(error, size);
        g.mul_scalar(share, 100.0)
    };

    /// The mean of squared differences of logarithms, `mean (ln(1 + max(y, 1e-7)) - ln(1 + max(p, 1e-7)))^2`.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`.
    ///
    /// # Numerics
    /// Numbers below 1e-7 count as 1e-7.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::MeanSquaredLogarithmicError};
    /// assert_eq!(Metric::from(MeanSquaredLogarithmicError::new()).name(), "mean_squared_logarithmic_error");
    /// ```
    MeanSquaredLogarithmicError Min |g, batch| {
        let [y, p] = [batch.y, batch.p.value].map(|x| {
            let x = g.maximum_scalar(x, FUZZ);
            g.unary(Unary::Log1p, x)
        });
        let error = g.sub(y, p);
        g.mul(error, error)
    };

    /// The mean cosine of the angle between targets and predictions, `mean sum (y / |y|) (p / |p|)`.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`; vectors lie along the last axis.
    ///
    /// # Numerics
    /// Lengths below 1e-7 count as 1e-7, so a vector of zeros has the cosine 0 with any other.
    ///
    /// # Differences
    /// Keras' class takes an `axis`; here it is the last.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::{CosineSimilarity, Direction}};
    /// assert_eq!(Metric::from(CosineSimilarity::new()).direction(), Some(Direction::Max));
    /// ```
    CosineSimilarity Max |g, batch| {
        let (y, p) = (unit(g, batch.y), unit(g, batch.p.value));
        let product = g.mul(y, p);
        let last = g.shape(product).len() - 1;
        g.reduce_sum(product, &[last], false)
    };

    /// The mean of `ln cosh(p - y)`: near a half of the square for small errors, `|p - y| - ln 2` for large ones.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`.
    ///
    /// # Numerics
    /// `|e| + ln(1 + e^(-2|e|)) - ln 2`, finite for every finite error.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::LogCoshError};
    /// assert_eq!(Metric::from(LogCoshError::new()).name(), "logcosh");
    /// ```
    LogCoshError Min |g, batch| {
        let error = g.sub(batch.p.value, batch.y);
        let size = g.unary(Unary::Abs, error);
        let twice = g.mul_scalar(error, 2.0);
        let tail = softplus_tail(g, twice);
        let sum = g.add(size, tail);
        g.add_scalar(sum, -std::f32::consts::LN_2)
    };
}

/// `x` over its length along the last axis.
fn unit(g: &mut Builder, x: Value) -> Value {
    let last = g.shape(x).len() - 1;
    let square = g.mul(x, x);
    let sum = g.reduce_sum(square, &[last], true);
    let length = g.unary(Unary::Sqrt, sum);
    let length = g.maximum_scalar(length, FUZZ);
    g.div(x, length)
}

/// The root of the mean of squared errors, `sqrt(mean (y - p)^2)` over all samples, not the mean of their roots.
///
/// # Shapes
/// Targets `y` and predictions `p` `[N, ..., F]`.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::RootMeanSquaredError};
/// assert_eq!(Metric::from(RootMeanSquaredError::new()).result(&[vec![9.0], vec![4.0]]), [1.5]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RootMeanSquaredError;

/// The coefficient of determination, `1 - sum w (y - p)^2 / sum w (y - mean y)^2`, of each output.
///
/// # Shapes
/// Targets `y` and predictions `p` `[N, F]`.
///
/// # Arguments
/// - `class_aggregation`: how the `F` outputs become one number: `Some("uniform_average")` (Keras' default), their mean;
///   `Some("variance_weighted_average")`, weighted by the variance of the targets; `None`, one number each.
/// - `num_regressors`: inputs to adjust for, `1 - (1 - R^2)(n - 1) / (n - num_regressors - 1)`; 0, Keras' default.
///
/// # Numerics
/// The variance comes from sums of `y` and `y^2`, which loses digits where the mean is far larger than the spread. An
/// output whose targets are all equal scores 0, in Keras NaN if they are met exactly.
///
/// # Examples
/// ```
/// use footlight_nn::metrics::{R2Score, Rule};
/// let sums = [vec![14.0], vec![6.0], vec![0.5], vec![3.0], vec![3.0]];
/// assert_eq!(R2Score::new().result(&sums), [0.75]);
/// ```
#[derive(Clone, Debug)]
pub struct R2Score {
    class_aggregation: Option<String>,
    num_regressors: usize,
}

/// Keras' ways to make one number of several outputs.
const AGGREGATIONS: [&str; 2] = ["uniform_average", "variance_weighted_average"];

impl Default for R2Score {
    fn default() -> Self {
        R2Score { class_aggregation: Some(AGGREGATIONS[0].into()), num_regressors: 0 }
    }
}

constructors!(RootMeanSquaredError, R2Score);

impl RootMeanSquaredError {
    pub(super) fn from_settings(_: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(RootMeanSquaredError)
    }
}

impl PerSample for RootMeanSquaredError {
    fn class_name(&self) -> &'static str {
        "RootMeanSquaredError"
    }
    fn direction(&self) -> Option<Direction> {
        Some(Direction::Min)
    }
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        Loss::MeanSquaredError.lower(g, batch.y, batch.p)
    }
    fn finish(&self, mean: f64) -> f64 {
        mean.sqrt()
    }
}

impl R2Score {
    /// How several outputs become one number; default `uniform_average`, `None` for one number each.
    pub fn class_aggregation(mut self, aggregation: Option<&str>) -> Self {
        self.class_aggregation = aggregation.map(Into::into);
        self
    }

    /// Inputs to adjust for; default 0.
    pub fn num_regressors(mut self, count: usize) -> Self {
        self.num_regressors = count;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        let mut class_aggregation = read.string("class_aggregation")?;
        if !read.has("class_aggregation") {
            class_aggregation = R2Score::default().class_aggregation;
        }
        Ok(R2Score { class_aggregation, num_regressors: read.usize("num_regressors")?.unwrap_or(0) })
    }

    fn adjusted(&self, score: f64, samples: f64) -> f64 {
        let inputs = self.num_regressors as f64;
        if inputs == 0.0 || inputs >= samples - 1.0 {
            return score;
        }
        1.0 - (1.0 - score) * (samples - 1.0) / (samples - inputs - 1.0)
    }
}

impl Rule for R2Score {
    fn class_name(&self) -> &'static str {
        "R2Score"
    }

    fn states(&self) -> &'static [&'static str] {
        &["squared_sum", "sum", "residual", "count", "num_samples"]
    }

    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let (y, p) = (batch.y, batch.p.value);
        let square = g.mul(y, y);
        let error = g.sub(y, p);
        let residual = g.mul(error, error);
        let shape = g.shape(y);
        let one = g.constant(1.0);
        let ones = g.broadcast(one, shape.clone());
        let mut sums: Vec<Value> =
            [square, y, residual, ones].into_iter().map(|x| sum_samples(g, x, batch.weight)).collect();
        sums.push(g.constant(shape.iter().product::<usize>() as f32));
        sums
    }

    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        let [squares, sum, residual, count, samples] = sums else { return Vec::new() };
        let totals: Vec<f64> = (0..sum.len()).map(|i| squares[i] - sum[i] * (sum[i] / count[i])).collect();
        let score = |i: usize| if totals[i] == 0.0 { 0.0 } else { 1.0 - residual[i] / totals[i] };
        let scores: Vec<f64> = (0..sum.len()).map(score).collect();
        let scores = match self.class_aggregation.as_deref() {
            Some("uniform_average") => vec![scores.iter().sum::<f64>() / scores.len() as f64],
            Some(_) => {
                let weighted: f64 = scores.iter().zip(&totals).map(|(score, total)| score * total).sum();
                vec![weighted / totals.iter().sum::<f64>()]
            }
            None => scores,
        };
        scores.into_iter().map(|score| self.adjusted(score, samples[0])).collect()
    }

    fn settings(&self) -> Config {
        let aggregation = self.class_aggregation.as_deref();
        let mut config = config! { "class_aggregation": NULL, "num_regressors": self.num_regressors };
        config["class_aggregation"] = aggregation.into();
        config
    }

    fn check(&self) -> Result<(), Error> {
        match &self.class_aggregation {
            Some(name) if !AGGREGATIONS.contains(&name.as_str()) => {
                Err(suggest::unknown("class_aggregation", name, &AGGREGATIONS))
            }
            _ => Ok(()),
        }
    }
}
