//! `footlight evaluate`, `predict`, `summary` and `bench`.

use crate::support::*;
use footlight::tensor::{Tensor, npy, npz};
use serde_json::Value;

/// A folder with the small set and a model trained on it.
fn trained() -> Folder {
    let folder = Folder::with_data();
    folder.run("train --data data --epochs 8 --batch-size 16 --learning-rate 0.01 --progress none").done();
    folder
}

/// Two samples of the small set, of classes 0 and 2.
fn samples() -> Tensor {
    let bright = |class: usize, i: usize| if i / 5 / 2 == class { 0.9f32 } else { 0.1 };
    Tensor::new([2, 6, 5], (0..60).map(|i| bright([0, 2][i / 30], i % 30)).collect::<Vec<f32>>()).unwrap()
}

#[test]
fn evaluation_tells_metrics_and_confusion() {
    let folder = trained();
    let run = folder.run("evaluate model.keras --data data").done();
    for told in
        ["30 test samples of ", "accuracy: 1.0000", "loss: 0.", "Confusion matrix", "     2   0   0  10   1.000"]
    {
        assert!(run.out.contains(told), "{told}: {}", run.out);
    }
    let json: Value = serde_json::from_str(&folder.run("evaluate model.keras --data data --json").done().out).unwrap();
    assert_eq!(json["confusion_matrix"], serde_json::json!([[10, 0, 0], [0, 10, 0], [0, 0, 10]]));
    assert_eq!((&json["samples"], &json["accuracy"]), (&30.into(), &1.0.into()));
}

#[test]
fn several_inputs_go_by_name_and_several_outputs_come_by_number() {
    let folder = Folder::with_data();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/keras/several_jax");
    std::fs::copy(fixture.with_extension("keras"), folder.path("model.keras")).unwrap();
    let record: Value = serde_json::from_slice(&std::fs::read(fixture.with_extension("json")).unwrap()).unwrap();
    let tensor = |value: &Value| {
        let shape: Vec<usize> = serde_json::from_value(value["shape"].clone()).unwrap();
        Tensor::new(shape, serde_json::from_value::<Vec<f32>>(value["data"].clone()).unwrap()).unwrap()
    };
    let (words, extra) = (tensor(&record["inputs"]["words"]), tensor(&record["inputs"]["extra"]));
    std::fs::write(folder.path("x.npz"), npz::write([("extra", &extra), ("words", &words)]).unwrap()).unwrap();
    folder.run("predict model.keras --input x.npz --output y.npz").done();
    let answers = npz::read(&std::fs::read(folder.path("y.npz")).unwrap()).unwrap();
    assert_eq!(answers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["output_0", "output_1"]);
    for ((_, got), expected) in answers.iter().zip(record["predictions"].as_array().unwrap()) {
        let pairs = got.to_f32().into_iter().zip(tensor(expected).to_f32()).collect::<Vec<_>>();
        assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-6), "{pairs:?}");
    }
    let text = folder.run("predict model.keras --input x.npz").done().out;
    assert!(text.starts_with("steps\nsample 0: ") && text.contains("\nkind\nsample 0: class "), "{text}");

    std::fs::write(folder.path("one.npz"), npz::write([("words", &words)]).unwrap()).unwrap();
    std::fs::write(folder.path("x.npy"), npy::write(&words).unwrap()).unwrap();
    for (arguments, told) in [
        ("--input one.npz", "samples for 1 input are given, the model has 2: words, extra"),
        ("--input x.npy", "the model has 2 inputs: words, extra"),
        ("--input x.npz --output y.npy", "the model has 2 outputs"),
    ] {
        let run = folder.run(&format!("predict model.keras {arguments}"));
        assert_eq!(run.code, Some(if arguments.contains("y.npy") { 2 } else { 1 }), "{}", run.err);
        assert!(run.err.contains(told), "{}", run.err);
    }
}

#[test]
fn an_h5_file_of_keras_is_a_model() {
    let folder = Folder::with_data();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/keras/h5_sequential_tf_keras.h5");
    std::fs::copy(fixture, folder.path("old.h5")).unwrap();
    let x = Tensor::new([2, 6, 6, 2], vec![0.5f32; 144]).unwrap();
    std::fs::write(folder.path("x.npy"), npy::write(&x).unwrap()).unwrap();
    assert!(folder.run("summary old.h5").done().out.contains("conv2d (Conv2D)"));
    assert!(folder.run("predict old.h5 --input x.npy").done().out.starts_with("sample 0: class "));
    let run = folder.run("train old.h5 --data data");
    assert!(run.err.contains("samples have shape [6, 5], the model was built for [6, 6, 2]"), "{}", run.err);
}

#[test]
fn arrays_in_arrays_out() {
    let folder = trained();
    let x = samples();
    std::fs::write(folder.path("x.npy"), npy::write(&x).unwrap()).unwrap();
    std::fs::write(folder.path("only.npz"), npz::write([("pictures", &x)]).unwrap()).unwrap();
    std::fs::write(folder.path("named.npz"), npz::write([("a", &Tensor::scalar(1.0)), ("x", &x)]).unwrap()).unwrap();
    for input in ["x.npy", "only.npz", "named.npz"] {
        folder.run(&format!("predict model.keras --input {input} --output y.npy")).done();
        let y = npy::read(&std::fs::read(folder.path("y.npy")).unwrap()).unwrap();
        assert_eq!(y.shape(), [2, 3]);
        folder.run(&format!("predict model.keras --input {input} --output y.npz")).done();
        let named = npz::read(&std::fs::read(folder.path("y.npz")).unwrap()).unwrap();
        assert_eq!(named, [("output_0".to_string(), y)]);
        let run = folder.run(&format!("predict model.keras --input {input}")).done();
        assert!(run.out.starts_with("sample 0: class 0, probability "), "{}", run.out);
        assert!(run.out.contains("\nsample 1: class 2, probability "), "{}", run.out);
    }
}

#[test]
fn bytes_are_scaled_as_in_training() {
    let folder = trained();
    let floats = samples();
    let bytes: Vec<u8> = floats.to_f32().iter().map(|x| (x * 255.0).round() as u8).collect();
    let answer = |name: &str, x: &Tensor| {
        std::fs::write(folder.path(name), npy::write(x).unwrap()).unwrap();
        folder.run(&format!("predict model.keras --input {name} --output y.npy")).done();
        npy::read(&std::fs::read(folder.path("y.npy")).unwrap()).unwrap().to_f32()
    };
    let of_floats = answer("floats.npy", &floats);
    let of_bytes = answer("bytes.npy", &Tensor::new(floats.shape(), bytes).unwrap());
    assert!(of_floats.iter().zip(&of_bytes).all(|(a, b)| (a - b).abs() < 0.01), "{of_floats:?} {of_bytes:?}");
}

/// A picture with two bright rows, `scale` pixels for each of the model's.
fn picture(folder: &Folder, name: &str, scale: u32, is_inverted: bool) {
    let pixel = |_: u32, y: u32| image::Luma([if (y / scale / 2 == 1) != is_inverted { 240u8 } else { 10 }]);
    image::GrayImage::from_fn(5 * scale, 6 * scale, pixel).save(folder.path(name)).unwrap();
}

#[test]
fn of_a_picture_the_likeliest_class_comes_first() {
    let folder = trained();
    picture(&folder, "plain.png", 1, false);
    picture(&folder, "large.png", 10, false);
    picture(&folder, "inverted.png", 1, true);
    let run = folder.run("predict model.keras --input plain.png").done();
    assert!(run.out.starts_with("class   1  "), "{}", run.out);
    assert_eq!((run.out.lines().count(), run.err.as_str()), (3, ""));
    let large = folder.run("predict model.keras --input large.png").done();
    assert_eq!((&large.out, large.err.as_str()), (&run.out, "note: `large.png` is 50x60; it was scaled to 5x6\n"));
    let inverted = folder.run("predict model.keras --input inverted.png").done();
    assert!(inverted.err.contains("looks inverted") && inverted.err.contains("try --invert"), "{}", inverted.err);
    let righted = folder.run("predict model.keras --input inverted.png --invert").done();
    assert!(righted.out.starts_with("class   1  ") && righted.err.is_empty(), "{}{}", righted.out, righted.err);
}

#[test]
fn a_summary_has_the_table_and_the_plan() {
    let folder = trained();
    let run = folder.run("summary model.keras").done();
    assert!(run.out.starts_with("Model: \"sequential\"\n┏━") && !run.out.contains("Plan"), "{}", run.out);
    let run = folder.run("summary model.keras --plan --batch-size 16").done();
    for told in ["Plan of a training step on 16 samples:", "matmul f32[30, 128]", "Offset", "Peak memory: "] {
        assert!(run.out.contains(told), "{told}: {}", run.out);
    }
}

#[test]
fn a_picture_shows_the_model_of_a_file_and_of_a_description() {
    let folder = trained();
    let run = folder.run("summary model.keras --svg model.svg").done();
    assert!(run.out.starts_with("Model: "), "{}", run.out);
    let svg = std::fs::read_to_string(folder.path("model.svg")).unwrap();
    for told in ["<svg ", ">flatten<", ">Flatten<", ">(None, 30)<", ">3,968 params<", ">output<", "</svg>\n"] {
        assert!(svg.contains(told), "{told}: {svg}");
    }
    let residual = include_str!("../../../../examples/runs/mnist_residual.toml");
    std::fs::write(folder.path("run.toml"), residual).unwrap();
    let run = folder.run("summary run.toml --shape 28,28 --svg run.svg").done();
    assert!(run.out.contains("Total params: 19,562"), "{}", run.out);
    let svg = std::fs::read_to_string(folder.path("run.svg")).unwrap();
    assert!(svg.contains(">shortcut_2<") && svg.contains(">(None, 7, 7, 32)<"), "{svg}");
    let run = folder.run("summary run.toml --shape 28");
    assert!(run.code == Some(1) && run.err.contains("layer `reshape` (Reshape)"), "{}", run.err);
    for (arguments, told) in [
        ("--svg model.png", "what is written is a .svg file"),
        ("--shape 28,0", "extents such as 28,28,1 are needed"),
        ("--shape 4,4", "samples have shape [4, 4], the model was built for [6, 5]"),
    ] {
        let run = folder.run(&format!("summary model.keras {arguments}"));
        assert!(run.code != Some(0) && run.err.contains(told), "{told}: {}", run.err);
    }
}

#[test]
fn a_model_of_any_extents_is_planned_and_asked_for_those_that_are_said() {
    let folder = Folder::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/keras/open_pictures_jax.keras");
    std::fs::copy(fixture, folder.path("open.keras")).unwrap();
    assert!(folder.run("summary open.keras").done().out.contains("(None, None, None,"));
    let run = folder.run("summary open.keras --plan");
    assert!(run.err.contains("takes samples of shape [None, None, 2], and was given none yet"), "{}", run.err);
    let run = folder.run("summary open.keras --plan --shape 8,4,2").done();
    assert!(run.out.contains("Peak memory: "), "{}", run.out);
    for shape in [[3, 4, 6, 2], [1, 8, 2, 2]] {
        let x = Tensor::new(shape, vec![0.5f32; shape.iter().product()]).unwrap();
        std::fs::write(folder.path("x.npy"), npy::write(&x).unwrap()).unwrap();
        folder.run("predict open.keras --input x.npy --output y.npy").done();
        let y = npy::read(&std::fs::read(folder.path("y.npy")).unwrap()).unwrap();
        assert_eq!(y.shape(), [shape[0], shape[1], shape[2], 3]);
    }
}

#[test]
fn a_benchmark_is_a_line_of_json() {
    let folder = Folder::new();
    let run = folder.run("bench mlp --infer --threads 1 --json").done();
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["batch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 256]);
    let keys = [
        "workload",
        "batch",
        "threads",
        "mode",
        "step_ms_median",
        "step_ms_min",
        "samples_per_s",
        "gflops",
        "peak_rss_mb",
        "p50_us",
    ];
    for (json, key) in lines.iter().flat_map(|json| keys.map(|key| (json, key))) {
        assert!(!json[key].is_null() || (key == "peak_rss_mb" && !cfg!(target_os = "linux")), "{key}: {json}");
    }
}

#[test]
fn a_profile_tells_of_every_op_what_it_took_and_did() {
    let run = Folder::new().run("bench mlp --profile --epochs 1").done();
    for told in ["mlp, batch 128, at best ", "% peak", "% mem", " matmul\n", " adam_update\n", "in all, on one thread"]
    {
        assert!(run.out.contains(told), "{told}: {}", run.out);
    }
}
