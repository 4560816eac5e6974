//! The gradients of a convolution where that by its output is given at some positions and is zero elsewhere, as it comes
//! from a max pooling: what is not zero is listed, image by image, and each entry adds a line of the image or of the kernel
//! for each line of the window. Where channels lie in groups, or lines are too short for that, the zeros are written and
//! multiplied, except for the kernel gradient of a window that is a vector or two in all.

use super::geometry::{Sweep, three};
use super::gradient::{KernelGradient, Part};
use super::patches::{Gradients, WIDEST, add_patches, lay_out, patch_floats};
use super::rows::{Lines, Lists, add_rows};
use crate::isa::Isa;
use crate::kernels::moving::transpose;
use crate::kernels::pool;
use footlight_graph::ops::{ConvInputGradient, ConvKernelGradient};

/// The shortest line, in floats, for which entries are listed.
const SHORTEST: usize = 16;

/// The gradients of one image: `outputs` rows of `filters` numbers, each at a position of the convolution.
#[derive(Clone, Debug)]
struct Scattered {
    outputs: usize,
    filters: usize,
    /// Where the lines of each position's window begin.
    reads: Vec<u32>,
    /// Whether what is not zero is listed.
    is_listed: bool,
}

impl Scattered {
    fn new(sweep: &Sweep, dy: &[usize], shortest: usize) -> Scattered {
        let outputs = dy[1..dy.len() - 1].iter().product();
        let [.., columns] = sweep.band;
        let column = sweep.axes[2].stride * sweep.strides[2];
        let reads = sweep.rows.iter().flat_map(|row| (0..columns).map(move |j| (row + j * column) as u32)).collect();
        let is_listed = sweep.groups == 1 && sweep.passes[0].run >= shortest;
        Scattered { outputs, filters: sweep.channels[1], reads, is_listed }
    }

    fn len(&self) -> usize {
        self.outputs * self.filters
    }

    /// Positions, outputs and channels, as pooling counts them.
    fn extents(&self) -> [usize; 3] {
        [self.reads.len(), self.outputs, self.filters]
    }

    /// Where the lines of an element's window begin, and whether it is to be listed: not 0, and at a position inside.
    ///
    /// # Safety
    /// `dy` and `positions` hold the element.
    #[inline(always)]
    unsafe fn entry(&self, dy: *const f32, positions: *const i32, at: usize) -> (f32, usize, bool) {
        // SAFETY: the caller's contract.
        let (value, position) = unsafe { (*dy.add(at), *positions.add(at) as u32 as usize) };
        let is_inside = position < self.reads.len();
        (value, if is_inside { position } else { 0 }, is_inside & (value != 0.0))
    }
}

/// [`KernelGradient`] of scattered outputs.
#[derive(Clone, Debug)]
pub(crate) struct ScatterKernelGradient {
    dense: KernelGradient,
    dy: Scattered,
    /// Where the floats of a window lie, if it is narrow.
    taps: Vec<usize>,
}

impl ScatterKernelGradient {
    /// For images `x`, outputs `y` of the convolution and the gradient `dy`.
    pub(crate) fn new(of: &ConvKernelGradient, x: &[usize], y: &[usize], dy: &[usize]) -> ScatterKernelGradient {
        let most = three(&y[1..y.len() - 1]);
        let sweep = Sweep::of_regions(&of.geometry, x, &of.window, y, most);
        let (dy, pass) = (Scattered::new(&sweep, dy, SHORTEST), &sweep.passes[0]);
        let taps = pass.lines.iter().flat_map(|line| (0..pass.run).map(move |i| line + i));
        let is_narrow = sweep.groups == 1 && pass.lines.len() * pass.run <= WIDEST;
        let taps = if is_narrow { taps.collect() } else { Vec::new() };
        ScatterKernelGradient { dense: KernelGradient { sweep, images: x[0], chunks: of.chunks }, dy, taps }
    }

    /// The fewest rows that are worth a block.
    pub(crate) fn rows_wanted(&self) -> usize {
        self.dense.rows_wanted()
    }

    /// Floats of block scratch for `rows` rows: those of the dense gradient, then the patches of an image and their sums, the
    /// lists of an image and the turned rows, or an image of outputs.
    pub(crate) fn scratch_floats(&self, isa: Isa, rows: usize) -> usize {
        let rows = rows.min(self.dense.chunk_rows());
        let own = if !self.taps.is_empty() {
            patch_floats(self.taps.len()) * (self.dy.reads.len() + self.dy.filters)
        } else if self.dy.is_listed {
            self.dy.filters * (2 * self.list_stride() + 3 + rows)
        } else {
            self.image_floats()
        };
        self.dense_floats(isa) + own
    }

    /// Floats from one filter's list to the next: an odd number of cache lines, so that the lists' ends share no place of the
    /// cache.
    fn list_stride(&self) -> usize {
        self.dy.outputs.next_multiple_of(16) | 16
    }

    fn dense_floats(&self, isa: Isa) -> usize {
        self.dense.scratch_floats(isa).next_multiple_of(16)
    }

    fn image_floats(&self) -> usize {
        self.dense.sweep.image_floats()[1]
    }

    /// Computes rows `first..first + rows` of the gradient, counted through all chunks.
    ///
    /// # Safety
    /// `x`, `dy` and `positions` hold all images, `dw` has room for the rows, `scratch` for
    /// [`ScatterKernelGradient::scratch_floats`]. None overlaps another.
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        [x, dy]: [*const f32; 2],
        positions: *const i32,
        [first, rows]: [usize; 2],
        dw: *mut f32,
        scratch: *mut f32,
    ) {
        let from = self.dense.sweep.image_floats()[0];
        for part in self.dense.parts([first, rows]) {
            // SAFETY: the rows lie inside `dw`, the images inside what the caller vouches for.
            unsafe {
                let dw = dw.add(part.at * self.dy.filters);
                let own = scratch.add(self.dense_floats(isa));
                let of_image = |image: usize| (x.add(image * from), image * self.dy.len());
                if !self.taps.is_empty() {
                    self.narrow(isa, &part, [x, dy], positions, dw, [scratch, own]);
                    continue;
                }
                if self.dy.is_listed {
                    self.listed(isa, &part, [x, dy], positions, dw, [scratch, own]);
                    continue;
                }
                let sums = self.dense.sums(isa, part.rows, dw, scratch);
                for (x, at) in part.images.map(of_image) {
                    pool::scatter(self.dy.extents(), 1, dy.add(at), positions.add(at), own);
                    self.dense.add(sums, x, own, 1);
                }
            }
        }
    }

    /// For each filter the sum of the patches at its positions.
    unsafe fn narrow(
        &self,
        isa: Isa,
        part: &Part,
        [x, dy]: [*const f32; 2],
        positions: *const i32,
        dw: *mut f32,
        [copy, own]: [*mut f32; 2],
    ) {
        let (sweep, Scattered { outputs, filters, reads, .. }) = (&self.dense.sweep, &self.dy);
        let width = patch_floats(self.taps.len());
        // SAFETY: the scratch has room for the patches of an image and for their sums, `[filters, width]`.
        unsafe {
            let sums = own.add(reads.len() * width);
            sums.write_bytes(0, filters * width);
            for image in part.images.clone() {
                let band = sweep.band(x.add(image * sweep.image_floats()[0]), [0; 3], sweep.band, copy);
                lay_out(band, reads, &self.taps, width, own);
                let (dy, positions) = (dy.add(image * self.dy.len()), positions.add(image * self.dy.len()));
                let of = Gradients { outputs: *outputs, filters: *filters, dy, positions };
                add_patches(isa, of, reads.len(), width, own, sums);
            }
            for (row, k) in (part.rows[0]..part.rows[1]).enumerate() {
                (0..*filters).for_each(|filter| *dw.add(row * filters + filter) = *sums.add(filter * width + k));
            }
        }
    }

    /// For each filter the positions that have a gradient: a column of the matrix is the sum of the windows read there.
    unsafe fn listed(
        &self,
        isa: Isa,
        part: &Part,
        [x, dy]: [*const f32; 2],
        positions: *const i32,
        dw: *mut f32,
        [copy, own]: [*mut f32; 2],
    ) {
        let (sweep, pass) = (&self.dense.sweep, &self.dense.sweep.passes[0]);
        let (outputs, filters) = (self.dy.outputs, self.dy.filters);
        let [begin, end] = part.rows;
        let height = end - begin;
        // SAFETY: the scratch has room for the lists of an image, one for each filter, and for the turned rows
        // `[filters, height]`.
        unsafe {
            let stride = self.list_stride();
            let (values, offsets) = (own, own.add(filters * stride).cast::<u32>());
            let [starts, ends, places] =
                [0, 1, 2].map(|list: usize| own.add((2 * stride + list) * filters).cast::<u32>());
            let turned = own.add((2 * stride + 3) * filters);
            turned.write_bytes(0, filters * height);
            for filter in 0..filters {
                *starts.add(filter) = (filter * stride) as u32;
                *places.add(filter) = (filter * height) as u32;
            }
            let to = std::slice::from_raw_parts(places, filters);
            for image in part.images.clone() {
                let band = sweep.band(x.add(image * sweep.image_floats()[0]), [0; 3], sweep.band, copy);
                let (dy, positions) = (dy.add(image * self.dy.len()), positions.add(image * self.dy.len()));
                ends.copy_from_nonoverlapping(starts, filters);
                for o in 0..outputs {
                    for filter in 0..filters {
                        let (value, position, is_listed) = self.dy.entry(dy, positions, o * filters + filter);
                        let end = *ends.add(filter);
                        *values.add(end as usize) = value;
                        *offsets.add(end as usize) = *self.dy.reads.get_unchecked(position);
                        *ends.add(filter) = end + u32::from(is_listed);
                    }
                }
                let lists = Lists { values, offsets, starts, ends, to };
                if height == pass.lines.len() * pass.run {
                    let lines = Lines { lines: &pass.lines, run: pass.run, to: turned, to_stride: pass.run };
                    add_rows(isa, lists, band, lines);
                    continue;
                }
                for (at, line) in pass.lines.iter().enumerate() {
                    let rows = begin.max(at * pass.run)..end.min((at + 1) * pass.run);
                    if !rows.is_empty() {
                        let (line, to) = (line + rows.start - at * pass.run, turned.add(rows.start - begin));
                        add_rows(isa, lists, band, Lines { lines: &[line], run: rows.len(), to, to_stride: 0 });
                    }
                }
            }
            transpose(isa, turned, [filters, height], dw);
        }
    }
}

/// The transposed convolution of scattered outputs.
#[derive(Clone, Debug)]
pub(crate) struct ScatterInputGradient {
    /// The convolution, whose windows are added to.
    sweep: Sweep,
    /// The transposed one, for what is not listed.
    dense: Sweep,
    dy: Scattered,
}

impl ScatterInputGradient {
    /// For the gradient `dy`, outputs `y` of the convolution, a window and images `dx`.
    pub(crate) fn new(of: &ConvInputGradient, dy: &[usize], y: &[usize], window: &[usize], dx: &[usize]) -> Self {
        let sweep = Sweep::of_regions(&of.geometry, dx, window, y, three(&y[1..y.len() - 1]));
        let dy = Scattered::new(&sweep, dy, SHORTEST);
        ScatterInputGradient { sweep, dense: Sweep::turned(&of.geometry, y, window, dx), dy }
    }

    /// Floats of the kernel as it is packed; 0 where it is read as it lies.
    pub(crate) fn packed_floats(&self, isa: Isa) -> usize {
        if self.dy.is_listed {
            self.line_floats() * self.sweep.passes[0].lines.len()
        } else {
            self.dense.packed_floats(isa)
        }
    }

    /// Floats of a line of the window for all filters.
    fn line_floats(&self) -> usize {
        self.sweep.passes[0].run * self.dy.filters
    }

    /// Floats of block scratch: the lists of an image and the image with its padding, or an image of outputs and what the
    /// dense convolution asks for.
    pub(crate) fn scratch_floats(&self, isa: Isa) -> usize {
        if self.dy.is_listed {
            self.list_floats() + self.sweep.band_floats()
        } else {
            self.image_floats() + self.dense.scratch_floats(isa)
        }
    }

    /// Floats of an image's lists: sorted and not, and where each position's begins.
    fn list_floats(&self) -> usize {
        (5 * self.dy.len() + self.dy.reads.len() + 1).next_multiple_of(16)
    }

    fn image_floats(&self) -> usize {
        self.sweep.image_floats()[1].next_multiple_of(16)
    }

    /// Packs the kernel `w`: the lines of the window one after another, each as `[filters, line]`.
    ///
    /// # Safety
    /// `w` holds the kernel, `packed` has room for [`ScatterInputGradient::packed_floats`].
    pub(crate) unsafe fn pack(&self, isa: Isa, w: *const f32, packed: *mut f32) {
        if !self.dy.is_listed {
            // SAFETY: the caller's contract.
            return unsafe { self.dense.pack(isa, w, packed) };
        }
        for line in 0..self.sweep.passes[0].lines.len() {
            // SAFETY: a line lies inside the kernel and what is packed.
            unsafe {
                let extents = [self.sweep.passes[0].run, self.dy.filters];
                transpose(isa, w.add(line * self.line_floats()), extents, packed.add(line * self.line_floats()));
            }
        }
    }

    /// Computes `images` images `dx`.
    ///
    /// # Safety
    /// `dy`, `positions` and `dx` hold the images, `kernel` what [`ScatterInputGradient::pack`] wrote or, where it
    /// is not packed, the kernel; `scratch` has room for [`ScatterInputGradient::scratch_floats`]. None overlaps another.
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        images: usize,
        [dy, kernel]: [*const f32; 2],
        positions: *const i32,
        dx: *mut f32,
        scratch: *mut f32,
    ) {
        for image in 0..images {
            // SAFETY: the image lies inside what the caller vouches for.
            unsafe {
                let (dy, positions) = (dy.add(image * self.dy.len()), positions.add(image * self.dy.len()));
                let dx = dx.add(image * self.sweep.image_floats()[0]);
                if self.dy.is_listed {
                    self.listed(isa, [dy, kernel], positions, dx, scratch);
                } else {
                    pool::scatter(self.dy.extents(), 1, dy, positions, scratch);
                    self.dense.run(isa, 1, scratch, kernel, dx, scratch.add(self.image_floats()));
                }
            }
        }
    }

    /// For each position the filters that have a gradient: its window gets the sum of their kernels.
    unsafe fn listed(
        &self,
        isa: Isa,
        [dy, kernel]: [*const f32; 2],
        positions: *const i32,
        dx: *mut f32,
        scratch: *mut f32,
    ) {
        let (sweep, pass) = (&self.sweep, &self.sweep.passes[0]);
        // SAFETY: the scratch has room for the image with its padding and for the lists; lines of windows lie inside the
        // image, those of filters inside the kernel.
        unsafe {
            let [values, sums] = [scratch, scratch.add(self.list_floats())];
            let [offsets, starts] = self.sort(dy, positions, values);
            let (sums, begin) = if sweep.is_copied { (sums, 0) } else { (dx, sweep.begin([0; 3])) };
            sums.write_bytes(0, if sweep.is_copied { sweep.band_floats() } else { sweep.image_floats()[0] });
            let lists = Lists { values, offsets, starts, ends: starts.add(1), to: &self.dy.reads };
            for (at, line) in pass.lines.iter().enumerate() {
                let lines = Lines { lines: &[0], run: pass.run, to: sums.add(begin + line), to_stride: 0 };
                add_rows(isa, lists, kernel.add(at * self.line_floats()), lines);
            }
            if sweep.is_copied {
                sweep.cut(sums, dx);
            }
        }
    }

    /// Lists what is not zero by positions, filters ascending: the values in `scratch`, behind them where each filter's line of
    /// the kernel begins; and for each position where its list begins, which is where the one before ends.
    unsafe fn sort(&self, dy: *const f32, positions: *const i32, values: *mut f32) -> [*mut u32; 2] {
        let (len, places, run) = (self.dy.len(), self.dy.reads.len(), self.sweep.passes[0].run);
        // SAFETY: the caller's scratch has room for five lists of the image and a number for each position.
        unsafe {
            let [offsets, all_offsets, all_positions, starts] =
                [1, 3, 4, 5].map(|list: usize| values.add(list * len).cast::<u32>());
            let (all_values, ends) = (values.add(2 * len), starts.add(1));
            starts.write_bytes(0, places + 1);
            let mut count = 0;
            for at in 0..len {
                let (value, position, is_listed) = self.dy.entry(dy, positions, at);
                *all_values.add(count) = value;
                *all_offsets.add(count) = (at % self.dy.filters * run) as u32;
                *all_positions.add(count) = position as u32;
                count += usize::from(is_listed);
            }
            // How many there are of each position, then where its list begins, then, as it fills, where it ends.
            (0..count).for_each(|i| *ends.add(*all_positions.add(i) as usize) += 1);
            let mut begin = 0;
            for position in 0..places {
                begin += std::mem::replace(&mut *ends.add(position), begin);
            }
            for i in 0..count {
                let end = &mut *ends.add(*all_positions.add(i) as usize);
                *values.add(*end as usize) = *all_values.add(i);
                *offsets.add(*end as usize) = *all_offsets.add(i);
                *end += 1;
            }
            [offsets, starts]
        }
    }
}
