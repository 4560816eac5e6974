//! Layers along axes that are not the last: these are brought to the end, and back.

use crate::config::Axes;
use crate::{Error, ErrorKind};
use footlight_graph::{Builder, Value};

/// The places of `axes` in a tensor of `rank`, of which the first axis is that of the batch.
///
/// # Errors
/// An axis that is not there or named twice, or that of the batch.
pub(crate) fn places(axes: &Axes, rank: usize) -> Result<Vec<usize>, Error> {
    if rank < 2 {
        return Err(Error::new(ErrorKind::Shape, "needs samples of at least one axis, got single numbers")
            .help("give each sample a feature axis, such as shape [1]"));
    }
    let places = axes.of(rank).map_err(|fault| fault.in_key("axis"))?;
    if places.len() < axes.list().len() {
        return Err(Error::config(format!("axis = {:?} names an axis twice", axes.list())).in_key("axis"));
    }
    match places.first() {
        None => Err(Error::config("axis = [] names no axis").in_key("axis")),
        Some(0) => {
            let message = "axis = 0 is that of the batch: an answer would depend on other samples";
            Err(Error::config(message).in_key("axis"))
        }
        Some(_) => Ok(places),
    }
}

/// The extents of samples along `axes`, in the order in which Keras lays weights out: as they are counted, the negative
/// first.
///
/// # Errors
/// As [`places`].
pub(crate) fn extents(axes: &Axes, sample: &[usize]) -> Result<Vec<usize>, Error> {
    places(axes, sample.len() + 1)?;
    let mut counted = axes.list().to_vec();
    counted.sort_unstable();
    let place = |axis: &i64| if *axis < 0 { axis + sample.len() as i64 } else { axis - 1 };
    Ok(counted.iter().map(|axis| sample[place(axis) as usize]).collect())
}

/// What `compute` makes of `x` with `axes` joined to one at its end, with the axes as they were; a single axis may change
/// its extent.
pub(crate) fn along(
    g: &mut Builder,
    x: Value,
    axes: &[usize],
    compute: impl FnOnce(&mut Builder, Value) -> Value,
) -> Value {
    let rank = g.shape(x).len();
    let order: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
    let is_last = order.iter().copied().eq(0..rank);
    let turned = if is_last { x } else { g.transpose(x, order.clone()) };
    let y = match axes {
        [_] => compute(g, turned),
        _ => {
            let shape = g.shape(turned);
            let (lead, joined) = shape.split_at(rank - axes.len());
            let flat = g.reshape(turned, [lead, &[joined.iter().product()]].concat());
            let y = compute(g, flat);
            g.reshape(y, shape)
        }
    };
    if is_last {
        return y;
    }
    let back: Vec<usize> = (0..rank).filter_map(|axis| order.iter().position(|from| *from == axis)).collect();
    g.transpose(y, back)
}
