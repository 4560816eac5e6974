//! Follow the regularized leader.

use super::settings::{NOT_NEGATIVE, optimizer, optimizer_basics};
use super::{Optimizer, Parameter, Update};
use crate::config::FINITE;
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value};

optimizer! {
    /// Follow the regularized leader: parameters are computed anew from sums of gradients, and small ones become exactly 0.
    ///
    /// `n' = n + g^2`, `s = (n'^-p - n^-p) / lr`, `z += g + 2 l2_shrinkage w - s w`,
    /// `q = n'^-p / lr + 2 l2 + beta / lr`, `w = (clip(z, -l1, l1) - z) / q`, `p` being the `learning_rate_power`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`; `learning_rate_power` -0.5, at most 0;
    /// `initial_accumulator_value` 0.1, `l1_regularization_strength`, `l2_regularization_strength`,
    /// `l2_shrinkage_regularization_strength` 0, in `[0, ∞)`; `beta` 0. A learning rate of 0 divides by 0.
    ///
    /// # References
    /// McMahan et al. (2013), "Ad click prediction: a view from the trenches", algorithm 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Ftrl, Optimizer};
    /// assert_eq!(Ftrl::new().l1_regularization_strength(0.1).slots(), ["accumulator", "linear"]);
    /// ```
    Ftrl { learning_rate = 0.001, }
    /// The power of the sum of squares by which steps shrink; default -0.5, and 0 leaves them as they are.
    learning_rate_power: f32 = -0.5, ..=0.0;
    /// What the sums of squares begin with; default 0.1.
    initial_accumulator_value: f32 = 0.1, NOT_NEGATIVE;
    /// How much pulls parameters to exactly 0; default 0.
    l1_regularization_strength: f32 = 0.0, NOT_NEGATIVE;
    /// How much makes parameters small; default 0.
    l2_regularization_strength: f32 = 0.0, NOT_NEGATIVE;
    /// A penalty on the magnitude that acts through the gradient; default 0.
    l2_shrinkage_regularization_strength: f32 = 0.0, NOT_NEGATIVE;
    /// The paper's beta, which makes early steps smaller; default 0.
    beta: f32 = 0.0, FINITE;
}

impl Ftrl {
    /// `n^-p / lr`.
    fn slowness(&self, g: &mut Builder, sum: Value, learning_rate: Value) -> Value {
        let exponent = g.constant(-self.learning_rate_power);
        let power = g.binary(Binary::Pow, sum, exponent);
        g.div(power, learning_rate)
    }

    /// `clip(z, -l1, l1)`.
    fn clip(&self, g: &mut Builder, z: Value) -> Value {
        let low = g.maximum_scalar(z, -self.l1_regularization_strength);
        g.minimum_scalar(low, self.l1_regularization_strength)
    }
}

impl Optimizer for Ftrl {
    optimizer_basics!(Ftrl);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["accumulator", "linear"]]
    }

    fn slot(&self, name: &str, shape: &[usize]) -> (Vec<usize>, f32) {
        (shape.to_vec(), if name == "accumulator" { self.initial_accumulator_value } else { 0.0 })
    }

    /// `2 l2 + beta / lr`.
    fn prepare(&self, cx: &mut Update<'_>) -> Vec<Value> {
        let beta = cx.graph.constant(self.beta);
        let share = cx.graph.div(beta, cx.learning_rate);
        vec![cx.graph.add_scalar(share, 2.0 * self.l2_regularization_strength)]
    }

    fn update(&self, cx: &mut Update<'_>, penalty: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let shrinkage = g.mul_scalar(p.value, 2.0 * self.l2_shrinkage_regularization_strength);
        let shrunk = g.add(p.gradient, shrinkage);
        let square = g.mul(p.gradient, p.gradient);
        let sum = g.add(p.slots[0], square);
        let [before, after] = [p.slots[0], sum].map(|n| self.slowness(g, n, cx.learning_rate));
        let slower = g.sub(after, before);
        let pull = g.mul(slower, p.value);
        let change = g.sub(shrunk, pull);
        let linear = g.add(p.slots[1], change);
        let quadratic = g.add(after, penalty[0]);
        let clipped = self.clip(g, linear);
        let rest = g.sub(clipped, linear);
        (g.div(rest, quadratic), vec![sum, linear])
    }
}
