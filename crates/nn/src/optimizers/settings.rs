//! The settings of optimizers and schedules, each defined once: field, default, range, builder method, key in files.

use std::ops::{Range, RangeInclusive};

/// Numbers of at least 0 that are finite.
pub(super) const NOT_NEGATIVE: Range<f32> = 0.0..f32::INFINITY;

/// Counts of steps.
pub(super) const AT_LEAST_ONE: Range<f32> = 1.0..f32::INFINITY;

/// Decays of running means; at 1 a mean would never move.
pub(super) const DECAY: Range<f32> = 0.0..1.0;

/// Parts of a whole.
pub(super) const FRACTION: RangeInclusive<f32> = 0.0..=1.0;

/// An optimizer: its settings beside the common ones, with defaults and ranges.
macro_rules! optimizer {
    ($(#[$doc:meta])* $name:ident { learning_rate = $rate:literal, $(weight_decay = $decay:literal,)? }
     $($(#[$about:meta])* $field:ident: $ty:ty = $default:expr $(, $legal:expr)?;)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            common: $crate::optimizers::Common,
            $($field: $ty,)*
        }

        impl Default for $name {
            fn default() -> $name {
                #[allow(unused_mut)]
                let mut common = $crate::optimizers::Common::new($rate);
                $(common.weight_decay = Some($decay);)?
                $name { common, $($field: $default),* }
            }
        }

        impl $name {
            /// The optimizer with Keras' defaults.
            pub fn new() -> $name {
                $name::default()
            }

            $($(#[$about])*
            pub fn $field(mut self, $field: $ty) -> $name {
                self.$field = $field;
                self
            })*

            #[allow(unused_variables)]
            pub(super) fn from_config(read: &mut $crate::config::Reader<'_>) -> Result<$name, $crate::Error> {
                let default = $name::default();
                $(let $field = $crate::config::Setting::read(read, stringify!($field))?;)*
                Ok($name { common: default.common, $($field: $field.unwrap_or(default.$field)),* })
            }

            fn settings(&self) -> $crate::Config {
                #[allow(unused_mut)]
                let mut config = $crate::Config::new();
                $(config.insert(stringify!($field).into(), serde_json::json!(self.$field));)*
                config
            }

            fn check_settings(&self) -> Result<(), $crate::Error> {
                $($($crate::config::within(stringify!($field), self.$field, $legal)?;)?)*
                Ok(())
            }
        }

        $crate::optimizers::common::common_methods!($name);
    };
}
pub(super) use optimizer;

/// The methods of [`Optimizer`](super::Optimizer) that are the same for all that [`optimizer`] defines.
macro_rules! optimizer_basics {
    ($name:ident) => {
        fn class_name(&self) -> &'static str {
            stringify!($name)
        }
        fn common(&self) -> &$crate::optimizers::Common {
            &self.common
        }
        fn common_mut(&mut self) -> &mut $crate::optimizers::Common {
            &mut self.common
        }
        fn config(&self) -> $crate::Config {
            self.settings()
        }
        fn check(&self) -> Result<(), $crate::Error> {
            self.common.check()?;
            self.check_settings()
        }
    };
}
pub(super) use optimizer_basics;
