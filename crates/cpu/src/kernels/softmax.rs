//! Softmax by rows, alone and fused with the cross-entropy.

use super::math::exp;
use crate::isa::multiversion;

/// Lanes of the sums: element `i` goes to lane `i % LANES`, and the lanes are added in order.
const LANES: usize = 8;

/// Writes `e^(x - max x)` and answers the maximum and the sum.
#[inline(always)]
fn exponentials<const FMA: bool>(x: &[f32], y: &mut [f32]) -> (f32, f32) {
    let max = x.iter().fold(f32::NEG_INFINITY, |a, &b| if a >= b { a } else { b });
    for (y, x) in y.iter_mut().zip(x) {
        *y = exp::<FMA>(x - max);
    }
    let mut lanes = [0f32; LANES];
    for chunk in y.chunks(LANES) {
        for (lane, e) in lanes.iter_mut().zip(chunk) {
            *lane += e;
        }
    }
    (max, lanes.iter().sum())
}

multiversion! {
    /// The softmax of `rows` rows of `len`.
    ///
    /// # Safety
    /// `x` and `y` hold `rows * len` elements and do not overlap.
    pub(crate) unsafe fn softmax(x: *const f32, y: *mut f32, rows: usize, len: usize) {
        for row in 0..rows {
            // SAFETY: the row lies inside both.
            let (x, y) = unsafe {
                (std::slice::from_raw_parts(x.add(row * len), len), std::slice::from_raw_parts_mut(y.add(row * len), len))
            };
            let (_, sum) = exponentials::<FMA>(x, y);
            y.iter_mut().for_each(|y| *y /= sum);
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
            let (max, sum) = exponentials::<FMA>(x, p);
            p.iter_mut().for_each(|p| *p /= sum);
            let own = usize::try_from(label).ok().and_then(|label| x.get(label));
            *loss = own.map_or(f32::NAN, |own| super::math::log::<FMA>(sum) + max - own);
        }
    }
}
