//! `footlight train RUN`: descriptions in TOML, and models that are trained on.

use crate::support::*;
use footlight::nn::file::{Archive, Entry};
use serde_json::Value;

const MNIST: &str = include_str!("../../../../examples/runs/mnist.toml");
const CALLBACKS: &str = include_str!("../../../../examples/runs/callbacks.toml");

const RESIDUAL: &str = include_str!("../../../../examples/runs/mnist_residual.toml");

/// A folder with the small set, the examples, and a description whose every part is wrong.
fn folder() -> Folder {
    let folder = Folder::with_data();
    for (name, text) in [("mnist.toml", MNIST), ("callbacks.toml", CALLBACKS), ("bad.toml", BAD)] {
        std::fs::write(folder.path(name), text).unwrap();
    }
    folder
}

#[test]
fn the_example_is_the_article_s_program() {
    let folder = folder();
    let short = "--data data --epochs 3 --batch-size 16 --seed 4 --progress none";
    folder.run(&format!("train mnist.toml {short} --set model.layers.3.units=3 --history a.json")).done();
    folder.run(&format!("train {short} --history b.json")).done();
    assert_eq!(std::fs::read(folder.path("a.json")).unwrap(), std::fs::read(folder.path("b.json")).unwrap());
    assert!(folder.path("mnist.keras").is_file(), "the description says where");
}

#[test]
fn the_residual_example_learns_from_pictures_of_another_size() {
    let folder = folder();
    let text = RESIDUAL.replace("[28, 28, 1]", "[6, 5, 1]").replace("epochs = 5", "epochs = 12");
    std::fs::write(folder.path("residual.toml"), text).unwrap();
    let run = folder.run("train residual.toml --data data --batch-size 16 --progress none").done();
    let accuracy: f64 = run.last_line().strip_prefix("Accuracy: ").unwrap().parse().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    let layers = &Archive::open(folder.path("mnist_residual.keras")).unwrap().config["config"]["layers"];
    assert_eq!(layers[0]["config"]["batch_shape"], serde_json::json!([null, 6, 5]));
}

#[test]
fn callbacks_of_a_description_are_called() {
    let folder = folder();
    let run = folder.run("train callbacks.toml --data data --batch-size 16 --epochs 4").done();
    assert!(run.last_line().starts_with("Accuracy: "), "{}", run.out);
    for name in ["best.keras", "last.keras", "epochs.csv", "history.json"] {
        assert!(folder.path(name).is_file(), "{name}");
    }
    let history: Value = serde_json::from_slice(&std::fs::read(folder.path("history.json")).unwrap()).unwrap();
    assert!(history["learning_rate"].is_array(), "{history}");
    let archive = Archive::open(folder.path("last.keras")).unwrap();
    assert_eq!(archive.config["compile_config"]["loss"]["config"]["from_logits"], true);
    assert_eq!(archive.config["compile_config"]["optimizer"]["class_name"], "AdamW");
}

#[test]
fn settings_and_flags_come_after_what_the_description_says() {
    let folder = folder();
    let set = "--set fit.epochs=2 --set compile.optimizer=sgd --set output=set.keras --set data.set=data";
    let run = folder.run(&format!("train mnist.toml {set} --progress plain")).done();
    assert!(run.err.contains("Epoch 2/2"), "{}", run.err);
    let archive = Archive::open(folder.path("set.keras")).unwrap();
    assert_eq!(archive.config["compile_config"]["optimizer"]["class_name"], "SGD");
    let flags = "--epochs 1 --optimizer rmsprop --learning-rate 0.5 --output flag.keras";
    let run = folder.run(&format!("train mnist.toml {set} {flags} --progress plain")).done();
    assert!(run.err.starts_with("1/1 - "), "{}", run.err);
    let optimizer = &Archive::open(folder.path("flag.keras")).unwrap().config["compile_config"]["optimizer"];
    assert_eq!((&optimizer["class_name"], &optimizer["config"]["learning_rate"]), (&"RMSprop".into(), &0.5.into()));
}

#[test]
fn schedules_constraints_and_functions_with_arguments_are_described() {
    let folder = folder();
    let rate = r#"{class="CosineDecay",initial_learning_rate=0.1,decay_steps=100}"#;
    let optimizer = format!(r#"--set compile.optimizer={{class="SGD",clipnorm=1.0,learning_rate={rate}}}"#);
    let layer = r#"--set model.layers.1.kernel_constraint={class="MaxNorm",max_value=3.0}
        --set model.layers.1.activation={class="LeakyReLU",negative_slope=0.1}
        --set model.layers.1.activity_regularizer={class="L2",l2=0.001}"#;
    let short = format!("train mnist.toml --data data --epochs 1 --batch-size 16 --progress none {optimizer} {layer}");
    folder.run(&short).done();
    let archive = Archive::open(folder.path("mnist.keras")).unwrap();
    let optimizer = &archive.config["compile_config"]["optimizer"]["config"];
    assert_eq!(
        (&optimizer["learning_rate"]["class_name"], &optimizer["clipnorm"]),
        (&"CosineDecay".into(), &1.0.into())
    );
    let dense = &archive.config["config"]["layers"][2]["config"];
    for (key, class) in [("kernel_constraint", "MaxNorm"), ("activation", "LeakyReLU"), ("activity_regularizer", "L2")]
    {
        assert_eq!(dense[key]["class_name"], class, "{dense}");
    }
    folder.run(&format!("{short} --learning-rate 0.5")).done();
    let archive = Archive::open(folder.path("mnist.keras")).unwrap();
    assert_eq!(archive.config["compile_config"]["optimizer"]["config"]["learning_rate"], 0.5);
}

#[test]
fn a_saved_model_is_trained_on_with_what_it_was_trained_by() {
    let folder = folder();
    let short = "--data data --batch-size 16 --no-shuffle --progress none";
    folder.run(&format!("train {short} --epochs 4 --optimizer rmsprop --history whole.json")).done();
    folder.run(&format!("train {short} --epochs 2 --optimizer rmsprop --output half.keras")).done();
    folder.run(&format!("train half.keras {short} --epochs 2 --history rest.json")).done();
    let losses = |name: &str| {
        let history: Value = serde_json::from_slice(&std::fs::read(folder.path(name)).unwrap()).unwrap();
        history["loss"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let (whole, rest) = (losses("whole.json"), losses("rest.json"));
    // Dropout draws anew, so the losses are near and not the same.
    assert!(rest[0] < whole[1] && (rest[1] - whole[3]).abs() < 0.1, "{whole:?} {rest:?}");
    let archive = Archive::open(folder.path("model.keras")).unwrap();
    assert_eq!(archive.config["compile_config"]["optimizer"]["class_name"], "RMSprop");
}

#[test]
fn a_model_that_was_compiled_and_never_fitted_begins_with_fresh_slots() {
    let folder = folder();
    folder.run("train --data data --epochs 1 --progress none").done();
    let mut archive = Archive::open(folder.path("model.keras")).unwrap();
    let Some(Entry::Group(optimizer)) = archive.weights.entries.get_mut("optimizer") else { panic!() };
    let Some(Entry::Group(vars)) = optimizer.entries.get_mut("vars") else { panic!() };
    vars.entries.retain(|name, _| name == "0" || name == "1");
    std::fs::write(folder.path("fresh.keras"), archive.write().unwrap()).unwrap();
    let run = folder.run("train fresh.keras --data data --epochs 8 --batch-size 16 --progress none").done();
    let accuracy: f64 = run.last_line().strip_prefix("Accuracy: ").unwrap().parse().unwrap();
    assert!(accuracy > 0.8, "{accuracy}");
}

const SCHEDULE: &str =
    r#"train mnist.toml --set compile.optimizer={class="Adam",learning_rate={class="CosineDecay",decay_steps=9}}"#;

/// Wrong in every way that has a message.
const BAD: &str = r#"sed = 3

[data]
set = "data"
scale = "much"

[[model.layers]]
class = "Flaten"

[[model.layers]]
class = "Dense"
unts = 128
units = "many"
activation = "rleu"
kernel_initializer = { class = "HeNormal", scale = 3 }

[[model.layers]]
class = "Dropout"
rate = 1.5

[[model.layers]]
units = 3

[compile]
optimizer = { class = "Adam", learning_rte = 0.1, beta_1 = 2.0 }
metrics = ["acuracy"]

[fit]
ephocs = 3
batch_size = 0

[[fit.callbacks]]
class = "EarlyStopping"
patience = -1
"#;

#[cfg(target_os = "linux")]
#[test]
fn messages_are_as_reviewed() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path(name), text).unwrap();
    let (head, tail) = BAD.split_once("[compile]").unwrap();
    let layer = "[[model.layers]]\nclass = \"Flatten\"\n";
    write("head.toml", &format!("{head}[compile]\noptimizer = \"adam\"\nloss = \"mse\"\n"));
    write("tail.toml", &format!("{layer}\n[compile]{tail}"));
    write("syntax.toml", "[fit]\nepochs = three\nbatch_size = 8\n");
    write("empty.toml", "");
    write("one.toml", &MNIST.replace("epochs", "epoch"));
    write(
        "shape.toml",
        &MNIST.replace("class = \"Flatten\"", "class = \"Reshape\"\ntarget_shape = [4, 4]\ninput_shape = 28"),
    );
    write("tables.toml", "data = 3\nmodel = 3\ncompile = 3\nfit = 3\n");
    write("lists.toml", "[model]\nlayers = 3\n[compile]\nmetrics = 3\n[fit]\ncallbacks = 3\n");
    write("plain.keras", "");
    let text = [
        ("everything at once", "train bad.toml"),
        ("layers", "train head.toml"),
        ("compile, fit and callbacks", "train tail.toml"),
        ("one fault", "train one.toml"),
        ("a text that is no TOML", "train syntax.toml"),
        ("an empty description", "train empty.toml"),
        ("shapes that do not fit", "train shape.toml"),
        ("sections that are no tables", "train tables.toml"),
        ("lists that are no lists", "train lists.toml"),
        ("a setting out of range", "train mnist.toml --set fit.batch_size=0 --set model.layers.2.rate=7"),
        ("a setting of an unknown key", "train mnist.toml --set fit.epoch=1"),
        ("a schedule at fault", SCHEDULE),
        ("a setting that leads nowhere", "train mnist.toml --set model.layers.9.rate=0.1 --set fit"),
        ("a setting without a description", "train --set fit.epochs=1"),
        ("a description that is not there", "train nothing.toml"),
        ("a run of another kind", "train data"),
        ("a model that is not there", "train nothing.keras"),
        ("a model that is empty", "train plain.keras"),
    ];
    reviewed("descriptions.txt", &text.map(|(what, arguments)| told(&folder, what, arguments)).concat());
}

#[test]
fn the_schema_has_every_class_with_its_keys() {
    let schema: Value = serde_json::from_str(&Folder::new().run("schema").done().out).unwrap();
    for class in footlight::nn::layers::CLASSES.iter().chain(footlight::nn::optimizers::CLASSES) {
        assert_eq!(schema["$defs"][class]["properties"]["class"]["const"], *class);
    }
    assert_eq!(schema["properties"]["fit"]["properties"]["shuffle"]["default"], true);
}
