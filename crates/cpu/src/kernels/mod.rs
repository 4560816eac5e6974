//! Fast kernels. Each computes a block of rows of its output and allocates nothing.
//!
//! An output pointer and the pointers of inputs that are read by rows point at the block's first row; other inputs point
//! at their beginning. How rows are grouped into blocks never changes a bit of the result.

pub(crate) mod ceilings;
pub(crate) mod conv;
mod elementwise;
pub(crate) mod gemm;
pub(crate) mod index;
pub(crate) mod integers;
pub(crate) mod layout;
pub(crate) mod lower;
pub(crate) mod math;
pub(crate) mod moving;
mod pack;
pub(crate) mod pool;
pub(crate) mod program;
mod random;
pub(crate) mod reduce;
pub(crate) mod softmax;
pub(crate) mod stream;
mod tile;
pub(crate) mod update;
