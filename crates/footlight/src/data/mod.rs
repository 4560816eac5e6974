//! Data sets: columns of samples, and where they come from.

pub mod digits;
mod error;
mod samples;

pub use error::{Error, ErrorKind};
pub use samples::Samples;
