//! Which variable of a model lies where in the tree of weights.
//!
//! A layer's variables lie in `layers/<key>/vars` as `0`, `1` and so on, in the order in which the layer made them; the
//! optimizer's lie in `optimizer/vars`. Those of a part of a layer lie below it, such as in `layers/<key>/cell/vars`. Keys come from
//! classes ([`container_keys`]). Nothing here knows a layer: what a
//! model has and expects comes as plain data.

use std::collections::{BTreeMap, HashMap};

use footlight_tensor::{Error, ErrorKind, Tensor, display_shape};

use super::{Entry, Group};
use crate::container_keys;

/// What TF-Keras 2.13 calls the layers of a model.
const OLDER_LAYERS: &str = "_layer_checkpoint_dependencies";

/// A layer's variables.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerVars {
    /// The class in Keras, such as `Dense`.
    pub class_name: String,
    /// The layer's own name.
    pub name: String,
    /// The variables in the order in which Keras creates them, trainable ones first, each with the part of the layer that
    /// has it, such as `cell`; empty for the layer itself.
    pub vars: Vec<(String, Tensor)>,
}

/// An optimizer's variables.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerVars {
    /// The optimizer's own name, such as `adam`.
    pub name: String,
    /// The variables in the order of Keras: iteration, learning rate, slots.
    pub vars: Vec<Tensor>,
}

/// All variables of a model, given to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelVars {
    /// The model's own name.
    pub name: String,
    /// The layers that have a place in files, in the order of the model's configuration, those without variables too.
    pub layers: Vec<LayerVars>,
    /// The optimizer, if the model was compiled.
    pub optimizer: Option<OptimizerVars>,
}

/// What a layer's variables have to look like.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShapes {
    /// The class in Keras, such as `Dense`.
    pub class_name: String,
    /// The layer's own name, for messages.
    pub name: String,
    /// Of each variable the part of the layer that has it, what it is called, for messages, and its shape.
    pub vars: Vec<VarShape>,
}

/// What a variable has to look like.
#[derive(Clone, Debug, PartialEq)]
pub struct VarShape {
    /// The part of the layer that has it, such as `cell`; empty for the layer itself.
    pub part: String,
    /// What it is called, for messages.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What a model's variables have to look like.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelShapes {
    /// The layers that have a place in files, in the order of the model's configuration, those without variables too.
    pub layers: Vec<LayerShapes>,
}

/// The tree of a model's variables, as Keras 3.15 writes it.
pub fn weights_tree(model: ModelVars) -> Group {
    let keys = container_keys(model.layers.iter().map(|layer| layer.class_name.as_str()));
    let layers = keys.into_iter().zip(model.layers).map(|(key, layer)| (key, Entry::Group(layer_group(layer))));
    let layers = Group { entries: layers.collect(), ..Group::default() };
    let mut root = holding("vars", vars_group(model.name, Vec::new()));
    root.entries.insert("layers".into(), Entry::Group(layers));
    if let Some(optimizer) = model.optimizer {
        let vars = vars_group(optimizer.name, optimizer.vars);
        root.entries.insert("optimizer".into(), Entry::Group(holding("vars", vars)));
    }
    root
}

fn layer_group(layer: LayerVars) -> Group {
    let mut parts: Vec<(String, Vec<Tensor>)> = vec![(String::new(), Vec::new())];
    for (part, tensor) in layer.vars {
        match parts.iter_mut().find(|(known, _)| *known == part) {
            Some((_, tensors)) => tensors.push(tensor),
            None => parts.push((part, vec![tensor])),
        }
    }
    let mut group = Group::default();
    for (part, tensors) in parts {
        let mut place = &mut group;
        for key in part.split('/').filter(|key| !key.is_empty()) {
            let below = place.entries.entry(key.into()).or_insert_with(|| Entry::Group(Group::default()));
            match below {
                Entry::Group(below) => place = below,
                Entry::Dataset(_) => unreachable!("variables lie in `vars` alone"),
            }
        }
        let name = if part.is_empty() { layer.name.clone() } else { part };
        place.entries.insert("vars".into(), Entry::Group(vars_group(name, tensors)));
    }
    group
}

fn vars_group(name: String, vars: Vec<Tensor>) -> Group {
    let entries = vars.into_iter().enumerate().map(|(index, tensor)| (index.to_string(), Entry::Dataset(tensor)));
    Group { entries: entries.collect(), ..Group::named(name) }
}

fn holding(key: &str, group: Group) -> Group {
    Group { entries: BTreeMap::from([(key.to_owned(), Entry::Group(group))]), ..Group::default() }
}

/// Takes a model's variables out of a tree: those of each layer in order, and the optimizer's if there are any.
///
/// Older files lack names and the groups of layers without variables; files of TF-Keras 2.13 say
/// `_layer_checkpoint_dependencies` for `layers`. Element types are left as they are, and so is the number of the
/// optimizer's variables: an optimizer that never took a step has no slots.
///
/// # Errors
/// `ErrorKind::File` with all variables that are missing, unexpected or of another shape, each with its path in the
/// file; after ten of them the rest is counted.
pub fn read_vars(mut tree: Group, model: &ModelShapes) -> Result<(Vec<Vec<Tensor>>, Option<OptimizerVars>), Error> {
    let mut faults = Vec::new();
    let (prefix, mut groups) = match take_group(&mut tree, "layers") {
        Some(groups) => ("layers", groups),
        None => match take_group(&mut tree, OLDER_LAYERS) {
            Some(groups) => (OLDER_LAYERS, groups),
            None => ("layers", Group::default()),
        },
    };
    let keys = container_keys(model.layers.iter().map(|layer| layer.class_name.as_str()));
    let layers = model.layers.iter().zip(keys).map(|(layer, key)| {
        let path = format!("{prefix}/{key}");
        let group = take_group(&mut groups, &key).unwrap_or_default();
        take_layer(group, &path, layer, &mut faults)
    });
    let layers = layers.collect();
    let optimizer = take_group(&mut tree, "optimizer").map(|group| take_optimizer(group, &mut faults));
    // Keras 2 saves the sums of metrics, which begin anew.
    tree.entries.remove("metrics");
    unexpected(&groups, prefix, "no layer of the model has this place", &mut faults);
    unexpected(&tree, "", "no part of the model has this place", &mut faults);
    report(faults)?;
    Ok((layers, optimizer.filter(|optimizer| !optimizer.vars.is_empty())))
}

fn take_layer(mut group: Group, path: &str, layer: &LayerShapes, faults: &mut Vec<String>) -> Vec<Tensor> {
    let whose = format!("layer `{}` ({})", layer.name, layer.class_name);
    // The state of a random generator is nothing to restore.
    drop_seeds(&mut group);
    let (mut vars, mut taken): (Vec<Tensor>, HashMap<&str, usize>) = Default::default();
    for VarShape { part, name, shape } in &layer.vars {
        let index = taken.entry(part.as_str()).or_default();
        let key = index.to_string();
        *index += 1;
        let below = if part.is_empty() { String::new() } else { format!("/{part}") };
        let place = format!("`{path}{below}/vars/{key}`");
        let expected = format!("{whose} expects {name} {}", display_shape(shape));
        match place_of(&mut group, part).and_then(|vars| vars.entries.remove(&key)) {
            Some(Entry::Dataset(tensor)) if tensor.shape() == shape => vars.push(tensor),
            Some(Entry::Dataset(tensor)) => {
                faults.push(format!("{place}: {expected}, file has {}", display_shape(tensor.shape())));
            }
            Some(Entry::Group(_)) => faults.push(format!("{place}: {expected}, file has a group")),
            None => faults.push(format!("{place}: {expected}, missing")),
        }
    }
    unexpected(&group, path, &format!("{whose} has no such variable"), faults);
    vars
}

/// The variables of a part of a layer.
fn place_of<'a>(group: &'a mut Group, part: &str) -> Option<&'a mut Group> {
    part.split('/').filter(|key| !key.is_empty()).chain(["vars"]).try_fold(group, |group, key| {
        // Before Keras 3 a model had another word for its layers.
        let is_older = key == "layers" && !group.entries.contains_key(key);
        match group.entries.get_mut(if is_older { OLDER_LAYERS } else { key }) {
            Some(Entry::Group(below)) => Some(below),
            _ => None,
        }
    })
}

fn drop_seeds(group: &mut Group) {
    group.entries.retain(|key, _| key != "seed_generator");
    for entry in group.entries.values_mut() {
        if let Entry::Group(below) = entry {
            drop_seeds(below);
        }
    }
}

fn take_optimizer(mut group: Group, faults: &mut Vec<String>) -> OptimizerVars {
    let mut found = take_group(&mut group, "vars").unwrap_or_default();
    let mut vars = Vec::new();
    while let Some(Entry::Dataset(tensor)) = found.entries.remove(&vars.len().to_string()) {
        vars.push(tensor);
    }
    let why = format!("the optimizer's variables end with `{}` before it", vars.len().saturating_sub(1));
    unexpected(&found, "optimizer/vars", &why, faults);
    OptimizerVars { name: found.name().unwrap_or_default().into(), vars }
}

fn take_group(group: &mut Group, key: &str) -> Option<Group> {
    match group.entries.remove(key) {
        Some(Entry::Group(below)) => Some(below),
        // A tensor goes back, to be reported as unexpected.
        Some(tensor) => {
            group.entries.insert(key.to_owned(), tensor);
            None
        }
        None => None,
    }
}

/// Collects all tensors that nobody took. Groups without any are no fault.
pub(super) fn unexpected(group: &Group, path: &str, why: &str, faults: &mut Vec<String>) {
    for (key, entry) in &group.entries {
        let path = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        match entry {
            Entry::Group(below) => unexpected(below, &path, why, faults),
            Entry::Dataset(tensor) => {
                let shape = display_shape(tensor.shape());
                faults.push(format!("`{}`: unexpected {shape}, {why}", path.escape_debug()));
            }
        }
    }
}

pub(super) fn report(faults: Vec<String>) -> Result<(), Error> {
    const SHOWN: usize = 10;
    if faults.is_empty() {
        return Ok(());
    }
    let mut message = match faults.len() {
        1 => "1 variable does not fit the model".to_owned(),
        count => format!("{count} variables do not fit the model"),
    };
    for fault in faults.iter().take(SHOWN) {
        message.push_str("\n  ");
        message.push_str(fault);
    }
    if faults.len() > SHOWN {
        message.push_str(&format!("\n  and {} more", faults.len() - SHOWN));
    }
    Err(Error::new(ErrorKind::File, message).help("build the model that the weights were saved from"))
}

#[cfg(test)]
mod tests;
