//! Activation functions, each lowered in a stable form.

use crate::config::{self, FINITE, Key, POSITIVE, Reader, within};
use crate::vocabulary::vocabulary;
use crate::{Error, ErrorKind, layers, suggest, to_snake_case};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};
use serde_json::Value as Json;

vocabulary! {
    /// A function applied to a layer's output, element by element or along the last axis.
    ///
    /// # Shapes
    /// Input and output `[N, ...]`; `Glu` halves the last axis.
    ///
    /// # Arguments
    /// By name the arguments are Keras' defaults; `Threshold` has none and so cannot be given by name alone.
    ///
    /// # Numerics
    /// All but `Exponential` are finite, with their gradients, for every input up to 1e38. Slopes at a kink are Keras',
    /// those of the part below it for the family of `Relu`: 0 for `Relu`, 0.2 for `LeakyRelu`.
    ///
    /// # Differences
    /// `LeakyRelu` has Keras' slope of the function, 0.2; the layer of that name has 0.3 in Keras, PyTorch's has 0.01.
    /// `Sparsemax` is that of its paper; Keras 3.15.1 adds up its running sums, so that probabilities of two and more
    /// classes do not sum to 1.
    /// Keras writes no arguments into a file: those of `ReluWith`, `LeakyRelu` and `Elu` are written as the layer that
    /// has them, others as an object that Keras refuses rather than drops.
    ///
    /// # References
    /// Nair and Hinton (2010), "Rectified linear units improve restricted Boltzmann machines" (relu); Hendrycks and
    /// Gimpel (2016), "Gaussian error linear units" (gelu); Elfwing, Uchibe, Doya (2018), "Sigmoid-weighted linear units
    /// for neural network function approximation in reinforcement learning" (silu); Clevert, Unterthiner, Hochreiter
    /// (2016), "Fast and accurate deep network learning by exponential linear units" (elu); Klambauer et al. (2017),
    /// "Self-normalizing neural networks" (selu); Barron (2017), "Continuously differentiable exponential linear units"
    /// (celu); Dauphin et al. (2017), "Language modeling with gated convolutional networks" (glu); Howard et al. (2019),
    /// "Searching for MobileNetV3" (hard_silu); Misra (2019), "Mish: a self regularized non-monotonic activation
    /// function"; Maas, Hannun, Ng (2013), "Rectifier nonlinearities improve neural network acoustic models"
    /// (leaky_relu); Martins and Astudillo (2016), "From softmax to sparsemax", algorithm 1; Dugas et al. (2001),
    /// "Incorporating second-order functional knowledge for better option pricing" (softplus).
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::Activation;
    /// assert_eq!(Activation::from("swish"), Activation::Silu);
    /// assert_eq!(Activation::from("gelu"), Activation::Gelu { approximate: false });
    /// assert!(Activation::from("sigmiod").check().is_err());
    /// ```
    #[derive(Clone, Debug, PartialEq, Default)]
    Activation: "activation" {
        /// `x`: none at all, the default of every layer.
        #[default]
        Linear = "linear";
        /// The rectified linear unit, `max(x, 0)`.
        Relu = "relu";
        /// The logistic function, `1 / (1 + e^-x)`.
        Sigmoid = "sigmoid";
        /// The hyperbolic tangent, `(e^x - e^-x) / (e^x + e^-x)`.
        Tanh = "tanh";
        /// Probabilities of classes, `e^x / sum e^x` along the last axis, as `e^(x - max x)`.
        Softmax = "softmax";
        /// The Gaussian error linear unit, `x Phi(x) = x (1 + erf(x / sqrt 2)) / 2`.
        Gelu {
            /// Whether `Phi(x)` is `(1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`; Keras' default is false.
            approximate: bool = false,
        } = "gelu";
        /// The sigmoid linear unit, also called swish, `x / (1 + e^-x)`.
        Silu = "silu" | "swish";
        /// The exponential linear unit: `x` above 0, else `alpha (e^x - 1)`.
        Elu {
            /// The value that is approached far below, negated; Keras' default is 1.
            alpha: f32 = 1.0,
        } = "elu";
        /// The leaky rectified linear unit: `x` above 0, else `negative_slope x`.
        LeakyRelu {
            /// The slope below 0; Keras' default is 0.2.
            negative_slope: f32 = 0.2,
        } = "leaky_relu";
        /// The smooth form of relu, `ln(1 + e^x)`, as `max(x, 0) + ln(1 + e^-|x|)`; the slope at 0 is 1/2.
        Softplus = "softplus";
        /// The rectified linear unit up to 6, `min(max(x, 0), 6)`.
        Relu6 = "relu6";
        /// The scaled exponential linear unit: `elu` of alpha 1.6732632 times 1.050701.
        Selu = "selu";
        /// The elu whose slope is continuous: `x` above 0, else `alpha (e^(x / alpha) - 1)`.
        Celu {
            /// The value that is approached far below, negated; Keras' default is 1.
            alpha: f32 = 1.0,
        } = "celu";
        /// The gated linear unit: of the two halves `a`, `b` of the last axis, `a sigmoid(b)`.
        Glu = "glu";
        /// The self-gated `x tanh(softplus(x))`.
        Mish = "mish";
        /// `e^x`; infinite above 88.7.
        Exponential = "exponential";
        /// `ln sigmoid(x)`, as `-softplus(-x)`.
        LogSigmoid = "log_sigmoid";
        /// `ln softmax(x)` along the last axis, as `x - max x - ln sum e^(x - max x)`.
        LogSoftmax = "log_softmax";
        /// The sigmoid of straight lines, `min(max(x + 3, 0), 6) / 6`.
        HardSigmoid = "hard_sigmoid";
        /// The silu of straight lines, also called hard swish, `x hard_sigmoid(x)`.
        HardSilu = "hard_silu" | "hard_swish";
        /// The tanh of straight lines, `min(max(x, -1), 1)`.
        HardTanh = "hard_tanh";
        /// `x` where `|x| > threshold`, else 0.
        HardShrink {
            /// The magnitude up to which all is 0; Keras' default is 0.5.
            threshold: f32 = 0.5,
        } = "hard_shrink";
        /// `x` moved towards 0 by `threshold`, and 0 within it.
        SoftShrink {
            /// The magnitude up to which all is 0; Keras' default is 0.5.
            threshold: f32 = 0.5,
        } = "soft_shrink";
        /// `x - tanh x`.
        TanhShrink = "tanh_shrink";
        /// `x / (1 + |x|)`.
        Softsign = "softsign";
        /// The softplus of a parabola: 0 up to -1, `(x + 1)^2 / 4`, and `x` from 1 on.
        SparsePlus = "sparse_plus";
        /// The sigmoid of straight lines that belongs to `SparsePlus`, `min(max(x + 1, 0), 2) / 2`.
        SparseSigmoid = "sparse_sigmoid";
        /// Probabilities of classes of which many are 0: the point of the simplex that is nearest to `x`, along the last
        /// axis. Compares all pairs of `C` classes: `C^2` numbers per sample while it runs.
        Sparsemax = "sparsemax";
        /// The softplus of a square root, `(x + sqrt(x^2 + b)) / 2`.
        Squareplus {
            /// How wide the bend is; at least 0, Keras' default is 4.
            b: f32 = 4.0,
        } = "squareplus";
        /// `x` where `x > threshold`, else `default_value`.
        Threshold {
            /// Up to here all is `default_value`; Keras has no default.
            threshold: f32 = f32::NAN,
            /// What stands for numbers up to the threshold; Keras has no default.
            default_value: f32 = f32::NAN,
        } = "threshold";
        /// Relu with all its arguments: `min(x, max_value)` above `threshold`, else `negative_slope (x - threshold)`.
        ReluWith {
            /// The slope below the threshold; Keras' default is 0.
            negative_slope: f32 = 0.0,
            /// The largest output; Keras' default is none.
            max_value: Option<f32> = None,
            /// Where the upper part begins; Keras' default is 0.
            threshold: f32 = 0.0,
        } = "ReLU";
    }
}

/// Where arguments that Keras cannot write are written.
const OWN_MODULE: &str = "footlight.activations";

impl Activation {
    fn known() -> Vec<&'static str> {
        Activation::SPELLINGS.iter().flat_map(|names| names.iter().copied()).filter(|name| *name != "ReLU").collect()
    }

    /// Every activation that has a name of its own and Keras' defaults for all arguments.
    pub fn all() -> Vec<Activation> {
        Activation::defaults().into_iter().filter(|a| a.check().is_ok()).collect()
    }

    /// The name in configurations.
    pub fn name(&self) -> &str {
        self.spellings()[0]
    }

    /// Complains of a name that is not known, or an argument out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the nearest name and all of them, or with the argument and its range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Activation::Unknown(name) => Err(suggest::unknown("activation", name, &Activation::known())),
            Activation::Threshold { threshold, default_value } if !(threshold + default_value).is_finite() => {
                Err(Error::config("activation `threshold` needs two numbers, `threshold` and `default_value`")
                    .help("write Activation::Threshold { threshold: 1.0, default_value: 0.0 }"))
            }
            Activation::Elu { alpha } => within("alpha", *alpha, FINITE),
            Activation::Celu { alpha } => within("alpha", *alpha, POSITIVE),
            Activation::LeakyRelu { negative_slope } => within("negative_slope", *negative_slope, 0.0..f32::INFINITY),
            Activation::HardShrink { threshold } | Activation::SoftShrink { threshold } => {
                within("threshold", *threshold, 0.0..f32::INFINITY)
            }
            Activation::Squareplus { b } => within("b", *b, 0.0..f32::INFINITY),
            Activation::ReluWith { negative_slope, max_value, threshold } => {
                within("max_value", max_value.unwrap_or(0.0), 0.0..f32::INFINITY)?;
                within("negative_slope", *negative_slope, 0.0..f32::INFINITY)?;
                within("threshold", *threshold, 0.0..f32::INFINITY)
            }
            _ => Ok(()),
        }
    }

    /// The shape of the output for an input's.
    ///
    /// # Errors
    /// `Glu` needs a last axis of even extent.
    pub fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let mut shape = input.to_vec();
        match (self, shape.last_mut()) {
            (Activation::Glu, Some(last)) if *last % 2 == 0 => *last /= 2,
            (Activation::Glu, _) => {
                let message = format!("activation `glu` halves the last axis, which must be even: {input:?}");
                return Err(Error::new(ErrorKind::Shape, message));
            }
            _ => {}
        }
        Ok(shape)
    }

    /// The activation of `x` as graph ops.
    pub fn lower(&self, g: &mut Builder, x: Value) -> Value {
        match *self {
            Activation::Linear | Activation::Unknown(_) => x,
            Activation::Relu => relu(g, x),
            Activation::Sigmoid => g.unary(Unary::Sigmoid, x),
            Activation::Tanh => g.unary(Unary::Tanh, x),
            Activation::Softmax => g.softmax(x),
            Activation::Gelu { approximate: false } => gelu(g, x),
            Activation::Gelu { approximate: true } => gelu_tanh(g, x),
            Activation::Silu => gated(g, x, x),
            Activation::Elu { alpha } => elu(g, x, alpha),
            Activation::LeakyRelu { negative_slope } => leaky_relu(g, x, negative_slope),
            Activation::Softplus => softplus(g, x),
            Activation::Relu6 => relu6(g, x),
            Activation::Selu => {
                let elu = elu(g, x, SELU_ALPHA);
                g.mul_scalar(elu, SELU_SCALE)
            }
            Activation::Celu { alpha } => celu(g, x, alpha),
            Activation::Glu => glu(g, x),
            Activation::Mish => {
                let softplus = softplus(g, x);
                let gate = g.unary(Unary::Tanh, softplus);
                g.mul(x, gate)
            }
            Activation::Exponential => g.unary(Unary::Exp, x),
            Activation::LogSigmoid => {
                let opposite = g.neg(x);
                let softplus = softplus(g, opposite);
                g.neg(softplus)
            }
            Activation::LogSoftmax => log_softmax(g, x),
            Activation::HardSigmoid => hard_sigmoid(g, x),
            Activation::HardSilu => {
                let gate = hard_sigmoid(g, x);
                g.mul(x, gate)
            }
            Activation::HardTanh => clip(g, x, -1.0, 1.0),
            Activation::HardShrink { threshold } => {
                let (size, zero) = (g.unary(Unary::Abs, x), g.constant(0.0));
                above(g, size, threshold, x, zero)
            }
            Activation::SoftShrink { threshold } => soft_shrink(g, x, threshold),
            Activation::TanhShrink => {
                let tanh = g.unary(Unary::Tanh, x);
                g.sub(x, tanh)
            }
            Activation::Softsign => {
                let size = g.unary(Unary::Abs, x);
                let scale = g.add_scalar(size, 1.0);
                g.div(x, scale)
            }
            Activation::SparsePlus => sparse_plus(g, x),
            Activation::SparseSigmoid => {
                let inside = clip(g, x, -1.0, 1.0);
                let doubled = g.add_scalar(inside, 1.0);
                g.mul_scalar(doubled, 0.5)
            }
            Activation::Sparsemax => sparsemax(g, x),
            Activation::Squareplus { b } => squareplus(g, x, b),
            Activation::Threshold { threshold, default_value } => {
                let other = g.constant(default_value);
                above(g, x, threshold, x, other)
            }
            Activation::ReluWith { negative_slope, max_value, threshold } => {
                relu_with(g, x, negative_slope, max_value, threshold)
            }
        }
    }

    /// As Keras writes it: a name, or the layer that has the arguments; what Keras cannot write is an object of ours.
    pub fn to_config(&self) -> Json {
        if *self == Activation::from(self.name()) && self.name() != "ReLU" {
            return self.name().into();
        }
        let layer = match self {
            Activation::ReluWith { .. } => "ReLU",
            Activation::LeakyRelu { .. } => "LeakyReLU",
            Activation::Elu { .. } => "ELU",
            _ => return config::object(OWN_MODULE, self.name(), self.settings()),
        };
        let mut config = layers::basics(&to_snake_case(layer), true);
        config.extend(self.settings());
        config::object("keras.layers", layer, config)
    }

    /// From what [`Activation::to_config`] or Keras writes.
    ///
    /// # Errors
    /// An object of an unknown class, or a key or value that is not known; an unknown name is told by
    /// [`Activation::check`].
    pub fn from_config(value: &Json) -> Result<Activation, Error> {
        if let Some(name) = value.as_str() {
            return Ok(Activation::from(name));
        }
        let is_own = value.get("module").and_then(Json::as_str) == Some(OWN_MODULE);
        let (name, config) = if is_own { config::parts(value)? } else { config::open(value)? };
        let place = |e: Error| e.at(format!("activation `{name}`"));
        let mut read = Reader::new(&config);
        let made = match is_own {
            true => Activation::read_settings(&name, &mut read),
            false => Activation::from_layer(&name, &mut read),
        };
        let made = made.map_err(place)?;
        read.finish().map_err(place)?;
        Ok(made)
    }

    /// The classes of Keras' activation layers, which have arguments.
    pub const CLASSES: &[&str] = &["ReLU", "LeakyReLU", "ELU", "Softmax"];

    /// The keys of such a class.
    pub fn keys(class: &str) -> Vec<Key> {
        config::keys_of(|read| Activation::from_layer(class, read).map(|made| made.settings()))
    }

    /// The function of one of Keras' activation layers.
    fn from_layer(class: &str, read: &mut Reader<'_>) -> Result<Activation, Error> {
        read.ignore(&["name", "trainable"]);
        read.dtype()?;
        match class {
            "ReLU" => Activation::read_settings("ReLU", read),
            "LeakyReLU" => Ok(Activation::LeakyRelu { negative_slope: read.f32("negative_slope", 0.3)? }),
            "ELU" => Activation::read_settings("elu", read),
            "Softmax" => read.only("axis", -1).map(|()| Activation::Softmax),
            other => Err(Error::config(format!(
                "`{other}` is no activation layer: only ReLU, LeakyReLU, ELU and Softmax are"
            ))
            .help("a function of Keras' defaults is given by its name")),
        }
    }
}

const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_SCALE: f32 = 1.050_701;

/// `max(0, x)` with the tie at 0 given to the constant, so that the slope there is 0.
pub(crate) fn relu(g: &mut Builder, x: Value) -> Value {
    let zero = g.constant(0.0);
    g.binary(Binary::Maximum, zero, x)
}

/// `min(max(x, low), high)`; ties are given to `x`, a clipped value has no gradient.
pub(crate) fn clip(g: &mut Builder, x: Value, low: f32, high: f32) -> Value {
    let x = g.maximum_scalar(x, low);
    g.minimum_scalar(x, high)
}

/// `ln(1 + e^-|x|)`: what softplus has beyond [`relu`].
pub(crate) fn softplus_tail(g: &mut Builder, x: Value) -> Value {
    let minus_size = minus_size(g, x);
    let exp = g.unary(Unary::Exp, minus_size);
    g.unary(Unary::Log1p, exp)
}

/// `ln(1 + e^x)`.
pub(crate) fn softplus(g: &mut Builder, x: Value) -> Value {
    let positive = relu(g, x);
    let tail = softplus_tail(g, x);
    g.add(positive, tail)
}

/// `x - max x - ln sum e^(x - max x)` along the last axis.
pub(crate) fn log_softmax(g: &mut Builder, x: Value) -> Value {
    let last = [g.shape(x).len().saturating_sub(1)];
    let max = g.reduce_max(x, &last, true);
    let centred = g.sub(x, max);
    let exp = g.unary(Unary::Exp, centred);
    let sum = g.reduce_sum(exp, &last, true);
    let log = g.unary(Unary::Log, sum);
    g.sub(centred, log)
}

/// `-|x|`, the smaller of `x` and `-x`, with the tie at 0 given to `x`: a slope of 1 there makes that of a tail 1/2, and
/// with the 0 of [`relu`] so that of the sum.
fn minus_size(g: &mut Builder, x: Value) -> Value {
    let opposite = g.neg(x);
    g.binary(Binary::Minimum, x, opposite)
}

/// `a` where `x > limit`, else `b`.
fn above(g: &mut Builder, x: Value, limit: f32, a: Value, b: Value) -> Value {
    let limit = g.constant(limit);
    let condition = g.binary(Binary::Greater, x, limit);
    g.select(condition, a, b)
}

/// `a sigmoid(b)`.
fn gated(g: &mut Builder, a: Value, b: Value) -> Value {
    let gate = g.unary(Unary::Sigmoid, b);
    g.mul(a, gate)
}

fn gelu(g: &mut Builder, x: Value) -> Value {
    let scaled = g.mul_scalar(x, std::f32::consts::FRAC_1_SQRT_2);
    let erf = g.unary(Unary::Erf, scaled);
    let twice = g.add_scalar(erf, 1.0);
    let share = g.mul_scalar(twice, 0.5);
    g.mul(x, share)
}

/// The argument of tanh is taken within 10, where tanh is 1 to the last bit, so that the cube stays finite.
fn gelu_tanh(g: &mut Builder, x: Value) -> Value {
    let near = clip(g, x, -10.0, 10.0);
    let square = g.mul(near, near);
    let bend = g.mul_scalar(square, 0.044_715);
    let factor = g.add_scalar(bend, 1.0);
    let line = g.mul_scalar(near, (2.0 / std::f32::consts::PI).sqrt());
    let argument = g.mul(line, factor);
    let tanh = g.unary(Unary::Tanh, argument);
    let twice = g.add_scalar(tanh, 1.0);
    let share = g.mul_scalar(twice, 0.5);
    g.mul(x, share)
}

fn elu(g: &mut Builder, x: Value, alpha: f32) -> Value {
    let negative = g.minimum_scalar(x, 0.0);
    let curve = g.unary(Unary::Expm1, negative);
    let scaled = scale(g, curve, alpha);
    above(g, x, 0.0, x, scaled)
}

fn celu(g: &mut Builder, x: Value, alpha: f32) -> Value {
    let negative = g.minimum_scalar(x, 0.0);
    let stretched = scale(g, negative, 1.0 / alpha);
    let curve = g.unary(Unary::Expm1, stretched);
    let scaled = scale(g, curve, alpha);
    above(g, x, 0.0, x, scaled)
}

/// `factor x`, and `x` itself for a factor of 1.
fn scale(g: &mut Builder, x: Value, factor: f32) -> Value {
    if factor == 1.0 { x } else { g.mul_scalar(x, factor) }
}

fn leaky_relu(g: &mut Builder, x: Value, negative_slope: f32) -> Value {
    let small = g.mul_scalar(x, negative_slope);
    above(g, x, 0.0, x, small)
}

fn relu6(g: &mut Builder, x: Value) -> Value {
    let (six, positive) = (g.constant(6.0), relu(g, x));
    g.binary(Binary::Minimum, six, positive)
}

fn relu_with(g: &mut Builder, x: Value, negative_slope: f32, max_value: Option<f32>, threshold: f32) -> Value {
    let zero = g.constant(0.0);
    let mut upper = above(g, x, threshold, x, zero);
    if let Some(max) = max_value {
        upper = g.minimum_scalar(upper, max);
    }
    if negative_slope == 0.0 {
        return upper;
    }
    let below = g.scalar_sub(threshold, x);
    let below = relu(g, below);
    let lower = g.mul_scalar(below, negative_slope);
    g.sub(upper, lower)
}

/// The halves are taken out by a product with `[1, 0]` and `[0, 1]`.
fn glu(g: &mut Builder, x: Value) -> Value {
    let mut shape = g.shape(x);
    let Some(last) = shape.pop() else { return x };
    let pairs = g.reshape(x, [shape.as_slice(), &[2, last / 2]].concat());
    let [a, b] = [0, 1].map(|half| {
        let index = g.constant_i32(half);
        let index = g.reshape(index, [1]);
        let which = g.one_hot(index, 2);
        let which = g.reshape(which, [2, 1]);
        let kept = g.mul(pairs, which);
        g.reduce_sum(kept, &[shape.len()], false)
    });
    gated(g, a, b)
}

fn hard_sigmoid(g: &mut Builder, x: Value) -> Value {
    let moved = g.add_scalar(x, 3.0);
    let line = relu6(g, moved);
    g.mul_scalar(line, 1.0 / 6.0)
}

fn soft_shrink(g: &mut Builder, x: Value, threshold: f32) -> Value {
    let (zero, opposite) = (g.constant(0.0), g.neg(x));
    let (down, up) = (g.add_scalar(x, -threshold), g.add_scalar(x, threshold));
    let lower = above(g, opposite, threshold, up, zero);
    above(g, x, threshold, down, lower)
}

/// The parabola within `[-1, 1]`, and the line beyond 1.
fn sparse_plus(g: &mut Builder, x: Value) -> Value {
    let inside = clip(g, x, -1.0, 1.0);
    let moved = g.add_scalar(inside, 1.0);
    let half = g.mul_scalar(moved, 0.5);
    let parabola = g.mul(half, half);
    let beyond = g.add_scalar(x, -1.0);
    let line = relu(g, beyond);
    g.add(parabola, line)
}

/// With `n = -|x|`: `max(x, 0) + (b / 2) / (sqrt(n^2 + b) - n)`, which nothing cancels in; `n` ends where its square does.
fn squareplus(g: &mut Builder, x: Value, b: f32) -> Value {
    let positive = relu(g, x);
    let size = minus_size(g, x);
    let n = g.maximum_scalar(size, -1e18);
    let square = g.mul(n, n);
    let sum = g.add_scalar(square, b);
    let root = g.unary(Unary::Sqrt, sum);
    let width = g.sub(root, n);
    let half = g.constant(b / 2.0);
    let tail = g.div(half, width);
    g.add(positive, tail)
}

/// `max(x - tau, 0)` with the tau that makes the sum 1.
///
/// Class `i` is in the support exactly if `sum_j max(x_j - x_i, 0) < 1`, and `tau = (sum of the support - 1) / size`.
/// Nothing further than 1 below the largest is in it, so all is taken from there.
fn sparsemax(g: &mut Builder, x: Value) -> Value {
    let shape = g.shape(x);
    let Some((classes, lead)) = shape.split_last() else { return x };
    let last = lead.len();
    let max = g.reduce_max(x, &[last], true);
    let centred = g.sub(x, max);
    let z = g.maximum_scalar(centred, -2.0);
    let others = g.reshape(z, [lead, &[1, *classes]].concat());
    let own = g.reshape(z, [lead, &[*classes, 1]].concat());
    let gaps = g.sub(others, own);
    let higher = relu(g, gaps);
    let height = g.reduce_sum(higher, &[last + 1], false);
    let (zero, one) = (g.constant(0.0), g.constant(1.0));
    let support = g.binary(Binary::Greater, one, height);
    let members = g.select(support, z, zero);
    let sum = g.reduce_sum(members, &[last], true);
    let size = g.reduce_sum(support, &[last], true);
    let excess = g.add_scalar(sum, -1.0);
    let tau = g.div(excess, size);
    let moved = g.sub(z, tau);
    relu(g, moved)
}
