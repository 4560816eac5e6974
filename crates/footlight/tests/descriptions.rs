//! Graphs in run descriptions: they are the models that calls make, and their faults are told with their lines.

use common::{check, told};
use footlight::description::Description;
use footlight::nn::layers::Add;
use footlight::prelude::*;

mod common;

const RESIDUAL: &str = include_str!("../../../examples/runs/mnist_residual.toml");

const COMPILE: &str = "[compile]\noptimizer = 'sgd'\nloss = 'mse'\n";

/// A causal block of a language model.
const CAUSAL: &str = r#"
[[model.inputs]]
name = "tokens"
shape = [6]

[model]
layers = [
    { class = "Embedding", input_dim = 20, output_dim = 8, name = "words" },
    { operator = "ones_like", inputs = "tokens" },
    { operator = "cumsum", axis = 1 },
    { class = "Embedding", input_dim = 7, output_dim = 8, name = "positions" },
    { class = "Add", inputs = ["words", "positions"], name = "x" },

    { class = "LayerNormalization", name = "a" },
    { class = "MultiHeadAttention", num_heads = 2, key_dim = 4, name = "attention", inputs = ["a", "a"], call = { use_causal_mask = true } },
    { class = "Add", inputs = ["x", "attention"], name = "y" },
    { class = "LayerNormalization" },
    { class = "Dense", units = 16, activation = "gelu" },
    { class = "Dense", units = 8, name = "b" },
    { class = "Add", inputs = ["y", "b"] },
    { class = "Dense", units = 20, activation = "softmax" },
]
"#;

fn model(text: &str) -> Model {
    let text = format!("{text}\n{COMPILE}");
    Description::parse("run.toml", &text, &[]).and_then(|run| run.model()).unwrap()
}

/// Gives a model the weights of another, in order.
fn take_weights(model: &mut Model, other: &Model) {
    let paths = |model: &Model| model.architecture().weights().iter().map(|w| w.path.clone()).collect::<Vec<_>>();
    let (from, to) = (paths(other), paths(model));
    assert_eq!(from.len(), to.len());
    for (from, to) in from.iter().zip(&to) {
        model.set_state(to, &other.state(from).unwrap()).unwrap();
    }
}

fn tokens(count: usize, steps: usize) -> Samples {
    let numbers: Vec<i32> = (0..count * steps).map(|i| (i * 7 % 20) as i32).collect();
    Samples::from(Tensor::new([count, steps], numbers).unwrap())
}

#[test]
fn a_causal_block_is_the_one_that_calls_make() {
    let mut described = model(CAUSAL);
    let x = Input::new([6]).name("tokens").symbol();
    let ones = footlight::nn::layers::Operator::ones_like().on(&x);
    let place = footlight::nn::layers::Operator::cumsum(1).on(&ones);
    let words = Embedding::new(20, 8).on(&x);
    let sum = Add::new().on([&words, &Embedding::new(7, 8).on(&place)]);
    let a = LayerNormalization::new().on(&sum);
    let attention = MultiHeadAttention::new(2, 4).use_causal_mask(true).on([&a, &a]);
    let y = Add::new().on([&sum, &attention]);
    let b = Dense::new(16).activation("gelu").on(&LayerNormalization::new().on(&y));
    let b = Dense::new(8).on(&b);
    let out = Dense::new(20).activation("softmax").on(&Add::new().on([&y, &b]));
    let mut called = Functional::new([&x], [&out]).unwrap();
    take_weights(&mut called, &described);
    assert_eq!(described.predict(&tokens(3, 6)).unwrap(), called.predict(&tokens(3, 6)).unwrap());

    // A later token changes nothing before it, and its place something at it.
    let answer = |model: &mut Model, last: i32| {
        model.predict(&Samples::from(Tensor::new([1, 6], vec![4, 4, 4, 4, 4, last]).unwrap())).unwrap().to_f32()
    };
    let (one, other) = (answer(&mut described, 4), answer(&mut described, 5));
    assert_eq!(one[..5 * 20], other[..5 * 20]);
    assert!(one[5 * 20..] != other[5 * 20..] && one[..20] != one[20..40]);
}

#[test]
fn the_residual_example_takes_its_shape_from_the_data() {
    let mut run = model(RESIDUAL.split("[compile]").next().unwrap());
    assert!(run.summary().contains("shortcut_2 (Conv2D)"));
    let x = Samples::from(Tensor::new([2, 28, 28], vec![0.5f32; 2 * 784]).unwrap());
    assert_eq!(run.predict(&x).unwrap().shape(), [2, 10]);
    assert_eq!(run.architecture().to_config()["config"]["layers"][0]["config"]["batch_shape"][1], 28);
}

#[test]
fn layers_are_called_again_on_several_inputs_and_give_several_outputs() {
    let text = r#"
[model]
inputs = ["left", "right"]
outputs = ["distance", "memory[1]"]
layers = [
    { class = "Dense", units = 4, name = "tower", inputs = "left", activation = "tanh" },
    { layer = "tower", inputs = "right", name = "other" },
    { class = "Subtract", inputs = ["tower", "other"] },
    { operator = "multiply", inputs = ["subtract", 2] },
    { class = "Dense", units = 1, name = "distance" },
    { class = "Reshape", target_shape = [2, 2], inputs = "other" },
    { class = "LSTM", units = 3, return_state = true, name = "memory", call = { training = false } },
]
"#;
    let mut described = model(text);
    let (left, right) = (Input::new([3]).name("left").symbol(), Input::new([3]).name("right").symbol());
    let tower = Shared::new(Dense::new(4).activation("tanh"));
    let (a, b) = (tower.on(&left), tower.on(&right));
    let distance = Dense::new(1).on(&(&(&a - &b) * 2.0));
    let memory = Shared::new(LSTM::new(3).return_state(true)).infer_on(&Reshape::new([2, 2]).on(&b)).output(1);
    let mut called = Functional::new([&left, &right], [&distance, &memory]).unwrap();
    let x = Samples::from(Tensor::new([2, 3], vec![0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6]).unwrap());
    let y = Samples::from(Tensor::new([2, 3], vec![0.9f32, 0.2, 0.1, 0.4, 0.3, 0.6]).unwrap());
    let got = described.predict_all([&x, &y]).unwrap();
    assert_eq!((got[0].shape(), got[1].shape()), (&[2, 1][..], &[2, 3][..]));
    called.predict_all([&x, &y]).unwrap();
    take_weights(&mut called, &described);
    assert_eq!(called.predict_all([&x, &y]).unwrap(), got);
}
