//! Metrics without a model.

use footlight_cpu::{Engine, Feed, Session};
use footlight_graph::{Builder, Role, Type};
use footlight_nn::losses::Prediction;
use footlight_tensor::Tensor;

pub use footlight_nn::Metric;
pub use footlight_nn::metrics::*;

use crate::{Error, ErrorKind, Result};

/// A metric with its sums, to be fed batch by batch: Keras' `update_state`, `result` and `reset_state`.
///
/// A batch is computed by the same graph as in a model.
///
/// # Examples
/// ```
/// use footlight::metrics::{AUC, RunningMetric};
/// use footlight::tensor::Tensor;
/// let y_true = Tensor::new([4], vec![0u8, 0, 1, 1])?;
/// let y_pred = Tensor::new([4], vec![0.0f32, 0.5, 0.3, 0.9])?;
/// let mut auc = RunningMetric::new(AUC::new())?;
/// auc.update(&y_true, &y_pred, None)?;
/// assert_eq!(auc.result(), 0.75);
/// auc.reset();
/// # Ok::<(), footlight::Error>(())
/// ```
#[derive(Debug)]
pub struct RunningMetric {
    metric: Metric,
    engine: Engine,
    session: Option<(Inputs, Session)>,
}

/// The types of targets and predictions, and whether there are weights.
type Inputs = (Type, Type, bool);

impl RunningMetric {
    /// A metric, by value or by Keras' name, that has seen nothing yet.
    ///
    /// # Errors
    /// A name that is not known (with the nearest), or a setting out of range.
    pub fn new(metric: impl Into<Metric>) -> Result<RunningMetric> {
        let metric = metric.into();
        metric.check()?;
        Ok(RunningMetric { metric, engine: Engine::new(1), session: None })
    }

    /// The metric.
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    /// Adds a batch of targets and predictions, and how much each sample counts (default 1).
    ///
    /// # Errors
    /// Targets or weights that do not fit the predictions.
    pub fn update(&mut self, y_true: &Tensor, y_pred: &Tensor, sample_weight: Option<&Tensor>) -> Result<()> {
        let shape = match y_pred.shape() {
            [samples] => vec![*samples, 1],
            shape => shape.to_vec(),
        };
        let targets = self.targets(y_true, &shape)?;
        let rows: Vec<u32> = (0..shape.first().map_or(0, |rows| *rows as u32)).collect();
        if sample_weight.is_some_and(|weight| weight.len() != rows.len()) {
            let message = format!("sample_weight has {} numbers", sample_weight.map_or(0, Tensor::len));
            return Err(Error::new(ErrorKind::Shape, message).help(format!("give one for each of {}", rows.len())));
        }
        let feed = |table| Feed::Gather { table, first: 0, rows: &rows, scale: 1.0, offset: 0.0 };
        let mut feeds = vec![feed(y_true), feed(y_pred)];
        feeds.extend(sample_weight.map(feed));
        let inputs = (targets, Type::f32(shape), sample_weight.is_some());
        if self.session.as_ref().is_none_or(|(known, _)| *known != inputs) {
            let session = self.compile(&inputs)?;
            self.session = Some((inputs, session));
        }
        let (_, session) = self.session.as_mut().expect("made above");
        Ok(session.run(&mut self.engine, &feeds)?)
    }

    /// Adds a batch of values, for metrics that compare nothing: [`Mean`] and [`Sum`].
    ///
    /// # Errors
    /// Weights that do not fit the values.
    pub fn update_values(&mut self, values: &Tensor, sample_weight: Option<&Tensor>) -> Result<()> {
        self.update(values, values, sample_weight)
    }

    /// The number the batches so far come to; of a metric of several, the first.
    pub fn result(&self) -> f64 {
        self.results().first().copied().unwrap_or(f64::NAN)
    }

    /// The numbers the batches so far come to: one, or one per threshold or class.
    pub fn results(&self) -> Vec<f64> {
        let sums = |state: &&str| {
            let sums = self.engine.store().f32(state).unwrap_or_default();
            sums.iter().map(|sum| f64::from(*sum)).collect()
        };
        self.metric.result(&self.metric.states().iter().map(sums).collect::<Vec<_>>())
    }

    /// Forgets all batches.
    pub fn reset(&mut self) {
        for state in self.metric.states() {
            if let Some(sums) = self.engine.store_mut().f32_mut(state) {
                sums.fill(0.0);
            }
        }
    }

    /// Adds what another has seen.
    ///
    /// # Errors
    /// Another metric, or one of predictions of another shape.
    pub fn merge(&mut self, other: &RunningMetric) -> Result<()> {
        if self.metric.clone().named("") != other.metric.clone().named("") {
            let message = format!("metric `{}` cannot take the sums of `{}`", self.metric.name(), other.metric.name());
            return Err(Error::new(ErrorKind::Config, message).help("merge metrics of one class and settings"));
        }
        for state in self.metric.states() {
            let Some(more) = other.engine.store().get(state) else { continue };
            let store = self.engine.store_mut();
            let declared = store.declare(state, Role::Metric, &Type::f32(more.shape()));
            declared.map_err(|message| Error::new(ErrorKind::Shape, message))?;
            let sums = store.f32_mut(state).expect("declared above");
            sums.iter_mut().zip(more.to_f32()).for_each(|(sum, more)| *sum += more);
        }
        Ok(())
    }

    /// The type the targets are read as.
    fn targets(&self, y_true: &Tensor, predictions: &[usize]) -> Result<Type> {
        let wanted = self.metric.target_type(predictions);
        let classes = Type::i32(&predictions[..predictions.len().saturating_sub(1)]);
        let is_class = y_true.dtype().is_integer();
        [Some(wanted.clone()), is_class.then_some(classes)]
            .into_iter()
            .flatten()
            .find(|ty| ty.len() == y_true.len())
            .ok_or_else(|| {
                let (got, metric) = (footlight_tensor::display_shape(y_true.shape()), self.metric.name());
                let message = format!("metric `{metric}`: y_true has shape {got}, expected {wanted}");
                Error::new(ErrorKind::Shape, message)
            })
    }

    fn compile(&mut self, (targets, predictions, is_weighted): &Inputs) -> Result<Session> {
        let mut g = Builder::new();
        let y = g.input("y_true", targets.clone());
        let p = Prediction { value: g.input("y_pred", predictions.clone()), logits: None };
        let weight = is_weighted.then(|| g.input("sample_weight", Type::f32([predictions.shape[0]])));
        let sums = self.metric.lower(&mut g, &Observed { y, p, weight });
        for (state, added) in self.metric.states().iter().zip(sums) {
            let sum = g.state(state, Type::f32(g.shape(added)), Role::Metric);
            let next = g.add(sum, added);
            g.set_next(sum, next);
        }
        let graph = g.finish().map_err(footlight_nn::Error::from)?;
        Ok(self.engine.compile(&graph)?)
    }
}
