//! The kernel gradient of a narrow window, as of the first layer of a network: all windows of an image are laid side by side
//! as patches of a vector or two, so that each gradient of an output multiplies one patch and sums stay in registers.

use crate::isa::Isa;
use crate::kernels::math::mul_add;

/// The floats of the widest patch.
pub(super) const WIDEST: usize = 32;

/// The floats of a patch for a window of so many: a vector or two, with zeros behind the window.
pub(super) fn patch_floats(window: usize) -> usize {
    window.next_multiple_of(LANES)
}

/// One image's gradients of outputs, `[outputs, filters]`, each at a position.
#[derive(Clone, Copy)]
pub(super) struct Gradients {
    pub outputs: usize,
    pub filters: usize,
    pub dy: *const f32,
    pub positions: *const i32,
}

impl Gradients {
    /// A gradient and the patch that it multiplies; 0 where the position is none of `places`.
    #[inline(always)]
    unsafe fn read(&self, at: usize, places: usize) -> (f32, usize) {
        // SAFETY: the caller vouches for the element.
        let (value, position) = unsafe { (*self.dy.add(at), *self.positions.add(at) as u32 as usize) };
        if position < places { (value, position) } else { (0.0, 0) }
    }
}

/// Lays out the windows that begin at `reads`, whose floats are `taps` behind, as patches of `width`.
///
/// # Safety
/// `image` holds the windows, `patches` has room for them and overlaps it nowhere.
pub(super) unsafe fn lay_out(image: *const f32, reads: &[u32], taps: &[usize], width: usize, patches: *mut f32) {
    for (place, read) in reads.iter().enumerate() {
        // SAFETY: the caller's contract.
        unsafe {
            let (window, patch) = (image.add(*read as usize), patches.add(place * width));
            taps.iter().enumerate().for_each(|(k, tap)| *patch.add(k) = *window.add(*tap));
            (taps.len()..width).for_each(|k| *patch.add(k) = 0.0);
        }
    }
}

/// `to[filter][k] += sum_o dy[o, filter] patches[positions[o, filter]][k]` for each of `places` patches of `width` floats: each sum
/// is one chain of multiply-adds in the order of the outputs, which begins at 0.
///
/// # Safety
/// The gradients and patches are there, `to` has room for `[filters, width]` and overlaps neither.
pub(super) unsafe fn add_patches(
    isa: Isa,
    of: Gradients,
    places: usize,
    width: usize,
    patches: *const f32,
    to: *mut f32,
) {
    // SAFETY: the caller's contract; the processor has the instruction set, because `isa` says so.
    unsafe {
        match (isa, width / LANES) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 1) => add_avx512::<1, 16>(of, places, patches, to),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, _) => add_avx512::<2, 8>(of, places, patches, to),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, 1) => add_avx2::<2, 4>(of, places, patches, to),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, _) => add_avx2::<4, 2>(of, places, patches, to),
            (_, vectors) => add_portable(of, places, vectors, patches, to),
        }
    }
}

macro_rules! x86_patches {
    (
        $name:ident, $group:ident, $features:literal, $lanes:literal, $set1:ident, $zero:ident, $fma:ident, $add:ident, $load:ident,
        $store:ident
    ) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const VECTORS: usize, const FILTERS: usize>(
            of: Gradients,
            places: usize,
            patches: *const f32,
            to: *mut f32,
        ) {
            let whole = of.filters / FILTERS * FILTERS;
            // SAFETY: the contract of `add_patches` for some filters.
            unsafe {
                for first in (0..whole).step_by(FILTERS) {
                    $group::<VECTORS, FILTERS>(of, first, places, patches, to);
                }
                for first in whole..of.filters {
                    $group::<VECTORS, 1>(of, first, places, patches, to);
                }
            }
        }

        /// The filters from `first` on whose sums are in registers.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $group<const VECTORS: usize, const FILTERS: usize>(
            of: Gradients,
            first: usize,
            places: usize,
            patches: *const f32,
            to: *mut f32,
        ) {
            use std::arch::x86_64::*;
            let mut sums = [[$zero(); VECTORS]; FILTERS];
            // SAFETY: the contract of `add_patches` for these filters.
            unsafe {
                for o in 0..of.outputs {
                    for f in 0..FILTERS {
                        let (value, place) = of.read(o * of.filters + first + f, places);
                        let (value, patch) = ($set1(value), patches.add(place * VECTORS * $lanes));
                        for v in 0..VECTORS {
                            sums[f][v] = $fma(value, $load(patch.add(v * $lanes)), sums[f][v]);
                        }
                    }
                }
                for f in 0..FILTERS {
                    for v in 0..VECTORS {
                        let to = to.add(((first + f) * VECTORS + v) * $lanes);
                        $store(to, $add($load(to), sums[f][v]));
                    }
                }
            }
        }
    };
}

x86_patches!(
    add_avx2,
    group_avx2,
    "avx2,fma",
    8,
    _mm256_set1_ps,
    _mm256_setzero_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps
);
x86_patches!(
    add_avx512,
    group_avx512,
    "avx512f",
    16,
    _mm512_set1_ps,
    _mm512_setzero_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps
);

/// Floats of the narrowest patch.
const LANES: usize = 16;

/// Whether the compiler's target fuses a multiply-add into one instruction.
const FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// The same in plain loops, for the compiler to vectorise.
unsafe fn add_portable(of: Gradients, places: usize, vectors: usize, patches: *const f32, to: *mut f32) {
    for (filter, v) in (0..of.filters).flat_map(|filter| (0..vectors).map(move |v| (filter, v))) {
        let mut sums = [0f32; LANES];
        // SAFETY: the contract of `add_patches` for this filter.
        unsafe {
            for o in 0..of.outputs {
                let (value, place) = of.read(o * of.filters + filter, places);
                let patch = &*patches.add((place * vectors + v) * LANES).cast::<[f32; LANES]>();
                (0..LANES).for_each(|i| sums[i] = mul_add::<FMA>(value, patch[i], sums[i]));
            }
            let to = &mut *to.add((filter * vectors + v) * LANES).cast::<[f32; LANES]>();
            (0..LANES).for_each(|i| to[i] += sums[i]);
        }
    }
}
