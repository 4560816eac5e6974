//! What stateful layers carry from batch to batch.

use crate::Model;
use footlight_graph::Role;

impl Model {
    /// Lets stateful recurrent layers begin with zeros again, as before the first batch: where sequences begin that do not
    /// go on from those before.
    pub fn reset_states(&mut self) {
        let weights = self.architecture.weights();
        let is_carried = |name: &str, role: Role| role == Role::Statistic && weights.iter().all(|w| w.path != name);
        let store = self.engine.store_mut();
        let carried = store.entries().filter(|(name, role, _)| is_carried(name, *role));
        for name in carried.map(|(name, ..)| name.to_string()).collect::<Vec<_>>() {
            if let Some(state) = store.f32_mut(&name) {
                state.fill(0.0);
            }
        }
    }
}
