//! What a model's file holds beside what Keras knows, as JSON: the vocabulary of its texts and the names of its classes.
#![no_main]

use std::sync::LazyLock;

use footlight::nn::file::Archive;
use footlight::prelude::*;
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;

/// The file of a small model without weights.
static FILE: LazyLock<Archive> = LazyLock::new(|| {
    let model = Sequential::new(layers![Flatten::new().input_shape([2])]).expect("it has no fault");
    Archive::read(&model.to_bytes().expect("it is small")).expect("what is written can be read")
});

fuzz_target!(|bytes: &[u8]| {
    let archive = Archive { footlight: bytes.to_vec(), ..FILE.clone() };
    let Ok(model) = Model::from_bytes(archive.write().expect("it is small")) else { return };
    let own = |model: &Model| {
        let bytes = model.to_bytes().expect("what was read can be written");
        Archive::read(&bytes).expect("what is written can be read").footlight
    };
    let again = Archive { footlight: own(&model), ..FILE.clone() }.write().expect("it is small");
    assert_eq!(own(&Model::from_bytes(again).expect("what is written can be read")), own(&model));
    if let Some(text) = model.text() {
        let numbers = text.call(["The film, the music!", ""]).map(|x| x.to_f32().iter().map(|x| *x as i32).collect());
        assert_eq!(numbers.is_ok(), text.is_adapted());
        let _ = numbers.map(|numbers: Vec<i32>| text.decode(&numbers));
    }
});
