//! Softmax by rows, alone and fused with the cross-entropy.

use super::math::exp;
use crate::isa::multiversion;

/// Elements worked on at once: element `i` goes to lane `i % LANES` of maximum and sum.
const LANES: usize = 16;

/// The lanes in one, halved until one is left: the order depends on their number alone.
#[inline(always)]
fn join(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// The first `count` elements of a row from group `group` on, filled up with `-inf`: it is never the maximum, and its
/// exponential adds nothing.
#[inline(always)]
fn filled(x: &[f32], group: usize, count: usize) -> [f32; LANES] {
    let mut all = [f32::NEG_INFINITY; LANES];
    let here = &x[group * LANES..];
    if let Some(whole) = here.first_chunk::<LANES>() {
        for i in 0..LANES {
            all[i] = if i < count { whole[i] } else { f32::NEG_INFINITY };
        }
    } else {
        all.iter_mut().zip(&here[..count]).for_each(|(to, x)| *to = *x);
    }
    all
}

/// Writes `e^(x - max x)` of the first `count` elements, zeros behind them, and answers the maximum and the sum. A NaN makes
/// the sum NaN.
#[inline(always)]
fn exponentials<const FMA: bool>(x: &[f32], y: &mut [f32], count: usize) -> (f32, f32) {
    let larger = |a: f32, b: f32| if a >= b { a } else { b };
    let (whole, rest) = (count / LANES, count % LANES);
    let (groups, _) = x.as_chunks::<LANES>();
    let mut lanes = if rest > 0 { filled(x, whole, rest) } else { [f32::NEG_INFINITY; LANES] };
    for group in &groups[..whole] {
        for i in 0..LANES {
            lanes[i] = larger(group[i], lanes[i]);
        }
    }
    let max = join(lanes, larger);
    let mut sums = [0f32; LANES];
    let mut add = |x: &[f32; LANES]| {
        let mut e = [0f32; LANES];
        for i in 0..LANES {
            e[i] = exp::<FMA>(x[i] - max);
            sums[i] += e[i];
        }
        e
    };
    let (y_groups, y_rest) = y.as_chunks_mut::<LANES>();
    for (y, x) in y_groups.iter_mut().zip(&groups[..whole]) {
        *y = add(x);
    }
    let mut done = whole * LANES;
    if rest > 0 {
        let last = add(&filled(x, whole, rest));
        match y_groups.get_mut(whole) {
            Some(y) => *y = last,
            None => y_rest.iter_mut().zip(last).for_each(|(y, e)| *y = e),
        }
        done += LANES;
    }
    if let Some(behind) = y.get_mut(done..) {
        behind.fill(0.0);
    }
    (max, join(sums, |a, b| a + b))
}

/// Multiplies by what a row is to be divided by: one division for all of it.
#[inline(always)]
fn scale(y: &mut [f32], factor: f32) {
    y.iter_mut().for_each(|y| *y *= factor);
}

multiversion! {
    /// The softmax of `rows` rows of `len`; of those of matrices of `height` rows, the first of which is row `first`, only what
    /// is not above the diagonal, with zeros there.
    ///
    /// # Safety
    /// `x` and `y` hold `rows * len` elements and do not overlap.
    pub(crate) unsafe fn softmax(
        x: *const f32,
        y: *mut f32,
        rows: [usize; 2],
        len: usize,
        height: Option<usize>,
    ) {
        let [first, rows] = rows;
        for row in 0..rows {
            // SAFETY: the row lies inside both.
            let (x, y) = unsafe {
                (std::slice::from_raw_parts(x.add(row * len), len), std::slice::from_raw_parts_mut(y.add(row * len), len))
            };
            let count = height.map_or(len, |height| len.min((first + row) % height + 1));
            let (_, sum) = exponentials::<FMA>(x, y, count);
            scale(&mut y[..count], 1.0 / sum);
        }
    }
}

multiversion! {
    /// Loss and probabilities of `rows` rows of `len` logits; a label outside `0..len` gives NaN.
    ///
    /// # Safety
    /// `x` and `p` hold `rows * len` elements, `labels` and `loss` `rows`; none overlaps another.
    pub(crate) unsafe fn sparse_cross_entropy(
        x: *const f32,
        labels: *const i32,
        loss: *mut f32,
        p: *mut f32,
        rows: usize,
        len: usize,
    ) {
        for row in 0..rows {
            // SAFETY: the row lies inside each.
            let (x, p, label, loss) = unsafe {
                (
                    std::slice::from_raw_parts(x.add(row * len), len),
                    std::slice::from_raw_parts_mut(p.add(row * len), len),
                    *labels.add(row),
                    &mut *loss.add(row),
                )
            };
            let (max, sum) = exponentials::<FMA>(x, p, len);
            scale(p, 1.0 / sum);
            let own = usize::try_from(label).ok().and_then(|label| x.get(label));
            *loss = own.map_or(f32::NAN, |own| super::math::log::<FMA>(sum) + max - own);
        }
    }
}
