//! Everything that is wrong with a description, told at once.

use footlight_nn::{Config, Error as Fault, Key};
use serde_json::Value as Json;

use super::tree::{Node, Place};
use crate::{Error, ErrorKind, Result};

/// Faults told of one description.
const SHOWN: usize = 10;

/// Collects faults with the places they are at.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Place, Fault)>);

impl FromIterator<(Place, Fault)> for Faults {
    fn from_iter<I: IntoIterator<Item = (Place, Fault)>>(faults: I) -> Faults {
        Faults(faults.into_iter().collect())
    }
}

impl Faults {
    pub fn add(&mut self, place: Place, fault: Fault) {
        self.0.push((place, fault));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads `node` until nothing is at fault any more: a key at fault is noted and left out, or, if it is one of `keys`
    /// that has to be there, replaced; so one look tells all faults.
    pub fn read<T>(&mut self, node: &Node, keys: &[Key], read: impl Fn(&Json) -> Result<T, Fault>) -> Option<T> {
        let mut value = node.to_json();
        let mut known: Vec<String> = Vec::new();
        loop {
            let fault = match read(&value) {
                Ok(made) => return Some(made),
                Err(fault) => fault,
            };
            let key = fault.key().map(str::to_string);
            if key.as_ref().is_some_and(|key| known.contains(key)) {
                return None;
            }
            self.add(node.place_of(key.as_deref()), fault);
            let key = key?;
            let required = keys.iter().find(|known| known.name == key && known.is_required);
            replace(&mut value, &key, required.map(|key| key.kind.sample()))?;
            known.push(key);
        }
    }

    /// Nothing if there are no faults.
    ///
    /// # Errors
    /// All faults in the order of their places, after ten of them a count.
    pub fn finish(mut self, file: &str, settings: &[String]) -> Result<()> {
        self.0.sort_by_key(|(place, _)| *place);
        self.0.dedup();
        let placed: Vec<Fault> =
            self.0.into_iter().map(|(place, fault)| fault.at(name(place, file, settings))).collect();
        let Some(first) = placed.first() else { return Ok(()) };
        if placed.len() == 1 {
            return Err(Error::from(first.clone()));
        }
        let mut message: Vec<String> = placed.iter().take(SHOWN).map(Fault::to_string).collect();
        if placed.len() > SHOWN {
            message.push(format!("and {} more faults", placed.len() - SHOWN));
        }
        Err(Error::new(ErrorKind::Config, message.join("\n")))
    }
}

fn name(place: Place, file: &str, settings: &[String]) -> String {
    match place {
        Place::Line(line) => format!("{file}:{line}"),
        Place::Setting(index) => format!("--set {}", settings.get(index).map_or("", String::as_str)),
    }
}

/// Leaves out the key that `path` leads to, or replaces its value; nothing if it is not there and nothing replaces it.
fn replace(value: &mut Json, path: &str, by: Option<Json>) -> Option<()> {
    let config = arguments(value)?;
    match path.split_once('.') {
        Some((key, rest)) => replace(config.get_mut(key)?, rest, by),
        None => match by {
            Some(by) => config.insert(path.into(), by).map_or(Some(()), |_| Some(())),
            None => config.remove(path).map(drop),
        },
    }
}

/// The arguments of an object with a class, or the keys of a plain one.
fn arguments(value: &mut Json) -> Option<&mut Config> {
    let has_class = value.get("class_name").is_some();
    let object = value.as_object_mut()?;
    if has_class { object.get_mut("config")?.as_object_mut() } else { Some(object) }
}
