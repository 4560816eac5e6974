//! Convolution and pooling layers: configurations, values and gradients against Keras, and what is refused.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Role, Type, Value, differentiate};
use footlight_nn::{
    AdaptiveMaxPooling2D, Call, Conv1D, Conv2D, Conv2DTranspose, GlobalAveragePooling1D, Layer, Masked, MaxPooling2D,
    layers,
};
use footlight_tensor::RandomKey;
use serde_json::Value as Json;

/// The output for `x` and these weights, and the gradients of `sum(dy * y)` by the input and the weights.
fn evaluate(
    layer: &dyn Layer,
    x: &NaiveValue<f32>,
    weights: &[NaiveValue<f32>],
    dy: &NaiveValue<f32>,
) -> (NaiveValue<f32>, Vec<NaiveValue<f32>>) {
    let mut g = Builder::new();
    let input = g.input("x", Type::f32(x.shape.clone()));
    let names: Vec<String> = (0..weights.len()).map(|i| format!("w{i}")).collect();
    let states: Vec<Value> =
        names.iter().zip(weights).map(|(n, w)| g.state(n, Type::f32(w.shape.clone()), Role::Parameter)).collect();
    let key = RandomKey::new(0);
    let y = layer.call(&mut Call::new(&mut g, &states, None, key), Masked::new(input)).value;
    let direction = g.input("dy", Type::f32(dy.shape.clone()));
    let product = g.mul(y, direction);
    let scalar = g.sum_all(product);
    let by: Vec<Value> = [input].into_iter().chain(states).collect();
    let gradients = differentiate(&mut g, scalar, &by).unwrap();
    g.output("y", y);
    gradients.iter().enumerate().for_each(|(i, d)| g.output(&format!("d{i}"), *d));
    let mut known: Values<f32> = names.iter().cloned().zip(weights.iter().cloned()).collect();
    let outputs = run(&g.finish().unwrap(), &[("x", x.clone()), ("dy", dy.clone())], &mut known);
    let gradients = (0..gradients.len()).map(|i| outputs[&format!("d{i}")].clone()).collect();
    (outputs["y"].clone(), gradients)
}

fn close(report: &mut Report, case: &str, got: &NaiveValue<f32>, want: &Json, tolerance: Tolerance) {
    report.equal(&format!("{case}: shape"), got.shape.clone(), extents(&want["shape"]));
    report.close(case, &numbers(got), &f64s(&floats(&want["data"])), tolerance);
}

#[test]
fn layers_and_their_gradients_are_those_of_keras() {
    let (record, mut report) = (record("fixtures/convolution.json"), Report::default());
    let tolerance = Tolerance::of(&record);
    let mut classes = Vec::new();
    for case in list(&record["cases"]) {
        let label = format!("{} on {}", case["layer"]["config"], case["x"]["shape"]);
        let layer = match layers::from_config(&case["layer"]) {
            Ok(layer) => layer,
            Err(error) => {
                report.fail(&label, error);
                continue;
            }
        };
        layer.check().unwrap();
        let (x, dy): (NaiveValue<f32>, _) = (tensor(&case["x"]), tensor(&case["dy"]));
        let specs: Vec<(String, Vec<usize>)> =
            layer.weights(&x.shape[1..]).unwrap().into_iter().map(|s| (s.name.to_string(), s.shape)).collect();
        let want: Vec<_> =
            list(&case["weights"]).iter().map(|w| (text(&w["name"]).to_string(), extents(&w["shape"]))).collect();
        report.equal(&format!("{label}: weights"), specs, want);
        let weights: Vec<NaiveValue<f32>> = list(&case["weights"]).iter().map(tensor).collect();
        let (y, gradients) = evaluate(layer.as_ref(), &x, &weights, &dy);
        close(&mut report, &format!("{label}: y"), &y, &case["y"], tolerance);
        close(&mut report, &format!("{label}: dx"), &gradients[0], &case["dx"], tolerance);
        for (i, (gradient, want)) in gradients[1..].iter().zip(list(&case["gradients"])).enumerate() {
            close(&mut report, &format!("{label}: gradient {i}"), gradient, want, tolerance);
        }
        let written = layers::to_config(layer.as_ref(), "layer", None);
        report.equal(&format!("{label}: written"), unexpected(&written, &case["layer"]), vec![]);
        classes.push(layer.class_name());
    }
    for class in layers::CLASSES.iter().filter(|class| class.contains("Conv") || class.contains("Pooling")) {
        report.equal(&format!("{class} has a case"), classes.contains(class), true);
    }
    report.finish();
}

/// Where this crate writes something else on purpose: keys that are null are left out where Keras has not always written
/// them, and so are shapes to build from.
fn unexpected(got: &Json, want: &Json) -> Vec<String> {
    let keys = ["input_axes", "output_axes", "activity_regularizer", "build_config"];
    let ends = keys.map(|key| format!("{key} is missing"));
    let is_meant = |d: &String| ends.iter().any(|end| d.ends_with(end.as_str())) || d.contains("seed: null, not ");
    differences(got, want).into_iter().filter(|d| !is_meant(d)).collect()
}

#[test]
fn a_mask_hides_positions_from_the_mean() {
    let mut g = Builder::new();
    let (x, mask) = (g.input("x", Type::f32([1, 3, 2])), g.input("mask", Type::f32([1, 3])));
    let mut call = Call::new(&mut g, &[], None, RandomKey::new(0));
    let y = GlobalAveragePooling1D::new().call(&mut call, Masked { value: x, mask: Some(mask) });
    g.output("y", y.value);
    let x = NaiveValue::float([1, 3, 2], vec![1.0, 2.0, f64::NAN, f64::INFINITY, 3.0, 6.0]);
    let mask = NaiveValue::float([1, 3], vec![1.0, 0.0, 1.0]);
    let outputs = run(&g.finish().unwrap(), &[("x", x), ("mask", mask)], &mut Values::new());
    assert_eq!(numbers(&outputs["y"]), [2.0, 4.0]);
}

#[test]
fn what_does_not_fit_is_told() {
    let told = |result: Result<Vec<usize>, footlight_nn::Error>, want: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(want), "{message}");
    };
    told(Conv2D::new(2, 3).output_shape(&[28, 28]), "needs samples of 2 spatial axes and channels, got shape [28, 28]");
    told(
        Conv2D::new(2, [3, 9]).output_shape(&[8, 8, 1]),
        "spans 9 on spatial axis 1 does not fit into samples of [8, 8]",
    );
    told(Conv2D::new(4, 1).groups(2).output_shape(&[8, 8, 3]), "3 channels do not divide into 2 groups");
    told(MaxPooling2D::new(4).output_shape(&[3, 8, 3]), "spans 4 on spatial axis 0");
    let refused = |layer: &dyn Layer, want: &str| {
        let message = layer.check().unwrap_err().to_string();
        assert!(message.contains(want), "{message}");
    };
    refused(&Conv2D::new(0, 3), "filters = 0");
    refused(&Conv2D::new(3, [3, 0]), "`kernel_size` = [3, 0]");
    refused(&Conv2D::new(3, 3).groups(2), "filters = 3 do not divide into groups = 2");
    refused(&Conv2D::new(3, 3).padding("causal"), "unknown padding `causal`");
    refused(&Conv1D::new(3, 3).padding("smae"), "did you mean `same`?");
    refused(&Conv2DTranspose::new(3, 3).strides([2, 1]).output_padding(1), "must be below strides [2, 1]");
    refused(&AdaptiveMaxPooling2D::new([2, 0]), "`output_size` = [2, 0]");
}
