//! The walk that every rule shares.

use crate::{Builder, Error, Graph, Node, NodeIndex, Op, Value};

/// Copies a graph node by node, letting a rule answer another value for a node's output.
pub(crate) struct Rewrite<'a> {
    /// The graph that is read.
    pub old: &'a Graph,
    /// The graph that is made.
    pub new: Builder,
    map: Vec<Option<Value>>,
}

impl<'a> Rewrite<'a> {
    pub(crate) fn new(old: &'a Graph) -> Rewrite<'a> {
        Rewrite { old, new: Builder::new(), map: vec![None; old.values().len()] }
    }

    /// The new value that stands for `value`, if there is one yet.
    pub(crate) fn find(&self, value: Value) -> Option<Value> {
        self.map[value.index()]
    }

    /// The new value that stands for `value`.
    pub(crate) fn get(&self, value: Value) -> Value {
        self.map[value.index()].expect("nodes are walked in order")
    }

    /// Lets `new` stand for `old`.
    pub(crate) fn set(&mut self, old: Value, new: Value) {
        self.map[old.index()] = Some(new);
    }

    /// Copies `node` with its inputs replaced.
    pub(crate) fn copy(&mut self, node: &Node) {
        let inputs: Vec<Value> = node.inputs.iter().map(|v| self.get(*v)).collect();
        self.put(node, node.op.clone(), &inputs);
    }

    /// Records `op` in place of `node`.
    pub(crate) fn put(&mut self, node: &Node, op: Op, inputs: &[Value]) {
        self.new.enter(&node.path);
        let outputs = match &op {
            Op::State(state) => vec![self.new.state(&state.name, state.ty.clone(), state.role)],
            _ => self.new.push(op, inputs),
        };
        self.new.leave();
        for (old, new) in node.outputs.iter().zip(outputs) {
            self.set(*old, new);
        }
    }

    /// Carries over next states and outputs and verifies the new graph.
    pub(crate) fn finish(mut self) -> Result<Graph, Error> {
        for state in self.old.states() {
            if let Some(next) = state.next {
                let (value, next) = (self.get(state.value), self.get(next));
                self.new.set_next(value, next);
            }
        }
        for (name, value) in self.old.outputs() {
            let value = self.get(*value);
            self.new.output(name, value);
        }
        self.new.finish()
    }
}

/// Whether a node reads nothing.
pub(crate) fn is_source(op: &Op) -> bool {
    matches!(op, Op::Input(_) | Op::State(_) | Op::Given(_) | Op::Constant(_))
}

/// Which nodes a result depends on; what is given from outside is always kept.
pub(crate) fn alive(graph: &Graph) -> Vec<bool> {
    let is_given = |op: &Op| is_source(op) && !matches!(op, Op::Constant(_));
    let mut alive: Vec<bool> = graph.nodes().iter().map(|n| is_given(&n.op)).collect();
    let mut open: Vec<NodeIndex> = graph.results().map(|v| graph.producer_index(v)).collect();
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut alive[index], true) {
            open.extend(graph.nodes()[index].inputs.iter().map(|v| graph.producer_index(*v)));
        }
    }
    alive
}
