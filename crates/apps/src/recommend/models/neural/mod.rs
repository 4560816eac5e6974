//! Models on Footlight's layers. Users are what they have seen, so that nobody needs a vector of their own: histories go
//! through a table of items, and the answer follows from them.

mod integrate;
pub mod neu_mf;
mod pairs;
pub mod sas_rec;
pub mod two_tower;

use footlight::graph::Value;
use footlight::nn::Embedding;
use footlight::prelude::*;
use footlight::tensor::Tensor;
use footlight::train::StepBuilder;

use super::Tensors;
use crate::recommend::data::Event;
use crate::recommend::linear::Matrix;

/// The table that an [`embedding`] holds.
const TABLE: &str = "embedding/embeddings";

/// A vector of `size` numbers for each of `count` items and for padding, which is index 0.
fn embedding(count: usize, size: usize, seed: u64) -> Result<Model> {
    let normal = Initializer::RandomNormal { mean: 0.0, stddev: 1.0 / (size as f32).sqrt() };
    let layer = Embedding::new(count + 1, size).embeddings_initializer(normal).input_shape([1]);
    Ok(Sequential::new(layers![layer])?.seed(seed))
}

/// The rows of the table of `model` at `indices`, of any shape: one more axis of `size`.
fn rows_at(s: &mut StepBuilder<'_>, model: &str, indices: Value, size: usize) -> Value {
    let shape = s.shape(indices);
    let column = s.reshape(indices, [shape.iter().product(), 1]);
    let rows = s.call(model, column);
    s.reshape(rows, [shape.as_slice(), &[size]].concat())
}

/// A state of a model as a matrix.
fn matrix(model: &Model, path: &str) -> Matrix {
    let tensor = model.state(path).expect("a built model has its weights");
    let rows = tensor.shape()[0];
    Matrix { rows, columns: tensor.len() / rows.max(1), data: tensor.to_f32() }
}

/// The weights of models for a file, each behind the name of its model.
fn weights<'a>(models: impl Iterator<Item = (&'a str, &'a Model)>) -> Vec<(String, Tensor)> {
    let mut all = Vec::new();
    for (name, model) in models {
        let state = |path: &str| model.state(path).expect("a built model has its weights");
        let weights = model.architecture().weights().iter();
        all.extend(weights.map(|weight| (format!("{name}/{}", weight.path), state(&weight.path))));
    }
    all
}

/// Gives models the weights of a file, as [`weights`] names them.
fn set_weights<'a>(models: impl Iterator<Item = (&'a str, &'a mut Model)>, tensors: &mut Tensors) -> Result<()> {
    for (name, model) in models {
        let weights = model.architecture().weights();
        let paths: Vec<(String, Vec<usize>)> = weights.iter().map(|w| (w.path.clone(), w.spec.shape.clone())).collect();
        for (path, shape) in paths {
            let values = tensors.floats(&format!("{name}/{path}"), &shape)?;
            model.set_state(&path, &Tensor::new(shape, values)?)?;
        }
    }
    Ok(())
}

/// The last events of a history.
fn recent(history: &[Event], length: usize) -> &[Event] {
    &history[history.len().saturating_sub(length)..]
}
