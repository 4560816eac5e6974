//! A transformer that reads the history in order.

use std::sync::{Mutex, PoisonError};

use footlight::graph::Value;
use footlight::graph::ops::Binary;
use footlight::prelude::*;
use footlight::tensor::DType;
use footlight::train::{StepBuilder, TrainStep};

use super::integrate::Integrated;
use super::{TABLE, embedding, matrix, recent, rows_at, set_weights, weights};
use crate::recommend::data::{Event, Interactions};
use crate::recommend::linear::{Matrix, dot};
use crate::recommend::models::factors::cosines;
use crate::recommend::models::{Cost, Counts, Explanation, Fitting, Kind, Setting, Settings, Tensors};

const KIND: Kind = Kind::SasRec;

pub(in crate::recommend::models) const SETTINGS: &[Setting] = &[
    Setting::new("size", 64.0, [1.0, 1024.0], &[]),
    Setting::new("blocks", 2.0, [1.0, 12.0], &[]),
    Setting::new("heads", 2.0, [1.0, 64.0], &[]),
    Setting::new("length", 100.0, [1.0, 1024.0], &[]),
    Setting::new("dropout", 0.3, [0.0, 0.99], &[]),
    Setting::new("epochs", 25.0, [0.0, 10_000.0], &[]),
    Setting::new("batch_size", 16.0, [1.0, 65_536.0], &[]),
    Setting::new("learning_rate", 0.001, [1e-7, 1.0], &[]),
    Setting::new("negatives", 0.0, [0.0, 1e7], &[]),
];

/// Self-attentive sequential recommendation: `score(j) = h_n e_j`, where `h` are causal attention blocks over the items of the
/// history with their places, and `e_j` is the row of item `j` in the same table that is read.
///
/// The loss at each place is the cross-entropy of the next item among all items, or, with `negatives`, among itself and so
/// many drawn ones that all sequences of a batch share.
///
/// # Differences
/// From the paper: a softmax in place of one negative, normalisation before each part of a block, and histories begin at the
/// first place.
///
/// # References
/// Kang, McAuley (2018), "Self-attentive sequential recommendation", section III; Klenitskiy, Vasilev (2023), "Turning dross
/// into gold loss: is BERT4Rec really better than SASRec?" (the losses).
#[derive(Debug)]
pub(in crate::recommend::models) struct SasRec {
    /// The rows of all items, without padding.
    table: Matrix,
    places: Matrix,
    blocks: Mutex<Model>,
    learned: Vec<(String, Tensor)>,
    integrated: Integrated,
}

pub(in crate::recommend::models) fn cost(counts: Counts, settings: &Settings) -> Cost {
    let get = |name: &str| f64::from(settings.value(KIND, name));
    let (size, length, batch) = (get("size"), get("length"), get("batch_size"));
    let scored = if get("negatives") > 0.0 { get("negatives") } else { counts.items as f64 };
    let weights = 16.0 * size * (counts.items as f64 + length) + 16.0 * get("blocks") * 6.0 * size * size;
    let places = batch * length;
    let per_place = 6.0 * (size * scored + get("blocks") * (6.0 * size * size + 2.0 * size * length));
    let bytes = weights + 4.0 * places * (3.0 * scored + 30.0 * get("blocks") * size);
    Cost { bytes, operations: 1.3 * counts.events as f64 * get("epochs") * per_place }
}

/// The three parts: the table of items, that of places, and the blocks.
fn parts(items: usize, settings: &Settings, dropout: f32, seed: u64) -> Result<[Model; 3]> {
    let count = |name: &str| settings.count(KIND, name);
    let (size, length, heads) = (count("size"), count("length"), count("heads"));
    if size % heads != 0 {
        let message = format!("size = {size} of sasrec cannot be shared by {heads} heads");
        return Err(Error::new(footlight::ErrorKind::Config, message).help("choose a multiple"));
    }
    let x = Input::new([length, size]).symbol();
    let mut h = Dropout::new(dropout).on(&x);
    for _ in 0..count("blocks") {
        let normal = LayerNormalization::new().on(&h);
        let attention = MultiHeadAttention::new(heads, size / heads).use_causal_mask(true).dropout(dropout);
        let seen = Dropout::new(dropout).on(&attention.on([&normal, &normal]));
        h = &h + &seen;
        let hidden = Dense::new(size).activation("relu").on(&LayerNormalization::new().on(&h));
        let made = Dense::new(size).on(&Dropout::new(dropout).on(&hidden));
        h = &h + &Dropout::new(dropout).on(&made);
    }
    let y = LayerNormalization::new().on(&h);
    let blocks = Functional::new([&x], [&y])?.seed(seed);
    let places = embedding(length - 1, size, seed + 2)?;
    Ok([embedding(items, size, seed + 1)?, places, blocks])
}

/// What the blocks make of rows `[N, length, size]` of the table.
fn read(s: &mut StepBuilder<'_>, x: Value, length: usize, size: usize) -> Value {
    let at = s.iota([length], 0);
    let at = s.cast(at, DType::F32);
    let places = rows_at(s, "places", at, size);
    let x = s.add(x, places);
    s.call("blocks", x)
}

/// The mean cross-entropy of the next items over all places that have one.
fn loss(s: &mut StepBuilder<'_>, [length, size, items, negatives]: [usize; 4]) -> Value {
    let rows = s.rows();
    let sequence = s.input("sequence", &[length + 1]);
    let (before, next) = (s.slice_axis(sequence, 1, 0..length), s.slice_axis(sequence, 1, 1..length + 1));
    let x = rows_at(s, "items", before, size);
    let h = read(s, x, length, size);
    let h = s.reshape(h, [rows * length, size]);
    let next = s.reshape(next, [rows * length]);
    let (logits, labels) = match negatives {
        0 => {
            let all = s.iota([items + 1], 0);
            let all = s.cast(all, DType::F32);
            let table = rows_at(s, "items", all, size);
            (s.matmul_with(h, table, false, true), s.cast(next, DType::I32))
        }
        _ => sampled(s, h, next, [size, items, negatives]),
    };
    let (each, _) = s.sparse_softmax_cross_entropy(logits, labels);
    let zero = s.constant(0.0);
    let is_there = s.binary(Binary::Greater, next, zero);
    let (kept, count) = (s.mul(each, is_there), s.sum_all(is_there));
    let (sum, count) = (s.sum_all(kept), s.maximum_scalar(count, 1.0));
    s.div(sum, count)
}

/// Logits of the next item, which has class 0, and of drawn ones, which stand for all others.
fn sampled(s: &mut StepBuilder<'_>, h: Value, next: Value, [size, items, negatives]: [usize; 3]) -> (Value, Value) {
    let count = negatives.div_ceil(s.rows()) * s.rows();
    let drawn = s.noise_uniform(&[count / s.rows()]);
    let drawn = s.mul_scalar(drawn, items as f32);
    let drawn = s.reshape(drawn, [count]);
    let drawn = s.cast(drawn, DType::I32);
    let drawn = s.cast(drawn, DType::F32);
    let drawn = s.add_scalar(drawn, 1.0);
    let (table, own) = (rows_at(s, "items", drawn, size), rows_at(s, "items", next, size));
    let others = s.matmul_with(h, table, false, true);
    let others = s.add_scalar(others, (items as f32 / count as f32).ln());
    let places = s.shape(next)[0];
    let (column, row) = (s.reshape(next, [places, 1]), s.reshape(drawn, [1, count]));
    let is_same = s.binary(Binary::Equal, column, row);
    let hidden = s.mul_scalar(is_same, -1e9);
    let others = s.add(others, hidden);
    let own = s.mul(h, own);
    let own = s.reduce_sum(own, &[1], true);
    let zeros = s.mul_scalar(next, 0.0);
    (s.concat(&[own, others], 1), s.cast(zeros, DType::I32))
}

/// Items of consecutive events, counted from 1, in windows that overlap by one; what is missing is 0.
fn sequences(data: &Interactions, length: usize) -> Result<Samples> {
    let mut rows = Vec::new();
    for history in data.histories().iter().filter(|history| history.len() > 1) {
        let mut end = history.len();
        while end > 1 {
            let begin = end.saturating_sub(length + 1);
            let row = history[begin..end].iter().map(|event| event.item as f32 + 1.0);
            rows.extend(row.chain(std::iter::repeat(0.0)).take(length + 1));
            end = begin + usize::from(begin > 0);
        }
    }
    Ok(Tensor::new([rows.len() / (length + 1), length + 1], rows)?.into())
}

impl SasRec {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<SasRec> {
        let Fitting { data, threads, seed } = fitting;
        let count = |name: &str| settings.count(KIND, name);
        let (length, size, items) = (count("length"), count("size"), data.items.len());
        let [mut table, mut places, mut blocks] = parts(items, settings, settings.value(KIND, "dropout"), seed)?;
        table = table.threads(threads);
        let (sequences, negatives) = (sequences(data, length)?, count("negatives"));
        let batch = count("batch_size").min(sequences.len()).max(1);
        let rate = settings.value(KIND, "learning_rate");
        let models = [("items", &table), ("places", &places), ("blocks", &blocks)];
        let mut step = TrainStep::new(seed, models, move |s| {
            let loss = loss(s, [length, size, items, negatives]);
            for model in ["items", "places", "blocks"] {
                s.minimize(loss, model, Adam::new().learning_rate(rate));
            }
            s.report("loss", loss);
        })?;
        for epoch in 0..count("epochs") {
            let order = footlight::data::shuffled(sequences.len(), seed, epoch);
            for rows in order.chunks(batch) {
                step.train_on_batch(&[("sequence", &sequences)], rows)?;
            }
        }
        step.update("items", &mut table)?;
        step.update("places", &mut places)?;
        step.update("blocks", &mut blocks)?;
        SasRec::of([table, places, blocks], settings)
    }

    /// The model of trained parts, which answers without dropout.
    fn of(models: [Model; 3], settings: &Settings) -> Result<SasRec> {
        let with_padding = matrix(&models[0], TABLE);
        let (items, size) = (with_padding.rows - 1, with_padding.columns);
        let table = Matrix { rows: items, columns: size, data: with_padding.data[size..].to_vec() };
        let places = matrix(&models[1], TABLE);
        let copy = |from: &Model, mut to: Model| {
            for weight in from.architecture().weights() {
                to.set_state(&weight.path, &from.state(&weight.path).expect("it is built"))?;
            }
            Ok::<_, Error>(to.threads(1))
        };
        let [_, _, plain] = parts(items, settings, 0.0, 0)?;
        let blocks = copy(&models[2], plain)?;
        let length = places.rows;
        let parts = [("blocks", &blocks), ("places", &models[1])];
        let integrated = Integrated::new(&parts, &[length, size], &[length, size], move |s, x, direction| {
            let h = read(s, x, length, size);
            let products = s.mul(h, direction);
            s.reduce_sum(products, &[1, 2], false)
        })?;
        let names = ["items", "places", "blocks"];
        let learned = weights(names.into_iter().zip(&models));
        Ok(SasRec { table, places, blocks: Mutex::new(blocks), learned, integrated })
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<SasRec> {
        tensors.check("items/embedding/embeddings", &[items + 1, settings.count(KIND, "size")])?;
        let mut models = parts(items, settings, settings.value(KIND, "dropout"), 0)?;
        set_weights(["items", "places", "blocks"].into_iter().zip(&mut models), tensors)?;
        SasRec::of(models, settings)
    }

    /// The rows of the last items of a history, one behind another, and zeros behind them; the place of the last.
    fn rows(&self, history: &[Event]) -> (Vec<f32>, usize) {
        let recent = recent(history, self.places.rows);
        let mut rows: Vec<f32> = recent.iter().flat_map(|event| self.table.row(event.item as usize)).copied().collect();
        rows.resize(self.places.data.len(), 0.0);
        (rows, recent.len().saturating_sub(1))
    }
}

impl crate::recommend::models::Model for SasRec {
    fn num_items(&self) -> usize {
        self.table.rows
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        let (mut x, last) = self.rows(history);
        x.iter_mut().zip(&self.places.data).for_each(|(x, place)| *x += place);
        let size = self.places.columns;
        let mut h = vec![0.0; x.len()];
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).predict_one(&x, &mut h)?;
        let h = &h[last * size..(last + 1) * size];
        scores.iter_mut().enumerate().for_each(|(item, score)| *score = dot(h, self.table.row(item)));
        Ok(())
    }

    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        let ((x, last), size) = (self.rows(history), self.places.columns);
        let mut direction = vec![0.0; x.len()];
        direction[last * size..(last + 1) * size].copy_from_slice(self.table.row(item as usize));
        let (base, parts) = self.integrated.explain(&x, &direction)?;
        let read = recent(history, self.places.rows).len();
        let mut contributions = vec![0.0; history.len() - read];
        contributions.extend(parts.chunks(size).take(read).map(|part| part.iter().sum::<f32>()));
        Ok(Explanation { base, contributions })
    }

    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()> {
        cosines(&self.table, item, scores);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.learned.clone()
    }
}
