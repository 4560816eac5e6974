//! Layers against what Keras computes: answers, gradients, masks and configurations.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Op, Role, Type, Value, differentiate};
use footlight_nn::{BatchNormalization, Call, Layer, Masked, MultiHeadAttention, Normalization, layers};
use footlight_tensor::{Philox, RandomKey, Tensor};
use serde_json::Value as Json;

fn cases() -> (Json, Tolerance) {
    let record = record("fixtures/layers.json");
    (record["layers"].clone(), Tolerance::of(&record))
}

fn label(case: &Json) -> String {
    let class = text(&case["layer"]["class_name"]);
    format!("{class} {} on {}", case["layer"]["config"]["name"], case["x"]["shape"])
}

/// Output, mask, and gradients by the input and the trained weights, under the names of the record.
fn answer(layer: &dyn Layer, case: &Json) -> Values<f32> {
    let (x, dy) = (tensor::<f32>(&case["x"]), tensor::<f32>(&case["dy"]));
    let mut g = Builder::new();
    let (xv, dyv) = (g.input("x", Type::f32(x.shape.clone())), g.input("dy", Type::f32(dy.shape.clone())));
    let specs = layer.weights(&x.shape[1..]).unwrap();
    let role = |trainable| if trainable { Role::Parameter } else { Role::Statistic };
    let weights: Vec<Value> =
        specs.iter().map(|s| g.state(&s.name, Type::f32(s.shape.clone()), role(s.trainable))).collect();
    let mut call = Call::new(&mut g, &weights, None, RandomKey::new(0));
    let y = layer.call(&mut call, Masked::new(xv));
    let product = g.mul(y.value, dyv);
    let scalar = g.sum_all(product);
    let named = specs.iter().zip(&weights).filter(|(spec, _)| spec.trainable).map(|(spec, v)| (spec.name.as_ref(), *v));
    let x_itself = Some(("x", xv)).filter(|_| case.get("dx").is_some());
    for (name, value) in x_itself.into_iter().chain(named) {
        let gradient = differentiate(&mut g, scalar, &[value]).unwrap()[0];
        g.output(&format!("d{name}"), gradient);
    }
    g.output("y", y.value);
    y.mask.into_iter().for_each(|mask| g.output("mask", mask));
    let weights = case["weights"].as_object().expect("an object");
    let value = |value: &Json| NaiveValue::float(extents(&value["shape"]), floats(&value["data"]));
    let mut known = weights.iter().map(|(name, weight)| (name.clone(), value(weight))).collect();
    run(&g.finish().unwrap(), &[("x", value(&case["x"])), ("dy", value(&case["dy"]))], &mut known)
}

#[test]
fn layers_answer_as_those_of_keras() {
    let ((cases, tolerance), mut report) = (cases(), Report::default());
    for case in list(&cases) {
        let (name, layer) = (label(case), layers::from_config(&case["layer"]).unwrap());
        layer.check().unwrap();
        let specs = layer.weights(&extents(&case["x"]["shape"])[1..]).unwrap();
        let weights = case["weights"].as_object().expect("an object");
        report.equal(&format!("{name}: weights"), specs.len(), weights.len());
        for spec in &specs {
            let case_of = |what: &str| format!("{name}: {what} of {}", spec.name);
            report.equal(&case_of("shape"), spec.shape.clone(), extents(&weights[spec.name.as_ref()]["shape"]));
            let trainable = list(&case["trainable"]).iter().any(|known| text(known) == spec.name);
            report.equal(&case_of("training"), spec.trainable, trainable);
        }
        let got = answer(layer.as_ref(), case);
        let mut close = |what: &str, want: &Json| {
            let Some(got) = got.get(what) else { return report.fail(&name, format!("no {what}")) };
            report.equal(&format!("{name}: shape of {what}"), got.shape.clone(), extents(&want["shape"]));
            report.close(&format!("{name}: {what}"), &numbers(got), &f64s(&floats(&want["data"])), tolerance);
        };
        close("y", &case["y"]);
        ["dx", "mask"].iter().filter_map(|key| Some((key, case.get(*key)?))).for_each(|(key, want)| close(key, want));
        for (weight, want) in case["dweights"].as_object().expect("an object") {
            close(&format!("d{weight}"), want);
        }
        report.equal(&format!("{name}: has a mask"), got.contains_key("mask"), case.get("mask").is_some());
    }
    report.finish();
}

/// Where something else is written, which Keras reads the same: keys that are null are left out, an axis is a list as Keras
/// writes it once built, the type is always a policy.
pub const ON_PURPOSE: [&str; 10] = [
    "input_axes is missing",
    "output_axes is missing",
    "config.activity_regularizer is missing",
    "axis: [-1], not -1",
    "axis: 2, not [2]",
    "axes: [2,2], not 2",
    "config.dtype: ",
    "config.renorm is missing",
    "config.renorm_clipping is missing",
    "config.renorm_momentum is missing",
];

#[test]
fn configurations_are_written_as_keras_writes_them() {
    let ((cases, _), mut report) = (cases(), Report::default());
    for case in list(&cases) {
        let layer = layers::from_config(&case["layer"]).unwrap();
        let written = layers::to_config(layer.as_ref(), text(&case["layer"]["config"]["name"]), None);
        let is_meant = |told: &String| ON_PURPOSE.iter().any(|known| told.starts_with(known) || told.ends_with(known));
        let told: Vec<String> = differences(&written, &case["layer"]).into_iter().filter(|d| !is_meant(d)).collect();
        report.equal(&label(case), told, vec![]);
    }
    report.finish();
}

#[test]
fn every_layer_has_two_cases_or_more() {
    let files = [("layers", "layers"), ("calls", "calls"), ("recurrent", "cases"), ("convolution", "cases")];
    let of_file = |(file, key): (&str, &str)| list(&record(&format!("fixtures/{file}.json"))[key]).to_vec();
    let class = |case: &Json| text(&case["layer"]["class_name"]).to_string();
    let mut cases: Vec<String> = files.into_iter().flat_map(of_file).map(|case| class(&case)).collect();
    cases.extend(list(&record("fixtures/ops.json")["activations"]).iter().map(|case| text(&case["name"]).to_string()));
    for class in layers::CLASSES.iter().filter(|class| **class != "InputLayer") {
        let count = cases.iter().filter(|case| case == class).count();
        assert!(count >= 2, "{count} cases of {class} in fixtures/gen, add some of other arguments");
    }
}

/// Mean and population variance along the kept axes, worked out by hand.
#[test]
fn a_normalization_adapts_to_its_data() {
    let data = Tensor::new([2, 2, 2], vec![1.0, 10.0, 3.0, 20.0, 5.0, 30.0, 7.0, 40.0]).unwrap();
    let config = |layer: Normalization| layer.adapt(&data).unwrap().config();
    let last = config(Normalization::new());
    assert_eq!((&last["mean"], &last["variance"]), (&[4.0, 25.0].into(), &[5.0, 125.0].into()));
    let whole = config(Normalization::new().axis([]));
    assert_eq!((&whole["mean"], &whole["variance"]), (&14.5.into(), &175.25.into()));
    let both = config(Normalization::new().axis([1, 2]));
    assert_eq!(both["mean"], serde_json::json!([[3.0, 20.0], [5.0, 30.0]]));
    assert_eq!(both["variance"], serde_json::json!([[4.0, 100.0], [4.0, 100.0]]));
}

#[test]
fn a_softmax_gives_what_its_mask_leaves_out_no_probability() {
    let mut g = Builder::new();
    let (x, mask) = (g.input("x", Type::f32([2, 3])), g.input("mask", Type::f32([2, 3])));
    let mut call = Call::new(&mut g, &[], None, RandomKey::new(0));
    let y = footlight_nn::SoftmaxLayer::new().call(&mut call, Masked { value: x, mask: Some(mask) });
    g.output("y", y.value);
    let feeds = [
        ("x", NaiveValue::<f64>::float([2, 3], vec![1.0, 1.0, 9.0, 1.0, 2.0, 3.0])),
        ("mask", NaiveValue::float([2, 3], vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0])),
    ];
    let y = run(&g.finish().unwrap(), &feeds, &mut Values::new());
    assert_eq!(numbers(&y["y"]), [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
}

/// A kernel of three axes begins as the matrix would that it stands for.
#[test]
fn the_fans_of_an_einsum_are_what_is_summed_and_what_stays() {
    use footlight_nn::{Architecture, EinsumDense};
    for (equation, output_shape, fan_in, fan_out) in
        [("abc,cde->abde", [-1, 20, 30].as_slice(), 40, 600), ("abcd,cde->abe", &[-1, 30], 80, 30)]
    {
        let input = if equation.starts_with("abcd") { vec![5, 4, 20] } else { vec![5, 40] };
        let layer = EinsumDense::new(equation, output_shape).input_shape(input);
        let model = Architecture::sequential(vec![Box::new(layer)]).unwrap();
        let kernel = model.initial_values(3).next().unwrap().2.to_f64();
        let limit = (6.0 / f64::from(fan_in + fan_out)).sqrt();
        let largest = kernel.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        assert!(largest <= limit && largest > 0.99 * limit, "{equation}: {largest} of {limit}");
    }
}

/// Statistics along another axis are those along the last of samples that are turned.
#[test]
fn a_batch_normalization_along_another_axis_is_that_of_turned_samples() {
    let run_of = |turn: bool, axis: i64| {
        let layer = BatchNormalization::new().axis(axis).momentum(0.5);
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([4, 3, 2]));
        let step = g.constant_i32(0);
        let specs = layer.weights(if turn { &[2, 3] } else { &[3, 2] }).unwrap();
        let states: Vec<Value> =
            specs.iter().map(|s| g.state(&s.name, Type::f32(s.shape.clone()), Role::Statistic)).collect();
        let turned = if turn { g.transpose(x, [0, 2, 1]) } else { x };
        let mut call = Call::new(&mut g, &states, Some(step), RandomKey::new(0));
        let y = layer.call(&mut call, Masked::new(turned)).value;
        let y = if turn { g.transpose(y, [0, 2, 1]) } else { y };
        g.output("y", y);
        for (spec, state) in specs.iter().zip(&states) {
            let next = g.next_of(*state);
            g.output(&format!("next {}", spec.name), next);
        }
        let x = NaiveValue::float([4, 3, 2], (0..24).map(|i| (i * i % 17) as f32).collect());
        let value = |(index, spec): (usize, &footlight_nn::WeightSpec)| {
            let numbers = (0..3).map(|i| 0.5 + i as f32 + index as f32 / 10.0).collect();
            (spec.name.to_string(), NaiveValue::float([3], numbers))
        };
        let mut known = specs.iter().enumerate().map(value).collect::<Values<f32>>();
        run(&g.finish().unwrap(), &[("x", x)], &mut known)
    };
    let (along, turned) = (run_of(false, 1), run_of(true, -1));
    assert_eq!(along.len(), 5);
    for (name, value) in &along {
        assert_eq!(numbers(value), numbers(&turned[name]), "{name}");
    }
}

/// Attention under a causal mask alone, and under one of padding too that hides nothing: values and gradients are the same,
/// and only the first one leaves half of each matrix out.
#[test]
fn causal_attention_that_leaves_half_out_answers_what_a_mask_does() {
    let of = |is_padded: bool| {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([2, 5, 4]));
        let one = g.constant(1.0);
        let mask = is_padded.then(|| g.broadcast(one, [2, 5]));
        let layer = MultiHeadAttention::new(2, 3).use_causal_mask(true);
        let specs = layer.weights_for(&[vec![5, 4], vec![5, 4]]).unwrap();
        let weights: Vec<Value> = specs.iter().map(|spec| g.input(&spec.name, Type::f32(spec.shape.clone()))).collect();
        let mut call = Call::new(&mut g, &weights, None, RandomKey::new(0));
        let y = layer.call_all(&mut call, &[Masked { value: x, mask }; 2])[0].value;
        let squares = g.mul(y, y);
        let sum = g.sum_all(squares);
        let by: Vec<Value> = [x].into_iter().chain(weights).collect();
        let gradients = differentiate(&mut g, sum, &by).unwrap();
        g.output("y", y);
        gradients.iter().enumerate().for_each(|(i, gradient)| g.output(&format!("d{i}"), *gradient));
        let graph = g.finish().unwrap();
        let lower =
            graph.nodes().iter().filter(|node| matches!(&node.op, Op::MatMul(op) if op.lower.is_some())).count();
        let mut draw = Philox::new(RandomKey::new(3));
        let mut drawn = |ty: &Type| (0..ty.len()).map(|_| draw.normal()).collect();
        let feed =
            |(name, value)| (name, NaiveValue::float(graph.type_of(value).shape.clone(), drawn(graph.type_of(value))));
        let feeds: Vec<(&str, NaiveValue<f64>)> = graph.inputs().map(feed).collect();
        (run(&graph, &feeds, &mut Values::new()), lower)
    };
    let ((half, lower), (whole, none)) = (of(false), of(true));
    // Scores and what is found, and both gradients of each.
    assert_eq!((lower, none), (6, 0));
    assert_eq!(half.len(), whole.len());
    for (name, want) in &whole {
        for (got, want) in numbers(&half[name]).iter().zip(numbers(want)) {
            assert!((got - want).abs() <= 1e-12 * (1.0 + want.abs()), "{name}: {got}, {want}");
        }
    }
}
