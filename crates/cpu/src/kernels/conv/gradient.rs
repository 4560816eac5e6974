//! The gradient by the kernel: taps and channels by filters, each a sum over images and positions in ascending order.

use super::depthwise::depthwise_gradient;
use super::geometry::{Sweep, parts};
use super::winograd::TileSums;
use crate::isa::Isa;
use crate::kernels::gemm::{K_CHUNK, Right, balanced, lies_in_vectors, pack_b, packed_len};
use crate::kernels::tile::{Begin, Tile, panel_width, run_tile, tile_rows};
use std::ops::Range;

/// Rows of a block: it reads all images of its chunk.
const ROWS: usize = 288;

/// A kernel gradient as the [`Sweep`] whose kernel it is of, and its chunks of images.
#[derive(Clone, Debug)]
pub(crate) struct KernelGradient {
    pub sweep: Sweep,
    pub images: usize,
    pub chunks: usize,
}

/// Rows of the gradient of one chunk of images.
pub(super) struct Part {
    /// The first, counted from the first of the block.
    pub at: usize,
    /// The first, and the row behind the last, of the chunk's matrix.
    pub rows: [usize; 2],
    pub images: Range<usize>,
}

/// Images and gradients of outputs, and the rows of the gradient that they are added to.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    isa: Isa,
    dw: *mut f32,
    /// First row, and the row behind the last, of one chunk's matrix.
    rows: [usize; 2],
    copy: *mut f32,
    packed: *mut f32,
}

impl KernelGradient {
    /// Floats of block scratch: the band, then tiles and their sums or some positions of the outputs' gradient in panels.
    pub(crate) fn scratch_floats(&self, isa: Isa) -> usize {
        let behind = if self.sweep.is_tiled {
            TileSums::scratch_floats(isa, &self.sweep)
        } else {
            packed_len(isa, K_CHUNK, self.sweep.per_group()[1])
        };
        self.band_floats() + behind
    }

    fn band_floats(&self) -> usize {
        self.sweep.band_floats().next_multiple_of(16)
    }

    /// The fewest rows that are worth a block, which reads all images of its chunk: a chunk is cut evenly, but not if it is
    /// computed in tiles, which give all taps at once.
    pub(crate) fn rows_wanted(&self) -> usize {
        let rows = self.chunk_rows();
        if self.sweep.is_tiled { rows } else { rows.div_ceil(rows.div_ceil(ROWS).max(1)) }
    }

    /// Rows of one chunk: taps and channels of a group.
    pub(super) fn chunk_rows(&self) -> usize {
        self.sweep.passes[0].taps.len() * self.sweep.per_group()[0]
    }

    /// Computes rows `first..first + rows` of the gradient, counted through all chunks.
    ///
    /// # Safety
    /// `x` and `dy` hold all images, `dw` has room for the rows, `scratch` for [`KernelGradient::scratch_floats`]. None
    /// overlaps another.
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        [x, dy]: [*const f32; 2],
        [first, rows]: [usize; 2],
        dw: *mut f32,
        scratch: *mut f32,
    ) {
        let filters = self.sweep.channels[1];
        let [x_floats, y_floats] = self.sweep.image_floats();
        for Part { at, rows, images } in self.parts([first, rows]) {
            // SAFETY: the rows lie inside `dw`, the images inside `x` and `dy`.
            unsafe {
                if self.sweep.is_tiled {
                    let dw = dw.add(at * filters);
                    let images = images.map(|image| [x.add(image * x_floats), dy.add(image * y_floats)]);
                    self.run_tiles(isa, images, rows, dw, scratch);
                    continue;
                }
                let sums = self.sums(isa, rows, dw.add(at * filters), scratch);
                // Pointwise images are one long row of positions.
                let joined = if self.sweep.is_pointwise() { images.len().max(1) } else { 1 };
                for image in images.step_by(joined) {
                    self.add(sums, x.add(image * x_floats), dy.add(image * y_floats), joined);
                }
            }
        }
    }

    /// Rows of one chunk from images and gradients, in tiles.
    unsafe fn run_tiles(
        &self,
        isa: Isa,
        images: impl Iterator<Item = [*const f32; 2]>,
        [first, end]: [usize; 2],
        dw: *mut f32,
        scratch: *mut f32,
    ) {
        let sweep = &self.sweep;
        // SAFETY: bands and their gradients lie inside the images, the sums behind the band in the scratch.
        unsafe {
            let mut sums = TileSums::new(isa, sweep, scratch.add(self.band_floats()));
            for [x, dy] in images {
                for (from, count) in sweep.bands() {
                    let row = sweep.axes[2].output * sweep.channels[1];
                    let band = sweep.band(x, from, count, scratch);
                    sums.add(band, dy.add(sweep.output_at(from)), row, count);
                }
            }
            sums.finish(first..end, dw);
        }
    }

    /// Rows `first..first + rows` by chunks.
    pub(super) fn parts(&self, [first, rows]: [usize; 2]) -> impl Iterator<Item = Part> {
        let (per_chunk, images) = (self.chunk_rows(), |chunk: usize| chunk * self.images / self.chunks);
        let chunks = first / per_chunk.max(1)..(first + rows).div_ceil(per_chunk.max(1));
        chunks.map(move |chunk| {
            let [begin, end] = [first, first + rows].map(|row| row.clamp(chunk * per_chunk, (chunk + 1) * per_chunk));
            let rows = [begin - chunk * per_chunk, end - chunk * per_chunk];
            Part { at: begin - first, rows, images: images(chunk)..images(chunk + 1) }
        })
    }

    /// Rows of one chunk, which are 0 now, and what is worked in.
    ///
    /// # Safety
    /// `dw` has room for the rows, `scratch` for [`KernelGradient::scratch_floats`].
    pub(super) unsafe fn sums(&self, isa: Isa, rows: [usize; 2], dw: *mut f32, scratch: *mut f32) -> Sums {
        // SAFETY: the caller's contract.
        unsafe {
            dw.write_bytes(0, (rows[1] - rows[0]) * self.sweep.channels[1]);
            Sums { isa, dw, rows, copy: scratch, packed: scratch.add(self.band_floats()) }
        }
    }

    /// Adds what `joined` images give.
    pub(super) unsafe fn add(&self, sums: Sums, x: *const f32, dy: *const f32, joined: usize) {
        let (sweep, filters) = (&self.sweep, self.sweep.channels[1]);
        for (from, count) in sweep.bands() {
            let (rows, run) = (count[0] * count[1], count[2] * joined);
            // SAFETY: the band's positions lie inside the images.
            unsafe {
                let band = sweep.band(x, from, count, sums.copy);
                let dy = dy.add(sweep.output_at(from));
                if sweep.is_depthwise() {
                    self.add_depthwise(sums, band, dy, [rows, run]);
                    continue;
                }
                for [line, lines, first, length] in parts(rows, run, K_CHUNK) {
                    let dy = dy.add((line * run + first) * filters);
                    self.add_part(sums, band, dy, &sweep.rows[line..line + lines], [first, length]);
                }
            }
        }
    }

    /// Adds some rows of positions, or a part of one: `dw += A^T dy`.
    unsafe fn add_part(
        &self,
        sums: Sums,
        band: *const f32,
        dy: *const f32,
        lines: &[usize],
        [first, length]: [usize; 2],
    ) {
        let (sweep, pass, isa) = (&self.sweep, &self.sweep.passes[0], sums.isa);
        let ([inner, outer], filters, width) = (sweep.per_group(), sweep.channels[1], panel_width(isa));
        let (a_stride, depth) = (sweep.axes[2].stride * sweep.strides[2], lines.len() * length);
        for group in 0..sweep.groups {
            // SAFETY: the positions lie inside band and `dy`, the rows inside `dw`.
            unsafe {
                let right = if sweep.groups == 1 && lies_in_vectors(isa, filters) {
                    Right::in_place(filters, dy)
                } else {
                    pack_b(isa, dy.add(group * outer), filters, 1, [depth, outer], sums.packed);
                    Right::packed(isa, depth, sums.packed)
                };
                for column in (0..outer).step_by(width) {
                    let (b, b_stride) = right.panel(column);
                    for (at, line) in pass.lines.iter().enumerate() {
                        let begin = sums.rows[0].max(at * pass.run);
                        let end = sums.rows[1].min((at + 1) * pass.run);
                        for (i, tile) in balanced(end.saturating_sub(begin), tile_rows::<true>(isa)) {
                            let row = begin + i;
                            let operands = Tile {
                                lines,
                                k: length,
                                a: band.add(line + row - at * pass.run + group * inner + first * a_stride),
                                a_stride,
                                b,
                                b_stride,
                                c: sums.dw.add((row - sums.rows[0]) * filters + group * outer + column),
                                c_row_stride: filters,
                                ahead: b,
                                columns: width.min(outer - column),
                                begin: Begin::Apart,
                            };
                            run_tile::<true>(isa, tile, operands);
                        }
                    }
                }
            }
        }
    }

    unsafe fn add_depthwise(&self, sums: Sums, band: *const f32, dy: *const f32, [rows, run]: [usize; 2]) {
        let (sweep, channels) = (&self.sweep, self.sweep.groups);
        let a_stride = sweep.axes[2].stride * sweep.strides[2];
        for row in sums.rows[0]..sums.rows[1] {
            for (r, line) in sweep.rows[..rows].iter().enumerate() {
                // SAFETY: the positions of a row lie inside band and `dy`, the row inside `dw`.
                unsafe {
                    let x = band.add(line + sweep.passes[0].lines[row]);
                    let dw = sums.dw.add((row - sums.rows[0]) * channels);
                    depthwise_gradient(sums.isa, x, a_stride, dy.add(r * run * channels), run, channels, dw);
                }
            }
        }
    }
}
