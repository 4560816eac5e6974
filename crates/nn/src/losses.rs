//! What training makes small.

use crate::activations::{relu, softplus_tail};
use crate::config::{self, Config, Key, Reader, config};
use crate::{Activation, Error, ErrorKind, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Type, Value};
use footlight_tensor::display_shape;

/// Keras' fuzz factor: probabilities are kept this far from 0 and 1.
pub(crate) const FUZZ: f32 = 1e-7;

/// A prediction, with what a cross-entropy can use of it.
#[derive(Clone, Copy, Debug)]
pub struct Prediction<'a> {
    /// The model's output.
    pub value: Value,
    /// The value the last activation was applied to, and that activation.
    pub logits: Option<(Value, &'a Activation)>,
}

/// A loss: one number per sample (or per position), averaged over all of them, as Keras' `sum_over_batch_size`.
///
/// # Numerics
/// A cross-entropy of probabilities that come straight from a softmax or sigmoid is computed from the logits, which is
/// exact where clipped probabilities are not (TensorFlow's behaviour in Keras; with JAX and PyTorch, Keras clips at 1e-7).
///
/// # Examples
/// ```
/// use footlight_cpu::naive::{self, NaiveData, NaiveValue};
/// use footlight_graph::{Builder, Type};
/// use footlight_nn::{Loss, losses::Prediction};
/// let mut g = Builder::new();
/// let (y, p) = (g.input("y", Type::f32([1, 3])), g.input("p", Type::f32([1, 3])));
/// let each = Loss::from("mae").lower(&mut g, y, Prediction { value: p, logits: None });
/// g.output("loss", each);
/// let row = |name: &str, x: [f64; 3]| (name.to_string(), NaiveValue::float([1, 3], x.to_vec()));
/// let feeds = [row("y", [1.0, 2.0, 3.0]), row("p", [1.5, 2.0, 0.5])].into();
/// let outputs = naive::run(&g.finish().unwrap(), &feeds, &mut Default::default()).unwrap();
/// assert!(matches!(&outputs["loss"].data, NaiveData::Float(x) if (x[0] - 1.0).abs() < 1e-6));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// See [`struct@MeanSquaredError`].
    MeanSquaredError,
    /// See [`struct@MeanAbsoluteError`].
    MeanAbsoluteError,
    /// See [`struct@BinaryCrossentropy`].
    BinaryCrossentropy {
        /// Whether predictions are logits; default false.
        from_logits: bool,
    },
    /// See [`struct@CategoricalCrossentropy`].
    CategoricalCrossentropy {
        /// Whether predictions are logits; default false.
        from_logits: bool,
    },
    /// See [`struct@SparseCategoricalCrossentropy`].
    SparseCategoricalCrossentropy {
        /// Whether predictions are logits; default false.
        from_logits: bool,
    },
    /// A name that was given as text and is not known; reported when the model is compiled.
    Unknown(String),
}

/// The mean of squared errors, `mean (y - p)^2` over the last axis.
///
/// # Shapes
/// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
///
/// # Examples
/// ```
/// use footlight_nn::{Loss, MeanSquaredError};
/// assert_eq!(MeanSquaredError::new(), Loss::from("mse"));
/// ```
pub struct MeanSquaredError;

/// The mean of absolute errors, `mean |y - p|` over the last axis.
///
/// # Shapes
/// Targets `y` and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
///
/// # Numerics
/// The gradient of an error of 0 is 0.
///
/// # Examples
/// ```
/// use footlight_nn::{Loss, MeanAbsoluteError};
/// assert_eq!(MeanAbsoluteError::new(), Loss::from("mae"));
/// ```
pub struct MeanAbsoluteError;

/// The cross-entropy of two classes, `-mean (y ln p + (1 - y) ln(1 - p))` over the last axis.
///
/// # Shapes
/// Targets `y` (from 0 to 1) and predictions `p` `[N, ..., F]`, the loss of each sample `[N, ...]`.
///
/// # Arguments
/// Predictions are probabilities with [`BinaryCrossentropy::new`] (`from_logits` false, Keras' default), logits with
/// [`BinaryCrossentropy::from_logits`].
///
/// # Numerics
/// Of logits `x`, and of the sigmoid of them: `max(x, 0) - x y + ln(1 + e^-|x|)`, finite for every finite `x`, with the
/// gradient `sigmoid(x) - y`. Other probabilities are clipped to `[1e-7, 1 - 1e-7]`; a clipped one has no gradient.
///
/// # References
/// Goodfellow, Bengio, Courville (2016), "Deep learning", section 6.2.2.2.
///
/// # Examples
/// ```
/// use footlight_nn::{BinaryCrossentropy, Loss};
/// assert_eq!(BinaryCrossentropy::from_logits(), Loss::BinaryCrossentropy { from_logits: true });
/// ```
pub struct BinaryCrossentropy;

/// The cross-entropy of classes given as distributions, `-sum y ln p` over the last axis.
///
/// # Shapes
/// Targets `y` (one-hot or a distribution) and predictions `p` `[N, ..., C]`, the loss of each sample `[N, ...]`.
///
/// # Arguments
/// Predictions are probabilities with [`CategoricalCrossentropy::new`] (`from_logits` false, Keras' default), logits with
/// [`CategoricalCrossentropy::from_logits`].
///
/// # Numerics
/// Of logits `x`, and of the softmax of them: `ln p = x - max x - ln sum e^(x - max x)`. Other probabilities are divided
/// by their sum, then clipped to `[1e-7, 1 - 1e-7]`; a clipped one has no gradient.
///
/// # References
/// Goodfellow, Bengio, Courville (2016), "Deep learning", section 6.2.2.3.
///
/// # Examples
/// ```
/// use footlight_nn::{CategoricalCrossentropy, Loss};
/// assert_eq!(CategoricalCrossentropy::new(), Loss::from("categorical_crossentropy"));
/// ```
pub struct CategoricalCrossentropy;

/// The cross-entropy of classes given as whole numbers, `-ln p[y]` along the last axis.
///
/// # Shapes
/// Targets `y` (classes `0..C`) `[N, ...]`, predictions `p` `[N, ..., C]`, the loss of each sample `[N, ...]`.
///
/// # Arguments
/// Predictions are probabilities with [`SparseCategoricalCrossentropy::new`] (`from_logits` false, Keras' default),
/// logits with [`SparseCategoricalCrossentropy::from_logits`].
///
/// # Numerics
/// As [`struct@CategoricalCrossentropy`]; of logits, loss and softmax are one op, with the gradient `p - one_hot(y)`.
///
/// # References
/// Goodfellow, Bengio, Courville (2016), "Deep learning", section 6.2.2.3.
///
/// # Examples
/// ```
/// use footlight_nn::SparseCategoricalCrossentropy;
/// assert_eq!(SparseCategoricalCrossentropy::new().target_type(&[32, 10]).shape, [32]);
/// ```
pub struct SparseCategoricalCrossentropy;

macro_rules! constructors {
    ($($name:ident => $plain:expr $(, $logits:expr)?;)*) => {$(
        impl $name {
            /// The loss with Keras' defaults.
            #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
            pub fn new() -> Loss {
                $plain
            }
            $(
                /// The loss of predictions that are logits.
                pub fn from_logits() -> Loss {
                    $logits
                }
            )?
        }
    )*};
}

constructors! {
    MeanSquaredError => Loss::MeanSquaredError;
    MeanAbsoluteError => Loss::MeanAbsoluteError;
    BinaryCrossentropy => Loss::BinaryCrossentropy { from_logits: false }, Loss::BinaryCrossentropy { from_logits: true };
    CategoricalCrossentropy => Loss::CategoricalCrossentropy { from_logits: false },
        Loss::CategoricalCrossentropy { from_logits: true };
    SparseCategoricalCrossentropy => Loss::SparseCategoricalCrossentropy { from_logits: false },
        Loss::SparseCategoricalCrossentropy { from_logits: true };
}

/// Class, function name and further names.
const NAMES: &[(&str, &str, &[&str])] = &[
    ("MeanSquaredError", "mean_squared_error", &["mse", "MSE"]),
    ("MeanAbsoluteError", "mean_absolute_error", &["mae", "MAE"]),
    ("BinaryCrossentropy", "binary_crossentropy", &["bce", "BCE"]),
    ("CategoricalCrossentropy", "categorical_crossentropy", &[]),
    ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", &[]),
];

impl From<&str> for Loss {
    fn from(name: &str) -> Loss {
        let known = |(class, function, more): &&(&str, &str, &[&str])| {
            *class == name || *function == name || more.contains(&name)
        };
        match NAMES.iter().find(known) {
            Some((class, ..)) => Loss::from_class(class, false),
            None => Loss::Unknown(name.into()),
        }
    }
}

impl Loss {
    fn from_class(class: &str, from_logits: bool) -> Loss {
        match class {
            "MeanSquaredError" => Loss::MeanSquaredError,
            "MeanAbsoluteError" => Loss::MeanAbsoluteError,
            "BinaryCrossentropy" => Loss::BinaryCrossentropy { from_logits },
            "CategoricalCrossentropy" => Loss::CategoricalCrossentropy { from_logits },
            "SparseCategoricalCrossentropy" => Loss::SparseCategoricalCrossentropy { from_logits },
            other => Loss::Unknown(other.into()),
        }
    }

    /// All names, for each loss its class last.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .flat_map(|(class, function, more)| [*function].into_iter().chain(more.iter().copied()).chain([*class]))
    }

    /// The losses, each with its defaults.
    pub fn all() -> Vec<Loss> {
        NAMES.iter().map(|(class, ..)| Loss::from_class(class, false)).collect()
    }

    /// Keras' class name.
    pub fn class_name(&self) -> &str {
        match self {
            Loss::MeanSquaredError => "MeanSquaredError",
            Loss::MeanAbsoluteError => "MeanAbsoluteError",
            Loss::BinaryCrossentropy { .. } => "BinaryCrossentropy",
            Loss::CategoricalCrossentropy { .. } => "CategoricalCrossentropy",
            Loss::SparseCategoricalCrossentropy { .. } => "SparseCategoricalCrossentropy",
            Loss::Unknown(name) => name,
        }
    }

    /// The name as Keras' function, such as `mean_squared_error`.
    pub fn name(&self) -> &str {
        NAMES.iter().find(|(class, ..)| *class == self.class_name()).map_or(self.class_name(), |(_, name, _)| name)
    }

    /// Complains of a name that is not known.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the nearest name and all of them.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Loss::Unknown(name) => {
                Err(suggest::unknown("loss", name, &NAMES.iter().map(|(_, n, _)| *n).collect::<Vec<_>>()))
            }
            _ => Ok(()),
        }
    }

    /// Whether targets are integer classes.
    pub fn wants_classes(&self) -> bool {
        matches!(self, Loss::SparseCategoricalCrossentropy { .. })
    }

    /// The number of classes that integer targets may name, for predictions of this shape.
    pub fn num_classes(&self, prediction: &[usize]) -> Option<usize> {
        prediction.last().copied().filter(|_| self.wants_classes())
    }

    /// The type of the targets for predictions of `shape` (with the batch).
    pub fn target_type(&self, shape: &[usize]) -> Type {
        if self.wants_classes() { Type::i32(&shape[..shape.len().saturating_sub(1)]) } else { Type::f32(shape) }
    }

    /// The loss of each sample, before averaging.
    pub fn lower(&self, g: &mut Builder, y: Value, p: Prediction<'_>) -> Value {
        let rank = g.shape(p.value).len();
        if rank < 2 {
            let message =
                format!("predictions have shape {}, a loss needs a last axis", display_shape(&g.shape(p.value)));
            return g.fault(footlight_graph::ErrorKind::Shape, message, Some("end the model with a Dense layer"));
        }
        let last = [rank - 1];
        let logits_of = |from_logits: bool, wanted: &Activation| match p.logits {
            _ if from_logits => Some(p.value),
            Some((logits, activation)) if activation == wanted => Some(logits),
            _ => None,
        };
        match self {
            Loss::MeanSquaredError => {
                let d = g.sub(p.value, y);
                let square = g.mul(d, d);
                g.reduce_mean(square, &last, false)
            }
            Loss::MeanAbsoluteError => {
                let d = g.sub(p.value, y);
                let size = g.unary(Unary::Abs, d);
                g.reduce_mean(size, &last, false)
            }
            Loss::BinaryCrossentropy { from_logits } => {
                let loss = match logits_of(*from_logits, &Activation::Sigmoid) {
                    Some(x) => binary_from_logits(g, y, x),
                    None => binary_from_probabilities(g, y, p.value),
                };
                g.reduce_mean(loss, &last, false)
            }
            Loss::CategoricalCrossentropy { from_logits } => {
                let log = match logits_of(*from_logits, &Activation::Softmax) {
                    Some(x) => log_softmax(g, x, &last),
                    None => log_of_probabilities(g, p.value, &last),
                };
                let product = g.mul(y, log);
                let sum = g.reduce_sum(product, &last, false);
                g.neg(sum)
            }
            Loss::SparseCategoricalCrossentropy { from_logits } => {
                match logits_of(*from_logits, &Activation::Softmax) {
                    Some(x) => g.sparse_softmax_cross_entropy(x, y).0,
                    None => {
                        let log = log_of_probabilities(g, p.value, &last);
                        let classes = g.shape(p.value)[rank - 1];
                        let own = g.one_hot(y, classes);
                        let product = g.mul(own, log);
                        let sum = g.reduce_sum(product, &last, false);
                        g.neg(sum)
                    }
                }
            }
            Loss::Unknown(name) => g.fault(footlight_graph::ErrorKind::Invalid, format!("unknown loss `{name}`"), None),
        }
    }

    /// Whether predictions are logits; `None` for a loss that cannot be told so.
    fn takes_logits(&self) -> Option<bool> {
        match self {
            Loss::BinaryCrossentropy { from_logits }
            | Loss::CategoricalCrossentropy { from_logits }
            | Loss::SparseCategoricalCrossentropy { from_logits } => Some(*from_logits),
            _ => None,
        }
    }

    /// Keras' keys of this class, which those of the metric of that name share.
    pub(crate) fn settings(&self) -> Config {
        self.takes_logits().map_or_else(Config::new, |from_logits| config! { "from_logits": from_logits })
    }

    /// The loss of a class by the keys of [`Loss::settings`].
    pub(crate) fn from_settings(class: &str, read: &mut Reader<'_>) -> Result<Loss, Error> {
        let plain = Loss::from_class(class, false);
        plain.check()?;
        if plain.takes_logits().is_none() {
            return read.only("from_logits", false).map(|()| plain);
        }
        read.only("label_smoothing", 0.0)?;
        read.only("axis", -1)?;
        read.refuse(&["ignore_class"])?;
        Ok(Loss::from_class(class, read.bool("from_logits", false)?))
    }

    /// As Keras writes it in a compile configuration: a loss of defaults by name, else an object.
    pub fn to_config(&self) -> serde_json::Value {
        if self.takes_logits() != Some(true) {
            return self.name().into();
        }
        let mut config = config! { "name": self.name(), "reduction": "sum_over_batch_size" };
        config.extend(self.settings());
        config::object("keras.losses", self.class_name(), config)
    }

    /// From what Keras writes: a name or an object.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config(value: &serde_json::Value) -> Result<Loss, Error> {
        if let Some(name) = value.as_str() {
            let made = Loss::from(name);
            made.check()?;
            return Ok(made);
        }
        let (class, config) = config::open(value)?;
        let place = |e: Error| e.at(format!("loss `{class}`"));
        let mut read = Reader::new(&config);
        let made = Loss::read(&class, &mut read).map_err(place)?;
        read.finish().map_err(place)?;
        Ok(made)
    }

    /// The keys of a class of losses.
    pub fn keys(class: &str) -> Vec<Key> {
        config::keys_of(|read| Ok(Loss::read(class, read)?.settings()))
    }

    fn read(class: &str, read: &mut Reader<'_>) -> Result<Loss, Error> {
        read.ignore(&["name", "fn"]);
        read.dtype()?;
        match read.string("reduction")?.as_deref() {
            None | Some("sum_over_batch_size" | "mean") => {}
            Some(other) => return Err(suggest::unknown("reduction", other, &["sum_over_batch_size", "mean"])),
        }
        Loss::from_settings(class, read)
    }
}

/// `max(x, 0) - x y + ln(1 + e^-|x|)`.
fn binary_from_logits(g: &mut Builder, y: Value, x: Value) -> Value {
    let positive = relu(g, x);
    let product = g.mul(x, y);
    let tail = softplus_tail(g, x);
    let line = g.sub(positive, product);
    g.add(line, tail)
}

fn binary_from_probabilities(g: &mut Builder, y: Value, p: Value) -> Value {
    let p = clip(g, p);
    let log = g.unary(Unary::Log, p);
    let rest = g.scalar_sub(1.0, p);
    let log_rest = g.unary(Unary::Log, rest);
    let first = g.mul(y, log);
    let other = g.scalar_sub(1.0, y);
    let second = g.mul(other, log_rest);
    let sum = g.add(first, second);
    g.neg(sum)
}

/// `x - max x - ln sum e^(x - max x)`.
fn log_softmax(g: &mut Builder, x: Value, last: &[usize]) -> Value {
    let max = g.reduce_max(x, last, true);
    let centred = g.sub(x, max);
    let exp = g.unary(Unary::Exp, centred);
    let sum = g.reduce_sum(exp, last, true);
    let log = g.unary(Unary::Log, sum);
    g.sub(centred, log)
}

/// `ln` of probabilities scaled to the sum 1 and clipped.
fn log_of_probabilities(g: &mut Builder, p: Value, last: &[usize]) -> Value {
    let sum = g.reduce_sum(p, last, true);
    let p = g.div(p, sum);
    let p = clip(g, p);
    g.unary(Unary::Log, p)
}

/// `min(max(p, 1e-7), 1 - 1e-7)`; a clipped value has no gradient.
fn clip(g: &mut Builder, p: Value) -> Value {
    let p = g.maximum_scalar(p, FUZZ);
    g.minimum_scalar(p, 1.0 - FUZZ)
}

/// The error for targets that do not fit the predictions.
pub fn target_mismatch(loss: &Loss, got: &[usize], prediction: &[usize]) -> Error {
    let want = loss.target_type(&[&[0], prediction].concat()).shape;
    let message = format!(
        "targets of one sample have shape {}, loss `{}` expects {}\n  the model predicts {} for each sample",
        display_shape(got),
        loss.name(),
        display_shape(&want[1..]),
        display_shape(prediction)
    );
    let help = match loss {
        Loss::CategoricalCrossentropy { .. } => "for integer classes use sparse_categorical_crossentropy",
        Loss::SparseCategoricalCrossentropy { .. } => "for one-hot targets use categorical_crossentropy",
        _ => "make the last layer as wide as the targets",
    };
    Error::new(ErrorKind::Shape, message).help(help)
}
