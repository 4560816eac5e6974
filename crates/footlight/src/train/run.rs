//! The training loop.

use serde_json::{Value as Json, json};

use super::callback::{Callback, Logs, Training};
use super::checkpoint::Position;
use super::{Fit, History, TrainingPlan, numeric};
use crate::data::{Columns, SamplesList, shuffle};
use crate::model::{Kind, Model};
use crate::{Error, ErrorKind, Result};
use footlight_cpu::Store;
use std::sync::atomic::Ordering;

impl Model {
    /// Trains on samples `x` with targets `y`; those of several inputs or outputs are given as lists, in order or by name.
    ///
    /// Each step takes the mean gradient of its batch. The numbers told are means over the epoch's samples while the
    /// weights move, as in Keras.
    ///
    /// # Errors
    /// Data that do not fit the model, settings out of range, a loss that is not finite (with epoch, step and the first
    /// op that wrote such a number), a checkpoint of another training, and errors of callbacks. `ErrorKind::Interrupted`
    /// when the flag of [`Fit::interrupt`] became true.
    pub fn fit(
        &mut self,
        x: impl Into<SamplesList>,
        y: impl Into<SamplesList>,
        mut options: Fit<'_>,
    ) -> Result<History> {
        options.check()?;
        let whole = self.checked(x, y)?;
        let validation = match options.validation_data.take() {
            Some((x, y)) => Some(self.checked(x, y).map_err(|error| error.at("validation data"))?),
            None => None,
        };
        let (mut samples, validation) = options.split(whole, validation)?;
        if let Some(weights) = &options.class_weight {
            if samples.y.len() > 1 {
                let message = format!("class_weight is given for a model of {} outputs", samples.y.len());
                return Err(Error::new(ErrorKind::Config, message).help("give sample_weight, which needs no classes"));
            }
            samples = samples.weighted_by_class(weights)?;
        }
        self.build_all(&samples.x)?;
        let mut plan = self.plan_training(samples.len(), samples.batch(options.batch_size), options.epochs)?;
        let pass = plan.steps;
        plan.steps = options.steps_per_epoch.unwrap_or(pass);
        plan.has_validation = validation.is_some();
        let mut line = options.progress.on_stderr();
        let mut callbacks: Vec<&mut dyn Callback> = Vec::new();
        for callback in options.callbacks.drain(..) {
            callbacks.push(callback);
        }
        callbacks.push(&mut line);
        let position = Position { epoch: options.initial_epoch, ..Position::default() };
        let order = (0..samples.len() as u32).collect();
        let start = self.engine.store().clone();
        let ordered = None;
        let digest = |columns: Option<&Columns>| columns.filter(|_| options.checkpoint.is_some()).map(Columns::digest);
        let (data, validation_data) = (digest(Some(&samples)), digest(validation.as_ref()));
        Run {
            model: self,
            samples,
            validation,
            options,
            callbacks,
            plan,
            data,
            validation_data,
            pass,
            position,
            order,
            ordered,
            start,
        }
        .go()
    }
}

/// A training under way.
struct Run<'r, 'a> {
    model: &'r mut Model,
    samples: Columns,
    validation: Option<Columns>,
    options: Fit<'a>,
    callbacks: Vec<&'r mut dyn Callback>,
    plan: TrainingPlan,
    /// Digests of the samples, for a checkpoint to be of the same training.
    data: Option<u64>,
    validation_data: Option<u64>,
    /// Steps of a pass over the samples.
    pass: usize,
    position: Position,
    /// The samples in the order of a pass, and which pass.
    order: Vec<u32>,
    ordered: Option<usize>,
    /// The states as an epoch began, to find where a loss stopped being a number.
    start: Store,
}

impl Run<'_, '_> {
    fn go(mut self) -> Result<History> {
        let resumed = self.resume()?;
        self.tell(f32::NAN, resumed, |callback, training| callback.on_train_begin(training))?;
        for (callback, state) in self.callbacks.iter_mut().zip(&self.position.callbacks) {
            callback.restore(state)?;
        }
        while self.position.epoch < self.options.epochs && !self.position.is_stopped {
            self.epoch()?;
        }
        self.model.take_averages();
        self.tell(f32::NAN, resumed, |callback, training| callback.on_train_end(training))?;
        Ok(self.position.history)
    }

    /// Takes up the checkpoint, if that is asked for and one is there.
    fn resume(&mut self) -> Result<bool> {
        let Some(checkpoint) = self.options.checkpoint.as_ref().filter(|_| self.options.resume) else {
            return Ok(false);
        };
        let Some(position) = checkpoint.read(self.model, &self.identity())? else { return Ok(false) };
        self.position = position;
        Ok(true)
    }

    /// What has to be the same to go on; the first difference is told, so digests come after what they hold.
    fn identity(&self) -> Json {
        let compile = self.model.compiled().map(|compile| compile.to_config());
        json!({
            "seed": self.model.seed_value(), "model": self.model.architecture().to_config(), "compile": compile.ok(),
            "samples": self.samples.len(), "batch_size": self.options.batch_size, "shuffle": self.options.shuffle,
            "steps_per_epoch": self.plan.steps, "validation_samples": self.validation.as_ref().map(Columns::len),
            "weights": self.options.weights(), "callbacks": self.callbacks.len(),
            "data": self.data, "validation_data": self.validation_data,
        })
    }

    fn tell(
        &mut self,
        batch_loss: f32,
        is_resumed: bool,
        mut call: impl FnMut(&mut dyn Callback, &mut Training<'_>) -> Result<()>,
    ) -> Result<()> {
        let position = &mut self.position;
        let mut training = Training {
            model: self.model,
            plan: &self.plan,
            history: &position.history,
            epoch: position.epoch,
            step: position.step,
            batch_loss,
            is_resumed,
            should_stop: &mut position.is_stopped,
        };
        self.callbacks.iter_mut().try_for_each(|callback| call(*callback, &mut training))
    }

    fn epoch(&mut self) -> Result<()> {
        if self.position.step == 0 {
            self.model.reset_metrics();
            self.tell(f32::NAN, false, |callback, training| callback.on_epoch_begin(training))?;
        }
        self.steps()?;
        let mut logs = self.model.metric_values();
        self.validate(&mut logs)?;
        self.tell(f32::NAN, false, |callback, training| callback.on_epoch_end(training, &mut logs))?;
        self.position.history.push(&logs);
        (self.position.epoch, self.position.step) = (self.position.epoch + 1, 0);
        if self.options.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.is_due_after_epoch()) {
            self.write_checkpoint()?;
        }
        Ok(())
    }

    fn steps(&mut self) -> Result<()> {
        let first = self.position.step;
        self.start.copy_from(self.model.engine.store());
        while self.position.step < self.plan.steps {
            let loss = self.step(self.position.step)?;
            self.position.step += 1;
            self.tell(loss, false, |callback, training| callback.on_batch_end(training))?;
            // What ends here ends with its epoch, which a checkpoint within it would leave out.
            if self.position.is_stopped {
                break;
            }
            if !loss.is_finite() {
                return Err(self.numeric_fault(first, loss));
            }
            if self.options.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Err(self.interrupted()?);
            }
            if self.options.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.is_due()) {
                self.write_checkpoint()?;
            }
        }
        Ok(())
    }

    /// One step; answers its loss.
    fn step(&mut self, step: usize) -> Result<f32> {
        let batch = self.batch(step);
        self.model.build_all(&self.samples.x)?;
        let (engine, session) = self.model.session(Kind::Train, self.samples.batch(batch.len()))?;
        session.run(engine, &self.samples.feeds(&self.order[batch]))?;
        Ok(session.output_f32(engine, "loss").map_or(f32::NAN, |loss| loss[0]))
    }

    /// Where in the order the samples of a step of this epoch stand; a new pass makes its order first.
    fn batch(&mut self, step: usize) -> std::ops::Range<usize> {
        let done = self.position.epoch * self.plan.steps + step;
        let (pass, index) = (done / self.pass, done % self.pass);
        if self.options.shuffle && self.ordered != Some(pass) {
            self.order.iter_mut().enumerate().for_each(|(i, sample)| *sample = i as u32);
            shuffle(&mut self.order, self.model.seed_value(), pass);
            self.ordered = Some(pass);
        }
        let begin = index * self.options.batch_size;
        begin..(begin + self.options.batch_size).min(self.order.len())
    }

    fn validate(&mut self, logs: &mut Logs) -> Result<()> {
        let Some(samples) = &self.validation else { return Ok(()) };
        if !(self.position.epoch + 1).is_multiple_of(self.options.validation_freq) {
            return Ok(());
        }
        let batch_size = self.options.validation_batch_size.unwrap_or(self.options.batch_size);
        let values = self.model.evaluate_batches(samples, batch_size)?;
        logs.extend(values.into_iter().map(|(name, value)| (format!("val_{name}"), value)));
        Ok(())
    }

    /// Runs the epoch again up to the last step, and that step op by op.
    fn numeric_fault(&mut self, first: usize, loss: f32) -> Error {
        let last = self.position.step - 1;
        self.model.engine.store_mut().copy_from(&self.start);
        if let Some(error) = (first..last).find_map(|step| self.step(step).err()) {
            return error;
        }
        let batch = self.batch(last);
        let fault = match self.model.session(Kind::Train, self.samples.batch(batch.len())) {
            Ok((engine, session)) => numeric::first_fault(engine, session, &self.samples.feeds(&self.order[batch])),
            Err(error) => return error,
        };
        numeric::error(self.position.epoch, last + 1, loss, fault)
    }

    fn write_checkpoint(&mut self) -> Result<()> {
        let identity = self.identity();
        self.position.callbacks = self.callbacks.iter().map(|callback| callback.state()).collect();
        match &mut self.options.checkpoint {
            Some(checkpoint) => checkpoint.write(self.model, &identity, &self.position),
            None => Ok(()),
        }
    }

    fn interrupted(&mut self) -> Result<Error> {
        self.write_checkpoint()?;
        let (epoch, step) = (self.position.epoch + 1, self.position.step);
        let message = format!("interrupted in epoch {epoch} after step {step} of {}", self.plan.steps);
        Ok(match &self.options.checkpoint {
            None => Error::new(ErrorKind::Interrupted, message),
            Some(checkpoint) => {
                let place = checkpoint.path().display();
                Error::new(ErrorKind::Interrupted, format!("{message}; the checkpoint is `{place}`"))
                    .help("resume to go on as if nothing had happened")
            }
        })
    }
}
