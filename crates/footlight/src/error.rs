//! The one error of this crate.

use std::fmt;

/// What kind of thing went wrong; stable, to be matched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file that cannot be read, or does not hold what its format promises.
    File,
    /// Samples that do not fit together: lengths, shapes, label ranges.
    Data,
    /// A set that cannot be downloaded.
    Network,
    /// A request that names nothing, or a setting that is unknown or out of range.
    Config,
    /// Shapes that do not fit each other.
    Shape,
    /// A gradient that cannot be had.
    Gradient,
    /// Numbers that are not finite.
    Numeric,
    /// A training that was asked to end.
    Interrupted,
    /// Something asked for too early, or a stage that broke its own law.
    Invalid,
}

impl ErrorKind {
    /// The stable name printed in `error[...]`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::File => "file",
            ErrorKind::Data => "data",
            ErrorKind::Network => "network",
            ErrorKind::Config => "config",
            ErrorKind::Shape => "shape",
            ErrorKind::Gradient => "gradient",
            ErrorKind::Numeric => "numeric",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::Invalid => "invalid",
        }
    }
}

/// What could not be done, with all the lines a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
}

impl Error {
    /// An error of `kind`; `message` says where and what, further lines what was expected and what arrived.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), help: None }
    }

    /// Adds the one next step to take.
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.help = Some(help.into());
        self
    }

    /// Puts `place` (a file, a set) before the message.
    pub fn at(mut self, place: impl fmt::Display) -> Error {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The stable kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without kind and help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The next step, if one is known.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<footlight_tensor::Error> for Error {
    /// Faults in bytes are file errors, faults in shapes and types are data errors.
    fn from(error: footlight_tensor::Error) -> Error {
        let kind = match error.kind() {
            footlight_tensor::ErrorKind::File => ErrorKind::File,
            _ => ErrorKind::Data,
        };
        Error { kind, message: error.message().to_owned(), help: error.help_text().map(str::to_owned) }
    }
}

impl From<footlight_nn::Error> for Error {
    fn from(error: footlight_nn::Error) -> Error {
        let kind = match error.kind() {
            footlight_nn::ErrorKind::Shape => ErrorKind::Shape,
            footlight_nn::ErrorKind::Config => ErrorKind::Config,
            footlight_nn::ErrorKind::Gradient => ErrorKind::Gradient,
            footlight_nn::ErrorKind::File => ErrorKind::File,
            _ => ErrorKind::Invalid,
        };
        Error { kind, message: error.message().into(), help: error.help_text().map(Into::into) }
    }
}

impl From<footlight_graph::Error> for Error {
    fn from(error: footlight_graph::Error) -> Error {
        footlight_nn::Error::from(error).into()
    }
}
