//! Steps divided by the root of a running mean of squares.

use super::{DECAY, MOMENTUM, NOT_NEGATIVE, Optimizer, Parameter, Update, check_learning_rate};
use crate::Error;
use crate::config::{Config, Reader, config, within};
use footlight_graph::Value;
use footlight_graph::ops::Unary;

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
#[derive(Clone, Debug, PartialEq)]
pub struct RMSprop {
    learning_rate: f32,
    rho: f32,
    momentum: f32,
    epsilon: f32,
    centered: bool,
}

impl Default for RMSprop {
    fn default() -> RMSprop {
        RMSprop { learning_rate: 0.001, rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }
}

impl RMSprop {
    /// RMSprop with Keras' defaults.
    pub fn new() -> RMSprop {
        RMSprop::default()
    }

    /// The size of a step; default 0.001.
    pub fn learning_rate(mut self, learning_rate: f32) -> RMSprop {
        self.learning_rate = learning_rate;
        self
    }

    /// How much of the mean of squares stays; default 0.9.
    pub fn rho(mut self, rho: f32) -> RMSprop {
        self.rho = rho;
        self
    }

    /// How much of the last move stays; default 0.
    pub fn momentum(mut self, momentum: f32) -> RMSprop {
        self.momentum = momentum;
        self
    }

    /// Added inside the root; default 1e-7.
    pub fn epsilon(mut self, epsilon: f32) -> RMSprop {
        self.epsilon = epsilon;
        self
    }

    /// Whether the variance is used instead of the mean of squares; default false.
    pub fn centered(mut self, centered: bool) -> RMSprop {
        self.centered = centered;
        self
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<RMSprop, Error> {
        let default = RMSprop::new();
        Ok(RMSprop {
            rho: read.f32("rho", default.rho)?,
            momentum: read.f32("momentum", default.momentum)?,
            epsilon: read.f32("epsilon", default.epsilon)?,
            centered: read.bool("centered", default.centered)?,
            ..default
        })
    }
}

impl Optimizer for RMSprop {
    fn class_name(&self) -> &'static str {
        "RMSprop"
    }

    fn config(&self) -> Config {
        config! {
            "rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered,
        }
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.learning_rate = learning_rate;
    }

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

    fn update(&self, cx: &mut Update<'_>, _: Option<Value>, p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let square = g.mul(p.gradient, p.gradient);
        let velocity = self.running_mean(g, p.slots[0], square);
        let mut slots = vec![velocity];
        let mut spread = velocity;
        let average = self.centered.then(|| self.running_mean(g, p.slots[p.slots.len() - 1], p.gradient));
        if let Some(average) = average {
            let square = g.mul(average, average);
            spread = g.sub(velocity, square);
        }
        let stable = g.add_scalar(spread, self.epsilon);
        let root = g.unary(Unary::Sqrt, stable);
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

    fn check(&self) -> Result<(), Error> {
        check_learning_rate(self.learning_rate)?;
        within("rho", self.rho, DECAY)?;
        within("momentum", self.momentum, MOMENTUM)?;
        within("epsilon", self.epsilon, NOT_NEGATIVE)
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }
}

impl RMSprop {
    /// `rho old + (1 - rho) new`.
    fn running_mean(&self, g: &mut footlight_graph::Builder, old: Value, new: Value) -> Value {
        let kept = g.mul_scalar(old, self.rho);
        let added = g.mul_scalar(new, 1.0 - self.rho);
        g.add(kept, added)
    }
}
