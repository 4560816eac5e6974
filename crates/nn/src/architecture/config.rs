//! A model's configuration as Keras writes it.

use super::{Architecture, Kind, LayerCall, ModelInput, Port, order, settings};
use crate::config::{Config, Reader, config, object, open};
use crate::layer::{Form, Layer, one_or_all};
use crate::{Custom, Error, Extents, layers, naming};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// The deepest networks that were ever described have some thousand layers.
pub(super) const LAYER_LIMIT: usize = 10_000;

impl Architecture {
    /// The configuration as Keras writes it.
    pub fn to_config(&self) -> Json {
        match self.kind {
            Kind::Sequential => self.sequential_config(),
            Kind::Functional => self.functional_config(),
        }
    }

    fn sequential_config(&self) -> Json {
        let mut list = Vec::new();
        let has_input = self.layers.first().is_some_and(|l| l.class_name() == "InputLayer");
        let extents = self.inputs[0].extents.as_ref().filter(|_| self.is_built);
        if let Some(extents) = extents.filter(|_| !has_input) {
            list.push(layers::to_config(&crate::Input::new(extents.clone()), "input_layer", None));
        }
        for (call, (layer, name)) in self.calls.iter().zip(self.layers.iter().zip(&self.names)) {
            let is_input = layer.class_name() == "InputLayer";
            let shape = self.extents_of(call.inputs[0]).filter(|_| self.is_built && !is_input).map(Extents::batched);
            let mut value = layers::to_config(layer.as_ref(), name, shape);
            if let (true, Some(extents)) = (is_input, extents) {
                value["config"]["batch_shape"] = extents.batched();
            }
            list.push(value);
        }
        let policy = object("keras", "DTypePolicy", config! { "name": "float32" });
        let config = config! { "name": self.name, "trainable": true, "dtype": policy, "layers": list };
        let mut value = object("keras", "Sequential", config);
        if let Some(extents) = extents {
            value["config"]["build_input_shape"] = extents.batched();
            value["build_config"] = json!({ "input_shape": extents.batched() });
        }
        value
    }

    fn functional_config(&self) -> Json {
        let list: Vec<Json> = (0..self.layers.len()).map(|layer| self.entry(layer)).collect();
        let inputs: Vec<Json> = self.inputs.iter().map(|input| json!([input.name, 0, 0])).collect();
        let outputs: Vec<Json> = self.outputs.iter().map(|port| self.history(*port)).collect();
        let config = config! {
            "name": self.name,
            "trainable": true,
            "layers": list,
            "input_layers": one_or_all(inputs),
            "output_layers": one_or_all(outputs),
        };
        object("keras.src.models.functional", "Functional", config)
    }

    /// A layer with all calls of it.
    fn entry(&self, layer: usize) -> Json {
        let (own, name) = (self.layers[layer].as_ref(), &self.names[layer]);
        let calls = || self.calls.iter().filter(|call| call.layer == layer);
        let is_input = own.class_name() == "InputLayer";
        let shape =
            calls().next().filter(|_| !is_input && own.form() == Form::Layer).and_then(|call| match *call.inputs {
                [port] => self.extents_of(port).map(Extents::batched),
                _ => None,
            });
        let mut value = layers::to_config(own, name, shape);
        if let (true, Some(extents)) =
            (is_input, calls().next().and_then(|call| self.extents_of(*call.inputs.first()?)))
        {
            value["config"]["batch_shape"] = extents.batched();
        }
        value["name"] = json!(name);
        let nodes: Vec<Json> = calls().filter(|_| !is_input).map(|call| self.node(own, call)).collect();
        value["inbound_nodes"] = nodes.into();
        value
    }

    fn node(&self, layer: &dyn Layer, call: &LayerCall) -> Json {
        let inputs: Vec<Json> = call.inputs.iter().map(|port| self.tensor(*port)).collect();
        let args = layer.write_arguments(inputs);
        let mut kwargs = layer.call_options();
        for (key, ports) in &call.named {
            let tensors: Vec<Json> = ports.iter().map(|port| self.tensor(*port)).collect();
            kwargs.insert(key.clone(), layer.write_named(key, tensors));
        }
        if call.infers {
            kwargs.insert("training".into(), false.into());
        }
        json!({ "args": args, "kwargs": kwargs })
    }

    fn tensor(&self, port: Port) -> Json {
        let shape = self.extents_of(port).map_or(json!([null]), Extents::batched);
        let config = json!({ "shape": shape, "dtype": "float32", "keras_history": self.history(port) });
        json!({ "class_name": "__keras_tensor__", "config": config })
    }

    /// Layer, number of the call of it, number of the output.
    fn history(&self, port: Port) -> Json {
        match port {
            Port::Input(input) => json!([self.inputs[input].name, 0, 0]),
            Port::Output(call, output) => {
                let layer = self.calls[call].layer;
                let number = self.calls[..call].iter().filter(|before| before.layer == layer).count();
                json!([self.names[layer], number, output])
            }
        }
    }

    /// A model from what Keras writes.
    ///
    /// # Errors
    /// Another kind of model, a layer that is not known or no built-in, a setting out of range; named by layer.
    pub fn from_config(value: &Json) -> Result<Architecture, Error> {
        Architecture::from_config_with(value, &Custom::new())
    }

    /// As [`Architecture::from_config`], with layers of one's own.
    ///
    /// # Errors
    /// As [`Architecture::from_config`].
    pub fn from_config_with(value: &Json, custom: &Custom) -> Result<Architecture, Error> {
        let (class, config) = open(value)?;
        match class.as_str() {
            "Sequential" => read_sequential(&config, custom),
            "Functional" | "Model" => read_functional(&config, custom),
            other => Err(Error::config(format!("a model of class `{other}` cannot be read"))
                .help("models made by keras.Sequential or of calls of layers can")),
        }
    }
}

fn list_of_layers<'a>(read: &mut Reader<'a>) -> Result<&'a [Json], Error> {
    let list = read.get("layers").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    if list.len() > LAYER_LIMIT {
        let message = format!("the model has {} layers, at most {LAYER_LIMIT} are read", list.len());
        return Err(Error::config(message).help("the file is damaged, or made to keep its reader busy"));
    }
    Ok(list)
}

fn read_sequential(config: &Config, custom: &Custom) -> Result<Architecture, Error> {
    let mut read = Reader::new(config);
    read.ignore(&["trainable"]);
    read.dtype()?;
    let name = read.string("name")?.unwrap_or_else(|| "sequential".into());
    let list = list_of_layers(&mut read)?;
    let extents = read.get("build_input_shape").and_then(crate::layers::samples_of);
    read.finish()?;
    let (list, faults) = apart(list.iter().map(|layer| layers::from_config_with(layer, custom)));
    Error::none_of(faults)?;
    let mut architecture = Architecture::named(&name, list)?;
    if let (false, Some(extents)) = (architecture.is_built, extents) {
        architecture.inputs[0].extents = Some(extents);
        architecture.build_early()?;
    }
    Ok(architecture)
}

/// A value as files name it: layer, number of the call of it, number of the output.
type History = (String, usize, usize);

/// A call that waits for what it reads.
struct Waiting {
    layer: usize,
    number: usize,
    inputs: Vec<History>,
    named: Vec<(String, Vec<History>)>,
    infers: bool,
}

impl Waiting {
    /// All values it reads.
    fn reads(&self) -> impl Iterator<Item = &History> {
        self.inputs.iter().chain(self.named.iter().flat_map(|(_, list)| list))
    }
}

fn read_functional(config: &Config, custom: &Custom) -> Result<Architecture, Error> {
    let mut read = Reader::new(config);
    read.ignore(&["trainable", "dtype"]);
    let name = read.string("name")?.unwrap_or_else(|| "functional".into());
    let list = list_of_layers(&mut read)?;
    let (inputs, outputs) = (read.get("input_layers"), read.get("output_layers"));
    read.finish()?;
    let (entries, faults) = apart(list.iter().map(|entry| read_entry(entry, custom)));
    Error::none_of(faults)?;
    let (layers, nodes): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    let names = naming::names(&layers);
    let mut faults = naming::faults(&layers);
    if !faults.is_empty() {
        // Of two layers with one name nobody knows which of them is read.
        faults.extend(settings::Fault::of_all(&layers, &names).into_iter().flatten().map(|fault| fault.error));
        return Err(Error::together(faults));
    }
    let mut calls = Calls::new(&names);
    let mut model_inputs = Vec::new();
    for (name, ..) in histories(inputs, "input_layers")? {
        let layer = names.iter().position(|known| *known == name);
        let Some(layer) = layer.filter(|layer| layers[*layer].class_name() == "InputLayer") else {
            faults.push(Error::config(format!("`input_layers` names `{name}`, which is no input layer")));
            continue;
        };
        let inputs = vec![Port::Input(model_inputs.len())];
        calls.push(LayerCall::new(layer, inputs, vec![], false), 0);
        model_inputs.push(ModelInput::new(name, layers[layer].common().input_shape.clone()));
    }
    let of_layer = |(layer, nodes): (usize, Vec<Waiting>)| nodes.into_iter().map(move |call| Waiting { layer, ..call });
    for (layer, error) in calls.take(nodes.into_iter().enumerate().flat_map(of_layer).collect()) {
        faults.push(error.at_layer(&names[layer], layers[layer].class_name()));
    }
    let outputs = histories(outputs, "output_layers")?;
    let port = |history| calls.port(history).ok_or_else(|| faults.push(unknown(history).at("the model")));
    let outputs = outputs.iter().map(port).map(|port| port.unwrap_or(Port::NOWHERE)).collect();
    let calls = calls.all;
    Architecture::functional_with(&name, layers, calls, model_inputs, outputs, faults)
}

/// What could be read, and what is wrong with the others.
fn apart<T>(read: impl Iterator<Item = Result<T, Error>>) -> (Vec<T>, Vec<Error>) {
    let (mut made, mut faults) = (Vec::new(), Vec::new());
    read.for_each(|one| match one {
        Ok(one) => made.push(one),
        Err(fault) => faults.push(fault),
    });
    (made, faults)
}

fn unknown((layer, call, output): &History) -> Error {
    Error::config(format!("reads output {output} of call {call} of layer `{layer}`, which is never made"))
}

/// The calls of a model so far.
struct Calls<'a> {
    /// Where the call of a layer of some number is.
    place: HashMap<(usize, usize), usize>,
    all: Vec<LayerCall>,
    layers: HashMap<&'a str, usize>,
}

impl<'a> Calls<'a> {
    fn new(names: &'a [String]) -> Calls<'a> {
        let layers = names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        Calls { place: HashMap::new(), all: Vec::new(), layers }
    }

    fn push(&mut self, call: LayerCall, number: usize) {
        self.place.insert((call.layer, number), self.all.len());
        self.all.push(call);
    }

    fn port(&self, (name, number, output): &History) -> Option<Port> {
        let layer = *self.layers.get(name.as_str())?;
        Some(Port::Output(*self.place.get(&(layer, *number))?, *output))
    }

    /// Adds all calls, each after those it reads, in the order they are written as far as that goes; where they read each
    /// other in a cycle, one comes before what it reads. Answers what is read and never made, with the layer that reads it.
    fn take(&mut self, waiting: Vec<Waiting>) -> Vec<(usize, Error)> {
        let index: HashMap<(usize, usize), usize> =
            waiting.iter().enumerate().map(|(index, call)| ((call.layer, call.number), index)).collect();
        let source = |history: &History| index.get(&(*self.layers.get(history.0.as_str())?, history.1)).copied();
        let sources = waiting.iter().map(|call| call.reads().filter_map(source).collect()).collect();
        let order = order::sources_first(sources);
        for (place, call) in order.iter().zip(self.all.len()..).map(|(call, place)| (place, &waiting[*call])) {
            self.place.insert((call.layer, call.number), place);
        }
        let mut faults = Vec::new();
        for call in order.into_iter().map(|call| &waiting[call]) {
            let mut ports = |list: &[History]| -> Vec<Port> {
                let mut port = |history| self.port(history).ok_or_else(|| faults.push((call.layer, unknown(history))));
                list.iter().map(|history| port(history).unwrap_or(Port::NOWHERE)).collect()
            };
            let inputs = ports(&call.inputs);
            let named = call.named.iter().map(|(key, list)| (key.clone(), ports(list))).collect();
            self.all.push(LayerCall::new(call.layer, inputs, named, call.infers));
        }
        faults
    }
}

/// A layer and the calls of it.
fn read_entry(entry: &Json, custom: &Custom) -> Result<(Box<dyn Layer>, Vec<Waiting>), Error> {
    let nodes = entry.get("inbound_nodes").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    if nodes.len() > LAYER_LIMIT {
        return Err(Error::config(format!("a layer is called {} times, at most {LAYER_LIMIT} are read", nodes.len())));
    }
    let mut layer = layers::from_config_with(entry, custom)?;
    if let Some(name) = entry.get("name").and_then(Json::as_str) {
        layer.common_mut().name = Some(name.into());
    }
    // Keras 2 counts the call that made a model within the model, on its own input layer.
    let is_made_by_call = entry.pointer("/config/layers/0/class_name").is_some_and(|class| class == "InputLayer");
    let first = usize::from(is_made_by_call && nodes.first().is_some_and(Json::is_array));
    let mut calls = Vec::new();
    for (count, node) in nodes.iter().enumerate() {
        let place = |e: Error, layer: &dyn Layer| {
            let name = layer.common().name.clone().unwrap_or_default();
            e.at_layer(&name, layer.class_name())
        };
        let call = read_node(node, layer.as_mut(), count == 0).map_err(|e| place(e, layer.as_ref()))?;
        calls.push(Waiting { number: first + count, ..call });
    }
    Ok((layer, calls))
}

fn read_node(node: &Json, layer: &mut dyn Layer, is_first: bool) -> Result<Waiting, Error> {
    let mut call = Waiting { layer: 0, number: 0, inputs: vec![], named: vec![], infers: false };
    let (args, kwargs) = match node.as_array() {
        Some(list) => older_node(list).ok_or_else(|| Error::config("`inbound_nodes` is damaged"))?,
        None => (
            node.get("args").and_then(Json::as_array).cloned().unwrap_or_default(),
            node.get("kwargs").and_then(Json::as_object).cloned().unwrap_or_default(),
        ),
    };
    let (mut rest, names) = (Vec::new(), layer.input_names());
    for (place, value) in args.into_iter().enumerate() {
        let before = call.inputs.len();
        tensors(&value, 0, &mut call.inputs);
        if call.inputs.len() > before && !names.is_empty() && (place != before || place >= names.len()) {
            let message = format!("is called on a value in place {place}, after its inputs {}", names.join(", "));
            return Err(Error::config(message).help("give it by name when the model is made, and save it again"));
        }
        rest.push(if call.inputs.len() > before { Json::Null } else { value });
    }
    layer.read_arguments(rest)?;
    let mut options = Config::new();
    for (key, value) in &kwargs {
        let mut given = Vec::new();
        tensors(value, 0, &mut given);
        match (key.as_str(), value) {
            (_, Json::Null) => {}
            ("training", Json::Bool(training)) => call.infers = !training,
            (_, Json::Array(list)) if !given.is_empty() && list.iter().any(Json::is_null) => {
                return Err(Error::config(format!("is given a list as `{key}` in which some values are missing")));
            }
            _ if !given.is_empty() => call.named.push((key.clone(), given)),
            _ => drop(options.insert(key.clone(), value.clone())),
        }
    }
    if is_first {
        options.iter().try_for_each(|(key, value)| layer.set_call_option(key, value))?;
    } else if let Some(key) = first_difference(&options, &layer.call_options()) {
        let message = format!("is called with another `{key}` than the first time");
        return Err(Error::config(message).help("use a layer for each"));
    }
    // An operator may be given its operands by name.
    if layer.form() == Form::Operator {
        call.inputs.extend(call.named.drain(..).flat_map(|(_, given)| given));
    }
    Ok(call)
}

/// A key that differs; what is false may be left out.
fn first_difference<'a>(a: &'a Config, b: &'a Config) -> Option<&'a String> {
    let value = |config: &'a Config, key: &str| config.get(key).filter(|value| **value != false);
    a.keys().chain(b.keys()).find(|key| value(a, key) != value(b, key))
}

/// The arguments and keywords of a call as Keras 2 writes it: a list of `[layer, call, output, keywords]`, or one of these;
/// a tensor among the keywords is `[layer, call, output]`.
fn older_node(list: &[Json]) -> Option<(Vec<Json>, Config)> {
    let is_one = list.first().is_some_and(Json::is_string);
    let items: Vec<&[Json]> = match is_one {
        true => vec![list],
        false => list.iter().map(|item| item.as_array().map(Vec::as_slice)).collect::<Option<_>>()?,
    };
    let tensor = |history: &[Json]| {
        let history = history.get(..3)?;
        Some(json!({ "class_name": "__keras_tensor__", "config": { "keras_history": history } }))
    };
    let inputs: Vec<Json> = items.iter().map(|item| tensor(item)).collect::<Option<_>>()?;
    let mut keywords = Config::new();
    for (key, value) in items.iter().filter_map(|item| item.get(3)?.as_object()).flatten() {
        let given = value.as_array().filter(|_| history(value).is_some()).and_then(|history| tensor(history));
        keywords.insert(key.clone(), given.unwrap_or_else(|| value.clone()));
    }
    Some((if inputs.len() == 1 { inputs } else { vec![inputs.into()] }, keywords))
}

/// The tensors in an argument, in order.
fn tensors(value: &Json, depth: usize, found: &mut Vec<History>) {
    match value {
        Json::Array(list) if depth < 4 => list.iter().for_each(|item| tensors(item, depth + 1, found)),
        Json::Object(object) if object.get("class_name").and_then(Json::as_str) == Some("__keras_tensor__") => {
            found.extend(value.pointer("/config/keras_history").and_then(history));
        }
        _ => {}
    }
}

fn history(value: &Json) -> Option<History> {
    let number = |index: usize| value.get(index)?.as_u64().and_then(|n| usize::try_from(n).ok());
    Some((value.get(0)?.as_str()?.to_string(), number(1)?, number(2)?))
}

/// One history, a list of them, or an object of them by name.
fn histories(value: Option<&Json>, key: &str) -> Result<Vec<History>, Error> {
    let fault = || Error::config(format!("`{key}` must name layers with the numbers of call and output"));
    let value = value.ok_or_else(fault)?;
    if let Some(one) = history(value) {
        return Ok(vec![one]);
    }
    match value {
        Json::Array(list) => list.iter().map(|item| history(item).ok_or_else(fault)).collect(),
        Json::Object(object) => object.values().map(|item| history(item).ok_or_else(fault)).collect(),
        _ => Err(fault()),
    }
}
