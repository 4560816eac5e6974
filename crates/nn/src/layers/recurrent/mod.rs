//! Recurrent layers: one loop over the steps of a sequence, with a cell each.
//!
//! The products with the inputs of all steps come before the loop, one for each gate. A layer that returns several values,
//! that keeps its state from batch to batch, or that wraps a cell, is not here.

mod gru;
mod lstm;
mod settings;
mod simple_rnn;

pub use gru::GRU;
pub use lstm::LSTM;
pub use simple_rnn::SimpleRNN;

use crate::layer::{Call, Masked, Mode};
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value};
use footlight_tensor::RandomKey;
use settings::Settings;

/// What the loop has to know of a cell.
#[derive(Clone, Copy)]
struct Cell {
    gates: usize,
    states: usize,
    /// Whether the bias has a second row, which is added to the products with the state.
    has_recurrent_bias: bool,
}

/// One step, as a cell sees it.
struct Step<'a> {
    /// For each gate, `[N, U]`: the input times the kernel, and the bias.
    x: &'a [Value],
    /// `[N, U]` each; the first is the output of the step before.
    states: &'a [Value],
    /// For each gate, `[U, U]`.
    kernels: &'a [Value],
    /// For each gate, `[U]`, or none.
    biases: &'a [Value],
    /// For each gate what the state is multiplied by, `[N, U]`, or none.
    kept: &'a [Value],
}

impl Step<'_> {
    /// The output of the step before, as `gate` sees it.
    fn hidden(&self, g: &mut Builder, gate: usize) -> Value {
        self.kept.get(gate).map_or(self.states[0], |kept| g.mul(self.states[0], *kept))
    }

    /// `h U + b` of `gate`.
    fn product(&self, g: &mut Builder, gate: usize, h: Value) -> Value {
        let product = g.matmul(h, self.kernels[gate]);
        self.biases.get(gate).map_or(product, |bias| g.add(product, *bias))
    }

    /// `x W + h U` of `gate`, with their biases.
    fn sum(&self, g: &mut Builder, gate: usize) -> Value {
        let h = self.hidden(g, gate);
        let product = self.product(g, gate, h);
        g.add(self.x[gate], product)
    }
}

impl Settings {
    /// Records the loop; `step` answers the next states.
    fn call(
        &self,
        cx: &mut Call<'_>,
        input: Masked,
        cell: Cell,
        step: impl FnOnce(&mut Builder, &Step<'_>) -> Vec<Value>,
    ) -> Masked {
        let shape = cx.graph.shape(input.value);
        let &[samples, steps, features] = &shape[..] else { return input };
        let (kept_inputs, kept_states) = self.dropout_masks(cx, cell, [samples, features]);
        let x = self.input_products(cx, input.value, cell, &kept_inputs);
        let g = &mut *cx.graph;
        let kernels = self.gates_of(g, cx.weights[1], 1, cell.gates);
        let biases = match cell.has_recurrent_bias {
            true => self.bias_row(g, cx.weights[2], 1, cell.gates),
            false => Vec::new(),
        };
        let constants = [kernels, biases, kept_states].concat();
        let zero = g.constant(0.0);
        let first = vec![g.broadcast(zero, [samples, self.units]); cell.states];
        let mask = input.mask.map(|mask| {
            let turned = g.transpose(mask, [1, 0]);
            g.reshape(turned, [steps, samples, 1])
        });
        let sequences: Vec<Value> = x.into_iter().chain(mask).collect();
        let has_biases = cell.has_recurrent_bias;
        let (states, outputs) = g.scan(steps, self.go_backwards, &constants, &first, &sequences, |g, k, states, s| {
            let (kernels, rest) = k.split_at(cell.gates);
            let (biases, kept) = rest.split_at(if has_biases { cell.gates } else { 0 });
            let (x, mask) = s.split_at(cell.gates);
            let next = step(g, &Step { x, states, kernels, biases, kept });
            let next: Vec<Value> = match mask {
                [mask] => next.iter().zip(states).map(|(next, before)| g.select(*mask, *next, *before)).collect(),
                _ => next,
            };
            let outputs = match self.return_sequences {
                true => vec![self.zero_masked(g, next[0], mask.first().copied())],
                false => vec![],
            };
            (next, outputs)
        });
        if !self.return_sequences {
            let last = if self.go_backwards { 0 } else { steps - 1 };
            let mask = mask.map(|mask| {
                let last = g.slice_axis(mask, 0, last..last + 1);
                g.reshape(last, [samples, 1])
            });
            return Masked::new(self.zero_masked(g, states[0], mask));
        }
        let all = if self.go_backwards { g.reverse(outputs[0], &[0]) } else { outputs[0] };
        input.with(g.transpose(all, [1, 0, 2]))
    }

    /// Zeros in the place of masked steps, if asked for.
    fn zero_masked(&self, g: &mut Builder, output: Value, mask: Option<Value>) -> Value {
        let Some(mask) = mask.filter(|_| self.zero_output_for_mask) else { return output };
        let zero = g.constant(0.0);
        g.select(mask, output, zero)
    }

    /// For each gate `x W + b` of all steps, `[T, N, U]`.
    fn input_products(&self, cx: &mut Call<'_>, x: Value, cell: Cell, kept: &[Value]) -> Vec<Value> {
        let g = &mut *cx.graph;
        let &[samples, steps, features] = &g.shape(x)[..] else { return vec![x; cell.gates] };
        let x = g.transpose(x, [1, 0, 2]);
        let dropped: Vec<Value> = kept.iter().map(|kept| g.mul(x, *kept)).collect();
        let kernels = self.gates_of(g, cx.weights[0], 1, cell.gates);
        let biases = match (self.use_bias, cell.has_recurrent_bias) {
            (true, true) => self.bias_row(g, cx.weights[2], 0, cell.gates),
            (true, false) => self.gates_of(g, cx.weights[2], 0, cell.gates),
            (false, _) => Vec::new(),
        };
        let product = |(gate, kernel): (usize, Value)| {
            let x = dropped.get(gate).or(dropped.first()).copied().unwrap_or(x);
            let rows = g.reshape(x, [steps * samples, features]);
            let mut y = g.matmul(rows, kernel);
            if let Some(bias) = biases.get(gate) {
                y = g.add(y, *bias);
            }
            g.reshape(y, [steps, samples, self.units])
        };
        kernels.into_iter().enumerate().map(product).collect()
    }

    /// The parts of a weight that belong to each gate.
    fn gates_of(&self, g: &mut Builder, weight: Value, axis: usize, gates: usize) -> Vec<Value> {
        (0..gates).map(|gate| g.slice_axis(weight, axis, gate * self.units..(gate + 1) * self.units)).collect()
    }

    /// Row `row` of a bias `[2, gates U]`, gate by gate.
    fn bias_row(&self, g: &mut Builder, bias: Value, row: usize, gates: usize) -> Vec<Value> {
        let row = g.slice_axis(bias, 0, row..row + 1);
        let row = g.reshape(row, [gates * self.units]);
        self.gates_of(g, row, 0, gates)
    }

    /// What inputs and states are multiplied by, the same in every step: for all gates together, or for each gate where
    /// states are dropped, as in Keras.
    fn dropout_masks(&self, cx: &mut Call<'_>, cell: Cell, inputs: [usize; 2]) -> (Vec<Value>, Vec<Value>) {
        let (Mode::Train, Some(step)) = (cx.mode, cx.step) else { return (Vec::new(), Vec::new()) };
        let key = cx.key;
        let mut masks = |rate: f32, count: usize, key: RandomKey, shape: [usize; 2]| -> Vec<Value> {
            let count = if rate > 0.0 { count } else { 0 };
            (0..count).map(|i| kept(cx.graph, step, rate, key.at(i as u64), shape)).collect()
        };
        let for_inputs = if self.recurrent_dropout > 0.0 { cell.gates } else { 1 };
        let of_inputs = masks(self.dropout, for_inputs, key.child("dropout"), inputs);
        let states = [inputs[0], self.units];
        (of_inputs, masks(self.recurrent_dropout, cell.gates, key.child("recurrent_dropout"), states))
    }
}

/// `1 / (1 - rate)` where a number is kept, else 0.
fn kept(g: &mut Builder, step: Value, rate: f32, key: RandomKey, shape: [usize; 2]) -> Value {
    let uniform = g.random_uniform(key, step, shape);
    let limit = g.constant(rate);
    let is_kept = g.binary(Binary::GreaterEqual, uniform, limit);
    g.mul_scalar(is_kept, 1.0 / (1.0 - rate))
}
