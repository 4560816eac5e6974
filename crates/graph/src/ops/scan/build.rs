//! Recording a scan: the body is recorded where the builder is, then taken out.

use super::Scan;
use crate::builder::POISON;
use crate::ops::Given;
use crate::{Builder, ErrorKind, Graph, NodeIndex, Op, OpRule, Type, Value};
use std::sync::Arc;

/// What a body answers: the next carries and one step of each result; and what a scan gives: the last carries and the
/// results of all steps.
pub type Turn = (Vec<Value>, Vec<Value>);

impl Builder {
    /// `carries, y_t = body(constants, carries, x_t)` for `length` steps, the last first if `reverse`; see [`Scan`].
    ///
    /// The body is called once, with what it is given in one step, and answers the next carries and one step of each
    /// result. It may read nothing else that was made outside of it.
    ///
    /// # Examples
    /// ```
    /// use footlight_graph::{Builder, Type};
    /// let mut g = Builder::new();
    /// let (zero, x) = (g.constant(0.0), g.input("x", Type::f32([5])));
    /// let (sums, all) = g.scan(5, false, &[], &[zero], &[x], |g, _, sum, x| {
    ///     let sum = g.add(sum[0], x[0]);
    ///     (vec![sum], vec![sum])
    /// });
    /// assert_eq!((g.shape(sums[0]), g.shape(all[0])), (vec![], vec![5]));
    /// ```
    pub fn scan(
        &mut self,
        length: usize,
        reverse: bool,
        constants: &[Value],
        carries: &[Value],
        sequences: &[Value],
        body: impl FnOnce(&mut Builder, &[Value], &[Value], &[Value]) -> Turn,
    ) -> Turn {
        let inputs = [constants, carries, sequences].concat();
        let outside = Lengths::of(self.graph());
        let first_sequence = constants.len() + carries.len();
        let given: Vec<Value> =
            inputs.iter().enumerate().map(|(i, v)| self.give(i, *v, (i >= first_sequence).then_some(length))).collect();
        let (rest, steps) = given.split_at(first_sequence);
        let (next, results) = body(self, &rest[..constants.len()], &rest[constants.len()..], steps);
        if next.len() != carries.len() {
            let message = format!("op `scan`: {} carries go in, its body makes {}", carries.len(), next.len());
            self.fault(ErrorKind::Invalid, message, None);
        }
        let made = [next.as_slice(), results.as_slice()].concat();
        let body = self.take_body(outside, &made);
        let is_poison = given.iter().chain(&made).any(|v| self.is_poison(*v));
        let mut outputs = match body.filter(|_| !is_poison && next.len() == carries.len()) {
            Some(body) => {
                let (constants, carries) = (constants.len(), carries.len());
                self.push(Scan { body: Arc::new(body), length, reverse, constants, carries }, &inputs)
            }
            None => vec![POISON; made.len()],
        };
        let results = outputs.split_off(next.len());
        (outputs, results)
    }

    /// What the body sees of input `index`: all of it, or one step of a sequence of so many.
    fn give(&mut self, index: usize, input: Value, steps: Option<usize>) -> Value {
        let Some(mut ty) = self.type_of(input).cloned() else { return POISON };
        if let Some(steps) = steps {
            if ty.shape.first() != Some(&steps) {
                return self.fault(ErrorKind::Shape, format!("op `scan` of {steps} steps: its sequence is {ty}"), None);
            }
            ty.shape.remove(0);
        }
        self.push(Given { index, ty }, &[])[0]
    }

    /// Takes out what was recorded since, as a graph of its own; nothing if it reads what it was not given.
    fn take_body(&mut self, outside: Lengths, made: &[Value]) -> Option<Graph> {
        let graph = self.graph_mut();
        let mut nodes = graph.nodes.split_off(outside.nodes);
        let types = graph.types.split_off(outside.values);
        let producers = graph.producers.split_off(outside.values);
        graph.outputs.truncate(outside.outputs);
        let has_states = graph.states.len() > outside.states;
        graph.states.truncate(outside.states);
        let is_inside = |v: &Value| v.index() >= outside.values && *v != POISON;
        let mut is_closed = !has_states && made.iter().all(is_inside);
        for state in graph.states.iter_mut().filter(|s| s.next.as_ref().is_some_and(is_inside)) {
            state.next = None;
            is_closed = false;
        }
        if has_states {
            self.fault(ErrorKind::Invalid, "op `scan`: its body has a state", Some("carry it from step to step"));
        }
        let is_outside = |v: &Value| v.index() < outside.values;
        let readers = nodes.iter().filter(|n| n.inputs.iter().any(is_outside));
        let foreign: Vec<(String, String)> =
            readers.map(|n| (n.path.clone(), format!("op `{}`", n.op.name()))).collect();
        let answered = made.iter().filter(|v| is_outside(v)).map(|_| (self.path(), "the answer".to_string()));
        let foreign: Vec<(String, String)> = foreign.into_iter().chain(answered).collect();
        is_closed &= foreign.is_empty();
        for (path, what) in foreign {
            let message = format!("op `scan`: {what} of its body reads a value made outside of it");
            self.fault_at(path, ErrorKind::Invalid, message, Some("pass it as a constant"));
        }
        if !is_closed {
            return None;
        }
        let inner = |v: &Value| Value(v.0 - outside.values as u32);
        for node in &mut nodes {
            node.inputs.iter_mut().chain(&mut node.outputs).for_each(|v| *v = inner(v));
        }
        let producers = producers.into_iter().map(|p| p - outside.nodes).collect();
        let outputs = made.iter().enumerate().map(|(j, v)| (j.to_string(), inner(v))).collect();
        Some(Graph { nodes, types, producers, states: Vec::new(), outputs })
    }

    /// Lets `op` take the place of a node's, with outputs of `types` after those it has; answers all.
    pub(crate) fn amend(&mut self, node: NodeIndex, op: impl Into<Op>, types: Vec<Type>) -> Vec<Value> {
        let graph = self.graph_mut();
        let first = graph.types.len() as u32;
        let added = (first..first + types.len() as u32).map(Value);
        graph.nodes[node].op = op.into();
        graph.nodes[node].outputs.extend(added);
        graph.producers.extend(types.iter().map(|_| node));
        graph.types.extend(types);
        graph.nodes[node].outputs.clone()
    }
}

/// How much a graph holds.
#[derive(Clone, Copy)]
struct Lengths {
    nodes: usize,
    values: usize,
    states: usize,
    outputs: usize,
}

impl Lengths {
    fn of(graph: &Graph) -> Lengths {
        let Graph { nodes, types, states, outputs, .. } = graph;
        Lengths { nodes: nodes.len(), values: types.len(), states: states.len(), outputs: outputs.len() }
    }
}
