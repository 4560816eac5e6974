//! Convolutions with a window of 3x3 in tiles of 2x2 outputs: `y = A^T ((G w G^T) * (B^T x B)) A`, where each of the 16
//! elements of the middle is a product over channels, instead of 36 multiply-adds for every pair of channels. The gradient
//! by the input is a convolution too; that by the kernel is `G^T (sum (B^T x B) * (A dy A^T)) G` over all tiles, where each
//! element is a product over tiles.
//!
//! # Numerics
//! The transforms of `x`, `y` and `dy` add and subtract, those of `w` and its gradient also halve; the error of a sum stays
//! within a few times that of the direct one, see the tests.
//!
//! # References
//! Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", section 4.1, F(2x2, 3x3).

mod forward;
mod gradient;
mod transforms;

pub(super) use forward::{pack, packed_floats, run, scratch_floats};
pub(super) use gradient::TileSums;

use super::geometry::Axis;
use crate::kernels::gemm::K_CHUNK;

/// Elements of a transformed tile.
const ELEMENTS: usize = 16;

/// Channels and filters come in multiples of this many, whole vectors of every instruction set.
const LANES: usize = 16;

/// Floats between the elements of tiles beyond their own: 16 streams at distances of a page would share places of the cache.
const APART: usize = 16;

/// Channels and filters of the tiles that are worked on at a time: 16 times as many floats stay in the L2 cache.
const TOGETHER: usize = 1 << 12;

/// Pairs of channels and filters whose gradient is summed in tiles: 16 times as many sums stay in the L2 cache.
const PAIRS: usize = 1 << 14;

/// Whether a convolution along these axes is computed in tiles, where outputs come in pairs.
pub(super) fn fits(axes: &[Axis; 3], [channels, filters]: [usize; 2], groups: usize) -> bool {
    is_of_3x3(axes, [channels, filters], groups) && channels <= (4 * filters).min(K_CHUNK)
}

/// Whether its kernel's gradient is.
pub(super) fn fits_gradient(axes: &[Axis; 3], [channels, filters]: [usize; 2], groups: usize) -> bool {
    is_of_3x3(axes, [channels, filters], groups) && channels * filters <= PAIRS
}

fn is_of_3x3([depth, height, width]: &[Axis; 3], channels: [usize; 2], groups: usize) -> bool {
    groups == 1
        && (depth.reads(1) && height.reads(3) && width.reads(3))
        && channels.iter().all(|count| count.is_multiple_of(LANES))
}

/// Whether so many outputs cut into tiles.
pub(super) fn are_whole([_, rows, columns]: [usize; 3]) -> bool {
    rows % 2 == 0 && columns % 2 == 0
}

/// The outputs on each axis that are worked on at a time, of those there are: rows of tiles.
pub(super) fn region([_, rows, columns]: [usize; 3], [channels, filters]: [usize; 2]) -> [usize; 3] {
    let tiles = (TOGETHER / (channels + filters)).max(1);
    let columns = columns.min(2 * tiles);
    [1, rows.min(2 * (2 * tiles / columns.max(1)).max(1)), columns]
}

#[cfg(test)]
mod tests;
