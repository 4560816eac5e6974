//! The weights of a model at one moment.

use footlight_graph::Role;
use footlight_tensor::Tensor;

use crate::model::Model;
use crate::{Error, ErrorKind, Result};

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
    ///
    /// # Errors
    /// `ErrorKind::File` when the snapshot came from a file and is of another model; nothing is set then.
    pub(crate) fn restore(&self, model: &mut Model) -> Result<()> {
        for (name, _, value) in &self.0 {
            let present = model.engine.store().get(name);
            if present.is_none_or(|present| (present.shape(), present.dtype()) != (value.shape(), value.dtype())) {
                let message =
                    format!("the checkpoint keeps `{}`, which the model does not have so", name.escape_debug());
                return Err(Error::new(ErrorKind::File, message).help("remove the file to start anew"));
            }
        }
        for (name, role, value) in &self.0 {
            model.engine.store_mut().set(name, *role, value).expect("types were compared");
        }
        Ok(())
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
