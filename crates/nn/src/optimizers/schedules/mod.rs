//! Learning rates that follow the count of steps.
//!
//! A schedule is lowered into the training step as a function of the iteration state, so a training that goes on from a
//! file or a checkpoint needs nothing else. Its argument is the number of steps before this one, so the first step has
//! the initial rate.

mod cosine;
mod decay;
mod piecewise;

pub use cosine::{CosineDecay, CosineDecayRestarts};
pub use decay::{ExponentialDecay, InverseTimeDecay, PolynomialDecay};
pub use piecewise::PiecewiseConstantDecay;

use super::settings::NOT_NEGATIVE;
use crate::config::{self, Config, Key, Reader, shorten, within};
use crate::{Error, suggest};
use footlight_graph::{Builder, Graph, Type, Value};
use serde_json::{Value as Json, json};

/// The size of an optimizer's steps.
///
/// # Examples
/// ```
/// use footlight_nn::{CosineDecay, LearningRate};
/// assert_eq!(LearningRate::from(0.01).constant(), Some(0.01));
/// assert_eq!(LearningRate::from(CosineDecay::new(0.01, 1000)).constant(), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum LearningRate {
    /// A number, which callbacks may change.
    Constant(f32),
    /// A function of the count of steps.
    Schedule(Schedule),
}

impl LearningRate {
    /// The number, unless it follows a schedule.
    pub fn constant(&self) -> Option<f32> {
        match self {
            LearningRate::Constant(rate) => Some(*rate),
            LearningRate::Schedule(_) => None,
        }
    }

    /// The schedule, if it follows one.
    pub fn schedule(&self) -> Option<&Schedule> {
        match self {
            LearningRate::Constant(_) => None,
            LearningRate::Schedule(schedule) => Some(schedule),
        }
    }

    /// Complains of a rate or a setting out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` that names the key, its value and its range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            LearningRate::Constant(rate) => within("learning_rate", *rate, NOT_NEGATIVE)
                .map_err(|e| e.help("0.001 is a good start for Adam, 0.01 for SGD")),
            LearningRate::Schedule(schedule) => schedule.check().map_err(|e| e.in_key("learning_rate")),
        }
    }

    /// Records the rate after `step` steps, an f32 scalar.
    pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
        match self {
            LearningRate::Constant(rate) => g.constant(*rate),
            LearningRate::Schedule(schedule) => schedule.lower(g, step),
        }
    }

    pub(super) fn to_config(&self) -> Json {
        match self {
            LearningRate::Constant(rate) => json!(rate),
            LearningRate::Schedule(schedule) => schedule.to_config(),
        }
    }

    pub(super) fn from_config(value: &Json) -> Result<LearningRate, Error> {
        match value.as_f64() {
            Some(rate) => Ok(LearningRate::Constant(rate as f32)),
            None if value.is_object() => Ok(LearningRate::Schedule(Schedule::from_config(value)?)),
            None => {
                let message = format!("`learning_rate` = {}: expected a number or a schedule", shorten(value));
                Err(Error::config(message))
            }
        }
    }
}

impl From<f32> for LearningRate {
    fn from(rate: f32) -> LearningRate {
        LearningRate::Constant(rate)
    }
}

macro_rules! catalogue {
    ($($(#[$about:meta])* $schedule:ident),* $(,)?) => {
        /// A learning rate as a function of the count of steps.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Schedule {
            $($(#[$about])* $schedule($schedule)),*
        }

        impl Schedule {
            /// Keras' class names of all schedules.
            pub const CLASSES: &[&str] = &[$(stringify!($schedule)),*];

            /// Keras' class name, such as `CosineDecay`.
            pub fn class_name(&self) -> &'static str {
                match self { $(Schedule::$schedule(_) => stringify!($schedule)),* }
            }

            /// Complains of a setting out of range.
            ///
            /// # Errors
            /// `ErrorKind::Config` that names the schedule, the key, its value and its range.
            pub fn check(&self) -> Result<(), Error> {
                let checked = match self { $(Schedule::$schedule(schedule) => schedule.check()),* };
                checked.map_err(|e| e.at(format!("schedule `{}`", self.class_name())))
            }

            /// Records the rate after `step` steps; both are f32 scalars.
            pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
                match self { $(Schedule::$schedule(schedule) => schedule.lower(g, step)),* }
            }

            fn config(&self) -> Config {
                match self { $(Schedule::$schedule(schedule) => schedule.config()),* }
            }

            fn from_class(class: &str, read: &mut Reader<'_>) -> Result<Schedule, Error> {
                match class {
                    $(stringify!($schedule) => Ok($schedule::from_config(read)?.into()),)*
                    _ => Err(suggest::unknown("schedule", class, Schedule::CLASSES)),
                }
            }
        }

        $(impl From<$schedule> for Schedule {
            fn from(schedule: $schedule) -> Schedule {
                Schedule::$schedule(schedule)
            }
        }

        impl From<$schedule> for LearningRate {
            fn from(schedule: $schedule) -> LearningRate {
                LearningRate::Schedule(schedule.into())
            }
        })*
    };
}

catalogue! {
    /// Falls by a factor every so many steps.
    ExponentialDecay,
    /// Falls as one over the count of steps.
    InverseTimeDecay,
    /// A number for each stretch of steps.
    PiecewiseConstantDecay,
    /// Falls along a power of what is left.
    PolynomialDecay,
    /// Falls along half a cosine, after a linear rise if asked.
    CosineDecay,
    /// Falls along half a cosine again and again.
    CosineDecayRestarts,
}

impl Schedule {
    /// As Keras writes it.
    pub fn to_config(&self) -> Json {
        config::object("keras.optimizers.schedules", self.class_name(), self.config())
    }

    /// From what Keras writes.
    ///
    /// # Errors
    /// A class or key that is not known.
    pub fn from_config(value: &Json) -> Result<Schedule, Error> {
        let (class, config) = config::open(value)?;
        let place = |e: Error| e.at(format!("schedule `{class}`"));
        let mut read = Reader::new(&config);
        read.ignore(&["name"]);
        let schedule = Schedule::from_class(&class, &mut read).map_err(place)?;
        read.finish().map_err(place)?;
        Ok(schedule)
    }

    /// The keys of a class of schedules.
    pub fn keys(class: &str) -> Vec<Key> {
        config::keys_of(|read| Schedule::from_class(class, read).map(|schedule| schedule.config()))
    }

    /// The rate alone as a graph: input `step`, the count of steps before as f32; output `learning_rate`.
    ///
    /// # Errors
    /// None for settings that [`Schedule::check`] accepts.
    pub fn graph(&self) -> Result<Graph, Error> {
        let mut g = Builder::new();
        let step = g.input("step", Type::f32([]));
        let rate = self.lower(&mut g, step);
        g.output("learning_rate", rate);
        Ok(g.finish()?)
    }
}

/// A schedule: what it must be given, and its options with their defaults.
macro_rules! schedule {
    ($(#[$doc:meta])* $name:ident as $keras:literal;
     needs { $($field:ident: $ty:ty $(, $legal:expr)?;)* }
     options { $($(#[$about:meta])* $option:ident($given:ty): $kind:ty = $default:expr $(, $range:expr)?;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($field: $ty,)*
            $($option: $kind,)*
        }

        impl $name {
            /// The schedule with Keras' defaults for its options.
            pub fn new($($field: $ty),*) -> $name {
                $name { $($field,)* $($option: $default),* }
            }

            $($(#[$about])*
            #[allow(clippy::useless_conversion, reason = "some options may be left out")]
            pub fn $option(mut self, $option: $given) -> $name {
                self.$option = $option.into();
                self
            })*

            pub(super) fn from_config(read: &mut $crate::config::Reader<'_>) -> Result<$name, $crate::Error> {
                use $crate::config::{Setting, missing};
                $(let $field: $ty =
                    Setting::read(read, stringify!($field))?.ok_or_else(|| missing(stringify!($field)))?;)*
                #[allow(unused_mut)]
                let mut schedule = $name::new($($field),*);
                $(schedule.$option = Setting::read(read, stringify!($option))?.unwrap_or(schedule.$option);)*
                Ok(schedule)
            }

            pub(super) fn config(&self) -> $crate::Config {
                let mut config = $crate::Config::new();
                $(config.insert(stringify!($field).into(), serde_json::json!(self.$field));)*
                $(config.insert(stringify!($option).into(), serde_json::json!(self.$option));)*
                config.insert("name".into(), $keras.into());
                config
            }

            pub(super) fn check(&self) -> Result<(), $crate::Error> {
                $($($crate::config::within(stringify!($field), self.$field as f32, $legal)?;)?)*
                $($($crate::config::within(stringify!($option), self.$option as f32, $range)?;)?)*
                Ok(())
            }
        }
    };
}
use schedule;
