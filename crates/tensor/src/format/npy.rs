//! `npy` bytes.
