//! What people write: layers, losses, metrics, optimizers, initializers, regularizers, in Keras' vocabulary, and how a
//! described model becomes the graph of a whole training step.
//!
//! This crate never sees a kernel: it lowers to `footlight-graph`, and a backend runs what comes out.

mod activations;
mod architecture;
mod compile;
pub mod config;
mod error;
pub mod file;
mod initializers;
mod layer;
pub mod layers;
pub mod losses;
mod metrics;
mod naming;
pub mod optimizers;
mod regularizers;
pub mod suggest;
mod summary;

pub use activations::Activation;
pub use architecture::{Architecture, Weight};
pub use compile::{Compile, METRIC_STATES};
pub use config::{Config, Key, KeyKind};
pub use error::{Error, ErrorKind};
pub use initializers::{Distribution, FanMode, Initializer};
pub use layer::{Call, Common, Layer, Masked, Mode, WeightSpec};
pub use layers::{ActivationLayer, BatchNormalization, Dense, Dropout, Flatten, Input, LayerNormalization, Reshape};
pub use losses::{
    BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanAbsoluteError, MeanSquaredError,
    SparseCategoricalCrossentropy,
};
pub use metrics::Metric;
pub use naming::{container_keys, to_snake_case};
pub use optimizers::{Adam, AdamW, Optimizer, OptimizerChoice, RMSprop, SGD};
pub use regularizers::{L1, L2, Regularizer};
pub use summary::{grouped, readable_size};
