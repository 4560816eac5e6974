//! Factors of items, and the factors of a user that follow from a history.

use footlight::Result;
use footlight::tensor::Tensor;

use super::weighting::Weighting;
use super::{Explanation, Kind, Model, Settings, Tensors, named};
use crate::recommend::data::Event;
use crate::recommend::linear::{Matrix, add_scaled, dot};

/// A least-squares problem whose matrix is `unobserved Q^T Q + sum_i w_i q_i q_i^T + ridge I`, and its right side
/// `sum_i w_i q_i`: what was seen is wanted to be 1, everything else 0 with the weight `unobserved`.
pub(super) struct Squares<'a> {
    pub fixed: &'a Matrix,
    /// `Q^T Q`.
    pub gram: &'a Matrix,
    pub unobserved: f32,
    pub regularization: f32,
}

impl Squares<'_> {
    /// The matrix for what was seen with its weights. The ridge grows with what the sum is over:
    /// `regularization (count + unobserved rows)`.
    fn matrix(&self, seen: &[(u32, f32)]) -> Matrix {
        let size = self.fixed.columns;
        let mut rows = Matrix::zeros(seen.len(), size);
        for (row, (index, weight)) in seen.iter().enumerate() {
            add_scaled(rows.row_mut(row), weight.sqrt(), self.fixed.row(*index as usize));
        }
        let mut matrix = rows.gram();
        add_scaled(&mut matrix.data, self.unobserved, &self.gram.data);
        let ridge = self.regularization * (seen.len() as f32 + self.unobserved * self.fixed.rows as f32);
        (0..size).for_each(|i| matrix.data[i * size + i] += ridge.max(1e-6));
        matrix
    }

    /// The factors that fit what was seen best.
    ///
    /// # Errors
    /// A problem without a solution.
    pub fn solve(&self, seen: &[(u32, f32)]) -> Result<Vec<f32>> {
        let mut side = vec![0.0; self.fixed.columns];
        seen.iter().for_each(|(index, weight)| add_scaled(&mut side, *weight, self.fixed.row(*index as usize)));
        self.matrix(seen).solve(&mut side)?;
        Ok(side)
    }
}

/// Factors of items: `score(j) = u q_j`, where `u` fits the history best.
#[derive(Debug)]
pub(super) struct Factors {
    items: Matrix,
    gram: Matrix,
    unobserved: f32,
    regularization: f32,
    weighting: Weighting,
}

impl Factors {
    /// Of the settings `unobserved` and `regularization`.
    pub fn new(kind: Kind, settings: &Settings, items: Matrix, weighting: Weighting) -> Factors {
        let (unobserved, regularization) = (settings.value(kind, "unobserved"), settings.value(kind, "regularization"));
        Factors { gram: items.gram(), items, unobserved, regularization, weighting }
    }

    pub fn load(kind: Kind, items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<Factors> {
        let weighting = Weighting::of(kind, settings, &tensors.floats("values", &[2])?);
        Ok(Factors::new(kind, settings, tensors.matrix("items", items, 0)?, weighting))
    }

    fn squares(&self) -> Squares<'_> {
        let Factors { unobserved, regularization, .. } = *self;
        Squares { fixed: &self.items, gram: &self.gram, unobserved, regularization }
    }

    fn seen(&self, history: &[Event]) -> Vec<(u32, f32)> {
        history.iter().map(|event| event.item).zip(self.weighting.of_history(history)).collect()
    }
}

impl Model for Factors {
    fn num_items(&self) -> usize {
        self.items.rows
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        let user = self.squares().solve(&self.seen(history))?;
        scores.iter_mut().enumerate().for_each(|(item, score)| *score = dot(&user, self.items.row(item)));
        Ok(())
    }

    /// `score(j) = sum_i w_i q_i A^-1 q_j` with the matrix `A` of the history.
    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        let seen = self.seen(history);
        let mut turned = self.items.row(item as usize).to_vec();
        self.squares().matrix(&seen).solve(&mut turned)?;
        let contribution = |(index, weight): &(u32, f32)| weight * dot(self.items.row(*index as usize), &turned);
        Ok(Explanation { base: 0.0, contributions: seen.iter().map(contribution).collect() })
    }

    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()> {
        cosines(&self.items, item, scores);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        vec![named("items", &self.items), self.weighting.tensor()]
    }
}

/// The cosines of the angles between the row of an item and all rows; 0 for rows of zeros.
pub(super) fn cosines(rows: &Matrix, item: u32, scores: &mut [f32]) {
    let norm = |row: &[f32]| dot(row, row).sqrt();
    let row = rows.row(item as usize);
    let length = norm(row);
    for (other, score) in scores.iter_mut().enumerate() {
        let both = length * norm(rows.row(other));
        *score = if both > 0.0 { dot(row, rows.row(other)) / both } else { 0.0 };
    }
}
