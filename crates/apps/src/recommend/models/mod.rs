//! The models, and the one list they are found by.
//!
//! Every model is a function from a history to a score for each item: so a user who was never seen is answered as any other,
//! and whatever somebody does counts in the next answer, without training again.

mod als;
mod blend;
mod bpr;
mod cooccurrence;
mod ease;
mod factors;
mod item_knn;
mod neural;
mod popularity;
mod settings;
mod weighting;

pub(crate) use blend::{Blend, MEMBERS, standardize};
pub use settings::{Setting, Settings};

use std::collections::BTreeMap;
use std::fmt;

use footlight::nn::suggest;
use footlight::tensor::Tensor;
use footlight::{Error, ErrorKind, Result};

use self::neural::{neu_mf, sas_rec, two_tower};
use super::data::{Event, Interactions};
use super::linear::{Matrix, operations_per_second};

/// What a fit is given beside its settings.
#[derive(Clone, Copy, Debug)]
pub struct Fitting<'a> {
    /// The events to learn from; those that do not speak for their item are passed over.
    pub data: &'a Interactions,
    /// The most threads to use; results do not depend on it.
    pub threads: usize,
    /// The seed of what is drawn.
    pub seed: u64,
}

/// Why an item has the score that it has: `score = base + sum of contributions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What it has without any history.
    pub base: f32,
    /// What each event of the history adds.
    pub contributions: Vec<f32>,
}

/// A model that was fitted.
pub trait Model: Send + Sync + fmt::Debug {
    /// How many items it scores.
    fn num_items(&self) -> usize;

    /// The score of each item for a history, whose events speak for their items and stand in the order of their time.
    ///
    /// # Errors
    /// Scores that cannot be computed.
    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()>;

    /// Why `item` has its score for a history.
    ///
    /// # Errors
    /// As [`Model::score`].
    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation>;

    /// How like `item` each item is.
    ///
    /// # Errors
    /// A model that knows of no likeness.
    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()>;

    /// What was learned, by name.
    fn tensors(&self) -> Vec<(String, Tensor)>;

    /// The models that this one is made of, each with its weight; none unless written.
    fn members(&self) -> &[(f32, Fitted)] {
        &[]
    }
}

/// What a fit needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// The most memory that the fit holds at a time, in bytes.
    pub bytes: f64,
    /// Floating-point operations.
    pub operations: f64,
}

impl Cost {
    /// Passes over events reach this part of the speed of a product of matrices.
    const LEAST_SPEED: f64 = 0.2;

    /// Between what the fit takes on one core: if it is as fast as a product of matrices, which is timed once, and if it is at
    /// a fifth of that speed.
    pub fn seconds(&self) -> [f64; 2] {
        [1.0, Cost::LEAST_SPEED].map(|share| self.operations / (share * operations_per_second()))
    }
}

/// How many of what there are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Users.
    pub users: usize,
    /// Items.
    pub items: usize,
    /// Events.
    pub events: usize,
    /// Pairs of events of one user.
    pub pairs: usize,
}

impl Counts {
    /// Those of `data`.
    pub fn of(data: &Interactions) -> Counts {
        let pairs = data.histories().iter().map(|history| history.len() * history.len()).sum();
        Counts { users: data.users.len(), items: data.items.len(), events: data.num_events(), pairs }
    }

    /// About the most memory that a program holds that reads events and fits a model, in bytes: 7 MB of its own, and 200 for each
    /// event while it reads, or then 60 for each event beside the fit, whichever is more.
    pub fn memory(&self, cost: Cost) -> f64 {
        let events = self.events as f64;
        7e6 + f64::max(200.0 * events, 60.0 * events + cost.bytes)
    }
}

/// What a file holds of a model: tensors by name, each taken once, and the models that it is made of.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    pub all: BTreeMap<String, Tensor>,
    pub members: Vec<(f32, Fitted)>,
}

impl Tensors {
    /// Makes sure that there is a tensor of this name and shape; an extent of 0 fits any.
    ///
    /// # Errors
    /// `ErrorKind::File` for one that is missing or of another shape.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let missing = || Error::new(ErrorKind::File, format!("the tensor `{name}` is missing"));
        let got = self.all.get(name).ok_or_else(missing)?.shape();
        if got.len() == shape.len() && got.iter().zip(shape).all(|(got, wanted)| *wanted == 0 || got == wanted) {
            return Ok(());
        }
        let message = format!("the tensor `{name}` has shape {got:?}, expected {shape:?}");
        Err(Error::new(ErrorKind::File, message))
    }

    /// The tensor of this name, as [`Tensors::check`] says.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.check(name, shape)?;
        Ok(self.all.remove(name).expect("it was checked"))
    }

    /// As [`Tensors::take`], of floats that are finite.
    pub fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.take(name, shape)?;
        match tensor.into_data() {
            footlight::tensor::Data::F32(data) if data.iter().all(|value| value.is_finite()) => Ok(data),
            _ => Err(Error::new(ErrorKind::File, format!("the tensor `{name}` does not hold finite floats"))),
        }
    }

    /// As [`Tensors::take`], of indices below `bound`.
    pub fn indices(&mut self, name: &str, shape: &[usize], bound: usize) -> Result<Vec<i32>> {
        match self.take(name, shape)?.into_data() {
            footlight::tensor::Data::I32(data)
                if data.iter().all(|index| (0..bound as i64).contains(&(*index).into())) =>
            {
                Ok(data)
            }
            _ => Err(Error::new(ErrorKind::File, format!("the tensor `{name}` does not hold indices below {bound}"))),
        }
    }

    /// As [`Tensors::floats`], of two axes.
    pub fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        let extents = self.all.get(name).map_or(vec![rows, columns], |tensor| tensor.shape().to_vec());
        let data = self.floats(name, &[rows, columns])?;
        Ok(Matrix { rows: extents[0], columns: extents[1], data })
    }
}

fn named(name: &str, matrix: &Matrix) -> (String, Tensor) {
    let tensor = Tensor::new([matrix.rows, matrix.columns], matrix.data.clone());
    (name.into(), tensor.expect("a matrix has as many elements as its shape says"))
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $kind:ident $name:literal $module:ident::$model:ident),* $(,)?) => {
        /// The kinds of models.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind),*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];
            /// The names of all kinds.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The name, such as `ease`.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name),* }
            }

            /// The settings with their defaults.
            pub fn settings(self) -> &'static [Setting] {
                match self { $(Kind::$kind => $module::SETTINGS),* }
            }

            /// What fitting needs.
            pub fn cost(self, counts: Counts, settings: &Settings) -> Cost {
                match self { $(Kind::$kind => $module::cost(counts, settings)),* }
            }

            fn fit(self, fitting: Fitting<'_>, settings: &Settings) -> Result<Box<dyn Model>> {
                Ok(match self { $(Kind::$kind => Box::new($module::$model::fit(fitting, settings)?)),* })
            }

            fn load(self, items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<Box<dyn Model>> {
                Ok(match self { $(Kind::$kind => Box::new($module::$model::load(items, settings, tensors)?)),* })
            }
        }
    };
}

catalogue! {
    /// What most have seen.
    Popularity "popularity" popularity::Popularity,
    /// Items that the same users have seen.
    ItemKnn "item-knn" item_knn::ItemKnn,
    /// A linear model of each item by all others, in closed form.
    Ease "ease" ease::Ease,
    /// Factors of users and items by alternating least squares.
    Als "als" als::Als,
    /// Factors of items that rank what was seen before what was not.
    Bpr "bpr" bpr::Bpr,
    /// A network on the factors of history and item.
    NeuMf "neumf" neu_mf::NeuMf,
    /// A network for the history, one for the item, and their inner product.
    TwoTower "two-tower" two_tower::TwoTower,
    /// A transformer that reads the history in order.
    SasRec "sasrec" sas_rec::SasRec,
    /// A weighted sum of others, chosen on validation.
    Blend "blend" blend::Blend,
}

impl Kind {
    /// The kind of this name.
    ///
    /// # Errors
    /// A name that is not known, with the nearest.
    pub fn from_name(name: &str) -> Result<Kind> {
        let position = Kind::NAMES.iter().position(|known| *known == name);
        position.map(|at| Kind::ALL[at]).ok_or_else(|| suggest::unknown("model", name, Kind::NAMES).into())
    }
}

/// A model with its kind and settings.
#[derive(Debug)]
pub struct Fitted {
    kind: Kind,
    settings: Settings,
    model: Box<dyn Model>,
}

impl Fitted {
    /// Learns from the events that speak for their items.
    ///
    /// # Errors
    /// Settings out of range, and fits that fail.
    pub fn new(kind: Kind, settings: &Settings, fitting: Fitting<'_>) -> Result<Fitted> {
        settings.check(kind)?;
        let positives;
        let data = match fitting.data.events().all(|event| event.kind.is_positive()) {
            true => fitting.data,
            false => {
                positives = fitting.data.positives();
                &positives
            }
        };
        let model = kind.fit(Fitting { data, ..fitting }, settings)?;
        Ok(Fitted { kind, settings: settings.clone(), model })
    }

    pub(crate) fn of(kind: Kind, settings: Settings, model: Box<dyn Model>) -> Fitted {
        Fitted { kind, settings, model }
    }

    /// Takes settings that were checked.
    pub(crate) fn load(kind: Kind, settings: Settings, items: usize, tensors: &mut Tensors) -> Result<Fitted> {
        let model = kind.load(items, &settings, tensors)?;
        Ok(Fitted { kind, settings, model })
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The settings it was fitted with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl std::ops::Deref for Fitted {
    type Target = dyn Model;

    fn deref(&self) -> &Self::Target {
        self.model.as_ref()
    }
}
