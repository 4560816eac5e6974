//! What is told of training: means over the samples of an epoch.

use crate::config;
use crate::losses::Prediction;
use crate::{Error, Loss, suggest};
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value};
use footlight_tensor::DType;

/// How predictions are compared with targets.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// By the shapes of predictions and targets, as Keras resolves `accuracy`.
    Accuracy,
    Binary,
    Categorical,
    SparseCategorical,
    Loss(Loss),
}

/// A mean over samples, shown under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    name: String,
    kind: Option<Kind>,
}

/// Name given, and what it stands for.
fn kinds() -> Vec<(&'static str, Kind)> {
    let mut all = vec![
        ("accuracy", Kind::Accuracy),
        ("acc", Kind::Accuracy),
        ("binary_accuracy", Kind::Binary),
        ("BinaryAccuracy", Kind::Binary),
        ("categorical_accuracy", Kind::Categorical),
        ("CategoricalAccuracy", Kind::Categorical),
        ("sparse_categorical_accuracy", Kind::SparseCategorical),
        ("SparseCategoricalAccuracy", Kind::SparseCategorical),
    ];
    for name in [
        "mean_squared_error",
        "mse",
        "MSE",
        "MeanSquaredError",
        "mean_absolute_error",
        "mae",
        "MAE",
        "MeanAbsoluteError",
        "binary_crossentropy",
        "BinaryCrossentropy",
        "categorical_crossentropy",
        "CategoricalCrossentropy",
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
    ] {
        all.push((name, Kind::Loss(Loss::from(name))));
    }
    all
}

impl From<&str> for Metric {
    fn from(name: &str) -> Metric {
        let kind = kinds().into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind);
        Metric { name: name.into(), kind }
    }
}

impl Metric {
    /// Names that are understood.
    pub fn names() -> Vec<&'static str> {
        kinds().into_iter().map(|(name, _)| name).filter(|name| name.contains('_') || name.len() > 5).collect()
    }

    /// The name it is shown under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Complains of a name that is not known.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the nearest name and all of them.
    pub fn check(&self) -> Result<(), Error> {
        match self.kind {
            Some(_) => Ok(()),
            None => Err(suggest::unknown("metric", &self.name, &Metric::names())),
        }
    }

    /// The value of each sample.
    pub fn lower(&self, g: &mut Builder, y: Value, p: Prediction<'_>) -> Value {
        let shape = g.shape(p.value);
        let is_integer = g.type_of(y).is_some_and(|ty| ty.dtype == DType::I32);
        let kind = match self.kind.as_ref() {
            Some(Kind::Accuracy) if shape.last() == Some(&1) && !is_integer => &Kind::Binary,
            Some(Kind::Accuracy) if is_integer => &Kind::SparseCategorical,
            Some(Kind::Accuracy) => &Kind::Categorical,
            Some(kind) => kind,
            None => {
                return g.fault(footlight_graph::ErrorKind::Invalid, format!("unknown metric `{}`", self.name), None);
            }
        };
        match kind {
            Kind::Binary => {
                let y = g.cast(y, DType::F32);
                let half = g.constant(0.5);
                let positive = g.binary(Binary::Greater, p.value, half);
                let right = g.binary(Binary::Equal, positive, y);
                g.reduce_mean(right, &[shape.len() - 1], false)
            }
            Kind::Categorical => {
                let class = g.argmax(y);
                same_class(g, class, p.value)
            }
            Kind::SparseCategorical | Kind::Accuracy => {
                let y = g.cast(y, DType::I32);
                same_class(g, y, p.value)
            }
            Kind::Loss(loss) => loss.lower(g, y, p),
        }
    }

    /// As Keras writes it in a compile configuration.
    pub fn to_config(&self) -> serde_json::Value {
        self.name.clone().into()
    }

    /// From what Keras writes: a name, or an object whose class and name are known.
    ///
    /// # Errors
    /// A class that is not known.
    pub fn from_config(value: &serde_json::Value) -> Result<Metric, Error> {
        let metric = match value.as_str() {
            Some(name) => Metric::from(name),
            None => {
                let (class, config) = config::open(value)?;
                let kind = Metric::from(class.as_str()).kind;
                let name = config.get("name").and_then(|n| n.as_str()).unwrap_or(&class);
                Metric { name: name.into(), kind }
            }
        };
        metric.check()?;
        Ok(metric)
    }
}

/// 1 where the largest prediction is of class `y`, else 0.
fn same_class(g: &mut Builder, y: Value, p: Value) -> Value {
    let class = g.argmax(p);
    let class = g.cast(class, DType::F32);
    let y = g.cast(y, DType::F32);
    g.binary(Binary::Equal, class, y)
}
