//! Ops that take axes away.

use super::{Backward, Binary, Gradient, OpRule, Sample, SampleInput, arity, require_f32};
use crate::Type;
use footlight_tensor::display_shape;

/// The sum along `axes` (ascending), which are kept with extent 1 if `keepdims`.
///
/// # Numerics
/// Each sum is added in an order that depends on the shape alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceSum {
    /// The axes to sum along, ascending.
    pub axes: Vec<usize>,
    /// Whether they stay as extent 1.
    pub keepdims: bool,
}

/// The maximum along `axes` (ascending); a NaN makes the result NaN. At ties the gradient is shared equally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceMax {
    /// The axes to reduce, ascending.
    pub axes: Vec<usize>,
    /// Whether they stay as extent 1.
    pub keepdims: bool,
}

/// The position of the first maximum along the last axis, which goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgMax;

fn reduced(ty: &Type, axes: &[usize], keepdims: bool) -> Result<Type, String> {
    require_f32("x", ty)?;
    if !axes.windows(2).all(|w| w[0] < w[1]) {
        return Err(format!("axes {axes:?} must ascend without repetition"));
    }
    if let Some(axis) = axes.iter().find(|&&a| a >= ty.rank()) {
        return Err(format!("axis {axis} does not exist in shape {}", display_shape(&ty.shape)));
    }
    let mut shape = Vec::new();
    for (axis, &extent) in ty.shape.iter().enumerate() {
        match (axes.contains(&axis), keepdims) {
            (false, _) => shape.push(extent),
            (true, true) => shape.push(1),
            (true, false) => {}
        }
    }
    Ok(Type::f32(shape))
}

fn kept(ty: &Type, axes: &[usize]) -> Vec<usize> {
    ty.shape.iter().enumerate().map(|(axis, &d)| if axes.contains(&axis) { 1 } else { d }).collect()
}

fn attributes(axes: &[usize], keepdims: bool) -> String {
    format!("axes={}{}", display_shape(axes), if keepdims { ", keepdims" } else { "" })
}

impl ReduceSum {
    /// Leading, middle, trailing and all axes.
    pub fn samples() -> Vec<Sample> {
        let cases = [(vec![0], false), (vec![1], true), (vec![2], false), (vec![0, 2], false), (vec![0, 1, 2], false)];
        cases
            .into_iter()
            .map(|(axes, keepdims)| Sample {
                op: ReduceSum { axes, keepdims }.into(),
                inputs: vec![SampleInput::Uniform(vec![3, 4, 5], -2.0, 2.0)],
            })
            .collect()
    }
}

impl OpRule for ReduceSum {
    fn name(&self) -> &'static str {
        "reduce_sum"
    }
    fn attributes(&self) -> String {
        attributes(&self.axes, self.keepdims)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![reduced(x, &self.axes, self.keepdims)?])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None]) };
        let Some(ty) = cx.graph.type_of(cx.inputs[0]).cloned() else { return Gradient::Inputs(vec![None]) };
        let dy = cx.graph.reshape(dy, kept(&ty, &self.axes));
        Gradient::Inputs(vec![Some(cx.graph.broadcast(dy, ty.shape))])
    }
}

impl ReduceMax {
    /// Trailing and several axes.
    pub fn samples() -> Vec<Sample> {
        [(vec![1], false), (vec![0, 1], false), (vec![1], true)]
            .into_iter()
            .map(|(axes, keepdims)| Sample {
                op: ReduceMax { axes, keepdims }.into(),
                inputs: vec![SampleInput::Apart(vec![3, 5])],
            })
            .collect()
    }
}

impl OpRule for ReduceMax {
    fn name(&self) -> &'static str {
        "reduce_max"
    }
    fn attributes(&self) -> String {
        attributes(&self.axes, self.keepdims)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        if self.axes.iter().any(|&a| x.shape.get(a) == Some(&0)) {
            return Err(format!("the maximum of no elements is not defined, in shape {}", display_shape(&x.shape)));
        }
        Ok(vec![reduced(x, &self.axes, self.keepdims)?])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None]) };
        let (g, x, y) = (cx.graph, cx.inputs[0], cx.outputs[0]);
        let Some(ty) = g.type_of(x).cloned() else { return Gradient::Inputs(vec![None]) };
        let shape = kept(&ty, &self.axes);
        let (y, dy) = (g.reshape(y, shape.clone()), g.reshape(dy, shape));
        let is_max = g.binary(Binary::Equal, x, y);
        let ties = g.reduce_sum(is_max, &self.axes, true);
        let share = g.div(dy, ties);
        Gradient::Inputs(vec![Some(g.mul(is_max, share))])
    }
}

impl ArgMax {
    /// Rows without ties.
    pub fn samples() -> Vec<Sample> {
        vec![Sample { op: ArgMax.into(), inputs: vec![SampleInput::Apart(vec![3, 5])] }]
    }
}

impl OpRule for ArgMax {
    fn name(&self) -> &'static str {
        "argmax"
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        require_f32("x", x)?;
        match x.shape.split_last() {
            Some((&classes, rest)) if classes > 0 => Ok(vec![Type::i32(rest)]),
            _ => Err(format!("needs a last axis with elements, got {}", display_shape(&x.shape))),
        }
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable("a position has no gradient")
    }
}
