//! What convolutions are made of: kernels with their settings, the bias and the activation behind the product.

use crate::config::{Config, Reader};
use crate::layer::WeightSpec;
use crate::layers::weight::{Weight, keys};
use crate::layers::window::Window;
use crate::{Activation, Error, Initializer};
use footlight_graph::ops::ConvGeometry;
use footlight_graph::{Builder, Value};

/// What comes behind the product: a bias for each filter and an activation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub activation: Activation,
    pub use_bias: bool,
    pub bias: Weight,
}

impl Output {
    /// Linear, with a bias of zeros.
    pub(super) fn new() -> Output {
        let bias = Weight::new(keys!("bias"), Initializer::Zeros);
        Output { activation: Activation::Linear, use_bias: true, bias }
    }

    pub(super) fn read(&mut self, read: &mut Reader<'_>) -> Result<(), Error> {
        if let Some(activation) = read.object("activation", Activation::from_config)? {
            self.activation = activation;
        }
        self.use_bias = read.bool("use_bias", true)?;
        self.bias.read(read)
    }

    pub(super) fn write(&self, config: &mut Config) {
        config.insert("activation".into(), self.activation.to_config());
        config.insert("use_bias".into(), self.use_bias.into());
        self.bias.write(config);
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.activation.check().map_err(|e| e.in_key("activation"))?;
        self.bias.check()
    }

    /// The bias of so many filters, if there is one.
    pub(super) fn spec(&self, filters: usize) -> Option<WeightSpec> {
        self.use_bias.then(|| self.bias.spec("bias", [filters]))
    }

    /// Adds the bias to `y`, whose channels are last, and applies the activation in the layer's own format.
    pub(super) fn lower<const N: usize>(
        &self,
        g: &mut Builder,
        window: &Window<N>,
        mut y: Value,
        bias: Option<&Value>,
    ) -> Value {
        if let Some(bias) = bias {
            y = g.add(y, *bias);
        }
        let y = window.data_format.turn_back(g, y);
        self.activation.lower(g, y)
    }
}

/// How the window is laid over a batch whose channels are last.
pub(super) fn geometry<const N: usize>(g: &Builder, x: Value, window: &Window<N>, groups: usize) -> ConvGeometry {
    let shape = g.shape(x);
    ConvGeometry {
        strides: window.strides.0.to_vec(),
        dilation: window.dilation_rate.0.to_vec(),
        padding: (0..N).map(|axis| window.reach(axis, shape.get(axis + 1).copied().unwrap_or(1))).collect(),
        groups,
    }
}

/// Requires a count of at least 1.
pub(super) fn at_least_one(key: &str, value: usize) -> Result<(), Error> {
    if value == 0 {
        return Err(Error::config(format!("{key} = 0: a layer needs at least one")).in_key(key));
    }
    Ok(())
}

/// The builder methods that convolutions share: those of the window but its size, of bias and activation.
macro_rules! convolution_methods {
    ([$($generics:tt)*] $layer:ty, $n:ident) => {
        $crate::layer::common_methods!([$($generics)*] $layer);
        $crate::layers::window::window_methods!([$($generics)*] $layer);

        impl<$($generics)*> $layer {
            /// Positions from one window to the next, for all axes or for each; default 1.
            pub fn strides(mut self, strides: impl Into<$crate::PerAxis<$n>>) -> Self {
                self.window.strides = strides.into();
                self
            }

            /// Positions from one tap of the kernel to the next, for all axes or for each; default 1.
            pub fn dilation_rate(mut self, rate: impl Into<$crate::PerAxis<$n>>) -> Self {
                self.window.dilation_rate = rate.into();
                self
            }

            /// The function applied to the output, by value or by name; default linear.
            pub fn activation(mut self, activation: impl Into<$crate::Activation>) -> Self {
                self.output.activation = activation.into();
                self
            }

            /// Whether a bias is added; default true.
            pub fn use_bias(mut self, use_bias: bool) -> Self {
                self.output.use_bias = use_bias;
                self
            }
        }
    };
}
pub(super) use convolution_methods;
