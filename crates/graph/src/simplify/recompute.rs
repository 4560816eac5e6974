//! What costs a multiplication is computed again where it is read, if that is much later and what it is made of is there
//! anyway: memory that is written, kept and read again costs more.
//!
//! The op stays the same, so the bytes of the result do.

use super::fuse::roots;
use super::rewrite::Rewrite;
use crate::ops::Binary;
use crate::plan::{phases, root};
use crate::{Error, Graph, Node, NodeIndex, Op, Value};
use footlight_tensor::DType;
use std::collections::HashSet;

/// Values of fewer elements stay in a cache.
const FEWEST: usize = 1 << 12;

/// Inputs of so many times fewer elements are not worth a thought.
const SMALLER: usize = 8;

/// The most ops for one value.
const MOST: usize = 3;

pub(crate) fn recompute_cheap(graph: &Graph) -> Result<Graph, Error> {
    let again = Again::new(graph);
    let mut rewrite = Rewrite::new(graph);
    for (index, node) in graph.nodes().iter().enumerate() {
        let inputs: Vec<Value> = node.inputs.iter().map(|input| again.input(&mut rewrite, index, *input)).collect();
        rewrite.put(node, node.op.clone(), &inputs);
    }
    rewrite.finish()
}

/// What is computed again for readers of later phases.
struct Again<'a> {
    graph: &'a Graph,
    /// For each node that is a step, its phase.
    phases: Vec<Option<usize>>,
    /// For each node that is computed again, the ops that takes and the last phase that it happens in.
    made: Vec<Option<Made>>,
}

#[derive(Clone, Copy)]
struct Made {
    ops: usize,
    last: usize,
}

impl<'a> Again<'a> {
    fn new(graph: &'a Graph) -> Again<'a> {
        let readers = readers(graph);
        let results: HashSet<Value> = graph.results().map(|v| root(graph, v)).collect();
        // An op runs in the program that it becomes a part of.
        let (phases, programs) = (phases(graph), roots(graph));
        let phases = programs.iter().enumerate().map(|(index, program)| phases[program.unwrap_or(index)]).collect();
        let mut again = Again { graph, phases, made: vec![None; graph.nodes().len()] };
        for (index, node) in graph.nodes().iter().enumerate() {
            if is_cheap(graph, node) && !results.contains(&node.outputs[0]) {
                again.made[index] = again.decide(&readers, index);
            }
        }
        again
    }

    /// How a node is computed again for its later readers; `None` where it is kept.
    fn decide(&self, readers: &[Vec<(NodeIndex, bool)>], index: NodeIndex) -> Option<Made> {
        let (graph, node) = (self.graph, &self.graph.nodes()[index]);
        let (output, ty) = (node.outputs[0], graph.type_of(node.outputs[0]));
        let mut last = None;
        for (reader, is_view) in &readers[output.index()] {
            if self.is_later(*reader, index) {
                let reader_node = &graph.nodes()[*reader];
                let fuses = reader_node.op.is_elementwise() && graph.type_of(reader_node.outputs[0]) == ty;
                if *is_view || !fuses {
                    return None;
                }
                last = last.max(self.phases[*reader]);
            }
        }
        let last = last?;
        let mut ops = 1;
        for input in &node.inputs {
            let producer = graph.producer_index(root(graph, *input));
            let is_small = graph.type_of(*input).len() * SMALLER <= ty.len();
            let is_read = |(reader, _): &(NodeIndex, bool)| *reader != index && self.phases[*reader] >= Some(last);
            match self.made[producer] {
                _ if is_small => {}
                Some(made) if graph.producer_index(*input) == producer && made.last >= last => ops += made.ops,
                None if readers[root(graph, *input).index()].iter().any(is_read) => {}
                _ => return None,
            }
        }
        (ops <= MOST).then_some(Made { ops, last })
    }

    fn is_later(&self, reader: NodeIndex, node: NodeIndex) -> bool {
        self.phases[reader] > self.phases[node]
    }

    /// The new value for input `value` of the old node `reader`: what is computed again is so for each reader.
    fn input(&self, rewrite: &mut Rewrite<'_>, reader: NodeIndex, value: Value) -> Value {
        let index = self.graph.producer_index(value);
        if self.made[index].is_none() || self.phases[reader].is_none() || !self.is_later(reader, index) {
            return rewrite.get(value);
        }
        let node = &self.graph.nodes()[index];
        let inputs: Vec<Value> = node.inputs.iter().map(|input| self.input(rewrite, reader, *input)).collect();
        rewrite.new.enter(&node.path);
        let outputs = rewrite.new.push(node.op.clone(), &inputs);
        rewrite.new.leave();
        outputs[0]
    }
}

/// Whether an op on large values costs about as much as to read a value again.
fn is_cheap(graph: &Graph, node: &Node) -> bool {
    let kinds = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div];
    let ty = graph.type_of(node.outputs[0]);
    matches!(&node.op, Op::Binary(kind) if kinds.contains(kind)) && ty.dtype == DType::F32 && ty.len() >= FEWEST
}

/// For each value that is no view, the steps that read it, and whether they read a view of it.
fn readers(graph: &Graph) -> Vec<Vec<(NodeIndex, bool)>> {
    let mut readers = vec![Vec::new(); graph.values().len()];
    for (index, node) in graph.nodes().iter().enumerate().filter(|(_, node)| !matches!(node.op, Op::Reshape(_))) {
        for input in &node.inputs {
            let root = root(graph, *input);
            readers[root.index()].push((index, root != *input));
        }
    }
    readers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Unary;
    use crate::simplify::fuse::fuse_elementwise;
    use crate::{Builder, OpRule, Type};

    /// `z = x + x` is read at once, and again once all of it is summed; then `x` is read too, or not.
    fn graph(is_there: bool) -> Graph {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([64, 100]));
        let x = g.unary(Unary::Sign, x);
        let z = g.add(x, x);
        let e = g.unary(Unary::Exp, z);
        let sums = g.reduce_sum(e, &[0], true);
        let shares = g.div(z, sums);
        let y = if is_there { g.mul(shares, x) } else { shares };
        g.output("y", y);
        fuse_elementwise(&recompute_cheap(&g.finish().unwrap()).unwrap()).unwrap()
    }

    fn programs(graph: &Graph) -> Vec<String> {
        graph.nodes().iter().filter(|n| matches!(n.op, Op::Program(_))).map(|n| n.op.attributes()).collect()
    }

    #[test]
    fn what_is_cheap_and_can_be_had_again_is_not_kept() {
        assert_eq!(programs(&graph(true)), ["sign", "add exp", "add div mul"]);
    }

    #[test]
    fn what_would_keep_something_else_is_kept() {
        assert_eq!(programs(&graph(false)), ["sign add", "exp", "div"]);
    }
}
