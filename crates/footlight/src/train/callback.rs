//! What is called while a model trains.

use footlight_tensor::Tensor;
use serde_json::Value as Json;

use super::{History, TrainingPlan};
use crate::Result;
use crate::model::Model;

/// Names of metrics and their values, sorted by name; those of validation begin with `val_` and come last.
pub type Logs = Vec<(String, f64)>;

/// The value of a metric in `logs`.
pub fn value_of(logs: &[(String, f64)], name: &str) -> Option<f64> {
    logs.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// A training under way, as callbacks see it.
#[derive(Debug)]
pub struct Training<'a> {
    /// The model, with the weights of this moment.
    pub model: &'a mut Model,
    /// What was known before the first step.
    pub plan: &'a TrainingPlan,
    /// The numbers of the epochs that are over.
    pub history: &'a History,
    /// The epoch, counted from 0.
    pub epoch: usize,
    /// The steps of this epoch that are done.
    pub step: usize,
    /// The loss of the last step.
    pub batch_loss: f32,
    /// Whether this goes on from a checkpoint.
    pub is_resumed: bool,
    pub(super) should_stop: &'a mut bool,
}

impl Training<'_> {
    /// Means over the epoch so far.
    pub fn logs(&self) -> Logs {
        self.model.metric_values()
    }

    /// Ends the training: after this step if called within an epoch, else after this epoch.
    pub fn stop(&mut self) {
        *self.should_stop = true;
    }
}

/// Is called while a model trains; all methods do nothing unless written.
///
/// The order is that of Keras: `on_train_begin`; for each epoch `on_epoch_begin`, then `on_batch_end` after each step,
/// then validation, then `on_epoch_end`; `on_train_end`.
///
/// # Errors
/// An error of any method ends the training with it.
pub trait Callback {
    /// Before the first step; where a callback forgets what it knows of an earlier training.
    fn on_train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }
    /// Before the first step of an epoch.
    fn on_epoch_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }
    /// After each step.
    fn on_batch_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }
    /// After the last step and the validation of an epoch; what is added to `logs` goes into the history.
    fn on_epoch_end(&mut self, _training: &mut Training<'_>, _logs: &mut Logs) -> Result<()> {
        Ok(())
    }
    /// After the last epoch.
    fn on_train_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }
    /// What a checkpoint keeps of this callback.
    fn state(&self) -> CallbackState {
        CallbackState::default()
    }
    /// Goes on from a state that [`Callback::state`] gave; called after `on_train_begin`.
    fn restore(&mut self, _state: &CallbackState) -> Result<()> {
        Ok(())
    }
}

/// What a checkpoint keeps of a callback.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallbackState {
    /// Numbers and texts.
    pub values: Json,
    /// Arrays by name.
    pub tensors: Vec<(String, Tensor)>,
}

impl From<Json> for CallbackState {
    fn from(values: Json) -> CallbackState {
        CallbackState { values, tensors: Vec::new() }
    }
}
