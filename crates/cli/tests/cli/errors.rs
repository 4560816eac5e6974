//! Bad input: every message as a person reads it is in `errors.txt` beside this file, with the exit code.

use crate::support::*;
use footlight::nn::file::Archive;
use footlight::tensor::{Tensor, idx, npy, npz};
use std::process::Command;

const SHORT: &str = "train --data data --epochs 1 --progress none";

fn damage(folder: &Folder, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(folder.path(name)).unwrap();
    change(&mut bytes);
    std::fs::write(folder.path(name), bytes).unwrap();
}

fn bad_use(folder: &Folder) -> String {
    [
        ("an unknown optimizer", "train --data data --optimizer adm"),
        ("an unknown progress mode", "train --data data --progress loud"),
        ("an unknown set", "train --data minst"),
        ("no epochs", "train --data data --epochs 0"),
        ("an empty batch", "train --data data --batch-size 0"),
        ("no threads", "train --data data --threads 0"),
        ("a split beyond 1", "train --data data --validation-split 1.5"),
        ("a split that leaves nothing", "train --data data --validation-split 0.999"),
        ("a learning rate below 0", "train --data data --learning-rate -1"),
        ("a learning rate that is no number", "train --data data --learning-rate nan"),
        ("a model that is no .keras file", "train --data data --output model.h5"),
        ("curves that are no .svg file", "train --data data --plot curve.png"),
        ("an unknown flag", "train --epoch 3"),
        ("an unknown command", "tarin"),
        ("an unknown workload", "bench mlq"),
        ("an input of unknown format", "predict model.keras --input x.txt"),
        ("an output of unknown format", "predict model.keras --input x.npy --output y.txt"),
        ("an array inverted", "predict model.keras --input x.npy --invert"),
        ("an empty batch to plan for", "summary model.keras --plan --batch-size 0"),
    ]
    .map(|(what, arguments)| told(folder, what, arguments))
    .concat()
}

fn bad_files(folder: &Folder) -> String {
    folder.run(SHORT).done();
    let model = std::fs::read(folder.path("model.keras")).unwrap();
    let mut text = told(folder, "a model that is not there", "evaluate nothing.keras --data data");
    std::fs::write(folder.path("text.keras"), "not a model").unwrap();
    text += &told(folder, "a model that is a text", "summary text.keras");
    std::fs::write(folder.path("half.keras"), &model[..model.len() / 2]).unwrap();
    text += &told(folder, "half a model", "summary half.keras");
    std::fs::write(folder.path("empty.keras"), "").unwrap();
    text += &told(folder, "an empty model file", "summary empty.keras");
    let mut archive = Archive::read(&model).unwrap();
    archive.config["config"]["layers"][2]["config"]["units"] = 64.into();
    std::fs::write(folder.path("units.keras"), archive.write().unwrap()).unwrap();
    text += &told(folder, "weights of other shapes", "summary units.keras");
    archive.config["config"]["layers"][2]["class_name"] = "Dens".into();
    std::fs::write(folder.path("class.keras"), archive.write().unwrap()).unwrap();
    text += &told(folder, "an unknown layer", "summary class.keras");
    archive.config["config"]["layers"][2]["class_name"] = "Lambda".into();
    std::fs::write(folder.path("lambda.keras"), archive.write().unwrap()).unwrap();
    text += &told(folder, "a layer of code", "summary lambda.keras");
    let mut uncompiled = Archive::read(&model).unwrap();
    uncompiled.config["compile_config"] = serde_json::Value::Null;
    std::fs::write(folder.path("uncompiled.keras"), uncompiled.write().unwrap()).unwrap();
    text + &told(folder, "a model that was never compiled", "evaluate uncompiled.keras --data data")
}

fn bad_arrays(folder: &Folder) -> String {
    let write = |name: &str, tensor: Tensor| std::fs::write(folder.path(name), npy::write(&tensor).unwrap()).unwrap();
    let ask = |what: &str, name: &str| told(folder, what, &format!("predict model.keras --input {name}"));
    let mut text = ask("an input that is not there", "nothing.npy");
    write("shape.npy", Tensor::new([4, 7], vec![0.0f32; 28]).unwrap());
    text += &ask("an array of another shape", "shape.npy");
    let mut numbers = vec![0.5f32; 60];
    numbers[37] = f32::NAN;
    write("nan.npy", Tensor::new([2, 6, 5], numbers.clone()).unwrap());
    text += &ask("an array with NaN", "nan.npy");
    numbers[37] = f32::INFINITY;
    write("inf.npy", Tensor::new([2, 6, 5], numbers).unwrap());
    text += &ask("an array with an infinity", "inf.npy");
    write("cut.npy", Tensor::new([2, 6, 5], vec![0.5f32; 60]).unwrap());
    damage(folder, "cut.npy", |bytes| bytes.truncate(200));
    text += &ask("an array that is cut short", "cut.npy");
    std::fs::write(folder.path("text.npy"), "1 2 3").unwrap();
    text += &ask("an array that is a text", "text.npy");
    let x = Tensor::new([1, 6, 5], vec![0.5f32; 30]).unwrap();
    std::fs::write(folder.path("two.npz"), npz::write([("a", &x), ("b", &x)]).unwrap()).unwrap();
    text += &ask("two arrays", "two.npz");
    std::fs::write(folder.path("cut.npz"), &npz::write([("a", &x)]).unwrap()[..40]).unwrap();
    text += &ask("an archive that is cut short", "cut.npz");
    std::fs::write(folder.path("text.png"), "not a picture").unwrap();
    text + &ask("a picture that is a text", "text.png")
}

fn bad_data(folder: &Folder) -> String {
    let images = "data/train-images-idx3-ubyte";
    let labels = "data/train-labels-idx1-ubyte";
    let mut text = String::new();
    let mut with = |what: &str, name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        small_set(&folder.path("data"));
        damage(folder, name, change);
        text += &told(folder, what, SHORT);
    };
    with("pictures that are cut short", images, &|bytes| bytes.truncate(1000));
    with("pictures with bytes to spare", images, &|bytes| bytes.extend([0; 5]));
    with("pictures of wrong magic", images, &|bytes| bytes[0] = 7);
    with("pictures of absurd extents", images, &|bytes| bytes[4..16].fill(0xff));
    with("an empty file", images, &|bytes| bytes.clear());
    with("labels that are too few", labels, &|bytes| {
        bytes.truncate(bytes.len() - 1);
        bytes[7] -= 1;
    });
    with("a file that only looks compressed", labels, &|bytes| bytes[..2].copy_from_slice(&[0x1f, 0x8b]));
    small_set(&folder.path("data"));
    let none = Tensor::new([0, 6, 5], Vec::<u8>::new()).unwrap();
    std::fs::write(folder.path(images), idx::write(&none).unwrap()).unwrap();
    std::fs::write(folder.path(labels), idx::write(&Tensor::new([0], Vec::<u8>::new()).unwrap()).unwrap()).unwrap();
    text += &told(folder, "a set without samples", SHORT);
    small_set(&folder.path("data"));
    let many: Vec<u8> = (0..30).map(|i| i * 8).collect();
    let many = idx::write(&Tensor::new([30], many).unwrap()).unwrap();
    std::fs::write(folder.path("data/t10k-labels-idx1-ubyte"), many).unwrap();
    text += &told(folder, "labels the model has no unit for", SHORT);
    small_set(&folder.path("data"));
    std::fs::remove_file(folder.path(labels)).unwrap();
    text += &told(folder, "a file that is missing", SHORT);
    small_set(&folder.path("data"));
    text + &told(
        folder,
        "a loss that is no number",
        &format!("{SHORT} --batch-size 16 --optimizer sgd --learning-rate 1e38"),
    )
}

fn bad_places(folder: &Folder) -> String {
    std::fs::create_dir_all(folder.path("folder.keras")).unwrap();
    [
        ("an output folder that is missing", format!("{SHORT} --output nowhere/m.keras")),
        ("an output that is a folder", format!("{SHORT} --output folder.keras")),
        ("a history in a folder that is missing", format!("{SHORT} --history nowhere/h.json")),
        ("a data folder that is missing", "train --data ./nowhere".to_string()),
        ("a set that cannot be had", "train --data fashion-mnist".to_string()),
    ]
    .map(|(what, arguments)| told(folder, what, &arguments))
    .concat()
}

/// The system's part of some messages is that of Linux.
#[cfg(target_os = "linux")]
#[test]
fn messages_are_as_reviewed() {
    let folder = Folder::with_data();
    let text = [bad_use, bad_files, bad_arrays, bad_data, bad_places].map(|part| part(&folder)).concat();
    reviewed("errors.txt", &text);
}

/// Runs on Linux where a disk of 48 kB can be mounted in a namespace of its own.
#[test]
fn a_full_disk_leaves_the_old_model_and_nothing_half_written() {
    let folder = Folder::with_data();
    std::fs::create_dir(folder.path("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=48k none disk || exit 77; echo old > disk/model.keras; '{}' {SHORT} --output \
         disk/model.keras; echo \"code $?\"; cat disk/model.keras; ls -A disk",
        env!("CARGO_BIN_EXE_footlight")
    );
    let command = Command::new("unshare").args(["-rm", "sh", "-c", &script]).current_dir(&folder.0).output();
    let run = match command {
        Ok(output) if output.status.success() => Run::of(output),
        _ => return println!("skipped: no disk can be mounted here"),
    };
    assert!(run.out.ends_with("code 1\nold\nmodel.keras\n"), "{}{}", run.out, run.err);
    assert!(run.err.contains("error[file]: `disk/model.keras`: cannot write ") && run.err.contains("No space left"));
    assert!(run.err.contains("help: free some space or choose another disk"), "{}", run.err);
}
