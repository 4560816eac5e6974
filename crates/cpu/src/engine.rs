//! What sessions share: the team, the arena, each worker's scratch and the states.

use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::packed::Kept;
use crate::session::Session;
use crate::store::Store;
use crate::target::CpuTarget;
use crate::team::Team;
use footlight_graph::{Error, Graph, Role, plan, simplify};
use std::sync::Arc;

/// A CPU with a fixed number of threads, and the memory of a model on it.
///
/// Sessions of the same engine share one arena of the largest of them, so a short last batch costs nothing.
#[derive(Debug)]
pub struct Engine {
    pub(crate) team: Team,
    pub(crate) isa: Isa,
    pub(crate) arena: Buffer,
    pub(crate) scratch: Vec<Buffer>,
    /// Tells this engine's sessions from others'.
    pub(crate) identity: Arc<()>,
    pub(crate) store: Store,
    pub(crate) kept: Kept,
    poison: bool,
    is_finest: bool,
}

impl Engine {
    /// No engine has more workers than this.
    pub const MOST_THREADS: usize = Team::MOST_WORKERS;

    /// An engine with `threads` workers, the caller included: at least 1, at most [`Engine::MOST_THREADS`] or what the
    /// system gives; [`Engine::threads`] tells how many.
    pub fn new(threads: usize) -> Engine {
        Engine::with_isa(threads, Isa::detect())
    }

    /// As [`Engine::new`], on a chosen instruction set, or on the widest there is if this processor does not have it.
    pub fn with_isa(threads: usize, isa: Isa) -> Engine {
        let isa = if Isa::available().contains(&isa) { isa } else { Isa::detect() };
        let team = Team::new(threads);
        let scratch = (0..team.workers()).map(|_| Buffer::new(0)).collect();
        Engine {
            team,
            isa,
            arena: Buffer::new(0),
            scratch,
            identity: Arc::new(()),
            store: Store::default(),
            kept: Kept::default(),
            poison: cfg!(debug_assertions),
            is_finest: false,
        }
    }

    /// The number of threads that available cores allow.
    pub fn available_threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// The number of workers.
    pub fn threads(&self) -> usize {
        self.team.workers()
    }

    /// The states.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The states, to be changed.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Fills arena and scratch with NaN before each run, every range of the arena as soon as its value has been read for
    /// the last time, and scratch before each block: reading what a plan has given up, or not made yet, then shows at
    /// once. On by default where debug assertions are.
    pub fn poison_freed_memory(&mut self, on: bool) {
        self.poison = on;
    }

    /// Cuts the plans to come into the smallest blocks, and lets the whole team take part in each: so that even the
    /// smallest graph is shared out. For tests.
    pub fn cut_finely(&mut self, on: bool) {
        self.is_finest = on;
    }

    pub(crate) fn poisons(&self) -> bool {
        self.poison
    }

    /// Simplifies and plans `graph` and makes it ready to run; states that are not there yet start as zeros.
    ///
    /// # Errors
    /// `ErrorKind::Invalid` when a stage breaks its own law, or a state is there with another type.
    pub fn compile(&mut self, graph: &Graph) -> Result<Session, Error> {
        self.compile_for(self.target(), graph)
    }

    /// As [`Engine::compile`], for a graph that is run often while its states stay the same: states that it does not change
    /// stay packed as products and convolutions read them, which takes as much memory as they take.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub fn compile_answers(&mut self, graph: &Graph) -> Result<Session, Error> {
        self.compile_for(self.target().keep_packed(true), graph)
    }

    fn compile_for(&mut self, target: CpuTarget, graph: &Graph) -> Result<Session, Error> {
        let simplify::Simplified { graph, rules } = simplify::simplify(graph, &target)?;
        self.prepare(target, plan::plan(&graph, &target)?, rules)
    }

    /// As [`Engine::compile`], without simplification: the plan of the graph as it is.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub fn compile_raw(&mut self, graph: &Graph) -> Result<Session, Error> {
        let target = self.target();
        self.prepare(target, plan::plan(graph, &target)?, Vec::new())
    }

    fn target(&self) -> CpuTarget {
        CpuTarget::new(self.isa).cut_finely(self.is_finest)
    }

    fn prepare(
        &mut self,
        target: CpuTarget,
        plan: plan::Plan,
        rules: Vec<simplify::RuleReport>,
    ) -> Result<Session, Error> {
        for state in plan.graph.states() {
            let declared = self.store.declare(&state.name, state.role, plan.graph.type_of(state.value));
            declared.map_err(|message| Error::single(footlight_graph::ErrorKind::Invalid, &*state.name, message))?;
        }
        self.arena.grow(plan.arena_bytes);
        let workers = self.workers_for(&plan);
        self.scratch[..workers].iter_mut().for_each(|s| s.grow(plan.scratch_bytes));
        Ok(Session::new(target, plan, rules, workers, self))
    }

    /// As many workers as the plan has blocks for; a step too small to be worth waking anyone runs on the caller alone.
    fn workers_for(&self, plan: &plan::Plan) -> usize {
        let most = plan.phases.iter().map(plan::Phase::blocks).max().unwrap_or(1).max(1);
        if plan.cost < 4e5 && !self.is_finest { 1 } else { self.threads().min(most) }
    }

    /// Bytes that the arena and all workers' scratch take, those of the largest session so far, and all that stays packed.
    pub fn working_bytes(&self) -> usize {
        self.kept.bytes() + self.arena.bytes() + self.scratch.iter().map(Buffer::bytes).sum::<usize>()
    }

    /// Bytes of all states of the roles.
    pub fn state_bytes(&self, roles: &[Role]) -> usize {
        self.store.slots.iter().filter(|s| roles.contains(&s.role)).map(|s| s.buffer.bytes()).sum()
    }

    /// Bytes of all states: what a copy of the store takes.
    pub fn store_bytes(&self) -> usize {
        self.store.slots.iter().map(|s| s.buffer.bytes()).sum()
    }
}
