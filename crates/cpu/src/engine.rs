//! What sessions share: the team, the arena, each worker's scratch and the states.

use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::session::Session;
use crate::store::Store;
use crate::target::CpuTarget;
use crate::team::Team;
use footlight_graph::{Error, Graph, plan, simplify};

/// A CPU with a fixed number of threads, and the memory of a model on it.
///
/// Sessions of the same engine share one arena of the largest of them, so a short last batch costs nothing.
#[derive(Debug)]
pub struct Engine {
    pub(crate) team: Team,
    pub(crate) isa: Isa,
    pub(crate) arena: Buffer,
    pub(crate) scratch: Vec<Buffer>,
    store: Store,
    poison: bool,
}

impl Engine {
    /// An engine with `threads` workers (at least 1), the caller included.
    pub fn new(threads: usize) -> Engine {
        Engine::with_isa(threads, Isa::detect())
    }

    /// As [`Engine::new`], on a chosen instruction set, which this processor must have.
    pub fn with_isa(threads: usize, isa: Isa) -> Engine {
        let team = Team::new(threads);
        let scratch = (0..team.workers()).map(|_| Buffer::new(0)).collect();
        Engine { team, isa, arena: Buffer::new(0), scratch, store: Store::default(), poison: false }
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

    /// Fills every range of the arena with NaN as soon as its value has been read for the last time, and scratch before
    /// each block: reading what a plan has given up then shows at once. For tests.
    pub fn poison_freed_memory(&mut self, on: bool) {
        self.poison = on;
    }

    pub(crate) fn poisons(&self) -> bool {
        self.poison
    }

    /// Simplifies and plans `graph` and makes it ready to run; states that are not there yet start as zeros.
    ///
    /// # Errors
    /// `ErrorKind::Invalid` when a stage breaks its own law, or a state is there with another type.
    pub fn compile(&mut self, graph: &Graph) -> Result<Session, Error> {
        let target = CpuTarget::new(self.isa);
        let (simple, _) = simplify::simplify(graph, &target)?;
        self.prepare(plan::plan(&simple, &target)?)
    }

    /// As [`Engine::compile`], without simplification: the plan of the graph as it is.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub fn compile_raw(&mut self, graph: &Graph) -> Result<Session, Error> {
        self.prepare(plan::plan(graph, &CpuTarget::new(self.isa))?)
    }

    fn prepare(&mut self, plan: plan::Plan) -> Result<Session, Error> {
        for state in plan.graph.states() {
            let declared = self.store.declare(&state.name, state.role, plan.graph.type_of(state.value));
            declared.map_err(|message| Error::single(footlight_graph::ErrorKind::Invalid, &*state.name, message))?;
        }
        self.arena.grow(plan.arena_bytes);
        self.scratch.iter_mut().for_each(|s| s.grow(plan.scratch_bytes));
        Ok(Session::new(plan, self))
    }
}
