//! Enums of what has a name and settings in Keras: each variant with its names and the defaults of its settings, once.

/// An enum whose variants have names, the first of which is written, and settings with defaults.
///
/// From one list come the variants, `spellings`, `all`, `settings`, `read_settings` and `From<&str>`.
macro_rules! vocabulary {
    (
        $(#[$meta:meta])*
        $enum:ident: $what:literal $(or $custom:ident($custom_type:ty))? {
            $(
                $(#[$doc:meta])*
                $variant:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),+ $(,)? })?
                    = $name:literal $(| $alias:literal)*;
            )*
        }
    ) => {
        $(#[$meta])*
        pub enum $enum {
            $($(#[$doc])* $variant $({ $($(#[$field_doc])* $field: $type),+ })?,)*
            $(
                /// One of one's own.
                $custom($custom_type),
            )?
            /// A name that was given as text and is not known; reported when the model is built or compiled.
            Unknown(String),
        }

        impl $enum {
            /// The names of every variant.
            const SPELLINGS: &'static [&'static [&'static str]] = &[$(&[$name $(, $alias)*]),*];

            /// Every one that has a name, with Keras' defaults.
            fn defaults() -> Vec<$enum> {
                vec![$($enum::$variant $({ $($field: $default),+ })?),*]
            }

            /// The names, the one that is written first; one for an unknown.
            fn spellings(&self) -> Vec<&str> {
                match self {
                    $($enum::$variant { .. } => vec![$name $(, $alias)*],)*
                    $($enum::$custom(custom) => vec![custom.class_name()],)?
                    $enum::Unknown(name) => vec![name],
                }
            }

            /// Keras' keys.
            pub(crate) fn settings(&self) -> $crate::Config {
                #[allow(unused_mut)]
                let mut config = $crate::Config::new();
                match self {
                    $($enum::$variant $({ $($field),+ })? => {
                        $($(config.insert(stringify!($field).into(), $crate::config::Setting::write($field));)+)?
                    })*
                    $($enum::$custom(custom) => config.extend(custom.settings()),)?
                    $enum::Unknown(_) => {}
                }
                config
            }

            /// The one of a name by the keys of `settings`; absent ones have Keras' defaults.
            pub(crate) fn read_settings(
                name: &str,
                read: &mut $crate::config::Reader<'_>,
            ) -> Result<$enum, $crate::Error> {
                let _ = &read;
                match name {
                    $($name $(| $alias)* => Ok($enum::$variant $({
                        $($field: $crate::config::Setting::read(read, stringify!($field))?.unwrap_or($default)),+
                    })?),)*
                    other => Err($crate::suggest::unknown($what, other, &$enum::known())),
                }
            }
        }

        impl From<&str> for $enum {
            fn from(name: &str) -> $enum {
                let position = $enum::SPELLINGS.iter().position(|names| names.contains(&name));
                position.map_or_else(|| $enum::Unknown(name.into()), |i| $enum::defaults().swap_remove(i))
            }
        }
    };
}
pub(crate) use vocabulary;
