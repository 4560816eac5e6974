//! Ops that take parts of tensors, put tensors together, and turn them round.

use super::{Backward, Constant, Gradient, OpRule, Sample, SampleInput, arity};
use crate::Type;
use footlight_tensor::{DType, display_shape};

/// Every `steps[i]`-th element from `starts[i]` to before `ends[i]`, along each axis `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first position along each axis.
    pub starts: Vec<usize>,
    /// The position after the last along each axis.
    pub ends: Vec<usize>,
    /// The distance of positions along each axis, at least 1.
    pub steps: Vec<usize>,
}

/// `value` before, after and between the elements along each axis: an extent `D` becomes
/// `low + D + (D - 1) interior + high`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// How many come before the first element along each axis.
    pub low: Vec<usize>,
    /// How many come after the last element along each axis.
    pub high: Vec<usize>,
    /// How many come between two elements along each axis.
    pub interior: Vec<usize>,
    /// What they are, of the input's element type.
    pub value: Constant,
}

/// Tensors one after another along `axis`; all other extents are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// Along which axis.
    pub axis: usize,
}

/// The elements along `axes` in the opposite order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// The axes, ascending.
    pub axes: Vec<usize>,
}

/// From the first to the last of `count` positions at a distance of `step`.
fn span(count: usize, step: usize) -> usize {
    count.checked_sub(1).map_or(0, |gaps| gaps * step + 1)
}

fn uniform(shape: &[usize]) -> SampleInput {
    SampleInput::Uniform(shape.to_vec(), -2.0, 2.0)
}

fn integers(shape: &[usize]) -> SampleInput {
    SampleInput::Index(shape.to_vec(), 9)
}

impl Slice {
    /// Parts along the first, along later and along all axes, with and without steps.
    pub fn samples() -> Vec<Sample> {
        let cases = [
            ([1, 0, 0], [3, 4, 5], [1, 1, 1]),
            ([0, 1, 0], [3, 4, 5], [1, 2, 1]),
            ([0, 0, 2], [3, 4, 5], [1, 1, 1]),
            ([0, 1, 1], [3, 4, 4], [2, 1, 2]),
            ([0, 2, 0], [3, 2, 5], [1, 1, 1]),
        ];
        let op = |(starts, ends, steps): ([usize; 3], [usize; 3], [usize; 3])| {
            Slice { starts: starts.into(), ends: ends.into(), steps: steps.into() }.into()
        };
        let mut samples = cases.map(|case| Sample { op: op(case), inputs: vec![uniform(&[3, 4, 5])] }).to_vec();
        samples.push(Sample { op: op(cases[3]), inputs: vec![integers(&[3, 4, 5])] });
        samples
    }
}

impl OpRule for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }
    fn attributes(&self) -> String {
        let axes = self.starts.iter().zip(&self.ends).zip(&self.steps);
        let axis = |((start, end), step): ((&usize, &usize), &usize)| match step {
            1 => format!("{start}..{end}"),
            step => format!("{start}..{end} by {step}"),
        };
        axes.map(axis).collect::<Vec<_>>().join(", ")
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        let (shape, rank) = (display_shape(&x.shape), x.rank());
        if [&self.starts, &self.ends, &self.steps].iter().any(|list| list.len() != rank) {
            return Err(format!("needs a start, an end and a step for each axis of {shape}"));
        }
        let extent = |axis: usize| {
            let (start, end, step) = (self.starts[axis], self.ends[axis], self.steps[axis]);
            if start > end || end > x.shape[axis] || step == 0 {
                return Err(format!("{start}..{end} by {step} does not lie in axis {axis} of {shape}"));
            }
            Ok((end - start).div_ceil(step))
        };
        Ok(vec![Type { shape: (0..rank).map(extent).collect::<Result<_, _>>()?, dtype: x.dtype }])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let (from, to) = (cx.graph.shape(cx.inputs[0]), cx.graph.shape(cx.outputs[0]));
        let after = |axis: usize| from[axis] - self.starts[axis] - span(to[axis], self.steps[axis]);
        let pad = Pad {
            low: self.starts.clone(),
            high: (0..to.len()).map(after).collect(),
            interior: self.steps.iter().map(|step| step - 1).collect(),
            value: Constant::F32(0.0),
        };
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.push(pad, &[dy])[0])])
    }
}

impl Pad {
    /// Before, after and between, along the first and along later axes.
    pub fn samples() -> Vec<Sample> {
        let op = |[low, high, interior]: [[usize; 2]; 3], value: Constant| {
            Pad { low: low.into(), high: high.into(), interior: interior.into(), value }.into()
        };
        let cases =
            [[[1, 0], [2, 0], [0, 0]], [[0, 2], [0, 1], [0, 0]], [[1, 0], [0, 2], [2, 1]], [[0, 0], [0, 0], [0, 2]]];
        let mut samples =
            cases.map(|case| Sample { op: op(case, Constant::F32(1.5)), inputs: vec![uniform(&[3, 4])] }).to_vec();
        samples.push(Sample { op: op(cases[2], Constant::I32(-1)), inputs: vec![integers(&[3, 4])] });
        samples
    }
}

impl OpRule for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }
    fn attributes(&self) -> String {
        let list = [("low", &self.low), ("high", &self.high), ("interior", &self.interior)];
        let used = list.iter().filter(|(_, counts)| counts.iter().any(|count| *count > 0));
        let mut told: Vec<String> = used.map(|(name, counts)| format!("{name}={}", display_shape(counts))).collect();
        told.push(format!("value={}", self.value.attributes()));
        told.join(", ")
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        if [&self.low, &self.high, &self.interior].iter().any(|list| list.len() != x.rank()) {
            return Err(format!("needs three counts for each axis of {}", display_shape(&x.shape)));
        }
        let of_same_type = match self.value {
            Constant::F32(_) => x.dtype == DType::F32,
            Constant::I32(_) => x.dtype == DType::I32,
        };
        if !of_same_type {
            return Err(format!("the value {} must be of the element type of {x}", self.value.attributes()));
        }
        let extent = |axis: usize| self.low[axis] + span(x.shape[axis], self.interior[axis] + 1) + self.high[axis];
        Ok(vec![Type { shape: (0..x.rank()).map(extent).collect(), dtype: x.dtype }])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let shape = cx.graph.shape(cx.inputs[0]);
        let end = |axis: usize| self.low[axis] + span(shape[axis], self.interior[axis] + 1);
        let slice = Slice {
            starts: self.low.clone(),
            ends: (0..shape.len()).map(end).collect(),
            steps: self.interior.iter().map(|count| count + 1).collect(),
        };
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.push(slice, &[dy])[0])])
    }
}

impl Concat {
    /// Along the first, a middle and the last axis; one, two and three tensors.
    pub fn samples() -> Vec<Sample> {
        let sample = |axis: usize, inputs: Vec<SampleInput>| Sample { op: Concat { axis }.into(), inputs };
        vec![
            sample(0, vec![uniform(&[2, 4]), uniform(&[3, 4])]),
            sample(1, vec![uniform(&[3, 2, 4]), uniform(&[3, 1, 4]), uniform(&[3, 3, 4])]),
            sample(2, vec![uniform(&[3, 2, 1]), uniform(&[3, 2, 4])]),
            sample(1, vec![uniform(&[3, 2])]),
            sample(1, vec![integers(&[3, 2]), integers(&[3, 3])]),
        ]
    }
}

impl OpRule for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }
    fn attributes(&self) -> String {
        format!("axis={}", self.axis)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [first, ..] = inputs else { return Err("needs a tensor".into()) };
        let mut ty = (*first).clone();
        if self.axis >= ty.rank() {
            return Err(format!("axis {} does not exist in {first}", self.axis));
        }
        let agrees = |other: &&Type| {
            let mut shape = other.shape.clone();
            other.rank() == first.rank() && other.dtype == first.dtype && {
                shape[self.axis] = first.shape[self.axis];
                shape == first.shape
            }
        };
        if let Some(other) = inputs.iter().find(|other| !agrees(other)) {
            return Err(format!("{first} and {other} differ in more than axis {}", self.axis));
        }
        ty.shape[self.axis] = inputs.iter().map(|ty| ty.shape[self.axis]).sum();
        Ok(vec![ty])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None; cx.inputs.len()]) };
        let mut start = 0;
        let part = |input: &crate::Value| {
            let extent = cx.graph.shape(*input).get(self.axis).copied().unwrap_or(0);
            start += extent;
            Some(cx.graph.slice_axis(dy, self.axis, start - extent..start))
        };
        Gradient::Inputs(cx.inputs.iter().map(part).collect())
    }
}

impl Reverse {
    /// The first, a later and all axes.
    pub fn samples() -> Vec<Sample> {
        let cases = [vec![0], vec![1], vec![0, 2]];
        let op = |axes: &Vec<usize>| Reverse { axes: axes.clone() }.into();
        let mut samples: Vec<Sample> =
            cases.iter().map(|axes| Sample { op: op(axes), inputs: vec![uniform(&[3, 4, 2])] }).collect();
        samples.push(Sample { op: op(&cases[1]), inputs: vec![integers(&[3, 4])] });
        samples
    }
}

impl OpRule for Reverse {
    fn name(&self) -> &'static str {
        "reverse"
    }
    fn attributes(&self) -> String {
        format!("axes={}", display_shape(&self.axes))
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        let ascends = self.axes.windows(2).all(|w| w[0] < w[1]);
        if !ascends || self.axes.last().is_some_and(|axis| *axis >= x.rank()) {
            let (axes, shape) = (display_shape(&self.axes), display_shape(&x.shape));
            return Err(format!("{axes} are not ascending axes of {shape}"));
        }
        Ok(vec![x.clone()])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.reverse(dy, &self.axes))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_do_not_fit_are_told_with_their_shapes() {
        let (x, y, z) = (Type::f32([3, 4]), Type::f32([2, 5]), Type::i32([3, 4]));
        let slice = |starts: [usize; 2], ends: [usize; 2], steps: [usize; 2]| {
            Slice { starts: starts.into(), ends: ends.into(), steps: steps.into() }.infer(&[&x])
        };
        let pad = |value| Pad { low: vec![0, 1], high: vec![0, 0], interior: vec![0, 0], value }.infer(&[&z]);
        let faults = [
            (slice([0, 1], [3, 5], [1, 1]), "1..5 by 1 does not lie in axis 1 of [3, 4]"),
            (slice([2, 0], [1, 4], [1, 1]), "2..1 by 1 does not lie in axis 0 of [3, 4]"),
            (slice([0, 0], [3, 4], [1, 0]), "0..4 by 0 does not lie in axis 1 of [3, 4]"),
            (pad(Constant::F32(0.5)), "the value 0.5 must be of the element type of i32[3, 4]"),
            (Concat { axis: 0 }.infer(&[&x, &y]), "f32[3, 4] and f32[2, 5] differ in more than axis 0"),
            (Concat { axis: 1 }.infer(&[&x, &z]), "f32[3, 4] and i32[3, 4] differ in more than axis 1"),
            (Reverse { axes: vec![1, 0] }.infer(&[&x]), "[1, 0] are not ascending axes of [3, 4]"),
        ];
        for (got, want) in faults {
            assert_eq!(got, Err(want.to_string()));
        }
        assert_eq!(pad(Constant::I32(1)), Ok(vec![Type::i32([3, 5])]));
    }
}
