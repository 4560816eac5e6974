//! Order: states made writable in place, nodes put into chains and chains into phases.

use super::{Access, Body, Chain, Phase, Step, Target, access, follows, is_step, root, rows};
use crate::ops::Unary;
use crate::{Builder, Error, Graph, NodeIndex, Op, Value};
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The phases of a graph, and where each value is made and last read.
pub(crate) struct Scheduled {
    pub phases: Vec<Phase>,
    /// For each node that is a step: phase and chain.
    pub position: HashMap<NodeIndex, (usize, usize)>,
}

/// Gives every changed state a last step of its own that may overwrite it: an elementwise op that reads the state by
/// rows, or a copy where the next value is made otherwise, is needed elsewhere, or must wait for a reader of the old one.
/// An output that is the old value of such a state is taken aside.
pub(crate) fn write_states_in_place(graph: &Graph) -> Result<Graph, Error> {
    let mut taken: HashSet<Value> = graph.outputs().iter().map(|(_, v)| root(graph, *v)).collect();
    let copies: Vec<(Value, Value)> = graph
        .states()
        .iter()
        .filter_map(|state| state.next.filter(|next| *next != state.value).map(|next| (state.value, next)))
        .filter(|(value, next)| !is_writer(graph, *value, *next) || !taken.insert(*next))
        .collect();
    let is_changed =
        |value| graph.states().iter().any(|s| s.value == value && s.next.is_some_and(|next| next != value));
    let overwritten: Vec<usize> =
        (0..graph.outputs().len()).filter(|i| is_changed(root(graph, graph.outputs()[*i].1))).collect();
    if copies.is_empty() && overwritten.is_empty() {
        return Ok(graph.clone());
    }
    let mut builder = Builder::extend(graph.clone());
    for (value, mut next) in copies {
        // The old value of another state is taken aside first: that state may be overwritten before this one.
        if matches!(graph.producer(root(graph, next)).op, Op::State(_)) {
            next = builder.unary(Unary::Identity, next);
        }
        let copy = builder.unary(Unary::Identity, next);
        builder.set_next(value, copy);
    }
    let aside: Vec<Value> = overwritten.iter().map(|i| builder.unary(Unary::Identity, graph.outputs()[*i].1)).collect();
    let mut graph = builder.finish()?;
    for (i, value) in overwritten.into_iter().zip(aside) {
        graph.outputs[i].1 = value;
    }
    Ok(graph)
}

/// Whether the node that makes `next` may write it over `value`.
fn is_writer(graph: &Graph, value: Value, next: Value) -> bool {
    let index = graph.producer_index(next);
    let node = &graph.nodes()[index];
    if !matches!(node.op, Op::Program(_) | Op::AdamUpdate(_) | Op::Unary(_) | Op::Binary(_)) {
        return false;
    }
    // Two nodes that each wait for the other to read a state would wait for ever.
    let reads_foreign = node.inputs.iter().any(|v| {
        let changed = graph.states().iter().find(|s| s.value == root(graph, *v)).and_then(|s| s.next);
        changed.is_some_and(|next| !node.outputs.contains(&next) && next != root(graph, *v))
    });
    if reads_foreign {
        return false;
    }
    // The node may read the old value only at the place it writes, and nobody may read it after the node.
    let in_step = node
        .inputs
        .iter()
        .enumerate()
        .all(|(i, v)| root(graph, *v) != value || (*v == value && access(graph, node, i) == Access::Rows));
    in_step
        && !graph.nodes().iter().enumerate().any(|(reader, n)| {
            reader != index && n.inputs.iter().any(|v| root(graph, *v) == value) && depends_on(graph, reader, index)
        })
}

/// Whether node `later` needs node `earlier`.
fn depends_on(graph: &Graph, later: NodeIndex, earlier: NodeIndex) -> bool {
    let mut open = vec![later];
    let mut seen = HashSet::new();
    while let Some(index) = open.pop() {
        if index == earlier {
            return true;
        }
        if index > earlier && seen.insert(index) {
            open.extend(graph.nodes()[index].inputs.iter().map(|v| graph.producer_index(*v)));
        }
    }
    false
}

/// What a step must come after.
struct Dependency {
    on: NodeIndex,
    by_rows: bool,
}

pub(crate) fn schedule(graph: &Graph, target: &dyn Target) -> Scheduled {
    ChainBuilder::new(graph).finish(graph, target, 1)
}

/// The schedule of a body that is run `times`: one chain if all its rows are the same and nothing waits.
pub(crate) fn schedule_body(graph: &Graph, target: &dyn Target, times: usize) -> Scheduled {
    let mut builder = ChainBuilder::new(graph);
    let drafts: Vec<usize> = (0..builder.chains.len()).filter(|c| !builder.chains[*c].nodes.is_empty()).collect();
    let is_scan = |draft: &Draft| draft.nodes.iter().any(|n| matches!(graph.nodes()[*n].op, Op::Scan(_)));
    let is_like_first = |c: &usize| {
        let (first, own) = (&builder.chains[drafts[0]], &builder.chains[*c]);
        own.phase == 0 && own.rows == first.rows && !is_scan(own)
    };
    if !drafts.is_empty() && drafts.iter().all(is_like_first) {
        builder.join(&drafts);
    }
    builder.finish(graph, target, times)
}

/// The phase that each step comes to where nothing waits for readers of old states.
pub(crate) fn phases(graph: &Graph) -> Vec<Option<usize>> {
    let builder = ChainBuilder::of(graph, &reads(graph));
    let phase = |node| builder.of_node.get(&node).map(|chain| builder.chains[*chain].phase);
    (0..graph.nodes().len()).map(phase).collect()
}

/// What each step reads.
fn reads(graph: &Graph) -> HashMap<NodeIndex, Vec<Dependency>> {
    let steps = || graph.nodes().iter().enumerate().filter(|(_, n)| is_step(&n.op));
    let mut all: HashMap<NodeIndex, Vec<Dependency>> = HashMap::new();
    for (index, node) in steps() {
        let list = all.entry(index).or_default();
        for (i, input) in node.inputs.iter().enumerate() {
            let on = graph.producer_index(root(graph, *input));
            if is_step(&graph.nodes()[on].op) {
                list.push(Dependency { on, by_rows: follows(graph, node, i) });
            }
        }
    }
    all
}

/// What each step reads; and whoever overwrites a state waits for everyone who reads the old value.
fn dependencies(graph: &Graph) -> HashMap<NodeIndex, Vec<Dependency>> {
    let steps = || graph.nodes().iter().enumerate().filter(|(_, n)| is_step(&n.op));
    let mut all = reads(graph);
    for state in graph.states() {
        let Some(next) = state.next.filter(|next| *next != state.value) else { continue };
        let writer = graph.producer_index(next);
        for (reader, node) in steps().filter(|(reader, _)| *reader != writer) {
            for (i, _) in node.inputs.iter().enumerate().filter(|(_, v)| root(graph, **v) == state.value) {
                let by_rows = access(graph, node, i) == Access::Rows;
                all.entry(writer).or_default().push(Dependency { on: reader, by_rows });
            }
        }
    }
    all
}

/// The steps in dependency order, the earliest of the graph first where there is a choice.
fn topological(dependencies: &HashMap<NodeIndex, Vec<Dependency>>, graph: &Graph) -> Vec<NodeIndex> {
    let mut waits: HashMap<NodeIndex, usize> = HashMap::new();
    let mut waited_for: HashMap<NodeIndex, Vec<NodeIndex>> = HashMap::new();
    for (index, list) in dependencies {
        let on: HashSet<NodeIndex> = list.iter().map(|d| d.on).collect();
        waits.insert(*index, on.len());
        on.into_iter().for_each(|d| waited_for.entry(d).or_default().push(*index));
    }
    let mut ready: BinaryHeap<std::cmp::Reverse<NodeIndex>> =
        waits.iter().filter(|(_, n)| **n == 0).map(|(i, _)| std::cmp::Reverse(*i)).collect();
    let mut order = Vec::with_capacity(dependencies.len());
    while let Some(std::cmp::Reverse(index)) = ready.pop() {
        order.push(index);
        for next in waited_for.remove(&index).unwrap_or_default() {
            let left = waits.get_mut(&next).expect("every step has a count");
            *left -= 1;
            if *left == 0 {
                ready.push(std::cmp::Reverse(next));
            }
        }
    }
    assert_eq!(order.len(), dependencies.len(), "states are written in place without a cycle\n{graph}");
    order
}

/// Chains under construction; a chain that was joined to another is left empty.
#[derive(Default)]
struct ChainBuilder {
    chains: Vec<Draft>,
    of_node: HashMap<NodeIndex, usize>,
}

struct Draft {
    phase: usize,
    rows: usize,
    nodes: Vec<NodeIndex>,
}

impl ChainBuilder {
    fn new(graph: &Graph) -> ChainBuilder {
        ChainBuilder::of(graph, &dependencies(graph))
    }

    fn of(graph: &Graph, dependencies: &HashMap<NodeIndex, Vec<Dependency>>) -> ChainBuilder {
        let mut builder = ChainBuilder::default();
        for index in topological(dependencies, graph) {
            builder.add(graph, index, &dependencies[&index]);
        }
        builder
    }

    fn add(&mut self, graph: &Graph, index: NodeIndex, dependencies: &[Dependency]) {
        let rows = rows(graph, graph.nodes()[index].outputs[0]);
        let phase_of = |d: &Dependency| self.chains[self.of_node[&d.on]].phase;
        let last = dependencies.iter().map(phase_of).max();
        let nearest: Vec<&Dependency> = dependencies.iter().filter(|d| Some(phase_of(d)) == last).collect();
        let joins =
            !nearest.is_empty() && nearest.iter().all(|d| d.by_rows && self.chains[self.of_node[&d.on]].rows == rows);
        let chain = if joins {
            let mut together: Vec<usize> = nearest.iter().map(|d| self.of_node[&d.on]).collect();
            together.sort_unstable();
            together.dedup();
            self.join(&together)
        } else {
            self.chains.push(Draft { phase: last.map_or(0, |p| p + 1), rows, nodes: Vec::new() });
            self.chains.len() - 1
        };
        self.chains[chain].nodes.push(index);
        self.of_node.insert(index, chain);
    }

    /// Makes one chain of several in the same phase; they do not depend on each other, so any order will do.
    fn join(&mut self, chains: &[usize]) -> usize {
        let (first, rest) = chains.split_first().expect("there is a chain to join");
        for other in rest {
            let nodes = std::mem::take(&mut self.chains[*other].nodes);
            self.of_node.extend(nodes.iter().map(|n| (*n, *first)));
            self.chains[*first].nodes.extend(nodes);
        }
        *first
    }

    fn finish(self, graph: &Graph, target: &dyn Target, times: usize) -> Scheduled {
        let count = self.chains.iter().map(|c| c.phase + 1).max().unwrap_or(0);
        let mut phases = vec![Phase::default(); count];
        for draft in self.chains.into_iter().filter(|c| !c.nodes.is_empty()) {
            phases[draft.phase].chains.push(match scan_alone(graph, target, &draft) {
                Some(chain) => chain,
                None => cut(graph, target, draft, times),
            });
        }
        let mut position = HashMap::new();
        for (p, phase) in phases.iter_mut().enumerate() {
            phase.chains.sort_by(|a, b| b.cost.total_cmp(&a.cost));
            for (c, chain) in phase.chains.iter().enumerate() {
                position.extend(chain.steps.iter().map(|s| (s.node, (p, c))));
            }
        }
        Scheduled { phases, position }
    }
}

/// The chain of a scan, cut as its body is.
fn scan_alone(graph: &Graph, target: &dyn Target, draft: &Draft) -> Option<Chain> {
    let (&[node], Op::Scan(scan)) = (&draft.nodes[..], &graph.nodes()[draft.nodes[0]].op) else { return None };
    let body = Body::new(scan, target);
    let access = vec![Access::Whole; graph.nodes()[node].inputs.len()];
    let (rows, block_rows) = body.cut();
    let cost = scan.length as f64 * body.plan.cost;
    let step = Step { node, access, phase_scratch: 0..0, block_scratch: 0..0, body: Some(Box::new(body)) };
    Some(Chain { rows, block_rows, steps: vec![step], cost })
}

/// Decides the blocks of a chain that is run `times` from its shapes alone.
fn cut(graph: &Graph, target: &dyn Target, draft: Draft, times: usize) -> Chain {
    let nodes = || draft.nodes.iter().map(|n| &graph.nodes()[*n]);
    let cost: f64 = nodes().map(|n| target.cost(graph, n)).sum();
    let wanted = nodes().map(|n| target.rows_wanted(graph, n)).max().unwrap_or(1).max(1);
    let blocks = (cost * times as f64 / target.block_cost()).ceil().clamp(1.0, 64.0) as usize;
    let block_rows = draft.rows.div_ceil(blocks).max(wanted).clamp(1, draft.rows.max(1));
    let steps = draft
        .nodes
        .iter()
        .map(|&node| {
            let access = (0..graph.nodes()[node].inputs.len()).map(|i| access(graph, &graph.nodes()[node], i));
            Step { node, access: access.collect(), phase_scratch: 0..0, block_scratch: 0..0, body: None }
        })
        .collect();
    Chain { rows: draft.rows, block_rows, steps, cost }
}
