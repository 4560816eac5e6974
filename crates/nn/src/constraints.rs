//! What weights are kept to after each update.

use crate::config::{self, Axes, Key, Reader};
use crate::losses::FUZZ;
use crate::vocabulary::vocabulary;
use crate::{Error, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};
use serde_json::Value as Json;

vocabulary! {
    /// What a weight is kept to: a function of it that replaces it after each update.
    ///
    /// A norm is `n = sqrt(sum w^2)` along `axis`: of a dense kernel `[in, out]`, 0 gives one norm for each unit, of a
    /// convolution's `[height, width, in, out]`, 0, 1 and 2.
    ///
    /// # Numerics
    /// As in Keras a norm is divided by as `1e-7 + n`: a weight of zeros stays zero, and norms come out as much too small.
    ///
    /// # References
    /// Srebro, Rennie, Jaakkola (2004), "Maximum-margin matrix factorization"; Srivastava et al. (2014), "Dropout",
    /// section 5.1 (max norm with dropout).
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Constraint, Dense};
    /// let layer = Dense::new(64).kernel_constraint(Constraint::max_norm(3.0)).bias_constraint(Constraint::NonNeg);
    /// assert_eq!(Constraint::from("non_neg"), Constraint::NonNeg);
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    Constraint: "constraint" {
        /// No norm above `max_value`: `w min(n, max_value) / (1e-7 + n)`.
        MaxNorm {
            /// The largest norm; Keras' default is 2.
            max_value: f32 = 2.0,
            /// The axes a norm is taken along; Keras' default is 0.
            axis: Axes = Axes::from(0),
        } = "MaxNorm" | "max_norm";
        /// No number below 0: `max(w, 0)`.
        NonNeg = "NonNeg" | "non_neg";
        /// All norms 1: `w / (1e-7 + n)`.
        UnitNorm {
            /// The axes a norm is taken along; Keras' default is 0.
            axis: Axes = Axes::from(0),
        } = "UnitNorm" | "unit_norm";
        /// Norms within a range: `w (rate min(max(n, min_value), max_value) + (1 - rate) n) / (1e-7 + n)`.
        MinMaxNorm {
            /// The smallest norm; Keras' default is 0.
            min_value: f32 = 0.0,
            /// The largest norm; Keras' default is 1.
            max_value: f32 = 1.0,
            /// How far a norm outside is moved towards the range, from 0 to 1; Keras' default is 1.
            rate: f32 = 1.0,
            /// The axes a norm is taken along; Keras' default is 0.
            axis: Axes = Axes::from(0),
        } = "MinMaxNorm" | "min_max_norm";
    }
}

impl Constraint {
    fn known() -> Vec<&'static str> {
        Constraint::SPELLINGS.iter().map(|names| names[0]).collect()
    }

    /// Keras' class names of all constraints.
    pub fn class_names() -> Vec<&'static str> {
        Constraint::known()
    }

    /// The keys of a class of constraints.
    pub fn keys(class: &str) -> Vec<Key> {
        config::keys_of(|read| Constraint::read_settings(class, read).map(|made| made.settings()))
    }

    /// Every constraint, with Keras' defaults.
    pub fn all() -> Vec<Constraint> {
        Constraint::defaults()
    }

    /// No norm along axis 0 above `max_value`.
    pub fn max_norm(max_value: f32) -> Constraint {
        Constraint::MaxNorm { max_value, axis: Axes::from(0) }
    }

    /// Complains of a name that is not known, or an axis that a weight of this shape does not have.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the nearest name, or with the axis and the shape.
    pub fn check(&self, shape: &[usize]) -> Result<(), Error> {
        match self {
            Constraint::Unknown(name) => Err(suggest::unknown("constraint", name, &Constraint::known())),
            Constraint::NonNeg => Ok(()),
            Constraint::MaxNorm { axis, .. } | Constraint::UnitNorm { axis } | Constraint::MinMaxNorm { axis, .. } => {
                axis.of(shape.len()).map(|_| ())
            }
        }
    }

    /// What `w` is replaced by.
    pub fn lower(&self, g: &mut Builder, w: Value) -> Value {
        match self {
            Constraint::Unknown(_) => w,
            Constraint::NonNeg => g.maximum_scalar(w, 0.0),
            Constraint::MaxNorm { max_value, axis } => {
                let n = norms(g, w, axis);
                let desired = g.minimum_scalar(n, *max_value);
                rescale(g, w, desired, n)
            }
            Constraint::UnitNorm { axis } => {
                let n = norms(g, w, axis);
                let stable = g.add_scalar(n, FUZZ);
                g.div(w, stable)
            }
            Constraint::MinMaxNorm { min_value, max_value, rate, axis } => {
                let n = norms(g, w, axis);
                let raised = g.maximum_scalar(n, *min_value);
                let inside = g.minimum_scalar(raised, *max_value);
                let moved = g.mul_scalar(inside, *rate);
                let kept = g.mul_scalar(n, 1.0 - rate);
                let desired = g.add(moved, kept);
                rescale(g, w, desired, n)
            }
        }
    }

    /// As Keras writes it.
    pub fn to_config(&self) -> Json {
        config::object("keras.constraints", self.spellings()[0], self.settings())
    }

    /// From what Keras writes: an object, or a name.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config(value: &Json) -> Result<Constraint, Error> {
        let (class, config) = match value.as_str() {
            Some(name) => (name.to_string(), Default::default()),
            None => config::open(value)?,
        };
        let mut read = Reader::new(&config);
        let made = Constraint::read_settings(&class, &mut read)?;
        read.finish().map_err(|e| e.at(format!("constraint `{class}`")))?;
        Ok(made)
    }
}

/// `sqrt(sum w^2)` along the axes, which are kept.
fn norms(g: &mut Builder, w: Value, axes: &Axes) -> Value {
    let axes = axes.of(g.shape(w).len()).unwrap_or_default();
    let square = g.mul(w, w);
    let sum = g.reduce_sum(square, &axes, true);
    g.unary(Unary::Sqrt, sum)
}

/// `w desired / (1e-7 + n)`.
fn rescale(g: &mut Builder, w: Value, desired: Value, n: Value) -> Value {
    let stable = g.add_scalar(n, FUZZ);
    let factor = g.div(desired, stable);
    g.mul(w, factor)
}
