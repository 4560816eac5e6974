//! Rates that fall by a formula of the part of `decay_steps` that is done.

use super::schedule;
use crate::optimizers::settings::{AT_LEAST_ONE, NOT_NEGATIVE};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};

schedule! {
    /// A rate that falls by a factor every so many steps: `initial_learning_rate decay_rate^(step / decay_steps)`.
    ///
    /// # Arguments
    /// `initial_learning_rate` and `decay_rate` in `[0, ∞)`; `decay_steps` at least 1; `staircase` false, else the exponent
    /// is rounded down. As in Keras.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{ExponentialDecay, SGD};
    /// SGD::new().learning_rate(ExponentialDecay::new(0.1, 1000, 0.96).staircase(true));
    /// ```
    ExponentialDecay as "ExponentialDecay";
    needs {
        initial_learning_rate: f32, NOT_NEGATIVE;
        decay_steps: usize, AT_LEAST_ONE;
        decay_rate: f32, NOT_NEGATIVE;
    }
    options {
        /// Whether the rate falls in steps, every `decay_steps`; default false.
        staircase(bool): bool = false;
    }
}

schedule! {
    /// A rate that falls as one over the count of steps: `initial_learning_rate / (1 + decay_rate step / decay_steps)`.
    ///
    /// # Arguments
    /// `initial_learning_rate` and `decay_rate` in `[0, ∞)`; `decay_steps` at least 1; `staircase` false, else
    /// `step / decay_steps` is rounded down. As in Keras.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{InverseTimeDecay, SGD};
    /// SGD::new().learning_rate(InverseTimeDecay::new(0.1, 1000, 0.5));
    /// ```
    InverseTimeDecay as "InverseTimeDecay";
    needs {
        initial_learning_rate: f32, NOT_NEGATIVE;
        decay_steps: usize, AT_LEAST_ONE;
        decay_rate: f32, NOT_NEGATIVE;
    }
    options {
        /// Whether the rate falls in steps, every `decay_steps`; default false.
        staircase(bool): bool = false;
    }
}

schedule! {
    /// A rate that falls along a power of what is left:
    /// `(initial_learning_rate - end_learning_rate) (1 - step / decay_steps)^power + end_learning_rate`.
    ///
    /// After `decay_steps` it stays at its end; with `cycle`, `decay_steps` becomes its next multiple instead.
    ///
    /// # Arguments
    /// Defaults as in Keras: `end_learning_rate` 0.0001, `power` 1, `cycle` false. Rates in `[0, ∞)`, `decay_steps` at least
    /// 1, `power` in `[0, ∞)`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Adam, PolynomialDecay};
    /// Adam::new().learning_rate(PolynomialDecay::new(0.01, 1000).power(2.0));
    /// ```
    PolynomialDecay as "PolynomialDecay";
    needs {
        initial_learning_rate: f32, NOT_NEGATIVE;
        decay_steps: usize, AT_LEAST_ONE;
    }
    options {
        /// The rate after `decay_steps`; default 0.0001.
        end_learning_rate(f32): f32 = 0.0001, NOT_NEGATIVE;
        /// The power; default 1, a straight line.
        power(f32): f32 = 1.0, NOT_NEGATIVE;
        /// Whether it rises again after `decay_steps`; default false.
        cycle(bool): bool = false;
    }
}

/// `step / steps`, rounded down if asked.
fn share(g: &mut Builder, step: Value, steps: usize, is_whole: bool) -> Value {
    let steps = g.constant(steps as f32);
    let share = g.div(step, steps);
    if is_whole { g.unary(Unary::Floor, share) } else { share }
}

impl ExponentialDecay {
    pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
        let exponent = share(g, step, self.decay_steps, self.staircase);
        let base = g.constant(self.decay_rate);
        let factor = g.binary(Binary::Pow, base, exponent);
        g.mul_scalar(factor, self.initial_learning_rate)
    }
}

impl InverseTimeDecay {
    pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
        let share = share(g, step, self.decay_steps, self.staircase);
        let growth = g.mul_scalar(share, self.decay_rate);
        let divisor = g.add_scalar(growth, 1.0);
        let initial = g.constant(self.initial_learning_rate);
        g.div(initial, divisor)
    }
}

impl PolynomialDecay {
    pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
        let steps = g.constant(self.decay_steps as f32);
        let (step, steps) = if self.cycle {
            let cycles = ceil_of_share(g, step, steps);
            let cycles = g.maximum_scalar(cycles, 1.0);
            (step, g.mul(steps, cycles))
        } else {
            (g.binary(Binary::Minimum, step, steps), steps)
        };
        let done = g.div(step, steps);
        let left = g.scalar_sub(1.0, done);
        let power = g.constant(self.power);
        let part = g.binary(Binary::Pow, left, power);
        let part = g.mul_scalar(part, self.initial_learning_rate - self.end_learning_rate);
        g.add_scalar(part, self.end_learning_rate)
    }
}

/// `step / steps`, rounded up.
fn ceil_of_share(g: &mut Builder, step: Value, steps: Value) -> Value {
    let share = g.div(step, steps);
    let minus = g.neg(share);
    let floor = g.unary(Unary::Floor, minus);
    g.neg(floor)
}
