//! The training loop.

use super::numeric::{self, Snapshot};
use super::{Callback, History, Progress, check_targets, check_values};
use crate::data::Samples;
use crate::model::{Kind, Model, feeds};
use crate::{Error, ErrorKind, Result};
use footlight_tensor::{Philox, RandomKey};

/// How a model is trained; defaults as in Keras.
#[derive(Clone, Debug)]
pub struct Fit {
    epochs: usize,
    batch_size: usize,
    initial_epoch: usize,
    shuffle: bool,
    validation_split: f64,
    validation_data: Option<(Samples, Samples)>,
    progress: Progress,
}

impl Default for Fit {
    fn default() -> Fit {
        Fit {
            epochs: 1,
            batch_size: 32,
            initial_epoch: 0,
            shuffle: true,
            validation_split: 0.0,
            validation_data: None,
            progress: Progress::Auto,
        }
    }
}

impl Fit {
    /// One epoch in batches of 32, shuffled, told on standard error.
    pub fn new() -> Fit {
        Fit::default()
    }

    /// How often all samples are seen; default 1.
    pub fn epochs(mut self, epochs: usize) -> Fit {
        self.epochs = epochs;
        self
    }

    /// Samples per step; default 32. The last batch of an epoch may be smaller.
    pub fn batch_size(mut self, batch_size: usize) -> Fit {
        self.batch_size = batch_size;
        self
    }

    /// The epoch to begin with, counted from 0; default 0.
    pub fn initial_epoch(mut self, initial_epoch: usize) -> Fit {
        self.initial_epoch = initial_epoch;
        self
    }

    /// Whether each epoch sees the samples in a new order, from seed and epoch; default true.
    pub fn shuffle(mut self, shuffle: bool) -> Fit {
        self.shuffle = shuffle;
        self
    }

    /// The fraction of samples, the last ones as they are given, that is kept for validation; default 0.
    pub fn validation_split(mut self, fraction: f64) -> Fit {
        self.validation_split = fraction;
        self
    }

    /// Samples to validate with after each epoch; they take the place of a split.
    pub fn validation_data(mut self, x: &Samples, y: &Samples) -> Fit {
        self.validation_data = Some((x.clone(), y.clone()));
        self
    }

    /// How training is told; default a bar on a terminal, a line per epoch elsewhere.
    pub fn progress(mut self, progress: Progress) -> Fit {
        self.progress = progress;
        self
    }

    fn check(&self) -> Result<()> {
        let config = |message: String, help: &str| Err(Error::new(ErrorKind::Config, message).help(help));
        if self.batch_size == 0 {
            return config("batch_size = 0, a step needs at least one sample".into(), "32 is the default");
        }
        if !(0.0..1.0).contains(&self.validation_split) {
            let message = format!("validation_split = {} must be in [0, 1)", self.validation_split);
            return config(message, "it is the fraction of samples kept for validation, such as 0.1");
        }
        Ok(())
    }

    /// Training and validation samples: the last part of the samples as they are given, as in Keras.
    #[allow(clippy::type_complexity, reason = "two columns, twice")]
    fn split(&self, x: &Samples, y: &Samples) -> Result<((Samples, Samples), Option<(Samples, Samples)>)> {
        let whole = (x.clone(), y.clone());
        if let Some(validation) = &self.validation_data {
            return Ok((whole, Some(validation.clone())));
        }
        if self.validation_split == 0.0 {
            return Ok((whole, None));
        }
        let at = (x.len() as f64 * (1.0 - self.validation_split)).floor() as usize;
        if at == 0 || at == x.len() {
            let message =
                format!("validation_split = {} of {} samples leaves one side empty", self.validation_split, x.len());
            return Err(Error::new(ErrorKind::Config, message).help("choose another fraction, or give more samples"));
        }
        let cut = |range: std::ops::Range<usize>| (x.slice(range.clone()), y.slice(range));
        Ok((cut(0..at), Some(cut(at..x.len()))))
    }
}

impl Model {
    /// Trains on samples `x` with targets `y`.
    ///
    /// Each step takes the mean gradient of its batch. The numbers told are means over the epoch's samples while the
    /// weights move, as in Keras.
    ///
    /// # Errors
    /// Data that do not fit the model, settings out of range, a loss that is not finite (with epoch, step and the first
    /// op that wrote such a number).
    pub fn fit(&mut self, x: &Samples, y: &Samples, options: Fit) -> Result<History> {
        let mut line = options.progress.on_stderr();
        self.fit_with(x, y, options, &mut [&mut line])
    }

    /// As [`Model::fit`], told to `callbacks` only.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn fit_with(
        &mut self,
        x: &Samples,
        y: &Samples,
        options: Fit,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<History> {
        options.check()?;
        self.build_for(x)?;
        let ((x, y), validation) = options.split(x, y)?;
        for (x, y) in [Some((&x, &y)), validation.as_ref().map(|(x, y)| (x, y))].into_iter().flatten() {
            let prediction = self.architecture().output_shape().expect("built above").to_vec();
            check_targets(x, y, &self.compiled()?.loss, &prediction)?;
            check_values("x", x)?;
        }
        let plan = self.training_plan(x.len(), options.batch_size, options.epochs)?;
        callbacks.iter_mut().for_each(|c| c.on_train_begin(&plan));
        let mut history = History::default();
        let mut snapshot = Snapshot::new(self);
        let mut order: Vec<u32> = (0..x.len() as u32).collect();
        for epoch in options.initial_epoch..options.epochs {
            callbacks.iter_mut().for_each(|c| c.on_epoch_begin(epoch));
            if options.shuffle {
                order.iter_mut().enumerate().for_each(|(i, o)| *o = i as u32);
                let key = RandomKey::new(self.seed_value()).child("shuffle").at(epoch as u64);
                Philox::new(key).shuffle(&mut order);
            }
            self.run_epoch((&x, &y), &order, options.batch_size, epoch, &mut snapshot, callbacks)?;
            let mut logs = self.metric_values();
            if let Some((x, y)) = &validation {
                let values = self.evaluate_batches(x, y, options.batch_size)?;
                logs.extend(values.into_iter().map(|(name, value)| (format!("val_{name}"), value)));
            }
            callbacks.iter_mut().for_each(|c| c.on_epoch_end(epoch, &logs));
            history.push(&logs);
        }
        callbacks.iter_mut().for_each(|c| c.on_train_end());
        Ok(history)
    }

    fn run_epoch(
        &mut self,
        (x, y): (&Samples, &Samples),
        order: &[u32],
        batch_size: usize,
        epoch: usize,
        snapshot: &mut Snapshot,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<()> {
        self.reset_metrics();
        snapshot.take(self);
        for (index, batch) in order.chunks(batch_size).enumerate() {
            let loss = self.train_step(x, y, batch)?;
            if !loss.is_finite() {
                snapshot.restore(self);
                for batch in order.chunks(batch_size).take(index) {
                    self.train_step(x, y, batch)?;
                }
                let (engine, session) = self.session(Kind::Train, batch.len())?;
                let fault = numeric::first_fault(engine, session, &feeds(x, y, batch));
                return Err(numeric::error(epoch, index + 1, loss, fault));
            }
            let logs = || self.metric_values();
            callbacks.iter_mut().for_each(|c| c.on_batch_end(index + 1, &logs));
        }
        Ok(())
    }

    /// One step on the samples `batch`; answers its loss.
    fn train_step(&mut self, x: &Samples, y: &Samples, batch: &[u32]) -> Result<f32> {
        let (engine, session) = self.session(Kind::Train, batch.len())?;
        session.run(engine, &feeds(x, y, batch))?;
        Ok(session.output_f32(engine, "loss").map_or(f32::NAN, |loss| loss[0]))
    }
}
