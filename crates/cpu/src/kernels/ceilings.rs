//! What one thread of this processor can do at best.

use super::tile::{Begin, Tile, panel_width, run_tile, tile_rows};
use crate::isa::{Isa, multiversion};
use std::hint::black_box;
use std::time::Instant;

/// The ceilings of one thread: no step computes or moves faster.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// Multiply-adds in registers, two operations each, per second.
    pub flops: f64,
    /// Bytes read and written per second of `a = b + s c`, in memory that no cache holds.
    pub bandwidth: f64,
}

/// Columns of the product: `A` and the panel stay in the first cache.
const DEPTH: usize = 128;
/// Floats of each of the three arrays.
const LONG: usize = 16 << 20;
/// The best of so many tries counts.
const TRIES: usize = 25;

impl Ceilings {
    /// Measures them, in about half a second.
    pub fn measure() -> Ceilings {
        let isa = Isa::detect();
        Ceilings { flops: best(|| product(isa)), bandwidth: best(triad(isa)) }
    }
}

/// The most per second that some tries reach.
fn best(mut work: impl FnMut() -> f64) -> f64 {
    let rate = |_| {
        let begin = Instant::now();
        let done = work();
        done / begin.elapsed().as_secs_f64()
    };
    (0..TRIES).map(rate).fold(0.0, f64::max)
}

/// Some products of a register tile; answers the operations.
fn product(isa: Isa) -> f64 {
    let (rows, columns) = (tile_rows::<true>(isa), panel_width(isa));
    let (a, b) = (vec![0.5f32; rows * DEPTH], vec![0.5f32; DEPTH * columns]);
    let mut c = vec![0.0f32; rows * columns];
    let repeats = 1000;
    for _ in 0..repeats {
        let tile = Tile {
            lines: &[0],
            k: DEPTH,
            a: a.as_ptr(),
            a_stride: rows,
            b: b.as_ptr(),
            b_stride: columns,
            c: c.as_mut_ptr(),
            c_row_stride: columns,
            ahead: b.as_ptr(),
            columns,
            begin: Begin::Zero,
        };
        // SAFETY: the three matrices have the extents that the tile names, and lie apart.
        unsafe { run_tile::<true>(isa, rows, tile) };
    }
    black_box(&c);
    (2 * repeats * rows * columns * DEPTH) as f64
}

/// One pass of `a = b + s c` over long arrays; it answers the bytes.
fn triad(isa: Isa) -> impl FnMut() -> f64 {
    let mut arrays = [vec![0.0f32; LONG], vec![1.0f32; LONG], vec![2.0f32; LONG]];
    move || {
        let [a, b, c] = &mut arrays;
        // SAFETY: all three have `LONG` floats, and lie apart.
        unsafe { scale_add(isa, a.as_mut_ptr(), b.as_ptr(), c.as_ptr(), black_box(0.5)) };
        black_box(a);
        (3 * 4 * LONG) as f64
    }
}

multiversion! {
    /// `a = b + s c`.
    ///
    /// # Safety
    /// Each points at `LONG` floats, and `a` overlaps neither of the others.
    unsafe fn scale_add(a: *mut f32, b: *const f32, c: *const f32, s: f32) {
        // SAFETY: the contract of this function.
        let (a, b, c) = unsafe {
            (std::slice::from_raw_parts_mut(a, LONG), std::slice::from_raw_parts(b, LONG), std::slice::from_raw_parts(c, LONG))
        };
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            *a = b + s * c;
        }
    }
}
