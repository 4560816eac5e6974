use super::super::{Group, SavedModel};
use super::*;
use crate::Custom;
use serde_json::json;

fn floats_of(shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>();
    Tensor::new(shape, (0..len).map(|i| i as f32).collect::<Vec<f32>>()).unwrap()
}

fn list(group: &mut Group, key: &str, names: &[&str]) {
    group.attributes.insert(key.into(), names.iter().map(ToString::to_string).collect());
}

/// Puts tensors where their paths lead, and lists them.
fn put(group: &mut Group, tensors: &[(&str, Tensor)]) {
    list(group, "weight_names", &tensors.iter().map(|(path, _)| *path).collect::<Vec<_>>());
    for (path, tensor) in tensors {
        let (above, key) = path.rsplit_once('/').unwrap_or(("", path));
        group.group_mut(above).unwrap().insert(key, tensor.clone());
    }
}

/// A file of Keras 2: two layers with weights and one without.
fn file(optimizer: &str) -> Group {
    let dense = |name: &str, units: usize| json!({ "class_name": "Dense", "config": { "name": name, "units": units } });
    let input = json!({ "class_name": "InputLayer", "config": { "name": "x", "batch_input_shape": [null, 3] } });
    let rest = json!({ "class_name": "Flatten", "config": { "name": "flat" } });
    let layers = json!([input, dense("a", 2), rest, dense("b", 1)]);
    let model = json!({ "class_name": "Sequential", "config": { "name": "m", "layers": layers } });
    let optimizer = json!({ "class_name": optimizer, "config": { "lr": 0.5, "decay": 0.0 } });
    let training = json!({ "optimizer_config": optimizer, "loss": ["mse"], "metrics": [["mae"]] });
    let mut root = Group::default();
    let texts = [("model_config", model.to_string()), ("training_config", training.to_string())];
    for (key, text) in texts.into_iter().chain([("keras_version", "2.4.0".to_string())]) {
        root.attributes.insert(key.into(), vec![text]);
    }
    let weights = root.group_mut(WEIGHTS).unwrap();
    list(weights, "layer_names0", &["a", "flat"]);
    list(weights, "layer_names1", &["b"]);
    let kernel = floats_of(&[3, 2]);
    put(weights.group_mut("a").unwrap(), &[("a/kernel:0", kernel), ("a/bias:0", floats_of(&[2]))]);
    put(weights.group_mut("b").unwrap(), &[("b/kernel:0", floats_of(&[2, 1])), ("b/bias:0", floats_of(&[1]))]);
    root
}

fn read(root: Group) -> Result<SavedModel, Error> {
    SavedModel::from_hdf5(&root, &Custom::new())
}

fn state_of(saved: &SavedModel, name: &str) -> Option<Tensor> {
    saved.states.iter().find(|(known, ..)| known == name).map(|(.., value)| value.clone())
}

#[test]
fn weights_come_by_position_and_what_they_are_trained_by_in_todays_words() {
    let saved = read(file("Adam")).unwrap();
    assert_eq!(state_of(&saved, "a/kernel"), Some(floats_of(&[3, 2])));
    assert_eq!(state_of(&saved, "b/kernel"), Some(floats_of(&[2, 1])));
    let compile = saved.compile.unwrap().unwrap();
    assert_eq!(compile.optimizer.common().learning_rate.constant(), Some(0.5));
    assert_eq!(compile.metric_names(), ["loss", "mae"]);
}

#[test]
fn all_mismatches_are_told_together_with_their_paths() {
    let mut root = file("Adam");
    let weights = root.group_mut(WEIGHTS).unwrap();
    put(weights.group_mut("a").unwrap(), &[("a/kernel:0", floats_of(&[2, 2]))]);
    put(
        weights.group_mut("flat").unwrap(),
        &[("c", floats_of(&[2, 1])), ("d", floats_of(&[1])), ("e", floats_of(&[7]))],
    );
    let error = read(root).unwrap_err();
    assert_eq!(
        error.message(),
        "5 variables do not fit the model\n  \
         `model_weights/a/a/kernel:0`: layer `a` (Dense) expects kernel [3, 2], file has [2, 2]\n  \
         `model_weights/a`: layer `a` (Dense) expects bias [2], missing\n  \
         `model_weights/flat/e`: unexpected [7], layer `b` (Dense) has no such variable\n  \
         `model_weights/b/b/kernel:0`: unexpected [2, 1], no layer of the model has this place\n  \
         `model_weights/b/b/bias:0`: unexpected [1], no layer of the model has this place"
    );
}

#[test]
fn what_is_listed_and_missing_is_named() {
    let mut root = file("Adam");
    list(root.group_mut("model_weights/a").unwrap(), "weight_names", &["a/kernel:0", "a/gone\n"]);
    let error = read(root).unwrap_err();
    assert_eq!(error.message(), "`model_weights/a/a/gone\\n` is listed in `weight_names` and missing");
    assert!(read(Group::default()).unwrap_err().message().starts_with("`model_config` is missing"));
}

#[test]
fn slots_in_the_order_of_older_versions_find_their_parameters() {
    let mut root = file("Adam");
    let count = Tensor::new([], footlight_tensor::Data::I64(vec![4])).unwrap();
    let of = |shape: &[usize], first: f32| {
        Tensor::new(shape, floats_of(shape).to_f32().iter().map(|x| x + first).collect::<Vec<_>>()).unwrap()
    };
    let shapes: [&[usize]; 4] = [&[3, 2], &[2], &[2, 1], &[1]];
    let paths = ["a/kernel", "a/bias", "b/kernel", "b/bias"];
    let mut tensors = vec![("Adam/iter:0".to_string(), count)];
    for (slot, first) in [("m", 100.0), ("v", 200.0)] {
        let all = paths.iter().zip(shapes);
        tensors.extend(all.map(|(path, shape)| (format!("Adam/{path}/{slot}:0"), of(shape, first))));
    }
    let named: Vec<(&str, Tensor)> = tensors.iter().map(|(path, tensor)| (path.as_str(), tensor.clone())).collect();
    put(root.group_mut(OPTIMIZER).unwrap(), &named);
    let saved = read(root.clone()).unwrap();
    let names: Vec<String> = ["momentum", "velocity"].iter().map(|slot| format!("optimizer/b/kernel/{slot}")).collect();
    assert_eq!(state_of(&saved, &names[0]), Some(of(&[2, 1], 100.0)), "{:?}", saved.states);
    assert_eq!(state_of(&saved, &names[1]), Some(of(&[2, 1], 200.0)));
    assert_eq!(state_of(&saved, "optimizer/iteration").unwrap().to_f32(), [4.0]);
    assert_eq!(state_of(&saved, LEARNING_RATE).unwrap().to_f32(), [0.5]);
    // In another order the optimizer starts anew, with the weights as they are.
    put(root.group_mut(OPTIMIZER).unwrap(), &named[..8]);
    let saved = read(root).unwrap();
    assert_eq!(state_of(&saved, "optimizer/iteration"), None);
    assert_eq!(state_of(&saved, "a/kernel"), Some(floats_of(&[3, 2])));
}
