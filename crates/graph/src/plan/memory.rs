//! Places: which values share which bytes.

use super::schedule::Scheduled;
use super::{Access, Chain, Phase, Place, Plan, Step, Target, is_step, root};
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

pub(crate) fn place(graph: Graph, scheduled: Scheduled, target: &dyn Target, is_body: bool) -> Plan {
    let Scheduled { mut phases, position } = scheduled;
    let mut places = vec![Place::Nowhere; graph.values().len()];
    place_sources(&graph, &mut places);
    if is_body {
        place_outputs(&graph, &mut places);
    }
    let mut lives = lives(&graph, &position, phases.len());
    lives.retain(|life| places[life.value.index()] == Place::Nowhere);
    let arena_bytes = place_arena(&graph, &lives, target.alignment(), &mut places);
    let [kept_bytes, scratch_bytes] = place_scratch(&graph, &lives, target, &mut phases, &mut places, is_body);
    for node in graph.nodes().iter().filter(|n| matches!(n.op, Op::Reshape(_))) {
        places[node.outputs[0].index()] = places[root(&graph, node.outputs[0]).index()];
    }
    let state_bytes = graph.states().iter().map(|s| graph.type_of(s.value).size_bytes()).sum();
    let cost = phases.iter().flat_map(|p| &p.chains).map(|c| c.cost).sum();
    Plan { graph, places, phases, arena_bytes, scratch_bytes, kept_bytes, state_bytes, cost }
}

/// What a step of a body makes lies where the first output that it is goes.
fn place_outputs(graph: &Graph, places: &mut [Place]) {
    for (j, (_, value)) in graph.outputs().iter().enumerate() {
        let made = root(graph, *value);
        if is_step(&graph.producer(made).op) && places[made.index()] == Place::Nowhere {
            places[made.index()] = Place::Output(j);
        }
    }
}

fn place_sources(graph: &Graph, places: &mut [Place]) {
    for (index, node) in graph.nodes().iter().enumerate() {
        match &node.op {
            Op::Constant(_) => places[node.outputs[0].index()] = Place::Constant(index),
            Op::Given(given) => places[node.outputs[0].index()] = Place::Given(given.index),
            _ => {}
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
        let is_scan = matches!(graph.nodes()[node].op, Op::Scan(_));
        let chain = (!is_scan).then_some((phase, chain));
        for &value in &graph.nodes()[node].outputs {
            lives.insert(value, Life { value, first: phase, last: phase, chain });
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

/// Places what one chain alone sees, and the kernels' own scratch, in each worker's scratch; answers the bytes that a body
/// keeps, and the size of the scratch.
///
/// What a kernel keeps for a phase lies at the bottom, beside all other chains of the phase; above it every chain has the
/// same bytes to itself, because a worker runs one block at a time. In a body what a kernel keeps lies apart, beside that
/// of all phases, because they come again.
fn place_scratch(
    graph: &Graph,
    lives: &[Life],
    target: &dyn Target,
    phases: &mut [Phase],
    places: &mut [Place],
    is_body: bool,
) -> [usize; 2] {
    let (mut kept, mut most) = (0, 0);
    let local: HashMap<Value, &Life> = lives.iter().filter(|l| l.chain.is_some()).map(|l| (l.value, l)).collect();
    for phase in phases {
        if !is_body {
            kept = 0;
        }
        for step in phase.chains.iter_mut().flat_map(|c| &mut c.steps) {
            let bytes = match &step.body {
                Some(body) => body.plan.kept_bytes,
                None => target.phase_scratch(graph, &graph.nodes()[step.node]),
            };
            step.phase_scratch = kept..kept + bytes;
            kept += bytes.next_multiple_of(target.alignment());
        }
        let base = if is_body { 0 } else { kept };
        for chain in &mut phase.chains {
            most = most.max(base + place_chain(graph, &local, target, chain, places, base));
        }
    }
    [if is_body { kept } else { 0 }, most]
}

/// Places what `chain` alone sees from byte `base` of the scratch on; answers the bytes it takes.
fn place_chain(
    graph: &Graph,
    local: &HashMap<Value, &Life>,
    target: &dyn Target,
    chain: &mut Chain,
    places: &mut [Place],
    base: usize,
) -> usize {
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
    let values = spans.len();
    let worked_in = |step: &Step| match &step.body {
        Some(body) => body.bytes,
        None => target.block_scratch(graph, &graph.nodes()[step.node], chain.block_rows),
    };
    spans.extend(chain.steps.iter().enumerate().map(|(clock, step)| Span {
        first: clock,
        last: clock,
        bytes: worked_in(step),
    }));
    let (offsets, total) = pack(&spans, target.alignment());
    for (value, offset) in owners.iter().zip(&offsets) {
        places[value.index()] = Place::Scratch(base + offset);
    }
    for (i, step) in chain.steps.iter_mut().enumerate() {
        let begin = base + offsets[values + i];
        step.block_scratch = begin..begin + spans[values + i].bytes;
    }
    total
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
