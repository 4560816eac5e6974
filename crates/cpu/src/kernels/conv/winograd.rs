//! Convolutions with a window of 3x3 in tiles of 2x2 outputs: `y = A^T ((G w G^T) * (B^T x B)) A`, where each of the 16
//! elements of the middle is a product over channels, instead of 36 multiply-adds for every pair of channels.
//!
//! # Numerics
//! The transforms of `x` and `y` add and subtract, that of `w` also halves; the error of a sum stays within a few times that
//! of the direct one, see the test.
//!
//! # References
//! Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", section 4.1, F(2x2, 3x3).

use super::geometry::Sweep;
use super::sweep::Frame;
use crate::isa::Isa;
use crate::kernels::gemm::{K_CHUNK, balanced, packed_len};
use crate::kernels::tile::{Begin, Tile, panel_width, run_tile, tile_rows};

/// Elements of a transformed tile.
const ELEMENTS: usize = 16;

/// Channels and filters come in multiples of this many, whole vectors of every instruction set.
const LANES: usize = 16;

/// Floats between the elements of tiles beyond their own: 16 streams at distances of a page would share places of the cache.
const APART: usize = 16;

/// Whether regions of these outputs, which cut into tiles, are computed in tiles.
pub(super) fn fits(sweep: &Sweep, mut counts: impl Iterator<Item = [usize; 3]>) -> bool {
    let ([depth, height, width], [channels, filters]) = (&sweep.axes, sweep.channels);
    let is_three = |a: &super::geometry::Axis| (a.stride, a.step, a.span) == (1, 1, 3);
    sweep.groups == 1
        && (depth.span, is_three(height), is_three(width)) == (1, true, true)
        && sweep.passes[0].taps.len() == 9
        && [channels, filters].iter().all(|c| c.is_multiple_of(LANES))
        && channels <= (4 * filters).min(K_CHUNK)
        && counts.all(|[depth, rows, columns]| depth == 1 && rows % 2 == 0 && columns % 2 == 0)
}

/// Floats of the transformed kernel.
pub(super) fn packed_floats(isa: Isa, sweep: &Sweep) -> usize {
    ELEMENTS * packed_len(isa, sweep.channels[0], sweep.channels[1])
}

/// Floats of scratch for a region of so many outputs.
pub(super) fn scratch_floats(isa: Isa, sweep: &Sweep, outputs: usize) -> usize {
    ELEMENTS * (outputs / 4 * (sweep.channels[0] + panel_width(isa)) + 2 * APART)
}

/// Transforms the kernel `w`: panels of filters one after another, each an element after another as `[channels, panel]`.
///
/// # Safety
/// `w` holds the kernel, `packed` has room for [`packed_floats`].
pub(super) unsafe fn pack(isa: Isa, sweep: &Sweep, w: *const f32, packed: *mut f32) {
    let ([channels, filters], width) = (sweep.channels, panel_width(isa));
    for column in (0..filters).step_by(width) {
        let columns = width.min(filters - column);
        for channel in 0..channels {
            // SAFETY: the channel's filters lie inside the kernel, their elements inside the panel.
            unsafe {
                let to = packed.add(column * ELEMENTS * channels + channel * width);
                let from = w.add(channel * filters + column);
                of_kernel(isa, from, channels * filters, columns, to, channels * width);
            }
        }
    }
}

/// Computes a region of `count` outputs, which read from `band` on.
///
/// # Safety
/// As of [`Sweep::run_pass`]; `packed` holds what [`pack`] wrote, `scratch` has room for [`scratch_floats`].
pub(super) unsafe fn run(
    isa: Isa,
    sweep: &Sweep,
    band: *const f32,
    packed: *const f32,
    to: Frame,
    count: [usize; 3],
    scratch: *mut f32,
) {
    let ([channels, filters], width, [_, row, position]) = (sweep.channels, panel_width(isa), sweep.strides);
    let [rows, columns] = [count[1] / 2, count[2] / 2];
    let tiles = rows * columns;
    let [x_stride, y_stride] = [channels, width].map(|floats| tiles * floats + APART);
    let y_steps = [to.inner[1] * filters, filters];
    // SAFETY: tiles lie inside the band and the outputs, their elements inside the scratch, panels inside `packed`.
    unsafe {
        let products = scratch.add(ELEMENTS * x_stride);
        for (t, (i, j)) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).enumerate() {
            let x = band.add(2 * (i * row + j * position));
            of_input(isa, x, [row, position], channels, scratch.add(t * channels), x_stride);
        }
        for column in (0..filters).step_by(width) {
            let panel = packed.add(column * ELEMENTS * channels);
            let in_panel = width.min(filters - column);
            for element in 0..ELEMENTS {
                for (t, tile) in balanced(tiles, tile_rows::<false>(isa)) {
                    let operands = Tile {
                        lines: &[0],
                        k: channels,
                        a: scratch.add(element * x_stride + t * channels),
                        a_stride: channels,
                        b: panel.add(element * channels * width),
                        b_stride: width,
                        c: products.add(element * y_stride + t * width),
                        c_row_stride: width,
                        columns: in_panel,
                        begin: Begin::Zero,
                    };
                    run_tile::<false>(isa, tile, operands);
                }
            }
            for (t, (i, j)) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).enumerate() {
                let y = to.y.add(2 * (i * y_steps[0] + j * y_steps[1]) + column);
                of_output(isa, products.add(t * width), y_stride, in_panel, y, y_steps);
            }
        }
    }
}

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
    unsafe fn of_input(x: *const f32, steps: [usize; 2], channels: usize, to: *mut f32, stride: usize)
}

by_isa! {
    /// `A^T m A` of one tile, whose element `e` is at `from[e stride..]`, written as 2x2 outputs that are `steps` apart.
    unsafe fn of_output(from: *const f32, stride: usize, columns: usize, y: *mut f32, steps: [usize; 2])
}

by_isa! {
    /// `G w G^T` for one channel and some filters; taps are `step` apart, elements `stride`.
    unsafe fn of_kernel(w: *const f32, step: usize, columns: usize, to: *mut f32, stride: usize)
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
            pub unsafe fn of_kernel(w: *const f32, step: usize, columns: usize, to: *mut f32, stride: usize) {
                for c in (0..columns).step_by($lanes) {
                    // SAFETY: the caller vouches for the taps and for room for the elements.
                    unsafe {
                        let mut half = [[$set1(0.0); 4]; 3];
                        for j in 0..3 {
                            let w = w.add(j * step + c);
                            let (a, b, d) = ($load(w), $load(w.add(3 * step)), $load(w.add(6 * step)));
                            let sum = $add(a, d);
                            half[j] = [a, $mul($set1(0.5), $add(sum, b)), $mul($set1(0.5), $sub(sum, b)), d];
                        }
                        for i in 0..4 {
                            let [a, b, d] = [half[0][i], half[1][i], half[2][i]];
                            let (sum, to) = ($add(a, d), to.add(4 * i * stride + c));
                            $store(to, a);
                            $store(to.add(stride), $mul($set1(0.5), $add(sum, b)));
                            $store(to.add(2 * stride), $mul($set1(0.5), $sub(sum, b)));
                            $store(to.add(3 * stride), d);
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

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_graph::ops::ConvGeometry;
    use footlight_tensor::{Philox, RandomKey};

    /// Relative to the sum of absolute terms.
    #[test]
    fn tiles_err_little_more_than_sums() {
        let mut rng = Philox::new(RandomKey::new(41));
        for [channels, filters] in [[16, 16], [32, 64], [64, 48], [256, 80]] {
            let mut random = |count: usize| (0..count).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>();
            let (x, w) = (random(6 * 8 * channels), random(9 * channels * filters));
            let geometry = ConvGeometry::new(2);
            let (from, to) = ([1, 6, 8, channels], [1, 4, 6, filters]);
            let sweep = Sweep::of_regions(&geometry, &from, &[3, 3], &to, [1, 4, 6]);
            assert!(fits(&sweep, [[1, 4, 6]].into_iter()));
            for isa in Isa::available() {
                let mut packed = vec![f32::NAN; packed_floats(isa, &sweep)];
                let mut scratch = vec![f32::NAN; scratch_floats(isa, &sweep, 24)];
                let mut y = vec![f32::NAN; 24 * filters];
                // SAFETY: the vectors are of the sizes that are asked for.
                unsafe {
                    pack(isa, &sweep, w.as_ptr(), packed.as_mut_ptr());
                    let frame = Frame { y: y.as_mut_ptr(), origin: [0; 3], inner: [4, 6] };
                    let scratch = scratch.as_mut_ptr();
                    run(isa, &sweep, x.as_ptr(), packed.as_ptr(), frame, [1, 4, 6], scratch);
                }
                let mut worst = 0f64;
                for (at, y) in y.iter().enumerate() {
                    let (i, j, filter) = (at / filters / 6, at / filters % 6, at % filters);
                    let (mut sum, mut size) = (0f64, 0f64);
                    for (k, c) in (0..9).flat_map(|k| (0..channels).map(move |c| (k, c))) {
                        let x = f64::from(x[((i + k / 3) * 8 + j + k % 3) * channels + c]);
                        let term = x * f64::from(w[(k * channels + c) * filters + filter]);
                        (sum, size) = (sum + term, size + term.abs());
                    }
                    worst = worst.max((f64::from(*y) - sum).abs() / size);
                }
                assert!(worst < 3e-7, "{isa:?}, {channels} channels to {filters}: {worst:e}");
            }
        }
    }
}
