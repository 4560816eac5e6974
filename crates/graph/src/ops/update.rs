//! Optimizer updates as one pass over a parameter and its slots.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32};
use crate::Type;

/// One step of Adam for one parameter.
///
/// Inputs: parameter `w`, gradient `g`, slots `m`, `v`, all of one shape, and the scalar step size `alpha`.
/// Outputs: the next `w`, `m`, `v`:
/// `m += (g - m)(1 - beta_1)`, `v += (g^2 - v)(1 - beta_2)`, `w -= alpha m / (sqrt(v) + epsilon)`.
/// The step size carries the bias correction, `alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t)`, so that `epsilon` is
/// added to the uncorrected root, as in Keras.
///
/// A lazy step leaves rows along axis 0, with their slots, whose gradient is zero; what is not a number is not zero.
///
/// # References
/// Kingma and Ba (2015), "Adam: a method for stochastic optimization", section 2, the efficient form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamUpdate {
    /// The decay of the first moment.
    pub beta_1: f32,
    /// The decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Whether rows without a gradient stay as they are.
    pub lazy: bool,
}

impl AdamUpdate {
    /// One update, and one by which rows without a gradient stay: of a gradient, and of none.
    pub fn samples() -> Vec<Sample> {
        let uniform = |low: f64, high: f64| SampleInput::Uniform(vec![3, 5], low, high);
        let sample = |lazy: bool, gradient: f64| {
            let scalar = SampleInput::Uniform(vec![], 0.1, 0.2);
            let gradient = uniform(-gradient, gradient);
            let inputs = vec![uniform(-1.0, 1.0), gradient, uniform(-1.0, 1.0), uniform(0.1, 1.0), scalar];
            Sample { op: AdamUpdate { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, lazy }.into(), inputs }
        };
        vec![sample(false, 1.0), sample(true, 1.0), sample(true, 0.0)]
    }
}

impl OpRule for AdamUpdate {
    fn name(&self) -> &'static str {
        "adam_update"
    }
    fn attributes(&self) -> String {
        let lazy = if self.lazy { ", lazy" } else { "" };
        format!("beta_1={}, beta_2={}, epsilon={}{lazy}", self.beta_1, self.beta_2, self.epsilon)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [w, g, m, v, alpha] = arity(inputs)?;
        for (name, ty) in [("w", w), ("g", g), ("m", m), ("v", v), ("alpha", alpha)] {
            require_f32(name, ty)?;
        }
        if g != w || m != w || v != w || alpha.rank() != 0 {
            return Err(format!("w {w}, g {g}, m {m} and v {v} must have one shape and alpha {alpha} none"));
        }
        Ok(vec![w.clone(), w.clone(), w.clone()])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable("an update stands after the loss")
    }
}
