use super::*;
use crate::{Architecture, Compile};

fn layer(class: &str, config: Value) -> Result<Value, Error> {
    Ok(model(json!({ "class_name": class, "config": config }))?["config"].take())
}

#[test]
fn the_words_of_keras_2_become_those_of_keras_3() {
    for (class, older, want) in [
        ("InputLayer", json!({ "batch_input_shape": [null, 3] }), json!({ "batch_shape": [null, 3] })),
        ("Dense", json!({ "batch_input_shape": [null, 3] }), json!({ "input_shape": [3] })),
        ("Embedding", json!({ "batch_input_shape": [null, null] }), json!({ "input_shape": [null] })),
        ("LeakyReLU", json!({ "alpha": 0.25 }), json!({ "negative_slope": 0.25 })),
        ("GRU", json!({ "time_major": false }), json!({ "reset_after": false })),
        ("GRU", json!({ "reset_after": true }), json!({ "reset_after": true })),
        ("LSTM", json!({ "time_major": true }), json!({ "time_major": true })),
        ("DepthwiseConv2D", json!({ "groups": 1 }), json!({})),
        ("SeparableConv2D", json!({ "groups": 2, "kernel_initializer": "zeros" }), json!({ "groups": 2 })),
        ("Conv2D", json!({ "groups": 2 }), json!({ "groups": 2 })),
        (
            "Dense",
            json!({ "kernel_initializer": { "config": { "distribution": "normal", "dtype": "float32" } } }),
            json!({ "kernel_initializer": { "config": { "distribution": "truncated_normal" } } }),
        ),
    ] {
        assert_eq!(layer(class, older.clone()).unwrap(), want, "{class}: {older}");
    }
}

#[test]
fn a_list_of_layers_is_a_model() {
    let first = json!({ "class_name": "Dense", "config": { "name": "a", "units": 2, "batch_input_shape": [null, 3] } });
    let value = model(json!({ "class_name": "Sequential", "config": [first] })).unwrap();
    assert_eq!(Architecture::from_config(&value).unwrap().input_shape(), Some(&[3][..]));
}

#[test]
fn a_word_that_meant_other_numbers_is_refused() {
    for key in ["activation", "recurrent_activation"] {
        let error = layer("LSTM", json!({ "name": "memory", key: "hard_sigmoid" })).unwrap_err();
        let told = format!("layer `memory` (LSTM): `{key}` = \"hard_sigmoid\" is 0.2 x + 0.5 in Keras 2");
        assert_eq!(error.message(), told);
    }
}

#[test]
fn versions_before_3_are_older() {
    assert!(["0.3.3", "1", "1.2.2", "2.1.6-tf", "2.21.0"].map(is_older).iter().all(|older| *older));
    assert!(["3.0.0", "3.15.1", "10.0"].map(is_older).iter().all(|older| !*older));
}

#[test]
fn trainings_of_keras_2_are_those_of_keras_3() {
    let wrapped = json!({ "class_name": "MeanMetricWrapper", "config": { "name": "acc", "fn": "binary_accuracy" } });
    let loss = json!({ "class_name": "BinaryCrossentropy", "config": { "reduction": "auto", "from_logits": true } });
    let optimizer = json!({ "class_name": "Custom>SGD", "config": { "lr": 0.5, "decay": 0.25 } });
    let older = json!({
        "optimizer": optimizer, "loss": { "out": loss }, "metrics": [[wrapped]], "weighted_metrics": { "out": "mae" },
        "loss_weights": null, "sample_weight_mode": null,
    });
    let compile = Compile::from_config(&training(older.as_object().unwrap().clone())).unwrap().to_config();
    assert_eq!(compile["loss"]["config"]["from_logits"], true);
    assert_eq!(compile["metrics"][0]["class_name"], "BinaryAccuracy");
    assert_eq!(compile["metrics"][0]["config"]["name"], "acc");
    assert_eq!(compile["weighted_metrics"], json!(["mae"]));
    let rate = &compile["optimizer"]["config"]["learning_rate"];
    assert_eq!(rate["class_name"], "InverseTimeDecay");
    assert_eq!((&rate["config"]["decay_rate"], &rate["config"]["decay_steps"]), (&json!(0.25), &json!(1)));
}
