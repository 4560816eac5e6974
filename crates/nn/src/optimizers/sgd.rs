//! Gradient descent.

use super::{MOMENTUM, Optimizer, Parameter, Update, check_learning_rate};
use crate::Error;
use crate::config::{Config, Reader, config, within};
use footlight_graph::Value;

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
/// let sgd = SGD::new().learning_rate(0.1).momentum(0.9).nesterov(true);
/// assert_eq!(sgd.slots(), ["momentum"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SGD {
    learning_rate: f32,
    momentum: f32,
    nesterov: bool,
}

impl Default for SGD {
    fn default() -> SGD {
        SGD { learning_rate: 0.01, momentum: 0.0, nesterov: false }
    }
}

impl SGD {
    /// Plain gradient descent with learning rate 0.01.
    pub fn new() -> SGD {
        SGD::default()
    }

    /// The size of a step; default 0.01.
    pub fn learning_rate(mut self, learning_rate: f32) -> SGD {
        self.learning_rate = learning_rate;
        self
    }

    /// How much of the last move stays; default 0.
    pub fn momentum(mut self, momentum: f32) -> SGD {
        self.momentum = momentum;
        self
    }

    /// Whether the gradient is taken as if after the move; default false.
    pub fn nesterov(mut self, nesterov: bool) -> SGD {
        self.nesterov = nesterov;
        self
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<SGD, Error> {
        Ok(SGD::new().momentum(read.f32("momentum", 0.0)?).nesterov(read.bool("nesterov", false)?))
    }
}

impl Optimizer for SGD {
    fn class_name(&self) -> &'static str {
        "SGD"
    }

    fn config(&self) -> Config {
        config! { "momentum": self.momentum, "nesterov": self.nesterov }
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.learning_rate = learning_rate;
    }

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        if self.momentum == 0.0 { vec![] } else { vec![vec!["momentum"]] }
    }

    fn update(&self, cx: &mut Update<'_>, _: Option<Value>, p: &Parameter) -> (Value, Vec<Value>) {
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

    fn check(&self) -> Result<(), Error> {
        check_learning_rate(self.learning_rate)?;
        within("momentum", self.momentum, MOMENTUM)
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }
}
