//! Elements moved and converted.

use crate::isa::{Isa, multiversion};

multiversion! {
    /// `out[i] = in[i] * scale + offset` from bytes.
    ///
    /// # Safety
    /// Both hold `len` elements.
    unsafe fn scale_bytes(from: *const u8, scale: f32, offset: f32, out: *mut f32, len: usize) {
        // SAFETY: the caller's contract.
        let (from, out) = unsafe { (std::slice::from_raw_parts(from, len), std::slice::from_raw_parts_mut(out, len)) };
        for (out, byte) in out.iter_mut().zip(from) {
            *out = f32::from(*byte) * scale + offset;
        }
    }
}

/// `out[i] = in[i] * scale + offset` from bytes.
pub(crate) fn bytes_to_f32(isa: Isa, from: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
    assert_eq!(from.len(), out.len());
    // SAFETY: both slices have this length.
    unsafe { scale_bytes(isa, from.as_ptr(), scale, offset, out.as_mut_ptr(), out.len()) }
}

/// Elements `begin..begin + count` of a broadcast to `extents`, where element `i` of the output is the input's element at
/// the strides given; the last is 0 or 1, so that a line of the last axis is one number or lies as it is.
///
/// # Safety
/// `x` holds every element the strides reach; `out` has room for `count`. Elements are four bytes.
pub(crate) unsafe fn gather_strided(
    extents: &[usize],
    strides: &[usize],
    x: *const u32,
    [begin, count]: [usize; 2],
    out: *mut u32,
) {
    let (line, stride) = (extents.last().copied().unwrap_or(1), strides.last().copied().unwrap_or(0));
    debug_assert!(stride <= 1, "a broadcast has no last stride {stride}");
    let mut done = 0;
    while done < count {
        let run = (line - (begin + done) % line).min(count - done);
        // SAFETY: every index is below its extent, and the run ends with its line.
        unsafe {
            let from = x.add(strided(extents, strides, begin + done));
            match stride {
                0 => std::slice::from_raw_parts_mut(out.add(done), run).fill(*from),
                _ => std::ptr::copy_nonoverlapping(from, out.add(done), run),
            }
        }
        done += run;
    }
}

/// Where element `element` of a tensor of `extents` lies by `strides`.
#[inline(always)]
pub(super) fn strided(extents: &[usize], strides: &[usize], element: usize) -> usize {
    let (mut rest, mut at) = (element, 0);
    for (extent, stride) in extents.iter().zip(strides).rev() {
        at += rest % extent * stride;
        rest /= extent;
    }
    at
}

/// Rows of `depth` zeros with a one at the index; an index outside leaves zeros.
///
/// # Safety
/// `indices` holds `count` elements, `out` has room for `count * depth`.
pub(crate) unsafe fn one_hot(indices: *const i32, count: usize, depth: usize, out: *mut f32) {
    // SAFETY: the caller's contract.
    let (indices, out) =
        unsafe { (std::slice::from_raw_parts(indices, count), std::slice::from_raw_parts_mut(out, count * depth)) };
    out.fill(0.0);
    for (row, index) in out.chunks_exact_mut(depth.max(1)).zip(indices) {
        if let Some(x) = usize::try_from(*index).ok().and_then(|i| row.get_mut(i)) {
            *x = 1.0;
        }
    }
}
