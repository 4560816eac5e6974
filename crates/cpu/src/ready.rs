//! A plan made ready to run: kernels chosen, places resolved, nothing left to allocate.

use crate::buffer::Buffer;
use crate::dispatch::Kernel;
use footlight_graph::ops::{Constant, Scan};
use footlight_graph::plan::{self, Access, Body, Place, Plan, Step};
use footlight_graph::{Graph, Node, Op, OpRule, Value};
use std::ops::Range;

/// Where an operand lies, and how far a row is from the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    pub base: Base,
    pub offset: usize,
    /// Bytes from one row to the next where only the block's rows are meant; 0 where all of it is.
    pub row_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Base {
    State(usize),
    Constants,
    Arena,
    Scratch,
    /// What a scan gives to its body.
    Given(usize),
    /// What a scan wants of its body.
    Output(usize),
}

/// A step made ready: what it runs and where its operands lie.
pub(crate) struct Ready {
    pub work: Work,
    pub inputs: Vec<Location>,
    pub outputs: Vec<Location>,
    pub phase_scratch: usize,
    pub block_scratch: usize,
    pub node: usize,
    /// Its number among all steps of the session, those of bodies included.
    pub index: usize,
}

pub(crate) enum Work {
    Kernel(Kernel),
    Scan(Box<Loop>),
}

/// A scan's body made ready.
pub(crate) struct Loop {
    pub scan: Scan,
    pub plan: ReadyPlan,
    /// Whether a block of rows goes through all steps alone.
    pub by_rows: bool,
    /// Where in the scan's scratch the two places of each carry begin, and their bytes.
    pub carries: Vec<([usize; 2], usize)>,
    /// Where in the scan's scratch the body's arena and scratch begin.
    pub arena: usize,
    pub scratch: usize,
    /// Bytes of one step of each input and of each output.
    pub input_bytes: Vec<usize>,
    pub output_bytes: Vec<usize>,
    /// Outputs that no step writes where they belong: what they are copies of.
    pub copies: Vec<(Location, usize)>,
    /// The packed operands that are others in every step, by their numbers.
    pub repacked: Vec<usize>,
}

pub(crate) struct ReadyChain {
    pub rows: usize,
    pub block_rows: usize,
    pub blocks: usize,
    pub steps: Vec<Ready>,
    /// Bytes of scratch that hold nothing when a block begins.
    pub scratch: Vec<Range<usize>>,
}

impl ReadyChain {
    /// The first row of a block, and how many it has.
    pub(crate) fn rows_of(&self, block: usize) -> [usize; 2] {
        let first_row = block * self.block_rows;
        [first_row, self.block_rows.min(self.rows - first_row.min(self.rows))]
    }
}

pub(crate) struct ReadyPhase {
    pub chains: Vec<ReadyChain>,
    pub tasks: usize,
    /// For each worker the tasks it begins with.
    pub shares: Vec<Share>,
    /// Bytes of the arena that nobody reads after this phase.
    pub freed: Vec<Range<usize>>,
}

/// What one worker begins with in every run: the same blocks of each chain, so that what it wrote in the last run, or in
/// the phase before, is still in its own cache. Another core's is read several times slower, where the two share no cache.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Blocks of each chain of the phase.
    pub blocks: Vec<Range<usize>>,
    pub tasks: usize,
}

/// An equal share for each worker of chains of so many blocks; of what does not come out even, the first gets the first.
fn shares(chains: impl Iterator<Item = usize>, workers: usize) -> Vec<Share> {
    let mut shares: Vec<Share> = (0..workers).map(|_| Share::default()).collect();
    let mut rest = workers - 1;
    for blocks in chains {
        for (worker, share) in shares.iter_mut().enumerate() {
            let [begin, end] = [worker, worker + 1].map(|w| (w * blocks + rest) / workers);
            share.blocks.push(begin..end);
            share.tasks += end - begin;
        }
        rest = (rest + workers - blocks % workers) % workers;
    }
    shares
}

/// What a session is made for, and what is counted on the way.
#[derive(Default)]
pub(crate) struct Counts {
    /// Workers that share the tasks.
    pub workers: usize,
    /// Operands that are packed.
    pub packed: usize,
    /// Steps.
    pub steps: usize,
}

pub(crate) struct ReadyPlan {
    pub phases: Vec<ReadyPhase>,
    pub constants: Buffer,
}

impl ReadyPlan {
    pub(crate) fn new(plan: &Plan, counts: &mut Counts) -> ReadyPlan {
        let mut phases = Vec::new();
        for (p, phase) in plan.phases.iter().enumerate() {
            let chains: Vec<ReadyChain> = phase
                .chains
                .iter()
                .map(|chain| ReadyChain {
                    rows: chain.rows,
                    block_rows: chain.block_rows,
                    blocks: chain.blocks(),
                    steps: chain.steps.iter().map(|step| Ready::new(plan, step, counts)).collect(),
                    scratch: plan.scratch_of(chain).into_iter().map(|(.., bytes)| bytes).collect(),
                })
                .collect();
            let tasks = chains.iter().map(|c| c.blocks).sum();
            let shares = shares(chains.iter().map(|c| c.blocks), counts.workers.max(1));
            phases.push(ReadyPhase { chains, tasks, shares, freed: freed(plan, p) });
        }
        ReadyPlan { phases, constants: constants(&plan.graph) }
    }

    /// Tells `visit` of every step that has a kernel, with its node, those of bodies included.
    pub(crate) fn each_step<'a>(&'a self, graph: &'a Graph, visit: &mut dyn FnMut(&'a Graph, &'a Node, &'a Ready)) {
        self.each_turn(graph, 1, &mut |graph, node, step, _| visit(graph, node, step));
    }

    /// As [`ReadyPlan::each_step`], and how often each is done where the plan is done `turns` times.
    pub(crate) fn each_turn<'a>(
        &'a self,
        graph: &'a Graph,
        turns: usize,
        visit: &mut dyn FnMut(&'a Graph, &'a Node, &'a Ready, usize),
    ) {
        for step in self.phases.iter().flat_map(|p| &p.chains).flat_map(|c| &c.steps) {
            match &step.work {
                Work::Kernel(_) => visit(graph, &graph.nodes()[step.node], step, turns),
                Work::Scan(body) => body.plan.each_turn(&body.scan.body, turns * body.scan.length, visit),
            }
        }
    }
}

impl Ready {
    fn new(plan: &Plan, step: &Step, counts: &mut Counts) -> Ready {
        let graph = &plan.graph;
        let node = &graph.nodes()[step.node];
        counts.steps += 1;
        let index = counts.steps - 1;
        let work = match (&node.op, &step.body) {
            (Op::Scan(scan), Some(body)) => Work::Scan(Box::new(Loop::new(scan, body, counts))),
            _ => {
                assert!(node.inputs.len() <= MAX_INPUTS, "{} has {} inputs", node.op.name(), node.inputs.len());
                Work::Kernel(Kernel::new(graph, node, &step.access, &mut counts.packed))
            }
        };
        Ready {
            work,
            inputs: node.inputs.iter().zip(&step.access).map(|(v, access)| location(plan, *v, *access)).collect(),
            outputs: node.outputs.iter().map(|v| location(plan, *v, Access::Rows)).collect(),
            phase_scratch: step.phase_scratch.start,
            block_scratch: step.block_scratch.start,
            node: step.node,
            index,
        }
    }
}

impl Loop {
    fn new(scan: &Scan, body: &Body, counts: &mut Counts) -> Loop {
        let (graph, before) = (&body.plan.graph, counts.packed);
        let plan = ReadyPlan::new(&body.plan, counts);
        let outputs = || graph.outputs().iter().map(|(_, v)| *v).enumerate();
        let is_copy = |(j, v): &(usize, Value)| body.plan.places[plan::root(graph, *v).index()] != Place::Output(*j);
        let bytes = |v: Value| graph.type_of(v).size_bytes();
        let mut kept = vec![false; counts.packed - before];
        plan.each_step(graph, &mut |own, node, step| {
            let Work::Kernel(Kernel::MatMul { pack_slot, .. }) = &step.work else { return };
            let is_constant = |given: usize| scan.is_constant(given);
            kept[pack_slot - before] = std::ptr::eq(own, graph)
                && matches!(own.producer(plan::root(own, node.inputs[1])).op, Op::Given(ref g) if is_constant(g.index));
        });
        Loop {
            by_rows: body.rows.is_some(),
            carries: body.carries.iter().zip(outputs()).map(|(at, (_, v))| (*at, body.carry_bytes(v))).collect(),
            arena: body.arena,
            scratch: body.scratch,
            input_bytes: graph.given().map(bytes).collect(),
            output_bytes: outputs().map(|(_, v)| bytes(v)).collect(),
            copies: outputs().filter(is_copy).map(|(j, v)| (location(&body.plan, v, Access::Rows), j)).collect(),
            repacked: (before..counts.packed).filter(|slot| !kept[slot - before]).collect(),
            scan: scan.clone(),
            plan,
        }
    }
}

/// The most inputs a step may have, unless it is a scan.
pub(crate) const MAX_INPUTS: usize = 64;

/// Constants are numbers of four bytes, each at the place of its node.
pub(crate) const CONSTANT_BYTES: usize = 4;

fn constants(graph: &Graph) -> Buffer {
    let count = graph.nodes().len();
    let mut buffer = Buffer::new(count * CONSTANT_BYTES);
    for (index, node) in graph.nodes().iter().enumerate() {
        match node.op {
            Op::Constant(Constant::F32(x)) => buffer.f32_mut(count)[index] = x,
            Op::Constant(Constant::I32(x)) => buffer.i32_mut(count)[index] = x,
            _ => {}
        }
    }
    buffer
}

fn location(plan: &Plan, value: Value, access: Access) -> Location {
    let ty = plan.graph.type_of(value);
    let row_bytes = match access {
        Access::Rows | Access::RowsOfWhole => ty.size_bytes() / ty.shape.first().copied().unwrap_or(1).max(1),
        Access::Whole => 0,
    };
    let (base, offset) = match plan.places[value.index()] {
        Place::State(state) => (Base::State(state), 0),
        Place::Constant(node) => (Base::Constants, node * CONSTANT_BYTES),
        Place::Arena(offset) => (Base::Arena, offset),
        Place::Scratch(offset) => (Base::Scratch, offset),
        Place::Given(i) => (Base::Given(i), 0),
        Place::Output(j) => (Base::Output(j), 0),
        Place::Nowhere => unreachable!("a step's operands have places"),
    };
    Location { base, offset, row_bytes }
}

/// The ranges of the arena whose values are read for the last time in phase `p`.
fn freed(plan: &Plan, p: usize) -> Vec<Range<usize>> {
    let graph = &plan.graph;
    let mut last: Vec<Option<usize>> = vec![None; graph.values().len()];
    for (phase, steps) in plan.phases.iter().enumerate() {
        for step in steps.chains.iter().flat_map(|c| &c.steps) {
            let node = &graph.nodes()[step.node];
            for value in node.inputs.iter().chain(&node.outputs) {
                last[plan::root(graph, *value).index()] = Some(phase);
            }
        }
    }
    for (_, value) in graph.outputs() {
        last[plan::root(graph, *value).index()] = None;
    }
    let ends_here = |(index, place): (usize, &Place)| match place {
        Place::Arena(offset) if last[index] == Some(p) => Some(*offset..*offset + graph.values()[index].size_bytes()),
        _ => None,
    };
    plan.places.iter().enumerate().filter_map(ends_here).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::target::CpuTarget;
    use footlight_graph::{Builder, Type};

    #[test]
    fn every_block_is_in_one_share_and_shares_differ_by_a_block_of_each_chain() {
        for workers in 1..9 {
            let chains = [1, 1, 64, 7, 1, 0, 3];
            let shares = shares(chains.into_iter(), workers);
            for (chain, blocks) in chains.into_iter().enumerate() {
                let all: Vec<usize> = shares.iter().flat_map(|share| share.blocks[chain].clone()).collect();
                assert_eq!(all, (0..blocks).collect::<Vec<_>>());
                let even = blocks / workers..=blocks.div_ceil(workers);
                assert!(shares.iter().all(|share| even.contains(&share.blocks[chain].len())), "{shares:?}");
            }
            let tasks: usize = shares.iter().map(|share| share.tasks).sum();
            assert!(tasks == 77 && !shares[0].blocks[0].is_empty(), "{shares:?}");
        }
    }

    /// A body with a product by a constant, by the carry and by its own step.
    #[test]
    fn of_right_sides_only_constants_stay_packed_from_step_to_step() {
        let mut g = Builder::new();
        let [k, c, x] = [[8, 8].as_slice(), &[8, 8], &[3, 8, 8]].map(|shape| g.input("x", Type::f32(shape)));
        let (last, _) = g.scan(3, false, &[k], &[c], &[x], |g, k, c, x| {
            let by_constant = g.matmul(c[0], k[0]);
            let by_carry = g.matmul(by_constant, c[0]);
            (vec![g.matmul(by_carry, x[0])], vec![])
        });
        g.output("last", last[0]);
        let plan = plan::plan(&g.finish().unwrap(), &CpuTarget::new(Isa::detect())).unwrap();
        let mut counts = Counts::default();
        let ready = ReadyPlan::new(&plan, &mut counts);
        let steps = ready.phases.iter().flat_map(|p| &p.chains).flat_map(|c| &c.steps);
        let repacked = steps.filter_map(|s| if let Work::Scan(body) = &s.work { Some(&body.repacked) } else { None });
        assert_eq!((counts.packed, repacked.collect::<Vec<_>>()), (3, vec![&vec![1, 2]]));
    }
}
