//! Elements of four bytes copied from one layout to another: transposes, broadcasts, slices, pads, concatenations.

use super::pack::transpose_8x8;
use crate::isa::Isa;
use footlight_graph::ops::Constant;
use footlight_graph::plan::Access;
use footlight_graph::{Op, Type};

/// `extent` elements, or groups of them, that lie `from` apart in the input and `to` apart in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    extent: usize,
    from: isize,
    to: usize,
}

/// What one input gives to the output: rows `first`, `first + step`, ... of it, `count` in number.
#[derive(Clone, Debug)]
struct Part {
    input: usize,
    /// Whether the input's pointer stands at the block's first row.
    by_rows: bool,
    first: usize,
    step: usize,
    count: usize,
    /// The input's element that the first of the rows begins with, and how far it is to the next row's.
    from: usize,
    row_stride: isize,
    /// The element of an output row where the part begins.
    to: usize,
    /// The axes within a row.
    axes: Vec<Axis>,
}

/// A copy from inputs to an output of rows of `row_len` elements.
#[derive(Clone, Debug)]
pub(crate) struct Moves {
    parts: Vec<Part>,
    row_len: usize,
    /// The bits of what stands where no part writes.
    fill: Option<u32>,
}

/// For each axis the distance of neighbours in a row-major tensor.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

impl Moves {
    /// What `op` moves, its inputs read as `access` tells.
    pub(crate) fn new(op: &Op, inputs: &[&Type], output: &Type, access: &[Access]) -> Moves {
        let (x, y) = (&inputs[0].shape, &output.shape);
        let (from, to) = (strides(x), strides(y));
        let row_len = to.first().copied().unwrap_or(1);
        let signed = |list: Vec<usize>| list.into_iter().map(|stride| stride as isize).collect::<Vec<_>>();
        // The whole output, element by element of what is given by strides from `begin`.
        let read = |begin: usize, strides: Vec<isize>| vec![Part::new(0, y, [begin, 0, row_len], &strides, &to)];
        let parts = match op {
            Op::Transpose(op) => read(0, signed(op.order.iter().map(|&axis| from[axis]).collect())),
            Op::Broadcast(_) => {
                let lead = y.len() - x.len();
                let stride = |axis: usize| match axis.checked_sub(lead) {
                    Some(axis) if x[axis] != 1 => from[axis],
                    _ => 0,
                };
                read(0, signed((0..y.len()).map(stride).collect()))
            }
            Op::Slice(op) => {
                let begin = op.starts.iter().zip(&from).map(|(start, stride)| start * stride).sum();
                read(begin, signed(op.steps.iter().zip(&from).map(|(step, stride)| step * stride).collect()))
            }
            Op::Reverse(op) => {
                let turned = |axis: usize| op.axes.contains(&axis);
                let begin = (0..x.len()).filter(|a| turned(*a)).map(|a| x[a].saturating_sub(1) * from[a]).sum();
                let stride = |axis: usize| from[axis] as isize * if turned(axis) { -1 } else { 1 };
                read(begin, (0..x.len()).map(stride).collect())
            }
            Op::Pad(op) => {
                let begin = op.low.iter().zip(&to).map(|(low, stride)| low * stride).sum();
                let apart: Vec<usize> = op.interior.iter().zip(&to).map(|(n, stride)| (n + 1) * stride).collect();
                vec![Part::new(0, x, [0, begin, row_len], &signed(from), &apart)]
            }
            Op::Concat(op) => {
                let mut begin = 0;
                let part = |(input, ty): (usize, &&Type)| {
                    begin += ty.shape[op.axis] * to[op.axis];
                    let before = begin - ty.shape[op.axis] * to[op.axis];
                    Part::new(input, &ty.shape, [0, before, row_len], &signed(strides(&ty.shape)), &to)
                };
                inputs.iter().enumerate().map(part).collect()
            }
            op => unreachable!("{op} moves nothing"),
        };
        let fill = match op {
            Op::Pad(op) => Some(match op.value {
                Constant::F32(value) => value.to_bits(),
                Constant::I32(value) => value as u32,
            }),
            _ => None,
        };
        let mut moves = Moves { parts, row_len, fill };
        moves.parts.iter_mut().for_each(|part| part.by_rows = access[part.input] != Access::Whole);
        moves
    }

    /// Writes rows `first_row..first_row + rows` of the output.
    ///
    /// # Safety
    /// The inputs hold what the op's types say, or the block's rows of it; `out` has room for the rows and overlaps no
    /// input.
    pub(crate) unsafe fn run(&self, isa: Isa, [first_row, rows]: [usize; 2], inputs: &[*mut u8], out: *mut u32) {
        if let Some(fill) = self.fill {
            // SAFETY: the output has room for the rows.
            unsafe { std::slice::from_raw_parts_mut(out, rows * self.row_len) }.fill(fill);
        }
        for part in &self.parts {
            // Rows `begin..end` of the part are rows of the block.
            let begin = first_row.saturating_sub(part.first).div_ceil(part.step);
            let end = (first_row + rows).saturating_sub(part.first).div_ceil(part.step).min(part.count);
            if begin >= end {
                continue;
            }
            let skipped = begin - if part.by_rows { first_row } else { 0 };
            let axis = Axis { extent: end - begin, from: part.row_stride, to: part.step * self.row_len };
            // SAFETY: the part's rows lie inside input and output, by the op's shape rule.
            unsafe {
                let from = inputs[part.input].cast::<u32>().add(part.from).offset(skipped as isize * part.row_stride);
                let to = out.add((part.first + begin * part.step - first_row) * self.row_len + part.to);
                copy(isa, axis, &part.axes, from, to);
            }
        }
    }
}

impl Part {
    /// Elements of `shape` that lie `from_strides` apart in the input, from `from`, and `to_strides` apart in an output of
    /// rows of `row_len`, from `to`.
    fn new(
        input: usize,
        shape: &[usize],
        [from, to, row_len]: [usize; 3],
        from_strides: &[isize],
        to_strides: &[usize],
    ) -> Part {
        let row_len = row_len.max(1);
        let axis = |i: usize| Axis { extent: shape[i], from: from_strides[i], to: to_strides[i] };
        let mut axes: Vec<Axis> = Vec::new();
        for axis in (1..shape.len()).map(axis).filter(|axis| axis.extent != 1) {
            match axes.last_mut() {
                // Two axes that lie in both like one are one.
                Some(outer) if outer.from == axis.from * axis.extent as isize && outer.to == axis.to * axis.extent => {
                    *outer = Axis { extent: outer.extent * axis.extent, ..axis };
                }
                _ => axes.push(axis),
            }
        }
        let row = if shape.is_empty() { Axis { extent: 1, from: 0, to: 1 } } else { axis(0) };
        let is_empty = axes.iter().any(|axis| axis.extent == 0);
        Part {
            input,
            by_rows: false,
            first: to / row_len,
            step: (row.to / row_len).max(1),
            count: if is_empty { 0 } else { row.extent },
            from,
            row_stride: row.from,
            to: to % row_len,
            axes,
        }
    }
}

/// Copies `outer.extent` groups, each of the axes `inner`.
///
/// # Safety
/// Every element that the axes reach lies inside `from` and `to`, which do not overlap.
unsafe fn copy(isa: Isa, outer: Axis, inner: &[Axis], from: *const u32, to: *mut u32) {
    // SAFETY: the caller's contract; the axes left reach some of the same elements.
    unsafe {
        match inner {
            [] => copy_line(outer, from, to),
            [line] if outer.from == 1 && line.to == 1 && line.from > 0 => turn(isa, outer, *line, from, to),
            [next, rest @ ..] => {
                for i in 0..outer.extent {
                    copy(isa, *next, rest, from.offset(i as isize * outer.from), to.add(i * outer.to));
                }
            }
        }
    }
}

unsafe fn copy_line(axis: Axis, from: *const u32, to: *mut u32) {
    // SAFETY: as for `copy`.
    unsafe {
        match (axis.from, axis.to) {
            (1, 1) => std::ptr::copy_nonoverlapping(from, to, axis.extent),
            (0, 1) => std::slice::from_raw_parts_mut(to, axis.extent).fill(*from),
            _ => (0..axis.extent).for_each(|i| *to.add(i * axis.to) = *from.offset(i as isize * axis.from)),
        }
    }
}

/// `to [columns, rows]` is `from [rows, columns]` turned.
///
/// # Safety
/// Both hold the matrix; they do not overlap.
pub(super) unsafe fn transpose(isa: Isa, from: *const f32, [rows, columns]: [usize; 2], to: *mut f32) {
    let across = Axis { extent: columns, from: 1, to: rows };
    let along = Axis { extent: rows, from: columns as isize, to: 1 };
    // SAFETY: the caller's contract; elements are moved, not computed with.
    unsafe { turn(isa, across, along, from.cast(), to.cast()) }
}

/// A matrix turned: `rows` lie next to each other in the input, the elements of `line` in the output; squares of eight at
/// a time.
unsafe fn turn(isa: Isa, rows: Axis, line: Axis, from: *const u32, to: *mut u32) {
    let (whole_rows, whole_line) = (rows.extent / 8 * 8, line.extent / 8 * 8);
    let at = |i: usize, j: usize| (i as isize + j as isize * line.from, i * rows.to + j);
    // SAFETY: as for `copy`; squares and what is left over lie inside the axes.
    unsafe {
        for j in (0..whole_line).step_by(8) {
            for i in (0..whole_rows).step_by(8) {
                let (source, target) = at(i, j);
                transpose_8x8(isa, from.offset(source).cast(), line.from as usize, to.add(target).cast(), rows.to);
            }
        }
        for i in 0..rows.extent {
            for j in if i < whole_rows { whole_line } else { 0 }..line.extent {
                let (source, target) = at(i, j);
                *to.add(target) = *from.offset(source);
            }
        }
    }
}
