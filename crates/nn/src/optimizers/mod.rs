//! How parameters move.

mod adafactor;
mod adagrad;
mod adam;
mod common;
mod ftrl;
mod lion;
mod rmsprop;
pub mod schedules;
mod settings;
mod sgd;
mod step;

pub use adafactor::Adafactor;
pub use adagrad::{Adadelta, Adagrad, Adamax};
pub use adam::{Adam, AdamW, Lamb, LazyAdam, Nadam};
pub use common::Common;
pub use ftrl::Ftrl;
pub use lion::Lion;
pub use rmsprop::RMSprop;
pub use schedules::LearningRate;
pub use sgd::SGD;
pub(crate) use step::{LEARNING_RATE, SCOPE, average_of};
pub use step::{State, Trained, iteration, states, step};

use crate::config::{self, Config, Key, Reader};
use crate::{Custom, Error, suggest};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};
use std::fmt;

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
    /// The states of [`Optimizer::shared`] as the step begins.
    pub shared: Vec<Value>,
    /// What they become; written by [`Optimizer::prepare`].
    pub next_shared: Vec<Value>,
}

/// Turns gradients into the next parameters.
///
/// An optimizer of one's own holds its [`Common`] settings, which see to clipping, decay and running means, and says what
/// one parameter becomes.
///
/// # Examples
/// ```
/// use footlight_graph::{Value, ops::Unary};
/// use footlight_nn::optimizers::{Common, Optimizer, Parameter, Update};
/// /// `w -= lr sign(g)`.
/// #[derive(Clone, Debug)]
/// struct SignDescent {
///     common: Common,
/// }
/// impl Optimizer for SignDescent {
///     fn common(&self) -> &Common {
///         &self.common
///     }
///     fn common_mut(&mut self) -> &mut Common {
///         &mut self.common
///     }
///     fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
///         let sign = cx.graph.unary(Unary::Sign, p.gradient);
///         let step = cx.graph.mul(cx.learning_rate, sign);
///         (cx.graph.sub(p.value, step), vec![])
///     }
/// }
/// assert_eq!(SignDescent { common: Common::new(0.01) }.class_name(), "SignDescent");
/// ```
pub trait Optimizer: CloneOptimizer + fmt::Debug + Send + Sync {
    /// Keras' class name, such as `Adam`; that of the type unless written.
    fn class_name(&self) -> &'static str {
        crate::naming::of_type::<Self>()
    }

    /// The settings every optimizer has.
    fn common(&self) -> &Common;

    /// The settings every optimizer has, to be changed.
    fn common_mut(&mut self) -> &mut Common;

    /// Keras' keys of this class beside the common ones; none unless written.
    fn config(&self) -> Config {
        Config::new()
    }

    /// Starts with another learning rate, in place of a schedule if there was one.
    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.common_mut().learning_rate = learning_rate.into();
    }

    /// The names of the slots of one parameter, in the groups in which they stand in Keras' files: first those of the first
    /// group of every parameter, one parameter after another, then those of the next group; none unless written.
    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        Vec::new()
    }

    /// The names of the slots of one parameter.
    fn slots(&self) -> Vec<&'static str> {
        self.slot_groups().concat()
    }

    /// The shape of a slot, and the value it begins with, for a parameter of `shape`.
    fn slot(&self, _name: &str, shape: &[usize]) -> (Vec<usize>, f32) {
        (shape.to_vec(), 0.0)
    }

    /// The numbers that are kept for all parameters together, and what they begin with.
    fn shared(&self) -> Vec<(&'static str, f32)> {
        Vec::new()
    }

    /// Records what is computed once for all parameters; the answer is given to each [`Optimizer::update`].
    fn prepare(&self, _update: &mut Update<'_>) -> Vec<Value> {
        Vec::new()
    }

    /// Records the next parameter and slots.
    fn update(&self, cx: &mut Update<'_>, prepared: &[Value], parameter: &Parameter) -> (Value, Vec<Value>);

    /// Complains of a setting out of range; of the common ones unless written.
    ///
    /// # Errors
    /// `ErrorKind::Config` that names the key, its value and its range.
    fn check(&self) -> Result<(), Error> {
        self.common().check()
    }
}

/// Copies an optimizer whose type is not known; every optimizer that can be cloned has it.
pub trait CloneOptimizer {
    /// A copy.
    fn clone_box(&self) -> Box<dyn Optimizer>;
}

impl<O: Optimizer + Clone + 'static> CloneOptimizer for O {
    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }
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
    };
}

catalogue! {
    "sgd", "SGD" => SGD,
    "rmsprop", "RMSprop" => RMSprop,
    "adam", "Adam" => Adam,
    "adamw", "AdamW" => AdamW,
    "adadelta", "Adadelta" => Adadelta,
    "adagrad", "Adagrad" => Adagrad,
    "adamax", "Adamax" => Adamax,
    "adafactor", "Adafactor" => Adafactor,
    "nadam", "Nadam" => Nadam,
    "ftrl", "Ftrl" => Ftrl,
    "lion", "Lion" => Lion,
    "lamb", "Lamb" => Lamb,
    "lazyadam", "LazyAdam" => LazyAdam,
}

/// `old + (new - old)(1 - decay)`.
fn moved(g: &mut Builder, old: Value, new: Value, decay: f32) -> Value {
    let difference = g.sub(new, old);
    let part = g.mul_scalar(difference, 1.0 - decay);
    g.add(old, part)
}

/// `decay old + (1 - decay) new`.
fn running_mean(g: &mut Builder, decay: f32, old: Value, new: Value) -> Value {
    let kept = g.mul_scalar(old, decay);
    let added = g.mul_scalar(new, 1.0 - decay);
    g.add(kept, added)
}

/// `sqrt(x + epsilon)`.
fn stable_root(g: &mut Builder, x: Value, epsilon: f32) -> Value {
    let sum = g.add_scalar(x, epsilon);
    g.unary(Unary::Sqrt, sum)
}

/// `1 - beta^t`.
fn bias_correction(g: &mut Builder, beta: f32, step: Value) -> Value {
    let beta = g.constant(beta);
    let power = g.binary(Binary::Pow, beta, step);
    g.scalar_sub(1.0, power)
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

impl<O: Optimizer + 'static> From<O> for OptimizerChoice {
    fn from(optimizer: O) -> OptimizerChoice {
        OptimizerChoice(Ok(Box::new(optimizer)))
    }
}

impl From<Box<dyn Optimizer>> for OptimizerChoice {
    fn from(optimizer: Box<dyn Optimizer>) -> OptimizerChoice {
        OptimizerChoice(Ok(optimizer))
    }
}

/// An optimizer as Keras writes it.
pub fn to_config(optimizer: &dyn Optimizer) -> serde_json::Value {
    let mut config = optimizer.common().to_config(optimizer.class_name());
    config.extend(optimizer.config());
    match optimizer.class_name() {
        class if CLASSES.contains(&class) => config::object("keras.optimizers", class, config),
        class => config::custom_object(class, config),
    }
}

/// An optimizer from what Keras writes: an object, or a name.
///
/// # Errors
/// A class or key that is not known.
pub fn from_config(value: &serde_json::Value) -> Result<Box<dyn Optimizer>, Error> {
    from_config_with(value, &Custom::new())
}

/// As [`from_config`], with optimizers of one's own.
///
/// # Errors
/// A class or key that is not known.
pub fn from_config_with(value: &serde_json::Value, custom: &Custom) -> Result<Box<dyn Optimizer>, Error> {
    if let Some(found) = custom.find_optimizer(value) {
        return found.made(|read, config| with_common(read(config)?, config));
    }
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
    with_common(from_class(class, read)?, read)
}

/// The optimizer with the settings that every optimizer has.
fn with_common(mut optimizer: Box<dyn Optimizer>, read: &mut Reader<'_>) -> Result<Box<dyn Optimizer>, Error> {
    optimizer.common_mut().read(read)?;
    Ok(optimizer)
}

/// The keys of a class of optimizers.
pub fn keys(class: &str) -> Vec<Key> {
    config::keys_of(|reader| {
        let made = to_config(read(class, reader)?.as_ref());
        Ok(made["config"].as_object().cloned().unwrap_or_default())
    })
}
