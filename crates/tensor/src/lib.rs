//! Host values of Footlight: what travels between files, data sets, graphs and backends.
//!
//! Here are contiguous row-major tensors, counter-based random numbers and the byte formats `npy`, `npz` and `idx`.
//! There is deliberately no arithmetic: computing is the backend's work, so this crate stays small and has one layout.

mod dtype;
mod error;
mod format;
mod random;
mod tensor;

pub use dtype::DType;
pub use error::{Error, ErrorKind};
pub use format::{idx, npy, npz};
pub use random::{Philox, RandomKey};
pub use tensor::{Data, Tensor, display_shape};
