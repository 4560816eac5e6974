//! Matrix products: `C [M, N] = A [M, K] B [K, N]`, single-threaded, on a block of rows of `C`.
//!
//! `B` is packed once into panels of `NR` columns (see [`super::pack`]), so that the inner loop reads it in order. `A` is
//! read where it lies if its rows are contiguous; otherwise a few tiles of it are copied at a time, so a transposed `A`
//! costs no copy of the matrix. Every element of `C` is one chain of multiply-adds over ascending `k`, whatever the block,
//! so any split of the rows gives the same bytes, and so does [`gemm_direct`], which leaves `B` as it lies.
//!
//! # References
//! Goto and van de Geijn (2008), "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3): panels and register
//! tiles.

use super::math::mul_add;
use super::pack::{AHEAD, prefetch};
pub(crate) use super::pack::{pack_b, packed_len};
pub(crate) use super::tile::lies_in_vectors;
use super::tile::{Begin, Tile, panel_width, run_tile, tile_rows};
use crate::isa::{Isa, multiversion};

/// Rows of `B` that are walked at a time: a panel's slice of them stays in the L1 cache.
pub(super) const K_CHUNK: usize = 256;

/// Floats of `A` that are copied at a time; two tiles of any instruction set fit.
const COPY: usize = 28 * K_CHUNK;

/// The left side of a product: `A [M, K]`, element `(i, p)` at `pointer[i * row_stride + p * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub pointer: *const f32,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl Left {
    /// From row `i` and column `p` on.
    pub(super) fn from(self, i: usize, p: usize) -> Left {
        Left { pointer: self.pointer.wrapping_add(i * self.row_stride + p * self.column_stride), ..self }
    }
}

/// The right side of a product, `B [K, N]`, as tiles read it: row `p` of the panel that begins at column `j` is at
/// `pointer[p * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Right {
    pointer: *const f32,
    row_stride: usize,
    column_stride: usize,
}

impl Right {
    /// What [`pack_b`] wrote for `k` rows.
    pub(crate) fn packed(isa: Isa, k: usize, pointer: *const f32) -> Right {
        Right { pointer, row_stride: panel_width(isa), column_stride: k }
    }

    /// A row-major matrix of `n` columns, which [lie in vectors](lies_in_vectors).
    pub(crate) fn in_place(n: usize, pointer: *const f32) -> Right {
        Right { pointer, row_stride: n, column_stride: 1 }
    }

    /// From row `p` on.
    pub(super) fn below(self, p: usize) -> Right {
        Right { pointer: self.pointer.wrapping_add(p * self.row_stride), ..self }
    }

    /// Where the panel that begins at `column` begins, and from one row of it to the next.
    pub(super) fn panel(self, column: usize) -> (*const f32, usize) {
        (self.pointer.wrapping_add(column * self.column_stride), self.row_stride)
    }
}

/// A block of `C`, `m` rows of `n` columns, and the `B` that makes it.
#[derive(Clone, Copy)]
struct Product {
    isa: Isa,
    n: usize,
    right: Right,
    c: *mut f32,
    c_row_stride: usize,
    /// Whether the sums go on from what `C` holds.
    goes_on: bool,
}

/// `C = A B`; row `i` of `C` begins at `c[i * c_row_stride]`.
///
/// # Safety
/// `a` holds `m` rows and `k` columns, `right` `k` rows and `n` columns for `isa`, `c` has room for `m` rows of `n`; `c`
/// overlaps neither.
pub(crate) unsafe fn gemm(isa: Isa, extents: [usize; 3], a: Left, right: Right, c: *mut f32, c_row_stride: usize) {
    let [m, n, k] = extents;
    // SAFETY: the caller's contract.
    unsafe { Product { isa, n, right, c, c_row_stride, goes_on: false }.run(m, k, a) };
    if k == 0 {
        for i in 0..m {
            // SAFETY: row `i` of C has `n` floats.
            unsafe { c.add(i * c_row_stride).write_bytes(0, n) };
        }
    }
}

/// As [`gemm`], `C = C + A B` where the sums of `C` are the first part of the same chains.
///
/// # Safety
/// As that.
pub(super) unsafe fn gemm_on(isa: Isa, extents: [usize; 3], a: Left, right: Right, c: *mut f32, c_row_stride: usize) {
    let [m, n, k] = extents;
    // SAFETY: the caller's contract.
    unsafe { Product { isa, n, right, c, c_row_stride, goes_on: true }.run(m, k, a) };
}

impl Product {
    unsafe fn run(&self, m: usize, k: usize, a: Left) {
        for first in (0..k).step_by(K_CHUNK) {
            let chunk = [first, K_CHUNK.min(k - first)];
            // SAFETY: the caller's contract, for these rows of B and columns of A.
            unsafe {
                if a.column_stride == 1 {
                    self.contiguous(m, a, chunk);
                } else {
                    self.copied(m, a, chunk);
                }
            }
        }
    }

    /// Columns `first..first + len` of a row-major `A`, read where they lie: panel by panel, so that a panel's slice is
    /// read by all rows while it is in the L1 cache.
    unsafe fn contiguous(&self, m: usize, a: Left, [first, len]: [usize; 2]) {
        for column in (0..self.n).step_by(panel_width(self.isa)) {
            for (i, rows) in balanced(m, tile_rows::<false>(self.isa)) {
                // SAFETY: rows `i..i + rows` lie inside `A` and `C`.
                unsafe {
                    let pointer = a.pointer.add(i * a.row_stride + first);
                    self.tile::<false>([i, rows], column, pointer, a.row_stride, [first, len]);
                }
            }
        }
    }

    /// The same for any other `A`: some tiles at a time are copied as `[len, rows]`, which all panels then read.
    unsafe fn copied(&self, m: usize, a: Left, [first, len]: [usize; 2]) {
        let mut copy = [const { std::mem::MaybeUninit::<f32>::uninit() }; COPY];
        let copy: *mut f32 = copy.as_mut_ptr().cast();
        let most = tile_rows::<true>(self.isa);
        // Tiles whose copies fit: `group * rows * len <= COPY`.
        let group = COPY / (most * len);
        let tiles = m.div_ceil(most);
        for group_begin in (0..tiles).step_by(group) {
            let in_group = || balanced(m, most).skip(group_begin).take(group);
            for (at, (i, rows)) in in_group().enumerate() {
                // SAFETY: the tile lies inside `A`, its copy inside the buffer.
                unsafe {
                    let source = a.pointer.add(i * a.row_stride + first * a.column_stride);
                    let to = copy.add(at * most * len);
                    copy_tile(Left { pointer: source, ..a }, rows, len, to);
                }
            }
            for column in (0..self.n).step_by(panel_width(self.isa)) {
                for (at, (i, rows)) in in_group().enumerate() {
                    // SAFETY: as above; the copy was written before.
                    unsafe {
                        let pointer = copy.add(at * most * len);
                        self.tile::<true>([i, rows], column, pointer, rows, [first, len]);
                    }
                }
            }
        }
    }

    /// Rows `i..i + rows` of the panel that begins at `column`, for rows `first..first + len` of `B`.
    #[inline(always)]
    unsafe fn tile<const BY_COLUMNS: bool>(
        &self,
        [i, rows]: [usize; 2],
        column: usize,
        a: *const f32,
        a_stride: usize,
        [first, len]: [usize; 2],
    ) {
        let (width, (b, b_stride)) = (panel_width(self.isa), self.right.below(first).panel(column));
        // SAFETY: the panel holds these rows, and `C` these rows and columns.
        unsafe {
            let tile = Tile {
                lines: &[0],
                k: len,
                a,
                a_stride,
                b,
                b_stride,
                c: self.c.add(i * self.c_row_stride + column),
                c_row_stride: self.c_row_stride,
                // A packed panel follows the last; each tile of 8 rows asks for its share of it.
                ahead: self.right.below(first).panel(column + width).0.wrapping_add(i * len),
                columns: width.min(self.n - column),
                begin: Begin::chained(first == 0 && !self.goes_on),
            };
            run_tile::<BY_COLUMNS>(self.isa, rows, tile);
        }
    }
}

/// `m` rows in as few tiles of at most `most` as there can be, whose sizes differ by at most one: first row and rows of
/// each, the larger ones first.
pub(super) fn balanced(m: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = m.div_ceil(most);
    let (size, larger) = (m / tiles.max(1), m % tiles.max(1));
    (0..tiles).map(move |t| (t * size + t.min(larger), size + usize::from(t < larger)))
}

/// Copies `rows` rows and `len` columns of `A` as `[len, rows]`.
pub(super) unsafe fn copy_tile(a: Left, rows: usize, len: usize, to: *mut f32) {
    /// Groups of neighbouring floats, a fixed number each, so that a copy is a few instructions and no call.
    unsafe fn groups<const ROWS: usize>(from: *const f32, stride: usize, len: usize, to: *mut f32) {
        for p in 0..len {
            prefetch(from.wrapping_add((p + AHEAD) * stride));
            // SAFETY: `copy_tile`'s caller vouches for the group; the copy has `len` of them.
            unsafe { *to.add(p * ROWS).cast::<[f32; ROWS]>() = *from.add(p * stride).cast::<[f32; ROWS]>() };
        }
    }
    // SAFETY: the caller vouches for rows and columns of `A` and for room for their copy.
    unsafe {
        match (a.row_stride, rows) {
            (1, 4) => groups::<4>(a.pointer, a.column_stride, len, to),
            (1, 5) => groups::<5>(a.pointer, a.column_stride, len, to),
            (1, 6) => groups::<6>(a.pointer, a.column_stride, len, to),
            (1, 12) => groups::<12>(a.pointer, a.column_stride, len, to),
            (1, 13) => groups::<13>(a.pointer, a.column_stride, len, to),
            (1, 14) => groups::<14>(a.pointer, a.column_stride, len, to),
            _ => {
                for p in 0..len {
                    for i in 0..rows {
                        *to.add(p * rows + i) = *a.pointer.add(i * a.row_stride + p * a.column_stride);
                    }
                }
            }
        }
    }
}

multiversion! {
    /// `C = A B` for few rows: `B [K, N]` is read once, as it lies, some rows at a time; the sums live in `C`, which stays
    /// in the cache. Meant for up to 4 rows, where packing `B` would cost more than it saves.
    ///
    /// # Safety
    /// `a` holds `m` rows and `k` columns, `b` `k` rows of `n` at `b_row_stride`, `c` has room for `m` rows of `n` and
    /// overlaps neither.
    pub(crate) unsafe fn gemm_direct(
        extents: [usize; 3],
        a: Left,
        b: *const f32,
        b_row_stride: usize,
        c: *mut f32,
        c_row_stride: usize,
    ) {
        /// Rows of `B` that are added in one pass over the sums.
        const DEPTH: usize = 8;
        /// Columns worked on at a time, so that the rows of a pass stay in the L1 cache for all rows of `A`.
        const STRIP: usize = 512;
        let [m, n, k] = extents;
        for first in (0..n).step_by(STRIP) {
            let columns = STRIP.min(n - first);
            for i in 0..m {
                // SAFETY: row `i` of `C` has these columns.
                unsafe { c.add(i * c_row_stride + first).write_bytes(0, columns) };
            }
            for begin in (0..k).step_by(DEPTH) {
                let depth = DEPTH.min(k - begin);
                for i in 0..m {
                    // SAFETY: rows `begin..begin + depth` of `B` and row `i` of `A` and `C` have what is read of them.
                    unsafe {
                        let x = |p: usize| *a.pointer.add(i * a.row_stride + (begin + p) * a.column_stride);
                        let row = |p: usize| b.add((begin + p) * b_row_stride + first);
                        let sums = std::slice::from_raw_parts_mut(c.add(i * c_row_stride + first), columns);
                        if depth == DEPTH {
                            let (x, rows): ([f32; DEPTH], [*const f32; DEPTH]) =
                                (std::array::from_fn(x), std::array::from_fn(row));
                            let rows = rows.map(|row| std::slice::from_raw_parts(row, columns));
                            for j in 0..columns {
                                let mut sum = sums[j];
                                for p in 0..DEPTH {
                                    sum = mul_add::<FMA>(x[p], rows[p][j], sum);
                                }
                                sums[j] = sum;
                            }
                        } else {
                            for p in 0..depth {
                                let (x, row) = (x(p), std::slice::from_raw_parts(row(p), columns));
                                for j in 0..columns {
                                    sums[j] = mul_add::<FMA>(x, row[j], sums[j]);
                                }
                            }
                        }
                    }
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

        /// Half of those that can be.
        fn is_in_place(&self, isa: Isa) -> bool {
            !self.transposed[1] && self.extents[0].is_multiple_of(2) && lies_in_vectors(isa, self.extents[1])
        }

        fn product(&self, isa: Isa, block: usize) -> Vec<f32> {
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
                    let right = if self.is_in_place(isa) {
                        Right::in_place(n, self.b.as_ptr())
                    } else {
                        Right::packed(isa, k, packed.as_ptr())
                    };
                    gemm(isa, [rows, n, k], self.left(first), right, out, n);
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
                let mut n = extent(70);
                n = if round % 3 == 0 { n.next_multiple_of(16) } else { n };
                let extents = [extent(40), n, extent(if round % 5 == 0 { 600 } else { 40 })];
                for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                    let case = Case::new(&mut rng, extents, transposed);
                    let whole = case.product(isa, extents[0]);
                    let error = case.error(&whole);
                    assert!(error < 1e-6, "{isa:?} {extents:?} {transposed:?}: {error}");
                    let split = case.product(isa, 7);
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
        unsafe {
            let right = Right::packed(Isa::detect(), 0, [0f32; 0].as_ptr());
            gemm(Isa::detect(), [2, 3, 0], left, right, c.as_mut_ptr(), 3);
        }
        assert_eq!(c, [0.0; 6]);
    }
}
