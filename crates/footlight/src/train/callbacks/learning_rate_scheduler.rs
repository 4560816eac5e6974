//! A learning rate for each epoch.

use crate::train::callback::{Callback, Logs, Training};
use crate::{Error, ErrorKind, Result};

/// Sets the learning rate before each epoch to what a function of the epoch (counted from 0) and the rate so far gives.
///
/// The rate of each epoch goes into the history as `learning_rate`.
///
/// # Examples
/// ```
/// use footlight::train::LearningRateScheduler;
/// let halved = LearningRateScheduler::new(|_, rate| rate / 2.0);
/// ```
pub struct LearningRateScheduler<F>(F);

impl<F: FnMut(usize, f32) -> f32> LearningRateScheduler<F> {
    /// The rate `schedule(epoch, rate)`.
    pub fn new(schedule: F) -> LearningRateScheduler<F> {
        LearningRateScheduler(schedule)
    }
}

impl<F: FnMut(usize, f32) -> f32> Callback for LearningRateScheduler<F> {
    fn on_epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let rate = (self.0)(training.epoch, training.model.learning_rate()?);
        if !(rate.is_finite() && rate >= 0.0) {
            let message = format!("LearningRateScheduler: learning_rate = {rate} for epoch {}", training.epoch);
            return Err(Error::new(ErrorKind::Config, message).help("give a number of at least 0"));
        }
        training.model.set_learning_rate(rate)
    }

    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        log_rate(logs, training.model.learning_rate()?);
        Ok(())
    }
}

/// Puts the rate into the logs, unless it is there.
pub(super) fn log_rate(logs: &mut Logs, rate: f32) {
    if !logs.iter().any(|(name, _)| name == "learning_rate") {
        logs.push(("learning_rate".into(), f64::from(rate)));
    }
}
