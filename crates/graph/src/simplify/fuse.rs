//! Elementwise ops become programs that pass over memory once.
//!
//! A node joins the program of its readers when all of them are in that one program, it has the program's shape and no
//! result needs it; so a program has one output, and fusing can never make a cycle. The instructions are the ops
//! themselves in their own order, so the bytes of the result stay the same.

use super::rewrite::Rewrite;
use crate::ops::{Constant, Instruction, Operand, Program};
use crate::{Error, Graph, Node, NodeIndex, Op, Value};
use footlight_tensor::DType;
use std::collections::{HashMap, HashSet};

pub(crate) fn fuse_elementwise(graph: &Graph) -> Result<Graph, Error> {
    let roots = roots(graph);
    let mut members: HashMap<NodeIndex, Vec<NodeIndex>> = HashMap::new();
    for (index, root) in roots.iter().enumerate() {
        if let Some(root) = root {
            members.entry(*root).or_default().push(index);
        }
    }
    let mut rewrite = Rewrite::new(graph);
    for (index, node) in graph.nodes().iter().enumerate() {
        match roots[index] {
            None => rewrite.copy(node),
            Some(root) if root == index => {
                let (program, inputs) = assemble(graph, &rewrite, &members[&root]);
                rewrite.put(node, program.into(), &inputs);
            }
            Some(_) => {}
        }
    }
    rewrite.finish()
}

/// For each node that takes part, the node whose output its program yields.
pub(super) fn roots(graph: &Graph) -> Vec<Option<NodeIndex>> {
    let users = graph.users();
    let results: HashSet<Value> = graph.results().collect();
    let mut roots: Vec<Option<NodeIndex>> = vec![None; graph.nodes().len()];
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        let output = node.outputs[0];
        let ty = graph.type_of(output);
        if !node.op.is_elementwise() || ty.dtype != DType::F32 {
            continue;
        }
        let readers: HashSet<Option<NodeIndex>> = users[output.index()].iter().map(|&u| roots[u]).collect();
        let joins = match readers.iter().next() {
            Some(Some(root)) if readers.len() == 1 && !results.contains(&output) => {
                (graph.type_of(graph.nodes()[*root].outputs[0]) == ty).then_some(*root)
            }
            _ => None,
        };
        roots[index] = Some(joins.unwrap_or(index));
    }
    roots
}

fn assemble(graph: &Graph, rewrite: &Rewrite<'_>, members: &[NodeIndex]) -> (Program, Vec<Value>) {
    let mut inputs: Vec<Value> = Vec::new();
    let mut registers: HashMap<Value, usize> = HashMap::new();
    let mut instructions = Vec::new();
    for &member in members {
        let node = &graph.nodes()[member];
        let mut input = |value: Value| {
            let value = rewrite.get(value);
            inputs.iter().position(|v| *v == value).unwrap_or_else(|| {
                inputs.push(value);
                inputs.len() - 1
            })
        };
        let mut operand = |value: Value| match (registers.get(&value), &graph.producer(value).op) {
            (Some(register), _) => Operand::Register(*register),
            (None, Op::Constant(Constant::F32(c))) => Operand::Constant(*c),
            _ => Operand::Input(input(value)),
        };
        instructions.push(instruction(node, &mut operand));
        registers.insert(node.outputs[0], instructions.len() - 1);
    }
    let root = &graph.nodes()[members[members.len() - 1]];
    (Program { instructions, shape: graph.type_of(root.outputs[0]).shape.clone() }, inputs)
}

fn instruction(node: &Node, operand: &mut dyn FnMut(Value) -> Operand) -> Instruction {
    match (&node.op, node.inputs.as_slice()) {
        (Op::Unary(kind), [x]) => Instruction::Unary(*kind, operand(*x)),
        (Op::Binary(kind), [a, b]) => Instruction::Binary(*kind, operand(*a), operand(*b)),
        (Op::Select(_), [c, a, b]) => Instruction::Select(operand(*c), operand(*a), operand(*b)),
        (Op::RandomUniform(random), [step]) => match operand(*step) {
            Operand::Input(step) => Instruction::Uniform { key: random.key, step },
            other => unreachable!("a step is an input, not {other:?}"),
        },
        (op, _) => unreachable!("{op} is not elementwise"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Unary;
    use crate::{Builder, OpRule, Type};

    #[test]
    fn a_chain_becomes_one_program_and_the_old_nodes_are_gone() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([4, 3]));
        let b = g.input("b", Type::f32([3]));
        let y = g.add(x, b);
        let y = g.unary(Unary::Tanh, y);
        let y = g.mul_scalar(y, 2.0);
        g.output("y", y);
        let graph = fuse_elementwise(&g.finish().unwrap()).unwrap();
        let program = graph.producer(graph.output("y").unwrap());
        assert_eq!(program.op.attributes(), "add tanh mul");
        assert_eq!(program.inputs.len(), 2);
        assert!(graph.nodes().iter().all(|n| !matches!(n.op, Op::Unary(_) | Op::Binary(_))));
    }

    #[test]
    fn a_value_that_is_read_outside_ends_its_program() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([4]));
        let y = g.unary(Unary::Exp, x);
        let sum = g.sum_all(y);
        let z = g.div(y, sum);
        g.output("z", z);
        let graph = fuse_elementwise(&g.finish().unwrap()).unwrap();
        assert_eq!(graph.nodes().iter().filter(|n| matches!(n.op, Op::Program(_))).count(), 2);
    }
}
