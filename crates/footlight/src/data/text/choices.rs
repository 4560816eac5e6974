//! What a text vectorization may be told, by Keras' names.

use footlight_nn::{Error as Fault, suggest};

/// A choice by Keras' names.
macro_rules! choice {
    ($(#[$doc:meta])* $choice:ident: $($(#[$about:meta])* $variant:ident = $name:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $choice {
            $($(#[$about])* $variant,)+
        }

        impl $choice {
            /// The name in descriptions and files.
            pub fn name(self) -> &'static str {
                match self {
                    $($choice::$variant => $name,)+
                }
            }

            pub(super) fn from_name(key: &str, name: &str) -> Result<$choice, Fault> {
                match name {
                    $($name => Ok($choice::$variant),)+
                    _ => Err(suggest::unknown(key, name, &[$($name),+]).in_key(key)),
                }
            }
        }
    };
}

choice! {
    /// What is done to a text before it is split.
    Standardize:
    /// Both of the following.
    LowerAndStripPunctuation = "lower_and_strip_punctuation",
    /// The letters A to Z become small ones; others stay as they are, as in Keras.
    Lower = "lower",
    /// ASCII punctuation is left out, also within words.
    StripPunctuation = "strip_punctuation",
    /// Nothing.
    None = "none",
}

choice! {
    /// What the tokens of a text are.
    Split:
    /// Words between ASCII whitespace.
    Whitespace = "whitespace",
    /// Each character.
    Character = "character",
}

choice! {
    /// An end of a sequence.
    End:
    /// The beginning.
    Pre = "pre",
    /// The end.
    Post = "post",
}
