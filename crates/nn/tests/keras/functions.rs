//! Activations, losses and normalisation: values and gradients against Keras, and their laws at the edges.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Role, Type, Value, differentiate};
use footlight_nn::losses::Prediction;
use footlight_nn::{Activation, BatchNormalization, Call, Layer, LayerNormalization, Loss, Masked};
use footlight_tensor::{DType, RandomKey};
use serde_json::{Value as Json, json};

fn input(g: &mut Builder, name: &str, value: &NaiveValue<f32>) -> Value {
    let dtype = if value.as_int().is_some() { DType::I32 } else { DType::F32 };
    g.input(name, Type { shape: value.shape.clone(), dtype })
}

/// `output` and the gradient of `scalar` by each of `by`, run on `feeds` and `known`.
fn evaluate(
    mut g: Builder,
    scalar: Value,
    output: Value,
    by: &[Value],
    feeds: &[(&str, NaiveValue<f32>)],
    known: &mut Values<f32>,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let gradients = differentiate(&mut g, scalar, by).unwrap();
    g.output("output", output);
    gradients.iter().enumerate().for_each(|(i, dx)| g.output(&format!("dx{i}"), *dx));
    let outputs = run(&g.finish().unwrap(), feeds, known);
    (numbers(&outputs["output"]), (0..by.len()).map(|i| numbers(&outputs[&format!("dx{i}")])).collect())
}

fn activation(function: &Activation, x: &NaiveValue<f32>, weights: &NaiveValue<f32>) -> (Vec<f64>, Vec<f64>) {
    let mut g = Builder::new();
    let (xv, w) = (input(&mut g, "x", x), input(&mut g, "weights", weights));
    let y = function.lower(&mut g, xv);
    let product = g.mul(y, w);
    let scalar = g.sum_all(product);
    let feeds = [("x", x.clone()), ("weights", weights.clone())];
    let (y, mut dx) = evaluate(g, scalar, y, &[xv], &feeds, &mut Values::new());
    (y, dx.remove(0))
}

/// The function of a case: by name, with arguments, or that of a layer.
fn made(case: &Json) -> Activation {
    let (name, config) = (text(&case["name"]), &case["config"]);
    if config == &json!({}) && !name.starts_with(char::is_uppercase) {
        return Activation::from(name);
    }
    let module = if name.starts_with(char::is_uppercase) { "keras.layers" } else { "footlight.activations" };
    Activation::from_config(&json!({ "module": module, "class_name": name, "config": config })).unwrap()
}

#[test]
fn activations_and_their_gradients_are_those_of_keras() {
    let (record, mut report) = (record("fixtures/ops.json"), Report::default());
    let tolerance = Tolerance::of(&record);
    let mut checked = Vec::new();
    for case in list(&record["activations"]) {
        let function = made(case);
        function.check().unwrap();
        let label = format!("{} {} at {}", text(&case["name"]), case["config"], case["x"]["data"][0]);
        let (y, dx) = activation(&function, &tensor(&case["x"]), &tensor(&case["weights"]));
        report.close(&label, &y, &f64s(&floats(&case["y"]["data"])), tolerance);
        report.close(&format!("{label}: gradient"), &dx, &f64s(&floats(&case["dx"]["data"])), tolerance);
        report.equal(&label, Activation::from_config(&function.to_config()), Ok(function.clone()));
        checked.push(function);
    }
    for function in Activation::all() {
        report.equal(&format!("{function:?} has a case"), checked.contains(&function), true);
    }
    report.finish();
}

/// What Keras would read as something else it must not be able to read.
#[test]
fn arguments_are_written_as_a_layer_of_keras_or_as_nothing_of_keras() {
    for function in Activation::all() {
        let written = function.to_config();
        assert!(written.is_string() || text(&written["class_name"]) == "ReLU", "{written}");
    }
    let leaky = Activation::LeakyRelu { negative_slope: 0.5 }.to_config();
    assert_eq!((text(&leaky["module"]), text(&leaky["class_name"])), ("keras.layers", "LeakyReLU"));
    let gelu = Activation::Gelu { approximate: true }.to_config();
    assert!(!text(&gelu["module"]).starts_with("keras"), "{gelu}");
    assert!(Activation::from("threshold").check().is_err());
}

#[test]
fn sparsemax_is_a_distribution_with_zeros() {
    let x = NaiveValue::float([3, 3], vec![3.0, 3.0, 3.0, 1e6, -1e6, 1e6 - 0.5, 0.1, 0.2, 5.0]);
    let (y, _) = activation(&Activation::Sparsemax, &x, &NaiveValue::float([3, 3], vec![1.0; 9]));
    let third = f64::from(1.0f32 / 3.0);
    let want = [third, third, third, 0.75, 0.0, 0.25, 0.0, 0.0, 1.0];
    assert!(y.iter().zip(want).all(|(y, want)| (y - want).abs() < 1e-6), "{y:?}");
}

#[test]
fn glu_needs_an_even_axis() {
    assert_eq!(Activation::Glu.output_shape(&[3, 4]).unwrap(), [3, 2]);
    assert!(Activation::Glu.output_shape(&[3]).is_err());
}

#[test]
fn the_slope_of_relu_at_zero_is_zero() {
    let one = |x: f32| NaiveValue::float([1, 1], vec![x]);
    assert_eq!(activation(&Activation::Relu, &one(0.0), &one(1.0)), (vec![0.0], vec![0.0]));
    assert_eq!(activation(&Activation::Relu, &one(1e-30), &one(1.0)).1, [1.0]);
}

#[test]
fn activations_stay_finite_far_out() {
    let far: Vec<f32> = vec![-1e38, -1e4, -90.0, 90.0, 1e4, 1e38];
    let x = NaiveValue::float([3, 2], far);
    for function in Activation::all().into_iter().filter(|f| *f != Activation::Exponential) {
        let shape = function.output_shape(&x.shape).unwrap();
        let weights = NaiveValue::float(shape.clone(), vec![1.0; shape.iter().product()]);
        let (y, dx) = activation(&function, &x, &weights);
        assert!(y.iter().chain(&dx).all(|v| v.is_finite()), "{function:?}: {y:?}, gradient {dx:?}");
    }
}

/// Each sample's loss, and the gradient of their mean by the logits if there are some, else by the predictions.
fn loss(
    loss: &Loss,
    y: &NaiveValue<f32>,
    p: &NaiveValue<f32>,
    fused: Option<&'static Activation>,
) -> (Vec<f64>, Vec<f64>) {
    let mut g = Builder::new();
    let (yv, pv) = (input(&mut g, "y", y), input(&mut g, "p", p));
    let prediction = match fused {
        Some(activation) => Prediction { value: activation.lower(&mut g, pv), logits: Some((pv, activation)) },
        None => Prediction { value: pv, logits: None },
    };
    let each = loss.lower(&mut g, yv, prediction);
    let scalar = g.mean_all(each);
    let (each, mut dx) = evaluate(g, scalar, each, &[pv], &[("y", y.clone()), ("p", p.clone())], &mut Values::new());
    (each, dx.remove(0))
}

fn loss_object(name: &str, config: &Json) -> Json {
    json!({ "module": "keras.losses", "class_name": Loss::from(name).class_name(), "config": config })
}

#[test]
fn losses_and_their_gradients_are_those_of_keras() {
    let (record, mut report) = (record("fixtures/ops.json"), Report::default());
    let tolerance = Tolerance::of(&record);
    let mut checked = Vec::new();
    for case in list(&record["losses"]) {
        let name = text(&case["name"]);
        let label = format!("{name} {}", case["config"]);
        let made = Loss::from_config(&loss_object(name.trim_end_matches("_clipped"), &case["config"])).unwrap();
        report.equal(&format!("{label} is written"), Loss::from_config(&made.to_config()), Ok(made.clone()));
        checked.push(made.class_name().to_string());
        let (y, p) = (tensor(&case["y_true"]), tensor::<f32>(&case["y_pred"]));
        let (each, dx) = loss(&made, &y, &p, None);
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        report.close(&format!("{label}: mean"), &[mean], &f64s(&floats(&json!([case["value"]]))), tolerance);
        // What is ignored makes the others weigh more, which Keras leaves to the mean.
        if case["config"].get("ignore_class").is_none() {
            report.close(&label, &each, &f64s(&floats(&case["per_sample"]["data"])), tolerance);
        }
        report.close(&format!("{label}: gradient"), &dx, &f64s(&floats(&case["dy_pred"]["data"])), tolerance);
        let end = match made {
            Loss::BinaryCrossentropy { .. } => &Activation::Sigmoid,
            _ => &Activation::Softmax,
        };
        if case["config"] == json!({ "from_logits": true }) && !name.contains("focal") {
            // From logits, or from the softmax (sigmoid) of them: one loss, and the same bytes.
            let plain = Loss::from(made.name());
            report.equal(&format!("{label} fused"), loss(&plain, &y, &p, Some(end)), (each, dx));
        }
    }
    for loss in Loss::all() {
        report.equal(&format!("{loss:?} has a case"), checked.iter().any(|class| *class == loss.class_name()), true);
    }
    report.finish();
}

#[test]
fn a_confident_error_keeps_its_gradient_when_fused_and_loses_it_when_clipped() {
    let plain = Loss::from("sparse_categorical_crossentropy");
    let label = NaiveValue::int([1], vec![0]);
    let (each, dx) = loss(&plain, &label, &NaiveValue::float([1, 2], vec![-50.0, 50.0]), Some(&Activation::Softmax));
    assert_eq!((each, dx), (vec![100.0], vec![-1.0, 1.0]));
    let (each, dx) = loss(&plain, &label, &NaiveValue::float([1, 2], vec![0.0, 1.0]), None);
    assert!((each[0] - 16.118095).abs() < 1e-5, "{each:?}");
    assert_eq!(dx[0], 0.0);
}

#[test]
fn losses_give_the_golden_values() {
    let row = |data: &[f32]| NaiveValue::float([1, data.len()], data.to_vec());
    let (y, p) = (row(&[1.0, 2.0, 3.0]), row(&[1.5, 2.0, 0.0]));
    let logits = json!({ "from_logits": true });
    let scce = Loss::from_config(&loss_object("sparse_categorical_crossentropy", &logits)).unwrap();
    let golden = Tolerance { absolute: 0.0, relative: 1e-6 };
    let mut report = Report::default();
    report.close("mse", &loss(&Loss::from("mse"), &y, &p, None).0, &[3.0833335], golden);
    report.close("mae", &loss(&Loss::from("mae"), &y, &p, None).0, &[1.1666667], golden);
    let each = loss(&scce, &NaiveValue::int([1], vec![0]), &row(&[1.0, 2.0, 3.0]), None).0;
    report.close("sparse from logits", &each, &[2.407606], golden);
    let bce = Loss::from("binary_crossentropy");
    let each = loss(&bce, &row(&[0.0, 1.0, 1.0]), &row(&[0.1, 0.8, 1.0]), None).0;
    report.close("bce", &each, &[0.10950141], golden);
    report.finish();
}

/// A layer's output, gradients by input and trained weights, and the weights after the step.
fn normalize(layer: &dyn Layer, case: &Json) -> (Vec<f64>, Vec<f64>, Values<f32>, Values<f32>) {
    let (x, dy) = (tensor::<f32>(&case["x"]), tensor::<f32>(&case["dy"]));
    let specs = layer.weights(&x.shape[1..]).unwrap();
    let mut g = Builder::new();
    let (xv, dyv) = (input(&mut g, "x", &x), input(&mut g, "dy", &dy));
    let mask = case.get("mask").map(tensor::<f32>).map(|mask| (input(&mut g, "mask", &mask), mask));
    let role = |trainable| if trainable { Role::Parameter } else { Role::Statistic };
    let weights: Vec<Value> =
        specs.iter().map(|s| g.state(&s.name, Type::f32(s.shape.clone()), role(s.trainable))).collect();
    let step = (case["training"] != false).then(|| g.constant_i32(0));
    let mut call = Call::new(&mut g, &weights, step, RandomKey::new(0));
    let y = layer.call(&mut call, Masked { value: xv, mask: mask.as_ref().map(|(value, _)| *value) }).value;
    let product = g.mul(y, dyv);
    let scalar = g.sum_all(product);
    let trained: Vec<(&str, Value)> =
        specs.iter().zip(&weights).filter(|(s, _)| s.trainable).map(|(s, v)| (s.name.as_ref(), *v)).collect();
    let by: Vec<Value> = [xv].into_iter().chain(trained.iter().map(|(_, v)| *v)).collect();
    let mut known: Values<f32> = ["parameters", "state"]
        .iter()
        .flat_map(|key| case[key].as_object().expect("an object"))
        .map(|(name, value)| (name.clone(), tensor(value)))
        .collect();
    let feeds: Vec<_> = [("x", x), ("dy", dy)].into_iter().chain(mask.map(|(_, mask)| ("mask", mask))).collect();
    let (y, mut dx) = evaluate(g, scalar, y, &by, &feeds, &mut known);
    let of = |data: Vec<f64>| NaiveValue::float([data.len()], data.iter().map(|x| *x as f32).collect());
    let dweights = trained.iter().zip(dx.split_off(1)).map(|((name, _), d)| (name.to_string(), of(d))).collect();
    (y, dx.remove(0), dweights, known)
}

#[test]
fn normalisation_and_its_gradients_are_those_of_keras() {
    let (record, mut report) = (record("fixtures/ops.json"), Report::default());
    let tolerance = Tolerance::of(&record);
    for case in list(&record["normalizations"]) {
        let layer: Box<dyn Layer> = match text(&case["name"]) {
            "BatchNormalization" => Box::new(BatchNormalization::new()),
            "LayerNormalization" => Box::new(LayerNormalization::new()),
            other => panic!("layer {other} of the record is not known here"),
        };
        let label = format!("{} {} training {}", text(&case["name"]), case["x"]["shape"], case["training"]);
        let (y, dx, dweights, after) = normalize(layer.as_ref(), case);
        report.close(&label, &y, &f64s(&floats(&case["y"]["data"])), tolerance);
        report.close(&format!("{label}: dx"), &dx, &f64s(&floats(&case["dx"]["data"])), tolerance);
        for (name, want) in case["dparameters"].as_object().expect("an object") {
            let want = f64s(&floats(&want["data"]));
            report.close(&format!("{label}: d{name}"), &numbers(&dweights[name]), &want, tolerance);
        }
        for (name, want) in case["new_state"].as_object().expect("an object") {
            let want = f64s(&floats(&want["data"]));
            report.close(&format!("{label}: {name}"), &numbers(&after[name]), &want, tolerance);
        }
    }
    report.finish();
}

#[test]
fn normalisation_gives_the_golden_values() {
    let mut report = Report::default();
    let golden = Tolerance { absolute: 1e-6, relative: 1e-6 };
    let vector = |data: &[f32]| json!({ "shape": [data.len()], "data": data });
    let ones = |n: usize| json!({ "shape": [n], "data": vec![1.0; n] });
    let (zero2, zero3) = (vector(&[0.0, 0.0]), vector(&[0.0; 3]));
    let batch = json!({
        "x": { "shape": [3, 2], "data": [1.0, 2.0, 3.0, 6.0, 5.0, 1.0] }, "dy": { "shape": [3, 2], "data": vec![1.0; 6] },
        "training": true, "parameters": { "gamma": ones(2), "beta": zero2 },
        "state": { "moving_mean": vector(&[0.0, 0.0]), "moving_variance": ones(2) },
    });
    let (y, _, _, after) = normalize(&BatchNormalization::new(), &batch);
    let want = [-1.2245152, -0.46286047, 0.0, 1.3885814, 1.2245154, -0.92572093];
    report.close("batch", &y, &want, golden);
    report.close("moving mean", &numbers(&after["moving_mean"]), &[0.03, 0.03], golden);
    report.close("moving variance", &numbers(&after["moving_variance"]), &[1.0166667, 1.0366666], golden);
    let layer = json!({
        "x": { "shape": [1, 3], "data": [1.0, 2.0, 4.0] }, "dy": { "shape": [1, 3], "data": [1.0, 1.0, 1.0] },
        "training": true, "parameters": { "gamma": ones(3), "beta": zero3 }, "state": {},
    });
    report.close(
        "layer",
        &normalize(&LayerNormalization::new(), &layer).0,
        &[-1.0687017, -0.26717556, 1.3358767],
        golden,
    );
    report.finish();
}
