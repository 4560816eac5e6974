//! A whole model as an archive: its description, what it is trained by, and every number.

use std::path::Path;
use std::time::SystemTime;

use footlight_graph::{Role, Type};
use footlight_tensor::{DType, Data, Tensor, display_shape};
use serde_json::Value;

use super::archive::{advised, cannot_read};
use super::bytes::Bytes;
use super::{
    Archive, Group, KERAS_VERSION, LayerShapes, LayerVars, ModelShapes, ModelVars, OptimizerVars, Scope, VarShape,
    hdf5, legacy, older, read_vars, weights_tree,
};
use crate::config::Config;
use crate::optimizers::LEARNING_RATE;
use crate::{Architecture, Compile, Custom, Error, ErrorKind, Weight};

/// The values of a model's states by name.
pub type States = Vec<(String, Role, Tensor)>;

/// A model as a file holds it.
#[derive(Debug)]
pub struct SavedModel {
    /// The layers.
    pub architecture: Architecture,
    /// What the model is trained by; `None` if it was never compiled, or is read as if it had not been. A choice this version
    /// does not know is the error that says so: the model still answers.
    pub compile: Option<Result<Compile, Error>>,
    /// Weights, and the optimizer's states if it is known and has taken a step.
    pub states: States,
    /// What [`Archive::footlight`] holds.
    pub footlight: Vec<u8>,
}

impl SavedModel {
    /// Opens a file of Keras, told by its first bytes: a `.keras` archive (or the folder it was unpacked to) or a whole
    /// model in HDF5, as `.h5` files are. `custom` are the classes of one's own that it may name.
    ///
    /// # Errors
    /// `ErrorKind::File` with the path: as [`Archive::open`] and [`hdf5::read`], and as [`SavedModel::from_archive`].
    pub fn open(path: impl AsRef<Path>, scope: Scope, custom: &Custom) -> Result<SavedModel, Error> {
        let path = path.as_ref();
        let read = || -> Result<SavedModel, Error> {
            if path.is_dir() {
                return SavedModel::from_archive(Archive::of_folder(path, scope)?, custom);
            }
            let is_named_hdf5 = path.extension().is_some_and(|ending| ending == "h5" || ending == "hdf5");
            SavedModel::of_bytes(Bytes::open(path).map_err(cannot_read)?, is_named_hdf5, scope, custom)
        };
        read().map_err(|error| error.at(format!("`{}`", path.display())))
    }

    /// Reads the bytes of a file of Keras, as [`SavedModel::open`] does with all of it.
    ///
    /// # Errors
    /// `ErrorKind::File`: as [`Archive::read`] and [`hdf5::read`], and as [`SavedModel::from_archive`].
    pub fn read(bytes: impl Into<Vec<u8>>, custom: &Custom) -> Result<SavedModel, Error> {
        SavedModel::of_bytes(Bytes::from(bytes.into()), false, Scope::Whole, custom)
    }

    /// What is no zip archive is HDF5 if its first bytes or its name say so.
    fn of_bytes(bytes: Bytes, is_named_hdf5: bool, scope: Scope, custom: &Custom) -> Result<SavedModel, Error> {
        let begins = |with: &[u8]| {
            let mut first = vec![0; with.len()];
            bytes.read_at(0, &mut first).is_ok() && first == with
        };
        if begins(hdf5::SIGNATURE) || is_named_hdf5 && !begins(b"PK") {
            let tree = hdf5::read_beside(bytes, scope, || ()).map_err(advised)?;
            return SavedModel::from_hdf5(&tree, custom);
        }
        SavedModel::from_archive(Archive::of_bytes(&bytes, scope)?, custom)
    }

    /// Takes a model out of an archive; `custom` are the classes of one's own that it may name.
    ///
    /// # Errors
    /// `ErrorKind::File` for a model, layer, key or value that is not known, and for all variables that are missing,
    /// unexpected or of another shape.
    pub fn from_archive(mut archive: Archive, custom: &Custom) -> Result<SavedModel, Error> {
        let compile = archive.config.get_mut("compile_config").map(Value::take).filter(|config| !config.is_null());
        // An archive that does not say who wrote it is of today.
        let version = archive.metadata["keras_version"].as_str().unwrap_or(KERAS_VERSION);
        let mut saved = SavedModel::described(archive.config, compile, version, custom)?;
        saved.footlight = archive.footlight;
        let (layers, optimizer) = read_vars(archive.weights, &shapes(&saved.architecture))?;
        saved.states = weights(&saved.architecture, layers)?;
        if let (Some(Ok(compile)), Some(optimizer)) = (&mut saved.compile, optimizer) {
            saved.states.extend(slots(compile, &saved.architecture, optimizer.vars)?);
        }
        Ok(saved)
    }

    /// Takes a model out of the tree of a whole-model HDF5 file, which Keras 1 and 2 wrote and Keras 3 still can.
    ///
    /// Layers that have weights are matched in order, and so are the weights of each. The optimizer goes on where it was
    /// if the file is of Keras 3, of Keras 2.11 or later, or of an older `tf.keras`; where the optimizer's variables are
    /// in another order than these, it starts anew, with the weights as they are.
    ///
    /// # Errors
    /// As [`SavedModel::from_archive`].
    pub fn from_hdf5(tree: &Group, custom: &Custom) -> Result<SavedModel, Error> {
        let legacy::Texts { version, model, training } = legacy::texts(tree)?;
        let mut saved = SavedModel::described(model, training, &version, custom)?;
        saved.states = legacy::weights(tree, &saved.architecture)?;
        if let Some(Ok(compile)) = &mut saved.compile
            && let Some(vars) = legacy::optimizer_vars(tree, compile, &saved.architecture)?
        {
            saved.states.extend(slots(compile, &saved.architecture, vars).unwrap_or_default());
        }
        Ok(saved)
    }

    /// A model without its numbers, as some version of Keras describes it.
    fn described(
        model: Value,
        training: Option<Value>,
        keras_version: &str,
        custom: &Custom,
    ) -> Result<SavedModel, Error> {
        let is_older = older::is_older(keras_version);
        let model = if is_older { older::model(model).map_err(in_file)? } else { model };
        let read = |config: Config| {
            let config = if is_older { older::training(config) } else { config };
            Compile::from_config_with(&config, custom).map_err(in_file)
        };
        let compile = training.map(|config| match config {
            Value::Object(config) => read(config),
            _ => Err(Error::new(ErrorKind::File, "`compile_config` is no object")),
        });
        let architecture = Architecture::from_config_with(&model, custom).map_err(in_file)?;
        Ok(SavedModel { architecture, compile, states: Vec::new(), footlight: Vec::new() })
    }
}

/// Puts a model in an archive, saved at `time`; `state` gives the value of a weight or slot by its name.
///
/// Slots that no step has made yet are written as zeros, which is what they begin as.
pub fn to_archive(
    architecture: &Architecture,
    compile: Option<&Compile>,
    state: &dyn Fn(&str) -> Option<Tensor>,
    time: SystemTime,
) -> Archive {
    let part = |weight: &Weight| weight.spec.part.clone().into_owned();
    let of_layer = |index| {
        let own = architecture.weights_of(index);
        own.filter_map(|weight| Some((part(weight), state(&weight.path)?))).collect()
    };
    let layers = kept_layers(architecture).map(|(index, class_name, name)| LayerVars {
        class_name,
        name,
        vars: of_layer(index),
    });
    let optimizer = compile.map(|compile| OptimizerVars {
        name: optimizer_name(compile),
        vars: compile
            .optimizer_states(architecture)
            .iter()
            .map(|(name, ty)| state(name).unwrap_or(zeros(ty)))
            .collect(),
    });
    let vars = ModelVars { name: architecture.name().into(), layers: layers.collect(), optimizer };
    let mut config = architecture.to_config();
    if let Some(mut compile) = compile.cloned() {
        set_learning_rate(&mut compile, state(LEARNING_RATE).as_ref());
        config["compile_config"] = compile.to_config();
    }
    Archive::new(config, weights_tree(vars), time)
}

/// The layers that have a place among the weights of a file: position, class and name.
fn kept_layers(architecture: &Architecture) -> impl Iterator<Item = (usize, String, String)> {
    let named = architecture.layers().iter().zip(architecture.layer_names()).zip(architecture.layer_keys());
    let named = named.enumerate().filter(|(_, (_, key))| key.is_some());
    named.map(|(index, ((layer, name), _))| (index, layer.class_name().to_string(), name.clone()))
}

/// The rate in force, which callbacks move, is the one of the state.
fn set_learning_rate(compile: &mut Compile, state: Option<&Tensor>) {
    if let Some([rate]) = state.and_then(Tensor::as_f32) {
        compile.optimizer.set_learning_rate(*rate);
    }
}

/// What Keras calls the optimizer, such as `adam`.
fn optimizer_name(compile: &Compile) -> String {
    compile.to_config()["optimizer"]["config"]["name"].as_str().unwrap_or_default().into()
}

fn shapes(architecture: &Architecture) -> ModelShapes {
    let var = |weight: &Weight| VarShape {
        part: weight.spec.part.clone().into_owned(),
        name: weight.spec.name.clone().into_owned(),
        shape: weight.spec.shape.clone(),
    };
    let layers = kept_layers(architecture).map(|(index, class_name, name)| LayerShapes {
        class_name,
        name,
        vars: architecture.weights_of(index).map(var).collect(),
    });
    ModelShapes { layers: layers.collect() }
}

fn weights(architecture: &Architecture, layers: Vec<Vec<Tensor>>) -> Result<States, Error> {
    let named = architecture.weights().iter().zip(layers.into_iter().flatten());
    named.map(|(weight, tensor)| Ok((weight.path.clone(), weight.role(), floats(tensor)?))).collect()
}

/// The optimizer's states, of which the learning rate is now that of `compile`; an optimizer that never took a step has
/// none but its count, and its learning rate unless it follows a schedule.
fn slots(compile: &mut Compile, architecture: &Architecture, mut vars: Vec<Tensor>) -> Result<States, Error> {
    let mut expected = compile.optimizer_states(architecture);
    let rate = compile.optimizer.common().learning_rate.constant();
    // Keras 2 leaves the learning rate to the description.
    if let Some(rate) = rate.filter(|_| vars.len() == 1 || vars.len() + 1 == expected.len()) {
        vars.insert(1, Tensor::scalar(rate));
    }
    let fresh = 1 + usize::from(rate.is_some());
    if vars.len() == fresh {
        expected.truncate(fresh);
    }
    if vars.len() != expected.len() {
        let message = format!(
            "`optimizer/vars` holds {} variables, `{}` of this model has {}",
            vars.len(),
            optimizer_name(compile),
            expected.len()
        );
        return Err(Error::new(ErrorKind::File, message).help("save the model again after compiling it"));
    }
    let fitting = expected.into_iter().zip(vars).enumerate().map(|(index, ((name, ty), tensor))| {
        if tensor.shape() != ty.shape {
            let (got, want) = (display_shape(tensor.shape()), display_shape(&ty.shape));
            let message = format!("`optimizer/vars/{index}`: `{name}` expects {want}, file has {got}");
            return Err(Error::new(ErrorKind::File, message));
        }
        let value = if ty.dtype == DType::I32 { count(&name, tensor)? } else { floats(tensor)? };
        Ok((name, Role::Slot, value))
    });
    let states: States = fitting.collect::<Result<_, _>>()?;
    set_learning_rate(compile, states.iter().find(|(name, ..)| name == LEARNING_RATE).map(|(.., value)| value));
    // What the description says was checked, but it is the state that counts.
    compile.optimizer.check().map_err(|error| in_file(error.at("`optimizer/vars/1`")))?;
    Ok(states)
}

pub(super) fn floats(tensor: Tensor) -> Result<Tensor, Error> {
    Ok(match tensor.as_f32() {
        Some(_) => tensor,
        None => Tensor::new(tensor.shape(), tensor.to_f32())?,
    })
}

/// A count of steps, which TensorFlow keeps in 64 bits.
fn count(name: &str, tensor: Tensor) -> Result<Tensor, Error> {
    let count = match tensor.data() {
        Data::I32(values) => values.first().copied(),
        Data::I64(values) => values.first().and_then(|value| i32::try_from(*value).ok()),
        _ => None,
    };
    let Some(count) = count.filter(|count| *count >= 0) else {
        return Err(Error::new(ErrorKind::File, format!("`{name}` is not a count of steps below 2^31")));
    };
    Ok(Tensor::new([], Data::I32(vec![count]))?)
}

fn zeros(ty: &Type) -> Tensor {
    let data = match ty.dtype {
        DType::I32 => Data::I32(vec![0; ty.len()]),
        _ => Data::F32(vec![0.0; ty.len()]),
    };
    Tensor::new(ty.shape.clone(), data).expect("as many as the type has")
}

/// A setting in a file is the file's fault, not the user's.
fn in_file(error: Error) -> Error {
    let moved = Error::new(ErrorKind::File, error.message());
    match error.help_text() {
        Some(help) => moved.help(help),
        None => moved,
    }
}
