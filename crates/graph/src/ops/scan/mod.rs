//! Recurrence: a graph repeated over the steps of sequences.

mod build;
mod gradient;

pub use build::Turn;

use super::{Backward, Gradient, OpRule, Sample, SampleInput};
use crate::{Builder, Graph, Type, Value};
use std::sync::Arc;

/// `carries, y_t = body(constants, carries, x_t)` for each step `t` in turn.
///
/// Inputs: constants, the same in every step; the first carries; sequences `[T, ...]`. Outputs: the last carries; the
/// results of all steps, `[T, ...]`. The body's [`Given`](super::Given) values are a constant, a carry or one step of a
/// sequence each, in that order; its outputs are the next carries and one step of each result.
///
/// # Numerics
/// A scan of no steps hands the carries on.
///
/// # Differences
/// JAX's `lax.scan`; its constants are what the body closes over.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// What one step computes.
    pub body: Arc<Graph>,
    /// The number of steps `T`.
    pub length: usize,
    /// Whether the last step comes first; results keep the place of their step.
    pub reverse: bool,
    /// How many inputs are constants.
    pub constants: usize,
    /// How many inputs are carries.
    pub carries: usize,
}

impl Scan {
    /// Whether input `i` is a constant.
    pub fn is_constant(&self, i: usize) -> bool {
        i < self.constants
    }

    /// The carry that input `i` is.
    pub fn carry(&self, i: usize) -> Option<usize> {
        i.checked_sub(self.constants).filter(|carry| *carry < self.carries)
    }

    /// Whether input `i` is a sequence.
    pub fn is_sequence(&self, i: usize) -> bool {
        i >= self.constants + self.carries
    }

    /// The step that is the `turn`-th to be computed.
    pub fn step(&self, turn: usize) -> usize {
        if self.reverse { self.length - 1 - turn } else { turn }
    }

    /// `[T, ...]` of one step's type.
    pub(crate) fn stacked(&self, step: &Type) -> Type {
        Type { shape: [&[self.length], step.shape.as_slice()].concat(), dtype: step.dtype }
    }
}

impl OpRule for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn attributes(&self) -> String {
        let reverse = if self.reverse { ", reverse" } else { "" };
        format!("{} steps{reverse}, {} constants, {} carries", self.length, self.constants, self.carries)
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let given: Vec<&Type> = self.body.given().map(|v| self.body.type_of(v)).collect();
        if inputs.len() != given.len() || inputs.len() < self.constants + self.carries {
            return Err(format!("the body is given {} values, the scan has {}", given.len(), inputs.len()));
        }
        for (i, (input, step)) in inputs.iter().zip(given).enumerate() {
            let wanted = if self.is_sequence(i) { self.stacked(step) } else { step.clone() };
            if **input != wanted {
                return Err(format!("input {i} is {input}, the body asks for {wanted}"));
            }
        }
        let made: Vec<&Type> = self.body.outputs().iter().map(|(_, v)| self.body.type_of(*v)).collect();
        if made.len() < self.carries {
            return Err(format!("the body makes {} values, {} of them carries", made.len(), self.carries));
        }
        for (j, (first, next)) in inputs[self.constants..].iter().zip(&made[..self.carries]).enumerate() {
            if first != next {
                return Err(format!("carry {j} begins as {first} and goes on as {next}"));
            }
        }
        let types = made.iter().enumerate();
        Ok(types.map(|(j, ty)| if j < self.carries { (*ty).clone() } else { self.stacked(ty) }).collect())
    }

    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        gradient::gradient(self, cx)
    }
}

impl Scan {
    /// A carry alone, sequences alone, both in reverse, two carries of different types, a constant matrix, no steps and one,
    /// matrices that are carried and read whole, a scan within a scan, an LSTM.
    pub fn samples() -> Vec<Sample> {
        type Body = fn(&mut Builder, &[Value], &[Value], &[Value]) -> Turn;
        let power: Body = |g, _, c, _| {
            let square = g.mul(c[0], c[0]);
            (vec![g.sub(c[0], square)], vec![])
        };
        let product: Body = |g, _, _, x| (vec![], vec![g.mul(x[0], x[1])]);
        let decay: Body = |g, k, c, x| {
            let kept = g.mul(c[0], k[0]);
            let next = g.add(kept, x[0]);
            (vec![next], vec![c[0], next])
        };
        let swapping: Body = |g, _, c, x| {
            let square = g.mul(c[0], c[0]);
            let sum = g.reduce_sum(square, &[0, 1], false);
            let scaled = g.mul(x[0], c[1]);
            let rows = g.add(c[0], scaled);
            (vec![rows, g.mul_scalar(sum, 0.1)], vec![sum])
        };
        let recurrent: Body = |g, k, h, x| {
            let product = g.matmul(h[0], k[0]);
            let sum = g.add(product, x[0]);
            let sum = g.add(sum, k[1]);
            let h = g.unary(super::Unary::Tanh, sum);
            (vec![h], vec![h])
        };
        let turning: Body = |g, _, c, x| {
            let y = g.matmul(x[0], c[0]);
            let product = g.matmul_with(y, x[0], true, false);
            (vec![g.unary(super::Unary::Tanh, product)], vec![y])
        };
        let mixing: Body = |g, _, c, x| {
            let product = g.matmul(x[0], c[0]);
            (vec![g.unary(super::Unary::Tanh, product)], vec![])
        };
        let nested: Body = |g, k, c, x| {
            let (inner, all) = g.scan(2, true, k, c, x, |g, k, c, x| {
                let product = g.mul(c[0], x[0]);
                let sum = g.add(product, k[0]);
                let bounded = g.unary(super::Unary::Tanh, sum);
                (vec![bounded], vec![product])
            });
            (inner, all)
        };
        let (n, u) = (vec![3, 4], vec![4, 4]);
        let of = |length: usize, shape: &[usize]| [&[length], shape].concat();
        let sample = |length, reverse, [constants, carries]: [usize; 2], shapes: Vec<Vec<usize>>, body: Body| {
            let inputs: Vec<SampleInput> =
                shapes.into_iter().map(|shape| SampleInput::Uniform(shape, -0.9, 0.9)).collect();
            let mut g = Builder::new();
            let values: Vec<Value> = inputs.iter().map(|input| g.input("x", input.type_())).collect();
            let (first, sequences) = values.split_at(constants + carries);
            let outputs = g.scan(length, reverse, &first[..constants], &first[constants..], sequences, body);
            let op =
                g.graph().producer(outputs.0.iter().chain(&outputs.1).next().copied().unwrap_or(values[0])).op.clone();
            Sample { op, inputs }
        };
        vec![
            sample(3, false, [0, 1], vec![n.clone()], power),
            sample(3, false, [0, 0], vec![of(3, &n), of(3, &n)], product),
            sample(3, true, [1, 1], vec![vec![4], n.clone(), of(3, &n)], decay),
            sample(3, false, [0, 2], vec![n.clone(), vec![], of(3, &n)], swapping),
            sample(4, true, [2, 1], vec![u.clone(), vec![4], n.clone(), of(4, &n)], recurrent),
            sample(0, false, [2, 1], vec![u.clone(), vec![4], n.clone(), of(0, &n)], recurrent),
            sample(1, false, [2, 1], vec![u.clone(), vec![4], n.clone(), of(1, &n)], recurrent),
            sample(3, false, [0, 1], vec![u.clone(), of(3, &[6, 4])], turning),
            sample(3, true, [0, 1], vec![vec![6, 6], of(3, &[6, 6])], mixing),
            sample(3, false, [1, 1], vec![vec![4], n.clone(), of(3, &[2, 3, 4])], nested),
            sample(3, false, [4, 2], [vec![u; 4], vec![n.clone(); 2], vec![of(3, &n); 4]].concat(), lstm),
        ]
    }
}

/// `c = sigmoid(f) c + sigmoid(i) tanh(g)`, `h = sigmoid(o) tanh(c)`, each gate of its own matrix and sequence.
fn lstm(g: &mut Builder, k: &[Value], c: &[Value], x: &[Value]) -> Turn {
    use super::Unary::{Sigmoid, Tanh};
    let gate = |g: &mut Builder, i: usize, kind| {
        let product = g.matmul(c[0], k[i]);
        let sum = g.add(product, x[i]);
        g.unary(kind, sum)
    };
    let [i, f, new, o] = [gate(g, 0, Sigmoid), gate(g, 1, Sigmoid), gate(g, 2, Tanh), gate(g, 3, Sigmoid)];
    let kept = g.mul(f, c[1]);
    let added = g.mul(i, new);
    let cell = g.add(kept, added);
    let bounded = g.unary(Tanh, cell);
    let h = g.mul(o, bounded);
    (vec![h, cell], vec![h])
}
