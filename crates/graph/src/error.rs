//! Faults found while a graph is made.

use std::fmt;

/// What kind of thing went wrong; stable, to be matched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes that do not fit each other.
    Shape,
    /// Element types that do not fit an op.
    DType,
    /// A gradient that cannot be had.
    Gradient,
    /// A graph or plan that breaks its own law.
    Invalid,
}

impl ErrorKind {
    /// The stable name printed in `error[...]`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Shape => "shape",
            ErrorKind::DType => "dtype",
            ErrorKind::Gradient => "gradient",
            ErrorKind::Invalid => "invalid",
        }
    }
}

/// One fault: where it is, what is wrong, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault.
    pub kind: ErrorKind,
    /// The layer or node it belongs to, such as `encoder/dense_2`.
    pub path: String,
    /// What is wrong, with both shapes.
    pub message: String,
    /// One concrete next step.
    pub help: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}", self.message)?;
        } else {
            write!(f, "{}: {}", self.path, self.message)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// All faults of one pass, the first first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    faults: Vec<Fault>,
}

impl Error {
    /// The error of these faults; there is at least one.
    pub fn new(faults: Vec<Fault>) -> Error {
        debug_assert!(!faults.is_empty());
        Error { faults }
    }

    /// An error of one fault.
    pub fn single(kind: ErrorKind, path: impl Into<String>, message: impl Into<String>) -> Error {
        Error::new(vec![Fault { kind, path: path.into(), message: message.into(), help: None }])
    }

    /// Adds a next step to the first fault.
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.faults[0].help = Some(help.into());
        self
    }

    /// The kind of the first fault.
    pub fn kind(&self) -> ErrorKind {
        self.faults[0].kind
    }

    /// All faults.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().take(10).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        if self.faults.len() > 10 {
            write!(f, "\nand {} more", self.faults.len() - 10)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
