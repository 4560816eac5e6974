//! Reading Keras' configurations: JSON objects of known keys.

use crate::{Error, suggest};
use serde_json::{Map, Value, json};
use std::ops::{Bound, RangeBounds};

/// What stands for nothing in a configuration.
pub(crate) const NULL: Option<()> = None;

/// The keys and values of one object.
pub type Config = Map<String, Value>;

/// An object as Keras writes it: module, class name, configuration.
pub(crate) fn object(module: &str, class_name: &str, config: Config) -> Value {
    json!({ "module": module, "class_name": class_name, "config": config, "registered_name": null })
}

/// Class name and configuration of a serialised object, which must be a built-in of Keras.
///
/// # Errors
/// Names what it is when it is a function of Python, a class of someone else, or no object.
pub(crate) fn open(value: &Value) -> Result<(String, Config), Error> {
    let (class_name, config) = parts(value)?;
    if class_name == "__lambda__" || class_name == "Lambda" {
        return Err(Error::config(format!("`{class_name}` holds code of Python, which is never executed"))
            .help("build the model without it, and express it with layers"));
    }
    let module = value.get("module").and_then(Value::as_str).unwrap_or("keras");
    let is_keras = module == "keras" || module.starts_with("keras.") || module == "builtins";
    let registered = value.get("registered_name").and_then(Value::as_str).filter(|name| **name != *class_name);
    if !is_keras || registered.is_some_and(|name| name.contains('>')) {
        let from = registered.unwrap_or(module);
        return Err(Error::config(format!("class `{class_name}` of `{from}` is no built-in of Keras"))
            .help("only built-in classes are read; nothing in a file is executed"));
    }
    Ok((class_name, config))
}

/// Class name and configuration of a serialised object of anyone.
///
/// # Errors
/// No object, or one without a class name.
pub(crate) fn parts(value: &Value) -> Result<(String, Config), Error> {
    let Some(class_name) = value.get("class_name").and_then(Value::as_str) else {
        return Err(Error::config(format!("expected an object with a class name, got {}", shorten(value))));
    };
    let config = value.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    Ok((class_name.to_string(), config))
}

/// The beginning of a value, to be shown in a message.
pub(crate) fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(60).chain(['…']).collect() } else { text }
}

/// Any number but an infinite one.
pub(crate) const FINITE: (Bound<f32>, Bound<f32>) =
    (Bound::Excluded(f32::NEG_INFINITY), Bound::Excluded(f32::INFINITY));

/// Any number above 0 but an infinite one.
pub(crate) const POSITIVE: (Bound<f32>, Bound<f32>) = (Bound::Excluded(0.0), Bound::Excluded(f32::INFINITY));

/// Refuses a number outside of its range, as NaN is outside of any.
pub(crate) fn within(key: &str, value: f32, legal: impl RangeBounds<f32>) -> Result<(), Error> {
    if legal.contains(&value) {
        return Ok(());
    }
    let low = match legal.start_bound() {
        Bound::Included(low) => format!("[{low}"),
        Bound::Excluded(low) if low.is_finite() => format!("({low}"),
        _ => "(-∞".into(),
    };
    let high = match legal.end_bound() {
        Bound::Included(high) => format!("{high}]"),
        Bound::Excluded(high) if high.is_finite() => format!("{high})"),
        _ => "∞)".into(),
    };
    Err(Error::config(format!("{key} = {value} must be in {low}, {high}")))
}

/// Takes keys out of a configuration, and complains of those that nobody took.
pub(crate) struct Reader<'a> {
    config: &'a Config,
    taken: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(config: &'a Config) -> Reader<'a> {
        Reader { config, taken: Vec::new() }
    }

    /// The value of `key`; `None` if it is absent or null.
    pub(crate) fn get(&mut self, key: &'a str) -> Option<&'a Value> {
        self.taken.push(key);
        self.config.get(key).filter(|v| !v.is_null())
    }

    fn parse<T>(&mut self, key: &'a str, what: &str, f: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match f(value) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(Error::config(format!("`{key}` = {}: expected {what}", shorten(value)))),
            },
        }
    }

    pub(crate) fn f32(&mut self, key: &'a str, default: f32) -> Result<f32, Error> {
        Ok(self.maybe_f32(key)?.unwrap_or(default))
    }

    pub(crate) fn maybe_f32(&mut self, key: &'a str) -> Result<Option<f32>, Error> {
        Ok(self.parse(key, "a number", Value::as_f64)?.map(|x| x as f32))
    }

    /// A count, which Python may have computed as a float such as 1000.0.
    pub(crate) fn count(&mut self, key: &'a str) -> Result<Option<usize>, Error> {
        self.parse(key, "a whole number", |v| {
            let x = v.as_f64().filter(|x| *x >= 0.0 && x.fract() == 0.0 && *x <= f64::from(u32::MAX))?;
            Some(x as usize)
        })
    }

    /// Whether the key is there, if only as null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.config.contains_key(key)
    }

    /// The error for a key that has no default.
    pub(crate) fn missing(key: &str) -> Error {
        Error::config(format!("`{key}` is missing, it has no default"))
    }

    pub(crate) fn required_f32(&mut self, key: &'a str) -> Result<f32, Error> {
        self.parse(key, "a number", Value::as_f64)?.map(|x| x as f32).ok_or_else(|| Reader::missing(key))
    }

    pub(crate) fn required_usize(&mut self, key: &'a str) -> Result<usize, Error> {
        self.usize(key)?.ok_or_else(|| Reader::missing(key))
    }

    pub(crate) fn f32s(&mut self, key: &'a str) -> Result<Option<Vec<f32>>, Error> {
        let number = |v: &Value| v.as_f64().map(|x| x as f32);
        self.parse(key, "a number or a list of them", |v| match v {
            Value::Array(list) => list.iter().map(number).collect(),
            one => number(one).map(|x| vec![x]),
        })
    }

    pub(crate) fn bool(&mut self, key: &'a str, default: bool) -> Result<bool, Error> {
        Ok(self.maybe_bool(key)?.unwrap_or(default))
    }

    pub(crate) fn maybe_bool(&mut self, key: &'a str) -> Result<Option<bool>, Error> {
        self.parse(key, "true or false", Value::as_bool)
    }

    pub(crate) fn usize(&mut self, key: &'a str) -> Result<Option<usize>, Error> {
        self.parse(key, "a whole number", |v| v.as_u64().and_then(|x| usize::try_from(x).ok()))
    }

    pub(crate) fn i64s(&mut self, key: &'a str) -> Result<Option<Vec<i64>>, Error> {
        self.parse(key, "a whole number or a list of them", |v| match v {
            Value::Array(list) => list.iter().map(Value::as_i64).collect(),
            one => one.as_i64().map(|x| vec![x]),
        })
    }

    pub(crate) fn string(&mut self, key: &'a str) -> Result<Option<String>, Error> {
        self.parse(key, "a text", |v| v.as_str().map(str::to_string))
    }

    /// Ignores keys that do not change what is computed.
    pub(crate) fn ignore(&mut self, keys: &[&'a str]) {
        self.taken.extend(keys);
    }

    /// Refuses keys that would change what is computed, unless they are null.
    pub(crate) fn refuse(&mut self, keys: &[&'a str]) -> Result<(), Error> {
        for key in keys {
            if let Some(value) = self.get(key) {
                return Err(Error::config(format!("`{key}` = {} is not supported yet", shorten(value))));
            }
        }
        Ok(())
    }

    /// Refuses values of a key that would change what is computed, unless they are null or the one that changes nothing.
    pub(crate) fn only(&mut self, key: &'a str, neutral: impl Into<Value>) -> Result<(), Error> {
        let neutral = neutral.into();
        let is_neutral = |value: &Value| *value == neutral || value.is_number() && value.as_f64() == neutral.as_f64();
        match self.get(key).filter(|value| !is_neutral(value)) {
            Some(value) => {
                let message = format!("`{key}` = {} is not supported yet, only {neutral}", shorten(value));
                Err(Error::config(message))
            }
            None => Ok(()),
        }
    }

    /// Refuses another element type than float32, which all is computed in; it is a name or a policy.
    pub(crate) fn dtype(&mut self) -> Result<(), Error> {
        let Some(value) = self.get("dtype") else { return Ok(()) };
        let name = value.pointer("/config/name").unwrap_or(value);
        if name == "float32" {
            return Ok(());
        }
        Err(Error::config(format!("`dtype` = {} is not supported yet, only float32", shorten(name)))
            .help("save the model again with the dtype policy float32"))
    }

    /// Complains of keys that nobody took.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.config.keys().find(|key| !self.taken.contains(&key.as_str())) {
            Some(key) => Err(suggest::unknown("key", key, &self.taken)),
            None => Ok(()),
        }
    }
}

/// What a key of a configuration may hold.
pub(crate) trait Setting: Sized {
    /// The value of `key`, or `default` where it is absent.
    fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: Self) -> Result<Self, Error>;

    /// As Keras writes it.
    fn write(&self) -> Value;
}

impl Setting for f32 {
    fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: f32) -> Result<f32, Error> {
        read.f32(key, default)
    }

    fn write(&self) -> Value {
        json!(self)
    }
}

impl Setting for bool {
    fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: bool) -> Result<bool, Error> {
        read.bool(key, default)
    }

    fn write(&self) -> Value {
        json!(self)
    }
}

/// None where it is null.
impl Setting for Option<f32> {
    fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: Option<f32>) -> Result<Option<f32>, Error> {
        Ok(read.parse(key, "a number", Value::as_f64)?.map(|x| x as f32).or(default))
    }

    fn write(&self) -> Value {
        json!(self)
    }
}

/// None where it is null.
impl Setting for Option<i32> {
    fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: Option<i32>) -> Result<Option<i32>, Error> {
        let parsed = read.parse(key, "a whole number", |v| v.as_i64().and_then(|x| i32::try_from(x).ok()))?;
        Ok(parsed.or(default))
    }

    fn write(&self) -> Value {
        json!(self)
    }
}

/// Axes of a tensor, counted from the first or, negative, from the last; Keras writes a number or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes(Vec<i64>);

impl From<i64> for Axes {
    fn from(axis: i64) -> Axes {
        Axes(vec![axis])
    }
}

impl<const N: usize> From<[i64; N]> for Axes {
    fn from(axes: [i64; N]) -> Axes {
        Axes(axes.to_vec())
    }
}

impl Axes {
    /// The axes of a tensor of `rank`, each once and in order.
    ///
    /// # Errors
    /// An axis that such a tensor does not have.
    pub fn of(&self, rank: usize) -> Result<Vec<usize>, Error> {
        let place = |axis: &i64| {
            let counted = if *axis < 0 { axis + rank as i64 } else { *axis };
            usize::try_from(counted)
                .ok()
                .filter(|i| *i < rank)
                .ok_or_else(|| Error::config(format!("axis = {axis} must be in [-{rank}, {rank})")))
        };
        let mut axes = self.0.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }
}

impl Setting for Axes {
    fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: Axes) -> Result<Axes, Error> {
        Ok(read.i64s(key)?.map_or(default, Axes))
    }

    fn write(&self) -> Value {
        match self.0.as_slice() {
            [axis] => json!(axis),
            axes => json!(axes),
        }
    }
}

/// None where it is null.
impl Setting for Option<Axes> {
    fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: Option<Axes>) -> Result<Option<Axes>, Error> {
        Ok(read.i64s(key)?.map(Axes).or(default))
    }

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, Axes::write)
    }
}

/// Inserts keys in the order given.
macro_rules! config {
    ($($key:literal: $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut config = $crate::config::Config::new();
        $(config.insert($key.to_string(), serde_json::json!($value));)*
        config
    }};
}
pub(crate) use config;
