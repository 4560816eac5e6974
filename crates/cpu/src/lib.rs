//! Runs plans on the CPU: the naive interpreter that specifies every op, fast kernels for the instruction sets of the
//! processor, a fixed team of workers, and sessions that run a plan without allocating.
//!
//! This is the only crate with `unsafe`. It never sees a layer.

mod buffer;
mod dispatch;
mod engine;
mod feed;
mod frame;
mod images;
mod isa;
mod kernels;
pub mod naive;
mod pace;
mod packed;
mod profile;
mod ready;
mod session;
mod store;
mod target;
mod team;

pub use buffer::with_room;
pub use engine::Engine;
pub use feed::Feed;
pub use isa::Isa;
pub use kernels::ceilings::Ceilings;
pub use profile::{NodeTime, Profile};
pub use session::{Inspection, Session};
pub use store::Store;
pub use target::CpuTarget;
