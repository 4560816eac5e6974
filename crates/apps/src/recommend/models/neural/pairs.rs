//! Training on pairs of a history and the item that came next, where a history is the mean of its items' vectors.

use footlight::graph::Value;
use footlight::graph::ops::Binary;
use footlight::prelude::*;
use footlight::train::{StepBuilder, TrainStep};

use super::integrate::Integrated;
use super::{recent, rows_at};
use crate::recommend::data::{Event, Interactions};
use crate::recommend::linear::{Matrix, add_scaled, dot};
use crate::recommend::models::Explanation;

/// How pairs are trained on.
pub(super) struct Pairs<'a> {
    pub data: &'a Interactions,
    /// The last items of a history that count.
    pub length: usize,
    pub epochs: usize,
    pub batch_size: usize,
    pub seed: u64,
}

impl Pairs<'_> {
    /// Takes a step on each batch of pairs, in another order in each epoch, and gives `models` what was learned.
    ///
    /// # Errors
    /// Steps that fail.
    pub fn train<'m>(
        &self,
        mut step: TrainStep,
        models: impl IntoIterator<Item = (&'m str, &'m mut Model)>,
    ) -> Result<()> {
        let histories = self.data.histories().iter().enumerate();
        let pairs: Vec<(usize, usize)> =
            histories.flat_map(|(user, history)| (1..history.len()).map(move |place| (user, place))).collect();
        for epoch in 0..self.epochs {
            let order = footlight::data::shuffled(pairs.len(), self.seed, epoch);
            for rows in order.chunks(self.batch_size.max(1)) {
                let (mut before, mut next) = (Vec::with_capacity(rows.len() * self.length), Vec::new());
                for row in rows {
                    let (user, place) = pairs[*row as usize];
                    let history = &self.data.histories()[user];
                    let items = recent(&history[..place], self.length).iter().map(|event| event.item as f32 + 1.0);
                    before.extend(items.chain(std::iter::repeat(0.0)).take(self.length));
                    next.push(history[place].item as f32 + 1.0);
                }
                let before = Samples::from(Tensor::new([rows.len(), self.length], before)?);
                let next = Samples::from(Tensor::new([rows.len(), 1], next)?);
                let all: Vec<u32> = (0..rows.len() as u32).collect();
                step.train_on_batch(&[("before", &before), ("next", &next)], &all)?;
            }
        }
        models.into_iter().try_for_each(|(name, model)| step.update(name, model))
    }
}

/// The mean of the rows of `model` at indices `[N, T]`, those of padding left out: `[N, size]`.
pub(super) fn mean_rows(s: &mut StepBuilder<'_>, model: &str, indices: Value, size: usize) -> Value {
    let rows = rows_at(s, model, indices, size);
    let zero = s.constant(0.0);
    let is_there = s.binary(Binary::Greater, indices, zero);
    let count = s.reduce_sum(is_there, &[1], true);
    let count = s.maximum_scalar(count, 1.0);
    let shape = s.shape(indices);
    let column = s.reshape(is_there, [shape[0], shape[1], 1]);
    let kept = s.mul(rows, column);
    let sum = s.reduce_sum(kept, &[1], false);
    s.div(sum, count)
}

/// The mean of the rows of the last items of a history, and the share of it that each has.
pub(super) fn mean_of(table: &Matrix, history: &[Event], length: usize) -> Vec<f32> {
    let recent = recent(history, length);
    let mut mean = vec![0.0; table.columns];
    let share = 1.0 / recent.len().max(1) as f32;
    recent.iter().for_each(|event| add_scaled(&mut mean, share, table.row(event.item as usize)));
    mean
}

/// Why an item has its score, where `integrated` answers for the mean of the history: what each number of the mean adds is
/// shared out among the events whose rows it is made of.
///
/// # Errors
/// Those of [`Integrated::explain`].
pub(super) fn explain(
    table: &Matrix,
    history: &[Event],
    length: usize,
    integrated: &Integrated,
    direction: &[f32],
) -> Result<Explanation> {
    let (mean, read) = (mean_of(table, history, length), recent(history, length));
    let (base, parts) = integrated.explain(&mean, direction)?;
    let share = 1.0 / read.len().max(1) as f32;
    // The part of a number is its size times a slope, which is the same for all events.
    let slopes: Vec<f32> =
        parts.iter().zip(&mean).map(|(part, mean)| if *mean == 0.0 { 0.0 } else { part / mean }).collect();
    let mut contributions = vec![0.0; history.len() - read.len()];
    contributions.extend(read.iter().map(|event| share * dot(table.row(event.item as usize), &slopes)));
    Ok(Explanation { base, contributions })
}
