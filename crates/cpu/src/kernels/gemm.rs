//! Matrix products: `C [M, N] = A [M, K] B [K, N]`, single-threaded, on a block of rows of `C`.
//!
//! `B` is packed once into panels of `NR` columns, so that the inner loop reads it in order; `A` is read by strides, so a
//! transposed `A` costs no copy of the matrix. Every element of `C` is one chain of multiply-adds over ascending `k`,
//! whatever the block, so any split of the rows gives the same bytes.
//!
//! # References
//! Goto and van de Geijn (2008), "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3): panels and register
//! tiles.

use crate::isa::Isa;

/// Rows of `B` that are walked at a time: a panel's slice of them stays in the L1 cache.
const K_CHUNK: usize = 256;

/// The most rows of a register tile of any instruction set.
const MAX_TILE_ROWS: usize = 14;

/// The columns of a panel.
pub(crate) fn panel_width(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 32,
        Isa::Avx2 | Isa::Portable => 16,
    }
}

/// The most rows of a register tile.
fn tile_rows(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 14,
        Isa::Avx2 => 6,
        Isa::Portable => 4,
    }
}

/// Floats that a packed `B` takes.
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
    let width = panel_width(isa);
    for first in (0..n).step_by(width) {
        let columns = width.min(n - first);
        // SAFETY: panel and source column lie inside what the caller vouches for.
        let (panel, source) = unsafe { (out.add(first * k), b.add(first * column_stride)) };
        if column_stride == 1 {
            for p in 0..k {
                // SAFETY: `columns` floats of row `p` are there, and a row of the panel has `width` of them.
                unsafe {
                    std::ptr::copy_nonoverlapping(source.add(p * row_stride), panel.add(p * width), columns);
                    panel.add(p * width + columns).write_bytes(0, width - columns);
                }
            }
        } else {
            // Sixteen rows at a time, so that both the source's lines and the panel's stay in cache.
            for begin in (0..k).step_by(16) {
                let end = (begin + 16).min(k);
                for j in 0..width {
                    for p in begin..end {
                        // SAFETY: element `(p, first + j)` is read only where it exists.
                        unsafe {
                            let x = if j < columns { *source.add(p * row_stride + j * column_stride) } else { 0.0 };
                            *panel.add(p * width + j) = x;
                        }
                    }
                }
            }
        }
    }
}

/// The left side of a product: `A [M, K]`, element `(i, p)` at `pointer[i * row_stride + p * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub pointer: *const f32,
    pub row_stride: usize,
    pub column_stride: usize,
}

/// `C = A B` with packed `B`; row `i` of `C` begins at `c[i * c_row_stride]`.
///
/// # Safety
/// `a` holds `m` rows and `k` columns, `packed` what [`pack_b`] wrote for `[k, n]` and `isa`, `c` has room for `m` rows of
/// `n`; `c` overlaps neither.
pub(crate) unsafe fn gemm_packed(
    isa: Isa,
    [m, n, k]: [usize; 3],
    a: Left,
    packed: *const f32,
    c: *mut f32,
    c_row_stride: usize,
) {
    let width = panel_width(isa);
    let tiles = m.div_ceil(tile_rows(isa));
    for k_begin in (0..k).step_by(K_CHUNK) {
        let chunk = K_CHUNK.min(k - k_begin);
        let is_first = k_begin == 0;
        let tile = |i: usize, rows: usize, a: Left, first: usize| {
            let columns = width.min(n - first);
            // SAFETY: rows `i..i + rows` and columns `first..first + columns` lie inside `C`; the panel's slice holds
            // `chunk` rows.
            unsafe {
                let b = packed.add(first * k + k_begin * width);
                let c = c.add(i * c_row_stride + first);
                run_tile(isa, rows, chunk, a, b, c, c_row_stride, columns, is_first);
            }
        };
        if a.row_stride == 1 && a.column_stride != 1 {
            // Transposed: copy a tile of A once, then use it for all panels.
            let mut copy = [0f32; MAX_TILE_ROWS * K_CHUNK];
            for (i, rows) in balanced(m, tiles) {
                // SAFETY: the tile lies inside A; the copy holds `chunk` groups of `rows`.
                unsafe {
                    let source = a.pointer.add(k_begin * a.column_stride + i);
                    for p in 0..chunk {
                        let from = source.add(p * a.column_stride);
                        std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr().add(p * rows), rows);
                    }
                }
                let left = Left { pointer: copy.as_ptr(), row_stride: 1, column_stride: rows };
                (0..n).step_by(width).for_each(|first| tile(i, rows, left, first));
            }
        } else {
            for first in (0..n).step_by(width) {
                for (i, rows) in balanced(m, tiles) {
                    // SAFETY: row `i` and column `k_begin` lie inside A.
                    let pointer = unsafe { a.pointer.add(i * a.row_stride + k_begin * a.column_stride) };
                    tile(i, rows, Left { pointer, ..a }, first);
                }
            }
        }
    }
    if k == 0 {
        for i in 0..m {
            // SAFETY: row `i` of C has `n` floats.
            unsafe { c.add(i * c_row_stride).write_bytes(0, n) };
        }
    }
}

/// `m` rows in `tiles` tiles whose sizes differ by at most one: first row and rows of each.
fn balanced(m: usize, tiles: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..tiles).map(move |t| (t * m / tiles, (t + 1) * m / tiles - t * m / tiles))
}

macro_rules! by_rows {
    ($rows:expr, $tile:ident, $args:tt, [$($n:literal),*]) => {
        // SAFETY: the contract of `run_tile`; the instruction set is there because `isa` says so.
        match $rows { $($n => unsafe { $tile::<$n> $args },)* rows => unreachable!("a tile of {rows} rows") }
    };
}

/// One register tile: `rows` rows of `A` by one panel, into (or, but for the first chunk of `k`, onto) `C`.
///
/// # Safety
/// As [`gemm_packed`], for the tile.
#[allow(clippy::too_many_arguments)]
#[inline]
unsafe fn run_tile(
    isa: Isa,
    rows: usize,
    k: usize,
    a: Left,
    b: *const f32,
    c: *mut f32,
    c_row_stride: usize,
    columns: usize,
    is_first: bool,
) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => by_rows!(rows, tile_avx512, (k, a, b, c, c_row_stride, columns, is_first),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => by_rows!(rows, tile_avx2, (k, a, b, c, c_row_stride, columns, is_first), [1, 2, 3, 4, 5, 6]),
        _ => by_rows!(rows, tile_portable, (k, a, b, c, c_row_stride, columns, is_first), [1, 2, 3, 4]),
    }
}

macro_rules! x86_tile {
    ($name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $set1:ident, $fma:ident, $store:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const ROWS: usize>(
            k: usize,
            a: Left,
            mut b: *const f32,
            c: *mut f32,
            c_row_stride: usize,
            columns: usize,
            is_first: bool,
        ) {
            use std::arch::x86_64::*;
            // SAFETY: the contract of `run_tile`; a partial panel goes through a buffer of full width.
            unsafe {
                let mut whole = [0f32; 2 * $lanes];
                let is_whole = columns == 2 * $lanes;
                let mut sums = [[$zero(); 2]; ROWS];
                if !is_first {
                    for i in 0..ROWS {
                        let mut row = c.add(i * c_row_stride) as *const f32;
                        if !is_whole {
                            std::ptr::copy_nonoverlapping(row, whole.as_mut_ptr(), columns);
                            row = whole.as_ptr();
                        }
                        sums[i] = [$load(row), $load(row.add($lanes))];
                    }
                }
                let mut column = a.pointer;
                for _ in 0..k {
                    let (b0, b1) = ($load(b), $load(b.add($lanes)));
                    for i in 0..ROWS {
                        let x = $set1(*column.add(i * a.row_stride));
                        sums[i] = [$fma(x, b0, sums[i][0]), $fma(x, b1, sums[i][1])];
                    }
                    b = b.add(2 * $lanes);
                    column = column.wrapping_add(a.column_stride);
                }
                for i in 0..ROWS {
                    let row = c.add(i * c_row_stride);
                    let to = if is_whole { row } else { whole.as_mut_ptr() };
                    $store(to, sums[i][0]);
                    $store(to.add($lanes), sums[i][1]);
                    if !is_whole {
                        std::ptr::copy_nonoverlapping(whole.as_ptr(), row, columns);
                    }
                }
            }
        }
    };
}

x86_tile!(
    tile_avx2, "avx2,fma", 8, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps
);
x86_tile!(
    tile_avx512, "avx512f", 16, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps
);

/// The same tile in plain loops, for the compiler to vectorise.
unsafe fn tile_portable<const ROWS: usize>(
    k: usize,
    a: Left,
    mut b: *const f32,
    c: *mut f32,
    c_row_stride: usize,
    columns: usize,
    is_first: bool,
) {
    const WIDTH: usize = 16;
    let mut sums = [[0f32; WIDTH]; ROWS];
    // SAFETY: the contract of `run_tile`.
    unsafe {
        if !is_first {
            for (i, sum) in sums.iter_mut().enumerate() {
                std::ptr::copy_nonoverlapping(c.add(i * c_row_stride), sum.as_mut_ptr(), columns);
            }
        }
        let mut column = a.pointer;
        for _ in 0..k {
            let row = &*b.cast::<[f32; WIDTH]>();
            for (i, sum) in sums.iter_mut().enumerate() {
                let x = *column.add(i * a.row_stride);
                for (s, y) in sum.iter_mut().zip(row) {
                    *s += x * y;
                }
            }
            b = b.add(WIDTH);
            column = column.wrapping_add(a.column_stride);
        }
        for (i, sum) in sums.iter().enumerate() {
            std::ptr::copy_nonoverlapping(sum.as_ptr(), c.add(i * c_row_stride), columns);
        }
    }
}

crate::isa::multiversion! {
    /// `C = A B` for few rows: `B [K, N]` is read once, row by row, as it lies; sums live in `c` and the cache.
    ///
    /// # Safety
    /// `a` holds `m` rows and `k` columns, `b` `k` rows of `n` at `b_row_stride`, `c` has room for `m` rows of `n`.
    pub(crate) unsafe fn gemm_direct(
        extents: [usize; 3],
        a: Left,
        b: *const f32,
        b_row_stride: usize,
        c: *mut f32,
        c_row_stride: usize,
    ) {
        const WIDTH: usize = 64;
        let [m, n, k] = extents;
        for i in 0..m {
            // SAFETY: rows and columns are inside what the caller vouches for.
            unsafe {
                let row = a.pointer.add(i * a.row_stride);
                let out = c.add(i * c_row_stride);
                let mut first = 0;
                while first < n {
                    let columns = WIDTH.min(n - first);
                    let mut sums = [0f32; WIDTH];
                    if columns == WIDTH {
                        for p in 0..k {
                            let x = *row.add(p * a.column_stride);
                            let source = &*b.add(p * b_row_stride + first).cast::<[f32; WIDTH]>();
                            for j in 0..WIDTH {
                                sums[j] = crate::kernels::math::mul_add::<FMA>(x, source[j], sums[j]);
                            }
                        }
                    } else {
                        for p in 0..k {
                            let x = *row.add(p * a.column_stride);
                            let source = std::slice::from_raw_parts(b.add(p * b_row_stride + first), columns);
                            for (s, y) in sums.iter_mut().zip(source) {
                                *s = crate::kernels::math::mul_add::<FMA>(x, *y, *s);
                            }
                        }
                    }
                    std::ptr::copy_nonoverlapping(sums.as_ptr(), out.add(first), columns);
                    first += columns;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_tensor::{Philox, RandomKey};

    fn random(rng: &mut Philox, count: usize) -> Vec<f32> {
        (0..count).map(|_| rng.uniform() * 2.0 - 1.0).collect()
    }

    struct Case {
        extents: [usize; 3],
        a: Vec<f32>,
        b: Vec<f32>,
        transposed: [bool; 2],
    }

    impl Case {
        fn new(rng: &mut Philox, extents: [usize; 3], transposed: [bool; 2]) -> Case {
            let [m, n, k] = extents;
            Case { extents, a: random(rng, m * k), b: random(rng, k * n), transposed }
        }

        fn left(&self, first_row: usize) -> Left {
            let [m, _, k] = self.extents;
            let (row_stride, column_stride) = if self.transposed[0] { (1, m) } else { (k, 1) };
            Left { pointer: self.a[first_row * row_stride..].as_ptr(), row_stride, column_stride }
        }

        fn packed(&self, isa: Isa, block: usize) -> Vec<f32> {
            let [m, n, k] = self.extents;
            let (rs, cs) = if self.transposed[1] { (1, k) } else { (n, 1) };
            let mut packed = vec![f32::NAN; packed_len(isa, k, n)];
            let mut c = vec![f32::NAN; m * n];
            // SAFETY: the vectors hold what the extents say.
            unsafe {
                pack_b(isa, self.b.as_ptr(), rs, cs, [k, n], packed.as_mut_ptr());
                for first in (0..m).step_by(block) {
                    let rows = block.min(m - first);
                    let out = c.as_mut_ptr().add(first * n);
                    gemm_packed(isa, [rows, n, k], self.left(first), packed.as_ptr(), out, n);
                }
            }
            c
        }

        /// The largest error against sums in `f64`, relative to the sum of absolute terms.
        fn error(&self, c: &[f32]) -> f64 {
            let [m, n, k] = self.extents;
            let mut worst: f64 = 0.0;
            for i in 0..m {
                for j in 0..n {
                    let (mut sum, mut size) = (0f64, 1e-30f64);
                    for p in 0..k {
                        let x = self.a[if self.transposed[0] { p * m + i } else { i * k + p }];
                        let y = self.b[if self.transposed[1] { j * k + p } else { p * n + j }];
                        sum += f64::from(x) * f64::from(y);
                        size += (f64::from(x) * f64::from(y)).abs();
                    }
                    worst = worst.max((f64::from(c[i * n + j]) - sum).abs() / size);
                }
            }
            worst
        }
    }

    #[test]
    fn products_match_the_definition_for_any_shape_and_any_split() {
        let mut rng = Philox::new(RandomKey::new(11));
        for isa in Isa::available() {
            for round in 0..60 {
                let mut extent = |most: u32| 1 + rng.below(most) as usize;
                let extents = [extent(40), extent(70), extent(if round % 5 == 0 { 600 } else { 40 })];
                for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                    let case = Case::new(&mut rng, extents, transposed);
                    let whole = case.packed(isa, extents[0]);
                    let error = case.error(&whole);
                    assert!(error < 1e-6, "{isa:?} {extents:?} {transposed:?}: {error}");
                    let split = case.packed(isa, 7);
                    assert!(whole.iter().zip(&split).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa:?} {extents:?}");
                }
            }
        }
    }

    #[test]
    fn few_rows_need_no_packing() {
        let mut rng = Philox::new(RandomKey::new(12));
        for isa in Isa::available() {
            for extents in [[1, 128, 784], [2, 10, 33], [4, 65, 7], [3, 64, 1]] {
                let case = Case::new(&mut rng, extents, [false, false]);
                let [m, n, _] = extents;
                let mut c = vec![f32::NAN; m * n];
                // SAFETY: the vectors hold what the extents say.
                unsafe { gemm_direct(isa, extents, case.left(0), case.b.as_ptr(), n, c.as_mut_ptr(), n) };
                assert!(case.error(&c) < 1e-6, "{isa:?} {extents:?}");
            }
        }
    }

    #[test]
    fn an_empty_sum_is_zero() {
        let mut c = [f32::NAN; 6];
        let left = Left { pointer: [0f32; 0].as_ptr(), row_stride: 0, column_stride: 1 };
        // SAFETY: nothing is read for `k = 0`.
        unsafe { gemm_packed(Isa::detect(), [2, 3, 0], left, [0f32; 0].as_ptr(), c.as_mut_ptr(), 3) };
        assert_eq!(c, [0.0; 6]);
    }
}
