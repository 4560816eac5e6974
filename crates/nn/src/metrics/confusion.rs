//! Counts of right and wrong decisions at thresholds, and what is computed of them.
//!
//! A prediction is positive at a threshold that it is above. So all that matters of it is above how many thresholds it
//! is, its *bucket*: the states are the weights of positive and of negative targets by bucket, and the four counts at
//! every threshold are sums of those.

use super::{Observed, Rule, constructors, ratio, weigh};
use crate::Error;
use crate::config::{Config, NULL, Reader, config, within};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, ErrorKind, Value};
use footlight_tensor::DType;

/// The states of everything here.
pub(super) const STATES: [&str; 2] = ["positives", "negatives"];

/// Where decisions are made.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Thresholds {
    /// These, ascending.
    List(Vec<f32>),
    /// `i / (n - 1)` for `i` from 0; if `open`, the first is below every prediction and the last above.
    Even { n: usize, open: bool },
}

/// What is decided at thresholds: all predictions, or some.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    pub thresholds: Thresholds,
    pub top_k: Option<usize>,
    pub class_id: Option<usize>,
    /// Whether each class is counted alone.
    pub by_label: bool,
}

/// The weights of the four outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub tp: f64,
    pub fp: f64,
    pub tn: f64,
    pub fn_: f64,
}

impl Counts {
    pub fn precision(&self) -> f64 {
        ratio(self.tp, self.tp + self.fp)
    }
    pub fn recall(&self) -> f64 {
        ratio(self.tp, self.tp + self.fn_)
    }
    pub fn specificity(&self) -> f64 {
        ratio(self.tn, self.tn + self.fp)
    }
    pub fn false_positive_rate(&self) -> f64 {
        ratio(self.fp, self.fp + self.tn)
    }
}

impl Thresholds {
    pub fn len(&self) -> usize {
        match self {
            Thresholds::List(list) => list.len(),
            Thresholds::Even { n, .. } => *n,
        }
    }

    /// Above how many thresholds each number is.
    fn bucket(&self, g: &mut Builder, p: Value) -> Value {
        match self {
            Thresholds::List(list) => {
                let start = g.constant(0.0);
                list.iter().fold(start, |count, threshold| {
                    let threshold = g.constant(*threshold);
                    let above = g.binary(Binary::Greater, p, threshold);
                    g.add(count, above)
                })
            }
            Thresholds::Even { n, open } => {
                let p = g.maximum_scalar(p, 0.0);
                let p = g.minimum_scalar(p, 1.0);
                // The ceiling: it has no op of its own.
                let scaled = g.mul_scalar(p, -((n - 1) as f32));
                let floor = g.unary(Unary::Floor, scaled);
                let above = g.neg(floor);
                if *open { g.maximum_scalar(above, 1.0) } else { above }
            }
        }
    }
}

impl Decisions {
    pub fn at(thresholds: Thresholds) -> Decisions {
        Decisions { thresholds, top_k: None, class_id: None, by_label: false }
    }

    /// The weights of positive and of negative targets by label and bucket, `[L, B]`.
    pub fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let shape = g.shape(batch.p.value);
        let Some((&classes, rest)) = shape.split_last() else { return Vec::new() };
        let mut p = batch.p.value;
        if let Some(k) = self.top_k {
            p = keep_top_k(g, p, k.min(classes));
        }
        let zero = g.constant(0.0);
        let negative = g.binary(Binary::Equal, batch.y, zero);
        let positive = g.scalar_sub(1.0, negative);
        let mut truths = [positive, negative].map(|truth| weigh(g, truth, batch.weight));
        let mut labels = classes;
        if let Some(class) = self.class_id {
            if class >= classes {
                let message = format!("class_id = {class}, predictions have the classes 0 to {}", classes - 1);
                g.fault(ErrorKind::Invalid, message, Some("choose one of them, or leave it out for all"));
                return Vec::new();
            }
            p = column(g, p, class, classes);
            truths = truths.map(|truth| column(g, truth, class, classes));
            labels = 1;
        }
        let samples: usize = rest.iter().product();
        let [rows, labels] = if self.by_label { [samples, labels] } else { [samples * labels, 1] };
        let bucket = self.thresholds.bucket(g, p);
        let bucket = g.cast(bucket, DType::I32);
        let bucket = g.reshape(bucket, [rows, labels]);
        let bucket = g.one_hot(bucket, self.thresholds.len() + 1);
        truths
            .map(|truth| {
                let truth = g.reshape(truth, [rows, labels, 1]);
                let there = g.mul(bucket, truth);
                g.reduce_sum(there, &[0], false)
            })
            .to_vec()
    }

    /// For each label the counts at each threshold.
    pub fn counts(&self, sums: &[Vec<f64>]) -> Vec<Vec<Counts>> {
        let buckets = self.thresholds.len() + 1;
        let of_label = |(positives, negatives): (&[f64], &[f64])| -> Vec<Counts> {
            let [tp, fp] = [positives, negatives].map(|weights| {
                let mut above: Vec<f64> = running_sums(weights.iter().rev()).collect();
                above.reverse();
                above.into_iter().skip(1)
            });
            let [fn_, tn] = [positives, negatives].map(|weights| running_sums(weights.iter()));
            tp.zip(fp).zip(tn.zip(fn_)).map(|((tp, fp), (tn, fn_))| Counts { tp, fp, tn, fn_ }).collect()
        };
        sums[0].chunks(buckets).zip(sums[1].chunks(buckets)).map(of_label).collect()
    }

    fn check(&self) -> Result<(), Error> {
        if self.top_k == Some(0) {
            return Err(Error::config("top_k = 0, at least 1 is needed").help("leave it out to take all predictions"));
        }
        check_thresholds(&self.thresholds)
    }
}

/// The sum of all numbers up to each.
fn running_sums<'a>(numbers: impl Iterator<Item = &'a f64>) -> impl Iterator<Item = f64> {
    numbers.scan(0.0, |sum, number| {
        *sum += number;
        Some(*sum)
    })
}

pub(super) fn check_thresholds(thresholds: &Thresholds) -> Result<(), Error> {
    match thresholds {
        Thresholds::List(list) if list.is_empty() => Err(Error::config("thresholds = [], at least one is needed")),
        // Below all numbers stands the threshold that goes with `top_k`.
        Thresholds::List(list) => {
            list.iter().filter(|t| **t != NEGATIVE).try_for_each(|t| within("thresholds", *t, 0.0..=1.0))
        }
        Thresholds::Even { n, .. } if *n < 2 => {
            Err(Error::config(format!("num_thresholds = {n}, at least 2 are needed")).help("200 is the default"))
        }
        Thresholds::Even { n, .. } if *n > MOST_THRESHOLDS => {
            let message = format!("num_thresholds = {n}, at most {MOST_THRESHOLDS} can be told apart");
            Err(Error::config(message).help("200 is the default"))
        }
        Thresholds::Even { .. } => Ok(()),
    }
}

/// Counts up to this are exact in single precision.
const MOST_THRESHOLDS: usize = 1 << 24;

/// What stands for minus infinity, as in Keras.
const NEGATIVE: f32 = -1e10;

/// `x` where it is among the `k` largest of the last axis (of equals the first), else far below all.
fn keep_top_k(g: &mut Builder, x: Value, k: usize) -> Value {
    let classes = g.shape(x).last().copied().unwrap_or(1);
    let low = g.constant(NEGATIVE);
    let mut rest = x;
    let mut kept = g.constant(0.0);
    for _ in 0..k {
        let largest = g.argmax(rest);
        let largest = g.one_hot(largest, classes);
        kept = g.add(kept, largest);
        let lowest = g.constant(f32::NEG_INFINITY);
        rest = g.select(largest, lowest, rest);
    }
    g.select(kept, x, low)
}

/// Column `class` of the last axis, which stays with the extent 1.
fn column(g: &mut Builder, x: Value, class: usize, classes: usize) -> Value {
    let index = g.constant_i32(class as i32);
    let index = g.reshape(index, [1]);
    let own = g.one_hot(index, classes);
    let own = g.mul(x, own);
    let last = g.shape(x).len() - 1;
    g.reduce_sum(own, &[last], true)
}

/// `thresholds`: a number, a list, or nothing.
fn read_thresholds(read: &mut Reader<'_>) -> Result<Option<Vec<f32>>, Error> {
    read.f32s("thresholds")
}

/// As Keras writes it: nothing, a number or a list.
fn written(thresholds: &Option<Vec<f32>>) -> serde_json::Value {
    match thresholds.as_deref() {
        None => serde_json::Value::Null,
        Some([one]) => (*one).into(),
        Some(list) => list.into(),
    }
}

/// Counts of one outcome.
macro_rules! counts {
    ($($(#[$doc:meta])* $class:ident $field:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Shapes
        /// Targets (0 is negative, all else positive) and predictions `[N, ...]`; one number per threshold.
        ///
        /// # Arguments
        /// `thresholds`: 0.5, Keras' default; a prediction above it is positive.
        ///
        /// # Differences
        /// A list of thresholds is told in ascending order.
        ///
        /// # Examples
        /// ```
        #[doc = concat!("use footlight_nn::{Metric, metrics::", stringify!($class), "};")]
        #[doc = concat!("assert!(Metric::from(", stringify!($class), "::new()).direction().is_none());")]
        /// ```
        #[derive(Clone, Debug, Default)]
        pub struct $class {
            thresholds: Option<Vec<f32>>,
        }

        constructors!($class);

        impl $class {
            /// Where decisions are made; default 0.5.
            pub fn thresholds(mut self, thresholds: impl Into<Vec<f32>>) -> Self {
                self.thresholds = Some(thresholds.into());
                self
            }

            pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
                Ok($class { thresholds: read_thresholds(read)? })
            }

            fn decisions(&self) -> Decisions {
                Decisions::at(list(&self.thresholds, 0.5))
            }
        }

        impl Rule for $class {
            fn class_name(&self) -> &'static str {
                stringify!($class)
            }
            fn direction(&self) -> Option<super::Direction> {
                None
            }
            fn states(&self) -> &'static [&'static str] {
                &STATES
            }
            fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
                self.decisions().lower(g, batch)
            }
            fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
                self.decisions().counts(sums)[0].iter().map(|counts| counts.$field).collect()
            }
            fn settings(&self) -> Config {
                let mut config = config! { "thresholds": NULL };
                config["thresholds"] = written(&self.thresholds);
                config
            }
            fn check(&self) -> Result<(), Error> {
                self.decisions().check()
            }
        }
    )*};
}

/// The thresholds given, ascending, or the default.
fn list(thresholds: &Option<Vec<f32>>, default: f32) -> Thresholds {
    let mut list = thresholds.clone().unwrap_or(vec![default]);
    list.sort_by(f32::total_cmp);
    Thresholds::List(list)
}

counts! {
    /// The number (weight) of positive targets that are predicted positive.
    TruePositives tp;
    /// The number (weight) of negative targets that are predicted positive.
    FalsePositives fp;
    /// The number (weight) of negative targets that are predicted negative.
    TrueNegatives tn;
    /// The number (weight) of positive targets that are predicted negative.
    FalseNegatives fn_;
}

/// Ratios of counts at a few thresholds.
macro_rules! ratios {
    ($($(#[$doc:meta])* $class:ident $ratio:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Shapes
        /// Targets (0 is negative, all else positive) and predictions `[N, ..., C]`; one number per threshold.
        ///
        /// # Arguments
        /// Defaults as in Keras.
        /// - `thresholds`: 0.5, or none at all with `top_k`; a prediction above it is positive.
        /// - `top_k`: none; else only the `k` largest predictions along the last axis can be positive.
        /// - `class_id`: none; else only this class is looked at.
        ///
        /// # Numerics
        /// 0 where nothing is counted.
        ///
        /// # Differences
        /// A list of thresholds is told in ascending order; a `top_k` of more than all classes takes all.
        ///
        /// # Examples
        /// ```
        #[doc = concat!("use footlight_nn::metrics::{", stringify!($class), ", Rule};")]
        /// // Predicted negative: 1 positive, 5 negatives; predicted positive: 3 positives, 1 negative.
        #[doc = concat!("let ratio = ", stringify!($class), "::new().result(&[vec![1.0, 3.0], vec![5.0, 1.0]]);")]
        /// assert_eq!(ratio, [0.75]);
        /// ```
        #[derive(Clone, Debug, Default)]
        pub struct $class {
            thresholds: Option<Vec<f32>>,
            top_k: Option<usize>,
            class_id: Option<usize>,
        }

        constructors!($class);

        impl $class {
            /// Where decisions are made; default 0.5.
            pub fn thresholds(mut self, thresholds: impl Into<Vec<f32>>) -> Self {
                self.thresholds = Some(thresholds.into());
                self
            }

            /// Only the `k` largest predictions can be positive; default all.
            pub fn top_k(mut self, k: usize) -> Self {
                self.top_k = Some(k);
                self
            }

            /// The only class that is looked at; default all.
            pub fn class_id(mut self, class: usize) -> Self {
                self.class_id = Some(class);
                self
            }

            pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
                let thresholds = read_thresholds(read)?;
                Ok($class { thresholds, top_k: read.usize("top_k")?, class_id: read.usize("class_id")? })
            }

            fn decisions(&self) -> Decisions {
                let thresholds = list(&self.thresholds, if self.top_k.is_some() { NEGATIVE } else { 0.5 });
                Decisions { thresholds, top_k: self.top_k, class_id: self.class_id, by_label: false }
            }
        }

        impl Rule for $class {
            fn class_name(&self) -> &'static str {
                stringify!($class)
            }
            fn states(&self) -> &'static [&'static str] {
                &STATES
            }
            fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
                self.decisions().lower(g, batch)
            }
            fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
                self.decisions().counts(sums)[0].iter().map(Counts::$ratio).collect()
            }
            fn settings(&self) -> Config {
                let mut config = config! { "thresholds": NULL, "top_k": self.top_k, "class_id": self.class_id };
                config["thresholds"] = written(&self.thresholds);
                config
            }
            fn check(&self) -> Result<(), Error> {
                self.decisions().check()
            }
        }
    )*};
}

ratios! {
    /// The fraction of positive predictions that are right, `TP / (TP + FP)`.
    Precision precision;
    /// The fraction of positive targets that are found, `TP / (TP + FN)`.
    Recall recall;
}

/// The best of one ratio where another is high enough.
macro_rules! trade_offs {
    ($($(#[$doc:meta])* $class:ident $setting:ident: $best:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Shapes
        /// Targets (0 is negative, all else positive) and predictions `[N, ..., C]`.
        ///
        /// # Arguments
        /// `num_thresholds`: 200 evenly spaced ones from 0 to 1, and `class_id`: none, both as in Keras. The value to
        /// reach, in [0, 1], has to be given.
        ///
        /// # Numerics
        /// 0 where no threshold reaches it.
        ///
        /// # Examples
        /// ```
        #[doc = concat!("use footlight_nn::metrics::{", stringify!($class), ", Rule};")]
        #[doc = concat!("let metric = ", stringify!($class), "::new(0.5).num_thresholds(3);")]
        /// // Two positives above both thresholds, two negatives above none.
        /// assert_eq!(metric.result(&[vec![0.0, 0.0, 2.0, 0.0], vec![2.0, 0.0, 0.0, 0.0]]), [1.0]);
        /// ```
        #[derive(Clone, Debug)]
        pub struct $class {
            $setting: f32,
            num_thresholds: usize,
            class_id: Option<usize>,
        }

        impl $class {
            /// The metric with this value to reach, and Keras' defaults.
            pub fn new($setting: f32) -> Self {
                $class { $setting, num_thresholds: 200, class_id: None }
            }

            /// How many thresholds are tried; default 200.
            pub fn num_thresholds(mut self, count: usize) -> Self {
                self.num_thresholds = count;
                self
            }

            /// The only class that is looked at; default all.
            pub fn class_id(mut self, class: usize) -> Self {
                self.class_id = Some(class);
                self
            }

            /// The metric told by this name.
            pub fn name(self, name: &str) -> crate::Metric {
                crate::Metric::from(self).named(name)
            }

            pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
                let setting = read.required_f32(stringify!($setting))?;
                let num_thresholds = read.usize("num_thresholds")?.unwrap_or(200);
                Ok($class { num_thresholds, class_id: read.usize("class_id")?, ..$class::new(setting) })
            }

            fn decisions(&self) -> Decisions {
                let thresholds = match self.num_thresholds {
                    1 => Thresholds::List(vec![0.5]),
                    n => Thresholds::Even { n, open: false },
                };
                Decisions { class_id: self.class_id, ..Decisions::at(thresholds) }
            }
        }

        impl Rule for $class {
            fn class_name(&self) -> &'static str {
                stringify!($class)
            }
            fn states(&self) -> &'static [&'static str] {
                &STATES
            }
            fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
                self.decisions().lower(g, batch)
            }
            fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
                let counts = self.decisions().counts(sums);
                let reach = |counts: &&Counts| trade_offs!(@constraint $setting, counts) as f32 >= self.$setting;
                vec![counts[0].iter().filter(reach).map(Counts::$best).fold(0.0, f64::max)]
            }
            fn settings(&self) -> Config {
                let mut config = config! { "num_thresholds": self.num_thresholds, "class_id": self.class_id };
                config.insert(stringify!($setting).into(), self.$setting.into());
                config
            }
            fn check(&self) -> Result<(), Error> {
                within(stringify!($setting), self.$setting, 0.0..=1.0)?;
                self.decisions().check()
            }
        }
    )*};
    (@constraint sensitivity, $counts:ident) => { $counts.recall() };
    (@constraint $ratio:ident, $counts:ident) => { $counts.$ratio() };
}

trade_offs! {
    /// The best sensitivity (recall) at thresholds where the specificity `TN / (TN + FP)` is high enough.
    SensitivityAtSpecificity specificity: recall;
    /// The best specificity `TN / (TN + FP)` at thresholds where the sensitivity (recall) is high enough.
    SpecificityAtSensitivity sensitivity: specificity;
    /// The best precision at thresholds where the recall is high enough.
    PrecisionAtRecall recall: precision;
    /// The best recall at thresholds where the precision is high enough.
    RecallAtPrecision precision: recall;
}
