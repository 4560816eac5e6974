//! Ops on positions: rows looked up, rows added up, and positions themselves.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32, require_i32};
use crate::Type;
use footlight_tensor::display_shape;

/// Rows of a table; inputs: the table `[V, ...]` and indices `[...]` of at least one axis.
///
/// # Shapes
/// Output: the shape of the indices, then that of a row.
///
/// # Numerics
/// An index outside of `0..V` gives a row of NaN (of `i32::MIN` in a table of integers), so that a fault in the data shows
/// where it enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather;

/// Each row added to the row of a table of zeros that its index names; inputs: the rows `[I..., ...]`, and the indices
/// `[I...]`. Output: the table `[rows, ...]`.
///
/// # Numerics
/// A row of the table is added up in the order of the indices. An index outside of the table adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumRows {
    /// The rows of the table.
    pub rows: usize,
}

/// The position along `axis`, as integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iota {
    /// The shape of the output.
    pub shape: Vec<usize>,
    /// Along which axis it counts from 0.
    pub axis: usize,
}

impl Gather {
    /// One and two axes of indices into rows, single numbers and matrices.
    pub fn samples() -> Vec<Sample> {
        let uniform = |shape: &[usize]| SampleInput::Uniform(shape.to_vec(), -2.0, 2.0);
        let sample = |table: SampleInput, indices: &[usize]| Sample {
            op: Gather.into(),
            inputs: vec![table, SampleInput::Index(indices.to_vec(), 4)],
        };
        vec![
            sample(uniform(&[4, 3]), &[7]),
            sample(uniform(&[4, 3]), &[2, 3]),
            sample(uniform(&[4]), &[7]),
            sample(uniform(&[4, 2, 3]), &[3, 1]),
            sample(SampleInput::Index(vec![4, 3], 9), &[5]),
        ]
    }
}

impl OpRule for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [table, indices] = arity(inputs)?;
        require_i32("indices", indices)?;
        if table.rank() == 0 || indices.rank() == 0 {
            return Err(format!("needs an axis of rows and one of indices, got {table} and {indices}"));
        }
        Ok(vec![Type { shape: [&indices.shape, &table.shape[1..]].concat(), dtype: table.dtype }])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let rows = cx.graph.shape(cx.inputs[0]).first().copied().unwrap_or(0);
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.sum_rows(dy, cx.inputs[1], rows)), None])
    }
}

impl SumRows {
    /// Rows that meet, rows of the table that get none, and indices outside.
    pub fn samples() -> Vec<Sample> {
        let sample = |values: &[usize], indices: &[usize], rows: usize| Sample {
            op: SumRows { rows }.into(),
            inputs: vec![SampleInput::Uniform(values.to_vec(), -2.0, 2.0), SampleInput::Index(indices.to_vec(), 4)],
        };
        vec![sample(&[7, 3], &[7], 6), sample(&[2, 3, 5], &[2, 3], 4), sample(&[9], &[9], 4)]
    }
}

impl OpRule for SumRows {
    fn name(&self) -> &'static str {
        "sum_rows"
    }
    fn attributes(&self) -> String {
        format!("rows={}", self.rows)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [values, indices] = arity(inputs)?;
        require_f32("values", values)?;
        require_i32("indices", indices)?;
        let Some(row) = values.shape.strip_prefix(indices.shape.as_slice()).filter(|_| indices.rank() > 0) else {
            let (values, indices) = (display_shape(&values.shape), display_shape(&indices.shape));
            return Err(format!("values {values} must begin with the axes of the indices {indices}"));
        };
        Ok(vec![Type::f32([&[self.rows], row].concat())])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.gather(dy, cx.inputs[1])), None])
    }
}

impl Iota {
    /// Along the first and the last axis.
    pub fn samples() -> Vec<Sample> {
        let sample = |axis: usize| Sample { op: Iota { shape: vec![3, 5], axis }.into(), inputs: vec![] };
        vec![sample(0), sample(1)]
    }
}

impl OpRule for Iota {
    fn name(&self) -> &'static str {
        "iota"
    }
    fn attributes(&self) -> String {
        format!("{}, axis={}", display_shape(&self.shape), self.axis)
    }
    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>, String> {
        if self.axis >= self.shape.len() {
            return Err(format!("axis {} does not exist in shape {}", self.axis, display_shape(&self.shape)));
        }
        Ok(vec![Type::i32(self.shape.clone())])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable("positions depend on nothing")
    }
}
