//! Areas under curves.

use super::confusion::{Counts, Decisions, STATES, Thresholds, check_thresholds};
use super::{Observed, Rule, constructors, ratio};
use crate::config::{Config, NULL, Reader, config};
use crate::{Error, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};

/// The area under a curve of decisions at many thresholds: how well predictions put positives above negatives.
///
/// # Shapes
/// Targets (0 is negative, all else positive) and predictions `[N, ...]`, `[N, L]` with `multi_label`.
///
/// # Arguments
/// Defaults as in Keras.
/// - `num_thresholds`: 200, evenly spaced; the first is -1e-7 and the last 1 + 1e-7.
/// - `curve`: `ROC`, recall over false positive rate; `PR`, precision over recall; `PRGAIN`, their gains over chance.
/// - `summation_method`: `interpolation`, trapezoids, for `PR` the formula of Davis and Goadrich; `minoring` and
///   `majoring`, rectangles below and above.
/// - `thresholds`: none; else these between the first and the last.
/// - `multi_label`: false; else the mean of the areas of all labels, weighted by `label_weights` if given.
/// - `from_logits`: false; else predictions are logits.
///
/// # Numerics
/// Predictions are clipped to [0, 1] unless thresholds are given. A ratio of nothing to nothing is 0.
///
/// # Differences
/// Keras takes `label_weights` without `multi_label` too, as weights of the elements; here they are refused then.
///
/// # References
/// Davis and Goadrich (2006), "The relationship between precision-recall and ROC curves", section 4.
///
/// # Examples
/// ```
/// use footlight_nn::metrics::{AUC, Rule};
/// // Two positives above all negatives.
/// assert_eq!(AUC::new().thresholds([0.5]).result(&[vec![0.0, 0.0, 2.0, 0.0], vec![0.0, 2.0, 0.0, 0.0]]), [1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct AUC {
    num_thresholds: usize,
    curve: String,
    summation_method: String,
    thresholds: Option<Vec<f32>>,
    multi_label: bool,
    num_labels: Option<usize>,
    label_weights: Option<Vec<f32>>,
    from_logits: bool,
}

const CURVES: [&str; 3] = ["ROC", "PR", "PRGAIN"];
const METHODS: [&str; 3] = ["interpolation", "minoring", "majoring"];

impl Default for AUC {
    fn default() -> Self {
        AUC {
            num_thresholds: 200,
            curve: CURVES[0].into(),
            summation_method: METHODS[0].into(),
            thresholds: None,
            multi_label: false,
            num_labels: None,
            label_weights: None,
            from_logits: false,
        }
    }
}

constructors!(AUC);

impl AUC {
    /// How many evenly spaced thresholds; default 200.
    pub fn num_thresholds(mut self, count: usize) -> AUC {
        self.num_thresholds = count;
        self
    }

    /// `ROC` (default), `PR` or `PRGAIN`.
    pub fn curve(mut self, curve: &str) -> AUC {
        self.curve = curve.to_uppercase();
        self
    }

    /// `interpolation` (default), `minoring` or `majoring`.
    pub fn summation_method(mut self, method: &str) -> AUC {
        self.summation_method = method.to_lowercase();
        self
    }

    /// Thresholds of one's own, within [0, 1], instead of evenly spaced ones.
    pub fn thresholds(mut self, thresholds: impl Into<Vec<f32>>) -> AUC {
        let mut thresholds = thresholds.into();
        thresholds.sort_by(f32::total_cmp);
        self.num_thresholds = thresholds.len() + 2;
        self.thresholds = Some(thresholds);
        self
    }

    /// Whether each label has a curve of its own; default false.
    pub fn multi_label(mut self, multi_label: bool) -> AUC {
        self.multi_label = multi_label;
        self
    }

    /// How much each label counts in the mean of all; default equally.
    pub fn label_weights(mut self, weights: impl Into<Vec<f32>>) -> AUC {
        self.label_weights = Some(weights.into());
        self
    }

    /// Whether predictions are logits; default false.
    pub fn from_logits(mut self, from_logits: bool) -> AUC {
        self.from_logits = from_logits;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<AUC, Error> {
        let mut made = AUC::new()
            .num_thresholds(read.usize("num_thresholds")?.unwrap_or(200))
            .curve(&read.string("curve")?.unwrap_or(CURVES[0].into()))
            .summation_method(&read.string("summation_method")?.unwrap_or(METHODS[0].into()))
            .multi_label(read.bool("multi_label", false)?)
            .from_logits(read.bool("from_logits", false)?);
        (made.num_labels, made.label_weights) = (read.usize("num_labels")?, read.f32s("label_weights")?);
        Ok(match read.f32s("thresholds")? {
            Some(thresholds) => made.thresholds(thresholds),
            None => made,
        })
    }

    fn decisions(&self) -> Decisions {
        let thresholds = match &self.thresholds {
            None => Thresholds::Even { n: self.num_thresholds, open: true },
            Some(own) => Thresholds::List([&[-1e-7], own.as_slice(), &[1.0 + 1e-7]].concat()),
        };
        Decisions { by_label: self.multi_label, ..Decisions::at(thresholds) }
    }

    fn area(&self, counts: &[Counts]) -> f64 {
        if self.curve == "PR" && self.summation_method == "interpolation" {
            return counts.windows(2).map(|pair| davis_goadrich(&pair[0], &pair[1])).sum();
        }
        let points: Vec<(f64, f64)> = counts.iter().map(|counts| self.point(counts)).collect();
        let height = |a: f64, b: f64| match self.summation_method.as_str() {
            "minoring" => a.min(b),
            "majoring" => a.max(b),
            _ => (a + b) / 2.0,
        };
        points.windows(2).map(|pair| (pair[0].0 - pair[1].0) * height(pair[0].1, pair[1].1)).sum()
    }

    /// Where a threshold stands on the curve.
    fn point(&self, counts: &Counts) -> (f64, f64) {
        match self.curve.as_str() {
            "PR" => (counts.recall(), counts.precision()),
            "PRGAIN" if counts.tp == 0.0 => (0.0, 1.0),
            "PRGAIN" => {
                let scale = ratio(counts.tp + counts.fn_, counts.tn + counts.fp);
                ((1.0 - scale * counts.fn_ / counts.tp).max(0.0), 1.0 - scale * counts.fp / counts.tp)
            }
            _ => (counts.false_positive_rate(), counts.recall()),
        }
    }
}

/// The area under the precision-recall curve between two thresholds, the first the lower.
fn davis_goadrich(low: &Counts, high: &Counts) -> f64 {
    let (p_low, p_high) = (low.tp + low.fp, high.tp + high.fp);
    let dtp = low.tp - high.tp;
    let slope = ratio(dtp, (p_low - p_high).max(0.0));
    let intercept = high.tp - slope * p_high;
    let safe_ratio = if p_low > 0.0 && p_high > 0.0 { p_low / p_high } else { 1.0 };
    ratio(slope * (dtp + intercept * safe_ratio.ln()), (high.tp + high.fn_).max(0.0))
}

impl Rule for AUC {
    fn class_name(&self) -> &'static str {
        "AUC"
    }

    fn states(&self) -> &'static [&'static str] {
        &STATES
    }

    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let mut batch = *batch;
        if self.from_logits {
            batch.p.value = g.unary(Unary::Sigmoid, batch.p.value);
        }
        self.decisions().lower(g, &batch)
    }

    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        let areas: Vec<f64> = self.decisions().counts(sums).iter().map(|counts| self.area(counts)).collect();
        let weight = |label: usize| {
            let weights = self.label_weights.as_ref();
            weights.map_or(1.0, |weights| weights.get(label).map_or(0.0, |w| f64::from(*w)))
        };
        let sum: f64 = areas.iter().enumerate().map(|(label, area)| area * weight(label)).sum();
        vec![ratio(sum, (0..areas.len()).map(weight).sum())]
    }

    fn settings(&self) -> Config {
        let mut config = config! {
            "num_thresholds": self.num_thresholds, "curve": self.curve, "summation_method": self.summation_method,
            "multi_label": self.multi_label, "num_labels": self.num_labels, "label_weights": NULL,
            "from_logits": self.from_logits,
        };
        if let Some(weights) = &self.label_weights {
            config["label_weights"] = weights.as_slice().into();
        }
        if let Some(thresholds) = &self.thresholds {
            config.insert("thresholds".into(), thresholds.as_slice().into());
        }
        config
    }

    fn check(&self) -> Result<(), Error> {
        for (key, value, legal) in
            [("curve", &self.curve, CURVES), ("summation_method", &self.summation_method, METHODS)]
        {
            if !legal.contains(&value.as_str()) {
                return Err(suggest::unknown(key, value, &legal));
            }
        }
        if self.label_weights.is_some() && !self.multi_label {
            return Err(Error::config("label_weights are given, but multi_label is false")
                .help("set multi_label, or leave label_weights out"));
        }
        check_thresholds(&match &self.thresholds {
            Some(own) if !own.is_empty() => Thresholds::List(own.clone()),
            _ => Thresholds::Even { n: self.num_thresholds, open: true },
        })
    }
}
