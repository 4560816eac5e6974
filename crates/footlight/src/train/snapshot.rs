//! The weights of a model at one moment.

use footlight_graph::Role;
use footlight_tensor::Tensor;

use crate::model::Model;

/// Copies of weights, to go back to.
#[derive(Debug)]
pub(crate) struct Snapshot(Vec<(String, Role, Tensor)>);

impl Snapshot {
    /// Parameters and statistics.
    pub(crate) fn of_weights(model: &Model) -> Snapshot {
        let store = model.engine.store();
        let entries = store.entries().filter(|(_, role, _)| matches!(role, Role::Parameter | Role::Statistic));
        Snapshot(entries.map(|(name, role, _)| (name.into(), role, store.get(name).expect("it is listed"))).collect())
    }

    /// Sets the weights back.
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
