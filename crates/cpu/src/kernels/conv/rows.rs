//! Sums of rows, each times a number: products whose left side is mostly zero, of which the rest is listed.

use crate::isa::Isa;
use crate::kernels::math::mul_add;

/// Lists of numbers and of where the row that each is multiplied with begins, in floats. Several lists lie in one array.
#[derive(Clone, Copy)]
pub(super) struct Lists<'a> {
    pub values: *const f32,
    pub offsets: *const u32,
    /// Where each list begins and ends.
    pub starts: *const u32,
    pub ends: *const u32,
    /// Where the sums of each list are.
    pub to: &'a [u32],
}

impl Lists<'_> {
    /// The entries of a list.
    ///
    /// # Safety
    /// The arrays hold the list, and nothing writes there as long as it is used.
    #[inline(always)]
    unsafe fn entries(&self, list: usize) -> (&[f32], &[u32]) {
        // SAFETY: the caller's contract.
        unsafe {
            let (start, end) = (*self.starts.add(list) as usize, *self.ends.add(list) as usize);
            let values = std::slice::from_raw_parts(self.values.add(start), end - start);
            (values, std::slice::from_raw_parts(self.offsets.add(start), end - start))
        }
    }
}

/// Lines that every row is read in, and where their sums are.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    /// Where each line begins, behind a row's beginning.
    pub lines: &'a [usize],
    /// The floats of a line.
    pub run: usize,
    /// The sums of the first line.
    pub to: *mut f32,
    /// From one line's sums to the next.
    pub to_stride: usize,
}

/// Lines that are summed in one pass over the entries.
const TOGETHER: usize = 3;

/// For each list `to[list][l to_stride + i] += sum_e values[e] rows[offsets[e] + lines[l] + i]`: each sum is one chain of
/// multiply-adds in the order of the entries, which begins at 0, so that sums of many parts lose fewer digits.
///
/// # Safety
/// The lists are there; `rows` holds the lines behind every offset, `sums.to` has room for the sums and overlaps no row.
pub(super) unsafe fn add_rows(isa: Isa, lists: Lists<'_>, rows: *const f32, sums: Lines<'_>) {
    for (group, lines) in sums.lines.chunks(TOGETHER).enumerate() {
        // SAFETY: the caller's contract for these lines; the processor has the instruction set, because `isa` says so.
        unsafe {
            let to = sums.to.add(group * TOGETHER * sums.to_stride);
            let sums = Lines { lines, to, ..sums };
            match (isa, lines.len()) {
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx512, 1) => add_rows_avx512::<1>(lists, rows, sums),
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx512, 2) => add_rows_avx512::<2>(lists, rows, sums),
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx512, _) => add_rows_avx512::<3>(lists, rows, sums),
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx2, 1) => add_rows_avx2::<1>(lists, rows, sums),
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx2, 2) => add_rows_avx2::<2>(lists, rows, sums),
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx2, _) => add_rows_avx2::<3>(lists, rows, sums),
                _ => add_rows_portable(lists, rows, sums),
            }
        }
    }
}

/// All columns of some lines in strips whose sums are in registers.
macro_rules! x86_rows {
    (
        $name:ident, $strip:ident, $features:literal, $lanes:literal, [$($vectors:literal),*], $set1:ident, $zero:ident,
        $fma:ident, $add:ident, whole: $load:ident, $store:ident, part: $mask:ident, $load_part:ident, $store_part:ident
    ) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const LINES: usize>(lists: Lists<'_>, rows: *const f32, sums: Lines<'_>) {
            const MOST: usize = [$($vectors),*].len();
            let mut column = 0;
            while column < sums.run {
                let (vectors, rest) = (((sums.run - column) / $lanes).min(MOST), sums.run - column);
                // SAFETY: the strip's columns are among those that the caller vouches for.
                unsafe {
                    let (rows, to) = (rows.add(column), sums.to.add(column));
                    match vectors {
                        $($vectors => {
                            let sums = Lines { run: $vectors * $lanes, to, ..sums };
                            $strip::<LINES, $vectors, true>(lists, rows, sums);
                        })*
                        _ => $strip::<LINES, 1, false>(lists, rows, Lines { run: rest, to, ..sums }),
                    }
                }
                column += if vectors == 0 { rest } else { vectors * $lanes };
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $strip<const LINES: usize, const VECTORS: usize, const WHOLE: bool>(
            lists: Lists<'_>,
            rows: *const f32,
            Lines { lines, run, to, to_stride }: Lines<'_>,
        ) {
            use crate::kernels::tile::part::{$load_part, $mask, $store_part};
            use std::arch::x86_64::*;
            let mask = $mask(run);
            // SAFETY: the contract of `add_rows` for these columns.
            unsafe {
                let mut starts = [rows; LINES];
                for l in 0..LINES {
                    starts[l] = rows.add(lines[l]);
                }
                for (list, at) in lists.to.iter().enumerate() {
                    let (values, offsets) = lists.entries(list);
                    if values.is_empty() {
                        continue;
                    }
                    let mut sums = [[$zero(); VECTORS]; LINES];
                    for (value, offset) in values.iter().zip(offsets) {
                        let x = $set1(*value);
                        for l in 0..LINES {
                            for v in 0..VECTORS {
                                let row = starts[l].add(*offset as usize + v * $lanes);
                                let row = if WHOLE { $load(row) } else { $load_part(row, mask) };
                                sums[l][v] = $fma(x, row, sums[l][v]);
                            }
                        }
                    }
                    let to = to.add(*at as usize);
                    for l in 0..LINES {
                        for v in 0..VECTORS {
                            let to = to.add(l * to_stride + v * $lanes);
                            let sum = $add(if WHOLE { $load(to) } else { $load_part(to, mask) }, sums[l][v]);
                            if WHOLE { $store(to, sum) } else { $store_part(to, mask, sum) }
                        }
                    }
                }
            }
        }
    };
}

x86_rows!(
    add_rows_avx2, strip_avx2, "avx2,fma", 8, [1, 2, 3, 4], _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_fmadd_ps, _mm256_add_ps, whole: _mm256_loadu_ps, _mm256_storeu_ps, part: mask_avx2, load_avx2, store_avx2
);
x86_rows!(
    add_rows_avx512, strip_avx512, "avx512f", 16, [1, 2, 3, 4, 5, 6], _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_fmadd_ps, _mm512_add_ps, whole: _mm512_loadu_ps, _mm512_storeu_ps, part: mask_avx512, load_avx512, store_avx512
);

/// Columns of the portable form whose sums are kept at a time.
const LANES: usize = 16;

/// Whether the compiler's target fuses a multiply-add into one instruction.
const FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// The same in plain loops, for the compiler to vectorise.
unsafe fn add_rows_portable(lists: Lists<'_>, rows: *const f32, sums: Lines<'_>) {
    for ((list, at), (l, line)) in
        lists.to.iter().enumerate().flat_map(|list| sums.lines.iter().enumerate().map(move |line| (list, line)))
    {
        for first in (0..sums.run).step_by(LANES) {
            let count = LANES.min(sums.run - first);
            let mut strip = [0f32; LANES];
            // SAFETY: the contract of `add_rows` for these columns.
            unsafe {
                let (values, offsets) = lists.entries(list);
                for (value, offset) in values.iter().zip(offsets) {
                    let row = rows.add(*offset as usize + line + first);
                    if count == LANES {
                        let row = &*row.cast::<[f32; LANES]>();
                        (0..LANES).for_each(|i| strip[i] = mul_add::<FMA>(*value, row[i], strip[i]));
                    } else {
                        (0..count).for_each(|i| strip[i] = mul_add::<FMA>(*value, *row.add(i), strip[i]));
                    }
                }
                let to = sums.to.add(*at as usize + l * sums.to_stride + first);
                (0..count).for_each(|i| *to.add(i) += strip[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_tensor::{Philox, RandomKey};

    #[test]
    fn sums_of_rows_match_the_definition_for_any_lists_and_lines() {
        let mut rng = Philox::new(RandomKey::new(31));
        let runs = (1..40).chain([96, 97, 104, 192, 200]);
        for (run, lines) in runs.flat_map(|run| [1, 2, 3, 4, 7].map(|lines| (run, lines))) {
            let mut random = |count: usize| (0..count).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>();
            let lines: Vec<usize> = (0..lines).map(|line| line * (run + 2)).collect();
            let (width, own) = (lines.len() * (run + 2), lines.len() * (run + 1));
            let (rows, values, begin) = (random(7 * width), random(6), random(3 * own));
            let offsets = [3, 0, 3, 6, 1, 2].map(|row| row * width as u32);
            // The first list has entries 1, 2 and 3, the second none, the third entries 4 and 5.
            let (starts, ends, to) = ([1, 4, 4], [4, 4, 6], [own as u32, 0, 2 * own as u32]);
            for isa in Isa::available() {
                let mut sums = begin.clone();
                let (values, offsets) = (values.as_ptr(), offsets.as_ptr());
                let lists = Lists { values, offsets, starts: starts.as_ptr(), ends: ends.as_ptr(), to: &to };
                let lines = Lines { lines: &lines, run, to: sums.as_mut_ptr(), to_stride: run + 1 };
                // SAFETY: the lists are as long, every offset is that of a row, which holds the lines.
                unsafe { add_rows(isa, lists, rows.as_ptr(), lines) };
                for (at, sum) in sums.iter().enumerate() {
                    let list = to.iter().position(|to| *to as usize == at / own * own).unwrap();
                    let (line, i) = (at % own / (run + 1), at % (run + 1));
                    let mut want = f64::from(begin[at]);
                    for e in starts[list] as usize..ends[list] as usize * usize::from(i < run) {
                        // SAFETY: the entry is one of the six.
                        let (value, row) = unsafe { (*values.add(e), *offsets.add(e) as usize) };
                        want += f64::from(value) * f64::from(rows[row + lines.lines[line] + i]);
                    }
                    assert!((f64::from(*sum) - want).abs() < 1e-6, "{isa:?}, element {i} of line {line} of {run}");
                }
            }
        }
    }
}
