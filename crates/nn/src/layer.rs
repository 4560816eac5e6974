//! What a layer is: configuration, shapes, weights, and how it is lowered.

use crate::config::Config;
use crate::{Constraint, Error, Extents, Initializer, Regularizer};
use footlight_graph::{Builder, Value};
use footlight_tensor::{RandomKey, Tensor};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

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

    /// What `change` makes of the value and of the mask.
    pub(crate) fn map(self, mut change: impl FnMut(Value) -> Value) -> Masked {
        Masked { value: change(self.value), mask: self.mask.map(change) }
    }
}

/// A weight that a layer asks for.
#[derive(Clone, Debug)]
pub struct WeightSpec {
    /// Keras' name, such as `kernel`; that of a part of the layer is with it, such as `forward/kernel`.
    pub name: Cow<'static, str>,
    /// The part of the layer that has it in Keras' files, such as `cell`; empty for the layer itself.
    pub part: Cow<'static, str>,
    /// The extents.
    pub shape: Vec<usize>,
    /// How it begins.
    pub initializer: Initializer,
    /// The value it begins with, in place of what the initializer makes.
    pub value: Option<Arc<Tensor>>,
    /// Whether gradients change it.
    pub trainable: bool,
    /// A penalty on it.
    pub regularizer: Option<Regularizer>,
    /// What it is kept to after each update.
    pub constraint: Option<Constraint>,
}

impl WeightSpec {
    /// A learned weight.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        shape: impl Into<Vec<usize>>,
        initializer: Initializer,
    ) -> WeightSpec {
        WeightSpec {
            name: name.into(),
            part: "".into(),
            shape: shape.into(),
            initializer,
            value: None,
            trainable: true,
            regularizer: None,
            constraint: None,
        }
    }

    /// A statistic that is carried along.
    pub fn statistic(
        name: impl Into<Cow<'static, str>>,
        shape: impl Into<Vec<usize>>,
        initializer: Initializer,
    ) -> WeightSpec {
        WeightSpec { trainable: false, ..WeightSpec::new(name, shape, initializer) }
    }

    /// The same as that of a part of the layer, such as `cell`.
    pub fn within(mut self, part: impl Into<Cow<'static, str>>) -> WeightSpec {
        self.part = part.into();
        self
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
    /// Further values that the call was given by name, such as `attention_mask`.
    pub named: &'a [(String, Vec<Masked>)],
    /// Where a layer made of layers puts the penalties on what they put out.
    pub penalties: Vec<(Regularizer, Value)>,
}

impl<'a> Call<'a> {
    /// A call that is given nothing by name.
    pub fn new(graph: &'a mut Builder, weights: &'a [Value], step: Option<Value>, key: RandomKey) -> Call<'a> {
        let mode = if step.is_some() { Mode::Train } else { Mode::Infer };
        Call { graph, mode, weights, step, key, named: &[], penalties: Vec::new() }
    }

    /// The value that the call was given as `name`.
    pub fn get(&self, name: &str) -> Option<Masked> {
        self.all(name).first().copied()
    }

    /// The values that the call was given as `name`, such as all first states; none if it was given nothing.
    pub fn all(&self, name: &str) -> &'a [Masked] {
        self.named.iter().find(|(known, _)| known == name).map_or(&[], |(_, values)| values.as_slice())
    }
}

/// A layer: data that a user names, and how it becomes ops.
///
/// A layer of one's own holds its [`Common`] settings and says what it computes; its gradient follows from the ops.
///
/// # Examples
/// ```
/// use footlight_nn::{Call, Common, Layer, Masked};
/// /// `y = x^2`.
/// #[derive(Clone, Debug, Default)]
/// struct Square {
///     common: Common,
/// }
/// impl Layer for Square {
///     fn common(&self) -> &Common {
///         &self.common
///     }
///     fn common_mut(&mut self) -> &mut Common {
///         &mut self.common
///     }
///     fn call(&self, cx: &mut Call<'_>, x: Masked) -> Masked {
///         x.with(cx.graph.mul(x.value, x.value))
///     }
/// }
/// assert_eq!(Square::default().class_name(), "Square");
/// ```
pub trait Layer: CloneLayer + fmt::Debug + Send + Sync {
    /// Keras' class name, such as `Dense`; that of the type unless written.
    fn class_name(&self) -> &'static str {
        crate::naming::of_type::<Self>()
    }

    /// The settings every layer has.
    fn common(&self) -> &Common;

    /// The settings every layer has, to be changed.
    fn common_mut(&mut self) -> &mut Common;

    /// Keras' keys of this class, without name, trainable and dtype; none unless written.
    fn config(&self) -> Config {
        Config::new()
    }

    /// Complains of a setting out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` that names the key, its value and what is legal.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The output's shape for an input's, both without the batch; the input's unless written.
    ///
    /// # Errors
    /// What does not fit, with both shapes.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(input.to_vec())
    }

    /// The weights for an input's shape, in Keras' order.
    ///
    /// # Errors
    /// What does not fit, with both shapes.
    fn weights(&self, _input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        Ok(Vec::new())
    }

    /// Records the layer's ops.
    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked;

    /// The shapes of all outputs for those of all inputs, without the batch; of one each unless written.
    ///
    /// # Errors
    /// Another number of inputs than the layer takes, or what does not fit, with the shapes.
    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        Ok(vec![self.output_shape(single(inputs)?)?])
    }

    /// As [`Layer::weights`], for the shapes of all inputs.
    ///
    /// # Errors
    /// As [`Layer::output_shapes`].
    fn weights_for(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        self.weights(single(inputs)?)
    }

    /// As [`Layer::call`], with all inputs and outputs.
    fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        vec![self.call(cx, inputs[0])]
    }

    /// The names of the inputs, for a layer that may be given them by name; none unless written.
    fn input_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// How many indices its input may name, which are whole numbers from 0; `None` for an input of any numbers.
    fn num_indices(&self) -> Option<usize> {
        None
    }

    /// Whether values lose their masks once the layer was called on them, as with Keras' `MultiHeadAttention`; not unless
    /// written.
    fn takes_masks(&self) -> bool {
        false
    }

    /// The model that the layer is, if it is one.
    fn model(&self) -> Option<&crate::Architecture> {
        None
    }

    /// How the layer stands in Keras' files.
    fn form(&self) -> Form {
        Form::Layer
    }

    /// The arguments of a call in Keras' files, from the values the layer is called on: these, one after another, unless
    /// written.
    fn write_arguments(&self, values: Vec<Json>) -> Vec<Json> {
        values
    }

    /// A value of a call in Keras' files that is given by name: the one, or the list of all, unless written.
    fn write_named(&self, _key: &str, values: Vec<Json>) -> Json {
        one_or_all(values)
    }

    /// Takes over what a call in Keras' files is given beside values of the model, which are null here; nothing unless
    /// written.
    ///
    /// # Errors
    /// Something that the layer cannot be given.
    fn read_arguments(&mut self, arguments: Vec<Json>) -> Result<(), Error> {
        match arguments.iter().find(|value| !value.is_null()) {
            Some(value) => {
                let value = crate::config::shorten(value);
                Err(Error::config(format!("is called on {value}, which is no value of the model")))
            }
            None => Ok(()),
        }
    }

    /// The whole entry in Keras' files of what is written in another way than layers are.
    fn entry(&self, _name: &str) -> Option<Json> {
        None
    }

    /// The keys of a call in Keras' files that are no values of the model, such as `use_causal_mask`; none unless written.
    fn call_options(&self) -> Config {
        Config::new()
    }

    /// Takes over a key of a call in Keras' files; none but what says nothing unless written.
    ///
    /// # Errors
    /// A key that is not known, or a value out of range.
    fn set_call_option(&mut self, key: &str, _value: &Json) -> Result<(), Error> {
        Err(Error::config(format!("the call is given `{key}`, which this layer does not take")).in_key(key))
    }
}

/// How a layer stands in Keras' files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A layer.
    Layer,
    /// An operator of tensors, which is no layer there: it has no place among the weights.
    Operator,
    /// A model within a model.
    Model,
}

/// The one value alone, or the list of all.
pub(crate) fn one_or_all(mut values: Vec<Json>) -> Json {
    if values.len() == 1 { values.swap_remove(0) } else { values.into() }
}

/// The one input of a layer that takes one.
fn single(inputs: &[Vec<usize>]) -> Result<&[usize], Error> {
    match inputs {
        [one] => Ok(one),
        many => Err(Error::config(format!("takes one input, got {}", many.len()))),
    }
}

/// Copies a layer whose type is not known; every layer that can be cloned has it.
pub trait CloneLayer {
    /// A copy.
    fn clone_box(&self) -> Box<dyn Layer>;
}

impl<L: Layer + Clone + 'static> CloneLayer for L {
    fn clone_box(&self) -> Box<dyn Layer> {
        Box::new(self.clone())
    }
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
    pub input_shape: Option<Extents>,
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
                self.common.input_shape = Some(shape.into().into());
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
    };
}
pub(crate) use layer_basics;

/// The methods of [`Layer`] for one input, of a layer that takes several.
macro_rules! several_inputs {
    () => {
        fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, $crate::Error> {
            Ok(self.output_shapes(&[input.to_vec()])?.swap_remove(0))
        }

        fn weights(&self, input: &[usize]) -> Result<Vec<$crate::WeightSpec>, $crate::Error> {
            self.weights_for(&[input.to_vec()])
        }

        fn call(&self, cx: &mut $crate::Call<'_>, input: $crate::Masked) -> $crate::Masked {
            self.call_all(cx, &[input])[0]
        }
    };
}
pub(crate) use several_inputs;

/// Layers one after another, as a list: `layers![Flatten::new(), Dense::new(10)]`.
#[macro_export]
macro_rules! layers {
    ($($layer:expr),* $(,)?) => {
        vec![$(Box::new($layer) as Box<dyn $crate::Layer>),*]
    };
}
