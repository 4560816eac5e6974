//! The layers, and the one list they are found by.

mod activation;
mod activity_regularization;
mod along;
mod alpha_dropout;
mod attending;
mod attention;
mod batch_normalization;
mod convolution;
mod cropping;
mod dense;
mod dropout;
mod einsum;
mod einsum_dense;
mod embedding;
mod flatten;
mod gaussian_dropout;
mod gaussian_noise;
mod group_normalization;
mod group_query_attention;
mod heads;
mod identity;
mod input;
mod layer_normalization;
mod masking;
mod masks;
mod merge;
mod multi_head_attention;
mod nested;
mod noise;
mod normalization;
mod numbers;
mod operator;
mod part;
mod permute;
mod pooling;
mod prelu;
mod rectifiers;
mod recurrent;
mod repeat_vector;
mod rescaling;
mod reshape;
mod rms_normalization;
mod softmax;
mod spatial;
mod spatial_dropout;
mod time_distributed;
mod unit_normalization;
mod up_sampling;
mod weight;
mod window;
mod zero_padding;

pub use activation::ActivationLayer;
pub use activity_regularization::ActivityRegularization;
pub use alpha_dropout::AlphaDropout;
pub use attention::{AdditiveAttention, Attention, ScoreMode};
pub use batch_normalization::BatchNormalization;
pub use convolution::{
    Conv, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose, ConvTranspose, DepthwiseConv,
    DepthwiseConv1D, DepthwiseConv2D, SeparableConv, SeparableConv1D, SeparableConv2D,
};
pub use cropping::{Cropping1D, Cropping2D, Cropping3D};
pub use dense::Dense;
pub use dropout::Dropout;
pub use einsum_dense::EinsumDense;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use gaussian_dropout::GaussianDropout;
pub use gaussian_noise::GaussianNoise;
pub use group_normalization::GroupNormalization;
pub use group_query_attention::GroupQueryAttention;
pub use identity::Identity;
pub use input::Input;
pub(crate) use input::samples_of;
pub use layer_normalization::LayerNormalization;
pub use masking::Masking;
pub use merge::{Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract};
pub use multi_head_attention::MultiHeadAttention;
pub use nested::Nested;
pub use normalization::Normalization;
pub use numbers::Numbers;
pub use operator::Operator;
pub use permute::Permute;
pub use pooling::{
    AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D, AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D, AdaptiveMaxPooling3D, AdaptivePooling, AveragePooling1D, AveragePooling2D, AveragePooling3D,
    GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling1D, GlobalMaxPooling2D,
    GlobalMaxPooling3D, GlobalPooling, MaxPooling1D, MaxPooling2D, MaxPooling3D, Pooling,
};
pub use prelu::PReLU;
pub use rectifiers::{ELU, LeakyReLU, ReLU};
pub use recurrent::{
    Bidirectional, Cell, Cells, Direction, GRU, GRUCell, LSTM, LSTMCell, MergeMode, RNN, SimpleRNN, SimpleRNNCell,
    StackedRNNCells,
};
pub use repeat_vector::RepeatVector;
pub use rescaling::Rescaling;
pub use reshape::Reshape;
pub use rms_normalization::RMSNormalization;
pub use softmax::SoftmaxLayer;
pub use spatial::Margins;
pub use spatial_dropout::{SpatialDropout1D, SpatialDropout2D, SpatialDropout3D};
pub use time_distributed::TimeDistributed;
pub use unit_normalization::UnitNormalization;
pub use up_sampling::{Factors, Interpolation, UpSampling1D, UpSampling2D, UpSampling3D};
pub use window::{DataFormat, Padding, PerAxis};
pub use zero_padding::{ZeroPadding1D, ZeroPadding2D, ZeroPadding3D};

use crate::config::{self, Config, Key, Reader};
use crate::{Architecture, Custom, Error, Layer, Regularizer, suggest};
use serde_json::Value;

macro_rules! catalogue {
    ($($class:literal => $layer:ident),* $(,)?) => {
        /// Keras' class names of all layers.
        pub const CLASSES: &[&str] = &[$($class),*];

        fn from_class(class: &str, config: &Config, read: &mut Reader<'_>) -> Result<Box<dyn Layer>, Error> {
            let _ = config;
            match class {
                $($class => Ok(Box::new($layer::from_config(read)?)),)*
                other => Err(suggest::unknown_class("layer", other, CLASSES, "footlight_nn::layers")),
            }
        }
    };
}

catalogue! {
    "InputLayer" => Input,
    "Dense" => Dense,
    "Activation" => ActivationLayer,
    "ReLU" => ReLU,
    "LeakyReLU" => LeakyReLU,
    "PReLU" => PReLU,
    "ELU" => ELU,
    "Softmax" => SoftmaxLayer,
    "Flatten" => Flatten,
    "Reshape" => Reshape,
    "Dropout" => Dropout,
    "BatchNormalization" => BatchNormalization,
    "LayerNormalization" => LayerNormalization,
    "Embedding" => Embedding,
    "Masking" => Masking,
    "Identity" => Identity,
    "EinsumDense" => EinsumDense,
    "Permute" => Permute,
    "RepeatVector" => RepeatVector,
    "Cropping1D" => Cropping1D,
    "Cropping2D" => Cropping2D,
    "Cropping3D" => Cropping3D,
    "ZeroPadding1D" => ZeroPadding1D,
    "ZeroPadding2D" => ZeroPadding2D,
    "ZeroPadding3D" => ZeroPadding3D,
    "UpSampling1D" => UpSampling1D,
    "UpSampling2D" => UpSampling2D,
    "UpSampling3D" => UpSampling3D,
    "SpatialDropout1D" => SpatialDropout1D,
    "SpatialDropout2D" => SpatialDropout2D,
    "SpatialDropout3D" => SpatialDropout3D,
    "AlphaDropout" => AlphaDropout,
    "GaussianDropout" => GaussianDropout,
    "GaussianNoise" => GaussianNoise,
    "ActivityRegularization" => ActivityRegularization,
    "GroupNormalization" => GroupNormalization,
    "RMSNormalization" => RMSNormalization,
    "UnitNormalization" => UnitNormalization,
    "Rescaling" => Rescaling,
    "Normalization" => Normalization,
    "Add" => Add,
    "Subtract" => Subtract,
    "Multiply" => Multiply,
    "Average" => Average,
    "Maximum" => Maximum,
    "Minimum" => Minimum,
    "Concatenate" => Concatenate,
    "Dot" => Dot,
    "SimpleRNN" => SimpleRNN,
    "LSTM" => LSTM,
    "GRU" => GRU,
    "RNN" => RNN,
    "Bidirectional" => Bidirectional,
    "TimeDistributed" => TimeDistributed,
    "Conv1D" => Conv1D,
    "Conv2D" => Conv2D,
    "Conv3D" => Conv3D,
    "Conv1DTranspose" => Conv1DTranspose,
    "Conv2DTranspose" => Conv2DTranspose,
    "Conv3DTranspose" => Conv3DTranspose,
    "DepthwiseConv1D" => DepthwiseConv1D,
    "DepthwiseConv2D" => DepthwiseConv2D,
    "SeparableConv1D" => SeparableConv1D,
    "SeparableConv2D" => SeparableConv2D,
    "MaxPooling1D" => MaxPooling1D,
    "MaxPooling2D" => MaxPooling2D,
    "MaxPooling3D" => MaxPooling3D,
    "AveragePooling1D" => AveragePooling1D,
    "AveragePooling2D" => AveragePooling2D,
    "AveragePooling3D" => AveragePooling3D,
    "GlobalMaxPooling1D" => GlobalMaxPooling1D,
    "GlobalMaxPooling2D" => GlobalMaxPooling2D,
    "GlobalMaxPooling3D" => GlobalMaxPooling3D,
    "GlobalAveragePooling1D" => GlobalAveragePooling1D,
    "GlobalAveragePooling2D" => GlobalAveragePooling2D,
    "GlobalAveragePooling3D" => GlobalAveragePooling3D,
    "AdaptiveMaxPooling1D" => AdaptiveMaxPooling1D,
    "AdaptiveMaxPooling2D" => AdaptiveMaxPooling2D,
    "AdaptiveMaxPooling3D" => AdaptiveMaxPooling3D,
    "AdaptiveAveragePooling1D" => AdaptiveAveragePooling1D,
    "AdaptiveAveragePooling2D" => AdaptiveAveragePooling2D,
    "AdaptiveAveragePooling3D" => AdaptiveAveragePooling3D,
    "MultiHeadAttention" => MultiHeadAttention,
    "GroupQueryAttention" => GroupQueryAttention,
    "Attention" => Attention,
    "AdditiveAttention" => AdditiveAttention,
}

/// A layer from what Keras writes.
///
/// # Errors
/// A class that is no built-in or not known, a key that is not known, a value out of range; named by the layer.
pub fn from_config(value: &Value) -> Result<Box<dyn Layer>, Error> {
    from_config_with(value, &Custom::new())
}

/// As [`from_config`], with layers of one's own.
///
/// # Errors
/// As [`from_config`].
pub fn from_config_with(value: &Value, custom: &Custom) -> Result<Box<dyn Layer>, Error> {
    if let Some(found) = custom.find_layer(value) {
        return found.made(|read, config| read(config).and_then(|layer| with_common(layer, config)));
    }
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let (name, class) = (text("/config/name"), text("/class_name"));
    let named = |e: Error| if name.is_empty() { e } else { e.at(format!("layer `{name}` ({class})")) };
    let (class, config) = config::open(value).map_err(named)?;
    if matches!(class.as_str(), "Sequential" | "Functional" | "Model") {
        if nesting(value) > DEEPEST {
            let fault = Error::config(format!("models lie more than {DEEPEST} deep within each other"));
            return Err(named(fault.help("the file is damaged, or made to keep its reader busy")));
        }
        let model = Architecture::from_config_with(value, custom).map_err(named)?;
        let trainable = config.get("trainable").and_then(Value::as_bool).unwrap_or(true);
        return Ok(Box::new(Nested::new(model).trainable(trainable)));
    }
    let is_operator = Operator::is_module(&text("/module"));
    let is_bare = name.is_empty() && CLASSES.contains(&class.as_str());
    let place = |e: Error| if is_bare { e.at(format!("layer `{class}`")) } else { named(e) };
    let mut reader = Reader::new(&config).knowing(custom);
    let layer = match is_operator {
        true => Operator::from_config(&class, &mut reader).and_then(|layer| with_common(Box::new(layer), &mut reader)),
        false => read(&class, &config, &mut reader),
    };
    let layer = layer.map_err(place)?;
    reader.finish().map_err(place)?;
    Ok(layer)
}

/// Models within models that are read.
const DEEPEST: usize = 8;

/// How deep models lie within each other.
fn nesting(value: &Value) -> usize {
    let layers = value.pointer("/config/layers").and_then(Value::as_array);
    let deepest = layers.map_or(0, |layers| 1 + layers.iter().map(nesting).max().unwrap_or(0));
    // A wrapper has one.
    value.pointer("/config/layer").map_or(deepest, |layer| deepest.max(nesting(layer)))
}

fn read(class: &str, config: &Config, read: &mut Reader<'_>) -> Result<Box<dyn Layer>, Error> {
    with_common(from_class(class, config, read)?, read)
}

/// The layer with the settings that every layer has.
fn with_common(mut layer: Box<dyn Layer>, read: &mut Reader<'_>) -> Result<Box<dyn Layer>, Error> {
    read_common(layer.as_mut(), read)?;
    Ok(layer)
}

/// Takes over the settings that every layer has.
fn read_common(layer: &mut dyn Layer, read: &mut Reader<'_>) -> Result<(), Error> {
    let is_input = layer.class_name() == "InputLayer";
    let common = layer.common_mut();
    common.name = read.string("name")?.filter(|name| !name.is_empty());
    if !is_input {
        read.dtype()?;
        common.input_shape = input::read_extents(read, "input_shape")?;
        let own = common.activity_regularizer;
        common.activity_regularizer = read.object("activity_regularizer", Regularizer::from_config)?.or(own);
    }
    common.trainable = read.bool("trainable", true)?;
    read.ignore(&["batch_shape", "batch_input_shape"]);
    Ok(())
}

/// The keys of a class of layers.
pub fn keys(class: &str) -> Vec<Key> {
    config::keys_of(|reader| {
        let layer = read(class, &Config::new(), reader)?;
        let mut defaults = layer.config();
        defaults.insert("trainable".into(), layer.common().trainable.into());
        Ok(defaults)
    })
}

/// A layer as Keras writes it, under the name the model gave.
pub fn to_config(layer: &dyn Layer, name: &str, build_shape: Option<Value>) -> Value {
    if let Some(entry) = layer.entry(name) {
        return entry;
    }
    let mut config = match layer.class_name() {
        "InputLayer" => config::config! { "name": name },
        // Keras' class takes no `trainable`.
        class if class.starts_with("SpatialDropout") => {
            let mut config = basics(name, true);
            config.remove("trainable");
            config
        }
        _ => basics(name, layer.common().trainable),
    };
    // An activity regularization has its penalty from its own keys.
    let penalty = layer.common().activity_regularizer.filter(|_| layer.class_name() != "ActivityRegularization");
    if let Some(regularizer) = penalty {
        config.insert("activity_regularizer".into(), regularizer.to_config());
    }
    config.extend(layer.config());
    let mut value = match layer.class_name() {
        class if CLASSES.contains(&class) => config::object("keras.layers", class, config),
        class => config::custom_object(class, config),
    };
    if let Some(shape) = build_shape {
        value["build_config"] = serde_json::json!({ "input_shape": shape });
    }
    value
}

/// The keys that every layer but an input has.
pub(crate) fn basics(name: &str, trainable: bool) -> Config {
    let policy = config::object("keras", "DTypePolicy", config::config! { "name": "float32" });
    config::config! { "name": name, "trainable": trainable, "dtype": policy }
}

/// What a layer of rank 1 or more needs: the last extent.
pub(crate) fn features(input: &[usize]) -> Result<usize, Error> {
    input.last().copied().ok_or_else(|| {
        Error::new(crate::ErrorKind::Shape, "needs samples of at least one axis, got single numbers")
            .help("give each sample a feature axis, such as shape [1]")
    })
}
