//! The gated recurrent unit.

use super::settings::{Settings, recurrent_methods};
use super::{Cell, Step};
use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::{Activation, Constraint, Error, Initializer, Regularizer};
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
/// without `reset_after`; output `[N, U]`, that of the last step, or `[N, T, U]` with `return_sequences`.
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
/// A masked step keeps the state and repeats the output before it.
///
/// # Differences
/// Keras has also `return_state` and `stateful`. PyTorch's gates come in the order `r`, `z`, `n`.
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
    settings: Settings,
    recurrent_activation: Activation,
    reset_after: bool,
}

common_methods!(GRU);
recurrent_methods!(GRU);

impl GRU {
    /// A layer of `units` numbers of state.
    pub fn new(units: usize) -> GRU {
        GRU::with(Settings::new(units))
    }

    fn with(settings: Settings) -> GRU {
        GRU { common: Common::default(), settings, recurrent_activation: Activation::Sigmoid, reset_after: true }
    }

    /// The function of the gates, by value or by name; default sigmoid.
    pub fn recurrent_activation(mut self, activation: impl Into<Activation>) -> GRU {
        self.recurrent_activation = activation.into();
        self
    }

    /// Whether the reset gate comes after the product with the state, not before; default true.
    pub fn reset_after(mut self, reset_after: bool) -> GRU {
        self.reset_after = reset_after;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GRU, Error> {
        let mut layer = GRU::with(Settings::from_config(read)?);
        if let Some(activation) = read.object("recurrent_activation", Activation::from_config)? {
            layer.recurrent_activation = activation;
        }
        layer.reset_after = read.bool("reset_after", true)?;
        Ok(layer)
    }

    fn has_recurrent_bias(&self) -> bool {
        self.settings.use_bias && self.reset_after
    }

    fn step(&self, g: &mut Builder, step: &Step<'_>) -> Value {
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
        g.add(kept, added)
    }
}

impl Layer for GRU {
    layer_basics!("GRU");

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

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.settings.output_shape(input)
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let names = ["gru_cell/kernel", "gru_cell/recurrent_kernel", "gru_cell/bias"];
        let columns = 3 * self.settings.units;
        let bias: &[usize] = if self.reset_after { &[2, columns] } else { &[columns] };
        self.settings.weights(input, names, 3, bias, self.settings.bias_initializer.clone())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let cell = Cell { gates: 3, states: 1, has_recurrent_bias: self.has_recurrent_bias() };
        self.settings.call(cx, input, cell, |g, step| vec![self.step(g, step)])
    }
}
