//! Adam, and its relatives that keep a running mean of gradients and one of their squares: AdamW, LazyAdam,
//! Nadam, Lamb.

use super::settings::{DECAY, NOT_NEGATIVE, optimizer, optimizer_basics};
use super::step::sum_of_squares;
use super::{Optimizer, Parameter, Update, bias_correction, moved};
use footlight_graph::ops::{AdamUpdate, Binary, Unary};
use footlight_graph::{Builder, Value};

macro_rules! adam {
    ($(#[$doc:meta])* $name:ident { $($common:tt)* }) => {
        optimizer! {
            $(#[$doc])*
            $name { $($common)* }
            /// The decay of the mean of gradients; default 0.9.
            beta_1: f32 = 0.9, DECAY;
            /// The decay of the mean of squares; default 0.999.
            beta_2: f32 = 0.999, DECAY;
            /// Added to the root; default 1e-7.
            epsilon: f32 = 1e-7, NOT_NEGATIVE;
            /// Whether the largest mean of squares so far is used; default false.
            amsgrad: bool = false;
        }

        impl Optimizer for $name {
            optimizer_basics!($name);

            fn slot_groups(&self) -> Vec<Vec<&'static str>> {
                let moments = vec!["momentum", "velocity"];
                if self.amsgrad { vec![moments, vec!["velocity_hat"]] } else { vec![moments] }
            }

            fn prepare(&self, cx: &mut Update<'_>) -> Vec<Value> {
                vec![corrected_rate(cx, [self.beta_1, self.beta_2])]
            }

            fn update(&self, cx: &mut Update<'_>, alpha: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
                let op = AdamUpdate { beta_1: self.beta_1, beta_2: self.beta_2, epsilon: self.epsilon, lazy: false };
                if self.amsgrad { amsgrad(cx.graph, op, alpha[0], p) } else { plain(cx.graph, op, alpha[0], p) }
            }
        }
    };
}

adam! {
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
    Adam { learning_rate = 0.001, }
}

adam! {
    /// Adam with a weight decay: `w -= lr weight_decay w` before each update, of every parameter including biases, as in
    /// Keras.
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
    /// assert_eq!(AdamW::new().common().weight_decay, Some(0.004));
    /// ```
    AdamW { learning_rate = 0.001, weight_decay = 0.004, }
}

optimizer! {
    /// Adam that leaves rows without a gradient, with their slots, as they are: a step of an embedding costs what the batch
    /// reads of it, not its whole table.
    ///
    /// As [`Adam`] for the rows along axis 0 whose gradient is not all zero. The others would move by what is left of
    /// their running mean, and it would decay; so the numbers are other ones, and often as good.
    ///
    /// # Arguments
    /// Defaults as [`Adam`]: `learning_rate` 0.001, in `[0, ∞)`; `beta_1` 0.9 and `beta_2` 0.999, in `[0, 1)`; `epsilon` 1e-7,
    /// in `[0, ∞)`.
    ///
    /// # Differences
    /// Keras has none; TensorFlow Addons' `LazyAdam` and PyTorch's `SparseAdam` do so for rows that were read, whether or
    /// not their gradient is zero. A weight decay and an L2 penalty move all rows.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{LazyAdam, Optimizer};
    /// assert_eq!(LazyAdam::new().slots(), ["momentum", "velocity"]);
    /// ```
    LazyAdam { learning_rate = 0.001, }
    /// The decay of the mean of gradients; default 0.9.
    beta_1: f32 = 0.9, DECAY;
    /// The decay of the mean of squares; default 0.999.
    beta_2: f32 = 0.999, DECAY;
    /// Added to the root; default 1e-7.
    epsilon: f32 = 1e-7, NOT_NEGATIVE;
}

impl Optimizer for LazyAdam {
    optimizer_basics!(LazyAdam);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["momentum", "velocity"]]
    }

    fn prepare(&self, cx: &mut Update<'_>) -> Vec<Value> {
        vec![corrected_rate(cx, [self.beta_1, self.beta_2])]
    }

    fn update(&self, cx: &mut Update<'_>, alpha: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let op = AdamUpdate { beta_1: self.beta_1, beta_2: self.beta_2, epsilon: self.epsilon, lazy: true };
        plain(cx.graph, op, alpha[0], p)
    }
}

/// `lr sqrt(1 - beta_2^t) / (1 - beta_1^t)`.
fn corrected_rate(cx: &mut Update<'_>, [beta_1, beta_2]: [f32; 2]) -> Value {
    let g = &mut *cx.graph;
    let second = bias_correction(g, beta_2, cx.step);
    let root = g.unary(Unary::Sqrt, second);
    let scaled = g.mul(cx.learning_rate, root);
    let first = bias_correction(g, beta_1, cx.step);
    g.div(scaled, first)
}

fn plain(g: &mut Builder, op: AdamUpdate, alpha: Value, p: &Parameter) -> (Value, Vec<Value>) {
    let [w, m, v] = g.adam_update(op, [p.value, p.gradient, p.slots[0], p.slots[1], alpha]);
    (w, vec![m, v])
}

fn amsgrad(g: &mut Builder, op: AdamUpdate, alpha: Value, p: &Parameter) -> (Value, Vec<Value>) {
    let [m, v] = moments(g, [op.beta_1, op.beta_2], p);
    let largest = g.binary(Binary::Maximum, p.slots[2], v);
    let root = g.unary(Unary::Sqrt, largest);
    let root = g.add_scalar(root, op.epsilon);
    let step = g.mul(alpha, m);
    let step = g.div(step, root);
    (g.sub(p.value, step), vec![m, v, largest])
}

/// The running means of the gradient and of its square.
fn moments(g: &mut Builder, [beta_1, beta_2]: [f32; 2], p: &Parameter) -> [Value; 2] {
    let m = moved(g, p.slots[0], p.gradient, beta_1);
    let square = g.mul(p.gradient, p.gradient);
    [m, moved(g, p.slots[1], square, beta_2)]
}

optimizer! {
    /// Adam with Nesterov's momentum: the mean of gradients is taken as it will be after the next step.
    ///
    /// `u_t = beta_1 (1 - 0.96^t / 2)`, `P_t = u_1 ... u_t`, `m` and `v` as [`Adam`],
    /// `m_hat = u_{t+1} m / (1 - P_{t+1}) + (1 - u_t) g / (1 - P_t)`, `w -= lr m_hat / (sqrt(v / (1 - beta_2^t)) + epsilon)`.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`; `beta_1` 0.9 and `beta_2` 0.999, in `[0, 1)`; `epsilon` 1e-7,
    /// in `[0, ∞)`.
    ///
    /// # References
    /// Dozat (2016), "Incorporating Nesterov momentum into Adam", algorithm 2 with its schedule of momentum.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Nadam, Optimizer};
    /// assert_eq!(Nadam::new().shared(), [("u_product", 1.0)]);
    /// ```
    Nadam { learning_rate = 0.001, }
    /// The decay of the mean of gradients; default 0.9.
    beta_1: f32 = 0.9, DECAY;
    /// The decay of the mean of squares; default 0.999.
    beta_2: f32 = 0.999, DECAY;
    /// Added to the root; default 1e-7.
    epsilon: f32 = 1e-7, NOT_NEGATIVE;
}

impl Nadam {
    /// `beta_1 (1 - 0.96^t / 2)`.
    fn momentum(&self, g: &mut Builder, step: Value) -> Value {
        let base = g.constant(0.96);
        let power = g.binary(Binary::Pow, base, step);
        let half = g.mul_scalar(power, 0.5);
        let rest = g.scalar_sub(1.0, half);
        g.mul_scalar(rest, self.beta_1)
    }
}

impl Optimizer for Nadam {
    optimizer_basics!(Nadam);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["momentum", "velocity"]]
    }

    /// The product of all momenta so far.
    fn shared(&self) -> Vec<(&'static str, f32)> {
        vec![("u_product", 1.0)]
    }

    /// `u_{t+1} / (1 - P_{t+1})`, `(1 - u_t) / (1 - P_t)`, `1 - beta_2^t`.
    fn prepare(&self, cx: &mut Update<'_>) -> Vec<Value> {
        let g = &mut *cx.graph;
        let now = self.momentum(g, cx.step);
        let following = g.add_scalar(cx.step, 1.0);
        let following = self.momentum(g, following);
        let product = g.mul(cx.shared[0], now);
        let next_product = g.mul(product, following);
        cx.next_shared = vec![product];
        let rest = g.scalar_sub(1.0, next_product);
        let of_mean = g.div(following, rest);
        let (share, rest) = (g.scalar_sub(1.0, now), g.scalar_sub(1.0, product));
        let of_gradient = g.div(share, rest);
        vec![of_mean, of_gradient, bias_correction(g, self.beta_2, cx.step)]
    }

    fn update(&self, cx: &mut Update<'_>, factors: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let [m, v] = moments(g, [self.beta_1, self.beta_2], p);
        let (old, new) = (g.mul(factors[0], m), g.mul(factors[1], p.gradient));
        let m_hat = g.add(old, new);
        let v_hat = g.div(v, factors[2]);
        let root = g.unary(Unary::Sqrt, v_hat);
        let root = g.add_scalar(root, self.epsilon);
        let step = g.mul(m_hat, cx.learning_rate);
        let step = g.div(step, root);
        (g.sub(p.value, step), vec![m, v])
    }
}

optimizer! {
    /// Adam whose steps are as long, over the learning rate, as the parameter itself: for large batches.
    ///
    /// `m` and `v` as [`Adam`]; `u = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)`; `w -= lr |w| / |u| u`, and
    /// the ratio is 1 where either norm is 0.
    ///
    /// # Arguments
    /// Defaults as in Keras: `learning_rate` 0.001, in `[0, ∞)`; `beta_1` 0.9 and `beta_2` 0.999, in `[0, 1)`; `epsilon` 1e-7,
    /// in `[0, ∞)`.
    ///
    /// # References
    /// You et al. (2020), "Large batch optimization for deep learning: training BERT in 76 minutes", algorithm 2.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Lamb, Optimizer};
    /// assert_eq!(Lamb::new().weight_decay(0.01).slots(), ["momentum", "velocity"]);
    /// ```
    Lamb { learning_rate = 0.001, }
    /// The decay of the mean of gradients; default 0.9.
    beta_1: f32 = 0.9, DECAY;
    /// The decay of the mean of squares; default 0.999.
    beta_2: f32 = 0.999, DECAY;
    /// Added to the root; default 1e-7.
    epsilon: f32 = 1e-7, NOT_NEGATIVE;
}

impl Optimizer for Lamb {
    optimizer_basics!(Lamb);

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["momentum", "velocity"]]
    }

    /// `1 - beta_1^t`, `1 - beta_2^t`.
    fn prepare(&self, cx: &mut Update<'_>) -> Vec<Value> {
        [self.beta_1, self.beta_2].map(|beta| bias_correction(cx.graph, beta, cx.step)).to_vec()
    }

    fn update(&self, cx: &mut Update<'_>, corrections: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let [m, v] = moments(g, [self.beta_1, self.beta_2], p);
        let (m_hat, v_hat) = (g.div(m, corrections[0]), g.div(v, corrections[1]));
        let root = g.unary(Unary::Sqrt, v_hat);
        let root = g.add_scalar(root, self.epsilon);
        let direction = g.div(m_hat, root);
        let ratio = trust_ratio(g, p.value, direction);
        let rate = g.mul(ratio, cx.learning_rate);
        let step = g.mul(rate, direction);
        (g.sub(p.value, step), vec![m, v])
    }
}

/// `|w| / |u|`, or 1 where either is 0.
fn trust_ratio(g: &mut Builder, w: Value, u: Value) -> Value {
    let squares = [w, u].map(|x| sum_of_squares(g, x));
    let [w_norm, u_norm] = squares.map(|sum| g.unary(Unary::Sqrt, sum));
    let (zero, one) = (g.constant(0.0), g.constant(1.0));
    let [has_w, has_u] = [w_norm, u_norm].map(|norm| g.binary(Binary::Greater, norm, zero));
    let ratio = g.div(w_norm, u_norm);
    let ratio = g.select(has_u, ratio, one);
    g.select(has_w, ratio, one)
}
