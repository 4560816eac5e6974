//! The transforms of single tiles, each channel or filter in a lane of its own.

use crate::isa::Isa;

/// A function of transforms for each instruction set, told by its vectors.
macro_rules! by_isa {
    ($(#[$doc:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?)) => {
        $(#[$doc])*
        $vis unsafe fn $name(isa: Isa, $($arg: $ty),*) {
            // SAFETY: the same contract as this function's; the processor has the instruction set, because `isa` says so.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => avx512::$name($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => avx2::$name($($arg),*),
                    _ => portable::$name($($arg),*),
                }
            }
        }
    };
}

by_isa! {
    /// `B^T x B` of one tile, element `e` at `to[e stride..]`; rows and columns of the tile are `steps` apart.
    pub(super) unsafe fn of_input(x: *const f32, steps: [usize; 2], channels: usize, to: *mut f32, stride: usize)
}

by_isa! {
    /// `A^T m A` of one tile, whose element `e` is at `from[e stride..]`, written as 2x2 outputs that are `steps` apart.
    pub(super) unsafe fn of_output(from: *const f32, stride: usize, columns: usize, y: *mut f32, steps: [usize; 2])
}

by_isa! {
    /// `G w G^T` for one channel and some filters in place: tap `t` is at `w[t stride..]`, then element `e` at `w[e stride..]`.
    pub(super) unsafe fn of_kernel(w: *mut f32, columns: usize, stride: usize)
}

by_isa! {
    /// `A dy A^T` of one tile, the transpose of [`of_output`]: 2x2 gradients that are `steps` apart, element `e` at
    /// `to[e stride..]`.
    pub(super) unsafe fn of_output_gradient(dy: *const f32, steps: [usize; 2], columns: usize, to: *mut f32, stride: usize)
}

by_isa! {
    /// `G^T m G` for one channel and some filters, the transpose of [`of_kernel`]: element `e` is at `from[e stride..]`, tap
    /// `t` is written at `dw[t step..]`.
    pub(super) unsafe fn of_kernel_gradient(from: *const f32, stride: usize, columns: usize, dw: *mut f32, step: usize)
}

macro_rules! transforms {
    (
        $module:ident, $lanes:literal, [$($features:literal)?],
        $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident, $set1:ident, $with:path
    ) => {
        mod $module {
            use $with::*;

            $(#[target_feature(enable = $features)])?
            pub unsafe fn of_input(x: *const f32, steps: [usize; 2], channels: usize, to: *mut f32, stride: usize) {
                for c in (0..channels).step_by($lanes) {
                    // SAFETY: the caller vouches for the tile and for room for its elements.
                    unsafe {
                        let mut half = [[$set1(0.0); 4]; 4];
                        for j in 0..4 {
                            let [a, b, c, d] = {
                                let x = x.add(j * steps[1] + c);
                                [$load(x), $load(x.add(steps[0])), $load(x.add(2 * steps[0])), $load(x.add(3 * steps[0]))]
                            };
                            half[j] = [$sub(a, c), $add(b, c), $sub(c, b), $sub(b, d)];
                        }
                        for i in 0..4 {
                            let [a, b, d, e] = [half[0][i], half[1][i], half[2][i], half[3][i]];
                            let to = to.add(4 * i * stride + c);
                            $store(to, $sub(a, d));
                            $store(to.add(stride), $add(b, d));
                            $store(to.add(2 * stride), $sub(d, b));
                            $store(to.add(3 * stride), $sub(b, e));
                        }
                    }
                }
            }

            $(#[target_feature(enable = $features)])?
            pub unsafe fn of_output(from: *const f32, stride: usize, columns: usize, y: *mut f32, steps: [usize; 2]) {
                for c in (0..columns).step_by($lanes) {
                    // SAFETY: the caller vouches for the elements and for room for the outputs.
                    unsafe {
                        let mut half = [[$set1(0.0); 4]; 2];
                        for j in 0..4 {
                            let m = from.add(j * stride + c);
                            let (a, b) = ($load(m), $load(m.add(4 * stride)));
                            let (d, e) = ($load(m.add(8 * stride)), $load(m.add(12 * stride)));
                            half[0][j] = $add($add(a, b), d);
                            half[1][j] = $sub($sub(b, d), e);
                        }
                        for i in 0..2 {
                            let [a, b, d, e] = half[i];
                            let y = y.add(i * steps[0] + c);
                            $store(y, $add($add(a, b), d));
                            $store(y.add(steps[1]), $sub($sub(b, d), e));
                        }
                    }
                }
            }

            $(#[target_feature(enable = $features)])?
            pub unsafe fn of_kernel(w: *mut f32, columns: usize, stride: usize) {
                for c in (0..columns).step_by($lanes) {
                    // SAFETY: the caller vouches for the taps and for room for the elements.
                    unsafe {
                        let mut half = [[$set1(0.0); 4]; 3];
                        for j in 0..3 {
                            let w = w.add(j * stride + c);
                            let (a, b, d) = ($load(w), $load(w.add(3 * stride)), $load(w.add(6 * stride)));
                            let sum = $add(a, d);
                            half[j] = [a, $mul($set1(0.5), $add(sum, b)), $mul($set1(0.5), $sub(sum, b)), d];
                        }
                        for i in 0..4 {
                            let [a, b, d] = [half[0][i], half[1][i], half[2][i]];
                            let (sum, to) = ($add(a, d), w.add(4 * i * stride + c));
                            $store(to, a);
                            $store(to.add(stride), $mul($set1(0.5), $add(sum, b)));
                            $store(to.add(2 * stride), $mul($set1(0.5), $sub(sum, b)));
                            $store(to.add(3 * stride), d);
                        }
                    }
                }
            }

            $(#[target_feature(enable = $features)])?
            pub unsafe fn of_output_gradient(
                dy: *const f32,
                steps: [usize; 2],
                columns: usize,
                to: *mut f32,
                stride: usize,
            ) {
                for c in (0..columns).step_by($lanes) {
                    // SAFETY: the caller vouches for the gradients and for room for the elements.
                    unsafe {
                        let mut half = [[$set1(0.0); 4]; 2];
                        for j in 0..2 {
                            let dy = dy.add(j * steps[1] + c);
                            let (a, b) = ($load(dy), $load(dy.add(steps[0])));
                            half[j] = [a, $add(a, b), $sub(a, b), $sub($set1(0.0), b)];
                        }
                        for i in 0..4 {
                            let (a, b, to) = (half[0][i], half[1][i], to.add(4 * i * stride + c));
                            $store(to, a);
                            $store(to.add(stride), $add(a, b));
                            $store(to.add(2 * stride), $sub(a, b));
                            $store(to.add(3 * stride), $sub($set1(0.0), b));
                        }
                    }
                }
            }

            $(#[target_feature(enable = $features)])?
            pub unsafe fn of_kernel_gradient(
                from: *const f32,
                stride: usize,
                columns: usize,
                dw: *mut f32,
                step: usize,
            ) {
                for c in (0..columns).step_by($lanes) {
                    // SAFETY: the caller vouches for the elements and for room for the taps.
                    unsafe {
                        let mut half = [[$set1(0.0); 4]; 3];
                        for j in 0..4 {
                            let m = from.add(j * stride + c);
                            let (a, d) = ($load(m), $load(m.add(12 * stride)));
                            let [b, e] = [$load(m.add(4 * stride)), $load(m.add(8 * stride))];
                            let (sum, rest) = ($mul($set1(0.5), $add(b, e)), $mul($set1(0.5), $sub(b, e)));
                            half[0][j] = $add(a, sum);
                            half[1][j] = rest;
                            half[2][j] = $add(sum, d);
                        }
                        for i in 0..3 {
                            let [a, b, e, d] = half[i];
                            let (sum, dw) = ($mul($set1(0.5), $add(b, e)), dw.add(3 * i * step + c));
                            $store(dw, $add(a, sum));
                            $store(dw.add(step), $mul($set1(0.5), $sub(b, e)));
                            $store(dw.add(2 * step), $add(sum, d));
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(
    avx512,
    16,
    ["avx512f"],
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_set1_ps,
    std::arch::x86_64
);
#[cfg(target_arch = "x86_64")]
transforms!(
    avx2,
    8,
    ["avx2,fma"],
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_set1_ps,
    std::arch::x86_64
);
transforms!(portable, 1, [], load, store, add, sub, mul, set1, super::single);

/// A vector of one number.
mod single {
    pub unsafe fn load(from: *const f32) -> f32 {
        // SAFETY: the caller's contract.
        unsafe { *from }
    }
    pub unsafe fn store(to: *mut f32, x: f32) {
        // SAFETY: the caller's contract.
        unsafe { *to = x }
    }
    pub fn add(a: f32, b: f32) -> f32 {
        a + b
    }
    pub fn sub(a: f32, b: f32) -> f32 {
        a - b
    }
    pub fn mul(a: f32, b: f32) -> f32 {
        a * b
    }
    pub fn set1(x: f32) -> f32 {
        x
    }
}
