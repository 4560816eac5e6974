//! Fixes, before anything runs, in which order a graph is computed, where every value lies and how work is split.
//!
//! A plan is a list of *phases*; one begins when the last is done. A phase holds *chains* that do not depend on each other; a
//! chain is a list of steps that all work on the same number of rows, where a step reads of earlier steps of its chain
//! only the rows it writes itself. So a chain is cut into blocks of rows, each block runs all steps depth first while
//! its data is in cache, and workers claim blocks. Blocks depend on shapes alone: any number of workers gives the same
//! bytes.
//!
//! Values that live within one chain lie in the worker's *scratch*, one block at a time; values that cross a phase lie
//! in the *arena*, where values whose phases do not overlap share space; states lie in their own store and are updated
//! in place.
//!
//! A scan is a chain of its own, whose body has a plan of its own (see [`Body`]). Where that is one chain, rows do not depend
//! on each other through time: a worker runs all steps on a block of rows, with no barrier between them.

mod body;
mod legal;
mod memory;
mod print;
mod schedule;

pub use body::Body;
pub use legal::verify;
pub(crate) use schedule::phases;

use crate::{Error, Graph, Node, NodeIndex, Op, Value};
use std::ops::Range;

/// What a backend tells the planner.
pub trait Target {
    /// Every place starts at a multiple of this many bytes.
    fn alignment(&self) -> usize {
        64
    }

    /// Bytes each worker needs for this node as long as its phase runs, such as a packed operand.
    fn phase_scratch(&self, graph: &Graph, node: &Node) -> usize;

    /// Bytes each worker needs while it runs one block of this node.
    fn block_scratch(&self, graph: &Graph, node: &Node, rows: usize) -> usize;

    /// The work of the whole node, in floating-point operations or their equivalent in time.
    fn cost(&self, graph: &Graph, node: &Node) -> f64;

    /// The fewest rows per block at which this node still runs well.
    fn rows_wanted(&self, graph: &Graph, node: &Node) -> usize;

    /// The work per block to aim for: small enough to share out evenly, large enough to hide the claiming.
    fn block_cost(&self) -> f64;
}

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nobody needs it.
    Nowhere,
    /// In the store of states, by position in [`Graph::states`].
    State(usize),
    /// A number of the graph, by node.
    Constant(NodeIndex),
    /// In the arena, at this byte.
    Arena(usize),
    /// In the worker's scratch, at this byte; only the rows of the current block are there.
    Scratch(usize),
    /// In a body: where what the scan gives lies, by position.
    Given(usize),
    /// In a body: where the scan wants this output.
    Output(usize),
}

/// How a step reads an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only the rows it writes.
    Rows,
    /// Only the rows it writes, of a value that was made under other rows: all of it must be there before.
    RowsOfWhole,
    /// Any of it.
    Whole,
}

/// One op of a chain.
#[derive(Clone, Debug)]
pub struct Step {
    /// The node.
    pub node: NodeIndex,
    /// How each input is read.
    pub access: Vec<Access>,
    /// The bytes of the worker's scratch that the node has for its phase.
    pub phase_scratch: Range<usize>,
    /// The bytes of the worker's scratch that the node has while it runs one block.
    pub block_scratch: Range<usize>,
    /// The plan of a scan's body.
    pub body: Option<Box<Body>>,
}

/// Steps that run depth first on blocks of rows.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Rows of every value the chain writes.
    pub rows: usize,
    /// Rows per block; the last block may have fewer.
    pub block_rows: usize,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// The work of the chain.
    pub cost: f64,
}

impl Chain {
    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.rows.div_ceil(self.block_rows).max(1)
    }

    /// The bytes of one block of `value`, which the chain writes.
    pub(crate) fn block_bytes(&self, graph: &Graph, value: Value) -> usize {
        graph.type_of(value).size_bytes() / self.rows.max(1) * self.block_rows
    }
}

/// Chains that do not depend on each other.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    /// The chains, the costliest first.
    pub chains: Vec<Chain>,
}

impl Phase {
    /// The blocks of all chains.
    pub fn blocks(&self) -> usize {
        self.chains.iter().map(Chain::blocks).sum()
    }
}

/// A graph with its order, places and split of work.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The graph, made ready: every state is written in place by its last step.
    pub graph: Graph,
    /// Where each value lies.
    pub places: Vec<Place>,
    /// The phases in order.
    pub phases: Vec<Phase>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Bytes of scratch of each worker.
    pub scratch_bytes: usize,
    /// In a body: bytes of each worker that steps keep from turn to turn, beside the scratch.
    pub kept_bytes: usize,
    /// Bytes of all states.
    pub state_bytes: usize,
    /// The work of one run, in floating-point operations or their equivalent in time.
    pub cost: f64,
}

impl Plan {
    /// What a chain has in scratch while it runs one block: the position of the step that makes it, the value (`None` for
    /// what the step's kernel works in) and the bytes.
    pub fn scratch_of(&self, chain: &Chain) -> Vec<(usize, Option<Value>, Range<usize>)> {
        let mut all = Vec::new();
        for (position, step) in chain.steps.iter().enumerate() {
            all.push((position, None, step.block_scratch.clone()));
            for value in &self.graph.nodes()[step.node].outputs {
                if let Place::Scratch(at) = self.places[value.index()] {
                    all.push((position, Some(*value), at..at + chain.block_bytes(&self.graph, *value)));
                }
            }
        }
        all
    }
}

/// Plans `graph` for `target`.
///
/// # Errors
/// `ErrorKind::Invalid` when the plan breaks its own law, see [`verify`].
pub fn plan(graph: &Graph, target: &dyn Target) -> Result<Plan, Error> {
    let graph = schedule::write_states_in_place(graph)?;
    let scheduled = schedule::schedule(&graph, target);
    let plan = memory::place(graph, scheduled, target, false);
    verify(&plan)?;
    Ok(plan)
}

/// The value whose bytes `value` shares: reshapes are views.
pub fn root(graph: &Graph, mut value: Value) -> Value {
    loop {
        let node = graph.producer(value);
        match node.op {
            Op::Reshape(_) => value = node.inputs[0],
            _ => return value,
        }
    }
}

/// The number of rows a value is cut into: its extent along axis 0.
pub(crate) fn rows(graph: &Graph, value: Value) -> usize {
    graph.type_of(value).shape.first().copied().unwrap_or(1)
}

/// Whether a node is a step at all: sources and views are not.
pub(crate) fn is_step(op: &Op) -> bool {
    !matches!(op, Op::State(_) | Op::Constant(_) | Op::Given(_) | Op::Reshape(_))
}

/// Whether `node` may read its input number `i` block by block as it is written: a scan's blocks are not those of its
/// outputs.
pub(crate) fn follows(graph: &Graph, node: &Node, i: usize) -> bool {
    let is_scan = matches!(graph.producer(root(graph, node.inputs[i])).op, Op::Scan(_));
    !is_scan && access(graph, node, i) == Access::Rows
}

/// How `node` reads its input number `i`.
///
/// An input is read by rows when it has the rows of the output and the op needs no other rows of it; the rows of a block are
/// enough only if no reshape between changes the rows.
pub(crate) fn access(graph: &Graph, node: &Node, i: usize) -> Access {
    let (input, output) = (node.inputs[i], node.outputs[0]);
    let (from, to) = (graph.type_of(input), graph.type_of(output));
    let same_rows = from.rank() > 0 && to.rank() > 0 && from.shape[0] == to.shape[0];
    let keeps_rows = rows(graph, root(graph, input)) == rows(graph, input)
        && (from.rank() > 0) == (graph.type_of(root(graph, input)).rank() > 0);
    let by_rows = match &node.op {
        Op::Program(_) | Op::Unary(_) | Op::Binary(_) | Op::Select(_) | Op::Cast(_) => {
            (same_rows && from.rank() == to.rank()) || (from.rank() == 0 && to.rank() == 0)
        }
        Op::AdamUpdate(_) => from == to,
        Op::MatMul(_) if to.rank() > 2 => same_rows,
        Op::MatMul(matmul) => i == 0 && !matmul.transpose_a && same_rows,
        Op::Conv(_) | Op::ConvInputGradient(_) => i == 0 && same_rows,
        Op::ConvMaxPool(_) => i == 0 && same_rows,
        Op::ScatterInputGradient(_) => i < 2 && same_rows,
        Op::ConvKernelGradient(_) | Op::ScatterKernelGradient(_) => false,
        Op::MaxPool(_) | Op::PoolGather(_) | Op::PoolScatter(_) => same_rows,
        Op::AveragePool(_) | Op::AveragePoolGradient(_) => same_rows,
        Op::ReduceSum(op) => same_rows && !op.axes.contains(&0),
        Op::ReduceMax(op) => same_rows && !op.axes.contains(&0),
        Op::ArgMax(_) | Op::Softmax(_) | Op::OneHot(_) => same_rows,
        Op::SparseSoftmaxCrossEntropy(_) => same_rows,
        // Where the rows stay as many, they stay themselves.
        Op::Broadcast(_) => same_rows && from.rank() == to.rank(),
        Op::Transpose(op) => op.order.first() == Some(&0),
        Op::Slice(_) | Op::Pad(_) => same_rows,
        Op::Concat(op) => op.axis > 0,
        Op::Reverse(op) => from.rank() > 0 && !op.axes.contains(&0),
        Op::Gather(_) => i == 1,
        Op::SumRows(_) | Op::Iota(_) | Op::Literal(_) | Op::Reshape(_) => false,
        Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::RandomUniform(_) => false,
        Op::Scan(_) | Op::Given(_) => false,
    };
    match (by_rows, keeps_rows) {
        (true, true) => Access::Rows,
        (true, false) => Access::RowsOfWhole,
        (false, _) => Access::Whole,
    }
}
