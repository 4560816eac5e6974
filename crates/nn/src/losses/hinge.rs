//! Losses of margins.

use super::{last, losses, mean_last, sum_last};
use crate::activations::relu;
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value};

losses! {
    /// The mean of what is missing to a margin of 1, `mean max(1 - y p, 0)` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    ///
    /// # Arguments
    /// Targets are -1 and 1; as in Keras, 0 and 1 are taken as -1 and 1 where the whole batch has no other.
    ///
    /// # Numerics
    /// The gradient at the margin is 0.
    ///
    /// # References
    /// Cortes and Vapnik (1995), "Support-vector networks".
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Hinge, Loss};
    /// assert_eq!(Hinge::new(), Loss::from("hinge"));
    /// ```
    Hinge;

    /// As [`struct@Hinge`], squared: `mean max(1 - y p, 0)^2` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
    SquaredHinge;

    /// What the right class lacks to be 1 above the best other, `max(max (1 - y) p - sum y p + 1, 0)` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` (one-hot) and predictions `p` `[N, ..., C]`, the loss of each sample `[N, ...]`.
    ///
    /// # Differences
    /// As in Keras the right class takes part in the maximum with 0.
    ///
    /// # References
    /// Crammer and Singer (2001), "On the algorithmic implementation of multiclass kernel-based vector machines".
    CategoricalHinge;
}

/// `max(1 - y p, 0)`.
fn lack(g: &mut Builder, y: Value, p: Value) -> Value {
    let y = signs(g, y);
    let product = g.mul(y, p);
    let lack = g.scalar_sub(1.0, product);
    relu(g, lack)
}

/// `2 y - 1` where all of the batch is 0 or 1, else `y`.
fn signs(g: &mut Builder, y: Value) -> Value {
    let [is_zero, is_one] = [0.0, 1.0].map(|value| {
        let value = g.constant(value);
        g.binary(Binary::Equal, y, value)
    });
    let is_bit = g.add(is_zero, is_one);
    let others = g.scalar_sub(1.0, is_bit);
    let others = g.sum_all(others);
    let twice = g.mul_scalar(y, 2.0);
    let signs = g.add_scalar(twice, -1.0);
    g.select(others, y, signs)
}

pub(super) fn hinge(g: &mut Builder, y: Value, p: Value) -> Value {
    let lack = lack(g, y, p);
    mean_last(g, lack)
}

pub(super) fn squared(g: &mut Builder, y: Value, p: Value) -> Value {
    let lack = lack(g, y, p);
    let square = g.mul(lack, lack);
    mean_last(g, square)
}

pub(super) fn categorical(g: &mut Builder, y: Value, p: Value) -> Value {
    let own = g.mul(y, p);
    let own = sum_last(g, own);
    let rest = g.scalar_sub(1.0, y);
    let others = g.mul(rest, p);
    let last = last(g, p);
    let best = g.reduce_max(others, &last, false);
    let lead = g.sub(best, own);
    let lack = g.add_scalar(lead, 1.0);
    relu(g, lack)
}
