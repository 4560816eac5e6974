//! What every layer keeps; a class of the catalogue without a sample here fails.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Graph, Op, Role, Type, Value, differentiate};
use footlight_nn::{
    Activation, ActivationLayer, ActivityRegularization, AdditiveAttention, AlphaDropout, Architecture, Attention,
    BatchNormalization, Bidirectional, Call, Constraint, Cropping1D, Cropping2D, Cropping3D, Dense, Dropout, ELU,
    EinsumDense, Embedding, Flatten, GRU, GRUCell, GaussianDropout, GaussianNoise, GroupNormalization,
    GroupQueryAttention, Identity, Input, Interpolation, L1, L2, LSTM, LSTMCell, Layer, LayerNormalization, LeakyReLU,
    Masked, Masking, Mode, MultiHeadAttention, Normalization, PReLU, Permute, RMSNormalization, RNN, ReLU,
    RepeatVector, Rescaling, Reshape, ScoreMode, SimpleRNN, SimpleRNNCell, SoftmaxLayer, SpatialDropout1D,
    SpatialDropout2D, SpatialDropout3D, StackedRNNCells, TimeDistributed, UnitNormalization, UpSampling1D,
    UpSampling2D, UpSampling3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D, layers,
};
use footlight_tensor::{Philox, RandomKey};

pub const BATCH: usize = 3;

/// Layers of every class, with the shape of a sample each is given.
fn samples() -> Vec<(Box<dyn Layer>, Vec<usize>)> {
    let mut all: Vec<(Box<dyn Layer>, Vec<usize>)> = Vec::new();
    let mut add = |layer: Box<dyn Layer>, shape: &[usize]| all.push((layer, shape.to_vec()));
    add(Box::new(Input::new([4, 2])), &[4, 2]);
    add(Box::new(Dense::new(3)), &[4]);
    add(Box::new(Dense::new(2).use_bias(false).activation("tanh").kernel_regularizer(L2::new(0.1))), &[5, 4]);
    add(Box::new(Dense::new(3).activation("softmax").bias_regularizer(L1::new(0.2))), &[2, 2, 3]);
    add(Box::new(Dense::new(3).trainable(false)), &[4]);
    add(Box::new(ActivationLayer::new("softplus")), &[3, 2]);
    add(Box::new(ActivationLayer::new("glu")), &[3, 4]);
    add(Box::new(ActivationLayer::new(Activation::SoftShrink { threshold: 0.1 })), &[5]);
    add(Box::new(Dense::new(4).activation("glu").kernel_constraint(Constraint::max_norm(1.0))), &[3]);
    add(Box::new(Dense::new(2).activation(Activation::LeakyRelu { negative_slope: 0.5 })), &[3]);
    add(Box::new(ReLU::new()), &[5]);
    add(Box::new(ReLU::new().max_value(1.0).negative_slope(0.5).threshold(0.2)), &[3, 4]);
    add(Box::new(LeakyReLU::new()), &[5]);
    add(Box::new(ELU::new().alpha(0.5)), &[5]);
    add(Box::new(SoftmaxLayer::new()), &[2, 4]);
    add(Box::new(PReLU::new()), &[3, 4]);
    add(Box::new(PReLU::new().shared_axes([1]).alpha_constraint(Constraint::NonNeg)), &[3, 4]);
    add(Box::new(Flatten::new()), &[3, 2, 2]);
    add(Box::new(Flatten::new()), &[5]);
    add(Box::new(Reshape::new([3, -1])), &[2, 6]);
    add(Box::new(Reshape::new([6])), &[2, 3]);
    add(Box::new(Dropout::new(0.4)), &[7, 3]);
    add(Box::new(Dropout::new(0.0)), &[5]);
    add(Box::new(Dropout::new(1.0)), &[5]);
    add(Box::new(Dropout::new(0.4).noise_shape([None, Some(1), None])), &[3, 4]);
    add(Box::new(BatchNormalization::new()), &[4]);
    add(Box::new(BatchNormalization::new().center(false).momentum(0.5).epsilon(0.1)), &[3, 4]);
    add(Box::new(BatchNormalization::new().scale(false)), &[2, 3, 2]);
    add(Box::new(BatchNormalization::new().trainable(false)), &[3]);
    add(Box::new(BatchNormalization::new().axis(1)), &[3, 2]);
    add(Box::new(LayerNormalization::new()), &[4]);
    add(Box::new(LayerNormalization::new().scale(false).epsilon(0.1)), &[2, 4]);
    add(Box::new(LayerNormalization::new().center(false)), &[2, 4]);
    add(Box::new(LayerNormalization::new().axis([1, 3])), &[2, 3, 2]);
    add(Box::new(LayerNormalization::new().axis([-1, 1]).rms_scaling(true).epsilon(0.1)), &[2, 4]);
    add(Box::new(SoftmaxLayer::new().axis(1)), &[3, 2, 4]);
    add(Box::new(SoftmaxLayer::new().axis([1, 3])), &[3, 2, 4]);
    add(Box::new(Embedding::new(6, 3)), &[4]);
    add(Box::new(Embedding::new(6, 2).mask_zero(true).embeddings_regularizer(L2::new(0.1))), &[2, 3]);
    add(Box::new(Masking::new(0.5)), &[4, 3]);
    add(Box::new(Identity::new()), &[3, 2]);
    add(Box::new(EinsumDense::new("abc,cd->abd", [-1, 3])), &[2, 4]);
    add(Box::new(EinsumDense::new("abc,cde->adbe", [3, -1, 2]).bias_axes("de").activation("tanh")), &[2, 4]);
    add(Box::new(EinsumDense::new("...x,yx->...y", [5]).bias_axes("y")), &[2, 3, 4]);
    add(Box::new(EinsumDense::new("ab...,bc->ac...", [5]).bias_axes("c")), &[3, 2]);
    add(Box::new(EinsumDense::new("abcd,cbe->aeb", [2, -1]).bias_axes("b")), &[3, 4, 2]);
    add(Box::new(Permute::new([2, 3, 1])), &[2, 3, 4]);
    add(Box::new(RepeatVector::new(3)), &[4]);
    add(Box::new(Cropping1D::new([1, 2])), &[5, 2]);
    add(Box::new(Cropping2D::new([[0, 1], [2, 0]])), &[3, 4, 2]);
    add(Box::new(Cropping3D::new(1)), &[3, 4, 3, 2]);
    add(Box::new(ZeroPadding1D::new([1, 2])), &[3, 2]);
    add(Box::new(ZeroPadding2D::new([[0, 1], [2, 0]])), &[2, 3, 2]);
    add(Box::new(ZeroPadding3D::new([1, 0, 2])), &[2, 1, 2, 2]);
    add(Box::new(UpSampling1D::new(2)), &[3, 2]);
    add(Box::new(UpSampling2D::new([2, 3])), &[2, 3, 2]);
    add(Box::new(UpSampling2D::new([3, 2]).interpolation(Interpolation::Bilinear)), &[2, 1, 2]);
    add(Box::new(UpSampling2D::new(2).interpolation(Interpolation::Bicubic)), &[3, 2, 2]);
    add(Box::new(UpSampling2D::new([1, 2]).interpolation(Interpolation::Lanczos5)), &[2, 3, 1]);
    add(Box::new(UpSampling3D::new([1, 2, 3])), &[2, 1, 2, 2]);
    add(Box::new(SpatialDropout1D::new(0.4)), &[3, 4]);
    add(Box::new(SpatialDropout2D::new(0.4)), &[2, 3, 4]);
    add(Box::new(SpatialDropout3D::new(0.4)), &[2, 1, 2, 4]);
    add(Box::new(AlphaDropout::new(0.4)), &[7, 3]);
    add(Box::new(AlphaDropout::new(0.0)), &[5]);
    add(Box::new(AlphaDropout::new(0.4).noise_shape([None, Some(7), Some(1)])), &[7, 3]);
    add(Box::new(GaussianDropout::new(0.3)), &[7, 3]);
    add(Box::new(GaussianNoise::new(0.3)), &[7, 3]);
    add(Box::new(ActivityRegularization::new(0.1, 0.2)), &[3, 4]);
    add(Box::new(GroupNormalization::new(2)), &[3, 2, 4]);
    add(Box::new(GroupNormalization::new(-1).scale(false).epsilon(0.1)), &[5, 3]);
    add(Box::new(GroupNormalization::new(3).center(false)), &[6]);
    add(Box::new(GroupNormalization::new(2).axis(1)), &[4, 3]);
    add(Box::new(RMSNormalization::new().epsilon(0.1)), &[3, 4]);
    add(Box::new(RMSNormalization::new().axis([1, 2])), &[3, 4]);
    add(Box::new(UnitNormalization::new()), &[3, 4]);
    add(Box::new(UnitNormalization::new().axis([1, 2])), &[3, 4]);
    add(Box::new(Rescaling::new(0.5).offset([0.1, 0.2, 0.3])), &[2, 3]);
    add(Box::new(Normalization::new()), &[2, 3]);
    add(Box::new(Normalization::of(1.5, 4.0).invert(true)), &[2, 3]);
    add(Box::new(Normalization::of([1.0, 2.0, 3.0], [4.0, 0.0, 0.25])), &[2, 3]);
    add(Box::new(Normalization::new().axis([1, 2])), &[2, 3, 2]);
    add(Box::new(LSTM::new(2).return_state(true)), &[3, 2]);
    add(Box::new(RNN::new(GRUCell::new(2))), &[3, 2]);
    let cells = [LSTMCell::new(2).dropout(0.2).into(), SimpleRNNCell::new(3).name("last").into()];
    add(Box::new(RNN::new(StackedRNNCells::new(cells)).return_sequences(true).go_backwards(true)), &[3, 2]);
    add(Box::new(Bidirectional::new(GRU::new(2).return_sequences(true).dropout(0.3))), &[3, 2]);
    add(Box::new(Bidirectional::new(LSTM::new(2)).merge_mode("ave")), &[3, 2]);
    let backward = SimpleRNN::new(2).go_backwards(true).trainable(false);
    add(Box::new(Bidirectional::new(GRU::new(2)).merge_mode("mul").backward_layer(backward)), &[3, 2]);
    add(Box::new(TimeDistributed::new(Dense::new(3).activation("tanh").name("inner"))), &[3, 2]);
    add(Box::new(TimeDistributed::new(LSTM::new(2))), &[2, 3, 2]);
    add(Box::new(TimeDistributed::new(BatchNormalization::new())), &[2, 3]);
    add(Box::new(TimeDistributed::new(BatchNormalization::new().scale(false))), &[4, 2]);
    add(Box::new(TimeDistributed::new(Dropout::new(0.4))), &[2, 3]);
    add(Box::new(SimpleRNN::new(2)), &[3, 2]);
    add(
        Box::new(SimpleRNN::new(2).return_sequences(true).go_backwards(true).recurrent_regularizer(L2::new(0.1))),
        &[3, 2],
    );
    add(Box::new(LSTM::new(2)), &[3, 2]);
    add(Box::new(LSTM::new(2).return_sequences(true).dropout(0.4).recurrent_constraint(Constraint::NonNeg)), &[3, 2]);
    add(Box::new(LSTM::new(1).use_bias(false).recurrent_dropout(0.4).unit_forget_bias(false)), &[3, 2]);
    add(Box::new(GRU::new(2)), &[3, 2]);
    add(Box::new(GRU::new(2).reset_after(false).recurrent_dropout(0.3).dropout(0.2)), &[3, 2]);
    add(Box::new(GRU::new(2).use_bias(false).zero_output_for_mask(true).recurrent_activation("hard_sigmoid")), &[3, 2]);
    all.extend(images());
    all
}

/// Convolutions and poolings, by class and by what changes their shapes.
fn images() -> Vec<(Box<dyn Layer>, Vec<usize>)> {
    use footlight_nn::DataFormat::ChannelsFirst;
    use footlight_nn::*;
    let mut all: Vec<(Box<dyn Layer>, Vec<usize>)> = Vec::new();
    let mut add = |layer: Box<dyn Layer>, shape: &[usize]| all.push((layer, shape.to_vec()));
    add(Box::new(Conv1D::new(2, 3).padding("causal").dilation_rate(2)), &[5, 2]);
    add(Box::new(Conv1D::new(4, 2).padding("same").strides(2).groups(2).data_format(ChannelsFirst)), &[4, 5]);
    add(Box::new(Conv2D::new(2, [2, 3]).activation("tanh").kernel_regularizer(L2::new(0.1))), &[3, 4, 2]);
    add(Box::new(Conv2D::new(3, 2).use_bias(false).strides([1, 2]).padding("same")), &[3, 3, 1]);
    add(Box::new(Conv2D::new(2, 2).activation("softmax").data_format(ChannelsFirst)), &[2, 3, 3]);
    add(Box::new(Conv3D::new(2, [1, 2, 2]).strides([2, 1, 1])), &[3, 2, 3, 1]);
    add(Box::new(Conv1DTranspose::new(2, 3).strides(2).output_padding(1)), &[3, 2]);
    add(Box::new(Conv2DTranspose::new(2, [3, 2]).strides([2, 1]).padding("same")), &[2, 3, 2]);
    add(Box::new(Conv2DTranspose::new(1, 1).strides(2).data_format(ChannelsFirst)), &[2, 2, 2]);
    add(Box::new(Conv3DTranspose::new(1, 2).padding("same").use_bias(false)), &[2, 1, 2, 2]);
    add(Box::new(DepthwiseConv1D::new(2).depth_multiplier(2)), &[4, 2]);
    add(Box::new(DepthwiseConv2D::new(2).padding("same").depthwise_constraint(Constraint::NonNeg)), &[3, 2, 2]);
    add(Box::new(SeparableConv1D::new(3, 2).depth_multiplier(2)), &[4, 2]);
    add(Box::new(SeparableConv2D::new(2, 2).padding("same").data_format(ChannelsFirst)), &[2, 3, 2]);
    add(Box::new(MaxPooling1D::new(2)), &[5, 2]);
    add(Box::new(MaxPooling2D::new([2, 3]).strides(1).padding("same")), &[3, 4, 2]);
    add(Box::new(MaxPooling3D::default().data_format(ChannelsFirst)), &[2, 2, 3, 4]);
    add(Box::new(AveragePooling1D::new(3).strides(2).padding("same")), &[5, 2]);
    add(Box::new(AveragePooling2D::new(2).data_format(ChannelsFirst)), &[2, 3, 4]);
    add(Box::new(AveragePooling3D::new([1, 2, 2])), &[2, 3, 2, 2]);
    add(Box::new(GlobalMaxPooling1D::new().keepdims(true)), &[5, 2]);
    add(Box::new(GlobalMaxPooling2D::new().data_format(ChannelsFirst)), &[2, 3, 4]);
    add(Box::new(GlobalMaxPooling3D::new()), &[2, 2, 3, 2]);
    add(Box::new(GlobalAveragePooling1D::new().data_format(ChannelsFirst)), &[5, 2]);
    add(Box::new(GlobalAveragePooling2D::new().keepdims(true).data_format(ChannelsFirst)), &[2, 3, 4]);
    add(Box::new(GlobalAveragePooling3D::new()), &[2, 2, 3, 2]);
    add(Box::new(AdaptiveMaxPooling1D::new(3)), &[5, 2]);
    add(Box::new(AdaptiveMaxPooling2D::new([2, 3])), &[5, 4, 2]);
    add(Box::new(AdaptiveMaxPooling3D::new(1)), &[2, 2, 3, 2]);
    add(Box::new(AdaptiveAveragePooling1D::new(4)), &[5, 2]);
    add(Box::new(AdaptiveAveragePooling2D::new(2).data_format(ChannelsFirst)), &[2, 3, 5]);
    add(Box::new(AdaptiveAveragePooling3D::new([1, 2, 3])), &[2, 2, 3, 2]);
    all
}

pub type Shapes = Vec<Vec<usize>>;

/// Layers of several inputs, with the shape of a sample of each.
fn samples_of_several() -> Vec<(Box<dyn Layer>, Shapes)> {
    let mut all: Vec<(Box<dyn Layer>, Shapes)> = Vec::new();
    let mut add = |layer: Box<dyn Layer>, shapes: &[&[usize]]| {
        all.push((layer, shapes.iter().map(|shape| shape.to_vec()).collect()));
    };
    let heads = || MultiHeadAttention::new(2, 3);
    add(Box::new(heads().attention_axes([2])), &[&[3, 2, 4], &[3, 4, 3]]);
    add(Box::new(heads().attention_axes([1]).return_attention_scores(true).dropout(0.3)), &[&[3, 2, 4], &[2, 2, 4]]);
    add(Box::new(heads()), &[&[3, 4], &[2, 4]]);
    add(Box::new(heads().use_causal_mask(true).return_attention_scores(true).dropout(0.3)), &[&[3, 4], &[3, 4]]);
    add(Box::new(heads().value_dim(5).output_features([3, 2]).use_bias(false)), &[&[3, 4], &[2, 3], &[2, 5]]);
    add(Box::new(heads().use_gate(true).kernel_regularizer(L2::new(0.1))), &[&[2, 2, 3], &[3, 1, 3]]);
    add(Box::new(GroupQueryAttention::new(2, 4, 2).sliding_window(2).use_causal_mask(true)), &[&[3, 4], &[2, 4]]);
    add(Box::new(GroupQueryAttention::new(3, 2, 1).use_gate(true).dropout(0.5)), &[&[3, 4], &[2, 3], &[2, 5]]);
    add(Box::new(Attention::new()), &[&[3, 4], &[2, 4]]);
    let summed = || Attention::new().score_mode(ScoreMode::Concat);
    add(Box::new(summed().use_causal_mask(true)), &[&[3, 4], &[3, 4]]);
    add(Box::new(summed().use_scale(true).dropout(0.4).return_attention_scores(true)), &[&[3, 4], &[2, 5], &[2, 4]]);
    add(Box::new(AdditiveAttention::new().dropout(0.4)), &[&[3, 4], &[2, 5], &[2, 4]]);
    add(Box::new(AdditiveAttention::new().use_scale(false).use_causal_mask(true)), &[&[3, 4], &[3, 4]]);
    all
}

pub fn all_samples() -> Vec<(Box<dyn Layer>, Shapes)> {
    let single = samples().into_iter().map(|(layer, shape)| (layer, vec![shape]));
    single.chain(samples_of_several()).collect()
}

fn label(layer: &dyn Layer, shapes: &[Vec<usize>]) -> String {
    let shown = if let [shape] = shapes { format!("{shape:?}") } else { format!("{shapes:?}") };
    format!("{} {:?} on {shown}", layer.class_name(), layer.config().get("units").or(layer.config().get("rate")))
}

/// A layer lowered alone: states are its weights, the output `y`.
pub struct Lowered {
    builder: Builder,
    x: Vec<Value>,
    y: Vec<Masked>,
    weights: Vec<Value>,
}

/// The name of an input: `x`, then `x1` and so on.
fn input_name(at: usize) -> String {
    if at == 0 { "x".into() } else { format!("x{at}") }
}

pub fn lower(layer: &dyn Layer, shape: &[usize], mode: Mode, seed: u64) -> Lowered {
    lower_all(layer, &[shape.to_vec()], mode, seed)
}

fn lower_all(layer: &dyn Layer, shapes: &[Vec<usize>], mode: Mode, seed: u64) -> Lowered {
    let mut g = Builder::new();
    let input =
        |(at, shape): (usize, &Vec<usize>)| g.input(&input_name(at), Type::f32([&[BATCH], shape.as_slice()].concat()));
    let x: Vec<Value> = shapes.iter().enumerate().map(input).collect();
    let specs = layer.weights_for(shapes).unwrap();
    let role = |trainable| if trainable { Role::Parameter } else { Role::Statistic };
    let weights: Vec<Value> =
        specs.iter().map(|s| g.state(&s.name, Type::f32(s.shape.clone()), role(s.trainable))).collect();
    let step = (mode == Mode::Train).then(|| g.input("step", Type::i32([])));
    let mut call = Call::new(&mut g, &weights, step, RandomKey::new(seed));
    let y = layer.call_all(&mut call, &x.iter().copied().map(Masked::new).collect::<Vec<_>>());
    Lowered { builder: g, x, y, weights }
}

/// A batch of samples: noise, or whole numbers for a layer that takes indices.
fn batch_of(layer: &dyn Layer, shape: &[usize], rng: &mut Philox) -> NaiveValue<f64> {
    let shape = [&[BATCH], shape].concat();
    let Some(bound) = takes_indices(layer) else { return noise(&shape, rng) };
    let count = shape.iter().product();
    NaiveValue::float(shape, (0..count).map(|_| f64::from(rng.below(bound))).collect())
}

/// What the indices that a layer takes are below; `None` for layers that take any numbers.
fn takes_indices(layer: &dyn Layer) -> Option<u32> {
    layer.config().get("input_dim").and_then(|bound| bound.as_u64()).map(|bound| bound as u32)
}

fn noise(shape: &[usize], rng: &mut Philox) -> NaiveValue<f64> {
    let count = shape.iter().product();
    NaiveValue::float(shape, (0..count).map(|_| rng.normal()).collect())
}

/// Weights away from their first values; a variance stays positive.
fn weights_of(layer: &dyn Layer, shapes: &[Vec<usize>], rng: &mut Philox) -> Values<f64> {
    let value = |spec: &footlight_nn::WeightSpec, rng: &mut Philox| {
        let noise = noise(&spec.shape, rng);
        match spec.name.as_ref() {
            name if name.ends_with("variance") => {
                NaiveValue::float(spec.shape.clone(), numbers(&noise).iter().map(|x| 0.5 + x * x).collect())
            }
            _ => noise,
        }
    };
    layer.weights_for(shapes).unwrap().iter().map(|spec| (spec.name.to_string(), value(spec, rng))).collect()
}

pub fn output(graph: &Graph, x: NaiveValue<f64>, weights: &Values<f64>, step: i32) -> NaiveValue<f64> {
    output_of(graph, &[x], weights, step)
}

fn output_of(graph: &Graph, x: &[NaiveValue<f64>], weights: &Values<f64>, step: i32) -> NaiveValue<f64> {
    run(graph, &feeds(x, step), &mut weights.clone())["y"].clone()
}

fn feeds(x: &[NaiveValue<f64>], step: i32) -> Vec<(&'static str, NaiveValue<f64>)> {
    let names = ["x", "x1", "x2"].into_iter().zip(x.iter().cloned());
    names.chain([("step", NaiveValue::int([], vec![step]))]).collect()
}

pub fn graph_of(mut lowered: Lowered) -> Graph {
    lowered.builder.output("y", lowered.y[0].value);
    lowered.builder.finish().unwrap()
}

#[test]
fn every_class_of_the_catalogue_has_a_sample() {
    let samples = all_samples();
    for class in layers::CLASSES.iter().filter(|class| !MERGES.contains(class)) {
        assert!(samples.iter().any(|(layer, _)| layer.class_name() == *class), "add a sample of {class} here");
    }
}

#[test]
fn the_shape_rule_tells_the_lowered_shape() {
    let mut report = Report::default();
    for (layer, shape) in all_samples() {
        let batched = |shape: &Vec<usize>| [&[BATCH], shape.as_slice()].concat();
        let told: Shapes = layer.output_shapes(&shape).unwrap().iter().map(batched).collect();
        for mode in [Mode::Train, Mode::Infer] {
            let lowered = lower_all(layer.as_ref(), &shape, mode, 0);
            let got: Shapes = lowered.y.iter().map(|y| lowered.builder.shape(y.value)).collect();
            report.equal(&format!("{} {mode:?}", label(layer.as_ref(), &shape)), got, told.clone());
            report.equal(
                &format!("{} {mode:?} faults", label(layer.as_ref(), &shape)),
                lowered.builder.faults().len(),
                0,
            );
        }
    }
    report.finish();
}

#[test]
fn configurations_round_trip_and_copies_are_equal() {
    let mut report = Report::default();
    for (layer, shape) in all_samples() {
        let case = label(layer.as_ref(), &shape);
        let written = layers::to_config(layer.as_ref(), "some_name", None);
        let again = layers::from_config(&written).unwrap();
        report.equal(&format!("{case}: name"), again.common().name.as_deref(), Some("some_name"));
        report.equal(&case, differences(&layers::to_config(again.as_ref(), "some_name", None), &written), vec![]);
        let copy = layer.clone_box();
        report.equal(&format!("{case}: copy"), format!("{copy:?}"), format!("{layer:?}"));
    }
    report.finish();
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    for (layer, _) in all_samples() {
        let mut written = layers::to_config(layer.as_ref(), "some_name", None);
        written["config"]["no_such_key"] = 1.into();
        let message = layers::from_config(&written).unwrap_err().to_string();
        assert!(message.contains("`some_name`") && message.contains("`no_such_key`"), "{message}");
    }
}

#[test]
fn answering_draws_no_random_numbers_and_moves_no_statistic() {
    for (layer, shape) in all_samples() {
        let graph = graph_of(lower_all(layer.as_ref(), &shape, Mode::Infer, 0));
        let random = graph.nodes().iter().any(|n| matches!(n.op, Op::RandomUniform(_)));
        assert!(!random, "{}", label(layer.as_ref(), &shape));
        assert!(graph.states().iter().all(|s| s.next.is_none()), "{}", label(layer.as_ref(), &shape));
    }
}

#[test]
fn an_answer_does_not_depend_on_the_other_samples() {
    let mut rng = Philox::new(RandomKey::new(1));
    for (layer, shape) in all_samples() {
        let graph = graph_of(lower_all(layer.as_ref(), &shape, Mode::Infer, 0));
        let weights = weights_of(layer.as_ref(), &shape, &mut rng);
        let x: Vec<_> = shape.iter().map(|shape| batch_of(layer.as_ref(), shape, &mut rng)).collect();
        let changed = |x: &NaiveValue<f64>| {
            let mut other = x.as_float().unwrap().to_vec();
            let row = other.len() / BATCH;
            other[row..].iter_mut().for_each(|x| *x = 1.0 - 2.0 * *x);
            NaiveValue::float(x.shape.clone(), other)
        };
        let other: Vec<_> = x.iter().map(changed).collect();
        let first = numbers(&output_of(&graph, &x, &weights, 0));
        let second = numbers(&output_of(&graph, &other, &weights, 0));
        let row = first.len() / BATCH;
        assert_eq!(first[..row], second[..row], "{}", label(layer.as_ref(), &shape));
    }
}

#[test]
fn a_layer_that_is_not_trainable_trains_as_it_answers() {
    for class in ["Dense", "BatchNormalization"] {
        let found = samples().into_iter().find(|(l, _)| l.class_name() == class && !l.common().trainable);
        let (layer, shape) = found.unwrap();
        let model = Architecture::sequential(vec![layer.clone_box()]).and_then(|mut model| {
            model.build(&shape)?;
            Ok(model)
        });
        assert_eq!(model.unwrap().trainable_weights().count(), 0, "{class}");
        let [train, infer] = [Mode::Train, Mode::Infer].map(|mode| graph_of(lower(layer.as_ref(), &shape, mode, 0)));
        assert!(train.states().iter().all(|s| s.next.is_none()), "{class}");
        let mut rng = Philox::new(RandomKey::new(2));
        let weights = weights_of(layer.as_ref(), std::slice::from_ref(&shape), &mut rng);
        let x = batch_of(layer.as_ref(), &shape, &mut rng);
        assert_eq!(output(&train, x.clone(), &weights, 0), output(&infer, x, &weights, 0), "{class}");
    }
}

/// Central differences of `sum(y * direction)` over all outputs in double precision, by the inputs and every trained
/// weight. The error is measured against the largest gradient of the tensor.
#[test]
fn gradients_are_those_of_finite_differences() {
    let mut report = Report::default();
    for ((layer, shape), mode) in all_samples().into_iter().flat_map(|s| [(s.clone(), Mode::Train), (s, Mode::Infer)]) {
        let case = format!("{} {mode:?}", label(layer.as_ref(), &shape));
        let mut rng = Philox::new(RandomKey::new(3).child(&case));
        let mut lowered = lower_all(layer.as_ref(), &shape, mode, 5);
        let weights = weights_of(layer.as_ref(), &shape, &mut rng);
        let x: Vec<_> = shape.iter().map(|shape| batch_of(layer.as_ref(), shape, &mut rng)).collect();
        let g = &mut lowered.builder;
        let directions: Vec<_> = lowered.y.iter().map(|y| noise(&g.shape(y.value), &mut rng)).collect();
        let names = ["direction", "direction1"];
        let products = lowered.y.iter().zip(names.iter().zip(&directions)).map(|(y, (name, direction))| {
            let d = g.input(name, Type::f32(direction.shape.clone()));
            let product = g.mul(y.value, d);
            g.sum_all(product)
        });
        let products: Vec<Value> = products.collect();
        let scalar = products.into_iter().reduce(|a, b| g.add(a, b)).unwrap();
        let specs = layer.weights_for(&shape).unwrap();
        let named = specs.iter().zip(&lowered.weights).filter(|(s, _)| s.trainable);
        let inputs = lowered.x.iter().enumerate().filter(|_| takes_indices(layer.as_ref()).is_none());
        let inputs = inputs.map(|(at, x)| (input_name(at), *x));
        let by: Vec<(String, Value)> = inputs.chain(named.map(|(s, v)| (s.name.to_string(), *v))).collect();
        let gradients = differentiate(g, scalar, &by.iter().map(|(_, v)| *v).collect::<Vec<_>>()).unwrap();
        g.output("scalar", scalar);
        for ((name, _), gradient) in by.iter().zip(gradients) {
            g.output(&format!("d{name}"), gradient);
        }
        let graph = lowered.builder.finish().unwrap();
        let at = |x: &[NaiveValue<f64>], weights: &Values<f64>| {
            let directions = names.into_iter().zip(directions.iter().cloned());
            let feeds: Vec<_> = feeds(x, 4).into_iter().chain(directions).collect();
            run(&graph, &feeds, &mut weights.clone())
        };
        let base = at(&x, &weights);
        for (place, (name, _)) in by.iter().enumerate() {
            let got = numbers(&base[&format!("d{name}")]);
            let is_input = *name == input_name(place) && place < x.len();
            let want: Vec<f64> = (0..got.len())
                .map(|i| {
                    let value = |offset: f64| {
                        let (mut x, mut weights) = (x.clone(), weights.clone());
                        let target = if is_input { &mut x[place] } else { weights.get_mut(name).unwrap() };
                        let mut data = numbers(target);
                        data[i] += offset;
                        *target = NaiveValue::float(target.shape.clone(), data);
                        numbers(&at(&x, &weights)["scalar"])[0]
                    };
                    (value(6e-6) - value(-6e-6)) / 1.2e-5
                })
                .collect();
            let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let tolerance = Tolerance { absolute: 1e-6 * largest + 1e-9, relative: 0.0 };
            report.close(&format!("{case}: d{name}"), &got, &want, tolerance);
        }
    }
    report.finish();
}

#[test]
fn a_mask_passes_through_the_layers_that_keras_lets_pass_it() {
    for (layer, shape) in samples() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([&[BATCH], shape.as_slice()].concat()));
        // Of a normalization steps may be left out, of a softmax numbers; others do not look at what comes after the steps.
        let masked = match layer.class_name() {
            "BatchNormalization" => &shape[..shape.len() - 1],
            "Softmax" => &shape[..],
            _ => &shape[..1],
        };
        let mask = g.input("mask", Type::f32([&[BATCH], masked].concat()));
        let specs = layer.weights(&shape).unwrap();
        let weights: Vec<Value> =
            specs.iter().map(|s| g.state(&s.name, Type::f32(s.shape.clone()), Role::Parameter)).collect();
        let mut call = Call::new(&mut g, &weights, None, RandomKey::new(0));
        let y = layer.call(&mut call, Masked { value: x, mask: Some(mask) });
        let case = label(layer.as_ref(), std::slice::from_ref(&shape));
        match layer.class_name() {
            // A recurrent layer that answers its last output alone has come to the end of the steps that a mask counts.
            "SimpleRNN" | "LSTM" | "GRU" | "RNN" if layer.config().get("return_sequences") == Some(&false.into()) => {
                assert_eq!(y.mask, None, "{case}");
            }
            "Bidirectional" if layer.output_shape(&shape).unwrap().len() == 1 => assert_eq!(y.mask, None, "{case}"),
            "Flatten" | "Reshape" | "Permute" | "RepeatVector" | "EinsumDense" | "RMSNormalization" => {
                assert_eq!(y.mask, None, "{case}");
            }
            class
                if ["Cropping", "ZeroPadding", "UpSampling", "Pooling", "Conv"]
                    .iter()
                    .any(|family| class.contains(family)) =>
            {
                assert_eq!(y.mask, None, "{case}");
            }
            "Embedding" | "Masking" => {
                let is_made = layer.config().get("mask_zero").is_none_or(|flag| *flag == true);
                assert_eq!(y.mask.is_some(), is_made, "{case}");
                assert_ne!(y.mask, Some(mask), "{case}: a mask of its own");
            }
            _ => assert_eq!(y.mask, Some(mask), "{case}"),
        }
    }
}

#[test]
fn the_summary_has_a_row_for_every_layer_but_the_input() {
    for (layer, shape) in samples() {
        let counts: Vec<usize> = layer.weights(&shape).unwrap().iter().map(|w| w.shape.iter().product()).collect();
        let class = layer.class_name();
        let mut model =
            Architecture::sequential(vec![layer.clone_box(), Box::new(Flatten::new().name("end"))]).unwrap();
        model.build(&shape).unwrap();
        let text = model.summary(None);
        assert_eq!(text.contains(&format!("({class})")), class != "InputLayer", "{text}");
        let total = footlight_nn::grouped(counts.iter().sum());
        assert!(text.contains(&format!(" Total params: {total} (")), "{text}");
    }
}
