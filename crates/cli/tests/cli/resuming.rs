//! Trainings that are killed or interrupted, and go on.

use crate::support::*;
use footlight::tensor::{Philox, RandomKey, Tensor, idx};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Long enough to be killed in, short enough to be waited for: 1,500 pictures, 47 steps an epoch.
const TRAIN: &str = "train --data long --epochs 25 --batch-size 32 --validation-split 0.1 --history h.json";

fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("long")).unwrap();
    let mut rng = Philox::new(RandomKey::new(3));
    for (stem, count) in [("train", 1500), ("t10k", 20)] {
        let pixels: Vec<u8> = (0..count * 784).map(|_| rng.below(256) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|_| rng.below(10) as u8).collect();
        let write = |name: String, tensor| std::fs::write(folder.path("long").join(name), idx::write(&tensor).unwrap());
        write(format!("{stem}-images-idx3-ubyte"), Tensor::new([count, 28, 28], pixels).unwrap()).unwrap();
        write(format!("{stem}-labels-idx1-ubyte"), Tensor::new([count], labels).unwrap()).unwrap();
    }
    folder
}

fn results(folder: &Folder) -> (Vec<u8>, Vec<u8>) {
    (weights(&folder.path("model.keras")), std::fs::read(folder.path("h.json")).unwrap())
}

/// The results of a training that nothing disturbed, and how long it took.
fn undisturbed(folder: &Folder) -> ((Vec<u8>, Vec<u8>), Duration) {
    let begin = Instant::now();
    folder.run(&format!("{TRAIN} --progress none")).done();
    let (took, found) = (begin.elapsed(), results(folder));
    assert!(!folder.path("model.checkpoint.npz").exists(), "the checkpoint of a training that is done is removed");
    for name in ["model.keras", "h.json"] {
        std::fs::remove_file(folder.path(name)).unwrap();
    }
    (found, took)
}

fn start(folder: &Folder, options: &str) -> Child {
    let mut command = folder.command(&format!("{TRAIN} --progress none {options}"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn killed_at_twenty_random_moments_it_ends_with_the_same_bytes() {
    let folder = folder();
    let (wanted, took) = undisturbed(&folder);
    let mut rng = Philox::new(RandomKey::new(20));
    let mut kills = 0;
    for _ in 0..20 {
        let mut child = start(&folder, "--checkpoint-every 0.02 --resume");
        let moment = took.mul_f64(0.02 + 0.3 * rng.uniform_f64());
        std::thread::sleep(moment);
        if child.try_wait().unwrap().is_some() {
            // It ended before its time came: the next one starts anew.
            assert!(results(&folder) == wanted);
            std::fs::remove_file(folder.path("model.keras")).unwrap();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    folder.run(&format!("{TRAIN} --progress none --resume")).done();
    assert!(results(&folder) == wanted, "after {kills} kills");
    assert!(kills >= 10, "only {kills} of 20 trainings lasted long enough to be killed");
    let leftovers: Vec<String> = folder.names().into_iter().filter(|name| name.ends_with(".part")).collect();
    // A file on its way when the process was killed may stay; it has a name of its own and is never read.
    assert!(leftovers.iter().all(|name| name.starts_with('.')), "{leftovers:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_and_the_end_of_a_terminal_write_a_checkpoint_and_say_how_to_go_on() {
    let folder = folder();
    let (wanted, took) = undisturbed(&folder);
    for signal in ["INT", "TERM", "HUP"] {
        let child = start(&folder, "");
        std::thread::sleep(took.mul_f64(0.4));
        let interrupt = format!("kill -{signal} {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
        let run = Run::of(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(1), "{signal}: {}", run.err);
        assert!(run.err.contains("note: finishing the step and writing a checkpoint"), "{signal}: {}", run.err);
        assert!(run.err.contains("error[interrupted]: interrupted in epoch "), "{signal}: {}", run.err);
        let command = run.err.split("  help: go on with: footlight ").nth(1).expect("it says how to go on").trim();
        assert_eq!(command, format!("{TRAIN} --progress none --resume"));
        folder.run(command).done();
        assert!(results(&folder) == wanted, "{signal}");
        std::fs::remove_file(folder.path("model.keras")).unwrap();
    }
}

#[test]
fn a_checkpoint_that_nobody_asks_for_is_kept_out_of_the_way() {
    let folder = Folder::with_data();
    std::fs::create_dir(folder.path("aside")).unwrap();
    std::fs::write(folder.path("aside/model.checkpoint.npz"), "of another time").unwrap();
    let run = folder.run("train --data data --epochs 1 --checkpoint-dir aside").done();
    assert!(
        run.err.contains(
            "note: a checkpoint of an unfinished training was there; it is now `aside/model.checkpoint.npz.old`"
        ),
        "{}",
        run.err
    );
    assert_eq!(std::fs::read_to_string(folder.path("aside/model.checkpoint.npz.old")).unwrap(), "of another time");
    let run = folder.run("train --data data --epochs 1 --resume");
    assert_eq!(run.code, Some(2));
    assert!(
        run.err.contains("there is no checkpoint `model.checkpoint.npz`, and `model.keras` is there"),
        "{}",
        run.err
    );
    let run = folder.run("train --data data --epochs 1 --resume --output new.keras").done();
    assert!(
        run.err.contains("note: there is no checkpoint `new.checkpoint.npz`: the training starts anew"),
        "{}",
        run.err
    );
}

#[test]
fn a_checkpoint_of_other_data_is_refused() {
    let folder = Folder::with_data();
    let train = "train --data data --epochs 2000000 --batch-size 16 --progress none";
    let mut child = folder.command(&format!("{train} --checkpoint-every 0")).spawn().unwrap();
    let begin = Instant::now();
    while !folder.path("model.checkpoint.npz").exists() && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let labels = folder.path("data/train-labels-idx1-ubyte");
    let mut bytes = std::fs::read(&labels).unwrap();
    bytes[8..10].reverse();
    std::fs::write(labels, bytes).unwrap();
    let run = folder.run(&format!("{train} --resume"));
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("this is another training: data was "), "{}", run.err);
}

#[test]
fn learning_curves_are_drawn() {
    let folder = Folder::with_data();
    folder.run("train --data data --epochs 3 --validation-split 0.2 --plot curve.svg").done();
    let svg = std::fs::read_to_string(folder.path("curve.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("val_accuracy") && svg.matches("<polyline").count() == 4);
}
