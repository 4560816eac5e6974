//! Callbacks with the rules of Keras.

mod csv_logger;
mod early_stopping;
mod learning_rate_scheduler;
mod model_checkpoint;
mod monitor;
mod reduce_lr_on_plateau;
mod tensor_board;
mod terminate_on_nan;

pub use csv_logger::CSVLogger;
pub use early_stopping::EarlyStopping;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use model_checkpoint::ModelCheckpoint;
pub use monitor::Direction;
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
pub use tensor_board::TensorBoard;
pub use terminate_on_nan::TerminateOnNaN;
