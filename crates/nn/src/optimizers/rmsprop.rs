//! Steps divided by the root of a running mean of squares.

use super::settings::{DECAY, FRACTION, NOT_NEGATIVE, optimizer, optimizer_basics};
use super::{Optimizer, Parameter, Update, running_mean, stable_root};
use footlight_graph::Value;

optimizer! {
    /// Steps divided by the root of a running mean of squares.
    ///
    /// `v = rho v + (1 - rho) g^2`; `d = v`, less the square of a running mean of `g` if centered;
    /// `increment = lr g / sqrt(d + epsilon)`; with momentum `m = momentum m + increment`, `w -= m`, else `w -= increment`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`; `rho` 0.9, in `[0, 1)` (PyTorch: 0.99); `momentum` 0, in
    /// `[0, 1]`; `epsilon` 1e-7, in `[0, ∞)` (PyTorch: 1e-8); `centered` false.
    ///
    /// # Differences
    /// `epsilon` stands inside the root, as in Keras; PyTorch adds it outside.
    ///
    /// # References
    /// Tieleman and Hinton (2012), "Lecture 6.5: RMSprop".
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Optimizer, RMSprop};
    /// assert_eq!(RMSprop::new().momentum(0.9).slots(), ["velocity", "momentum"]);
    /// ```
    RMSprop { learning_rate = 0.001, }
    /// How much of the mean of squares stays; default 0.9.
    rho: f32 = 0.9, DECAY;
    /// How much of the last move stays; default 0.
    momentum: f32 = 0.0, FRACTION;
    /// Added inside the root; default 1e-7.
    epsilon: f32 = 1e-7, NOT_NEGATIVE;
    /// Whether the variance is used instead of the mean of squares; default false.
    centered: bool = false;
}

impl Optimizer for RMSprop {
    optimizer_basics!(RMSprop);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        let mut groups = vec![vec!["velocity"]];
        if self.momentum > 0.0 {
            groups.push(vec!["momentum"]);
        }
        if self.centered {
            groups.push(vec!["average_gradient"]);
        }
        groups
    }

    fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let square = g.mul(p.gradient, p.gradient);
        let velocity = running_mean(g, self.rho, p.slots[0], square);
        let mut slots = vec![velocity];
        let mut spread = velocity;
        let average = self.centered.then(|| running_mean(g, self.rho, p.slots[p.slots.len() - 1], p.gradient));
        if let Some(average) = average {
            let square = g.mul(average, average);
            spread = g.sub(velocity, square);
        }
        let root = stable_root(g, spread, self.epsilon);
        let step = g.mul(cx.learning_rate, p.gradient);
        let mut step = g.div(step, root);
        if self.momentum > 0.0 {
            let kept = g.mul_scalar(p.slots[1], self.momentum);
            step = g.add(kept, step);
            slots.push(step);
        }
        slots.extend(average);
        (g.sub(p.value, step), slots)
    }
}
