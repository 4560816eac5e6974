//! A model with what it is trained by: the whole training step as one graph.

use crate::architecture::Lowered;
use crate::config::Config;
use crate::layer::Mode;
use crate::losses::Prediction;
use crate::optimizers::{self, State, Trained};
use crate::{Activation, Architecture, Error, Loss, Metric, Optimizer, Weight};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Graph, Op, Role, Type, Value, differentiate};
use footlight_tensor::Tensor;
use serde_json::json;

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
        for metric in &self.metrics {
            let base = metric.name();
            let numbered = (1..).map(|i| format!("{base}_{i}"));
            let name = [base.to_string()].into_iter().chain(numbered).find(|name| !names.contains(name));
            names.extend(name);
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
        let full = |state: State| {
            let data = vec![state.initial; state.ty.len()];
            let tensor = Tensor::new(state.ty.shape, data).expect("as many as the shape has");
            (state.name, Role::Slot, tensor)
        };
        self.states(architecture).into_iter().filter(|state| state.initial != 0.0).map(full).collect()
    }

    /// The parameters of which the optimizer keeps running means, each with the state of its mean.
    pub fn averages(&self, architecture: &Architecture) -> Vec<(String, String)> {
        let weights = architecture.trainable_weights().filter(|_| self.optimizer.common().use_ema);
        weights.map(|w| (w.path.clone(), optimizers::average_of(&w.path))).collect()
    }

    fn states(&self, architecture: &Architecture) -> Vec<State> {
        let weights: Vec<(&str, &[usize])> =
            architecture.trainable_weights().map(|w| (w.path.as_str(), w.spec.shape.as_slice())).collect();
        optimizers::states(self.optimizer.as_ref(), &weights)
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
        for (regularizer, activity) in &lowered.activities {
            let penalty = regularizer.lower(g, *activity);
            let share = g.mul_scalar(penalty, 1.0 / batch as f32);
            loss = g.add(loss, share);
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
        optimizers::step(g, self.optimizer.as_ref(), iteration, &trained);
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
