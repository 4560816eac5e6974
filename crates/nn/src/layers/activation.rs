//! An activation as a layer of its own.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::{Activation, Error};

/// An activation as a layer of its own, `y = activation(x)`: Keras' layer `Activation`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Examples
/// ```
/// use footlight_nn::{ActivationLayer, Layer};
/// assert_eq!(ActivationLayer::new("softmax").output_shape(&[10]).unwrap(), [10]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationLayer {
    common: Common,
    activation: Activation,
}

common_methods!(ActivationLayer);

impl ActivationLayer {
    /// A layer that applies `activation`, by value or by name.
    pub fn new(activation: impl Into<Activation>) -> ActivationLayer {
        ActivationLayer { common: Common::default(), activation: activation.into() }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<ActivationLayer, Error> {
        let activation = read.object("activation", Activation::from_config)?;
        Ok(ActivationLayer::new(activation.unwrap_or_default()))
    }
}

impl Layer for ActivationLayer {
    layer_basics!("Activation");

    fn config(&self) -> Config {
        config! { "activation": self.activation.to_config() }
    }

    fn check(&self) -> Result<(), Error> {
        self.activation.check().map_err(|e| e.in_key("activation"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.activation.output_shape(input)
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        input.with(self.activation.lower(cx.graph, input.value))
    }
}
