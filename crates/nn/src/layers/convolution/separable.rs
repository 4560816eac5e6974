//! Convolution in two parts: of each channel on its own, then across channels.

use super::depthwise::{KEYS, PADDINGS, depthwise};
use super::parts::{Output, at_least_one, convolution_methods};
use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, layer_basics};
use crate::layers::weight::{Weight, keys, weight_methods};
use crate::layers::window::{PerAxis, Window};
use crate::{Error, Initializer};
use footlight_graph::ops::ConvGeometry;

/// Separable convolution over one spatial axis; see [`SeparableConv`].
pub type SeparableConv1D = SeparableConv<1>;
/// Separable convolution over two spatial axes; see [`SeparableConv`].
pub type SeparableConv2D = SeparableConv<2>;

/// Convolution in two parts: [`crate::DepthwiseConv`] without bias and activation, then a convolution with a window of 1
/// from its `C M` channels to `filters`, with `M = depth_multiplier`.
///
/// # Shapes
/// Input `[N, spatial..., C]`, depthwise kernel `[kernel_size..., C, M]`, pointwise kernel `[1..., C M, filters]`, bias
/// `[filters]`, output `[N, out..., filters]` with the extents of [`crate::Conv`].
///
/// # Arguments
/// As of [`crate::DepthwiseConv`]; `pointwise_initializer` Glorot uniform, as in Keras.
///
/// # References
/// Chollet (2017), "Xception: deep learning with depthwise separable convolutions".
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, SeparableConv2D};
/// let weights = SeparableConv2D::new(8, 3).weights(&[9, 9, 4]).unwrap();
/// assert_eq!(weights[1].shape, [1, 1, 4, 8]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SeparableConv<const N: usize> {
    common: Common,
    filters: usize,
    depth_multiplier: usize,
    window: Window<N>,
    depthwise: Weight,
    pointwise: Weight,
    output: Output,
}

convolution_methods!([const N: usize] SeparableConv<N>, N);
weight_methods!([const N: usize] SeparableConv<N>, "depthwise kernel", "Glorot uniform": depthwise => depthwise_initializer, depthwise_regularizer, depthwise_constraint);
weight_methods!([const N: usize] SeparableConv<N>, "pointwise kernel", "Glorot uniform": pointwise => pointwise_initializer, pointwise_regularizer, pointwise_constraint);
weight_methods!([const N: usize] SeparableConv<N>, "bias", "zeros": output.bias => bias_initializer, bias_regularizer, bias_constraint);

impl<const N: usize> SeparableConv<N> {
    /// A layer of `filters` outputs with a window of `kernel_size`, with Keras' defaults.
    pub fn new(filters: usize, kernel_size: impl Into<PerAxis<N>>) -> SeparableConv<N> {
        let pointwise = keys!("pointwise");
        SeparableConv {
            common: Common::default(),
            filters,
            depth_multiplier: 1,
            window: Window::new(kernel_size.into()),
            depthwise: Weight::new(KEYS, Initializer::glorot_uniform()),
            pointwise: Weight::new(pointwise, Initializer::glorot_uniform()),
            output: Output::new(),
        }
    }

    /// Kernels for each channel; default 1.
    pub fn depth_multiplier(mut self, multiplier: usize) -> SeparableConv<N> {
        self.depth_multiplier = multiplier;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<SeparableConv<N>, Error> {
        let filters = read.required_usize("filters")?;
        let Some(size) = PerAxis::<N>::read(read, "kernel_size")? else { return Err(config::missing("kernel_size")) };
        let mut layer = SeparableConv::new(filters, size.0);
        layer.window.read(read, PADDINGS)?;
        layer.window.dilation_rate = PerAxis::read(read, "dilation_rate")?.unwrap_or(layer.window.dilation_rate);
        layer.depth_multiplier = read.usize_or("depth_multiplier", 1)?;
        layer.depthwise.read(read)?;
        layer.pointwise.read(read)?;
        layer.output.read(read)?;
        Ok(layer)
    }
}

impl<const N: usize> Layer for SeparableConv<N> {
    layer_basics!(["SeparableConv1D", "SeparableConv2D"][N - 1]);

    fn config(&self) -> Config {
        let mut config = config! {
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            "dilation_rate": self.window.dilation_rate.0.as_slice(),
        };
        self.window.write("kernel_size", &mut config);
        self.depthwise.write(&mut config);
        self.pointwise.write(&mut config);
        self.output.write(&mut config);
        config
    }

    fn check(&self) -> Result<(), Error> {
        at_least_one("filters", self.filters)?;
        at_least_one("depth_multiplier", self.depth_multiplier)?;
        self.window.check("kernel_size", PADDINGS)?;
        self.depthwise.check()?;
        self.pointwise.check()?;
        self.output.check()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let (spatial, _) = self.window.data_format.split(input)?;
        let out = self.window.outputs(&spatial)?;
        self.output.activation.output_shape(&self.window.data_format.shape(&out, self.filters))
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let (_, channels) = self.window.data_format.split::<N>(input)?;
        let depthwise = [self.window.size.0.as_slice(), &[channels, self.depth_multiplier]].concat();
        let pointwise = [[1; N].as_slice(), &[channels.saturating_mul(self.depth_multiplier), self.filters]].concat();
        let depthwise = self.depthwise.spec("depthwise_kernel", depthwise);
        let pointwise = self.pointwise.spec("pointwise_kernel", pointwise);
        Ok([depthwise, pointwise].into_iter().chain(self.output.spec(self.filters)).collect())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = self.window.data_format.turn_last(g, input.value);
        let y = depthwise(g, x, cx.weights[0], &self.window);
        let y = g.conv(y, cx.weights[1], ConvGeometry::new(N));
        Masked::new(self.output.lower(g, &self.window, y, cx.weights.get(2)))
    }
}
