//! Long short-term memory.

use super::cell::{Gates, Rule, Step};
use super::sequence::{INITIAL_STATE, Placed, Recurrent, Sequence, layer_of_cell, recurrent_basics, sequence_methods};
use super::settings::{Settings, cell_methods, gated_methods};
use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics, one_or_all};
use crate::{Activation, Error, Initializer};
use footlight_graph::{Builder, Value};

/// Long short-term memory: a state `h` and a cell `c` that gates open and close.
///
/// `z = x_t kernel + h_(t-1) recurrent_kernel + bias`, in four parts of `U` columns: input gate `i`, forget gate `f`, new
/// value `n`, output gate `o`. With `s` the recurrent activation and `a` the activation,
/// `c_t = s(f) c_(t-1) + s(i) a(n)`, `h_t = s(o) a(c_t)`.
///
/// # Shapes
/// Input `[N, T, F]`, kernel `[F, 4 U]`, recurrent kernel `[U, 4 U]`, bias `[4 U]`; output `[N, U]`, that of the last step,
/// or `[N, T, U]` with `return_sequences`. With
/// `return_state` the last states follow, `[N, U]` each. First states, zeros unless given, are further inputs or given as
/// `initial_state`.
///
/// # Arguments
/// `units`: at least 1. Defaults as in Keras: `activation` tanh, `recurrent_activation` sigmoid, `use_bias` true,
/// `kernel_initializer` Glorot uniform, `recurrent_initializer` orthogonal, `bias_initializer` zeros with ones for the
/// forget gate (`unit_forget_bias`), no dropout, no regularizer and no constraint.
///
/// # Train and infer
/// When the model answers nothing is dropped.
///
/// # Numerics
/// A masked step keeps the state and repeats the output before it. As in Keras, a layer that is given first states looks
/// only at a mask that is given by name.
///
/// # Differences
/// PyTorch has the same order of gates, transposed kernels and two biases.
///
/// # References
/// Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8); Gers, Schmidhuber, Cummins (2000),
/// "Learning to forget", for the forget gate; Jozefowicz, Zaremba, Sutskever (2015), "An empirical exploration of recurrent
/// network architectures", for its bias.
///
/// # Examples
/// ```
/// use footlight_nn::{LSTM, Layer};
/// let layer = LSTM::new(128).dropout(0.2);
/// assert_eq!(layer.output_shape(&[80, 64]).unwrap(), [128]);
/// assert_eq!(layer.weights(&[80, 64]).unwrap()[1].shape, [128, 512]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LSTM {
    common: Common,
    cell: LSTMCell,
    sequence: Sequence,
}

layer_of_cell!(LSTM, LSTMCell, "LSTM", "lstm_cell");
cell_methods!(LSTM, cell.settings);
gated_methods!(LSTM, cell.recurrent_activation);

impl LSTM {
    /// Whether the bias of the forget gate begins with ones; default true.
    pub fn unit_forget_bias(mut self, unit_forget_bias: bool) -> LSTM {
        self.cell.unit_forget_bias = unit_forget_bias;
        self
    }
}

/// Long short-term memory, as one step of it, for [`RNN`](super::RNN).
///
/// # Arguments
/// As of [`LSTM`], without what is said of sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct LSTMCell {
    name: Option<String>,
    settings: Settings,
    recurrent_activation: Activation,
    unit_forget_bias: bool,
}

cell_methods!(LSTMCell, settings);
gated_methods!(LSTMCell, recurrent_activation);

impl LSTMCell {
    /// A cell of `units` numbers of state.
    pub fn new(units: usize) -> LSTMCell {
        LSTMCell::with(Settings::new(units))
    }

    fn with(settings: Settings) -> LSTMCell {
        LSTMCell { name: None, settings, recurrent_activation: Activation::Sigmoid, unit_forget_bias: true }
    }

    /// Names the cell; its class in snake case unless given.
    pub fn name(mut self, name: &str) -> LSTMCell {
        self.name = Some(name.into());
        self
    }

    /// Whether the bias of the forget gate begins with ones; default true.
    pub fn unit_forget_bias(mut self, unit_forget_bias: bool) -> LSTMCell {
        self.unit_forget_bias = unit_forget_bias;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<LSTMCell, Error> {
        let mut cell = LSTMCell::with(Settings::from_config(read)?);
        if let Some(activation) = read.object("recurrent_activation", Activation::from_config)? {
            cell.recurrent_activation = activation;
        }
        cell.unit_forget_bias = read.bool("unit_forget_bias", true)?;
        Ok(cell)
    }
}

impl Rule for LSTMCell {
    fn class_name(&self) -> &'static str {
        "LSTMCell"
    }

    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn gates(&self) -> Gates {
        Gates { gates: 4, states: 2, has_recurrent_bias: false }
    }

    fn config(&self) -> Config {
        let mut config = self.settings.config();
        config.insert("recurrent_activation".into(), self.recurrent_activation.to_config());
        config.insert("seed".into(), serde_json::Value::Null);
        config.insert("unit_forget_bias".into(), self.unit_forget_bias.into());
        config
    }

    fn check(&self) -> Result<(), Error> {
        self.settings.check()?;
        self.settings.check_activation("recurrent_activation", &self.recurrent_activation)
    }

    fn weights(&self, features: usize) -> Vec<WeightSpec> {
        let mut bias = self.settings.bias.initializer.clone();
        if self.unit_forget_bias {
            bias = Initializer::UnitForget(Box::new(bias));
        }
        self.settings.weights(features, 4, &[4 * self.settings.units], bias)
    }

    fn step(&self, g: &mut Builder, step: &Step<'_>) -> Vec<Value> {
        let gate = |g: &mut Builder, gate: usize, activation: &Activation| {
            let sum = step.sum(g, gate);
            activation.lower(g, sum)
        };
        let (gates, new) = (&self.recurrent_activation, &self.settings.activation);
        let [i, f, n, o] = [gate(g, 0, gates), gate(g, 1, gates), gate(g, 2, new), gate(g, 3, gates)];
        let kept = g.mul(f, step.states[1]);
        let added = g.mul(i, n);
        let c = g.add(kept, added);
        let bounded = new.lower(g, c);
        vec![g.mul(o, bounded), c]
    }
}
