//! Every metric, batch by batch: against Keras, against itself in parts, and as a configuration.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Role, Type};
use footlight_nn::losses::Prediction;
use footlight_nn::metrics::{AUC, BinaryAccuracy, Direction, FBetaScore, Observed, Precision, R2Score};
use footlight_nn::{Metric, metrics};
use footlight_tensor::DType;
use serde_json::{Value as Json, json};

/// A metric with its sums.
struct Running {
    metric: Metric,
    sums: Values<f32>,
}

impl Running {
    fn new(metric: &Metric) -> Running {
        Running { metric: metric.clone(), sums: Values::new() }
    }

    fn update(&mut self, y: &NaiveValue<f32>, p: &NaiveValue<f32>, weight: Option<&NaiveValue<f32>>) {
        let mut g = Builder::new();
        let ty = |x: &NaiveValue<f32>| Type {
            shape: x.shape.clone(),
            dtype: if x.as_int().is_some() { DType::I32 } else { DType::F32 },
        };
        let (yv, pv) = (g.input("y", ty(y)), g.input("p", ty(p)));
        let wv = weight.map(|w| g.input("w", ty(w)));
        let batch = Observed { y: yv, p: Prediction { value: pv, logits: None }, weight: wv };
        let added = self.metric.lower(&mut g, &batch);
        for (state, added) in self.metric.states().iter().zip(added) {
            let sum = g.state(state, Type::f32(g.shape(added)), Role::Metric);
            let next = g.add(sum, added);
            g.set_next(sum, next);
        }
        let graph = g.finish().unwrap_or_else(|e| panic!("{}: {e}", self.metric.name()));
        self.sums = states(&graph, &self.sums);
        let mut feeds = vec![("y", y.clone()), ("p", p.clone())];
        feeds.extend(weight.map(|w| ("w", w.clone())));
        run(&graph, &feeds, &mut self.sums);
    }

    fn merge(&mut self, other: &Running) {
        for (state, sum) in &mut self.sums {
            let more = numbers(&other.sums[state]);
            let both = numbers(sum).into_iter().zip(more).map(|(a, b)| (a + b) as f32).collect();
            *sum = NaiveValue::float(sum.shape.clone(), both);
        }
    }

    fn result(&self) -> Vec<f64> {
        let sums = |state: &&str| self.sums.get(*state).map(numbers).unwrap_or_default();
        self.metric.result(&self.metric.states().iter().map(sums).collect::<Vec<_>>())
    }
}

fn record() -> Json {
    crate::support::record("fixtures/metrics.json")
}

/// Rows `from..to` of a tensor.
fn rows(x: &NaiveValue<f32>, from: usize, to: usize) -> NaiveValue<f32> {
    let len: usize = x.shape[1..].iter().product();
    let shape = [&[to - from], &x.shape[1..]].concat();
    match x.as_int() {
        Some(data) => NaiveValue::int(shape, data[from * len..to * len].to_vec()),
        None => NaiveValue::float(shape, x.as_float().unwrap()[from * len..to * len].to_vec()),
    }
}

/// Every metric of the record on all of its data, with a name for messages.
fn cases(record: &Json) -> Vec<(String, Metric, &Json)> {
    let make = |case: &Json| Metric::from_config(&case["config"]).unwrap_or_else(|e| panic!("{case}: {e}"));
    let label = |case: &Json| format!("{} {}", case["config"]["class_name"], case["config"]["config"]);
    list(&record["metrics"]).iter().map(|case| (label(case), make(case), case)).collect()
}

/// Targets, predictions, and if asked the weights of the samples that a case is about.
fn data(record: &Json, case: &Json) -> [NaiveValue<f32>; 3] {
    let columns = list(&record["data"]).iter().find(|columns| columns["name"] == case["data"]).expect("its data");
    [tensor(&columns["y_true"]), tensor(&columns["y_pred"]), tensor(&record["stream"][0]["weight"])]
}

#[test]
fn streams_of_batches_are_those_of_keras() {
    let (record, mut report) = (record(), Report::default());
    let tolerance = Tolerance::of(&record);
    for (label, metric, case) in cases(&record) {
        let [y, p, w] = data(&record, case);
        for (kind, weight) in [("plain", None), ("weighted", Some(&w))] {
            let (mut running, mut from) = (Running::new(&metric), 0);
            for (size, want) in extents(&record["stream"][0]["batches"]).into_iter().zip(list(&case[kind])) {
                let part = |x: &NaiveValue<f32>| rows(x, from, from + size);
                running.update(&part(&y), &part(&p), weight.map(part).as_ref());
                from += size;
                let got = running.result();
                report.close(&format!("{label} {kind}, {from} samples"), &got, &f64s(&floats(want)), tolerance);
            }
        }
    }
    report.finish();
}

#[test]
fn a_metric_of_the_whole_is_its_parts_merged() {
    let (record, mut report) = (record(), Report::default());
    for (label, metric, case) in cases(&record) {
        let [y, p, w] = data(&record, case);
        let samples = p.shape[0];
        for weight in [None, Some(&w)] {
            let of = |from: usize, to: usize| {
                let mut running = Running::new(&metric);
                let part = |x: &NaiveValue<f32>| rows(x, from, to);
                running.update(&part(&y), &part(&p), weight.map(part).as_ref());
                running
            };
            let whole = of(0, samples).result();
            for at in [1, 4, samples - 1] {
                let mut merged = of(0, at);
                merged.merge(&of(at, samples));
                let rounding = Tolerance { absolute: 2e-6, relative: 1e-5 };
                report.close(&format!("{label}, cut at {at}"), &merged.result(), &whole, rounding);
            }
        }
    }
    report.finish();
}

#[test]
fn every_class_has_a_stream_and_is_written_as_keras_writes_it() {
    let (record, mut report) = (record(), Report::default());
    let all = cases(&record);
    for class in Metric::class_names() {
        let has_case = all.iter().any(|(_, _, case)| case["config"]["class_name"] == class);
        report.equal(&format!("{class} has a case"), has_case, true);
    }
    for (label, metric, case) in all {
        let plain = Metric::from(metric.name());
        let written = metric.to_config();
        match written.is_string() {
            true => report.equal(&format!("{label}: its name says all"), &plain, &metric),
            false => {
                // Intersections are counted in floats; settings of losses that change nothing are not written.
                let is_meant = |d: &String| d.contains("config.dtype") || d.ends_with("is missing");
                let found: Vec<String> =
                    differences(&written, &case["config"]).into_iter().filter(|d| !is_meant(d)).collect();
                report.equal(&label, found, vec![]);
            }
        }
        report.equal(&format!("{label}: read again"), Metric::from_config(&written).as_ref(), Ok(&metric));
        let direction = metric.direction().map(|d| if d == Direction::Max { "up" } else { "down" });
        report.equal(&format!("{label}: direction"), json!(direction), case["direction"].clone());
    }
    report.finish();
}

#[test]
fn names_classes_and_aliases_mean_one_metric() {
    for (a, b) in [("mse", "MeanSquaredError"), ("AUC", "auc"), ("MAPE", "mean_absolute_percentage_error")] {
        assert_eq!(Metric::from(a).named("m"), Metric::from(b).named("m"));
    }
    assert!(Metric::from("precison").check().unwrap_err().to_string().contains("did you mean `precision`?"));
    assert!(
        Metric::from("sensitivity_at_specificity").check().unwrap_err().message().contains("`specificity` is missing")
    );
}

#[test]
fn settings_out_of_range_are_refused() {
    let mut report = Report::default();
    for metric in metrics![
        AUC::new().num_thresholds(1),
        AUC::new().curve("ROCK"),
        AUC::new().thresholds([0.5, 1.5]),
        AUC::new().label_weights([1.0]),
        Precision::new().thresholds([-0.5]),
        Precision::new().top_k(0),
        FBetaScore::new().beta(0.0),
        FBetaScore::new().threshold(Some(0.0)),
        FBetaScore::new().average(Some("mean")),
    ] {
        report.equal(&format!("{metric:?}"), metric.check().is_err(), true);
    }
    report.finish();
}

#[test]
fn a_list_in_place_of_a_number_is_refused_and_never_cut() {
    for (class, key, config) in [
        ("MeanIoU", "ignore_class", json!({ "num_classes": 3, "ignore_class": [0, 1] })),
        ("F1Score", "threshold", json!({ "threshold": [0.5, 0.75] })),
    ] {
        let error = Metric::from_config(&json!({ "class_name": class, "config": config })).unwrap_err();
        assert_eq!(error.key(), Some(key), "{error}");
    }
}

#[test]
fn constant_targets_score_nothing_even_if_they_are_met() {
    let constant = [vec![18.0], vec![6.0], vec![0.0], vec![2.0], vec![2.0]];
    assert_eq!(Metric::from(R2Score::new()).result(&constant), [0.0]);
}

#[test]
fn curves_of_many_thresholds_are_drawn_in_good_time() {
    let count = 1 << 20;
    let auc = Metric::from(AUC::new().num_thresholds(count));
    let [mut positives, mut negatives] = [vec![0.0; count + 1], vec![0.0; count + 1]];
    (positives[count], negatives[1]) = (3.0, 5.0);
    assert_eq!(auc.result(&[positives, negatives]), [1.0]);
}

#[test]
fn nothing_seen_comes_to_nothing() {
    for metric in metrics![AUC::new(), Precision::new(), BinaryAccuracy::new(), "mse"] {
        assert_eq!(Running::new(&metric).result(), [0.0]);
    }
}
