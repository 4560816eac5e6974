//! Matrix products whose right side is long and read by few blocks, such as the gradient of a kernel by all samples: it is
//! read as it lies, or, where its rows are no whole vectors, packed in pieces as they are read, and not kept.

use super::gemm::{Left, Right, balanced, copy_tile};
use super::pack::pack_b;
use super::tile::{Begin, Tile, lies_in_vectors, panel_width, run_tile, tile_rows};
use crate::isa::Isa;

/// Panels of a piece, which lines of memory are read in runs of as many, and its rows: the piece and as many columns of `A`
/// stay in the L2 cache, while all sums but few of a block are read and written once for so many rows.
const PANELS: usize = 2;
const CHUNK: usize = 512;

/// Columns of `A` that all tiles copy before the next: a line that two tiles share is still in the L1 cache.
const RUN: usize = 16;

/// Floats of scratch that [`gemm_streamed`] needs for `m` rows and `k` columns of `A`.
pub(crate) fn scratch_floats(isa: Isa, m: usize, k: usize) -> usize {
    (m + PANELS * panel_width(isa)) * CHUNK.min(k)
}

/// `C = A B`, with `B [k, n]` row-major; row `i` of `C` begins at `c[i * n]`. The bytes are those of
/// [`gemm`](super::gemm::gemm).
///
/// # Safety
/// `a` holds `m` rows and `k` columns, `b` the matrix, `c` has room for `m` rows of `n`, `scratch` for [`scratch_floats`];
/// `c` and `scratch` overlap nothing else.
pub(crate) unsafe fn gemm_streamed(
    isa: Isa,
    [m, n, k]: [usize; 3],
    a: Left,
    b: *const f32,
    c: *mut f32,
    scratch: *mut f32,
) {
    let (width, tiles) = (panel_width(isa), || balanced(m, tile_rows::<true>(isa)));
    for first in (0..k).step_by(CHUNK) {
        let len = CHUNK.min(k - first);
        // SAFETY: the scratch has room for these columns of `A`, tile by tile, and for a piece of `B` behind them; what is
        // read and written lies inside the matrices.
        unsafe {
            let piece = scratch.add(m * len);
            for p in (0..len).step_by(RUN) {
                for (i, rows) in tiles() {
                    let source = a.pointer.add(i * a.row_stride + (first + p) * a.column_stride);
                    copy_tile(Left { pointer: source, ..a }, rows, RUN.min(len - p), scratch.add(i * len + p * rows));
                }
            }
            for left in (0..n).step_by(PANELS * width) {
                let columns = (PANELS * width).min(n - left);
                let right = if lies_in_vectors(isa, n) {
                    Right::in_place(n, b.add(first * n + left))
                } else {
                    pack_b(isa, b.add(first * n + left), n, 1, [len, columns], piece);
                    Right::packed(isa, len, piece)
                };
                for column in (0..columns).step_by(width) {
                    let (b, b_stride) = right.panel(column);
                    for (i, rows) in tiles() {
                        let tile = Tile {
                            lines: &[0],
                            k: len,
                            a: scratch.add(i * len),
                            a_stride: rows,
                            b,
                            b_stride,
                            c: c.add(i * n + left + column),
                            c_row_stride: n,
                            ahead: b,
                            columns: width.min(columns - column),
                            begin: Begin::chained(first == 0),
                        };
                        run_tile::<true>(isa, rows, tile);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::{gemm, packed_len};
    use footlight_tensor::{Philox, RandomKey};

    #[test]
    fn pieces_give_the_bytes_of_a_whole_packed_right_side() {
        let mut rng = Philox::new(RandomKey::new(13));
        for isa in Isa::available() {
            for [m, n, k] in [[1, 1, 1], [70, 33, 300], [129, 290, 17], [64, 256, 256], [13, 600, 513]] {
                let mut random = |count: usize| (0..count).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>();
                let (a, b) = (random(k * m), random(k * n));
                let left = |row: usize| Left { pointer: a[row..].as_ptr(), row_stride: 1, column_stride: m };
                let (mut whole, mut packed) = (vec![f32::NAN; m * n], vec![f32::NAN; packed_len(isa, k, n)]);
                // SAFETY: the vectors hold what the extents say.
                unsafe {
                    pack_b(isa, b.as_ptr(), n, 1, [k, n], packed.as_mut_ptr());
                    gemm(isa, [m, n, k], left(0), Right::packed(isa, k, packed.as_ptr()), whole.as_mut_ptr(), n);
                }
                for block in [m, 11] {
                    let mut c = vec![f32::NAN; m * n];
                    let mut scratch = vec![f32::NAN; scratch_floats(isa, block.min(m), k)];
                    for first in (0..m).step_by(block) {
                        let rows = block.min(m - first);
                        // SAFETY: as above, for these rows.
                        unsafe {
                            let to = c[first * n..].as_mut_ptr();
                            gemm_streamed(isa, [rows, n, k], left(first), b.as_ptr(), to, scratch.as_mut_ptr());
                        }
                    }
                    assert!(c.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa:?} {m} {n} {k}");
                }
            }
        }
    }
}
