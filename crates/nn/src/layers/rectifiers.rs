//! Activations with arguments, as layers of their own: ReLU, LeakyReLU, ELU.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::{Activation, Error};

/// A layer that applies the function its fields describe.
macro_rules! layer_of_function {
    ($layer:ident, $class:literal, $function:expr, $settings:expr) => {
        common_methods!($layer);

        impl Layer for $layer {
            layer_basics!($class);

            fn config(&self) -> Config {
                let settings: fn(&$layer) -> Config = $settings;
                settings(self)
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
                Ok(input.to_vec())
            }

            fn check(&self) -> Result<(), Error> {
                let function: fn(&$layer) -> Activation = $function;
                function(self).check()
            }

            fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
                let function: fn(&$layer) -> Activation = $function;
                input.with(function(self).lower(cx.graph, input.value))
            }
        }
    };
}

/// The rectified linear unit with all its arguments: `min(x, max_value)` above `threshold`, else
/// `negative_slope (x - threshold)`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// All at least 0, with Keras' defaults: `max_value` none, `negative_slope` 0, `threshold` 0.
///
/// # References
/// Nair and Hinton (2010), "Rectified linear units improve restricted Boltzmann machines".
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, ReLU};
/// assert_eq!(ReLU::new().max_value(6.0).config()["max_value"], 6.0);
/// assert!(ReLU::new().negative_slope(-0.1).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ReLU {
    common: Common,
    max_value: Option<f32>,
    negative_slope: f32,
    threshold: f32,
}

impl ReLU {
    /// A layer with Keras' defaults.
    pub fn new() -> ReLU {
        ReLU::default()
    }

    /// The largest output; default none.
    pub fn max_value(mut self, max_value: f32) -> ReLU {
        self.max_value = Some(max_value);
        self
    }

    /// The slope below the threshold; default 0.
    pub fn negative_slope(mut self, negative_slope: f32) -> ReLU {
        self.negative_slope = negative_slope;
        self
    }

    /// Where the upper part begins; default 0.
    pub fn threshold(mut self, threshold: f32) -> ReLU {
        self.threshold = threshold;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<ReLU, Error> {
        match Activation::read_settings("ReLU", read)? {
            Activation::ReluWith { negative_slope, max_value, threshold } => {
                Ok(ReLU { max_value, negative_slope, threshold, ..ReLU::new() })
            }
            _ => Ok(ReLU::new()),
        }
    }

    fn function(&self) -> Activation {
        let &ReLU { negative_slope, max_value, threshold, .. } = self;
        match (negative_slope, max_value, threshold) {
            (0.0, None, 0.0) => Activation::Relu,
            _ => Activation::ReluWith { negative_slope, max_value, threshold },
        }
    }
}

layer_of_function!(ReLU, "ReLU", ReLU::function, |layer| config! {
    "max_value": layer.max_value, "negative_slope": layer.negative_slope, "threshold": layer.threshold,
});

/// The leaky rectified linear unit: `x` above 0, else `negative_slope x`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `negative_slope`: at least 0; Keras' default is 0.3, PyTorch's 0.01.
///
/// # Differences
/// The function `leaky_relu` has the slope 0.2 by default, as in Keras.
///
/// # References
/// Maas, Hannun, Ng (2013), "Rectifier nonlinearities improve neural network acoustic models".
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, LeakyReLU};
/// assert_eq!(LeakyReLU::new().negative_slope(0.5).config()["negative_slope"], 0.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyReLU {
    common: Common,
    negative_slope: f32,
}

impl Default for LeakyReLU {
    fn default() -> LeakyReLU {
        LeakyReLU { common: Common::default(), negative_slope: 0.3 }
    }
}

impl LeakyReLU {
    /// A layer with Keras' slope of 0.3.
    pub fn new() -> LeakyReLU {
        LeakyReLU::default()
    }

    /// The slope below 0; default 0.3.
    pub fn negative_slope(mut self, negative_slope: f32) -> LeakyReLU {
        self.negative_slope = negative_slope;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<LeakyReLU, Error> {
        let layer = LeakyReLU::new();
        let slope = read.f32("negative_slope", layer.negative_slope)?;
        Ok(layer.negative_slope(slope))
    }

    fn function(&self) -> Activation {
        Activation::LeakyRelu { negative_slope: self.negative_slope }
    }
}

layer_of_function!(
    LeakyReLU,
    "LeakyReLU",
    LeakyReLU::function,
    |layer| config! { "negative_slope": layer.negative_slope }
);

/// The exponential linear unit: `x` above 0, else `alpha (e^x - 1)`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `alpha`: the value that is approached far below, negated; default 1 as in Keras and PyTorch.
///
/// # References
/// Clevert, Unterthiner, Hochreiter (2016), "Fast and accurate deep network learning by exponential linear units".
///
/// # Examples
/// ```
/// use footlight_nn::{ELU, Layer};
/// assert_eq!(ELU::new().alpha(0.5).config()["alpha"], 0.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ELU {
    common: Common,
    alpha: f32,
}

impl Default for ELU {
    fn default() -> ELU {
        ELU { common: Common::default(), alpha: 1.0 }
    }
}

impl ELU {
    /// A layer with Keras' alpha of 1.
    pub fn new() -> ELU {
        ELU::default()
    }

    /// The value that is approached far below, negated; default 1.
    pub fn alpha(mut self, alpha: f32) -> ELU {
        self.alpha = alpha;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<ELU, Error> {
        Ok(ELU::new().alpha(read.f32("alpha", 1.0)?))
    }

    fn function(&self) -> Activation {
        Activation::Elu { alpha: self.alpha }
    }
}

layer_of_function!(ELU, "ELU", ELU::function, |layer| config! { "alpha": layer.alpha });
