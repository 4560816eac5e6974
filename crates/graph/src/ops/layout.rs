//! Ops that move elements without computing.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32, require_i32};
use crate::Type;
use crate::builder::broadcast_shapes;
use footlight_tensor::display_shape;

/// The same elements in the same order under another shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// The new extents.
    pub shape: Vec<usize>,
}

/// Axes in another order: output axis `i` is input axis `order[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// A permutation of the axes.
    pub order: Vec<usize>,
}

/// Repetition along axes of extent 1 and along new leading axes, as NumPy broadcasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// The new extents.
    pub shape: Vec<usize>,
}

/// Index `i` becomes a row of `depth` zeros with a one at `i`; an index outside gives zeros alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneHot {
    /// The length of a row.
    pub depth: usize,
}

impl Reshape {
    /// One change of rank.
    pub fn samples() -> Vec<Sample> {
        let inputs = vec![SampleInput::Uniform(vec![3, 4, 5], -2.0, 2.0)];
        vec![Sample { op: Reshape { shape: vec![3, 20] }.into(), inputs }]
    }
}

impl OpRule for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }
    fn attributes(&self) -> String {
        display_shape(&self.shape)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        let ty = Type { shape: self.shape.clone(), dtype: x.dtype };
        if ty.len() != x.len() {
            let (from, to) = (display_shape(&x.shape), display_shape(&self.shape));
            return Err(format!("shape {from} has {} elements, {to} has {}", x.len(), ty.len()));
        }
        Ok(vec![ty])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let shape = cx.graph.type_of(cx.inputs[0]).map(|ty| ty.shape.clone());
        let dx = cx.dy[0].zip(shape).map(|(dy, shape)| cx.graph.reshape(dy, shape));
        Gradient::Inputs(vec![dx])
    }
}

impl Transpose {
    /// A matrix and a rotation of three axes.
    pub fn samples() -> Vec<Sample> {
        let uniform = |shape: &[usize]| vec![SampleInput::Uniform(shape.to_vec(), -2.0, 2.0)];
        vec![
            Sample { op: Transpose { order: vec![1, 0] }.into(), inputs: uniform(&[3, 5]) },
            Sample { op: Transpose { order: vec![2, 0, 1] }.into(), inputs: uniform(&[3, 4, 5]) },
        ]
    }
}

impl OpRule for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }
    fn attributes(&self) -> String {
        display_shape(&self.order)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if sorted != (0..x.rank()).collect::<Vec<_>>() {
            let (order, shape) = (display_shape(&self.order), display_shape(&x.shape));
            return Err(format!("{order} is not an order of the axes of {shape}"));
        }
        Ok(vec![Type { shape: self.order.iter().map(|&a| x.shape[a]).collect(), dtype: x.dtype }])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let mut inverse = vec![0; self.order.len()];
        for (to, &from) in self.order.iter().enumerate() {
            inverse[from] = to;
        }
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.transpose(dy, inverse))])
    }
}

impl Broadcast {
    /// A new leading axis and a repeated last one.
    pub fn samples() -> Vec<Sample> {
        let inputs = vec![SampleInput::Uniform(vec![3, 1], -2.0, 2.0)];
        vec![Sample { op: Broadcast { shape: vec![2, 3, 5] }.into(), inputs }]
    }
}

impl OpRule for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }
    fn attributes(&self) -> String {
        display_shape(&self.shape)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        if broadcast_shapes(&x.shape, &self.shape).as_deref() != Ok(&self.shape) {
            let (from, to) = (display_shape(&x.shape), display_shape(&self.shape));
            return Err(format!("shape {from} does not broadcast to {to}"));
        }
        Ok(vec![Type { shape: self.shape.clone(), dtype: x.dtype }])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.sum_to_shape_of(dy, cx.inputs[0]))])
    }
}

impl OneHot {
    /// Indices inside and outside of the depth.
    pub fn samples() -> Vec<Sample> {
        vec![Sample { op: OneHot { depth: 4 }.into(), inputs: vec![SampleInput::Index(vec![7], 5)] }]
    }
}

impl OpRule for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }
    fn attributes(&self) -> String {
        format!("depth={}", self.depth)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        require_i32("indices", x)?;
        if x.rank() == 0 {
            return Err("needs at least one axis of indices".into());
        }
        let mut shape = x.shape.clone();
        shape.push(self.depth);
        Ok(vec![Type::f32(shape)])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable("integers have no gradient")
    }
}

/// Requires a last axis and gives it with the rest.
pub(crate) fn last_axis<'a>(name: &str, ty: &'a Type) -> Result<(&'a [usize], usize), String> {
    require_f32(name, ty)?;
    match ty.shape.split_last() {
        Some((&last, rest)) if last > 0 && !rest.is_empty() => Ok((rest, last)),
        _ => Err(format!("{name} needs two axes or more, the last with elements, got {}", display_shape(&ty.shape))),
    }
}
