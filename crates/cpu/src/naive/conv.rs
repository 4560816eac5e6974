//! Convolution and pooling as plain loops.

use super::{NaiveValue, Scalar};
use footlight_graph::ops::{Binary, ConvGeometry, Windows};

/// The index of each axis of `shape` for its element `element`.
fn indices(mut element: usize, shape: &[usize]) -> Vec<usize> {
    let mut list = vec![0; shape.len()];
    for (index, extent) in list.iter_mut().zip(shape).rev() {
        *index = element % extent;
        element /= extent;
    }
    list
}

/// The element of `shape` at an index of each axis.
fn element(indices: &[usize], shape: &[usize]) -> usize {
    indices.iter().zip(shape).fold(0, |at, (index, extent)| at * extent + index)
}

/// Tells `visit` the elements of `x`, `w` and `y` that meet in every term of a convolution, by images, output positions,
/// taps, filters and channels in ascending order.
fn terms(geometry: &ConvGeometry, x: &[usize], w: &[usize], y: &[usize], mut visit: impl FnMut([usize; 3])) {
    let axes = geometry.axes();
    let (spatial, window, out) = (&x[1..=axes], &w[..axes], &y[1..=axes]);
    let (channels, inner, filters) = (x[axes + 1], w[axes], w[axes + 1]);
    let per_group = filters / geometry.groups;
    let count = |extents: &[usize]| extents.iter().product::<usize>();
    for (image, o) in (0..x[0]).flat_map(|image| (0..count(out)).map(move |o| (image, o))) {
        for k in 0..count(window) {
            let (position, tap) = (indices(o, out), indices(k, window));
            let at = |a: usize| {
                let q = position[a] * geometry.strides[a] + tap[a] * geometry.dilation[a];
                q.checked_sub(geometry.padding[a][0]).filter(|q| *q < spatial[a])
            };
            let Some(q) = (0..axes).map(at).collect::<Option<Vec<usize>>>() else { continue };
            let q = image * count(spatial) + element(&q, spatial);
            for (filter, i) in (0..filters).flat_map(|filter| (0..inner).map(move |i| (filter, i))) {
                let channel = filter / per_group * inner + i;
                let in_y = (image * count(out) + o) * filters + filter;
                visit([q * channels + channel, (k * inner + i) * filters + filter, in_y]);
            }
        }
    }
}

fn add_product<S: Scalar>(to: &mut S, a: S, b: S) {
    *to = S::binary(Binary::Add, *to, S::binary(Binary::Mul, a, b));
}

/// The shape of an image with other spatial extents and channels.
fn image(like: &[usize], spatial: &[usize], channels: usize) -> Vec<usize> {
    [&like[..1], spatial, &[channels]].concat()
}

pub(super) fn conv<S: Scalar>(geometry: &ConvGeometry, x: &NaiveValue<S>, w: &NaiveValue<S>) -> NaiveValue<S> {
    let axes = geometry.axes();
    let out = geometry.output(&x.shape[1..=axes], &w.shape[..axes]).expect("shape rules have checked this");
    let shape = image(&x.shape, &out, w.shape[axes + 1]);
    let mut y = vec![S::from_f64(0.0); shape.iter().product()];
    terms(geometry, &x.shape, &w.shape, &shape, |[i, j, k]| add_product(&mut y[k], x.floats()[i], w.floats()[j]));
    NaiveValue::float(shape, y)
}

pub(super) fn conv_input_gradient<S: Scalar>(
    geometry: &ConvGeometry,
    spatial: &[usize],
    dy: &NaiveValue<S>,
    w: &NaiveValue<S>,
) -> NaiveValue<S> {
    let shape = image(&dy.shape, spatial, w.shape[geometry.axes()] * geometry.groups);
    let mut dx = vec![S::from_f64(0.0); shape.iter().product()];
    terms(geometry, &shape, &w.shape, &dy.shape, |[i, j, k]| add_product(&mut dx[i], dy.floats()[k], w.floats()[j]));
    NaiveValue::float(shape, dx)
}

pub(super) fn conv_kernel_gradient<S: Scalar>(
    geometry: &ConvGeometry,
    window: &[usize],
    chunks: usize,
    [x, dy]: [&NaiveValue<S>; 2],
) -> NaiveValue<S> {
    let axes = geometry.axes();
    let (inner, filters) = (x.shape[axes + 1] / geometry.groups, dy.shape[axes + 1]);
    let w = [window, &[inner, filters]].concat();
    let size: usize = w.iter().product();
    let mut sums = vec![S::from_f64(0.0); chunks * size];
    let per_image = x.floats().len() / x.shape[0].max(1);
    // Image `n` is in the last chunk that begins at or before it.
    let chunk = |n: usize| (0..chunks).rfind(|c| c * x.shape[0] / chunks <= n).unwrap_or(0);
    terms(geometry, &x.shape, &w, &dy.shape, |[i, j, k]| {
        add_product(&mut sums[chunk(i / per_image) * size + j], x.floats()[i], dy.floats()[k]);
    });
    NaiveValue::float([chunks * size / filters.max(1), filters], sums)
}

/// The spatial extents of images.
pub(super) fn spatial<S>(x: &NaiveValue<S>) -> &[usize] {
    &x.shape[1..x.shape.len() - 1]
}

/// The spatial extents of a kernel.
pub(super) fn window<S>(w: &NaiveValue<S>) -> &[usize] {
    &w.shape[..w.shape.len() - 2]
}

/// `dy` at positions of a convolution of images of these extents.
pub(super) fn scattered<S: Scalar>(
    geometry: &ConvGeometry,
    spatial: &[usize],
    window: &[usize],
    [dy, positions]: [&NaiveValue<S>; 2],
) -> NaiveValue<S> {
    let places = geometry.output(spatial, window).expect("shape rules have checked this");
    pool_scatter(&places, dy, positions)
}

/// Tells `visit` the elements of `x` and `y` that meet in every term of a pooling and how many positions the window has, by
/// elements of `y` and by positions in ascending order.
fn pool_terms(windows: &[Windows], x: &[usize], y: &[usize], mut visit: impl FnMut(usize, usize, usize)) {
    let axes = windows.len();
    let (spatial, channels) = (&x[1..=axes], x[axes + 1]);
    let ranges: Vec<_> =
        windows.iter().zip(spatial).map(|(w, l)| w.ranges(*l).expect("shape rules have checked this")).collect();
    for at in 0..y.iter().product() {
        let index = indices(at, y);
        let window: Vec<_> = (0..axes).map(|a| ranges[a][index[a + 1]].clone()).collect();
        let extents: Vec<usize> = window.iter().map(ExactSizeIterator::len).collect();
        let count = extents.iter().product();
        for tap in 0..count {
            let q: Vec<usize> = indices(tap, &extents).iter().zip(&window).map(|(i, range)| range.start + i).collect();
            let q = index[0] * spatial.iter().product::<usize>() + element(&q, spatial);
            visit(q * channels + index[axes + 1], at, count);
        }
    }
}

fn pooled_shape(windows: &[Windows], x: &[usize]) -> Vec<usize> {
    let out: Vec<usize> =
        windows.iter().zip(&x[1..]).map(|(w, l)| w.ranges(*l).expect("shape rules have checked this").len()).collect();
    image(x, &out, x[x.len() - 1])
}

pub(super) fn max_pool<S: Scalar>(windows: &[Windows], x: &NaiveValue<S>) -> Vec<NaiveValue<S>> {
    let shape = pooled_shape(windows, &x.shape);
    let mut best: Vec<Option<usize>> = vec![None; shape.iter().product()];
    pool_terms(windows, &x.shape, &shape, |from, to, _| {
        let (value, is_nan) = (x.floats()[from], |x: S| x.to_f64().is_nan());
        let wins = best[to].is_none_or(|best| {
            let best = x.floats()[best];
            value > best || (is_nan(value) && !is_nan(best))
        });
        if wins {
            best[to] = Some(from);
        }
    });
    let best: Vec<usize> = best.into_iter().map(|best| best.expect("no window is empty")).collect();
    let channels = shape[shape.len() - 1];
    let positions = x.shape[1..x.shape.len() - 1].iter().product::<usize>();
    vec![
        NaiveValue::float(shape.clone(), best.iter().map(|i| x.floats()[*i]).collect()),
        NaiveValue::int(shape, best.iter().map(|i| (i / channels % positions) as i32).collect()),
    ]
}

/// For each element of `positions`, the element of an image tensor of `spatial` that it points at.
fn targets<'a, S: Scalar>(
    spatial: &[usize],
    positions: &'a NaiveValue<S>,
) -> impl Iterator<Item = Option<usize>> + use<'a, S> {
    let extents: usize = spatial.iter().product();
    let channels = positions.shape[positions.shape.len() - 1];
    let per_image = positions.ints().len() / positions.shape[0].max(1);
    positions.ints().iter().enumerate().map(move |(i, p)| {
        let p = usize::try_from(*p).ok().filter(|p| *p < extents)?;
        Some((i / per_image * extents + p) * channels + i % channels)
    })
}

pub(super) fn pool_gather<S: Scalar>(x: &NaiveValue<S>, positions: &NaiveValue<S>) -> NaiveValue<S> {
    let at = targets(spatial(x), positions);
    let y = at.map(|at| at.map_or(S::from_f64(0.0), |at| x.floats()[at])).collect();
    NaiveValue::float(positions.shape.clone(), y)
}

pub(super) fn pool_scatter<S: Scalar>(
    spatial: &[usize],
    y: &NaiveValue<S>,
    positions: &NaiveValue<S>,
) -> NaiveValue<S> {
    let shape = image(&y.shape, spatial, y.shape[y.shape.len() - 1]);
    let mut x = vec![S::from_f64(0.0); shape.iter().product()];
    for (at, y) in targets(spatial, positions).zip(y.floats()) {
        if let Some(at) = at {
            x[at] = S::binary(Binary::Add, x[at], *y);
        }
    }
    NaiveValue::float(shape, x)
}

pub(super) fn average_pool<S: Scalar>(windows: &[Windows], x: &NaiveValue<S>) -> NaiveValue<S> {
    let shape = pooled_shape(windows, &x.shape);
    let mut sums = vec![(S::from_f64(0.0), 1); shape.iter().product()];
    pool_terms(windows, &x.shape, &shape, |from, to, count| {
        sums[to] = (S::binary(Binary::Add, sums[to].0, x.floats()[from]), count);
    });
    let mean = |(sum, count): (S, usize)| S::binary(Binary::Div, sum, S::from_f64(count as f64));
    NaiveValue::float(shape, sums.into_iter().map(mean).collect())
}

pub(super) fn average_pool_gradient<S: Scalar>(
    windows: &[Windows],
    spatial: &[usize],
    dy: &NaiveValue<S>,
) -> NaiveValue<S> {
    let shape = image(&dy.shape, spatial, dy.shape[dy.shape.len() - 1]);
    let mut dx = vec![S::from_f64(0.0); shape.iter().product()];
    pool_terms(windows, &shape, &dy.shape, |to, from, count| {
        let share = S::binary(Binary::Div, dy.floats()[from], S::from_f64(count as f64));
        dx[to] = S::binary(Binary::Add, dx[to], share);
    });
    NaiveValue::float(shape, dx)
}
