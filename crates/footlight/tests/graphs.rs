//! Models as graphs of calls: what they share, what stays as it is, and what they refuse.

use footlight::nn::Architecture;
use footlight::prelude::*;
use serde_json::json;

fn quiet() -> Fit<'static> {
    Fit::new().progress(Progress::None)
}

fn data() -> (Samples, Samples) {
    let x = (0..60).map(|i| ((i * 37) % 60) as f32 / 30.0 + 3.0).collect::<Vec<f32>>();
    let y = x.chunks(3).map(|x| x[0] - x[2]).collect::<Vec<f32>>();
    (Tensor::new([20, 3], x).unwrap().into(), Tensor::new([20, 1], y).unwrap().into())
}

/// A frozen model within another keeps its moving statistics and is normalized by them, as in Keras.
#[test]
fn a_frozen_model_within_another_changes_in_nothing() {
    let (x, y) = data();
    let base = Sequential::new(layers![Dense::new(4).input_shape([3]), BatchNormalization::new()]).unwrap();
    let input = Input::new([3]).symbol();
    let features = base.layer().unwrap().name("base").trainable(false).on(&input);
    let head = Dense::new(1).on(&features);
    let mut model = Functional::new([&input], [&head]).unwrap();
    model.compile("sgd", "mse", []).unwrap();
    // While training it answers as it does otherwise: by the batch's statistics the first loss would be another.
    let expected = model.evaluate(&x, &y).unwrap().loss();
    let history = model.fit(&x, &y, quiet().batch_size(20)).unwrap();
    let first = history.get("loss").unwrap()[0];
    assert!((first - expected).abs() < 1e-5 * expected, "{first} for {expected}");
    assert_eq!(model.architecture().trainable_weights().count(), 2);
    for weight in base.architecture().weights() {
        let now = model.state(&format!("base/{}", weight.path));
        assert_eq!(now, base.state(&weight.path), "{}", weight.path);
    }
}

#[test]
fn a_shared_layer_learns_from_all_its_calls() {
    let (x, y) = data();
    let (left, right) = (Input::new([3]).name("left").symbol(), Input::new([3]).name("right").symbol());
    let tower = Shared::new(Dense::new(1).use_bias(false).kernel_initializer("zeros"));
    let difference = &tower.on(&left) - &tower.on(&right);
    let mut model = Functional::new([&left, &right], [&difference]).unwrap();
    model.compile(SGD::new().learning_rate(0.1), "mse", []).unwrap();
    // On the same samples both calls cancel each other: there is nothing to learn.
    model.fit([&x, &x], &y, quiet()).unwrap();
    assert_eq!(model.state("dense/kernel").unwrap().to_f32(), [0.0; 3]);
    model.fit([("right", &(x.clone() * 0.0)), ("left", &x)], &y, quiet()).unwrap();
    assert!(model.state("dense/kernel").unwrap().to_f32().iter().all(|w| *w != 0.0));
}

#[test]
fn what_no_model_can_be_is_told() {
    let node = |name: &str| {
        json!({ "args": [{ "class_name": "__keras_tensor__",
        "config": { "shape": [null, 3], "dtype": "float32", "keras_history": [name, 0, 0] } }], "kwargs": {} })
    };
    let layer = |class: &str, name: &str, nodes: serde_json::Value| {
        let mut config = json!({ "name": name });
        match class {
            "Dense" => config["units"] = 3.into(),
            "InputLayer" => config["batch_shape"] = json!([null, 3]),
            _ => {}
        }
        json!({ "module": "keras.layers", "class_name": class, "config": config, "registered_name": null, "name": name,
            "inbound_nodes": nodes })
    };
    let told = |layers: Vec<serde_json::Value>, output: &str| {
        let config =
            json!({ "name": "m", "layers": layers, "input_layers": ["x", 0, 0], "output_layers": [output, 0, 0] });
        let value = json!({ "module": "keras", "class_name": "Functional", "config": config });
        Architecture::from_config(&value).map(|_| "a model".to_string()).unwrap_or_else(|error| error.to_string())
    };
    let x = || layer("InputLayer", "x", json!([]));
    let cases = [
        (told(vec![x(), layer("Dense", "a", json!([node("x")]))], "a"), "a model"),
        (told(vec![x(), layer("Dense", "a", json!([node("b")]))], "a"), "reads output 0 of call 0 of layer `b`, which"),
        (
            told(vec![x(), layer("Dense", "a", json!([node("b")])), layer("Dense", "b", json!([node("a")]))], "a"),
            "is called on what depends on it",
        ),
        (told(vec![x(), layer("Dense", "a", json!([{ "args": [], "kwargs": {} }]))], "a"), "takes one input, got 0"),
        (told(vec![x(), layer("Concatenate", "a", json!([{ "args": [], "kwargs": {} }]))], "a"), "got none"),
        (told(vec![x(), layer("Add", "a", json!([node("x")]))], "a"), "merges at least two inputs, got 1"),
        (told(vec![x(), layer("Dense", "x", json!([node("x")]))], "x"), "2 layers are called `x`"),
        (
            told(vec![x(), layer("Dense", "a", json!([node("x")]))], "c"),
            "the model: reads output 0 of call 0 of layer `c`, which is never made",
        ),
    ];
    for (told, expected) in cases {
        assert!(told.contains(expected), "expected `{expected}` in:\n{told}");
    }

    // Calls that stand in the opposite order are put right in good time.
    let chain = (0..3_000).rev().map(|i| {
        let before = if i == 0 { "x".into() } else { format!("l{}", i - 1) };
        layer("Identity", &format!("l{i}"), json!([node(&before)]))
    });
    let layers = chain.chain([x()]).collect();
    assert_eq!(told(layers, "l2999"), "a model");

    let inputs: Vec<Symbol> = (0..40).map(|_| Input::new([1]).symbol()).collect();
    let sum = footlight::nn::layers::Add::new().on(inputs.clone());
    let mut model = Functional::new(inputs, [&sum]).unwrap();
    let one = Samples::from(Tensor::new([1, 1], vec![1.0f32]).unwrap());
    let all: Vec<(String, Samples)> =
        model.architecture().inputs().iter().map(|input| (input.name.clone(), one.clone())).collect();
    let error = model.predict(SamplesList::from(all)).unwrap_err();
    assert!(error.message().contains("at most 31 inputs and outputs together"), "{error}");

    let input = Input::new([3]).symbol();
    let (a, b) = (Dense::new(1).on(&input), Dense::new(1).on(&input));
    let mut model = Functional::new([&input], [&a, &b]).unwrap();
    model.compile("sgd", "mse", []).unwrap();
    let (x, y) = data();
    let error = model.fit(&x, [&y, &y], quiet().class_weight([(0, 2.0)])).unwrap_err();
    assert!(error.message().contains("class_weight is given for a model of 2 outputs"), "{error}");
    let hidden = Input::new([3]).name("hidden").symbol();
    let error = Functional::new([&input], [&Dense::new(1).on(&hidden)]).unwrap_err();
    assert!(error.message().contains("depend on input `hidden`, which is not among the inputs"), "{error}");
}
