//! Runs a plan.

use crate::buffer::{ALIGNMENT, Buffer};
use crate::dispatch::{Block, Kernel};
use crate::engine::Engine;
use crate::feed::Feed;
use crate::isa::Isa;
use crate::team::Patience;
use footlight_graph::ops::Constant;
use footlight_graph::plan::{Access, Place, Plan};
use footlight_graph::{Error, ErrorKind, Graph, Op, OpRule, Value};
use footlight_tensor::{DType, Data, Tensor};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
}

struct ReadyPhase {
    chains: Vec<ReadyChain>,
    tasks: usize,
    /// Ranges of the arena that nobody reads after this phase: byte offset and length.
    freed: Vec<(usize, usize)>,
}

/// A plan made ready to run: kernels chosen, places resolved, nothing left to allocate.
pub struct Session {
    plan: Plan,
    phases: Vec<ReadyPhase>,
    constants: Buffer,
    /// For each state of the graph its position in the store.
    states: Vec<usize>,
    inputs: Vec<(String, Value)>,
    counters: Vec<AtomicUsize>,
    arrived: AtomicUsize,
    /// For each worker and step: the run that packed the step's operand last.
    packed: Vec<AtomicU64>,
    run: u64,
    pointers: Vec<*mut u8>,
    scratch: Vec<*mut u8>,
    workers: usize,
}

// SAFETY: the raw pointers are only tables that each run fills anew from the engine it is given.
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
    pub(crate) fn new(plan: Plan, engine: &Engine) -> Session {
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
                })
                .collect();
            let tasks = chains.iter().map(|c| c.blocks).sum();
            phases.push(ReadyPhase { chains, tasks, freed: freed(&plan, p) });
        }
        let position = |name: &str| engine.store().position(name).expect("the engine declares every state");
        let states: Vec<usize> = plan.graph.states().iter().map(|s| position(&s.name)).collect();
        let inputs = plan.graph.inputs().map(|(name, value)| (name.to_string(), value)).collect();
        // A step too small to be worth waking anyone runs on the caller alone.
        let most = phases.iter().map(|p: &ReadyPhase| p.tasks).max().unwrap_or(1);
        let workers = if plan.cost < 4e5 { 1 } else { engine.threads().min(most.max(1)) };
        Session {
            pointers: vec![std::ptr::null_mut(); states.len()],
            scratch: vec![std::ptr::null_mut(); engine.threads()],
            counters: phases.iter().map(|_| AtomicUsize::new(0)).collect(),
            packed: (0..kernels * engine.threads()).map(|_| AtomicU64::new(0)).collect(),
            arrived: AtomicUsize::new(0),
            run: 0,
            plan,
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

    /// The number of workers that take part.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Runs the plan once. `feeds` are the inputs in the order of [`Graph::inputs`].
    ///
    /// # Errors
    /// `ErrorKind::Shape` when a feed does not hold what its input asks for; nothing was run then.
    pub fn run(&mut self, engine: &mut Engine, feeds: &[Feed<'_>]) -> Result<(), Error> {
        self.begin(engine, feeds)?;
        let workers = self.workers.min(engine.threads());
        let arena = engine.arena.pointer();
        let (isa, poison) = (engine.isa, engine.poisons());
        let this = &*self;
        let context = Context { session: this, feeds, arena, isa, workers, poison };
        engine.team.run(workers, &|worker| context.work(worker));
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
        let arena = engine.arena.pointer();
        let context = Context { session: self, feeds, arena, isa: engine.isa, workers: 1, poison: engine.poisons() };
        for phase in &self.phases {
            for chain in &phase.chains {
                for block in 0..chain.blocks {
                    for step in &chain.steps {
                        let begin = Instant::now();
                        context.run_step(chain, step, block, 0);
                        let seconds = begin.elapsed().as_secs_f64();
                        inspect(context.inspection(chain, step, block, seconds));
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, engine: &mut Engine, feeds: &[Feed<'_>]) -> Result<(), Error> {
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
        self.arrived.store(0, Ordering::Relaxed);
        self.counters.iter().for_each(|c| c.store(0, Ordering::Relaxed));
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
        match self.plan.places[value.index()] {
            Place::Arena(offset) => Some((&engine.arena, offset)),
            Place::State(state) => Some((&engine.store().slots[self.states[state]].buffer, 0)),
            Place::Constant(node) => Some((&self.constants, node * ALIGNMENT)),
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
    workers: usize,
    poison: bool,
}

// SAFETY: workers share the context by reference and write through its pointers only the blocks they claimed; blocks of
// a phase do not overlap, which `plan::verify` has checked, and phases are separated by barriers.
unsafe impl Sync for Context<'_> {}

impl Context<'_> {
    fn work(&self, worker: usize) {
        for (p, phase) in self.session.phases.iter().enumerate() {
            let counter = &self.session.counters[p];
            loop {
                let mut task = counter.fetch_add(1, Ordering::Relaxed);
                if task >= phase.tasks {
                    break;
                }
                for chain in &phase.chains {
                    if task < chain.blocks {
                        self.run_block(chain, task, worker);
                        break;
                    }
                    task -= chain.blocks;
                }
            }
            let is_last = p + 1 == self.session.phases.len();
            if !is_last || self.poison {
                self.barrier(p);
            }
            if self.poison {
                if worker == 0 {
                    phase.freed.iter().for_each(|range| self.fill_with_nan(*range));
                }
                self.barrier_after_poison(p);
            }
        }
    }

    /// Waits until all workers have come here.
    fn barrier(&self, phase: usize) {
        self.meet(
            (phase + 1) * self.workers * (1 + usize::from(self.poison)) - self.workers * usize::from(self.poison),
        );
    }

    fn barrier_after_poison(&self, phase: usize) {
        self.meet((phase + 1) * self.workers * 2);
    }

    fn meet(&self, target: usize) {
        if self.workers == 1 {
            return;
        }
        self.session.arrived.fetch_add(1, Ordering::AcqRel);
        let mut patience = Patience::default();
        while self.session.arrived.load(Ordering::Acquire) < target {
            patience.wait();
        }
    }

    fn fill_with_nan(&self, (offset, bytes): (usize, usize)) {
        for at in (offset..offset + bytes).step_by(4) {
            // SAFETY: the range lies in the arena and belongs to a value that nobody reads any more; the other workers wait.
            unsafe { self.arena.add(at).cast::<u32>().write(f32::NAN.to_bits()) }
        }
    }

    fn run_block(&self, chain: &ReadyChain, block: usize, worker: usize) {
        for step in &chain.steps {
            self.run_step(chain, step, block, worker);
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
            // SAFETY: the plan keeps both offsets inside the worker's scratch, which the engine has grown to the plan's size.
            phase_scratch: unsafe { scratch.add(step.phase_scratch) },
            // SAFETY: as above.
            block_scratch: unsafe { scratch.add(step.block_scratch) },
            packed: step.kernel.pack_slot().map(|slot| &self.session.packed[worker * kernels + slot]),
            run: self.session.run,
            feeds: self.feeds,
        };
        // SAFETY: the plan gives every operand a place of its type and size, block by block; no other worker writes there
        // in this phase, and what is read was written before the last barrier or by this worker.
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

fn constants(graph: &Graph) -> Buffer {
    let mut buffer = Buffer::new(graph.nodes().len() * ALIGNMENT);
    for (index, node) in graph.nodes().iter().enumerate() {
        let at = index * ALIGNMENT / 4;
        match node.op {
            Op::Constant(Constant::F32(x)) => buffer.f32_mut(at + 1)[at] = x,
            Op::Constant(Constant::I32(x)) => buffer.i32_mut(at + 1)[at] = x,
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
        kernel: Kernel::new(graph, node, kernels),
        inputs: node.inputs.iter().zip(&step.access).map(|(v, access)| location(plan, *v, *access)).collect(),
        outputs: node.outputs.iter().map(|v| output_location(*v)).collect(),
        phase_scratch: step.phase_scratch,
        block_scratch: step.block_scratch,
        node: step.node,
    }
}

fn location(plan: &Plan, value: Value, access: Access) -> Location {
    let ty = plan.graph.type_of(value);
    let row_bytes = match access {
        Access::Rows => ty.size_bytes() / ty.shape.first().copied().unwrap_or(1).max(1),
        Access::Whole => 0,
    };
    let (base, offset) = match plan.places[value.index()] {
        Place::State(state) => (Base::State(state), 0),
        Place::Constant(node) => (Base::Constants, node * ALIGNMENT),
        Place::Arena(offset) => (Base::Arena, offset),
        Place::Scratch(offset) => (Base::Scratch, offset),
        Place::Nowhere => unreachable!("a step's operands have places"),
    };
    Location { base, offset, row_bytes }
}

/// The ranges of the arena whose values are read for the last time in phase `p`.
fn freed(plan: &Plan, p: usize) -> Vec<(usize, usize)> {
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
        Place::Arena(offset) if last[index] == Some(p) => Some((*offset, graph.values()[index].size_bytes())),
        _ => None,
    };
    plan.places.iter().enumerate().filter_map(ends_here).collect()
}
