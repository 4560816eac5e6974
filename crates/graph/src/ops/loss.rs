//! Softmax and its fused cross-entropy.

use super::elementwise::Binary;
use super::layout::last_axis;
use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_i32};
use crate::Type;
use footlight_tensor::{DType, display_shape};

/// `y_i = e^(x_i - max x) / sum_j e^(x_j - max x)` along the last axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softmax {
    /// Whether row `i` of a matrix, the last two axes, is the softmax of its first `i + 1` elements, with zeros behind them.
    pub causal: bool,
}

/// Softmax and cross-entropy in one: inputs logits `[..., C]` and labels `[...]`; outputs the loss
/// `log(sum_j e^(x_j - m)) + m - x_label` with `m = max x`, shape `[...]`, and the probabilities `[..., C]`.
///
/// # Numerics
/// Never infinite for finite logits. A label outside `0..C` gives NaN. The gradient tells classes apart as floats, which is
/// exact up to 2^24 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseSoftmaxCrossEntropy;

impl Softmax {
    /// Ordinary logits, and those of matrices of which a part counts.
    pub fn samples() -> Vec<Sample> {
        let sample = |causal: bool, shape: &[usize]| Sample {
            op: Softmax { causal }.into(),
            inputs: vec![SampleInput::Uniform(shape.to_vec(), -3.0, 3.0)],
        };
        vec![sample(false, &[3, 5]), sample(true, &[5, 4]), sample(true, &[2, 4, 4]), sample(true, &[2, 5, 3])]
    }
}

impl OpRule for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }
    fn attributes(&self) -> String {
        if self.causal { "causal".into() } else { String::new() }
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        last_axis("x", x)?;
        if self.causal && x.rank() < 2 {
            return Err(format!("a causal softmax takes matrices, got {x}"));
        }
        Ok(vec![x.clone()])
    }
    /// `dx = y (dy - sum(dy y))`.
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None]) };
        let (g, y) = (cx.graph, cx.outputs[0]);
        let Some(rank) = g.type_of(y).map(Type::rank) else { return Gradient::Inputs(vec![None]) };
        let product = g.mul(dy, y);
        let dot = g.reduce_sum(product, &[rank - 1], true);
        let centred = g.sub(dy, dot);
        Gradient::Inputs(vec![Some(g.mul(y, centred))])
    }
}

impl SparseSoftmaxCrossEntropy {
    /// Ordinary logits.
    pub fn samples() -> Vec<Sample> {
        let inputs = vec![SampleInput::Uniform(vec![4, 5], -3.0, 3.0), SampleInput::Index(vec![4], 5)];
        vec![Sample { op: SparseSoftmaxCrossEntropy.into(), inputs }]
    }
}

impl OpRule for SparseSoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        "sparse_softmax_cross_entropy"
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [logits, labels] = arity(inputs)?;
        let (rest, _) = last_axis("logits", logits)?;
        require_i32("labels", labels)?;
        if labels.shape != rest {
            return Err(format!(
                "labels have shape {}, logits {} ask for {}",
                display_shape(&labels.shape),
                display_shape(&logits.shape),
                display_shape(rest)
            ));
        }
        Ok(vec![Type::f32(rest), logits.clone()])
    }
    /// `dx_j = (p_j - (j = label)) dloss`, plus the softmax rule for a gradient by the probabilities.
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let (g, labels, p) = (cx.graph, cx.inputs[1], cx.outputs[1]);
        let Some(ty) = g.type_of(p).cloned() else { return Gradient::Inputs(vec![None, None]) };
        let mut dx = None;
        if let Some(dloss) = cx.dy[0] {
            let mut column = ty.shape.clone();
            *column.last_mut().unwrap_or(&mut 1) = 1;
            // A comparison with the positions joins the program that reads it; rows with a one would be written and read.
            let classes = *ty.shape.last().unwrap_or(&1);
            let [positions, labels] =
                [g.iota([classes], 0), g.reshape(labels, column.clone())].map(|x| g.cast(x, DType::F32));
            let target = g.binary(Binary::Equal, labels, positions);
            let difference = g.sub(p, target);
            let dloss = g.reshape(dloss, column);
            dx = Some(g.mul(difference, dloss));
        }
        if let Some(dp) = cx.dy[1] {
            let product = g.mul(dp, p);
            let dot = g.reduce_sum(product, &[ty.rank() - 1], true);
            let centred = g.sub(dp, dot);
            let through = g.mul(p, centred);
            dx = Some(dx.map_or(through, |dx| g.add(dx, through)));
        }
        Gradient::Inputs(vec![dx, None])
    }
}
