//! Convolution and transposed convolution: rows of output positions, each a product with the kernel.

use super::depthwise::depthwise;
use super::geometry::{Pass, Sweep, parts};
use super::winograd;
use crate::isa::Isa;
use crate::kernels::gemm::{K_CHUNK, balanced, pack_b, packed_len};
use crate::kernels::tile::{Begin, Tile, panel_width, run_tile, tile_rows};

/// Where outputs are written: an image of them, or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub y: *mut f32,
    /// The first output that has a place.
    pub origin: [usize; 3],
    /// Places on the two inner axes.
    pub inner: [usize; 2],
}

impl Sweep {
    /// Packs the kernel `w` for every pass and group; nothing for a depthwise one, which is read as it lies.
    ///
    /// # Safety
    /// `w` holds the kernel, `packed` has room for [`Sweep::packed_floats`].
    pub(crate) unsafe fn pack(&self, isa: Isa, w: *const f32, packed: *mut f32) {
        if self.is_depthwise() {
            return;
        }
        if self.is_tiled {
            // SAFETY: the caller's contract.
            return unsafe { winograd::pack(isa, self, w, packed) };
        }
        let ([inner, outer], width) = (self.per_group(), panel_width(isa));
        let filters = self.channels[usize::from(!self.is_turned)];
        // Of the kernel `[taps, channels of a group, filters]`: where a tap, a group, a row and a column of it begin.
        let (tap_stride, group_stride, strides) = if self.is_turned {
            (outer * filters, inner, [1, filters])
        } else {
            (inner * filters, outer, [filters, 1])
        };
        for group in 0..self.groups {
            for pass in &self.passes {
                let rows = pass.taps.len() * inner;
                for column in (0..outer).step_by(width) {
                    for (at, tap) in pass.taps.iter().enumerate() {
                        // SAFETY: a tap's rows and columns lie inside the kernel, its part of a panel inside `packed`.
                        unsafe {
                            let from = w.add(tap * tap_stride + group * group_stride + column * strides[1]);
                            let to = self.packed_at(isa, packed, group, pass).add(column * rows + at * inner * width);
                            pack_b(isa, from, strides[0], strides[1], [inner, width.min(outer - column)], to);
                        }
                    }
                }
            }
        }
    }

    /// Where the panels of a group and a pass begin.
    unsafe fn packed_at(&self, isa: Isa, packed: *mut f32, group: usize, pass: &Pass) -> *mut f32 {
        let [inner, outer] = self.per_group();
        // SAFETY: the passes' panels lie one behind another, group by group.
        unsafe { packed.add(group * self.group_floats(isa) + packed_len(isa, pass.taps_before * inner, outer)) }
    }

    /// Computes `images` output images `y` of as many input images `x`.
    ///
    /// # Safety
    /// `x` and `y` hold the images, `kernel` what [`Sweep::pack`] wrote or, for a depthwise one, the kernel itself; `scratch`
    /// has room for [`Sweep::scratch_floats`]. None overlaps another.
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        images: usize,
        x: *const f32,
        kernel: *const f32,
        y: *mut f32,
        scratch: *mut f32,
    ) {
        let [from_floats, to_floats] = self.image_floats();
        let (images, joined) = if self.is_pointwise() { (1, images) } else { (images, 1) };
        let inner = [1, 2].map(|a: usize| self.axes[a].output);
        for image in 0..images {
            if self.is_clipped {
                // SAFETY: the images lie inside what the caller vouches for.
                unsafe { self.run_clipped(isa, x.add(image * from_floats), kernel, y.add(image * to_floats)) };
                continue;
            }
            for (from, count) in self.bands() {
                // SAFETY: image and outputs of the band lie inside what the caller vouches for.
                unsafe {
                    let band = self.band(x.add(image * from_floats), from, count, scratch);
                    if self.is_tiled {
                        let y = y.add(image * to_floats + self.output_at(from));
                        let tiles = scratch.add(self.band_floats().next_multiple_of(16));
                        let to = Frame { y, origin: from, inner };
                        winograd::run(isa, self, band, kernel, to, count, tiles);
                        continue;
                    }
                    for pass in &self.passes {
                        let count = [0, 1, 2].map(|a: usize| count[a].min(pass.count[a].saturating_sub(from[a])));
                        let count = [count[0], count[1], count[2] * joined];
                        let to = Frame { y: y.add(image * to_floats), origin: [0; 3], inner };
                        self.run_pass(isa, pass, band, kernel, to, [from, count]);
                    }
                }
            }
        }
    }

    /// Outputs `from..from + count` of a pass, which read from `band` on.
    pub(super) unsafe fn run_pass(
        &self,
        isa: Isa,
        pass: &Pass,
        band: *const f32,
        kernel: *const f32,
        to: Frame,
        [from, count]: [[usize; 3]; 2],
    ) {
        let (axes, [inner, outer], y) = (&self.axes, self.per_group(), to.y);
        let at = |a: usize, i: usize| pass.first[a] + (from[a] + i) * axes[a].step - to.origin[a];
        // Rows of outputs: where each begins to read, and where to write.
        let rows = || {
            (0..count[0] * count[1]).map(|r| {
                let (i, j) = (r / count[1], r % count[1]);
                let position = (at(0, i) * to.inner[0] + at(1, j)) * to.inner[1] + at(2, 0);
                (self.rows[i * self.band[1] + j], position * self.channels[1])
            })
        };
        let (a_stride, c_stride) = (axes[2].stride * self.strides[2], axes[2].step * self.channels[1]);
        // SAFETY: every position of a row that is read lies inside the band, every one that is written inside the image.
        unsafe {
            if self.is_depthwise() {
                for (read, write) in rows() {
                    let strides = [a_stride, c_stride];
                    let (band, y) = (band.add(read), y.add(write));
                    depthwise(isa, band, &pass.lines, kernel, &pass.taps, self.groups, y, count[2], strides);
                }
                return;
            }
            if pass.taps.is_empty() {
                for (_, write) in rows() {
                    (0..count[2]).for_each(|i| y.add(write + i * c_stride).write_bytes(0, self.channels[1]));
                }
                return;
            }
            for group in 0..self.groups {
                let packed = self.packed_at(isa, kernel.cast_mut(), group, pass).cast_const();
                for [line, lines, first, run] in parts(pass.lines.len(), pass.run, K_CHUNK) {
                    let depth = line * pass.run + first;
                    for column in (0..outer).step_by(panel_width(isa)) {
                        let b = packed.add(column * pass.taps.len() * inner + depth * panel_width(isa));
                        for (read, write) in rows() {
                            for (i, tile) in balanced(count[2], tile_rows::<false>(isa)) {
                                let operands = Tile {
                                    lines: &pass.lines[line..line + lines],
                                    k: run,
                                    a: band.add(read + i * a_stride + group * inner + first),
                                    a_stride,
                                    b,
                                    b_stride: panel_width(isa),
                                    c: y.add(write + i * c_stride + group * outer + column),
                                    c_row_stride: c_stride,
                                    ahead: b,
                                    columns: panel_width(isa).min(outer - column),
                                    begin: if depth == 0 { Begin::Zero } else { Begin::Apart },
                                };
                                run_tile::<false>(isa, tile, operands);
                            }
                        }
                    }
                }
            }
        }
    }

    /// One image, tap by tap, each for the outputs for which it reads inside the image.
    unsafe fn run_clipped(&self, isa: Isa, x: *const f32, kernel: *const f32, y: *mut f32) {
        let (axes, [inner, outer], width) = (&self.axes, self.per_group(), panel_width(isa));
        let (a_stride, c_stride) = (axes[2].stride * self.strides[2], axes[2].step * self.channels[1]);
        // SAFETY: the image of outputs has this size; what is read and written lies inside the images.
        unsafe {
            y.write_bytes(0, self.image_floats()[1]);
            for (group, pass) in (0..self.groups).flat_map(|group| self.passes.iter().map(move |pass| (group, pass))) {
                let packed = self.packed_at(isa, kernel.cast_mut(), group, pass).cast_const();
                for column in (0..outer).step_by(width) {
                    for ([tap, _, first, run], offset) in pass.offsets.iter().enumerate().flat_map(|(tap, offset)| {
                        parts(1, inner, K_CHUNK).map(move |[_, count, first, run]| ([tap, count, first, run], offset))
                    }) {
                        let [depth, height, length] =
                            [0, 1, 2].map(|a: usize| axes[a].inside(pass.count[a], offset[a]));
                        let from = |a: usize, i: usize| (i * axes[a].stride).wrapping_add_signed(offset[a]);
                        let to = |a: usize, i: usize| pass.first[a] + i * axes[a].step;
                        for (i, j) in depth.clone().flat_map(|i| height.clone().map(move |j| (i, j))) {
                            let read = from(0, i) * self.strides[0] + from(1, j) * self.strides[1];
                            let write = (to(0, i) * axes[1].output + to(1, j)) * axes[2].output;
                            for (k, tile) in balanced(length.len(), tile_rows::<false>(isa)) {
                                let k = length.start + k;
                                let operands = Tile {
                                    lines: &[0],
                                    k: run,
                                    a: x.add(read + from(2, k) * self.strides[2] + group * inner + first),
                                    a_stride,
                                    b: packed.add((column * pass.taps.len() + tap * width) * inner + first * width),
                                    b_stride: width,
                                    c: y.add((write + to(2, k)) * self.channels[1] + group * outer + column),
                                    c_row_stride: c_stride,
                                    ahead: packed.add((column * pass.taps.len() + tap * width) * inner + first * width),
                                    columns: width.min(outer - column),
                                    begin: Begin::Apart,
                                };
                                run_tile::<false>(isa, tile, operands);
                            }
                        }
                    }
                }
            }
        }
    }
}
