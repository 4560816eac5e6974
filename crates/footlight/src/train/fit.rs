//! What a training is asked for.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Progress;
use super::callback::Callback;
use super::checkpoint::Checkpointer;
use crate::data::{Columns, Samples, SamplesList};
use crate::{Error, ErrorKind, Result};

/// How a model is trained; defaults as in Keras.
pub struct Fit<'a> {
    pub(super) epochs: usize,
    pub(super) batch_size: usize,
    pub(super) initial_epoch: usize,
    pub(super) steps_per_epoch: Option<usize>,
    pub(super) shuffle: bool,
    pub(super) sample_weight: Option<Samples>,
    pub(super) class_weight: Option<Vec<(i64, f32)>>,
    pub(super) validation_split: f64,
    pub(super) validation_data: Option<(SamplesList, SamplesList)>,
    pub(super) validation_sample_weight: Option<Samples>,
    pub(super) validation_batch_size: Option<usize>,
    pub(super) validation_freq: usize,
    pub(super) progress: Progress,
    pub(super) callbacks: Vec<&'a mut dyn Callback>,
    pub(super) checkpoint: Option<Checkpointer>,
    pub(super) resume: bool,
    pub(super) interrupt: Option<&'a AtomicBool>,
}

impl Default for Fit<'_> {
    fn default() -> Self {
        Fit {
            epochs: 1,
            batch_size: 32,
            initial_epoch: 0,
            steps_per_epoch: None,
            shuffle: true,
            sample_weight: None,
            class_weight: None,
            validation_split: 0.0,
            validation_data: None,
            validation_sample_weight: None,
            validation_batch_size: None,
            validation_freq: 1,
            progress: Progress::Auto,
            callbacks: Vec::new(),
            checkpoint: None,
            resume: false,
            interrupt: None,
        }
    }
}

impl<'a> Fit<'a> {
    /// One epoch in batches of 32, shuffled, told on standard error.
    pub fn new() -> Self {
        Fit::default()
    }

    /// How often all samples are seen; default 1. Keras takes 0 and trains nothing; here it is an error.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Samples per step; default 32. The last batch of an epoch may be smaller.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// The epoch to begin with, counted from 0; default 0.
    pub fn initial_epoch(mut self, initial_epoch: usize) -> Self {
        self.initial_epoch = initial_epoch;
        self
    }

    /// Steps of an epoch; default as many as it takes to see all samples once. The next epoch goes on where this one ends.
    pub fn steps_per_epoch(mut self, steps: usize) -> Self {
        self.steps_per_epoch = Some(steps);
        self
    }

    /// Whether each pass over the samples sees them in a new order, from the model's seed; default true.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// How much each sample counts, one number each; default equally.
    ///
    /// The loss of a step is `sum w_i loss_i / N` over its `N` samples. Metrics do not look at the weights; those given to
    /// [`Model::compile_weighted`](crate::Model::compile_weighted) do.
    pub fn sample_weight(mut self, weight: &Samples) -> Self {
        self.sample_weight = Some(weight.clone());
        self
    }

    /// How much the samples of each class count, such as `[(0, 1.0), (1, 5.0)]`; classes not named count 1.
    ///
    /// The class is the label, or the place of the largest target if a sample has several. Validation does not look at it.
    pub fn class_weight(mut self, weights: impl IntoIterator<Item = (i64, f32)>) -> Self {
        self.class_weight = Some(weights.into_iter().collect());
        self
    }

    /// The fraction of samples, the last ones as they are given, that is kept for validation; default 0.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation_split = fraction;
        self
    }

    /// Samples to validate with; they take the place of a split.
    pub fn validation_data(mut self, x: impl Into<SamplesList>, y: impl Into<SamplesList>) -> Self {
        self.validation_data = Some((x.into(), y.into()));
        self
    }

    /// How much each of the samples to validate with counts; default equally.
    pub fn validation_sample_weight(mut self, weight: &Samples) -> Self {
        self.validation_sample_weight = Some(weight.clone());
        self
    }

    /// Samples per step of validation; default as for training.
    pub fn validation_batch_size(mut self, batch_size: usize) -> Self {
        self.validation_batch_size = Some(batch_size);
        self
    }

    /// Validates after every so many epochs; default 1.
    pub fn validation_freq(mut self, epochs: usize) -> Self {
        self.validation_freq = epochs;
        self
    }

    /// How training is told; default a bar on a terminal, a line per epoch elsewhere.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Calls `callback` while training, after those given before.
    pub fn callback(mut self, callback: &'a mut dyn Callback) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Writes a checkpoint to `path` after each epoch, and within epochs after `every`; see [`Fit::resume`].
    ///
    /// Epochs that end within a second of the last checkpoint wait for the next.
    pub fn checkpoint(mut self, path: impl AsRef<Path>, every: Duration) -> Self {
        self.checkpoint = Some(Checkpointer::new(path.as_ref(), every));
        self
    }

    /// Whether to go on from the checkpoint, if it is there; default false.
    ///
    /// What comes out has the same bytes as if the training had never stopped.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Ends the training after the step in which `flag` becomes true, with a checkpoint if one was asked for.
    pub fn interrupt(mut self, flag: &'a AtomicBool) -> Self {
        self.interrupt = Some(flag);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let config = |message: String, help: &str| Err(Error::new(ErrorKind::Config, message).help(help));
        if self.epochs == 0 {
            return config("epochs = 0, nothing would be trained".into(), "1 is the default");
        }
        if self.batch_size == 0 {
            return config("batch_size = 0, a step needs at least one sample".into(), "32 is the default");
        }
        if self.sample_weight.is_some() && self.class_weight.is_some() {
            return config("sample_weight and class_weight are both given".into(), "multiply them into sample_weight");
        }
        if self.validation_sample_weight.is_some() && self.validation_data.is_none() {
            let message = "validation_sample_weight is given, validation_data is not";
            return config(message.into(), "with validation_split the last samples keep their weights");
        }
        let counts = [
            ("steps_per_epoch", self.steps_per_epoch),
            ("validation_batch_size", self.validation_batch_size),
            ("validation_freq", Some(self.validation_freq)),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == Some(0)) {
            return config(format!("{name} = 0, at least 1 is needed"), "leave it out for the default");
        }
        if !(0.0..1.0).contains(&self.validation_split) {
            let message = format!("validation_split = {} must be in [0, 1)", self.validation_split);
            return config(message, "it is the fraction of samples kept for validation, such as 0.1");
        }
        Ok(())
    }

    /// Training and validation samples: the last part of the samples as they are given, as in Keras.
    pub(super) fn split(&self, whole: Columns, validation: Option<Columns>) -> Result<(Columns, Option<Columns>)> {
        let whole = whole.weighted("sample_weight", self.sample_weight.as_ref())?;
        if let Some(validation) = validation {
            let weight = self.validation_sample_weight.as_ref();
            return Ok((whole, Some(validation.weighted("validation_sample_weight", weight)?)));
        }
        if self.validation_split == 0.0 {
            return Ok((whole, None));
        }
        let at = (whole.len() as f64 * (1.0 - self.validation_split)).floor() as usize;
        if at == 0 || at == whole.len() {
            let message = format!(
                "validation_split = {} of {} samples leaves one side empty",
                self.validation_split,
                whole.len()
            );
            return Err(Error::new(ErrorKind::Config, message).help("choose another fraction, or give more samples"));
        }
        Ok((whole.slice(0..at), Some(whole.slice(at..whole.len()))))
    }

    /// Which weights are given, for a checkpoint to be of the same training.
    pub(super) fn weights(&self) -> serde_json::Value {
        serde_json::json!({
            "sample_weight": self.sample_weight.is_some(), "class_weight": self.class_weight,
            "validation_sample_weight": self.validation_sample_weight.is_some(),
        })
    }
}
