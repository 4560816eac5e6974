//! A model with what it is trained by: the whole training step as one graph.

use crate::architecture::Lowered;
use crate::config::{self, Config};
use crate::layer::Mode;
use crate::losses::Prediction;
use crate::metrics::{Direction, Mean, Observed, weigh};
use crate::optimizers::{self, State, Trained};
use crate::{Architecture, Custom, Error, Loss, Metric, MetricList, Optimizer, OptimizerChoice, Weight};
use footlight_graph::{Builder, ErrorKind as GraphErrorKind, Graph, Role, Type, Value, differentiate};
use footlight_tensor::Tensor;
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// What a model is trained by: optimizer, losses and metrics.
#[derive(Clone, Debug)]
pub struct Compile {
    /// Moves the parameters.
    pub optimizer: Box<dyn Optimizer>,
    /// What is asked of each output.
    pub outputs: Vec<Terms>,
}

/// What is asked of one output of a model: its loss, how much that counts, and metrics.
///
/// # Examples
/// ```
/// use footlight_nn::{Loss, Terms};
/// let terms = Terms::new("mse").weight(0.5).metrics(["mae"]);
/// assert_eq!(terms.loss, Loss::MeanSquaredError);
/// ```
#[derive(Clone, Debug)]
pub struct Terms {
    /// The output's name where a model has several, which names and sums of metrics begin with.
    name: String,
    /// Is made small.
    pub loss: Loss,
    /// How much the loss counts among those of all outputs.
    pub weight: f32,
    /// Are told beside the loss; they do not look at the weights of samples.
    pub metrics: Vec<Metric>,
    /// Are told too, by the weights of the samples where some are given.
    pub weighted_metrics: Vec<Metric>,
}

impl Terms {
    /// A loss that counts 1, and no metrics.
    pub fn new(loss: impl Into<Loss>) -> Terms {
        Terms { name: String::new(), loss: loss.into(), weight: 1.0, metrics: vec![], weighted_metrics: vec![] }
    }

    /// How much the loss counts; default 1. Keras' `loss_weights`.
    pub fn weight(mut self, weight: f32) -> Terms {
        self.weight = weight;
        self
    }

    /// Metrics that do not look at the weights of samples; default none.
    pub fn metrics(mut self, metrics: impl Into<MetricList>) -> Terms {
        self.metrics = metrics.into().0;
        self
    }

    /// Metrics by the weights of the samples; default none.
    pub fn weighted_metrics(mut self, metrics: impl Into<MetricList>) -> Terms {
        self.weighted_metrics = metrics.into().0;
        self
    }

    fn all_metrics(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.iter().chain(&self.weighted_metrics)
    }

    /// Names that are not known and settings out of range.
    fn faults(&self) -> Vec<Error> {
        let own = [self.loss.check(), config::within("loss_weights", self.weight, config::FINITE)];
        own.into_iter().chain(self.all_metrics().map(Metric::check)).filter_map(Result::err).collect()
    }

    /// What is told of this output: the mean of its loss where there are several, and the metrics, each by its name.
    fn told(&self) -> Vec<Told> {
        let (prefix, is_one) =
            (if self.name.is_empty() { String::new() } else { format!("{}_", self.name) }, self.name.is_empty());
        let mut told = Vec::new();
        if !is_one {
            told.push(Told { name: format!("{prefix}{LOSS}"), metric: Mean::new().into(), is_weighted: false });
        }
        for (position, metric) in self.all_metrics().enumerate() {
            let is_weighted = position >= self.metrics.len();
            told.push(Told { name: format!("{prefix}{}", metric.name()), metric: metric.clone(), is_weighted });
        }
        told
    }
}

/// A number that is told.
struct Told {
    name: String,
    metric: Metric,
    is_weighted: bool,
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
        Compile::of_outputs(optimizer, vec![Terms { metrics, ..Terms::new(loss) }])
    }

    /// As [`Compile::new`], with terms for each output of a model.
    ///
    /// # Errors
    /// A name that is not known or a setting out of range.
    pub fn of_outputs(optimizer: Box<dyn Optimizer>, outputs: Vec<Terms>) -> Result<Compile, Error> {
        Compile::of_choice(optimizer.into(), outputs)
    }

    /// As [`Compile::of_outputs`], with an optimizer that may be no more than a name.
    ///
    /// # Errors
    /// All names that are not known and settings out of range, together.
    pub fn of_choice(optimizer: OptimizerChoice, outputs: Vec<Terms>) -> Result<Compile, Error> {
        let checked = |optimizer: Box<dyn Optimizer>| {
            let place = format!("optimizer `{}`", optimizer.class_name());
            optimizer.check().map_err(|e| e.at(place)).map(|()| optimizer)
        };
        let optimizer = optimizer.resolve().and_then(checked);
        let of_outputs = outputs.iter().flat_map(Terms::faults);
        let faults: Vec<Error> = optimizer.as_ref().err().cloned().into_iter().chain(of_outputs).collect();
        match optimizer {
            Ok(optimizer) if faults.is_empty() => Ok(Compile { optimizer, outputs }),
            _ => Err(Error::together(faults)),
        }
    }

    /// Adds metrics by the weights of the samples, of the first output.
    ///
    /// # Errors
    /// A name that is not known or a setting out of range.
    pub fn weighted_metrics(mut self, metrics: impl Into<MetricList>) -> Result<Compile, Error> {
        if let Some(terms) = self.outputs.first_mut() {
            terms.weighted_metrics = metrics.into().0;
        }
        let faults: Vec<Error> = self.outputs.iter().flat_map(Terms::faults).collect();
        if faults.is_empty() { Ok(self) } else { Err(Error::together(faults)) }
    }

    /// The same for the outputs of `model`, whose names its metrics take where there are several; the terms of one output
    /// are those of each.
    ///
    /// # Errors
    /// Another number of outputs.
    pub fn for_model(mut self, model: &Architecture) -> Result<Compile, Error> {
        let names = model.output_names();
        if self.outputs.len() == 1 {
            self.outputs = vec![self.outputs[0].clone(); names.len()];
        }
        if self.outputs.len() != names.len() {
            let (model, terms, outputs) = (model.name(), self.outputs.len(), names.len());
            let message = format!("model `{model}` has {outputs} outputs, it is compiled with losses for {terms}");
            return Err(Error::config(message).help("give one loss for each output, in their order"));
        }
        let mut taken: HashMap<String, usize> = HashMap::new();
        for (terms, name) in self.outputs.iter_mut().zip(names.iter().filter(|_| names.len() > 1)) {
            let count = taken.entry(name.clone()).or_default();
            terms.name = if *count == 0 { name.clone() } else { format!("{name}_{count}") };
            *count += 1;
        }
        Ok(self)
    }

    /// What is told of each output, under names of its own; a repeated name gets `_1`, `_2`.
    fn told(&self) -> Vec<Vec<Told>> {
        let mut taken: HashSet<String> = HashSet::from([LOSS.into()]);
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut unique = |told: Told| {
            let count = counts.entry(told.name.clone()).or_default();
            let mut name = told.name.clone();
            while !taken.insert(name.clone()) {
                *count += 1;
                name = format!("{}_{count}", told.name);
            }
            Told { name, ..told }
        };
        self.outputs.iter().map(|terms| terms.told().into_iter().map(&mut unique).collect()).collect()
    }

    /// All numbers that are told, the loss first.
    fn all_told(&self) -> Vec<Told> {
        let loss = Told { name: LOSS.into(), metric: Mean::new().into(), is_weighted: false };
        [loss].into_iter().chain(self.told().into_iter().flatten()).collect()
    }

    /// What is told, from the sums of each state such as `metric/loss/total`: names and numbers, sorted by name. A metric
    /// of several numbers tells them as `<name>[0]`, `<name>[1]` and so on.
    pub fn results(&self, sums: impl Fn(&str) -> Vec<f64>) -> Vec<(String, f64)> {
        let mut results = Vec::new();
        for Told { name, metric, .. } in self.all_told() {
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
        let found = self.all_told().into_iter().find(|told| told.name == name);
        found.and_then(|told| told.metric.direction())
    }

    /// The names under which the loss and the metrics are told, the loss first; a repeated name gets `_1`, `_2`.
    pub fn metric_names(&self) -> Vec<String> {
        self.all_told().into_iter().map(|told| told.name).collect()
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

    /// One training step of `batch` samples as one graph: inputs `x`, `y` (or `x/<name>`, `y/<name>` where there
    /// are several) and, if samples have weights, `sample_weight`; weights, slots and metric sums as states; output `loss`, the loss of this batch with all penalties.
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
        for (index, output) in lowered.outputs.iter().enumerate() {
            g.output(&format!("output_{index}"), output.value);
        }
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
        let compile = self.clone().for_model(architecture)?;
        let terms = compile.outputs.iter().zip(&lowered.outputs);
        let targets: Vec<Value> = terms
            .map(|(terms, output)| {
                let name = if terms.name.is_empty() { "y".into() } else { format!("y/{}", terms.name) };
                g.input(&name, terms.loss.target_type(&g.shape(output.value)))
            })
            .collect();
        let weight = batch.is_weighted.then(|| g.input("sample_weight", Type::f32([batch.size])));
        g.enter("loss");
        let mut losses = Vec::new();
        let names = architecture.output_names();
        for (((terms, output), y), name) in compile.outputs.iter().zip(&lowered.outputs).zip(&targets).zip(&names) {
            let each = terms.loss.lower(g, *y, Prediction::of(g.graph(), output.value));
            let each = masked(g, each, output.mask, name);
            // The divisor stays the number of losses: Keras' sum_over_batch_size.
            let each = weigh(g, each, weight);
            losses.push(g.mean_all(each));
        }
        let weighed = compile.outputs.iter().zip(&losses).map(|(terms, loss)| match terms.weight {
            1.0 => *loss,
            weight => g.mul_scalar(*loss, weight),
        });
        let weighed: Vec<Value> = weighed.collect();
        let mut loss = weighed[0];
        for next in &weighed[1..] {
            loss = g.add(loss, *next);
        }
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
        g.enter("metrics");
        let count = g.constant(batch.size as f32);
        let mean: Metric = Mean::new().into();
        let whole = g.mul_scalar(loss, batch.size as f32);
        add_to_states(g, LOSS, &mean, &[whole, count]);
        for (index, told) in compile.told().into_iter().enumerate() {
            let (y, p) = (targets[index], Prediction::of(g.graph(), lowered.outputs[index].value));
            for (position, Told { name, metric, is_weighted }) in told.into_iter().enumerate() {
                let is_loss = position == 0 && !compile.outputs[index].name.is_empty();
                let sums = if is_loss {
                    vec![g.mul_scalar(losses[index], batch.size as f32), count]
                } else {
                    metric.lower(g, &Observed { y, p, weight: weight.filter(|_| is_weighted) })
                };
                add_to_states(g, &name, &metric, &sums);
            }
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
        let list = |of: &dyn Fn(&Terms) -> serde_json::Value| match self.outputs.as_slice() {
            [one] => of(one),
            many => many.iter().map(of).collect(),
        };
        let written = |metrics: &[Metric]| metrics.iter().map(Metric::to_config).collect::<Vec<_>>();
        let is_plain = self.outputs.iter().all(|terms| terms.weighted_metrics.is_empty());
        let has_weights = self.outputs.len() > 1;
        json!({
            "optimizer": optimizers::to_config(self.optimizer.as_ref()),
            "loss": list(&|terms| terms.loss.to_config()),
            "loss_weights": has_weights.then(|| list(&|terms| json!(terms.weight))),
            "metrics": list(&|terms| written(&terms.metrics).into()),
            "weighted_metrics": (!is_plain).then(|| list(&|terms| written(&terms.weighted_metrics).into())),
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
        let losses = outputs_of(present("loss").ok_or_else(|| missing("loss"))?);
        let one = |value: &&serde_json::Value| Loss::from_config_with(value, custom);
        let mut outputs: Vec<Terms> =
            losses.iter().map(|(_, loss)| one(loss).map(Terms::new)).collect::<Result<_, Error>>()?;
        let of_output = |key: &'static str, index: usize| {
            let value = present(key)?;
            match (losses.len(), value) {
                (1, serde_json::Value::Object(named)) => named.values().next(),
                (1, serde_json::Value::Array(list)) if list.len() == 1 && list[0].is_array() => Some(&list[0]),
                (1, one) => Some(one),
                (_, serde_json::Value::Object(named)) => named.get(losses[index].0?),
                (_, many) => many.get(index),
            }
        };
        for (index, terms) in outputs.iter_mut().enumerate() {
            let metrics = |key: &'static str| read_metrics(of_output(key, index), key, custom);
            (terms.metrics, terms.weighted_metrics) = (metrics("metrics")?, metrics("weighted_metrics")?);
            let weight = of_output("loss_weights", index).map(|weight| match weight {
                serde_json::Value::Array(list) if list.len() == 1 => list[0].as_f64(),
                one => one.as_f64(),
            });
            terms.weight = match weight {
                None => 1.0,
                Some(Some(weight)) => weight as f32,
                Some(None) => return Err(Error::config("compile_config: `loss_weights` must be numbers")),
            };
        }
        Compile::of_outputs(optimizer, outputs)
    }
}

/// The value of each output, with its name if they have any: a list or an object of several, or one.
fn outputs_of(value: &serde_json::Value) -> Vec<(Option<&str>, &serde_json::Value)> {
    match value {
        serde_json::Value::Array(list) if !list.is_empty() => list.iter().map(|one| (None, one)).collect(),
        serde_json::Value::Object(named) if !named.contains_key("class_name") && !named.is_empty() => {
            named.iter().map(|(name, one)| (Some(name.as_str()), one)).collect()
        }
        one => vec![(None, one)],
    }
}

fn read_metrics(value: Option<&serde_json::Value>, key: &str, custom: &Custom) -> Result<Vec<Metric>, Error> {
    match value {
        None | Some(serde_json::Value::Null) => Ok(Vec::new()),
        Some(serde_json::Value::Array(list)) if list.len() > METRIC_LIMIT => {
            let message = format!("compile_config: {} metrics, at most {METRIC_LIMIT} are read", list.len());
            Err(Error::config(message).help("the file is damaged, or made to keep its reader busy"))
        }
        Some(serde_json::Value::Array(list)) => {
            list.iter().map(|metric| Metric::from_config_with(metric, custom)).collect()
        }
        Some(one) if one.is_string() || one.get("class_name").is_some() => {
            Ok(vec![Metric::from_config_with(one, custom)?])
        }
        Some(_) => Err(Error::config(format!("compile_config: `{key}` must be a list for each output"))),
    }
}

/// Losses that count only where `mask` is 1, by as much more as there are fewer of them, so that their mean is that of
/// those which count: as Keras does. A mask with an extent of 1 behind the axes of the losses is theirs, and a loss of the
/// whole batch counts as it is; any other that differs is a fault of the output called `name`.
fn masked(g: &mut Builder, each: Value, mask: Option<Value>, name: &str) -> Value {
    let Some(mask) = mask.filter(|mask| !g.is_poison(each) && !g.is_poison(*mask)) else { return each };
    let (given, shape) = (g.shape(mask), g.shape(each));
    if shape.is_empty() {
        return each;
    }
    if given != shape && given != [shape.as_slice(), &[1]].concat() {
        let message = format!("output `{name}` has a mask of shape {given:?}, its losses have shape {shape:?}");
        return g.fault(GraphErrorKind::Shape, message, Some("end the mask before the output, as Flatten does"));
    }
    let count = given.iter().product::<usize>();
    let mask = g.reshape(mask, shape);
    let valid = g.sum_all(mask);
    let stable = g.add_scalar(valid, crate::losses::FUZZ);
    let whole = g.constant(count as f32);
    let share = g.div(whole, stable);
    let weight = g.mul(mask, share);
    g.mul(each, weight)
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
