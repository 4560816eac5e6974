//! Recurrent layers that go on from batch to batch.

use footlight::prelude::*;

fn model(stateful: bool) -> Model {
    Sequential::new(layers![
        LSTM::new(3).return_sequences(true).stateful(stateful).input_shape([2, 1]),
        RNN::new(StackedRNNCells::new([GRUCell::new(2).into(), LSTMCell::new(2).into()])).stateful(stateful),
    ])
    .unwrap()
}

fn samples(steps: std::ops::Range<usize>) -> Samples {
    let value = |n: usize, t: usize| ((7 * n + 3 * t) % 5) as f32 - 2.0;
    let data: Vec<f32> = (0..4).flat_map(|n| steps.clone().map(move |t| value(n, t))).collect();
    Samples::from(Tensor::new([4, steps.len(), 1], data).unwrap())
}

/// A model of four steps with the weights of one of two.
fn of_four_steps(like: &Model) -> Model {
    let layers = layers![
        LSTM::new(3).return_sequences(true).input_shape([4, 1]),
        RNN::new(StackedRNNCells::new([GRUCell::new(2).into(), LSTMCell::new(2).into()])),
    ];
    let mut model = Sequential::new(layers).unwrap();
    for weight in like.architecture().weights() {
        model.set_state(&weight.path, &like.state(&weight.path).unwrap()).unwrap();
    }
    model
}

fn largest(a: &Tensor, b: &Tensor) -> f32 {
    let larger = |a: f32, b: f32| if a >= b || a.is_nan() { a } else { b };
    a.to_f32().iter().zip(b.to_f32()).map(|(a, b)| (a - b).abs()).fold(0.0, larger)
}

#[test]
fn two_batches_of_a_stateful_model_are_one_sequence() {
    let mut stateful = model(true);
    let whole = of_four_steps(&stateful).predict(&samples(0..4)).unwrap();
    let first = stateful.predict(&samples(0..2)).unwrap();
    let second = stateful.predict(&samples(2..4)).unwrap();
    assert!(largest(&second, &whole) < 1e-6, "{second:?} {whole:?}");
    assert!(largest(&first, &second) > 1e-3);
    stateful.reset_states();
    assert_eq!(stateful.predict(&samples(0..2)).unwrap(), first);
    let mut plain = model(false);
    assert_eq!(plain.predict(&samples(0..2)).unwrap(), plain.predict(&samples(0..2)).unwrap());
}

#[test]
fn training_carries_states_too_and_they_are_no_weights() {
    let mut stateful = model(true);
    stateful.compile("sgd", "mse", []).unwrap();
    let y = Samples::from(Tensor::new([4, 2], vec![0.5f32; 8]).unwrap());
    stateful.train_on_batch(&samples(0..2), &y).unwrap();
    let state = stateful.state("lstm/rnn_state_1").unwrap();
    assert_eq!(state.shape(), [4, 3]);
    assert!(state.to_f32().iter().any(|x| *x != 0.0));
    assert!(stateful.architecture().weights().iter().all(|weight| !weight.path.contains("rnn_state")));
    stateful.reset_states();
    assert!(stateful.state("lstm/rnn_state_1").unwrap().to_f32().iter().all(|x| *x == 0.0));
    let error = stateful.predict(&Samples::from(Tensor::new([3, 2, 1], vec![0.0f32; 6]).unwrap())).unwrap_err();
    assert!(error.to_string().contains("lstm/rnn_state_0"), "{error}");
}
