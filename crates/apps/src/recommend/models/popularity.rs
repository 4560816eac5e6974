//! What most have seen.

use footlight::{Error, ErrorKind, Result};

use super::{Cost, Counts, Explanation, Fitting, Model, Setting, Settings, Tensors, named};
use crate::recommend::data::Event;
use crate::recommend::linear::Matrix;

pub(super) const SETTINGS: &[Setting] = &[];

/// `score(j) = ln(1 + n_j)`, with `n_j` the events with item `j`.
#[derive(Debug)]
pub(super) struct Popularity {
    scores: Matrix,
}

pub(super) fn cost(counts: Counts, _: &Settings) -> Cost {
    Cost { bytes: 4.0 * counts.items as f64, operations: counts.events as f64 }
}

impl Popularity {
    pub fn fit(fitting: Fitting<'_>, _: &Settings) -> Result<Popularity> {
        let mut scores = Matrix::zeros(1, fitting.data.items.len());
        fitting.data.events().for_each(|event| scores.data[event.item as usize] += 1.0);
        scores.data.iter_mut().for_each(|count| *count = count.ln_1p());
        Ok(Popularity { scores })
    }

    pub fn load(items: usize, _: &Settings, tensors: &mut Tensors) -> Result<Popularity> {
        Ok(Popularity { scores: tensors.matrix("scores", 1, items)? })
    }
}

impl Model for Popularity {
    fn num_items(&self) -> usize {
        self.scores.columns
    }

    fn score(&self, _: &[Event], scores: &mut [f32]) -> Result<()> {
        scores.copy_from_slice(&self.scores.data);
        Ok(())
    }

    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        Ok(Explanation { base: self.scores.data[item as usize], contributions: vec![0.0; history.len()] })
    }

    fn similar(&self, _: u32, _: &mut [f32]) -> Result<()> {
        Err(Error::new(ErrorKind::Invalid, "popularity knows of no likeness of items")
            .help("train another model, such as ease"))
    }

    fn tensors(&self) -> Vec<(String, footlight::tensor::Tensor)> {
        vec![named("scores", &self.scores)]
    }
}
