//! What is told of training: means over the samples of an epoch.

use crate::config::{self, Config, Key, Reader, config};
use crate::losses::Prediction;
use crate::{Error, Loss, suggest};
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, ErrorKind, Type, Value};
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

/// A mean over the samples of an epoch, shown under a name.
///
/// - `binary_accuracy`: the fraction of targets that `p > 1/2` meets.
/// - `categorical_accuracy`: the fraction of samples whose largest prediction is at their largest target.
/// - `sparse_categorical_accuracy`: the fraction of samples whose largest prediction is at their class.
/// - `accuracy`: the one of these that suits the targets, as Keras chooses it.
/// - the name of a [`Loss`]: its mean.
///
/// # Shapes
/// Predictions `[N, ..., C]`, targets the same or, for classes, `[N, ...]`.
///
/// # Numerics
/// Of equal predictions the first is the largest; a prediction of exactly 1/2 is not above it.
///
/// # Examples
/// ```
/// use footlight_nn::Metric;
/// assert_eq!(Metric::from("acc").name(), "acc");
/// assert!(Metric::from("acuracy").check().unwrap_err().to_string().contains("did you mean `accuracy`?"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    name: String,
    kind: Option<Kind>,
}

/// Name given, and what it stands for.
fn names() -> Vec<(&'static str, Kind)> {
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
    all.extend(Loss::names().map(|name| (name, Kind::Loss(Loss::from(name)))));
    all
}

impl From<&str> for Metric {
    fn from(name: &str) -> Metric {
        let kind = names().into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind);
        Metric { name: name.into(), kind }
    }
}

impl Kind {
    /// The kind that `accuracy` stands for here.
    fn resolve(&self, targets: &Type, predictions: &Type) -> Kind {
        match self {
            Kind::Accuracy if targets.dtype == DType::I32 => Kind::SparseCategorical,
            Kind::Accuracy if predictions.shape.last() == Some(&1) => Kind::Binary,
            Kind::Accuracy => Kind::Categorical,
            known => known.clone(),
        }
    }

    /// The type of the targets for predictions of `shape` (with the batch).
    fn target_type(&self, shape: &[usize]) -> Type {
        match self {
            Kind::Loss(loss) => loss.target_type(shape),
            Kind::SparseCategorical => Type::i32(&shape[..shape.len().saturating_sub(1)]),
            _ => Type::f32(shape),
        }
    }

    /// Keras' class name; `None` for what only has a name.
    fn class_name(&self) -> Option<&str> {
        match self {
            Kind::Accuracy => None,
            Kind::Binary => Some("BinaryAccuracy"),
            Kind::Categorical => Some("CategoricalAccuracy"),
            Kind::SparseCategorical => Some("SparseCategoricalAccuracy"),
            Kind::Loss(loss) => Some(loss.class_name()),
        }
    }

    /// Keras' keys of this class.
    fn settings(&self) -> Config {
        match self {
            Kind::Loss(loss) => loss.settings(),
            _ => Config::new(),
        }
    }

    /// The kind of a class by the keys of [`Kind::settings`].
    fn from_settings(class: &str, read: &mut Reader<'_>) -> Result<Kind, Error> {
        let classes: Vec<_> = names().into_iter().filter(|(name, kind)| kind.class_name() == Some(name)).collect();
        match classes.iter().find(|(name, _)| *name == class) {
            Some((_, Kind::Loss(_))) => Loss::from_settings(class, read).map(Kind::Loss),
            Some((_, Kind::Binary)) => read.only("threshold", 0.5).map(|()| Kind::Binary),
            Some((_, plain)) => Ok(plain.clone()),
            None => Err(suggest::unknown("metric", class, &classes.iter().map(|(name, _)| *name).collect::<Vec<_>>())),
        }
    }
}

impl Metric {
    /// Names that are understood.
    pub fn names() -> Vec<&'static str> {
        names().into_iter().map(|(name, _)| name).filter(|name| name.contains('_') || name.len() > 5).collect()
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
    ///
    /// # Differences
    /// Keras broadcasts targets of another shape than the metric compares predictions with; here they are a fault.
    pub fn lower(&self, g: &mut Builder, y: Value, p: Prediction<'_>) -> Value {
        let (Some(targets), Some(predictions)) = (g.type_of(y).cloned(), g.type_of(p.value).cloned()) else {
            return if g.is_poison(y) { y } else { p.value };
        };
        let Some(kind) = self.kind.as_ref().map(|kind| kind.resolve(&targets, &predictions)) else {
            return g.fault(ErrorKind::Invalid, format!("unknown metric `{}`", self.name), None);
        };
        let expected = kind.target_type(&predictions.shape);
        if targets != expected {
            let message = format!(
                "metric `{}` expects targets {expected} for predictions {predictions}, the loss is given {targets}",
                self.name
            );
            return g.fault(ErrorKind::Shape, message, Some("use `accuracy`, which suits the targets of any loss"));
        }
        match kind {
            Kind::Binary => {
                let half = g.constant(0.5);
                let positive = g.binary(Binary::Greater, p.value, half);
                let right = g.binary(Binary::Equal, positive, y);
                g.reduce_mean(right, &[predictions.rank() - 1], false)
            }
            Kind::Categorical => {
                let class = g.argmax(y);
                same_class(g, class, p.value)
            }
            Kind::SparseCategorical | Kind::Accuracy => same_class(g, y, p.value),
            Kind::Loss(loss) => loss.lower(g, y, p),
        }
    }

    /// As Keras writes it in a compile configuration: by its name if that says all, else an object.
    pub fn to_config(&self) -> serde_json::Value {
        let named = Metric::from(self.name.as_str());
        match self.kind.as_ref().and_then(|kind| Some((kind, kind.class_name()?))) {
            Some((kind, class)) if *self != named => {
                let mut config = config! { "name": self.name, "dtype": "float32" };
                config.extend(kind.settings());
                config::object("keras.metrics", class, config)
            }
            _ => self.name.clone().into(),
        }
    }

    /// From what Keras writes: a name or an object.
    ///
    /// # Errors
    /// A class, key or value that is not known.
    pub fn from_config(value: &serde_json::Value) -> Result<Metric, Error> {
        if let Some(name) = value.as_str() {
            let made = Metric::from(name);
            made.check()?;
            return Ok(made);
        }
        let (class, config) = config::open(value)?;
        let place = |e: Error| e.at(format!("metric `{class}`"));
        let mut read = Reader::new(&config);
        let made = Metric::read(&class, &mut read).map_err(place)?;
        read.finish().map_err(place)?;
        Ok(made)
    }

    /// The classes of all metrics.
    pub fn classes() -> Vec<&'static str> {
        names().into_iter().filter(|(name, kind)| kind.class_name() == Some(name)).map(|(name, _)| name).collect()
    }

    /// The keys of a class of metrics.
    pub fn keys(class: &str) -> Vec<Key> {
        config::keys_of(|read| Ok(Metric::read(class, read)?.kind.map(|kind| kind.settings()).unwrap_or_default()))
    }

    fn read(class: &str, read: &mut Reader<'_>) -> Result<Metric, Error> {
        read.dtype()?;
        let name = read.string("name")?.unwrap_or_else(|| crate::to_snake_case(class));
        Ok(Metric { name, kind: Some(Kind::from_settings(class, read)?) })
    }
}

/// 1 where the largest prediction is of class `y`, else 0.
fn same_class(g: &mut Builder, y: Value, p: Value) -> Value {
    let class = g.argmax(p);
    let class = g.cast(class, DType::F32);
    let y = g.cast(y, DType::F32);
    g.binary(Binary::Equal, class, y)
}
