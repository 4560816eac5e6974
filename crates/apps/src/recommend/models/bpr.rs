//! Factors of items that rank what was seen before what was not.

use footlight::Result;
use footlight::tensor::{Philox, RandomKey, Tensor};

use super::factors::cosines;
use super::weighting::Weighting;
use super::{Cost, Counts, Explanation, Fitting, Kind, Model, Setting, Settings, Tensors, named};
use crate::recommend::data::Event;
use crate::recommend::linear::{Matrix, dot};

const KIND: Kind = Kind::Bpr;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("factors", 64.0, [1.0, 2048.0], &[]),
    Setting::new("epochs", 100.0, [1.0, 10_000.0], &[]),
    Setting::new("learning_rate", 0.02, [1e-6, 10.0], &[]),
    Setting::new("decay", 0.02, [0.0, 1.0], &[0.02, 0.01]),
    Setting::new("rounds", 20.0, [1.0, 10_000.0], &[]),
    Setting::new("half_life", 0.0, [0.0, 1e6], &[0.0, 20.0]),
    Setting::new("rating_weight", 0.0, [0.0, 10.0], &[]),
];

/// Matrix factorisation by the loss `-ln sigmoid(x_ui - x_uj)` for an item `i` that was seen and a drawn one `j` that was not,
/// with `x_ui = b_i + p_u q_i`.
///
/// # Differences
/// From the paper: to answer, a user's factors are found from the history by `rounds` of the same steps with the items as they
/// are, so that users who were not there while the model was fitted are answered as well.
///
/// # References
/// Rendle, Freudenthaler, Gantner, Schmidt-Thieme (2009), "BPR: Bayesian personalized ranking from implicit feedback",
/// section 4.2 and figure 4.
#[derive(Debug)]
pub(super) struct Bpr {
    items: Items,
    rounds: usize,
    weighting: Weighting,
}

/// The factors `q` and the biases `b` of items, and how steps are taken.
#[derive(Debug)]
struct Items {
    factors: Matrix,
    biases: Matrix,
    rate: f32,
    decay: f32,
}

/// A step on a pair of items.
struct Step {
    /// The place of the seen item in the history.
    place: usize,
    /// The item that was not seen.
    other: usize,
    /// What the difference of the rows of the two is added with.
    size: f32,
}

pub(super) fn cost(counts: Counts, settings: &Settings) -> Cost {
    let (size, rows) = (f64::from(settings.value(KIND, "factors")), (counts.users + counts.items) as f64);
    let steps = counts.events as f64 * f64::from(settings.value(KIND, "epochs"));
    // The factor is set by fits that were timed, of 100,000 events and of a million.
    Cost { bytes: 4.0 * rows * size, operations: 180.0 * steps * size }
}

impl Items {
    /// `sigmoid(x_uj - x_ui)`, the slope of the loss.
    fn slope(&self, user: &[f32], i: usize, j: usize) -> f32 {
        let score = |item: usize| self.biases.data[item] + dot(user, self.factors.row(item));
        1.0 / (1.0 + (score(i) - score(j)).exp())
    }

    /// Takes a step with the user and both items.
    fn learn(&mut self, user: &mut [f32], i: usize, j: usize) {
        let (slope, rate, decay, size) = (self.slope(user, i, j), self.rate, self.decay, user.len());
        let [of_i, of_j] = [i, j].map(|row| row * size..(row + 1) * size);
        let rows = self.factors.data.get_disjoint_mut([of_i, of_j]);
        let [of_i, of_j] = rows.expect("an item that was seen is none that was not");
        for ((p, qi), qj) in user.iter_mut().zip(of_i).zip(of_j) {
            let before = *p;
            *p += rate * (slope * (*qi - *qj) - decay * before);
            *qi += rate * (slope * before - decay * *qi);
            *qj += rate * (-slope * before - decay * *qj);
        }
        let biases = &mut self.biases.data;
        biases[i] += rate * (slope - decay * biases[i]);
        biases[j] += rate * (-slope - decay * biases[j]);
    }
}

impl Bpr {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<Bpr> {
        let (data, size) = (fitting.data, settings.count(KIND, "factors"));
        let mut draw = Philox::new(RandomKey::new(fitting.seed).child("bpr"));
        let mut random = |rows: usize| Matrix {
            rows,
            columns: size,
            data: (0..rows * size).map(|_| 0.1 * draw.normal() as f32).collect(),
        };
        let (mut users, factors) = (random(data.users.len()), random(data.items.len()));
        let mut model =
            Bpr::of(factors, Matrix::zeros(data.items.len(), 1), settings, Weighting::new(KIND, settings, data));
        let seen: Vec<Vec<u32>> = data.histories().iter().map(|history| sorted(history)).collect();
        let mut order: Vec<(u32, u32)> = data.events().map(|event| (event.user, event.item)).collect();
        for _ in 0..settings.count(KIND, "epochs") {
            draw.shuffle(&mut order);
            for (user, item) in &order {
                let other = draw.below(data.items.len() as u32);
                if seen[*user as usize].binary_search(&other).is_err() {
                    model.items.learn(users.row_mut(*user as usize), *item as usize, other as usize);
                }
            }
        }
        Ok(model)
    }

    fn of(factors: Matrix, biases: Matrix, settings: &Settings, weighting: Weighting) -> Bpr {
        let (rate, decay) = (settings.value(KIND, "learning_rate"), settings.value(KIND, "decay"));
        Bpr { items: Items { factors, biases, rate, decay }, rounds: settings.count(KIND, "rounds"), weighting }
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<Bpr> {
        let weighting = Weighting::of(KIND, settings, &tensors.floats("values", &[2])?);
        let factors = tensors.matrix("items", items, 0)?;
        Ok(Bpr::of(factors, tensors.matrix("biases", items, 1)?, settings, weighting))
    }

    /// The factors of a user with a history, and the steps that led to them from zeros.
    fn user(&self, history: &[Event]) -> (Vec<f32>, Vec<Step>) {
        let Items { factors, rate, decay, .. } = &self.items;
        let (weights, seen) = (self.weighting.of_history(history), sorted(history));
        let mut draw = Philox::new(RandomKey::new(0).child("bpr"));
        let (mut user, mut steps) = (vec![0.0; factors.columns], Vec::new());
        for place in (0..self.rounds).flat_map(|_| 0..history.len()) {
            let (item, other) = (history[place].item as usize, draw.below(factors.rows as u32));
            if seen.binary_search(&other).is_ok() {
                continue;
            }
            let other = other as usize;
            let size = rate * weights[place] * self.items.slope(&user, item, other);
            for ((p, qi), qj) in user.iter_mut().zip(factors.row(item)).zip(factors.row(other)) {
                *p += size * (qi - qj) - rate * decay * *p;
            }
            steps.push(Step { place, other, size });
        }
        (user, steps)
    }
}

/// The items of a history in the order of their indices.
fn sorted(history: &[Event]) -> Vec<u32> {
    let mut items: Vec<u32> = history.iter().map(|event| event.item).collect();
    items.sort_unstable();
    items
}

impl Model for Bpr {
    fn num_items(&self) -> usize {
        self.items.factors.rows
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        let (user, _) = self.user(history);
        let score = |item: usize| self.items.biases.data[item] + dot(&user, self.items.factors.row(item));
        scores.iter_mut().enumerate().for_each(|(item, value)| *value = score(item));
        Ok(())
    }

    /// Each step adds to the score what the difference of its rows does, which shrinks with every step after it.
    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        let Items { factors, biases, rate, decay } = &self.items;
        let mut products = vec![0.0; factors.rows];
        products
            .iter_mut()
            .enumerate()
            .for_each(|(other, product)| *product = dot(factors.row(other), factors.row(item as usize)));
        let (mut contributions, mut left) = (vec![0.0; history.len()], 1.0);
        for Step { place, other, size } in self.user(history).1.into_iter().rev() {
            contributions[place] += left * size * (products[history[place].item as usize] - products[other]);
            left *= 1.0 - rate * decay;
        }
        Ok(Explanation { base: biases.data[item as usize], contributions })
    }

    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()> {
        cosines(&self.items.factors, item, scores);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        vec![named("items", &self.items.factors), named("biases", &self.items.biases), self.weighting.tensor()]
    }
}
