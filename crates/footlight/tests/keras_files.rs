//! Files of Keras in, files for Keras out: `fixtures/keras` holds what Keras saved and computed.

use footlight::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixtures() -> PathBuf {
    workspace().join("fixtures/keras")
}

/// What Keras recorded beside each file.
fn records() -> Vec<(PathBuf, Value)> {
    let mut records: Vec<(PathBuf, Value)> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .map(|record: Value| (fixtures().join(record["file"].as_str().unwrap()), record))
        .collect();
    records.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(records.len() >= 25, "the fixtures are missing");
    records
}

fn tensor(record: &Value) -> Tensor {
    let shape: Vec<usize> = record["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
    let data = record["data"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32);
    Tensor::new(shape, data.collect::<Vec<f32>>()).unwrap()
}

fn to_record(tensor: &Tensor) -> Value {
    json!({ "shape": tensor.shape(), "data": tensor.to_f32() })
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.to_f32().iter().zip(b.to_f32()).map(|(a, b)| (a - b).abs()).fold(0.0, larger)
}

/// The larger of two differences; NaN, which is no agreement, is the largest.
fn larger(a: f32, b: f32) -> f32 {
    if a >= b || a.is_nan() { a } else { b }
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("footlight-{}-{name}", std::process::id()))
}

fn loadable() -> impl Iterator<Item = (PathBuf, Value)> {
    records().into_iter().filter(|(_, record)| record["expect"] == "load")
}

#[test]
fn files_of_keras_predict_what_keras_predicts() {
    for (path, record) in loadable().filter(|(_, record)| !record["input"].is_null()) {
        let mut model = Model::load(&path).unwrap();
        let prediction = model.predict(&Samples::from(tensor(&record["input"]))).unwrap();
        let expected = tensor(&record["prediction"]);
        // The recorded tolerance is for numbers of order one; a unit in the last place grows with the number.
        let scale = expected.to_f32().iter().fold(1.0f32, |largest, x| largest.max(x.abs()));
        let tolerance = record["tolerance"]["absolute"].as_f64().unwrap() as f32 * scale;
        let difference = largest_difference(&prediction, &expected);
        assert!(difference <= tolerance, "{}: {difference} is more than {tolerance}", path.display());
    }
}

#[test]
fn models_of_any_length_predict_what_keras_predicts_at_each() {
    let mut count = 0;
    for (path, record) in loadable().filter(|(_, record)| !record["further"].is_null()) {
        let mut model = Model::load(&path).unwrap();
        assert!(model.summary().contains("(None, None, "), "{}", model.summary());
        // Back and forth: what was planned for one length holds when it comes again.
        let further = record["further"].as_array().unwrap();
        for case in further.iter().chain([&record]).chain(further) {
            let prediction = model.predict(&Samples::from(tensor(&case["input"]))).unwrap();
            let difference = largest_difference(&prediction, &tensor(&case["prediction"]));
            assert!(difference <= 1e-6, "{}: {difference}", path.display());
            count += 1;
        }
        let input = &model.architecture().to_config()["config"]["layers"][0]["config"]["batch_shape"];
        assert_eq!(input[1], Value::Null, "{}", path.display());
    }
    assert_eq!(count, 3 * 5);
}

#[test]
fn a_model_of_any_length_trains_on_one_and_is_measured_on_another() {
    let mut model = Model::load(fixtures().join("open_text_jax.keras")).unwrap();
    let tokens = |count: usize, steps: usize| {
        let numbers: Vec<i32> = (0..count * steps).map(|i| (i * 5 % 9) as i32).collect();
        Samples::from(Tensor::new([count, steps], numbers).unwrap())
    };
    let y = |count: usize| {
        Samples::from(Tensor::new([count], (0..count).map(|i| i as i32 % 3).collect::<Vec<_>>()).unwrap())
    };
    let fit = Fit::new().epochs(2).batch_size(5).validation_data(&tokens(7, 4), &y(7)).progress(Progress::None);
    let history = model.fit(&tokens(12, 8), &y(12), fit).unwrap();
    let last = history.get("val_loss").unwrap()[1];
    let evaluation = model.evaluate(&tokens(7, 4), &y(7)).unwrap();
    assert!((evaluation.loss() - last).abs() < 1e-6, "{} for {last}", evaluation.loss());
    let error = model.predict(&Samples::from(Tensor::new([2, 3, 3], vec![1.0f32; 18]).unwrap())).unwrap_err();
    assert!(error.message().contains("samples have shape [3, 3], the model was built for [None]"), "{error}");
    let error = Model::load(fixtures().join("open_text_jax.keras")).unwrap().plan_summary(4).unwrap_err();
    assert!(error.message().contains("takes samples of shape [None], and was given none yet"), "{error}");
}

#[test]
fn several_inputs_and_outputs_train_on_as_in_keras() {
    let record: Value = serde_json::from_slice(&std::fs::read(fixtures().join("several_jax.json")).unwrap()).unwrap();
    let mut model = Model::load(fixtures().join("several_jax.keras")).unwrap();
    let samples = |value: &Value| Samples::from(tensor(value));
    let (words, extra) = (samples(&record["inputs"]["words"]), samples(&record["inputs"]["extra"]));
    let (steps, kind) = (samples(&record["targets"]["steps"]), samples(&record["targets"]["kind"]));
    let x = || SamplesList::from([("extra", &extra), ("words", &words)]);
    for (got, expected) in model.predict_all(x()).unwrap().iter().zip(record["predictions"].as_array().unwrap()) {
        assert!(largest_difference(got, &tensor(expected)) < 1e-6);
    }
    let fit = Fit::new().epochs(4).batch_size(4).shuffle(false).progress(Progress::None);
    let history = model.fit(x(), [&steps, &kind], fit).unwrap();
    let expected = record["history"].as_object().unwrap();
    assert_eq!(history.columns().len(), expected.len());
    for (name, values) in expected {
        let got = history.get(name).unwrap_or_else(|| panic!("{name} is not told"));
        for (a, b) in got.iter().zip(values.as_array().unwrap()) {
            let b = b.as_f64().unwrap();
            assert!((a - b).abs() <= 1e-5 * b.abs().max(0.1), "{name}: {a} for {b}");
        }
    }
}

#[test]
fn samples_that_fit_no_input_are_told() {
    let mut model = Model::load(fixtures().join("several_jax.keras")).unwrap();
    let of = |shape: &[usize]| Samples::from(Tensor::new(shape, vec![1.0f32; shape.iter().product()]).unwrap());
    let (words, extra, short) = (of(&[4, 5]), of(&[4, 2]), of(&[3, 2]));
    let mut told = |x: SamplesList| model.predict_all(x).unwrap_err().to_string();
    let message = told((&words).into());
    assert!(message.starts_with("samples for 1 input are given, the model has 2: words, extra"), "{message}");
    assert!(told([("word", &words), ("extra", &extra)].into()).contains("did you mean `words`?"));
    assert!(told([("extra", &words), ("extra", &extra)].into()).contains("no samples are given for input `words`"));
    assert!(told([&extra, &words].into()).contains("samples of input `words` have shape [2]"));
    let (y, kind) = (of(&[4, 5, 1]), of(&[4]));
    let error = model.train_on_batch([&words, &short], [&y, &kind]).unwrap_err();
    assert!(error.message().contains("the inputs have 4 and 3 samples"), "{error}");
}

#[test]
fn weights_and_optimizer_come_over_bit_by_bit() {
    for (path, record) in loadable() {
        let model = Model::load(&path).unwrap();
        for (weight, expected) in model.architecture().weights().iter().zip(record["weights"].as_array().unwrap()) {
            let name = expected["path"].as_str().unwrap();
            assert!(
                format!("/{name}").ends_with(&format!("/{}", weight.path)),
                "{}: {name} is {}",
                path.display(),
                weight.path
            );
            assert_eq!(model.state(&weight.path).unwrap(), tensor(expected), "{}: {name}", path.display());
        }
        assert_eq!(model.architecture().weights().len(), record["weights"].as_array().unwrap().len());
        assert_eq!(model.is_compiled(), !record["optimizer"].is_null(), "{}", path.display());
        if !model.is_compiled() {
            continue;
        }
        let states = model.compiled().unwrap().optimizer_states(model.architecture());
        let variables = record["optimizer"]["variables"].as_array().unwrap();
        for ((name, _), expected) in states.iter().zip(variables) {
            let got = model.state(name).unwrap_or_else(|| panic!("{}: no {name}", path.display()));
            assert_eq!(got.to_f32(), tensor(expected).to_f32(), "{}: {name}", path.display());
        }
        let is_fresh = record["optimizer"]["iterations"] == 0;
        assert_eq!(variables.len(), if is_fresh { 2 } else { states.len() }, "{}", path.display());
    }
}

#[test]
fn what_is_saved_is_loaded_again_and_saved_the_same() {
    let copy = temporary("copy.keras");
    for (path, _) in loadable() {
        let model = Model::load(&path).unwrap();
        model.save(&copy).unwrap();
        let again = Model::load(&copy).unwrap();
        let archive = footlight::nn::file::Archive::open(&copy).unwrap();
        again.save(&copy).unwrap();
        let second = footlight::nn::file::Archive::open(&copy).unwrap();
        assert_eq!((&second.config, &second.weights), (&archive.config, &archive.weights), "{}", path.display());
    }
    std::fs::remove_file(copy).unwrap();
}

#[test]
fn a_model_that_is_to_answer_alone_has_its_weights_and_nothing_of_its_training() {
    for (path, _) in loadable() {
        let (whole, model) = (Model::load(&path).unwrap(), Model::load_uncompiled(&path).unwrap());
        assert!(!model.is_compiled() && model.state("optimizer/iteration").is_none(), "{}", path.display());
        for weight in whole.architecture().weights() {
            assert_eq!(model.state(&weight.path), whole.state(&weight.path), "{}: {}", path.display(), weight.path);
        }
    }
}

#[test]
fn a_model_that_is_to_answer_alone_asks_nothing_of_its_optimizer() {
    let path = temporary("slots.keras");
    let mut archive = footlight::nn::file::Archive::open(fixtures().join("mlp_fitted_jax.keras")).unwrap();
    archive.weights.group_mut("optimizer/vars").unwrap().insert("2", Tensor::scalar(1.0));
    std::fs::write(&path, archive.write().unwrap()).unwrap();
    let error = Model::load(&path).unwrap_err();
    assert!(error.message().contains("`optimizer/vars/2`: "), "{error}");
    let mut model = Model::load_uncompiled(&path).unwrap();
    let (x, y) = (Tensor::new([1, 1], vec![0.5f32]).unwrap(), Tensor::new([1], vec![0u8]).unwrap());
    let error = model.evaluate(&Samples::from(x), &Samples::from(y)).unwrap_err();
    assert!(error.message().contains("the model is not compiled"), "{error}");
    // What is missing must not be saved as if it were there.
    model.save(&path).unwrap();
    let saved = footlight::nn::file::Archive::open(&path).unwrap();
    assert!(saved.weights.group("optimizer").is_none() && saved.config["compile_config"].is_null());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn code_and_classes_of_others_are_refused_by_name() {
    for (path, record) in records().into_iter().filter(|(_, record)| record["expect"] == "refuse") {
        let error = Model::load(&path).unwrap_err();
        assert_eq!(error.kind(), footlight::ErrorKind::File, "{error}");
        let name = if record["file"].as_str().unwrap().starts_with("lambda") { "Lambda" } else { "Doubler" };
        assert!(error.message().contains(name), "{error}");
        assert!(error.message().starts_with(&format!("`{}`: layer `", path.display())), "{error}");
    }
}

#[test]
fn training_goes_on_from_a_file_as_if_it_had_never_stopped() {
    let x = Samples::from(Tensor::new([64, 3], (0..192).map(|i| (i % 13) as f32 / 13.0).collect::<Vec<_>>()).unwrap());
    let y = Samples::from(Tensor::new([64], (0..64).map(|i| (i % 4) as u8).collect::<Vec<_>>()).unwrap());
    let path = temporary("resumed.keras");
    let fit = || Fit::new().batch_size(16).shuffle(false).progress(Progress::None);
    for optimizer in footlight::nn::optimizers::NAMES {
        let layers = layers![Dense::new(8).activation("relu").input_shape([3]), Dense::new(4).activation("softmax")];
        let mut model = Sequential::new(layers).unwrap();
        model.compile(*optimizer, "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
        model.fit(&x, &y, fit()).unwrap();
        model.save(&path).unwrap();
        let mut resumed = Model::load(&path).unwrap();
        let (went_on, resumed) = (model.fit(&x, &y, fit()).unwrap(), resumed.fit(&x, &y, fit()).unwrap());
        assert_eq!(went_on, resumed, "{optimizer}");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn settings_that_are_not_known_are_told_when_they_are_asked_for() {
    let path = temporary("muon.keras");
    let mut archive = footlight::nn::file::Archive::open(fixtures().join("mlp_fitted_jax.keras")).unwrap();
    archive.config["compile_config"]["optimizer"]["class_name"] = json!("Muon");
    std::fs::write(&path, archive.write().unwrap()).unwrap();
    let mut model = Model::load(&path).unwrap();
    let record: Value =
        serde_json::from_slice(&std::fs::read(fixtures().join("mlp_fitted_jax.json")).unwrap()).unwrap();
    let x = Samples::from(tensor(&record["input"]));
    model.predict(&x).unwrap();
    let y = Samples::from(Tensor::new([x.len()], vec![0u8; x.len()]).unwrap());
    let error = model.evaluate(&x, &y).unwrap_err();
    assert!(error.message().contains("unknown optimizer `Muon`"), "{error}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_learning_rate_that_is_none_is_refused() {
    let path = temporary("rate.keras");
    let mut archive = footlight::nn::file::Archive::open(fixtures().join("mlp_fitted_jax.keras")).unwrap();
    for rate in [f32::NAN, f32::INFINITY, -0.1] {
        archive.weights.group_mut("optimizer/vars").unwrap().insert("1", Tensor::scalar(rate));
        std::fs::write(&path, archive.write().unwrap()).unwrap();
        let error = Model::load(&path).unwrap_err();
        assert_eq!(error.kind(), footlight::ErrorKind::File);
        assert!(error.message().contains(&format!("`optimizer/vars/1`: learning_rate = {rate} must be")), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}

/// Runs where `FOOTLIGHT_DATA` names a folder with `keras-models` and `mnist` in it.
#[test]
fn models_that_others_trained_reach_their_numbers() {
    let Some(data) = std::env::var_os("FOOTLIGHT_DATA").map(PathBuf::from) else {
        println!("skipped: FOOTLIGHT_DATA names no folder with keras-models and mnist in it");
        return;
    };
    let models = data.join("keras-models");
    let record: Value = serde_json::from_slice(&std::fs::read(models.join("reference-outputs.json")).unwrap()).unwrap();
    let options = footlight::data::LoadOptions { data_folder: Some(data), ..Default::default() };
    let mnist = footlight::data::load(Some("mnist"), &options, &mut std::io::sink()).unwrap();
    let x = mnist.x_test.reshape(&[28, 28, 1]).unwrap() / 255.0;
    for (file, expected) in record["models"].as_object().unwrap() {
        let mut model = Model::load(models.join(file)).unwrap();
        let answers = model.predict(&x).unwrap().to_f32();
        let likeliest = |row: &[f32]| (0..10).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as i64;
        let is_right = |(i, row): &(usize, &[f32])| likeliest(row) == mnist.y_test.label(*i);
        let correct = answers.chunks(10).enumerate().filter(is_right).count();
        assert_eq!(correct as u64, expected["correct_of_10000"].as_u64().unwrap(), "{file}");
        let first = expected["first10_probabilities"].as_array().unwrap().iter();
        let first = first.flat_map(|row| row.as_array().unwrap()).map(|p| p.as_f64().unwrap() as f32);
        let difference = answers.iter().zip(first).map(|(got, want)| (got - want).abs()).fold(0.0, larger);
        println!("{file}: {correct} of 10000, largest difference of a probability {difference:e}");
        // Sums of float32 that Keras adds in another order.
        assert!(difference <= 1e-6, "{file}: {difference}");
    }
    let error = Model::load(models.join("nested_container_keras3.keras")).unwrap_err();
    assert!(error.message().contains("class `NestedDenseModel` of"), "{error}");
}

/// The record that `fixtures/gen/check_saved.py` holds Keras' view of a saved model against.
fn expected(model: &mut Model, input: &Value, inputs: &Value) -> Value {
    let mut expected = match inputs.as_object() {
        None => {
            let prediction = model.predict(&Samples::from(tensor(input))).unwrap();
            json!({ "input": input, "prediction": to_record(&prediction) })
        }
        Some(named) => {
            let samples: Vec<(&str, Samples)> =
                named.iter().map(|(name, value)| (name.as_str(), Samples::from(tensor(value)))).collect();
            let [a, b] = &samples[..] else { panic!("two inputs are recorded") };
            let predictions = model.predict_all([(a.0, &a.1), (b.0, &b.1)]).unwrap();
            json!({ "inputs": inputs, "predictions": predictions.iter().map(to_record).collect::<Vec<_>>() })
        }
    };
    if let Ok(compile) = model.compiled() {
        expected["class_name"] = compile.optimizer.class_name().into();
        let states = compile.optimizer_states(model.architecture());
        // States that no step has made yet begin as zeros.
        let zeros = |ty: &footlight::graph::Type| Tensor::new(ty.shape.clone(), vec![0.0f32; ty.len()]).unwrap();
        let value =
            |(name, ty): &(String, footlight::graph::Type)| to_record(&model.state(name).unwrap_or_else(|| zeros(ty)));
        expected["variables"] = states.iter().map(value).collect();
    }
    expected
}

fn vocabulary() -> footlight::data::TextVectorization {
    let mut text = footlight::data::TextVectorization::new();
    text.adapt(["a text"]).unwrap();
    text
}

/// Runs where `FOOTLIGHT_KERAS_PYTHON` names a Python with Keras.
#[test]
fn keras_opens_what_is_saved_and_predicts_the_same() {
    let Some(python) = std::env::var_os("FOOTLIGHT_KERAS_PYTHON") else {
        println!("skipped: FOOTLIGHT_KERAS_PYTHON names no Python with Keras");
        return;
    };
    let optimizers = workspace().join("fixtures/optimizers");
    let trained: Value = serde_json::from_slice(&std::fs::read(optimizers.join("jax.json")).unwrap()).unwrap();
    let cases = trained["cases"].as_array().unwrap().iter();
    let trained =
        cases.map(|case| (optimizers.join(case["file"].as_str().unwrap()), trained["x"].clone(), Value::Null));
    let recorded = loadable().map(|(path, record)| (path, record["input"].clone(), record["inputs"].clone()));
    let folder = temporary("for-keras");
    std::fs::create_dir_all(&folder).unwrap();
    let mut files = Vec::new();
    for (path, input, inputs) in recorded.chain(trained) {
        let copy = folder.join(path.file_name().unwrap()).with_extension("keras");
        let mut model = Model::load(&path).unwrap();
        // Keras passes over what it does not know of.
        model.set_text(Some(vocabulary()));
        model.set_classes(["no", "yes"]);
        model.save(&copy).unwrap();
        std::fs::write(copy.with_extension("json"), expected(&mut model, &input, &inputs).to_string()).unwrap();
        files.extend([copy.clone(), copy.with_extension("json")]);
    }
    assert!(files.len() >= 2 * 32, "the fixtures are missing");
    let script = workspace().join("fixtures/gen/check_saved.py");
    let done = Command::new(&python).arg(script).args(files).output().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let told = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&told));
}
