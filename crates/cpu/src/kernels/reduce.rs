//! Sums, maxima and their positions. The order of every sum depends on the shape alone.

use super::elementwise::maximum;
use crate::isa::{Isa, multiversion};

/// Lanes of the sums along the last axis.
const LANES: usize = 32;

/// How a tensor is seen for a reduction along neighbouring axes: `[outer, length, inner]`, the middle reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fold {
    pub outer: usize,
    pub length: usize,
    pub inner: usize,
}

impl Fold {
    /// The view for `axes` of `shape`, if they are neighbours (or the axes between have extent 1).
    pub(crate) fn new(shape: &[usize], axes: &[usize]) -> Option<Fold> {
        let significant: Vec<usize> = axes.iter().copied().filter(|&a| shape[a] != 1).collect();
        let (Some(&first), Some(&last)) = (significant.first(), significant.last()) else {
            return Some(Fold { outer: shape.iter().product(), length: 1, inner: 1 });
        };
        if (first..=last).any(|axis| shape[axis] != 1 && !significant.contains(&axis)) {
            return None;
        }
        let product = |range: std::ops::Range<usize>| shape[range].iter().product();
        Some(Fold { outer: product(0..first), length: product(first..last + 1), inner: product(last + 1..shape.len()) })
    }
}

/// What is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sum,
    Max,
}

impl Kind {
    /// What the fold of nothing is.
    fn start(self) -> f32 {
        match self {
            Kind::Sum => 0.0,
            Kind::Max => f32::NEG_INFINITY,
        }
    }
}

/// Folds elements `begin..begin + count` of the output `[outer, inner]`; `x` points at the block's first outer row if
/// `by_rows`, else at its beginning.
///
/// # Safety
/// `x` holds `[outer, length, inner]`, or the block's rows of it; `out` has room for `count` elements.
pub(crate) unsafe fn fold(isa: Isa, kind: Kind, view: Fold, x: *const f32, begin: usize, count: usize, out: *mut f32) {
    if view.inner == 1 {
        // SAFETY: `begin` is an outer row.
        let x = unsafe { x.add(begin * view.length) };
        // SAFETY: the caller's contract.
        return unsafe { fold_rows(isa, kind, x, count, view.length, out) };
    }
    let mut done = 0;
    while done < count {
        let (outer, inner) = ((begin + done) / view.inner, (begin + done) % view.inner);
        let run = (view.inner - inner).min(count - done);
        // SAFETY: columns `inner..inner + run` of outer row `outer` lie inside both.
        unsafe {
            let x = x.add(outer * view.length * view.inner + inner);
            fold_columns(isa, kind, x, [view.length, view.inner], run, out.add(done));
        }
        done += run;
    }
}

/// Folds a row in [`LANES`] lanes, element `i` in lane `i % LANES`, and then halves the lanes until one is left.
#[inline(always)]
fn fold_row(x: &[f32], start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (groups, rest) = x.as_chunks::<LANES>();
    for group in groups {
        for i in 0..LANES {
            lanes[i] = f(lanes[i], group[i]);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = f(*lane, *x);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

multiversion! {
    /// Folds `rows` rows of `len`.
    ///
    /// # Safety
    /// `x` holds `rows * len` elements, `out` has room for `rows`.
    unsafe fn fold_rows(kind: Kind, x: *const f32, rows: usize, len: usize, out: *mut f32) {
        for row in 0..rows {
            // SAFETY: the row lies inside `x`.
            let x = unsafe { std::slice::from_raw_parts(x.add(row * len), len) };
            let y = match kind {
                Kind::Sum => fold_row(x, kind.start(), |a, b| a + b),
                Kind::Max => fold_row(x, kind.start(), maximum),
            };
            // SAFETY: `row < rows`.
            unsafe { *out.add(row) = y };
        }
    }
}

/// `out[j] = f(out[j], x[j])`.
#[inline(always)]
fn fold_into(out: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    out.iter_mut().zip(x).for_each(|(o, x)| *o = f(*o, *x));
}

multiversion! {
    /// Folds `count` columns of `extents[0]` rows that are `extents[1]` apart, in the order of the rows.
    ///
    /// # Safety
    /// `x` holds these rows and columns, `out` has room for `count`.
    unsafe fn fold_columns(kind: Kind, x: *const f32, extents: [usize; 2], count: usize, out: *mut f32) {
        let [length, stride] = extents;
        // SAFETY: the caller's contract.
        let out = unsafe { std::slice::from_raw_parts_mut(out, count) };
        out.fill(kind.start());
        for row in 0..length {
            // SAFETY: row `row` has `count` columns.
            let x = unsafe { std::slice::from_raw_parts(x.add(row * stride), count) };
            match kind {
                Kind::Sum => fold_into(out, x, |a, b| a + b),
                Kind::Max => fold_into(out, x, maximum),
            }
        }
    }
}

/// Folds any axes, element by element of the input in order: the general case.
///
/// # Safety
/// `x` holds `shape`; `out` has room for the product of the extents that stay.
pub(crate) unsafe fn fold_any(kind: Kind, shape: &[usize], axes: &[usize], x: *const f32, out: *mut f32) {
    let mut strides = [0usize; 16];
    let mut stride = 1;
    for axis in (0..shape.len()).rev() {
        if !axes.contains(&axis) {
            strides[axis] = stride;
            stride *= shape[axis];
        }
    }
    // SAFETY: `stride` is now the size of the output.
    (0..stride).for_each(|i| unsafe { *out.add(i) = kind.start() });
    for element in 0..shape.iter().product() {
        let (mut rest, mut at) = (element, 0);
        for axis in (0..shape.len()).rev() {
            at += rest % shape[axis] * strides[axis];
            rest /= shape[axis];
        }
        // SAFETY: `element` and `at` lie inside input and output.
        unsafe {
            let to = &mut *out.add(at);
            *to = match kind {
                Kind::Sum => *to + *x.add(element),
                Kind::Max => maximum(*to, *x.add(element)),
            };
        }
    }
}

/// The position of the first maximum of each row; a NaN counts as the largest.
///
/// # Safety
/// `x` holds `rows * len` elements, `out` has room for `rows`.
pub(crate) unsafe fn argmax(x: *const f32, rows: usize, len: usize, out: *mut i32) {
    for row in 0..rows {
        // SAFETY: the row lies inside `x`.
        let x = unsafe { std::slice::from_raw_parts(x.add(row * len), len) };
        let mut best = 0;
        for (i, value) in x.iter().enumerate() {
            if *value > x[best] || (value.is_nan() && !x[best].is_nan()) {
                best = i;
            }
        }
        // SAFETY: `row < rows`.
        unsafe { *out.add(row) = best as i32 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_axes_fold_into_three() {
        assert_eq!(Fold::new(&[3, 4, 5], &[1]), Some(Fold { outer: 3, length: 4, inner: 5 }));
        assert_eq!(Fold::new(&[3, 4, 5], &[0, 1]), Some(Fold { outer: 1, length: 12, inner: 5 }));
        assert_eq!(Fold::new(&[3, 1, 5], &[0, 2]), Some(Fold { outer: 1, length: 15, inner: 1 }));
        assert_eq!(Fold::new(&[3, 4, 5], &[0, 2]), None);
        assert_eq!(Fold::new(&[3, 1], &[1]), Some(Fold { outer: 3, length: 1, inner: 1 }));
    }

    #[test]
    fn a_nan_is_the_largest() {
        let (x, mut y, mut at) = ([1.0, f32::NAN, 3.0], [0.0], [0]);
        // SAFETY: one row of three.
        unsafe {
            fold_rows(Isa::detect(), Kind::Max, x.as_ptr(), 1, 3, y.as_mut_ptr());
            argmax(x.as_ptr(), 1, 3, at.as_mut_ptr());
        }
        assert!(y[0].is_nan());
        assert_eq!(at, [1]);
    }
}
