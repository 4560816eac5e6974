//! A run description as TOML; what stands before a NUL byte is a setting that comes after it.
#![no_main]

use footlight::description::Description;
use footlight::nn::{Architecture, Compile};
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;

/// No faults are told at greater length than these, whatever the description holds, beside settings, which are quoted.
const TOLD_BYTES: usize = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (settings, text) = match text.split_once('\0') {
        Some((setting, text)) => (vec![setting.to_string()], text),
        None => (Vec::new(), text),
    };
    let described = match Description::parse("run.toml", text, &settings) {
        Ok(described) => described,
        Err(error) => return assert!(error.to_string().len() < TOLD_BYTES + 10 * settings.concat().len()),
    };
    let (architecture, compile) = (described.architecture.to_config(), described.compile.to_config());
    let again = Architecture::from_config(&architecture).expect("what is written can be read");
    assert_eq!(again.to_config(), architecture);
    let again = Compile::from_config(compile.as_object().expect("it is one")).expect("what is written can be read");
    assert_eq!(again.to_config(), compile);
});
