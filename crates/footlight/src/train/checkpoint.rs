//! A training put aside, to go on later as if nothing had happened.
//!
//! A checkpoint is one `.npz` file: `state/<name>` for every weight, slot, statistic and metric sum, and `progress`,
//! JSON in bytes: which training this is, how far it has come, its history and what its callbacks remember (their
//! arrays are `callback/<index>/<name>`). The order of samples and the numbers of dropout follow from seed, epoch and
//! step, so they need no place.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use footlight_graph::{Role, Type};
use footlight_nn::file::write_atomically_with;
use footlight_tensor::{Data, Tensor, npz};
use serde_json::{Value as Json, json};

use super::History;
use super::callback::CallbackState;
use crate::model::Model;
use crate::{Error, ErrorKind, Result};

/// How far a training has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    /// The epoch under way, counted from 0.
    pub epoch: usize,
    /// Its steps that are done.
    pub step: usize,
    /// Whether a callback has ended the training.
    pub is_stopped: bool,
    pub history: History,
    pub callbacks: Vec<CallbackState>,
}

/// Where and how often checkpoints are written.
#[derive(Clone, Debug)]
pub(super) struct Checkpointer {
    path: PathBuf,
    every: Duration,
    last: Instant,
}

/// An epoch that ends sooner than this after the last checkpoint waits for the next: it is done again faster than saved.
const LEAST: Duration = Duration::from_secs(1);
const PROGRESS: &str = "progress";
/// A hundred thousand epochs of four metrics take half of this. In memory a byte of JSON can take more than a hundred.
const PROGRESS_LIMIT_BYTES: usize = 16 << 20;
const STATE: &str = "state/";
const CALLBACK: &str = "callback/";
const VERSION: u64 = 1;

impl Checkpointer {
    pub fn new(path: &Path, every: Duration) -> Checkpointer {
        Checkpointer { path: path.to_owned(), every, last: Instant::now() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is time within an epoch.
    pub fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    /// Whether it is time at the end of an epoch.
    pub fn is_due_after_epoch(&self) -> bool {
        self.last.elapsed() >= LEAST.min(self.every)
    }

    pub fn write(&mut self, model: &Model, identity: &Json, position: &Position) -> Result<()> {
        let callbacks: Vec<&Json> = position.callbacks.iter().map(|callback| &callback.values).collect();
        let progress = json!({
            "version": VERSION,
            "training": identity,
            "epoch": position.epoch,
            "step": position.step,
            "stopped": position.is_stopped,
            "history": position.history.to_state(),
            "callbacks": callbacks,
        });
        let text = progress.to_string().into_bytes();
        let mut arrays = vec![(PROGRESS.to_string(), Tensor::new([text.len()], text)?)];
        let store = model.engine.store();
        for (name, ..) in store.entries() {
            arrays.push((format!("{STATE}{name}"), store.get(name).expect("it is listed")));
        }
        for (index, callback) in position.callbacks.iter().enumerate() {
            let named = callback.tensors.iter();
            arrays.extend(named.map(|(name, tensor)| (format!("{CALLBACK}{index}/{name}"), tensor.clone())));
        }
        let arrays = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_atomically_with(&self.path, |file| npz::write_stream(arrays, file))?;
        self.last = Instant::now();
        Ok(())
    }

    /// Takes up the training in the file, if there is one.
    pub fn read(&self, model: &mut Model, identity: &Json) -> Result<Option<Position>> {
        let bytes = match std::fs::read(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(format!("cannot read it: {error}"))),
            Ok(bytes) => bytes,
        };
        let arrays = npz::read(&bytes).map_err(|error| self.fault(error.message().into()))?;
        let progress = arrays.iter().find(|(name, _)| name == PROGRESS).and_then(|(_, tensor)| match tensor.data() {
            Data::U8(text) if text.len() <= PROGRESS_LIMIT_BYTES => serde_json::from_slice::<Json>(text).ok(),
            _ => None,
        });
        let progress = progress.filter(|progress| progress["version"] == VERSION);
        let progress = progress.ok_or_else(|| self.fault("it is no checkpoint of this version".into()))?;
        if let Some(difference) = first_difference("", &progress["training"], identity) {
            let message = format!("`{}`: this is another training: {difference}", self.path.display());
            return Err(Error::new(ErrorKind::Config, message)
                .help("go on with the settings it was started with, or start anew without resuming"));
        }
        let count = |key: &str| progress[key].as_u64().map(|count| count as usize);
        let (Some(epoch), Some(step)) = (count("epoch"), count("step")) else {
            return Err(self.fault("it does not say how far it has come".into()));
        };
        if identity["steps_per_epoch"].as_u64().is_some_and(|steps| step as u64 > steps) {
            return Err(self.fault(format!("it says that {step} steps of an epoch are done, which has fewer")));
        }
        let callbacks = progress["callbacks"].as_array().cloned().unwrap_or_default();
        if identity["callbacks"] != callbacks.len() {
            return Err(self.fault(format!("it remembers {} callbacks of {}", callbacks.len(), identity["callbacks"])));
        }
        let tensors = |index: usize| {
            let prefix = format!("{CALLBACK}{index}/");
            let own = arrays.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor)));
            own.map(|(name, tensor)| (name.to_string(), tensor.clone())).collect()
        };
        let callbacks = callbacks.into_iter().enumerate();
        let callbacks = callbacks.map(|(i, values)| CallbackState { values, tensors: tensors(i) }).collect();
        let history =
            History::from_state(&progress["history"]).ok_or_else(|| self.fault("its history is damaged".into()))?;
        self.restore_states(model, &arrays)?;
        Ok(Some(Position { epoch, step, is_stopped: progress["stopped"] == true, history, callbacks }))
    }

    /// Sets every state of the model; all are checked before the first is set.
    fn restore_states(&self, model: &mut Model, arrays: &[(String, Tensor)]) -> Result<()> {
        let known: Vec<(String, Role, Type)> =
            model.engine.store().entries().map(|(n, role, ty)| (n.to_string(), role, ty.clone())).collect();
        let mut found = Vec::new();
        for (name, role, ty) in known {
            let array = arrays.iter().find(|(array, _)| array.strip_prefix(STATE) == Some(&name));
            match array {
                Some((_, tensor)) if tensor.shape() == ty.shape && tensor.dtype() == ty.dtype => {
                    found.push((name, role, tensor));
                }
                _ => return Err(self.fault(format!("state `{name}` is missing or is no {ty}"))),
            }
        }
        for (name, role, tensor) in found {
            let set = model.engine.store_mut().set(&name, role, tensor);
            set.map_err(|message| self.fault(message))?;
        }
        Ok(())
    }

    fn fault(&self, message: String) -> Error {
        Error::new(ErrorKind::File, format!("checkpoint `{}`: {message}", self.path.display()))
            .help("remove the file to start anew")
    }
}

/// Where two descriptions first differ, in words.
fn first_difference(path: &str, old: &Json, new: &Json) -> Option<String> {
    match (old, new) {
        (Json::Object(a), Json::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.map(|key| (key, a.get(key).unwrap_or(&Json::Null), b.get(key).unwrap_or(&Json::Null))).find_map(
                |(key, a, b)| {
                    first_difference(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, a, b)
                },
            )
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            let items = a.iter().zip(b).enumerate();
            items.map(|(i, (a, b))| first_difference(&format!("{path}[{i}]"), a, b)).find_map(|found| found)
        }
        _ if old == new => None,
        _ => Some(format!("{path} was {old}, is {new}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_their_path() {
        let old = json!({ "seed": 1, "layers": [{ "units": 3 }, { "units": 4 }] });
        let new = json!({ "seed": 1, "layers": [{ "units": 3 }, { "units": 5 }] });
        assert_eq!(first_difference("", &old, &new).as_deref(), Some("layers[1].units was 4, is 5"));
        assert_eq!(first_difference("", &old, &old), None);
    }
}
