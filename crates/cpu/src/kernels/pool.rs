//! Maxima and means of windows, and elements moved to and from positions of an image. Channels lie last, so every window is
//! worked on for all channels at once.

use crate::isa::multiversion;
use footlight_graph::ops::Windows;
use std::ops::Range;

/// The windows of images `[spatial..., channels]`.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// The positions of each window, on three axes.
    ranges: [Vec<Range<usize>>; 3],
    /// Positions of an image on the two inner axes.
    inner: [usize; 2],
    /// Positions of a whole image.
    positions: usize,
    channels: usize,
}

impl Pool {
    /// The windows of images of shape `x`, which fit it.
    pub(crate) fn new(windows: &[Windows], x: &[usize]) -> Pool {
        let (spatial, lead) = (&x[1..x.len() - 1], 3 - windows.len());
        let extent = |a: usize| a.checked_sub(lead).map_or(1, |a| spatial[a]);
        let ranges = |a: usize| match a.checked_sub(lead) {
            Some(a) => windows[a].ranges(spatial[a]).expect("shape rules have checked this"),
            None => vec![Range { start: 0, end: 1 }],
        };
        Pool {
            ranges: [ranges(0), ranges(1), ranges(2)],
            inner: [extent(1), extent(2)],
            positions: spatial.iter().product(),
            channels: x[x.len() - 1],
        }
    }

    fn outputs(&self) -> usize {
        self.ranges.iter().map(Vec::len).product()
    }

    /// The positions of output `o`'s window, ascending.
    #[inline(always)]
    fn window(&self, o: usize) -> impl Iterator<Item = usize> + '_ {
        let [_, rows, columns] = [0, 1, 2].map(|a: usize| self.ranges[a].len());
        let [a, b, c] = [o / (rows * columns), o / columns % rows, o % columns];
        let [a, b, c] = [&self.ranges[0][a], &self.ranges[1][b], &self.ranges[2][c]].map(Clone::clone);
        let [height, width] = self.inner;
        a.flat_map(move |i| {
            let c = c.clone();
            b.clone().flat_map(move |j| c.clone().map(move |k| (i * height + j) * width + k))
        })
    }
}

/// Row `at` of `channels` elements.
#[inline(always)]
unsafe fn row<'a, T>(of: *const T, at: usize, channels: usize) -> &'a [T] {
    // SAFETY: the caller vouches for the row.
    unsafe { std::slice::from_raw_parts(of.add(at * channels), channels) }
}

/// Row `at` of `channels` elements, to be changed.
#[inline(always)]
unsafe fn row_mut<'a, T>(of: *mut T, at: usize, channels: usize) -> &'a mut [T] {
    // SAFETY: the caller vouches for the row and for being alone with it.
    unsafe { std::slice::from_raw_parts_mut(of.add(at * channels), channels) }
}

multiversion! {
    /// The first maximum of each window and its position; the first NaN wins.
    ///
    /// # Safety
    /// `x` holds `images` images, `y` and `positions` have room for their outputs.
    pub(crate) unsafe fn max(pool: &Pool, images: usize, x: *const f32, y: *mut f32, positions: *mut i32) {
        let (outputs, channels) = (pool.outputs(), pool.channels);
        for image in 0..images {
            for o in 0..outputs {
                // SAFETY: the output's rows and its window's lie inside what the caller vouches for.
                unsafe {
                    let best = row_mut(y, image * outputs + o, channels);
                    let at = row_mut(positions, image * outputs + o, channels);
                    let mut window = pool.window(o).map(|p| (p, row(x, image * pool.positions + p, channels)));
                    if let Some((p, x)) = window.next() {
                        best.copy_from_slice(x);
                        at.fill(p as i32);
                    }
                    for (p, x) in window {
                        for c in 0..channels {
                            let wins = (x[c] > best[c]) | (x[c].is_nan() & !best[c].is_nan());
                            best[c] = if wins { x[c] } else { best[c] };
                            at[c] = if wins { p as i32 } else { at[c] };
                        }
                    }
                }
            }
        }
    }
}

multiversion! {
    /// The mean of each window.
    ///
    /// # Safety
    /// `x` holds `images` images, `y` has room for their outputs.
    pub(crate) unsafe fn average(pool: &Pool, images: usize, x: *const f32, y: *mut f32) {
        let (outputs, channels) = (pool.outputs(), pool.channels);
        for image in 0..images {
            for o in 0..outputs {
                // SAFETY: the output's row and its window's lie inside what the caller vouches for.
                unsafe {
                    let mean = row_mut(y, image * outputs + o, channels);
                    mean.fill(0.0);
                    let mut count = 0f32;
                    for p in pool.window(o) {
                        let x = row(x, image * pool.positions + p, channels);
                        mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += x);
                        count += 1.0;
                    }
                    mean.iter_mut().for_each(|mean| *mean /= count);
                }
            }
        }
    }
}

multiversion! {
    /// What each position gets of the windows it is in: their `dy` over their positions.
    ///
    /// # Safety
    /// `dy` holds `images` images of outputs, `dx` has room for as many of inputs.
    pub(crate) unsafe fn average_gradient(pool: &Pool, images: usize, dy: *const f32, dx: *mut f32) {
        let (outputs, channels) = (pool.outputs(), pool.channels);
        for image in 0..images {
            // SAFETY: as below, for the whole image.
            unsafe { row_mut(dx, image, pool.positions * channels).fill(0.0) };
            for o in 0..outputs {
                let count = pool.window(o).count() as f32;
                for p in pool.window(o) {
                    // SAFETY: the output's row and its window's lie inside what the caller vouches for.
                    unsafe {
                        let dy = row(dy, image * outputs + o, channels);
                        let dx = row_mut(dx, image * pool.positions + p, channels);
                        dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy / count);
                    }
                }
            }
        }
    }
}

/// `y[o, c] = x[positions[o, c], c]` for images of extents `[positions, outputs, channels]`; 0 outside.
///
/// # Safety
/// `x`, `positions` and `y` hold `images` images of these extents.
pub(crate) unsafe fn gather(extents: [usize; 3], images: usize, x: *const f32, positions: *const i32, y: *mut f32) {
    let [places, outputs, channels] = extents;
    for o in 0..images * outputs {
        // SAFETY: rows of outputs lie inside; places were compared with the image's.
        unsafe {
            let (at, y) = (row(positions, o, channels), row_mut(y, o, channels));
            let x = row(x, o / outputs, places * channels);
            for c in 0..channels {
                let place = usize::try_from(at[c]).ok().filter(|place| *place < places);
                y[c] = place.map_or(0.0, |place| x[place * channels + c]);
            }
        }
    }
}

/// `x[positions[o, c], c] += y[o, c]` on zeros for images of extents `[positions, outputs, channels]`, in ascending order of
/// `o`; positions outside are left out.
///
/// # Safety
/// `x`, `positions` and `y` hold `images` images of these extents.
pub(crate) unsafe fn scatter(extents: [usize; 3], images: usize, y: *const f32, positions: *const i32, x: *mut f32) {
    let [places, outputs, channels] = extents;
    for image in 0..images {
        // SAFETY: as in `gather`.
        unsafe {
            let x = row_mut(x, image, places * channels);
            x.fill(0.0);
            for o in image * outputs..(image + 1) * outputs {
                for (c, (at, y)) in row(positions, o, channels).iter().zip(row(y, o, channels)).enumerate() {
                    if let Some(place) = usize::try_from(*at).ok().filter(|place| *place < places) {
                        x[place * channels + c] += y;
                    }
                }
            }
        }
    }
}
