//! `footlight train`.

use crate::support::*;
use footlight::nn::file::Archive;
use serde_json::Value;

/// A short training on the small set; 90 samples in batches of 16 end with a short batch.
const TRAIN: &str = "train --data data --epochs 8 --batch-size 16 --learning-rate 0.01";

#[test]
fn the_last_line_is_the_accuracy_in_every_progress_mode() {
    let folder = Folder::with_data();
    for mode in ["auto", "bar", "plain", "json", "none"] {
        let run = folder.run(&format!("{TRAIN} --progress {mode}")).done();
        assert!(run.last_line().starts_with("Accuracy: 1.0") || run.last_line().starts_with("Accuracy: 0.9"), "{mode}");
        assert_eq!(run.out.lines().count() == 1, mode == "none", "{mode}: {}", run.out);
        assert_eq!(run.err.is_empty(), mode == "none", "{mode}: {}", run.err);
        assert!(folder.path("model.keras").is_file());
    }
    assert_eq!(folder.names(), ["data", "model.keras"], "no temporary file is left");
}

#[test]
fn what_is_told_before_and_while_training() {
    let folder = Folder::with_data();
    let run = folder.run(&format!("{TRAIN} --seed 3 --threads 1 --validation-split 0.2")).done();
    for told in
        ["Model: \"sequential\"", " Total params: ", " Optimizer params: ", "Plan: parameters 0.02 MB", "seed 3"]
    {
        assert!(run.out.contains(told), "{told}: {}", run.out);
    }
    assert!(run.err.contains("Epoch 8/8\n5/5 - 0s - "), "{}", run.err);
    assert!(run.err.contains(" - val_accuracy: ") && run.err.contains(" - val_loss: "), "{}", run.err);
    assert!(run.err.chars().all(|c| c == '\n' || !c.is_control()), "no control characters away from a terminal");
}

#[test]
fn json_progress_is_an_object_per_epoch() {
    let folder = Folder::with_data();
    let run = folder.run(&format!("{TRAIN} --progress json")).done();
    let epochs: Vec<Value> = run.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(epochs.len(), 8);
    assert_eq!((&epochs[7]["epoch"], &epochs[7]["epochs"], &epochs[7]["steps"]), (&8.into(), &8.into(), &6.into()));
    assert!(epochs[7]["loss"].as_f64().unwrap() < epochs[0]["loss"].as_f64().unwrap());
}

#[test]
fn history_is_a_list_per_metric() {
    let folder = Folder::with_data();
    folder.run(&format!("{TRAIN} --validation-split 0.2 --history h.json")).done();
    let history: Value = serde_json::from_slice(&std::fs::read(folder.path("h.json")).unwrap()).unwrap();
    let names: Vec<&String> = history.as_object().unwrap().keys().collect();
    assert_eq!(names, ["accuracy", "loss", "val_accuracy", "val_loss"]);
    assert!(history.as_object().unwrap().values().all(|list| list.as_array().unwrap().len() == 8));
}

/// The bytes of `model.weights.h5`, and the history.
fn trained(folder: &Folder, options: &str) -> (Vec<u8>, Vec<u8>) {
    folder.run(&format!("{TRAIN} {options} --history h.json --output m.keras")).done();
    (weights(&folder.path("m.keras")), std::fs::read(folder.path("h.json")).unwrap())
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let folder = Folder::with_data();
    for optimizer in ["adam", "sgd"] {
        let first = trained(&folder, &format!("--seed 7 --optimizer {optimizer} --threads 1"));
        for threads in 2..=4 {
            let again = trained(&folder, &format!("--seed 7 --optimizer {optimizer} --threads {threads}"));
            assert!(again == first, "{optimizer}, {threads} threads");
        }
        assert!(trained(&folder, &format!("--seed 8 --optimizer {optimizer}")) != first, "the seed counts");
    }
}

#[test]
fn shuffling_can_be_turned_off() {
    let folder = Folder::with_data();
    assert!(trained(&folder, "") != trained(&folder, "--no-shuffle"));
}

#[test]
fn the_saved_model_holds_what_it_was_trained_by() {
    let folder = Folder::with_data();
    folder.run(&format!("{TRAIN} --optimizer rmsprop")).done();
    let archive = Archive::open(folder.path("model.keras")).unwrap();
    let compile = &archive.config["compile_config"];
    assert_eq!(compile["optimizer"]["class_name"], "RMSprop");
    assert_eq!(compile["loss"], "sparse_categorical_crossentropy");
    assert_eq!(archive.config["config"]["layers"][2]["config"]["units"], 128);
}

#[test]
fn a_reader_who_leaves_does_not_end_the_training() {
    let folder = Folder::with_data();
    let mut child = folder.command(TRAIN).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(folder.path("model.keras").is_file());
}

#[test]
fn without_data_and_network_digits_are_generated_and_it_is_said_loudly() {
    let folder = Folder::new();
    let run = folder.run("train --epochs 1").done();
    assert!(run.out.contains("(not MNIST)"), "{}", run.out);
    assert!(run.err.contains("MNIST") && run.err.to_lowercase().contains("generated"), "{}", run.err);
    let accuracy: f64 = run.last_line().strip_prefix("Accuracy: ").unwrap().parse().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
}

#[test]
fn the_article_reaches_97_percent_on_mnist() {
    let Some(data) = std::env::var_os("FOOTLIGHT_DATA") else {
        println!("skipped: FOOTLIGHT_DATA names no folder with the real MNIST");
        return;
    };
    let folder = Folder::new();
    let run = Run::of(folder.command("train").env("FOOTLIGHT_DATA", data).output().unwrap()).done();
    assert!(run.out.starts_with("Data: mnist (folder "), "{}", run.out);
    let accuracy: f64 = run.last_line().strip_prefix("Accuracy: ").unwrap().parse().unwrap();
    assert!(accuracy > 0.97, "{accuracy}");
}
