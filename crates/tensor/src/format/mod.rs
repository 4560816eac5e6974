//! Byte formats.

pub mod idx;
pub mod npy;
pub mod npz;
