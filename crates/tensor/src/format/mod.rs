//! Byte formats.
//!
//! Every reader takes bytes from strangers: it trusts no length before the bytes are there, runs nothing, and answers
//! a fault with the byte number where it lies.

pub mod idx;
pub mod npy;
pub mod npz;
mod stream;
