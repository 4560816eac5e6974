//! Short trainings step by step: losses, metrics and weights are those of Keras.

use crate::support::*;
use footlight_cpu::naive::{NaiveData, NaiveValue};
use footlight_graph::Role;
use footlight_nn::{
    Activation, Architecture, BatchNormalization, Compile, Dense, Layer, Loss, Metric, Regularizer, optimizers,
};
use serde_json::{Value as Json, json};

fn regularizer(config: &Json) -> Option<Regularizer> {
    let part = |key: &str| config[key].as_f64().expect("a factor") as f32;
    (!config.is_null()).then(|| Regularizer::L1L2 { l1: part("l1"), l2: part("l2") })
}

fn layer(config: &Json) -> Box<dyn Layer> {
    let number = |key: &str| config[key].as_f64().expect("a number") as f32;
    let name = text(&config["name"]);
    match text(&config["class_name"]) {
        "Dense" => {
            let activation = Activation::from(text(&config["activation"]));
            let mut layer =
                Dense::new(config["units"].as_u64().expect("units") as usize).activation(activation).name(name);
            if let Some(penalty) = regularizer(&config["kernel_regularizer"]) {
                layer = layer.kernel_regularizer(penalty);
            }
            if let Some(penalty) = regularizer(&config["bias_regularizer"]) {
                layer = layer.bias_regularizer(penalty);
            }
            Box::new(layer)
        }
        "BatchNormalization" => {
            let layer = BatchNormalization::new().momentum(number("momentum")).epsilon(number("epsilon"));
            Box::new(layer.name(name))
        }
        other => panic!("layer {other} of a record is not known here"),
    }
}

fn object(class: &Json, config: &Json) -> Json {
    let mut config = config.clone();
    config.as_object_mut().expect("an object").shift_remove("class_name");
    json!({ "module": "keras", "class_name": class, "config": config, "registered_name": null })
}

/// Rows `from..to` along axis 0.
fn rows(value: &NaiveValue<f32>, from: usize, to: usize) -> NaiveValue<f32> {
    let row: usize = value.shape[1..].iter().product();
    let shape = [&[to - from], &value.shape[1..]].concat();
    match &value.data {
        NaiveData::Float(x) => NaiveValue::float(shape, x[from * row..to * row].to_vec()),
        NaiveData::Int(x) => NaiveValue::int(shape, x[from * row..to * row].to_vec()),
    }
}

/// What is told of one epoch, in the order of `metric_names`, and the means set back to nothing.
fn told(names: &[String], states: &mut Values<f32>) -> Vec<f64> {
    let mut take = |name: &str, part: &str| {
        let state = states.get_mut(&format!("metric/{name}/{part}")).expect("a metric's state");
        let was = numbers(state)[0];
        *state = NaiveValue::float([], vec![0.0]);
        was
    };
    names.iter().map(|name| take(name, "total") / take(name, "count")).collect()
}

fn check(report: &mut Report, case: &str, record: &Json) {
    let tolerance = Tolerance::of(record);
    let fit = |key: &str| record["fit"][key].as_f64().expect("a number");
    let x = tensor::<f32>(&record["x"]);
    let y = tensor::<f32>(&record["y"]);
    let mut model = Architecture::sequential(list(&record["layers"]).iter().map(layer).collect()).unwrap();
    model.build(&x.shape[1..]).unwrap();
    let optimizer = &record["optimizer"];
    let optimizer = optimizers::from_config(&object(&optimizer["class_name"], optimizer)).unwrap();
    let loss = Loss::from_config(&object(&record["loss"]["class_name"], &record["loss"])).unwrap();
    let with_accuracy = record["history"].get("accuracy").is_some();
    let metrics = if with_accuracy { vec![Metric::from("accuracy")] } else { vec![] };
    let compile = Compile::new(optimizer, loss, metrics).unwrap();

    let mut known: Values<f32> =
        compile.initial_values(&model).iter().map(|(n, _, t)| (n.clone(), of_tensor(t))).collect();
    for weight in list(&record["initial_weights"]) {
        known.insert(format!("{}/{}", text(&weight["layer"]), text(&weight["name"])), tensor(weight));
    }
    let batch = fit("batch_size") as usize;
    let trained = (x.shape[0] as f64 * (1.0 - fit("validation_split"))).floor() as usize;
    let steps = |from: usize, to: usize| (from..to).step_by(batch).map(move |i| (i, (i + batch).min(to)));
    let names = compile.metric_names();
    let (mut history, mut validation) = (vec![Vec::new(); names.len()], vec![Vec::new(); names.len()]);
    for _ in 0..fit("epochs") as usize {
        for (from, to) in steps(0, trained) {
            let graph = compile.lower_train(&model, to - from, 0).unwrap();
            known.extend(states(&graph, &known));
            run(&graph, &[("x", rows(&x, from, to)), ("y", rows(&y, from, to))], &mut known);
        }
        told(&names, &mut known).into_iter().zip(&mut history).for_each(|(value, all)| all.push(value));
        for (from, to) in steps(trained, x.shape[0]) {
            let graph = compile.lower_evaluate(&model, to - from).unwrap();
            run(&graph, &[("x", rows(&x, from, to)), ("y", rows(&y, from, to))], &mut known);
        }
        if trained < x.shape[0] {
            told(&names, &mut known).into_iter().zip(&mut validation).for_each(|(value, all)| all.push(value));
        }
    }
    report.close(&format!("{case}: loss"), &history[0], &f64s(&floats(&record["losses"])), tolerance);
    for (key, want) in record["history"].as_object().expect("an object") {
        let (all, name) = match key.strip_prefix("val_") {
            Some(name) => (&validation, name),
            None => (&history, key.as_str()),
        };
        let position = names.iter().position(|n| n == name).unwrap_or_else(|| panic!("{key} is not told"));
        report.close(&format!("{case}: {key}"), &all[position], &f64s(&floats(want)), tolerance);
    }
    for weight in list(&record["final_weights"]) {
        let path = format!("{}/{}", text(&weight["layer"]), text(&weight["name"]));
        let role = model.weights().iter().find(|w| w.path == path).map(|w| w.spec.trainable);
        report.equal(&format!("{case}: {path} trainable"), role, weight["trainable"].as_bool());
        report.close(&format!("{case}: {path}"), &numbers(&known[&path]), &f64s(&floats(&weight["data"])), tolerance);
    }
}

#[test]
fn every_short_training_is_that_of_keras() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/training");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name()).collect();
    files.sort();
    let mut report = Report::default();
    for file in files.iter().filter_map(|f| f.to_str()?.strip_suffix(".json")) {
        check(&mut report, file, &crate::support::record(&format!("fixtures/training/{file}.json")));
    }
    report.finish();
}

/// Penalties on weights and activities, and constraints after each update, with what Keras writes of them.
#[test]
fn penalties_and_constraints_train_as_in_keras() {
    let (record, mut report) = (keras(), Report::default());
    let tolerance = Tolerance::of(&record);
    for case in list(&record["trainings"]) {
        let name = text(&case["name"]);
        let model = Architecture::from_config(&case["model"]).unwrap();
        let optimizer = optimizers::from_config(&case["optimizer"]).unwrap();
        let compile = Compile::new(optimizer, Loss::from("mse"), vec![]).unwrap();
        let mut known: Values<f32> =
            compile.initial_values(&model).iter().map(|(n, _, t)| (n.clone(), of_tensor(t))).collect();
        let paths: Vec<&str> = model.weights().iter().map(|w| w.path.as_str()).collect();
        known.extend(paths.iter().zip(list(&case["before"])).map(|(path, w)| (path.to_string(), tensor(w))));
        let (x, y) = (tensor::<f32>(&case["x"]), tensor::<f32>(&case["y"]));
        let feeds = [("x", x), ("y", y)];
        for (step, want) in list(&case["losses"]).iter().enumerate() {
            let graph = compile.lower_train(&model, feeds[0].1.shape[0], 0).unwrap();
            known.extend(states(&graph, &known));
            let loss = numbers(&run(&graph, &feeds, &mut known)["loss"]);
            report.close(&format!("{name}: loss {step}"), &loss, &[want.as_f64().unwrap()], tolerance);
        }
        for (path, want) in paths.iter().zip(list(&case["after"])) {
            let want = f64s(&floats(&want["data"]));
            report.close(&format!("{name}: {path}"), &numbers(&known[*path]), &want, tolerance);
        }
        let graph = compile.lower_evaluate(&model, feeds[0].1.shape[0]).unwrap();
        known.extend(states(&graph, &known));
        let loss = numbers(&run(&graph, &feeds, &mut known)["loss"]);
        report.close(&format!("{name}: evaluation"), &loss, &[case["evaluation"].as_f64().unwrap()], tolerance);
    }
    report.finish();
}

#[test]
fn evaluation_changes_nothing_but_metrics() {
    let layers = footlight_nn::layers![
        Dense::new(4).input_shape([3]),
        BatchNormalization::new(),
        Dense::new(2).activation("softmax")
    ];
    let model = Architecture::sequential(layers).unwrap();
    let loss = Loss::from("sparse_categorical_crossentropy");
    let compile = Compile::new(optimizers::from_name("adam").unwrap(), loss, vec!["accuracy".into()]).unwrap();
    let graph = compile.lower_evaluate(&model, 5).unwrap();
    for state in graph.states() {
        assert_eq!(state.next.is_some(), state.role == Role::Metric, "{}", state.name);
    }
}
