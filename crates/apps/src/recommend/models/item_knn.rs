//! Items that the same users have seen.

use footlight::Result;
use footlight::tensor::Tensor;

use super::cooccurrence::Cooccurrence;
use super::weighting::Weighting;
use super::{Cost, Counts, Explanation, Fitting, Kind, Model, Setting, Settings, Tensors, named};
use crate::recommend::data::Event;
use crate::recommend::linear::Matrix;
use crate::recommend::parallel;

const KIND: Kind = Kind::ItemKnn;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("half_life", 0.0, [0.0, 1e6], &[0.0, 5.0, 2.0]),
    Setting::new("directed", 0.0, [0.0, 1.0], &[0.0, 1.0]),
    Setting::new("window", 0.0, [0.0, 1e6], &[0.0, 5.0, 2.0, 20.0]),
    Setting::new("window_share", 1.0, [0.0, 1.0], &[]),
    Setting::new("exponent", 0.5, [0.0, 1.0], &[0.5, 0.7, 0.3]),
    Setting::new("shrinkage", 10.0, [0.0, 1e9], &[10.0, 30.0]),
    Setting::new("neighbors", 200.0, [1.0, 1e6], &[]),
    Setting::new("rating_weight", 0.0, [0.0, 10.0], &[]),
];

/// `score(j) = sum_i x_i s(i, j)` with `s(i, j) = c(i, j) / ((n_i + shrinkage)^0.5 (n_j + shrinkage)^exponent)`.
///
/// `c` counts the users who have seen both, see [`Cooccurrence`]; `directed` counts only those who came to `j` after `i`. Each
/// item keeps its `neighbors` nearest.
///
/// # References
/// Deshpande, Karypis (2004), "Item-based top-N recommendation algorithms".
#[derive(Debug)]
pub(super) struct ItemKnn {
    /// The neighbors of each item and how near they are, by item.
    neighbors: Vec<i32>,
    nearness: Matrix,
    weighting: Weighting,
}

pub(super) fn cost(counts: Counts, settings: &Settings) -> Cost {
    let kept = settings.value(KIND, "neighbors").min(counts.items as f32);
    let bytes = 8.0 * counts.items as f64 * f64::from(kept);
    Cost { bytes, operations: 2.0 * counts.pairs as f64 + 10.0 * (counts.items as f64).powi(2) }
}

impl ItemKnn {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<ItemKnn> {
        let (data, items) = (fitting.data, fitting.data.items.len());
        let weighting = Weighting::new(KIND, settings, data);
        let pairs =
            Cooccurrence::new(data, KIND, settings, &weighting).directed(settings.value(KIND, "directed") > 0.5);
        let kept = settings.count(KIND, "neighbors").min(items);
        let (exponent, shrinkage) = (settings.value(KIND, "exponent"), settings.value(KIND, "shrinkage"));
        let size = |item: usize, exponent: f32| (pairs.count(item) as f32 + shrinkage).powf(-exponent);
        let sizes: Vec<f32> = (0..items).map(|item| size(item, exponent)).collect();
        let nearest = |row: &mut Vec<f32>, item: usize| {
            row.fill(0.0);
            pairs.add_row(item, row);
            row[item] = 0.0;
            let scale = size(item, 0.5);
            row.iter_mut().zip(&sizes).for_each(|(count, size)| *count *= scale * size);
            let mut order: Vec<u32> = (0..items as u32).collect();
            let further = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
            if kept < items {
                order.select_nth_unstable_by(kept, further);
                order.truncate(kept);
            }
            order.sort_unstable_by(further);
            order.into_iter().map(|other| (other as i32, row[other as usize])).collect::<Vec<_>>()
        };
        let rows = parallel::map(items, fitting.threads, || vec![0.0; items], nearest);
        let (neighbors, data) = rows.into_iter().flatten().unzip();
        Ok(ItemKnn { neighbors, nearness: Matrix { rows: items, columns: kept, data }, weighting })
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<ItemKnn> {
        let weighting = Weighting::of(KIND, settings, &tensors.floats("values", &[2])?);
        let nearness = tensors.matrix("nearness", items, 0)?;
        let neighbors = tensors.indices("neighbors", &[items, nearness.columns], items)?;
        Ok(ItemKnn { neighbors, nearness, weighting })
    }

    fn row(&self, item: u32) -> impl Iterator<Item = (usize, f32)> {
        let (item, kept) = (item as usize, self.nearness.columns);
        let neighbors = self.neighbors[item * kept..(item + 1) * kept].iter();
        neighbors.zip(self.nearness.row(item)).map(|(other, nearness)| (*other as usize, *nearness))
    }
}

impl Model for ItemKnn {
    fn num_items(&self) -> usize {
        self.nearness.rows
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        for (event, weight) in history.iter().zip(self.weighting.of_history(history)) {
            self.row(event.item).for_each(|(other, nearness)| scores[other] += weight * nearness);
        }
        Ok(())
    }

    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        let near =
            |event: &Event| self.row(event.item).find(|(other, _)| *other == item as usize).map_or(0.0, |(_, x)| x);
        let weights = self.weighting.of_history(history);
        let contributions = history.iter().zip(weights).map(|(event, weight)| weight * near(event)).collect();
        Ok(Explanation { base: 0.0, contributions })
    }

    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        self.row(item).for_each(|(other, nearness)| scores[other] = nearness);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        let shape = [self.nearness.rows, self.nearness.columns];
        let neighbors = Tensor::new(shape, self.neighbors.clone()).expect("each item keeps as many neighbors");
        vec![named("nearness", &self.nearness), ("neighbors".into(), neighbors), self.weighting.tensor()]
    }
}
