//! Convolution of each channel on its own.

use super::parts::{Output, at_least_one, convolution_methods, geometry};
use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, layer_basics};
use crate::layers::weight::{Weight, keys, weight_methods};
use crate::layers::window::{PerAxis, Window};
use crate::{Error, Initializer};
use footlight_graph::{Builder, Value};

/// Depthwise convolution over one spatial axis; see [`DepthwiseConv`].
pub type DepthwiseConv1D = DepthwiseConv<1>;
/// Depthwise convolution over two spatial axes; see [`DepthwiseConv`].
pub type DepthwiseConv2D = DepthwiseConv<2>;

/// Convolution of each channel on its own, with `M = depth_multiplier` kernels for each:
/// `y[o, c M + m] = activation(sum_k x[o s + k d - p, c] kernel[k, c, m] + bias[c M + m])`.
///
/// # Shapes
/// Input `[N, spatial..., C]`, kernel `[kernel_size..., C, M]`, bias `[C M]`, output `[N, out..., C M]` with the extents of
/// [`crate::Conv`].
///
/// # Arguments
/// As of [`crate::Conv`]; `depth_multiplier` 1 by default, and `depthwise_initializer` Glorot uniform, as in Keras.
///
/// # Examples
/// ```
/// use footlight_nn::{DepthwiseConv2D, Layer};
/// assert_eq!(DepthwiseConv2D::new(3).output_shape(&[9, 9, 4]).unwrap(), [7, 7, 4]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseConv<const N: usize> {
    common: Common,
    depth_multiplier: usize,
    window: Window<N>,
    depthwise: Weight,
    output: Output,
}

convolution_methods!([const N: usize] DepthwiseConv<N>, N);
weight_methods!([const N: usize] DepthwiseConv<N>, "kernel", "Glorot uniform": depthwise => depthwise_initializer, depthwise_regularizer, depthwise_constraint);
weight_methods!([const N: usize] DepthwiseConv<N>, "bias", "zeros": output.bias => bias_initializer, bias_regularizer, bias_constraint);

pub(super) const PADDINGS: &[&str] = &["valid", "same"];
pub(super) const KEYS: [&str; 3] = keys!("depthwise");

impl<const N: usize> DepthwiseConv<N> {
    /// A layer with a kernel of `kernel_size` for each channel, with Keras' defaults.
    pub fn new(kernel_size: impl Into<PerAxis<N>>) -> DepthwiseConv<N> {
        DepthwiseConv {
            common: Common::default(),
            depth_multiplier: 1,
            window: Window::new(kernel_size.into()),
            depthwise: Weight::new(KEYS, Initializer::glorot_uniform()),
            output: Output::new(),
        }
    }

    /// Kernels for each channel; default 1.
    pub fn depth_multiplier(mut self, multiplier: usize) -> DepthwiseConv<N> {
        self.depth_multiplier = multiplier;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<DepthwiseConv<N>, Error> {
        let Some(size) = PerAxis::<N>::read(read, "kernel_size")? else { return Err(config::missing("kernel_size")) };
        let mut layer = DepthwiseConv::new(size.0);
        layer.window.read(read, PADDINGS)?;
        layer.window.dilation_rate = PerAxis::read(read, "dilation_rate")?.unwrap_or(layer.window.dilation_rate);
        layer.depth_multiplier = read.usize_or("depth_multiplier", 1)?;
        layer.depthwise.read(read)?;
        layer.output.read(read)?;
        Ok(layer)
    }
}

/// The convolution of each channel of `x`, whose channels are last, with kernels `[window..., C, M]`.
pub(super) fn depthwise<const N: usize>(g: &mut Builder, x: Value, kernel: Value, window: &Window<N>) -> Value {
    let mut shape = g.shape(kernel);
    let (Some(multiplier), Some(channels)) = (shape.pop(), shape.pop()) else { return kernel };
    shape.extend([1, channels * multiplier]);
    let kernel = g.reshape(kernel, shape);
    let geometry = geometry(g, x, window, channels);
    g.conv(x, kernel, geometry)
}

impl<const N: usize> Layer for DepthwiseConv<N> {
    layer_basics!(["DepthwiseConv1D", "DepthwiseConv2D"][N - 1]);

    fn config(&self) -> Config {
        let mut config = config! {
            "depth_multiplier": self.depth_multiplier,
            "dilation_rate": self.window.dilation_rate.0.as_slice(),
        };
        self.window.write("kernel_size", &mut config);
        self.depthwise.write(&mut config);
        self.output.write(&mut config);
        config
    }

    fn check(&self) -> Result<(), Error> {
        at_least_one("depth_multiplier", self.depth_multiplier)?;
        self.window.check("kernel_size", PADDINGS)?;
        self.depthwise.check()?;
        self.output.check()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let (spatial, channels) = self.window.data_format.split(input)?;
        let out = self.window.outputs(&spatial)?;
        let shape = self.window.data_format.shape(&out, channels.saturating_mul(self.depth_multiplier));
        self.output.activation.output_shape(&shape)
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let (_, channels) = self.window.data_format.split::<N>(input)?;
        let shape = [self.window.size.0.as_slice(), &[channels, self.depth_multiplier]].concat();
        let bias = self.output.spec(channels.saturating_mul(self.depth_multiplier));
        Ok([self.depthwise.spec("kernel", shape)].into_iter().chain(bias).collect())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = self.window.data_format.turn_last(g, input.value);
        let y = depthwise(g, x, cx.weights[0], &self.window);
        Masked::new(self.output.lower(g, &self.window, y, cx.weights.get(1)))
    }
}
