//! How far tiles are from sums in double precision, relative to the sum of absolute terms.

use crate::isa::Isa;
use crate::kernels::conv::{KernelGradient, Sweep};
use footlight_graph::ops::ConvGeometry;
use footlight_tensor::{Philox, RandomKey};

/// Images, their gradients and a kernel, of numbers between -0.5 and 0.5.
struct Images {
    x: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
    channels: usize,
    filters: usize,
}

const SIZE: [usize; 2] = [6, 8];

const COUNT: usize = 3;

const EXTENTS: [[usize; 2]; 6] = [[16, 16], [32, 64], [64, 48], [256, 80], [48, 32], [16, 80]];

impl Images {
    fn new([channels, filters]: [usize; 2]) -> Images {
        let mut rng = Philox::new(RandomKey::new(41));
        let mut random = |count: usize| (0..count).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>();
        let positions = COUNT * SIZE[0] * SIZE[1];
        let (x, w) = (random(positions * channels), random(9 * channels * filters));
        Images { x, w, dy: random(positions * filters), channels, filters }
    }

    fn shapes(&self) -> [[usize; 4]; 2] {
        [self.channels, self.filters].map(|channels| [COUNT, SIZE[0], SIZE[1], channels])
    }

    /// Pairs of an input and an output position, and the tap between them.
    fn pairs() -> impl Iterator<Item = (usize, usize, usize)> {
        let outputs = (0..COUNT).flat_map(|n| (0..SIZE[0]).flat_map(move |i| (0..SIZE[1]).map(move |j| [n, i, j])));
        outputs.flat_map(|[n, i, j]| {
            (0..9).filter_map(move |tap| {
                let (y, x) = ((i + tap / 3).checked_sub(1)?, (j + tap % 3).checked_sub(1)?);
                let at = |i, j| (n * SIZE[0] + i) * SIZE[1] + j;
                (y < SIZE[0] && x < SIZE[1]).then(|| (at(y, x), at(i, j), tap))
            })
        })
    }
}

fn same() -> ConvGeometry {
    ConvGeometry { padding: vec![[1, 1]; 2], ..ConvGeometry::new(2) }
}

/// Adds terms, and afterwards tells the largest error of `got`.
struct Exact(Vec<[f64; 2]>);

impl Exact {
    fn new(count: usize) -> Exact {
        Exact(vec![[0.0; 2]; count])
    }

    fn add(&mut self, at: usize, a: f32, b: f32) {
        let term = f64::from(a) * f64::from(b);
        self.0[at] = [self.0[at][0] + term, self.0[at][1] + term.abs()];
    }

    fn worst(&self, got: &[f32]) -> f64 {
        assert_eq!(got.len(), self.0.len());
        let error = |(got, [sum, size]): (&f32, &[f64; 2])| (f64::from(*got) - sum).abs() / size;
        got.iter().zip(&self.0).map(error).fold(0.0, |worst, error| if error <= worst { worst } else { error })
    }
}

/// What `sweep` makes of images `x`.
fn run(isa: Isa, sweep: &Sweep, x: &[f32], w: &[f32]) -> Vec<f32> {
    assert!(sweep.is_tiled);
    let mut packed = vec![f32::NAN; sweep.packed_floats(isa)];
    let mut scratch = vec![f32::NAN; sweep.scratch_floats(isa)];
    let mut y = vec![f32::NAN; COUNT * sweep.image_floats()[1]];
    // SAFETY: the vectors are of the sizes that are asked for.
    unsafe {
        sweep.pack(isa, w.as_ptr(), packed.as_mut_ptr());
        sweep.run(isa, COUNT, x.as_ptr(), packed.as_ptr(), y.as_mut_ptr(), scratch.as_mut_ptr());
    }
    y
}

/// Convolutions, or their input gradients, of channels and filters.
fn err_little_more_than_sums(is_turned: bool, extents: impl Iterator<Item = [usize; 2]>) {
    for [channels, filters] in extents {
        let images = Images::new([channels, filters]);
        let [of_x, of_y] = images.shapes();
        let (sweep, to, given) = match is_turned {
            false => (Sweep::forward(&same(), &of_x, &[3, 3], &of_y), of_y, &images.x),
            true => (Sweep::turned(&same(), &of_y, &[3, 3], &of_x), of_x, &images.dy),
        };
        let mut exact = Exact::new(to.iter().product());
        for (x, y, tap) in Images::pairs() {
            for (c, f) in (0..channels).flat_map(|c| (0..filters).map(move |f| (c, f))) {
                let w = images.w[(tap * channels + c) * filters + f];
                let (at_x, at_y) = (x * channels + c, y * filters + f);
                let (at, read) = if is_turned { (at_x, at_y) } else { (at_y, at_x) };
                exact.add(at, given[read], w);
            }
        }
        for isa in Isa::available() {
            let worst = exact.worst(&run(isa, &sweep, given, &images.w));
            assert!(worst < 3e-7, "{isa:?}, {channels} channels, {filters} filters: {worst:e}");
        }
    }
}

#[test]
fn outputs_err_little_more_than_sums() {
    err_little_more_than_sums(false, EXTENTS.into_iter());
}

/// Of those whose gradients are computed in tiles: what goes in are the filters.
#[test]
fn input_gradients_err_little_more_than_sums() {
    let fits = |[channels, filters]: &[usize; 2]| *filters <= 4 * channels;
    assert_eq!(EXTENTS.iter().filter(|extents| fits(extents)).count(), 5);
    err_little_more_than_sums(true, EXTENTS.into_iter().filter(fits));
}

#[test]
fn kernel_gradients_err_little_more_than_sums() {
    for extents in EXTENTS.into_iter().filter(|[channels, filters]| channels * filters <= super::PAIRS) {
        let images = Images::new(extents);
        let [channels, filters] = extents;
        let [from, to] = images.shapes();
        let sweep = Sweep::of_kernel(&same(), &from, &[3, 3], &to);
        assert!(sweep.is_tiled);
        let gradient = KernelGradient { sweep, images: COUNT, chunks: 1 };
        let mut exact = Exact::new(images.w.len());
        for (x, y, tap) in Images::pairs() {
            for (c, f) in (0..channels).flat_map(|c| (0..filters).map(move |f| (c, f))) {
                let at = (tap * channels + c) * filters + f;
                exact.add(at, images.x[x * channels + c], images.dy[y * filters + f]);
            }
        }
        for isa in Isa::available() {
            let mut scratch = vec![f32::NAN; gradient.scratch_floats(isa)];
            let mut dw = vec![f32::NAN; images.w.len()];
            let (operands, rows) = ([images.x.as_ptr(), images.dy.as_ptr()], 9 * channels);
            // SAFETY: the vectors are of the sizes that are asked for.
            unsafe { gradient.run(isa, operands, [0, rows], dw.as_mut_ptr(), scratch.as_mut_ptr()) };
            let worst = exact.worst(&dw);
            assert!(worst < 3e-7, "{isa:?}, {extents:?}: {worst:e}");
            // Some rows alone are the same numbers.
            let [first, end] = [channels / 2, 7 * channels + 3];
            let mut part = vec![f32::NAN; (end - first) * filters];
            // SAFETY: as above.
            unsafe { gradient.run(isa, operands, [first, end - first], part.as_mut_ptr(), scratch.as_mut_ptr()) };
            assert!(part == dw[first * filters..end * filters], "{isa:?}, {extents:?}");
        }
    }
}
