//! `idx` bytes.
