//! Rates that fall along half a cosine.

use super::schedule;
use crate::config::POSITIVE;
use crate::optimizers::settings::{AT_LEAST_ONE, FRACTION, NOT_NEGATIVE};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};

schedule! {
    /// A rate that falls along half a cosine, after a linear rise if asked.
    ///
    /// `initial_learning_rate ((1 - alpha) (1 + cos(π step / decay_steps)) / 2 + alpha)`, and after `decay_steps` its last
    /// value. With a `warmup_target` it first goes from `initial_learning_rate` to the target on a straight line of
    /// `warmup_steps`, and then falls from the target over `decay_steps` more.
    ///
    /// # Arguments
    /// Defaults as in Keras: `alpha` 0, in `[0, 1]`; no `warmup_target`; `warmup_steps` 0. Rates in `[0, ∞)`, `decay_steps`
    /// at least 1.
    ///
    /// # References
    /// Loshchilov and Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", equation 5.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Adam, CosineDecay};
    /// Adam::new().learning_rate(CosineDecay::new(0.001, 1000));
    /// Adam::new().learning_rate(CosineDecay::new(0.0, 1000).warmup_target(0.001).warmup_steps(100));
    /// ```
    CosineDecay as "CosineDecay";
    needs {
        initial_learning_rate: f32, NOT_NEGATIVE;
        decay_steps: usize, AT_LEAST_ONE;
    }
    options {
        /// The part of the rate that is left at the end; default 0.
        alpha(f32): f32 = 0.0, FRACTION;
        /// The rate at the end of the warm-up; by default there is none.
        warmup_target(f32): Option<f32> = None;
        /// The steps of the warm-up, if it has a target; default 0.
        warmup_steps(usize): usize = 0;
    }
}

schedule! {
    /// A rate that falls along half a cosine again and again, each time longer and from a smaller rate.
    ///
    /// Cycle `i` takes `first_decay_steps t_mul^i` steps; within it
    /// `initial_learning_rate ((1 - alpha) m_mul^i (1 + cos(π done)) / 2 + alpha)`, `done` from 0 to 1.
    ///
    /// # Arguments
    /// Defaults as in Keras: `t_mul` 2, in `[1, ∞)`; `m_mul` 1, in `(0, ∞)`; `alpha` 0, in `[0, 1]`.
    /// `initial_learning_rate` in `[0, ∞)`, `first_decay_steps` at least 1.
    ///
    /// # Numerics
    /// The cycle is found by a logarithm and then set right, so that it never begins a step late.
    ///
    /// # References
    /// Loshchilov and Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", equation 5.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Adam, CosineDecayRestarts};
    /// Adam::new().learning_rate(CosineDecayRestarts::new(0.001, 1000).m_mul(0.9));
    /// ```
    CosineDecayRestarts as "SGDRDecay";
    needs {
        initial_learning_rate: f32, NOT_NEGATIVE;
        first_decay_steps: usize, AT_LEAST_ONE;
    }
    options {
        /// The length of a cycle over that of the one before; default 2.
        t_mul(f32): f32 = 2.0, AT_LEAST_ONE;
        /// The first rate of a cycle over that of the one before; default 1.
        m_mul(f32): f32 = 1.0, POSITIVE;
        /// The part of the rate that is left at the end of a cycle; default 0.
        alpha(f32): f32 = 0.0, FRACTION;
    }
}

/// `(1 + cos(π done)) / 2`.
fn half_cosine(g: &mut Builder, done: Value) -> Value {
    let angle = g.mul_scalar(done, std::f32::consts::PI);
    let cosine = g.unary(Unary::Cos, angle);
    let positive = g.add_scalar(cosine, 1.0);
    g.mul_scalar(positive, 0.5)
}

/// `rate ((1 - alpha) x + alpha)`.
fn above(g: &mut Builder, x: Value, alpha: f32, rate: f32) -> Value {
    let part = g.mul_scalar(x, 1.0 - alpha);
    let sum = g.add_scalar(part, alpha);
    g.mul_scalar(sum, rate)
}

impl CosineDecay {
    pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
        let Some(target) = self.warmup_target else { return self.fall(g, step, self.initial_learning_rate) };
        let warmup = g.constant(self.warmup_steps as f32);
        let after = g.sub(step, warmup);
        let falling = self.fall(g, after, target);
        if self.warmup_steps == 0 {
            return falling;
        }
        let done = g.div(step, warmup);
        let risen = g.mul_scalar(done, target - self.initial_learning_rate);
        let rising = g.add_scalar(risen, self.initial_learning_rate);
        let is_rising = g.binary(Binary::Greater, warmup, step);
        g.select(is_rising, rising, falling)
    }

    fn fall(&self, g: &mut Builder, step: Value, rate: f32) -> Value {
        let steps = g.constant(self.decay_steps as f32);
        let step = g.binary(Binary::Minimum, step, steps);
        let done = g.div(step, steps);
        let x = half_cosine(g, done);
        above(g, x, self.alpha, rate)
    }
}

impl CosineDecayRestarts {
    pub(super) fn lower(&self, g: &mut Builder, step: Value) -> Value {
        let steps = g.constant(self.first_decay_steps as f32);
        let time = g.div(step, steps);
        let (cycle, done) = if self.t_mul == 1.0 {
            let cycle = g.unary(Unary::Floor, time);
            (cycle, g.sub(time, cycle))
        } else {
            let cycle = self.cycle(g, time);
            let begin = self.begin(g, cycle);
            let past = g.sub(time, begin);
            let length = power(g, self.t_mul, cycle);
            (cycle, g.div(past, length))
        };
        let x = half_cosine(g, done);
        let height = power(g, self.m_mul, cycle);
        let x = g.mul(x, height);
        above(g, x, self.alpha, self.initial_learning_rate)
    }

    /// Which cycle it is at a time counted in first cycles: `floor(log(1 - time (1 - t_mul)) / log t_mul)`.
    fn cycle(&self, g: &mut Builder, time: Value) -> Value {
        let grown = g.mul_scalar(time, self.t_mul - 1.0);
        let grown = g.add_scalar(grown, 1.0);
        let log = g.unary(Unary::Log, grown);
        let base = g.constant(self.t_mul.ln());
        let share = g.div(log, base);
        let guess = g.unary(Unary::Floor, share);
        let following = g.add_scalar(guess, 1.0);
        let next_begin = self.begin(g, following);
        let is_next = g.binary(Binary::GreaterEqual, time, next_begin);
        g.select(is_next, following, guess)
    }

    /// When a cycle begins, counted in first cycles: `(1 - t_mul^cycle) / (1 - t_mul)`.
    fn begin(&self, g: &mut Builder, cycle: Value) -> Value {
        let length = power(g, self.t_mul, cycle);
        let sum = g.scalar_sub(1.0, length);
        let divisor = g.constant(1.0 - self.t_mul);
        g.div(sum, divisor)
    }
}

fn power(g: &mut Builder, base: f32, exponent: Value) -> Value {
    let base = g.constant(base);
    g.binary(Binary::Pow, base, exponent)
}
