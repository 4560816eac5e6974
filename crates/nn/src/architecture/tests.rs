//! What a description tells of itself, and what is told of a faulty one.

use super::config::LAYER_LIMIT;
use super::*;
use crate::layer::{Call, Masked};
use crate::{
    Activation, Common, Conv3D, Dense, Dropout, Flatten, GlobalAveragePooling3D, Input, MultiHeadAttention, On, Reshape,
};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn article() -> Architecture {
    Architecture::sequential(crate::layers![
        Flatten::new().input_shape([28, 28]),
        Dense::new(128).activation(Activation::Relu),
        Dropout::new(0.2),
        Dense::new(10).activation("softmax"),
    ])
    .unwrap()
}

#[test]
fn names_shapes_and_weights_are_those_of_keras() {
    let model = article();
    assert_eq!(model.layer_names(), ["flatten", "dense", "dropout", "dense_1"]);
    let weights: Vec<(String, Vec<usize>)> =
        model.weights().iter().map(|w| (w.path.clone(), w.spec.shape.clone())).collect();
    assert_eq!(weights[0], ("dense/kernel".into(), vec![784, 128]));
    assert_eq!(weights[3], ("dense_1/bias".into(), vec![10]));
    assert_eq!(model.output_shape(), Some(&[10][..]));
}

#[test]
fn the_answering_graph_has_no_dropout() {
    let text = article().lower_infer(4).unwrap().to_string();
    assert!(!text.contains("random_uniform"), "{text}");
}

#[test]
fn all_faults_are_reported_together() {
    let error =
        Architecture::sequential(crate::layers![Dense::new(4).activation("rleu").input_shape([3]), Dropout::new(1.5),])
            .unwrap_err()
            .to_string();
    assert!(error.contains("layer `dense` (Dense): unknown activation `rleu`"), "{error}");
    assert!(error.contains("layer `dropout` (Dropout): rate = 1.5"), "{error}");
}

#[test]
fn shapes_beyond_all_measure_are_refused_and_never_overflow() {
    let huge = usize::MAX / 2;
    let error = |layers| Architecture::sequential(layers).unwrap_err().to_string();
    let message = error(crate::layers![Flatten::new().input_shape([huge, huge])]);
    assert!(message.starts_with("the samples of shape [9223372036854775807, 922"), "{message}");
    let message = error(crate::layers![Dense::new(huge).input_shape([4]), Dropout::new(2.0)]);
    assert!(message.contains("layer `dense` (Dense): units = 9223372036854775807 must be in"), "{message}");
    assert!(message.contains("layer `dropout` (Dropout): rate = 2"), "{message}");
    let largest = i32::MAX as usize;
    let message = error(crate::layers![Dense::new(largest).input_shape([4096])]);
    assert!(message.contains("layer `dense` (Dense): kernel of shape [4096, 2147483647] would be"), "{message}");
    let target = [largest as i64, largest as i64, 4];
    let message = error(crate::layers![crate::Reshape::new(target).input_shape([4])]);
    assert!(message.contains("cannot take shape"), "{message}");
}

#[test]
fn of_many_faults_ten_are_told() {
    let layers: Vec<Box<dyn Layer>> = (0..1000).map(|_| Box::new(Dense::new(0)) as Box<dyn Layer>).collect();
    let mut model = Architecture::sequential(layers).unwrap();
    let error = model.build(&[3]).unwrap_err();
    assert_eq!(error.message().lines().count(), 11, "{error}");
    assert!(error.message().ends_with("and 990 more"), "{error}");
}

#[test]
fn a_description_of_endless_layers_is_refused() {
    let layer = json!({ "class_name": "Flatten" });
    let value = json!({ "class_name": "Sequential", "config": { "layers": vec![layer; LAYER_LIMIT + 1] } });
    let error = Architecture::from_config(&value).unwrap_err();
    assert!(error.message().contains("has 10001 layers, at most 10000 are read"), "{error}");
}

#[test]
fn configurations_round_trip() {
    let model = article();
    let again = Architecture::from_config(&model.to_config()).unwrap();
    assert_eq!(again.to_config()["config"]["layers"][1], model.to_config()["config"]["layers"][1]);
    assert_eq!(again.weights().len(), model.weights().len());
    assert_eq!(again.input_shape(), model.input_shape());
}

/// The faults of a model, one to the line.
fn faults(made: Result<Architecture, Error>) -> Vec<String> {
    made.expect_err("it is at fault").parts().iter().map(|fault| fault.message().to_string()).collect()
}

#[test]
fn faults_of_names_places_and_settings_are_told_together() {
    let x = Input::new([5, 4]).symbol();
    let attended = MultiHeadAttention::new(2, 3).on_with([&x], &[("key", &x)]);
    let dense = Dense::new(0).name("a").on(&attended);
    let reshaped = Reshape::new([7]).name("a").on(&x);
    let told = faults(Architecture::of_symbols("m", [&x], [&dense, &reshaped]));
    let want = [
        "2 layers are called `a`",
        "layer `multi_head_attention` (MultiHeadAttention): is given `key` in another place, or without what comes before it",
        "layer `a` (Dense): units = 0: a layer needs at least one unit",
        "layer `a` (Reshape): samples of shape [5, 4] (20 elements) cannot take shape [7]",
    ];
    assert_eq!(told.len(), want.len(), "{told:#?}");
    want.iter().zip(&told).for_each(|(want, told)| assert!(told.starts_with(want), "{told}"));
    let sequential =
        Architecture::sequential(crate::layers![Dense::new(0).name("a/b").input_shape([3]), Dropout::new(2.0),]);
    assert_eq!(faults(sequential).len(), 3);
    // Without a shape nothing but the settings is known.
    let open = Architecture::sequential(crate::layers![Dense::new(3).name("a/b"), Dropout::new(2.0)]);
    assert_eq!(faults(open).len(), 2);
}

/// A functional model of entries `name, class, config, what it reads`, which puts out the last and `outputs`.
fn described(entries: &[(&str, &str, Json, &[&str])], outputs: &[&str]) -> Json {
    let history = |name: &str| json!([name, 0, 0]);
    let tensor =
        |name: &&str| json!({ "class_name": "__keras_tensor__", "config": { "keras_history": history(name) } });
    let entry = |(name, class, config, reads): &(&str, &str, Json, &[&str])| {
        let args: Vec<Json> = reads.iter().map(tensor).collect();
        let args = if *class == "Add" { vec![Json::from(args)] } else { args };
        let nodes = if *class == "InputLayer" { json!([]) } else { json!([{ "args": args, "kwargs": {} }]) };
        json!({ "class_name": class, "config": config, "name": name, "inbound_nodes": nodes })
    };
    let layers: Vec<Json> = entries.iter().map(entry).collect();
    let outputs: Vec<Json> = outputs.iter().map(|name| history(name)).collect();
    let config = json!({ "layers": layers, "input_layers": [history("x")], "output_layers": outputs });
    json!({ "class_name": "Functional", "config": config })
}

#[test]
fn cycles_are_told_with_all_other_faults() {
    let input = ("x", "InputLayer", json!({ "batch_shape": [null, 4] }), &[][..]);
    let units = |units: i32| json!({ "units": units });
    let model = described(
        &[
            input.clone(),
            ("after", "Dense", units(2), &["one"]),
            ("one", "Add", json!({}), &["x", "two"]),
            ("two", "Dense", units(4), &["one"]),
            ("own", "Dense", units(4), &["own"]),
            ("nothing", "Dense", units(2), &["gone"]),
            ("wrong", "Dense", units(0), &["x"]),
        ],
        &["after", "lost"],
    );
    let told = faults(Architecture::from_config(&model));
    let want = [
        "layer `nothing` (Dense): reads output 0 of call 0 of layer `gone`, which is never made",
        "the model: reads output 0 of call 0 of layer `lost`, which is never made",
        "layer `two` (Dense): is called on what depends on it",
        "layer `own` (Dense): is called on what depends on it",
        "layer `wrong` (Dense): units = 0: a layer needs at least one unit",
    ];
    assert_eq!(told, want);
    // Layers that cannot be read are told together too, before anything is known of what they are called on.
    let model = described(&[input, ("a", "Dens", json!({}), &["x"]), ("b", "Dense", json!({}), &["x"])], &["b"]);
    assert_eq!(faults(Architecture::from_config(&model)).len(), 2);
}

#[test]
fn layers_may_stand_in_any_order() {
    let input = ("x", "InputLayer", json!({ "batch_shape": [null, 4] }), &[][..]);
    let last = ("last", "Dense", json!({ "units": 2 }), &["sum"][..]);
    let (sum, left) =
        (("sum", "Add", json!({}), &["left", "x"][..]), ("left", "Dense", json!({ "units": 4 }), &["x"][..]));
    let model = Architecture::from_config(&described(&[last, sum, left, input], &["last"])).unwrap();
    assert_eq!(model.layer_names(), ["x", "left", "sum", "last"]);
}

#[test]
fn an_input_without_extents_is_read_again_as_one() {
    let value = json!({ "class_name": "Sequential", "config": { "layers": [
        { "class_name": "InputLayer", "config": {} },
        { "class_name": "Dense", "config": { "units": 2 } },
    ] } });
    let mut model = Architecture::from_config(&value).unwrap();
    assert!(!model.is_built());
    let written = model.to_config();
    let mut again = Architecture::from_config(&written).unwrap();
    assert_eq!(again.to_config(), written);
    for model in [&mut model, &mut again] {
        model.build(&[5, 3]).unwrap();
        assert_eq!(model.output_shape(), Some(&[5, 2][..]));
    }
}

/// Scales the first steps, of which there are at most a hundred, by learned numbers.
#[derive(Clone, Debug, Default)]
struct Scales(Common);

impl Layer for Scales {
    fn common(&self) -> &Common {
        &self.0
    }
    fn common_mut(&mut self) -> &mut Common {
        &mut self.0
    }
    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        Ok(vec![WeightSpec::new("scales", [input[0].min(100)], crate::Initializer::Ones)])
    }
    fn call(&self, _: &mut Call<'_>, input: Masked) -> Masked {
        input
    }
}

#[test]
fn weights_of_a_model_of_open_extents_are_those_that_samples_ask_for() {
    let layers = vec![Box::new(Input::new([None, Some(3)])) as Box<dyn Layer>, Box::new(Scales::default())];
    let mut model = Architecture::sequential(layers).unwrap();
    assert_eq!(model.weights()[0].spec.shape, [100]);
    model.build(&[120, 3]).unwrap();
    let error = model.build(&[7, 3]).unwrap_err();
    assert_eq!(error.message(), "layer `scales` (Scales): scales would have shape [7], it has [100]");
    assert_eq!(model.input_shape(), Some(&[120, 3][..]), "what was built stays");
}

#[test]
fn many_open_axes_are_no_reason_to_refuse_a_model() {
    let input = || Box::new(Input::new([None, None, None, Some(4)])) as Box<dyn Layer>;
    let conv = Conv3D::new(512, [5, 5, 5]);
    let layers = vec![input(), Box::new(conv), Box::new(GlobalAveragePooling3D::new()), Box::new(Dense::new(2))];
    let mut model = Architecture::sequential(layers).unwrap();
    model.build(&[6, 6, 6, 4]).unwrap();
    assert_eq!(model.output_shape(), Some(&[2][..]));
    let error = model.build(&[2000, 2000, 2000, 4]).unwrap_err();
    assert!(error.message().contains("its output of shape [1996, 1996, 1996, 512] would be more than"), "{error}");
    let told = faults(Architecture::sequential(vec![input(), Box::new(Flatten::new()), Box::new(Dense::new(1_000))]));
    assert_eq!(told, ["layer `dense` (Dense): kernel would have shape [None, 1000], which the inputs leave open"]);
}

#[test]
fn faults_of_a_model_of_open_extents_are_those_of_extents_only_where_these_matter() {
    let layers = vec![
        Box::new(Input::new([None, Some(3)])) as Box<dyn Layer>,
        Box::new(Dense::new(4).activation("rleu")),
        Box::new(Reshape::new([5, 7])),
    ];
    let told = faults(Architecture::sequential(layers));
    assert!(told[0].starts_with("layer `dense` (Dense): unknown activation `rleu`"), "{told:#?}");
    let of_extents = "with 1024 for each extent that is not known: layer `reshape` (Reshape): samples of shape [1024, 4] (4096 elements)";
    assert!(told.len() == 2 && told[1].starts_with(of_extents), "{told:#?}");
}

/// Counts how often its settings are asked for.
#[derive(Clone, Debug, Default)]
struct Counted(Common, Arc<AtomicUsize>);

impl Layer for Counted {
    fn class_name(&self) -> &'static str {
        "Dense"
    }
    fn common(&self) -> &Common {
        &self.0
    }
    fn common_mut(&mut self) -> &mut Common {
        &mut self.0
    }
    fn config(&self) -> crate::Config {
        self.1.fetch_add(1, Ordering::Relaxed);
        crate::Config::new()
    }
    fn check(&self) -> Result<(), Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn call(&self, _: &mut Call<'_>, input: Masked) -> Masked {
        input
    }
}

#[test]
fn settings_are_looked_at_once_however_often_a_model_is_built() {
    let layer = Counted::default();
    let count = layer.1.clone();
    let mut model = Architecture::sequential(vec![Box::new(Input::new([None, None])), Box::new(layer)]).unwrap();
    for extent in 1..9 {
        model.build(&[extent, 3]).unwrap();
    }
    model.set_trainable("dense", false).unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 2, "written down once and checked once");
}

#[test]
fn outputs_that_a_layer_does_not_have_are_told() {
    let input = ("x", "InputLayer", json!({ "batch_shape": [null, 4] }), &[][..]);
    let dense = |name, reads| (name, "Dense", json!({ "units": 2 }), reads);
    let mut model = described(&[input, dense("a", &["x"][..]), dense("b", &["a"][..])], &["b", "a"]);
    *model.pointer_mut("/config/layers/2/inbound_nodes/0/args/0/config/keras_history/2").unwrap() = json!(4);
    *model.pointer_mut("/config/output_layers/1/2").unwrap() = json!(1);
    let want = [
        "layer `b` (Dense): reads output 4 of layer `a`, which has 1 output",
        "the model: reads output 1 of layer `a`, which has 1 output",
    ];
    assert_eq!(faults(Architecture::from_config(&model)), want);
}

#[test]
fn a_call_on_no_value_is_written_as_it_was_read() {
    let input = ("x", "InputLayer", json!({}), &[][..]);
    let mut model = described(&[input, ("y", "Multiply", json!({}), &["x"][..])], &["y"]);
    *model.pointer_mut("/config/layers/1/inbound_nodes/0/args/0").unwrap() =
        json!({ "class_name": "__keras_tensor__" });
    model["config"]["layers"][1]["module"] = json!("keras.src.ops.numpy");
    let config = Architecture::from_config(&model).unwrap().to_config();
    assert_eq!(Architecture::from_config(&config).unwrap().to_config(), config);
}
