//! The training loop, what it tells, and what it keeps.

mod callback;
pub mod callbacks;
mod check;
mod checkpoint;
mod curve;
mod evaluate;
mod fit;
mod history;
mod numeric;
mod plan;
mod progress;
mod run;
mod snapshot;
mod train_step;

pub use callback::{Callback, CallbackState, Logs, Training};
pub use callbacks::{
    CSVLogger, Direction, EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau, TensorBoard,
    TerminateOnNaN,
};
pub use evaluate::Evaluate;
pub use fit::Fit;
pub use history::History;
pub use plan::TrainingPlan;
pub use progress::{Progress, ProgressLine};
pub use train_step::{Gradients, StepBuilder, TrainStep};

pub(crate) use check::{check_inputs, check_values};
