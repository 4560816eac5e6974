//! One elementwise function over a tile: plain loops, compiled for every instruction set.

use super::math;
use crate::isa::multiversion;
use footlight_graph::ops::{Binary, Unary};

/// An operand of one loop: as many numbers as the tile has, or one for all.
#[derive(Clone, Copy)]
pub(super) enum Argument {
    Many(*const f32),
    One(f32),
}

/// Elements that a loop works on at once: two vectors of the widest instruction set.
const LANES: usize = 32;

/// `len` elements of an argument, from its beginning.
#[inline(always)]
unsafe fn slice<'a>(pointer: *const f32, len: usize) -> &'a [f32] {
    // SAFETY: the caller vouches for `len` elements.
    unsafe { std::slice::from_raw_parts(pointer, len) }
}

/// `out[i] = f(a[i])`.
#[inline(always)]
unsafe fn map(a: Argument, out: &mut [f32], f: impl Fn(f32) -> f32) {
    match a {
        Argument::Many(a) => {
            // SAFETY: the caller vouches for as many elements as `out` has.
            let a = unsafe { slice(a, out.len()) };
            out.iter_mut().zip(a).for_each(|(out, a)| *out = f(*a));
        }
        Argument::One(a) => out.fill(f(a)),
    }
}

/// As [`map`], for long functions: whole groups of [`LANES`], the last one filled up, so that no element is left to a
/// scalar copy of the loop.
#[inline(always)]
unsafe fn map_long(a: Argument, out: &mut [f32], f: impl Fn(f32) -> f32) {
    let a = match a {
        // SAFETY: the caller vouches for as many elements as `out` has.
        Argument::Many(a) => unsafe { slice(a, out.len()) },
        Argument::One(a) => return out.fill(f(a)),
    };
    let (groups, rest) = out.as_chunks_mut::<LANES>();
    let (whole, last) = a.as_chunks::<LANES>();
    for (out, a) in groups.iter_mut().zip(whole) {
        for i in 0..LANES {
            out[i] = f(a[i]);
        }
    }
    if !rest.is_empty() {
        let mut group = [0f32; LANES];
        group[..last.len()].copy_from_slice(last);
        for x in &mut group {
            *x = f(*x);
        }
        rest.copy_from_slice(&group[..last.len()]);
    }
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
unsafe fn zip(a: Argument, b: Argument, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let len = out.len();
    // SAFETY: the caller vouches for as many elements as `out` has.
    let many = |pointer| unsafe { slice(pointer, len) };
    match (a, b) {
        (Argument::Many(a), Argument::Many(b)) => {
            out.iter_mut().zip(many(a)).zip(many(b)).for_each(|((out, a), b)| *out = f(*a, *b));
        }
        (Argument::Many(a), Argument::One(b)) => out.iter_mut().zip(many(a)).for_each(|(out, a)| *out = f(*a, b)),
        (Argument::One(a), Argument::Many(b)) => out.iter_mut().zip(many(b)).for_each(|(out, b)| *out = f(a, *b)),
        (Argument::One(a), Argument::One(b)) => out.fill(f(a, b)),
    }
}

#[inline(always)]
fn truth(is: bool) -> f32 {
    if is { 1.0 } else { 0.0 }
}

/// `-1`, `0` or `1`; zeros and NaN are their own sign.
#[inline(always)]
fn sign(x: f32) -> f32 {
    if x == 0.0 || x.is_nan() { x } else { 1f32.copysign(x) }
}

/// The larger, `a` at ties; a NaN on either side comes through.
#[inline(always)]
pub(super) fn maximum(a: f32, b: f32) -> f32 {
    let larger = if a >= b { a } else { b };
    if a.is_nan() { a } else { larger }
}

/// The smaller, `a` at ties; a NaN on either side comes through.
#[inline(always)]
fn minimum(a: f32, b: f32) -> f32 {
    let smaller = if a <= b { a } else { b };
    if a.is_nan() { a } else { smaller }
}

multiversion! {
    /// `out[i] = kind(a[i])`.
    ///
    /// # Safety
    /// `a` and `out` hold `len` elements and do not overlap.
    pub(super) unsafe fn unary(kind: Unary, a: Argument, out: *mut f32, len: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            let out = std::slice::from_raw_parts_mut(out, len);
            match kind {
                Unary::Identity | Unary::StopGradient => map(a, out, |x| x),
                Unary::Neg => map(a, out, |x| -x),
                Unary::Abs => map(a, out, f32::abs),
                Unary::Sign => map(a, out, sign),
                Unary::Exp => map_long(a, out, math::exp::<FMA>),
                Unary::Log => map_long(a, out, math::log::<FMA>),
                Unary::Log1p => map_long(a, out, math::log1p::<FMA>),
                Unary::Expm1 => map_long(a, out, math::expm1::<FMA>),
                Unary::Sqrt => map(a, out, f32::sqrt),
                Unary::Tanh => map_long(a, out, math::tanh::<FMA>),
                Unary::Sigmoid => map_long(a, out, math::sigmoid::<FMA>),
                Unary::Erf => map_long(a, out, math::erf::<FMA>),
                Unary::Cos => map(a, out, f32::cos),
                Unary::Floor => map(a, out, f32::floor),
            }
        }
    }
}

multiversion! {
    /// `out[i] = kind(a[i], b[i])`.
    ///
    /// # Safety
    /// `a`, `b` and `out` hold `len` elements; `out` overlaps neither.
    pub(super) unsafe fn binary(kind: Binary, a: Argument, b: Argument, out: *mut f32, len: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            let out = std::slice::from_raw_parts_mut(out, len);
            match kind {
                Binary::Add => zip(a, b, out, |x, y| x + y),
                Binary::Sub => zip(a, b, out, |x, y| x - y),
                Binary::Mul => zip(a, b, out, |x, y| x * y),
                Binary::Div => zip(a, b, out, |x, y| x / y),
                Binary::Maximum => zip(a, b, out, maximum),
                Binary::Minimum => zip(a, b, out, minimum),
                // One by one: `e^(b ln a)` would lose the digits that `beta^t` needs.
                Binary::Pow => zip(a, b, out, f32::powf),
                Binary::Equal => zip(a, b, out, |x, y| truth(x == y)),
                Binary::Greater => zip(a, b, out, |x, y| truth(x > y)),
                Binary::GreaterEqual => zip(a, b, out, |x, y| truth(x >= y)),
            }
        }
    }
}

multiversion! {
    /// `out[i] = if c[i] != 0 { a[i] } else { b[i] }` for operands `[c, a, b]`.
    ///
    /// # Safety
    /// Operands and `out` hold `len` elements; `out` overlaps none.
    pub(super) unsafe fn select(operands: [Argument; 3], out: *mut f32, len: usize) {
        let [condition, a, b] = operands;
        let choose = |c: f32, a: f32, b: f32| if c != 0.0 { a } else { b };
        // SAFETY: the caller's contract.
        unsafe {
            let out = std::slice::from_raw_parts_mut(out, len);
            match (condition, a, b) {
                (Argument::One(c), a, b) => map(if c != 0.0 { a } else { b }, out, |x| x),
                (c, Argument::One(a), b) => zip(c, b, out, |c, b| choose(c, a, b)),
                (c, a, Argument::One(b)) => zip(c, a, out, |c, a| choose(c, a, b)),
                (Argument::Many(c), Argument::Many(a), Argument::Many(b)) => {
                    let (c, a, b) = (slice(c, len), slice(a, len), slice(b, len));
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = choose(c[i], a[i], b[i]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::naive::Scalar;

    const ODD: [f32; 9] = [0.0, -0.0, 1.5, -1.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40, -3.0];

    fn same(want: f32, got: f32) -> bool {
        want.to_bits() == got.to_bits() || (want.is_nan() && got.is_nan())
    }

    #[test]
    fn two_operands_give_the_bits_of_the_specification() {
        let (a, b): (Vec<f32>, Vec<f32>) = ODD.iter().flat_map(|a| ODD.map(|b| (*a, b))).unzip();
        for isa in Isa::available() {
            for &kind in Binary::ALL {
                let mut y = vec![0f32; a.len()];
                // SAFETY: all three have this length.
                unsafe {
                    let (a, b) = (Argument::Many(a.as_ptr()), Argument::Many(b.as_ptr()));
                    binary(isa, kind, a, b, y.as_mut_ptr(), y.len());
                }
                for i in 0..y.len() {
                    assert!(same(f32::binary(kind, a[i], b[i]), y[i]), "{isa:?} {kind:?} {} {}: {}", a[i], b[i], y[i]);
                }
            }
        }
    }

    #[test]
    fn a_function_gives_the_same_bits_at_any_place_of_a_tile() {
        let x: Vec<f32> = (0..100).map(|i| (i as f32 - 50.0) * 0.17).chain(ODD).collect();
        for isa in Isa::available() {
            for &kind in Unary::ALL {
                let run = |x: &[f32]| {
                    let mut y = vec![0f32; x.len()];
                    // SAFETY: both have this length.
                    unsafe { unary(isa, kind, Argument::Many(x.as_ptr()), y.as_mut_ptr(), y.len()) };
                    y
                };
                let whole = run(&x);
                for (i, y) in whole.iter().enumerate() {
                    assert!(same(*y, run(&x[i..i + 1])[0]), "{isa:?} {kind:?} of {}", x[i]);
                    let want = f32::unary(kind, x[i]);
                    let close = same(want, *y) || (want - y).abs() <= 1e-6 * want.abs().max(1e-30);
                    assert!(close, "{isa:?} {kind:?} of {}: {y}, expected {want}", x[i]);
                }
            }
        }
    }
}
