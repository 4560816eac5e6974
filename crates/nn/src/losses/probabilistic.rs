//! Losses of probabilities.

use super::{FUZZ, Prediction, last, losses, mean_last, sum_last};
use crate::activations::{clip, log_softmax, relu, softplus_tail};
use crate::{Activation, Loss};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};
use footlight_tensor::DType;

losses! {
    /// The cross-entropy of two classes, `-mean (y ln p + (1 - y) ln(1 - p))` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` (from 0 to 1) and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// Predictions are probabilities with [`BinaryCrossentropy::new`] (`from_logits` false, Keras' default), logits with
    /// [`BinaryCrossentropy::from_logits`]. `label_smoothing` `s` takes `y (1 - s) + s / 2` for `y`; default 0.
    ///
    /// # Numerics
    /// Of logits `x`, and of the sigmoid of them: `max(x, 0) - x y + ln(1 + e^-|x|)`, finite for every finite `x`, with the
    /// gradient `sigmoid(x) - y`. Other probabilities are clipped to `[1e-7, 1 - 1e-7]`; a clipped one has no gradient.
    ///
    /// # References
    /// Goodfellow, Bengio, Courville (2016), "Deep learning", section 6.2.2.2.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{BinaryCrossentropy, Loss};
    /// let logits = Loss::BinaryCrossentropy { from_logits: true, label_smoothing: 0.0 };
    /// assert_eq!(BinaryCrossentropy::from_logits(), logits);
    /// ```
    BinaryCrossentropy;

    /// The cross-entropy of two classes with less weight on what is right already, the mean over the last axis of
    /// `-(1 - q)^gamma (y ln p + (1 - y) ln(1 - p))` with `q = y p + (1 - y)(1 - p)`.
    ///
    /// # Shapes
    /// Targets `y` (from 0 to 1) and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `gamma` 2; `apply_class_balancing` false, else targets of 1 weigh `alpha`, 0.25, and those of
    /// 0 weigh `1 - alpha`; `from_logits` false, `label_smoothing` 0.
    ///
    /// # Numerics
    /// Logarithms are of probabilities clipped to `[1e-7, 1 - 1e-7]`, of logits too, as in Keras; a clipped one has no
    /// gradient.
    ///
    /// # References
    /// Lin, Goyal, Girshick, He, Dollár (2017), "Focal loss for dense object detection", equations 4 and 5.
    BinaryFocalCrossentropy;

    /// The cross-entropy of classes given as distributions, `-sum y ln p` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` (one-hot or a distribution) and predictions `p` `[N, ..., C]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// Predictions are probabilities with [`CategoricalCrossentropy::new`] (`from_logits` false, Keras' default), logits
    /// with [`CategoricalCrossentropy::from_logits`]. `label_smoothing` `s` takes `y (1 - s) + s / C` for `y`; default 0.
    ///
    /// # Numerics
    /// Of logits `x`, and of the softmax of them: `ln p = x - max x - ln sum e^(x - max x)`. Other probabilities are
    /// divided by their sum, then clipped to `[1e-7, 1 - 1e-7]`; a clipped one has no gradient.
    ///
    /// # References
    /// Goodfellow, Bengio, Courville (2016), "Deep learning", section 6.2.2.3; Szegedy et al. (2016), "Rethinking the
    /// inception architecture for computer vision", section 7 (label smoothing).
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{CategoricalCrossentropy, Loss};
    /// assert_eq!(CategoricalCrossentropy::new(), Loss::from("categorical_crossentropy"));
    /// ```
    CategoricalCrossentropy;

    /// The cross-entropy of classes with less weight on what is right already, `-sum alpha (1 - p)^gamma y ln p` over the
    /// last axis.
    ///
    /// # Shapes
    /// Targets `y` (one-hot or a distribution) and predictions `p` `[N, ..., C]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `alpha` 0.25, `gamma` 2, `from_logits` false, `label_smoothing` 0.
    ///
    /// # Numerics
    /// Probabilities, of logits too, are divided by their sum and clipped to `[1e-7, 1 - 1e-7]`, as in Keras; a clipped one
    /// has no gradient.
    ///
    /// # References
    /// Lin, Goyal, Girshick, He, Dollár (2017), "Focal loss for dense object detection", equation 5.
    CategoricalFocalCrossentropy;

    /// The cross-entropy of classes given as whole numbers, `-ln p[y]` along the last axis.
    ///
    /// # Shapes
    /// Targets `y` (classes `0..C`) `[N, ...]`, predictions `p` `[N, ..., C]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// Predictions are probabilities with [`SparseCategoricalCrossentropy::new`] (`from_logits` false, Keras' default),
    /// logits with [`SparseCategoricalCrossentropy::from_logits`]. `ignore_class`, none by default, names a class whose
    /// samples have loss 0; those of the others weigh more, so that the mean is over what counts.
    ///
    /// # Numerics
    /// As [`struct@CategoricalCrossentropy`]; of logits, loss and softmax are one op, with the gradient `p - one_hot(y)`.
    ///
    /// # References
    /// Goodfellow, Bengio, Courville (2016), "Deep learning", section 6.2.2.3.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::SparseCategoricalCrossentropy;
    /// assert_eq!(SparseCategoricalCrossentropy::new().target_type(&[32, 10]).shape, [32]);
    /// ```
    SparseCategoricalCrossentropy;

    /// A loss of classes that wrong labels harm less than a cross-entropy, `(1 - p[y]^q) / q`.
    ///
    /// # Shapes
    /// Targets `y` (classes `0..C`) `[N, ...]`, predictions `p` `[N, ..., C]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// `q`: between 0 and 1; default 0.5 as in Keras, 0.7 in the paper.
    ///
    /// # Numerics
    /// A probability of 0 has the gradient 0, in Keras an infinite one.
    ///
    /// # References
    /// Zhang and Sabuncu (2018), "Generalized cross entropy loss for training deep neural networks with noisy labels",
    /// equation 6.
    CategoricalGeneralizedCrossEntropy;

    /// The divergence of Kullback and Leibler, `sum y ln(y / p)` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` (distributions) `[N, ..., C]`, the loss of each sample `[N, ...]`.
    ///
    /// # Numerics
    /// Both are clipped to `[1e-7, 1]`; a clipped prediction has no gradient.
    ///
    /// # References
    /// Kullback and Leibler (1951), "On information and sufficiency".
    KLDivergence;

    /// The likelihood of counts, `mean (p - y ln(p + 1e-7))` over the last axis, without the term of `y!`.
    ///
    /// # Shapes
    /// Targets `y` (counts) and predictions `p` (positive rates) `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Numerics
    /// NaN for predictions below -1e-7, as in Keras: end the model with a softplus or an exponential.
    Poisson;
}

macro_rules! of_logits {
    ($($name:ident),*) => {$(
        impl $name {
            /// The loss of predictions that are logits.
            pub fn from_logits() -> Loss {
                match $name::new() {
                    Loss::BinaryCrossentropy { label_smoothing, .. } => {
                        Loss::BinaryCrossentropy { from_logits: true, label_smoothing }
                    }
                    Loss::CategoricalCrossentropy { label_smoothing, .. } => {
                        Loss::CategoricalCrossentropy { from_logits: true, label_smoothing }
                    }
                    _ => Loss::SparseCategoricalCrossentropy { from_logits: true, ignore_class: None },
                }
            }
        }
    )*};
}

of_logits!(BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy);

/// The logits of a prediction: itself, or what `wanted` was applied to.
fn logits_of(p: Prediction<'_>, from_logits: bool, wanted: &Activation) -> Option<Value> {
    match p.logits {
        _ if from_logits => Some(p.value),
        Some((logits, activation)) if activation == wanted => Some(logits),
        _ => None,
    }
}

/// `y (1 - s) + s / count`.
pub(super) fn smooth(g: &mut Builder, y: Value, s: f32, count: usize) -> Value {
    if s == 0.0 {
        return y;
    }
    let kept = g.mul_scalar(y, 1.0 - s);
    g.add_scalar(kept, s / count as f32)
}

pub(super) fn binary(g: &mut Builder, y: Value, p: Prediction<'_>, from_logits: bool) -> Value {
    let loss = match logits_of(p, from_logits, &Activation::Sigmoid) {
        Some(x) => binary_from_logits(g, y, x),
        None => binary_from_probabilities(g, y, p.value),
    };
    mean_last(g, loss)
}

/// `max(x, 0) - x y + ln(1 + e^-|x|)`.
fn binary_from_logits(g: &mut Builder, y: Value, x: Value) -> Value {
    let positive = relu(g, x);
    let product = g.mul(x, y);
    let tail = softplus_tail(g, x);
    let line = g.sub(positive, product);
    g.add(line, tail)
}

fn binary_from_probabilities(g: &mut Builder, y: Value, p: Value) -> Value {
    let p = clip(g, p, FUZZ, 1.0 - FUZZ);
    let log = g.unary(Unary::Log, p);
    let rest = g.scalar_sub(1.0, p);
    let log_rest = g.unary(Unary::Log, rest);
    let first = g.mul(y, log);
    let other = g.scalar_sub(1.0, y);
    let second = g.mul(other, log_rest);
    let sum = g.add(first, second);
    g.neg(sum)
}

/// With `alpha` if the classes are balanced by it.
pub(super) fn binary_focal(g: &mut Builder, y: Value, p: Value, alpha: Option<f32>, gamma: f32) -> Value {
    let loss = binary_from_probabilities(g, y, p);
    let (not_y, not_p) = (g.scalar_sub(1.0, y), g.scalar_sub(1.0, p));
    let (missed, wrong) = (g.mul(y, not_p), g.mul(not_y, p));
    let doubt = g.add(missed, wrong);
    let factor = power(g, doubt, gamma);
    let mut focal = g.mul(factor, loss);
    if let Some(alpha) = alpha {
        let (one, zero) = (g.mul_scalar(y, alpha), g.mul_scalar(not_y, 1.0 - alpha));
        let weight = g.add(one, zero);
        focal = g.mul(weight, focal);
    }
    mean_last(g, focal)
}

/// `x^exponent` for `x` at least 0, with the gradient 0 at 0 where it is not a whole number.
fn power(g: &mut Builder, x: Value, exponent: f32) -> Value {
    if exponent == 1.0 {
        return x;
    }
    if exponent == 2.0 {
        return g.mul(x, x);
    }
    let positive = g.maximum_scalar(x, f32::MIN_POSITIVE);
    let exponent = g.constant(exponent);
    g.binary(Binary::Pow, positive, exponent)
}

/// `-sum y ln p`.
fn entropy(g: &mut Builder, y: Value, log: Value) -> Value {
    let product = g.mul(y, log);
    let sum = sum_last(g, product);
    g.neg(sum)
}

pub(super) fn categorical(g: &mut Builder, y: Value, p: Prediction<'_>, from_logits: bool) -> Value {
    let log = match logits_of(p, from_logits, &Activation::Softmax) {
        Some(x) => log_softmax(g, x),
        None => log_of_probabilities(g, p.value),
    };
    entropy(g, y, log)
}

/// Probabilities scaled to the sum 1 and clipped.
fn distribution(g: &mut Builder, p: Value) -> Value {
    let last = last(g, p);
    let sum = g.reduce_sum(p, &last, true);
    let p = g.div(p, sum);
    clip(g, p, FUZZ, 1.0 - FUZZ)
}

fn log_of_probabilities(g: &mut Builder, p: Value) -> Value {
    let p = distribution(g, p);
    g.unary(Unary::Log, p)
}

pub(super) fn categorical_focal(g: &mut Builder, y: Value, p: Value, alpha: f32, gamma: f32) -> Value {
    let p = distribution(g, p);
    let log = g.unary(Unary::Log, p);
    let rest = g.scalar_sub(1.0, p);
    let factor = power(g, rest, gamma);
    let weighted = g.mul(factor, y);
    let entropy = entropy(g, weighted, log);
    g.mul_scalar(entropy, alpha)
}

pub(super) fn sparse(g: &mut Builder, y: Value, p: Prediction<'_>, from_logits: bool) -> Value {
    match logits_of(p, from_logits, &Activation::Softmax) {
        Some(x) => g.sparse_softmax_cross_entropy(x, y).0,
        None => {
            let log = log_of_probabilities(g, p.value);
            let own = one_hot(g, y, p.value);
            entropy(g, own, log)
        }
    }
}

/// Classes as rows with a one, as long as those of `p`.
fn one_hot(g: &mut Builder, y: Value, p: Value) -> Value {
    let classes = g.shape(p).last().copied().unwrap_or(1);
    g.one_hot(y, classes)
}

/// What is ignored is taken as class 0, and its loss as 0; what counts is scaled by `all / counted`.
pub(super) fn sparse_ignoring(g: &mut Builder, y: Value, p: Prediction<'_>, from_logits: bool, ignored: i32) -> Value {
    let classes = g.cast(y, DType::F32);
    let ignored = g.constant(ignored as f32);
    let is_ignored = g.binary(Binary::Equal, classes, ignored);
    let counts = g.scalar_sub(1.0, is_ignored);
    let legal = g.mul(classes, counts);
    let legal = g.cast(legal, DType::I32);
    let each = sparse(g, legal, p, from_logits);
    let zero = g.constant(0.0);
    let each = g.select(is_ignored, zero, each);
    let all = g.shape(each).iter().product::<usize>();
    let counted = g.sum_all(counts);
    let counted = g.maximum_scalar(counted, 1.0);
    let all = g.constant(all as f32);
    let scale = g.div(all, counted);
    g.mul(each, scale)
}

pub(super) fn generalized(g: &mut Builder, y: Value, p: Value, q: f32) -> Value {
    let own = one_hot(g, y, p);
    let product = g.mul(own, p);
    let own = sum_last(g, product);
    let power = power(g, own, q);
    let rest = g.scalar_sub(1.0, power);
    g.mul_scalar(rest, 1.0 / q)
}

pub(super) fn divergence(g: &mut Builder, y: Value, p: Value) -> Value {
    let [y, p] = [y, p].map(|x| clip(g, x, FUZZ, 1.0));
    let ratio = g.div(y, p);
    let log = g.unary(Unary::Log, ratio);
    let product = g.mul(y, log);
    sum_last(g, product)
}

pub(super) fn poisson(g: &mut Builder, y: Value, p: Value) -> Value {
    let positive = g.add_scalar(p, FUZZ);
    let log = g.unary(Unary::Log, positive);
    let product = g.mul(y, log);
    let loss = g.sub(p, product);
    mean_last(g, loss)
}
