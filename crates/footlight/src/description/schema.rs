//! What a description may say, as a JSON schema for editors, made of the lists by which it is read.

use footlight_nn::config::keys_of;
use footlight_nn::{
    Activation, Config, Constraint, Initializer, Key, KeyKind, Loss, Metric, Regularizer, Schedule, layers, optimizers,
};
use serde_json::{Map, Value as Json, json};

use super::{DataSettings, FitSettings, RunSettings, TextSettings, tree::CLASS};
use crate::train::callbacks;

/// The JSON schema (draft 2020-12) of run descriptions.
///
/// # Examples
/// ```
/// let schema = footlight::description::schema();
/// assert_eq!(schema["$defs"]["Dropout"]["properties"]["rate"]["default"], 0.5);
/// ```
pub fn schema() -> Json {
    let mut defs = Map::new();
    let losses: Vec<String> = Loss::all().iter().map(|loss| loss.class_name().to_string()).collect();
    let losses: Vec<&str> = losses.iter().map(String::as_str).collect();
    let names: Vec<String> = Loss::all().iter().map(|loss| loss.name().to_string()).collect();
    family(&mut defs, "layer", layers::CLASSES, layers::keys, json!({ "enum": layers::CLASSES }));
    family(&mut defs, "optimizer", optimizers::CLASSES, optimizers::keys, named(optimizers::NAMES));
    family(&mut defs, "loss", &losses, Loss::keys, named(&names));
    family(&mut defs, "metric", &Metric::class_names(), Metric::keys, named(&Metric::names()));
    family(&mut defs, "callback", callbacks::CLASSES, callbacks::keys, json!({ "enum": callbacks::CLASSES }));
    family(&mut defs, "initializer", Initializer::CLASSES, Initializer::keys, named(Initializer::CLASSES));
    family(&mut defs, "regularizer", Regularizer::CLASSES, Regularizer::keys, named(Regularizer::CLASSES));
    family(&mut defs, "constraint", &Constraint::class_names(), Constraint::keys, named(&Constraint::class_names()));
    family(&mut defs, "activation", Activation::CLASSES, Activation::keys, named(&activations()));
    family(&mut defs, "schedule", Schedule::CLASSES, Schedule::keys, json!({ "type": "number", "minimum": 0 }));
    let list = |family: &str| json!({ "type": "array", "items": reference(family) });
    let run = keys_of(|read| RunSettings::read(read).map(|_| Config::new()));
    let data = keys_of(|read| DataSettings::read(read).map(|_| Config::new()));
    let text = keys_of(|read| TextSettings::read(read).map(|_| Config::new()));
    let fit = keys_of(|read| FitSettings::read(read).map(|_| Config::new()));
    graph(&mut defs);
    let one_input = json!({ "anyOf": [{ "type": "string" }, input()] });
    let model = [
        ("name", json!({ "type": "string", "default": "sequential" })),
        ("inputs", json!({ "anyOf": [{ "type": "string" }, input(), { "type": "array", "items": one_input }] })),
        ("layers", list("entry")),
        ("outputs", one_or_list("string")),
    ];
    let compile = [
        ("optimizer", reference("optimizer")),
        ("loss", of_outputs(reference("loss"))),
        ("loss_weights", of_outputs(json!({ "type": "number" }))),
        ("metrics", of_outputs(list("metric"))),
        ("weighted_metrics", of_outputs(list("metric"))),
    ];
    let sections = [
        ("data", table(&data, [("text", table(&text, [], &[]))], &[])),
        ("model", table(&[], model, &["layers"])),
        ("compile", table(&[], compile, &["optimizer", "loss"])),
        ("fit", table(&fit, [("callbacks", list("callback"))], &[])),
    ];
    let mut schema = table(&run, sections, &["model", "compile"]);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Footlight run description".into();
    schema["$defs"] = defs.into();
    schema
}

/// Adds to layers what they are called on, and defines all that may stand among them.
fn graph(defs: &mut Map<String, Json>) {
    let inputs = json!({ "anyOf": [{ "type": "string" }, { "type": "array" }] });
    let call = json!({ "type": "object" });
    for class in layers::CLASSES {
        defs[*class]["properties"]["inputs"] = inputs.clone();
        defs[*class]["properties"]["call"] = call.clone();
    }
    let text = json!({ "type": "string" });
    let of_call = |key: &str, what: Json| {
        let keys = [(key, what), ("name", text.clone()), ("inputs", inputs.clone()), ("call", call.clone())];
        table(&[], keys, &[key])
    };
    let mut operator = of_call("operator", json!({ "enum": layers::Operator::names() }));
    for name in layers::Operator::names() {
        for key in layers::Operator::by_name(&name).into_iter().flat_map(|(_, _, keys)| keys) {
            operator["properties"][*key] = json!({});
        }
    }
    defs.insert("operator".into(), operator);
    defs.insert("call".into(), of_call("layer", text.clone()));
    let any = ["layer", "operator", "call"].map(reference);
    defs.insert("entry".into(), json!({ "anyOf": any }));
}

/// An input of a model.
fn input() -> Json {
    let extent = json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": "None" }] });
    let keys = [("name", json!({ "type": "string" })), ("shape", json!({ "type": "array", "items": extent }))];
    table(&[], keys, &[])
}

/// What may be said of all outputs, or of each in order or by name.
fn of_outputs(what: Json) -> Json {
    json!({ "anyOf": [what, { "type": "array", "items": what }, { "type": "object", "additionalProperties": what }] })
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The functions that have a name.
fn activations() -> Vec<String> {
    Activation::all().iter().map(|activation| activation.name().to_string()).collect()
}

/// A text, of which some are known.
fn named(names: &[impl AsRef<str>]) -> Json {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    json!({ "type": "string", "examples": names })
}

/// Defines each class, and the family as any of them or a plain value.
fn family(defs: &mut Map<String, Json>, family: &str, classes: &[&str], keys: fn(&str) -> Vec<Key>, plain: Json) {
    let known = |class: &&str| defs.contains_key(*class);
    // A loss and the metric of the same class have keys of their own.
    let prefix = if classes.iter().any(known) { format!("{family}/") } else { String::new() };
    let mut any = vec![plain];
    for class in classes {
        let definition = table(&keys(class), [(CLASS, json!({ "const": class }))], &[CLASS]);
        let place = format!("{prefix}{class}");
        any.push(json!({ "$ref": format!("#/$defs/{}", place.replace('/', "~1")) }));
        defs.insert(place, definition);
    }
    defs.insert(family.into(), json!({ "anyOf": any }));
}

/// A table of keys; of `others` those of `required` have to be there.
fn table<const N: usize>(keys: &[Key], others: [(&str, Json); N], required: &[&str]) -> Json {
    let mut properties: Map<String, Json> = others.into_iter().map(|(name, value)| (name.into(), value)).collect();
    properties.extend(keys.iter().map(|key| (key.name.clone(), property(key))));
    let demanded = keys.iter().filter(|key| key.is_required).map(|key| key.name.as_str());
    let required: Vec<&str> = required.iter().copied().chain(demanded).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn property(key: &Key) -> Json {
    let mut property = match key.kind {
        _ if key.name.ends_with("_initializer") => reference("initializer"),
        _ if key.name.ends_with("_regularizer") => reference("regularizer"),
        _ if key.name.ends_with("_constraint") => reference("constraint"),
        _ if key.name == "activation" => reference("activation"),
        KeyKind::Rate => reference("schedule"),
        KeyKind::Number => json!({ "type": "number" }),
        KeyKind::Count => json!({ "type": "integer", "minimum": 0 }),
        KeyKind::Integer => json!({ "type": "integer" }),
        KeyKind::Flag => json!({ "type": "boolean" }),
        KeyKind::Text => json!({ "type": "string" }),
        KeyKind::Integers => one_or_list("integer"),
        KeyKind::Numbers => one_or_list("number"),
        KeyKind::Margins => margins(),
        KeyKind::Layer => reference("layer"),
        KeyKind::Cell => json!({ "type": "object" }),
        KeyKind::Object | KeyKind::Silent => json!({}),
    };
    if !key.default.is_null() {
        property["default"] = written(&key.default);
    }
    property
}

fn one_or_list(ty: &str) -> Json {
    json!({ "anyOf": [{ "type": ty }, { "type": "array", "items": { "type": ty } }] })
}

/// A count for all, one for each axis, or a pair for each.
fn margins() -> Json {
    let count = json!({ "type": "integer", "minimum": 0 });
    let pair = json!({ "type": "array", "items": count, "minItems": 2, "maxItems": 2 });
    json!({ "anyOf": [count, { "type": "array", "items": { "anyOf": [count, pair] } }] })
}

/// A value as a description writes it: objects as tables with a class, numbers of single precision without a tail.
fn written(value: &Json) -> Json {
    if let (Some(class), Some(config)) = (value.get("class_name"), value["config"].as_object()) {
        let given =
            config.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), written(value)));
        return Json::Object([(CLASS.to_string(), class.clone())].into_iter().chain(given).collect());
    }
    match value.as_f64().map(|number| (number, number as f32)) {
        Some((number, single)) if value.is_f64() && f64::from(single) == number => {
            single.to_string().parse::<f64>().map_or_else(|_| value.clone(), |short| json!(short))
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::Description;

    /// A value as TOML writes it.
    fn toml(value: &Json) -> String {
        let entries = |(key, value): (&String, &Json)| format!("{key} = {}", toml(value));
        match value {
            Json::Object(table) => format!("{{ {} }}", table.iter().map(entries).collect::<Vec<_>>().join(", ")),
            Json::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
            plain => plain.to_string(),
        }
    }

    /// A table of `class` with everything that the schema gives a default or demands.
    fn full(schema: &Json, place: &str, class: &str) -> String {
        let definition = &schema["$defs"][place];
        let properties = definition["properties"].as_object().unwrap();
        let required = definition["required"].as_array().unwrap();
        let mut table = Map::from_iter([(CLASS.to_string(), class.into())]);
        for (key, property) in properties.iter().filter(|(key, _)| *key != CLASS) {
            let sample = match property["type"].as_str() {
                Some("string") => json!("a.keras"),
                // More than the index 1 below.
                Some("integer") => json!(2),
                Some("object") => json!({ CLASS: "GRUCell", "units": 2 }),
                Some(_) => json!(0.5),
                None if property["$ref"] == "#/$defs/layer" => json!({ CLASS: "GRU", "units": 2 }),
                None => json!([1]),
            };
            let default = property.get("default").cloned();
            let value = default.or_else(|| required.contains(&json!(key)).then_some(sample));
            table.extend(value.map(|value| (key.clone(), value)));
        }
        toml(&table.into())
    }

    #[test]
    fn what_the_schema_says_is_read() {
        let schema = schema();
        let all = |classes: &[&str]| classes.iter().map(|c| full(&schema, c, c)).collect::<Vec<_>>().join(",\n");
        let metrics =
            Metric::class_names().iter().map(|c| full(&schema, &format!("metric/{c}"), c)).collect::<Vec<_>>();
        let read = |optimizer: &str, loss: &str| {
            let text = format!(
                "[model]\nlayers = [{}]\n[compile]\noptimizer = {optimizer}\nloss = {}\nmetrics = [{}]\n\
                [fit]\ncallbacks = [{}]\n",
                all(&layers::CLASSES[1..]),
                full(&schema, loss, loss),
                metrics.join(",\n"),
                all(callbacks::CLASSES),
            );
            let read = Description::parse("schema", &text, &[]);
            assert!(read.is_ok(), "{}\n{text}", read.err().unwrap());
        };
        for optimizer in optimizers::CLASSES {
            read(&full(&schema, optimizer, optimizer), "MeanSquaredError");
        }
        for loss in Loss::all() {
            read("\"sgd\"", loss.class_name());
        }
        // The one that is left out needs a value more than it has boundaries.
        for schedule in Schedule::CLASSES.iter().filter(|class| **class != "PiecewiseConstantDecay") {
            let rate = full(&schema, schedule, schedule);
            read(&format!("{{ class = \"SGD\", learning_rate = {rate} }}"), "MeanSquaredError");
        }
    }

    /// Whether a value is of one of the kinds that the schema says.
    fn is_said(schema: &Json, value: &Json) -> bool {
        let any = schema["anyOf"].as_array().map_or_else(|| vec![schema], |any| any.iter().collect());
        any.iter().any(|one| match value {
            Json::String(_) => one["type"] == "string",
            Json::Array(list) => one["type"] == "array" && list.iter().all(|item| is_said(&one["items"], item)),
            Json::Object(table) => table.keys().all(|key| one["properties"].get(key).is_some()),
            _ => false,
        })
    }

    #[test]
    fn inputs_are_said_in_every_way_that_is_read() {
        let said = &schema()["properties"]["model"]["properties"]["inputs"];
        let table = json!({ "name": "x", "shape": [4] });
        for inputs in [json!("x"), json!(["x"]), table.clone(), json!([table, "z"]), json!(["x", "z"])] {
            let layers = match inputs.as_array().is_some_and(|list| list.len() > 1) {
                true => "{ class = 'Add', inputs = ['x', 'z'] }, { class = 'Dense', units = 2 }",
                false => "{ class = 'Dense', units = 2 }",
            };
            let text = format!(
                "[model]\ninputs = {}\nlayers = [{layers}]\n[compile]\noptimizer = 'sgd'\nloss = 'mse'\n",
                toml(&inputs)
            );
            let read = Description::parse("inputs", &text, &[]);
            assert!(read.is_ok(), "{}\n{text}", read.err().unwrap());
            assert!(is_said(said, &inputs), "{inputs}");
        }
        assert!(!is_said(said, &json!([3])));
    }

    #[test]
    fn references_lead_somewhere() {
        let schema = schema();
        let text = schema.to_string();
        let references = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let lost: Vec<&str> = references.filter(|pointer| schema.pointer(pointer).is_none()).collect();
        assert_eq!(lost, [""; 0]);
        assert_eq!(schema["$defs"]["Dense"]["required"], json!(["class", "units"]));
        assert_eq!(schema["properties"]["fit"]["properties"]["batch_size"]["default"], 32);
        let kernel = &schema["$defs"]["Dense"]["properties"]["kernel_initializer"];
        assert_eq!(kernel["default"], json!({ "class": "GlorotUniform" }));
        let rate = &schema["$defs"]["Adam"]["properties"]["learning_rate"];
        assert_eq!(*rate, json!({ "$ref": "#/$defs/schedule", "default": 0.001 }));
        let constraint = &schema["$defs"]["Dense"]["properties"]["kernel_constraint"];
        assert_eq!(constraint["$ref"], "#/$defs/constraint");
    }
}
