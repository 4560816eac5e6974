//! What a layer is: configuration, shapes, weights, and how it is lowered.

use crate::config::Config;
use crate::{Constraint, Error, Initializer, Regularizer};
use footlight_graph::{Builder, Value};
use footlight_tensor::RandomKey;
use std::fmt;

/// Whether a graph trains or answers; chosen once, when the model is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout drops, normalisation uses the batch.
    Train,
    /// Dropout is not there, normalisation uses its moving statistics.
    Infer,
}

/// A value with the mask that travels with it: 1 where a step of a sequence counts, 0 where it does not.
#[derive(Clone, Copy, Debug)]
pub struct Masked {
    /// The value.
    pub value: Value,
    /// The mask, if there is one.
    pub mask: Option<Value>,
}

impl Masked {
    /// A value without a mask.
    pub fn new(value: Value) -> Masked {
        Masked { value, mask: None }
    }

    /// Another value under the same mask.
    pub fn with(self, value: Value) -> Masked {
        Masked { value, ..self }
    }
}

/// A weight that a layer asks for.
#[derive(Clone, Debug)]
pub struct WeightSpec {
    /// Keras' name, such as `kernel`.
    pub name: &'static str,
    /// The extents.
    pub shape: Vec<usize>,
    /// How it begins.
    pub initializer: Initializer,
    /// Whether gradients change it.
    pub trainable: bool,
    /// A penalty on it.
    pub regularizer: Option<Regularizer>,
    /// What it is kept to after each update.
    pub constraint: Option<Constraint>,
}

impl WeightSpec {
    /// A learned weight.
    pub fn new(name: &'static str, shape: impl Into<Vec<usize>>, initializer: Initializer) -> WeightSpec {
        WeightSpec { name, shape: shape.into(), initializer, trainable: true, regularizer: None, constraint: None }
    }

    /// A statistic that is carried along.
    pub fn statistic(name: &'static str, shape: impl Into<Vec<usize>>, initializer: Initializer) -> WeightSpec {
        WeightSpec { trainable: false, ..WeightSpec::new(name, shape, initializer) }
    }

    /// The same with a penalty.
    pub fn regularizer(mut self, regularizer: Option<Regularizer>) -> WeightSpec {
        self.regularizer = regularizer;
        self
    }

    /// Complains of an initializer, penalty or constraint that is not known or does not suit the weight.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the weight's name.
    pub fn check(&self) -> Result<(), Error> {
        self.initializer.check()?;
        let place = |what: &str| format!("{what} of `{}`", self.name);
        if let Some(regularizer) = self.regularizer {
            regularizer.check(&self.shape).map_err(|e| e.at(place("regularizer")))?;
        }
        match &self.constraint {
            Some(constraint) => constraint.check(&self.shape).map_err(|e| e.at(place("constraint"))),
            None => Ok(()),
        }
    }

    /// The same, kept to something after each update.
    pub fn constraint(mut self, constraint: &Option<Constraint>) -> WeightSpec {
        self.constraint = constraint.clone();
        self
    }
}

/// What a layer is given when it is lowered.
pub struct Call<'a> {
    /// Records ops.
    pub graph: &'a mut Builder,
    /// Training or answering.
    pub mode: Mode,
    /// The layer's weights in the order of [`Layer::weights`].
    pub weights: &'a [Value],
    /// The number of updates so far, an i32 scalar; there when training.
    pub step: Option<Value>,
    /// The random stream of this call.
    pub key: RandomKey,
}

/// A layer: data that a user names, and how it becomes ops.
pub trait Layer: fmt::Debug + Send + Sync {
    /// Keras' class name, such as `Dense`.
    fn class_name(&self) -> &'static str;

    /// The settings every layer has.
    fn common(&self) -> &Common;

    /// The settings every layer has, to be changed.
    fn common_mut(&mut self) -> &mut Common;

    /// Keras' keys of this class, without name, trainable and dtype.
    fn config(&self) -> Config;

    /// Complains of a setting out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` that names the key, its value and what is legal.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The output's shape for an input's, both without the batch.
    ///
    /// # Errors
    /// What does not fit, with both shapes.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error>;

    /// The weights for an input's shape, in Keras' order.
    ///
    /// # Errors
    /// What does not fit, with both shapes.
    fn weights(&self, _input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        Ok(Vec::new())
    }

    /// Records the layer's ops.
    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked;

    /// The logits behind the output if it is a softmax or sigmoid of them, so that a cross-entropy can use them.
    fn output_activation(&self) -> Option<&crate::Activation> {
        None
    }

    /// A copy.
    fn clone_box(&self) -> Box<dyn Layer>;
}

impl Clone for Box<dyn Layer> {
    fn clone(&self) -> Box<dyn Layer> {
        self.clone_box()
    }
}

/// The settings every layer has.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// The name; the model gives one where it is missing.
    pub name: Option<String>,
    /// Whether gradients change the layer's weights.
    pub trainable: bool,
    /// The shape of one sample, for the first layer of a model.
    pub input_shape: Option<Vec<usize>>,
    /// A penalty on what the layer puts out, divided by the number of samples.
    pub activity_regularizer: Option<Regularizer>,
}

impl Default for Common {
    fn default() -> Common {
        Common { name: None, trainable: true, input_shape: None, activity_regularizer: None }
    }
}

/// The settings every layer has, as builder methods; of a layer with parameters of its type, those stand before it:
/// `common_methods!([const N: usize] Conv<N>)`.
macro_rules! common_methods {
    ([$($generics:tt)*] $layer:ty) => {
        impl<$($generics)*> $layer {
            /// Names the layer; a model gives a name where none is given, as Keras does.
            pub fn name(mut self, name: &str) -> Self {
                self.common.name = Some(name.into());
                self
            }

            /// The shape of one sample, for the first layer of a model.
            pub fn input_shape(mut self, shape: impl Into<Vec<usize>>) -> Self {
                self.common.input_shape = Some(shape.into());
                self
            }

            /// Whether gradients change the layer's weights; default true.
            pub fn trainable(mut self, trainable: bool) -> Self {
                self.common.trainable = trainable;
                self
            }

            /// A penalty on what the layer puts out, divided by the number of samples; default none.
            pub fn activity_regularizer(mut self, regularizer: $crate::Regularizer) -> Self {
                self.common.activity_regularizer = Some(regularizer);
                self
            }
        }
    };
    ($layer:ty) => {
        $crate::layer::common_methods!([] $layer);
    };
}
pub(crate) use common_methods;

/// The methods of [`Layer`] that are the same for every layer with a field `common`.
macro_rules! layer_basics {
    ($name:expr) => {
        fn class_name(&self) -> &'static str {
            $name
        }
        fn common(&self) -> &$crate::layer::Common {
            &self.common
        }
        fn common_mut(&mut self) -> &mut $crate::layer::Common {
            &mut self.common
        }
        fn clone_box(&self) -> Box<dyn $crate::Layer> {
            Box::new(self.clone())
        }
    };
}
pub(crate) use layer_basics;

/// Layers one after another, as a list: `layers![Flatten::new(), Dense::new(10)]`.
#[macro_export]
macro_rules! layers {
    ($($layer:expr),* $(,)?) => {
        vec![$(Box::new($layer) as Box<dyn $crate::Layer>),*]
    };
}
