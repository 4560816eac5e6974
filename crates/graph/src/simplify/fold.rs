//! Ops on numbers known when the graph is made become numbers.

use super::Fold;
use super::rewrite::Rewrite;
use crate::ops::Constant;
use crate::{Error, Graph, Op, Value};

pub(crate) fn fold(graph: &Graph, target: &dyn Fold) -> Result<Graph, Error> {
    let mut rewrite = Rewrite::new(graph);
    for node in graph.nodes() {
        let constants: Option<Vec<Constant>> = node.inputs.iter().map(|v| constant(&rewrite, *v)).collect();
        let is_foldable = matches!(node.op, Op::Unary(_) | Op::Binary(_) | Op::Cast(_));
        match constants.filter(|_| is_foldable).and_then(|inputs| target.fold(&node.op, &inputs)) {
            Some(value) => rewrite.put(node, value.into(), &[]),
            None => rewrite.copy(node),
        }
    }
    rewrite.finish()
}

/// The number behind `value`, if it is one.
fn constant(rewrite: &Rewrite<'_>, value: Value) -> Option<Constant> {
    match rewrite.new.graph().producer(rewrite.get(value)).op {
        Op::Constant(constant) => Some(constant),
        _ => None,
    }
}
