//! The whole crate against what Keras computes and writes, and against its own laws; run by the naive interpreter.
//!
//! Numbers of Keras come from `/fixtures`.

mod calls;
mod compiling;
mod configs;
mod contract;
mod convolution;
mod functions;
mod layers;
mod messages;
mod metrics;
mod noise;
mod optimizers;
mod recurrent;
mod refusals;
mod support;
mod training;
