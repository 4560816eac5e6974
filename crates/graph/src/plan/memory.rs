//! Places: which values share which bytes.

use super::schedule::Scheduled;
use super::{Access, Phase, Place, Plan, Target, root};
use crate::{Graph, Op, Value};
use std::collections::HashMap;

/// A range of bytes that is taken from `first` to `last` of some clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub first: usize,
    pub last: usize,
    pub bytes: usize,
}

/// Offsets for `spans` so that spans that overlap in time do not overlap in space: the largest first, each at the lowest
/// gap that holds it. Answers the offsets and the bytes needed.
pub(crate) fn pack(spans: &[Span], alignment: usize) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(spans[i].bytes), i));
    let mut offsets = vec![0; spans.len()];
    let mut placed: Vec<usize> = Vec::new();
    for i in order {
        let span = spans[i];
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| spans[j].first <= span.last && span.first <= spans[j].last)
            .map(|&j| (offsets[j], offsets[j] + spans[j].bytes))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (begin, end) in taken {
            if offset + span.bytes <= begin {
                break;
            }
            offset = offset.max(end.next_multiple_of(alignment));
        }
        offsets[i] = offset;
        placed.push(i);
    }
    let total = spans.iter().zip(&offsets).map(|(s, o)| o + s.bytes).max().unwrap_or(0);
    (offsets, total.next_multiple_of(alignment))
}

pub(crate) fn place(graph: Graph, scheduled: Scheduled, target: &dyn Target) -> Plan {
    let Scheduled { mut phases, position } = scheduled;
    let mut places = vec![Place::Nowhere; graph.values().len()];
    place_sources(&graph, &mut places);
    let lives = lives(&graph, &position, phases.len());
    let arena_bytes = place_arena(&graph, &lives, target.alignment(), &mut places);
    let scratch_bytes = place_scratch(&graph, &lives, target, &mut phases, &mut places);
    for node in graph.nodes().iter().filter(|n| matches!(n.op, Op::Reshape(_))) {
        places[node.outputs[0].index()] = places[root(&graph, node.outputs[0]).index()];
    }
    let state_bytes = graph.states().iter().map(|s| graph.type_of(s.value).size_bytes()).sum();
    let cost = phases.iter().flat_map(|p| &p.chains).map(|c| c.cost).sum();
    Plan { graph, places, phases, arena_bytes, scratch_bytes, state_bytes, cost }
}

fn place_sources(graph: &Graph, places: &mut [Place]) {
    for (index, node) in graph.nodes().iter().enumerate() {
        if let Op::Constant(_) = node.op {
            places[node.outputs[0].index()] = Place::Constant(index);
        }
    }
    for (index, state) in graph.states().iter().enumerate() {
        places[state.value.index()] = Place::State(index);
        if let Some(next) = state.next {
            places[next.index()] = Place::State(index);
        }
    }
}

/// When a value is made and last read, in phases; and whether one chain alone sees it, by rows.
pub(crate) struct Life {
    pub value: Value,
    pub first: usize,
    pub last: usize,
    pub chain: Option<(usize, usize)>,
}

/// The lives of all values that need a place of their own.
pub(crate) fn lives(graph: &Graph, position: &HashMap<usize, (usize, usize)>, phases: usize) -> Vec<Life> {
    let mut lives: HashMap<Value, Life> = HashMap::new();
    for (&node, &(phase, chain)) in position {
        for &value in &graph.nodes()[node].outputs {
            lives.insert(value, Life { value, first: phase, last: phase, chain: Some((phase, chain)) });
        }
    }
    for (&node, &(phase, chain)) in position {
        for (i, input) in graph.nodes()[node].inputs.iter().enumerate() {
            if let Some(life) = lives.get_mut(&root(graph, *input)) {
                life.last = life.last.max(phase);
                let by_rows = super::access(graph, &graph.nodes()[node], i) == Access::Rows;
                life.chain = life.chain.filter(|c| by_rows && *c == (phase, chain));
            }
        }
    }
    for (_, value) in graph.outputs() {
        if let Some(life) = lives.get_mut(&root(graph, *value)) {
            life.last = phases;
            life.chain = None;
        }
    }
    for state in graph.states() {
        if let Some(next) = state.next {
            lives.remove(&next);
        }
    }
    let mut lives: Vec<Life> = lives.into_values().collect();
    lives.sort_by_key(|l| l.value);
    lives
}

fn place_arena(graph: &Graph, lives: &[Life], alignment: usize, places: &mut [Place]) -> usize {
    let shared: Vec<&Life> = lives.iter().filter(|l| l.chain.is_none()).collect();
    let spans: Vec<Span> = shared
        .iter()
        .map(|l| Span { first: l.first, last: l.last, bytes: graph.type_of(l.value).size_bytes().max(1) })
        .collect();
    let (offsets, total) = pack(&spans, alignment);
    for (life, offset) in shared.iter().zip(offsets) {
        places[life.value.index()] = Place::Arena(offset);
    }
    total
}

/// Places what one chain alone sees, and the kernels' own scratch, in each worker's scratch; answers its size.
///
/// What a kernel keeps for a phase lies at the bottom, beside all other chains of the phase; above it every chain has the
/// same bytes to itself, because a worker runs one block at a time.
fn place_scratch(
    graph: &Graph,
    lives: &[Life],
    target: &dyn Target,
    phases: &mut [Phase],
    places: &mut [Place],
) -> usize {
    let mut most = 0;
    let local: HashMap<Value, &Life> = lives.iter().filter(|l| l.chain.is_some()).map(|l| (l.value, l)).collect();
    for phase in phases {
        let mut base = 0;
        for step in phase.chains.iter_mut().flat_map(|c| &mut c.steps) {
            let bytes = target.phase_scratch(graph, &graph.nodes()[step.node]);
            step.phase_scratch = base..base + bytes;
            base += bytes.next_multiple_of(target.alignment());
        }
        for chain in &mut phase.chains {
            let mut spans: Vec<Span> = Vec::new();
            let mut owners: Vec<Value> = Vec::new();
            for (clock, step) in chain.steps.iter().enumerate() {
                let node = &graph.nodes()[step.node];
                for value in node.outputs.iter().filter(|v| local.contains_key(v)) {
                    let bytes = chain.block_bytes(graph, *value).max(1);
                    spans.push(Span { first: clock, last: clock, bytes });
                    owners.push(*value);
                }
                for input in &node.inputs {
                    if let Some(i) = owners.iter().position(|o| *o == root(graph, *input)) {
                        spans[i].last = clock;
                    }
                }
            }
            let kept = spans.len();
            for (clock, step) in chain.steps.iter().enumerate() {
                let bytes = target.block_scratch(graph, &graph.nodes()[step.node], chain.block_rows);
                spans.push(Span { first: clock, last: clock, bytes });
            }
            let (offsets, total) = pack(&spans, target.alignment());
            for (value, offset) in owners.iter().zip(&offsets) {
                places[value.index()] = Place::Scratch(base + offset);
            }
            for (i, step) in chain.steps.iter_mut().enumerate() {
                let begin = base + offsets[kept + i];
                step.block_scratch = begin..begin + spans[kept + i].bytes;
            }
            most = most.max(base + total);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_tensor::{Philox, RandomKey};

    #[test]
    fn packed_spans_never_overlap_in_time_and_space() {
        let mut rng = Philox::new(RandomKey::new(5));
        for _ in 0..200 {
            let spans: Vec<Span> = (0..1 + rng.below(30))
                .map(|_| {
                    let first = rng.below(10) as usize;
                    Span { first, last: first + rng.below(5) as usize, bytes: 1 + rng.below(1000) as usize }
                })
                .collect();
            let (offsets, total) = pack(&spans, 64);
            let sum: usize = spans.iter().map(|s| s.bytes.next_multiple_of(64)).sum();
            assert!(total <= sum, "sharing never needs more than the sum: {total} of {sum}");
            for (i, a) in spans.iter().enumerate() {
                assert_eq!(offsets[i] % 64, 0);
                for (j, b) in spans.iter().enumerate().skip(i + 1) {
                    let in_time = a.first <= b.last && b.first <= a.last;
                    let in_space = offsets[i] < offsets[j] + b.bytes && offsets[j] < offsets[i] + a.bytes;
                    assert!(!(in_time && in_space), "{a:?} at {} and {b:?} at {}", offsets[i], offsets[j]);
                }
            }
        }
    }
}
