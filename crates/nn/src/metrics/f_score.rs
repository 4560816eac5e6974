//! Harmonic means of precision and recall.

use super::{Observed, Rule, constructors, sum_samples};
use crate::config::{Config, NULL, Reader, config, within};
use crate::losses::FUZZ;
use crate::{Error, suggest};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};
use std::ops::Bound;

/// The F-score of each class, `(1 + beta^2) precision recall / (beta^2 precision + recall)`.
///
/// # Shapes
/// Targets (one-hot, or 0 and 1) and predictions `[N, C]`; the result is one number, or one per class.
///
/// # Arguments
/// Defaults as in Keras.
/// - `average`: how the classes become one number: `None` (default), one number each; `Some("micro")`, from the counts of
///   all; `Some("macro")`, their mean; `Some("weighted")`, weighted by how often each is the truth.
/// - `beta`: 1; recall counts as `beta` times as important as precision.
/// - `threshold`: `None` takes the class with the largest prediction; a number in (0, 1], all classes above it.
///
/// # Numerics
/// 1e-7 is added to every divisor, as in Keras. With no threshold all of several largest predictions count, unless they
/// are 0.
///
/// # Examples
/// ```
/// use footlight_nn::metrics::{FBetaScore, Rule};
/// let sums = [vec![2.0, 0.0], vec![2.0, 0.0], vec![0.0, 2.0]];
/// assert!((FBetaScore::new().beta(2.0).result(&sums)[0] - 5.0 / 6.0).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct FBetaScore {
    average: Option<String>,
    beta: f32,
    threshold: Option<f32>,
}

/// [`FBetaScore`] with `beta` 1: the harmonic mean of precision and recall.
///
/// # Shapes
/// Targets (one-hot, or 0 and 1) and predictions `[N, C]`; the result is one number, or one per class.
///
/// # Arguments
/// `average` and `threshold` as in [`FBetaScore`].
///
/// # Examples
/// ```
/// use footlight_nn::metrics::{F1Score, Rule};
/// let sums = [vec![2.0, 0.0], vec![2.0, 0.0], vec![0.0, 2.0]];
/// assert!((F1Score::new().average(Some("micro")).result(&sums)[0] - 0.5).abs() < 1e-6);
/// ```
#[derive(Clone, Debug, Default)]
pub struct F1Score(FBetaScore);

impl Default for FBetaScore {
    fn default() -> Self {
        FBetaScore { average: None, beta: 1.0, threshold: None }
    }
}

constructors!(F1Score, FBetaScore);

/// Keras' ways to make one number of several classes.
const AVERAGES: [&str; 3] = ["micro", "macro", "weighted"];

impl F1Score {
    /// How the classes become one number; default `None`, one number each.
    pub fn average(self, average: Option<&str>) -> Self {
        F1Score(self.0.average(average))
    }

    /// A class above this is predicted; default `None`, the class with the largest prediction.
    pub fn threshold(self, threshold: Option<f32>) -> Self {
        F1Score(self.0.threshold(threshold))
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        let average = read.string("average")?;
        let threshold = match read.f32s("threshold")?.as_deref() {
            None => None,
            Some([threshold]) => Some(*threshold),
            Some(list) => {
                return Err(Error::config(format!("threshold = {list:?}: one number is needed")).in_key("threshold"));
            }
        };
        Ok(F1Score(FBetaScore { average, beta: 1.0, threshold }))
    }
}

impl FBetaScore {
    /// How the classes become one number; default `None`, one number each.
    pub fn average(mut self, average: Option<&str>) -> Self {
        self.average = average.map(Into::into);
        self
    }

    /// How many times as important recall is; default 1.
    pub fn beta(mut self, beta: f32) -> Self {
        self.beta = beta;
        self
    }

    /// A class above this is predicted; default `None`, the class with the largest prediction.
    pub fn threshold(mut self, threshold: Option<f32>) -> Self {
        self.threshold = threshold;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        let F1Score(score) = F1Score::from_settings(read)?;
        Ok(FBetaScore { beta: read.f32("beta", 1.0)?, ..score })
    }

    /// 1 for predicted classes, else 0.
    fn predicted(&self, g: &mut Builder, p: Value) -> Value {
        if let Some(threshold) = self.threshold {
            let threshold = g.constant(threshold);
            return g.binary(Binary::Greater, p, threshold);
        }
        let last = g.shape(p).len() - 1;
        let max = g.reduce_max(p, &[last], true);
        let is_max = g.binary(Binary::GreaterEqual, p, max);
        let size = g.unary(Unary::Abs, p);
        let least = g.constant(1e-9);
        let is_there = g.binary(Binary::Greater, size, least);
        g.mul(is_max, is_there)
    }

    fn score(&self, tp: f64, fp: f64, fn_: f64) -> f64 {
        let epsilon = f64::from(FUZZ);
        let (precision, recall) = (tp / (tp + fp + epsilon), tp / (tp + fn_ + epsilon));
        let square = f64::from(self.beta) * f64::from(self.beta);
        (1.0 + square) * precision * recall / (square * precision + recall + epsilon)
    }
}

impl Rule for FBetaScore {
    fn class_name(&self) -> &'static str {
        "FBetaScore"
    }

    fn states(&self) -> &'static [&'static str] {
        &["true_positives", "false_positives", "false_negatives"]
    }

    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let predicted = self.predicted(g, batch.p.value);
        let [rest, no] = [predicted, batch.y].map(|x| g.scalar_sub(1.0, x));
        let both = [(predicted, batch.y), (predicted, no), (rest, batch.y)];
        both.map(|(predicted, truth)| {
            let count = g.mul(predicted, truth);
            sum_samples(g, count, batch.weight)
        })
        .to_vec()
    }

    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        let [tp, fp, fn_] = sums else { return Vec::new() };
        if self.average.as_deref() == Some("micro") {
            let [tp, fp, fn_] = [tp, fp, fn_].map(|counts| counts.iter().sum());
            return vec![self.score(tp, fp, fn_)];
        }
        let scores: Vec<f64> = (0..tp.len()).map(|class| self.score(tp[class], fp[class], fn_[class])).collect();
        let support = |class: usize| tp[class] + fn_[class];
        match self.average.as_deref() {
            None => scores,
            Some("weighted") => {
                let all: f64 = (0..tp.len()).map(support).sum::<f64>() + f64::from(FUZZ);
                vec![scores.iter().enumerate().map(|(class, score)| score * support(class) / all).sum()]
            }
            Some(_) => vec![scores.iter().sum::<f64>() / scores.len() as f64],
        }
    }

    fn settings(&self) -> Config {
        let mut config = config! { "average": NULL, "beta": self.beta, "threshold": NULL };
        config["average"] = self.average.as_deref().into();
        config["threshold"] = self.threshold.into();
        config
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(name) = self.average.as_deref().filter(|name| !AVERAGES.contains(name)) {
            return Err(suggest::unknown("average", name, &AVERAGES));
        }
        within("beta", self.beta, (Bound::Excluded(0.0), Bound::Excluded(f32::INFINITY)))?;
        self.threshold.map_or(Ok(()), |t| within("threshold", t, (Bound::Excluded(0.0), Bound::Included(1.0))))
    }
}

impl Rule for F1Score {
    fn class_name(&self) -> &'static str {
        "F1Score"
    }
    fn states(&self) -> &'static [&'static str] {
        self.0.states()
    }
    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        self.0.lower(g, batch)
    }
    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        self.0.result(sums)
    }
    fn settings(&self) -> Config {
        let mut config = self.0.settings();
        config.shift_remove("beta");
        config
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()
    }
}
