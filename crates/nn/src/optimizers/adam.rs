//! Adam, and Adam with decoupled weight decay.

use super::{DECAY, NOT_NEGATIVE, Optimizer, Parameter, Update, check_learning_rate};
use crate::Error;
use crate::config::{Config, Reader, config, within};
use footlight_graph::ops::{AdamUpdate, Binary, Unary};
use footlight_graph::{Builder, Value};

/// Adaptive moments: steps follow a running mean of gradients, divided by the root of a running mean of their squares.
///
/// `m += (g - m)(1 - beta_1)`, `v += (g^2 - v)(1 - beta_2)`,
/// `w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)`.
///
/// # Arguments
/// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`; `beta_1` 0.9 and `beta_2` 0.999, in `[0, 1)`; `epsilon` 1e-7,
/// in `[0, ∞)`; `amsgrad` false, else the largest `v` so far divides.
///
/// # Differences
/// `epsilon` is added to the uncorrected root, as in Keras; PyTorch adds 1e-8 to the corrected one.
///
/// # References
/// Kingma and Ba (2015), "Adam", section 2; Reddi, Kale, Kumar (2018), "On the convergence of Adam and beyond" (amsgrad).
///
/// # Examples
/// ```
/// use footlight_nn::{Adam, Optimizer};
/// assert_eq!(Adam::new().learning_rate(0.01).slots(), ["momentum", "velocity"]);
/// assert!(Adam::new().beta_2(1.0).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    learning_rate: f32,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false }
    }
}

/// Adam, with `w -= lr weight_decay w` before each update, of every parameter including biases, as in Keras.
///
/// # Arguments
/// `weight_decay` 0.004 as in Keras, in `[0, ∞)` (PyTorch: 0.01); the others as [`Adam`].
///
/// # References
/// Loshchilov and Hutter (2019), "Decoupled weight decay regularization", algorithm 2.
///
/// # Examples
/// ```
/// use footlight_nn::{AdamW, Optimizer};
/// assert_eq!(Optimizer::weight_decay(&AdamW::new()), Some(0.004));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    adam: Adam,
    weight_decay: f32,
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW { adam: Adam::default(), weight_decay: 0.004 }
    }
}

macro_rules! adam_options {
    ($name:ident, $($field:ident).*) => {
        impl $name {
            /// The optimizer with Keras' defaults.
            pub fn new() -> $name {
                $name::default()
            }

            /// The size of a step; default 0.001.
            pub fn learning_rate(mut self, learning_rate: f32) -> $name {
                self.$($field.)*learning_rate = learning_rate;
                self
            }

            /// The decay of the mean of gradients; default 0.9.
            pub fn beta_1(mut self, beta_1: f32) -> $name {
                self.$($field.)*beta_1 = beta_1;
                self
            }

            /// The decay of the mean of squares; default 0.999.
            pub fn beta_2(mut self, beta_2: f32) -> $name {
                self.$($field.)*beta_2 = beta_2;
                self
            }

            /// Added to the root; default 1e-7.
            pub fn epsilon(mut self, epsilon: f32) -> $name {
                self.$($field.)*epsilon = epsilon;
                self
            }

            /// Whether the largest mean of squares so far is used; default false.
            pub fn amsgrad(mut self, amsgrad: bool) -> $name {
                self.$($field.)*amsgrad = amsgrad;
                self
            }
        }
    };
}
adam_options!(Adam,);
adam_options!(AdamW, adam);

impl Adam {
    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<Adam, Error> {
        let default = Adam::new();
        Ok(Adam {
            beta_1: read.f32("beta_1", default.beta_1)?,
            beta_2: read.f32("beta_2", default.beta_2)?,
            epsilon: read.f32("epsilon", default.epsilon)?,
            amsgrad: read.bool("amsgrad", default.amsgrad)?,
            ..default
        })
    }

    /// `1 - beta^t`.
    fn correction(g: &mut Builder, beta: f32, step: Value) -> Value {
        let beta = g.constant(beta);
        let power = g.binary(Binary::Pow, beta, step);
        g.scalar_sub(1.0, power)
    }
}

impl Optimizer for Adam {
    fn class_name(&self) -> &'static str {
        "Adam"
    }

    fn config(&self) -> Config {
        config! {
            "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad,
        }
    }

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.learning_rate = learning_rate;
    }

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        let moments = vec!["momentum", "velocity"];
        if self.amsgrad { vec![moments, vec!["velocity_hat"]] } else { vec![moments] }
    }

    /// `lr sqrt(1 - beta_2^t) / (1 - beta_1^t)`.
    fn prepare(&self, cx: &mut Update<'_>) -> Option<Value> {
        let g = &mut *cx.graph;
        let second = Adam::correction(g, self.beta_2, cx.step);
        let root = g.unary(Unary::Sqrt, second);
        let scaled = g.mul(cx.learning_rate, root);
        let first = Adam::correction(g, self.beta_1, cx.step);
        Some(g.div(scaled, first))
    }

    fn update(&self, cx: &mut Update<'_>, alpha: Option<Value>, p: &Parameter) -> (Value, Vec<Value>) {
        let alpha = alpha.expect("prepare has made the step size");
        let g = &mut *cx.graph;
        if !self.amsgrad {
            let op = AdamUpdate { beta_1: self.beta_1, beta_2: self.beta_2, epsilon: self.epsilon };
            let [w, m, v] = g.adam_update(op, [p.value, p.gradient, p.slots[0], p.slots[1], alpha]);
            return (w, vec![m, v]);
        }
        let moved = |g: &mut Builder, slot: Value, target: Value, beta: f32| {
            let difference = g.sub(target, slot);
            let part = g.mul_scalar(difference, 1.0 - beta);
            g.add(slot, part)
        };
        let m = moved(g, p.slots[0], p.gradient, self.beta_1);
        let square = g.mul(p.gradient, p.gradient);
        let v = moved(g, p.slots[1], square, self.beta_2);
        let largest = g.binary(Binary::Maximum, p.slots[2], v);
        let root = g.unary(Unary::Sqrt, largest);
        let root = g.add_scalar(root, self.epsilon);
        let step = g.mul(alpha, m);
        let step = g.div(step, root);
        (g.sub(p.value, step), vec![m, v, largest])
    }

    fn check(&self) -> Result<(), Error> {
        check_learning_rate(self.learning_rate)?;
        within("beta_1", self.beta_1, DECAY)?;
        within("beta_2", self.beta_2, DECAY)?;
        within("epsilon", self.epsilon, NOT_NEGATIVE)
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }
}

impl AdamW {
    /// The fraction of a parameter that is taken away per unit of learning rate; default 0.004.
    pub fn weight_decay(mut self, weight_decay: f32) -> AdamW {
        self.weight_decay = weight_decay;
        self
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<AdamW, Error> {
        Ok(AdamW { weight_decay: read.f32("weight_decay", 0.004)?, adam: Adam::from_config(read)? })
    }
}

impl Optimizer for AdamW {
    fn class_name(&self) -> &'static str {
        "AdamW"
    }

    fn config(&self) -> Config {
        self.adam.config()
    }

    fn learning_rate(&self) -> f32 {
        self.adam.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.adam.learning_rate = learning_rate;
    }

    fn weight_decay(&self) -> Option<f32> {
        Some(self.weight_decay)
    }

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        self.adam.slot_groups()
    }

    fn prepare(&self, cx: &mut Update<'_>) -> Option<Value> {
        self.adam.prepare(cx)
    }

    fn update(&self, cx: &mut Update<'_>, alpha: Option<Value>, p: &Parameter) -> (Value, Vec<Value>) {
        let rate = cx.graph.mul_scalar(cx.learning_rate, self.weight_decay);
        let decay = cx.graph.mul(p.value, rate);
        let value = cx.graph.sub(p.value, decay);
        self.adam.update(cx, alpha, &Parameter { value, ..p.clone() })
    }

    fn check(&self) -> Result<(), Error> {
        self.adam.check()?;
        within("weight_decay", self.weight_decay, NOT_NEGATIVE)
    }

    fn clone_box(&self) -> Box<dyn Optimizer> {
        Box::new(self.clone())
    }
}
