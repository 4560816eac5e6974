//! Run descriptions: a training written down in TOML, with Keras' names.
//!
//! ```toml
//! seed = 0
//! output = "digits.keras"
//!
//! [data]
//! set = "mnist"
//!
//! [[model.layers]]
//! class = "Flatten"
//!
//! [[model.layers]]
//! class = "Dense"
//! units = 10
//! activation = "softmax"
//!
//! [compile]
//! optimizer = { class = "Adam", learning_rate = 0.01 }
//! loss = "sparse_categorical_crossentropy"
//! metrics = ["accuracy"]
//!
//! [fit]
//! epochs = 5
//! callbacks = [{ class = "EarlyStopping", monitor = "loss", patience = 2 }]
//! ```
//!
//! A layer is called on the one before it, unless it names its `inputs`: inputs of the model, from `[[model.inputs]]`, or
//! layers above it, `lstm[1]` for the second output. `call` holds the keywords of a call, `layer` in place of `class` calls
//! a layer above once more, and `operator` is a function of `keras.ops`:
//!
//! ```toml
//! [model]
//! outputs = ["scores"]
//! layers = [
//!     { class = "LayerNormalization", name = "x" },
//!     { class = "MultiHeadAttention", num_heads = 4, key_dim = 16, name = "a", inputs = ["x", "x"], call = { use_causal_mask = true } },
//!     { class = "Add", inputs = ["x", "a"] },
//!     { class = "Dense", units = 10, name = "scores" },
//! ]
//! ```
//!
//! A table with a `class` becomes the object that a `.keras` file would hold, so whatever such a file may say, a
//! description may; there is no second list of keys. What is wrong is told all at once, with the lines it is at.

mod compile;
mod faults;
mod graph;
mod schema;
mod settings;
mod tree;

pub use schema::schema;
pub use settings::{DataSettings, FitSettings, RunSettings, TextSettings};

use std::path::Path;

use footlight_nn::config::Reader;
use footlight_nn::{Architecture, Compile, Error as Fault, layer_names, layers};
use serde_json::{Value as Json, json};

use crate::train::{Callback, callbacks};
use crate::{Error, ErrorKind, Model, Result};
use faults::Faults;
use tree::{Item, Node, Place};

/// A training as it is written down.
pub struct Description {
    /// What is said above all sections.
    pub run: RunSettings,
    /// What is learned from.
    pub data: DataSettings,
    /// The model.
    pub architecture: Architecture,
    /// What it is trained by.
    pub compile: Compile,
    /// How it is trained.
    pub fit: FitSettings,
}

impl Description {
    /// Reads a file; `settings` such as `fit.epochs=3` come after what it says.
    ///
    /// # Errors
    /// A file that cannot be read, and all faults of [`Description::parse`].
    pub fn open(path: impl AsRef<Path>, settings: &[String]) -> Result<Description> {
        let name = path.as_ref().display().to_string();
        let text = std::fs::read_to_string(path.as_ref())
            .map_err(|error| Error::new(ErrorKind::File, format!("`{name}`: cannot read it: {error}")))?;
        Description::parse(&name, &text, settings)
    }

    /// Reads a text, called `name` where its faults are told.
    ///
    /// # Errors
    /// `ErrorKind::Config` with all keys that are unknown or missing and all values that are wrong, each with its line.
    ///
    /// # Examples
    /// ```
    /// use footlight::description::Description;
    /// let text = "[compile]\nlos = 'mse'\noptimizer = 'sgd'\n[[model.layers]]\nclass = 'Dense'\nunits = 0\n";
    /// let error = Description::parse("run.toml", text, &[]).err().unwrap().to_string();
    /// assert!(error.contains("run.toml:2: [compile]: unknown key `los`"));
    /// assert!(error.contains("run.toml:6: layer `Dense`: units = 0"));
    /// ```
    pub fn parse(name: &str, text: &str, settings: &[String]) -> Result<Description> {
        let (mut root, syntax) = tree::parse(text);
        let syntax = syntax.into_iter().map(|(place, message)| (place, Fault::config(message).help(SYNTAX)));
        Faults::from_iter(syntax).finish(name, settings)?;
        let mut faults = Faults::default();
        for (index, setting) in settings.iter().enumerate() {
            if let Err(fault) = set(&mut root, setting, index) {
                faults.add(Place::Setting(index), fault);
            }
        }
        let read = read(&root, &mut faults);
        faults.finish(name, settings)?;
        read.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("`{name}` cannot be read, and nothing says why")))
    }

    /// The model with its first weights (if the shape of samples is given) and what it is trained by.
    ///
    /// # Errors
    /// None at present.
    pub fn model(&self) -> Result<Model> {
        let mut model = Model::new(self.architecture.clone())?.seed(self.run.seed);
        model.set_compile(self.compile.clone());
        Ok(model)
    }
}

fn set(root: &mut Node, setting: &str, index: usize) -> Result<(), Fault> {
    let help = "write such as --set fit.epochs=3 or --set model.layers.0.units=64";
    let Some((path, value)) = tree::setting(setting, index) else {
        return Err(Fault::config("expected KEY=VALUE").help(help));
    };
    let fault = |step| Fault::config(format!("`{step}` leads nowhere, there is no table or list item")).help(help);
    root.set(&path, value).map_err(fault)
}

fn read(root: &Node, faults: &mut Faults) -> Option<Description> {
    let section = |name: &str| root.get(name).cloned().unwrap_or_else(|| Node::table(root.place));
    let run = settings(faults, root, None, RunSettings::read, &SECTIONS);
    let data = section("data");
    let text = data.get("text").map(|text| settings(faults, text, Some("data.text"), TextSettings::read, &[]));
    let data = settings(faults, &data, Some("data"), DataSettings::read, &["text"]);
    let data = data.map(|data| DataSettings { text: text.flatten().unwrap_or_default(), ..data });
    let architecture = architecture(faults, root);
    let compile = compile::read(faults, root, architecture.as_ref());
    let fit = section("fit");
    let callbacks = fit.get("callbacks").map(|list| callback_list(faults, list)).unwrap_or_default();
    let fit = settings(faults, &fit, Some("fit"), FitSettings::read, &["callbacks"]);
    let fit = fit.map(|fit| FitSettings { callbacks, ..fit });
    Some(Description { run: run?, data: data?, architecture: architecture?, compile: compile?, fit: fit? })
}

/// What most faults of a text come from.
const SYNTAX: &str = "texts stand in quotes, such as optimizer = \"adam\"";

/// The sections of a description.
const SECTIONS: [&str; 4] = ["data", "model", "compile", "fit"];

/// Reads the plain keys of a section; `others` are read elsewhere.
fn settings<T>(
    faults: &mut Faults,
    node: &Node,
    name: Option<&str>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, Fault>,
    others: &[&'static str],
) -> Option<T> {
    let place = |fault: Fault| match name {
        Some(name) => fault.at(format!("[{name}]")),
        None => fault,
    };
    if !matches!(node.item, Item::Table(_)) {
        faults.add(node.place, place(Fault::config("expected a table of keys")));
        return None;
    }
    faults.read(node, &[], |value| {
        let config = value.as_object().cloned().unwrap_or_default();
        let mut reader = Reader::new(&config);
        let made = read(&mut reader).map_err(place)?;
        for other in others {
            reader.get(other);
        }
        reader.finish().map_err(place)?;
        Ok(made)
    })
}

fn architecture(faults: &mut Faults, root: &Node) -> Option<Architecture> {
    let Some(model) = root.get("model") else {
        faults.add(root.place, Fault::config("[model] is missing").help("say what is trained, in [[model.layers]]"));
        return None;
    };
    let others = ["layers", graph::INPUTS, graph::OUTPUTS];
    let name = settings(faults, model, Some("model"), |read| read.string("name"), &others)?;
    let Some(Node { item: Item::List(list), .. }) = model.get("layers") else {
        let fault = Fault::config("[model]: `layers` is missing, or no list");
        faults.add(model.place_of(Some("layers")), fault.help("write a table [[model.layers]] for each layer"));
        return None;
    };
    if graph::is_graph(model, list) {
        return graph::read(faults, model, name.unwrap_or_else(|| "functional".into()), list);
    }
    let name = name.unwrap_or_else(|| "sequential".into());
    let made =
        list.iter().map(|node| object(faults, node, "layer", layers::CLASSES).and_then(|node| layer(faults, &node)));
    let made: Vec<Option<Json>> = made.collect();
    let made: Vec<Json> = made.into_iter().collect::<Option<_>>()?;
    let config = json!({ "class_name": "Sequential", "config": { "name": name, "layers": made } });
    let own = |config: &Json| config.pointer("/config/name").and_then(Json::as_str).map(str::to_string);
    let own: Vec<Option<String>> = config["config"]["layers"].as_array().into_iter().flatten().map(own).collect();
    let classes: Vec<String> =
        list.iter().map(|node| node.text().map_or_else(|| class(node), str::to_string)).collect();
    let names = layer_names(classes.iter().map(String::as_str).zip(own.iter().map(Option::as_deref)));
    let places: Vec<(String, Place)> = names.into_iter().zip(list.iter().map(|node| node.place_of(None))).collect();
    built(faults, &config, model.place, &places)
}

/// The model of a configuration; what is at fault is told where its layer stands.
fn built(faults: &mut Faults, config: &Json, model: Place, layers: &[(String, Place)]) -> Option<Architecture> {
    let fault = match Architecture::from_config(config) {
        Ok(architecture) => return Some(architecture),
        Err(fault) => fault,
    };
    for part in fault.parts() {
        let place = layers.iter().find(|(name, _)| part.layer() == Some(name)).map_or(model, |(_, place)| *place);
        faults.add(place, part.clone().at("[model]"));
    }
    None
}

/// A layer as Keras writes it, if it is not at fault.
fn layer(faults: &mut Faults, node: &Node) -> Option<Json> {
    faults.read(node, &layers::keys(&class(node)), |value| {
        let layer = layers::from_config(value)?;
        layer.check().map_err(|fault| fault.at(format!("layer `{}`", layer.class_name())))?;
        Ok(value.clone())
    })
}

fn callback_list(faults: &mut Faults, list: &Node) -> Vec<Box<dyn Callback>> {
    let Item::List(nodes) = &list.item else {
        faults.add(list.place, Fault::config("[fit]: `callbacks` is no list").help("write [[fit.callbacks]] for each"));
        return Vec::new();
    };
    let made = nodes.iter().filter_map(|node| {
        let node = object(faults, node, "callback", callbacks::CLASSES)?;
        faults.read(&node, &callbacks::keys(&class(&node)), callbacks::from_config)
    });
    made.collect()
}

/// A table with a class, which a text alone is too.
fn object(faults: &mut Faults, node: &Node, what: &str, classes: &[&str]) -> Option<Node> {
    let class = match &node.item {
        Item::Table(_) => match node.get(tree::CLASS) {
            Some(_) => return Some(node.clone()),
            None => None,
        },
        item => Some(item.clone()).filter(|item| matches!(item, Item::Plain(Json::String(_)))),
    };
    let Some(class) = class else {
        let message = format!("a {what} without a `class`\n  known: {}", classes.join(", "));
        faults.add(node.place, Fault::config(message).help(format!("say which {what} it is by a key `class`")));
        return None;
    };
    let class = Node { place: node.place, item: class };
    Some(Node { place: node.place, item: Item::Table(vec![(tree::CLASS.into(), class)]) })
}

/// The class of a table; empty for anything else.
fn class(node: &Node) -> String {
    node.get(tree::CLASS).and_then(|class| class.to_json().as_str().map(str::to_string)).unwrap_or_default()
}
