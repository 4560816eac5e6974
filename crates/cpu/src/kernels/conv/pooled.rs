//! A convolution and the maxima of its windows: regions of outputs are computed, pooled while they are in cache, and
//! forgotten. What no window reads is not computed.

use super::geometry::Sweep;
use super::sweep::Frame;
use super::winograd;
use crate::isa::Isa;
use crate::kernels::pool::{self, Pool, Region};
use footlight_graph::ops::{ConvGeometry, Windows};

/// Floats of outputs that are computed at a time, so that they stay in the L1 cache.
const REGION: usize = 1 << 13;

/// A convolution that is pooled.
#[derive(Clone, Debug)]
pub(crate) struct PooledConv {
    sweep: Sweep,
    pool: Pool,
    regions: Vec<Region>,
    /// Floats of an image of maxima.
    floats: usize,
}

impl PooledConv {
    /// For images `x`, a window of the convolution, its outputs `y`, and windows of these.
    pub(crate) fn new(
        geometry: &ConvGeometry,
        x: &[usize],
        window: &[usize],
        y: &[usize],
        windows: &[Windows],
    ) -> PooledConv {
        let pool = Pool::new(windows, y);
        let regions = pool.regions(REGION);
        let most = [0, 1, 2].map(|a: usize| regions.iter().map(|r| r.count[a]).max().unwrap_or(0));
        let floats = pool.output_floats();
        let sweep = Sweep::of_regions(geometry, x, window, y, most);
        let is_tiled = winograd::fits(&sweep.axes, sweep.channels, sweep.groups)
            && regions.iter().all(|r| r.count[0] == 1 && winograd::are_whole(r.count));
        PooledConv { sweep: Sweep { is_tiled, ..sweep }, pool, regions, floats }
    }

    /// As of [`Sweep::packing`].
    pub(crate) fn packing(&self) -> String {
        self.sweep.packing()
    }

    /// Floats of the kernel as it is packed; 0 where it is read as it lies.
    pub(crate) fn packed_floats(&self, isa: Isa) -> usize {
        self.sweep.packed_floats(isa)
    }

    /// Packs the kernel `w`.
    ///
    /// # Safety
    /// `w` holds the kernel, `packed` has room for [`PooledConv::packed_floats`].
    pub(crate) unsafe fn pack(&self, isa: Isa, w: *const f32, packed: *mut f32) {
        // SAFETY: the caller's contract.
        unsafe { self.sweep.pack(isa, w, packed) }
    }

    /// Floats of block scratch: what is copied of the image, then a region of outputs, then its tiles.
    pub(crate) fn scratch_floats(&self, isa: Isa) -> usize {
        let tiles = if self.sweep.is_tiled { winograd::scratch_floats(isa, &self.sweep, self.positions()) } else { 0 };
        self.band_floats() + self.region_floats() + tiles
    }

    /// Outputs of the largest region.
    fn positions(&self) -> usize {
        self.regions.iter().map(|r| r.count.iter().product()).max().unwrap_or(0)
    }

    fn region_floats(&self) -> usize {
        (self.positions() * self.sweep.channels[1]).next_multiple_of(16)
    }

    fn band_floats(&self) -> usize {
        self.sweep.band_floats().next_multiple_of(16)
    }

    /// Computes the maxima of `images` images `x` and where they are.
    ///
    /// # Safety
    /// `x`, `maxima` and `positions` hold the images, `kernel` what [`PooledConv::pack`] wrote or, where it
    /// is not packed, the kernel; `scratch` has room for [`PooledConv::scratch_floats`]. None overlaps another.
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        images: usize,
        [x, kernel]: [*const f32; 2],
        maxima: *mut f32,
        positions: *mut i32,
        scratch: *mut f32,
    ) {
        let from = self.sweep.image_floats()[0];
        for image in 0..images {
            for region in &self.regions {
                // SAFETY: image, maxima and the outputs of the region lie inside what the caller vouches for.
                unsafe {
                    let (x, y) = (x.add(image * from), scratch.add(self.band_floats()));
                    let band = self.sweep.band(x, region.from, region.count, scratch);
                    let to = Frame { y, origin: region.from, inner: [region.count[1], region.count[2]] };
                    if self.sweep.is_tiled {
                        let tiles = y.add(self.region_floats());
                        winograd::run(isa, &self.sweep, band, kernel, to, region.count, tiles);
                    } else {
                        let pass = &self.sweep.passes[0];
                        self.sweep.run_pass(isa, pass, band, kernel, to, [region.from, region.count]);
                    }
                    let at = image * self.floats;
                    pool::max(isa, &self.pool, region, y, maxima.add(at), positions.add(at));
                }
            }
        }
    }
}
