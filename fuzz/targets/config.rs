//! The description of a model and of its training, as JSON.
#![no_main]

use footlight::nn::{Architecture, Compile};
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Larger models are described only: their numbers need no file to be large.
const LOWERED_NUMBERS: usize = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let architecture = Architecture::from_config(&value);
    let compile = value.get("compile_config").unwrap_or(&value).as_object().map(Compile::from_config);
    if let Some(Ok(compile)) = &compile {
        let config = compile.to_config();
        let again = Compile::from_config(config.as_object().expect("it is one")).expect("what is written can be read");
        assert_eq!(again.to_config(), config);
    }
    let Ok(architecture) = architecture else { return };
    let config = architecture.to_config();
    let again = Architecture::from_config(&config).expect("what is written can be read");
    assert_eq!(again.to_config(), config);
    let weights = architecture.weights().iter().map(|weight| weight.spec.shape.as_slice());
    let outputs = architecture.calls().iter().flat_map(|call| &call.shapes).map(Vec::as_slice);
    let values = outputs.chain(architecture.input_shape());
    let sizes = weights.chain(values).map(|shape| shape.iter().fold(1usize, |n, extent| n.saturating_mul(*extent)));
    if sizes.fold(0, usize::saturating_add) > LOWERED_NUMBERS {
        return;
    }
    let _ = architecture.lower_infer(2);
    if architecture.input_shape().is_some() {
        architecture.initial_values(0);
    }
    if let Some(Ok(compile)) = &compile {
        let _ = compile.lower_train(&architecture, 2, 0);
        let _ = compile.lower_evaluate(&architecture, 2);
    }
});
