//! Ten steps of Keras again: `fixtures/golden` holds models as they begin, `fixtures/golden.json` the batches and the loss
//! on each, on which two of Keras' backends agree.

use footlight::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How far a loss may be from Keras', relative to it, and a weight after the last step, absolutely.
const LIMIT: f64 = 1e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// One tensor of samples for each step.
fn batches(record: &Value) -> Vec<Samples> {
    let extents: Vec<usize> = numbers(&record["shape"]).iter().map(|extent| *extent as usize).collect();
    let all: Vec<f32> = numbers(&record["data"]).iter().map(|x| *x as f32).collect();
    let of_step = |data: &[f32]| Samples::from(Tensor::new(&extents[1..], data.to_vec()).unwrap());
    all.chunks(all.len() / extents[0]).map(of_step).collect()
}

/// The larger of two differences; NaN, which is no agreement, is the largest.
fn larger(a: f64, b: f64) -> f64 {
    if a >= b || a.is_nan() { a } else { b }
}

/// The largest difference of the losses and of the weights after the last step.
fn differences(case: &Value) -> (f64, f64) {
    let mut model = Model::load(fixtures().join(case["file"].as_str().unwrap())).unwrap();
    let (x, y, losses) = (batches(&case["x"]), batches(&case["y"]), numbers(&case["losses"]));
    assert_eq!((x.len(), y.len(), losses.len()), (10, 10, 10));
    let mut loss = 0.0f64;
    for ((x, y), want) in x.iter().zip(&y).zip(losses) {
        let got = model.train_on_batch(x, y).unwrap()[0].1;
        loss = larger(loss, (got - want).abs() / want);
    }
    let paths: Vec<String> = model.architecture().weights().iter().map(|weight| weight.path.clone()).collect();
    let wanted = case["weights"].as_array().unwrap();
    assert_eq!(paths.len(), wanted.len());
    let weights = paths.iter().zip(wanted).flat_map(|(path, want)| {
        let (got, want) = (model.state(path).unwrap().to_f64(), numbers(&want["data"]));
        assert_eq!(got.len(), want.len(), "{path}");
        got.into_iter().zip(want).map(|(got, want)| (got - want).abs())
    });
    (loss, weights.fold(0.0, larger))
}

#[test]
fn ten_steps_lose_what_keras_loses() {
    let record: Value = serde_json::from_slice(&std::fs::read(fixtures().join("golden.json")).unwrap()).unwrap();
    let cases = record["trainings"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mlp", "cnn", "reader", "tagger", "decoder"]);
    let mut faults = Vec::new();
    for (name, case) in names.iter().zip(cases) {
        let (loss, weights) = differences(case);
        println!("{name}: losses {loss:.1e}, weights {weights:.1e}");
        if !(loss <= LIMIT && weights <= LIMIT) {
            faults.push(format!("{name}: the losses differ by {loss:.1e}, the weights by {weights:.1e}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
