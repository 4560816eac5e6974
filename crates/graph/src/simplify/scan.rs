//! Scans do not carry, stack or read what nobody needs, and compute once what is the same in every step; a body is
//! simplified as a graph of its own.

use super::rewrite::{Rewrite, is_source};
use super::{Fold, simplify};
use crate::ops::{Given, Scan};
use crate::{Error, Graph, Node, Op, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) fn tighten_scans(graph: &Graph, target: &dyn Fold) -> Result<Graph, Error> {
    let needed = needed(graph);
    let mut rewrite = Rewrite::new(graph);
    for node in graph.nodes() {
        let outputs: Vec<bool> = node.outputs.iter().map(|v| needed[v.index()]).collect();
        match &node.op {
            op if !is_source(op) && !outputs.contains(&true) => {}
            Op::Scan(scan) => tighten(&mut rewrite, node, scan, &outputs, target)?,
            _ => rewrite.copy(node),
        }
    }
    rewrite.finish()
}

/// Which values a result depends on, through scans only by what they read for it.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.values().len()];
    graph.results().for_each(|v| needed[v.index()] = true);
    for node in graph.nodes().iter().rev() {
        let outputs: Vec<bool> = node.outputs.iter().map(|v| needed[v.index()]).collect();
        if outputs.contains(&true) {
            let reads = match &node.op {
                Op::Scan(scan) => Kept::new(scan, &outputs).inputs,
                _ => vec![true; node.inputs.len()],
            };
            node.inputs.iter().zip(reads).filter(|(_, is_read)| *is_read).for_each(|(v, _)| needed[v.index()] = true);
        }
    }
    needed
}

/// What of a scan is needed for some of its outputs.
struct Kept {
    inputs: Vec<bool>,
    outputs: Vec<bool>,
    /// Values of the body.
    values: Vec<bool>,
}

impl Kept {
    fn nodes<'a>(&'a self, body: &'a Graph) -> impl Iterator<Item = &'a Node> {
        body.nodes().iter().filter(|n| n.outputs.iter().any(|v| self.values[v.index()]))
    }

    /// A carry is kept if it is asked for or if what is kept reads it.
    fn new(scan: &Scan, outputs: &[bool]) -> Kept {
        let body = &scan.body;
        let given: Vec<Value> = body.given().collect();
        let mut outputs = outputs.to_vec();
        loop {
            let mut values = vec![false; body.values().len()];
            let made = body.outputs().iter().zip(&outputs).filter(|(_, is_kept)| **is_kept);
            made.for_each(|((_, v), _)| values[v.index()] = true);
            for node in body.nodes().iter().rev().filter(|n| !is_source(&n.op)) {
                if node.outputs.iter().any(|v| values[v.index()]) {
                    node.inputs.iter().for_each(|v| values[v.index()] = true);
                }
            }
            let is_read = |i: usize| values[given[i].index()];
            let more: Vec<usize> = (0..scan.carries).filter(|c| !outputs[*c] && is_read(scan.constants + c)).collect();
            if more.is_empty() {
                let is_kept = |i: usize| scan.carry(i).map_or(is_read(i), |carry| outputs[carry]);
                return Kept { inputs: (0..given.len()).map(is_kept).collect(), outputs, values };
            }
            more.into_iter().for_each(|carry| outputs[carry] = true);
        }
    }
}

fn tighten(
    rewrite: &mut Rewrite<'_>,
    node: &Node,
    scan: &Scan,
    outputs: &[bool],
    target: &dyn Fold,
) -> Result<(), Error> {
    let kept = Kept::new(scan, outputs);
    let mut body = Rewrite::new(&scan.body);
    let outside = hoist(rewrite, node, scan, &kept);
    let mut inputs = Vec::new();
    for value in invariants_read(scan, &kept, &outside) {
        give(&mut body, &mut inputs, value, outside[&value]);
    }
    let constants = inputs.len();
    for (i, given) in scan.body.given().enumerate().filter(|(i, _)| kept.inputs[*i] && !scan.is_constant(*i)) {
        give(&mut body, &mut inputs, given, rewrite.get(node.inputs[i]));
    }
    for inner in kept.nodes(&scan.body) {
        if !matches!(inner.op, Op::Given(_)) && !outside.contains_key(&inner.outputs[0]) {
            body.copy(inner);
        }
    }
    for ((name, value), _) in scan.body.outputs().iter().zip(&kept.outputs).filter(|(_, is_kept)| **is_kept) {
        let value = body.get(*value);
        body.new.output(name, value);
    }
    let body = Arc::new(simplify(&body.new.finish()?, target)?.graph);
    let carries = kept.outputs[..scan.carries].iter().filter(|is_kept| **is_kept).count();
    let tight = Scan { body, constants, carries, ..scan.clone() };
    rewrite.new.enter(&node.path);
    let made = rewrite.new.push(tight, &inputs);
    rewrite.new.leave();
    let old = node.outputs.iter().zip(&kept.outputs).filter(|(_, is_kept)| **is_kept).map(|(v, _)| *v);
    old.zip(made).for_each(|(old, new)| rewrite.set(old, new));
    Ok(())
}

/// Computes before the scan what depends on its constants alone; answers, for each value of the body that is the same in
/// every step, the value outside that it is.
fn hoist(rewrite: &mut Rewrite<'_>, node: &Node, scan: &Scan, kept: &Kept) -> HashMap<Value, Value> {
    let body = &*scan.body;
    let constants = body.given().enumerate().filter(|(i, _)| scan.is_constant(*i) && kept.inputs[*i]);
    let mut outside: HashMap<Value, Value> = constants.map(|(i, v)| (v, rewrite.get(node.inputs[i]))).collect();
    for inner in kept.nodes(body).filter(|n| !is_source(&n.op)) {
        let number = |v: &Value| match &body.producer(*v).op {
            Op::Constant(number) => Some(*number),
            _ => None,
        };
        if !inner.inputs.iter().all(|v| outside.contains_key(v) || number(v).is_some()) {
            continue;
        }
        rewrite.new.enter(&inner.path);
        let mut inputs = Vec::new();
        for v in &inner.inputs {
            inputs.push(match number(v) {
                Some(number) => rewrite.new.push(number, &[])[0],
                None => outside[v],
            });
        }
        let made = rewrite.new.push(inner.op.clone(), &inputs);
        rewrite.new.leave();
        outside.extend(inner.outputs.iter().copied().zip(made));
    }
    outside
}

/// Which of the values `outside` the body still reads or answers.
fn invariants_read(scan: &Scan, kept: &Kept, outside: &HashMap<Value, Value>) -> BTreeSet<Value> {
    let body = &*scan.body;
    let readers = kept.nodes(body).filter(|n| !outside.contains_key(&n.outputs[0]));
    let made = body.outputs().iter().zip(&kept.outputs).filter(|(_, is_kept)| **is_kept).map(|((_, v), _)| *v);
    readers.flat_map(|n| n.inputs.iter().copied()).chain(made).filter(|v| outside.contains_key(v)).collect()
}

/// Gives the body `operand` for its value `value`.
fn give(body: &mut Rewrite<'_>, inputs: &mut Vec<Value>, value: Value, operand: Value) {
    let ty = body.old.type_of(value).clone();
    let given = body.new.push(Given { index: inputs.len(), ty }, &[])[0];
    inputs.push(operand);
    body.set(value, given);
}
