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

/// Two outputs, of which each has its own terms.
const TWO: &str = r#"
[[model.inputs]]
name = "x"
shape = [4]

[model]
outputs = ["size", "kind"]
layers = [
    { class = "Dense", units = 8, activation = "tanh", name = "shared" },
    { class = "Dense", units = 1, name = "size" },
    { class = "Dense", units = 3, activation = "softmax", name = "kind", inputs = "shared" },
]
"#;

#[test]
fn what_is_said_of_outputs_is_said_in_order_by_name_or_once() {
    let told = |compile: &str| {
        let text = format!("{TWO}\n[compile]\noptimizer = 'sgd'\n{compile}");
        let run = Description::parse("run.toml", &text, &[]).unwrap();
        let compile = run.compile.for_model(&run.architecture).unwrap();
        let weights: Vec<f32> = compile.outputs.iter().map(|terms| terms.weight).collect();
        (compile.metric_names().join(" "), weights)
    };
    let named = "loss = { kind = 'sparse_categorical_crossentropy', size = 'mse' }\nloss_weights = { kind = 0.5 }\n\
        metrics = { kind = ['accuracy'] }\n";
    let expected = ("loss size_loss kind_loss kind_accuracy".to_string(), vec![1.0, 0.5]);
    assert_eq!(told(named), expected);
    let listed = "loss = ['mse', { class = 'SparseCategoricalCrossentropy' }]\nloss_weights = [1.0, 0.5]\n\
        metrics = [[], ['accuracy']]\n";
    assert_eq!(told(listed), expected);
    let once = "loss = 'mse'\nmetrics = ['mae']\n";
    assert_eq!(told(once).0, "loss size_loss size_mae kind_loss kind_mae");
}

#[test]
fn faults_of_graphs_are_told_with_their_lines() {
    let outcome = |text: &str| {
        let outcome = Description::parse("run.toml", text, &[]);
        outcome.map_or_else(|error| told(&error), |_| "a model".into())
    };
    let layers = |lines: &str| outcome(&format!("{COMPILE}[model]\ninputs = ['x', 'z']\nlayers = [\n{lines}]\n"));
    let one =
        |lines: &str| outcome(&format!("{COMPILE}[[model.inputs]]\nshape = [4]\n[model]\nlayers = [\n{lines}]\n"));
    let cases = [
        ("names that are not there", {
            layers(
                "{ class = 'Dense', units = 2, inputs = 'y' },\n\
                 { class = 'Add', inputs = ['dens', 'x'], call = { mask = 'zz' } },\n\
                 { layer = 'tower', inputs = 'z' },\n\
                 { operator = 'cumsun', inputs = 'x' },\n",
            )
        }),
        ("what stands below, and itself", {
            layers(
                "{ class = 'Add', name = 'a', inputs = ['x', 'b'] },\n{ class = 'Add', name = 'b', inputs = ['a', 'b'] },\n",
            )
        }),
        ("several inputs of which none is named", layers("{ class = 'Dense', units = 2 },\n")),
        ("what nothing reads", {
            layers("{ class = 'Dense', units = 2, inputs = 'x' },\n{ class = 'Dense', units = 3, inputs = 'x' },\n")
        }),
        ("one name twice", {
            one("{ class = 'ReLU', name = 'a', inputs = 'input_layer' },\n{ class = 'ReLU', name = 'a' },\n")
        }),
        ("outputs and losses that are not there", {
            let text = TWO.replace("\"kind\"]", "\"knd\"]");
            outcome(&format!("{text}\n[compile]\noptimizer = 'sgd'\nloss = {{ size = 'mse' }}\n"))
        }),
        ("losses for other outputs", {
            outcome(&format!("{TWO}\n[compile]\noptimizer = 'sgd'\nloss = {{ size = 'mse', knd = 'mse' }}\n"))
        }),
        ("losses for more outputs", {
            outcome(&format!(
                "{TWO}\n[compile]\noptimizer = 'sgd'\nloss = ['mse', 'mse', 'mse']\nloss_weights = 'much'\n"
            ))
        }),
        ("keys of a call", {
            one("{ class = 'Dense', units = 4, name = 'a', call = { use_causal_mask = true } },\n\
                 { layer = 'a', units = 3 },\n\
                 { class = 'ReLU', call = 3 },\n")
        }),
        ("shapes", {
            one("{ class = 'Dense', units = 3, inputs = 'input_layer' },\n\
                 { class = 'Conv2D', filters = 2, kernel_size = 3, inputs = 'input_layer' },\n\
                 { class = 'Add', inputs = ['dense', 'input_layer'] },\n\
                 { class = 'Add', inputs = ['conv2d', 'add'] },\n")
        }),
        ("no layers", outcome(&format!("{COMPILE}[model]\ninputs = []\nlayers = []\n"))),
        ("a weight of an extent that is not known", {
            outcome(&format!(
                "{COMPILE}[[model.inputs]]\nshape = ['None', 3]\n[model]\nlayers = [\n{{ class = 'Flatten' }},\n\
                 {{ class = 'Dense', units = 2 }},\n]\n"
            ))
        }),
    ];
    check(&cases, FAULTS);
}

const FAULTS: &str = r"
names that are not there
error[config]: run.toml:7: unknown input `y`
  known: x, z
  help: did you mean `x`?
run.toml:8: unknown input `zz`
  known: x, z, dense
  help: did you mean `z`?
run.toml:8: unknown input `dens`
  known: x, z, dense
  help: did you mean `dense`?
run.toml:9: unknown layer `tower`
  known: x, z, dense, add
run.toml:10: unknown operator `cumsun`
  known: add, subtract, multiply, divide, true_divide, power, maximum, minimum, equal, not_equal, greater, greater_equal, less, less_equal, logical_and, logical_or, logical_not, negative, absolute, square, sqrt, exp, log, tanh, matmul, get_item, relu, sigmoid, softmax, sum, mean, max, min, any, all, concatenate, stack, ones_like, zeros_like, cumsum, expand_dims, squeeze, reshape, transpose, cast
  help: did you mean `cumsum`?

what stands below, and itself
error[config]: run.toml:7: `b` stands below what reads it
  help: a layer is called on what stands above it
run.toml:8: `b` is called on itself
  help: a layer is called on what stands above it

several inputs of which none is named
error[config]: run.toml:7: which input does it read?
  known: x, z
  help: name it by `inputs`

what nothing reads
error[config]: run.toml:5: nothing reads `z`, and it is no output
  help: leave it out, or name it by `inputs` of a layer or by `outputs` of [model]
run.toml:7: nothing reads `dense`, and it is no output
  help: leave it out, or name it by `inputs` of a layer or by `outputs` of [model]

one name twice
error[config]: run.toml:9: two layers are called `a`
  help: give each layer its own name

outputs and losses that are not there
error[config]: run.toml:7: unknown layer `knd`
  known: x, shared, size, kind
  help: did you mean `kind`?

losses for other outputs
error[config]: run.toml:16: [compile]: unknown output `knd`
  known: size, kind
  help: did you mean `kind`?
run.toml:16: [compile]: `loss` says nothing of output `kind`
  help: give a loss for each output

losses for more outputs
error[config]: run.toml:16: [compile]: `loss` lists 3, the model has 2 outputs: size, kind
run.toml:17: [compile]: `loss_weights` must be numbers
  help: write such as loss_weights = [1.0, 0.5]

keys of a call
error[config]: run.toml:8: layer `Dense`: the call is given `use_causal_mask`, which this layer does not take
run.toml:9: one more call: unknown key `units`
  known: name, layer, inputs, call
run.toml:10: `call` is no table
  help: write such as call = { use_causal_mask = true }

shapes
error[config]: run.toml:9: [model]: layer `conv2d` (Conv2D): needs samples of 2 spatial axes and channels, got shape [4]
  help: give each sample the shape [H, W, C], as Reshape can
run.toml:10: [model]: layer `add` (Add): inputs of shapes [3], [4] do not fit each other
  help: every extent must be equal, or 1

no layers
error[config]: run.toml:4: [model]: `layers` is empty, the model would answer what it is asked
  help: describe at least one layer

a weight of an extent that is not known
error[shape]: run.toml:9: [model]: layer `dense` (Dense): kernel would have shape [None, 2], which the inputs leave open
  help: give the inputs fixed shapes, or pool over what is open, such as by GlobalAveragePooling1D
";

#[test]
fn every_example_is_a_run_description() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/runs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let read = Description::parse(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap(), &[]);
        if let Err(error) = read {
            panic!("{error}");
        }
        count += 1;
    }
    assert!(count >= 10, "{count} examples");
}
