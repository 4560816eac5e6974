//! Activation functions, each lowered in a stable form.

use crate::{Error, suggest};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};

/// An elementwise function (softmax: along the last axis) applied to a layer's output.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Numerics
/// All are finite, with their gradients, for every finite input. Slopes at a kink are Keras', those of the part below it:
/// 0 for `Relu`, 0.2 for `LeakyRelu`.
///
/// # Differences
/// `LeakyRelu` has Keras' slope of the function, 0.2; the layer of that name has 0.3 in Keras, PyTorch's has 0.01.
///
/// # References
/// Nair and Hinton (2010), "Rectified linear units improve restricted Boltzmann machines" (relu); Hendrycks and Gimpel
/// (2016), "Gaussian error linear units" (gelu); Elfwing, Uchibe, Doya (2018), "Sigmoid-weighted linear units for neural
/// network function approximation in reinforcement learning" (silu); Clevert, Unterthiner, Hochreiter (2016), "Fast and
/// accurate deep network learning by exponential linear units" (elu); Maas, Hannun, Ng (2013), "Rectifier nonlinearities
/// improve neural network acoustic models" (leaky_relu); Dugas et al. (2001), "Incorporating second-order functional
/// knowledge for better option pricing" (softplus).
///
/// # Examples
/// ```
/// use footlight_nn::Activation;
/// assert_eq!(Activation::from("swish"), Activation::Silu);
/// assert!(Activation::from("sigmiod").check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Activation {
    /// `x`: none at all, the default of every layer.
    #[default]
    Linear,
    /// The rectified linear unit, `max(x, 0)`.
    Relu,
    /// The logistic function, `1 / (1 + e^-x)`.
    Sigmoid,
    /// The hyperbolic tangent, `(e^x - e^-x) / (e^x + e^-x)`.
    Tanh,
    /// Probabilities of classes, `e^x / sum e^x` along the last axis, as `e^(x - max x)`.
    Softmax,
    /// The Gaussian error linear unit, `x Phi(x) = x (1 + erf(x / sqrt 2)) / 2`; Keras' default, not its `tanh` form.
    Gelu,
    /// The sigmoid linear unit, also called swish, `x / (1 + e^-x)`.
    Silu,
    /// The exponential linear unit: `x` above 0, else `e^x - 1` (Keras' alpha of 1).
    Elu,
    /// The leaky rectified linear unit: `x` above 0, else `0.2 x`.
    LeakyRelu,
    /// The smooth form of relu, `ln(1 + e^x)`, as `max(x, 0) + ln(1 + e^-|x|)`; the slope at 0 is 1/2.
    Softplus,
    /// A name that was given as text and is not known; reported when the model is built.
    Unknown(String),
}

const NAMES: &[(&str, Activation)] = &[
    ("linear", Activation::Linear),
    ("relu", Activation::Relu),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("softmax", Activation::Softmax),
    ("gelu", Activation::Gelu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("elu", Activation::Elu),
    ("leaky_relu", Activation::LeakyRelu),
    ("softplus", Activation::Softplus),
];

impl From<&str> for Activation {
    fn from(name: &str) -> Activation {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Activation::Unknown(name.into()), |(_, activation)| activation.clone())
    }
}

impl Activation {
    /// Every activation that has a name.
    pub fn all() -> Vec<Activation> {
        let mut all: Vec<Activation> = NAMES.iter().map(|(_, a)| a.clone()).collect();
        all.dedup();
        all
    }

    /// The name in configurations.
    pub fn name(&self) -> &str {
        match self {
            Activation::Unknown(name) => name,
            known => NAMES.iter().find(|(_, a)| a == known).map_or("", |(name, _)| name),
        }
    }

    /// Complains of a name that is not known.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the nearest name and all of them.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Activation::Unknown(name) => {
                Err(suggest::unknown("activation", name, &NAMES.iter().map(|(n, _)| *n).collect::<Vec<_>>()))
            }
            _ => Ok(()),
        }
    }

    /// The activation of `x` as graph ops.
    pub fn lower(&self, g: &mut Builder, x: Value) -> Value {
        match self {
            Activation::Linear | Activation::Unknown(_) => x,
            Activation::Relu => relu(g, x),
            Activation::Sigmoid => g.unary(Unary::Sigmoid, x),
            Activation::Tanh => g.unary(Unary::Tanh, x),
            Activation::Softmax => g.softmax(x),
            Activation::Gelu => {
                let scaled = g.mul_scalar(x, std::f32::consts::FRAC_1_SQRT_2);
                let erf = g.unary(Unary::Erf, scaled);
                let twice = g.add_scalar(erf, 1.0);
                let share = g.mul_scalar(twice, 0.5);
                g.mul(x, share)
            }
            Activation::Silu => {
                let gate = g.unary(Unary::Sigmoid, x);
                g.mul(x, gate)
            }
            Activation::Elu => {
                let negative = g.minimum_scalar(x, 0.0);
                let curve = g.unary(Unary::Expm1, negative);
                above_zero(g, x, x, curve)
            }
            Activation::LeakyRelu => {
                let small = g.mul_scalar(x, 0.2);
                above_zero(g, x, x, small)
            }
            Activation::Softplus => {
                let positive = relu(g, x);
                let tail = softplus_tail(g, x);
                g.add(positive, tail)
            }
        }
    }
}

/// `max(0, x)` with the tie at 0 given to the constant, so that the slope there is 0.
pub(crate) fn relu(g: &mut Builder, x: Value) -> Value {
    let zero = g.constant(0.0);
    g.binary(Binary::Maximum, zero, x)
}

/// `ln(1 + e^-|x|)`: what softplus has beyond [`relu`].
///
/// `-|x|` is the smaller of `x` and `-x`, the tie at 0 given to `x`: its slope of 1 there makes that of the tail 1/2, and
/// so that of the sum.
pub(crate) fn softplus_tail(g: &mut Builder, x: Value) -> Value {
    let opposite = g.neg(x);
    let minus_size = g.binary(Binary::Minimum, x, opposite);
    let exp = g.unary(Unary::Exp, minus_size);
    g.unary(Unary::Log1p, exp)
}

/// `a` where `x > 0`, else `b`.
fn above_zero(g: &mut Builder, x: Value, a: Value, b: Value) -> Value {
    let zero = g.constant(0.0);
    let condition = g.binary(Binary::Greater, x, zero);
    g.select(condition, a, b)
}
