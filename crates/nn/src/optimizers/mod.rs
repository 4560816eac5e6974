//! How parameters move.

mod adam;
mod rmsprop;
mod sgd;

pub use adam::{Adam, AdamW};
pub use rmsprop::RMSprop;
pub use sgd::SGD;

use crate::config::{self, Config, Key, Reader, within};
use crate::{Error, suggest};
use footlight_graph::{Builder, Value};
use serde_json::json;
use std::fmt;
use std::ops::{Range, RangeInclusive};

/// What an optimizer is given of one parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The parameter as the step begins.
    pub value: Value,
    /// The gradient of the loss by it.
    pub gradient: Value,
    /// The slots as the step begins, in the order of [`Optimizer::slots`].
    pub slots: Vec<Value>,
}

/// What all parameters share in one step.
pub struct Update<'a> {
    /// Records ops.
    pub graph: &'a mut Builder,
    /// The learning rate, an f32 scalar.
    pub learning_rate: Value,
    /// The number of this update, counted from 1, an f32 scalar.
    pub step: Value,
}

/// Turns gradients into the next parameters.
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// Keras' class name, such as `Adam`.
    fn class_name(&self) -> &'static str;

    /// Keras' keys of this class beside the common ones.
    fn config(&self) -> Config;

    /// The learning rate it starts with.
    fn learning_rate(&self) -> f32;

    /// Starts with another learning rate.
    fn set_learning_rate(&mut self, learning_rate: f32);

    /// The decoupled weight decay, if there is one.
    fn weight_decay(&self) -> Option<f32> {
        None
    }

    /// The names of the slots of one parameter, in the groups in which they stand in Keras' files: first those of the first
    /// group of every parameter, one parameter after another, then those of the next group.
    fn slot_groups(&self) -> Vec<Vec<&'static str>>;

    /// The names of the slots of one parameter.
    fn slots(&self) -> Vec<&'static str> {
        self.slot_groups().concat()
    }

    /// Records what all parameters share; the answer is given to each [`Optimizer::update`].
    fn prepare(&self, _update: &mut Update<'_>) -> Option<Value> {
        None
    }

    /// Records the next parameter and slots.
    fn update(&self, cx: &mut Update<'_>, shared: Option<Value>, parameter: &Parameter) -> (Value, Vec<Value>);

    /// Complains of a setting out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` that names the key, its value and its range.
    fn check(&self) -> Result<(), Error>;

    /// A copy.
    fn clone_box(&self) -> Box<dyn Optimizer>;
}

impl Clone for Box<dyn Optimizer> {
    fn clone(&self) -> Box<dyn Optimizer> {
        self.clone_box()
    }
}

macro_rules! catalogue {
    ($($name:literal, $class:literal => $optimizer:ident),* $(,)?) => {
        /// Keras' class names of all optimizers.
        pub const CLASSES: &[&str] = &[$($class),*];

        /// The names of all optimizers.
        pub const NAMES: &[&str] = &[$($name),*];

        /// An optimizer with its defaults, by Keras' name or class.
        ///
        /// # Errors
        /// `ErrorKind::Config` with the nearest name and all of them.
        pub fn from_name(name: &str) -> Result<Box<dyn Optimizer>, Error> {
            match name.to_lowercase().as_str() {
                $($name => Ok(Box::new($optimizer::new())),)*
                _ => Err(suggest::unknown("optimizer", name, NAMES)),
            }
        }

        fn from_class(class: &str, read: &mut Reader<'_>) -> Result<Box<dyn Optimizer>, Error> {
            match class {
                $($class => Ok(Box::new($optimizer::from_config(read)?)),)*
                _ => Err(suggest::unknown("optimizer", class, CLASSES)),
            }
        }

        $(impl From<$optimizer> for OptimizerChoice {
            fn from(optimizer: $optimizer) -> OptimizerChoice {
                OptimizerChoice(Ok(Box::new(optimizer)))
            }
        })*
    };
}

catalogue! {
    "sgd", "SGD" => SGD,
    "rmsprop", "RMSprop" => RMSprop,
    "adam", "Adam" => Adam,
    "adamw", "AdamW" => AdamW,
}

/// Numbers of at least 0 that are finite.
const NOT_NEGATIVE: Range<f32> = 0.0..f32::INFINITY;

/// Decays of running means; at 1 a mean would never move.
const DECAY: Range<f32> = 0.0..1.0;

/// How much of a move may stay for the next.
const MOMENTUM: RangeInclusive<f32> = 0.0..=1.0;

/// Refuses a learning rate that is out of its range.
fn check_learning_rate(rate: f32) -> Result<(), Error> {
    within("learning_rate", rate, NOT_NEGATIVE).map_err(|e| e.help("0.001 is a good start for Adam, 0.01 for SGD"))
}

/// An optimizer by value or by name; a name that is not known is reported when the model is compiled.
#[derive(Debug)]
pub struct OptimizerChoice(Result<Box<dyn Optimizer>, Error>);

impl OptimizerChoice {
    /// The optimizer.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn resolve(self) -> Result<Box<dyn Optimizer>, Error> {
        self.0
    }
}

impl From<&str> for OptimizerChoice {
    fn from(name: &str) -> OptimizerChoice {
        OptimizerChoice(from_name(name))
    }
}

impl From<Box<dyn Optimizer>> for OptimizerChoice {
    fn from(optimizer: Box<dyn Optimizer>) -> OptimizerChoice {
        OptimizerChoice(Ok(optimizer))
    }
}

/// Keys of every optimizer that change nothing at their usual values, with these values.
fn common(class: &str) -> [(&'static str, serde_json::Value); 9] {
    [
        ("name", crate::to_snake_case(class).into()),
        ("clipnorm", json!(null)),
        ("global_clipnorm", json!(null)),
        ("clipvalue", json!(null)),
        ("use_ema", json!(false)),
        ("ema_momentum", json!(0.99)),
        ("ema_overwrite_frequency", json!(null)),
        ("loss_scale_factor", json!(null)),
        ("gradient_accumulation_steps", json!(null)),
    ]
}

/// An optimizer as Keras writes it.
pub fn to_config(optimizer: &dyn Optimizer) -> serde_json::Value {
    let mut config = Config::new();
    let common = common(optimizer.class_name());
    config.insert("name".into(), common[0].1.clone());
    config.insert("learning_rate".into(), json!(optimizer.learning_rate()));
    config.insert("weight_decay".into(), json!(optimizer.weight_decay()));
    config.extend(common.into_iter().skip(1).map(|(key, value)| (key.to_string(), value)));
    config.extend(optimizer.config());
    config::object("keras.optimizers", optimizer.class_name(), config)
}

/// An optimizer from what Keras writes: an object, or a name.
///
/// # Errors
/// A class or key that is not known, or a setting that is not supported yet.
pub fn from_config(value: &serde_json::Value) -> Result<Box<dyn Optimizer>, Error> {
    if let Some(name) = value.as_str() {
        return from_name(name);
    }
    let (class, config) = config::open(value)?;
    let place = |e: Error| e.at(format!("optimizer `{class}`"));
    let mut reader = Reader::new(&config);
    let optimizer = read(&class, &mut reader).map_err(place)?;
    reader.finish().map_err(place)?;
    Ok(optimizer)
}

fn read(class: &str, read: &mut Reader<'_>) -> Result<Box<dyn Optimizer>, Error> {
    if read.get("learning_rate").is_some_and(serde_json::Value::is_object) {
        return Err(Error::config("a learning rate schedule is not supported yet").in_key("learning_rate"));
    }
    read.ignore(&["name", "ema_momentum", "ema_overwrite_frequency", "is_legacy_optimizer", "jit_compile"]);
    let mut optimizer = from_class(class, read)?;
    let learning_rate = read.f32("learning_rate", optimizer.learning_rate())?;
    optimizer.set_learning_rate(learning_rate);
    if optimizer.weight_decay().is_none() {
        read.refuse(&["weight_decay"])?;
    }
    let unsupported = ["clipnorm", "global_clipnorm", "clipvalue", "loss_scale_factor", "gradient_accumulation_steps"];
    read.refuse(&unsupported)?;
    read.only("use_ema", false)?;
    Ok(optimizer)
}

/// The keys of a class of optimizers.
pub fn keys(class: &str) -> Vec<Key> {
    config::keys_of(|reader| {
        let made = to_config(read(class, reader)?.as_ref());
        Ok(made["config"].as_object().cloned().unwrap_or_default())
    })
}
