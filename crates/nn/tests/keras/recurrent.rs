//! Recurrent layers against Keras, and their dropout against its own law.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_cpu::{CpuTarget, Isa};
use footlight_graph::plan::plan;
use footlight_graph::simplify::simplify;
use footlight_graph::{Builder, Graph, Op, Role, Type, Value, differentiate};
use footlight_nn::{
    Activation, Architecture, BatchNormalization, Bidirectional, Call, Compile, Dense, GRU, Initializer, LSTM, Layer,
    Loss, Masked, Mode, SGD, SimpleRNN, TimeDistributed, WeightSpec, layers,
};
use footlight_tensor::{Philox, RandomKey};
use serde_json::Value as Json;

/// A layer lowered on an input `x` of `shape`, with its weights as states, and a mask `mask` if there is one.
fn lower(layer: &dyn Layer, shape: &[usize], mode: Mode, masked: bool) -> (Builder, Value, Vec<Value>, Masked) {
    let mut g = Builder::new();
    let x = g.input("x", Type::f32(shape));
    let mask = masked.then(|| g.input("mask", Type::f32(&shape[..2])));
    let specs = layer.weights(&shape[1..]).unwrap();
    let weights: Vec<Value> =
        specs.iter().map(|s| g.state(&s.name, Type::f32(s.shape.clone()), Role::Parameter)).collect();
    let step = (mode == Mode::Train).then(|| g.constant_i32(3));
    let mut call = Call::new(&mut g, &weights, step, RandomKey::new(4));
    let y = layer.call(&mut call, Masked { value: x, mask });
    (g, x, weights, y)
}

fn values_of(named: &Json) -> Values<f64> {
    named.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), tensor(value))).collect()
}

#[test]
fn recurrent_layers_and_their_gradients_are_those_of_keras() {
    let (record, mut report) = (record("fixtures/recurrent.json"), Report::default());
    let tolerance = Tolerance::of(&record);
    for case in list(&record["cases"]) {
        let layer = layers::from_config(&case["layer"]).unwrap();
        layer.check().unwrap();
        let label = label_of(layer.as_ref(), case);
        let numbered = |what: &str, list: &Json| -> Values<f64> {
            let tensors = list.as_array().into_iter().flatten().map(tensor);
            tensors.enumerate().map(|(i, value)| (format!("{what}{i}"), value)).collect()
        };
        let mut feeds: Values<f64> = [("x".to_string(), tensor(&case["x"]))].into();
        feeds.extend(numbered("state", &case["initial_state"]));
        feeds.extend((!case["mask"].is_null()).then(|| ("mask".to_string(), tensor(&case["mask"]))));
        let mut g = Builder::new();
        let mut given: Vec<(String, Value)> = Vec::new();
        let inputs = ["x".to_string()].into_iter().chain((0..).map(|i| format!("state{i}")));
        for name in inputs.take_while(|name| feeds.contains_key(name)) {
            let input = g.input(&name, Type::f32(feeds[&name].shape.clone()));
            given.push((name, input));
        }
        let mask = feeds.get("mask").map(|mask| g.input("mask", Type::f32(mask.shape.clone())));
        let mut values: Vec<Masked> = given.iter().map(|(_, value)| Masked::new(*value)).collect();
        values[0].mask = mask;
        let shapes: Vec<Vec<usize>> = given.iter().map(|(name, _)| feeds[name].shape[1..].to_vec()).collect();
        let specs = layer.weights_for(&shapes).unwrap();
        for spec in &specs {
            given.push((spec.name.to_string(), g.state(&spec.name, Type::f32(spec.shape.clone()), Role::Parameter)));
        }
        let weights: Vec<Value> = given[shapes.len()..].iter().map(|(_, value)| *value).collect();
        let named: Vec<(String, Vec<Masked>)> =
            mask.into_iter().map(|mask| ("mask".to_string(), vec![Masked::new(mask)])).collect();
        let mut call = Call { named: &named, ..Call::new(&mut g, &weights, None, RandomKey::new(0)) };
        let ys = layer.call_all(&mut call, &values);
        let has_mask: Vec<Json> = ys.iter().map(|y| y.mask.is_some().into()).collect();
        report.equal(&format!("{label}: masks"), Json::from(has_mask), case["has_mask"].clone());
        let told = layer.output_shapes(&shapes).unwrap();
        report.equal(&format!("{label}: shapes"), ys.iter().map(|y| g.shape(y.value)[1..].to_vec()).collect(), told);
        let mut scalar = g.constant(0.0);
        for (name, dy) in numbered("dy", &case["dy"]) {
            let direction = g.input(&name, Type::f32(dy.shape.clone()));
            let product = g.mul(ys[name[2..].parse::<usize>().unwrap()].value, direction);
            let sum = g.sum_all(product);
            scalar = g.add(scalar, sum);
            feeds.insert(name, dy);
        }
        let by: Vec<Value> = given.iter().map(|(_, value)| *value).collect();
        let gradients = differentiate(&mut g, scalar, &by).unwrap();
        given.iter().zip(gradients).for_each(|((name, _), gradient)| g.output(&format!("d{name}"), gradient));
        ys.iter().enumerate().for_each(|(i, y)| g.output(&format!("y{i}"), y.value));
        let feeds: Vec<(&str, NaiveValue<f64>)> =
            feeds.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let outputs = run(&g.finish().unwrap(), &feeds, &mut values_of(&case["weights"]));
        report.equal(&label, specs.len(), case["weights"].as_object().expect("an object").len());
        let mut want = numbered("y", &case["y"]);
        want.extend(numbered("dstate", &case["dinitial_state"]));
        want.insert("dx".into(), tensor(&case["dx"]));
        want.extend(values_of(&case["dweights"]).into_iter().map(|(name, value)| (format!("d{name}"), value)));
        report.equal(&format!("{label}: outputs"), outputs.len(), want.len());
        for (name, want) in &want {
            report.close(&format!("{label}: {name}"), &numbers(&outputs[name]), &numbers(want), tolerance);
        }
    }
    report.finish();
}

/// The class with the settings that are on, and what the call is given.
fn label_of(layer: &dyn Layer, case: &Json) -> String {
    let on = layer.config().into_iter().filter(|(_, value)| *value == true).map(|(key, _)| key);
    let given = ["mask", "initial_state"].into_iter().filter(|key| !case[*key].is_null()).map(String::from);
    [layer.class_name().to_string()].into_iter().chain(on).chain(given).collect::<Vec<_>>().join(" ")
}

/// Keras' own numbers, without a record.
#[test]
fn golden_values() {
    let mut report = Report::default();
    let tolerance = Tolerance { absolute: 1e-7, relative: 1e-6 };
    let mut check = |layer: &dyn Layer, weights: [&[f64]; 3], want: [f64; 2]| {
        let (mut g, _, _, y) = lower(layer, &[1, 2, 1], Mode::Infer, false);
        g.output("y", y.value);
        let specs = layer.weights(&[2, 1]).unwrap();
        let mut known: Values<f64> = specs
            .iter()
            .zip(weights)
            .map(|(spec, data)| (spec.name.to_string(), NaiveValue::float(spec.shape.clone(), data.to_vec())))
            .collect();
        let outputs = run(&g.finish().unwrap(), &[("x", NaiveValue::float([1, 2, 1], vec![1.0, 2.0]))], &mut known);
        report.close(&format!("{layer:?}"), &numbers(&outputs["y"]), &want, tolerance);
    };
    let lstm = LSTM::new(1).return_sequences(true);
    check(&lstm, [&[0.1, 0.2, 0.3, 0.4], &[0.5, 0.6, 0.7, 0.8], &[0.01, 0.02, 0.03, 0.04]], [0.10124329, 0.29909268]);
    let gru = GRU::new(1).return_sequences(true);
    let bias = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06];
    check(&gru, [&[0.1, 0.2, 0.3], &[0.4, 0.5, 0.6], &bias], [0.16132364, 0.35604173]);
    let before = gru.reset_after(false);
    check(&before, [&[0.1, 0.2, 0.3], &[0.4, 0.5, 0.6], &bias[..3]], [0.15050991, 0.34311742]);
    report.finish();
}

#[test]
fn what_keras_wrote_is_written_again() {
    let (record, mut report) = (record("fixtures/recurrent.json"), Report::default());
    // Null where there is nothing, as in other layers; a key of newer versions; shapes of parts, which the whole tells.
    let on_purpose = [
        "activity_regularizer is missing",
        "input_axes is missing",
        "output_axes is missing",
        "build_config is missing",
    ];
    for case in list(&record["cases"]) {
        let layer = layers::from_config(&case["layer"]).unwrap();
        let name = text(&case["layer"]["config"]["name"]);
        let written = layers::to_config(layer.as_ref(), name, None);
        let told = differences(&written["config"], &case["layer"]["config"]);
        let told: Vec<String> = told.into_iter().filter(|d| !on_purpose.iter().any(|o| d.ends_with(o))).collect();
        report.equal(name, told, vec![]);
    }
    report.finish();
}

#[test]
fn the_forget_gate_of_an_lstm_begins_open() {
    let bias = |layer: LSTM| {
        let spec = layer.weights(&[5, 3]).unwrap().remove(2);
        spec.initializer.sample(&spec.shape, &mut Philox::new(RandomKey::new(0)))
    };
    assert_eq!(bias(LSTM::new(2)), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(bias(LSTM::new(1).bias_initializer(Initializer::Constant(0.5))), [0.5, 1.0, 0.5, 0.5]);
    assert_eq!(bias(LSTM::new(1).unit_forget_bias(false)), [0.0; 4]);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |layer: &dyn Layer| layer.check().unwrap_err().to_string();
    assert!(refused(&LSTM::new(0)).contains("units = 0"));
    assert!(refused(&GRU::new(1).dropout(1.0)).contains("dropout = 1, a dropout rate must be in [0, 1)"));
    assert!(refused(&SimpleRNN::new(1).recurrent_dropout(-0.5)).contains("recurrent_dropout = -0.5"));
    assert!(refused(&LSTM::new(2).activation("glu")).contains("must keep the number of units"));
    assert!(refused(&GRU::new(2).recurrent_activation("sigmoidd")).contains("`sigmoid`"));
    let shape = LSTM::new(2).output_shape(&[4]).unwrap_err().to_string();
    assert!(shape.contains("samples of steps and features, [T, F], got [4]"), "{shape}");
}

/// The outputs in training of a layer whose step is `h_t = x_t + h_(t-1)`, of ones: `[N, T, U]`.
fn sums(layer: SimpleRNN, size: usize) -> Vec<f64> {
    let layer = layer.activation(Activation::Linear).use_bias(false).return_sequences(true);
    let (mut g, _, _, y) = lower(&layer, &[3, 4, size], Mode::Train, false);
    g.output("y", y.value);
    let one = |i: usize| if i / size == i % size { 1.0 } else { 0.0 };
    let unit = NaiveValue::float([size, size], (0..size * size).map(one).collect());
    let mut known: Values<f64> =
        layer.weights(&[4, size]).unwrap().iter().map(|s| (s.name.to_string(), unit.clone())).collect();
    let ones = NaiveValue::float([3, 4, size], vec![1.0; 12 * size]);
    numbers(&run(&g.finish().unwrap(), &[("x", ones)], &mut known)["y"])
}

#[test]
fn dropout_of_inputs_is_the_same_in_every_step() {
    let y = sums(SimpleRNN::new(40).dropout(0.5), 40);
    let at = |n: usize, t: usize, u: usize| y[(n * 4 + t) * 40 + u];
    let mut dropped = 0;
    for (n, u) in (0..3).flat_map(|n| (0..40).map(move |u| (n, u))) {
        let kept = at(n, 0, u);
        assert!(kept == 0.0 || kept == 2.0);
        assert!((0..4).all(|t| at(n, t, u) == kept * (t + 1) as f64), "sample {n}, unit {u}");
        dropped += usize::from(kept == 0.0);
    }
    // Four standard deviations of 120 draws.
    assert!((38..=82).contains(&dropped), "{dropped}");
    assert_ne!((0..40).map(|u| at(0, 0, u)).collect::<Vec<_>>(), (0..40).map(|u| at(1, 0, u)).collect::<Vec<_>>());
}

#[test]
fn dropout_of_states_is_the_same_in_every_step() {
    let y = sums(SimpleRNN::new(40).recurrent_dropout(0.5), 40);
    let at = |n: usize, t: usize, u: usize| y[(n * 4 + t) * 40 + u];
    let mut dropped = 0;
    for (n, u) in (0..3).flat_map(|n| (0..40).map(move |u| (n, u))) {
        let steps: Vec<f64> = (0..4).map(|t| at(n, t, u)).collect();
        assert!(steps == [1.0; 4] || steps == [1.0, 3.0, 7.0, 15.0], "{steps:?}");
        dropped += usize::from(steps == [1.0; 4]);
    }
    assert!((38..=82).contains(&dropped), "{dropped}");
}

fn streams(layer: &dyn Layer, mode: Mode) -> Vec<Vec<usize>> {
    let (g, ..) = lower(layer, &[3, 4, 5], mode, false);
    let graph: &Graph = g.graph();
    let mut keys = Vec::new();
    let mut shapes = Vec::new();
    for node in graph.nodes() {
        if let Op::RandomUniform(random) = &node.op {
            assert!(!keys.contains(&random.key), "each mask has its own stream");
            keys.push(random.key);
            shapes.push(random.shape.clone());
        }
    }
    shapes
}

/// One mask for all gates, or one for each where states are dropped, as in Keras.
#[test]
fn gates_share_a_mask_unless_states_are_dropped() {
    let (x, h) = (vec![3, 5], vec![3, 2]);
    let both = |gates: usize| [vec![x.clone(); gates], vec![h.clone(); gates]].concat();
    assert_eq!(streams(&LSTM::new(2).dropout(0.1), Mode::Train), std::slice::from_ref(&x));
    assert_eq!(streams(&LSTM::new(2).recurrent_dropout(0.1), Mode::Train), vec![h.clone(); 4]);
    assert_eq!(streams(&LSTM::new(2).dropout(0.1).recurrent_dropout(0.1), Mode::Train), both(4));
    assert_eq!(streams(&GRU::new(2).dropout(0.1).recurrent_dropout(0.1), Mode::Train), both(3));
    assert_eq!(streams(&SimpleRNN::new(2).dropout(0.1).recurrent_dropout(0.1), Mode::Train), both(1));
    assert!(streams(&LSTM::new(2), Mode::Train).is_empty());
    assert!(streams(&LSTM::new(2).dropout(0.1).recurrent_dropout(0.1), Mode::Infer).is_empty());
}

/// Forward and backward, with everything that may be in a body: no step waits for all rows.
#[test]
fn every_recurrence_and_its_gradient_go_through_time_by_rows() {
    let mut report = Report::default();
    let all: Vec<Box<dyn Layer>> = layers![
        SimpleRNN::new(24),
        LSTM::new(24),
        LSTM::new(24).dropout(0.1).recurrent_dropout(0.1).return_sequences(true).go_backwards(true),
        LSTM::new(24).zero_output_for_mask(true).return_sequences(true),
        GRU::new(24),
        GRU::new(24).recurrent_dropout(0.1).zero_output_for_mask(true),
        GRU::new(24).reset_after(false).recurrent_dropout(0.1).return_sequences(true),
        GRU::new(24).use_bias(false).activation("softsign").recurrent_activation("hard_sigmoid"),
    ];
    for (layer, masked) in all.iter().flat_map(|layer| [(layer, false), (layer, true)]) {
        let (mut g, x, weights, y) = lower(layer.as_ref(), &[40, 6, 8], Mode::Train, masked);
        let square = g.mul(y.value, y.value);
        let loss = g.mean_all(square);
        let by: Vec<Value> = [x].into_iter().chain(weights).collect();
        let gradients = differentiate(&mut g, loss, &by).unwrap();
        gradients.iter().enumerate().for_each(|(i, d)| g.output(&format!("d{i}"), *d));
        let target = CpuTarget::new(Isa::detect());
        let plan = plan(&simplify(&g.finish().unwrap(), &target).unwrap().graph, &target).unwrap();
        let steps = plan.phases.iter().flat_map(|p| &p.chains).flat_map(|c| &c.steps);
        let rows: Vec<Option<usize>> = steps.filter_map(|s| s.body.as_ref()).map(|body| body.rows).collect();
        report.equal(&format!("{layer:?} masked {masked}"), rows, vec![Some(40); 2]);
    }
    report.finish();
}

/// In training, each step is normalised on its own and moves the statistics once.
#[test]
fn a_layer_with_statistics_sees_one_step_after_another() {
    use footlight_nn::{BatchNormalization, TimeDistributed};
    let one = BatchNormalization::new().momentum(0.5);
    let layer = TimeDistributed::new(one.clone());
    let mut rng = Philox::new(RandomKey::new(8));
    let x: Vec<f64> = (0..12).map(|_| rng.normal()).collect();
    let states = |scope: &str| -> Values<f64> {
        let value = |name: &str, x: f64| (format!("{scope}{name}"), NaiveValue::float([2], vec![x, x + 1.0]));
        [value("gamma", 1.5), value("beta", 0.5), value("moving_mean", 0.1), value("moving_variance", 2.0)].into()
    };
    let trained = |layer: &dyn Layer, shape: &[usize], x: Vec<f64>, states: &mut Values<f64>| {
        let (mut g, _, _, y) = lower(layer, shape, Mode::Train, false);
        g.output("y", y.value);
        numbers(&run(&g.finish().unwrap(), &[("x", NaiveValue::float(shape, x))], states)["y"])
    };
    let (mut together, mut apart) = (states("batch_normalization/"), states(""));
    let y = trained(&layer, &[3, 2, 2], x.clone(), &mut together);
    for step in 0..2 {
        let of_step =
            |all: &[f64]| -> Vec<f64> { (0..3).flat_map(|n| all[(n * 2 + step) * 2..][..2].to_vec()).collect() };
        assert_eq!(of_step(&y), trained(&one, &[3, 2], of_step(&x), &mut apart));
    }
    let first = states("");
    for (name, value) in &apart {
        assert_eq!(together[&format!("batch_normalization/{name}")], *value);
        assert_eq!(*value != first[name], name.starts_with("moving"), "{name}");
    }
}

/// First states are those of both directions or none, by position and by name.
#[test]
fn half_of_the_first_states_are_refused() {
    let layer = Bidirectional::new(LSTM::new(2));
    let error = layer.output_shapes(&[vec![3, 4], vec![2], vec![2]]).unwrap_err().to_string();
    assert!(error.contains("initial_state must be some of [2], [2], [2], [2], got [2], [2]"), "{error}");
    let shape = |shape: &[usize]| Type::f32([&[5], shape].concat());
    let mut g = Builder::new();
    let [x, h, c] = [("x", [3, 4].as_slice()), ("h", &[2]), ("c", &[2])].map(|(name, of)| g.input(name, shape(of)));
    let specs = layer.weights_for(&[vec![3, 4]]).unwrap();
    let state = |spec: &WeightSpec| g.state(&spec.name, Type::f32(spec.shape.clone()), Role::Parameter);
    let weights: Vec<Value> = specs.iter().map(state).collect();
    let named = vec![("initial_state".to_string(), vec![Masked::new(h), Masked::new(c)])];
    let call = Call { named: &named, ..Call::new(&mut g, &weights, None, RandomKey::new(0)) };
    layer.call_all(&mut { call }, &[Masked::new(x)]);
    let error = g.finish().unwrap_err().to_string();
    assert!(error.contains("initial_state must be some of"), "{error}");
}

/// A frozen layer keeps no statistics, so all steps are one call of it.
#[test]
fn a_frozen_layer_sees_all_steps_at_once() {
    let nodes = |trainable: bool| {
        let inner = BatchNormalization::new().trainable(trainable);
        let layer = TimeDistributed::new(inner).input_shape([40, 3]);
        let model = Architecture::sequential(layers![layer, Dense::new(1)]).unwrap();
        let compile = Compile::new(Box::new(SGD::new()), Loss::from("mse"), vec![]).unwrap();
        compile.lower_train(&model, 2, 0).unwrap().nodes().len()
    };
    assert!(nodes(true) > 10 * nodes(false), "{} {}", nodes(true), nodes(false));
}
