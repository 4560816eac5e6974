//! One run of a plan by the workers, and of a scan's body within it.

use crate::buffer::fill_with_nan;
use crate::dispatch::Block;
use crate::feed::Feed;
use crate::isa::Isa;
use crate::ready::{Base, Location, Loop, MAX_INPUTS, Ready, ReadyChain, ReadyPhase, ReadyPlan, Work};
use crate::session::Inspection;
use crate::team::{Phases, Task};
use footlight_graph::{Graph, Value};
use footlight_tensor::DType;
use std::sync::atomic::{AtomicU64, Ordering};

/// One run, as every worker sees it.
pub(crate) struct Run<'a> {
    pub plan: &'a ReadyPlan,
    pub graph: &'a Graph,
    pub states: &'a [*mut u8],
    /// Each worker's scratch.
    pub scratch: &'a [*mut u8],
    pub arena: *mut u8,
    pub progress: &'a Phases,
    /// For each worker and packed operand: the run that packed it last.
    pub packed: &'a [AtomicU64],
    /// Where each operand lies that stays packed from run to run; null for others.
    pub kept: &'a [*mut u8],
    /// This run: what is kept is packed.
    pub fresh: &'a AtomicU64,
    pub number: u64,
    pub feeds: &'a [Feed<'a>],
    pub isa: Isa,
    pub poison: bool,
}

// SAFETY: workers share the run by reference and write through its pointers only the blocks they claimed; blocks of a
// phase do not overlap, which `plan::verify` has checked, and a phase begins when the last is done.
unsafe impl Sync for Run<'_> {}

/// What is told of each step on each block.
type Visit<'v> = dyn FnMut(&Frame<'_>, &ReadyChain, &Ready, usize) + 'v;

impl Run<'_> {
    pub(crate) fn work(&self, worker: usize) {
        let frame = Frame::new(self, worker);
        for (p, phase) in self.plan.phases.iter().enumerate() {
            self.progress.work(p, worker, |share| phase.shares[share].tasks, |task| frame.run_task(phase, task));
            let is_last = p + 1 == self.plan.phases.len();
            if (!is_last || self.poison) && !self.progress.wait(p, worker, phase.tasks) {
                return;
            }
            if self.poison {
                if worker == 0 {
                    frame.poison_freed(phase);
                    self.progress.add_done(p, 1);
                }
                if !self.progress.wait(p, worker, phase.tasks + 1) {
                    return;
                }
            }
        }
    }

    /// Every step of every block, in the order of one worker.
    pub(crate) fn walk(&self, visit: &mut Visit<'_>) {
        let frame = Frame::new(self, 0);
        for chain in self.plan.phases.iter().flat_map(|p| &p.chains) {
            (0..chain.blocks).for_each(|block| frame.run_block(chain, block, visit));
        }
    }
}

/// Where one worker finds what the steps of a plan, or of a body, read and write.
pub(crate) struct Frame<'a> {
    run: &'a Run<'a>,
    worker: usize,
    plan: &'a ReadyPlan,
    arena: *mut u8,
    /// What steps keep from block to block is counted from here.
    kept: *mut u8,
    scratch: *mut u8,
    /// In a body: which turn of which scan this is.
    turn: Option<Turn<'a>>,
}

#[derive(Clone, Copy)]
struct Turn<'a> {
    outer: &'a Frame<'a>,
    step: &'a Ready,
    body: &'a Loop,
    index: usize,
}

impl<'a> Frame<'a> {
    fn new(run: &'a Run<'a>, worker: usize) -> Frame<'a> {
        let scratch = run.scratch[worker];
        Frame { run, worker, plan: run.plan, arena: run.arena, kept: scratch, scratch, turn: None }
    }

    /// Runs one block of one chain of a phase, counted through all chains of a share.
    fn run_task(&self, phase: &ReadyPhase, Task { share, mut number }: Task) {
        for (chain, blocks) in phase.chains.iter().zip(&phase.shares[share].blocks) {
            if number < blocks.len() {
                let block = blocks.start + number;
                return self
                    .run_block(chain, block, &mut |frame, chain, step, block| frame.run_step(chain, step, block));
            }
            number -= blocks.len();
        }
    }

    fn run_block(&self, chain: &ReadyChain, block: usize, visit: &mut Visit<'_>) {
        if self.run.poison {
            // SAFETY: the ranges lie in this worker's scratch, and nothing is kept there from one block to the next.
            chain.scratch.iter().for_each(|range| unsafe { fill_with_nan(self.scratch, range.clone()) });
        }
        for step in &chain.steps {
            match &step.work {
                Work::Kernel(_) => visit(self, chain, step, block),
                Work::Scan(body) => self.run_scan(chain, step, body, block, visit),
            }
        }
    }

    /// All steps of a scan: on one block of rows, or on all.
    fn run_scan(&self, chain: &ReadyChain, step: &Ready, body: &Loop, block: usize, visit: &mut Visit<'_>) {
        let rows = chain.rows_of(block);
        // SAFETY: the plan keeps all offsets inside the scratch that the scan has.
        let [arena, scratch, kept] = unsafe {
            let begin = self.scratch.add(step.block_scratch);
            [begin.add(body.arena), begin.add(body.scratch), self.kept.add(step.phase_scratch)]
        };
        for index in 0..body.scan.length {
            let turn = Some(Turn { outer: self, step, body, index });
            let frame = Frame { plan: &body.plan, arena, kept, scratch, turn, ..*self };
            body.repacked.iter().for_each(|slot| frame.mark(*slot).store(0, Ordering::Relaxed));
            frame.poison_carries();
            if body.by_rows {
                frame.run_block(&body.plan.phases[0].chains[0], block, visit);
            } else {
                frame.run_phases(visit);
            }
            frame.copy_outputs(rows);
        }
        if body.scan.length == 0 {
            self.hand_on(step, body, rows);
        }
    }

    /// Every phase of a body, on this worker alone.
    fn run_phases(&self, visit: &mut Visit<'_>) {
        for phase in &self.plan.phases {
            for chain in &phase.chains {
                (0..chain.blocks).for_each(|block| self.run_block(chain, block, visit));
            }
            if self.run.poison {
                self.poison_freed(phase);
            }
        }
    }

    fn poison_freed(&self, phase: &ReadyPhase) {
        // SAFETY: the ranges lie in the arena and hold values that nobody reads any more; no other worker is at work there.
        phase.freed.iter().for_each(|range| unsafe { fill_with_nan(self.arena, range.clone()) });
    }

    /// In a body, before its steps: the places that the next carries will have.
    fn poison_carries(&self) {
        let Some(turn) = self.turn.filter(|turn| self.run.poison && turn.index + 1 < turn.body.scan.length) else {
            return;
        };
        for (places, bytes) in &turn.body.carries {
            // SAFETY: the place lies in this worker's scratch; the carry that was there has been read.
            unsafe { fill_with_nan(turn.scratch().add(places[turn.index % 2]), 0..*bytes) };
        }
    }

    /// In a body, after its steps: outputs that are what was given, numbers, or other outputs.
    fn copy_outputs(&self, [first_row, rows]: [usize; 2]) {
        let Some(turn) = self.turn else { return };
        for (from, output) in &turn.body.copies {
            let (row, bytes) = match turn.body.by_rows {
                true => (first_row, rows * from.row_bytes),
                false => (0, turn.body.output_bytes[*output]),
            };
            let to = Location { base: Base::Output(*output), offset: 0, row_bytes: from.row_bytes };
            // SAFETY: both hold these rows; an output is no place of what is given in the same turn.
            unsafe { std::ptr::copy_nonoverlapping(self.resolve(*from, row), self.resolve(to, row), bytes) };
        }
    }

    /// The first carries are the last of a scan of no steps.
    fn hand_on(&self, step: &Ready, body: &Loop, [first_row, rows]: [usize; 2]) {
        for (carry, to) in step.outputs.iter().take(body.scan.carries).enumerate() {
            let from = step.inputs[body.scan.constants + carry];
            let (begin, bytes) = match body.by_rows {
                true => (first_row * to.row_bytes, rows * to.row_bytes),
                false => (0, body.output_bytes[carry]),
            };
            // SAFETY: both hold a carry, of which these are the block's rows.
            unsafe {
                std::ptr::copy_nonoverlapping(self.resolve(from, 0).add(begin), self.resolve(*to, 0).add(begin), bytes);
            }
        }
    }

    fn mark(&self, slot: usize) -> &AtomicU64 {
        let slots = self.run.packed.len() / self.run.scratch.len().max(1);
        &self.run.packed[self.worker * slots + slot]
    }

    pub(crate) fn run_step(&self, chain: &ReadyChain, step: &Ready, block: usize) {
        let Work::Kernel(kernel) = &step.work else { unreachable!("a scan runs the kernels of its body") };
        let [first_row, rows] = chain.rows_of(block);
        let mut inputs = [std::ptr::null_mut(); 8];
        let mut outputs = [std::ptr::null_mut(); 4];
        assert!(step.inputs.len() <= MAX_INPUTS);
        let mut many = [std::ptr::null_mut(); MAX_INPUTS];
        let inputs = if step.inputs.len() <= inputs.len() { &mut inputs[..] } else { &mut many[..] };
        for (pointer, location) in inputs.iter_mut().zip(&step.inputs) {
            *pointer = self.resolve(*location, first_row);
        }
        for (pointer, location) in outputs.iter_mut().zip(&step.outputs) {
            *pointer = self.resolve(*location, first_row);
        }
        // SAFETY: the plan keeps both offsets inside the worker's scratch, which the engine has grown to the plan's size;
        // `begin` has made sure that it is that engine.
        let [phase_scratch, block_scratch] =
            unsafe { [self.kept.add(step.phase_scratch), self.scratch.add(step.block_scratch)] };
        let (phase_scratch, packed) = match kernel.pack_slot() {
            Some(slot) if !self.run.kept[slot].is_null() => (self.run.kept[slot], Some(self.run.fresh)),
            slot => (phase_scratch, slot.map(|slot| self.mark(slot))),
        };
        let block = Block {
            isa: self.run.isa,
            first_row,
            rows,
            inputs: &inputs[..step.inputs.len()],
            outputs: &outputs[..step.outputs.len()],
            phase_scratch,
            block_scratch,
            packed,
            run: self.run.number,
            feeds: self.run.feeds,
        };
        // SAFETY: the plan gives every operand a place of its type and size, block by block; no other worker writes there
        // in this phase, and what is read was written in an earlier phase or by this worker.
        unsafe { kernel.run(&block) }
    }

    fn resolve(&self, location: Location, first_row: usize) -> *mut u8 {
        let rows = first_row * location.row_bytes;
        let (base, rows) = match location.base {
            Base::State(state) => (self.run.states[state], rows),
            Base::Constants => (self.plan.constants.pointer(), rows),
            Base::Arena => (self.arena, rows),
            Base::Scratch => (self.scratch, 0),
            Base::Given(i) => self.turn.expect("only bodies are given").given(i, rows),
            Base::Output(j) => self.turn.expect("only bodies answer").output(j, rows),
        };
        // SAFETY: the plan keeps offset and rows inside the buffer of the base.
        unsafe { base.add(location.offset + rows) }
    }

    pub(crate) fn inspection(&self, chain: &ReadyChain, step: &Ready, block: usize, seconds: f64) -> Inspection<'_> {
        let graph = self.turn.map_or(self.run.graph, |turn| &turn.body.scan.body);
        let node = &graph.nodes()[step.node];
        let [first_row, rows] = chain.rows_of(block);
        let floats = |value: Value, location: Location| -> &[f32] {
            let ty = graph.type_of(value);
            let by_rows = location.row_bytes > 0;
            let count = if by_rows { rows * location.row_bytes / 4 } else { ty.len() };
            let pointer = self.resolve(location, first_row);
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

impl Turn<'_> {
    /// Where the scan's own scratch begins.
    fn scratch(&self) -> *mut u8 {
        // SAFETY: the plan keeps the offset inside the scratch.
        unsafe { self.outer.scratch.add(self.step.block_scratch) }
    }

    /// Where input `i` of the scan lies in this turn, and how far the block's rows are from there.
    fn given(&self, i: usize, rows: usize) -> (*mut u8, usize) {
        let scan = &self.body.scan;
        let whole = self.outer.resolve(self.step.inputs[i], 0);
        match scan.carry(i) {
            Some(carry) if self.index > 0 => self.carry(carry, self.index - 1, rows),
            None if scan.is_sequence(i) => (whole, scan.step(self.index) * self.body.input_bytes[i] + rows),
            _ => (whole, rows),
        }
    }

    /// Where output `j` of the body belongs in this turn, and how far the block's rows are from there.
    fn output(&self, j: usize, rows: usize) -> (*mut u8, usize) {
        let scan = &self.body.scan;
        let whole = self.outer.resolve(self.step.outputs[j], 0);
        match j < scan.carries {
            true if self.index + 1 < scan.length => self.carry(j, self.index, rows),
            true => (whole, rows),
            false => (whole, scan.step(self.index) * self.body.output_bytes[j] + rows),
        }
    }

    /// The carry that turn `index` makes: of independent rows, only those of the block are there.
    fn carry(&self, carry: usize, index: usize, rows: usize) -> (*mut u8, usize) {
        let (places, _) = self.body.carries[carry];
        // SAFETY: the plan keeps both places inside the scan's scratch.
        let place = unsafe { self.scratch().add(places[index % 2]) };
        (place, if self.body.by_rows { 0 } else { rows })
    }
}
