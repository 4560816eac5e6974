//! `npz` bytes.
