//! Each item as a linear function of all others.

use footlight::Result;

use super::cooccurrence::Cooccurrence;
use super::weighting::Weighting;
use super::{Cost, Counts, Explanation, Fitting, Kind, Model, Setting, Settings, Tensors, named};
use crate::recommend::data::Event;
use crate::recommend::linear::{Matrix, add_scaled};
use crate::recommend::parallel;

const KIND: Kind = Kind::Ease;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("half_life", 0.0, [0.0, 1e6], &[0.0, 5.0, 3.0, 8.0]),
    Setting::new("window", 10.0, [0.0, 1e6], &[0.0, 10.0, 5.0, 20.0]),
    Setting::new("window_share", 0.6, [0.0, 1.0], &[0.6, 0.8]),
    Setting::new("regularization", 200.0, [1e-3, 1e9], &[200.0, 100.0, 300.0, 500.0]),
    Setting::new("rating_weight", 0.1, [0.0, 10.0], &[0.0, 0.1, 0.2]),
];

/// Shallow autoencoders in closed form: `B = I - P diag(P)^-1` with `P = (G + regularization I)^-1`, `score = x B`.
///
/// `G` is `X^T X` with a window: events of a user that are near to each other count more, see [`Cooccurrence`]; with
/// `window = 0` it is the matrix of the paper. `x` holds the weights of the history, see [`Weighting`].
///
/// # References
/// Steck (2019), "Embarrassingly shallow autoencoders for sparse data", equation 8.
#[derive(Debug)]
pub(super) struct Ease {
    weights: Matrix,
    weighting: Weighting,
}

pub(super) fn cost(counts: Counts, _: &Settings) -> Cost {
    let items = counts.items as f64;
    // A matrix, and its copy for the file.
    Cost { bytes: 8.0 * items * items, operations: items.powi(3) + 2.0 * counts.pairs as f64 }
}

impl Ease {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<Ease> {
        let (data, items) = (fitting.data, fitting.data.items.len());
        let weighting = Weighting::new(KIND, settings, data);
        let pairs = Cooccurrence::new(data, KIND, settings, &weighting);
        let regularization = settings.value(KIND, "regularization");
        let mut gram = Matrix::zeros(items, items);
        parallel::each_row(&mut gram, fitting.threads, |item, row| {
            pairs.add_row(item, row);
            row[item] += regularization;
        });
        drop(pairs);
        let mut weights = gram.inverse()?;
        let scales: Vec<f32> = (0..items).map(|item| -1.0 / weights.row(item)[item]).collect();
        for item in 0..items {
            let row = weights.row_mut(item);
            row.iter_mut().zip(&scales).for_each(|(weight, scale)| *weight *= scale);
            row[item] = 0.0;
        }
        Ok(Ease { weights, weighting })
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<Ease> {
        let weighting = Weighting::of(KIND, settings, &tensors.floats("values", &[2])?);
        Ok(Ease { weights: tensors.matrix("weights", items, items)?, weighting })
    }
}

impl Model for Ease {
    fn num_items(&self) -> usize {
        self.weights.rows
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        for (event, weight) in history.iter().zip(self.weighting.of_history(history)) {
            add_scaled(scores, weight, self.weights.row(event.item as usize));
        }
        Ok(())
    }

    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        let weights = history.iter().zip(self.weighting.of_history(history));
        let of = |(event, weight): (&Event, f32)| weight * self.weights.row(event.item as usize)[item as usize];
        Ok(Explanation { base: 0.0, contributions: weights.map(of).collect() })
    }

    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()> {
        scores.copy_from_slice(self.weights.row(item as usize));
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, footlight::tensor::Tensor)> {
        vec![named("weights", &self.weights), self.weighting.tensor()]
    }
}
