//! Adam in little memory.

use super::settings::{NOT_NEGATIVE, optimizer, optimizer_basics};
use super::step::sum_of_squares;
use super::{Optimizer, Parameter, Update};
use crate::config::POSITIVE;
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};

optimizer! {
    /// Steps divided by the root of a mean of squares that is kept by rows and columns only, and as long as the parameter.
    ///
    /// `beta = 1 - t^beta_2_decay`; for matrices `r = beta r + (1 - beta) mean_columns(g^2 + epsilon_1)`, `c` alike by rows,
    /// `v = r c / mean(r)`; for vectors `v = beta v + (1 - beta)(g^2 + epsilon_1)`. `u = g / sqrt(v)`,
    /// `w -= max(epsilon_2, rms(w)) min(lr, 1 / sqrt(t)) u / max(1, rms(u) / clip_threshold)`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`; `beta_2_decay` -0.8, at most 0; `epsilon_1` 1e-30 and
    /// `epsilon_2` 0.001, in `[0, ∞)`; `clip_threshold` 1, in `(0, ∞)`; `relative_step` true, which changes nothing, for steps
    /// are relative in any case, as in Keras.
    ///
    /// # Numerics
    /// As in Keras `v` of a matrix is stored too, for files; nothing reads it.
    ///
    /// # References
    /// Shazeer and Stern (2018), "Adafactor: adaptive learning rates with sublinear memory cost", algorithm 4.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Adafactor, Optimizer};
    /// assert_eq!(Adafactor::new().slot("row", &[5, 3]), (vec![5], 0.0));
    /// ```
    Adafactor { learning_rate = 0.001, }
    /// The power of `t` by which the decay goes to 1; default -0.8.
    beta_2_decay: f32 = -0.8, ..=0.0;
    /// Added to squares; default 1e-30.
    epsilon_1: f32 = 1e-30, NOT_NEGATIVE;
    /// The least size that is taken for a parameter's; default 0.001.
    epsilon_2: f32 = 1e-3, NOT_NEGATIVE;
    /// The root mean square above which steps are scaled down; default 1.
    clip_threshold: f32 = 1.0, POSITIVE;
    /// Kept for files; default true.
    relative_step: bool = true;
}

/// `sqrt(mean(x^2))`.
fn rms(g: &mut Builder, x: Value) -> Value {
    let count: usize = g.shape(x).iter().product();
    let sum = sum_of_squares(g, x);
    let mean = g.mul_scalar(sum, 1.0 / count as f32);
    g.unary(Unary::Sqrt, mean)
}

/// `beta old + (1 - beta) new`.
fn mixed(g: &mut Builder, beta: Value, old: Value, new: Value) -> Value {
    let rest = g.scalar_sub(1.0, beta);
    let (kept, added) = (g.mul(beta, old), g.mul(rest, new));
    g.add(kept, added)
}

/// The next row and column means, and `r c / mean(r)`.
fn factored(g: &mut Builder, beta: Value, slots: &[Value], square: Value) -> [Value; 3] {
    let shape = g.shape(square);
    let (last, rank) = (shape.len() - 1, shape.len());
    let [rows, columns] = [last, last - 1].map(|axis| g.reduce_mean(square, &[axis], false));
    let r = mixed(g, beta, slots[0], rows);
    let c = mixed(g, beta, slots[1], columns);
    let mean = g.reduce_mean(r, &[rank - 2], true);
    let share = g.div(r, mean);
    let share = g.reshape(share, [&shape[..last], &[1]].concat());
    let across = g.reshape(c, [&shape[..last - 1], &[1, shape[last]]].concat());
    [r, c, g.mul(share, across)]
}

impl Optimizer for Adafactor {
    optimizer_basics!(Adafactor);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["row", "column", "velocity"]]
    }

    /// Means by rows lose the last axis, those by columns the one before; vectors have none, and a number in their place.
    fn slot(&self, name: &str, shape: &[usize]) -> (Vec<usize>, f32) {
        let mut shape = shape.to_vec();
        match (name, shape.len()) {
            ("velocity", _) => {}
            (_, 0 | 1) => shape.clear(),
            ("row", rank) => drop(shape.remove(rank - 1)),
            (_, rank) => drop(shape.remove(rank - 2)),
        }
        (shape, 0.0)
    }

    /// `1 - t^beta_2_decay`, `min(lr, 1 / sqrt(t))`.
    fn prepare(&self, cx: &mut Update<'_>) -> Vec<Value> {
        let g = &mut *cx.graph;
        let exponent = g.constant(self.beta_2_decay);
        let power = g.binary(Binary::Pow, cx.step, exponent);
        let (root, one) = (g.unary(Unary::Sqrt, cx.step), g.constant(1.0));
        let relative = g.div(one, root);
        vec![g.scalar_sub(1.0, power), g.binary(Binary::Minimum, cx.learning_rate, relative)]
    }

    fn update(&self, cx: &mut Update<'_>, factors: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let size = rms(g, p.value);
        let size = g.maximum_scalar(size, self.epsilon_2);
        let alpha = g.mul(size, factors[1]);
        let square = g.mul(p.gradient, p.gradient);
        let square = g.add_scalar(square, self.epsilon_1);
        let slots = if g.shape(p.value).len() < 2 {
            [p.slots[0], p.slots[1], mixed(g, factors[0], p.slots[2], square)]
        } else {
            factored(g, factors[0], &p.slots, square)
        };
        let root = g.unary(Unary::Sqrt, slots[2]);
        let direction = g.div(p.gradient, root);
        let length = rms(g, direction);
        let excess = g.mul_scalar(length, 1.0 / self.clip_threshold);
        let excess = g.maximum_scalar(excess, 1.0);
        let direction = g.div(direction, excess);
        let step = g.mul(alpha, direction);
        (g.sub(p.value, step), slots.to_vec())
    }
}
