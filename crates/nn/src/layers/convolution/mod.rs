//! Convolutions over one, two or three spatial axes, one implementation for all.

mod conv;
mod depthwise;
mod parts;
mod separable;
mod transpose;

pub use conv::{Conv, Conv1D, Conv2D, Conv3D};
pub use depthwise::{DepthwiseConv, DepthwiseConv1D, DepthwiseConv2D};
pub use separable::{SeparableConv, SeparableConv1D, SeparableConv2D};
pub use transpose::{Conv1DTranspose, Conv2DTranspose, Conv3DTranspose, ConvTranspose};
