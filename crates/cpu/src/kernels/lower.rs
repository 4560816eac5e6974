//! Products of which only a lower triangle counts, by blocks of rows: what lies wholly above the diagonal is not computed.

use super::gemm::{Left, Right, gemm, gemm_on};
use crate::isa::Isa;

/// Rows of a block, and columns of the squares on the diagonal.
const ROWS: usize = 16;

/// `C = A B` and zeros above the diagonal of `C`, whose rows lie one after another.
///
/// # Safety
/// As [`gemm`].
pub(crate) unsafe fn gemm_lower_output(isa: Isa, [m, n, k]: [usize; 3], a: Left, right: Right, c: *mut f32) {
    for first in (0..m).step_by(ROWS) {
        let rows = ROWS.min(m - first);
        // SAFETY: rows and columns lie inside the matrices.
        unsafe {
            gemm(isa, [rows, n.min(first + rows), k], a.from(first, 0), right, c.add(first * n), n);
            for i in first..first + rows {
                let begin = n.min(i + 1);
                c.add(i * n + begin).write_bytes(0, n - begin);
            }
        }
    }
}

/// `C = A B` where the elements of `A` above its diagonal count as zero; below it if `A` is given transposed, because then
/// they are above in what is given. The rows of `C` lie one after another.
///
/// # Safety
/// As [`gemm`].
pub(crate) unsafe fn gemm_lower_a(
    isa: Isa,
    [m, n, k]: [usize; 3],
    a: Left,
    is_transposed: bool,
    right: Right,
    c: *mut f32,
) {
    for first in (0..m).step_by(ROWS) {
        let rows = ROWS.min(m - first);
        let [begin, end] = [first, first + rows].map(|column| column.min(k));
        let mut square = [0f32; ROWS * ROWS];
        // SAFETY: rows and columns lie inside the matrices, and those of the square in the square.
        unsafe {
            // A line of what is given, up to the diagonal, is a column of `A` if it is given transposed, else a row.
            for line in 0..if is_transposed { end - begin } else { rows } {
                let (from, most) = match is_transposed {
                    true => (a.from(first, begin + line), rows),
                    false => (a.from(first + line, begin), end - begin),
                };
                let count = most.min(line + 1);
                square[line * ROWS..][..count].copy_from_slice(std::slice::from_raw_parts(from.pointer, count));
            }
            let [row_stride, column_stride] = if is_transposed { [1, ROWS] } else { [ROWS, 1] };
            let (c, square) = (c.add(first * n), Left { pointer: square.as_ptr(), row_stride, column_stride });
            if is_transposed {
                gemm(isa, [rows, n, end - begin], square, right.below(begin), c, n);
                gemm_on(isa, [rows, n, k - end], a.from(first, end), right.below(end), c, n);
            } else {
                gemm(isa, [rows, n, begin], a.from(first, 0), right, c, n);
                gemm_on(isa, [rows, n, end - begin], square, right.below(begin), c, n);
            }
        }
    }
}
