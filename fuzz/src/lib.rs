//! What the fuzz targets share: a limit on memory, and files put together from parts.
//!
//! Archives guard their members with checksums, which a fuzzer cannot guess. So where a file holds files, the target
//! takes the parts and puts the archive together itself: what is behind the checksum is reached at once.

pub mod training;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write};
use std::process::abort;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// No input is longer than a megabyte, and deflate makes at most a thousandfold of it.
const LIMIT_BYTES: usize = 3 << 29;

/// Ends the process when more is asked for than any honest file of the size needs.
///
/// A reader that believes a length asks for the memory before it reads, and pages that nobody touches count for no one
/// else: the fuzzer's own limit is on what is resident.
struct Limited;

static TAKEN_BYTES: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    let before = TAKEN_BYTES.fetch_add(bytes, Relaxed);
    if before.saturating_add(bytes) > LIMIT_BYTES {
        // Printing may allocate, and has to be possible.
        TAKEN_BYTES.store(0, Relaxed);
        eprintln!("{bytes} bytes were asked for with {before} taken already, more than {LIMIT_BYTES} in all");
        abort();
    }
}

fn give(bytes: usize) {
    TAKEN_BYTES.fetch_sub(bytes, Relaxed);
}

// SAFETY: all is done by the system's allocator; this only counts.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Cuts an input in `N` parts: each but the last has its length before it, in four little-endian bytes.
pub fn cut<const N: usize>(mut bytes: &[u8]) -> [&[u8]; N] {
    std::array::from_fn(|index| {
        if index + 1 == N {
            return bytes;
        }
        let Some((length, rest)) = bytes.split_first_chunk() else { return &[] };
        let (part, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        bytes = rest;
        part
    })
}

/// The input that [`cut`] takes apart to these.
pub fn paste(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if index + 1 < parts.len() {
            bytes.extend(u32::try_from(part.len()).expect("a seed is small").to_le_bytes());
        }
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A zip of these members, with the right checksums; `None` if two have one name.
pub fn zipped(members: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored);
        zip.start_file(*name, options).ok()?;
        zip.write_all(bytes).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}
