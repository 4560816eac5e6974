//! Memory that starts at a cache line, or, where it is much, at a huge page.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Places start at multiples of this many bytes.
pub(crate) const ALIGNMENT: usize = 64;

/// A huge page of x86-64 and of AArch64 with small pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// Bytes that start at a cache line. Buffers of a huge page and more ask the system for such: of small ones a
/// processor does not know as many as a step touches, and looks them up in memory again.
pub(crate) struct Buffer {
    start: NonNull<u8>,
    bytes: usize,
}

/// What buffers are filled with.
pub(crate) trait Number: Copy {}
impl Number for f32 {}
impl Number for i32 {}

/// Has to come before the first write: that is when the system chooses the pages. It may say no, which costs time alone.
fn ask_for_huge_pages(start: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the whole huge pages of an allocation that begins at one; the advice changes no content.
    unsafe {
        libc::madvise(start.as_ptr().cast(), bytes - bytes % HUGE_PAGE, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

/// An empty vector with room for `count` floats, in huge pages where it is much: the system gives a few of them sooner than
/// many small ones when it is filled.
pub fn with_room(count: usize) -> Vec<f32> {
    let vector = Vec::<f32>::with_capacity(count);
    let (begin, end) = (vector.as_ptr().addr(), vector.as_ptr().addr() + count * size_of::<f32>());
    let first = begin.next_multiple_of(HUGE_PAGE);
    if first + HUGE_PAGE <= end {
        // SAFETY: the place lies inside the allocation.
        let start = unsafe { NonNull::new_unchecked(vector.as_ptr().cast_mut().cast::<u8>().add(first - begin)) };
        ask_for_huge_pages(start, end - first);
    }
    vector
}

// SAFETY: a buffer owns its memory alone; sharing it across threads is governed by the borrows of its owner.
unsafe impl Send for Buffer {}
// SAFETY: as above; `&Buffer` gives out shared slices and a raw pointer, no interior mutability of its own.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Zeroed bytes.
    pub(crate) fn new(bytes: usize) -> Buffer {
        let buffer = Buffer::unwritten(bytes);
        // SAFETY: the bytes were allocated by this layout.
        unsafe { buffer.start.write_bytes(0, Buffer::layout(bytes).size()) };
        buffer
    }

    /// A copy of these numbers, each written once.
    pub(crate) fn of<T: Number>(numbers: &[T]) -> Buffer {
        let bytes = size_of_val(numbers);
        let buffer = if bytes < ALIGNMENT { Buffer::new(bytes) } else { Buffer::unwritten(bytes) };
        // SAFETY: as many bytes were allocated, for this buffer alone, and numbers have no bytes without a value.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr().cast(), buffer.pointer(), bytes) };
        buffer
    }

    /// Bytes that hold nothing yet: whoever asks writes all of them before anything else.
    fn unwritten(bytes: usize) -> Buffer {
        let layout = Buffer::layout(bytes);
        // SAFETY: the layout has at least one byte.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        if layout.align() == HUGE_PAGE {
            ask_for_huge_pages(start, bytes);
        }
        Buffer { start, bytes }
    }

    fn layout(bytes: usize) -> Layout {
        let alignment = if bytes < HUGE_PAGE { ALIGNMENT } else { HUGE_PAGE };
        Layout::from_size_align(bytes.max(ALIGNMENT), alignment).expect("a plan fits the address space")
    }

    /// Makes room for at least `bytes`; what was there is lost if it has to grow.
    pub(crate) fn grow(&mut self, bytes: usize) {
        if bytes > self.bytes {
            *self = Buffer::new(bytes);
        }
    }

    /// Takes over as many bytes as both have.
    pub(crate) fn copy_from(&mut self, other: &Buffer) {
        let bytes = self.bytes.min(other.bytes);
        // SAFETY: both hold as many bytes, and an exclusive borrow overlaps no other.
        unsafe { std::ptr::copy_nonoverlapping(other.pointer(), self.pointer(), bytes) }
    }

    /// Makes reading what was there show at once.
    pub(crate) fn fill_with_nan(&mut self) {
        // SAFETY: these are the buffer's own bytes, borrowed exclusively.
        unsafe { fill_with_nan(self.pointer(), 0..self.bytes) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn pointer(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// `count` floats from byte `offset`.
    pub(crate) fn f32(&self, offset: usize, count: usize) -> &[f32] {
        assert!(offset.is_multiple_of(4) && offset + 4 * count <= self.bytes.max(ALIGNMENT));
        // SAFETY: in bounds and aligned, as asserted; every bit pattern is a float.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast(), count) }
    }

    /// `count` integers from byte `offset`.
    pub(crate) fn i32(&self, offset: usize, count: usize) -> &[i32] {
        assert!(offset.is_multiple_of(4) && offset + 4 * count <= self.bytes.max(ALIGNMENT));
        // SAFETY: in bounds and aligned, as asserted; every bit pattern is an integer.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast(), count) }
    }

    pub(crate) fn f32_mut(&mut self, count: usize) -> &mut [f32] {
        assert!(4 * count <= self.bytes.max(ALIGNMENT));
        // SAFETY: in bounds and aligned; the exclusive borrow of the buffer covers the slice.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), count) }
    }

    pub(crate) fn i32_mut(&mut self, count: usize) -> &mut [i32] {
        assert!(4 * count <= self.bytes.max(ALIGNMENT));
        // SAFETY: in bounds and aligned; the exclusive borrow of the buffer covers the slice.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), count) }
    }
}

/// Writes NaN over bytes `range` from `start`, in steps of a float.
///
/// # Safety
/// `start` is aligned to floats, the range's whole floats lie in one allocation, and nobody else uses them meanwhile.
pub(crate) unsafe fn fill_with_nan(start: *mut u8, range: std::ops::Range<usize>) {
    for at in (range.start..range.end.saturating_sub(3)).step_by(4) {
        // SAFETY: the caller's contract.
        unsafe { start.add(at).cast::<f32>().write(f32::NAN) }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        let mut copy = Buffer::new(self.bytes);
        copy.copy_from(self);
        copy
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with the same layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), Buffer::layout(self.bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_numbers_holds_them_and_nothing_that_was_not_written() {
        for count in [0, 1, 15, 16, 17, 1 << 19, (1 << 19) + 5] {
            let numbers: Vec<f32> = (0..count).map(|i| i as f32).collect();
            let buffer = Buffer::of(&numbers);
            assert_eq!((buffer.bytes(), buffer.f32(0, count)), (4 * count, &numbers[..]));
            assert!(buffer.pointer().addr().is_multiple_of(ALIGNMENT));
            let rest = &buffer.f32(0, count.max(ALIGNMENT / 4))[count..];
            assert!(rest.iter().all(|x| *x == 0.0));
        }
    }

    #[test]
    fn there_is_room_for_as_much_as_was_asked_for() {
        for count in [0, 1, 1 << 19, (3 << 19) + 5] {
            let mut room = with_room(count);
            assert!(room.is_empty() && room.capacity() >= count);
            let place = room.as_ptr();
            room.extend((0..count).map(|i| i as f32));
            assert!(room.as_ptr() == place && room.iter().enumerate().all(|(i, x)| *x == i as f32));
        }
    }
}
