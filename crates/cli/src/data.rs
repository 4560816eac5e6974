//! Where the command finds its data.

use footlight::Result;
use footlight::data::{Dataset, LoadOptions, Samples, load};
use footlight::tensor::DType;
use std::io::IsTerminal;

/// Loads a named set, a folder, or the default with its fallback.
pub fn dataset(request: Option<&str>, seed: u64) -> Result<Dataset> {
    let options =
        LoadOptions { show_progress: std::io::stderr().is_terminal(), seed, ..LoadOptions::from_environment() };
    load(request, &options, &mut std::io::stderr())
}

/// Pictures as numbers between 0 and 1: bytes are divided by 255, anything else is left as it is.
pub fn scaled(x: Samples) -> Samples {
    if x.dtype() == DType::U8 { x / 255.0 } else { x }
}

/// Samples in the shape that a model expects, if only the shape differs: pictures for a model of flat samples.
pub fn fitted(x: Samples, expected: Option<&[usize]>) -> Result<Samples> {
    match expected {
        Some(shape) if shape.iter().product::<usize>() == x.sample_len() => x.reshape(shape),
        _ => Ok(x),
    }
}
