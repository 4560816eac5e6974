//! A data set and its origin.

use std::{fmt, path::PathBuf};

use super::Samples;

/// Samples to learn from and samples to test with.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The name it was asked for, or the folder's.
    pub name: String,
    /// Inputs to learn from, `[N, ...]`.
    pub x_train: Samples,
    /// Targets to learn, `[N]`.
    pub y_train: Samples,
    /// Inputs to test with.
    pub x_test: Samples,
    /// Targets to test with.
    pub y_test: Samples,
    /// Where the samples come from.
    pub origin: Origin,
}

/// Where a data set comes from; displayed as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A folder that the user named.
    Folder(PathBuf),
    /// The cache of an earlier download; checksums are right.
    Cache(PathBuf),
    /// This address, moments ago; checksums are right.
    Downloaded(String),
    /// Generated digits.
    Generated {
        /// The seed they were made from.
        seed: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Folder(path) => write!(f, "folder {}", path.display()),
            Origin::Cache(path) => write!(f, "cache {}", path.display()),
            Origin::Downloaded(url) => write!(f, "downloaded from {url}"),
            Origin::Generated { seed } => write!(f, "generated digits, seed {seed} (not MNIST)"),
        }
    }
}
