//! Convolutions whose channels do not see each other: vectors of channels instead of products.

use crate::isa::multiversion;
use crate::kernels::math::mul_add;

/// Channels worked on at once.
const LANES: usize = 32;

/// `sums[i] += x[i] w[i]` for a group of channels, or for what is left of one.
#[inline(always)]
unsafe fn add<const FMA: bool>(sums: &mut [f32; LANES], x: *const f32, w: *const f32, channels: usize) {
    // SAFETY: the caller vouches for so many channels of both.
    unsafe {
        if channels == LANES {
            let (x, w) = (&*x.cast::<[f32; LANES]>(), &*w.cast::<[f32; LANES]>());
            for i in 0..LANES {
                sums[i] = mul_add::<FMA>(x[i], w[i], sums[i]);
            }
        } else {
            for (i, sum) in sums.iter_mut().enumerate().take(channels) {
                *sum = mul_add::<FMA>(*x.add(i), *w.add(i), *sum);
            }
        }
    }
}

multiversion! {
    /// A row of outputs: position `j` is the sum of `x[lines[t] + j strides[0]] w[taps[t]]` over `t`, written at
    /// `y[j strides[1]]`, for each channel.
    ///
    /// # Safety
    /// `x` holds what the distances reach, `w` the taps, `y` has room for the positions; `y` overlaps neither.
    pub(super) unsafe fn depthwise(
        x: *const f32,
        lines: &[usize],
        w: *const f32,
        taps: &[usize],
        channels: usize,
        y: *mut f32,
        positions: usize,
        strides: [usize; 2],
    ) {
        for j in 0..positions {
            for first in (0..channels).step_by(LANES) {
                let count = LANES.min(channels - first);
                let mut sums = [0f32; LANES];
                // SAFETY: the caller's contract, for these channels.
                unsafe {
                    for (line, tap) in lines.iter().zip(taps) {
                        let x = x.add(line + j * strides[0] + first);
                        add::<FMA>(&mut sums, x, w.add(tap * channels + first), count);
                    }
                    let y = y.add(j * strides[1] + first);
                    if count == LANES {
                        *y.cast::<[f32; LANES]>() = sums;
                    } else {
                        y.copy_from_nonoverlapping(sums.as_ptr(), count);
                    }
                }
            }
        }
    }
}

multiversion! {
    /// Adds one row of positions to one tap of the kernel's gradient: `dw += sum_j x[j stride] dy[j]`, for each channel.
    ///
    /// # Safety
    /// `x` and `dy` hold the positions, `dw` the channels; it overlaps neither.
    pub(super) unsafe fn depthwise_gradient(
        x: *const f32,
        stride: usize,
        dy: *const f32,
        positions: usize,
        channels: usize,
        dw: *mut f32,
    ) {
        for first in (0..channels).step_by(LANES) {
            let count = LANES.min(channels - first);
            let mut sums = [0f32; LANES];
            // SAFETY: the caller's contract, for these channels.
            unsafe {
                sums.as_mut_ptr().copy_from_nonoverlapping(dw.add(first), count);
                for j in 0..positions {
                    add::<FMA>(&mut sums, x.add(j * stride + first), dy.add(j * channels + first), count);
                }
                dw.add(first).copy_from_nonoverlapping(sums.as_ptr(), count);
            }
        }
    }
}
