//! What Keras 1 and 2 wrote, in the words of Keras 3: other keys, other defaults, other forms of the same.

mod operators;

use crate::config::{Config, object};
use crate::{Error, optimizers};
use serde_json::{Value, json};

/// Whether what this version wrote is to be put in other words.
pub(super) fn is_older(keras_version: &str) -> bool {
    let major = keras_version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major < 3)
}

/// The configuration of a model or of a layer, with all within.
///
/// # Errors
/// A setting that means other numbers than the same word of Keras 3.
pub(super) fn model(mut value: Value) -> Result<Value, Error> {
    put_layer(&mut value)?;
    Ok(value)
}

fn put_layer(entry: &mut Value) -> Result<(), Error> {
    let class = entry["class_name"].as_str().unwrap_or_default().to_string();
    if operators::is_function(&class) {
        *entry = operators::operator(entry)?;
        return Ok(());
    }
    if let Some(module) = entry.get_mut("module")
        && let Some(keras) = module.as_str().and_then(|module| module.strip_prefix("tf_"))
    {
        *module = keras.into();
    }
    // Before Keras 2.2.3 a Sequential was the list of its layers.
    if entry["config"].is_array() {
        entry["config"] = json!({ "layers": entry["config"].take() });
    }
    let Some(config) = entry.get_mut("config").and_then(Value::as_object_mut) else { return Ok(()) };
    for layer in config.get_mut("layers").and_then(Value::as_array_mut).into_iter().flatten() {
        put_layer(layer)?;
    }
    if let Some(shape) = config.remove("batch_input_shape") {
        let sample = shape.as_array().and_then(|shape| shape.get(1..));
        match (class.as_str(), sample) {
            ("InputLayer", _) => drop(config.insert("batch_shape".into(), shape)),
            (_, Some(sample)) => drop(config.insert("input_shape".into(), sample.into())),
            (_, None) => {}
        }
    }
    for key in ["activation", "recurrent_activation"] {
        if config.get(key).is_some_and(|name| name == "hard_sigmoid") {
            let name = config.get("name").and_then(Value::as_str).unwrap_or_default();
            let message = format!("layer `{name}` ({class}): `{key}` = \"hard_sigmoid\" is 0.2 x + 0.5 in Keras 2");
            return Err(Error::config(message).help(
                "hard_sigmoid is x / 6 + 0.5 here, as in Keras 3; train the model again with it, or with sigmoid",
            ));
        }
    }
    match class.as_str() {
        "LeakyReLU" => rename(config, "alpha", "negative_slope"),
        // Keras 2.1 brought the key.
        "GRU" => drop(config.entry("reset_after").or_insert(json!(false))),
        _ => {}
    }
    for (_, key, is_neutral) in GONE.iter().filter(|(part, ..)| class.contains(part)) {
        if config.get(*key).is_some_and(|value| value.is_null() || is_neutral(value)) {
            config.remove(*key);
        }
    }
    for (_, initializer) in config.iter_mut().filter(|(key, _)| key.ends_with("_initializer")) {
        let Some(settings) = initializer.get_mut("config").and_then(Value::as_object_mut) else { continue };
        settings.remove("dtype");
        if settings.get("distribution").is_some_and(|name| name == "normal") {
            settings.insert("distribution".into(), json!("truncated_normal"));
        }
    }
    Ok(())
}

type IsNeutral = fn(&Value) -> bool;

/// Keys that Keras 3 has no more: a part of the name of the class, the key, and which values change nothing.
const GONE: &[(&str, &str, IsNeutral)] = &[
    ("Transpose", "groups", |groups| groups == 1),
    ("DepthwiseConv", "groups", |groups| groups == 1),
    ("SeparableConv", "groups", |groups| groups == 1),
    ("SeparableConv", "kernel_initializer", |_| true),
    ("SeparableConv", "kernel_regularizer", |_| true),
    ("SeparableConv", "kernel_constraint", |_| true),
    ("RNN", "time_major", |value| value == false),
    ("LSTM", "time_major", |value| value == false),
    ("GRU", "time_major", |value| value == false),
    ("SpatialDropout", "trainable", |_| true),
    ("SpatialDropout", "noise_shape", |_| true),
    ("BatchNormalization", "fused", |_| true),
    ("BatchNormalization", "virtual_batch_size", Value::is_null),
    ("BatchNormalization", "adjustment", Value::is_null),
];

fn rename(config: &mut Config, old: &str, new: &str) {
    if let Some(value) = config.remove(old) {
        config.insert(new.into(), value);
    }
}

/// What a model was trained by, as `compile_config` says it.
pub(super) fn training(mut config: Config) -> Config {
    if let Some(optimizer) = config.get_mut("optimizer") {
        put_optimizer(optimizer);
    }
    for key in ["loss", "loss_weights", "metrics", "weighted_metrics"] {
        if let Some(value) = config.get_mut(key) {
            *value = of_one_output(value.take(), key.ends_with("metrics"));
        }
    }
    if let Some(reduction) = config.get_mut("loss").and_then(|loss| loss.pointer_mut("/config/reduction"))
        && reduction == "auto"
    {
        *reduction = Value::Null;
    }
    for key in ["metrics", "weighted_metrics"] {
        config.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(put_metric);
    }
    config
}

/// What is said of the one output, where Keras says it of each: a list of one, or an object of one by name.
fn of_one_output(value: Value, is_list: bool) -> Value {
    let each: Vec<&Value> = match &value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(outputs) if !outputs.contains_key("class_name") => outputs.values().collect(),
        _ => return value,
    };
    match each.as_slice() {
        [one] if !is_list || one.is_array() => (*one).clone(),
        [one] if value.is_object() => json!([one]),
        _ => value,
    }
}

fn put_optimizer(optimizer: &mut Value) {
    let class = optimizer["class_name"].as_str().unwrap_or_default();
    let known = class.strip_prefix("Custom>").filter(|class| optimizers::CLASSES.contains(class)).map(str::to_string);
    if let Some(class) = known {
        optimizer["class_name"] = class.into();
    }
    let Some(config) = optimizer.get_mut("config").and_then(Value::as_object_mut) else { return };
    rename(config, "lr", "learning_rate");
    // `learning_rate / (1 + decay iteration)`.
    let decay = config.remove("decay").and_then(|decay| decay.as_f64()).filter(|decay| *decay != 0.0);
    if let (Some(decay), Some(rate)) = (decay, config.get("learning_rate").and_then(Value::as_f64)) {
        let settings = json!({ "initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay });
        let settings = settings.as_object().cloned().unwrap_or_default();
        let schedule = object("keras.optimizers.schedules", "InverseTimeDecay", settings);
        config.insert("learning_rate".into(), schedule);
    }
}

/// A metric that wraps a function is the one of the function's name.
fn put_metric(metric: &mut Value) {
    if metric["class_name"] != "MeanMetricWrapper" {
        return;
    }
    let function = metric.pointer("/config/fn").and_then(Value::as_str).map(camel_case);
    let Some(function) = function else { return };
    metric["class_name"] = function.into();
    if let Some(config) = metric.get_mut("config").and_then(Value::as_object_mut) {
        config.remove("fn");
    }
}

/// `mean_squared_error` becomes `MeanSquaredError`.
fn camel_case(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters.clone()).collect::<String>()
    };
    name.split('_').map(capital).collect()
}

#[cfg(test)]
mod tests;
