//! What the cells have in common: Keras' arguments, their weights and their builder methods.

use crate::config::{self, Config, Reader, config};
use crate::layer::WeightSpec;
use crate::layers::weight::{Weight, keys};
use crate::{Activation, Error, Initializer};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub units: usize,
    pub activation: Activation,
    pub use_bias: bool,
    pub kernel: Weight,
    pub recurrent: Weight,
    pub bias: Weight,
    pub dropout: f32,
    pub recurrent_dropout: f32,
}

impl Settings {
    /// Keras' defaults.
    pub(super) fn new(units: usize) -> Settings {
        Settings {
            units,
            activation: Activation::Tanh,
            use_bias: true,
            kernel: Weight::new(keys!("kernel"), Initializer::glorot_uniform()),
            recurrent: Weight::new(keys!("recurrent"), Initializer::orthogonal()),
            bias: Weight::new(keys!("bias"), Initializer::Zeros),
            dropout: 0.0,
            recurrent_dropout: 0.0,
        }
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<Settings, Error> {
        let Some(units) = read.usize("units")? else { return Err(config::missing("units")) };
        let mut settings = Settings::new(units);
        if let Some(activation) = read.object("activation", Activation::from_config)? {
            settings.activation = activation;
        }
        settings.use_bias = read.bool("use_bias", true)?;
        Weight::read_all(read, [&mut settings.kernel, &mut settings.recurrent, &mut settings.bias])?;
        settings.dropout = read.f32("dropout", 0.0)?;
        settings.recurrent_dropout = read.f32("recurrent_dropout", 0.0)?;
        read.ignore(&["seed", "implementation"]);
        Ok(settings)
    }

    pub(super) fn config(&self) -> Config {
        let mut config = config! {
            "units": self.units,
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
        };
        Weight::write_all(&mut config, &[&self.kernel, &self.recurrent, &self.bias]);
        config.extend(config! { "dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout });
        config
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.units == 0 {
            return Err(Error::config("units = 0: a layer needs at least one unit").in_key("units"));
        }
        self.check_activation("activation", &self.activation)?;
        for (key, rate) in [("dropout", self.dropout), ("recurrent_dropout", self.recurrent_dropout)] {
            if !(0.0..1.0).contains(&rate) {
                let message = format!("{key} = {rate}, a dropout rate must be in [0, 1)");
                return Err(Error::config(message).in_key(key).help("it is the fraction dropped, as in Keras"));
            }
        }
        [&self.kernel, &self.recurrent, &self.bias].into_iter().try_for_each(Weight::check)
    }

    /// A gate has as many numbers after its activation as before.
    pub(super) fn check_activation(&self, key: &'static str, activation: &Activation) -> Result<(), Error> {
        activation.check().map_err(|e| e.at(format!("`{key}`")).in_key(key))?;
        if activation.output_shape(&[self.units])? == [self.units] {
            return Ok(());
        }
        Err(Error::config("a gate's activation must keep the number of units").in_key(key))
    }

    /// Kernel, recurrent kernel and, if there is one, the bias.
    pub(super) fn weights(
        &self,
        features: usize,
        gates: usize,
        bias_shape: &[usize],
        bias_initializer: Initializer,
    ) -> Vec<WeightSpec> {
        let columns = gates * self.units;
        let kernel = self.kernel.spec("kernel", [features, columns]);
        let mut weights = vec![kernel, self.recurrent.spec("recurrent_kernel", [self.units, columns])];
        if self.use_bias {
            weights.push(WeightSpec { initializer: bias_initializer, ..self.bias.spec("bias", bias_shape) });
        }
        weights
    }
}

/// The builder methods of a cell's settings, which lie in the given fields, such as `cell.settings`.
macro_rules! cell_methods {
    ($layer:ident, $($field:ident).+) => {
        impl $layer {
            /// The function applied to what is new in a state, by value or by name; default tanh.
            pub fn activation(mut self, activation: impl Into<Activation>) -> $layer {
                self.$($field).+.activation = activation.into();
                self
            }

            /// Whether a bias is added; default true.
            pub fn use_bias(mut self, use_bias: bool) -> $layer {
                self.$($field).+.use_bias = use_bias;
                self
            }

            /// The fraction of the inputs that is dropped while training, the same in every step; default 0.
            pub fn dropout(mut self, rate: f32) -> $layer {
                self.$($field).+.dropout = rate;
                self
            }

            /// The fraction of the state that is dropped while training where a gate reads it, the same in every step;
            /// default 0.
            pub fn recurrent_dropout(mut self, rate: f32) -> $layer {
                self.$($field).+.recurrent_dropout = rate;
                self
            }
        }

        $crate::layers::weight::weight_methods!([] $layer, "kernel", "Glorot uniform":
            $($field).+.kernel => kernel_initializer, kernel_regularizer, kernel_constraint);
        $crate::layers::weight::weight_methods!([] $layer, "recurrent kernel, all gates together,", "orthogonal":
            $($field).+.recurrent => recurrent_initializer, recurrent_regularizer, recurrent_constraint);
        $crate::layers::weight::weight_methods!([] $layer, "bias", "zeros":
            $($field).+.bias => bias_initializer, bias_regularizer, bias_constraint);
    };
}
pub(super) use cell_methods;

/// The builder method of what has gates, whose function lies in the given fields.
macro_rules! gated_methods {
    ($layer:ident, $($field:ident).+) => {
        impl $layer {
            /// The function of the gates, by value or by name; default sigmoid.
            pub fn recurrent_activation(mut self, activation: impl Into<Activation>) -> $layer {
                self.$($field).+ = activation.into();
                self
            }
        }
    };
}
pub(super) use gated_methods;
