//! Runs a plan.

use crate::buffer::{Buffer, fill_with_nan};
use crate::dispatch::{Block, Kernel};
use crate::engine::Engine;
use crate::feed::Feed;
use crate::isa::Isa;
use crate::profile::Profile;
use crate::team::Phases;
use footlight_graph::ops::Constant;
use footlight_graph::plan::{Access, Place, Plan};
use footlight_graph::simplify::RuleReport;
use footlight_graph::{Error, ErrorKind, Graph, Op, OpRule, Value};
use footlight_tensor::{DType, Data, Tensor};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

/// Where an operand lies, and how far a row is from the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    base: Base,
    offset: usize,
    /// Bytes from one row to the next where only the block's rows are meant; 0 where all of it is.
    row_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    State(usize),
    Constants,
    Arena,
    Scratch,
}

/// A step made ready: its kernel and where its operands lie.
struct Ready {
    kernel: Kernel,
    inputs: Vec<Location>,
    outputs: Vec<Location>,
    phase_scratch: usize,
    block_scratch: usize,
    node: usize,
}

struct ReadyChain {
    rows: usize,
    block_rows: usize,
    blocks: usize,
    steps: Vec<Ready>,
    /// Bytes of scratch that hold nothing when a block begins.
    scratch: Vec<Range<usize>>,
}

struct ReadyPhase {
    chains: Vec<ReadyChain>,
    tasks: usize,
    /// Bytes of the arena that nobody reads after this phase.
    freed: Vec<Range<usize>>,
}

/// A plan made ready to run: kernels chosen, places resolved, nothing left to allocate.
pub struct Session {
    plan: Plan,
    rules: Vec<RuleReport>,
    engine: Arc<()>,
    phases: Vec<ReadyPhase>,
    constants: Buffer,
    /// For each state of the graph its position in the store.
    states: Vec<usize>,
    inputs: Vec<(String, Value)>,
    progress: Phases,
    /// For each worker and step: the run that packed the step's operand last.
    packed: Vec<AtomicU64>,
    run: u64,
    pointers: Vec<*mut u8>,
    scratch: Vec<*mut u8>,
    workers: usize,
}

// SAFETY: the raw pointers are only tables that each run fills anew from the engine it is given exclusively.
unsafe impl Send for Session {}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("phases", &self.phases.len()).finish_non_exhaustive()
    }
}

/// What an inspected run tells of one step on one block.
#[derive(Debug)]
pub struct Inspection<'a> {
    /// The node.
    pub node: &'a footlight_graph::Node,
    /// The first non-finite number it wrote, if it wrote one.
    pub non_finite: Option<f32>,
    /// The smallest and largest number of each float input, over the rows read.
    pub input_ranges: Vec<(f32, f32)>,
    /// How long it took.
    pub seconds: f64,
}

impl Session {
    pub(crate) fn new(plan: Plan, rules: Vec<RuleReport>, workers: usize, engine: &Engine) -> Session {
        let constants = constants(&plan.graph);
        let (mut phases, mut kernels) = (Vec::new(), 0);
        for (p, phase) in plan.phases.iter().enumerate() {
            let chains: Vec<ReadyChain> = phase
                .chains
                .iter()
                .map(|chain| ReadyChain {
                    rows: chain.rows,
                    block_rows: chain.block_rows,
                    blocks: chain.blocks(),
                    steps: chain.steps.iter().map(|step| ready(&plan, step, &mut kernels)).collect(),
                    scratch: plan.scratch_of(chain).into_iter().map(|(.., bytes)| bytes).collect(),
                })
                .collect();
            let tasks = chains.iter().map(|c| c.blocks).sum();
            phases.push(ReadyPhase { chains, tasks, freed: freed(&plan, p) });
        }
        let position = |name: &str| engine.store().position(name).expect("the engine declares every state");
        let states: Vec<usize> = plan.graph.states().iter().map(|s| position(&s.name)).collect();
        let inputs = plan.graph.inputs().map(|(name, value)| (name.to_string(), value)).collect();
        Session {
            pointers: vec![std::ptr::null_mut(); states.len()],
            scratch: vec![std::ptr::null_mut(); workers],
            progress: Phases::new(phases.len()),
            packed: (0..kernels * workers).map(|_| AtomicU64::new(0)).collect(),
            engine: engine.identity.clone(),
            run: 0,
            plan,
            rules,
            phases,
            constants,
            states,
            inputs,
            workers,
        }
    }

    /// The plan that is run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How the graph was simplified, rule by rule; nothing for a graph that was planned as it is.
    pub fn rules(&self) -> &[RuleReport] {
        &self.rules
    }

    /// The number of workers that take part.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Runs the plan once. `feeds` are the inputs in the order of [`Graph::inputs`].
    ///
    /// # Errors
    /// `ErrorKind::Shape` when a feed does not hold what its input asks for, `ErrorKind::Invalid` when `engine` is not the
    /// one that made this session; nothing was run then.
    pub fn run(&mut self, engine: &mut Engine, feeds: &[Feed<'_>]) -> Result<(), Error> {
        self.begin(engine, feeds)?;
        let context = Context::new(self, engine, feeds);
        engine.team.run(self.workers, &|worker| context.work(worker));
        Ok(())
    }

    /// Runs the plan once on the caller alone, step by step, and tells `inspect` of each.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_inspected(
        &mut self,
        engine: &mut Engine,
        feeds: &[Feed<'_>],
        inspect: &mut dyn FnMut(Inspection<'_>),
    ) -> Result<(), Error> {
        self.begin(engine, feeds)?;
        let context = Context::new(self, engine, feeds);
        context.walk(&mut |chain, block, step| {
            let begin = Instant::now();
            context.run_step(chain, step, block, 0);
            let seconds = begin.elapsed().as_secs_f64();
            inspect(context.inspection(chain, step, block, seconds));
        });
        Ok(())
    }

    /// Runs the plan `runs` times on the caller alone and adds up the time of each node.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile(&mut self, engine: &mut Engine, feeds: &[Feed<'_>], runs: usize) -> Result<Profile, Error> {
        let mut seconds = vec![0.0; self.plan.graph.nodes().len()];
        for _ in 0..runs {
            self.begin(engine, feeds)?;
            let context = Context::new(self, engine, feeds);
            context.walk(&mut |chain, block, step| {
                let begin = Instant::now();
                context.run_step(chain, step, block, 0);
                seconds[step.node] += begin.elapsed().as_secs_f64();
            });
        }
        Ok(Profile::new(&self.plan.graph, &seconds, runs))
    }

    fn begin(&mut self, engine: &mut Engine, feeds: &[Feed<'_>]) -> Result<(), Error> {
        if !Arc::ptr_eq(&self.engine, &engine.identity) {
            return Err(Error::single(ErrorKind::Invalid, "session", "it was made by another engine"));
        }
        if feeds.len() != self.inputs.len() {
            let message = format!("takes {} inputs, got {}", self.inputs.len(), feeds.len());
            return Err(Error::single(ErrorKind::Shape, "model", message));
        }
        for ((name, value), feed) in self.inputs.iter().zip(feeds) {
            let ty = self.plan.graph.type_of(*value);
            let rows = ty.shape.first().copied().unwrap_or(1);
            if let Some(message) = feed.mismatch(ty.dtype, rows, ty.len().checked_div(rows).unwrap_or(0)) {
                return Err(Error::single(ErrorKind::Shape, format!("input `{name}`"), message));
            }
        }
        for (pointer, slot) in self.pointers.iter_mut().zip(&self.states) {
            *pointer = engine.store().slots[*slot].buffer.pointer();
        }
        for (pointer, scratch) in self.scratch.iter_mut().zip(&engine.scratch) {
            *pointer = scratch.pointer();
        }
        if self.plan.graph.states().iter().any(|s| s.next.is_some()) {
            engine.store_mut().version += 1;
        }
        self.run += 1;
        self.progress.reset();
        if engine.poisons() {
            engine.arena.fill_with_nan();
            engine.scratch.iter_mut().for_each(Buffer::fill_with_nan);
        }
        Ok(())
    }

    /// The output called `name`, as the last run of any session left it: read it before the next.
    pub fn output(&self, engine: &Engine, name: &str) -> Option<Tensor> {
        let value = self.plan.graph.output(name)?;
        let ty = self.plan.graph.type_of(value);
        let (buffer, offset) = self.buffer_of(engine, value)?;
        let data = match ty.dtype {
            DType::I32 => Data::I32(buffer.i32(offset, ty.len()).to_vec()),
            _ => Data::F32(buffer.f32(offset, ty.len()).to_vec()),
        };
        Tensor::new(ty.shape.clone(), data).ok()
    }

    /// The floats of the output called `name`, without a copy; see [`Session::output`].
    pub fn output_f32<'a>(&'a self, engine: &'a Engine, name: &str) -> Option<&'a [f32]> {
        let value = self.plan.graph.output(name)?;
        let ty = self.plan.graph.type_of(value);
        let (buffer, offset) = self.buffer_of(engine, value)?;
        (ty.dtype == DType::F32).then(|| buffer.f32(offset, ty.len()))
    }

    fn buffer_of<'a>(&'a self, engine: &'a Engine, value: Value) -> Option<(&'a Buffer, usize)> {
        if !Arc::ptr_eq(&self.engine, &engine.identity) {
            return None;
        }
        match self.plan.places[value.index()] {
            Place::Arena(offset) => Some((&engine.arena, offset)),
            Place::State(state) => Some((&engine.store().slots[self.states[state]].buffer, 0)),
            Place::Constant(node) => Some((&self.constants, node * CONSTANT_BYTES)),
            Place::Nowhere | Place::Scratch(_) => None,
        }
    }
}

/// One run, as every worker sees it.
struct Context<'a> {
    session: &'a Session,
    feeds: &'a [Feed<'a>],
    arena: *mut u8,
    isa: Isa,
    poison: bool,
}

// SAFETY: workers share the context by reference and write through its pointers only the blocks they claimed; blocks of
// a phase do not overlap, which `plan::verify` has checked, and a phase begins when the last is done.
unsafe impl Sync for Context<'_> {}

impl<'a> Context<'a> {
    fn new(session: &'a Session, engine: &Engine, feeds: &'a [Feed<'a>]) -> Context<'a> {
        let arena = engine.arena.pointer();
        Context { session, feeds, arena, isa: engine.isa, poison: engine.poisons() }
    }

    fn work(&self, worker: usize) {
        let progress = &self.session.progress;
        for (p, phase) in self.session.phases.iter().enumerate() {
            progress.work(p, phase.tasks, |task| self.run_task(phase, task, worker));
            let is_last = p + 1 == self.session.phases.len();
            if (!is_last || self.poison) && !progress.wait(p, phase.tasks) {
                return;
            }
            if self.poison {
                if worker == 0 {
                    // SAFETY: the ranges lie in the arena and hold values that nobody reads any more; the others wait.
                    phase.freed.iter().for_each(|range| unsafe { fill_with_nan(self.arena, range.clone()) });
                    progress.add_done(p, 1);
                }
                if !progress.wait(p, phase.tasks + 1) {
                    return;
                }
            }
        }
    }

    /// Runs one block of one chain of a phase, counted through all chains.
    fn run_task(&self, phase: &ReadyPhase, mut task: usize, worker: usize) {
        for chain in &phase.chains {
            if task < chain.blocks {
                return self.run_block(chain, task, worker);
            }
            task -= chain.blocks;
        }
    }

    fn run_block(&self, chain: &ReadyChain, block: usize, worker: usize) {
        if self.poison {
            let scratch = self.session.scratch[worker];
            // SAFETY: the ranges lie in this worker's scratch, and nothing is kept there from one block to the next.
            chain.scratch.iter().for_each(|range| unsafe { fill_with_nan(scratch, range.clone()) });
        }
        for step in &chain.steps {
            self.run_step(chain, step, block, worker);
        }
    }

    /// Every step of every block, in the order of one worker.
    fn walk(&self, visit: &mut dyn FnMut(&ReadyChain, usize, &Ready)) {
        for chain in self.session.phases.iter().flat_map(|p| &p.chains) {
            for block in 0..chain.blocks {
                chain.steps.iter().for_each(|step| visit(chain, block, step));
            }
        }
    }

    fn run_step(&self, chain: &ReadyChain, step: &Ready, block: usize, worker: usize) {
        let first_row = block * chain.block_rows;
        let rows = chain.block_rows.min(chain.rows - first_row.min(chain.rows));
        let mut inputs = [std::ptr::null_mut(); 8];
        let mut outputs = [std::ptr::null_mut(); 4];
        assert!(step.inputs.len() <= MAX_INPUTS);
        let mut many = [std::ptr::null_mut(); MAX_INPUTS];
        let inputs = if step.inputs.len() <= inputs.len() { &mut inputs[..] } else { &mut many[..] };
        for (pointer, location) in inputs.iter_mut().zip(&step.inputs) {
            *pointer = self.resolve(*location, first_row, worker);
        }
        for (pointer, location) in outputs.iter_mut().zip(&step.outputs) {
            *pointer = self.resolve(*location, first_row, worker);
        }
        let scratch = self.session.scratch[worker];
        let kernels = self.session.packed.len() / self.session.scratch.len().max(1);
        let block = Block {
            isa: self.isa,
            first_row,
            rows,
            inputs: &inputs[..step.inputs.len()],
            outputs: &outputs[..step.outputs.len()],
            // SAFETY: the plan keeps both offsets inside the worker's scratch, which the engine has grown to the plan's size;
            // `begin` has made sure that it is that engine.
            phase_scratch: unsafe { scratch.add(step.phase_scratch) },
            // SAFETY: as above.
            block_scratch: unsafe { scratch.add(step.block_scratch) },
            packed: step.kernel.pack_slot().map(|slot| &self.session.packed[worker * kernels + slot]),
            run: self.session.run,
            feeds: self.feeds,
        };
        // SAFETY: the plan gives every operand a place of its type and size, block by block; no other worker writes there
        // in this phase, and what is read was written in an earlier phase or by this worker.
        unsafe { step.kernel.run(&block) }
    }

    fn resolve(&self, location: Location, first_row: usize, worker: usize) -> *mut u8 {
        let base = match location.base {
            Base::State(state) => self.session.pointers[state],
            Base::Constants => self.session.constants.pointer(),
            Base::Arena => self.arena,
            Base::Scratch => self.session.scratch[worker],
        };
        let rows = if matches!(location.base, Base::Scratch) { 0 } else { first_row * location.row_bytes };
        // SAFETY: the plan keeps offset and rows inside the buffer of the base.
        unsafe { base.add(location.offset + rows) }
    }

    fn inspection(&self, chain: &ReadyChain, step: &Ready, block: usize, seconds: f64) -> Inspection<'_> {
        let graph = &self.session.plan.graph;
        let node = &graph.nodes()[step.node];
        let first_row = block * chain.block_rows;
        let rows = chain.block_rows.min(chain.rows - first_row.min(chain.rows));
        let floats = |value: Value, location: Location| -> &[f32] {
            let ty = graph.type_of(value);
            let by_rows = location.row_bytes > 0;
            let count = if by_rows { rows * location.row_bytes / 4 } else { ty.len() };
            let pointer = self.resolve(location, first_row, 0);
            // SAFETY: the step has just run on this block, alone; the operand has this many elements there.
            unsafe { std::slice::from_raw_parts(pointer.cast::<f32>(), count) }
        };
        let is_float = |v: &Value| graph.type_of(*v).dtype == DType::F32;
        let written = node.outputs.iter().zip(&step.outputs).filter(|(v, _)| is_float(v));
        let read = node.inputs.iter().zip(&step.inputs).filter(|(v, _)| is_float(v));
        Inspection {
            node,
            non_finite: written.flat_map(|(v, l)| floats(*v, *l)).copied().find(|x| !x.is_finite()),
            input_ranges: read
                .map(|(v, l)| {
                    let range = (f32::INFINITY, f32::NEG_INFINITY);
                    floats(*v, *l).iter().fold(range, |(low, high), x| (low.min(*x), high.max(*x)))
                })
                .collect(),
            seconds,
        }
    }
}

/// The most inputs a step may have.
pub(crate) const MAX_INPUTS: usize = 64;

/// Constants are numbers of four bytes, each at the place of its node.
const CONSTANT_BYTES: usize = 4;

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

fn ready(plan: &Plan, step: &footlight_graph::plan::Step, kernels: &mut usize) -> Ready {
    let graph = &plan.graph;
    let node = &graph.nodes()[step.node];
    let output_location = |value: Value| location(plan, value, Access::Rows);
    assert!(node.inputs.len() <= MAX_INPUTS, "{} has {} inputs", node.op.name(), node.inputs.len());
    Ready {
        kernel: Kernel::new(graph, node, &step.access, kernels),
        inputs: node.inputs.iter().zip(&step.access).map(|(v, access)| location(plan, *v, *access)).collect(),
        outputs: node.outputs.iter().map(|v| output_location(*v)).collect(),
        phase_scratch: step.phase_scratch.start,
        block_scratch: step.block_scratch.start,
        node: step.node,
    }
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
                last[footlight_graph::plan::root(graph, *value).index()] = Some(phase);
            }
        }
    }
    for (_, value) in graph.outputs() {
        last[footlight_graph::plan::root(graph, *value).index()] = None;
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
    use footlight_graph::{Builder, Role, Type};

    /// A product of a product, so that one value lives in the arena from phase to phase.
    fn chained_products() -> Graph {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([32, 32]));
        let w = g.state("w", Type::f32([32, 32]), Role::Parameter);
        let y = g.matmul(w, x);
        let z = g.matmul(x, y);
        g.output("z", z);
        g.finish().unwrap()
    }

    #[test]
    fn a_value_read_for_the_last_time_is_filled_with_nan() {
        let mut engine = Engine::new(2);
        let mut session = engine.compile(&chained_products()).unwrap();
        let freed: Vec<Range<usize>> = session.phases.iter().flat_map(|p| p.freed.clone()).collect();
        assert!(!freed.is_empty());
        for poison in [true, false] {
            engine.poison_freed_memory(poison);
            session.run(&mut engine, &[Feed::F32(&[0.5; 1024])]).unwrap();
            for range in &freed {
                let values = engine.arena.f32(range.start, range.len() / 4);
                assert!(values.iter().all(|x| x.is_nan() == poison), "{range:?}");
            }
            assert!(session.output_f32(&engine, "z").unwrap().iter().all(|x| *x == 0.0));
        }
    }

    #[test]
    fn a_session_refuses_the_engine_of_another() {
        let graph = chained_products();
        let (mut one, mut other) = (Engine::new(1), Engine::new(1));
        let mut session = one.compile(&graph).unwrap();
        other.compile(&graph).unwrap();
        let error = session.run(&mut other, &[Feed::F32(&[0.5; 1024])]).unwrap_err();
        assert_eq!(error.to_string(), "session: it was made by another engine");
        session.run(&mut one, &[Feed::F32(&[0.5; 1024])]).unwrap();
    }

    #[test]
    fn a_profile_names_every_step_once() {
        let mut engine = Engine::new(1);
        let mut session = engine.compile(&chained_products()).unwrap();
        let profile = session.profile(&mut engine, &[Feed::F32(&[0.5; 1024])], 3).unwrap();
        let mut ops: Vec<&str> = profile.nodes.iter().map(|n| n.op.as_str()).collect();
        ops.sort_unstable();
        assert_eq!(ops, ["input", "matmul", "matmul"]);
        assert!(profile.nodes.is_sorted_by(|a, b| a.seconds >= b.seconds));
        assert!(profile.to_string().contains("f32[32, 32]"), "{profile}");
    }
}
