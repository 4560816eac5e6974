//! The training loop, what it tells, and what it keeps.

mod check;
mod fit;
mod history;
mod numeric;
mod progress;

pub use fit::Fit;
pub use history::History;
pub use progress::{Callback, Logs, Progress, ProgressLine, TrainingPlan};

pub(crate) use check::check_values;
