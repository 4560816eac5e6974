//! The plain recurrent layer.

use super::settings::{Settings, recurrent_methods};
use super::{Cell, Step};
use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::{Activation, Constraint, Error, Initializer, Regularizer};
use footlight_graph::Builder;

/// The plain recurrent layer, `h_t = activation(x_t kernel + h_(t-1) recurrent_kernel + bias)`.
///
/// # Shapes
/// Input `[N, T, F]`, kernel `[F, U]`, recurrent kernel `[U, U]`, bias `[U]`; output `[N, U]`, that of the last step, or
/// `[N, T, U]` with `return_sequences`.
///
/// # Arguments
/// `units`: at least 1. Defaults as in Keras: `activation` tanh, `use_bias` true, `kernel_initializer` Glorot uniform,
/// `recurrent_initializer` orthogonal, `bias_initializer` zeros, no dropout, no regularizer and no constraint.
///
/// # Train and infer
/// When the model answers nothing is dropped.
///
/// # Numerics
/// A masked step keeps the state and repeats the output before it.
///
/// # Differences
/// Keras has also `return_state` and `stateful`.
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
    settings: Settings,
}

common_methods!(SimpleRNN);
recurrent_methods!(SimpleRNN);

impl SimpleRNN {
    /// A layer of `units` numbers of state.
    pub fn new(units: usize) -> SimpleRNN {
        SimpleRNN { common: Common::default(), settings: Settings::new(units) }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<SimpleRNN, Error> {
        Ok(SimpleRNN { common: Common::default(), settings: Settings::from_config(read)? })
    }

    fn step(&self, g: &mut Builder, step: &Step<'_>) -> footlight_graph::Value {
        let sum = step.sum(g, 0);
        self.settings.activation.lower(g, sum)
    }
}

impl Layer for SimpleRNN {
    layer_basics!("SimpleRNN");

    fn config(&self) -> Config {
        self.settings.config()
    }

    fn check(&self) -> Result<(), Error> {
        self.settings.check()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.settings.output_shape(input)
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let names = ["simple_rnn_cell/kernel", "simple_rnn_cell/recurrent_kernel", "simple_rnn_cell/bias"];
        let settings = &self.settings;
        settings.weights(input, names, 1, &[settings.units], settings.bias_initializer.clone())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let cell = Cell { gates: 1, states: 1, has_recurrent_bias: false };
        self.settings.call(cx, input, cell, |g, step| vec![self.step(g, step)])
    }
}
