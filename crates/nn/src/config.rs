//! Reading Keras' configurations: JSON objects of known keys.

use crate::{Custom, Error, Layer, layers, suggest};
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

/// An object of a class of one's own, as Keras writes what is registered under its default package.
pub(crate) fn custom_object(class_name: &str, config: Config) -> Value {
    let registered = format!("Custom>{class_name}");
    json!({ "module": null, "class_name": class_name, "config": config, "registered_name": registered })
}

/// Class name and configuration of a serialised object, which must be a built-in of Keras.
///
/// # Errors
/// Names what it is when it is a function of Python, a class of someone else, or no object.
pub fn open(value: &Value) -> Result<(String, Config), Error> {
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

/// Any number from 0 but an infinite one.
pub(crate) const NOT_NEGATIVE: (Bound<f32>, Bound<f32>) = (Bound::Included(0.0), Bound::Excluded(f32::INFINITY));

/// Any number above 0 but an infinite one.
pub(crate) const POSITIVE: (Bound<f32>, Bound<f32>) = (Bound::Excluded(0.0), Bound::Excluded(f32::INFINITY));

/// Refuses a number outside of its range, as NaN is outside of any.
///
/// # Errors
/// `ErrorKind::Config` that names the key, its value and its range.
pub fn within(key: &str, value: f32, legal: impl RangeBounds<f32>) -> Result<(), Error> {
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
    Err(Error::config(format!("{key} = {value} must be in {low}, {high}")).in_key(key))
}

/// The error for a key that has no default.
pub fn missing(key: &str) -> Error {
    Error::config(format!("`{key}` is missing")).in_key(key)
}

/// A key that a class understands.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The key, named as in Keras.
    pub name: String,
    /// What its value has to be.
    pub kind: KeyKind,
    /// Whether it has no default.
    pub is_required: bool,
    /// The value where it is left out; null for none.
    pub default: Value,
}

/// The keys that `read` asks for, learned by giving it nothing but what it demands; it answers the defaults.
pub fn keys_of(read: impl Fn(&mut Reader<'_>) -> Result<Config, Error>) -> Vec<Key> {
    let mut demanded = Config::new();
    loop {
        let given = demanded.clone();
        let mut reader = Reader::new(&given);
        match read(&mut reader) {
            Ok(defaults) => return reader.keys(&defaults),
            Err(error) => {
                let name = error.key().filter(|key| !given.contains_key(*key));
                let taken = name.and_then(|name| reader.taken.iter().find(|taken| taken.name == name));
                let Some(taken) = taken else { return reader.keys(&Config::new()) };
                demanded.insert(taken.name.into(), taken.kind.sample());
            }
        }
    }
}

/// Takes keys out of a configuration, and complains of those that nobody took.
pub struct Reader<'a> {
    config: &'a Config,
    taken: Vec<Taken<'a>>,
    custom: Custom,
}

/// A key that was asked for.
struct Taken<'a> {
    name: &'a str,
    kind: KeyKind,
    default: Value,
}

/// What the value of a key has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A number.
    Number,
    /// A whole number of at least 0.
    Count,
    /// A whole number.
    Integer,
    /// True or false.
    Flag,
    /// A text.
    Text,
    /// A whole number or a list of them.
    Integers,
    /// A number or a list of them.
    Numbers,
    /// A whole number, a list of them, or a list of pairs of them.
    Margins,
    /// A name or an object.
    Object,
    /// The object of a layer.
    Layer,
    /// The object of a cell of a recurrent layer.
    Cell,
    /// A number or the object of a learning-rate schedule.
    Rate,
    /// A key of Keras' files that may be there and changes nothing.
    Silent,
}

impl<'a> Reader<'a> {
    /// A reader of `config`.
    pub fn new(config: &'a Config) -> Reader<'a> {
        Reader { config, taken: Vec::new(), custom: Custom::new() }
    }

    /// The same, which also finds classes of one's own for layers within.
    pub(crate) fn knowing(mut self, custom: &Custom) -> Reader<'a> {
        self.custom = custom.clone();
        self
    }

    /// The value of `key`; `None` if it is absent or null.
    pub fn get(&mut self, key: &'a str) -> Option<&'a Value> {
        self.take(key, KeyKind::Object, Value::Null)
    }

    fn take(&mut self, key: &'a str, kind: KeyKind, default: Value) -> Option<&'a Value> {
        self.taken.push(Taken { name: key, kind, default });
        self.config.get(key).filter(|v| !v.is_null())
    }

    /// What `read` makes of the value of `key`, such as an initializer; `None` if it is absent or null.
    ///
    /// # Errors
    /// Those of `read`, which name the key.
    pub fn object<T>(&mut self, key: &'a str, read: impl Fn(&Value) -> Result<T, Error>) -> Result<Option<T>, Error> {
        self.object_of(key, KeyKind::Object, read)
    }

    /// As [`Reader::object`], of a kind that the schema knows.
    pub(crate) fn object_of<T>(
        &mut self,
        key: &'a str,
        kind: KeyKind,
        read: impl Fn(&Value) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let name = format!("`{key}`");
        let named = |e: Error| if e.message().starts_with(&name) { e } else { e.at(&name) };
        self.take(key, kind, Value::Null).map(read).transpose().map_err(|e| named(e).in_key(key))
    }

    /// A layer of any class; `None` if it is absent or null.
    pub(crate) fn layer(&mut self, key: &'a str) -> Result<Option<Box<dyn Layer>>, Error> {
        let custom = self.custom.clone();
        self.object_of(key, KeyKind::Layer, |value| layers::from_config_with(value, &custom))
    }

    /// What `read` makes of a learning rate, which is a number or a schedule; `None` if it is absent or null.
    pub(crate) fn rate<T>(
        &mut self,
        key: &'a str,
        read: impl Fn(&Value) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.object_of(key, KeyKind::Rate, read)
    }

    /// Whether the key is there, if only as null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.config.contains_key(key)
    }

    pub(crate) fn parse<T>(
        &mut self,
        key: &'a str,
        kind: KeyKind,
        f: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.parse_or(key, kind, Value::Null, f)
    }

    pub(crate) fn parse_or<T>(
        &mut self,
        key: &'a str,
        kind: KeyKind,
        default: Value,
        f: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.take(key, kind, default) else { return Ok(None) };
        let fault = || Error::config(format!("`{key}` = {}: expected {}", shorten(value), kind.name())).in_key(key);
        f(value).ok_or_else(fault).map(Some)
    }

    /// A number.
    ///
    /// # Errors
    /// Another type; so for all that follow.
    pub fn f32(&mut self, key: &'a str, default: f32) -> Result<f32, Error> {
        Ok(self.parse_or(key, KeyKind::Number, json!(default), Value::as_f64)?.map_or(default, |x| x as f32))
    }

    /// A number that may be left out.
    pub fn maybe_f32(&mut self, key: &'a str) -> Result<Option<f32>, Error> {
        self.parse(key, KeyKind::Number, single)
    }

    /// A number that has no default.
    pub(crate) fn required_f32(&mut self, key: &'a str) -> Result<f32, Error> {
        self.maybe_f32(key)?.ok_or_else(|| missing(key))
    }

    /// A number or a list of them.
    pub(crate) fn f32s(&mut self, key: &'a str) -> Result<Option<Vec<f32>>, Error> {
        self.parse(key, KeyKind::Numbers, |v| match v {
            Value::Array(list) => list.iter().map(single).collect(),
            one => single(one).map(|x| vec![x]),
        })
    }

    /// A number in double precision.
    pub fn f64(&mut self, key: &'a str, default: f64) -> Result<f64, Error> {
        Ok(self.parse_or(key, KeyKind::Number, json!(default), Value::as_f64)?.unwrap_or(default))
    }

    /// A number that may be left out.
    pub fn maybe_f64(&mut self, key: &'a str) -> Result<Option<f64>, Error> {
        self.parse(key, KeyKind::Number, Value::as_f64)
    }

    /// True or false.
    pub fn bool(&mut self, key: &'a str, default: bool) -> Result<bool, Error> {
        Ok(self.parse_or(key, KeyKind::Flag, json!(default), Value::as_bool)?.unwrap_or(default))
    }

    /// True or false, or left out.
    pub(crate) fn maybe_bool(&mut self, key: &'a str) -> Result<Option<bool>, Error> {
        self.parse(key, KeyKind::Flag, Value::as_bool)
    }

    /// A count, which Python may have computed as a float such as 1000.0.
    pub(crate) fn count(&mut self, key: &'a str) -> Result<Option<usize>, Error> {
        self.parse(key, KeyKind::Count, |v| {
            let x = v.as_f64().filter(|x| *x >= 0.0 && x.fract() == 0.0 && *x <= f64::from(u32::MAX))?;
            Some(x as usize)
        })
    }

    /// A whole number that may be left out.
    fn i32(&mut self, key: &'a str) -> Result<Option<i32>, Error> {
        self.parse(key, KeyKind::Integer, |v| v.as_i64().and_then(|x| i32::try_from(x).ok()))
    }

    /// A whole number of at least 0 that has no default.
    pub(crate) fn required_usize(&mut self, key: &'a str) -> Result<usize, Error> {
        self.usize(key)?.ok_or_else(|| missing(key))
    }

    /// A whole number of at least 0.
    pub fn usize(&mut self, key: &'a str) -> Result<Option<usize>, Error> {
        self.parse(key, KeyKind::Count, count)
    }

    /// A whole number of at least 0, with a default.
    pub fn usize_or(&mut self, key: &'a str, default: usize) -> Result<usize, Error> {
        Ok(self.parse_or(key, KeyKind::Count, json!(default), count)?.unwrap_or(default))
    }

    /// A whole number, with a default.
    pub(crate) fn i64_or(&mut self, key: &'a str, default: i64) -> Result<i64, Error> {
        Ok(self.parse_or(key, KeyKind::Integer, json!(default), Value::as_i64)?.unwrap_or(default))
    }

    /// A whole number or a list of them.
    pub fn i64s(&mut self, key: &'a str) -> Result<Option<Vec<i64>>, Error> {
        self.parse(key, KeyKind::Integers, |v| match v {
            Value::Array(list) => list.iter().map(Value::as_i64).collect(),
            one => one.as_i64().map(|x| vec![x]),
        })
    }

    /// The extents of a shape; one number stands for one axis.
    pub fn extents(&mut self, key: &'a str) -> Result<Option<Vec<usize>>, Error> {
        self.parse(key, KeyKind::Integers, |v| match v {
            Value::Array(list) => list.iter().map(count).collect(),
            one => count(one).map(|x| vec![x]),
        })
    }

    /// A text.
    pub fn string(&mut self, key: &'a str) -> Result<Option<String>, Error> {
        self.parse(key, KeyKind::Text, text)
    }

    /// A text, with a default.
    pub fn string_or(&mut self, key: &'a str, default: &str) -> Result<String, Error> {
        Ok(self.parse_or(key, KeyKind::Text, json!(default), text)?.unwrap_or_else(|| default.into()))
    }

    /// Ignores keys that do not change what is computed.
    pub fn ignore(&mut self, keys: &[&'a str]) {
        for key in keys {
            self.take(key, KeyKind::Silent, Value::Null);
        }
    }

    /// Refuses keys that would change what is computed, unless they are null.
    pub(crate) fn refuse(&mut self, keys: &[&'a str]) -> Result<(), Error> {
        for key in keys {
            if let Some(value) = self.take(key, KeyKind::Silent, Value::Null) {
                return Err(Error::config(format!("`{key}` = {} is not supported yet", shorten(value))).in_key(key));
            }
        }
        Ok(())
    }

    /// Refuses values of a key that would change what is computed, unless they are null or the one that changes nothing.
    ///
    /// # Errors
    /// Any other value.
    pub fn only(&mut self, key: &'a str, neutral: impl Into<Value>) -> Result<(), Error> {
        let neutral = neutral.into();
        let is_neutral = |value: &Value| *value == neutral || value.is_number() && value.as_f64() == neutral.as_f64();
        match self.take(key, KeyKind::Silent, Value::Null).filter(|value| !is_neutral(value)) {
            Some(value) => {
                let message = format!("`{key}` = {} is not supported yet, only {neutral}", shorten(value));
                Err(Error::config(message).in_key(key))
            }
            None => Ok(()),
        }
    }

    /// Refuses another element type than float32, which all is computed in; it is a name or a policy.
    pub(crate) fn dtype(&mut self) -> Result<(), Error> {
        let Some(value) = self.take("dtype", KeyKind::Silent, Value::Null) else { return Ok(()) };
        let name = value.pointer("/config/name").unwrap_or(value);
        if name == "float32" {
            return Ok(());
        }
        Err(Error::config(format!("`dtype` = {} is not supported yet, only float32", shorten(name)))
            .in_key("dtype")
            .help("save the model again with the dtype policy float32"))
    }

    /// The keys that were asked for, once each; those that are there had to be given.
    fn keys(&self, defaults: &Config) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for Taken { name, kind, default } in &self.taken {
            let is_required = self.config.contains_key(*name);
            let default = defaults.get(*name).unwrap_or(default);
            let default = if is_required { Value::Null } else { default.clone() };
            match keys.iter_mut().find(|key| key.name == *name) {
                Some(key) if key.kind == KeyKind::Object => key.kind = *kind,
                Some(_) => {}
                None => keys.push(Key { name: (*name).into(), kind: *kind, is_required, default }),
            }
        }
        keys.retain(|key| key.kind != KeyKind::Silent);
        keys
    }

    /// Complains of keys that nobody took.
    ///
    /// # Errors
    /// The first of them, with the nearest key and all.
    pub fn finish(self) -> Result<(), Error> {
        match self.config.keys().find(|key| !self.taken.iter().any(|taken| taken.name == key.as_str())) {
            Some(key) => {
                let legal = self.keys(&Config::new());
                let legal: Vec<&str> = legal.iter().map(|key| key.name.as_str()).collect();
                Err(suggest::unknown("key", key, &legal).in_key(key))
            }
            None => Ok(()),
        }
    }
}

fn single(value: &Value) -> Option<f32> {
    value.as_f64().map(|x| x as f32)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_string)
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|x| usize::try_from(x).ok())
}

impl KeyKind {
    /// A value of this kind.
    pub fn sample(self) -> Value {
        match self {
            KeyKind::Number | KeyKind::Count | KeyKind::Integer | KeyKind::Rate => json!(1),
            KeyKind::Flag => json!(true),
            KeyKind::Text | KeyKind::Object | KeyKind::Silent => json!("linear"),
            KeyKind::Layer => json!({ "class_name": "GRU", "config": { "units": 1 } }),
            KeyKind::Cell => json!({ "class_name": "GRUCell", "config": { "units": 1 } }),
            KeyKind::Integers | KeyKind::Numbers => json!([1]),
            KeyKind::Margins => json!(1),
        }
    }

    fn name(self) -> &'static str {
        match self {
            KeyKind::Number => "a number",
            KeyKind::Count | KeyKind::Integer => "a whole number",
            KeyKind::Flag => "true or false",
            KeyKind::Text => "a text",
            KeyKind::Integers => "a whole number or a list of them",
            KeyKind::Numbers => "a number or a list of them",
            KeyKind::Margins => "a whole number, a list of them or a list of pairs",
            KeyKind::Object | KeyKind::Silent => "a name or an object",
            KeyKind::Layer => "the object of a layer",
            KeyKind::Cell => "the object of a cell",
            KeyKind::Rate => "a number or a schedule",
        }
    }
}

/// What a key of a configuration may hold.
pub(crate) trait Setting: Sized {
    /// The value of `key`; `None` where the default holds.
    fn read<'a>(read: &mut Reader<'a>, key: &'a str) -> Result<Option<Self>, Error>;

    /// As Keras writes it.
    fn write(&self) -> Value;
}

/// Implements [`Setting`] by a method of [`Reader`].
macro_rules! setting {
    ($($ty:ty: $read:ident;)*) => {
        $(impl Setting for $ty {
            fn read<'a>(read: &mut Reader<'a>, key: &'a str) -> Result<Option<$ty>, Error> {
                read.$read(key)
            }

            fn write(&self) -> Value {
                json!(self)
            }
        })*
    };
}

setting! {
    f32: maybe_f32;
    bool: maybe_bool;
    i32: i32;
    usize: count;
}

/// None where it is absent or null.
impl<T: Setting> Setting for Option<T> {
    fn read<'a>(read: &mut Reader<'a>, key: &'a str) -> Result<Option<Option<T>>, Error> {
        T::read(read, key).map(Some)
    }

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::write)
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
    /// The axes of the key `axis`, the last unless written.
    pub(crate) fn read_or_last(read: &mut Reader<'_>) -> Result<Axes, Error> {
        Ok(Axes::read(read, "axis")?.unwrap_or(Axes::from(-1)))
    }

    /// The axis of the key `axis`, of which there is one, the last unless written.
    pub(crate) fn read_one(read: &mut Reader<'_>) -> Result<Axes, Error> {
        let axes = Axes::read_or_last(read)?;
        match axes.0.len() {
            1 => Ok(axes),
            _ => Err(Error::config(format!("axis = {:?} must be one axis", axes.0)).in_key("axis")),
        }
    }

    /// As they were given.
    pub(crate) fn list(&self) -> &[i64] {
        &self.0
    }

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
    fn read<'a>(read: &mut Reader<'a>, key: &'a str) -> Result<Option<Axes>, Error> {
        Ok(read.i64s(key)?.map(Axes))
    }

    fn write(&self) -> Value {
        match self.0.as_slice() {
            [axis] => json!(axis),
            axes => json!(axes),
        }
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
