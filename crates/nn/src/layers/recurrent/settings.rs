//! What the cells have in common: Keras' arguments, their weights and their builder methods.

use crate::config::{self, Config, Reader, config};
use crate::layer::WeightSpec;
use crate::{Activation, Constraint, Error, Initializer, Regularizer};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub units: usize,
    pub activation: Activation,
    pub use_bias: bool,
    pub kernel_initializer: Initializer,
    pub recurrent_initializer: Initializer,
    pub bias_initializer: Initializer,
    pub kernel_regularizer: Option<Regularizer>,
    pub recurrent_regularizer: Option<Regularizer>,
    pub bias_regularizer: Option<Regularizer>,
    pub kernel_constraint: Option<Constraint>,
    pub recurrent_constraint: Option<Constraint>,
    pub bias_constraint: Option<Constraint>,
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
            kernel_initializer: Initializer::glorot_uniform(),
            recurrent_initializer: Initializer::orthogonal(),
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            recurrent_regularizer: None,
            bias_regularizer: None,
            kernel_constraint: None,
            recurrent_constraint: None,
            bias_constraint: None,
            dropout: 0.0,
            recurrent_dropout: 0.0,
        }
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<Settings, Error> {
        let Some(units) = read.usize("units")? else { return Err(config::missing("units")) };
        let defaults = Settings::new(units);
        let settings = Settings {
            activation: read.object("activation", Activation::from_config)?.unwrap_or(defaults.activation),
            use_bias: read.bool("use_bias", true)?,
            kernel_initializer: read
                .object("kernel_initializer", Initializer::from_config)?
                .unwrap_or(defaults.kernel_initializer),
            recurrent_initializer: read
                .object("recurrent_initializer", Initializer::from_config)?
                .unwrap_or(defaults.recurrent_initializer),
            bias_initializer: read
                .object("bias_initializer", Initializer::from_config)?
                .unwrap_or(defaults.bias_initializer),
            kernel_regularizer: read.object("kernel_regularizer", Regularizer::from_config)?,
            recurrent_regularizer: read.object("recurrent_regularizer", Regularizer::from_config)?,
            bias_regularizer: read.object("bias_regularizer", Regularizer::from_config)?,
            kernel_constraint: read.object("kernel_constraint", Constraint::from_config)?,
            recurrent_constraint: read.object("recurrent_constraint", Constraint::from_config)?,
            bias_constraint: read.object("bias_constraint", Constraint::from_config)?,
            dropout: read.f32("dropout", 0.0)?,
            recurrent_dropout: read.f32("recurrent_dropout", 0.0)?,
            units,
        };
        read.ignore(&["seed", "implementation"]);
        Ok(settings)
    }

    pub(super) fn config(&self) -> Config {
        config! {
            "units": self.units,
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.to_config(),
            "recurrent_initializer": self.recurrent_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
            "kernel_regularizer": self.kernel_regularizer.map(|r| r.to_config()),
            "recurrent_regularizer": self.recurrent_regularizer.map(|r| r.to_config()),
            "bias_regularizer": self.bias_regularizer.map(|r| r.to_config()),
            "kernel_constraint": self.kernel_constraint.as_ref().map(Constraint::to_config),
            "recurrent_constraint": self.recurrent_constraint.as_ref().map(Constraint::to_config),
            "bias_constraint": self.bias_constraint.as_ref().map(Constraint::to_config),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }
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
        let initializers = [
            ("kernel_initializer", &self.kernel_initializer),
            ("recurrent_initializer", &self.recurrent_initializer),
            ("bias_initializer", &self.bias_initializer),
        ];
        initializers.into_iter().try_for_each(|(key, initializer)| initializer.check().map_err(|e| e.in_key(key)))
    }

    /// A gate has as many numbers after its activation as before.
    pub(super) fn check_activation(&self, key: &'static str, activation: &Activation) -> Result<(), Error> {
        activation.check().map_err(|e| e.in_key(key))?;
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
        let kernel = WeightSpec::new("kernel", [features, columns], self.kernel_initializer.clone());
        let recurrent = WeightSpec::new("recurrent_kernel", [self.units, columns], self.recurrent_initializer.clone());
        let mut weights = vec![
            kernel.regularizer(self.kernel_regularizer).constraint(&self.kernel_constraint),
            recurrent.regularizer(self.recurrent_regularizer).constraint(&self.recurrent_constraint),
        ];
        if self.use_bias {
            let bias = WeightSpec::new("bias", bias_shape, bias_initializer);
            weights.push(bias.regularizer(self.bias_regularizer).constraint(&self.bias_constraint));
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

            /// How the kernel begins; default Glorot uniform.
            pub fn kernel_initializer(mut self, initializer: impl Into<Initializer>) -> $layer {
                self.$($field).+.kernel_initializer = initializer.into();
                self
            }

            /// How the recurrent kernel begins, all gates together; default orthogonal.
            pub fn recurrent_initializer(mut self, initializer: impl Into<Initializer>) -> $layer {
                self.$($field).+.recurrent_initializer = initializer.into();
                self
            }

            /// How the bias begins; default zeros.
            pub fn bias_initializer(mut self, initializer: impl Into<Initializer>) -> $layer {
                self.$($field).+.bias_initializer = initializer.into();
                self
            }

            /// A penalty on the kernel; default none.
            pub fn kernel_regularizer(mut self, regularizer: Regularizer) -> $layer {
                self.$($field).+.kernel_regularizer = Some(regularizer);
                self
            }

            /// A penalty on the recurrent kernel; default none.
            pub fn recurrent_regularizer(mut self, regularizer: Regularizer) -> $layer {
                self.$($field).+.recurrent_regularizer = Some(regularizer);
                self
            }

            /// A penalty on the bias; default none.
            pub fn bias_regularizer(mut self, regularizer: Regularizer) -> $layer {
                self.$($field).+.bias_regularizer = Some(regularizer);
                self
            }

            /// What the kernel is kept to after each update; default nothing.
            pub fn kernel_constraint(mut self, constraint: Constraint) -> $layer {
                self.$($field).+.kernel_constraint = Some(constraint);
                self
            }

            /// What the recurrent kernel is kept to after each update; default nothing.
            pub fn recurrent_constraint(mut self, constraint: Constraint) -> $layer {
                self.$($field).+.recurrent_constraint = Some(constraint);
                self
            }

            /// What the bias is kept to after each update; default nothing.
            pub fn bias_constraint(mut self, constraint: Constraint) -> $layer {
                self.$($field).+.bias_constraint = Some(constraint);
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
