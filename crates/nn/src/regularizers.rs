//! Penalties on weights, added to the loss.

use crate::config::{self, Config, Key, Reader, config};
use crate::{Error, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};

/// A penalty on a weight that is added to the loss, `l1 sum |w| + l2 sum w^2`.
///
/// It is not scaled by the batch, and has no factor of one half, as in Keras; weights that are not trained have none.
///
/// # Numerics
/// The slope of `|w|` at 0 is 0.
///
/// # Examples
/// ```
/// use footlight_nn::{Dense, L2, Regularizer};
/// assert_eq!(L2::new(0.01), Regularizer { l1: 0.0, l2: 0.01 });
/// let layer = Dense::new(64).kernel_regularizer(L2::new(0.01));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularizer {
    /// The factor of the sum of magnitudes.
    pub l1: f32,
    /// The factor of the sum of squares.
    pub l2: f32,
}

/// The lasso's penalty, `l1 sum |w|`; Keras' default factor is 0.01.
///
/// # References
/// Tibshirani (1996), "Regression shrinkage and selection via the lasso".
#[derive(Clone, Copy, Debug)]
pub struct L1;

/// The ridge's penalty, also called weight decay, `l2 sum w^2`; Keras' default factor is 0.01.
///
/// # References
/// Hoerl and Kennard (1970), "Ridge regression: biased estimation for nonorthogonal problems".
#[derive(Clone, Copy, Debug)]
pub struct L2;

impl L1 {
    /// A penalty on magnitudes.
    #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
    pub fn new(l1: f32) -> Regularizer {
        Regularizer { l1, l2: 0.0 }
    }
}

impl L2 {
    /// A penalty on squares.
    #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
    pub fn new(l2: f32) -> Regularizer {
        Regularizer { l1: 0.0, l2 }
    }
}

/// Names that are understood: classes, then functions.
const NAMES: &[&str] = &["L1", "L2", "L1L2", "l1", "l2", "l1_l2"];

impl Regularizer {
    /// Keras' class names of all regularizers.
    pub const CLASSES: &[&str] = &["L1", "L2", "L1L2"];

    /// The penalty of `w`, a scalar.
    pub fn lower(&self, g: &mut Builder, w: Value) -> Value {
        let mut penalty = None;
        if self.l1 != 0.0 {
            let size = g.unary(Unary::Abs, w);
            let sum = g.sum_all(size);
            penalty = Some(g.mul_scalar(sum, self.l1));
        }
        if self.l2 != 0.0 {
            let square = g.mul(w, w);
            let sum = g.sum_all(square);
            let term = g.mul_scalar(sum, self.l2);
            penalty = Some(penalty.map_or(term, |p| g.add(p, term)));
        }
        penalty.unwrap_or_else(|| g.constant(0.0))
    }

    /// As Keras writes it.
    pub fn to_config(&self) -> serde_json::Value {
        let module = "keras.regularizers";
        match (self.l1 != 0.0, self.l2 != 0.0) {
            (true, false) => config::object(module, "L1", config! { "l1": self.l1 }),
            (false, true) => config::object(module, "L2", config! { "l2": self.l2 }),
            _ => config::object(module, "L1L2", config! { "l1": self.l1, "l2": self.l2 }),
        }
    }

    /// From what Keras writes: an object, or one of the names `l1`, `l2`, `l1_l2`.
    ///
    /// # Errors
    /// A class or key that is not known.
    pub fn from_config(value: &serde_json::Value) -> Result<Regularizer, Error> {
        let (class, config) = match value.as_str() {
            Some(name) => (name.to_string(), Default::default()),
            None => config::open(value)?,
        };
        let mut reader = Reader::new(&config);
        let made = Regularizer::read(&class, &mut reader)?;
        reader.finish()?;
        Ok(made)
    }

    /// The keys of a class of regularizers.
    pub fn keys(class: &str) -> Vec<Key> {
        config::keys_of(|reader| Regularizer::read(class, reader).map(|_| Config::new()))
    }

    fn read(class: &str, read: &mut Reader<'_>) -> Result<Regularizer, Error> {
        Ok(match class {
            "L1" | "l1" => Regularizer { l1: read.f32("l1", 0.01)?, l2: 0.0 },
            "L2" | "l2" => Regularizer { l1: 0.0, l2: read.f32("l2", 0.01)? },
            "L1L2" => Regularizer { l1: read.f32("l1", 0.0)?, l2: read.f32("l2", 0.0)? },
            "l1_l2" => Regularizer { l1: 0.01, l2: 0.01 },
            other => return Err(suggest::unknown("regularizer", other, NAMES)),
        })
    }
}
