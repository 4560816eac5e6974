//! Steps by the sign alone.

use super::settings::{DECAY, optimizer, optimizer_basics};
use super::{Optimizer, Parameter, Update, running_mean};
use footlight_graph::Value;
use footlight_graph::ops::Unary;
use std::ops::Bound;

optimizer! {
    /// Steps of one size in every direction, by the sign of a running mean of gradients.
    ///
    /// `w -= lr sign(beta_1 m + (1 - beta_1) g)`, then `m = beta_2 m + (1 - beta_2) g`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`, to be chosen three to ten times smaller than for [`Adam`];
    /// `beta_1` 0.9, in `(0, 1]`; `beta_2` 0.99, in `[0, 1)`.
    ///
    /// # References
    /// Chen et al. (2023), "Symbolic discovery of optimization algorithms", algorithm 2.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Lion, Optimizer};
    /// assert_eq!(Lion::new().weight_decay(0.01).slots(), ["momentum"]);
    /// ```
    ///
    /// [`Adam`]: crate::Adam
    Lion { learning_rate = 0.001, }
    /// How much of the mean counts for a step; default 0.9.
    beta_1: f32 = 0.9, (Bound::Excluded(0.0), Bound::Included(1.0));
    /// The decay of the mean; default 0.99.
    beta_2: f32 = 0.99, DECAY;
}

impl Optimizer for Lion {
    optimizer_basics!(Lion);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["momentum"]]
    }

    fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let mixed = running_mean(g, self.beta_1, p.slots[0], p.gradient);
        let sign = g.unary(Unary::Sign, mixed);
        let step = g.mul(cx.learning_rate, sign);
        let m = running_mean(g, self.beta_2, p.slots[0], p.gradient);
        (g.sub(p.value, step), vec![m])
    }
}
