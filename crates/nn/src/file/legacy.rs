//! Whole models in one HDF5 file, as Keras 1 and 2 saved them and Keras 3 still can: what lies where in its tree.
//!
//! The root has the attributes `model_config` and `training_config`, JSON both. `model_weights` lists its layers in
//! `layer_names`, and each layer the paths of its weights in `weight_names`: trainable ones first. `optimizer_weights` lists
//! the optimizer's variables. Names are those of whoever wrote the file; it is the order that counts.

use footlight_tensor::{Tensor, display_shape};
use serde_json::Value;

use super::archive::{JSON_LIMIT_BYTES, advised, check_limit, fault, parse};
use super::saved::{States, floats};
use super::{Group, model, older};
use crate::layers::Operator;
use crate::optimizers::LEARNING_RATE;
use crate::{Architecture, Compile, Error, Weight, to_snake_case};

/// What the file says in words.
pub(super) struct Texts {
    /// The version of Keras that wrote it; the first ones did not say.
    pub version: String,
    /// The description of the model.
    pub model: Value,
    /// What the model was trained by, as Keras 3 would say it.
    pub training: Option<Value>,
}

const MODEL: &str = "model_config";
pub(super) const TRAINING: &str = "training_config";
const WEIGHTS: &str = "model_weights";
pub(super) const OPTIMIZER: &str = "optimizer_weights";

/// Reads the attributes of the root.
pub(super) fn texts(root: &Group) -> Result<Texts, Error> {
    let read = |key: &str, text: &str| {
        check_limit(key, text.len() as u64, JSON_LIMIT_BYTES)
            .and_then(|()| parse(key, text.as_bytes()))
            .map_err(advised)
    };
    let json = |key: &str| root.text(key).map(|text| read(key, text)).transpose();
    let mut model = json(MODEL)?.ok_or_else(|| {
        fault(format!("`{MODEL}` is missing: the file holds weights, and no model they belong to"))
            .help("save the whole model with model.save(\"model.keras\")")
    })?;
    let version = root.text("keras_version").unwrap_or("1").to_string();
    if !older::is_older(&version) {
        name_operators(&mut model);
    }
    let mut training: Option<Value> = json(TRAINING)?;
    if let Some(training) = training.as_mut().and_then(Value::as_object_mut)
        && let Some(optimizer) = training.remove("optimizer_config")
    {
        training.insert("optimizer".into(), optimizer);
    }
    Ok(Texts { version, model, training })
}

/// Says of operators which module they are of, as they may be called like layers; of these alone it is said whether they
/// are trainable.
fn name_operators(entry: &mut Value) {
    let layers = entry.pointer_mut("/config/layers").and_then(Value::as_array_mut);
    layers.into_iter().flatten().for_each(name_operators);
    let class = entry["class_name"].as_str().unwrap_or_default();
    let Some((class, module, _)) = Operator::by_name(&to_snake_case(class)) else { return };
    if entry["class_name"] == class && entry.get("module").is_none() && entry.pointer("/config/trainable").is_none() {
        entry["module"] = module.into();
    }
}

/// The tensors that a group lists in `weight_names`, each with its path in the file.
fn listed(group: &Group, path: &str) -> Result<Vec<(String, Tensor)>, Error> {
    let tensor = |name: &str| {
        let missing = || fault(format!("`{path}/{}` is listed in `weight_names` and missing", name.escape_debug()));
        Ok((format!("{path}/{name}"), group.tensor(name).cloned().ok_or_else(missing)?))
    };
    group.texts("weight_names").into_iter().map(tensor).collect()
}

/// The weights of a model by position: those of each layer that has any, in order.
pub(super) fn weights(root: &Group, architecture: &Architecture) -> Result<States, Error> {
    let weights = root.group(WEIGHTS).ok_or_else(|| fault(format!("`{WEIGHTS}` is missing")))?;
    let mut found = Vec::new();
    for name in weights.texts("layer_names").into_iter().chain(["top_level_model_weights"]) {
        let path = format!("{WEIGHTS}/{}", name.escape_debug());
        let group = weights.group(name).cloned().unwrap_or_default();
        found.push((listed(&group, &path)?, path));
    }
    found.retain(|(tensors, _)| !tensors.is_empty());
    let mut found = found.into_iter();
    let (mut states, mut faults) = (States::new(), Vec::new());
    for layer in 0..architecture.layers().len() {
        let mut own: Vec<&Weight> = architecture.weights_of(layer).collect();
        if own.is_empty() {
            continue;
        }
        own.sort_by_key(|weight| !weight.spec.trainable);
        let class = architecture.layers()[layer].class_name();
        let whose = format!("layer `{}` ({class})", architecture.layer_names()[layer]);
        let (tensors, path) = found.next().unwrap_or_else(|| (Vec::new(), WEIGHTS.into()));
        let mut tensors = tensors.into_iter();
        for weight in own {
            let (name, shape) = (&weight.spec.name, &weight.spec.shape);
            let expected = format!("{whose} expects {name} {}", display_shape(shape));
            match tensors.next() {
                Some((_, tensor)) if tensor.shape() == shape => {
                    states.push((weight.path.clone(), weight.role(), floats(tensor)?));
                }
                Some((place, tensor)) => {
                    faults.push(format!("`{place}`: {expected}, file has {}", display_shape(tensor.shape())));
                }
                None => faults.push(format!("`{path}`: {expected}, missing")),
            }
        }
        faults.extend(tensors.map(|surplus| unexpected(surplus, &format!("{whose} has no such variable"))));
    }
    let left = found.flat_map(|(tensors, _)| tensors);
    faults.extend(left.map(|surplus| unexpected(surplus, "no layer of the model has this place")));
    model::report(faults)?;
    Ok(states)
}

fn unexpected((place, tensor): (String, Tensor), why: &str) -> String {
    format!("`{place}`: unexpected {}, {why}", display_shape(tensor.shape()))
}

/// The optimizer's variables in the order of Keras 3, if the file has any.
pub(super) fn optimizer_vars(
    root: &Group,
    compile: &Compile,
    architecture: &Architecture,
) -> Result<Option<Vec<Tensor>>, Error> {
    let Some(group) = root.group(OPTIMIZER) else { return Ok(None) };
    let found = listed(group, OPTIMIZER)?;
    // `tf.keras` up to 2.10 has the first slots of all parameters, then the second ones.
    let is_by_slot = found.first().is_some_and(|(place, _)| place.ends_with("iter:0"));
    let mut vars: Vec<Tensor> = found.into_iter().map(|(_, tensor)| tensor).collect();
    if is_by_slot {
        let slots = compile.optimizer.slots();
        let slot = |name: &str| slots.iter().position(|slot| name.rsplit('/').next() == Some(*slot));
        let states = compile.optimizer_states(architecture).into_iter().filter(|(name, _)| name != LEARNING_RATE);
        let mut places: Vec<(Option<usize>, usize)> =
            states.enumerate().map(|(place, (name, _))| (slot(&name), place)).collect();
        places.sort_unstable();
        let mut placed: Vec<(usize, Tensor)> = places.into_iter().map(|(_, place)| place).zip(vars).collect();
        placed.sort_by_key(|(place, _)| *place);
        vars = placed.into_iter().map(|(_, tensor)| tensor).collect();
    }
    Ok(Some(vars))
}

#[cfg(test)]
mod tests;
