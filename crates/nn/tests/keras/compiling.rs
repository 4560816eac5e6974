//! Losses, metrics and updates as one graph: names, states, resolution of `accuracy`, seeds.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Graph, OpRule, Role};
use footlight_nn::{Architecture, Compile, Dense, Dropout, Loss, Metric, layers, optimizers};
use footlight_tensor::{Philox, RandomKey};

fn compile(loss: &str, metrics: &[&str]) -> Compile {
    let metrics = metrics.iter().map(|m| Metric::from(*m)).collect();
    Compile::new(optimizers::from_name("sgd").unwrap(), Loss::from(loss), metrics).unwrap()
}

fn linear(units: usize, features: usize) -> Architecture {
    Architecture::sequential(layers![Dense::new(units).use_bias(false).input_shape([features])]).unwrap()
}

/// The metrics of predictions that are given: the model is the identity.
fn metrics(loss: &str, names: &[&str], p: &[f32], width: usize, y: NaiveValue<f32>) -> Vec<f64> {
    let (model, compile) = (linear(width, width), compile(loss, names));
    let batch = p.len() / width;
    let graph = compile.lower_evaluate(&model, batch).unwrap();
    let identity = (0..width * width).map(|i| if i % (width + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let known = Values::from([("dense/kernel".to_string(), NaiveValue::float([width, width], identity))]);
    let mut known = states(&graph, &known);
    run(&graph, &[("x", NaiveValue::float([batch, width], p.to_vec())), ("y", y)], &mut known);
    let part = |name: &str, part: &str| numbers(&known[&format!("metric/{name}/{part}")])[0];
    compile.metric_names().iter().map(|name| part(name, "total") / part(name, "count")).collect()
}

#[test]
fn accuracy_is_resolved_by_shapes() {
    let binary = NaiveValue::float([4, 1], vec![1.0, 0.0, 1.0, 0.0]);
    // 0.5 is not above one half.
    assert_eq!(metrics("mse", &["accuracy"], &[0.9, 0.4, 0.5, 0.6], 1, binary.clone())[1], 0.5);
    assert_eq!(metrics("mse", &["acc"], &[0.9, 0.4, 0.6, 0.1], 1, binary)[1], 1.0);
    let p = [0.1, 0.7, 0.2, 0.8, 0.1, 0.1];
    let one_hot = NaiveValue::float([2, 3], vec![0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(metrics("categorical_crossentropy", &["accuracy"], &p, 3, one_hot)[1], 0.5);
    let classes = NaiveValue::int([2], vec![1, 0]);
    assert_eq!(metrics("sparse_categorical_crossentropy", &["accuracy"], &p, 3, classes)[1], 1.0);
}

#[test]
fn metrics_are_told_under_the_names_given() {
    let compile = compile("mse", &["acc", "mae", "mse", "mae"]);
    assert_eq!(compile.metric_names(), ["loss", "acc", "mae", "mse", "mae_1"]);
}

#[test]
fn a_loss_as_a_metric_is_the_loss() {
    let (p, y) = ([0.2, 0.7, 0.1, 0.3, 0.3, 0.4], NaiveValue::int([2], vec![1, 2]));
    let told = metrics("sparse_categorical_crossentropy", &["sparse_categorical_crossentropy"], &p, 3, y);
    let mut report = Report::default();
    // The running loss is a mean times the batch, the metric a sum.
    let rounding = Tolerance { absolute: 0.0, relative: 2e-7 };
    report.close("sparse", &told[..1], &told[1..], rounding);
    let y = NaiveValue::float([3, 2], vec![0.5, 1.0, 0.0, 2.0, 1.0, 1.0]);
    let told = metrics("mse", &["mse", "mean_squared_error", "mae"], &p, 2, y);
    report.close("mse", &[told[0], told[0]], &told[1..3], rounding);
    report.finish();
    assert_ne!(told[0], told[3]);
}

/// Keras broadcasts a comparison of targets of one shape with predictions of another; a graph must not be made of it.
#[test]
fn a_metric_that_does_not_fit_its_targets_is_a_fault() {
    let mut report = Report::default();
    for (loss, metric) in [
        // With a batch as large as the number of classes these shapes broadcast, and mean nothing.
        ("mse", "sparse_categorical_accuracy"),
        ("sparse_categorical_crossentropy", "binary_accuracy"),
        ("sparse_categorical_crossentropy", "categorical_accuracy"),
        ("sparse_categorical_crossentropy", "mse"),
        ("mse", "sparse_categorical_crossentropy"),
    ] {
        let graph = compile(loss, &[metric]).lower_evaluate(&linear(3, 2), 3);
        report.equal(&format!("{loss} with {metric}"), graph.is_err(), true);
    }
    report.finish();
}

#[test]
fn a_metric_of_parts_is_that_of_the_whole() {
    let model = linear(3, 4);
    let compile = compile("mse", &["accuracy", "mae"]);
    let mut rng = Philox::new(RandomKey::new(4));
    let mut draw = |count: usize| (0..count).map(|_| rng.normal() as f32).collect::<Vec<f32>>();
    let (x, y, kernel) = (draw(7 * 4), draw(7 * 3), draw(12));
    let known = Values::from([("dense/kernel".to_string(), NaiveValue::float([4, 3], kernel))]);
    let told = |parts: &[(usize, usize)]| {
        let mut known = known.clone();
        for (from, to) in parts {
            let graph = compile.lower_evaluate(&model, to - from).unwrap();
            known = states(&graph, &known);
            let rows =
                |data: &[f32], row: usize| NaiveValue::float([to - from, row], data[from * row..to * row].to_vec());
            run(&graph, &[("x", rows(&x, 4)), ("y", rows(&y, 3))], &mut known);
        }
        let part = |name: &str, part: &str| numbers(&known[&format!("metric/{name}/{part}")])[0];
        compile.metric_names().iter().map(|name| part(name, "total") / part(name, "count")).collect::<Vec<f64>>()
    };
    let mut report = Report::default();
    let limit = Tolerance { absolute: 1e-6, relative: 1e-6 };
    report.close("2, 2, 3", &told(&[(0, 2), (2, 4), (4, 7)]), &told(&[(0, 7)]), limit);
    report.close("6, 1", &told(&[(0, 6), (6, 7)]), &told(&[(0, 7)]), limit);
    report.finish();
}

/// Keras, rows of squared errors 0, 1, 4, 9, 16 in batches of two: 6 exactly, though the last batch is short.
#[test]
fn a_short_batch_counts_by_its_samples() {
    let model = linear(1, 1);
    let compile = compile("mse", &[]);
    let mut known = Values::from([("dense/kernel".to_string(), NaiveValue::float([1, 1], vec![1.0]))]);
    for (from, to) in [(0, 2), (2, 4), (4, 5)] {
        let graph = compile.lower_evaluate(&model, to - from).unwrap();
        known = states(&graph, &known);
        let x = NaiveValue::float([to - from, 1], (from..to).map(|i| i as f32).collect());
        let y = NaiveValue::float([to - from, 1], vec![0.0; to - from]);
        run(&graph, &[("x", x), ("y", y)], &mut known);
    }
    assert_eq!(numbers(&known["metric/loss/total"])[0] / numbers(&known["metric/loss/count"])[0], 6.0);
}

#[test]
fn penalties_are_in_the_loss_and_not_scaled_by_the_batch() {
    let dense = Dense::new(1).use_bias(false).kernel_regularizer(footlight_nn::L2::new(0.5)).input_shape([1]);
    let model = Architecture::sequential(layers![dense]).unwrap();
    let known = Values::from([("dense/kernel".to_string(), NaiveValue::float([1, 1], vec![3.0]))]);
    for batch in [1, 4] {
        let graph = compile("mse", &["mse"]).lower_evaluate(&model, batch).unwrap();
        let mut known = states(&graph, &known);
        let (x, y) = (NaiveValue::float([batch, 1], vec![1.0; batch]), NaiveValue::float([batch, 1], vec![1.0; batch]));
        let outputs = run(&graph, &[("x", x), ("y", y)], &mut known);
        // (3 - 1)^2 + 0.5 * 3^2, and the metric without the penalty.
        assert_eq!(numbers(&outputs["loss"]), [8.5]);
        assert_eq!(numbers(&known["metric/mse/total"])[0] / batch as f64, 4.0);
    }
}

#[test]
fn frozen_weights_get_no_penalty_no_slot_and_no_update() {
    let l2 = footlight_nn::L2::new(0.5);
    let model = Architecture::sequential(layers![
        Dense::new(2).kernel_regularizer(l2).trainable(false).input_shape([2]),
        Dense::new(1)
    ])
    .unwrap();
    let adam = Compile::new(optimizers::from_name("adam").unwrap(), Loss::from("mse"), vec![]).unwrap();
    let graph = adam.lower_train(&model, 3, 0).unwrap();
    assert_eq!(graph.state("dense/kernel").unwrap().role, Role::Statistic);
    assert!(graph.state("dense/kernel").unwrap().next.is_none());
    assert!(graph.states().iter().all(|s| !s.name.starts_with("optimizer/dense/")));
    assert!(graph.state("optimizer/dense_1/kernel/momentum").is_some());
    // A penalty of 0.5 per unit of weight would show.
    let eval = adam.lower_evaluate(&model, 1).unwrap();
    let ones = NaiveValue::float([2, 2], vec![1.0; 4]);
    let mut known = states(&eval, &Values::from([("dense/kernel".to_string(), ones)]));
    let (x, y) = (NaiveValue::float([1, 2], vec![1.0; 2]), NaiveValue::float([1, 1], vec![0.0]));
    assert_eq!(numbers(&run(&eval, &[("x", x), ("y", y)], &mut known)["loss"]), [0.0]);
}

#[test]
fn a_softmax_with_its_cross_entropy_and_adam_are_fused_ops() {
    let model = Architecture::sequential(layers![
        Dense::new(128).activation("relu").input_shape([784]),
        Dense::new(10).activation("softmax")
    ])
    .unwrap();
    let adam = optimizers::from_name("adam").unwrap();
    let compile = Compile::new(adam, Loss::from("sparse_categorical_crossentropy"), vec!["accuracy".into()]).unwrap();
    let graph = compile.lower_train(&model, 32, 0).unwrap();
    let count = |name: &str| graph.nodes().iter().filter(|n| n.op.name() == name).count();
    assert_eq!((count("sparse_softmax_cross_entropy"), count("adam_update")), (1, 4));
    assert_eq!((count("log"), count("select")), (0, 0), "{graph}");
}

fn two_dropouts(seed: u64) -> Graph {
    let model = Architecture::sequential(layers![Dropout::new(0.5).input_shape([8]), Dropout::new(0.5), Dense::new(1)])
        .unwrap();
    compile("mse", &[]).lower_train(&model, 4, seed).unwrap()
}

#[test]
fn the_graph_of_a_step_is_a_function_of_the_seed_and_each_dropout_has_its_stream() {
    assert_eq!(two_dropouts(1).to_string(), two_dropouts(1).to_string());
    assert_ne!(two_dropouts(1).to_string(), two_dropouts(2).to_string());
    let text = two_dropouts(1).to_string();
    let keys: Vec<&str> = text.split("key=").skip(1).map(|rest| &rest[..16]).collect();
    assert_eq!(keys.len(), 2, "{text}");
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn first_values_are_a_function_of_the_seed_and_the_path() {
    let model = |last: &str| {
        Architecture::sequential(layers![Dense::new(3).input_shape([3]), Dense::new(3), Dense::new(3).name(last)])
    };
    let values = |seed: u64, last: &str| -> Values<f64> {
        model(last).unwrap().initial_values(seed).map(|(n, _, t)| (n, of_tensor(&t))).collect()
    };
    assert_eq!(values(1, "a"), values(1, "a"));
    assert_ne!(values(1, "a"), values(2, "a"));
    assert_ne!(values(1, "a")["dense/kernel"], values(1, "a")["dense_1/kernel"]);
    // Another name for one layer leaves the others as they were.
    assert_eq!(values(1, "a")["dense_1/kernel"], values(1, "b")["dense_1/kernel"]);
}
