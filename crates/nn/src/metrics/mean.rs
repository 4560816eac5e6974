//! Means over samples: most metrics.

use super::{Direction, Observed, Rule, constructors, ratio, weigh};
use crate::Error;
use crate::config::{Config, Reader};
use footlight_graph::{Builder, Type, Value};
use std::fmt;

/// A metric that is the mean of a number per sample, `sum w_i v_i / sum w_i`.
///
/// Numbers per position `[N, ...]` are averaged over the positions of a sample first, as in Keras.
pub trait PerSample: fmt::Debug + Send + Sync + 'static {
    /// Keras' class name.
    fn class_name(&self) -> &'static str;

    /// Which way it gets better.
    fn direction(&self) -> Option<Direction> {
        Some(Direction::Max)
    }

    /// The type of the targets for predictions of `shape` (with the batch).
    fn target_type(&self, shape: &[usize]) -> Type {
        Type::f32(shape)
    }

    /// The number of each sample `[N, ...]`.
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value;

    /// What the mean is told as.
    fn finish(&self, mean: f64) -> f64 {
        mean
    }

    /// Keras' keys of this class.
    fn settings(&self) -> Config {
        Config::new()
    }

    /// Complains of settings out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the setting, its value and what is legal.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl<M: PerSample> Rule for M {
    fn class_name(&self) -> &'static str {
        PerSample::class_name(self)
    }
    fn direction(&self) -> Option<Direction> {
        PerSample::direction(self)
    }
    fn states(&self) -> &'static [&'static str] {
        &["total", "count"]
    }
    fn target_type(&self, shape: &[usize]) -> Type {
        PerSample::target_type(self, shape)
    }
    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let each = self.each(g, batch);
        let each = per_sample(g, each);
        let count = count(g, each, batch.weight);
        let each = weigh(g, each, batch.weight);
        vec![g.sum_all(each), count]
    }
    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        vec![self.finish(ratio(sums[0][0], sums[1][0]))]
    }
    fn settings(&self) -> Config {
        PerSample::settings(self)
    }
    fn check(&self) -> Result<(), Error> {
        PerSample::check(self)
    }
}

/// The mean of the positions of each sample, `[N]`.
fn per_sample(g: &mut Builder, each: Value) -> Value {
    let axes: Vec<usize> = (1..g.shape(each).len()).collect();
    if axes.is_empty() { each } else { g.reduce_mean(each, &axes, false) }
}

/// The weight of all samples together.
fn count(g: &mut Builder, each: Value, weight: Option<Value>) -> Value {
    match weight {
        Some(weight) => g.sum_all(weight),
        None => {
            let samples = g.shape(each).first().copied().unwrap_or(1);
            g.constant(samples as f32)
        }
    }
}

/// The mean of numbers that are given as predictions, `sum w_i v_i / sum w_i`; targets are not looked at.
///
/// # Shapes
/// Values `[N, ...]`; the mean over the positions of a sample comes first.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::Mean};
/// assert_eq!(Metric::from(Mean::new()).result(&[vec![6.0], vec![4.0]]), [1.5]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean;

/// The sum of numbers that are given as predictions, `sum w_i v_i`; targets are not looked at.
///
/// # Shapes
/// Values `[N, ...]`, all of which are added.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::Sum};
/// assert_eq!(Metric::from(Sum::new()).result(&[vec![6.0]]), [6.0]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum;

constructors!(Mean, Sum);

impl Mean {
    pub(super) fn from_settings(_: &mut Reader<'_>) -> Result<Mean, Error> {
        Ok(Mean)
    }
}

impl Sum {
    pub(super) fn from_settings(_: &mut Reader<'_>) -> Result<Sum, Error> {
        Ok(Sum)
    }
}

impl PerSample for Mean {
    fn class_name(&self) -> &'static str {
        "Mean"
    }
    fn direction(&self) -> Option<Direction> {
        None
    }
    fn each(&self, _: &mut Builder, batch: &Observed<'_>) -> Value {
        batch.p.value
    }
}

impl Rule for Sum {
    fn class_name(&self) -> &'static str {
        "Sum"
    }
    fn direction(&self) -> Option<Direction> {
        None
    }
    fn states(&self) -> &'static [&'static str] {
        &["total"]
    }
    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let values = weigh(g, batch.p.value, batch.weight);
        vec![g.sum_all(values)]
    }
    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        vec![sums[0][0]]
    }
}
