//! Numbers of a layer's settings that no shape can be told from.

use crate::config::Config;
use crate::layers::CLASSES;
use crate::{Error, Layer};
use serde_json::Value as Json;

/// The largest count of a setting, so that nobody has to think of the product of two as larger than a number.
const LARGEST: u64 = i32::MAX as u64;

/// Refuses numbers beyond all measure, and those that the layer itself refuses; other settings leave shapes as they are.
pub(super) fn check(layer: &dyn Layer) -> Result<(), Error> {
    let config = layer.config();
    if CLASSES.contains(&layer.class_name()) {
        measure(&config)?;
    }
    let is_number = |key: &str| config.get(key).is_some_and(|value| value.is_number() || value.is_array());
    match layer.check() {
        Err(error) if error.key().is_some_and(is_number) => Err(error),
        _ => Ok(()),
    }
}

fn measure(config: &Config) -> Result<(), Error> {
    // A seed counts nothing.
    config.iter().filter(|(key, _)| *key != "seed").try_for_each(|(key, value)| measure_value(key, value))
}

fn measure_value(key: &str, value: &Json) -> Result<(), Error> {
    match value {
        Json::Number(number) if !number.is_f64() => {
            let size = number.as_i64().map_or(u64::MAX, i64::unsigned_abs);
            let message = || format!("{key} = {number} must be in [-{LARGEST}, {LARGEST}]");
            if size > LARGEST { Err(Error::config(message()).in_key(key)) } else { Ok(()) }
        }
        Json::Array(values) => values.iter().try_for_each(|value| measure_value(key, value)),
        Json::Object(config) => measure(config).map_err(|e| e.in_key(key)),
        _ => Ok(()),
    }
}
