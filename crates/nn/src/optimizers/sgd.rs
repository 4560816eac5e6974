//! Gradient descent.

use super::settings::{FRACTION, optimizer, optimizer_basics};
use super::{Optimizer, Parameter, Update};
use footlight_graph::Value;

optimizer! {
    /// Gradient descent, plain or with momentum; on all samples at once it is full-batch gradient descent.
    ///
    /// Plain: `w -= lr g`. With momentum: `m = momentum m - lr g`, then `w += m`, or with Nesterov
    /// `w += momentum m - lr g`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.01, in `[0, ∞)`; `momentum` 0, in `[0, 1]`; `nesterov` false.
    ///
    /// # Differences
    /// PyTorch leaves the learning rate out of `m` and multiplies by it when it moves: the same as long as the rate stays.
    ///
    /// # References
    /// Sutskever, Martens, Dahl, Hinton (2013), "On the importance of initialization and momentum in deep learning",
    /// equations 1 to 4.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Optimizer, SGD};
    /// let sgd = SGD::new().learning_rate(0.1).momentum(0.9).nesterov(true).clipnorm(1.0);
    /// assert_eq!(sgd.slots(), ["momentum"]);
    /// ```
    SGD { learning_rate = 0.01, }
    /// How much of the last move stays; default 0.
    momentum: f32 = 0.0, FRACTION;
    /// Whether the gradient is taken as if after the move; default false.
    nesterov: bool = false;
}

impl Optimizer for SGD {
    optimizer_basics!(SGD);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        if self.momentum == 0.0 { vec![] } else { vec![vec!["momentum"]] }
    }

    fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let step = g.mul(cx.learning_rate, p.gradient);
        let Some(slot) = p.slots.first() else { return (g.sub(p.value, step), vec![]) };
        let kept = g.mul_scalar(*slot, self.momentum);
        let m = g.sub(kept, step);
        let next = if self.nesterov {
            let ahead = g.mul_scalar(m, self.momentum);
            let moved = g.add(p.value, ahead);
            g.sub(moved, step)
        } else {
            g.add(p.value, m)
        };
        (next, vec![m])
    }
}
