//! Which input positions each output position reads, as tables of distances.

use super::winograd;
use crate::isa::Isa;
use crate::kernels::gemm::packed_len;
use footlight_graph::ops::ConvGeometry;
use std::ops::Range;

/// Floats of an image that are copied at a time.
const BAND: usize = 1 << 16;

/// How many times more terms than lie inside the image there must be for taps to be clipped to it.
const CLIPPED_FROM: f64 = 1.08;

/// The fewest input and output channels of a group for which taps are added one by one: each tap reads and writes the outputs.
const CLIPPED_CHANNELS: [usize; 2] = [32, 8];

/// Every `step`-th output of an axis, which all read the input at the same distances from their own place.
#[derive(Clone, Debug)]
struct Class {
    first: usize,
    count: usize,
    /// Taps of the kernel and where they read, ascending.
    taps: Vec<(usize, isize)>,
}

/// One axis: output `first + step i` of a class reads input `stride i + offset` for each of its taps.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Input positions.
    pub input: usize,
    /// Output positions.
    pub output: usize,
    /// Input positions from one output of a class to the next.
    pub stride: usize,
    /// Output positions from one of a class to the next.
    pub step: usize,
    classes: Vec<Class>,
    /// The smallest offset.
    pub low: isize,
    /// Input positions from the smallest offset to the largest.
    pub span: usize,
    /// The outputs of the largest class.
    pub count: usize,
}

impl Axis {
    fn new(input: usize, output: usize, stride: usize, step: usize, classes: Vec<Class>) -> Axis {
        let offsets = || classes.iter().flat_map(|c| &c.taps).map(|(_, offset)| *offset);
        let (low, high) = (offsets().min().unwrap_or(0), offsets().max().unwrap_or(0));
        let count = classes.iter().map(|c| c.count).max().unwrap_or(0);
        Axis { input, output, stride, step, low, span: (high - low + 1) as usize, count, classes }
    }

    /// Output `o` reads `o s + k d - p`.
    fn forward(input: usize, output: usize, window: usize, [s, d, p]: [usize; 3]) -> Axis {
        let taps = (0..window).map(|k| (k, (k * d) as isize - p as isize)).collect();
        Axis::new(input, output, s, 1, vec![Class { first: 0, count: output, taps }])
    }

    /// Output `q` reads every `o` with `o s + k d - p = q`; outputs of the same remainder by `s` read with the same taps.
    fn turned(input: usize, output: usize, window: usize, [s, d, p]: [usize; 3]) -> Axis {
        let class = |first: usize| {
            let distance = |k: usize| (first + p) as isize - (k * d) as isize;
            let is_met = |k: &usize| distance(*k).rem_euclid(s as isize) == 0;
            let taps = (0..window).rev().filter(is_met).map(|k| (k, distance(k).div_euclid(s as isize))).collect();
            Class { first, count: output.saturating_sub(first).div_ceil(s), taps }
        };
        Axis::new(input, output, 1, s, (0..s).map(class).collect())
    }

    fn is_inside(&self) -> bool {
        let end = self.count.saturating_sub(1) * self.stride + self.span;
        self.low >= 0 && self.low as usize + end <= self.input
    }

    /// The outputs, of the first `count` of a class, for which a tap at `offset` reads inside the input.
    pub(super) fn inside(&self, count: usize, offset: isize) -> Range<usize> {
        let first = offset.min(0).unsigned_abs().div_ceil(self.stride);
        let end = (self.input as isize - offset).max(0) as usize;
        first..end.div_ceil(self.stride).clamp(first, count.max(first))
    }

    /// All terms over those that lie inside the input.
    fn terms(&self) -> f64 {
        let all: usize = self.classes.iter().map(|c| c.count * c.taps.len()).sum();
        let inside = |c: &Class| c.taps.iter().map(|(_, offset)| self.inside(c.count, *offset).len()).sum::<usize>();
        all as f64 / self.classes.iter().map(inside).sum::<usize>().max(1) as f64
    }

    fn is_pointwise(&self) -> bool {
        self.stride == 1 && self.step == 1 && self.span == 1 && self.low == 0 && self.input == self.output
    }

    /// Whether every output reads `taps` neighbours, one position on from those of the output before.
    pub(super) fn reads(&self, taps: usize) -> bool {
        (self.stride, self.step, self.span) == (1, 1, taps) && self.classes[0].taps.len() == taps
    }

    /// Input positions that `outputs` neighbours of a class reach over.
    fn reach(&self, outputs: usize) -> usize {
        outputs.saturating_sub(1) * self.stride + self.span
    }
}

/// One class of each axis: outputs that are one product with the same taps.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    /// The first output on each axis.
    pub first: [usize; 3],
    /// Outputs on each axis.
    pub count: [usize; 3],
    /// Where each line of the window begins, from where the first tap of all reads.
    pub lines: Vec<usize>,
    /// Floats of a line.
    pub run: usize,
    /// The kernel's taps in the order of the lines.
    pub taps: Vec<usize>,
    /// Where each tap reads on each axis.
    pub offsets: Vec<[isize; 3]>,
    /// Taps of the passes before.
    pub taps_before: usize,
}

/// A convolution or its transpose as products: every output position sums over lines of the input.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    pub(super) axes: [Axis; 3],
    pub(super) passes: Vec<Pass>,
    /// Channels of the input and the output.
    pub(super) channels: [usize; 2],
    pub(super) groups: usize,
    /// Whether the kernel is read with input and output exchanged.
    pub(super) is_turned: bool,
    /// Outputs of a class in one band, on each axis.
    pub(super) band: [usize; 3],
    /// Floats from one input position to the next on each axis, in a band or in the image.
    pub(super) strides: [usize; 3],
    /// Whether bands are copied, because they reach beyond the image.
    pub(super) is_copied: bool,
    /// Whether bands, or regions, are computed in Winograd tiles.
    pub(super) is_tiled: bool,
    /// Whether taps are added one by one where they lie inside the image, because much of what they reach lies outside.
    pub(super) is_clipped: bool,
    /// Where each row of outputs of a band begins to read, from the band's beginning.
    pub(super) rows: Vec<usize>,
}

/// What a sweep is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Forward,
    Turned,
    OfKernel,
    /// Regions of at most so many outputs on each axis.
    OfRegions([usize; 3]),
}

/// `shape` as three extents, with ones in front.
pub(super) fn three(shape: &[usize]) -> [usize; 3] {
    let mut three = [1; 3];
    three[3 - shape.len()..].copy_from_slice(shape);
    three
}

impl Sweep {
    /// The convolution of images `x` to images `y` with a window.
    pub(crate) fn forward(geometry: &ConvGeometry, x: &[usize], window: &[usize], y: &[usize]) -> Sweep {
        Sweep::new(geometry, x, window, y, Kind::Forward)
    }

    /// The same to be read backwards, from images `x` and `y` to the kernel: always in bands.
    pub(crate) fn of_kernel(geometry: &ConvGeometry, x: &[usize], window: &[usize], y: &[usize]) -> Sweep {
        Sweep::new(geometry, x, window, y, Kind::OfKernel)
    }

    /// The convolution of images `x` to images `y` with a window, of which regions of at most `most` outputs are worked on.
    pub(super) fn of_regions(
        geometry: &ConvGeometry,
        x: &[usize],
        window: &[usize],
        y: &[usize],
        most: [usize; 3],
    ) -> Sweep {
        Sweep::new(geometry, x, window, y, Kind::OfRegions(most))
    }

    /// The transposed convolution of images `dy` to images `dx` with a window.
    pub(crate) fn turned(geometry: &ConvGeometry, dy: &[usize], window: &[usize], dx: &[usize]) -> Sweep {
        Sweep::new(geometry, dy, window, dx, Kind::Turned)
    }

    fn new(geometry: &ConvGeometry, from: &[usize], window: &[usize], to: &[usize], kind: Kind) -> Sweep {
        let is_turned = kind == Kind::Turned;
        let axes = geometry.axes();
        let (input, output) = (three(&from[1..=axes]), three(&to[1..=axes]));
        let padding: Vec<usize> = geometry.padding.iter().map(|p| p[0]).collect();
        let low = [&vec![0; 3 - axes], padding.as_slice()].concat();
        let (window, strides, dilation) = (three(window), three(&geometry.strides), three(&geometry.dilation));
        let axis = |a: usize| {
            let numbers = [strides[a], dilation[a], low[a]];
            let make = if is_turned { Axis::turned } else { Axis::forward };
            make(input[a], output[a], window[a], numbers)
        };
        let mut axes = [axis(0), axis(1), axis(2)];
        let is_by_images = matches!(kind, Kind::OfRegions(_));
        let is_pointwise = !is_by_images && axes.iter().all(Axis::is_pointwise) && window == [1; 3];
        if is_pointwise {
            let positions = input.iter().product();
            axes = [1, 1, positions].map(|extent| Axis::forward(extent, extent, 1, [1, 1, 0]));
        }
        let channels = [from[from.len() - 1], to[to.len() - 1]];
        let counts = [0, 1, 2].map(|a: usize| axes[a].count.max(1));
        let is_tiled = winograd::are_whole(counts)
            && match kind {
                Kind::Forward | Kind::Turned => winograd::fits(&axes, channels, geometry.groups),
                Kind::OfKernel => winograd::fits_gradient(&axes, channels, geometry.groups),
                Kind::OfRegions(_) => false,
            };
        let is_inside = axes.iter().all(Axis::is_inside);
        let terms: f64 = axes.iter().map(Axis::terms).product();
        let is_clipped = matches!(kind, Kind::Forward | Kind::Turned)
            && !is_tiled
            && !is_inside
            && terms > CLIPPED_FROM
            && channels[0] / geometry.groups >= CLIPPED_CHANNELS[0]
            && channels[1] / geometry.groups >= CLIPPED_CHANNELS[1];
        let is_copied = !is_inside && !is_clipped;
        let band = match kind {
            _ if is_tiled => winograd::region(counts, channels),
            _ if !is_copied => counts,
            Kind::OfRegions(most) => most,
            _ => band(&axes, counts, channels[0]),
        };
        let extents = [0, 1, 2].map(|a: usize| if is_copied { axes[a].reach(band[a]) } else { axes[a].input });
        let strides = [extents[1] * extents[2] * channels[0], extents[2] * channels[0], channels[0]];
        let place = |r: usize| r / band[1] * axes[0].stride * strides[0] + r % band[1] * axes[1].stride * strides[1];
        let rows = (0..band[0] * band[1]).map(place).collect();
        let passes = passes(&axes, window, strides, channels[0], geometry.groups);
        let groups = geometry.groups;
        Sweep { axes, passes, channels, groups, is_turned, band, strides, is_copied, is_tiled, is_clipped, rows }
    }

    /// Whether all images are one long row of positions.
    pub(super) fn is_pointwise(&self) -> bool {
        self.axes.iter().all(Axis::is_pointwise)
    }

    /// Whether every channel is a group of its own.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.channels == [self.groups; 2]
    }

    /// Floats of the band that is copied.
    pub(crate) fn band_floats(&self) -> usize {
        if self.is_copied { self.axes[0].reach(self.band[0]) * self.strides[0] } else { 0 }
    }

    /// Floats of block scratch of a convolution: a band, then its tiles.
    pub(crate) fn scratch_floats(&self, isa: Isa) -> usize {
        let outputs = self.band.iter().product();
        let tiles = if self.is_tiled { winograd::scratch_floats(isa, self, outputs) } else { 0 };
        self.band_floats().next_multiple_of(16) + tiles
    }

    /// How the packed kernel lies: equal where the bytes are.
    pub(crate) fn packing(&self) -> String {
        let taps: Vec<&[usize]> = self.passes.iter().map(|pass| pass.taps.as_slice()).collect();
        format!("{} {} {} {:?} {taps:?}", self.is_tiled, self.is_turned, self.groups, self.channels)
    }

    /// Floats of the kernel in panels; 0 where it is read as it lies.
    pub(crate) fn packed_floats(&self, isa: Isa) -> usize {
        match () {
            () if self.is_depthwise() => 0,
            () if self.is_tiled => winograd::packed_floats(isa, self),
            () => self.groups * self.group_floats(isa),
        }
    }

    /// Input and output channels of a group.
    pub(super) fn per_group(&self) -> [usize; 2] {
        self.channels.map(|c| c / self.groups)
    }

    /// Floats of one group's kernel in panels.
    pub(super) fn group_floats(&self, isa: Isa) -> usize {
        let taps: usize = self.passes.iter().map(|p| p.taps.len()).sum();
        let [inner, outer] = self.per_group();
        packed_len(isa, taps * inner, outer)
    }

    /// Floats of an input and an output image.
    pub(super) fn image_floats(&self) -> [usize; 2] {
        let positions = |of: fn(&Axis) -> usize| self.axes.iter().map(of).product::<usize>();
        [positions(|a| a.input) * self.channels[0], positions(|a| a.output) * self.channels[1]]
    }

    /// Where in an image of outputs the one at `from` lies.
    pub(super) fn output_at(&self, from: [usize; 3]) -> usize {
        ((from[0] * self.axes[1].output + from[1]) * self.axes[2].output + from[2]) * self.channels[1]
    }

    /// The first outputs of each band, and how many of the largest class are in it.
    pub(super) fn bands(&self) -> impl Iterator<Item = ([usize; 3], [usize; 3])> + '_ {
        let parts = [0, 1, 2].map(|a: usize| self.axes[a].count.div_ceil(self.band[a]));
        (0..parts.iter().product()).map(move |b: usize| {
            let index = [b / (parts[1] * parts[2]), b / parts[2] % parts[1], b % parts[2]];
            let from = [0, 1, 2].map(|a: usize| index[a] * self.band[a]);
            (from, [0, 1, 2].map(|a: usize| self.band[a].min(self.axes[a].count - from[a])))
        })
    }

    /// Where the band at outputs `from` begins to read: in `copy`, which is filled with it, or in the image itself.
    ///
    /// # Safety
    /// `image` holds an input image, `copy` has room for [`Sweep::band_floats`].
    pub(super) unsafe fn band(
        &self,
        image: *const f32,
        from: [usize; 3],
        count: [usize; 3],
        copy: *mut f32,
    ) -> *const f32 {
        if !self.is_copied {
            // SAFETY: the first position that is read lies inside the image.
            return unsafe { image.add(self.begin(from)) };
        }
        for BandRow { at, len, inside, image: position } in self.band_rows(from, count) {
            // SAFETY: the row lies inside the copy; what is copied lies inside the image.
            unsafe {
                let to = copy.add(at);
                to.write_bytes(0, inside.start);
                image.add(position).copy_to_nonoverlapping(to.add(inside.start), inside.len());
                to.add(inside.end).write_bytes(0, len - inside.end);
            }
        }
        copy
    }

    /// Where in an image that is not copied the band at outputs `from` begins to read.
    pub(super) fn begin(&self, from: [usize; 3]) -> usize {
        let first = |a: usize| from[a] * self.axes[a].stride + self.axes[a].low as usize;
        (0..3).map(|a| first(a) * self.strides[a]).sum()
    }

    /// Writes the image that lies in a band of all outputs, without its padding; 0 where the band does not reach.
    ///
    /// # Safety
    /// `band` holds [`Sweep::band_floats`], `image` has room for an input image.
    pub(super) unsafe fn cut(&self, band: *const f32, image: *mut f32) {
        // SAFETY: as in `band`.
        unsafe {
            image.write_bytes(0, self.image_floats()[0]);
            for BandRow { at, inside, image: position, .. } in self.band_rows([0; 3], self.band) {
                band.add(at + inside.start).copy_to_nonoverlapping(image.add(position), inside.len());
            }
        }
    }

    /// The rows of the band at outputs `from`.
    fn band_rows(&self, from: [usize; 3], count: [usize; 3]) -> impl Iterator<Item = BandRow> + '_ {
        let begin = [0, 1, 2].map(|a: usize| (from[a] * self.axes[a].stride) as isize + self.axes[a].low);
        let [depth, height, width] = [0, 1, 2].map(|a: usize| self.axes[a].reach(count[a]));
        let within = move |a: usize, at: isize| usize::try_from(at).ok().filter(|at| *at < self.axes[a].input);
        let channels = self.channels[0];
        // Of a row of `width` positions, those before, inside and behind the image.
        let before = begin[2].min(0).unsigned_abs().min(width);
        let end = (self.axes[2].input as isize - begin[2]).clamp(before as isize, width as isize) as usize;
        (0..depth * height).map(move |row| {
            let [i, j] = [row / height, row % height];
            let (at, len) = (i * self.strides[0] + j * self.strides[1], width * channels);
            match (within(0, begin[0] + i as isize), within(1, begin[1] + j as isize)) {
                (Some(q0), Some(q1)) if end > before => {
                    let first = (begin[2] + before as isize) as usize;
                    let position = (q0 * self.axes[1].input + q1) * self.axes[2].input + first;
                    BandRow { at, len, inside: before * channels..end * channels, image: position * channels }
                }
                _ => BandRow { at, len, inside: 0..0, image: 0 },
            }
        })
    }
}

/// A row of positions of a band, in floats.
struct BandRow {
    /// Where it lies in the band.
    at: usize,
    len: usize,
    /// What of it lies in the image, and where there.
    inside: Range<usize>,
    image: usize,
}

/// The outputs of a band on each axis: all, halved from the first axis on until what they reach fits.
fn band(axes: &[Axis; 3], counts: [usize; 3], channels: usize) -> [usize; 3] {
    let mut band = counts;
    for a in 0..3 {
        let floats = |band: [usize; 3]| channels * (0..3).map(|a| axes[a].reach(band[a])).product::<usize>();
        while band[a] > 1 && floats(band) > BAND {
            band[a] = band[a].div_ceil(2);
        }
    }
    band
}

/// Every class of each axis with every class of the others.
fn passes(axes: &[Axis; 3], window: [usize; 3], strides: [usize; 3], channels: usize, groups: usize) -> Vec<Pass> {
    let mut passes = Vec::new();
    let mut taps_before = 0;
    for (a, b, c) in axes[0]
        .classes
        .iter()
        .flat_map(|a| axes[1].classes.iter().flat_map(move |b| axes[2].classes.iter().map(move |c| (a, b, c))))
    {
        let at = |axis: usize, offset: isize| (offset - axes[axis].low) as usize * strides[axis];
        let is_dense = groups == 1 && c.taps.windows(2).all(|w| w[1].1 - w[0].1 == 1);
        let per_line = if is_dense { c.taps.len().max(1) } else { 1 };
        let (mut lines, mut taps, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        for (i, u) in &a.taps {
            for (j, v) in &b.taps {
                for (t, (k, w)) in c.taps.iter().enumerate() {
                    taps.push((i * window[1] + j) * window[2] + k);
                    offsets.push([*u, *v, *w]);
                    if t % per_line == 0 {
                        lines.push(at(0, *u) + at(1, *v) + at(2, *w));
                    }
                }
            }
        }
        let (first, count) = ([a.first, b.first, c.first], [a.count, b.count, c.count]);
        let before = taps_before;
        taps_before += taps.len();
        passes.push(Pass {
            first,
            count,
            lines,
            run: per_line * (channels / groups),
            taps,
            offsets,
            taps_before: before,
        });
    }
    passes
}

/// Parts of a sum along `lines` runs of `run` terms that are small enough for the cache: first line, lines, first term and
/// terms of the run.
pub(super) fn parts(lines: usize, run: usize, most: usize) -> impl Iterator<Item = [usize; 4]> {
    let together = (most / run.max(1)).max(1);
    (0..lines).step_by(together).flat_map(move |line| {
        let count = together.min(lines - line);
        (0..run).step_by(most).map(move |first| [line, count, first, most.min(run - first)])
    })
}
