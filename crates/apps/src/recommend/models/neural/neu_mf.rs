//! A network on the factors of history and item.

use std::sync::{Mutex, PoisonError};

use footlight::graph::Value;
use footlight::prelude::*;
use footlight::tensor::DType;
use footlight::train::{StepBuilder, TrainStep};

use super::integrate::Integrated;
use super::pairs::{self, Pairs, mean_of, mean_rows};
use super::{TABLE, embedding, matrix, rows_at, set_weights, weights};
use crate::recommend::data::Event;
use crate::recommend::linear::Matrix;
use crate::recommend::models::factors::cosines;
use crate::recommend::models::{Cost, Counts, Explanation, Fitting, Kind, Setting, Settings, Tensors};

const KIND: Kind = Kind::NeuMf;

pub(in crate::recommend::models) const SETTINGS: &[Setting] = &[
    Setting::new("size", 32.0, [1.0, 1024.0], &[]),
    Setting::new("length", 50.0, [1.0, 1024.0], &[]),
    Setting::new("negatives", 4.0, [1.0, 1000.0], &[]),
    Setting::new("epochs", 10.0, [0.0, 10_000.0], &[]),
    Setting::new("batch_size", 256.0, [1.0, 65_536.0], &[]),
    Setting::new("learning_rate", 0.001, [1e-7, 1.0], &[]),
];

/// Neural matrix factorisation: `score = w [p * q, mlp(p', q')]`, where `p` and `p'` are the halves of the mean of the history
/// and `q` and `q'` those of the row of an item; the loss is the cross-entropy of the next item against `negatives` drawn
/// ones.
///
/// # Differences
/// From the paper: a user is the mean of a history in place of a row of a table, so that nobody needs one; both halves are
/// trained together from the beginning.
///
/// # References
/// He et al. (2017), "Neural collaborative filtering", section 3.4.
#[derive(Debug)]
pub(in crate::recommend::models) struct NeuMf {
    read: Matrix,
    items: Matrix,
    length: usize,
    scorer: Mutex<TrainStep>,
    learned: Vec<(String, Tensor)>,
    integrated: Integrated,
}

const NAMES: [&str; 4] = ["read", "items", "mlp", "out"];

pub(in crate::recommend::models) fn cost(counts: Counts, settings: &Settings) -> Cost {
    let get = |name: &str| f64::from(settings.value(KIND, name));
    let (size, candidates, items) = (get("size"), 1.0 + get("negatives"), counts.items as f64);
    let bytes = 64.0 * size * items + 4.0 * get("batch_size") * (6.0 * size * get("length") + 30.0 * size * candidates);
    let per_step = 6.0 * candidates * 3.0 * size * size + 12.0 * size * get("length");
    let updates = 24.0 * 4.0 * size * items / get("batch_size");
    // Twice what is counted, set by a fit of 100,000 events that was timed.
    Cost { bytes, operations: 2.0 * counts.events as f64 * get("epochs") * (per_step + updates) }
}

fn parts(items: usize, settings: &Settings, seed: u64) -> Result<[Model; 4]> {
    let size = settings.count(KIND, "size");
    let mlp = layers![Dense::new(size).activation("relu").input_shape([2 * size]), Dense::new(size).activation("relu")];
    let out = layers![Dense::new(1).input_shape([2 * size])];
    Ok([
        embedding(items, 2 * size, seed)?,
        embedding(items, 2 * size, seed + 1)?,
        Sequential::new(mlp)?.seed(seed + 2),
        Sequential::new(out)?.seed(seed + 3),
    ])
}

/// The logits of rows of histories and of items, each `[N, 2 size]`: `[N, 1]`.
fn logits(s: &mut StepBuilder<'_>, user: Value, item: Value, size: usize) -> Value {
    let half = |s: &mut StepBuilder<'_>, x: Value, half: usize| s.slice_axis(x, 1, half * size..(half + 1) * size);
    let (p, q) = (half(s, user, 0), half(s, item, 0));
    let product = s.mul(p, q);
    let (p, q) = (half(s, user, 1), half(s, item, 1));
    let both = s.concat(&[p, q], 1);
    let made = s.call("mlp", both);
    let all = s.concat(&[product, made], 1);
    s.call("out", all)
}

/// The mean cross-entropy of the next items, against drawn ones.
fn loss(s: &mut StepBuilder<'_>, [size, length, items, negatives]: [usize; 4]) -> Value {
    let (before, next) = (s.input("before", &[length]), s.input("next", &[1]));
    let user = mean_rows(s, "read", before, 2 * size);
    let drawn = s.noise_uniform(&[negatives]);
    let drawn = s.mul_scalar(drawn, items as f32);
    let drawn = s.cast(drawn, DType::I32);
    let drawn = s.cast(drawn, DType::F32);
    let drawn = s.add_scalar(drawn, 1.0);
    let candidates = s.concat(&[next, drawn], 1);
    let item = rows_at(s, "items", candidates, 2 * size);
    let (rows, count) = (s.rows(), 1 + negatives);
    let user = s.reshape(user, [rows, 1, 2 * size]);
    let user = s.broadcast(user, [rows, count, 2 * size]);
    let (user, item) = (s.reshape(user, [rows * count, 2 * size]), s.reshape(item, [rows * count, 2 * size]));
    let logits = logits(s, user, item, size);
    let first: Vec<f32> = (0..count).map(|index| f32::from(u8::from(index == 0))).collect();
    let wanted = s.literal([1, count], first);
    let wanted = s.broadcast(wanted, [rows, count]);
    let wanted = s.reshape(wanted, [rows * count, 1]);
    s.loss(BinaryCrossentropy::from_logits(), wanted, logits)
}

impl NeuMf {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<NeuMf> {
        let Fitting { data, threads, seed } = fitting;
        let count = |name: &str| settings.count(KIND, name);
        let shape = [count("size"), count("length"), data.items.len(), count("negatives")];
        let rate = settings.value(KIND, "learning_rate");
        // The step has as many threads as its first model.
        let [read, second, third, last] = parts(data.items.len(), settings, seed)?;
        let mut models = [read.threads(threads), second, third, last];
        let step = TrainStep::new(seed, NAMES.into_iter().zip(&models), move |s| {
            let loss = loss(s, shape);
            NAMES.iter().for_each(|model| s.minimize(loss, model, Adam::new().learning_rate(rate)));
            s.report("loss", loss);
        })?;
        Pairs { data, length: shape[1], epochs: count("epochs"), batch_size: count("batch_size"), seed }
            .train(step, NAMES.into_iter().zip(&mut models))?;
        NeuMf::of(models, settings)
    }

    fn of(models: [Model; 4], settings: &Settings) -> Result<NeuMf> {
        let [read, items] = [0, 1].map(|index| {
            let table = matrix(&models[index], TABLE);
            Matrix { rows: table.rows - 1, columns: table.columns, data: table.data[table.columns..].to_vec() }
        });
        let (size, width) = (read.columns / 2, read.columns);
        let parts = [("mlp", &models[2]), ("out", &models[3])];
        let scorer = TrainStep::new(0, parts, move |s| {
            let (user, item) = (s.input("user", &[width]), s.input("item", &[width]));
            let logits = logits(s, user, item, size);
            s.output("logits", logits);
        })?;
        let integrated = Integrated::new(&parts, &[width], &[width], move |s, x, item| {
            let (rows, logits) = (s.rows(), logits(s, x, item, size));
            s.reshape(logits, [rows])
        })?;
        let learned = weights(NAMES.into_iter().zip(&models));
        Ok(NeuMf {
            read,
            items,
            length: settings.count(KIND, "length"),
            scorer: Mutex::new(scorer),
            learned,
            integrated,
        })
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<NeuMf> {
        tensors.check("items/embedding/embeddings", &[items + 1, 2 * settings.count(KIND, "size")])?;
        let mut models = parts(items, settings, 0)?;
        set_weights(NAMES.into_iter().zip(&mut models), tensors)?;
        NeuMf::of(models, settings)
    }
}

impl crate::recommend::models::Model for NeuMf {
    fn num_items(&self) -> usize {
        self.items.rows
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        let mean = mean_of(&self.read, history, self.length);
        let shape = [self.items.rows, self.items.columns];
        let users = Samples::from(Tensor::new(shape, mean.repeat(self.items.rows))?);
        let items = Samples::from(Tensor::new(shape, self.items.data.clone())?);
        let rows: Vec<u32> = (0..self.items.rows as u32).collect();
        let mut scorer = self.scorer.lock().unwrap_or_else(PoisonError::into_inner);
        scorer.train_on_batch(&[("user", &users), ("item", &items)], &rows)?;
        let logits = scorer.output("logits").expect("it was recorded");
        scores.copy_from_slice(&logits.to_f32());
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
