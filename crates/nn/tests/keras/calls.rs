//! Layers called on several values against what Keras computes: answers, gradients, masks, weights and settings of calls.

use crate::layers::ON_PURPOSE;
use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Role, Type, Value, differentiate};
use footlight_nn::{Call, Layer, Masked, layers};
use footlight_tensor::RandomKey;
use serde_json::Value as Json;

fn record_of_calls() -> Json {
    record("fixtures/calls.json")
}

fn label(at: usize, case: &Json) -> String {
    let masks = list(&case["masks"]).iter().filter(|mask| !mask.is_null()).count();
    format!("{at}: {} with {masks} masks, {}", text(&case["layer"]["class_name"]), case["options"])
}

fn layer_of(case: &Json) -> Box<dyn Layer> {
    let mut layer = layers::from_config(&case["layer"]).unwrap();
    for (key, value) in case["options"].as_object().unwrap() {
        layer.set_call_option(key, value).unwrap();
    }
    layer.check().unwrap();
    layer
}

fn value(record: &Json) -> NaiveValue<f32> {
    NaiveValue::float(extents(&record["shape"]), floats(&record["data"]))
}

/// Records as inputs of a graph; what is null is left out.
#[derive(Default)]
struct Feeds(Vec<(String, NaiveValue<f32>)>);

impl Feeds {
    fn input(&mut self, g: &mut Builder, name: &str, record: &Json) -> Value {
        let value = value(record);
        let input = g.input(name, Type::f32(value.shape.clone()));
        self.0.push((name.into(), value));
        input
    }
}

/// Outputs, their masks, and the gradients by the inputs and weights, under names of their own.
fn answer(layer: &dyn Layer, case: &Json) -> Values<f32> {
    let (mut g, mut feeds) = (Builder::new(), Feeds::default());
    let inputs: Vec<Masked> = list(&case["inputs"])
        .iter()
        .enumerate()
        .map(|(at, x)| {
            let value = feeds.input(&mut g, &format!("x{at}"), x);
            let mask = case["masks"].get(at).filter(|mask| !mask.is_null());
            Masked { value, mask: mask.map(|mask| feeds.input(&mut g, &format!("mask{at}"), mask)) }
        })
        .collect();
    let named = case["named"].as_object().unwrap().iter();
    let named: Vec<(String, Vec<Masked>)> =
        named.map(|(name, value)| (name.clone(), vec![Masked::new(feeds.input(&mut g, name, value))])).collect();
    let specs = layer.weights_for(&shapes(case)).unwrap();
    let weights: Vec<Value> =
        specs.iter().map(|s| g.state(&s.name, Type::f32(s.shape.clone()), Role::Parameter)).collect();
    let call = Call::new(&mut g, &weights, None, RandomKey::new(0));
    let outputs = layer.call_all(&mut Call { named: &named, ..call }, &inputs);
    let mut scalar = g.constant(0.0);
    for (at, (y, dy)) in outputs.iter().zip(list(&case["dy"])).enumerate() {
        g.output(&format!("y{at}"), y.value);
        y.mask.into_iter().for_each(|mask| g.output(&format!("y{at} mask"), mask));
        let dy = feeds.input(&mut g, &format!("dy{at}"), dy);
        let product = g.mul(y.value, dy);
        let sum = g.sum_all(product);
        scalar = g.add(scalar, sum);
    }
    let by_input = inputs.iter().enumerate().map(|(at, x)| (format!("dx{at}"), x.value));
    let by_weight = specs.iter().zip(&weights).map(|(spec, weight)| (format!("d{}", spec.name), *weight));
    let by: Vec<(String, Value)> = by_input.chain(by_weight).collect();
    let gradients = differentiate(&mut g, scalar, &by.iter().map(|(_, v)| *v).collect::<Vec<_>>()).unwrap();
    by.iter().zip(gradients).for_each(|((name, _), gradient)| g.output(name, gradient));
    let weights = case["weights"].as_object().unwrap().iter();
    let mut known = weights.map(|(name, weight)| (name.clone(), value(weight))).collect();
    let feeds: Vec<(&str, NaiveValue<f32>)> =
        feeds.0.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    run(&g.finish().unwrap(), &feeds, &mut known)
}

fn shapes(case: &Json) -> Vec<Vec<usize>> {
    list(&case["inputs"]).iter().map(|x| extents(&x["shape"])[1..].to_vec()).collect()
}

#[test]
fn calls_on_several_values_answer_as_those_of_keras() {
    let (record, mut report) = (record_of_calls(), Report::default());
    let tolerance = Tolerance::of(&record);
    for (at, case) in list(&record["calls"]).iter().enumerate() {
        let (name, layer) = (label(at, case), layer_of(case));
        let got = answer(layer.as_ref(), case);
        let mut want: Vec<(String, &Json)> = Vec::new();
        want.extend(list(&case["y"]).iter().enumerate().map(|(at, y)| (format!("y{at}"), y)));
        want.push(("y0 mask".into(), &case["mask"]));
        want.extend(list(&case["dinputs"]).iter().enumerate().map(|(at, dx)| (format!("dx{at}"), dx)));
        want.extend(case["dweights"].as_object().unwrap().iter().map(|(name, dw)| (format!("d{name}"), dw)));
        want.retain(|(_, value)| !value.is_null());
        report.equal(&format!("{name}: values"), got.len(), want.len());
        for (what, want) in want {
            let Some(got) = got.get(&what) else {
                report.fail(&name, format!("no {what}"));
                continue;
            };
            report.equal(&format!("{name}: shape of {what}"), got.shape.clone(), extents(&want["shape"]));
            report.close(&format!("{name}: {what}"), &numbers(got), &f64s(&floats(&want["data"])), tolerance);
        }
        let told = layer.output_shapes(&shapes(case)).unwrap();
        let shape = |y: &Json| extents(&y["shape"])[1..].to_vec();
        report.equal(&format!("{name}: shapes"), told, list(&case["y"]).iter().map(shape).collect::<Vec<_>>());
        report.equal(&format!("{name}: settings"), layer.call_options().into(), case["options"].clone());
    }
    report.finish();
}

#[test]
fn weights_of_layers_of_several_inputs_have_the_names_and_order_of_keras() {
    let (record, mut report) = (record_of_calls(), Report::default());
    for (at, case) in list(&record["calls"]).iter().enumerate() {
        let specs = layer_of(case).weights_for(&shapes(case)).unwrap();
        let got: Vec<(String, Vec<usize>)> = specs.iter().map(|s| (s.name.to_string(), s.shape.clone())).collect();
        let want = case["weights"].as_object().unwrap().iter();
        let want: Vec<(String, Vec<usize>)> = want.map(|(name, w)| (name.clone(), extents(&w["shape"]))).collect();
        let sorted = |mut all: Vec<(String, Vec<usize>)>| {
            all.sort();
            all
        };
        report.equal(&label(at, case), sorted(got), sorted(want));
    }
    report.finish();
}

#[test]
fn configurations_of_layers_of_several_inputs_are_written_as_keras_writes_them() {
    let (record, mut report) = (record_of_calls(), Report::default());
    for (at, case) in list(&record["calls"]).iter().enumerate() {
        let written = layers::to_config(layer_of(case).as_ref(), text(&case["layer"]["config"]["name"]), None);
        let is_meant = |told: &String| ON_PURPOSE.iter().any(|known| told.starts_with(known) || told.ends_with(known));
        let told: Vec<String> = differences(&written, &case["layer"]).into_iter().filter(|d| !is_meant(d)).collect();
        report.equal(&label(at, case), told, vec![]);
    }
    report.finish();
}
