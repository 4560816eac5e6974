//! What is told of training and evaluation.
//!
//! A metric is a few sums over samples and a number computed from them: its *states* start at zero, a batch's
//! contribution is lowered into the plan and added there, and the result is computed on the host. So resetting is
//! zeroing, merging is adding, and the metric of a batch is that of its parts by construction.
//!
//! A family lies in a file; the catalogue of all classes, with their names and aliases, is here.

mod accuracy;
mod auc;
mod confusion;
mod f_score;
mod hinge;
mod iou;
mod mean;
mod probabilistic;
mod regression;

pub use accuracy::{
    Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
};
pub use auc::AUC;
pub use confusion::{
    FalseNegatives, FalsePositives, Precision, PrecisionAtRecall, Recall, RecallAtPrecision, SensitivityAtSpecificity,
    SpecificityAtSensitivity, TrueNegatives, TruePositives,
};
pub use f_score::{F1Score, FBetaScore};
pub use hinge::{CategoricalHinge, Hinge, SquaredHinge};
pub use iou::{BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU};
pub use mean::{Mean, Sum};
pub use probabilistic::{
    BinaryCrossentropy, CategoricalCrossentropy, KLDivergence, Poisson, SparseCategoricalCrossentropy,
};
pub use regression::{
    CosineSimilarity, LogCoshError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
    MeanSquaredLogarithmicError, R2Score, RootMeanSquaredError,
};

use crate::config::{self, Config, Key, Reader, config};
use crate::losses::Prediction;
use crate::{Custom, Error, suggest};
use footlight_graph::{Builder, ErrorKind, Type, Value};
use mean::PerSample;
use std::fmt;
use std::sync::Arc;

/// Which way a metric gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Lower is better, as for losses.
    Min,
    /// Higher is better, as for accuracies.
    Max,
}

/// A batch as a metric sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The targets.
    pub y: Value,
    /// The predictions `[N, ...]`.
    pub p: Prediction<'a>,
    /// How much each sample counts, `[N]`; `None` for 1.
    pub weight: Option<Value>,
}

/// What a class of metrics defines.
pub trait Rule: fmt::Debug + Send + Sync + 'static {
    /// Keras' class name; that of the type unless written.
    fn class_name(&self) -> &'static str {
        crate::naming::of_type::<Self>()
    }

    /// Which way it gets better; `None` where that is a matter of the problem.
    fn direction(&self) -> Option<Direction> {
        Some(Direction::Max)
    }

    /// The names of its states, each a sum over samples.
    fn states(&self) -> &'static [&'static str];

    /// The type of the targets for predictions of `shape` (with the batch); those of the predictions unless written.
    fn target_type(&self, shape: &[usize]) -> Type {
        Type::f32(shape)
    }

    /// What a batch adds to each state, in the order of [`Rule::states`].
    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value>;

    /// The numbers that the sums come to: one, or one per threshold or class.
    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64>;

    /// Keras' keys of this class.
    fn settings(&self) -> Config {
        Config::new()
    }

    /// Complains of settings out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the setting, its value and what is legal.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A metric under the name it is told by: one of the classes of this module, or a name of Keras.
///
/// # Arguments
/// A name is a class (`AUC`), its name as a function (`mean_squared_error`) or an alias (`mse`, `acc`). `accuracy` is
/// [`SparseCategoricalAccuracy`] for classes, [`BinaryAccuracy`] for predictions of one number, else
/// [`CategoricalAccuracy`], as Keras chooses it.
///
/// # Differences
/// Keras broadcasts targets of another shape than the metric compares predictions with; here they are a fault.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::AUC};
/// assert_eq!(Metric::from("acc").name(), "acc");
/// assert_eq!(Metric::from(AUC::new().curve("PR")).name(), "auc");
/// assert!(Metric::from("acuracy").check().unwrap_err().to_string().contains("did you mean `accuracy`?"));
/// ```
#[derive(Clone, Debug)]
pub struct Metric {
    name: String,
    rule: Result<Arc<dyn Rule>, Error>,
}

/// A class of the catalogue: its name, the name it is told by, further names, and how its settings are read.
struct Entry {
    class: &'static str,
    name: &'static str,
    aliases: &'static [&'static str],
    read: fn(&mut Reader<'_>) -> Result<Arc<dyn Rule>, Error>,
}

macro_rules! catalogue {
    ($($class:ident $name:literal $([$($alias:literal),*])?;)*) => {
        /// Every class; each reads its settings with `from_settings`.
        const CATALOGUE: &[Entry] = &[$(Entry {
            class: stringify!($class),
            name: $name,
            aliases: &[$($($alias),*)?],
            read: |read| Ok(Arc::new($class::from_settings(read)?)),
        }),*];
    };
}

catalogue! {
    Accuracy "accuracy";
    BinaryAccuracy "binary_accuracy";
    CategoricalAccuracy "categorical_accuracy";
    SparseCategoricalAccuracy "sparse_categorical_accuracy";
    TopKCategoricalAccuracy "top_k_categorical_accuracy";
    SparseTopKCategoricalAccuracy "sparse_top_k_categorical_accuracy";
    MeanSquaredError "mean_squared_error" ["mse", "MSE"];
    RootMeanSquaredError "root_mean_squared_error";
    MeanAbsoluteError "mean_absolute_error" ["mae", "MAE"];
    MeanAbsolutePercentageError "mean_absolute_percentage_error" ["mape", "MAPE"];
    MeanSquaredLogarithmicError "mean_squared_logarithmic_error" ["msle", "MSLE"];
    CosineSimilarity "cosine_similarity";
    LogCoshError "logcosh" ["log_cosh_error"];
    R2Score "r2_score";
    BinaryCrossentropy "binary_crossentropy" ["bce", "BCE"];
    CategoricalCrossentropy "categorical_crossentropy";
    SparseCategoricalCrossentropy "sparse_categorical_crossentropy";
    KLDivergence "kl_divergence";
    Poisson "poisson";
    Hinge "hinge";
    SquaredHinge "squared_hinge";
    CategoricalHinge "categorical_hinge";
    TruePositives "true_positives";
    FalsePositives "false_positives";
    TrueNegatives "true_negatives";
    FalseNegatives "false_negatives";
    Precision "precision";
    Recall "recall";
    SensitivityAtSpecificity "sensitivity_at_specificity";
    SpecificityAtSensitivity "specificity_at_sensitivity";
    PrecisionAtRecall "precision_at_recall";
    RecallAtPrecision "recall_at_precision";
    AUC "auc";
    F1Score "f1_score";
    FBetaScore "fbeta_score";
    IoU "io_u";
    BinaryIoU "binary_io_u";
    MeanIoU "mean_io_u";
    OneHotIoU "one_hot_io_u";
    OneHotMeanIoU "one_hot_mean_io_u";
    Mean "mean";
    Sum "sum";
}

/// Names that stand for the accuracy that suits the targets.
const ACCURACY: [&str; 3] = ["accuracy", "acc", "Accuracy"];

impl Entry {
    fn of(name: &str) -> Option<&'static Entry> {
        CATALOGUE.iter().find(|entry| entry.class == name || entry.name == name || entry.aliases.contains(&name))
    }
}

impl From<&str> for Metric {
    fn from(name: &str) -> Metric {
        let rule = if ACCURACY.contains(&name) {
            Ok(Arc::new(accuracy::Suitable) as Arc<dyn Rule>)
        } else {
            match Entry::of(name) {
                Some(entry) => (entry.read)(&mut Reader::new(&Config::new())).map_err(|e| at(entry.class, e)),
                None => Err(suggest::unknown_class("metric", name, &Metric::names(), "footlight_nn::metrics")),
            }
        };
        Metric { name: name.into(), rule }
    }
}

impl<R: Rule> From<R> for Metric {
    fn from(rule: R) -> Metric {
        let name = Entry::of(rule.class_name()).map_or(rule.class_name(), |entry| entry.name);
        Metric { name: name.into(), rule: Ok(Arc::new(rule)) }
    }
}

/// Two metrics are equal if they are told by one name and compute the same.
impl PartialEq for Metric {
    fn eq(&self, other: &Metric) -> bool {
        self.name == other.name
            && match (&self.rule, &other.rule) {
                (Ok(a), Ok(b)) => a.class_name() == b.class_name() && a.settings() == b.settings(),
                (a, b) => a.is_err() && b.is_err(),
            }
    }
}

fn at(class: &str, error: Error) -> Error {
    error.at(format!("metric `{class}`"))
}

impl Metric {
    /// The metric told by another name.
    pub fn named(mut self, name: &str) -> Metric {
        self.name = name.into();
        self
    }

    /// Names that are understood: each class by the name it is told by.
    pub fn names() -> Vec<&'static str> {
        CATALOGUE.iter().map(|entry| entry.name).collect()
    }

    /// Keras' names of all classes.
    pub fn class_names() -> Vec<&'static str> {
        CATALOGUE.iter().map(|entry| entry.class).collect()
    }

    /// The keys of a class of metrics.
    pub fn keys(class: &str) -> Vec<Key> {
        let Some(entry) = CATALOGUE.iter().find(|entry| entry.class == class) else { return Vec::new() };
        config::keys_of(|read| entry.read_named(read)?.rule.map(|rule| rule.settings()))
    }

    /// The name it is told by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Complains of a name that is not known, or of settings out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config`, for a name with the nearest and all of them.
    pub fn check(&self) -> Result<(), Error> {
        let rule = self.rule.as_ref().map_err(Clone::clone)?;
        rule.check().map_err(|e| at(rule.class_name(), e))
    }

    /// Which way it gets better; `None` where that is a matter of the problem, as for counts.
    pub fn direction(&self) -> Option<Direction> {
        self.rule.as_ref().ok()?.direction()
    }

    /// The names of its states, each a sum over samples.
    pub fn states(&self) -> &'static [&'static str] {
        self.rule.as_ref().map_or(&[], |rule| rule.states())
    }

    /// The type of the targets for predictions of `shape` (with the batch).
    pub fn target_type(&self, shape: &[usize]) -> Type {
        self.rule.as_ref().map_or(Type::f32(shape), |rule| rule.target_type(shape))
    }

    /// What a batch adds to each state, in the order of [`Metric::states`]; a fault where the targets do not fit.
    pub fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let (Some(targets), Some(predictions)) = (g.type_of(batch.y).cloned(), g.type_of(batch.p.value).cloned())
        else {
            return Vec::new();
        };
        let rule = match &self.rule {
            Ok(rule) => accuracy::resolve(rule, &targets, &predictions),
            Err(error) => {
                g.fault(ErrorKind::Invalid, error.message(), error.help_text());
                return Vec::new();
            }
        };
        let expected = rule.target_type(&predictions.shape);
        if targets != expected {
            let message = format!(
                "metric `{}` expects targets {expected} for predictions {predictions}, the loss is given {targets}",
                self.name
            );
            g.fault(ErrorKind::Shape, message, Some("use `accuracy`, which suits the targets of any loss"));
            return Vec::new();
        }
        rule.lower(g, batch)
    }

    /// The numbers that sums, in the order of [`Metric::states`], come to: one, or one per threshold or class.
    pub fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        match &self.rule {
            Ok(rule) if sums.iter().all(|sum| !sum.is_empty()) => rule.result(sums),
            _ => vec![0.0],
        }
    }

    /// As Keras writes it in a compile configuration: by its name if that says all, else an object.
    pub fn to_config(&self) -> serde_json::Value {
        match &self.rule {
            Ok(rule) if *self != Metric::from(self.name.as_str()) => {
                let mut config = config! { "name": self.name, "dtype": "float32" };
                config.extend(rule.settings());
                match rule.class_name() {
                    class if Entry::of(class).is_some() => config::object("keras.metrics", class, config),
                    class => config::custom_object(class, config),
                }
            }
            _ => self.name.clone().into(),
        }
    }

    /// From what Keras writes: a name or an object.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config(value: &serde_json::Value) -> Result<Metric, Error> {
        Metric::from_config_with(value, &Custom::new())
    }

    /// As [`Metric::from_config`], with metrics of one's own.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config_with(value: &serde_json::Value, custom: &Custom) -> Result<Metric, Error> {
        if let Some(found) = custom.find_metric(value) {
            return found.made(|read, config| {
                config.ignore(&["dtype"]);
                let name = config.string("name")?;
                let made = read(config)?;
                Ok(name.into_iter().fold(made, |metric, name| metric.named(&name)))
            });
        }
        if let Some(name) = value.as_str() {
            let made = Metric::from(name);
            made.check()?;
            return Ok(made);
        }
        let (class, config) = config::open(value)?;
        let Some(entry) = CATALOGUE.iter().find(|entry| entry.class == class) else {
            return Err(at(
                &class,
                suggest::unknown_class("metric", &class, &Metric::class_names(), "footlight_nn::metrics"),
            ));
        };
        let mut read = Reader::new(&config);
        let made = entry.read_named(&mut read).map_err(|e| at(&class, e))?;
        read.finish().map_err(|e| at(&class, e))?;
        made.check()?;
        Ok(made)
    }
}

impl Entry {
    fn read_named(&self, read: &mut Reader<'_>) -> Result<Metric, Error> {
        let name = read.string_or("name", self.name)?;
        let rule = (self.read)(read)?;
        // Keras counts intersections as whole numbers; here they are floats like all sums.
        if self.name.ends_with("io_u") {
            read.ignore(&["dtype"]);
        }
        read.dtype()?;
        Ok(Metric { name, rule: Ok(rule) })
    }
}

/// A list of metrics of several kinds: `metrics!["accuracy", AUC::new()]`.
#[macro_export]
macro_rules! metrics {
    ($($metric:expr),* $(,)?) => {
        vec![$($crate::Metric::from($metric)),*]
    };
}

/// Metrics by value or by Keras' names: `["accuracy"]`, `metrics![AUC::new()]`, or `[]` for none.
#[derive(Clone, Debug, Default)]
pub struct MetricList(pub Vec<Metric>);

impl<const N: usize> From<[&str; N]> for MetricList {
    fn from(names: [&str; N]) -> MetricList {
        MetricList(names.into_iter().map(Metric::from).collect())
    }
}

impl From<Vec<&str>> for MetricList {
    fn from(names: Vec<&str>) -> MetricList {
        MetricList(names.into_iter().map(Metric::from).collect())
    }
}

impl From<Vec<Metric>> for MetricList {
    fn from(metrics: Vec<Metric>) -> MetricList {
        MetricList(metrics)
    }
}

/// `new` with Keras' defaults, and a name of one's own as the last word.
macro_rules! constructors {
    ($($class:ident),* $(,)?) => {$(
        impl $class {
            /// The metric with Keras' defaults.
            pub fn new() -> $class {
                $class::default()
            }

            /// The metric told by this name.
            pub fn name(self, name: &str) -> $crate::Metric {
                $crate::Metric::from(self).named(name)
            }
        }
    )*};
}
use constructors;

/// `a / b`, and 0 where `b` is 0, as Keras divides counts.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// Multiplies `x` `[N, ...]` by the weights of the samples.
pub(crate) fn weigh(g: &mut Builder, x: Value, weight: Option<Value>) -> Value {
    let Some(weight) = weight else { return x };
    let mut shape = vec![1; g.shape(x).len()];
    let samples = g.shape(weight).first().copied();
    if let (Some(rows), Some(samples)) = (shape.first_mut(), samples) {
        *rows = samples;
    }
    let weight = g.reshape(weight, shape);
    g.mul(x, weight)
}

/// The sum over samples: axis 0 goes away.
fn sum_samples(g: &mut Builder, x: Value, weight: Option<Value>) -> Value {
    let x = weigh(g, x, weight);
    g.reduce_sum(x, &[0], false)
}
