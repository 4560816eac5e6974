//! Nodes that no result needs, and ops that change nothing.

use super::rewrite::{Rewrite, alive};
use crate::ops::{Binary, Constant, Unary};
use crate::{Error, Graph, Node, Op, OpRule, Type, Value};

pub(crate) fn drop_idle(graph: &Graph) -> Result<Graph, Error> {
    let mut rewrite = Rewrite::new(graph);
    for node in graph.nodes() {
        let inputs: Vec<Value> = node.inputs.iter().map(|v| rewrite.get(*v)).collect();
        match idle(&rewrite, node, &inputs) {
            Some(value) => rewrite.set(node.outputs[0], value),
            None => {
                let inputs = see_through(&rewrite, node, &inputs);
                rewrite.put(node, node.op.clone(), &inputs);
            }
        }
    }
    let graph = rewrite.finish()?;
    remove_dead(&graph)
}

/// The input that `node` hands on unchanged: `x * 1`, `x / 1`, `x + 0`, `x - 0`, or a copy.
fn idle(rewrite: &Rewrite<'_>, node: &Node, inputs: &[Value]) -> Option<Value> {
    let is = |value: Value, c: f32| rewrite.new.graph().producer(value).op == Op::Constant(Constant::F32(c));
    let candidate = match (&node.op, inputs) {
        (Op::Unary(Unary::Identity | Unary::StopGradient), [x]) => *x,
        (Op::Binary(Binary::Mul), [x, y]) if is(*y, 1.0) => *x,
        (Op::Binary(Binary::Mul), [x, y]) if is(*x, 1.0) => *y,
        (Op::Binary(Binary::Div), [x, y]) if is(*y, 1.0) => *x,
        (Op::Binary(Binary::Add | Binary::Sub), [x, y]) if is(*y, 0.0) => *x,
        (Op::Binary(Binary::Add), [x, y]) if is(*x, 0.0) => *y,
        _ => return None,
    };
    let same_type = rewrite.new.type_of(candidate) == Some(rewrite.old.type_of(node.outputs[0]));
    same_type.then_some(candidate)
}

/// For an elementwise op, inputs before their broadcast (or the reshape of a single element): the op broadcasts itself.
fn see_through(rewrite: &Rewrite<'_>, node: &Node, inputs: &[Value]) -> Vec<Value> {
    let mut inputs = inputs.to_vec();
    if !node.op.is_elementwise() {
        return inputs;
    }
    let graph = rewrite.new.graph();
    for i in 0..inputs.len() {
        loop {
            let producer = graph.producer(inputs[i]);
            let is_single = graph.type_of(inputs[i]).len() == 1;
            let source = match producer.op {
                Op::Broadcast(_) => producer.inputs[0],
                Op::Reshape(_) if is_single => producer.inputs[0],
                _ => break,
            };
            let before = std::mem::replace(&mut inputs[i], source);
            let types: Vec<&Type> = inputs.iter().map(|v| graph.type_of(*v)).collect();
            let keeps_type = node.op.infer(&types).is_ok_and(|t| t[0] == *rewrite.old.type_of(node.outputs[0]));
            if !keeps_type {
                inputs[i] = before;
                break;
            }
        }
    }
    inputs
}

pub(super) fn remove_dead(graph: &Graph) -> Result<Graph, Error> {
    let alive = alive(graph);
    let mut rewrite = Rewrite::new(graph);
    for (node, _) in graph.nodes().iter().zip(&alive).filter(|(_, alive)| **alive) {
        rewrite.copy(node);
    }
    rewrite.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    #[test]
    fn times_one_and_the_unused_go_away() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([4]));
        let y = g.mul_scalar(x, 1.0);
        g.mul_scalar(x, 3.0);
        let one = g.constant(2.0);
        let wide = g.broadcast(one, [4]);
        let z = g.add(y, wide);
        g.output("z", z);
        let graph = drop_idle(&g.finish().unwrap()).unwrap();
        let names: Vec<&str> = graph.nodes().iter().map(|n| n.op.name()).collect();
        assert_eq!(names, ["input", "constant", "add"]);
    }
}
