//! A max pooling takes its maxima from a convolution before what only grows with it, such as a bias and ReLU, which then run
//! once for each window; and what is made of its gradient stays one number for each window.
//!
//! `max f(x) = f(max x)` for every `f` that never falls, to the last bit; and where a gradient is `dy` at the positions of
//! maxima and 0 elsewhere, so is what is linear in it. Of outputs that `f` makes equal, such as those that ReLU clips, the
//! gradient goes to the largest before `f`.

use super::drop::remove_dead;
use super::rewrite::Rewrite;
use crate::ops::{
    Binary, Constant, ConvMaxPool, MaxPool, PoolScatter, ScatterInputGradient, ScatterKernelGradient, Unary, Windows,
};
use crate::{Error, Graph, Node, NodeIndex, Op, Value};
use std::collections::HashMap;

pub(crate) fn pool_early(graph: &Graph) -> Result<Graph, Error> {
    let mut pools: HashMap<NodeIndex, Vec<NodeIndex>> = graph
        .nodes()
        .iter()
        .enumerate()
        .filter_map(|(index, node)| Some((index, rising_from_conv(graph, node)?)))
        .collect();
    // A pooling whose convolution is read otherwise too stays as it is.
    loop {
        match Walk::new(graph, &pools).run() {
            Ok(rewrite) => return remove_dead(&rewrite.finish()?),
            Err(Needed(pool)) => pools.remove(&pool),
        };
    }
}

/// The convolution that a pooling of windows apart is of, and what rises with it in between, in order.
fn rising_from_conv(graph: &Graph, pool: &Node) -> Option<Vec<NodeIndex>> {
    let Op::MaxPool(MaxPool { windows }) = &pool.op else { return None };
    let is_apart = |w: &Windows| matches!(w, Windows::Even { size, stride, .. } if size <= stride);
    if !windows.iter().all(is_apart) {
        return None;
    }
    let (mut value, mut chain) = (pool.inputs[0], Vec::new());
    loop {
        let index = graph.producer_index(value);
        chain.push(index);
        let node = &graph.nodes()[index];
        if matches!(node.op, Op::Conv(_)) {
            chain.reverse();
            return Some(chain);
        }
        value = node.inputs[rising_in(graph, node)?];
    }
}

/// The input that an elementwise op never falls with, if all its others are the same at every position.
fn rising_in(graph: &Graph, node: &Node) -> Option<usize> {
    let is_positive = |v: Value| matches!(graph.producer(v).op, Op::Constant(Constant::F32(c)) if c > 0.0);
    let candidates: &[usize] = match &node.op {
        Op::Unary(Unary::Identity | Unary::Floor) => &[0],
        Op::Binary(Binary::Add | Binary::Maximum | Binary::Minimum) => &[0, 1],
        Op::Binary(Binary::Sub) => &[0],
        Op::Binary(Binary::Mul | Binary::Div) if is_positive(node.inputs[1]) => &[0],
        Op::Binary(Binary::Mul) if is_positive(node.inputs[0]) => &[1],
        _ => return None,
    };
    let is_rising = |i: &usize| {
        graph.type_of(node.inputs[*i]) == graph.type_of(node.outputs[0])
            && node.inputs.iter().enumerate().all(|(j, v)| j == *i || is_everywhere_alike(graph, *v))
    };
    candidates.iter().copied().find(is_rising)
}

/// Whether a value that is broadcast to images is the same at every position of all.
fn is_everywhere_alike(graph: &Graph, value: Value) -> bool {
    let shape = &graph.type_of(value).shape;
    shape.iter().rev().skip(1).all(|extent| *extent == 1)
}

/// A value of a convolution's extents, told in numbers for each window of a pooling.
#[derive(Clone, Copy)]
struct Known {
    /// The positions of the pooling's maxima, in the old graph.
    positions: Value,
    /// What the value is there.
    value: Value,
    /// Whether it is 0 elsewhere.
    is_scattered: bool,
}

/// The pooling whose convolution is needed in full.
struct Needed(NodeIndex);

/// A walk that makes what is known by windows in full only where it is read so.
struct Walk<'a> {
    graph: &'a Graph,
    rewrite: Rewrite<'a>,
    pools: &'a HashMap<NodeIndex, Vec<NodeIndex>>,
    /// For each node that a pooling takes along, the pooling.
    taken: HashMap<NodeIndex, NodeIndex>,
    known: HashMap<Value, Known>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, pools: &'a HashMap<NodeIndex, Vec<NodeIndex>>) -> Walk<'a> {
        let taken = pools.iter().flat_map(|(pool, chain)| chain.iter().map(|node| (*node, *pool))).collect();
        Walk { graph, rewrite: Rewrite::new(graph), pools, taken, known: HashMap::new() }
    }

    fn run(mut self) -> Result<Rewrite<'a>, Needed> {
        for (index, node) in self.graph.nodes().iter().enumerate() {
            if self.taken.contains_key(&index) {
                continue;
            }
            match self.pools.get(&index) {
                Some(chain) => self.pool(node, chain)?,
                None => self.visit(node)?,
            }
        }
        self.graph.results().try_for_each(|value| self.get(value).map(drop))?;
        Ok(self.rewrite)
    }

    /// The new value that stands for all of `value`.
    fn get(&mut self, value: Value) -> Result<Value, Needed> {
        if let Some(made) = self.rewrite.find(value) {
            return Ok(made);
        }
        let index = self.graph.producer_index(value);
        if let Some(pool) = self.taken.get(&index) {
            return Err(Needed(*pool));
        }
        let node = &self.graph.nodes()[index];
        match self.known.get(&value).copied() {
            Some(known) if known.is_scattered => {
                let shape = &self.graph.type_of(value).shape;
                let op = PoolScatter { spatial: shape[1..shape.len() - 1].to_vec() };
                let positions = self.get(known.positions)?;
                self.rewrite.put(node, op.into(), &[known.value, positions]);
            }
            _ => self.copy(node)?,
        }
        Ok(self.rewrite.get(value))
    }

    fn copy(&mut self, node: &Node) -> Result<(), Needed> {
        let inputs = node.inputs.iter().map(|v| self.get(*v)).collect::<Result<Vec<_>, _>>()?;
        self.rewrite.put(node, node.op.clone(), &inputs);
        Ok(())
    }

    /// A pooling that takes along a convolution and what rises with it.
    fn pool(&mut self, node: &Node, chain: &[NodeIndex]) -> Result<(), Needed> {
        for index in chain {
            let member = &self.graph.nodes()[*index];
            let (op, inputs) = match (&member.op, &node.op) {
                (Op::Conv(conv), Op::MaxPool(pool)) => {
                    let inputs = member.inputs.iter().map(|v| self.get(*v)).collect::<Result<Vec<_>, _>>()?;
                    (ConvMaxPool { conv: conv.clone(), pool: pool.clone() }.into(), inputs)
                }
                (op, _) => (op.clone(), self.by_windows(member)?),
            };
            let outputs = self.push(member, op, &inputs);
            if let Some(positions) = outputs.get(1) {
                self.rewrite.set(node.outputs[1], *positions);
            }
            let known = Known { positions: node.outputs[1], value: outputs[0], is_scattered: false };
            self.known.insert(member.outputs[0], known);
            self.rewrite.set(node.outputs[0], outputs[0]);
        }
        Ok(())
    }

    fn visit(&mut self, node: &Node) -> Result<(), Needed> {
        if let Some((positions, is_scattered)) = self.elementwise(node) {
            let inputs = self.by_windows(node)?;
            let value = self.push(node, node.op.clone(), &inputs)[0];
            self.known.insert(node.outputs[0], Known { positions, value, is_scattered });
        } else if let Some((op, inputs)) = self.reader(node)? {
            self.rewrite.put(node, op, &inputs);
        } else if matches!(node.op, Op::PoolScatter(_)) && self.is_pooling(node.inputs[1]) {
            let (value, positions) = (self.get(node.inputs[0])?, node.inputs[1]);
            self.known.insert(node.outputs[0], Known { positions, value, is_scattered: true });
        } else {
            self.copy(node)?;
            if self.is_pooling(node.outputs[0]) {
                let (value, positions) = (self.rewrite.get(node.outputs[0]), node.outputs[1]);
                self.known.insert(node.inputs[0], Known { positions, value, is_scattered: false });
            }
        }
        Ok(())
    }

    fn is_pooling(&self, value: Value) -> bool {
        matches!(self.graph.producer(value).op, Op::MaxPool(_))
    }

    /// By which positions the output of an elementwise op is known, and whether it is 0 elsewhere.
    fn elementwise(&self, node: &Node) -> Option<(Value, bool)> {
        if !node.op.is_elementwise() {
            return None;
        }
        let of = |v: &Value| self.known.get(v);
        let first = node.inputs.iter().find(|v| self.known.contains_key(v))?;
        let positions = of(first)?.positions;
        let is_told = |v: &Value| match of(v) {
            Some(known) => known.positions == positions,
            None => is_everywhere_alike(self.graph, *v),
        };
        if self.graph.type_of(*first) != self.graph.type_of(node.outputs[0]) || !node.inputs.iter().all(is_told) {
            return None;
        }
        let is_scattered = |i: usize| of(&node.inputs[i]).is_some_and(|known| known.is_scattered);
        if !(0..node.inputs.len()).any(is_scattered) {
            return Some((positions, false));
        }
        let is_zero = |i: usize| self.graph.producer(node.inputs[i]).op == Op::Constant(Constant::F32(0.0));
        let is_linear = match &node.op {
            Op::Unary(Unary::Identity | Unary::Neg) => true,
            Op::Binary(Binary::Add | Binary::Sub) => is_scattered(0) && is_scattered(1),
            Op::Binary(Binary::Mul) => is_scattered(0) != is_scattered(1),
            Op::Binary(Binary::Div) => !is_scattered(1),
            Op::Select(_) => !is_scattered(0) && (1..3).all(|i| is_scattered(i) || is_zero(i)),
            _ => false,
        };
        is_linear.then_some((positions, true))
    }

    /// What reads a gradient that is 0 but at maxima, as an op that reads the numbers for each window.
    fn reader(&mut self, node: &Node) -> Result<Option<(Op, Vec<Value>)>, Needed> {
        let graph = self.graph;
        let known = |walk: &Self, i: usize| walk.known.get(&node.inputs[i]).filter(|k| k.is_scattered).copied();
        // As many zeros as numbers at least, or all of them are as well multiplied.
        let is_sparse = |walk: &Self, i: usize, dy: &Known| {
            let windows = walk.rewrite.new.type_of(dy.value).map_or(0, |ty| ty.len());
            2 * windows <= graph.type_of(node.inputs[i]).len()
        };
        Ok(match &node.op {
            Op::ReduceSum(op) => {
                let mut positions = 1..graph.type_of(node.inputs[0]).rank().max(1) - 1;
                let sums_all = positions.all(|axis| op.axes.contains(&axis));
                known(self, 0).filter(|_| sums_all).map(|dy| (node.op.clone(), vec![dy.value]))
            }
            Op::ConvInputGradient(of) => match known(self, 0).filter(|dy| is_sparse(self, 0, dy)) {
                Some(dy) => {
                    let inputs = vec![dy.value, self.get(dy.positions)?, self.get(node.inputs[1])?];
                    Some((ScatterInputGradient { of: of.clone() }.into(), inputs))
                }
                None => None,
            },
            Op::ConvKernelGradient(of) => match known(self, 1).filter(|dy| is_sparse(self, 1, dy)) {
                Some(dy) => {
                    let inputs = vec![self.get(node.inputs[0])?, dy.value, self.get(dy.positions)?];
                    Some((ScatterKernelGradient { of: of.clone() }.into(), inputs))
                }
                None => None,
            },
            _ => None,
        })
    }

    /// The inputs of an elementwise op in numbers for each window.
    fn by_windows(&mut self, node: &Node) -> Result<Vec<Value>, Needed> {
        let input = |v: &Value| match self.known.get(v) {
            Some(known) => Ok(known.value),
            None => self.get(*v),
        };
        node.inputs.iter().map(input).collect()
    }

    fn push(&mut self, node: &Node, op: Op, inputs: &[Value]) -> Vec<Value> {
        self.rewrite.new.enter(&node.path);
        let outputs = self.rewrite.new.push(op, inputs);
        self.rewrite.new.leave();
        outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::ConvGeometry;
    use crate::{Builder, OpRule, Role, Type, differentiate};

    /// The ops of two layers of convolution, bias, ReLU and pooling, with gradients by all parameters, after the rule;
    /// `extra` may read values of the second layer: sums with the bias, activations, maxima.
    fn ops(windows: Windows, extra: impl Fn(&mut Builder, [Value; 3])) -> Vec<&'static str> {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([2, 12, 12, 3]));
        let zero = g.constant(0.0);
        let (mut y, mut parameters, mut last) = (x, Vec::new(), [x; 3]);
        for (name, channels) in [("a", 3), ("b", 4)] {
            let w = g.state(&format!("{name}/kernel"), Type::f32([2, 2, channels, 4]), Role::Parameter);
            let b = g.state(&format!("{name}/bias"), Type::f32([4]), Role::Parameter);
            let z = g.conv(y, w, ConvGeometry::new(2));
            let z = g.add(z, b);
            let activation = g.binary(Binary::Maximum, zero, z);
            y = g.max_pool(activation, &[windows; 2]).0;
            (last, parameters) = ([z, activation, y], [parameters, vec![w, b]].concat());
        }
        extra(&mut g, last);
        let loss = g.sum_all(y);
        let gradients = differentiate(&mut g, loss, &parameters).unwrap();
        g.output("loss", loss);
        gradients.iter().enumerate().for_each(|(i, gradient)| g.output(&i.to_string(), *gradient));
        let graph = pool_early(&remove_dead(&g.finish().unwrap()).unwrap()).unwrap();
        graph.nodes().iter().map(|node| node.op.name()).collect()
    }

    const HALF: Windows = Windows::Even { size: 2, stride: 2, padding: [0, 0] };

    fn count(ops: &[&str], name: &str) -> usize {
        ops.iter().filter(|op| **op == name).count()
    }

    #[test]
    fn maxima_are_taken_first_and_gradients_stay_by_windows() {
        let ops = ops(HALF, |_, _| {});
        for gone in ["conv", "max_pool", "pool_scatter", "conv_input_gradient", "conv_kernel_gradient"] {
            assert_eq!(count(&ops, gone), 0, "{gone} in {ops:?}");
        }
        let fused = ["conv_max_pool", "scatter_input_gradient", "scatter_kernel_gradient", "maximum", "reduce_sum"];
        assert_eq!(fused.map(|name| count(&ops, name)), [2, 1, 2, 2, 3], "{ops:?}");
    }

    #[test]
    fn a_convolution_that_is_read_in_full_is_made_in_full() {
        let ops = ops(HALF, |g, [z, ..]| g.output("z", z));
        assert_eq!(["conv", "conv_max_pool", "max_pool"].map(|name| count(&ops, name)), [1, 1, 1], "{ops:?}");
        assert_eq!(count(&ops, "scatter_kernel_gradient"), 2, "its gradient is by windows all the same: {ops:?}");
    }

    #[test]
    fn windows_that_overlap_are_pooled_after_the_activation() {
        let ops = ops(Windows::Even { size: 3, stride: 2, padding: [0, 0] }, |_, _| {});
        let counts = ["conv", "max_pool", "scatter_kernel_gradient", "pool_scatter"].map(|name| count(&ops, name));
        assert_eq!(counts, [2, 2, 2, 0], "{ops:?}");
    }

    #[test]
    fn a_gradient_that_something_else_reads_is_made_in_full() {
        let ops = ops(HALF, |g, [_, activation, y]| {
            let loss = g.sum_all(y);
            let gradient = differentiate(g, loss, &[activation]).unwrap()[0];
            g.output("gradient", gradient);
        });
        let counts = ["pool_scatter", "conv", "scatter_kernel_gradient"].map(|name| count(&ops, name));
        assert_eq!(counts, [1, 0, 2], "{ops:?}");
    }

    #[test]
    fn what_may_fall_is_not_exchanged_with_a_maximum() {
        let rising = |build: fn(&mut Builder, Value) -> Value| {
            let mut g = Builder::new();
            let x = g.input("x", Type::f32([2, 6, 6, 3]));
            let w = g.input("w", Type::f32([1, 1, 3, 4]));
            let y = g.conv(x, w, ConvGeometry::new(2));
            let y = build(&mut g, y);
            let y = g.max_pool(y, &[HALF; 2]).0;
            g.output("y", y);
            let graph = pool_early(&g.finish().unwrap()).unwrap();
            graph.nodes().iter().any(|node| matches!(node.op, Op::ConvMaxPool(_)))
        };
        assert!(rising(|_, y| y));
        assert!(rising(|g, y| g.mul_scalar(y, 0.5)));
        assert!(!rising(|g, y| g.mul_scalar(y, -0.5)));
        assert!(!rising(|g, y| g.scalar_sub(1.0, y)));
        assert!(!rising(|g, y| g.mul(y, y)));
        assert!(rising(|g, y| {
            let bias = g.input("bias", Type::f32([4]));
            g.add(y, bias)
        }));
        assert!(!rising(|g, y| {
            let map = g.input("map", Type::f32([6, 6, 4]));
            g.add(y, map)
        }));
    }
}
