//! A training step of one's own: several models, losses and optimizers in one plan.

use std::collections::HashMap;
use std::fmt;

use footlight_cpu::{Ceilings, Engine, Feed, Profile, Session};
use footlight_graph::{Builder, Graph, Role, Type, Value, differentiate};
use footlight_nn::losses::Prediction;
use footlight_nn::{
    Architecture, Constraint, Extents, Loss, Masked, Optimizer, OptimizerChoice, Regularizer, optimizers, suggest,
};
use footlight_tensor::{RandomKey, Tensor, display_shape};

use super::Logs;
use crate::data::{Samples, feed};
use crate::model::{Model, PlanSummary};
use crate::{Error, ErrorKind, Result};

/// Steps of other numbers of samples kept at a time; the one used longest ago gives way.
const SESSIONS: usize = 4;
/// The state that counts the steps.
const STEP: &str = "step";

type Record = dyn Fn(&mut StepBuilder<'_>) + Send + Sync;

/// A training step of one's own over several models, losses and optimizers, planned as one.
///
/// What a step does is recorded once for each number of samples, not run each time: so the memory is fixed before the
/// first step, and results do not depend on the number of threads. All gradients are taken at the weights with which
/// the step begins.
///
/// # Examples
/// A model learns what another one answers:
/// ```
/// use footlight::prelude::*;
/// use footlight::train::TrainStep;
/// let teacher = Sequential::new(layers![Dense::new(1).input_shape([2])])?;
/// let mut student = Sequential::new(layers![Dense::new(1).input_shape([2])])?.seed(1);
/// let mut step = TrainStep::new(7, [("teacher", &teacher), ("student", &student)], |s| {
///     let x = s.input("x", &[2]);
///     let (wanted, given) = (s.call("teacher", x), s.call("student", x));
///     let loss = s.loss("mse", wanted, given);
///     s.minimize(loss, "student", SGD::new().learning_rate(0.3));
///     s.report("loss", loss);
/// })?;
/// let x = Samples::from(Tensor::new([4, 2], vec![1.0f32, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0, 1.0])?);
/// let first = step.train_on_batch(&[("x", &x)], &[0, 1, 2, 3])?[0].1;
/// for _ in 0..300 {
///     step.train_on_batch(&[("x", &x)], &[0, 1, 2, 3])?;
/// }
/// let last = step.train_on_batch(&[("x", &x)], &[0, 1, 2, 3])?[0].1;
/// assert!(last < 1e-3 * first);
/// step.update("student", &mut student)?;
/// assert_eq!(student.state("dense/kernel"), step.state("student/dense/kernel"));
/// # Ok::<(), footlight::Error>(())
/// ```
pub struct TrainStep {
    seed: u64,
    models: Models,
    record: Box<Record>,
    engine: Engine,
    sessions: Vec<Planned>,
}

type Models = Vec<(String, Architecture)>;

/// The step for one number of samples.
struct Planned {
    rows: usize,
    session: Session,
    reports: Vec<String>,
}

impl fmt::Debug for TrainStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<&str> = self.models.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("TrainStep").field("models", &models).field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl TrainStep {
    /// A step over `models`, each under a name and from the weights it has now, as `record` describes it; `seed` is that of
    /// dropout and noise. As many threads are used as the first model uses.
    ///
    /// # Errors
    /// A model that does not know the shape of its samples, names that are not known, faults of ops and gradients.
    pub fn new<'m>(
        seed: u64,
        models: impl IntoIterator<Item = (&'m str, &'m Model)>,
        record: impl Fn(&mut StepBuilder<'_>) + Send + Sync + 'static,
    ) -> Result<TrainStep> {
        let given: Vec<(&str, &Model)> = models.into_iter().collect();
        let threads = given.first().map_or_else(Engine::available_threads, |(_, model)| model.engine.threads());
        let mut step = TrainStep {
            seed,
            models: Vec::new(),
            record: Box::new(record),
            engine: Engine::new(threads),
            sessions: Vec::new(),
        };
        for (name, model) in given {
            step.take_over(name, model)?;
        }
        let Recorded { initial, .. } = step.lower(1)?;
        for (name, value) in initial {
            step.engine.store_mut().set(&name, Role::Slot, &value).expect("a new state takes any value");
        }
        Ok(step)
    }

    fn take_over(&mut self, name: &str, model: &Model) -> Result<()> {
        if name.is_empty() || name.contains('/') || self.models.iter().any(|(known, _)| known == name) {
            let message = format!("models need names of their own without `/`, got `{name}`");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let architecture = model.architecture();
        if !architecture.is_built() {
            let message = format!("model `{name}` does not know the shape of its samples yet");
            return Err(Error::new(ErrorKind::Shape, message).help("give its first layer an input_shape"));
        }
        for weight in architecture.weights() {
            let value = model.state(&weight.path).expect("a built model has its weights");
            let state = self.engine.store_mut().set(&format!("{name}/{}", weight.path), weight.role(), &value);
            state.map_err(|message| Error::new(ErrorKind::Shape, message))?;
        }
        self.models.push((name.into(), architecture.clone()));
        Ok(())
    }

    fn lower(&self, rows: usize) -> Result<Recorded> {
        let mut g = Builder::new();
        let step = g.state(STEP, Type::i32([]), Role::Slot);
        let mut builder = StepBuilder {
            graph: &mut g,
            rows,
            key: RandomKey::new(self.seed),
            step,
            models: &self.models,
            weights: HashMap::new(),
            calls: 0,
            activities: Vec::new(),
            reports: Vec::new(),
            initial: Vec::new(),
            fault: None,
        };
        (self.record)(&mut builder);
        let StepBuilder { reports, initial, fault, .. } = builder;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let one = g.constant_i32(1);
        let next = g.add(step, one);
        g.set_next(step, next);
        Ok(Recorded { graph: g.finish()?, reports, initial })
    }

    fn session(&mut self, rows: usize) -> Result<()> {
        match self.sessions.iter().position(|planned| planned.rows == rows) {
            Some(position) => self.sessions[position..].rotate_left(1),
            None => {
                let Recorded { graph, reports, .. } = self.lower(rows)?;
                let session = self.engine.compile(&graph)?;
                if self.sessions.len() == SESSIONS {
                    self.sessions.remove(0);
                }
                self.sessions.push(Planned { rows, session, reports });
            }
        }
        Ok(())
    }

    /// Takes one step on the samples `rows` of `data`, each column under the name of its input; answers what was reported,
    /// sorted by name.
    ///
    /// # Errors
    /// An input without data or data without an input, samples that do not fit, a row that is not there.
    pub fn train_on_batch(&mut self, data: &[(&str, &Samples)], rows: &[u32]) -> Result<Logs> {
        self.session(rows.len())?;
        let planned = self.sessions.last_mut().expect("it was put there");
        let feeds = feeds(&planned.session.plan().graph, data, rows)?;
        planned.session.run(&mut self.engine, &feeds)?;
        let reported = |name: &String| {
            let value = planned.session.output_f32(&self.engine, name).map_or(f32::NAN, |value| value[0]);
            (name.clone(), f64::from(value))
        };
        let mut logs: Logs = planned.reports.iter().map(reported).collect();
        logs.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(logs)
    }

    /// Takes `runs` steps on the samples `rows` of `data`, on one thread, and tells where the time goes.
    ///
    /// # Errors
    /// Those of [`TrainStep::train_on_batch`].
    pub fn profile(&mut self, data: &[(&str, &Samples)], rows: &[u32], runs: usize) -> Result<Profile> {
        self.session(rows.len())?;
        let planned = self.sessions.last_mut().expect("it was put there");
        let feeds = feeds(&planned.session.plan().graph, data, rows)?;
        let mut profile = planned.session.profile(&mut self.engine, &feeds, runs)?;
        profile.ceilings = Some(Ceilings::measure());
        Ok(profile)
    }

    /// An output of the last step that was asked for with [`Builder::output`].
    pub fn output(&self, name: &str) -> Option<Tensor> {
        self.sessions.last()?.session.output(&self.engine, name)
    }

    /// A weight or other state, such as `student/dense/kernel`.
    pub fn state(&self, name: &str) -> Option<Tensor> {
        self.engine.store().get(name)
    }

    /// Gives `model` the weights that the model of this name has now.
    ///
    /// # Errors
    /// A name that is not known, or a model of other weights.
    pub fn update(&self, name: &str, model: &mut Model) -> Result<()> {
        let Some((_, architecture)) = self.models.iter().find(|(known, _)| known == name) else {
            let names: Vec<&str> = self.models.iter().map(|(name, _)| name.as_str()).collect();
            return Err(suggest::unknown("model", name, &names).into());
        };
        for weight in architecture.weights() {
            let value = self.state(&format!("{name}/{}", weight.path)).expect("taken over when the step was made");
            model.set_state(&weight.path, &value)?;
        }
        Ok(())
    }

    /// The plan of a step of so many samples, and what it needs.
    ///
    /// # Errors
    /// Faults of ops.
    pub fn plan_summary(&mut self, rows: usize) -> Result<PlanSummary> {
        self.session(rows)?;
        Ok(PlanSummary::of(&self.sessions.last().expect("it was put there").session))
    }
}

/// The inputs of a step: the samples `rows` of `data`, each column under the name of its input.
fn feeds<'a>(graph: &Graph, data: &[(&str, &'a Samples)], rows: &'a [u32]) -> Result<Vec<Feed<'a>>> {
    let names: Vec<&str> = graph.inputs().map(|(name, _)| name).collect();
    if let Some((name, _)) = data.iter().find(|(name, _)| !names.contains(name)) {
        return Err(suggest::unknown("input", name, &names).into());
    }
    let mut feeds: Vec<Feed<'_>> = Vec::new();
    for (name, value) in graph.inputs() {
        let Some((_, samples)) = data.iter().find(|(known, _)| *known == name) else {
            let message = format!("input `{name}` is given no samples");
            return Err(Error::new(ErrorKind::Data, message).help("name it among the data of the step"));
        };
        let wanted = &graph.type_of(value).shape[1..];
        if samples.sample_shape() != wanted && samples.sample_len() != wanted.iter().product::<usize>() {
            let (got, wanted) = (display_shape(samples.sample_shape()), display_shape(wanted));
            let message = format!("input `{name}`: samples have shape {got}, the step takes {wanted}");
            return Err(Error::new(ErrorKind::Shape, message).help("reshape the data, or declare another shape"));
        }
        feeds.push(feed(samples, rows));
    }
    Ok(feeds)
}

/// What recording a step gives.
struct Recorded {
    graph: Graph,
    reports: Vec<String>,
    /// States of optimizers that do not begin with zero.
    initial: Vec<(String, Tensor)>,
}

/// The gradients of a loss by the trainable weights of one model.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// The model.
    pub model: String,
    /// Weights by their paths, such as `dense/kernel`, with the gradient by each; may be changed before they are applied.
    pub by: Vec<(String, Value)>,
}

/// Records a step; what a [`Builder`] can, this can too.
pub struct StepBuilder<'a> {
    graph: &'a mut Builder,
    rows: usize,
    key: RandomKey,
    step: Value,
    models: &'a [(String, Architecture)],
    /// The weights of each model, by its position.
    weights: HashMap<usize, Vec<Value>>,
    /// Calls and draws so far: each has random numbers of its own.
    calls: u64,
    /// Penalties on outputs of layers, with the position of their model.
    activities: Vec<(usize, Regularizer, Value)>,
    reports: Vec<String>,
    initial: Vec<(String, Tensor)>,
    /// The first fault that is not one of an op.
    fault: Option<Error>,
}

impl std::ops::Deref for StepBuilder<'_> {
    type Target = Builder;

    fn deref(&self) -> &Builder {
        self.graph
    }
}

impl std::ops::DerefMut for StepBuilder<'_> {
    fn deref_mut(&mut self) -> &mut Builder {
        self.graph
    }
}

impl fmt::Debug for StepBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepBuilder").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl StepBuilder<'_> {
    /// The number of samples of the step.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Floats of the step's samples, `[rows, sample_shape...]`.
    pub fn input(&mut self, name: &str, sample_shape: &[usize]) -> Value {
        let ty = Type::f32([&[self.rows], sample_shape].concat());
        self.graph.input(name, ty)
    }

    /// Integer classes of the step's samples, `[rows]`.
    pub fn labels(&mut self, name: &str) -> Value {
        self.graph.input(name, Type::i32([self.rows]))
    }

    /// Uniform random numbers in `[0, 1)`, others in each step, `[rows, sample_shape...]`.
    pub fn noise_uniform(&mut self, sample_shape: &[usize]) -> Value {
        let (key, shape) = (self.next_key("noise"), [&[self.rows], sample_shape].concat());
        self.graph.random_uniform(key, self.step, shape)
    }

    /// Random numbers of mean 0 and standard deviation 1, others in each step, `[rows, sample_shape...]`.
    pub fn noise_normal(&mut self, sample_shape: &[usize]) -> Value {
        let (key, shape) = (self.next_key("noise"), [&[self.rows], sample_shape].concat());
        self.graph.random_normal(key, self.step, shape)
    }

    fn next_key(&mut self, what: &str) -> RandomKey {
        self.calls += 1;
        self.key.child(what).at(self.calls - 1)
    }

    /// `value` in the shape of `x`.
    pub fn full_like(&mut self, x: Value, value: f32) -> Value {
        let (constant, shape) = (self.graph.constant(value), self.graph.shape(x));
        self.graph.broadcast(constant, shape)
    }

    fn fail(&mut self, error: impl Into<Error>) {
        self.fault.get_or_insert(error.into());
    }

    fn position(&mut self, model: &str) -> Option<usize> {
        let position = self.models.iter().position(|(name, _)| name == model);
        if position.is_none() {
            let names: Vec<&str> = self.models.iter().map(|(name, _)| name.as_str()).collect();
            self.fail(suggest::unknown("model", model, &names));
        }
        position
    }

    /// The weights of a model, which are states of the step.
    fn weights(&mut self, position: usize) -> Vec<Value> {
        if let Some(weights) = self.weights.get(&position) {
            return weights.clone();
        }
        let (name, architecture) = &self.models[position];
        let weights = architecture.declare_weights(self.graph, &format!("{name}/"));
        self.weights.insert(position, weights.clone());
        weights
    }

    /// What a model makes of samples while it trains: dropout drops, normalisation uses the batch.
    pub fn call(&mut self, model: &str, x: Value) -> Value {
        let Some(position) = self.position(model) else { return x };
        let (weights, key) = (self.weights(position), self.next_key(model));
        let (name, architecture) = &self.models[position];
        let expected = architecture.inputs()[0].extents.clone().unwrap_or(Extents(vec![]));
        if let Some(ty) = self.graph.type_of(x).filter(|ty| !expected.fit(ty.shape.get(1..).unwrap_or_default())) {
            let (got, rows) = (display_shape(&ty.shape), [Some(self.rows)]);
            let expected = Extents([&rows, expected.0.as_slice()].concat());
            let message = format!("model `{name}` is called on {got}, it takes {expected}");
            return self.graph.fault(footlight_graph::ErrorKind::Shape, message, Some("reshape the value first"));
        }
        self.graph.enter(name);
        let recorded = architecture.record(self.graph, &[Masked::new(x)], &weights, Some(self.step), key);
        self.graph.leave();
        // A further call in the same step goes on from the statistics that this one leaves.
        let latest = weights.into_iter().map(|value| self.graph.next_of(value)).collect();
        self.weights.insert(position, latest);
        self.activities.extend(recorded.activities.into_iter().map(|(penalty, value)| (position, penalty, value)));
        recorded.outputs[0].value
    }

    /// The mean loss of predictions for targets; of probabilities straight from a softmax or sigmoid it is computed from
    /// their logits.
    pub fn loss(&mut self, loss: impl Into<Loss>, y: Value, prediction: Value) -> Value {
        let loss = loss.into();
        if let Err(error) = loss.check() {
            self.fail(error);
            return prediction;
        }
        self.graph.enter("loss");
        let each = loss.lower(self.graph, y, Prediction::of(self.graph.graph(), prediction));
        let mean = self.graph.mean_all(each);
        self.graph.leave();
        mean
    }

    /// The sum of the penalties on the weights of a model and on what its layers have put out so far.
    pub fn penalties(&mut self, model: &str) -> Value {
        let mut sum = self.graph.constant(0.0);
        let Some(position) = self.position(model) else { return sum };
        let weights = self.weights(position);
        let of_weights = self.models[position].1.weights().iter().zip(weights);
        for (regularizer, value) in of_weights.filter_map(|(weight, value)| weight.penalty().map(|p| (p, value))) {
            let penalty = regularizer.lower(self.graph, value);
            sum = self.graph.add(sum, penalty);
        }
        let of_model = self.activities.iter().filter(|(of, ..)| *of == position);
        for (_, regularizer, activity) in of_model {
            let penalty = regularizer.lower(self.graph, *activity);
            let share = self.graph.mul_scalar(penalty, 1.0 / self.rows as f32);
            sum = self.graph.add(sum, share);
        }
        sum
    }

    /// The gradients of `loss` by the trainable weights of a model.
    pub fn gradients(&mut self, loss: Value, model: &str) -> Gradients {
        let none = Gradients { model: model.into(), by: Vec::new() };
        let Some(position) = self.position(model) else { return none };
        let weights = self.weights(position);
        let all = self.models[position].1.weights().iter().zip(weights);
        let (paths, values): (Vec<String>, Vec<Value>) =
            all.filter(|(weight, _)| weight.spec.trainable).map(|(weight, value)| (weight.path.clone(), value)).unzip();
        match differentiate(self.graph, loss, &values) {
            Ok(gradients) => Gradients { by: paths.into_iter().zip(gradients).collect(), ..none },
            Err(error) => {
                self.fail(Error::from(error));
                none
            }
        }
    }

    /// Moves the weights of a model by their gradients, when the step ends; once for each model.
    pub fn apply(&mut self, gradients: &Gradients, optimizer: impl Into<OptimizerChoice>) {
        let Some(position) = self.position(&gradients.model) else { return };
        let checked = optimizer.into().resolve().and_then(|optimizer| optimizer.check().map(|()| optimizer));
        match checked {
            Ok(optimizer) => self.move_weights(position, gradients, optimizer.as_ref()),
            Err(error) => self.fail(error),
        }
    }

    fn move_weights(&mut self, position: usize, gradients: &Gradients, optimizer: &dyn Optimizer) {
        let scope = format!("{}/optimizer", gradients.model);
        if self.graph.graph().states().iter().any(|state| state.name.starts_with(&scope)) {
            let message = format!("model `{}` is moved twice in one step", gradients.model);
            return self.fail(Error::new(ErrorKind::Config, message).help("add the losses, or the gradients"));
        }
        let (values, architecture) = (self.weights(position), &self.models[position].1);
        let find = |path: &str| architecture.weights().iter().position(|weight| weight.path == path);
        let known: Vec<(usize, Value)> =
            gradients.by.iter().filter_map(|(path, gradient)| Some((find(path)?, *gradient))).collect();
        let constraint =
            |index: usize| -> Option<&Constraint> { architecture.weights()[index].spec.constraint.as_ref() };
        let trained: Vec<optimizers::Trained<'_>> = known
            .iter()
            .map(|(index, gradient)| optimizers::Trained {
                path: &architecture.weights()[*index].path,
                value: values[*index],
                gradient: *gradient,
                constraint: constraint(*index),
            })
            .collect();
        self.graph.enter(&scope);
        let iteration = optimizers::iteration(self.graph, &scope);
        optimizers::step(self.graph, optimizer, &scope, iteration, &trained);
        self.graph.leave();
        let shape = |index: usize| architecture.weights()[index].spec.shape.as_slice();
        let parameters: Vec<(&str, &[usize])> =
            known.iter().zip(&trained).map(|((index, _), trained)| (trained.path, shape(*index))).collect();
        let states = optimizers::states(optimizer, &scope, &parameters);
        self.initial.extend(states.into_iter().filter_map(optimizers::State::first_value));
    }

    /// Makes `loss` small by the trainable weights of a model: [`StepBuilder::gradients`], then [`StepBuilder::apply`].
    pub fn minimize(&mut self, loss: Value, model: &str, optimizer: impl Into<OptimizerChoice>) {
        let gradients = self.gradients(loss, model);
        self.apply(&gradients, optimizer);
    }

    /// Tells a number after each step.
    pub fn report(&mut self, name: &str, value: Value) {
        self.graph.output(name, value);
        self.reports.push(name.into());
    }
}
