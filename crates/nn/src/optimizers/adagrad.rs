//! Steps divided by what gradients were before: Adagrad, Adadelta, Adamax.

use super::settings::{DECAY, NOT_NEGATIVE, optimizer, optimizer_basics};
use super::{Optimizer, Parameter, Update, bias_correction, moved, running_mean, stable_root};
use footlight_graph::Value;
use footlight_graph::ops::{Binary, Unary};

optimizer! {
    /// Steps divided by the root of the sum of all squares so far: rare features move further.
    ///
    /// `a += g^2`, `w -= lr g / sqrt(a + epsilon)`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)` (PyTorch: 0.01); `initial_accumulator_value` 0.1, in `[0, ∞)`
    /// (PyTorch: 0); `epsilon` 1e-7, in `[0, ∞)`.
    ///
    /// # Differences
    /// `epsilon` stands inside the root, as in Keras; PyTorch adds 1e-10 outside.
    ///
    /// # References
    /// Duchi, Hazan, Singer (2011), "Adaptive subgradient methods for online learning and stochastic optimization".
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Adagrad, Optimizer};
    /// assert_eq!(Adagrad::new().slot("accumulator", &[3]), (vec![3], 0.1));
    /// ```
    Adagrad { learning_rate = 0.001, }
    /// What the sums of squares begin with; default 0.1.
    initial_accumulator_value: f32 = 0.1, NOT_NEGATIVE;
    /// Added inside the root; default 1e-7.
    epsilon: f32 = 1e-7, NOT_NEGATIVE;
}

impl Optimizer for Adagrad {
    optimizer_basics!(Adagrad);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["accumulator"]]
    }

    fn slot(&self, _: &str, shape: &[usize]) -> (Vec<usize>, f32) {
        (shape.to_vec(), self.initial_accumulator_value)
    }

    fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let square = g.mul(p.gradient, p.gradient);
        let sum = g.add(p.slots[0], square);
        let root = stable_root(g, sum, self.epsilon);
        let step = g.mul(cx.learning_rate, p.gradient);
        let step = g.div(step, root);
        (g.sub(p.value, step), vec![sum])
    }
}

optimizer! {
    /// Steps in the unit of the parameter: the root of a running mean of squared steps over that of squared gradients.
    ///
    /// `a = rho a + (1 - rho) g^2`, `s = -sqrt(d + epsilon) / sqrt(a + epsilon) g`, `d = rho d + (1 - rho) s^2`, `w += lr s`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`; the paper and PyTorch have 1. `rho` 0.95, in `[0, 1)`
    /// (PyTorch: 0.9); `epsilon` 1e-7, in `[0, ∞)` (PyTorch: 1e-6).
    ///
    /// # References
    /// Zeiler (2012), "ADADELTA: an adaptive learning rate method", algorithm 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Adadelta, Optimizer};
    /// assert_eq!(Adadelta::new().learning_rate(1.0).slots(), ["accumulated_grad", "accumulated_delta_var"]);
    /// ```
    Adadelta { learning_rate = 0.001, }
    /// How much of the means of squares stays; default 0.95.
    rho: f32 = 0.95, DECAY;
    /// Added inside the roots; default 1e-7.
    epsilon: f32 = 1e-7, NOT_NEGATIVE;
}

impl Optimizer for Adadelta {
    optimizer_basics!(Adadelta);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["accumulated_grad", "accumulated_delta_var"]]
    }

    fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let square = g.mul(p.gradient, p.gradient);
        let gradients = running_mean(g, self.rho, p.slots[0], square);
        let [of_steps, of_gradients] = [p.slots[1], gradients].map(|mean| stable_root(g, mean, self.epsilon));
        let scaled = g.mul(of_steps, p.gradient);
        let step = g.div(scaled, of_gradients);
        let square = g.mul(step, step);
        let steps = running_mean(g, self.rho, p.slots[1], square);
        let step = g.mul(cx.learning_rate, step);
        (g.sub(p.value, step), vec![gradients, steps])
    }
}

optimizer! {
    /// Adam with the largest recent gradient in place of the root of the mean of squares.
    ///
    /// `m += (g - m)(1 - beta_1)`, `u = max(beta_2 u, |g|)`, `w -= lr m / ((1 - beta_1^t)(u + epsilon))`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)` (PyTorch: 0.002); `beta_1` 0.9 and `beta_2` 0.999, in
    /// `[0, 1)`; `epsilon` 1e-7, in `[0, ∞)`.
    ///
    /// # References
    /// Kingma and Ba (2015), "Adam", section 7.1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Adamax, Optimizer};
    /// assert_eq!(Adamax::new().slots(), ["momentum", "norm"]);
    /// ```
    Adamax { learning_rate = 0.001, }
    /// The decay of the mean of gradients; default 0.9.
    beta_1: f32 = 0.9, DECAY;
    /// The decay of the largest gradient; default 0.999.
    beta_2: f32 = 0.999, DECAY;
    /// Added to the largest gradient; default 1e-7.
    epsilon: f32 = 1e-7, NOT_NEGATIVE;
}

impl Optimizer for Adamax {
    optimizer_basics!(Adamax);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["momentum", "norm"]]
    }

    /// `1 - beta_1^t`.
    fn prepare(&self, cx: &mut Update<'_>) -> Vec<Value> {
        vec![bias_correction(cx.graph, self.beta_1, cx.step)]
    }

    fn update(&self, cx: &mut Update<'_>, correction: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let m = moved(g, p.slots[0], p.gradient, self.beta_1);
        let kept = g.mul_scalar(p.slots[1], self.beta_2);
        let size = g.unary(Unary::Abs, p.gradient);
        let norm = g.binary(Binary::Maximum, kept, size);
        let divisor = g.add_scalar(norm, self.epsilon);
        let divisor = g.mul(divisor, correction[0]);
        let step = g.mul(cx.learning_rate, m);
        let step = g.div(step, divisor);
        (g.sub(p.value, step), vec![m, norm])
    }
}
