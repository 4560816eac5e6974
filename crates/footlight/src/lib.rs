//! Deep learning that fits on the machine you have, in Keras' vocabulary.
//!
//! Describe a model, `compile` it, `fit` it, `evaluate` it, `predict` with it. The whole training step (forward pass,
//! loss, gradients, update) is planned before it runs: its memory is known in advance and stays as it is, and the same
//! seed gives the same bytes for any number of threads.
//!
//! # Examples
//! ```
//! use footlight::prelude::*;
//!
//! let x = Samples::from(Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?);
//! let y = Samples::from(Tensor::new([4, 1], vec![0.0f32, 1.0, 1.0, 0.0])?);
//! let mut model = Sequential::new(layers![Dense::new(8).activation("tanh"), Dense::new(1).activation("sigmoid")])?;
//! model.compile(Adam::new().learning_rate(0.1), "binary_crossentropy", ["accuracy"])?;
//! model.fit(&x, &y, Fit::new().epochs(200).progress(Progress::None))?;
//! assert_eq!(model.evaluate(&x, &y)?.metric("accuracy"), Some(1.0));
//! # Ok::<(), footlight::Error>(())
//! ```

pub mod data;
pub mod description;
mod error;
mod generate;
#[cfg(doctest)]
mod guide;
pub mod metrics;
mod model;
mod reading;
mod saving;
mod states;
pub mod train;

pub use error::{Error, ErrorKind};
pub use generate::Generate;
pub use model::{Evaluation, Functional, Model, PlanSummary, Sequential};
pub use reading::is_distribution;

pub use footlight_nn::file::{write_atomically, write_atomically_with};

pub use footlight_cpu as cpu;
pub use footlight_graph as graph;
pub use footlight_nn as nn;
pub use footlight_tensor as tensor;

/// The answer of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What most programs need, to be imported whole.
pub mod prelude {
    pub use crate::data::{Samples, SamplesList};
    pub use crate::metrics::RunningMetric;
    pub use crate::train::{
        CSVLogger, EarlyStopping, Evaluate, Fit, History, LearningRateScheduler, ModelCheckpoint, Progress,
        ReduceLROnPlateau, TensorBoard, TerminateOnNaN,
    };
    pub use crate::{Error, Evaluation, Functional, Generate, Model, Result, Sequential};
    pub use footlight_nn::Activation::{self, *};
    pub use footlight_nn::metrics::{AUC, BinaryAccuracy, F1Score, FBetaScore, Precision, R2Score, Recall};
    pub use footlight_nn::{
        ActivationLayer, ActivityRegularization, AlphaDropout, BatchNormalization, BinaryCrossentropy,
        CategoricalCrossentropy, Constraint, Cropping1D, Cropping2D, Cropping3D, Dense, Dropout, ELU, EinsumDense,
        Embedding, Flatten, GaussianDropout, GaussianNoise, GroupNormalization, Identity, Initializer, Input, L1, L2,
        Layer, LayerNormalization, LeakyReLU, Masking, MeanAbsoluteError, MeanSquaredError, Normalization, PReLU,
        Permute, RMSNormalization, ReLU, RepeatVector, Rescaling, Reshape, SoftmaxLayer, SparseCategoricalCrossentropy,
        SpatialDropout1D, SpatialDropout2D, SpatialDropout3D, UnitNormalization, UpSampling1D, UpSampling2D,
        UpSampling3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D, layers, metrics,
    };
    pub use footlight_nn::{
        Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, LazyAdam, Lion, Nadam, RMSprop, SGD,
    };
    pub use footlight_nn::{
        AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D, AdaptiveMaxPooling1D,
        AdaptiveMaxPooling2D, AdaptiveMaxPooling3D, AveragePooling1D, AveragePooling2D, AveragePooling3D, Conv1D,
        Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose, DataFormat, DepthwiseConv1D,
        DepthwiseConv2D, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling1D,
        GlobalMaxPooling2D, GlobalMaxPooling3D, MaxPooling1D, MaxPooling2D, MaxPooling3D, SeparableConv1D,
        SeparableConv2D,
    };
    pub use footlight_nn::{AdditiveAttention, Attention, GroupQueryAttention, MultiHeadAttention, ScoreMode};
    pub use footlight_nn::{Average, Concatenate, Dot, On, Shared, Symbol, Terms};
    pub use footlight_nn::{
        Bidirectional, GRU, GRUCell, LSTM, LSTMCell, MergeMode, RNN, SimpleRNN, SimpleRNNCell, StackedRNNCells,
        TimeDistributed,
    };
    pub use footlight_nn::{
        CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
    };
    pub use footlight_tensor::Tensor;
}
