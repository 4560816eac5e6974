//! Runs a plan.

use crate::buffer::Buffer;
use crate::engine::Engine;
use crate::feed::Feed;
use crate::frame::Run;
use crate::pace::Pace;
use crate::packed::Keeps;
use crate::profile::{NodeTime, Profile};
use crate::ready::{CONSTANT_BYTES, Counts, ReadyPlan};
use crate::target::CpuTarget;
use crate::team::Phases;
use footlight_graph::plan::{Place, Plan};
use footlight_graph::simplify::RuleReport;
use footlight_graph::{Error, ErrorKind, Value};
use footlight_tensor::{DType, Data, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A plan made ready to run: kernels chosen, places resolved, nothing left to allocate.
pub struct Session {
    plan: Plan,
    rules: Vec<RuleReport>,
    engine: Arc<()>,
    ready: ReadyPlan,
    /// All steps, those of bodies included.
    num_steps: usize,
    /// For each state of the graph its position in the store.
    states: Vec<usize>,
    inputs: Vec<(String, Value)>,
    progress: Phases,
    /// For each worker and step: the run that packed the step's operand last.
    packed: Vec<AtomicU64>,
    /// The operands that stay packed from run to run, where each of the session's operands lies so, and this run.
    keeps: Vec<Keeps>,
    kept: Vec<*mut u8>,
    fresh: AtomicU64,
    run: u64,
    pointers: Vec<*mut u8>,
    scratch: Vec<*mut u8>,
    workers: usize,
    pace: Pace,
}

// SAFETY: the raw pointers are only tables that each run fills anew from the engine it is given exclusively.
unsafe impl Send for Session {}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("phases", &self.ready.phases.len()).finish_non_exhaustive()
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
    pub(crate) fn new(
        target: CpuTarget,
        plan: Plan,
        rules: Vec<RuleReport>,
        workers: usize,
        engine: &mut Engine,
    ) -> Session {
        let mut counts = Counts { workers, ..Counts::default() };
        let ready = ReadyPlan::new(&plan, &mut counts);
        let position = |name: &str| engine.store().position(name).expect("the engine declares every state");
        let states: Vec<usize> = plan.graph.states().iter().map(|s| position(&s.name)).collect();
        let inputs = plan.graph.inputs().map(|(name, value)| (name.to_string(), value)).collect();
        Session {
            pointers: vec![std::ptr::null_mut(); states.len()],
            scratch: vec![std::ptr::null_mut(); workers],
            progress: Phases::new(ready.phases.len(), workers),
            packed: (0..counts.packed * workers).map(|_| AtomicU64::new(0)).collect(),
            keeps: engine.kept.add(target, &plan, &ready, &states, engine.isa),
            kept: vec![std::ptr::null_mut(); counts.packed],
            fresh: AtomicU64::new(0),
            engine: engine.identity.clone(),
            run: 0,
            plan,
            rules,
            ready,
            num_steps: counts.steps,
            states,
            inputs,
            workers,
            pace: Pace::default(),
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

    /// Runs the plan once. `feeds` are the inputs in the order of [`inputs`](footlight_graph::Graph::inputs).
    ///
    /// # Errors
    /// `ErrorKind::Shape` when a feed does not hold what its input asks for, `ErrorKind::Invalid` when `engine` is not the
    /// one that made this session; nothing was run then.
    pub fn run(&mut self, engine: &mut Engine, feeds: &[Feed<'_>]) -> Result<(), Error> {
        self.begin(engine, feeds)?;
        let begin = Instant::now();
        let workers = self.pace.workers(self.workers, begin);
        let run = self.current(engine, feeds);
        engine.team.run(workers, &|worker| run.work(worker));
        if self.workers > 1 {
            let (now, waited) = (Instant::now(), self.progress.waited() + engine.team.waited());
            self.pace.learn(workers, now - begin, waited, now);
        }
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
        self.current(engine, feeds).walk(&mut |frame, chain, step, block| {
            let begin = Instant::now();
            frame.run_step(chain, step, block);
            let seconds = begin.elapsed().as_secs_f64();
            inspect(frame.inspection(chain, step, block, seconds));
        });
        Ok(())
    }

    /// Runs the plan `runs` times on the caller alone and tells the time of each node, the median over all runs.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile(&mut self, engine: &mut Engine, feeds: &[Feed<'_>], runs: usize) -> Result<Profile, Error> {
        let mut runs = vec![vec![0.0; self.num_steps]; runs.max(1)];
        for seconds in &mut runs {
            self.begin(engine, feeds)?;
            self.current(engine, feeds).walk(&mut |frame, chain, step, block| {
                let begin = Instant::now();
                frame.run_step(chain, step, block);
                seconds[step.index] += begin.elapsed().as_secs_f64();
            });
        }
        let mut times = Vec::new();
        self.ready.each_turn(&self.plan.graph, 1, &mut |graph, node, step, turns| {
            let mut all: Vec<f64> = runs.iter().map(|seconds| seconds[step.index]).collect();
            all.sort_by(f64::total_cmp);
            times.push(NodeTime::new(graph, node, all[all.len() / 2], turns as f64));
        });
        Ok(Profile::new(times))
    }

    /// The run that has begun, as every worker sees it.
    fn current<'a>(&'a self, engine: &Engine, feeds: &'a [Feed<'a>]) -> Run<'a> {
        Run {
            plan: &self.ready,
            graph: &self.plan.graph,
            states: &self.pointers,
            scratch: &self.scratch,
            arena: engine.arena.pointer(),
            progress: &self.progress,
            packed: &self.packed,
            kept: &self.kept,
            fresh: &self.fresh,
            number: self.run,
            feeds,
            isa: engine.isa,
            poison: engine.poisons(),
        }
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
        engine.refresh(self.workers, &self.ready, &self.keeps);
        self.keeps.iter().for_each(|keep| self.kept[keep.slot] = engine.kept.pointer(keep));
        for (state, slot) in self.plan.graph.states().iter().zip(&self.states) {
            engine.store.slots[*slot].version += u64::from(state.next.is_some());
        }
        self.run += 1;
        self.fresh.store(self.run, Ordering::Relaxed);
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
            Place::Constant(node) => Some((&self.ready.constants, node * CONSTANT_BYTES)),
            Place::Nowhere | Place::Scratch(_) | Place::Given(_) | Place::Output(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_graph::{Builder, Graph, Role, Type};
    use std::ops::Range;

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
        let freed: Vec<Range<usize>> = session.ready.phases.iter().flat_map(|p| p.freed.clone()).collect();
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
