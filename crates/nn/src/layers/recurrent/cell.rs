//! A cell, and the loop over the steps of a sequence with one.
//!
//! The products with the inputs of all steps come before the loop, one for each gate.

use super::settings::Settings;
use crate::Error;
use crate::config::Config;
use crate::layer::{Call, Mode, WeightSpec};
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value};
use footlight_tensor::RandomKey;
use std::fmt;

/// What the loop has to know of a cell.
#[derive(Clone, Copy)]
pub(crate) struct Gates {
    pub gates: usize,
    pub states: usize,
    /// Whether the bias has a second row, which is added to the products with the state.
    pub has_recurrent_bias: bool,
}

/// One step, as a cell sees it.
pub(crate) struct Step<'a> {
    /// For each gate, `[N, U]`: the input times the kernel, and the bias.
    pub x: &'a [Value],
    /// `[N, U]` each; the first is the output of the step before.
    pub states: &'a [Value],
    /// For each gate, `[U, U]`.
    pub kernels: &'a [Value],
    /// For each gate, `[U]`, or none.
    pub biases: &'a [Value],
    /// For each gate what the state is multiplied by, `[N, U]`, or none.
    pub kept: &'a [Value],
}

impl Step<'_> {
    /// The output of the step before, as `gate` sees it.
    pub fn hidden(&self, g: &mut Builder, gate: usize) -> Value {
        self.kept.get(gate).map_or(self.states[0], |kept| g.mul(self.states[0], *kept))
    }

    /// `h U + b` of `gate`.
    pub fn product(&self, g: &mut Builder, gate: usize, h: Value) -> Value {
        let product = g.matmul(h, self.kernels[gate]);
        self.biases.get(gate).map_or(product, |bias| g.add(product, *bias))
    }

    /// `x W + h U` of `gate`, with their biases.
    pub fn sum(&self, g: &mut Builder, gate: usize) -> Value {
        let h = self.hidden(g, gate);
        let product = self.product(g, gate, h);
        g.add(self.x[gate], product)
    }
}

/// A cell: its settings, its weights and what it makes of one step.
pub(crate) trait Rule: fmt::Debug {
    fn settings(&self) -> &Settings;

    fn gates(&self) -> Gates;

    /// Keras' keys of the cell, without name, trainable and dtype.
    fn config(&self) -> Config;

    fn check(&self) -> Result<(), Error>;

    /// Kernel, recurrent kernel and, if there is one, the bias.
    fn weights(&self, features: usize) -> Vec<WeightSpec>;

    /// The next states.
    fn step(&self, g: &mut Builder, step: &Step<'_>) -> Vec<Value>;
}

/// How the loop goes.
pub(super) struct Pass {
    /// `[T, N, 1]`.
    pub mask: Option<Value>,
    pub is_reversed: bool,
    pub zeros_masked: bool,
    pub stacks_outputs: bool,
    pub key: RandomKey,
}

impl Pass {
    /// Zeros in the place of masked steps, if asked for.
    pub fn zero_masked(&self, g: &mut Builder, output: Value, mask: Option<Value>) -> Value {
        let Some(mask) = mask.filter(|_| self.zeros_masked) else { return output };
        let zero = g.constant(0.0);
        g.select(mask, output, zero)
    }
}

/// A cell with its weights.
pub(super) struct Loop<'a> {
    pub rule: &'a dyn Rule,
    pub weights: &'a [Value],
}

impl Loop<'_> {
    /// Records the loop over `x`, `[T, N, F]`; answers the last states and, if asked for, all outputs, `[T, N, U]`.
    pub fn run(&self, cx: &mut Call<'_>, x: Value, first: &[Value], pass: &Pass) -> (Vec<Value>, Option<Value>) {
        let (Gates { gates, has_recurrent_bias, .. }, shape) = (self.rule.gates(), cx.graph.shape(x));
        let &[steps, samples, features] = &shape[..] else { return (first.to_vec(), Some(x)) };
        let (kept_inputs, kept_states) = self.dropout_masks(cx, &pass.key, [samples, features]);
        let g = &mut *cx.graph;
        let products = self.input_products(g, x, &kept_inputs);
        let kernels = self.gates_of(g, self.weights[1], 1);
        let biases = if has_recurrent_bias { self.bias_row(g, 1) } else { Vec::new() };
        let constants = [kernels, biases, kept_states].concat();
        let sequences: Vec<Value> = products.into_iter().chain(pass.mask).collect();
        let (states, outputs) = g.scan(steps, pass.is_reversed, &constants, first, &sequences, |g, k, states, s| {
            let (kernels, rest) = k.split_at(gates);
            let (biases, kept) = rest.split_at(if has_recurrent_bias { gates } else { 0 });
            let (x, mask) = s.split_at(gates);
            let next = self.rule.step(g, &Step { x, states, kernels, biases, kept });
            let next: Vec<Value> = match mask {
                [mask] => next.iter().zip(states).map(|(next, before)| g.select(*mask, *next, *before)).collect(),
                _ => next,
            };
            let outputs = match pass.stacks_outputs {
                true => vec![pass.zero_masked(g, next[0], mask.first().copied())],
                false => vec![],
            };
            (next, outputs)
        });
        (states, outputs.first().copied())
    }

    /// For each gate `x W + b` of all steps, `[T, N, U]`.
    fn input_products(&self, g: &mut Builder, x: Value, kept: &[Value]) -> Vec<Value> {
        let (Settings { units, use_bias, .. }, shape) = (self.rule.settings(), g.shape(x));
        let &[steps, samples, features] = &shape[..] else { return vec![x; self.rule.gates().gates] };
        let dropped: Vec<Value> = kept.iter().map(|kept| g.mul(x, *kept)).collect();
        let kernels = self.gates_of(g, self.weights[0], 1);
        let biases = match (*use_bias, self.rule.gates().has_recurrent_bias) {
            (true, true) => self.bias_row(g, 0),
            (true, false) => self.gates_of(g, self.weights[2], 0),
            (false, _) => Vec::new(),
        };
        let product = |(gate, kernel): (usize, Value)| {
            let x = dropped.get(gate).or(dropped.first()).copied().unwrap_or(x);
            let rows = g.reshape(x, [steps * samples, features]);
            let mut y = g.matmul(rows, kernel);
            if let Some(bias) = biases.get(gate) {
                y = g.add(y, *bias);
            }
            g.reshape(y, [steps, samples, *units])
        };
        kernels.into_iter().enumerate().map(product).collect()
    }

    /// The parts of a weight that belong to each gate.
    fn gates_of(&self, g: &mut Builder, weight: Value, axis: usize) -> Vec<Value> {
        let units = self.rule.settings().units;
        let gates = 0..self.rule.gates().gates;
        gates.map(|gate| g.slice_axis(weight, axis, gate * units..(gate + 1) * units)).collect()
    }

    /// Row `row` of the bias `[2, gates U]`, gate by gate.
    fn bias_row(&self, g: &mut Builder, row: usize) -> Vec<Value> {
        let row = g.slice_axis(self.weights[2], 0, row..row + 1);
        let row = g.reshape(row, [self.rule.gates().gates * self.rule.settings().units]);
        self.gates_of(g, row, 0)
    }

    /// What inputs and states are multiplied by, the same in every step: for all gates together, or for each gate where
    /// states are dropped, as in Keras.
    fn dropout_masks(&self, cx: &mut Call<'_>, key: &RandomKey, inputs: [usize; 2]) -> (Vec<Value>, Vec<Value>) {
        let (Mode::Train, Some(step)) = (cx.mode, cx.step) else { return (Vec::new(), Vec::new()) };
        let (Settings { units, dropout, recurrent_dropout, .. }, gates) =
            (self.rule.settings(), self.rule.gates().gates);
        let mut masks = |rate: f32, count: usize, key: RandomKey, shape: [usize; 2]| -> Vec<Value> {
            let count = if rate > 0.0 { count } else { 0 };
            (0..count).map(|i| kept(cx.graph, step, rate, key.at(i as u64), shape)).collect()
        };
        let for_inputs = if *recurrent_dropout > 0.0 { gates } else { 1 };
        let of_inputs = masks(*dropout, for_inputs, key.child("dropout"), inputs);
        (of_inputs, masks(*recurrent_dropout, gates, key.child("recurrent_dropout"), [inputs[0], *units]))
    }
}

/// `1 / (1 - rate)` where a number is kept, else 0.
fn kept(g: &mut Builder, step: Value, rate: f32, key: RandomKey, shape: [usize; 2]) -> Value {
    let uniform = g.random_uniform(key, step, shape);
    let limit = g.constant(rate);
    let is_kept = g.binary(Binary::GreaterEqual, uniform, limit);
    g.mul_scalar(is_kept, 1.0 / (1.0 - rate))
}
