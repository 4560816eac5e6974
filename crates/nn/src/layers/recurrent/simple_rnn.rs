//! The plain recurrent layer.

use super::cell::{Gates, Rule, Step};
use super::sequence::{INITIAL_STATE, Placed, Recurrent, Sequence, layer_of_cell, recurrent_basics, sequence_methods};
use super::settings::{Settings, cell_methods};
use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics, one_or_all};
use crate::{Activation, Error};
use footlight_graph::{Builder, Value};

/// The plain recurrent layer, `h_t = activation(x_t kernel + h_(t-1) recurrent_kernel + bias)`.
///
/// # Shapes
/// Input `[N, T, F]`, kernel `[F, U]`, recurrent kernel `[U, U]`, bias `[U]`; output `[N, U]`, that of the last step, or
/// `[N, T, U]` with `return_sequences`. With
/// `return_state` the last states follow, `[N, U]` each. First states, zeros unless given, are further inputs or given as
/// `initial_state`.
///
/// # Arguments
/// `units`: at least 1. Defaults as in Keras: `activation` tanh, `use_bias` true, `kernel_initializer` Glorot uniform,
/// `recurrent_initializer` orthogonal, `bias_initializer` zeros, no dropout, no regularizer and no constraint.
///
/// # Train and infer
/// When the model answers nothing is dropped.
///
/// # Numerics
/// A masked step keeps the state and repeats the output before it. As in Keras, a layer that is given first states looks
/// only at a mask that is given by name.
///
/// # References
/// Elman (1990), "Finding structure in time", Cognitive Science 14(2).
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, SimpleRNN};
/// let layer = SimpleRNN::new(32).return_sequences(true);
/// assert_eq!(layer.output_shape(&[80, 8]).unwrap(), [80, 32]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SimpleRNN {
    common: Common,
    cell: SimpleRNNCell,
    sequence: Sequence,
}

layer_of_cell!(SimpleRNN, SimpleRNNCell, "SimpleRNN", "simple_rnn_cell");
cell_methods!(SimpleRNN, cell.settings);

/// The plain recurrent layer, as one step of it, for [`RNN`](super::RNN).
///
/// # Arguments
/// As of [`SimpleRNN`], without what is said of sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct SimpleRNNCell {
    name: Option<String>,
    settings: Settings,
}

cell_methods!(SimpleRNNCell, settings);

impl SimpleRNNCell {
    /// A cell of `units` numbers of state.
    pub fn new(units: usize) -> SimpleRNNCell {
        SimpleRNNCell::with(Settings::new(units))
    }

    fn with(settings: Settings) -> SimpleRNNCell {
        SimpleRNNCell { name: None, settings }
    }

    /// Names the cell; its class in snake case unless given.
    pub fn name(mut self, name: &str) -> SimpleRNNCell {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<SimpleRNNCell, Error> {
        Settings::from_config(read).map(SimpleRNNCell::with)
    }
}

impl Rule for SimpleRNNCell {
    fn class_name(&self) -> &'static str {
        "SimpleRNNCell"
    }

    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn gates(&self) -> Gates {
        Gates { gates: 1, states: 1, has_recurrent_bias: false }
    }

    fn config(&self) -> Config {
        self.settings.config()
    }

    fn check(&self) -> Result<(), Error> {
        self.settings.check()
    }

    fn weights(&self, features: usize) -> Vec<WeightSpec> {
        let settings = &self.settings;
        settings.weights(features, 1, &[settings.units], settings.bias.initializer.clone())
    }

    fn step(&self, g: &mut Builder, step: &Step<'_>) -> Vec<Value> {
        let sum = step.sum(g, 0);
        vec![self.settings.activation.lower(g, sum)]
    }
}
