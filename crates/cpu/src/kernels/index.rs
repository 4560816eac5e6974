//! Rows by index, and positions.

use crate::isa::multiversion;

/// A table of `rows` rows of `row_len` elements of four bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub rows: usize,
    pub row_len: usize,
    /// The bits of an element of a row that is not there.
    pub nothing: u32,
}

impl Table {
    /// The row of an index, if it is one of the table.
    fn row(self, index: i32) -> Option<usize> {
        usize::try_from(index).ok().filter(|row| *row < self.rows)
    }
}

/// The rows of a table that `count` indices name.
///
/// # Safety
/// `table` holds what it says, `indices` holds `count`, `out` has room for `count` rows.
pub(crate) unsafe fn gather(table: Table, from: *const u32, indices: *const i32, count: usize, out: *mut u32) {
    let len = table.row_len;
    for i in 0..count {
        // SAFETY: the row was checked to be one of the table; row `i` of the output is one of `count`.
        unsafe {
            let to = out.add(i * len);
            match table.row(*indices.add(i)) {
                Some(row) => std::ptr::copy_nonoverlapping(from.add(row * len), to, len),
                None => std::slice::from_raw_parts_mut(to, len).fill(table.nothing),
            }
        }
    }
}

multiversion! {
    /// Rows `first..first + rows` of a table: each the sum, in the order of the indices, of the values they name it for.
    ///
    /// # Safety
    /// `values` holds a row for each of `indices`; `out` has room for `rows` rows of `row_len`.
    pub(crate) unsafe fn sum_rows(
        values: *const f32,
        indices: &[i32],
        row_len: usize,
        block: [usize; 2],
        out: *mut f32,
    ) {
        let [first, rows] = block;
        // SAFETY: the caller's contract.
        let out = unsafe { std::slice::from_raw_parts_mut(out, rows * row_len) };
        out.fill(0.0);
        for (i, index) in indices.iter().enumerate() {
            // A negative index wraps to one far beyond the block.
            let row = (*index as usize).wrapping_sub(first);
            if row < rows {
                // SAFETY: `values` has row `i`.
                let value = unsafe { std::slice::from_raw_parts(values.add(i * row_len), row_len) };
                out[row * row_len..][..row_len].iter_mut().zip(value).for_each(|(sum, value)| *sum += value);
            }
        }
    }
}

/// Elements `begin..begin + out.len()` of positions that count `extent` steps of `stride` elements, over and over.
pub(crate) fn iota(stride: usize, extent: usize, begin: usize, out: &mut [i32]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = ((begin + i) / stride % extent) as i32;
    }
}
