//! The same seed gives the same bytes for any number of threads.

use footlight::cpu::{Engine, Feed, Isa};
use footlight::nn::{Architecture, Compile, Loss, Metric, Optimizer, optimizers};
use footlight::prelude::*;
use footlight::tensor::{Data, Philox, RandomKey};

/// A recurrence and two hidden layers, wide enough that a step is shared out, with everything that is random or carried along.
fn layers() -> Vec<Box<dyn Layer>> {
    layers![
        LSTM::new(12).return_sequences(true).dropout(0.2).recurrent_dropout(0.1).input_shape([6, 10]),
        Flatten::new(),
        Dense::new(96).activation(Relu).kernel_regularizer(L2::new(1e-3)),
        BatchNormalization::new(),
        Dropout::new(0.3),
        Dense::new(64).activation("tanh"),
        LayerNormalization::new(),
        Dropout::new(0.1),
        Dense::new(7).activation(Softmax),
    ]
}

/// Every optimizer by name, and every way of each that has slots or arithmetic of its own.
fn all_optimizers() -> Vec<(String, Box<dyn Optimizer>)> {
    let named = optimizers::NAMES.iter().map(|name| (name.to_string(), optimizers::from_name(name).unwrap()));
    let ways: Vec<(&str, Box<dyn Optimizer>)> = vec![
        ("sgd with momentum", Box::new(SGD::new().momentum(0.9))),
        ("sgd with nesterov momentum", Box::new(SGD::new().momentum(0.9).nesterov(true))),
        ("centered rmsprop", Box::new(RMSprop::new().centered(true).momentum(0.5))),
        ("adam with amsgrad", Box::new(Adam::new().amsgrad(true))),
    ];
    named.chain(ways.into_iter().map(|(name, optimizer)| (name.to_string(), optimizer))).collect()
}

const SAMPLES: usize = 330;

fn data() -> (Tensor, Tensor) {
    let mut rng = Philox::new(RandomKey::new(5));
    let x: Vec<f32> = (0..SAMPLES * 60).map(|_| rng.uniform() * 2.0 - 1.0).collect();
    let y: Vec<i32> = (0..SAMPLES).map(|_| rng.below(7) as i32).collect();
    (Tensor::new([SAMPLES, 6, 10], x).unwrap(), Tensor::new([SAMPLES], y).unwrap())
}

/// Name and bits of a state.
type Bits = (String, Vec<u32>);

fn bits(tensor: &Tensor) -> Vec<u32> {
    match tensor.data() {
        Data::F32(v) => v.iter().map(|x| x.to_bits()).collect(),
        Data::I32(v) => v.iter().map(|x| *x as u32).collect(),
        other => panic!("no state is {}", other.dtype()),
    }
}

/// Weights, slots and history of three epochs in batches of 50: 264 samples to train on, 66 to validate with.
fn fitted(optimizer: Box<dyn Optimizer>, threads: usize) -> (Vec<Bits>, String) {
    let mut model = Sequential::new(layers()).unwrap().threads(threads).seed(3);
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
    let (x, y) = data();
    let fit = Fit::new().epochs(3).batch_size(50).validation_split(0.2).progress(Progress::None);
    let history = model.fit(&Samples::from(x), &Samples::from(y), fit).unwrap();
    let weights = model.architecture().weights().iter().map(|w| w.path.clone());
    let slots = model.compiled().unwrap().optimizer_states(model.architecture()).into_iter().map(|(name, _)| name);
    let names: Vec<String> = weights.chain(slots).collect();
    let states = names.into_iter().map(|name| {
        let bits = bits(&model.state(&name).unwrap());
        (name, bits)
    });
    (states.collect(), history.to_json())
}

#[test]
fn the_same_seed_gives_the_same_weights_slots_and_history_for_any_number_of_threads() {
    for (name, optimizer) in all_optimizers() {
        let (states, history) = fitted(optimizer.clone(), 1);
        assert!(states.iter().any(|(name, _)| name.ends_with("moving_variance")), "{states:?}");
        assert!(history.contains("val_accuracy"), "{history}");
        for threads in [2, 3, 4] {
            let (other_states, other_history) = fitted(optimizer.clone(), threads);
            for (want, got) in states.iter().zip(&other_states) {
                assert!(want == got, "{name}, {threads} threads: `{}` differs", want.0);
            }
            assert_eq!(history, other_history, "{name}, {threads} threads");
        }
    }
}

#[test]
fn another_seed_gives_other_weights() {
    let weights = |seed: u64| {
        let model = Sequential::new(layers()).unwrap().seed(seed);
        bits(&model.state("dense/kernel").unwrap())
    };
    assert_eq!(weights(3), weights(3));
    assert_ne!(weights(3), weights(4));
}

/// All states after ten steps on an instruction set, with and without the checks of a debug run.
fn stepped(isa: Isa, threads: usize, poison: bool) -> Vec<Bits> {
    let architecture = Architecture::sequential(layers()).unwrap();
    let optimizer = optimizers::from_name("adam").unwrap();
    let loss = Loss::from("sparse_categorical_crossentropy");
    let compile = Compile::new(optimizer, loss, vec![Metric::from("accuracy")]).unwrap();
    let mut engine = Engine::with_isa(threads, isa);
    engine.poison_freed_memory(poison);
    for (name, role, value) in architecture.initial_values(3).chain(compile.initial_values(&architecture)) {
        engine.store_mut().set(&name, role, &value).unwrap();
    }
    let mut session = engine.compile(&compile.lower_train(&architecture, 50, 3).unwrap()).unwrap();
    assert!(threads == 1 || session.workers() > 1, "a step of {} is not shared out", session.plan().cost);
    let (x, y) = data();
    for step in 0..10 {
        let rows: Vec<u32> = (0..50).map(|i| (i * 31 + step * 17) % SAMPLES as u32).collect();
        let feed = |table| Feed::Gather { table, first: 0, rows: &rows, scale: 1.0, offset: 0.0 };
        session.run(&mut engine, &[feed(&x), feed(&y)]).unwrap();
    }
    let store = engine.store();
    store.entries().map(|(name, ..)| (name.to_string(), bits(&store.get(name).unwrap()))).collect()
}

#[test]
fn every_instruction_set_gives_the_same_bytes_for_any_number_of_threads() {
    for isa in Isa::available() {
        let want = stepped(isa, 1, false);
        for (threads, poison) in [(1, true), (2, false), (2, true), (3, false), (4, false), (64, false)] {
            for (want, got) in want.iter().zip(&stepped(isa, threads, poison)) {
                assert!(want == got, "{}, {threads} threads: `{}` differs", isa.name(), want.0);
            }
        }
    }
}

/// Rows looked up, moved, masked, padded and normalised, with reshapes that change the rows between.
#[test]
fn layers_of_sequences_give_the_same_bytes_for_any_number_of_threads() {
    let mut rng = Philox::new(RandomKey::new(9));
    let x: Vec<f32> = (0..96 * 20).map(|_| rng.below(300) as f32).collect();
    let y: Vec<i32> = (0..96).map(|_| rng.below(5) as i32).collect();
    let (x, y) = (Tensor::new([96, 20], x).unwrap(), Tensor::new([96], y).unwrap());
    let trained = |threads: usize| {
        let layers = layers![
            Embedding::new(300, 32).mask_zero(true).input_shape([20]),
            SpatialDropout1D::new(0.2),
            EinsumDense::new("abc,cde->adbe", [4, 20, 16]).bias_axes("de"),
            RMSNormalization::new(),
            Permute::new([2, 1, 3]),
            Reshape::new([20, 64]),
            Dense::new(48).activation("gelu"),
            GroupNormalization::new(4),
            GaussianNoise::new(0.1),
            ZeroPadding1D::new(2),
            Cropping1D::new([1, 3]),
            Flatten::new(),
            Dense::new(5).activation(Softmax),
        ];
        let mut model = Sequential::new(layers).unwrap().threads(threads).seed(4);
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
        let fit = Fit::new().epochs(3).batch_size(40).progress(Progress::None);
        let history = model.fit(&Samples::from(x.clone()), &Samples::from(y.clone()), fit).unwrap();
        let weights: Vec<Bits> = model
            .architecture()
            .weights()
            .iter()
            .map(|weight| (weight.path.clone(), bits(&model.state(&weight.path).unwrap())))
            .collect();
        (weights, format!("{history:?}"))
    };
    let want = trained(1);
    assert!(!want.1.contains("NaN"), "{}", want.1);
    for threads in [2, 3, 4] {
        assert_eq!(trained(threads), want, "{threads} threads");
    }
}

/// Products of every head, masks of every kind, and weights dropped.
#[test]
fn attention_gives_the_same_bytes_for_any_number_of_threads() {
    let mut rng = Philox::new(RandomKey::new(10));
    let x: Vec<f32> = (0..48 * 14).map(|_| rng.below(50) as f32).collect();
    let y: Vec<i32> = (0..48 * 14).map(|_| rng.below(50) as i32).collect();
    let (samples, y) = (Tensor::new([48, 14], x).unwrap(), Tensor::new([48, 14], y).unwrap());
    let trained = |threads: usize| {
        let tokens = Input::new([14]).symbol();
        let x = Embedding::new(50, 24).mask_zero(true).on(&tokens);
        let a = MultiHeadAttention::new(3, 8).dropout(0.1).use_causal_mask(true).on([&x, &x]);
        let h = &LayerNormalization::new().on(&a) + &x;
        let b = GroupQueryAttention::new(6, 4, 2).sliding_window(5).on([&h, &x]);
        let c = AdditiveAttention::new().on([&b, &h]);
        let d = Attention::new().use_scale(true).use_causal_mask(true).on([&c, &b]);
        let logits = Dense::new(50).activation(Softmax).on(&Average::new().on([&h, &b, &d]));
        let mut model = Functional::new(&tokens, &logits).unwrap().threads(threads).seed(4);
        model.compile("adamw", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
        let fit = Fit::new().epochs(2).batch_size(20).progress(Progress::None);
        let history = model.fit(&Samples::from(samples.clone()), &Samples::from(y.clone()), fit).unwrap();
        let weights = model.architecture().weights().iter();
        let weights: Vec<Bits> = weights.map(|w| (w.path.clone(), bits(&model.state(&w.path).unwrap()))).collect();
        (weights, format!("{history:?}"))
    };
    let want = trained(1);
    assert!(!want.1.contains("NaN"), "{}", want.1);
    for threads in [2, 3, 4] {
        assert_eq!(trained(threads), want, "{threads} threads");
    }
}
