//! Every setting of every layer at its worst, and every layer on inputs and masks that do not fit: told with the layer, what
//! was received and what is expected, and never a panic.

use crate::contract::{BATCH, Shapes, all_samples};
use crate::support::*;
use footlight_graph::{Builder, Role, Type, Value};
use footlight_nn::config::{Key, KeyKind};
use footlight_nn::*;
use footlight_tensor::{RandomKey, display_shape};
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A model of one layer, lowered to train and to answer.
fn lowered(layer: Box<dyn Layer>, shapes: &[Vec<usize>]) -> Result<(), Error> {
    let named = |(at, shape): (usize, &Vec<usize>)| ModelInput {
        name: format!("x{at}"),
        extents: Some(shape.clone().into()),
        shape: Some(shape.clone()),
    };
    let inputs: Vec<ModelInput> = shapes.iter().enumerate().map(named).collect();
    let ports = (0..inputs.len()).map(Port::Input).collect();
    let call = LayerCall { layer: 0, inputs: ports, named: vec![], infers: false, extents: vec![], shapes: vec![] };
    let model = Architecture::functional("model", vec![layer], vec![call], inputs, vec![Port::Output(0, 0)])?;
    model.lower_infer(2)?;
    Compile::new(Box::new(SGD::new()), Loss::from("mse"), vec![])?.lower_train(&model, 2, 0).map(drop)
}

/// What comes of it; a panic is a failure, and so is more than a moment, which something huge would take.
fn outcome(report: &mut Report, case: &str, run: impl FnOnce() -> Result<(), Error>) -> Option<Result<(), Error>> {
    let begin = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(run));
    report.equal(&format!("{case}: took long"), begin.elapsed() > Duration::from_secs(10), false);
    result.map_err(|_| report.fail(case, "a panic")).ok()
}

/// Values of which hardly any is legal.
fn worst(kind: KeyKind) -> Vec<Json> {
    let others = [json!("many"), json!(true), json!({}), json!([[]]), json!([null]), json!(["a"])];
    let numbers = [json!(0), json!(-1), json!(0.5), json!(1e39)];
    let beyond = [json!(1i64 << 31), json!(i64::MIN), json!(u64::MAX)];
    let lists = [json!([]), json!([0, 0]), json!([-1]), json!([i64::MAX, i64::MAX]), json!([2, 2, 2, 2, 2, 2])];
    match kind {
        KeyKind::Number | KeyKind::Numbers => [&numbers[..], &lists, &others].concat(),
        KeyKind::Count | KeyKind::Integer | KeyKind::Integers | KeyKind::Margins => {
            [&numbers[..], &beyond, &lists, &others].concat()
        }
        KeyKind::Flag => vec![json!(1), json!("yes"), json!([true])],
        _ => vec![json!(1), json!("nonsense"), json!(true), json!([]), json!({}), json!({ "class_name": "Nonsense" })],
    }
}

/// What is legal among [`worst`]: a key, values, and the classes that take all of these; `*` for every class.
const LEGAL: &[(&str, &[&str], &str)] = &[
    ("alpha", &["0", "-1", "0.5"], "ELU"),
    ("axis", &["-1", "[-1]"], "BatchNormalization GroupNormalization LayerNormalization RMSNormalization Softmax"),
    ("axis", &["-1", "[-1]", "[2,2,2,2,2,2]", "[]"], "Normalization UnitNormalization"),
    ("cropping", &["0"], "Cropping3D"),
    ("cropping", &["0", "[0,0]"], "Cropping1D Cropping2D"),
    ("dropout", &["0", "0.5"], "AdditiveAttention Attention GRU GroupQueryAttention LSTM MultiHeadAttention SimpleRNN"),
    ("epsilon", &["0", "0.5"], "BatchNormalization LayerNormalization"),
    ("epsilon", &["0.5"], "GroupNormalization RMSNormalization"),
    ("groups", &["-1"], "GroupNormalization"),
    ("l1", &["0", "0.5"], "ActivityRegularization"),
    ("l2", &["0", "0.5"], "ActivityRegularization"),
    ("mask_value", &["0", "-1", "0.5"], "Masking"),
    ("max_value", &["0", "0.5"], "ReLU"),
    ("mean", &["0", "-1", "0.5"], "Normalization"),
    ("momentum", &["0", "0.5"], "BatchNormalization"),
    ("name", &["\"nonsense\""], "*"),
    ("negative_slope", &["0", "0.5"], "LeakyReLU ReLU"),
    ("offset", &["0", "-1", "[-1]", "0.5"], "Rescaling"),
    ("output_padding", &["0"], "Conv1DTranspose"),
    ("output_padding", &["0", "[0,0]"], "Conv2DTranspose"),
    ("output_shape", &["[2,2,2,2,2,2]"], "MultiHeadAttention"),
    ("padding", &["0"], "ZeroPadding3D"),
    ("padding", &["0", "[0,0]"], "ZeroPadding1D ZeroPadding2D"),
    ("rate", &["0", "0.5"], "AlphaDropout Dropout GaussianDropout SpatialDropout1D SpatialDropout2D SpatialDropout3D"),
    ("recurrent_dropout", &["0", "0.5"], "GRU LSTM SimpleRNN"),
    ("scale", &["0", "-1", "[-1]", "0.5"], "Rescaling"),
    ("shared_axes", &["[2,2,2,2,2,2]", "[]"], "PReLU"),
    ("stddev", &["0", "0.5"], "GaussianNoise"),
    ("target_shape", &["-1", "[-1]"], "Reshape"),
    ("threshold", &["0", "0.5"], "ReLU"),
    ("variance", &["0", "0.5"], "Normalization"),
];

/// Whether a class takes a value for a key.
fn is_legal(class: &str, key: &str, value: &str) -> bool {
    let takes = |(known, values, classes): &(&str, &[&str], &str)| {
        *known == key && values.contains(&value) && classes.split(' ').any(|known| known == class || known == "*")
    };
    LEGAL.iter().any(takes)
}

/// The keys of a layer, and of a layer within it, each with the class that has it and the pointer to it; the shape of the
/// first layer of a model has messages of its own.
fn keys(entry: &Json, at: &str) -> Vec<(String, String, Key)> {
    let class = text(&entry["class_name"]);
    let own = layers::keys(class).into_iter().filter(|key| key.name != "input_shape");
    let own = own.map(|key| (class.to_string(), format!("{at}/config/{}", key.name), key));
    let inner = entry["config"].get("layer").map(|inner| keys(inner, &format!("{at}/config/layer")));
    own.chain(inner.into_iter().flatten()).collect()
}

/// Whether a text holds a number or word that does not go on at either end.
fn holds(text: &str, word: &str) -> bool {
    let goes_on = |mut after: std::str::Chars<'_>| match after.next() {
        Some('.') => after.next().is_some_and(|c| c.is_ascii_digit()),
        next => next.is_some_and(|c| c.is_alphanumeric()),
    };
    let began = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '-');
    text.match_indices(word).any(|(at, _)| !began(&text[..at]) && !goes_on(text[at + word.len()..].chars()))
}

#[test]
fn a_number_is_told_by_itself_and_not_by_another() {
    assert!(holds("units = 0: at least one", "0") && holds("got 0.", "0") && holds("[-1, 0]", "-1"));
    assert!(!holds("units = 10", "0") && !holds("rate = 0.5", "0") && !holds("axis -1", "1") && !holds("1e0", "0"));
}

/// Whether a message tells `value`, or how it is read; of a list one of its values will do, or where shapes are at fault its
/// shape.
fn tells(message: &str, value: &Json) -> bool {
    let bare = |text: &str| text.replace([' ', '"'], "");
    let shape = value.as_array().map_or("[]".into(), |list| format!("[{}]", list.len()));
    let is_part = |one: &Json| match one {
        Json::Null => holds(message, "-1"),
        Json::Array(_) | Json::Object(_) => bare(message).contains(&bare(&one.to_string())),
        one => holds(message, &bare(&one.to_string())),
    };
    is_part(value)
        || value == &json!(1e39) && message.contains("inf")
        || message.contains("shape") && message.contains(&shape)
        || value.as_array().is_some_and(|list| list.iter().any(is_part))
        || value.get("class_name").is_some_and(is_part)
}

/// The message of an error, if it is not clear that it is about the key behind `pointer`, which is `value`.
fn unclear(error: &Error, class: &str, pointer: &str, value: &Json) -> Option<String> {
    let (message, key) = (error.to_string(), pointer.rsplit('/').next().unwrap_or_default());
    // A layer whose name is at fault is told by its class.
    let place =
        if pointer == "/config/name" { format!("layer `{class}`: ") } else { format!("layer `it` ({class}): ") };
    // Of a mean without a variance neither number is at fault.
    let is_told = tells(&message, value) || message.contains(" is given without ");
    let is_named = message.contains(key) || error.kind() == ErrorKind::Shape;
    let is_kind = matches!(error.kind(), ErrorKind::Config | ErrorKind::Shape);
    (!(message.starts_with(&place) && is_told && is_named && is_kind)).then_some(message)
}

#[test]
fn every_setting_of_every_layer_at_its_worst_is_told() {
    let (mut report, mut accepted) = (Report::default(), HashSet::new());
    for (layer, shapes) in all_samples() {
        let (class, plain) = (layer.class_name(), layers::to_config(layer.as_ref(), "it", None));
        for (owner, pointer, key) in keys(&plain, "") {
            for value in worst(key.kind).into_iter().filter(|_| plain.pointer(&pointer).is_some()) {
                let mut entry = plain.clone();
                *entry.pointer_mut(&pointer).unwrap() = value.clone();
                let case = format!("{class}{pointer} = {value}");
                match outcome(&mut report, &case, || lowered(layers::from_config(&entry)?, &shapes)) {
                    Some(Ok(())) => {
                        let value = value.to_string();
                        report.equal(&format!("{case} is accepted"), is_legal(&owner, &key.name, &value), true);
                        accepted.insert(format!("{owner} {} {value}", key.name));
                    }
                    Some(Err(error)) => report.equal(&case, unclear(&error, class, &pointer, &value), None),
                    None => {}
                }
            }
        }
    }
    for (key, values, classes) in LEGAL.iter().filter(|(.., classes)| *classes != "*") {
        let pairs = classes.split(' ').flat_map(|class| values.iter().map(move |value| (class, value)));
        for case in pairs.map(|(class, value)| format!("{class} {key} {value}")) {
            report.equal(&format!("{case} is accepted"), accepted.contains(&case), true);
        }
    }
    report.finish();
}

/// Settings that are no numbers, which no file holds.
#[test]
fn no_setting_may_be_nan() {
    const NAN: f32 = f32::NAN;
    let all: Vec<(&str, Box<dyn Layer>)> = vec![
        ("rate", Box::new(Dropout::new(NAN))),
        ("rate", Box::new(AlphaDropout::new(NAN))),
        ("rate", Box::new(GaussianDropout::new(NAN))),
        ("rate", Box::new(SpatialDropout1D::new(NAN))),
        ("stddev", Box::new(GaussianNoise::new(NAN))),
        ("l1", Box::new(ActivityRegularization::new(NAN, 0.0))),
        ("l2", Box::new(ActivityRegularization::new(0.0, NAN))),
        ("momentum", Box::new(BatchNormalization::new().momentum(NAN))),
        ("epsilon", Box::new(BatchNormalization::new().epsilon(NAN))),
        ("epsilon", Box::new(LayerNormalization::new().epsilon(NAN))),
        ("epsilon", Box::new(GroupNormalization::new(1).epsilon(NAN))),
        ("epsilon", Box::new(RMSNormalization::new().epsilon(NAN))),
        ("mean", Box::new(Normalization::of(NAN, 1.0))),
        ("variance", Box::new(Normalization::of(1.0, NAN))),
        ("scale", Box::new(Rescaling::new(NAN))),
        ("offset", Box::new(Rescaling::new(1.0).offset(NAN))),
        ("mask_value", Box::new(Masking::new(NAN))),
        ("alpha", Box::new(ELU::new().alpha(NAN))),
        ("negative_slope", Box::new(LeakyReLU::new().negative_slope(NAN))),
        ("negative_slope", Box::new(ReLU::new().negative_slope(NAN))),
        ("max_value", Box::new(ReLU::new().max_value(NAN))),
        ("threshold", Box::new(ReLU::new().threshold(NAN))),
        ("dropout", Box::new(Attention::new().dropout(NAN))),
        ("dropout", Box::new(MultiHeadAttention::new(1, 1).dropout(NAN))),
        ("dropout", Box::new(LSTM::new(1).dropout(NAN))),
        ("recurrent_dropout", Box::new(GRU::new(1).recurrent_dropout(NAN))),
        ("kernel_regularizer", Box::new(Dense::new(1).kernel_regularizer(L2::new(NAN)))),
        ("activity_regularizer", Box::new(Dense::new(1).activity_regularizer(L1::new(NAN)))),
    ];
    let mut report = Report::default();
    for (key, layer) in all {
        let case = format!("{} {key}", layer.class_name());
        let shapes = vec![vec![2, 3]; if case.contains("Attention") { 2 } else { 1 }];
        match outcome(&mut report, &case, || lowered(layer, &shapes)) {
            Some(Ok(())) => report.fail(&case, "NaN is accepted"),
            Some(Err(error)) => {
                let message = error.to_string();
                let name = key.strip_prefix("kernel_").unwrap_or(key);
                report.equal(&format!("{message}: names"), message.contains(name) && message.contains("NaN"), true);
            }
            None => {}
        }
    }
    report.finish();
}

#[test]
fn every_layer_on_inputs_that_do_not_fit_tells_their_shapes() {
    let extents: [&[usize]; 9] =
        [&[], &[1], &[3], &[5, 4], &[1, 1, 1], &[2, 3, 4], &[2, 3, 4, 5], &[1, 2, 3, 4, 5], &[2, 2, 2, 2, 2, 2, 2]];
    let mut report = Report::default();
    for (layer, fits) in all_samples() {
        for (count, shape) in (0..4).flat_map(|count| extents.map(|shape| (count, shape))) {
            let given: Shapes = vec![shape.to_vec(); count];
            let case = format!("{} made for {fits:?} on {given:?}", layer.class_name());
            let told = outcome(&mut report, &case, || match count {
                // A model has inputs, a layer may be asked for its shapes without.
                0 => {
                    let weights = layer.weights_for(&[]).map(drop);
                    layer.output_shapes(&[]).map(drop).and(weights)
                }
                _ => lowered(layer.clone(), &given),
            });
            let Some(Err(error)) = told else { continue };
            let message = error.to_string();
            // Axes and equations are settings, the samples may not have what these name.
            let settings = ["axis = ", "attention_axes = ", "shared_axes: ", "equation = ", "dims = "];
            // A layer within another is given its samples without their steps.
            let [shown, inner] = [shape, shape.get(1..).unwrap_or_default()].map(display_shape);
            let (number, parts) =
                (format!("got {count}"), ["single numbers", "channels", "spatial axis", "of the samples"]);
            let told = [shown.as_str(), &inner, &number].into_iter().chain(parts);
            let is_about = told.chain(settings).any(|part| message.contains(part)) && message.contains("layer `")
                || message.starts_with("loss: predictions have shape")
                || count == 0;
            let is_kind = matches!(error.kind(), ErrorKind::Config | ErrorKind::Shape);
            report.equal(&format!("{case}: {message}"), is_about && is_kind, true);
        }
    }
    report.finish();
}

/// Layers that look at a mask tell one of another shape; all others leave it be.
#[test]
fn every_layer_under_a_mask_that_does_not_fit_tells_it_or_ignores_it() {
    let mut report = Report::default();
    for (layer, shapes) in all_samples() {
        let looks = match layer.class_name() {
            "SimpleRNN" | "LSTM" | "GRU" | "RNN" | "Bidirectional" | "GlobalAveragePooling1D" => true,
            "BatchNormalization" | "Softmax" | "TimeDistributed" => true,
            class => class.ends_with("Attention"),
        };
        for extents in [vec![], vec![BATCH, 7], vec![BATCH, 2, 3, 2, 2]] {
            let case = format!("{} on {shapes:?} under {extents:?}", layer.class_name());
            let result = outcome(&mut report, &case, || {
                let mut g = Builder::new();
                let mask = Some(g.input("mask", Type::f32(extents.clone())));
                let input = |(at, shape): (usize, &Vec<usize>)| {
                    let value = g.input(&format!("x{at}"), Type::f32([&[BATCH], shape.as_slice()].concat()));
                    Masked { value, mask }
                };
                let inputs: Vec<Masked> = shapes.iter().enumerate().map(input).collect();
                let state = |spec: &WeightSpec| g.state(&spec.name, Type::f32(spec.shape.clone()), Role::Parameter);
                let weights: Vec<Value> = layer.weights_for(&shapes)?.iter().map(state).collect();
                let step = g.constant_i32(0);
                layer.call_all(&mut Call::new(&mut g, &weights, Some(step), RandomKey::new(0)), &inputs);
                Ok(g.finish().map(drop)?)
            });
            // What comes after the steps is for the layer within.
            if layer.class_name() == "TimeDistributed" && extents.starts_with(&[BATCH, shapes[0][0]]) {
                continue;
            }
            let told = format!("a mask has shape {}, expected [{BATCH}", display_shape(&extents));
            match result {
                Some(Ok(())) => report.equal(&format!("{case}: is told"), false, looks),
                Some(Err(error)) => report.equal(&format!("{case}: {error}"), error.to_string().contains(&told), looks),
                None => {}
            }
        }
    }
    report.finish();
}

/// What recording a layer on samples of `shapes`, with a value by name, complains of.
fn complaint(layer: &dyn Layer, shapes: &[&[usize]], name: &str, extents: &[usize]) -> Option<String> {
    let mut g = Builder::new();
    let mut input = |name: &str, shape: &[usize]| g.input(name, Type::f32(shape));
    let inputs: Vec<Masked> = shapes.iter().map(|shape| Masked::new(input("x", &[&[2], *shape].concat()))).collect();
    let named = [(name.to_string(), vec![Masked::new(input("mask", extents))])];
    let samples: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.to_vec()).collect();
    let state = |spec: &WeightSpec| g.state(&spec.name, Type::f32(spec.shape.clone()), Role::Parameter);
    let weights: Vec<Value> = layer.weights_for(&samples).unwrap().iter().map(state).collect();
    g.enter("it");
    layer.call_all(&mut Call { named: &named, ..Call::new(&mut g, &weights, None, RandomKey::new(0)) }, &inputs);
    g.leave();
    g.finish().err().map(|error| error.to_string())
}

#[test]
fn a_mask_that_a_call_is_given_by_name_is_told_with_its_layer_and_what_would_fit() {
    let mut report = Report::default();
    let mut check = |layer: &dyn Layer, shapes: &[&[usize]], name: &str, extents: &[usize], want: Option<&str>| {
        let told = complaint(layer, shapes, name, extents);
        let is_told = match (&told, want) {
            (Some(told), Some(want)) => told.starts_with("it: ") && told.contains(want) && told.contains("help: give"),
            (told, want) => told.is_none() && want.is_none(),
        };
        report.equal(&format!("{} {name} {extents:?}: {told:?}", layer.class_name()), is_told, true);
    };
    let (heads, groups) = (MultiHeadAttention::new(3, 2), GroupQueryAttention::new(2, 3, 1));
    let pair: [&[usize]; 2] = [&[5, 4], &[6, 4]];
    for layer in [&heads as &dyn Layer, &groups] {
        let mut pairs = |extents: &[usize], is_fit: bool| {
            let told =
                format!("attention_mask has shape {}, expected [2, 5, 6] or [2, 3, 5, 6]", display_shape(extents));
            check(layer, &pair, "attention_mask", extents, Some(told.as_str()).filter(|_| !is_fit));
        };
        for fits in [&[2, 5, 6][..], &[1, 5, 6], &[2, 1, 6], &[2, 3, 5, 6], &[2, 1, 5, 1]] {
            pairs(fits, true);
        }
        for other in [&[2, 6, 5][..], &[3, 5, 6], &[2, 5], &[2, 2, 5, 6], &[2, 1, 1, 5, 6], &[]] {
            pairs(other, false);
        }
        for name in ["value_mask", "key_mask"] {
            check(layer, &pair, name, &[2, 6], None);
            check(layer, &pair, name, &[2, 5], Some("a mask has shape [2, 5], expected [2, 6]"));
        }
    }
    // Over the first axis of steps alone; the second counts as further samples.
    let along = MultiHeadAttention::new(3, 2).attention_axes([1]);
    let pictures: [&[usize]; 2] = [&[5, 7, 4], &[6, 7, 4]];
    for fits in [&[2, 5, 6][..], &[2, 7, 5, 6], &[2, 1, 5, 6], &[2, 7, 3, 5, 6]] {
        check(&along, &pictures, "attention_mask", fits, None);
    }
    for other in [&[2, 5, 7][..], &[2, 6, 5, 6], &[2, 7, 2, 5, 6]] {
        let told = "expected [2, 5, 6] or [2, 7, 5, 6] or [2, 7, 3, 5, 6]";
        check(&along, &pictures, "attention_mask", other, Some(told));
    }
    check(&along, &pictures, "value_mask", &[2, 6], None);
    check(&along, &pictures, "value_mask", &[2, 7], Some("a mask has shape [2, 7], expected [2, 6]"));
    check(&Attention::new(), &pair, "mask", &[2, 6], Some("a mask has shape [2, 6], expected [2, 5]"));
    report.finish();
}

/// A mask of other extents than the numbers is told, one of an element for all along an axis counts for all.
#[test]
fn a_softmax_takes_a_mask_that_covers_its_input() {
    let finish = |extents: &[usize]| {
        let mut g = Builder::new();
        let (x, mask) = (g.input("x", Type::f32([2, 5, 4])), Some(g.input("mask", Type::f32(extents))));
        let mut call = Call::new(&mut g, &[], None, RandomKey::new(0));
        SoftmaxLayer::new().call(&mut call, Masked { value: x, mask });
        g.finish().err().map(|error| error.to_string())
    };
    assert_eq!([finish(&[2, 5, 4]), finish(&[2, 5, 1]), finish(&[1, 1, 4])], [None, None, None]);
    let told = finish(&[2, 5]).unwrap();
    assert!(told.contains("a mask has shape [2, 5], expected [2, 5, 4]"), "{told}");
}

/// A model of one embedding under a mask, whose losses have another shape than the mask.
#[test]
fn a_mask_that_does_not_fit_the_losses_is_told_with_its_output() {
    #[derive(Clone, Debug, Default)]
    struct Sum(Common);
    impl Layer for Sum {
        fn common(&self) -> &Common {
            &self.0
        }
        fn common_mut(&mut self) -> &mut Common {
            &mut self.0
        }
        fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
            Ok(input[1..].to_vec())
        }
        fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
            input.with(cx.graph.reduce_sum(input.value, &[1], false))
        }
    }
    let embedding = Embedding::new(5, 2).mask_zero(true).input_shape([3]);
    let model = Architecture::sequential(vec![Box::new(embedding), Box::new(Sum::default())]).unwrap();
    let compile = |loss: &str| Compile::new(Box::new(SGD::new()), Loss::from(loss), vec![]).unwrap();
    let message = compile("mse").lower_train(&model, 4, 0).unwrap_err().to_string();
    assert!(message.contains("output `sum` has a mask of shape [4, 3], its losses have shape [4]"), "{message}");
    assert!(compile("mse").lower_evaluate(&model, 4).is_err());
    // A loss of the whole batch is the same under any mask.
    compile("dice").lower_train(&model, 4, 0).unwrap();
}
