//! Which variable of a model lies where in the tree of weights.
//!
//! A layer's variables lie in `layers/<key>/vars` as `0`, `1` and so on, in the order in which the layer made them; the
//! optimizer's lie in `optimizer/vars`. Those of a recurrent layer are its cell's, in `layers/<key>/cell/vars`. Keys come from
//! classes ([`container_keys`]). Nothing here knows a layer: what a
//! model has and expects comes as plain data.

use std::collections::BTreeMap;

use footlight_tensor::{Error, ErrorKind, Tensor, display_shape};

use super::{Entry, Group};
use crate::{container_keys, to_snake_case};

/// A layer's variables.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerVars {
    /// The class in Keras, such as `Dense`.
    pub class_name: String,
    /// The layer's own name.
    pub name: String,
    /// The variables in the order in which Keras creates them, trainable ones first.
    pub vars: Vec<Tensor>,
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
    /// `Sequential` or `Functional`.
    pub class_name: String,
    /// The model's own name.
    pub name: String,
    /// The layers in the order of the model's configuration, those without variables too.
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
    /// What each variable is called, for messages, and its shape.
    pub vars: Vec<(String, Vec<usize>)>,
}

/// What a model's variables have to look like.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelShapes {
    /// `Sequential` or `Functional`.
    pub class_name: String,
    /// The layers in the order of the model's configuration, those without variables too.
    pub layers: Vec<LayerShapes>,
}

/// The tree of a model's variables, as Keras 3.15 writes it.
pub fn weights_tree(model: ModelVars) -> Group {
    let keys = layer_keys(&model.class_name, model.layers.iter().map(|layer| layer.class_name.as_str()));
    let layers = keys.into_iter().zip(model.layers).filter_map(|(key, layer)| {
        let group = match cell(&layer.class_name) {
            Some(cell) => {
                let mut group = holding("vars", vars_group(layer.name, Vec::new()));
                let own = holding("vars", vars_group(cell, layer.vars));
                group.entries.insert(CELL.into(), Entry::Group(own));
                group
            }
            None => holding("vars", vars_group(layer.name, layer.vars)),
        };
        Some((key?, Entry::Group(group)))
    });
    let layers = Group { name: None, entries: layers.collect() };
    let mut root = holding("vars", vars_group(model.name, Vec::new()));
    root.entries.insert("layers".into(), Entry::Group(layers));
    if let Some(optimizer) = model.optimizer {
        let vars = vars_group(optimizer.name, optimizer.vars);
        root.entries.insert("optimizer".into(), Entry::Group(holding("vars", vars)));
    }
    root
}

/// Where a recurrent layer keeps its cell.
const CELL: &str = "cell";

/// The name of the cell that holds the variables of a class of layers, if one does.
fn cell(class_name: &str) -> Option<String> {
    ["SimpleRNN", "LSTM", "GRU"].contains(&class_name).then(|| format!("{}_cell", to_snake_case(class_name)))
}

fn vars_group(name: String, vars: Vec<Tensor>) -> Group {
    let entries = vars.into_iter().enumerate().map(|(index, tensor)| (index.to_string(), Entry::Dataset(tensor)));
    Group { name: Some(name), entries: entries.collect() }
}

fn holding(key: &str, group: Group) -> Group {
    Group { name: None, entries: BTreeMap::from([(key.to_owned(), Entry::Group(group))]) }
}

/// The key of each layer; a `Sequential` leaves out its input layer, so that one has none.
fn layer_keys<'a>(class_name: &str, layers: impl Iterator<Item = &'a str> + Clone) -> Vec<Option<String>> {
    let is_kept = |layer: &&str| class_name != "Sequential" || *layer != "InputLayer";
    let mut keys = container_keys(layers.clone().filter(is_kept)).into_iter();
    layers.map(|layer| if is_kept(&layer) { keys.next() } else { None }).collect()
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
        None => match take_group(&mut tree, "_layer_checkpoint_dependencies") {
            Some(groups) => ("_layer_checkpoint_dependencies", groups),
            None => ("layers", Group::default()),
        },
    };
    let keys = layer_keys(&model.class_name, model.layers.iter().map(|layer| layer.class_name.as_str()));
    let layers = model.layers.iter().zip(keys).map(|(layer, key)| {
        let Some(key) = key else { return Vec::new() };
        let path = format!("{prefix}/{key}");
        let group = take_group(&mut groups, &key).unwrap_or_default();
        take_layer(group, &path, layer, &mut faults)
    });
    let layers = layers.collect();
    let optimizer = take_group(&mut tree, "optimizer").map(|group| take_optimizer(group, &mut faults));
    unexpected(&groups, prefix, "no layer of the model has this place", &mut faults);
    unexpected(&tree, "", "no part of the model has this place", &mut faults);
    report(faults)?;
    Ok((layers, optimizer.filter(|optimizer| !optimizer.vars.is_empty())))
}

fn take_layer(mut group: Group, path: &str, layer: &LayerShapes, faults: &mut Vec<String>) -> Vec<Tensor> {
    let whose = format!("layer `{}` ({})", layer.name, layer.class_name);
    let why = format!("{whose} has no such variable");
    let mut path = path.to_string();
    if cell(&layer.class_name).is_some() {
        unexpected(&take_group(&mut group, "vars").unwrap_or_default(), &format!("{path}/vars"), &why, faults);
        let own = take_group(&mut group, CELL).unwrap_or_default();
        unexpected(&std::mem::replace(&mut group, own), &path, &why, faults);
        path = format!("{path}/{CELL}");
    }
    let mut found = take_group(&mut group, "vars").unwrap_or_default();
    let mut vars = Vec::new();
    for (index, (name, shape)) in layer.vars.iter().enumerate() {
        let expected = format!("{whose} expects {name} {}", display_shape(shape));
        match found.entries.remove(&index.to_string()) {
            Some(Entry::Dataset(tensor)) if tensor.shape() == shape => vars.push(tensor),
            Some(Entry::Dataset(tensor)) => {
                faults.push(format!("`{path}/vars/{index}`: {expected}, file has {}", display_shape(tensor.shape())));
            }
            Some(Entry::Group(_)) => faults.push(format!("`{path}/vars/{index}`: {expected}, file has a group")),
            None => faults.push(format!("`{path}/vars/{index}`: {expected}, missing")),
        }
    }
    // The state of a random generator, which some versions save, is nothing to restore.
    group.entries.remove("seed_generator");
    unexpected(&found, &format!("{path}/vars"), &why, faults);
    unexpected(&group, &path, &why, faults);
    vars
}

fn take_optimizer(mut group: Group, faults: &mut Vec<String>) -> OptimizerVars {
    let mut found = take_group(&mut group, "vars").unwrap_or_default();
    let mut vars = Vec::new();
    while let Some(Entry::Dataset(tensor)) = found.entries.remove(&vars.len().to_string()) {
        vars.push(tensor);
    }
    let why = format!("the optimizer's variables end with `{}` before it", vars.len().saturating_sub(1));
    unexpected(&found, "optimizer/vars", &why, faults);
    OptimizerVars { name: found.name.unwrap_or_default(), vars }
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
fn unexpected(group: &Group, path: &str, why: &str, faults: &mut Vec<String>) {
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

fn report(faults: Vec<String>) -> Result<(), Error> {
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
