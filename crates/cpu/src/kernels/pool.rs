//! Maxima and means of windows, and elements moved to and from positions of an image. Channels lie last, so every window is
//! worked on for all channels at once.

use crate::isa::{Isa, multiversion};
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

    /// All windows, which read an image where it lies.
    fn whole(&self) -> Region {
        let windows = [0, 1, 2].map(|a: usize| 0..self.ranges[a].len());
        let area = self.inner.iter().product::<usize>().max(1);
        Region { windows, from: [0; 3], count: [self.positions / area, self.inner[0], self.inner[1]] }
    }

    /// All windows in regions of few floats: some windows of the middle axis and all of the last.
    pub(crate) fn regions(&self, floats: usize) -> Vec<Region> {
        let span = |a: usize, windows: Range<usize>| {
            let ranges = || self.ranges[a][windows.clone()].iter();
            let first = ranges().map(|r| r.start).min().unwrap_or(0);
            [first, ranges().map(|r| r.end).max().unwrap_or(0).saturating_sub(first)]
        };
        let [depth, rows, columns] = [0, 1, 2].map(|a: usize| self.ranges[a].len());
        let mut regions = Vec::new();
        for a in 0..depth {
            let mut begin = 0;
            while begin < rows {
                let size = |end: usize| [span(0, a..a + 1), span(1, begin..end), span(2, 0..columns)];
                let fits = |end: &usize| {
                    size(*end).iter().map(|[_, count]| count).product::<usize>() * self.channels <= floats
                };
                let end = (begin + 2..=rows).take_while(fits).last().unwrap_or(begin + 1);
                let spans = size(end);
                regions.push(Region {
                    windows: [a..a + 1, begin..end, 0..columns],
                    from: spans.map(|[from, _]| from),
                    count: spans.map(|[_, count]| count),
                });
                begin = end;
            }
        }
        regions
    }

    /// Floats of an image of outputs.
    pub(crate) fn output_floats(&self) -> usize {
        self.outputs() * self.channels
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

/// Windows of an image, and the part of it that they read.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    /// The windows on each axis.
    pub windows: [Range<usize>; 3],
    /// The part's first position on each axis.
    pub from: [usize; 3],
    /// Its positions on each axis.
    pub count: [usize; 3],
}

/// Channels whose maxima are in registers at a time.
const LANES: usize = 16;

/// The positions of one window: ranges on each axis, the image's inner extents, and the part of it that is there.
struct Taps<'a> {
    window: [Range<usize>; 3],
    inner: [usize; 2],
    part: &'a Region,
    channels: usize,
}

impl Taps<'_> {
    /// The first maximum of the window for `count` channels and its position. The first tap is compared with itself, which
    /// changes nothing.
    #[inline(always)]
    unsafe fn max<const WHOLE: bool>(&self, x: *const f32, count: usize, y: *mut f32, positions: *mut i32) {
        let ([depth, height, width], Region { from, count: extents, .. }) = (&self.window, self.part);
        let count = if WHOLE { LANES } else { count };
        let (mut best, mut at) = ([0f32; LANES], [0i32; LANES]);
        // SAFETY: the caller vouches for so many channels of every position and of the output.
        unsafe {
            let line = |i: usize, j: usize| {
                let place = ((i - from[0]) * extents[1] + j - from[1]) * extents[2] + width.start - from[2];
                (x.add(place * self.channels), (i * self.inner[0] + j) * self.inner[1] + width.start)
            };
            let (first, position) = line(depth.start, height.start);
            for c in 0..count {
                (best[c], at[c]) = (*first.add(c), position as i32);
            }
            for i in depth.clone() {
                for j in height.clone() {
                    let (mut x, mut position) = line(i, j);
                    for _ in width.clone() {
                        for c in 0..count {
                            let x = *x.add(c);
                            // A NaN does not lose, and what was one stays.
                            let loses = x <= best[c];
                            let wins = !loses & !best[c].is_nan();
                            best[c] = if wins { x } else { best[c] };
                            at[c] = if wins { position as i32 } else { at[c] };
                        }
                        x = x.wrapping_add(self.channels);
                        position += 1;
                    }
                }
            }
            y.copy_from_nonoverlapping(best.as_ptr(), count);
            positions.copy_from_nonoverlapping(at.as_ptr(), count);
        }
    }
}

multiversion! {
    /// The first maximum of each window of a region and its position in the image; the first NaN wins. `y` and `positions` are
    /// of all windows.
    ///
    /// # Safety
    /// `x` holds the region's part of the image, `y` and `positions` have room for an image's outputs.
    pub(crate) unsafe fn max(pool: &Pool, region: &Region, x: *const f32, y: *mut f32, positions: *mut i32) {
        let ([_, rows, columns], channels) = ([0, 1, 2].map(|a: usize| pool.ranges[a].len()), pool.channels);
        let [depth, height, width] = &region.windows;
        for (a, b) in depth.clone().flat_map(|a| height.clone().map(move |b| (a, b))) {
            for c in width.clone() {
                let window = [&pool.ranges[0][a], &pool.ranges[1][b], &pool.ranges[2][c]].map(Clone::clone);
                let taps = Taps { window, inner: pool.inner, part: region, channels };
                for first in (0..channels).step_by(LANES) {
                    // SAFETY: the window's positions and its output lie inside what the caller vouches for.
                    unsafe {
                        let at = ((a * rows + b) * columns + c) * channels + first;
                        let (x, y, positions) = (x.add(first), y.add(at), positions.add(at));
                        match channels - first {
                            LANES.. => taps.max::<true>(x, LANES, y, positions),
                            count => taps.max::<false>(x, count, y, positions),
                        }
                    }
                }
            }
        }
    }
}

/// The same for all windows of `images` images.
///
/// # Safety
/// `x` holds the images, `y` and `positions` have room for their outputs.
pub(crate) unsafe fn max_of_images(
    isa: Isa,
    pool: &Pool,
    images: usize,
    x: *const f32,
    y: *mut f32,
    positions: *mut i32,
) {
    let whole = pool.whole();
    for image in 0..images {
        let (from, to) = (image * pool.positions * pool.channels, image * pool.output_floats());
        // SAFETY: the image and its outputs lie inside what the caller vouches for.
        unsafe { max(isa, pool, &whole, x.add(from), y.add(to), positions.add(to)) };
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
