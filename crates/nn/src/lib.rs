//! What people write: layers, losses, metrics, optimizers, initializers, regularizers, in Keras' vocabulary, and how a
//! described model becomes the graph of a whole training step.
//!
//! This crate never sees a kernel: it lowers to `footlight-graph`, and a backend runs what comes out.

mod activations;
mod architecture;
mod compile;
pub mod config;
mod constraints;
mod custom;
mod error;
mod extents;
pub mod file;
mod initializers;
mod layer;
pub mod layers;
pub mod losses;
pub mod metrics;
mod naming;
pub mod optimizers;
mod picture;
mod regularizers;
pub mod suggest;
mod summary;
pub mod svg;
mod symbol;
mod vocabulary;

pub use activations::Activation;
pub use architecture::{Architecture, Kind, LayerCall, ModelInput, Port, Recorded, Weight};
pub use compile::{Batch, Compile, Terms};
pub use config::{Axes, Config, Key, KeyKind};
pub use constraints::Constraint;
pub use custom::Custom;
pub use error::{Error, ErrorKind};
pub use extents::Extents;
pub use initializers::{Distribution, FanMode, Initializer};
pub use layer::{Call, Common, Form, Layer, Masked, Mode, WeightSpec};
pub use layers::{
    ActivationLayer, ActivityRegularization, AlphaDropout, Average, BatchNormalization, Bidirectional, Cell, Cells,
    Concatenate, Cropping1D, Cropping2D, Cropping3D, Dense, Direction, Dot, Dropout, ELU, EinsumDense, Embedding,
    Factors, Flatten, GRU, GRUCell, GaussianDropout, GaussianNoise, GroupNormalization, Identity, Input, Interpolation,
    LSTM, LSTMCell, LayerNormalization, LeakyReLU, Margins, Masking, MergeMode, Nested, Normalization, Numbers,
    Operator, PReLU, Permute, RMSNormalization, RNN, ReLU, RepeatVector, Rescaling, Reshape, SimpleRNN, SimpleRNNCell,
    SoftmaxLayer, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D, StackedRNNCells, TimeDistributed,
    UnitNormalization, UpSampling1D, UpSampling2D, UpSampling3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D,
};
pub use layers::{
    AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D, AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D, AdaptiveMaxPooling3D, AdaptivePooling, AveragePooling1D, AveragePooling2D, AveragePooling3D,
    DataFormat, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling1D,
    GlobalMaxPooling2D, GlobalMaxPooling3D, GlobalPooling, MaxPooling1D, MaxPooling2D, MaxPooling3D, Padding, PerAxis,
    Pooling,
};
pub use layers::{AdditiveAttention, Attention, GroupQueryAttention, MultiHeadAttention, ScoreMode};
pub use layers::{
    Conv, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose, ConvTranspose, DepthwiseConv,
    DepthwiseConv1D, DepthwiseConv2D, SeparableConv, SeparableConv1D, SeparableConv2D,
};
pub use losses::{
    BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy, CategoricalHinge, CosineSimilarity, Dice, Hinge, Huber, KLDivergence, LogCosh,
    Loss, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError, Poisson,
    SparseCategoricalCrossentropy, SquaredHinge, Tversky,
};
pub use metrics::{Metric, MetricList};
pub use naming::{container_keys, layer_names, to_snake_case};
pub use optimizers::schedules::{
    CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, LearningRate, PiecewiseConstantDecay,
    PolynomialDecay, Schedule,
};
pub use optimizers::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, LazyAdam, Lion, Nadam, Optimizer, OptimizerChoice,
    RMSprop, SGD,
};
pub use regularizers::{L1, L2, OrthogonalRegularizer, Regularizer, Vectors};
pub use summary::{grouped, readable_size};
pub use symbol::{On, Shared, Symbol, Symbols};
