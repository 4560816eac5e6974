//! The layers, and the one list they are found by.

mod activation;
mod batch_normalization;
mod convolution;
mod dense;
mod dropout;
mod flatten;
mod input;
mod layer_normalization;
mod pooling;
mod prelu;
mod rectifiers;
mod reshape;
mod window;

pub use activation::ActivationLayer;
pub use batch_normalization::BatchNormalization;
pub use convolution::{
    Conv, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose, ConvTranspose, DepthwiseConv,
    DepthwiseConv1D, DepthwiseConv2D, SeparableConv, SeparableConv1D, SeparableConv2D,
};
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use input::Input;
pub use layer_normalization::LayerNormalization;
pub use pooling::{
    AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D, AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D, AdaptiveMaxPooling3D, AdaptivePooling, AveragePooling1D, AveragePooling2D, AveragePooling3D,
    GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling1D, GlobalMaxPooling2D,
    GlobalMaxPooling3D, GlobalPooling, MaxPooling1D, MaxPooling2D, MaxPooling3D, Pooling,
};
pub use prelu::PReLU;
pub use rectifiers::{ELU, LeakyReLU, ReLU, SoftmaxLayer};
pub use reshape::Reshape;
pub use window::{DataFormat, Padding, PerAxis};

use crate::config::{self, Config, Key, Reader};
use crate::{Error, Layer, Regularizer, suggest};
use serde_json::Value;

macro_rules! catalogue {
    ($($class:literal => $layer:ident),* $(,)?) => {
        /// Keras' class names of all layers.
        pub const CLASSES: &[&str] = &[$($class),*];

        fn from_class(class: &str, config: &Config, read: &mut Reader<'_>) -> Result<Box<dyn Layer>, Error> {
            let _ = config;
            match class {
                $($class => Ok(Box::new($layer::from_config(read)?)),)*
                other => Err(suggest::unknown("layer", other, CLASSES)),
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
}

/// A layer from what Keras writes.
///
/// # Errors
/// A class that is no built-in or not known, a key that is not known, a value out of range; named by the layer.
pub fn from_config(value: &Value) -> Result<Box<dyn Layer>, Error> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let (name, class) = (text("/config/name"), text("/class_name"));
    let named = |e: Error| if name.is_empty() { e } else { e.at(format!("layer `{name}` ({class})")) };
    let (class, config) = config::open(value).map_err(named)?;
    let is_bare = name.is_empty() && CLASSES.contains(&class.as_str());
    let place = |e: Error| if is_bare { e.at(format!("layer `{class}`")) } else { named(e) };
    let mut reader = Reader::new(&config);
    let layer = read(&class, &config, &mut reader).map_err(place)?;
    reader.finish().map_err(place)?;
    Ok(layer)
}

fn read(class: &str, config: &Config, read: &mut Reader<'_>) -> Result<Box<dyn Layer>, Error> {
    let mut layer = from_class(class, config, read)?;
    let common = layer.common_mut();
    common.name = read.string("name")?.filter(|name| !name.is_empty());
    if class != "InputLayer" {
        read.dtype()?;
        common.input_shape = read.extents("input_shape")?;
        common.activity_regularizer = read.object("activity_regularizer", Regularizer::from_config)?;
    }
    common.trainable = read.bool("trainable", true)?;
    read.ignore(&["batch_shape", "batch_input_shape"]);
    Ok(layer)
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
pub fn to_config(layer: &dyn Layer, name: &str, build_shape: Option<Vec<Option<usize>>>) -> Value {
    let mut config = match layer.class_name() {
        "InputLayer" => config::config! { "name": name },
        _ => basics(name, layer.common().trainable),
    };
    if let Some(regularizer) = layer.common().activity_regularizer {
        config.insert("activity_regularizer".into(), regularizer.to_config());
    }
    config.extend(layer.config());
    let mut value = config::object("keras.layers", layer.class_name(), config);
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

/// The axis of a normalisation, counted with that of the batch; Keras writes a number or a list of them.
pub(crate) fn axis(read: &mut Reader<'_>) -> Result<i64, Error> {
    match read.i64s("axis")?.as_deref() {
        None => Ok(-1),
        Some([axis]) => Ok(*axis),
        Some(axes) => {
            Err(Error::config(format!("`axis` = {axes:?} is not supported yet, only one axis, the last"))
                .in_key("axis"))
        }
    }
}

/// The last extent, for a layer that works along `axis`, counted with that of the batch.
pub(crate) fn features_along(axis: i64, input: &[usize]) -> Result<usize, Error> {
    let features = features(input)?;
    if axis != -1 && usize::try_from(axis) != Ok(input.len()) {
        return Err(Error::config(format!(
            "`axis` = {axis} is not supported yet, only the last, -1 or {}",
            input.len()
        )));
    }
    Ok(features)
}
