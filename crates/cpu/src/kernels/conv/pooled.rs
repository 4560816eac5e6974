//! A convolution and the maxima of its windows: regions of outputs are computed, pooled while they are in cache, and
//! forgotten. What no window reads is not computed.

use super::geometry::Sweep;
use super::sweep::Frame;
use crate::isa::Isa;
use crate::kernels::pool::{self, Pool, Region};
use footlight_graph::ops::{ConvGeometry, Windows};

/// Floats of outputs that are computed at a time, so that they stay in the L1 cache.
const REGION: usize = 1 << 13;

/// A convolution that is pooled.
#[derive(Clone, Debug)]
pub(crate) struct PooledConv {
    pub sweep: Sweep,
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
        PooledConv { sweep: Sweep::of_regions(geometry, x, window, y, most), pool, regions, floats }
    }

    /// Floats of block scratch: what is copied of the image, then a region of outputs.
    pub(crate) fn scratch_floats(&self) -> usize {
        let positions = |r: &Region| r.count.iter().product::<usize>();
        let most = self.regions.iter().map(positions).max().unwrap_or(0);
        self.band_floats() + most * self.sweep.channels[1]
    }

    fn band_floats(&self) -> usize {
        self.sweep.band_floats().next_multiple_of(16)
    }

    /// Computes the maxima of `images` images `x` and where they are.
    ///
    /// # Safety
    /// `x`, `maxima` and `positions` hold the images, `kernel` what [`Sweep::pack`] wrote or, for a depthwise one, the kernel
    /// itself; `scratch` has room for [`PooledConv::scratch_floats`]. None overlaps another.
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
                    for pass in &self.sweep.passes {
                        self.sweep.run_pass(isa, pass, band, kernel, to, [region.from, region.count]);
                    }
                    let at = image * self.floats;
                    pool::max(isa, &self.pool, region, y, maxima.add(at), positions.add(at));
                }
            }
        }
    }
}
