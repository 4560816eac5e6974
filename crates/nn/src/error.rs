//! The one error of this crate.

use std::fmt;

/// What kind of thing went wrong; stable, to be matched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes that do not fit each other.
    Shape,
    /// A setting that is unknown or out of range.
    Config,
    /// A gradient that cannot be had.
    Gradient,
    /// Bytes that do not hold what their format promises.
    File,
    /// A graph or plan that breaks its own law.
    Invalid,
}

impl ErrorKind {
    /// The stable name printed in `error[...]`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Shape => "shape",
            ErrorKind::Config => "config",
            ErrorKind::Gradient => "gradient",
            ErrorKind::File => "file",
            ErrorKind::Invalid => "invalid",
        }
    }
}

/// A fault in a model's description, with all the lines a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    key: Option<String>,
    found: Option<Box<Found>>,
}

/// Where a fault was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    layer: Option<String>,
    parts: Vec<Error>,
}

impl Error {
    /// An error of `kind`; `message` says where and what.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), help: None, key: None, found: None }
    }

    /// An error in a setting.
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, message)
    }

    /// Adds the one next step to take.
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.help = Some(help.into());
        self
    }

    /// Puts a place before the message.
    pub fn at(mut self, place: impl fmt::Display) -> Error {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Says which layer is at fault, and puts it before the message.
    pub(crate) fn at_layer(self, name: &str, class: &str) -> Error {
        let found = Some(Box::new(Found { layer: Some(name.into()), parts: vec![] }));
        Error { found, ..self.at(format!("layer `{name}` ({class})")) }
    }

    /// Says which key of a configuration is at fault; of one that stands in another, `kernel_initializer.scale`.
    pub fn in_key(mut self, key: &str) -> Error {
        self.key = Some(self.key.map_or_else(|| key.into(), |inner| format!("{key}.{inner}")));
        self
    }

    /// All faults as one, of the kind of the first; of more than ten only the number is told.
    pub(crate) fn together(mut faults: Vec<Error>) -> Error {
        const SHOWN: usize = 10;
        if faults.len() == 1 {
            return faults.remove(0);
        }
        let mut told: Vec<String> = faults.iter().take(SHOWN).map(|fault| fault.message.clone()).collect();
        if faults.len() > SHOWN {
            told.push(format!("and {} more", faults.len() - SHOWN));
        }
        let (kind, help) = (faults[0].kind, faults.iter().find_map(|fault| fault.help.clone()));
        let found = Some(Box::new(Found { layer: None, parts: faults }));
        Error { help, found, ..Error::new(kind, told.join("\n")) }
    }

    /// Nothing if there are no faults, else all as one.
    pub(crate) fn none_of(faults: Vec<Error>) -> Result<(), Error> {
        if faults.is_empty() { Ok(()) } else { Err(Error::together(faults)) }
    }

    /// The stable kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without kind and help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The key of a configuration that is at fault, if one is; keys of nested configurations stand behind a dot.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The name of the layer that is at fault, if one of a model is.
    pub fn layer(&self) -> Option<&str> {
        self.found.as_ref()?.layer.as_deref()
    }

    /// The faults that this one tells together; itself if it is one.
    pub fn parts(&self) -> &[Error] {
        match &self.found {
            Some(found) if !found.parts.is_empty() => &found.parts,
            _ => std::slice::from_ref(self),
        }
    }

    /// The next step, if one is known.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<footlight_graph::Error> for Error {
    fn from(error: footlight_graph::Error) -> Error {
        let kind = match error.kind() {
            footlight_graph::ErrorKind::Shape | footlight_graph::ErrorKind::DType => ErrorKind::Shape,
            footlight_graph::ErrorKind::Gradient => ErrorKind::Gradient,
            _ => ErrorKind::Invalid,
        };
        Error::new(kind, error.to_string())
    }
}

impl From<footlight_tensor::Error> for Error {
    fn from(error: footlight_tensor::Error) -> Error {
        let kind = match error.kind() {
            footlight_tensor::ErrorKind::File => ErrorKind::File,
            _ => ErrorKind::Shape,
        };
        Error { help: error.help_text().map(Into::into), ..Error::new(kind, error.message()) }
    }
}
