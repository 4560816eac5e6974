//! Smaller steps when nothing improves.

use footlight_nn::config::{Reader, within};
use serde_json::json;

use super::Direction;
use super::monitor::{Monitor, missing};
use crate::Result;
use crate::train::callback::{Callback, CallbackState, Logs, Training, value_of};

/// Multiplies the learning rate by a factor when a metric has not improved for some epochs.
///
/// The rate of each epoch goes into the history as `learning_rate`.
///
/// # Arguments
/// Defaults as in Keras: `monitor` `val_loss`, `factor` 0.1, `patience` 10, `min_delta` 1e-4, `cooldown` 0, `min_lr` 0.
///
/// # Differences
/// A metric that is not told is an error; Keras warns.
#[derive(Debug)]
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f32,
    patience: usize,
    cooldown: usize,
    min_lr: f32,
    cooldown_counter: usize,
    wait: usize,
}

/// What a rate may be multiplied by.
const FACTOR: std::ops::Range<f32> = 0.0..1.0;

impl Default for ReduceLROnPlateau {
    fn default() -> ReduceLROnPlateau {
        let monitor = Monitor::new("val_loss", 1e-4);
        ReduceLROnPlateau { monitor, factor: 0.1, patience: 10, cooldown: 0, min_lr: 0.0, cooldown_counter: 0, wait: 0 }
    }
}

impl ReduceLROnPlateau {
    /// Watches `val_loss` for 10 epochs.
    pub fn new() -> ReduceLROnPlateau {
        ReduceLROnPlateau::default()
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<ReduceLROnPlateau, footlight_nn::Error> {
        let made = ReduceLROnPlateau::new();
        read.ignore(&["verbose"]);
        let factor = read.f32("factor", made.factor)?;
        within("factor", factor, FACTOR)?;
        Ok(ReduceLROnPlateau {
            monitor: made.monitor.read_with_delta(read)?,
            factor,
            patience: read.usize_or("patience", made.patience)?,
            cooldown: read.usize_or("cooldown", made.cooldown)?,
            min_lr: read.f32("min_lr", made.min_lr)?,
            ..ReduceLROnPlateau::new()
        })
    }

    /// The metric to watch; default `val_loss`.
    pub fn monitor(mut self, name: &str) -> ReduceLROnPlateau {
        self.monitor.name = name.into();
        self
    }

    /// Which way the metric gets better; by default its name tells.
    pub fn direction(mut self, direction: Direction) -> ReduceLROnPlateau {
        self.monitor.direction = Some(direction);
        self
    }

    /// What counts as better is more than this; default 1e-4.
    pub fn min_delta(mut self, min_delta: f64) -> ReduceLROnPlateau {
        self.monitor.min_delta = min_delta;
        self
    }

    /// What the rate is multiplied by, in `[0, 1)`; default 0.1.
    pub fn factor(mut self, factor: f32) -> ReduceLROnPlateau {
        self.factor = factor;
        self
    }

    /// Epochs without improvement that are borne; default 10.
    pub fn patience(mut self, epochs: usize) -> ReduceLROnPlateau {
        self.patience = epochs;
        self
    }

    /// Epochs after a reduction in which nothing is counted; default 0.
    pub fn cooldown(mut self, epochs: usize) -> ReduceLROnPlateau {
        self.cooldown = epochs;
        self
    }

    /// The rate is not made smaller than this; default 0.
    pub fn min_lr(mut self, min_lr: f32) -> ReduceLROnPlateau {
        self.min_lr = min_lr;
        self
    }
}

impl Callback for ReduceLROnPlateau {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        within("factor", self.factor, FACTOR)
            .map_err(|error| error.at("ReduceLROnPlateau").help("0.1 is the default"))?;
        self.monitor.start(training.model)?;
        (self.cooldown_counter, self.wait) = (0, 0);
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        let name = &self.monitor.name;
        let value = value_of(logs, name).ok_or_else(|| missing("ReduceLROnPlateau", name, logs))?;
        let rate = training.model.learning_rate()?;
        super::learning_rate_scheduler::log_rate(logs, rate);
        if self.cooldown_counter > 0 {
            self.cooldown_counter -= 1;
            self.wait = 0;
        }
        if self.monitor.improves(value)? {
            self.wait = 0;
        } else if self.cooldown_counter == 0 {
            self.wait = self.wait.saturating_add(1);
            if self.wait >= self.patience && rate > self.min_lr {
                training.model.set_learning_rate((rate * self.factor).max(self.min_lr))?;
                self.cooldown_counter = self.cooldown;
                self.wait = 0;
            }
        }
        Ok(())
    }

    fn state(&self) -> CallbackState {
        json!({ "best": self.monitor.state(), "wait": self.wait, "cooldown": self.cooldown_counter }).into()
    }

    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        self.monitor.restore(&state.values["best"]);
        self.wait = state.values["wait"].as_u64().unwrap_or(0) as usize;
        self.cooldown_counter = state.values["cooldown"].as_u64().unwrap_or(0) as usize;
        Ok(())
    }
}
