//! A whole model: a `.keras` archive as it is, a configuration and weights to be put in one with the right checksums, or
//! the HDF5 of an `.h5` file.
#![no_main]

use std::time::UNIX_EPOCH;

use footlight::nn::file::{Archive, SavedModel, hdf5, to_archive};
use footlight::nn::{Custom, Error};
use footlight_fuzz::{cut, zipped};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(Ok(saved)) = read(bytes) else { return };
    let value = |name: &str| saved.states.iter().find(|(state, ..)| state == name).map(|(.., value)| value.clone());
    let compile = saved.compile.as_ref().and_then(|compile| compile.as_ref().ok());
    let written = to_archive(&saved.architecture, compile, &value, UNIX_EPOCH).write();
    let again = Archive::read(&written.expect("a model that was read can be written"));
    let again = SavedModel::from_archive(again.expect("what is written can be read"), &Custom::new());
    let again = again.expect("a model that was written is one");
    assert_eq!(again.architecture.to_config(), saved.architecture.to_config());
});

fn read(bytes: &[u8]) -> Option<Result<SavedModel, Error>> {
    if bytes.starts_with(hdf5::SIGNATURE) {
        return Some(SavedModel::from_hdf5(&hdf5::read(bytes).ok()?, &Custom::new()));
    }
    let archive = match bytes.starts_with(b"PK") {
        true => bytes.to_vec(),
        false => {
            let [config, weights] = cut(bytes);
            zipped(&[("metadata.json", b"{}"), ("config.json", config), ("model.weights.h5", weights)])?
        }
    };
    Some(SavedModel::from_archive(Archive::read(&archive).ok()?, &Custom::new()))
}
