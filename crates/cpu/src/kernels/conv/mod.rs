//! Convolutions of images that lie channels last, and their gradients.
//!
//! A row of output positions times a kernel is a product whose left side lies in the image itself: neighbouring positions
//! are a fixed distance apart, and a line of the window is one run of floats. So nothing is unfolded: tiles read the image
//! where it lies, or, if it is padded, a band of it that is copied with its zeros.

mod depthwise;
mod geometry;
mod gradient;
mod patches;
mod pooled;
mod rows;
mod scatter;
mod sweep;
mod winograd;

pub(crate) use geometry::Sweep;
pub(crate) use gradient::KernelGradient;
pub(crate) use pooled::PooledConv;
pub(crate) use scatter::{ScatterInputGradient, ScatterKernelGradient};
