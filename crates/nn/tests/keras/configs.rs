//! Models, names, summaries and compile configurations against what Keras writes.

use crate::support::*;
use footlight_nn::{Architecture, Compile, Initializer, Key, Loss, Regularizer, layers, optimizers, to_snake_case};
use serde_json::{Value as Json, json};

/// Where this crate writes something else on purpose. Keys that newer versions of Keras added are left out where they are
/// null or false, so that older versions read the file too; a shape to build from is written for every layer, Keras leaves
/// it out where there is nothing to build; Keras itself forgets the gain of an identity; a seed does not outlive the
/// numbers it gave; optimizer and loss are written by [`Compile`].
fn unexpected(got: &Json, want: &Json) -> Vec<String> {
    const ON_PURPOSE: [&str; 8] = [
        "input_axes is missing",
        "output_axes is missing",
        "renorm is missing",
        "renorm_clipping is missing",
        "renorm_momentum is missing",
        "build_config is not Keras'",
        "gain is not Keras'",
        "compile_config is missing",
    ];
    let is_meant = |d: &String| ON_PURPOSE.iter().any(|known| d.ends_with(known)) || d.contains("seed: null, not ");
    differences(got, want).into_iter().filter(|d| !is_meant(d)).collect()
}

/// The models that Keras wrote, each with its name.
fn models() -> Vec<(String, Json)> {
    list(&keras()["models"]).iter().map(|m| (text(&m["name"]).to_string(), m.clone())).collect()
}

#[test]
fn models_of_keras_are_read_with_their_weights() {
    let mut report = Report::default();
    for (case, record) in models() {
        let model = match Architecture::from_config(&record["config"]) {
            Ok(model) => model,
            Err(error) => {
                report.fail(&case, error);
                continue;
            }
        };
        let weights: Vec<Json> =
            model.weights().iter().map(|w| json!([w.path, w.spec.shape, w.spec.trainable])).collect();
        report.equal(&case, &weights[..], list(&record["weights"]));
    }
    report.finish();
}

#[test]
fn models_are_written_as_keras_writes_them() {
    let mut report = Report::default();
    for (case, record) in models() {
        let Ok(model) = Architecture::from_config(&record["config"]) else { continue };
        report.equal(&case, unexpected(&model.to_config(), &record["config"]), vec![]);
    }
    report.finish();
}

#[test]
fn what_is_written_is_read_again() {
    for (case, record) in models() {
        let Ok(model) = Architecture::from_config(&record["config"]) else { continue };
        let written = model.to_config();
        let again = Architecture::from_config(&written).unwrap();
        assert_eq!(differences(&again.to_config(), &written), Vec::<String>::new(), "{case}");
    }
}

/// Keras' total includes the optimizer's state; this crate's is the model's alone, by design.
fn without_total(summary: &str) -> Vec<&str> {
    let lines = summary.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.filter(|line| !line.starts_with(" Total params")).collect()
}

#[test]
fn summaries_are_those_of_keras() {
    let mut report = Report::default();
    for (case, record) in models() {
        let Ok(model) = Architecture::from_config(&record["config"]) else { continue };
        let adam = Compile::new(optimizers::from_name("adam").unwrap(), "mse".into(), vec![]).unwrap();
        let plain = model.summary(None);
        let lines = |text: &str| without_total(text).iter().map(|l| format!("\n{l}")).collect::<String>();
        report.equal(&case, lines(&plain), lines(text(&record["summary"])));
        let compiled = model.input_shape().is_some().then_some(&adam);
        report.equal(
            &format!("{case} compiled"),
            lines(&model.summary(compiled)),
            lines(text(&record["summary_compiled"])),
        );
        // Before it is compiled the total agrees as well.
        let total = |text: &str| text.lines().find(|l| l.starts_with(" Total")).map(str::to_string);
        report.equal(&format!("{case} total"), total(&plain), total(text(&record["summary"])));
    }
    report.finish();
}

/// What Keras writes, with only the keys that have no default.
fn bare(record: &Json) -> Json {
    const NEEDED: [&str; 5] = ["name", "units", "activation", "target_shape", "rate"];
    let is_needed = |(key, value): &(&String, &Json)| NEEDED.contains(&key.as_str()) && **value != "linear";
    let config = record["config"].as_object().expect("an object").iter().filter(is_needed);
    let config: serde_json::Map<String, Json> = config.map(|(key, value)| (key.clone(), value.clone())).collect();
    json!({ "module": record["module"], "class_name": record["class_name"], "config": config })
}

#[test]
fn defaults_are_those_of_keras() {
    let (record, mut report) = (keras(), Report::default());
    for case in list(&record["models"][0]["config"]["config"]["layers"]).iter().skip(1) {
        let made = footlight_nn::layers::from_config(&bare(case)).unwrap();
        let written = footlight_nn::layers::to_config(made.as_ref(), text(&case["config"]["name"]), None);
        let found = unexpected(&written, case).into_iter().filter(|d| d != "build_config is missing");
        report.equal(text(&case["class_name"]), found.collect(), Vec::<String>::new());
    }
    // Each class begins with its defaults, and others follow.
    let mut seen = Vec::new();
    let mut is_first = |case: &&Json| {
        let class = text(&case["class_name"]).to_string();
        let is_new = !seen.contains(&class);
        seen.push(class);
        is_new
    };
    for case in list(&record["initializers"]).iter().filter(&mut is_first) {
        let made = Initializer::from_config(&bare(case)).unwrap();
        report.equal(text(&case["class_name"]), unexpected(&made.to_config(), case), vec![]);
    }
    for case in list(&record["trajectories"]).iter().map(|t| &t["config"]).filter(&mut is_first) {
        let made = optimizers::from_config(&bare(case)).unwrap();
        report.equal(text(&case["class_name"]), differences(&optimizers::to_config(made.as_ref()), case), vec![]);
    }
    let l1 = &record["regularizers"][0];
    report.equal("L1", differences(&Regularizer::from_config(&bare(l1)).unwrap().to_config(), l1), vec![]);
    report.finish();
}

#[test]
fn class_names_become_keras_names() {
    let (record, mut report) = (keras(), Report::default());
    for pair in list(&record["layer_names"]) {
        // Aliases such as AvgPool2D have another class name; only those that are their own are rules.
        let (class, name) = (text(&pair[0]), text(&pair[1]));
        let aliases = ["AvgPool", "MaxPool1", "MaxPool2", "MaxPool3", "Convolution", "GroupQuery", "Solarization"];
        if aliases.iter().any(|a| class.contains(a)) {
            continue;
        }
        report.equal(class, to_snake_case(class), name.to_string());
    }
    report.finish();
}

#[test]
fn initializers_and_regularizers_are_read_and_written() {
    let (record, mut report) = (keras(), Report::default());
    for case in list(&record["initializers"]) {
        match Initializer::from_config(case) {
            Ok(made) => report.equal(&format!("{case}"), unexpected(&made.to_config(), case), vec![]),
            Err(error) => report.fail(&format!("{case}"), error),
        }
    }
    for case in list(&record["regularizers"]) {
        match Regularizer::from_config(case) {
            Ok(made) => report.equal(&format!("{case}"), unexpected(&made.to_config(), case), vec![]),
            Err(error) => report.fail(&format!("{case}"), error),
        }
    }
    report.finish();
}

#[test]
fn compile_configurations_are_read_and_what_is_written_means_the_same() {
    let (record, mut report) = (keras(), Report::default());
    for (i, case) in list(&record["compile_configs"]).iter().enumerate() {
        let label = format!("compile configuration {i}");
        let compile = match Compile::from_config(case.as_object().expect("an object")) {
            Ok(compile) => compile,
            Err(error) => {
                report.fail(&label, error);
                continue;
            }
        };
        let written = compile.to_config();
        report.equal(&format!("{label}: optimizer"), differences(&written["optimizer"], &case["optimizer"]), vec![]);
        match Compile::from_config(written.as_object().expect("an object")) {
            Ok(again) => {
                report.equal(
                    &format!("{label}: loss"),
                    format!("{:?}", again.outputs[0].loss),
                    format!("{:?}", compile.outputs[0].loss),
                );
                let metrics = |c: &Compile| format!("{:?}", c.outputs[0].metrics);
                report.equal(&format!("{label}: metrics"), metrics(&again), metrics(&compile));
            }
            Err(error) => report.fail(&label, error),
        }
    }
    report.finish();
}

/// A file that Keras saved and this crate cannot honour must be refused, for it would compute something else.
#[test]
fn settings_that_change_the_numbers_are_refused_and_never_dropped() {
    let dense = |key: &str, value: Json| {
        let mut config = json!({ "name": "d", "units": 2 });
        config[key] = value;
        layer("Dense", config)
    };
    let norm = |class: &str, key: &str, value: Json| {
        let mut config = json!({ "name": "n" });
        config[key] = value;
        layer(class, config)
    };
    let max_norm = json!({ "module": "keras.constraints", "class_name": "MaxNorm", "config": { "axis": 1 } });
    let unknown = json!({ "module": "keras.constraints", "class_name": "MedianNorm", "config": {} });
    let unread = json!({ "module": "keras.activations", "class_name": "gelu", "config": { "approximate": true } });
    let orthogonal = json!({ "module": "keras.regularizers", "class_name": "OrthogonalRegularizer", "config": {} });
    let mut report = Report::default();
    for (what, value) in [
        ("an unknown constraint", dense("kernel_constraint", unknown)),
        ("a constraint along no axis", dense("bias_constraint", max_norm)),
        ("an activation's arguments", dense("activation", unread)),
        ("orthogonal activities", dense("activity_regularizer", orthogonal.clone())),
        ("an orthogonal bias", dense("bias_regularizer", orthogonal)),
        ("lora_rank", dense("lora_rank", json!(4))),
        ("quantization_config", dense("quantization_config", json!({ "class_name": "Int8" }))),
        ("dtype", dense("dtype", json!({ "class_name": "DTypePolicy", "config": { "name": "mixed_float16" } }))),
        ("noise_shape", norm("Dropout", "noise_shape", json!([null, 1]))),
        ("softmax of the batch", norm("Softmax", "axis", json!(0))),
        ("groups of the batch", norm("GroupNormalization", "axis", json!(0))),
        ("a scale that fits no last axes", norm("RMSNormalization", "axis", json!(1))),
        ("renorm", norm("BatchNormalization", "renorm", json!(true))),
        ("statistics along the batch", norm("BatchNormalization", "axis", json!(0))),
        ("an axis of the batch among others", norm("LayerNormalization", "axis", json!([0, 2]))),
        ("channels_first", norm("Flatten", "data_format", json!("channels_first"))),
    ] {
        let read = Architecture::from_config(&on_matrices(value)).and_then(|m| m.lower_infer(2));
        report.equal(what, read.is_err(), true);
    }
    let metric =
        |class: &str, config: Json| json!({ "module": "keras.metrics", "class_name": class, "config": config });
    for (what, value) in [
        ("an axis", metric("CategoricalCrossentropy", json!({ "name": "c", "axis": 1 }))),
        ("sorted classes", metric("SparseTopKCategoricalAccuracy", json!({ "name": "t", "from_sorted_ids": true }))),
    ] {
        report.equal(&format!("metric {what}"), footlight_nn::Metric::from_config(&value).is_err(), true);
    }
    report.finish();
}

#[test]
fn the_last_axis_is_normalized_however_it_is_counted() {
    for class in ["BatchNormalization", "LayerNormalization"] {
        for axis in [json!(-1), json!([-1]), json!(2), json!([2])] {
            let value = layer(class, json!({ "name": "n", "axis": axis }));
            let model = Architecture::from_config(&on_matrices(value)).unwrap();
            assert!(model.weights().iter().all(|w| w.spec.shape == [4]), "{class} {axis}");
            let again = Architecture::from_config(&model.to_config()).unwrap();
            assert_eq!(again.to_config(), model.to_config(), "{class} {axis}");
        }
    }
}

/// A model of one layer on samples of shape `[3, 4]`.
fn on_matrices(value: Json) -> Json {
    let input = layer("InputLayer", json!({ "batch_shape": [null, 3, 4], "name": "i" }));
    json!({
        "module": "keras", "class_name": "Sequential", "registered_name": null,
        "config": { "name": "s", "layers": [input, value] },
    })
}

fn layer(class: &str, config: Json) -> Json {
    json!({ "module": "keras.layers", "class_name": class, "config": config, "registered_name": null })
}

#[test]
fn nothing_of_someone_else_and_no_code_is_read() {
    let custom = json!({ "module": "mine", "class_name": "Dense", "config": {}, "registered_name": "mine>Dense" });
    let lambda = json!({ "module": "keras.layers", "class_name": "Lambda", "config": {}, "registered_name": null });
    let disguised =
        json!({ "module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": "mine>Dense" });
    let elsewhere = json!({ "module": "kerasx.layers", "class_name": "Dense", "config": { "units": 2 } });
    for value in [custom, lambda, disguised, elsewhere] {
        let message = footlight_nn::layers::from_config(&value).unwrap_err().to_string();
        assert!(message.contains("Dense") || message.contains("Lambda"), "{message}");
    }
    // Files of Keras on PyTorch name optimizers by an internal module.
    let adam = json!({ "module": "keras.src.backend.torch.optimizers.torch_adam", "class_name": "Adam", "config": {} });
    assert!(optimizers::from_config(&adam).is_ok());
}

/// A key of a class, as `name kind`, with `!` if it is required, else its default.
fn told(keys: Vec<Key>) -> Vec<String> {
    let tell = |key: Key| match key.is_required {
        true => format!("{} {:?} !", key.name, key.kind),
        false => format!("{} {:?} {}", key.name, key.kind, key.default),
    };
    keys.into_iter().map(tell).collect()
}

#[test]
fn every_class_tells_its_keys_with_defaults() {
    let dense = told(layers::keys("Dense"));
    for key in ["units Count !", "activation Object \"linear\"", "use_bias Flag true", "trainable Flag true"] {
        assert!(dense.iter().any(|told| told == key), "{key}: {dense:?}");
    }
    assert_eq!(told(layers::keys("Dropout"))[0], "rate Number 0.5");
    let adam = told(optimizers::keys("Adam"));
    assert!(
        adam.contains(&"amsgrad Flag false".to_string())
            && adam.iter().any(|told| told.starts_with("learning_rate Rate 0.001"))
    );
    assert_eq!(told(Loss::keys("BinaryCrossentropy"))[1], "from_logits Flag false");
    assert!(layers::CLASSES.iter().all(|class| !layers::keys(class).is_empty()));
    assert!(layers::keys("Conv9D").is_empty());
}

#[test]
fn a_fault_names_its_key() {
    let layer = |config: Json| {
        let read = layers::from_config(&json!({ "class_name": "Dense", "config": config }));
        read.and_then(|layer| layer.check()).unwrap_err().key().map(str::to_string)
    };
    let scaled = |scale: Json| json!({ "class_name": "VarianceScaling", "config": { "scale": scale } });
    for (config, key) in [
        (json!({}), "units"),
        (json!({ "units": 0 }), "units"),
        (json!({ "units": 3, "unit": 3 }), "unit"),
        (json!({ "units": 3, "activation": "rleu" }), "activation"),
        (json!({ "units": 3, "kernel_initializer": scaled(json!("x")) }), "kernel_initializer.scale"),
        (json!({ "units": 3, "kernel_constraint": "maxnorm" }), "kernel_constraint"),
        (json!({ "units": 3, "activity_regularizer": "l3" }), "activity_regularizer"),
    ] {
        assert_eq!(layer(config.clone()).as_deref(), Some(key), "{config}");
    }
}
