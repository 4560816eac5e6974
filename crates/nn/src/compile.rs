//! A model with what it is trained by: the whole training step as one graph.

use crate::architecture::Lowered;
use crate::config::Config;
use crate::layer::Mode;
use crate::losses::Prediction;
use crate::optimizers::{self, Parameter, Update};
use crate::{Activation, Architecture, Error, Loss, Metric, Optimizer};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Graph, Op, Role, Type, Value, differentiate};
use footlight_tensor::{DType, Tensor};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// What a model is trained by: optimizer, loss and metrics.
#[derive(Clone, Debug)]
pub struct Compile {
    /// Moves the parameters.
    pub optimizer: Box<dyn Optimizer>,
    /// Is made small.
    pub loss: Loss,
    /// Are told beside the loss.
    pub metrics: Vec<Metric>,
}

/// There are some dozens of metrics, and nobody asks for all.
const METRIC_LIMIT: usize = 1_000;

/// The states of a running mean: its sum and its count.
pub const METRIC_STATES: [&str; 2] = ["total", "count"];

impl Compile {
    /// Checks the settings.
    ///
    /// # Errors
    /// A name that is not known or a setting out of range.
    pub fn new(optimizer: Box<dyn Optimizer>, loss: Loss, metrics: Vec<Metric>) -> Result<Compile, Error> {
        optimizer.check().map_err(|e| e.at(format!("optimizer `{}`", optimizer.class_name())))?;
        loss.check()?;
        metrics.iter().try_for_each(Metric::check)?;
        Ok(Compile { optimizer, loss, metrics })
    }

    /// The names under which the loss and the metrics are told, the loss first; a repeated name gets `_1`, `_2`.
    pub fn metric_names(&self) -> Vec<String> {
        let mut names: Vec<String> = vec!["loss".into()];
        let mut taken: HashSet<String> = names.iter().cloned().collect();
        let mut counts: HashMap<String, usize> = HashMap::new();
        for metric in &self.metrics {
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

    /// The optimizer's states in the order of Keras' files: iteration, learning rate, then the slots.
    pub fn optimizer_states(&self, architecture: &Architecture) -> Vec<(String, Type)> {
        let mut states =
            vec![("optimizer/iteration".into(), Type::i32([])), ("optimizer/learning_rate".into(), Type::f32([]))];
        let weights: Vec<_> = architecture.trainable_weights().collect();
        for group in self.optimizer.slot_groups() {
            for w in &weights {
                states.extend(group.iter().map(|slot| (slot_name(&w.path, slot), Type::f32(w.spec.shape.clone()))));
            }
        }
        states
    }

    /// The first values of the optimizer's states that are not zero.
    pub fn initial_values(&self) -> Vec<(String, Role, Tensor)> {
        let rate = Tensor::scalar(self.optimizer.learning_rate());
        vec![("optimizer/learning_rate".into(), Role::Slot, rate)]
    }

    /// One training step of `batch` samples as one graph: inputs `x` and `y`; weights, slots and metric sums as states;
    /// output `loss`, the loss of this batch with all penalties.
    ///
    /// # Errors
    /// Faults of shapes and gradients, all together.
    pub fn lower_train(&self, architecture: &Architecture, batch: usize, seed: u64) -> Result<Graph, Error> {
        let mut g = Builder::new();
        let lowered = architecture.lower(&mut g, batch, Mode::Train, seed)?;
        let loss = self.lower_loss(&mut g, architecture, &lowered, batch)?;
        let step = lowered.step.expect("a training graph counts its steps");
        self.lower_update(&mut g, architecture, &lowered, loss, step)?;
        g.output("loss", loss);
        Ok(g.finish()?)
    }

    /// The loss and metrics of `batch` samples with fixed weights: inputs `x` and `y`; metric sums as states.
    ///
    /// # Errors
    /// Faults of shapes, all together.
    pub fn lower_evaluate(&self, architecture: &Architecture, batch: usize) -> Result<Graph, Error> {
        let mut g = Builder::new();
        let lowered = architecture.lower(&mut g, batch, Mode::Infer, 0)?;
        let loss = self.lower_loss(&mut g, architecture, &lowered, batch)?;
        g.output("loss", loss);
        g.output("output_0", lowered.output);
        Ok(g.finish()?)
    }

    /// Records the loss with all penalties, and the sums of all metrics.
    fn lower_loss(
        &self,
        g: &mut Builder,
        architecture: &Architecture,
        lowered: &Lowered,
        batch: usize,
    ) -> Result<Value, Error> {
        let output = lowered.output;
        let y = g.input("y", self.loss.target_type(&g.shape(output)));
        let prediction = Prediction { value: output, logits: logits(g.graph(), output) };
        g.enter("loss");
        let each = self.loss.lower(g, y, prediction);
        let mut loss = g.mean_all(each);
        for (weight, value) in architecture.weights().iter().zip(&lowered.weights) {
            if let Some(regularizer) = weight.spec.regularizer.filter(|_| weight.spec.trainable) {
                let penalty = regularizer.lower(g, *value);
                loss = g.add(loss, penalty);
            }
        }
        g.leave();
        let names = self.metric_names();
        g.enter("metrics");
        let weighted = g.mul_scalar(loss, batch as f32);
        add_to_mean(g, &names[0], weighted, batch);
        for (metric, name) in self.metrics.iter().zip(&names[1..]) {
            let each = metric.lower(g, y, prediction);
            let count = g.shape(each).iter().product();
            let sum = g.sum_all(each);
            add_to_mean(g, name, sum, count);
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
        let trained: Vec<(&str, &[usize], Value)> = architecture
            .weights()
            .iter()
            .zip(&lowered.weights)
            .filter(|(w, _)| w.spec.trainable)
            .map(|(w, v)| (w.path.as_str(), w.spec.shape.as_slice(), *v))
            .collect();
        let values: Vec<Value> = trained.iter().map(|(.., v)| *v).collect();
        let gradients = differentiate(g, loss, &values)?;
        g.enter("optimizer");
        let learning_rate = g.state("optimizer/learning_rate", Type::f32([]), Role::Slot);
        let one = g.constant_i32(1);
        let next = g.add(iteration, one);
        g.set_next(iteration, next);
        // From the count before this step, so that nothing waits for the count to be overwritten.
        let before = g.cast(iteration, DType::F32);
        let step = g.add_scalar(before, 1.0);
        let mut update = Update { graph: g, learning_rate, step };
        let shared = self.optimizer.prepare(&mut update);
        for ((path, shape, value), gradient) in trained.into_iter().zip(gradients) {
            let slots: Vec<Value> = self
                .optimizer
                .slots()
                .iter()
                .map(|slot| update.graph.state(&slot_name(path, slot), Type::f32(shape), Role::Slot))
                .collect();
            let parameter = Parameter { value, gradient, slots };
            let (next, next_slots) = self.optimizer.update(&mut update, shared, &parameter);
            update.graph.set_next(value, next);
            for (slot, next) in parameter.slots.iter().zip(next_slots) {
                update.graph.set_next(*slot, next);
            }
        }
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
            "weighted_metrics": null,
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
        let missing = |key: &str| Error::config(format!("compile_config has no `{key}`"));
        let present = |key: &str| config.get(key).filter(|v| !v.is_null());
        let optimizer = optimizers::from_config(present("optimizer").ok_or_else(|| missing("optimizer"))?)?;
        let loss = Loss::from_config(present("loss").ok_or_else(|| missing("loss"))?)?;
        let metrics = match present("metrics") {
            Some(serde_json::Value::Array(list)) if list.len() > METRIC_LIMIT => {
                let message = format!("compile_config: {} metrics, at most {METRIC_LIMIT} are read", list.len());
                return Err(Error::config(message).help("the file is damaged, or made to keep its reader busy"));
            }
            Some(serde_json::Value::Array(list)) => list.iter().map(Metric::from_config).collect::<Result<_, _>>()?,
            Some(_) => return Err(Error::config("compile_config: `metrics` must be a list, of the one output")),
            None => Vec::new(),
        };
        for key in ["loss_weights", "weighted_metrics"] {
            if present(key).is_some() {
                return Err(Error::config(format!("compile_config: `{key}` is not supported yet")));
            }
        }
        Compile::new(optimizer, loss, metrics)
    }
}

fn slot_name(path: &str, slot: &str) -> String {
    format!("optimizer/{path}/{slot}")
}

/// Adds `sum` of `count` numbers to the running mean called `name`.
fn add_to_mean(g: &mut Builder, name: &str, sum: Value, count: usize) {
    let count = g.constant(count as f32);
    for (state, added) in METRIC_STATES.iter().zip([sum, count]) {
        let value = g.state(&format!("metric/{name}/{state}"), Type::f32([]), Role::Metric);
        let next = g.add(value, added);
        g.set_next(value, next);
    }
}

/// The value behind `output` if it is a softmax or sigmoid of it.
fn logits(graph: &Graph, output: Value) -> Option<(Value, &'static Activation)> {
    let node = graph.nodes().iter().find(|n| n.outputs.contains(&output))?;
    match node.op {
        Op::Softmax(_) => Some((node.inputs[0], &Activation::Softmax)),
        Op::Unary(Unary::Sigmoid) => Some((node.inputs[0], &Activation::Sigmoid)),
        _ => None,
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
    fn a_description_of_endless_metrics_is_refused() {
        let config = json!({ "optimizer": "adam", "loss": "mse", "metrics": vec!["mae"; METRIC_LIMIT + 1] });
        let error = Compile::from_config(config.as_object().unwrap()).unwrap_err();
        assert!(error.message().contains("1001 metrics, at most 1000 are read"), "{error}");
    }
}
