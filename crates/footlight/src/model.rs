//! A model that can be trained, asked and saved.

use crate::data::{Columns, Feeds, Samples, SamplesList};
use crate::reading::Reading;
use crate::train::{Evaluate, Logs, TrainingPlan, check_inputs};
use crate::{Error, ErrorKind, Result};
use footlight_cpu::naive::{self, NaiveData, NaiveValue};
use footlight_cpu::{Ceilings, Engine, Feed, Profile, Session, with_room};
use footlight_graph::simplify::RuleReport;
use footlight_graph::{Graph, Role, cost};
use footlight_nn::{
    Architecture, Batch, Compile, Layer, Loss, MetricList, Nested, OptimizerChoice, Schedule, Symbols, Terms,
};
use footlight_tensor::Tensor;
use std::collections::HashMap;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Train,
    Evaluate,
    Infer,
}

/// What a session was made for: what to do with how many samples of which shapes.
#[derive(Debug)]
struct Purpose {
    kind: Kind,
    batch: Batch,
    shapes: Vec<Vec<usize>>,
}

/// The state that holds the size of the optimizer's steps.
const LEARNING_RATE: &str = "optimizer/learning_rate";
/// Sessions kept at a time; the one used longest ago gives way.
const SESSIONS: usize = 8;

/// Makes models of layers one after another.
#[derive(Debug)]
pub struct Sequential;

impl Sequential {
    /// A model of these layers: `Sequential::new(layers![Flatten::new(), Dense::new(10)])`.
    ///
    /// # Errors
    /// All faults of names, settings and shapes together, each with its layer.
    #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
    pub fn new(layers: Vec<Box<dyn Layer>>) -> Result<Model> {
        Model::new(Architecture::sequential(layers)?)
    }
}

/// Makes models of layers called on each other.
#[derive(Debug)]
pub struct Functional;

impl Functional {
    /// The model that computes the outputs from the inputs: `Functional::new([&x], [&y])`, see [`footlight_nn::Symbol`].
    ///
    /// # Errors
    /// An output that depends on an input which is not listed; all faults of names, settings and shapes together, each with
    /// its layer.
    #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
    pub fn new(inputs: impl Into<Symbols>, outputs: impl Into<Symbols>) -> Result<Model> {
        Model::new(Architecture::of_symbols("functional", inputs, outputs)?)
    }
}

/// A model: described by an architecture, trained by `compile` and `fit`, asked by `evaluate` and `predict`.
///
/// # Examples
/// ```
/// use footlight::prelude::*;
/// let mut model = Sequential::new(layers![Dense::new(3).activation("softmax").input_shape([4])])?;
/// let x = Samples::from(Tensor::new([2, 4], vec![0.5f32; 8])?);
/// assert_eq!(model.predict(&x)?.shape(), [2, 3]);
/// # Ok::<(), footlight::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    pub(crate) architecture: Architecture,
    /// What the model is trained by, or why there is nothing.
    pub(crate) compile: Result<Compile>,
    seed: u64,
    pub(crate) has_weights: bool,
    /// How the texts it reads become numbers, and what the classes it answers are called.
    pub(crate) reading: Reading,
    pub(crate) engine: Engine,
    sessions: Vec<(Purpose, Session)>,
}

impl Model {
    /// A model of an architecture, with seed 0 and as many threads as there are cores.
    ///
    /// # Errors
    /// None at present; weights are made when the shape of the samples is known.
    pub fn new(architecture: Architecture) -> Result<Model> {
        let mut model = Model::bare(architecture);
        model.start_weights();
        Ok(model)
    }

    /// A model whose weights are yet to come.
    pub(crate) fn bare(architecture: Architecture) -> Model {
        let compile = Err(Error::new(ErrorKind::Invalid, "the model is not compiled")
            .help("call compile(\"adam\", loss, [\"accuracy\"]) first"));
        let engine = Engine::new(Engine::available_threads());
        Model {
            architecture,
            compile,
            seed: 0,
            has_weights: false,
            reading: Reading::default(),
            engine,
            sessions: Vec::new(),
        }
    }

    /// Starts anew from another seed: of the first weights, the order of samples and dropout.
    pub fn seed(mut self, seed: u64) -> Model {
        self.seed = seed;
        self.sessions.clear();
        self.has_weights = false;
        self.start_weights();
        self
    }

    /// Draws the order of samples and dropout from another seed; weights stay as they are.
    pub fn reseed(mut self, seed: u64) -> Model {
        self.seed = seed;
        self.sessions.clear();
        self
    }

    /// Uses at most this many threads, see [`Engine::new`]; results do not depend on it.
    pub fn threads(mut self, threads: usize) -> Model {
        self.renew_engine(threads, |_| true);
        self
    }

    /// Begins with a new engine, which takes over the states of the roles that are kept.
    fn renew_engine(&mut self, threads: usize, is_kept: impl Fn(Role) -> bool) {
        self.sessions.clear();
        let old = std::mem::replace(&mut self.engine, Engine::new(threads));
        for (name, role, _) in old.store().entries().filter(|(_, role, _)| is_kept(*role)) {
            let value = old.store().get(name).expect("it is listed");
            self.engine.store_mut().set(name, role, &value).expect("a new store takes any state");
        }
    }

    /// This model as a layer of another, which begins with the weights of this moment.
    ///
    /// # Errors
    /// A model that does not know the shape of its samples yet.
    ///
    /// # Examples
    /// A trained model is kept as it is, and a new head learns from what it sees:
    /// ```
    /// use footlight::prelude::*;
    /// let base = Sequential::new(layers![Dense::new(4).activation("tanh").input_shape([2])])?;
    /// let x = Input::new([2]).symbol();
    /// let y = Dense::new(1).on(&base.layer()?.name("base").trainable(false).on(&x));
    /// let mut model = Functional::new([&x], [&y])?;
    /// model.compile("sgd", "mse", [])?;
    /// let (x, y) = (Tensor::new([3, 2], vec![0.5f32; 6])?.into(), Tensor::new([3, 1], vec![1.0f32; 3])?.into());
    /// model.fit(&x, &y, Fit::new().epochs(5).progress(Progress::None))?;
    /// assert_eq!(model.state("base/dense/kernel"), base.state("dense/kernel"));
    /// // Then all of it learns, in smaller steps.
    /// model.set_trainable("base", true)?;
    /// model.set_optimizer(SGD::new().learning_rate(1e-4))?;
    /// model.fit(&x, &y, Fit::new().progress(Progress::None))?;
    /// assert_ne!(model.state("base/dense/kernel"), base.state("dense/kernel"));
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn layer(&self) -> Result<Nested> {
        if !self.architecture.is_built() {
            let message = format!("model `{}` does not know the shape of its samples yet", self.architecture.name());
            return Err(Error::new(ErrorKind::Shape, message).help("give its first layer an input_shape"));
        }
        let weights = self.architecture.weights().iter();
        let values = weights.filter_map(|weight| Some((weight.path.clone(), self.state(&weight.path)?)));
        Ok(Nested::new(self.architecture.clone()).values(values))
    }

    /// Lets gradients change the weights of a layer, or not any more; the optimizer starts anew.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn set_trainable(&mut self, layer: &str, trainable: bool) -> Result<()> {
        self.architecture.set_trainable(layer, trainable)?;
        let values: Vec<Option<Tensor>> = self.architecture.weights().iter().map(|w| self.state(&w.path)).collect();
        let threads = self.engine.threads();
        self.engine = Engine::new(threads);
        for (weight, value) in self.architecture.weights().iter().zip(values) {
            if let Some(value) = value {
                self.engine.store_mut().set(&weight.path, weight.role(), &value).expect("a new store takes any state");
            }
        }
        self.sessions.clear();
        if let Ok(compile) = self.compile.clone() {
            self.set_compile(compile);
        }
        Ok(())
    }

    /// The description.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The seed of weights, order and dropout.
    pub fn seed_value(&self) -> u64 {
        self.seed
    }

    /// Chooses optimizer, loss and metrics, by value or by Keras' names.
    ///
    /// # Errors
    /// A name that is not known (with the nearest), or a setting out of range.
    pub fn compile(
        &mut self,
        optimizer: impl Into<OptimizerChoice>,
        loss: impl Into<Loss>,
        metrics: impl Into<MetricList>,
    ) -> Result<()> {
        self.compile_weighted(optimizer, loss, metrics, [])
    }

    /// As [`Model::compile`], with metrics that go by the weights of the samples; the others do not look at them.
    ///
    /// # Errors
    /// A name that is not known (with the nearest), or a setting out of range.
    pub fn compile_weighted(
        &mut self,
        optimizer: impl Into<OptimizerChoice>,
        loss: impl Into<Loss>,
        metrics: impl Into<MetricList>,
        weighted_metrics: impl Into<MetricList>,
    ) -> Result<()> {
        let terms = Terms::new(loss).metrics(metrics).weighted_metrics(weighted_metrics);
        self.set_compile(Compile::of_choice(optimizer.into(), vec![terms])?);
        Ok(())
    }

    /// As [`Model::compile`], with a loss and metrics for each output, in their order.
    ///
    /// # Errors
    /// Another number of outputs, a name that is not known (with the nearest), or a setting out of range.
    ///
    /// # Examples
    /// ```
    /// use footlight::prelude::*;
    /// let x = Input::new([4]).symbol();
    /// let shared = Dense::new(8).activation("tanh").on(&x);
    /// let (size, kind) = (Dense::new(1).name("size").on(&shared), Dense::new(3).activation("softmax").name("kind").on(&shared));
    /// let mut model = Functional::new([&x], [&size, &kind])?;
    /// model.compile_outputs(
    ///     "adam",
    ///     [Terms::new("mse"), Terms::new("sparse_categorical_crossentropy").weight(0.5).metrics(["accuracy"])],
    /// )?;
    /// let x = Samples::from(Tensor::new([6, 4], vec![0.5f32; 24])?);
    /// let (size, kind) = (Tensor::new([6, 1], vec![1.0f32; 6])?.into(), Tensor::new([6], vec![0, 1, 2, 0, 1, 2])?.into());
    /// let history = model.fit(&x, [("size", &size), ("kind", &kind)], Fit::new().progress(Progress::None))?;
    /// assert!(history.get("kind_accuracy").is_some());
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn compile_outputs(
        &mut self,
        optimizer: impl Into<OptimizerChoice>,
        outputs: impl IntoIterator<Item = Terms>,
    ) -> Result<()> {
        let compile = Compile::of_choice(optimizer.into(), outputs.into_iter().collect())?;
        self.set_compile(compile.for_model(&self.architecture)?);
        Ok(())
    }

    /// Takes over what a model is trained by.
    pub(crate) fn set_compile(&mut self, compile: Compile) {
        // Another number of outputs than the model's is told when it is trained.
        let compile = compile.clone().for_model(&self.architecture).unwrap_or(compile);
        // Slots and sums of an earlier choice have no meaning for this one: only weights are carried over.
        self.renew_engine(self.engine.threads(), |role| matches!(role, Role::Parameter | Role::Statistic));
        self.compile = Ok(compile);
        self.start_optimizer();
    }

    /// Makes the optimizer's states that do not begin with zero and are not there yet; those of weights need their shapes.
    fn start_optimizer(&mut self) {
        let Ok(compile) = &self.compile else { return };
        for (name, role, value) in compile.initial_values(&self.architecture) {
            if self.engine.store().get(&name).is_none() {
                self.engine.store_mut().set(&name, role, &value).expect("a new state takes any value");
            }
        }
    }

    /// Trains by another optimizer from now on, with the same loss and metrics.
    ///
    /// # Errors
    /// A model that is not compiled, or a setting out of range.
    pub fn set_optimizer(&mut self, optimizer: impl Into<OptimizerChoice>) -> Result<()> {
        let outputs = self.compiled()?.outputs.clone();
        self.set_compile(Compile::of_outputs(optimizer.into().resolve()?, outputs)?);
        Ok(())
    }

    /// What the model is trained by.
    ///
    /// # Errors
    /// A model that was not compiled, or was loaded with settings that this version does not know.
    pub fn compiled(&self) -> Result<&Compile> {
        self.compile.as_ref().map_err(Clone::clone)
    }

    /// Whether optimizer and loss were chosen.
    pub fn is_compiled(&self) -> bool {
        self.compile.is_ok()
    }

    /// Keras' summary table.
    pub fn summary(&self) -> String {
        self.architecture.summary(self.compile.as_ref().ok())
    }

    /// The value of a weight or other state, such as `dense/kernel`.
    pub fn state(&self, name: &str) -> Option<Tensor> {
        self.engine.store().get(name)
    }

    /// Sets a weight or other state.
    ///
    /// # Errors
    /// A name that is not known, or another shape or type; both are named.
    pub fn set_state(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let role = self.engine.store().entries().find(|(known, ..)| *known == name).map(|(_, role, _)| role);
        let Some(role) = role else {
            let names: Vec<&str> = self.engine.store().entries().map(|(name, ..)| name).collect();
            return Err(footlight_nn::suggest::unknown("state", name, &names).into());
        };
        let set = self.engine.store_mut().set(name, role, value);
        set.map_err(|message| Error::new(ErrorKind::Shape, message))
    }

    /// The size of the optimizer's next step.
    ///
    /// # Errors
    /// A model that is not compiled.
    pub fn learning_rate(&self) -> Result<f32> {
        match self.compiled()?.optimizer.common().learning_rate.schedule() {
            Some(schedule) => self.scheduled_rate(schedule),
            None => Ok(self.engine.store().f32(LEARNING_RATE).map_or(f32::NAN, |rate| rate[0])),
        }
    }

    fn scheduled_rate(&self, schedule: &Schedule) -> Result<f32> {
        let steps = self.state("optimizer/iteration").map_or(0.0, |count| count.to_f32()[0]);
        let inputs = [("step".to_string(), NaiveValue::float([], vec![steps]))].into();
        let outputs = naive::run(&schedule.graph()?, &inputs, &mut HashMap::new());
        match outputs.expect("its one input is given").get("learning_rate").map(|rate| &rate.data) {
            Some(NaiveData::Float(rate)) => Ok(rate[0]),
            _ => unreachable!("a schedule answers a float"),
        }
    }

    /// Changes the size of the optimizer's steps from the next one on.
    ///
    /// # Errors
    /// A model that is not compiled, or whose rate follows a schedule.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        if let Some(schedule) = self.compiled()?.optimizer.common().learning_rate.schedule() {
            let message = format!("the learning rate follows a schedule, {}", schedule.class_name());
            return Err(Error::new(ErrorKind::Invalid, message)
                .help("compile the model with a number for learning_rate to change it while training"));
        }
        if let Some(rate) = self.engine.store_mut().f32_mut(LEARNING_RATE) {
            rate[0] = learning_rate;
        }
        Ok(())
    }

    /// Makes parameters what their running means are, if the optimizer keeps any and has taken a step.
    pub(crate) fn take_averages(&mut self) {
        let Ok(compile) = &self.compile else { return };
        if self.state("optimizer/iteration").is_none_or(|count| count.to_f32() == [0.0]) {
            return;
        }
        for (path, average) in compile.averages(&self.architecture) {
            if let Some(mean) = self.engine.store().get(&average) {
                self.engine.store_mut().set(&path, Role::Parameter, &mean).expect("a mean has its parameter's shape");
            }
        }
    }

    /// Fixes the shape of samples from data, if it is not known yet, and makes the first weights.
    ///
    /// # Errors
    /// Samples that do not fit the model.
    pub fn build_for(&mut self, x: &Samples) -> Result<()> {
        self.build_all(std::slice::from_ref(x))
    }

    /// Fixes the shapes of samples, one for each input, and makes the first weights if there are none; where a model leaves
    /// extents open, those of the samples that it is given later take their place.
    ///
    /// # Errors
    /// Shapes that do not fit the model.
    ///
    /// # Examples
    /// ```
    /// use footlight::prelude::*;
    /// let x = Input::new([None, Some(4)]).symbol();
    /// let mut model = Functional::new([&x], [&Dense::new(2).on(&x)])?;
    /// model.build(&[&[10, 4]])?;
    /// assert!(model.plan_summary(1)?.flops > 2.0 * 10.0 * 4.0);
    /// let longer = Samples::from(Tensor::new([1, 20, 4], vec![0.5f32; 80])?);
    /// assert_eq!(model.predict(&longer)?.shape(), [1, 20, 2]);
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn build(&mut self, shapes: &[&[usize]]) -> Result<()> {
        self.architecture.build_all(shapes)?;
        self.start_weights();
        Ok(())
    }

    /// As [`Model::build_for`], of all inputs. Where extents of the samples are not known, those of these are taken from now
    /// on.
    pub(crate) fn build_all(&mut self, x: &[Samples]) -> Result<()> {
        if self.architecture.has_shapes(x.iter().map(Samples::sample_shape)) {
            return Ok(());
        }
        self.build(&x.iter().map(Samples::sample_shape).collect::<Vec<_>>())
    }

    fn start_weights(&mut self) {
        if self.has_weights || !self.architecture.is_built() {
            return;
        }
        for (name, role, value) in self.architecture.initial_values(self.seed) {
            self.engine.store_mut().set(&name, role, &value).expect("weights keep their shapes");
        }
        self.has_weights = true;
        self.start_optimizer();
    }

    fn lower(&self, kind: Kind, batch: Batch) -> Result<Graph> {
        Ok(match kind {
            Kind::Infer => self.architecture.lower_infer(batch.size)?,
            Kind::Train => self.compiled()?.lower_train(&self.architecture, batch, self.seed)?,
            Kind::Evaluate => self.compiled()?.lower_evaluate(&self.architecture, batch)?,
        })
    }

    /// The session for a kind and number of samples, and the engine it runs on.
    pub(crate) fn session(&mut self, kind: Kind, batch: impl Into<Batch>) -> Result<(&mut Engine, &mut Session)> {
        let batch = batch.into();
        let is_such = |Purpose { kind: k, batch: b, shapes }: &Purpose| {
            (*k, *b) == (kind, batch) && self.architecture.has_shapes(shapes.iter().map(Vec::as_slice))
        };
        let position = self.sessions.iter().position(|(purpose, _)| is_such(purpose));
        let session = match position {
            Some(position) if position + 1 == self.sessions.len() => None,
            Some(position) => Some(self.sessions.remove(position)),
            None => {
                let graph = self.lower(kind, batch)?;
                let shapes = self.architecture.inputs().iter().filter_map(|input| input.shape.clone()).collect();
                let session = match kind {
                    Kind::Infer => self.engine.compile_answers(&graph)?,
                    Kind::Train | Kind::Evaluate => self.engine.compile(&graph)?,
                };
                Some((Purpose { kind, batch, shapes }, session))
            }
        };
        if let Some(session) = session {
            if self.sessions.len() == SESSIONS {
                self.sessions.remove(0);
            }
            self.sessions.push(session);
        }
        let (_, session) = self.sessions.last_mut().expect("it was put there");
        Ok((&mut self.engine, session))
    }

    /// The plan of one training step (if the model is compiled, else of an answer) for a batch, and what it needs.
    ///
    /// # Errors
    /// A model whose samples' shape is not known, or faults of its ops.
    pub fn plan_summary(&mut self, batch: usize) -> Result<PlanSummary> {
        let kind = if self.is_compiled() { Kind::Train } else { Kind::Infer };
        let (_, session) = self.session(kind, batch)?;
        Ok(PlanSummary::of(session))
    }

    /// What training on `samples` samples needs, before the first step: every session that training uses is made here, so
    /// that the bytes told are those that are taken.
    ///
    /// # Errors
    /// A model that is not compiled or whose samples' shape is not known.
    pub fn training_plan(&mut self, samples: usize, batch_size: usize, epochs: usize) -> Result<TrainingPlan> {
        self.plan_training(samples, batch_size.into(), epochs)
    }

    pub(crate) fn plan_training(&mut self, samples: usize, batch: Batch, epochs: usize) -> Result<TrainingPlan> {
        let batch = Batch { size: batch.size.max(1), ..batch };
        let first = Batch { size: batch.size.min(samples).max(1), ..batch };
        self.session(Kind::Evaluate, first)?;
        if !samples.is_multiple_of(first.size) {
            self.session(Kind::Train, Batch { size: samples % first.size, ..batch })?;
        }
        let (engine, session) = self.session(Kind::Train, first)?;
        Ok(TrainingPlan {
            parameter_bytes: engine.state_bytes(&[Role::Parameter, Role::Statistic]),
            activation_bytes: engine.working_bytes(),
            optimizer_bytes: engine.state_bytes(&[Role::Slot]),
            copy_bytes: engine.store_bytes(),
            threads: session.workers(),
            flops_per_step: cost::flops_of(&session.plan().graph),
            seed: self.seed,
            steps: samples.div_ceil(batch.size),
            epochs,
            has_validation: false,
        })
    }

    /// Takes one step on these samples, all at once; answers loss and metrics of this batch, sorted by name.
    ///
    /// # Errors
    /// A model that is not compiled, or data that do not fit it.
    ///
    /// # Examples
    /// ```
    /// use footlight::prelude::*;
    /// let x = Samples::from(Tensor::new([4, 1], vec![0.0f32, 1.0, 2.0, 3.0])?);
    /// let mut model = Sequential::new(layers![Dense::new(1)])?;
    /// model.compile(SGD::new().learning_rate(0.1), "mse", [])?;
    /// let losses: Vec<f64> = (0..50).map(|_| Ok(model.train_on_batch(&x, &x)?[0].1)).collect::<Result<_>>()?;
    /// assert!(losses[49] < 0.01 * losses[0]);
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn train_on_batch(&mut self, x: impl Into<SamplesList>, y: impl Into<SamplesList>) -> Result<Logs> {
        let samples = self.checked(x, y)?;
        self.reset_metrics();
        let rows: Vec<u32> = (0..samples.len() as u32).collect();
        let (engine, session) = self.session(Kind::Train, samples.batch(rows.len()))?;
        session.run(engine, &samples.feeds(&rows))?;
        Ok(self.metric_values())
    }

    /// Takes `runs` steps on these samples, all at once and on one thread, and tells where the time goes.
    ///
    /// # Errors
    /// A model that is not compiled, or data that do not fit it.
    pub fn profile(&mut self, x: impl Into<SamplesList>, y: impl Into<SamplesList>, runs: usize) -> Result<Profile> {
        let samples = self.checked(x, y)?;
        let rows: Vec<u32> = (0..samples.len() as u32).collect();
        let (engine, session) = self.session(Kind::Train, samples.batch(rows.len()))?;
        let mut profile = session.profile(engine, &samples.feeds(&rows), runs)?;
        profile.ceilings = Some(Ceilings::measure());
        Ok(profile)
    }

    /// Sets the sums of all metrics to zero.
    pub(crate) fn reset_metrics(&mut self) {
        let store = self.engine.store_mut();
        let sums = store.entries().filter(|(_, role, _)| *role == Role::Metric);
        for name in sums.map(|(name, ..)| name.to_string()).collect::<Vec<_>>() {
            if let Some(sum) = store.f32_mut(&name) {
                sum.fill(0.0);
            }
        }
    }

    /// What all metrics come to so far, by name.
    pub(crate) fn metric_values(&self) -> Vec<(String, f64)> {
        let sums = |state: &str| {
            let sums = self.engine.store().f32(state).unwrap_or_default();
            sums.iter().map(|sum| f64::from(*sum)).collect()
        };
        self.compile.as_ref().map(|compile| compile.results(sums)).unwrap_or_default()
    }

    /// Loss and metrics on samples `x` with targets `y`, with fixed weights and no dropout, in batches of 32.
    ///
    /// # Errors
    /// A model that is not compiled, or data that do not fit it.
    pub fn evaluate(&mut self, x: impl Into<SamplesList>, y: impl Into<SamplesList>) -> Result<Evaluation> {
        self.evaluate_with(x, y, Evaluate::new())
    }

    /// As [`Model::evaluate`], as asked for by `options`.
    ///
    /// # Errors
    /// As [`Model::evaluate`], and options out of range.
    pub fn evaluate_with(
        &mut self,
        x: impl Into<SamplesList>,
        y: impl Into<SamplesList>,
        options: Evaluate,
    ) -> Result<Evaluation> {
        options.check()?;
        let samples = self.checked(x, y)?.weighted("sample_weight", options.sample_weight.as_ref())?;
        Ok(Evaluation { values: self.evaluate_batches(&samples, options.batch_size)? })
    }

    pub(crate) fn evaluate_batches(&mut self, samples: &Columns, batch_size: usize) -> Result<Vec<(String, f64)>> {
        self.build_all(&samples.x)?;
        self.reset_metrics();
        let order: Vec<u32> = (0..samples.len() as u32).collect();
        for rows in order.chunks(batch_size) {
            let (engine, session) = self.session(Kind::Evaluate, samples.batch(rows.len()))?;
            session.run(engine, &samples.feeds(rows))?;
        }
        Ok(self.metric_values())
    }

    /// The model's output for samples `x`; of several outputs the first.
    ///
    /// # Errors
    /// Samples whose shape is not the model's, or that hold numbers that are not finite.
    pub fn predict(&mut self, x: impl Into<SamplesList>) -> Result<Tensor> {
        Ok(self.predict_all(x)?.swap_remove(0))
    }

    /// All outputs for samples `x`.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_all(&mut self, x: impl Into<SamplesList>) -> Result<Vec<Tensor>> {
        let x = self.inputs_of(x)?;
        self.build_all(&x)?;
        check_inputs(&x, &self.architecture)?;
        let shapes: Vec<Vec<usize>> = self.output_shapes();
        let count = x[0].len();
        let mut all: Vec<Vec<f32>> = shapes.iter().map(|shape| with_room(count * len_of(shape))).collect();
        let order: Vec<u32> = (0..count as u32).collect();
        for batch in order.chunks(256) {
            let (engine, session) = self.session(Kind::Infer, batch.len())?;
            session.run(engine, &Feeds::of(x.iter(), batch))?;
            for (index, data) in all.iter_mut().enumerate() {
                data.extend(session.output_f32(engine, &format!("output_{index}")).unwrap_or_default());
            }
        }
        let tensor = |(shape, data): (Vec<usize>, Vec<f32>)| Tensor::new([&[count], shape.as_slice()].concat(), data);
        Ok(shapes.into_iter().zip(all).map(tensor).collect::<Result<_, _>>()?)
    }

    fn output_shapes(&self) -> Vec<Vec<usize>> {
        let shape = |port: &footlight_nn::Port| self.architecture.shape_of(*port).unwrap_or_default().to_vec();
        self.architecture.outputs().iter().map(shape).collect()
    }
}

fn len_of(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// The floats of one sample in, the model's floats for it out, with nothing between: what a server calls.
impl Model {
    /// Answers for one sample without allocating.
    ///
    /// # Errors
    /// A model whose samples' shape is not known, or lengths that do not fit it.
    pub fn predict_one(&mut self, sample: &[f32], out: &mut [f32]) -> Result<()> {
        let (engine, session) = self.session(Kind::Infer, 1)?;
        session.run(engine, &[Feed::F32(sample)])?;
        let answer = session.output_f32(engine, "output_0").unwrap_or_default();
        if answer.len() != out.len() {
            let message = format!("the answer has {} numbers, room was given for {}", answer.len(), out.len());
            return Err(Error::new(ErrorKind::Shape, message));
        }
        out.copy_from_slice(answer);
        Ok(())
    }
}

/// Loss and metrics of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    values: Vec<(String, f64)>,
}

impl Evaluation {
    /// The loss.
    pub fn loss(&self) -> f64 {
        self.metric("loss").unwrap_or(f64::NAN)
    }

    /// A metric by the name it was asked for.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The accuracy, or NaN if it was not asked for.
    pub fn accuracy(&self) -> f64 {
        self.metric("accuracy").unwrap_or(f64::NAN)
    }

    /// All values, sorted by name.
    pub fn values(&self) -> &[(String, f64)] {
        &self.values
    }
}

/// What a plan needs.
#[derive(Clone, Debug)]
pub struct PlanSummary {
    /// How many nodes each rule of simplification left.
    pub rules: Vec<RuleReport>,
    /// Each step with op, shapes, bytes and offset.
    pub table: String,
    /// Bytes of states, arena and all workers' scratch.
    pub peak_bytes: usize,
    /// Floating-point operations of one run.
    pub flops: f64,
}

impl PlanSummary {
    pub(crate) fn of(session: &Session) -> PlanSummary {
        let plan = session.plan();
        let peak_bytes = plan.state_bytes + plan.arena_bytes + plan.scratch_bytes * session.workers();
        let rules = session.rules().to_vec();
        PlanSummary { rules, table: plan.to_string(), peak_bytes, flops: cost::flops_of(&plan.graph) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Fit, Progress};
    use footlight_nn::{Dense, Dropout, layers};

    /// Samples for batches of 100, 100 and 70, with four classes.
    fn samples() -> (Samples, Samples) {
        let x: Vec<f32> = (0..270 * 200).map(|i| (i % 13) as f32 / 13.0).collect();
        let y: Vec<i32> = (0..270).map(|i| i % 4).collect();
        (Samples::from(Tensor::new([270, 200], x).unwrap()), Samples::from(Tensor::new([270], y).unwrap()))
    }

    fn model(threads: usize) -> Model {
        let layers =
            layers![Dense::new(128).activation("relu"), Dropout::new(0.2), Dense::new(4).activation("softmax")];
        let mut model = Sequential::new(layers).unwrap().threads(threads);
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
        model
    }

    #[test]
    fn the_plan_promises_what_is_taken() {
        let (x, y) = samples();
        for threads in [1, 3, 64] {
            let mut model = model(threads);
            model.build_for(&x).unwrap();
            let plan = model.training_plan(x.len(), 100, 2).unwrap();
            assert_eq!(plan.parameter_bytes, 4 * (200 * 128 + 128 + 128 * 4 + 4));
            assert_eq!(plan.optimizer_bytes, 2 * plan.parameter_bytes + 4 + 4, "two slots, iteration, learning rate");
            let fit = Fit::new().epochs(2).batch_size(100).validation_data(&x, &y).progress(Progress::None);
            model.fit(&x, &y, fit).unwrap();
            assert_eq!(plan.parameter_bytes, model.engine.state_bytes(&[Role::Parameter, Role::Statistic]));
            assert_eq!(plan.optimizer_bytes, model.engine.state_bytes(&[Role::Slot]));
            assert_eq!(plan.copy_bytes, model.engine.store_bytes());
            assert_eq!(plan.activation_bytes, model.engine.working_bytes(), "{threads} threads");
            assert!(plan.threads <= threads);
        }
    }

    #[test]
    fn sessions_are_kept_up_to_a_bound_and_the_one_used_longest_ago_gives_way() {
        let mut model = model(1);
        model.build_for(&samples().0).unwrap();
        for batch in 1..=SESSIONS {
            model.session(Kind::Infer, batch).unwrap();
        }
        model.session(Kind::Infer, 1).unwrap();
        model.session(Kind::Infer, 99).unwrap();
        let batches: Vec<usize> = model.sessions.iter().map(|(purpose, _)| purpose.batch.size).collect();
        assert_eq!(batches, [3, 4, 5, 6, 7, 8, 1, 99]);
    }
}
