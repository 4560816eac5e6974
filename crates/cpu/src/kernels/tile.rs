//! The register tiles of products: a few rows of `A` times one panel of `B`, all sums in registers.

use super::math::mul_add;
use crate::isa::Isa;

/// What one register tile reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Where each run of columns of `A` begins, from `a`; a matrix has one run, a window of an image one for each of its
    /// lines.
    pub lines: &'a [usize],
    /// Columns of a run; the panel's slice has as many rows for each run.
    pub k: usize,
    /// `A`: element `(i, p)` of a run at `a[p * a_stride + i]` if it lies by columns, else at `a[i * a_stride + p]`.
    pub a: *const f32,
    /// The distance between columns, or between rows.
    pub a_stride: usize,
    /// The panel's slice `[lines * k, NR]`, or a matrix whose rows are whole vectors.
    pub b: *const f32,
    /// The distance between its rows.
    pub b_stride: usize,
    /// The tile's first element of `C`.
    pub c: *mut f32,
    /// The distance between rows of `C`.
    pub c_row_stride: usize,
    /// From here on the L2 cache is asked for a line with every two rows of the panel, so that what the next tiles read comes
    /// in time from beyond; it may be anywhere.
    pub ahead: *const f32,
    /// Columns of `C`, at most `NR`.
    pub columns: usize,
    /// How the sums begin and end.
    pub begin: Begin,
}

/// How the sums of a tile begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At 0, and replace `C`.
    Zero,
    /// At `C`, and replace it: one chain of multiply-adds goes on.
    Sums,
    /// At 0, and are added to `C`: sums of many parts lose fewer digits so.
    Apart,
}

impl Begin {
    /// For the first part of a sum and for those that follow.
    pub(super) fn chained(is_first: bool) -> Begin {
        if is_first { Begin::Zero } else { Begin::Sums }
    }
}

/// The columns `NR` of a panel: two vectors.
pub(crate) fn panel_width(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 32,
        Isa::Avx2 => 16,
        Isa::Portable => PORTABLE_WIDTH,
    }
}

/// Whether the rows of a matrix of so many columns are whole vectors, which can be read where they lie.
pub(crate) fn lies_in_vectors(isa: Isa, columns: usize) -> bool {
    let lanes = if isa == Isa::Portable { PORTABLE_WIDTH } else { panel_width(isa) / 2 };
    columns.is_multiple_of(lanes)
}

/// The most rows of a tile: as many as leave registers for a row of the panel and an element of `A`. If `A` lies by rows,
/// each row has an address of its own: beyond 8 they fill no more registers but memory, and their lines, a page apart,
/// the ways of an L1 cache.
pub(super) fn tile_rows<const BY_COLUMNS: bool>(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 if BY_COLUMNS => 14,
        Isa::Avx512 => 8,
        Isa::Avx2 => 6,
        Isa::Portable => PORTABLE_ROWS,
    }
}

/// The call for as many rows as there are, each number compiled on its own as the constant `$n`.
macro_rules! by_rows {
    ($rows:expr, [$($count:literal),*], $n:ident => $call:expr) => {
        match $rows {
            $($count => {
                const $n: usize = $count;
                // SAFETY: the contract of `run_tile`; the processor has the instruction set, because `isa` says so.
                unsafe { $call }
            })*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

/// `rows` rows of `A` times a slice of a panel, put into `C` or added to it.
///
/// # Safety
/// `tile` points at `rows` rows of `A` and `C` and at the panel's slice, and `C` overlaps neither.
#[inline(always)]
pub(super) unsafe fn run_tile<const BY_COLUMNS: bool>(isa: Isa, rows: usize, tile: Tile<'_>) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            if tile.columns <= 16 {
                by_rows!(rows, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], N => tile_avx512::<N, BY_COLUMNS, 1>(tile));
            } else {
                by_rows!(rows, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], N => tile_avx512::<N, BY_COLUMNS, 2>(tile));
            }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if tile.columns <= 8 => by_rows!(rows, [1, 2, 3, 4, 5, 6], N => tile_avx2::<N, BY_COLUMNS, 1>(tile)),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => by_rows!(rows, [1, 2, 3, 4, 5, 6], N => tile_avx2::<N, BY_COLUMNS, 2>(tile)),
        _ => by_rows!(rows, [1, 2, 3, 4, 5, 6, 7, 8], N => tile_portable::<N, BY_COLUMNS>(tile)),
    }
}

/// Some of the lanes of a vector, for the last panel's columns: which they are, and to read and write them.
#[cfg(target_arch = "x86_64")]
pub(super) mod part {
    use std::arch::x86_64::*;

    /// The first `count` lanes; all of them from 8 on.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    pub fn mask_avx2(count: usize) -> __m256i {
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    pub unsafe fn load_avx2(from: *const f32, mask: __m256i) -> __m256 {
        // SAFETY: lanes outside of the mask are not read.
        unsafe { _mm256_maskload_ps(from, mask) }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    pub unsafe fn store_avx2(to: *mut f32, mask: __m256i, x: __m256) {
        // SAFETY: lanes outside of the mask are not written.
        unsafe { _mm256_maskstore_ps(to, mask, x) }
    }

    /// The first `count` lanes; all of them from 16 on.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub fn mask_avx512(count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as __mmask16
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn load_avx512(from: *const f32, mask: __mmask16) -> __m512 {
        // SAFETY: lanes outside of the mask are not read.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn store_avx512(to: *mut f32, mask: __mmask16, x: __m512) {
        // SAFETY: lanes outside of the mask are not written.
        unsafe { _mm512_mask_storeu_ps(to, mask, x) }
    }
}

macro_rules! x86_tile {
    (
        $name:ident, $features:literal, $lanes:literal, $zero:ident, $set1:ident, $fma:ident, $add:ident,
        whole: $load:ident, $store:ident, part: $mask:ident, $load_part:ident, $store_part:ident
    ) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const ROWS: usize, const BY_COLUMNS: bool, const VECTORS: usize>(tile: Tile<'_>) {
            use part::{$load_part, $mask, $store_part};
            use std::arch::x86_64::*;
            let Tile { lines, k, a, a_stride, mut b, b_stride, c, c_row_stride, mut ahead, columns, begin } = tile;
            let is_whole = columns == VECTORS * $lanes;
            let masks = [$mask(columns), $mask(columns.saturating_sub($lanes))];
            // Row `i` of the tile has its sums in `sums[i]`: the vectors of columns that there are.
            let mut sums = [[$zero(); VECTORS]; ROWS];
            // SAFETY: the contract of `run_tile`. Pointers that may leave their buffers are stepped with `wrapping_add`
            // and not read there.
            unsafe {
                if begin == Begin::Sums {
                    for i in 0..ROWS {
                        for v in 0..VECTORS {
                            let at = c.wrapping_add(i * c_row_stride + v * $lanes);
                            sums[i][v] = if is_whole { $load(at) } else { $load_part(at, masks[v]) };
                        }
                    }
                }
                // One row `p` of the panel: `sums[i] += A(i, p) B(p, ..)`. Addresses in `A` are base and distance, so
                // that the loop steps two pointers however many rows there are.
                let step = |sums: &mut [[_; VECTORS]; ROWS], a: *const f32, b: *const f32| {
                    let mut row = [$zero(); VECTORS];
                    for v in 0..VECTORS {
                        row[v] = $load(b.add(v * $lanes));
                    }
                    for i in 0..ROWS {
                        let x = $set1(*a.add(if BY_COLUMNS { i } else { i * a_stride }));
                        for v in 0..VECTORS {
                            sums[i][v] = $fma(x, row[v], sums[i][v]);
                        }
                    }
                };
                let a_step = if BY_COLUMNS { a_stride } else { 1 };
                for line in lines {
                    let mut a = a.wrapping_add(*line);
                    for _ in 0..k / 4 {
                        _mm_prefetch(ahead.cast::<i8>(), _MM_HINT_T1);
                        _mm_prefetch(ahead.wrapping_add(16).cast::<i8>(), _MM_HINT_T1);
                        ahead = ahead.wrapping_add(32);
                        for p in 0..4 {
                            step(&mut sums, a.add(p * a_step), b.add(p * b_stride));
                        }
                        a = a.wrapping_add(4 * a_step);
                        b = b.wrapping_add(4 * b_stride);
                    }
                    for _ in 0..k % 4 {
                        step(&mut sums, a, b);
                        a = a.wrapping_add(a_step);
                        b = b.wrapping_add(b_stride);
                    }
                }
                for i in 0..ROWS {
                    for v in 0..VECTORS {
                        let at = c.wrapping_add(i * c_row_stride + v * $lanes);
                        if begin == Begin::Apart {
                            let old = if is_whole { $load(at) } else { $load_part(at, masks[v]) };
                            sums[i][v] = $add(old, sums[i][v]);
                        }
                        if is_whole { $store(at, sums[i][v]) } else { $store_part(at, masks[v], sums[i][v]) }
                    }
                }
            }
        }
    };
}

x86_tile!(
    tile_avx2, "avx2,fma", 8, _mm256_setzero_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps,
    whole: _mm256_loadu_ps, _mm256_storeu_ps, part: mask_avx2, load_avx2, store_avx2
);
x86_tile!(
    tile_avx512, "avx512f", 16, _mm512_setzero_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps,
    whole: _mm512_loadu_ps, _mm512_storeu_ps, part: mask_avx512, load_avx512, store_avx512
);

/// Two vectors of four, as SSE and NEON have them.
const PORTABLE_WIDTH: usize = 8;

/// Sums fill half of the vector registers: 16 of SSE, 32 of NEON.
const PORTABLE_ROWS: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };

/// Whether the compiler's target fuses a multiply-add into one instruction.
const PORTABLE_FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// The same tile in plain loops over arrays of fixed size, for the compiler to vectorise.
unsafe fn tile_portable<const ROWS: usize, const BY_COLUMNS: bool>(tile: Tile<'_>) {
    let Tile { lines, k, a, a_stride, mut b, b_stride, c, c_row_stride, columns, begin, .. } = tile;
    let mut sums = [[0f32; PORTABLE_WIDTH]; ROWS];
    // SAFETY: the contract of `run_tile`.
    unsafe {
        if begin == Begin::Sums {
            for (i, sum) in sums.iter_mut().enumerate() {
                std::ptr::copy_nonoverlapping(c.add(i * c_row_stride), sum.as_mut_ptr(), columns);
            }
        }
        for line in lines {
            let mut a = a.wrapping_add(*line);
            for _ in 0..k {
                let row = *b.cast::<[f32; PORTABLE_WIDTH]>();
                for (i, sum) in sums.iter_mut().enumerate() {
                    let x = *a.add(if BY_COLUMNS { i } else { i * a_stride });
                    for j in 0..PORTABLE_WIDTH {
                        sum[j] = mul_add::<PORTABLE_FMA>(x, row[j], sum[j]);
                    }
                }
                a = a.wrapping_add(if BY_COLUMNS { a_stride } else { 1 });
                b = b.wrapping_add(b_stride);
            }
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            if begin == Begin::Apart {
                (0..columns).for_each(|j| sum[j] += *c.add(i * c_row_stride + j));
            }
            std::ptr::copy_nonoverlapping(sum.as_ptr(), c.add(i * c_row_stride), columns);
        }
    }
}
