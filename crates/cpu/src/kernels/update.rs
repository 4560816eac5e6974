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
    /// One step of Adam in place; the operations and their order are those of the naive form, so the bytes are too.
    ///
    /// # Safety
    /// Each operand holds `len` elements; none overlaps another.
    pub(crate) unsafe fn adam(op: AdamUpdate, operands: AdamOperands, len: usize) {
        let AdamOperands { w, g, m, v, alpha } = operands;
        let (rest_1, rest_2) = (1.0 - op.beta_1, 1.0 - op.beta_2);
        // SAFETY: the caller's contract.
        unsafe {
            let w = std::slice::from_raw_parts_mut(w, len);
            let g = std::slice::from_raw_parts(g, len);
            let m = std::slice::from_raw_parts_mut(m, len);
            let v = std::slice::from_raw_parts_mut(v, len);
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
