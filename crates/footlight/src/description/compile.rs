//! What a model is trained by: optimizer, and loss and metrics of each output.

use footlight_nn::{Architecture, Compile, Config, Error as Fault, Loss, Metric, optimizers, suggest};
use serde_json::{Value as Json, json};

use super::faults::Faults;
use super::tree::{CLASS, Item, Node};
use super::{class, settings};

/// What is said of the outputs, each for one, or for several in order or by name.
pub(super) const OF_OUTPUTS: [&str; 4] = ["loss", "loss_weights", "metrics", "weighted_metrics"];

/// Reads the section; the names of a model's outputs are known if it is not at fault.
pub(super) fn read(faults: &mut Faults, root: &Node, model: Option<&Architecture>) -> Option<Compile> {
    let Some(compile) = root.get("compile") else {
        faults.add(root.place, Fault::config("[compile] is missing").help("choose optimizer, loss and metrics there"));
        return None;
    };
    let keys = ["optimizer", OF_OUTPUTS[0], OF_OUTPUTS[1], OF_OUTPUTS[2], OF_OUTPUTS[3]];
    settings(faults, compile, Some("compile"), |_| Ok(()), &keys)?;
    for key in ["optimizer", "loss"] {
        if compile.get(key).is_none() {
            faults.add(compile.place, Fault::config(format!("[compile]: `{key}` is missing")));
        }
    }
    if let Some(node) = compile.get("optimizer") {
        faults.read(node, &optimizers::keys(&class(node)), |value| {
            let made = optimizers::from_config(value)?;
            made.check().map_err(|fault| fault.at(format!("optimizer `{}`", made.class_name())))
        });
    }
    let names = model.map(Architecture::output_names);
    let said: Vec<Said<'_>> = OF_OUTPUTS.iter().map(|key| said(faults, compile, key, names.as_deref())).collect();
    for (key, said) in OF_OUTPUTS.iter().zip(&said) {
        said.nodes().for_each(|node| check(faults, key, node));
    }
    if !faults.is_empty() {
        return None;
    }
    let count = if said.iter().any(|said| matches!(said, Said::Each(_))) { names?.len() } else { 1 };
    let mut config: Config = [("optimizer".to_string(), compile.get("optimizer")?.to_json())].into_iter().collect();
    for (key, said) in OF_OUTPUTS.iter().zip(&said).filter(|(_, said)| !matches!(said, Said::Nothing)) {
        config.insert((*key).into(), said.to_json(key, count));
    }
    Compile::from_config(&config).map_err(|fault| faults.add(compile.place, fault)).ok()
}

/// What a key says of the outputs.
enum Said<'n> {
    Nothing,
    /// The same of each.
    Once(&'n Node),
    /// Something else of each, in order.
    Each(Vec<Option<&'n Node>>),
}

impl<'n> Said<'n> {
    fn nodes(&self) -> impl Iterator<Item = &'n Node> {
        let nodes = match self {
            Said::Nothing => vec![],
            Said::Once(node) => vec![*node],
            Said::Each(nodes) => nodes.iter().flatten().copied().collect(),
        };
        nodes.into_iter()
    }

    /// As files say it of one output or of several.
    fn to_json(&self, key: &str, count: usize) -> Json {
        let default = if key == "loss_weights" { json!(1.0) } else { json!([]) };
        let mut all: Vec<Json> = match self {
            Said::Nothing => vec![],
            Said::Once(node) => vec![node.to_json(); count],
            Said::Each(nodes) => {
                nodes.iter().map(|node| node.map_or_else(|| default.clone(), |node| node.to_json())).collect()
            }
        };
        if count == 1 { all.swap_remove(0) } else { all.into() }
    }
}

/// Reads what a key of [compile] says of each output.
fn said<'n>(faults: &mut Faults, compile: &'n Node, key: &str, names: Option<&[String]>) -> Said<'n> {
    let Some(node) = compile.get(key) else { return Said::Nothing };
    let is_metrics = key.ends_with("metrics");
    let (nodes, by_name) = match &node.item {
        Item::List(list) if !is_metrics || list.iter().any(|item| matches!(item.item, Item::List(_))) => {
            (list.iter().map(|node| (None, node)).collect::<Vec<_>>(), false)
        }
        Item::Table(entries) if node.get(CLASS).is_none() => {
            (entries.iter().map(|(name, node)| (Some(name.as_str()), node)).collect(), true)
        }
        _ => return Said::Once(node),
    };
    let Some(names) = names else { return Said::Each(nodes.into_iter().map(|(_, node)| Some(node)).collect()) };
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    if !by_name {
        if nodes.len() != names.len() {
            let message = format!("[compile]: `{key}` lists {}, the model has {} outputs", nodes.len(), names.len());
            faults.add(node.place, Fault::config(format!("{message}: {}", known.join(", "))));
        }
        return Said::Each(nodes.into_iter().map(|(_, node)| Some(node)).collect());
    }
    for (name, node) in &nodes {
        if let Some(name) = name.filter(|name| !known.contains(name)) {
            faults.add(node.place, suggest::unknown("output", name, &known).at("[compile]"));
        }
    }
    let of = |name: &String| nodes.iter().find(|(own, _)| *own == Some(name)).map(|(_, node)| *node);
    if let Some(name) = names.iter().find(|name| key == "loss" && of(name).is_none()) {
        let fault = Fault::config(format!("[compile]: `loss` says nothing of output `{name}`"));
        faults.add(node.place, fault.help("give a loss for each output"));
    }
    Said::Each(names.iter().map(of).collect())
}

/// Complains of what is said of an output.
fn check(faults: &mut Faults, key: &str, node: &Node) {
    match (key, &node.item) {
        ("loss", _) => drop(faults.read(node, &Loss::keys(&class(node)), Loss::from_config)),
        ("loss_weights", Item::Plain(number)) if number.is_number() => {}
        ("loss_weights", _) => {
            let fault = Fault::config("[compile]: `loss_weights` must be numbers");
            faults.add(node.place, fault.help("write such as loss_weights = [1.0, 0.5]"));
        }
        (_, Item::List(list)) => {
            for node in list {
                faults.read(node, &Metric::keys(&class(node)), Metric::from_config);
            }
        }
        _ => {
            let fault = Fault::config(format!("[compile]: `{key}` is no list"));
            faults.add(node.place, fault.help("write such as metrics = [\"accuracy\"]"));
        }
    }
}
