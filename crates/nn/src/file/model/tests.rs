use super::*;
use footlight_tensor::Data;

fn floats(shape: &[usize], first: f32) -> Tensor {
    let len = shape.iter().product::<usize>();
    Tensor::new(shape, (0..len).map(|i| first + i as f32).collect::<Vec<f32>>()).unwrap()
}

fn vars() -> ModelVars {
    let layer = |class: &str, name: &str, vars: Vec<(&str, Tensor)>| LayerVars {
        class_name: class.into(),
        name: name.into(),
        vars: vars.into_iter().map(|(part, tensor)| (part.into(), tensor)).collect(),
    };
    ModelVars {
        name: "article".into(),
        layers: vec![
            layer("Flatten", "flatten", vec![]),
            layer("Dense", "dense", vec![("", floats(&[2, 3], 0.0)), ("", floats(&[3], 10.0))]),
            layer("Dense", "head", vec![("", floats(&[3, 1], 20.0))]),
            layer(
                "Wrapper",
                "wrapper",
                vec![("a/cell", floats(&[2], 30.0)), ("b", floats(&[1], 40.0)), ("a/cell", floats(&[1], 50.0))],
            ),
        ],
        optimizer: Some(OptimizerVars {
            name: "adam".into(),
            vars: vec![Tensor::new([], Data::I32(vec![7])).unwrap(), Tensor::scalar(0.001)],
        }),
    }
}

fn shapes() -> ModelShapes {
    let layer = |class: &str, name: &str, vars: &[(&str, &[usize])]| LayerShapes {
        class_name: class.into(),
        name: name.into(),
        vars: vars
            .iter()
            .map(|(name, shape)| {
                let (part, name) = name.rsplit_once(':').unwrap_or(("", name));
                VarShape { part: part.into(), name: name.into(), shape: shape.to_vec() }
            })
            .collect(),
    };
    ModelShapes {
        layers: vec![
            layer("Flatten", "flatten", &[]),
            layer("Dense", "dense", &[("kernel", &[2, 3]), ("bias", &[3])]),
            layer("Dense", "head", &[("kernel", &[3, 1])]),
            layer("Wrapper", "wrapper", &[("a/cell:u", &[2]), ("b:v", &[1]), ("a/cell:w", &[1])]),
        ],
    }
}

#[test]
fn places_are_those_of_keras() {
    let tree = weights_tree(vars());
    assert_eq!(tree.tensor("layers/dense_1/vars/0"), Some(&floats(&[3, 1], 20.0)));
    assert_eq!(tree.group("layers/dense_1/vars").unwrap().name(), Some("head"));
    assert!(tree.group("layers/flatten/vars").is_some(), "a layer without variables has its group");
    assert_eq!(tree.tensor("layers/wrapper/a/cell/vars/1"), Some(&floats(&[1], 50.0)));
    assert_eq!(tree.tensor("layers/wrapper/b/vars/0"), Some(&floats(&[1], 40.0)));
    assert_eq!(tree.group("vars").unwrap().name(), Some("article"));
}

#[test]
fn variables_come_back_by_layer() {
    let (layers, optimizer) = read_vars(weights_tree(vars()), &shapes()).unwrap();
    let tensors = |layer: LayerVars| layer.vars.into_iter().map(|(_, tensor)| tensor).collect();
    let want: Vec<Vec<Tensor>> = vars().layers.into_iter().map(tensors).collect();
    assert_eq!(layers, want);
    assert_eq!(optimizer, vars().optimizer);
}

#[test]
fn files_of_older_versions_are_read() {
    let mut tree = weights_tree(vars());
    let mut layers = tree.entries.remove("layers").unwrap();
    if let Entry::Group(group) = &mut layers {
        group.entries.remove("flatten");
    }
    tree.entries.insert("_layer_checkpoint_dependencies".into(), layers);
    tree.entries.remove("vars");
    tree.entries.remove("optimizer");
    assert_eq!(read_vars(tree, &shapes()).unwrap().1, None);
}

#[test]
fn all_mismatches_are_told_together_with_their_paths() {
    let mut saved = vars();
    saved.layers[1].vars = vec![(String::new(), floats(&[2, 4], 0.0))];
    saved.layers.push(LayerVars {
        class_name: "Dense".into(),
        name: "more".into(),
        vars: vec![(String::new(), floats(&[1], 0.0))],
    });
    let error = read_vars(weights_tree(saved), &shapes()).unwrap_err();
    assert_eq!(
        error.message(),
        "3 variables do not fit the model\n  \
         `layers/dense/vars/0`: layer `dense` (Dense) expects kernel [2, 3], file has [2, 4]\n  \
         `layers/dense/vars/1`: layer `dense` (Dense) expects bias [3], missing\n  \
         `layers/dense_2/vars/0`: unexpected [1], no layer of the model has this place"
    );
}

#[test]
fn a_gap_in_the_optimizers_variables_is_named() {
    let mut tree = weights_tree(vars());
    tree.group_mut("optimizer/vars").unwrap().insert("3", Tensor::scalar(1.0));
    let error = read_vars(tree, &shapes()).unwrap_err();
    assert!(error.message().contains("`optimizer/vars/3`: unexpected"), "{error}");
}
