//! Outputs in tiles.

use super::transforms::{of_input, of_kernel, of_output};
use super::{APART, ELEMENTS};
use crate::isa::Isa;
use crate::kernels::conv::geometry::Sweep;
use crate::kernels::conv::sweep::Frame;
use crate::kernels::gemm::{balanced, pack_b, packed_len};
use crate::kernels::tile::{Begin, Tile, panel_width, run_tile, tile_rows};

/// Floats of the transformed kernel.
pub(in super::super) fn packed_floats(isa: Isa, sweep: &Sweep) -> usize {
    ELEMENTS * packed_len(isa, sweep.channels[0], sweep.channels[1])
}

/// Floats of scratch for a region of so many outputs.
pub(in super::super) fn scratch_floats(isa: Isa, sweep: &Sweep, outputs: usize) -> usize {
    let [channels, filters] = sweep.channels;
    ELEMENTS * (outputs / 4 * (channels + panel_width(isa).min(filters)) + 2 * APART)
}

/// Transforms the kernel `w`: panels of filters one after another, each an element after another as `[channels, panel]`.
///
/// # Safety
/// `w` holds the kernel, `packed` has room for [`packed_floats`].
pub(in super::super) unsafe fn pack(isa: Isa, sweep: &Sweep, w: *const f32, packed: *mut f32) {
    let ([channels, filters], width, taps) = (sweep.channels, panel_width(isa), &sweep.passes[0].taps);
    let [channel_stride, filter_stride] = if sweep.is_turned { [1, channels] } else { [filters, 1] };
    for column in (0..filters).step_by(width) {
        let columns = width.min(filters - column);
        // SAFETY: taps lie inside the kernel, the elements that they become inside the panel.
        unsafe {
            let panel = packed.add(column * ELEMENTS * channels);
            for (at, tap) in taps.iter().enumerate() {
                let from = w.add(tap * channels * filters + column * filter_stride);
                let to = panel.add(at * channels * width);
                pack_b(isa, from, channel_stride, filter_stride, [channels, columns], to);
            }
            for channel in 0..channels {
                of_kernel(isa, panel.add(channel * width), columns, channels * width);
            }
        }
    }
}

/// Computes a region of `count` outputs, which read from `band` on; the first of them is written at the beginning of `to`.
///
/// # Safety
/// As of [`Sweep::run_pass`]; `packed` holds what [`pack`] wrote, `scratch` has room for [`scratch_floats`].
pub(in super::super) unsafe fn run(
    isa: Isa,
    sweep: &Sweep,
    band: *const f32,
    packed: *const f32,
    to: Frame,
    count: [usize; 3],
    scratch: *mut f32,
) {
    let ([channels, filters], width, [_, row, position]) = (sweep.channels, panel_width(isa), sweep.strides);
    let [rows, columns] = [count[1] / 2, count[2] / 2];
    let (tiles, stride) = (rows * columns, width.min(filters));
    let [x_stride, y_stride] = [channels, stride].map(|floats| tiles * floats + APART);
    let y_steps = [to.inner[1] * filters, filters];
    // SAFETY: tiles lie inside the band and the outputs, their elements inside the scratch, panels inside `packed`.
    unsafe {
        let products = scratch.add(ELEMENTS * x_stride);
        for (t, (i, j)) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).enumerate() {
            let x = band.add(2 * (i * row + j * position));
            of_input(isa, x, [row, position], channels, scratch.add(t * channels), x_stride);
        }
        for column in (0..filters).step_by(width) {
            let panel = packed.add(column * ELEMENTS * channels);
            let in_panel = width.min(filters - column);
            for element in 0..ELEMENTS {
                for (t, tile) in balanced(tiles, tile_rows::<false>(isa)) {
                    let operands = Tile {
                        lines: &[0],
                        k: channels,
                        a: scratch.add(element * x_stride + t * channels),
                        a_stride: channels,
                        b: panel.add(element * channels * width),
                        b_stride: width,
                        c: products.add(element * y_stride + t * stride),
                        c_row_stride: stride,
                        ahead: panel.add(element * channels * width),
                        columns: in_panel,
                        begin: Begin::Zero,
                    };
                    run_tile::<false>(isa, tile, operands);
                }
            }
            for (t, (i, j)) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).enumerate() {
                let y = to.y.add(2 * (i * y_steps[0] + j * y_steps[1]) + column);
                of_output(isa, products.add(t * stride), y_stride, in_panel, y, y_steps);
            }
        }
    }
}
