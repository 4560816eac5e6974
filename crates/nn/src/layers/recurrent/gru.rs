//! The gated recurrent unit.

use super::cell::{Gates, Rule, Step};
use super::sequence::{INITIAL_STATE, Placed, Recurrent, Sequence, layer_of_cell, recurrent_basics, sequence_methods};
use super::settings::{Settings, cell_methods, gated_methods};
use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics, one_or_all};
use crate::{Activation, Error};
use footlight_graph::{Builder, Value};

/// The gated recurrent unit: a state that an update gate mixes with a new value.
///
/// With three parts of `U` columns, update gate `z`, reset gate `r`, new value `n`, and with `s` the recurrent activation,
/// `a` the activation, `x` and `h` for `x_t kernel + bias` and `h_(t-1) recurrent_kernel + bias` of a part:
/// `z = s(x_z + h_z)`, `r = s(x_r + h_r)`, `n = a(x_n + r h_n)`, `h_t = z h_(t-1) + (1 - z) n`. Without `reset_after`,
/// `n = a(x_n + (r h_(t-1)) U_n)`.
///
/// # Shapes
/// Input `[N, T, F]`, kernel `[F, 3 U]`, recurrent kernel `[U, 3 U]`, bias `[2, 3 U]` (for inputs and for states), or `[3 U]`
/// without `reset_after`; output `[N, U]`, that of the last step, or `[N, T, U]` with `return_sequences`. With
/// `return_state` the last states follow, `[N, U]` each. First states, zeros unless given, are further inputs or given as
/// `initial_state`.
///
/// # Arguments
/// `units`: at least 1. Defaults as in Keras: `activation` tanh, `recurrent_activation` sigmoid, `use_bias` true,
/// `kernel_initializer` Glorot uniform, `recurrent_initializer` orthogonal, `bias_initializer` zeros, `reset_after` true, no
/// dropout, no regularizer and no constraint.
///
/// # Train and infer
/// When the model answers nothing is dropped.
///
/// # Numerics
/// A masked step keeps the state and repeats the output before it. As in Keras, a layer that is given first states looks
/// only at a mask that is given by name.
///
/// # Differences
/// PyTorch's gates come in the order `r`, `z`, `n`.
///
/// # References
/// Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation";
/// `reset_after` is the form of cuDNN.
///
/// # Examples
/// ```
/// use footlight_nn::{GRU, Layer};
/// let layer = GRU::new(64).reset_after(false);
/// assert_eq!(layer.weights(&[80, 8]).unwrap()[2].shape, [192]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GRU {
    common: Common,
    cell: GRUCell,
    sequence: Sequence,
}

layer_of_cell!(GRU, GRUCell, "GRU", "gru_cell");
cell_methods!(GRU, cell.settings);
gated_methods!(GRU, cell.recurrent_activation);

impl GRU {
    /// Whether the reset gate comes after the product with the state, not before; default true.
    pub fn reset_after(mut self, reset_after: bool) -> GRU {
        self.cell.reset_after = reset_after;
        self
    }
}

/// The gated recurrent unit, as one step of it, for [`RNN`](super::RNN).
///
/// # Arguments
/// As of [`GRU`], without what is said of sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct GRUCell {
    name: Option<String>,
    settings: Settings,
    recurrent_activation: Activation,
    reset_after: bool,
}

cell_methods!(GRUCell, settings);
gated_methods!(GRUCell, recurrent_activation);

impl GRUCell {
    /// A cell of `units` numbers of state.
    pub fn new(units: usize) -> GRUCell {
        GRUCell::with(Settings::new(units))
    }

    fn with(settings: Settings) -> GRUCell {
        GRUCell { name: None, settings, recurrent_activation: Activation::Sigmoid, reset_after: true }
    }

    /// Names the cell; its class in snake case unless given.
    pub fn name(mut self, name: &str) -> GRUCell {
        self.name = Some(name.into());
        self
    }

    /// Whether the reset gate comes after the product with the state, not before; default true.
    pub fn reset_after(mut self, reset_after: bool) -> GRUCell {
        self.reset_after = reset_after;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GRUCell, Error> {
        let mut cell = GRUCell::with(Settings::from_config(read)?);
        if let Some(activation) = read.object("recurrent_activation", Activation::from_config)? {
            cell.recurrent_activation = activation;
        }
        cell.reset_after = read.bool("reset_after", true)?;
        Ok(cell)
    }
}

impl Rule for GRUCell {
    fn class_name(&self) -> &'static str {
        "GRUCell"
    }

    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn gates(&self) -> Gates {
        Gates { gates: 3, states: 1, has_recurrent_bias: self.settings.use_bias && self.reset_after }
    }

    fn config(&self) -> Config {
        let mut config = self.settings.config();
        config.insert("recurrent_activation".into(), self.recurrent_activation.to_config());
        config.insert("seed".into(), serde_json::Value::Null);
        config.insert("reset_after".into(), self.reset_after.into());
        config
    }

    fn check(&self) -> Result<(), Error> {
        self.settings.check()?;
        self.settings.check_activation("recurrent_activation", &self.recurrent_activation)
    }

    fn weights(&self, features: usize) -> Vec<WeightSpec> {
        let columns = 3 * self.settings.units;
        let bias: &[usize] = if self.reset_after { &[2, columns] } else { &[columns] };
        self.settings.weights(features, 3, bias, self.settings.bias.initializer.clone())
    }

    fn step(&self, g: &mut Builder, step: &Step<'_>) -> Vec<Value> {
        let [z, r] = [0, 1].map(|gate| {
            let sum = step.sum(g, gate);
            self.recurrent_activation.lower(g, sum)
        });
        let h = step.hidden(g, 2);
        let product = if self.reset_after {
            let product = step.product(g, 2, h);
            g.mul(r, product)
        } else {
            let reset = g.mul(r, h);
            step.product(g, 2, reset)
        };
        let sum = g.add(step.x[2], product);
        let new = self.settings.activation.lower(g, sum);
        let kept = g.mul(z, step.states[0]);
        let rest = g.scalar_sub(1.0, z);
        let added = g.mul(rest, new);
        vec![g.add(kept, added)]
    }
}
