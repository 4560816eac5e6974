//! The states of a model at one moment.

use footlight_graph::Role;
use footlight_tensor::Tensor;

use crate::model::Model;

/// Copies of states, to go back to.
#[derive(Debug)]
pub(crate) struct Snapshot(Vec<(String, Role, Tensor)>);

impl Snapshot {
    /// All states.
    pub(crate) fn of_all(model: &Model) -> Snapshot {
        Snapshot::of(model, |_| true)
    }

    /// Parameters and statistics.
    pub(crate) fn of_weights(model: &Model) -> Snapshot {
        Snapshot::of(model, |role| matches!(role, Role::Parameter | Role::Statistic))
    }

    fn of(model: &Model, wanted: impl Fn(Role) -> bool) -> Snapshot {
        let store = model.engine.store();
        let entries = store.entries().filter(|(_, role, _)| wanted(*role));
        Snapshot(entries.map(|(name, role, _)| (name.into(), role, store.get(name).expect("it is listed"))).collect())
    }

    /// Sets the states back.
    pub(crate) fn restore(&self, model: &mut Model) {
        for (name, role, value) in &self.0 {
            model.engine.store_mut().set(name, *role, value).expect("types do not change");
        }
    }

    /// The values by name, to be kept.
    pub(crate) fn tensors(&self) -> Vec<(String, Tensor)> {
        self.0.iter().map(|(name, _, value)| (name.clone(), value.clone())).collect()
    }

    /// A snapshot of weights that were kept.
    pub(crate) fn from_tensors(tensors: &[(String, Tensor)]) -> Snapshot {
        Snapshot(tensors.iter().map(|(name, value)| (name.clone(), Role::Parameter, value.clone())).collect())
    }
}
