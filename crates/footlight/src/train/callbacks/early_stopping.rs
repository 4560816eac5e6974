//! Stopping when nothing improves any more.

use footlight_nn::config::Reader;
use serde_json::json;

use super::Direction;
use super::monitor::{Monitor, missing};
use crate::Result;
use crate::train::callback::{Callback, CallbackState, Logs, Training, value_of};
use crate::train::snapshot::Snapshot;

/// Ends the training when a metric has not improved for some epochs.
///
/// # Arguments
/// Defaults as in Keras: `monitor` `val_loss`, `min_delta` 0, `patience` 0, no `baseline`, `restore_best_weights` false,
/// `start_from_epoch` 0.
///
/// # Differences
/// A metric that is not told is an error; Keras warns and never stops.
///
/// # Examples
/// ```
/// use footlight::prelude::*;
/// use footlight::train::EarlyStopping;
/// let x = Samples::from(Tensor::new([8, 1], (0..8).map(|i| i as f32 / 8.0).collect::<Vec<_>>())?);
/// let mut model = Sequential::new(layers![Dense::new(1).kernel_initializer("zeros")])?;
/// model.compile(SGD::new().learning_rate(0.0), "mse", [])?;
/// let mut stop = EarlyStopping::new().monitor("loss").patience(2);
/// let history = model.fit(&x, &x, Fit::new().epochs(50).progress(Progress::None).callback(&mut stop))?;
/// assert_eq!((history.epochs(), stop.stopped_epoch()), (3, Some(2)));
/// # Ok::<(), footlight::Error>(())
/// ```
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    wait: usize,
    best_epoch: usize,
    best_weights: Option<Snapshot>,
    stopped_epoch: Option<usize>,
}

impl Default for EarlyStopping {
    fn default() -> EarlyStopping {
        EarlyStopping {
            monitor: Monitor::new("val_loss", 0.0),
            patience: 0,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            wait: 0,
            best_epoch: 0,
            best_weights: None,
            stopped_epoch: None,
        }
    }
}

impl EarlyStopping {
    /// Watches `val_loss` without patience.
    pub fn new() -> EarlyStopping {
        EarlyStopping::default()
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<EarlyStopping, footlight_nn::Error> {
        let made = EarlyStopping::new();
        read.ignore(&["verbose"]);
        Ok(EarlyStopping {
            monitor: made.monitor.read_with_delta(read)?,
            patience: read.usize_or("patience", made.patience)?,
            baseline: read.maybe_f64("baseline")?,
            restore_best_weights: read.bool("restore_best_weights", made.restore_best_weights)?,
            start_from_epoch: read.usize_or("start_from_epoch", made.start_from_epoch)?,
            ..EarlyStopping::new()
        })
    }

    /// The metric to watch; default `val_loss`.
    pub fn monitor(mut self, name: &str) -> EarlyStopping {
        self.monitor.name = name.into();
        self
    }

    /// Which way the metric gets better; by default its name tells.
    pub fn direction(mut self, direction: Direction) -> EarlyStopping {
        self.monitor.direction = Some(direction);
        self
    }

    /// What counts as better is more than this; default 0.
    pub fn min_delta(mut self, min_delta: f64) -> EarlyStopping {
        self.monitor.min_delta = min_delta;
        self
    }

    /// Epochs without improvement that are borne; default 0.
    pub fn patience(mut self, epochs: usize) -> EarlyStopping {
        self.patience = epochs;
        self
    }

    /// A value that has to be beaten for patience to begin anew; default none.
    pub fn baseline(mut self, baseline: f64) -> EarlyStopping {
        self.baseline = Some(baseline);
        self
    }

    /// Whether the model ends with the weights of its best epoch; default false.
    pub fn restore_best_weights(mut self, restore: bool) -> EarlyStopping {
        self.restore_best_weights = restore;
        self
    }

    /// The first epoch that is watched, counted from 0; default 0.
    pub fn start_from_epoch(mut self, epoch: usize) -> EarlyStopping {
        self.start_from_epoch = epoch;
        self
    }

    /// The epoch, counted from 0, after which training was stopped.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.stopped_epoch
    }

    /// The epoch, counted from 0, that was the best.
    pub fn best_epoch(&self) -> usize {
        self.best_epoch
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.monitor.start(training.model)?;
        (self.wait, self.best_epoch, self.best_weights, self.stopped_epoch) = (0, 0, None, None);
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        let name = &self.monitor.name;
        let value = value_of(logs, name).ok_or_else(|| missing("EarlyStopping", name, logs))?;
        if training.epoch < self.start_from_epoch {
            return Ok(());
        }
        if self.restore_best_weights && self.best_weights.is_none() {
            self.best_weights = Some(Snapshot::of_weights(training.model));
        }
        self.wait = self.wait.saturating_add(1);
        if self.monitor.improves(value)? {
            self.best_epoch = training.epoch;
            if self.restore_best_weights {
                self.best_weights = Some(Snapshot::of_weights(training.model));
            }
            let beats_baseline = match self.baseline {
                None => true,
                Some(baseline) => self.monitor.beats(value, baseline)?,
            };
            if beats_baseline {
                self.wait = 0;
            }
        } else if self.wait >= self.patience && training.epoch > 0 {
            self.stopped_epoch = Some(training.epoch);
            training.stop();
        }
        Ok(())
    }

    fn on_train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if let Some(weights) = &self.best_weights {
            weights.restore(training.model)?;
        }
        Ok(())
    }

    fn state(&self) -> CallbackState {
        let values = json!({
            "best": self.monitor.state(), "wait": self.wait, "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
        });
        CallbackState { values, tensors: self.best_weights.as_ref().map(Snapshot::tensors).unwrap_or_default() }
    }

    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        let count = |key: &str| state.values[key].as_u64().map(|count| count as usize);
        self.monitor.restore(&state.values["best"]);
        self.wait = count("wait").unwrap_or(0);
        self.best_epoch = count("best_epoch").unwrap_or(0);
        self.stopped_epoch = count("stopped_epoch");
        self.best_weights = (!state.tensors.is_empty()).then(|| Snapshot::from_tensors(&state.tensors));
        Ok(())
    }
}
