//! The graph as a value: nodes in topological order, typed values, states and outputs.

use crate::{Error, ErrorKind, Op, OpRule};
use footlight_tensor::{DType, display_shape};
use std::fmt;

/// Names one value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

impl Value {
    /// The position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The position of a node in [`Graph::nodes`].
pub type NodeIndex = usize;

/// Shape and element type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// `F32` or `I32`.
    pub dtype: DType,
}

impl Type {
    /// The most elements that a value of a graph may have.
    pub const LARGEST: usize = 1 << 40;

    /// A type of 32-bit floats.
    pub fn f32(shape: impl Into<Vec<usize>>) -> Type {
        Type { shape: shape.into(), dtype: DType::F32 }
    }

    /// A type of 32-bit integers.
    pub fn i32(shape: impl Into<Vec<usize>>) -> Type {
        Type { shape: shape.into(), dtype: DType::I32 }
    }

    /// The number of elements, or the largest number there is if they are more.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |count, extent| count.saturating_mul(*extent))
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The bytes of all elements, or the largest number there is if they are more.
    pub fn size_bytes(&self) -> usize {
        self.len().saturating_mul(self.dtype.size_bytes())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = match self.dtype {
            DType::F32 => "f32",
            DType::I32 => "i32",
            other => other.name(),
        };
        write!(f, "{dtype}{}", display_shape(&self.shape))
    }
}

/// One application of an op.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// What it writes.
    pub outputs: Vec<Value>,
    /// The layer that asked for it, such as `encoder/dense_2`.
    pub path: String,
}

/// What a state is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Learned by gradients.
    Parameter,
    /// Carried along but not learned: moving statistics, frozen parameters.
    Statistic,
    /// An optimizer's memory: slots, iteration, learning rate.
    Slot,
    /// Sums of a metric.
    Metric,
}

/// A value that outlives the step: it enters as `value` and leaves as `next`.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSlot {
    /// A unique name, such as `dense/kernel`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The value as the step begins.
    pub value: Value,
    /// The value as the step ends, if the step changes it.
    pub next: Option<Value>,
}

/// A static graph: nodes in topological order, the values they make, the states and the named outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) types: Vec<Type>,
    pub(crate) producers: Vec<NodeIndex>,
    pub(crate) states: Vec<StateSlot>,
    pub(crate) outputs: Vec<(String, Value)>,
}

impl Graph {
    /// The nodes; each reads only values of earlier nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The types of all values.
    pub fn values(&self) -> &[Type] {
        &self.types
    }

    /// The type of `value`.
    pub fn type_of(&self, value: Value) -> &Type {
        &self.types[value.index()]
    }

    /// The node that makes `value`.
    pub fn producer(&self, value: Value) -> &Node {
        &self.nodes[self.producers[value.index()]]
    }

    /// The position of the node that makes `value`.
    pub fn producer_index(&self, value: Value) -> NodeIndex {
        self.producers[value.index()]
    }

    /// The states.
    pub fn states(&self) -> &[StateSlot] {
        &self.states
    }

    /// The state of this name.
    pub fn state(&self, name: &str) -> Option<&StateSlot> {
        self.states.iter().find(|s| s.name == name)
    }

    /// The named outputs.
    pub fn outputs(&self) -> &[(String, Value)] {
        &self.outputs
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    /// The named inputs in order of creation.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Value)> {
        self.nodes.iter().filter_map(|n| match &n.op {
            Op::Input(input) => Some((input.name.as_str(), n.outputs[0])),
            _ => None,
        })
    }

    /// What a scan gives to this graph as its body, in order.
    pub fn given(&self) -> impl Iterator<Item = Value> {
        self.nodes.iter().filter(|n| matches!(n.op, Op::Given(_))).map(|n| n.outputs[0])
    }

    /// Every value that must be there when the step ends: outputs and next states.
    pub fn results(&self) -> impl Iterator<Item = Value> {
        self.outputs.iter().map(|(_, v)| *v).chain(self.states.iter().filter_map(|s| s.next))
    }

    /// For each value, the nodes that read it (once per reading argument).
    pub fn users(&self) -> Vec<Vec<NodeIndex>> {
        let mut users = vec![Vec::new(); self.types.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                users[input.index()].push(index);
            }
        }
        users
    }

    /// Checks that the graph is legal: topological order, one producer per value, types as the ops' rules say, states
    /// whose next value has their own type, unique names.
    ///
    /// # Errors
    /// `ErrorKind::Invalid` with every breach found.
    pub fn verify(&self) -> Result<(), Error> {
        let mut breaches = Vec::new();
        let mut made = vec![false; self.types.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                if !made.get(input.index()).copied().unwrap_or(false) {
                    breaches.push(format!("node {index} {} reads %{} before it is made", node.op.name(), input.0));
                }
            }
            let inputs: Vec<&Type> = node.inputs.iter().map(|v| self.type_of(*v)).collect();
            match node.op.infer(&inputs) {
                Err(message) => breaches.push(format!("node {index} {}: {message}", node.op.name())),
                Ok(types) => {
                    let recorded: Vec<&Type> = node.outputs.iter().map(|v| self.type_of(*v)).collect();
                    if let Op::Scan(scan) = &node.op
                        && let Err(error) = scan.body.verify()
                    {
                        breaches.push(format!("node {index} scan: its body: {error}"));
                    }
                    if types.iter().collect::<Vec<_>>() != recorded {
                        breaches.push(format!("node {index} {}: recorded types differ from its rule", node.op.name()));
                    }
                }
            }
            for output in &node.outputs {
                if std::mem::replace(&mut made[output.index()], true) || self.producers[output.index()] != index {
                    breaches.push(format!("%{} has two producers", output.0));
                }
            }
        }
        let mut names: Vec<&str> = self.states.iter().map(|s| s.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|w| w[0] == w[1]) {
            breaches.push(format!("two states are called `{}`", pair[0]));
        }
        for state in &self.states {
            if let Some(next) = state.next.filter(|next| self.type_of(*next) != self.type_of(state.value)) {
                breaches.push(format!(
                    "state `{}` is {} but its next value is {}",
                    state.name,
                    self.type_of(state.value),
                    self.type_of(next)
                ));
            }
        }
        if breaches.is_empty() {
            return Ok(());
        }
        Err(Error::single(ErrorKind::Invalid, "graph", breaches.join("\n  ")))
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let list = |values: &[Value]| values.iter().map(|v| format!("%{}", v.0)).collect::<Vec<_>>().join(", ");
            write!(f, "{} = {}", list(&node.outputs), node.op)?;
            if !node.inputs.is_empty() {
                write!(f, "({})", list(&node.inputs))?;
            }
            let types: Vec<String> = node.outputs.iter().map(|v| self.type_of(*v).to_string()).collect();
            write!(f, ": {}", types.join(", "))?;
            if !node.path.is_empty() {
                write!(f, "  # {}", node.path)?;
            }
            writeln!(f)?;
        }
        for state in &self.states {
            if let Some(next) = state.next {
                writeln!(f, "state {} <- %{}", state.name, next.0)?;
            }
        }
        for (name, value) in &self.outputs {
            writeln!(f, "output {name} = %{}", value.0)?;
        }
        Ok(())
    }
}
