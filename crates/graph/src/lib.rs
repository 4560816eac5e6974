//! The static graph of Footlight: what a training step computes, before anything is computed.
//!
//! A [`Builder`] records ops and collects shape faults; [`differentiate`] extends the graph by its gradients;
//! [`simplify`] rewrites it; [`plan`] fixes order, memory and the split of work. Every stage is pure data that can be
//! verified and printed. Nothing here computes a number: backends do.

mod builder;
pub mod cost;
mod differentiate;
mod error;
mod graph;
pub mod ops;
pub mod plan;
pub mod simplify;

pub use builder::{Builder, broadcast_shapes};
pub use differentiate::differentiate;
pub use error::{Error, ErrorKind, Fault};
pub use graph::{Graph, Node, NodeIndex, Role, StateSlot, Type, Value};
pub use ops::{Op, OpRule};
