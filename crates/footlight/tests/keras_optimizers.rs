//! Trainings of Keras that go on here: `fixtures/optimizers` holds models after three steps, and what Keras tells of the
//! ten steps after, for every optimizer and every option they share.

use footlight::prelude::*;
use footlight::train::{Callback, Training};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/optimizers")
}

fn record(backend: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixtures().join(format!("{backend}.json"))).unwrap()).unwrap()
}

fn floats(record: &Value) -> Vec<f32> {
    record.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn samples(record: &Value) -> (Samples, Samples) {
    let x = floats(&record["x"]["data"]);
    let y: Vec<u8> = floats(&record["y"]["data"]).iter().map(|class| *class as u8).collect();
    let count = y.len();
    let x = Tensor::new([count, x.len() / count], x).unwrap();
    (Samples::from(x), Samples::from(Tensor::new([count], y).unwrap()))
}

/// Keeps what is told after each step.
#[derive(Default)]
struct Told {
    loss: Vec<f64>,
    accuracy: Vec<f64>,
}

impl Callback for Told {
    fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        for (name, value) in training.logs() {
            if name == "loss" { self.loss.push(value) } else { self.accuracy.push(value) }
        }
        Ok(())
    }
}

/// The largest difference, relative to the number, but to `least` for smaller ones.
fn largest_difference(got: &[f64], want: &[f32], least: f64) -> f64 {
    assert_eq!(got.len(), want.len());
    let pairs = got.iter().zip(want).map(|(got, want)| (*got, f64::from(*want)));
    pairs.map(|(got, want)| (got - want).abs() / want.abs().max(least)).fold(0.0, f64::max)
}

/// Faults of one training that goes on.
fn check(case: &Value, record: &Value) -> Vec<String> {
    let name = case["file"].as_str().unwrap();
    let mut model = Model::load(fixtures().join(name)).unwrap();
    let (x, y) = samples(record);
    let mut told = Told::default();
    let fit = Fit::new().epochs(2).batch_size(record["batch_size"].as_u64().unwrap() as usize).shuffle(false);
    model.fit(&x, &y, fit.progress(Progress::None).callback(&mut told)).unwrap();
    let limit = record["tolerance"]["relative"].as_f64().unwrap();
    let mut faults = Vec::new();
    let mut check = |what: &str, got: &[f64], want: &Value, least: f64| {
        let difference = largest_difference(got, &floats(want), least);
        println!("{name}: {what} {difference:.1e}");
        if difference.is_nan() || difference > limit {
            faults.push(format!("{name}: {what} differs by {difference:.1e}"));
        }
    };
    check("loss", &told.loss, &case["loss"], f64::MIN_POSITIVE);
    check("accuracy", &told.accuracy, &case["accuracy"], f64::MIN_POSITIVE);
    let paths: Vec<String> = model.architecture().weights().iter().map(|weight| weight.path.clone()).collect();
    for (path, want) in paths.iter().zip(case["weights"].as_array().unwrap()) {
        // Weights near 0 are sums of larger numbers.
        check(path, &model.state(path).unwrap().to_f64(), want, 1.0);
    }
    faults
}

#[test]
fn trainings_of_keras_go_on_with_the_same_numbers() {
    let mut faults = Vec::new();
    for backend in ["jax", "torch"] {
        let record = record(backend);
        let cases = record["cases"].as_array().unwrap();
        let is_there = |name: &str| cases.iter().any(|case| case["file"] == format!("{name}_{backend}.keras"));
        // Keras has no lazy Adam.
        let mut of_keras = footlight::nn::optimizers::NAMES.iter().filter(|name| **name != "lazyadam");
        assert!(of_keras.all(|name| is_there(name)), "{backend} lacks an optimizer");
        faults.extend(cases.iter().flat_map(|case| check(case, &record)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn model() -> Model {
    Sequential::new(layers![Dense::new(1).input_shape([1]).use_bias(false)]).unwrap()
}

fn fit(model: &mut Model, epochs: usize) -> Result<History> {
    let x = Samples::from(Tensor::new([1, 1], vec![1.0f32])?);
    let y = Samples::from(Tensor::new([1, 1], vec![0.0f32])?);
    model.fit(&x, &y, Fit::new().epochs(epochs).progress(Progress::None))
}

#[test]
fn a_rate_that_follows_a_schedule_is_told_and_cannot_be_set() {
    let mut model = model();
    model.compile(SGD::new().learning_rate(CosineDecay::new(0.1, 10)), "mse", []).unwrap();
    assert!((model.learning_rate().unwrap() - 0.1).abs() < 1e-7);
    for (epochs, want) in [(1, 0.09755283), (4, 0.05), (5, 0.0)] {
        fit(&mut model, epochs).unwrap();
        assert!((model.learning_rate().unwrap() - want).abs() < 1e-7, "{want}");
    }
    let error = model.set_learning_rate(0.1).unwrap_err();
    assert_eq!(error.message(), "the learning rate follows a schedule, CosineDecay");
    assert!(model.state("optimizer/learning_rate").is_none());
    model.compile(SGD::new(), "mse", []).unwrap();
    model.set_learning_rate(0.5).unwrap();
    assert_eq!(model.learning_rate().unwrap(), 0.5);
}

#[test]
fn parameters_become_their_means_when_training_ends() {
    let mut model = model();
    model.set_state("dense/kernel", &Tensor::new([1, 1], vec![1.0f32]).unwrap()).unwrap();
    model.compile(SGD::new().learning_rate(0.25).use_ema(true).ema_momentum(0.5), "mse", []).unwrap();
    // Each step halves the weight: 1/2, 1/4; the means are 1/2, 3/8.
    fit(&mut model, 2).unwrap();
    assert_eq!(model.state("dense/kernel").unwrap().to_f32(), [0.375]);
}

#[test]
fn slots_begin_with_their_first_values_however_a_model_is_built() {
    for layer in [Dense::new(1), Dense::new(1).input_shape([1])] {
        let mut model = Sequential::new(layers![layer]).unwrap();
        model.compile(Adagrad::new().initial_accumulator_value(4.0).learning_rate(0.0), "mse", []).unwrap();
        fit(&mut model, 1).unwrap();
        assert!(model.state("optimizer/dense/kernel/accumulator").unwrap().to_f32()[0] >= 4.0);
    }
}
