//! What the commands that are given a model share.

use footlight::{Model, Result};
use std::path::Path;

/// Opens a model, to be run by at most so many threads.
pub fn open(path: &Path, threads: Option<usize>) -> Result<Model> {
    let model = Model::load(path)?;
    Ok(match threads {
        Some(threads) => model.threads(threads),
        None => model,
    })
}

/// A number of threads.
pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one thread is needed".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("a whole number is needed".into()),
    }
}
