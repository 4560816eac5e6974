//! A network for the history, one for the item, and their inner product.

use footlight::graph::Value;
use footlight::prelude::*;
use footlight::tensor::DType;
use footlight::train::{StepBuilder, TrainStep};

use super::integrate::Integrated;
use super::pairs::{self, Pairs, mean_of, mean_rows};
use super::{TABLE, embedding, matrix, rows_at, set_weights, weights};
use crate::recommend::data::Event;
use crate::recommend::linear::{Matrix, dot};
use crate::recommend::models::factors::cosines;
use crate::recommend::models::{Cost, Counts, Explanation, Fitting, Kind, Setting, Settings, Tensors};
use std::sync::{Mutex, PoisonError};

const KIND: Kind = Kind::TwoTower;

pub(in crate::recommend::models) const SETTINGS: &[Setting] = &[
    Setting::new("size", 64.0, [1.0, 1024.0], &[]),
    Setting::new("length", 50.0, [1.0, 1024.0], &[]),
    Setting::new("epochs", 10.0, [0.0, 10_000.0], &[]),
    Setting::new("batch_size", 256.0, [1.0, 65_536.0], &[]),
    Setting::new("learning_rate", 0.001, [1e-7, 1.0], &[]),
];

/// `score(j) = tower(mean of the history) v_j`, where the tower of the history has a hidden layer and `v_j` is what the tower of
/// items makes of item `j`; the loss is the cross-entropy of the next item among all.
///
/// # Differences
/// From the paper: all items are scored in training, so no sampling has to be made up for.
///
/// # References
/// Covington, Adams, Sargin (2016), "Deep neural networks for YouTube recommendations", section 3; Yi et al. (2019),
/// "Sampling-bias-corrected neural modeling for large corpus item recommendations".
#[derive(Debug)]
pub(in crate::recommend::models) struct TwoTower {
    /// The rows of items as parts of histories, without padding.
    read: Matrix,
    /// What the tower of items makes of each.
    items: Matrix,
    length: usize,
    user: Mutex<Model>,
    learned: Vec<(String, Tensor)>,
    integrated: Integrated,
}

const NAMES: [&str; 4] = ["read", "user", "items", "tower"];

pub(in crate::recommend::models) fn cost(counts: Counts, settings: &Settings) -> Cost {
    let get = |name: &str| f64::from(settings.value(KIND, name));
    let (size, batch, items) = (get("size"), get("batch_size"), counts.items as f64);
    let bytes = 32.0 * size * items + 4.0 * batch * (3.0 * items + 3.0 * size * get("length"));
    let steps = counts.events as f64 * get("epochs");
    let per_step = 6.0 * (size * items + 4.0 * size * size) + 6.0 * size * get("length");
    Cost { bytes, operations: steps * (per_step + 12.0 * size * size * items / batch) }
}

fn parts(items: usize, settings: &Settings, seed: u64) -> Result<[Model; 4]> {
    let size = settings.count(KIND, "size");
    let tower = |hidden: usize, seed: u64| {
        let layers = layers![Dense::new(hidden).activation("relu").input_shape([size]), Dense::new(size)];
        Ok::<_, Error>(Sequential::new(layers)?.seed(seed))
    };
    Ok([
        embedding(items, size, seed)?,
        tower(2 * size, seed + 1)?,
        embedding(items, size, seed + 2)?,
        tower(size, seed + 3)?,
    ])
}

/// What the tower of items makes of all, padding first: `[items + 1, size]`.
fn all_items(s: &mut StepBuilder<'_>, items: usize, size: usize) -> Value {
    let all = s.iota([items + 1], 0);
    let all = s.cast(all, DType::F32);
    let rows = rows_at(s, "items", all, size);
    s.call("tower", rows)
}

impl TwoTower {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<TwoTower> {
        let Fitting { data, threads, seed } = fitting;
        let count = |name: &str| settings.count(KIND, name);
        let (size, length, items, rate) =
            (count("size"), count("length"), data.items.len(), settings.value(KIND, "learning_rate"));
        // The step has as many threads as its first model.
        let [read, second, third, last] = parts(items, settings, seed)?;
        let mut models = [read.threads(threads), second, third, last];
        let step = TrainStep::new(seed, NAMES.into_iter().zip(&models), move |s| {
            let (before, next) = (s.input("before", &[length]), s.input("next", &[1]));
            let mean = mean_rows(s, "read", before, size);
            let user = s.call("user", mean);
            let table = all_items(s, items, size);
            let logits = s.matmul_with(user, table, false, true);
            let (rows, labels) = (s.rows(), s.cast(next, DType::I32));
            let labels = s.reshape(labels, [rows]);
            let (each, _) = s.sparse_softmax_cross_entropy(logits, labels);
            let loss = s.mean_all(each);
            NAMES.iter().for_each(|model| s.minimize(loss, model, Adam::new().learning_rate(rate)));
            s.report("loss", loss);
        })?;
        Pairs { data, length, epochs: count("epochs"), batch_size: count("batch_size"), seed }
            .train(step, NAMES.into_iter().zip(&mut models))?;
        TwoTower::of(models, settings)
    }

    fn of(mut models: [Model; 4], settings: &Settings) -> Result<TwoTower> {
        let [read, of_items] = [0, 2].map(|index| matrix(&models[index], TABLE));
        let (count, size) = (read.rows - 1, read.columns);
        let without_padding = |table: &Matrix| Matrix { rows: count, columns: size, data: table.data[size..].to_vec() };
        let rows = Samples::from(Tensor::new([count, size], without_padding(&of_items).data)?);
        let items = Matrix { rows: count, columns: size, data: models[3].predict(&rows)?.to_f32() };
        let [_, mut user, ..] = parts(count, settings, 0)?;
        for weight in models[1].architecture().weights() {
            user.set_state(&weight.path, &models[1].state(&weight.path).expect("it is built"))?;
        }
        let user = user.threads(1);
        let integrated = Integrated::new(&[("user", &user)], &[size], &[size], |s, x, direction| {
            let user = s.call("user", x);
            let products = s.mul(user, direction);
            s.reduce_sum(products, &[1], false)
        })?;
        let learned = weights(NAMES.into_iter().zip(&models));
        let length = settings.count(KIND, "length");
        Ok(TwoTower { read: without_padding(&read), items, length, user: Mutex::new(user), learned, integrated })
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<TwoTower> {
        tensors.check("items/embedding/embeddings", &[items + 1, settings.count(KIND, "size")])?;
        let mut models = parts(items, settings, 0)?;
        set_weights(NAMES.into_iter().zip(&mut models), tensors)?;
        TwoTower::of(models, settings)
    }
}

impl crate::recommend::models::Model for TwoTower {
    fn num_items(&self) -> usize {
        self.items.rows
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        let mean = mean_of(&self.read, history, self.length);
        let mut user = vec![0.0; self.items.columns];
        self.user.lock().unwrap_or_else(PoisonError::into_inner).predict_one(&mean, &mut user)?;
        scores.iter_mut().enumerate().for_each(|(item, score)| *score = dot(&user, self.items.row(item)));
        Ok(())
    }

    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        pairs::explain(&self.read, history, self.length, &self.integrated, self.items.row(item as usize))
    }

    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()> {
        cosines(&self.items, item, scores);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.learned.clone()
    }
}
