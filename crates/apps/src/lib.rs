//! Applications for the entertainment industry, on Footlight's public API alone.

pub mod recommend;
