//! The kernel's gradient in tiles.

use super::transforms::{of_input, of_kernel_gradient, of_output_gradient};
use super::{APART, ELEMENTS, TOGETHER};
use crate::isa::Isa;
use crate::kernels::conv::geometry::Sweep;
use crate::kernels::gemm::balanced;
use crate::kernels::tile::{Begin, Tile, panel_width, run_tile, tile_rows};
use std::ops::Range;

/// Sums over tiles: some transformed tiles of images and gradients, and the 16 products that they are added to.
pub(in super::super) struct TileSums<'a> {
    isa: Isa,
    sweep: &'a Sweep,
    room: Room,
    x: *mut f32,
    dy: *mut f32,
    sums: *mut f32,
    /// Tiles that are not added yet.
    tiles: usize,
    is_first: bool,
}

/// How tiles and sums lie in the scratch.
#[derive(Clone, Copy)]
struct Room {
    /// Tiles that there is room for.
    tiles: usize,
    /// Filters of a panel of gradients.
    panel: usize,
    /// Floats from one element to the next: of images, of gradients, of sums.
    strides: [usize; 3],
}

impl Room {
    fn new(isa: Isa, sweep: &Sweep) -> Room {
        let [channels, filters] = sweep.channels;
        let region = sweep.band.iter().product::<usize>() / 4;
        let tiles = region * (TOGETHER / (channels + filters) / region.max(1)).max(1);
        let panel = panel_width(isa).min(filters);
        let gradients = tiles * filters.next_multiple_of(panel);
        let strides = [tiles * channels, gradients, channels * filters].map(|floats| floats + APART);
        Room { tiles, panel, strides }
    }
}

impl TileSums<'_> {
    /// Floats of scratch.
    pub(in super::super) fn scratch_floats(isa: Isa, sweep: &Sweep) -> usize {
        ELEMENTS * Room::new(isa, sweep).strides.iter().sum::<usize>()
    }

    /// Sums of no tiles.
    ///
    /// # Safety
    /// `scratch` has room for [`TileSums::scratch_floats`], as long as the sums live.
    pub(in super::super) unsafe fn new(isa: Isa, sweep: &Sweep, scratch: *mut f32) -> TileSums<'_> {
        let room = Room::new(isa, sweep);
        // SAFETY: the caller's contract.
        unsafe {
            let dy = scratch.add(ELEMENTS * room.strides[0]);
            let sums = dy.add(ELEMENTS * room.strides[1]);
            TileSums { isa, sweep, room, x: scratch, dy, sums, tiles: 0, is_first: true }
        }
    }

    /// Adds a region of `count` outputs, which read from `band` on and whose gradients are at `dy`, rows of them `row` apart.
    ///
    /// # Safety
    /// `band` and `dy` hold what they say; the region is at most as large as a band of the sweep.
    pub(in super::super) unsafe fn add(&mut self, band: *const f32, dy: *const f32, row: usize, count: [usize; 3]) {
        let (isa, [channels, filters], [_, line, position]) = (self.isa, self.sweep.channels, self.sweep.strides);
        let [rows, columns] = [count[1] / 2, count[2] / 2];
        let [x_stride, dy_stride, _] = self.room.strides;
        // SAFETY: tiles lie inside band and gradients, their elements inside the scratch.
        unsafe {
            if self.tiles + rows * columns > self.room.tiles {
                self.flush();
            }
            for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                let x = band.add(2 * (i * line + j * position));
                of_input(isa, x, [line, position], channels, self.x.add(self.tiles * channels), x_stride);
                for column in (0..filters).step_by(self.room.panel) {
                    let dy = dy.add(2 * (i * row + j * filters) + column);
                    let to = self.dy.add(column * self.room.tiles + self.tiles * self.room.panel);
                    let columns = self.room.panel.min(filters - column);
                    of_output_gradient(isa, dy, [row, filters], columns, to, dy_stride);
                }
                self.tiles += 1;
            }
        }
    }

    /// Adds the products of the tiles so far.
    unsafe fn flush(&mut self) {
        let ([channels, filters], Room { panel, strides, .. }) = (self.sweep.channels, self.room);
        let rows = |element: usize| balanced(channels, tile_rows::<true>(self.isa)).map(move |rows| (element, rows));
        for column in (0..filters).step_by(panel) {
            for (element, (row, rows)) in (0..ELEMENTS).flat_map(rows) {
                // SAFETY: tiles and sums lie inside the scratch.
                unsafe {
                    let operands = Tile {
                        lines: &[0],
                        k: self.tiles,
                        a: self.x.add(element * strides[0] + row),
                        a_stride: channels,
                        b: self.dy.add(element * strides[1] + column * self.room.tiles),
                        b_stride: panel,
                        c: self.sums.add(element * strides[2] + row * filters + column),
                        c_row_stride: filters,
                        ahead: self.dy.add(element * strides[1] + column * self.room.tiles),
                        columns: panel.min(filters - column),
                        begin: if self.is_first { Begin::Zero } else { Begin::Apart },
                    };
                    run_tile::<true>(self.isa, rows, operands);
                }
            }
        }
        (self.tiles, self.is_first) = (0, false);
    }

    /// Writes rows of the gradient, a matrix of taps and channels by filters, of all that was added.
    ///
    /// # Safety
    /// `dw` has room for the rows.
    pub(in super::super) unsafe fn finish(mut self, rows: Range<usize>, dw: *mut f32) {
        let [channels, filters] = self.sweep.channels;
        // SAFETY: sums and taps lie inside the scratch, whose tiles are not needed any more, rows inside `dw`.
        unsafe {
            self.flush();
            for channel in 0..channels {
                let taps = self.x;
                let from = self.sums.add(channel * filters);
                of_kernel_gradient(self.isa, from, self.room.strides[2], filters, taps, filters);
                for tap in 0..9 {
                    let row = tap * channels + channel;
                    if rows.contains(&row) {
                        taps.add(tap * filters).copy_to_nonoverlapping(dw.add((row - rows.start) * filters), filters);
                    }
                }
            }
        }
    }
}
