//! Functions of TensorFlow that Keras 2 wrote among the layers, as operators of Keras 3.

use serde_json::{Value, json};

use crate::config::{Config, shorten};
use crate::layers::Operator;
use crate::{Error, suggest};

/// The functions, by their names without the module they are in, and the operators that they are.
const FUNCTIONS: &[(&str, &str)] = &[
    ("add", "add"),
    ("subtract", "subtract"),
    ("multiply", "multiply"),
    ("truediv", "true_divide"),
    ("divide", "true_divide"),
    ("pow", "power"),
    ("maximum", "maximum"),
    ("minimum", "minimum"),
    ("equal", "equal"),
    ("not_equal", "not_equal"),
    ("greater", "greater"),
    ("greater_equal", "greater_equal"),
    ("less", "less"),
    ("less_equal", "less_equal"),
    ("logical_and", "logical_and"),
    ("logical_or", "logical_or"),
    ("logical_not", "logical_not"),
    ("negative", "negative"),
    ("abs", "absolute"),
    ("square", "square"),
    ("sqrt", "sqrt"),
    ("exp", "exp"),
    ("log", "log"),
    ("tanh", "tanh"),
    ("sigmoid", "sigmoid"),
    ("relu", "relu"),
    ("softmax", "softmax"),
    ("matmul", "matmul"),
    ("reduce_sum", "sum"),
    ("reduce_mean", "mean"),
    ("reduce_max", "max"),
    ("reduce_min", "min"),
    ("reduce_any", "any"),
    ("reduce_all", "all"),
    ("concat", "concatenate"),
    ("stack", "stack"),
    ("ones_like", "ones_like"),
    ("zeros_like", "zeros_like"),
    ("cumsum", "cumsum"),
    ("expand_dims", "expand_dims"),
    ("squeeze", "squeeze"),
    ("reshape", "reshape"),
    ("transpose", "transpose"),
    ("cast", "cast"),
    ("getitem", "get_item"),
];

/// The modules that the functions are in.
const MODULES: &[&str] = &["", "math", "nn", "linalg", "compat.v1", "compat.v1.math", "__operators__"];

/// Whether a class is that of functions.
pub(super) fn is_function(class: &str) -> bool {
    matches!(class, "TFOpLambda" | "SlicingOpLambda")
}

/// The entry of a function as one of an operator.
///
/// # Errors
/// A function or an argument that no operator has, named by its layer.
pub(super) fn operator(entry: &Value) -> Result<Value, Error> {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, function) = (text("/config/name"), text("/config/function"));
    let place = |error: Error| error.at(format!("layer `{name}` (TFOpLambda)"));
    let (module, last) = function.rsplit_once('.').unwrap_or(("", function));
    let found = FUNCTIONS.iter().find(|(known, _)| *known == last).filter(|_| MODULES.contains(&module));
    let Some((class, module, _)) = found.and_then(|(_, name)| Operator::by_name(name)) else {
        let known: Vec<&str> = FUNCTIONS.iter().map(|(known, _)| *known).collect();
        return Err(place(suggest::unknown("function", function, &known)));
    };
    let mut settings = Config::new();
    if class == "Softmax" {
        settings.insert("axis".into(), json!(-1));
    }
    let calls = entry["inbound_nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let nodes: Vec<Value> =
        calls.iter().map(|call| node(call, &mut settings).map_err(place)).collect::<Result<_, _>>()?;
    let mut config = crate::config::config! { "name": name };
    config.extend(settings);
    Ok(json!({
        "module": module, "class_name": class, "config": config, "registered_name": class,
        "name": entry["name"], "inbound_nodes": nodes,
    }))
}

/// A call as Keras 3 writes it: a value, or a list of them, with further operands and settings by name.
fn node(call: &Value, settings: &mut Config) -> Result<Value, Error> {
    let damaged = || Error::config("`inbound_nodes` is damaged");
    let items = match call.get(0) {
        Some(Value::Array(_)) => call.as_array().cloned().unwrap_or_default(),
        _ => vec![call.clone()],
    };
    let values: Vec<Value> = items.iter().map(|item| operand(item).ok_or_else(damaged)).collect::<Result<_, _>>()?;
    let mut args = if call.get(0).is_some_and(Value::is_array) { vec![Value::Array(values)] } else { values };
    for (key, value) in items.first().and_then(|item| item.get(3)?.as_object()).into_iter().flatten() {
        match (key.as_str(), value) {
            (_, Value::Null | Value::Bool(false)) | ("name", _) => {}
            ("y" | "b", value) => args.push(operand(value).unwrap_or_else(|| value.clone())),
            ("axis" | "keepdims" | "dtype", value) => drop(settings.insert(key.clone(), value.clone())),
            ("shape", value) => drop(settings.insert("newshape".into(), value.clone())),
            ("perm", value) => drop(settings.insert("axes".into(), value.clone())),
            ("slice_spec", Value::Array(keys)) => args.push(keys.iter().map(index).collect()),
            (key, value) => {
                let message = format!("is called with `{key}` = {}, which its operator has not", shorten(value));
                return Err(Error::config(message));
            }
        }
    }
    Ok(json!({ "args": args, "kwargs": {} }))
}

/// A value of the model, `[layer, call, output]`, or a number, `["_CONSTANT_VALUE", -1, number]`.
fn operand(item: &Value) -> Option<Value> {
    let (layer, call, output) = (item.get(0)?.as_str()?, item.get(1)?, item.get(2)?);
    if layer == "_CONSTANT_VALUE" {
        return Some(output.clone());
    }
    Some(json!({ "class_name": "__keras_tensor__", "config": { "keras_history": [layer, call, output] } }))
}

/// A number, or a range.
fn index(key: &Value) -> Value {
    match key {
        Value::Object(range) => json!({ "class_name": "__slice__", "config": range }),
        number => number.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_are_no_operators_are_refused_by_name() {
        let entry = |function: &str, arguments: Value| {
            json!({ "class_name": "TFOpLambda", "name": "f", "config": { "name": "f", "function": function },
                "inbound_nodes": [["x", 0, 0, arguments]] })
        };
        for (function, arguments, told) in [
            ("math.add", json!({ "y": 2.0, "name": null }), "ok"),
            ("math.ad", json!({}), "layer `f` (TFOpLambda): unknown function `math.ad`"),
            ("sparse.add", json!({}), "unknown function `sparse.add`"),
            ("linalg.matmul", json!({ "b": ["y", 0, 0], "transpose_b": true }), "called with `transpose_b` = true"),
        ] {
            let made = operator(&entry(function, arguments)).map_or_else(|error| error.to_string(), |_| "ok".into());
            assert!(made.contains(told), "{function}: {made}");
        }
        let one_less = operator(&json!({ "class_name": "TFOpLambda", "name": "f",
            "config": { "name": "f", "function": "math.subtract" },
            "inbound_nodes": [["_CONSTANT_VALUE", -1, 1.0, { "y": ["x", 0, 0], "name": null }]] }))
        .unwrap();
        let args = &one_less["inbound_nodes"][0]["args"];
        assert_eq!((&args[0], &args[1]["config"]["keras_history"]), (&json!(1.0), &json!(["x", 0, 0])));
    }
}
