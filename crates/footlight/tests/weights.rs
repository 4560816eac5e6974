//! Weights of samples and classes, against Keras (`fixtures/gen/metrics.py` wrote the record).

use footlight::metrics::BinaryAccuracy;
use footlight::prelude::*;
use footlight::train::{Direction, EarlyStopping};
use footlight::{ErrorKind, nn};
use serde_json::Value as Json;
use std::time::Duration;

fn record() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn floats(value: &Json) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn samples(value: &Json) -> Samples {
    let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
    Samples::from(Tensor::new(shape, floats(&value["data"])).unwrap())
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().batch_size(3).shuffle(false).progress(Progress::None)
}

fn model() -> Model {
    let dense = Dense::new(1).activation("sigmoid").kernel_initializer("zeros");
    let mut model = Sequential::new(layers![dense.input_shape([2])]).unwrap();
    let weighted = metrics![AUC::new(), BinaryAccuracy::new().name("weighted_accuracy")];
    model
        .compile_weighted(SGD::new().learning_rate(0.5), "binary_crossentropy", ["accuracy", "mse"], weighted)
        .unwrap();
    model
}

#[test]
fn weighted_trainings_are_those_of_keras() {
    for case in record()["trainings"].as_array().unwrap() {
        let [x, y, weight] = ["x", "y", "weight"].map(|key| samples(&case[key]));
        let mut model = model();
        let fit = quiet()
            .epochs(3)
            .validation_data(&x.slice(7..11), &y.slice(7..11))
            .validation_sample_weight(&weight.slice(7..11));
        let fit = match case["name"].as_str().unwrap() {
            "class_weight" => fit.class_weight([(0, 0.5), (1, 4.0)]),
            _ => fit.sample_weight(&weight.slice(0..7)),
        };
        let history = model.fit(&x.slice(0..7), &y.slice(0..7), fit).unwrap();
        let want = case["history"].as_object().unwrap();
        assert_eq!(history.columns().len(), want.len());
        for (name, want) in want {
            for (got, want) in history.get(name).unwrap().iter().zip(floats(want)) {
                assert!((got - f64::from(want)).abs() < 2e-6, "{} {name}: {got}, not {want}", case["name"]);
            }
        }
        for name in ["kernel", "bias"] {
            let got = model.state(&format!("dense/{name}")).unwrap().to_f32();
            for (got, want) in got.iter().zip(floats(&case[name]["data"])) {
                assert!((got - want).abs() < 2e-6, "{} {name}: {got}, not {want}", case["name"]);
            }
        }
    }
}

/// Squared errors 0, 1, 4, 9, 16 with weights 1, 0, 2, 0, 1 in batches of two: 4.8, in Keras too.
#[test]
fn a_weighted_loss_is_divided_by_the_number_of_samples() {
    let x = Samples::from(Tensor::new([5, 1], vec![0.0f32, 1.0, 2.0, 3.0, 4.0]).unwrap());
    let y = Samples::from(Tensor::new([5, 1], vec![0.0f32; 5]).unwrap());
    let weight = Samples::from(Tensor::new([5], vec![1.0f32, 0.0, 2.0, 0.0, 1.0]).unwrap());
    let mut model = Sequential::new(layers![Dense::new(1).kernel_initializer("ones")]).unwrap();
    model.compile_weighted("sgd", "mse", ["mae"], metrics![nn::Metric::from("mae").named("weighted_mae")]).unwrap();
    for batch_size in [1, 2, 5] {
        let told = model.evaluate_with(&x, &y, Evaluate::new().batch_size(batch_size).sample_weight(&weight)).unwrap();
        assert!((told.loss() - 4.8).abs() < 1e-6, "{told:?}");
        assert_eq!((told.metric("mae"), told.metric("weighted_mae")), (Some(2.0), Some(2.0)));
    }
    let plain = model.evaluate(&x, &y).unwrap();
    assert_eq!((plain.loss(), plain.metric("weighted_mae")), (6.0, Some(2.0)));
}

#[test]
fn weights_of_one_change_no_byte() {
    let case = &record()["trainings"][0];
    let (x, y) = (samples(&case["x"]), samples(&case["y"]));
    let ones = Samples::from(Tensor::new([11], vec![1.0f32; 11]).unwrap());
    let kernel = |fit: Fit<'_>| {
        let mut model = model();
        model.fit(&x, &y, fit.epochs(2)).unwrap();
        model.state("dense/kernel").unwrap().to_f32()
    };
    let plain = kernel(quiet());
    assert_eq!(kernel(quiet().sample_weight(&ones)), plain);
    assert_eq!(kernel(quiet().class_weight([])), plain);
}

#[test]
fn a_split_takes_the_weights_of_its_samples_along() {
    let case = &record()["trainings"][0];
    let [x, y, weight] = ["x", "y", "weight"].map(|key| samples(&case[key]));
    let mut split = model();
    let split = split.fit(&x, &y, quiet().sample_weight(&weight).validation_split(4.0 / 11.0)).unwrap();
    let val_loss = split.get("val_loss").unwrap()[0];
    assert!((val_loss - f64::from(floats(&case["history"]["val_loss"])[0])).abs() < 2e-6, "{val_loss}");
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let case = &record()["trainings"][0];
    let [x, y, weight] = ["x", "y", "weight"].map(|key| samples(&case[key]));
    let bad = Samples::from(Tensor::new([11], vec![f32::NAN; 11]).unwrap());
    for (fit, kind) in [
        (quiet().sample_weight(&weight).class_weight([(0, 1.0)]), ErrorKind::Config),
        (quiet().sample_weight(&weight.slice(0..5)), ErrorKind::Data),
        (quiet().sample_weight(&x), ErrorKind::Data),
        (quiet().sample_weight(&bad), ErrorKind::Numeric),
        (quiet().class_weight([(1, f32::INFINITY)]), ErrorKind::Numeric),
        (quiet().validation_sample_weight(&weight), ErrorKind::Config),
    ] {
        let error = model().fit(&x, &y, fit).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn a_checkpoint_is_of_a_training_with_these_weights() {
    let case = &record()["trainings"][0];
    let (x, y) = (samples(&case["x"]), samples(&case["y"]));
    let path = std::env::temp_dir().join(format!("footlight-weights-{}.npz", std::process::id()));
    let fit = || quiet().checkpoint(&path, Duration::ZERO).resume(true);
    model().fit(&x, &y, fit().class_weight([(0, 2.0)])).unwrap();
    let error = model().fit(&x, &y, fit().epochs(2)).unwrap_err();
    let _ = std::fs::remove_file(&path);
    assert!(error.message().contains("weights.class_weight"), "{error}");
}

/// The name says nothing, or the wrong thing: the metric is asked.
#[test]
fn a_monitor_asks_the_metric_for_its_direction() {
    let x = Samples::from(Tensor::new([8, 1], vec![1.0f32; 8]).unwrap());
    let mut model = Sequential::new(layers![Dense::new(1)]).unwrap();
    let metrics = metrics![nn::Metric::from("mae").named("goodness"), R2Score::new().name("error_free")];
    model.compile("sgd", "mse", metrics).unwrap();
    assert_eq!(model.compiled().unwrap().direction("goodness"), Some(Direction::Min));
    assert_eq!(model.compiled().unwrap().direction("error_free"), Some(Direction::Max));
    let mut stop = EarlyStopping::new().monitor("val_goodness");
    let fit = quiet().validation_split(0.5).callback(&mut stop);
    model.fit(&x, &x, fit).unwrap();
}

#[test]
fn numbers_of_classes_and_thresholds_are_told_one_by_one() {
    let case = &record()["trainings"][0];
    let (x, y) = (samples(&case["x"]), samples(&case["y"]));
    let mut model = Sequential::new(layers![Dense::new(1).activation("sigmoid")]).unwrap();
    let metrics = metrics![Precision::new().thresholds([0.25, 0.5]), Precision::new(), Recall::new()];
    model.compile("sgd", "binary_crossentropy", metrics).unwrap();
    let told = model.evaluate(&x, &y).unwrap();
    let names: Vec<&str> = told.values().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["loss", "precision[0]", "precision[1]", "precision_1", "recall"]);
}

#[test]
fn a_metric_alone_streams_merges_and_resets() {
    let case = &record()["trainings"][0];
    let [x, y, weight] = ["x", "y", "weight"].map(|key| samples(&case[key]).to_tensor());
    let column = |range: std::ops::Range<usize>| {
        let p: Vec<f32> = range.clone().map(|i| (x.to_f32()[2 * i] / 4.0 + 0.5).clamp(0.0, 1.0)).collect();
        let [y, w] = [&y, &weight].map(|t| t.to_f32()[range.clone()].to_vec());
        [y, p, w].map(|data| Tensor::new([range.len()], data).unwrap())
    };
    let of = |range: std::ops::Range<usize>| {
        let mut metric = RunningMetric::new(AUC::new().curve("PR")).unwrap();
        let [y, p, w] = column(range);
        metric.update(&y, &p, Some(&w)).unwrap();
        metric
    };
    let (whole, mut merged) = (of(0..11), of(0..4));
    merged.merge(&of(4..11)).unwrap();
    assert!((merged.result() - whole.result()).abs() < 1e-6);
    merged.reset();
    assert_eq!(merged.result(), 0.0);
    assert!(merged.merge(&RunningMetric::new("mse").unwrap()).is_err());
    assert!(RunningMetric::new("recal").is_err());
    let mut mean = RunningMetric::new("mean").unwrap();
    mean.update_values(&Tensor::new([4], vec![1.0f32, 3.0, 5.0, 7.0]).unwrap(), None).unwrap();
    assert_eq!(mean.result(), 4.0);
    let mut accuracy = RunningMetric::new("accuracy").unwrap();
    let p = Tensor::new([2, 3], vec![0.1f32, 0.7, 0.2, 0.5, 0.2, 0.3]).unwrap();
    accuracy.update(&Tensor::new([2], vec![1i64, 2]).unwrap(), &p, None).unwrap();
    assert_eq!(accuracy.result(), 0.5);
    assert!(accuracy.update(&Tensor::new([3], vec![1i64, 2, 0]).unwrap(), &p, None).is_err());
}
