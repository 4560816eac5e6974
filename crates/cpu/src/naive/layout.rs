//! Ops that move elements: each output element is one of the input, or a number where there is none.

use super::{NaiveData, NaiveValue, Scalar};
use footlight_graph::ops::{Constant, Iota, Pad, Slice, SumRows};

/// Every position of a tensor of `shape`, in row-major order.
fn positions(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut element| {
        let mut position = vec![0; shape.len()];
        for (at, extent) in position.iter_mut().zip(&shape).rev() {
            *at = element % extent;
            element /= extent;
        }
        position
    })
}

/// The element at `position` of a tensor of `shape`.
fn element(shape: &[usize], position: &[usize]) -> usize {
    shape.iter().zip(position).fold(0, |element, (extent, at)| element * extent + at)
}

/// A tensor of `shape` whose element at each position is that of `x` at the position that `from` tells, or `otherwise`.
fn picked<S: Scalar>(
    x: &NaiveValue<S>,
    shape: Vec<usize>,
    otherwise: Constant,
    from: impl Fn(&[usize]) -> Option<Vec<usize>>,
) -> NaiveValue<S> {
    let elements = positions(&shape).map(|position| from(&position).map(|from| element(&x.shape, &from)));
    match (&x.data, otherwise) {
        (NaiveData::Float(v), Constant::F32(c)) => {
            let pick = |i: Option<usize>| i.map_or(S::from_f64(f64::from(c)), |i| v[i]);
            NaiveValue::float(shape.clone(), elements.map(pick).collect())
        }
        (NaiveData::Int(v), Constant::I32(c)) => {
            NaiveValue::int(shape.clone(), elements.map(|i| i.map_or(c, |i| v[i])).collect())
        }
        _ => unreachable!("the shape rule asks for one element type"),
    }
}

/// What stands where there is nothing to find: NaN, or the smallest integer.
fn nothing<S: Scalar>(x: &NaiveValue<S>) -> Constant {
    match x.data {
        NaiveData::Float(_) => Constant::F32(f32::NAN),
        NaiveData::Int(_) => Constant::I32(i32::MIN),
    }
}

pub(super) fn slice<S: Scalar>(op: &Slice, x: &NaiveValue<S>) -> NaiveValue<S> {
    let extent = |axis: usize| (op.ends[axis] - op.starts[axis]).div_ceil(op.steps[axis]);
    let shape = (0..x.shape.len()).map(extent).collect();
    picked(x, shape, nothing(x), |position| {
        let axes = position.iter().zip(&op.starts).zip(&op.steps);
        Some(axes.map(|((at, start), step)| start + at * step).collect())
    })
}

pub(super) fn pad<S: Scalar>(op: &Pad, x: &NaiveValue<S>) -> NaiveValue<S> {
    let between = |axis: usize| op.interior[axis] * x.shape[axis].saturating_sub(1);
    let extent = |axis: usize| op.low[axis] + x.shape[axis] + between(axis) + op.high[axis];
    let shape = (0..x.shape.len()).map(extent).collect();
    picked(x, shape, op.value, |position| {
        let along = |(axis, at): (usize, &usize)| {
            let (from, step) = (at.checked_sub(op.low[axis])?, op.interior[axis] + 1);
            (from % step == 0 && from / step < x.shape[axis]).then_some(from / step)
        };
        position.iter().enumerate().map(along).collect()
    })
}

pub(super) fn reverse<S: Scalar>(axes: &[usize], x: &NaiveValue<S>) -> NaiveValue<S> {
    picked(x, x.shape.clone(), nothing(x), |position| {
        let along = |(axis, at): (usize, &usize)| if axes.contains(&axis) { x.shape[axis] - 1 - at } else { *at };
        Some(position.iter().enumerate().map(along).collect())
    })
}

pub(super) fn concat<S: Scalar>(axis: usize, inputs: &[&NaiveValue<S>]) -> NaiveValue<S> {
    let mut shape = inputs[0].shape.clone();
    shape[axis] = inputs.iter().map(|x| x.shape[axis]).sum();
    let find = |position: Vec<usize>| {
        let (mut which, mut position) = (0, position);
        while position[axis] >= inputs[which].shape[axis] {
            position[axis] -= inputs[which].shape[axis];
            which += 1;
        }
        (inputs[which], element(&inputs[which].shape, &position))
    };
    let found = positions(&shape).map(find);
    match inputs[0].data {
        NaiveData::Float(_) => NaiveValue::float(shape.clone(), found.map(|(x, i)| x.floats()[i]).collect()),
        NaiveData::Int(_) => NaiveValue::int(shape.clone(), found.map(|(x, i)| x.ints()[i]).collect()),
    }
}

pub(super) fn gather<S: Scalar>(table: &NaiveValue<S>, indices: &NaiveValue<S>) -> NaiveValue<S> {
    let shape = [&indices.shape, &table.shape[1..]].concat();
    picked(table, shape, nothing(table), |position| {
        let (at, rest) = position.split_at(indices.shape.len());
        let row = usize::try_from(indices.ints()[element(&indices.shape, at)]).ok()?;
        (row < table.shape[0]).then(|| [&[row], rest].concat())
    })
}

pub(super) fn sum_rows<S: Scalar>(op: SumRows, values: &NaiveValue<S>, indices: &NaiveValue<S>) -> NaiveValue<S> {
    let shape = [&[op.rows], &values.shape[indices.shape.len()..]].concat();
    let row: usize = shape[1..].iter().product();
    let mut table = vec![S::from_f64(0.0); shape.iter().product()];
    for (index, values) in indices.ints().iter().zip(values.floats().chunks(row.max(1))) {
        let Some(index) = usize::try_from(*index).ok().filter(|index| *index < op.rows) else { continue };
        for (sum, value) in table[index * row..].iter_mut().zip(values) {
            *sum = S::binary(footlight_graph::ops::Binary::Add, *sum, *value);
        }
    }
    NaiveValue::float(shape, table)
}

pub(super) fn iota<S: Scalar>(op: &Iota) -> NaiveValue<S> {
    NaiveValue::int(op.shape.clone(), positions(&op.shape).map(|position| position[op.axis] as i32).collect())
}
