//! A model with what it is trained by: the whole training step as one graph.

use crate::architecture::Lowered;
use crate::config::Config;
use crate::layer::Mode;
use crate::losses::Prediction;
use crate::metrics::{Direction, Mean, Observed, weigh};
use crate::optimizers::{self, State, Trained};
use crate::{Architecture, Custom, Error, Loss, Metric, MetricList, Optimizer, Weight};
use footlight_graph::{Builder, Graph, Role, Type, Value, differentiate};
use footlight_tensor::Tensor;
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// What a model is trained by: optimizer, loss and metrics.
#[derive(Clone, Debug)]
pub struct Compile {
    /// Moves the parameters.
    pub optimizer: Box<dyn Optimizer>,
    /// Is made small.
    pub loss: Loss,
    /// Are told beside the loss; they do not look at the weights of samples.
    pub metrics: Vec<Metric>,
    /// Are told too, by the weights of the samples where some are given.
    pub weighted_metrics: Vec<Metric>,
}

/// The samples of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many.
    pub size: usize,
    /// Whether each has a weight, the further input `sample_weight`.
    pub is_weighted: bool,
}

impl From<usize> for Batch {
    fn from(size: usize) -> Batch {
        Batch { size, is_weighted: false }
    }
}

/// The mean of the losses of an epoch.
const LOSS: &str = "loss";
/// There are some dozens of metrics, and nobody asks for all.
const METRIC_LIMIT: usize = 1_000;

impl Compile {
    /// Checks the settings.
    ///
    /// # Errors
    /// A name that is not known or a setting out of range.
    pub fn new(optimizer: Box<dyn Optimizer>, loss: Loss, metrics: Vec<Metric>) -> Result<Compile, Error> {
        optimizer.check().map_err(|e| e.at(format!("optimizer `{}`", optimizer.class_name())))?;
        loss.check()?;
        metrics.iter().try_for_each(Metric::check)?;
        Ok(Compile { optimizer, loss, metrics, weighted_metrics: Vec::new() })
    }

    /// Adds metrics by the weights of the samples.
    ///
    /// # Errors
    /// A name that is not known or a setting out of range.
    pub fn weighted_metrics(mut self, metrics: impl Into<MetricList>) -> Result<Compile, Error> {
        self.weighted_metrics = metrics.into().0;
        self.weighted_metrics.iter().try_for_each(Metric::check)?;
        Ok(self)
    }

    fn all_metrics(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.iter().chain(&self.weighted_metrics)
    }

    /// The mean of the losses, then the metrics, each by the name it is told by.
    fn told(&self) -> Vec<(String, Metric)> {
        let all = [Metric::from(Mean::new())].into_iter().chain(self.all_metrics().cloned());
        self.metric_names().into_iter().zip(all).collect()
    }

    /// What is told, from the sums of each state such as `metric/loss/total`: names and numbers, sorted by name. A metric
    /// of several numbers tells them as `<name>[0]`, `<name>[1]` and so on.
    pub fn results(&self, sums: impl Fn(&str) -> Vec<f64>) -> Vec<(String, f64)> {
        let mut results = Vec::new();
        for (name, metric) in self.told() {
            let states: Vec<Vec<f64>> = metric.states().iter().map(|state| sums(&state_name(&name, state))).collect();
            let values = metric.result(&states);
            let is_one = values.len() == 1;
            let numbered = values.into_iter().enumerate();
            results.extend(numbered.map(|(i, v)| (if is_one { name.clone() } else { format!("{name}[{i}]") }, v)));
        }
        results.sort_by(|a, b| a.0.cmp(&b.0));
        results
    }

    /// Which way a number that is told gets better; `None` for a name that is not told or tells no direction.
    pub fn direction(&self, name: &str) -> Option<Direction> {
        if name == LOSS {
            return Some(Direction::Min);
        }
        let name = name.split_once('[').map_or(name, |(told, _)| told);
        let found = self.told().into_iter().find(|(told, _)| told == name);
        found.and_then(|(_, metric)| metric.direction())
    }

    /// The names under which the loss and the metrics are told, the loss first; a repeated name gets `_1`, `_2`.
    pub fn metric_names(&self) -> Vec<String> {
        let mut names: Vec<String> = vec![LOSS.into()];
        let mut taken: HashSet<String> = names.iter().cloned().collect();
        let mut counts: HashMap<String, usize> = HashMap::new();
        for metric in self.all_metrics() {
            let base = metric.name();
            let count = counts.entry(base.to_string()).or_default();
            let mut name = base.to_string();
            while !taken.insert(name.clone()) {
                *count += 1;
                name = format!("{base}_{count}");
            }
            names.push(name);
        }
        names
    }

    /// The optimizer's states in the order of Keras' files: iteration, learning rate unless it follows a schedule, what is
    /// kept for means and sums, the slots.
    pub fn optimizer_states(&self, architecture: &Architecture) -> Vec<(String, Type)> {
        self.states(architecture).into_iter().map(|state| (state.name, state.ty)).collect()
    }

    /// The first values of the optimizer's states that are not zero.
    pub fn initial_values(&self, architecture: &Architecture) -> Vec<(String, Role, Tensor)> {
        let first = self.states(architecture).into_iter().filter_map(State::first_value);
        first.map(|(name, value)| (name, Role::Slot, value)).collect()
    }

    /// The parameters of which the optimizer keeps running means, each with the state of its mean.
    pub fn averages(&self, architecture: &Architecture) -> Vec<(String, String)> {
        let weights = architecture.trainable_weights().filter(|_| self.optimizer.common().use_ema);
        weights.map(|w| (w.path.clone(), optimizers::average_of(&w.path))).collect()
    }

    fn states(&self, architecture: &Architecture) -> Vec<State> {
        let weights: Vec<(&str, &[usize])> =
            architecture.trainable_weights().map(|w| (w.path.as_str(), w.spec.shape.as_slice())).collect();
        optimizers::states(self.optimizer.as_ref(), optimizers::SCOPE, &weights)
    }

    /// One training step of `batch` samples as one graph: inputs `x`, `y` and, if samples have weights, `sample_weight`;
    /// weights, slots and metric sums as states; output `loss`, the loss of this batch with all penalties.
    ///
    /// # Errors
    /// Faults of shapes and gradients, all together.
    pub fn lower_train(&self, architecture: &Architecture, batch: impl Into<Batch>, seed: u64) -> Result<Graph, Error> {
        let (mut g, batch) = (Builder::new(), batch.into());
        let lowered = architecture.lower(&mut g, batch.size, Mode::Train, seed)?;
        let loss = self.lower_loss(&mut g, architecture, &lowered, batch)?;
        let step = lowered.step.expect("a training graph counts its steps");
        self.lower_update(&mut g, architecture, &lowered, loss, step)?;
        g.output("loss", loss);
        Ok(g.finish()?)
    }

    /// The loss and metrics of `batch` samples with fixed weights: inputs and metric sums as in training.
    ///
    /// # Errors
    /// Faults of shapes, all together.
    pub fn lower_evaluate(&self, architecture: &Architecture, batch: impl Into<Batch>) -> Result<Graph, Error> {
        let (mut g, batch) = (Builder::new(), batch.into());
        let lowered = architecture.lower(&mut g, batch.size, Mode::Infer, 0)?;
        let loss = self.lower_loss(&mut g, architecture, &lowered, batch)?;
        g.output("loss", loss);
        g.output("output_0", lowered.outputs[0].value);
        Ok(g.finish()?)
    }

    /// Records the loss with all penalties, and the sums of all metrics.
    fn lower_loss(
        &self,
        g: &mut Builder,
        architecture: &Architecture,
        lowered: &Lowered,
        batch: Batch,
    ) -> Result<Value, Error> {
        let output = lowered.outputs[0].value;
        let y = g.input("y", self.loss.target_type(&g.shape(output)));
        let weight = batch.is_weighted.then(|| g.input("sample_weight", Type::f32([batch.size])));
        let p = Prediction::of(g.graph(), output);
        g.enter("loss");
        let each = self.loss.lower(g, y, p);
        // The divisor stays the number of losses: Keras' sum_over_batch_size.
        let each = weigh(g, each, weight);
        let mut loss = g.mean_all(each);
        for (weight, value) in architecture.weights().iter().zip(&lowered.weights) {
            if let Some(regularizer) = weight.penalty() {
                let penalty = regularizer.lower(g, *value);
                loss = g.add(loss, penalty);
            }
        }
        for (regularizer, activity) in &lowered.activities {
            let penalty = regularizer.lower(g, *activity);
            let share = g.mul_scalar(penalty, 1.0 / batch.size as f32);
            loss = g.add(loss, share);
        }
        g.leave();
        let told = self.told();
        let num_plain = 1 + self.metrics.len();
        g.enter("metrics");
        let weighted = g.mul_scalar(loss, batch.size as f32);
        let count = g.constant(batch.size as f32);
        add_to_states(g, LOSS, &told[0].1, &[weighted, count]);
        for (position, (name, metric)) in told.iter().enumerate().skip(1) {
            let weight = weight.filter(|_| position >= num_plain);
            let sums = metric.lower(g, &Observed { y, p, weight });
            add_to_states(g, name, metric, &sums);
        }
        g.leave();
        Ok(loss)
    }

    /// Records gradients and the next parameters and slots.
    fn lower_update(
        &self,
        g: &mut Builder,
        architecture: &Architecture,
        lowered: &Lowered,
        loss: Value,
        iteration: Value,
    ) -> Result<(), Error> {
        let weights = architecture.weights().iter().zip(&lowered.weights).filter(|(w, _)| w.spec.trainable);
        let (weights, values): (Vec<&Weight>, Vec<Value>) = weights.map(|(w, v)| (w, *v)).unzip();
        let scale = self.optimizer.common().loss_scale_factor;
        let loss = scale.map_or(loss, |scale| g.mul_scalar(loss, scale));
        let gradients = differentiate(g, loss, &values)?;
        let found = weights.into_iter().zip(values).zip(gradients);
        let mut trained: Vec<Trained> = Vec::new();
        for ((weight, value), gradient) in found {
            let constraint = weight.spec.constraint.as_ref();
            trained.push(Trained { path: &weight.path, value, gradient, constraint });
        }
        g.enter("optimizer");
        optimizers::step(g, self.optimizer.as_ref(), optimizers::SCOPE, iteration, &trained);
        g.leave();
        Ok(())
    }

    /// As Keras writes it.
    pub fn to_config(&self) -> serde_json::Value {
        json!({
            "optimizer": optimizers::to_config(self.optimizer.as_ref()),
            "loss": self.loss.to_config(),
            "loss_weights": null,
            "metrics": self.metrics.iter().map(Metric::to_config).collect::<Vec<_>>(),
            "weighted_metrics": written(&self.weighted_metrics),
            "run_eagerly": false,
            "steps_per_execution": 1,
            "jit_compile": false,
        })
    }

    /// From what Keras writes.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config(config: &Config) -> Result<Compile, Error> {
        Compile::from_config_with(config, &Custom::new())
    }

    /// As [`Compile::from_config`], with classes of one's own.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config_with(config: &Config, custom: &Custom) -> Result<Compile, Error> {
        let missing = |key: &str| Error::config(format!("compile_config has no `{key}`"));
        let present = |key: &str| config.get(key).filter(|v| !v.is_null());
        let optimizer = present("optimizer").ok_or_else(|| missing("optimizer"))?;
        let optimizer = optimizers::from_config_with(optimizer, custom)?;
        let loss = Loss::from_config_with(present("loss").ok_or_else(|| missing("loss"))?, custom)?;
        let metrics = |key: &str| match present(key) {
            Some(serde_json::Value::Array(list)) if list.len() > METRIC_LIMIT => {
                let message = format!("compile_config: {} metrics, at most {METRIC_LIMIT} are read", list.len());
                Err(Error::config(message).help("the file is damaged, or made to keep its reader busy"))
            }
            Some(serde_json::Value::Array(list)) => {
                list.iter().map(|metric| Metric::from_config_with(metric, custom)).collect::<Result<Vec<_>, _>>()
            }
            Some(_) => Err(Error::config(format!("compile_config: `{key}` must be a list, of the one output"))),
            None => Ok(Vec::new()),
        };
        if present("loss_weights").is_some() {
            return Err(Error::config("compile_config: `loss_weights` is not supported yet"));
        }
        Compile::new(optimizer, loss, metrics("metrics")?)?.weighted_metrics(metrics("weighted_metrics")?)
    }
}

/// A list as Keras writes it: nothing if it is empty.
fn written(metrics: &[Metric]) -> serde_json::Value {
    if metrics.is_empty() { json!(null) } else { metrics.iter().map(Metric::to_config).collect() }
}

/// The name of a state of the metric that is told as `name`.
fn state_name(name: &str, state: &str) -> String {
    format!("metric/{name}/{state}")
}

/// Adds what a batch contributes to each state of the metric that is told as `name`.
fn add_to_states(g: &mut Builder, name: &str, metric: &Metric, sums: &[Value]) {
    for (state, added) in metric.states().iter().zip(sums) {
        let shape = g.shape(*added);
        let value = g.state(&state_name(name, state), Type::f32(shape), Role::Metric);
        let next = g.add(value, *added);
        g.set_next(value, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_equal_metrics_are_made_in_good_time() {
        let metrics = vec![Metric::from("accuracy"); 20_000];
        let compile =
            Compile::new(optimizers::from_config(&json!("adam")).unwrap(), Loss::from("mse"), metrics).unwrap();
        let names = compile.metric_names();
        assert_eq!(names[..4], ["loss", "accuracy", "accuracy_1", "accuracy_2"]);
        assert_eq!(names[20_000], "accuracy_19999");
    }

    #[test]
    fn metrics_whose_sums_are_beyond_all_measure_are_refused() {
        let layers = crate::layers![crate::Dense::new(3).input_shape([2])];
        let architecture = Architecture::sequential(layers).unwrap();
        let refused = |class: &str, key: &str, count: u64| {
            let metric = json!({ "class_name": class, "config": { key: count } });
            let config = json!({ "optimizer": "adam", "loss": "mse", "metrics": [metric] });
            let compile = Compile::from_config(config.as_object().unwrap());
            compile.and_then(|compile| compile.lower_evaluate(&architecture, 2)).unwrap_err().to_string()
        };
        for count in [1 << 32, u64::MAX] {
            let error = refused("MeanIoU", "num_classes", count);
            assert!(error.contains("would be more than 1099511627776 numbers"), "{error}");
            let error = refused("AUC", "num_thresholds", count);
            assert!(
                error.contains(&format!("num_thresholds = {count}, at most 16777216 can be told apart")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_description_of_endless_metrics_is_refused() {
        let config = json!({ "optimizer": "adam", "loss": "mse", "metrics": vec!["mae"; METRIC_LIMIT + 1] });
        let error = Compile::from_config(config.as_object().unwrap()).unwrap_err();
        assert!(error.message().contains("1001 metrics, at most 1000 are read"), "{error}");
    }
}
