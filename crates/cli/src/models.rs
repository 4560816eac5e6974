//! What the commands that are given a model share.

use footlight::{Model, Result};
use std::path::Path;

/// Opens a model, to be run by at most so many threads.
pub fn open(path: &Path, threads: Option<usize>) -> Result<Model> {
    Ok(with_threads(Model::load(path)?, threads))
}

/// Opens a model that is to answer and neither trained nor evaluated.
pub fn open_to_answer(path: &Path, threads: Option<usize>) -> Result<Model> {
    Ok(with_threads(Model::load_uncompiled(path)?, threads))
}

/// The model, to be run by at most so many threads.
pub fn with_threads(model: Model, threads: Option<usize>) -> Model {
    match threads {
        Some(threads) => model.threads(threads),
        None => model,
    }
}

/// Fixes the shapes of samples, one for each input, if any are given.
pub fn build(model: &mut Model, shapes: &[Shape]) -> Result<()> {
    match shapes {
        [] => Ok(()),
        shapes => model.build(&shapes.iter().map(|shape| shape.0.as_slice()).collect::<Vec<_>>()),
    }
}

/// The extents of a sample, such as `28,28,1`.
#[derive(Clone)]
pub struct Shape(Vec<usize>);

pub fn shape(text: &str) -> Result<Shape, String> {
    let extents = text.split([',', 'x']).map(|extent| extent.trim().parse().ok().filter(|extent| *extent > 0));
    extents.collect::<Option<_>>().map(Shape).ok_or_else(|| "extents such as 28,28,1 are needed".into())
}

/// A number of threads.
pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one thread is needed".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("a whole number is needed".into()),
    }
}
