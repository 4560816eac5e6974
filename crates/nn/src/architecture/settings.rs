//! What is wrong with the settings of layers, which is known before any shape is.

use crate::config::Config;
use crate::layers::CLASSES;
use crate::{Error, Layer};
use serde_json::Value as Json;

/// The largest count of a setting, so that nobody has to think of the product of two as larger than a number.
const LARGEST: u64 = i32::MAX as u64;

/// What is wrong with the settings of a layer.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub error: Error,
    /// Whether no shape can be told from them: a number is at fault, other settings leave shapes as they are.
    pub hides_shapes: bool,
}

impl Fault {
    /// What is wrong with the settings of a layer called `name`, if anything is.
    pub fn of(layer: &dyn Layer, name: &str) -> Option<Fault> {
        let place = |error: Error| error.at_layer(name, layer.class_name());
        let is_built_in = CLASSES.contains(&layer.class_name());
        let beyond = if is_built_in { measure(&layer.config()).err() } else { None };
        if let Some(error) = beyond {
            return Some(Fault { error: place(error), hides_shapes: true });
        }
        let error = layer.check().err()?;
        let config = layer.config();
        let is_number = |key: &str| config.get(key).is_some_and(|value| value.is_number() || value.is_array());
        let hides_shapes = error.key().is_some_and(is_number);
        Some(Fault { error: place(error), hides_shapes })
    }

    /// What is wrong with the settings of each layer.
    pub fn of_all(layers: &[Box<dyn Layer>], names: &[String]) -> Vec<Option<Fault>> {
        layers.iter().zip(names).map(|(layer, name)| Fault::of(layer.as_ref(), name)).collect()
    }
}

/// Refuses numbers beyond all measure.
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
