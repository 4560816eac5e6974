//! Losses of numbers.

use super::{FUZZ, losses, mean_last, sum_last};
use crate::activations::softplus;
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};

losses! {
    /// The mean of squared errors, `mean (y - p)^2` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Loss, MeanSquaredError};
    /// assert_eq!(MeanSquaredError::new(), Loss::from("mse"));
    /// ```
    MeanSquaredError;

    /// The mean of absolute errors, `mean |y - p|` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Numerics
    /// The gradient of an error of 0 is 0.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Loss, MeanAbsoluteError};
    /// assert_eq!(MeanAbsoluteError::new(), Loss::from("mae"));
    /// ```
    MeanAbsoluteError;

    /// The mean of absolute errors in hundredths of the target, `100 mean |y - p| / max(|y|, 1e-7)` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Numerics
    /// The gradient of an error of 0 is 0; a target of 0 makes its error weigh a thousand million.
    MeanAbsolutePercentageError;

    /// The mean of squared differences of logarithms, `mean (ln(1 + y) - ln(1 + p))^2` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Numerics
    /// Numbers below 1e-7 are taken as 1e-7, without a gradient.
    MeanSquaredLogarithmicError;

    /// Squares of small errors and magnitudes of large ones: the mean over the last axis of `e^2 / 2` where
    /// `|e| <= delta`, else `delta |e| - delta^2 / 2`, with `e = p - y`.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// `delta`: at least 0; default 1 as in Keras and PyTorch. Keras leaves it out of its files.
    ///
    /// # References
    /// Huber (1964), "Robust estimation of a location parameter".
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Huber, Loss};
    /// assert_eq!(Huber::new(), Loss::Huber { delta: 1.0 });
    /// ```
    Huber;

    /// The mean of `ln cosh(p - y)` over the last axis, about `e^2 / 2` of small errors and `|e| - ln 2` of large ones.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Numerics
    /// As `e + ln(1 + e^(-2e)) - ln 2`, finite for every error up to 1e38.
    LogCosh;

    /// The cosine of the angle between targets and predictions, negated, `-sum y p / (|y| |p|)` over the last axis: -1
    /// where they have one direction.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Numerics
    /// A length is taken as at least 1e-7, so that zeros give 0.
    CosineSimilarity;
}

/// `p - y`.
fn error(g: &mut Builder, y: Value, p: Value) -> Value {
    g.sub(p, y)
}

pub(super) fn squared(g: &mut Builder, y: Value, p: Value) -> Value {
    let e = error(g, y, p);
    let square = g.mul(e, e);
    mean_last(g, square)
}

pub(super) fn absolute(g: &mut Builder, y: Value, p: Value) -> Value {
    let e = error(g, y, p);
    let size = g.unary(Unary::Abs, e);
    mean_last(g, size)
}

pub(super) fn percentage(g: &mut Builder, y: Value, p: Value) -> Value {
    let e = error(g, y, p);
    let size = g.unary(Unary::Abs, y);
    let size = g.maximum_scalar(size, FUZZ);
    let share = g.div(e, size);
    let share = g.unary(Unary::Abs, share);
    let mean = mean_last(g, share);
    g.mul_scalar(mean, 100.0)
}

pub(super) fn logarithmic(g: &mut Builder, y: Value, p: Value) -> Value {
    let [y, p] = [y, p].map(|x| {
        let positive = g.maximum_scalar(x, FUZZ);
        g.unary(Unary::Log1p, positive)
    });
    squared(g, y, p)
}

/// With `s = min(|e|, delta)` both parts are `s (|e| - s / 2)`.
pub(super) fn huber(g: &mut Builder, y: Value, p: Value, delta: f32) -> Value {
    let e = error(g, y, p);
    let size = g.unary(Unary::Abs, e);
    let limit = g.constant(delta);
    let s = g.binary(Binary::Minimum, size, limit);
    let half = g.mul_scalar(s, 0.5);
    let rest = g.sub(size, half);
    let loss = g.mul(s, rest);
    mean_last(g, loss)
}

pub(super) fn log_cosh(g: &mut Builder, y: Value, p: Value) -> Value {
    let e = error(g, y, p);
    let twice = g.mul_scalar(e, -2.0);
    let bend = softplus(g, twice);
    let sum = g.add(e, bend);
    let loss = g.add_scalar(sum, -std::f32::consts::LN_2);
    mean_last(g, loss)
}

pub(super) fn cosine(g: &mut Builder, y: Value, p: Value) -> Value {
    let axis = g.shape(p).len() - 1;
    let (y, p) = (normalize(g, y, axis), normalize(g, p, axis));
    let product = g.mul(y, p);
    let cosine = sum_last(g, product);
    g.neg(cosine)
}

/// `x / max(|x|, 1e-7)` along `axis`: vectors of length 1.
pub(crate) fn normalize(g: &mut Builder, x: Value, axis: usize) -> Value {
    let square = g.mul(x, x);
    let sum = g.reduce_sum(square, &[axis], true);
    let stable = g.maximum_scalar(sum, FUZZ * FUZZ);
    let norm = g.unary(Unary::Sqrt, stable);
    g.div(x, norm)
}
