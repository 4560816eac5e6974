//! Models that are graphs: which layer of a description is called on what.
//!
//! A layer is called on what the layer before makes, unless it names its `inputs`: a model's input or a layer above it,
//! `name[1]` for its second output. `call` holds the keywords of the call, `layer` calls a layer above once more, and
//! `operator` names a function of `keras.ops` in place of a class.

use footlight_nn::{Architecture, Error as Fault, Layer, layer_names, layers, suggest};
use serde_json::{Map, Value as Json, json};

use super::faults::Faults;
use super::tree::{CLASS, Item, Node, Place};
use super::{built, class, layer, object};

/// The keys that make a graph of a list.
pub(super) const INPUTS: &str = "inputs";
pub(super) const OUTPUTS: &str = "outputs";
pub(super) const CALL: &str = "call";
pub(super) const AGAIN: &str = "layer";
pub(super) const OPERATOR: &str = "operator";

/// Whether a model is more than a list of layers.
pub(super) fn is_graph(model: &Node, list: &[Node]) -> bool {
    let has = |node: &Node, keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    has(model, &[INPUTS, OUTPUTS]) || list.iter().any(|node| has(node, &[INPUTS, CALL, OPERATOR]) || is_again(node))
}

/// Whether an entry calls a layer once more; a class may have a key of the same name.
fn is_again(node: &Node) -> bool {
    node.get(CLASS).is_none() && node.get(AGAIN).is_some()
}

/// Reads the model of a list of layers that are called on each other.
pub(super) fn read(faults: &mut Faults, model: &Node, name: String, list: &[Node]) -> Option<Architecture> {
    if list.is_empty() {
        let fault = Fault::config("[model]: `layers` is empty, the model would answer what it is asked");
        faults.add(model.place, fault.help("describe at least one layer"));
        return None;
    }
    let inputs = inputs(faults, model);
    let entries: Vec<Entry<'_>> = inputs.iter().chain(list).map(|node| Entry::new(faults, node)).collect();
    let mut graph = Graph { faults, names: Vec::new(), layers: Vec::new(), made: Vec::new(), is_whole: true };
    graph.name(&entries);
    for (index, entry) in entries.iter().enumerate() {
        graph.add(index, entry, inputs.len());
    }
    let outputs = graph.outputs(model);
    graph.check_use(&entries);
    if !graph.is_whole {
        return None;
    }
    let names = graph.names.iter().flatten().take(inputs.len());
    let inputs: Vec<Json> = names.map(|name| json!([name, 0, 0])).collect();
    let config = json!({ "name": name, "layers": graph.layers, "input_layers": inputs, "output_layers": outputs });
    let config = json!({ "class_name": "Functional", "config": config });
    let places =
        graph.names.into_iter().zip(&entries).filter_map(|(name, entry)| Some((name?, entry.node.place_of(None))));
    let places: Vec<(String, Place)> = places.collect();
    built(faults, &config, model.place, &places)
}

/// The inputs as layers: tables, or names alone; one without a name where nothing is said.
fn inputs(faults: &mut Faults, model: &Node) -> Vec<Node> {
    let plain = |place: Place, text: &str| Node { place, item: Item::Plain(json!(text)) };
    let input = |place: Place, keys: Vec<(String, Node)>| {
        let class = (CLASS.to_string(), plain(place, "InputLayer"));
        Node { place, item: Item::Table([vec![class], keys].concat()) }
    };
    let Some(node) = model.get(INPUTS) else { return vec![input(model.place, vec![])] };
    let nodes = match &node.item {
        Item::List(list) => list.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut made = Vec::new();
    for node in nodes {
        match &node.item {
            Item::Table(keys) => made.push(input(node.place, keys.clone())),
            Item::Plain(Json::String(_)) => made.push(input(node.place, vec![("name".into(), node.clone())])),
            _ => {
                let fault = Fault::config("[model]: an input is a name, or a table of name and shape");
                faults.add(node.place, fault.help("write [[model.inputs]] for each"));
            }
        }
    }
    made
}

/// An entry of the list of layers.
struct Entry<'a> {
    node: &'a Node,
    kind: Kind,
    /// What Keras writes of it, if it is a layer without faults.
    config: Option<Json>,
    layer: Option<Box<dyn Layer>>,
}

enum Kind {
    /// A layer of this class, or an operator.
    Layer(String),
    /// One more call of a layer.
    Again,
}

impl<'a> Entry<'a> {
    fn new(faults: &mut Faults, node: &'a Node) -> Entry<'a> {
        if is_again(node) {
            let known = ["name", AGAIN, INPUTS, CALL];
            for (key, value) in node.entries().filter(|(key, _)| !known.contains(&key.as_str())) {
                faults.add(value.place, suggest::unknown("key", key, &known).at("one more call"));
            }
            return Entry { node, kind: Kind::Again, config: None, layer: None };
        }
        let bare = node.without(&[INPUTS, CALL]);
        let (class, config) = match node.get(OPERATOR).filter(|_| node.get(CLASS).is_none()) {
            Some(name) => operator(faults, &bare, name),
            None => match object(faults, &bare, "layer", layers::CLASSES) {
                Some(node) => (class(&node), layer(faults, &node)),
                None => (String::new(), None),
            },
        };
        let layer = config.as_ref().and_then(|config| layers::from_config(config).ok());
        Entry { node, kind: Kind::Layer(class), config, layer }
    }

    fn own_name(&self) -> Option<&'a str> {
        self.node.get("name").and_then(|name| name.text()).filter(|name| !name.is_empty())
    }
}

/// Class and configuration of an operator.
fn operator(faults: &mut Faults, node: &Node, name: &Node) -> (String, Option<Json>) {
    let text = name.text().unwrap_or_default();
    let Some((class, module, _)) = layers::Operator::by_name(text) else {
        let names = layers::Operator::names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        faults.add(name.place, suggest::unknown("operator", text, &names));
        return (String::new(), None);
    };
    let place = format!("operator `{text}`");
    let config = faults.read(&node.without(&[OPERATOR]), &[], |config| {
        let value = json!({ "module": module, "class_name": class, "config": config, "registered_name": class });
        layers::from_config(&value).map(|_| value).map_err(|fault| fault.at(&place))
    });
    (class.into(), config)
}

/// A value that layers may read.
struct Made {
    /// Layer, number of the call, as files name it.
    history: Option<(String, usize)>,
    is_read: bool,
}

struct Graph<'f> {
    faults: &'f mut Faults,
    /// The name of what each entry makes; one more call may have none.
    names: Vec<Option<String>>,
    /// The layers with their calls so far, as files write them.
    layers: Vec<Json>,
    /// What the entries so far make.
    made: Vec<Made>,
    /// Whether nothing was at fault.
    is_whole: bool,
}

impl Graph<'_> {
    fn fault(&mut self, place: Place, fault: Fault) {
        self.is_whole = false;
        self.faults.add(place, fault);
    }

    /// Names what all entries make, as Keras names layers.
    fn name(&mut self, entries: &[Entry<'_>]) {
        let class = |entry: &Entry<'_>| match &entry.kind {
            Kind::Layer(class) => class.clone(),
            Kind::Again => String::new(),
        };
        let classes: Vec<String> = entries.iter().map(class).collect();
        let names = layer_names(classes.iter().zip(entries).map(|(class, entry)| (class.as_str(), entry.own_name())));
        for (index, (name, entry)) in names.into_iter().zip(entries).enumerate() {
            let is_nameless = matches!(entry.kind, Kind::Again) && entry.own_name().is_none();
            if self.names[..index].iter().flatten().any(|known| *known == name) {
                let fault = Fault::config(format!("two layers are called `{name}`"));
                self.fault(entry.node.place_of(Some("name")), fault.help("give each layer its own name"));
            }
            self.names.push(Some(name).filter(|_| !is_nameless));
        }
    }

    /// Adds the call of an entry, which may make its layer first.
    fn add(&mut self, index: usize, entry: &Entry<'_>, inputs: usize) {
        let is_input = index < inputs;
        let call = if is_input { None } else { self.call(index, entry, inputs) };
        let layer = match &entry.kind {
            Kind::Layer(_) => self.new_layer(index, entry),
            Kind::Again => self.layer_again(index, entry),
        };
        let history = layer.map(|position| {
            let layer = &mut self.layers[position];
            let name = layer["name"].as_str().unwrap_or_default().to_string();
            let calls = layer["inbound_nodes"].as_array_mut();
            let number = calls.as_ref().map_or(0, |calls| calls.len());
            calls.into_iter().for_each(|calls| calls.extend(call.clone()));
            (name, number)
        });
        self.is_whole &= history.is_some() && (is_input || call.is_some());
        self.made.push(Made { history, is_read: false });
    }

    fn new_layer(&mut self, index: usize, entry: &Entry<'_>) -> Option<usize> {
        let mut config = entry.config.clone()?;
        config["name"] = self.names[index].clone().into();
        config["config"]["name"] = config["name"].clone();
        config["inbound_nodes"] = json!([]);
        self.layers.push(config);
        Some(self.layers.len() - 1)
    }

    fn layer_again(&mut self, index: usize, entry: &Entry<'_>) -> Option<usize> {
        let node = entry.node.get(AGAIN)?;
        let name = node.text().unwrap_or_default();
        let position = self.layers.iter().position(|layer| layer["name"] == name);
        // A layer at fault has a name too.
        let is_known = self.names[..index].iter().flatten().any(|known| known == name);
        if position.is_none() && !is_known {
            let known: Vec<&str> = self.names[..index].iter().flatten().map(String::as_str).collect();
            let fault = suggest::unknown("layer", name, &known);
            self.fault(node.place, fault);
        }
        position
    }

    /// What a layer is called on, as files write it.
    fn call(&mut self, index: usize, entry: &Entry<'_>, inputs: usize) -> Option<Json> {
        let mut keywords = Map::new();
        let mut is_whole = true;
        let mut layer = entry.layer.clone();
        for (key, node) in entry.node.get(CALL).into_iter().flat_map(Node::entries) {
            let value = self.argument(node, index);
            let is_option = key != "training" && matches!(&node.item, Item::Plain(plain) if !plain.is_string());
            if let (true, Some(layer), Some(value)) = (is_option, &mut layer, &value)
                && let Err(fault) = layer.set_call_option(key, value)
            {
                let class = layer.class_name();
                self.fault(node.place, fault.at(format!("layer `{class}`")));
            }
            is_whole &= value.is_some();
            keywords.extend(value.map(|value| (key.clone(), value)));
        }
        if let Some(node) = entry.node.get(CALL).filter(|node| !matches!(node.item, Item::Table(_))) {
            let fault = Fault::config("`call` is no table");
            self.fault(node.place, fault.help("write such as call = { use_causal_mask = true }"));
        }
        let names = entry.layer.as_ref().map_or(&[][..], |layer| layer.input_names());
        let arguments = match entry.node.get(INPUTS) {
            Some(node) => {
                let nodes =
                    if let Item::List(list) = &node.item { list.as_slice() } else { std::slice::from_ref(node) };
                let read: Vec<Option<Json>> = nodes.iter().map(|node| self.argument(node, index)).collect();
                read.into_iter().collect::<Option<Vec<_>>>()
            }
            None if keywords.keys().any(|key| names.contains(&key.as_str())) => Some(Vec::new()),
            None if index == inputs && inputs != 1 => {
                let known: Vec<&str> = self.names[..index].iter().flatten().map(String::as_str).collect();
                let fault = Fault::config(format!("which input does it read?\n  known: {}", suggest::list(&known)));
                self.fault(entry.node.place_of(None), fault.help("name it by `inputs`"));
                None
            }
            None => self.tensor(index - 1, 0).map(|tensor| vec![tensor]),
        };
        let arguments = arguments.filter(|_| is_whole)?;
        Some(json!({ "args": arguments, "kwargs": keywords }))
    }

    /// An argument of a call: a text names a value, anything else stands for itself.
    fn argument(&mut self, node: &Node, index: usize) -> Option<Json> {
        match &node.item {
            Item::Plain(Json::String(name)) => self.named("input", name, node.place, index),
            Item::List(list) => list.iter().map(|node| self.argument(node, index)).collect(),
            _ => Some(node.to_json()),
        }
    }

    /// The value of a name above the entry at `index`.
    fn named(&mut self, what: &str, text: &str, place: Place, index: usize) -> Option<Json> {
        let position = |name: &str| self.names.iter().position(|known| known.as_deref() == Some(name));
        let indexed = || {
            let (name, output) = text.strip_suffix(']')?.rsplit_once('[')?;
            Some((position(name)?, output.parse().ok()?))
        };
        match position(text).map(|found| (found, 0)).or_else(indexed) {
            Some((found, output)) if found < index => self.tensor(found, output),
            Some((found, _)) => {
                let message = match found == index {
                    true => format!("`{text}` is called on itself"),
                    false => format!("`{text}` stands below what reads it"),
                };
                self.fault(place, Fault::config(message).help("a layer is called on what stands above it"));
                None
            }
            None => {
                let known: Vec<&str> = self.names[..index].iter().flatten().map(String::as_str).collect();
                let fault = suggest::unknown(what, text, &known);
                self.fault(place, fault);
                None
            }
        }
    }

    /// An output of what the entry at `index` makes, which is read; nothing if it is at fault.
    fn tensor(&mut self, index: usize, output: usize) -> Option<Json> {
        let made = &mut self.made[index];
        made.is_read = true;
        let (layer, call) = made.history.as_ref()?;
        let config = json!({ "keras_history": [layer, call, output] });
        Some(json!({ "class_name": "__keras_tensor__", "config": config }))
    }

    /// What the model puts out: what it names, or what the last layer makes.
    fn outputs(&mut self, model: &Node) -> Vec<Json> {
        let count = self.made.len();
        let tensors = match model.get(OUTPUTS) {
            None => vec![self.tensor(count - 1, 0)],
            Some(node) => {
                let nodes =
                    if let Item::List(list) = &node.item { list.as_slice() } else { std::slice::from_ref(node) };
                nodes
                    .iter()
                    .map(|node| self.named("layer", node.text().unwrap_or_default(), node.place, count))
                    .collect()
            }
        };
        tensors.into_iter().flatten().map(|tensor| tensor["config"]["keras_history"].clone()).collect()
    }

    /// Complains of what nothing reads, which is sure if nothing else was at fault.
    fn check_use(&mut self, entries: &[Entry<'_>]) {
        for (index, entry) in entries.iter().enumerate().filter(|_| self.is_whole) {
            if self.made[index].is_read {
                continue;
            }
            let what = self.names[index].as_ref().map_or("this call".into(), |name| format!("`{name}`"));
            let fault = Fault::config(format!("nothing reads {what}, and it is no output"));
            let help = "leave it out, or name it by `inputs` of a layer or by `outputs` of [model]";
            self.faults.add(entry.node.place_of(None), fault.help(help));
        }
    }
}
