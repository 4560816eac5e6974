//! Optimizer updates in one pass over memory.

use crate::isa::multiversion;
use footlight_graph::ops::AdamUpdate;

/// A parameter, its gradient and Adam's two moments, `len` elements each.
#[derive(Clone, Copy)]
pub(crate) struct AdamOperands {
    pub w: *mut f32,
    pub g: *const f32,
    pub m: *mut f32,
    pub v: *mut f32,
    pub alpha: f32,
}

multiversion! {
    /// One step of Adam in place on `rows` rows, those without a gradient left out if it is lazy; the operations and their
    /// order are those of the naive form, so the bytes are too.
    ///
    /// # Safety
    /// Each operand holds `rows` rows of `row_len` elements; none overlaps another.
    pub(crate) unsafe fn adam(op: AdamUpdate, operands: AdamOperands, extents: [usize; 2]) {
        let [rows, row_len] = extents;
        let AdamOperands { w, g, m, v, alpha } = operands;
        let (rest_1, rest_2) = (1.0 - op.beta_1, 1.0 - op.beta_2);
        let (rows, len) = if op.lazy { (rows, row_len) } else { (1, rows * row_len) };
        for at in (0..rows).map(|row| row * len) {
            // SAFETY: the caller's contract.
            unsafe {
                let g = std::slice::from_raw_parts(g.add(at), len);
                // Either zero has no bits but its sign, which is shifted out.
                if op.lazy && g.iter().fold(0, |bits, g| bits | g.to_bits() << 1) == 0 {
                    continue;
                }
                let w = std::slice::from_raw_parts_mut(w.add(at), len);
                let m = std::slice::from_raw_parts_mut(m.add(at), len);
                let v = std::slice::from_raw_parts_mut(v.add(at), len);
                for i in 0..len {
                    let gradient = g[i];
                    let first = m[i] + (gradient - m[i]) * rest_1;
                    let second = v[i] + (gradient * gradient - v[i]) * rest_2;
                    m[i] = first;
                    v[i] = second;
                    w[i] -= alpha * first / (second.sqrt() + op.epsilon);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn a_lazy_step_moves_rows_with_a_gradient_alone() {
        let op = AdamUpdate { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, lazy: true };
        let g = [0.0, 0.0, 0.5, 0.0, 0.0, f32::NAN];
        for isa in Isa::available() {
            let (mut w, mut m, mut v) = ([1.0; 6], [0.25; 6], [0.5; 6]);
            let operands =
                AdamOperands { w: w.as_mut_ptr(), g: g.as_ptr(), m: m.as_mut_ptr(), v: v.as_mut_ptr(), alpha: 0.1 };
            // SAFETY: each array holds three rows of two.
            unsafe { adam(isa, op, operands, [3, 2]) };
            assert_eq!((w[0], w[1], m[0], v[1]), (1.0, 1.0, 0.25, 0.5));
            assert!(w[2] < 1.0 && w[3] < 1.0, "an element of a row that moves has its moments: {w:?}");
            assert!(w[4] < 1.0 && w[5].is_nan(), "{w:?}");
        }
    }
}
