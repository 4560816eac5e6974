//! Ending quietly where a loss is no number.

use footlight_nn::config::Reader;

use crate::Result;
use crate::train::callback::{Callback, Training};

/// Ends the training after a step whose loss is not finite; without it such a loss is an error that names its origin.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminateOnNaN;

impl TerminateOnNaN {
    /// The callback; it has no settings.
    pub fn new() -> TerminateOnNaN {
        TerminateOnNaN
    }

    pub(super) fn from_config(_: &mut Reader<'_>) -> Result<TerminateOnNaN, footlight_nn::Error> {
        Ok(TerminateOnNaN)
    }
}

impl Callback for TerminateOnNaN {
    fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if !training.batch_loss.is_finite() {
            training.stop();
        }
        Ok(())
    }
}
