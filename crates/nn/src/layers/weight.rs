//! The settings of a weight: how it begins, a penalty on it, what it is kept to.

use crate::config::{Config, Reader};
use crate::layer::WeightSpec;
use crate::{Constraint, Error, Initializer, Regularizer};
use footlight_graph::{Builder, Value};

/// The settings of one weight, under the keys `initializer`, `regularizer` and `constraint` of its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weight {
    keys: [&'static str; 3],
    pub initializer: Initializer,
    pub regularizer: Option<Regularizer>,
    pub constraint: Option<Constraint>,
}

/// The keys of a weight's settings: `keys!("kernel")`.
macro_rules! keys {
    ($name:literal) => {
        [concat!($name, "_initializer"), concat!($name, "_regularizer"), concat!($name, "_constraint")]
    };
}
pub(crate) use keys;

impl Weight {
    pub(crate) fn new(keys: [&'static str; 3], initializer: Initializer) -> Weight {
        Weight { keys, initializer, regularizer: None, constraint: None }
    }

    /// Reads several weights in Keras' order: all initializers, then all penalties, then all constraints.
    pub(crate) fn read_all<const N: usize>(read: &mut Reader<'_>, mut weights: [&mut Weight; N]) -> Result<(), Error> {
        for weight in &mut weights {
            if let Some(initializer) = read.object(weight.keys[0], Initializer::from_config)? {
                weight.initializer = initializer;
            }
        }
        for weight in &mut weights {
            weight.regularizer = read.object(weight.keys[1], Regularizer::from_config)?;
        }
        for weight in &mut weights {
            weight.constraint = read.object(weight.keys[2], Constraint::from_config)?;
        }
        Ok(())
    }

    /// Writes several weights in Keras' order.
    pub(crate) fn write_all(config: &mut Config, weights: &[&Weight]) {
        config.extend(weights.iter().map(|w| (w.keys[0].into(), w.initializer.to_config())));
        config.extend(weights.iter().map(|w| (w.keys[1].into(), w.regularizer.map(|r| r.to_config()).into())));
        let constraint = |w: &Weight| w.constraint.as_ref().map(Constraint::to_config).into();
        config.extend(weights.iter().map(|w| (w.keys[2].into(), constraint(w))));
    }

    pub(crate) fn read(&mut self, read: &mut Reader<'_>) -> Result<(), Error> {
        Weight::read_all(read, [self])
    }

    pub(crate) fn write(&self, config: &mut Config) {
        Weight::write_all(config, &[self]);
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.initializer.check().map_err(|e| e.in_key(self.keys[0]))
    }

    pub(crate) fn spec(&self, name: &'static str, shape: impl Into<Vec<usize>>) -> WeightSpec {
        WeightSpec::new(name, shape, self.initializer.clone())
            .regularizer(self.regularizer)
            .constraint(&self.constraint)
    }
}

/// The settings of a weight as builder methods; their documentation names it and how it begins unless told otherwise.
macro_rules! weight_methods {
    ([$($generics:tt)*] $layer:ty, $what:literal, $default:literal:
     $($field:ident).+ => $initializer:ident, $regularizer:ident, $constraint:ident) => {
        impl<$($generics)*> $layer {
            #[doc = concat!("How the ", $what, " begins; default ", $default, ".")]
            pub fn $initializer(mut self, initializer: impl Into<$crate::Initializer>) -> Self {
                self.$($field).+.initializer = initializer.into();
                self
            }
        }

        $crate::layers::weight::limit_methods!([$($generics)*] $layer, $what: $($field).+ => $regularizer, $constraint);
    };
}
pub(crate) use weight_methods;

/// Penalty and constraint of a weight as builder methods.
macro_rules! limit_methods {
    ([$($generics:tt)*] $layer:ty, $what:literal: $($field:ident).+ => $regularizer:ident, $constraint:ident) => {
        impl<$($generics)*> $layer {
            #[doc = concat!("A penalty on the ", $what, "; default none.")]
            pub fn $regularizer(mut self, regularizer: $crate::Regularizer) -> Self {
                self.$($field).+.regularizer = Some(regularizer);
                self
            }

            #[doc = concat!("What the ", $what, " is kept to after each update; default nothing.")]
            pub fn $constraint(mut self, constraint: $crate::Constraint) -> Self {
                self.$($field).+.constraint = Some(constraint);
                self
            }
        }
    };
}
pub(crate) use limit_methods;

/// What a normalization learns along the features: `gamma y + beta`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Affine {
    pub center: bool,
    pub scale: bool,
    pub beta: Weight,
    pub gamma: Weight,
}

impl Affine {
    /// Both, beginning with zeros and ones.
    pub(crate) fn new() -> Affine {
        let beta = Weight::new(keys!("beta"), Initializer::Zeros);
        Affine { center: true, scale: true, beta, gamma: Weight::new(keys!("gamma"), Initializer::Ones) }
    }

    /// Which of the two there are.
    pub(crate) fn read_flags(&mut self, read: &mut Reader<'_>) -> Result<(), Error> {
        self.center = read.bool("center", true)?;
        self.scale = read.bool("scale", true)?;
        Ok(())
    }

    pub(crate) fn read(&mut self, read: &mut Reader<'_>) -> Result<(), Error> {
        self.read_flags(read)?;
        Weight::read_all(read, [&mut self.beta, &mut self.gamma])
    }

    pub(crate) fn write(&self, config: &mut Config) {
        config.insert("center".into(), self.center.into());
        config.insert("scale".into(), self.scale.into());
        Weight::write_all(config, &[&self.beta, &self.gamma]);
    }

    /// Gamma and beta of this shape, those that there are.
    pub(crate) fn specs(&self, shape: &[usize]) -> Vec<WeightSpec> {
        let gamma = self.scale.then(|| self.gamma.spec("gamma", shape));
        gamma.into_iter().chain(self.center.then(|| self.beta.spec("beta", shape))).collect()
    }

    /// `gamma y + beta` along the last axis, with the weights of [`Affine::specs`].
    pub(crate) fn lower(&self, g: &mut Builder, mut y: Value, weights: &[Value]) -> Value {
        let (gamma, beta) = self.parts(g, weights);
        if let Some(gamma) = gamma {
            y = g.mul(y, gamma);
        }
        beta.map_or(y, |beta| g.add(y, beta))
    }

    /// Gamma and beta among the weights of [`Affine::specs`], along one axis.
    pub(crate) fn parts(&self, g: &mut Builder, weights: &[Value]) -> (Option<Value>, Option<Value>) {
        let mut weights = weights.iter();
        let mut flat = || {
            let weight = *weights.next()?;
            let count = g.shape(weight).iter().product();
            Some(g.reshape(weight, [count]))
        };
        let gamma = if self.scale { flat() } else { None };
        (gamma, if self.center { flat() } else { None })
    }
}

/// The settings of a field `affine` as builder methods.
macro_rules! affine_methods {
    ($layer:ident) => {
        impl $layer {
            /// Whether `beta` is added; default true.
            pub fn center(mut self, center: bool) -> $layer {
                self.affine.center = center;
                self
            }

            /// Whether `gamma` multiplies; default true.
            pub fn scale(mut self, scale: bool) -> $layer {
                self.affine.scale = scale;
                self
            }
        }

        $crate::layers::weight::limit_methods!([] $layer, "gamma": affine.gamma => gamma_regularizer, gamma_constraint);
        $crate::layers::weight::limit_methods!([] $layer, "beta": affine.beta => beta_regularizer, beta_constraint);
    };
}
pub(crate) use affine_methods;
