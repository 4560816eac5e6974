//! The right side of a product in panels, and transposes of small squares.

use super::tile::panel_width;
use crate::isa::Isa;

/// Floats that a packed `B [k, n]` takes.
pub(crate) fn packed_len(isa: Isa, k: usize, n: usize) -> usize {
    n.next_multiple_of(panel_width(isa)) * k
}

/// Packs `B [K, N]`, element `(p, j)` at `b[p * row_stride + j * column_stride]`, into panels: panel `j` holds `K` rows of
/// `NR` columns, zeros beyond `N`.
///
/// # Safety
/// `b` holds the matrix at these strides; `out` has room for [`packed_len`] floats.
pub(crate) unsafe fn pack_b(
    isa: Isa,
    b: *const f32,
    row_stride: usize,
    column_stride: usize,
    [k, n]: [usize; 2],
    out: *mut f32,
) {
    let strides = [row_stride, column_stride];
    // SAFETY: the caller's contract.
    unsafe {
        match panel_width(isa) {
            8 => pack::<8>(isa, b, strides, [k, n], out),
            16 => pack::<16>(isa, b, strides, [k, n], out),
            _ => pack::<32>(isa, b, strides, [k, n], out),
        }
    }
}

unsafe fn pack<const NR: usize>(isa: Isa, b: *const f32, strides: [usize; 2], [k, n]: [usize; 2], out: *mut f32) {
    let [row_stride, column_stride] = strides;
    for first in (0..n).step_by(NR) {
        let columns = NR.min(n - first);
        // SAFETY: panel and source column lie inside what the caller vouches for.
        unsafe {
            let (panel, source) = (out.add(first * k), b.add(first * column_stride));
            match (column_stride, row_stride) {
                (1, _) if columns == NR => {
                    for p in 0..k {
                        prefetch(source.wrapping_add((p + AHEAD) * row_stride));
                        *panel.add(p * NR).cast::<[f32; NR]>() = *source.add(p * row_stride).cast::<[f32; NR]>();
                    }
                }
                (_, 1) => pack_transposed::<NR>(isa, source, column_stride, [k, columns], panel),
                _ => pack_columns::<NR>(source, strides, [0, k], [0, columns], panel),
            }
        }
    }
}

/// Rows that a copy asks for ahead: what lies far apart is not foreseen by the processor.
pub(super) const AHEAD: usize = 16;

/// Asks for the lines of 32 floats from here on, wherever that is.
#[inline(always)]
pub(super) fn prefetch(from: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees, and faults nowhere.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(from.cast::<i8>(), _MM_HINT_T0);
        _mm_prefetch(from.wrapping_add(16).cast::<i8>(), _MM_HINT_T0);
    }
}

/// Rows `from..to` of columns `first..columns` of a panel, one by one, and zeros beyond.
unsafe fn pack_columns<const NR: usize>(
    source: *const f32,
    [row_stride, column_stride]: [usize; 2],
    [from, to]: [usize; 2],
    [first, columns]: [usize; 2],
    panel: *mut f32,
) {
    for p in from..to {
        // SAFETY: columns are read only where they exist; a row of the panel has `NR`.
        unsafe {
            let row = &mut *panel.add(p * NR).cast::<[f32; NR]>();
            for (j, x) in row.iter_mut().enumerate().skip(first) {
                *x = if j < columns { *source.add(p * row_stride + j * column_stride) } else { 0.0 };
            }
        }
    }
}

/// A panel of a `B` that lies by columns: squares of eight are turned at a time.
unsafe fn pack_transposed<const NR: usize>(
    isa: Isa,
    source: *const f32,
    column_stride: usize,
    [k, columns]: [usize; 2],
    panel: *mut f32,
) {
    let (k_whole, columns_whole) = (k / 8 * 8, columns / 8 * 8);
    // SAFETY: squares lie inside the source and the panel; what is left over is packed one by one.
    unsafe {
        for p in (0..k_whole).step_by(8) {
            for j in (0..columns_whole).step_by(8) {
                transpose_8x8(isa, source.add(j * column_stride + p), column_stride, panel.add(p * NR + j), NR);
            }
        }
        let strides = [1, column_stride];
        if columns_whole < NR {
            pack_columns::<NR>(source, strides, [0, k_whole], [columns_whole, columns], panel);
        }
        pack_columns::<NR>(source, strides, [k_whole, k], [0, columns], panel);
    }
}

/// `to[j][i] = from[i][j]` for a square of eight; rows are `from_stride` and `to_stride` apart. Elements may be any four
/// bytes: they are moved, not computed with.
///
/// # Safety
/// Both hold eight rows of eight at these strides; they do not overlap.
#[inline(always)]
pub(super) unsafe fn transpose_8x8(isa: Isa, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's contract; the processor has at least AVX2.
        Isa::Avx512 | Isa::Avx2 => unsafe { transpose_8x8_avx2(from, from_stride, to, to_stride) },
        _ => {
            for j in 0..8 {
                for i in 0..8 {
                    // SAFETY: the caller's contract.
                    unsafe { *to.add(j * to_stride + i).cast::<u32>() = *from.add(i * from_stride + j).cast::<u32>() };
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose_8x8_avx2(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's contract.
    unsafe {
        let row = |i: usize| _mm256_loadu_ps(from.add(i * from_stride));
        // Pairs of rows interleaved: a = (r0, r1), and so on; then fours; then the halves of eights.
        let pair = |i: usize| [_mm256_unpacklo_ps(row(i), row(i + 1)), _mm256_unpackhi_ps(row(i), row(i + 1))];
        let four = |i: usize| {
            let ([a, b], [c, d]) = (pair(i), pair(i + 2));
            [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xee>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xee>(b, d),
            ]
        };
        let (low, high) = (four(0), four(4));
        for j in 0..4 {
            _mm256_storeu_ps(to.add(j * to_stride), _mm256_permute2f128_ps::<0x20>(low[j], high[j]));
            _mm256_storeu_ps(to.add((j + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(low[j], high[j]));
        }
    }
}
