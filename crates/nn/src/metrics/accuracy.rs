//! How often a prediction is right.

use super::{Observed, PerSample, Rule, constructors};
use crate::Error;
use crate::config::{Config, Reader, config};
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Type, Value};
use footlight_tensor::DType;
use std::sync::Arc;

/// The fraction of predictions that equal their targets.
///
/// # Shapes
/// Targets and predictions `[N, ...]`.
///
/// # Differences
/// The *name* `accuracy` is not this class but the accuracy that suits the targets, as in Keras.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::Accuracy};
/// assert_ne!(Metric::from(Accuracy::new()), Metric::from("accuracy"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Accuracy;

/// The fraction of targets, 0 or 1, that `p > threshold` meets.
///
/// # Shapes
/// Targets and predictions `[N, ...]`.
///
/// # Arguments
/// `threshold`: 0.5, Keras' default; 0 suits logits.
///
/// # Numerics
/// A prediction that equals the threshold is not above it.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::BinaryAccuracy};
/// assert_eq!(Metric::from(BinaryAccuracy::new().threshold(0.7)).name(), "binary_accuracy");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BinaryAccuracy {
    threshold: f32,
}

/// The fraction of samples whose largest prediction is where their largest target is.
///
/// # Shapes
/// Targets (one-hot) and predictions `[N, ..., C]`.
///
/// # Numerics
/// Of equal predictions the first is the largest.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::CategoricalAccuracy};
/// assert_eq!(Metric::from(CategoricalAccuracy::new()), Metric::from("categorical_accuracy"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalAccuracy;

/// The fraction of samples whose largest prediction is at their class.
///
/// # Shapes
/// Targets (classes) `[N, ...]`, predictions `[N, ..., C]`.
///
/// # Numerics
/// Of equal predictions the first is the largest.
///
/// # Examples
/// ```
/// use footlight_nn::metrics::{Rule, SparseCategoricalAccuracy};
/// assert_eq!(SparseCategoricalAccuracy::new().target_type(&[32, 10]).shape, [32]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCategoricalAccuracy;

/// The fraction of samples whose class is among the `k` with the largest predictions.
///
/// # Shapes
/// Targets (one-hot) and predictions `[N, ..., C]`.
///
/// # Arguments
/// `k`: 5, Keras' default.
///
/// # Numerics
/// A class is among the `k` if fewer than `k` predictions are larger than its own.
///
/// # Examples
/// ```
/// use footlight_nn::{Metric, metrics::TopKCategoricalAccuracy};
/// assert_eq!(Metric::from(TopKCategoricalAccuracy::new().k(3).name("top_3")).name(), "top_3");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TopKCategoricalAccuracy {
    k: usize,
}

/// [`TopKCategoricalAccuracy`] for targets that are classes.
///
/// # Shapes
/// Targets (classes) `[N, ...]`, predictions `[N, ..., C]`.
///
/// # Arguments
/// `k`: 5, Keras' default.
///
/// # Examples
/// ```
/// use footlight_nn::metrics::{Rule, SparseTopKCategoricalAccuracy};
/// assert!(SparseTopKCategoricalAccuracy::new().k(0).check().is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SparseTopKCategoricalAccuracy {
    k: usize,
}

/// The accuracy that suits the targets: what the name `accuracy` stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suitable;

/// `rule`, or the accuracy it stands for here.
pub(super) fn resolve(rule: &Arc<dyn Rule>, targets: &Type, predictions: &Type) -> Arc<dyn Rule> {
    if rule.class_name() != Rule::class_name(&Suitable) {
        return rule.clone();
    }
    match targets.dtype {
        DType::I32 => Arc::new(SparseCategoricalAccuracy),
        _ if predictions.shape.last() == Some(&1) => Arc::new(BinaryAccuracy::default()),
        _ => Arc::new(CategoricalAccuracy),
    }
}

impl Default for BinaryAccuracy {
    fn default() -> Self {
        BinaryAccuracy { threshold: 0.5 }
    }
}

impl Default for TopKCategoricalAccuracy {
    fn default() -> Self {
        TopKCategoricalAccuracy { k: 5 }
    }
}

impl Default for SparseTopKCategoricalAccuracy {
    fn default() -> Self {
        SparseTopKCategoricalAccuracy { k: 5 }
    }
}

constructors!(
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy
);

impl Accuracy {
    pub(super) fn from_settings(_: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Accuracy)
    }
}

impl BinaryAccuracy {
    /// A prediction above this is a 1; default 0.5.
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.threshold = threshold;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(BinaryAccuracy { threshold: read.f32("threshold", 0.5)? })
    }
}

impl CategoricalAccuracy {
    pub(super) fn from_settings(_: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(CategoricalAccuracy)
    }
}

impl SparseCategoricalAccuracy {
    pub(super) fn from_settings(_: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(SparseCategoricalAccuracy)
    }
}

impl TopKCategoricalAccuracy {
    /// How many of the largest predictions count; default 5.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(TopKCategoricalAccuracy { k: read.usize("k")?.unwrap_or(5) })
    }
}

impl SparseTopKCategoricalAccuracy {
    /// How many of the largest predictions count; default 5.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        read.only("from_sorted_ids", false)?;
        Ok(SparseTopKCategoricalAccuracy { k: read.usize("k")?.unwrap_or(5) })
    }
}

/// Integer classes, one for each row of predictions.
fn classes(shape: &[usize]) -> Type {
    Type::i32(&shape[..shape.len().saturating_sub(1)])
}

fn at_least_one(k: usize) -> Result<(), Error> {
    if k > 0 { Ok(()) } else { Err(Error::config("k = 0, at least 1 is needed").help("5 is the default")) }
}

impl PerSample for Suitable {
    fn class_name(&self) -> &'static str {
        "accuracy"
    }
    /// Never reached: [`resolve`] puts another in its place.
    fn each(&self, _: &mut Builder, batch: &Observed<'_>) -> Value {
        batch.p.value
    }
}

impl PerSample for Accuracy {
    fn class_name(&self) -> &'static str {
        "Accuracy"
    }
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        g.binary(Binary::Equal, batch.y, batch.p.value)
    }
}

impl PerSample for BinaryAccuracy {
    fn class_name(&self) -> &'static str {
        "BinaryAccuracy"
    }
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        let threshold = g.constant(self.threshold);
        let positive = g.binary(Binary::Greater, batch.p.value, threshold);
        g.binary(Binary::Equal, positive, batch.y)
    }
    fn settings(&self) -> Config {
        config! { "threshold": self.threshold }
    }
}

impl PerSample for CategoricalAccuracy {
    fn class_name(&self) -> &'static str {
        "CategoricalAccuracy"
    }
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        let class = g.argmax(batch.y);
        same_class(g, class, batch.p.value)
    }
}

impl PerSample for SparseCategoricalAccuracy {
    fn class_name(&self) -> &'static str {
        "SparseCategoricalAccuracy"
    }
    fn target_type(&self, shape: &[usize]) -> Type {
        classes(shape)
    }
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        same_class(g, batch.y, batch.p.value)
    }
}

impl PerSample for TopKCategoricalAccuracy {
    fn class_name(&self) -> &'static str {
        "TopKCategoricalAccuracy"
    }
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        let class = g.argmax(batch.y);
        in_top_k(g, class, batch.p.value, self.k)
    }
    fn settings(&self) -> Config {
        config! { "k": self.k }
    }
    fn check(&self) -> Result<(), Error> {
        at_least_one(self.k)
    }
}

impl PerSample for SparseTopKCategoricalAccuracy {
    fn class_name(&self) -> &'static str {
        "SparseTopKCategoricalAccuracy"
    }
    fn target_type(&self, shape: &[usize]) -> Type {
        classes(shape)
    }
    fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        in_top_k(g, batch.y, batch.p.value, self.k)
    }
    fn settings(&self) -> Config {
        config! { "k": self.k }
    }
    fn check(&self) -> Result<(), Error> {
        at_least_one(self.k)
    }
}

/// 1 where the largest prediction is of class `y`, else 0.
fn same_class(g: &mut Builder, y: Value, p: Value) -> Value {
    let class = g.argmax(p);
    let class = g.cast(class, DType::F32);
    let y = g.cast(y, DType::F32);
    g.binary(Binary::Equal, class, y)
}

/// 1 where fewer than `k` predictions are larger than that of class `y`, else 0.
fn in_top_k(g: &mut Builder, y: Value, p: Value, k: usize) -> Value {
    let shape = g.shape(p);
    let last = shape.len() - 1;
    let own = g.one_hot(y, shape[last]);
    let own = g.mul(own, p);
    let own = g.reduce_sum(own, &[last], true);
    let larger = g.binary(Binary::Greater, p, own);
    let larger = g.reduce_sum(larger, &[last], false);
    let k = g.constant(k as f32);
    g.binary(Binary::Greater, k, larger)
}
