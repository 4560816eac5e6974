//! Penalties on weights and activities, added to the loss.

use crate::config::{self, Config, Key, Reader, config, within};
use crate::losses::normalize;
use crate::{Error, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};

/// A penalty on a weight, or on what a layer puts out, that is added to the loss.
///
/// On a weight it is not scaled by the batch; on an activity it is divided by the number of samples. There is no factor of
/// one half, as in Keras; weights that are not trained have no penalty.
///
/// # Numerics
/// The slope of `|w|` at 0 is 0.
///
/// # Examples
/// ```
/// use footlight_nn::{Dense, L2, Regularizer};
/// assert_eq!(L2::new(0.01), Regularizer::L1L2 { l1: 0.0, l2: 0.01 });
/// let layer = Dense::new(64).kernel_regularizer(L2::new(0.01)).activity_regularizer(L2::new(1e-4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Regularizer {
    /// The elastic net's penalty, `l1 sum |w| + l2 sum w^2`.
    ///
    /// # References
    /// Zou and Hastie (2005), "Regularization and variable selection via the elastic net".
    L1L2 {
        /// The factor of the sum of magnitudes; Keras' default is 0.
        l1: f32,
        /// The factor of the sum of squares; Keras' default is 0.
        l2: f32,
    },
    /// See [`OrthogonalRegularizer`].
    Orthogonal {
        /// The factor of the mean; Keras' default is 0.01.
        factor: f32,
        /// Which vectors are made orthogonal; Keras' default is rows.
        mode: Vectors,
    },
}

/// Which vectors of a matrix are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// Its rows.
    Rows,
    /// Its columns, the units of a dense kernel.
    Columns,
}

/// Makes the vectors of a matrix orthogonal: `factor` times the mean of `|cos|` of the angle between each two.
///
/// # Shapes
/// A matrix with at least two such vectors.
///
/// # Numerics
/// A norm is taken as at least 1e-7, as in Keras.
///
/// # References
/// Brock, Lim, Ritchie, Weston (2017), "Neural photo editing with introspective adversarial networks", section 3.3.
///
/// # Examples
/// ```
/// use footlight_nn::{OrthogonalRegularizer, Regularizer, Vectors};
/// let penalty = OrthogonalRegularizer::new(0.1, Vectors::Columns);
/// assert!(penalty.check(&[784, 128]).is_ok() && penalty.check(&[128]).is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OrthogonalRegularizer;

impl OrthogonalRegularizer {
    /// A penalty on cosines.
    #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
    pub fn new(factor: f32, mode: Vectors) -> Regularizer {
        Regularizer::Orthogonal { factor, mode }
    }
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
        Regularizer::L1L2 { l1, l2: 0.0 }
    }
}

impl L2 {
    /// A penalty on squares.
    #[allow(clippy::new_ret_no_self, reason = "the vocabulary is Keras', the type one")]
    pub fn new(l2: f32) -> Regularizer {
        Regularizer::L1L2 { l1: 0.0, l2 }
    }
}

/// Names that are understood: classes, then functions.
const NAMES: &[&str] = &["L1", "L2", "L1L2", "OrthogonalRegularizer", "l1", "l2", "l1_l2", "orthogonal_regularizer"];

impl Regularizer {
    /// Keras' class names of all regularizers.
    pub const CLASSES: &[&str] = &["L1", "L2", "L1L2", "OrthogonalRegularizer"];

    /// Complains of a factor that is negative or no number, and of a weight that has no such vectors.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the factor or the shape.
    pub fn check(&self, shape: &[usize]) -> Result<(), Error> {
        let legal = 0.0..f32::INFINITY;
        match *self {
            Regularizer::L1L2 { l1, l2 } => within("l1", l1, legal.clone()).and_then(|()| within("l2", l2, legal)),
            Regularizer::Orthogonal { factor, mode } => {
                within("factor", factor, legal)?;
                match (shape, mode) {
                    ([count, _], Vectors::Rows) | ([_, count], Vectors::Columns) if *count >= 2 => Ok(()),
                    _ => {
                        let message = format!("orthogonal regularizer: needs a matrix of two vectors, got {shape:?}");
                        Err(Error::config(message))
                    }
                }
            }
        }
    }

    /// The penalty of `w`, a scalar.
    pub fn lower(&self, g: &mut Builder, w: Value) -> Value {
        match *self {
            Regularizer::L1L2 { l1, l2 } => elastic(g, w, l1, l2),
            Regularizer::Orthogonal { factor, mode } => orthogonal(g, w, factor, mode),
        }
    }

    /// As Keras writes it.
    pub fn to_config(&self) -> serde_json::Value {
        let object = |class, config| config::object("keras.regularizers", class, config);
        match *self {
            Regularizer::L1L2 { l1, l2: 0.0 } if l1 != 0.0 => object("L1", config! { "l1": l1 }),
            Regularizer::L1L2 { l1: 0.0, l2 } if l2 != 0.0 => object("L2", config! { "l2": l2 }),
            Regularizer::L1L2 { l1, l2 } => object("L1L2", config! { "l1": l1, "l2": l2 }),
            Regularizer::Orthogonal { factor, mode } => {
                let mode = if mode == Vectors::Rows { "rows" } else { "columns" };
                object("OrthogonalRegularizer", config! { "factor": factor, "mode": mode })
            }
        }
    }

    /// From what Keras writes: an object, or one of the names `l1`, `l2`, `l1_l2`, `orthogonal_regularizer`.
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
            "L1" | "l1" => L1::new(read.f32("l1", 0.01)?),
            "L2" | "l2" => L2::new(read.f32("l2", 0.01)?),
            // The name, unlike the class, stands for a function of other defaults in Keras.
            "l1_l2" => Regularizer::L1L2 { l1: 0.01, l2: 0.01 },
            "L1L2" => Regularizer::L1L2 { l1: read.f32("l1", 0.0)?, l2: read.f32("l2", 0.0)? },
            "OrthogonalRegularizer" | "orthogonal_regularizer" => Regularizer::Orthogonal {
                factor: read.f32("factor", 0.01)?,
                mode: match read.string_or("mode", "rows")?.as_str() {
                    "rows" => Vectors::Rows,
                    "columns" => Vectors::Columns,
                    other => return Err(suggest::unknown("mode", other, &["rows", "columns"]).in_key("mode")),
                },
            },
            other => return Err(suggest::unknown("regularizer", other, NAMES)),
        })
    }
}

/// `l1 sum |w| + l2 sum w^2`, without the terms of factor 0.
fn elastic(g: &mut Builder, w: Value, l1: f32, l2: f32) -> Value {
    let mut penalty = None;
    if l1 != 0.0 {
        let size = g.unary(Unary::Abs, w);
        let sum = g.sum_all(size);
        penalty = Some(g.mul_scalar(sum, l1));
    }
    if l2 != 0.0 {
        let square = g.mul(w, w);
        let sum = g.sum_all(square);
        let term = g.mul_scalar(sum, l2);
        penalty = Some(penalty.map_or(term, |p| g.add(p, term)));
    }
    penalty.unwrap_or_else(|| g.constant(0.0))
}

/// Of unit vectors `u`, the sum of all `|u u^T|` holds each pair twice and a diagonal of `|u_i|^2`, which is taken off.
fn orthogonal(g: &mut Builder, w: Value, factor: f32, mode: Vectors) -> Value {
    let (rows, axis) = (mode == Vectors::Rows, usize::from(mode == Vectors::Rows));
    let unit = normalize(g, w, axis);
    let cosines = g.matmul_with(unit, unit, !rows, rows);
    let size = g.unary(Unary::Abs, cosines);
    let all = g.sum_all(size);
    let square = g.mul(unit, unit);
    let diagonal = g.sum_all(square);
    let pairs = g.sub(all, diagonal);
    let count = g.shape(w)[1 - axis] as f32;
    g.mul_scalar(pairs, factor / (count * (count - 1.0)))
}
