//! Reverse-mode differentiation, graph to graph.

use crate::ops::{Backward, Gradient};
use crate::{Builder, Error, ErrorKind, OpRule, Type, Value};
use std::collections::HashMap;

/// Extends the graph by the gradients of the scalar `loss` by each of `parameters`.
///
/// The nodes are walked backwards once; each op's rule turns the gradient by its outputs into gradients by its inputs,
/// and gradients that meet are added in the order of the walk. A rule reads the forward values it names as inputs, so
/// the plan keeps exactly those.
///
/// # Errors
/// `ErrorKind::Gradient` when the loss is no scalar, or when it does not depend on a parameter: the message names the
/// ops that stopped the gradient on the way.
pub fn differentiate(g: &mut Builder, loss: Value, parameters: &[Value]) -> Result<Vec<Value>, Error> {
    let Some(ty) = g.type_of(loss) else {
        return Err(Error::new(g.faults().to_vec()));
    };
    if *ty != Type::f32([]) {
        return Err(Error::single(ErrorKind::Gradient, "loss", format!("a loss must be one number, got {ty}"))
            .help("reduce it, for example with the mean over the batch"));
    }
    let needed = reach_forward(g, parameters);
    let one = g.constant(1.0);
    let mut gradients: HashMap<Value, Value> = HashMap::from([(loss, one)]);
    let mut stops: Vec<String> = Vec::new();
    let count = g.graph().nodes().len();
    pull_back(g, count, &mut gradients, &needed, &mut stops);
    parameters.iter().map(|p| gradients.get(p).copied().ok_or_else(|| no_gradient(g, *p, &stops))).collect()
}

/// Walks back through the first `count` nodes from the values whose gradients are there, and adds the gradients by the
/// values that are `needed`; `stops` is told of ops that have none.
pub(crate) fn pull_back(
    g: &mut Builder,
    count: usize,
    gradients: &mut HashMap<Value, Value>,
    needed: &[bool],
    stops: &mut Vec<String>,
) {
    for index in (0..count).rev() {
        let node = &g.graph().nodes()[index];
        if !node.inputs.iter().any(|v| needed[v.index()]) {
            continue;
        }
        let dy: Vec<Option<Value>> = node.outputs.iter().map(|v| gradients.get(v).copied()).collect();
        if dy.iter().all(Option::is_none) {
            continue;
        }
        let node = node.clone();
        g.enter(&format!("{}/gradient", node.path));
        let rule = Backward { graph: g, inputs: &node.inputs, outputs: &node.outputs, dy: &dy };
        match node.op.gradient(rule) {
            Gradient::NotDifferentiable(reason) => {
                stops.push(format!("`{}` in `{}`: {reason}", node.op.name(), node.path));
            }
            Gradient::Inputs(inputs) => {
                for (input, dx) in node.inputs.iter().zip(inputs) {
                    if let Some(dx) = dx.filter(|_| needed.get(input.index()) == Some(&true)) {
                        let sum = gradients.get(input).map_or(dx, |&before| g.add(before, dx));
                        gradients.insert(*input, sum);
                    }
                }
            }
        }
        g.leave();
    }
}

/// Which values depend on one of `sources`.
pub(crate) fn reach_forward(g: &Builder, sources: &[Value]) -> Vec<bool> {
    let mut reached = vec![false; g.graph().values().len()];
    for source in sources {
        reached[source.index()] = true;
    }
    for node in g.graph().nodes() {
        if node.inputs.iter().any(|v| reached[v.index()]) {
            node.outputs.iter().for_each(|v| reached[v.index()] = true);
        }
    }
    reached
}

fn no_gradient(g: &Builder, parameter: Value, stops: &[String]) -> Error {
    let name = g.graph().states().iter().find(|s| s.value == parameter).map_or("a value", |s| s.name.as_str());
    let mut message = format!("the loss does not depend on `{name}`");
    for stop in stops {
        message.push_str("\n  stopped at op ");
        message.push_str(stop);
    }
    Error::single(ErrorKind::Gradient, name, message).help("freeze the parameter, or remove what stops the gradient")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::ops::Unary;

    #[test]
    fn a_stopped_gradient_names_the_op() {
        let mut g = Builder::new();
        let w = g.state("dense/kernel", Type::f32([2]), Role::Parameter);
        g.enter("dense");
        let y = g.unary(Unary::Floor, w);
        g.leave();
        let loss = g.sum_all(y);
        let error = differentiate(&mut g, loss, &[w]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gradient);
        assert!(error.to_string().contains("stopped at op `floor` in `dense`"), "{error}");
    }

    #[test]
    fn gradients_that_meet_are_added() {
        let mut g = Builder::new();
        let w = g.state("w", Type::f32([]), Role::Parameter);
        let square = g.mul(w, w);
        let gradient = differentiate(&mut g, square, &[w]).unwrap()[0];
        g.output("gradient", gradient);
        assert!(g.finish().unwrap().to_string().contains("output gradient"));
    }
}
