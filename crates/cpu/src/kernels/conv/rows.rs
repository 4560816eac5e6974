//! Sums of rows, each times a number: products whose left side is mostly zero, of which the rest is listed.

use crate::isa::Isa;
use crate::kernels::math::mul_add;
use std::ops::Range;

/// Numbers, and where the row that each is multiplied with begins, in floats.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    pub values: &'a [f32],
    pub offsets: &'a [u32],
}

impl<'a> Entries<'a> {
    /// Some entries of lists.
    ///
    /// # Safety
    /// Both lists hold these, and nothing writes there as long as the entries are used.
    pub(super) unsafe fn new(values: *const f32, offsets: *const u32, which: Range<usize>) -> Entries<'a> {
        // SAFETY: the caller's contract.
        unsafe {
            let values = std::slice::from_raw_parts(values.add(which.start), which.len());
            Entries { values, offsets: std::slice::from_raw_parts(offsets.add(which.start), which.len()) }
        }
    }
}

/// `to[i] += sum_e values[e] rows[offsets[e] + i]` for the first `columns` columns: for each one chain of multiply-adds in
/// the order of the entries.
///
/// # Safety
/// `rows` holds the columns behind every offset, `to` has room for them and overlaps no row.
pub(super) unsafe fn add_rows(isa: Isa, entries: Entries<'_>, rows: *const f32, to: *mut f32, columns: usize) {
    // SAFETY: the caller's contract; the processor has the instruction set, because `isa` says so.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => add_rows_avx512(entries, rows, to, columns),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => add_rows_avx2(entries, rows, to, columns),
            _ => add_rows_portable(entries, rows, to, columns),
        }
    }
}

/// All columns in strips whose sums are in registers.
macro_rules! x86_rows {
    (
        $name:ident, $strip:ident, $features:literal, $lanes:literal, [$($vectors:literal),*], $set1:ident, $zero:ident,
        $fma:ident, whole: $load:ident, $store:ident, part: $mask:ident, $load_part:ident, $store_part:ident
    ) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name(entries: Entries<'_>, rows: *const f32, to: *mut f32, columns: usize) {
            const MOST: usize = [$($vectors),*].len();
            let mut column = 0;
            while column < columns {
                // SAFETY: the strip's columns are among those that the caller vouches for.
                column += unsafe {
                    let (rows, to) = (rows.add(column), to.add(column));
                    match ((columns - column) / $lanes).min(MOST) {
                        $($vectors => $strip::<$vectors, true>(entries, rows, to, $vectors * $lanes),)*
                        _ => $strip::<1, false>(entries, rows, to, columns - column),
                    }
                };
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $strip<const VECTORS: usize, const WHOLE: bool>(
            entries: Entries<'_>,
            rows: *const f32,
            to: *mut f32,
            columns: usize,
        ) -> usize {
            use crate::kernels::tile::part::{$load_part, $mask, $store_part};
            use std::arch::x86_64::*;
            let mask = $mask(columns);
            let mut sums = [$zero(); VECTORS];
            // SAFETY: the contract of `add_rows` for these columns.
            unsafe {
                for v in 0..VECTORS {
                    let to = to.add(v * $lanes);
                    sums[v] = if WHOLE { $load(to) } else { $load_part(to, mask) };
                }
                for (value, offset) in entries.values.iter().zip(entries.offsets) {
                    let (x, row) = ($set1(*value), rows.add(*offset as usize));
                    for v in 0..VECTORS {
                        let row = row.add(v * $lanes);
                        sums[v] = $fma(x, if WHOLE { $load(row) } else { $load_part(row, mask) }, sums[v]);
                    }
                }
                for v in 0..VECTORS {
                    let to = to.add(v * $lanes);
                    if WHOLE { $store(to, sums[v]) } else { $store_part(to, mask, sums[v]) }
                }
            }
            columns
        }
    };
}

x86_rows!(
    add_rows_avx2, strip_avx2, "avx2,fma", 8, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_fmadd_ps, whole: _mm256_loadu_ps, _mm256_storeu_ps, part: mask_avx2, load_avx2, store_avx2
);
x86_rows!(
    add_rows_avx512, strip_avx512, "avx512f", 16, [1, 2, 3, 4, 5, 6], _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_fmadd_ps, whole: _mm512_loadu_ps, _mm512_storeu_ps, part: mask_avx512, load_avx512, store_avx512
);

/// Columns of the portable form whose sums are kept at a time.
const LANES: usize = 16;

/// Whether the compiler's target fuses a multiply-add into one instruction.
const FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// The same in plain loops, for the compiler to vectorise.
unsafe fn add_rows_portable(entries: Entries<'_>, rows: *const f32, to: *mut f32, columns: usize) {
    for first in (0..columns).step_by(LANES) {
        let count = LANES.min(columns - first);
        let mut sums = [0f32; LANES];
        // SAFETY: the contract of `add_rows` for these columns.
        unsafe {
            sums.as_mut_ptr().copy_from_nonoverlapping(to.add(first), count);
            for (value, offset) in entries.values.iter().zip(entries.offsets) {
                let row = rows.add(*offset as usize + first);
                if count == LANES {
                    let row = &*row.cast::<[f32; LANES]>();
                    (0..LANES).for_each(|i| sums[i] = mul_add::<FMA>(*value, row[i], sums[i]));
                } else {
                    (0..count).for_each(|i| sums[i] = mul_add::<FMA>(*value, *row.add(i), sums[i]));
                }
            }
            to.add(first).copy_from_nonoverlapping(sums.as_ptr(), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_tensor::{Philox, RandomKey};

    #[test]
    fn sums_of_rows_match_the_definition_for_any_number_of_columns() {
        let mut rng = Philox::new(RandomKey::new(31));
        for columns in (1..40).chain([96, 97, 104, 192, 200, 289]) {
            let mut random = |count: usize| (0..count).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>();
            let (rows, values, begin) = (random(7 * columns), random(5), random(columns));
            let offsets = [3, 0, 3, 6, 1].map(|row| row * columns as u32);
            for isa in Isa::available() {
                let mut sums = begin.clone();
                let entries = Entries { values: &values, offsets: &offsets };
                // SAFETY: every offset is that of a row.
                unsafe { add_rows(isa, entries, rows.as_ptr(), sums.as_mut_ptr(), columns) };
                for (i, sum) in sums.iter().enumerate() {
                    let terms = values.iter().zip(offsets);
                    let want = terms.fold(f64::from(begin[i]), |sum, (value, offset)| {
                        sum + f64::from(*value) * f64::from(rows[offset as usize + i])
                    });
                    assert!((f64::from(*sum) - want).abs() < 1e-6, "{isa:?}, column {i} of {columns}");
                }
            }
        }
    }
}
