//! Nodes that compute the same thing from the same values become one.

use super::rewrite::Rewrite;
use crate::{Error, Graph, Op, Value};
use std::collections::HashMap;

pub(crate) fn merge_equal(graph: &Graph) -> Result<Graph, Error> {
    let mut rewrite = Rewrite::new(graph);
    let mut seen: HashMap<(String, Vec<Value>), Vec<Value>> = HashMap::new();
    for node in graph.nodes() {
        if matches!(node.op, Op::Input(_) | Op::State(_)) {
            rewrite.copy(node);
            continue;
        }
        let inputs: Vec<Value> = node.inputs.iter().map(|v| rewrite.get(*v)).collect();
        let key = (format!("{:?}", node.op), inputs);
        match seen.get(&key) {
            Some(outputs) => node.outputs.iter().zip(outputs).for_each(|(old, new)| rewrite.set(*old, *new)),
            None => {
                rewrite.copy(node);
                seen.insert(key, node.outputs.iter().map(|v| rewrite.get(*v)).collect());
            }
        }
    }
    rewrite.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Unary;
    use crate::{Builder, Type};

    #[test]
    fn the_same_op_on_the_same_value_is_computed_once() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([4]));
        let (a, b) = (g.unary(Unary::Exp, x), g.unary(Unary::Exp, x));
        let y = g.add(a, b);
        g.output("y", y);
        assert_eq!(merge_equal(&g.finish().unwrap()).unwrap().nodes().len(), 3);
    }
}
