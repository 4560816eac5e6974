//! What training makes small: one catalogue, each family of losses in its own file.

mod custom;
mod hinge;
mod overlap;
mod probabilistic;
mod regression;

pub use custom::{CustomLoss, Rule};
pub use hinge::{CategoricalHinge, Hinge, SquaredHinge};
pub use overlap::{Dice, Tversky};
pub use probabilistic::{
    BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy, KLDivergence, Poisson, SparseCategoricalCrossentropy,
};
pub(crate) use regression::normalize;
pub use regression::{
    CosineSimilarity, Huber, LogCosh, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
    MeanSquaredLogarithmicError,
};

use crate::config::{self, Axes, Key, Reader, config};
use crate::vocabulary::vocabulary;
use crate::{Activation, Custom, Error, ErrorKind, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Graph, Op, Type, Value};
use footlight_tensor::{DType, display_shape};
use std::ops::Bound;

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

impl Prediction<'static> {
    /// A model's output, with the value behind it if it is a softmax or sigmoid of that.
    pub fn of(graph: &Graph, output: Value) -> Prediction<'static> {
        let node = graph.nodes().iter().find(|node| node.outputs.contains(&output));
        let logits = node.and_then(|node| match node.op {
            Op::Softmax(_) => Some((node.inputs[0], &Activation::Softmax)),
            Op::Unary(Unary::Sigmoid) => Some((node.inputs[0], &Activation::Sigmoid)),
            _ => None,
        });
        Prediction { value: output, logits }
    }
}

vocabulary! {
    /// A loss: one number per sample (or per position), averaged over all of them, as Keras' `sum_over_batch_size`.
    ///
    /// # Numerics
    /// A cross-entropy of probabilities that come straight from a softmax or sigmoid is computed from the logits, which
    /// is exact where clipped probabilities are not (TensorFlow's behaviour in Keras; with JAX and PyTorch, Keras clips
    /// at 1e-7).
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
    Loss: "loss" or Custom(CustomLoss) {
        /// See [`struct@MeanSquaredError`].
        MeanSquaredError = "MeanSquaredError" | "mean_squared_error" | "mse" | "MSE";
        /// See [`struct@MeanAbsoluteError`].
        MeanAbsoluteError = "MeanAbsoluteError" | "mean_absolute_error" | "mae" | "MAE";
        /// See [`struct@MeanAbsolutePercentageError`].
        MeanAbsolutePercentageError =
            "MeanAbsolutePercentageError" | "mean_absolute_percentage_error" | "mape" | "MAPE";
        /// See [`struct@MeanSquaredLogarithmicError`].
        MeanSquaredLogarithmicError =
            "MeanSquaredLogarithmicError" | "mean_squared_logarithmic_error" | "msle" | "MSLE";
        /// See [`struct@Huber`].
        Huber {
            /// The error from which the loss is a line; Keras' default is 1.
            delta: f32 = 1.0,
        } = "Huber" | "huber" | "huber_loss";
        /// See [`struct@LogCosh`].
        LogCosh = "LogCosh" | "log_cosh" | "logcosh";
        /// See [`struct@CosineSimilarity`].
        CosineSimilarity = "CosineSimilarity" | "cosine_similarity";
        /// See [`struct@BinaryCrossentropy`].
        BinaryCrossentropy {
            /// Whether predictions are logits; Keras' default is false.
            from_logits: bool = false,
            /// How far targets are moved to 1/2, from 0 to 1; Keras' default is 0.
            label_smoothing: f32 = 0.0,
        } = "BinaryCrossentropy" | "binary_crossentropy" | "bce" | "BCE";
        /// See [`struct@BinaryFocalCrossentropy`].
        BinaryFocalCrossentropy {
            /// Whether targets of 1 weigh `alpha` and targets of 0 weigh `1 - alpha`; Keras' default is false.
            apply_class_balancing: bool = false,
            /// The weight of targets of 1; Keras' default is 0.25.
            alpha: f32 = 0.25,
            /// How much what is right already counts less; Keras' default is 2.
            gamma: f32 = 2.0,
            /// Whether predictions are logits; Keras' default is false.
            from_logits: bool = false,
            /// How far targets are moved to 1/2, from 0 to 1; Keras' default is 0.
            label_smoothing: f32 = 0.0,
        } = "BinaryFocalCrossentropy" | "binary_focal_crossentropy";
        /// See [`struct@CategoricalCrossentropy`].
        CategoricalCrossentropy {
            /// Whether predictions are logits; Keras' default is false.
            from_logits: bool = false,
            /// How far targets are moved to the uniform distribution, from 0 to 1; Keras' default is 0.
            label_smoothing: f32 = 0.0,
        } = "CategoricalCrossentropy" | "categorical_crossentropy";
        /// See [`struct@CategoricalFocalCrossentropy`].
        CategoricalFocalCrossentropy {
            /// The weight of all; Keras' default is 0.25.
            alpha: f32 = 0.25,
            /// How much what is right already counts less; Keras' default is 2.
            gamma: f32 = 2.0,
            /// Whether predictions are logits; Keras' default is false.
            from_logits: bool = false,
            /// How far targets are moved to the uniform distribution, from 0 to 1; Keras' default is 0.
            label_smoothing: f32 = 0.0,
        } = "CategoricalFocalCrossentropy" | "categorical_focal_crossentropy";
        /// See [`struct@SparseCategoricalCrossentropy`].
        SparseCategoricalCrossentropy {
            /// Whether predictions are logits; Keras' default is false.
            from_logits: bool = false,
            /// A class whose samples do not count; Keras' default is none.
            ignore_class: Option<i32> = None,
        } = "SparseCategoricalCrossentropy" | "sparse_categorical_crossentropy";
        /// See [`struct@CategoricalGeneralizedCrossEntropy`].
        CategoricalGeneralizedCrossEntropy {
            /// From a cross-entropy near 0 to an absolute error near 1; Keras' default is 0.5.
            q: f32 = 0.5,
        } = "CategoricalGeneralizedCrossEntropy" | "categorical_generalized_cross_entropy";
        /// See [`struct@KLDivergence`].
        KLDivergence = "KLDivergence" | "kl_divergence" | "kld" | "KLD" | "kullback_leibler_divergence";
        /// See [`struct@Poisson`].
        Poisson = "Poisson" | "poisson";
        /// See [`struct@Hinge`].
        Hinge = "Hinge" | "hinge";
        /// See [`struct@SquaredHinge`].
        SquaredHinge = "SquaredHinge" | "squared_hinge";
        /// See [`struct@CategoricalHinge`].
        CategoricalHinge = "CategoricalHinge" | "categorical_hinge";
        /// See [`struct@Dice`].
        Dice {
            /// The axes that are summed over, counted with that of the batch; Keras' default, none, means all.
            axis: Option<Axes> = None,
        } = "Dice" | "dice";
        /// See [`struct@Tversky`].
        Tversky {
            /// The weight of what is missed; Keras' default is 0.5.
            alpha: f32 = 0.5,
            /// The weight of what is wrongly found; Keras' default is 0.5.
            beta: f32 = 0.5,
            /// The axes that are summed over, counted with that of the batch; Keras' default, none, means all.
            axis: Option<Axes> = None,
        } = "Tversky" | "tversky";
    }
}

/// Losses of defaults, each with its documentation.
macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl $name {
            /// The loss with Keras' defaults.
            #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
            pub fn new() -> $crate::Loss {
                $crate::Loss::from(stringify!($name))
            }
        }
    )*};
}
use losses;

impl Loss {
    fn known() -> Vec<&'static str> {
        Loss::SPELLINGS.iter().map(|names| names[1]).collect()
    }

    /// The losses, each with its defaults.
    pub fn all() -> Vec<Loss> {
        Loss::defaults()
    }

    /// Keras' class name.
    pub fn class_name(&self) -> &str {
        self.spellings()[0]
    }

    /// The name as Keras' function, such as `mean_squared_error`.
    pub fn name(&self) -> &str {
        let spellings = self.spellings();
        spellings.get(1).unwrap_or(&spellings[0])
    }

    /// Complains of a name that is not known or a setting out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the nearest name and all of them, or with the setting and its range.
    pub fn check(&self) -> Result<(), Error> {
        if let Loss::Unknown(name) = self {
            return Err(suggest::unknown("loss", name, &Loss::known()));
        }
        let weight = |key: &str, x: &f32| config::within(key, *x, 0.0..f32::INFINITY);
        let smoothing = |x: &f32| config::within("label_smoothing", *x, 0.0..=1.0);
        let checked = match self {
            Loss::Huber { delta } => weight("delta", delta),
            Loss::BinaryCrossentropy { label_smoothing, .. }
            | Loss::CategoricalCrossentropy { label_smoothing, .. } => smoothing(label_smoothing),
            Loss::BinaryFocalCrossentropy { alpha, gamma, label_smoothing, .. }
            | Loss::CategoricalFocalCrossentropy { alpha, gamma, label_smoothing, .. } => {
                weight("alpha", alpha).and_then(|()| weight("gamma", gamma)).and_then(|()| smoothing(label_smoothing))
            }
            Loss::CategoricalGeneralizedCrossEntropy { q } => {
                config::within("q", *q, (Bound::Excluded(0.0), Bound::Excluded(1.0)))
            }
            Loss::Tversky { alpha, beta, .. } => weight("alpha", alpha).and_then(|()| weight("beta", beta)),
            _ => Ok(()),
        };
        checked.map_err(|e| e.at(format!("loss `{}`", self.class_name())))
    }

    /// Whether targets are integer classes.
    pub fn wants_classes(&self) -> bool {
        match self {
            Loss::SparseCategoricalCrossentropy { .. } | Loss::CategoricalGeneralizedCrossEntropy { .. } => true,
            Loss::Custom(custom) => custom.target_type(&[1, 1]).dtype == DType::I32,
            _ => false,
        }
    }

    /// The number of classes that integer targets may name, for predictions of this shape.
    pub fn num_classes(&self, prediction: &[usize]) -> Option<usize> {
        prediction.last().copied().filter(|_| self.wants_classes())
    }

    /// The type of the targets for predictions of `shape` (with the batch).
    pub fn target_type(&self, shape: &[usize]) -> Type {
        match self {
            Loss::Custom(custom) => custom.target_type(shape),
            _ if self.wants_classes() => Type::i32(&shape[..shape.len().saturating_sub(1)]),
            _ => Type::f32(shape),
        }
    }

    /// The loss of each sample, before averaging; one number for the batch where a loss sums over its axis.
    pub fn lower(&self, g: &mut Builder, y: Value, p: Prediction<'_>) -> Value {
        if g.shape(p.value).len() < 2 {
            let message =
                format!("predictions have shape {}, a loss needs a last axis", display_shape(&g.shape(p.value)));
            return g.fault(footlight_graph::ErrorKind::Shape, message, Some("end the model with a Dense layer"));
        }
        match self {
            Loss::MeanSquaredError => regression::squared(g, y, p.value),
            Loss::MeanAbsoluteError => regression::absolute(g, y, p.value),
            Loss::MeanAbsolutePercentageError => regression::percentage(g, y, p.value),
            Loss::MeanSquaredLogarithmicError => regression::logarithmic(g, y, p.value),
            Loss::Huber { delta } => regression::huber(g, y, p.value, *delta),
            Loss::LogCosh => regression::log_cosh(g, y, p.value),
            Loss::CosineSimilarity => regression::cosine(g, y, p.value),
            Loss::BinaryCrossentropy { from_logits, label_smoothing } => {
                let y = probabilistic::smooth(g, y, *label_smoothing, 2);
                probabilistic::binary(g, y, p, *from_logits)
            }
            Loss::BinaryFocalCrossentropy { apply_class_balancing, alpha, gamma, from_logits, label_smoothing } => {
                let y = probabilistic::smooth(g, y, *label_smoothing, 2);
                let p = if *from_logits { Activation::Sigmoid.lower(g, p.value) } else { p.value };
                probabilistic::binary_focal(g, y, p, apply_class_balancing.then_some(*alpha), *gamma)
            }
            Loss::CategoricalCrossentropy { from_logits, label_smoothing } => {
                let y = smooth_classes(g, y, *label_smoothing);
                probabilistic::categorical(g, y, p, *from_logits)
            }
            Loss::CategoricalFocalCrossentropy { alpha, gamma, from_logits, label_smoothing } => {
                let y = smooth_classes(g, y, *label_smoothing);
                let p = if *from_logits { Activation::Softmax.lower(g, p.value) } else { p.value };
                probabilistic::categorical_focal(g, y, p, *alpha, *gamma)
            }
            Loss::SparseCategoricalCrossentropy { from_logits, ignore_class } => match ignore_class {
                None => probabilistic::sparse(g, y, p, *from_logits),
                Some(class) => probabilistic::sparse_ignoring(g, y, p, *from_logits, *class),
            },
            Loss::CategoricalGeneralizedCrossEntropy { q } => probabilistic::generalized(g, y, p.value, *q),
            Loss::KLDivergence => probabilistic::divergence(g, y, p.value),
            Loss::Poisson => probabilistic::poisson(g, y, p.value),
            Loss::Hinge => hinge::hinge(g, y, p.value),
            Loss::SquaredHinge => hinge::squared(g, y, p.value),
            Loss::CategoricalHinge => hinge::categorical(g, y, p.value),
            Loss::Dice { axis } => overlap::dice(g, y, p.value, axis.as_ref()),
            Loss::Tversky { alpha, beta, axis } => overlap::tversky(g, y, p.value, [*alpha, *beta], axis.as_ref()),
            Loss::Custom(custom) => custom.lower(g, y, p.value),
            Loss::Unknown(name) => g.fault(footlight_graph::ErrorKind::Invalid, format!("unknown loss `{name}`"), None),
        }
    }

    /// As Keras writes it in a compile configuration: a loss of defaults by name, else an object.
    pub fn to_config(&self) -> serde_json::Value {
        if *self == Loss::from(self.name()) {
            return self.name().into();
        }
        let mut config = config! { "name": self.name(), "reduction": "sum_over_batch_size" };
        config.extend(self.settings());
        match self {
            Loss::Custom(custom) => config::custom_object(custom.class_name(), config),
            _ => config::object("keras.losses", self.class_name(), config),
        }
    }

    /// From what Keras writes: a name or an object.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config(value: &serde_json::Value) -> Result<Loss, Error> {
        Loss::from_config_with(value, &Custom::new())
    }

    /// As [`Loss::from_config`], with losses of one's own.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config_with(value: &serde_json::Value, custom: &Custom) -> Result<Loss, Error> {
        if let Some(found) = custom.find_loss(value) {
            return found.made(|read, config| {
                config.ignore(&["name", "reduction", "dtype"]);
                read(config)
            });
        }
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
        made.check()?;
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
            Some(other) => {
                let fault = suggest::unknown("reduction", other, &["sum_over_batch_size", "mean"]);
                return Err(fault.in_key("reduction"));
            }
        }
        Loss::from_settings(class, read)
    }

    /// The loss of a class by Keras' keys, which those of the metric of that name share.
    pub(crate) fn from_settings(class: &str, read: &mut Reader<'_>) -> Result<Loss, Error> {
        let made = Loss::read_settings(class, read)?;
        match made {
            Loss::Dice { .. } | Loss::Tversky { .. } => {}
            _ => read.only("axis", -1)?,
        }
        if !made.settings().contains_key("from_logits") {
            read.only("from_logits", false)?;
        }
        Ok(made)
    }
}

/// Targets of classes moved to the uniform distribution.
fn smooth_classes(g: &mut Builder, y: Value, label_smoothing: f32) -> Value {
    let classes = g.shape(y).last().copied().unwrap_or(1);
    probabilistic::smooth(g, y, label_smoothing, classes)
}

/// The last axis.
fn last(g: &Builder, x: Value) -> [usize; 1] {
    [g.shape(x).len().saturating_sub(1)]
}

/// The mean along the last axis.
fn mean_last(g: &mut Builder, x: Value) -> Value {
    let last = last(g, x);
    g.reduce_mean(x, &last, false)
}

/// The sum along the last axis.
fn sum_last(g: &mut Builder, x: Value) -> Value {
    let last = last(g, x);
    g.reduce_sum(x, &last, false)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_no_finite_numbers_are_refused() {
        for x in [f32::NAN, f32::INFINITY, -1.0] {
            for loss in [
                Loss::Huber { delta: x },
                Loss::BinaryCrossentropy { from_logits: false, label_smoothing: x },
                Loss::CategoricalFocalCrossentropy { alpha: 0.25, gamma: x, from_logits: false, label_smoothing: 0.0 },
                Loss::CategoricalGeneralizedCrossEntropy { q: x },
                Loss::Tversky { alpha: 0.5, beta: x, axis: None },
            ] {
                let error = loss.check().unwrap_err();
                assert!(error.message().contains(&format!(" = {x} must be in ")), "{error}");
            }
        }
        assert!(Loss::all().iter().all(|loss| loss.check().is_ok()));
    }
}
