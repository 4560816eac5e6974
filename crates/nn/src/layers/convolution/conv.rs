//! Convolution.

use super::parts::{Output, at_least_one, convolution_methods, geometry};
use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, layer_basics};
use crate::layers::weight::{Weight, keys, weight_methods};
use crate::layers::window::{PerAxis, Window};
use crate::{Error, ErrorKind, Initializer};

/// Convolution over one spatial axis, such as time; see [`Conv`].
pub type Conv1D = Conv<1>;
/// Convolution over two spatial axes; see [`Conv`].
pub type Conv2D = Conv<2>;
/// Convolution over three spatial axes; see [`Conv`].
pub type Conv3D = Conv<3>;

/// Convolution over `N` spatial axes, `y[o, f] = activation(sum_(k, c) x[o s + k d - p, c] kernel[k, c, f] + bias[f])`.
///
/// # Shapes
/// Input `[N, spatial..., C]`, kernel `[kernel_size..., C / groups, filters]`, bias `[filters]`, output
/// `[N, out..., filters]`; per axis of extent `n` and window `w = d (k - 1) + 1`, valid `out = floor((n - w) / s) + 1`, same
/// and causal `ceil(n / s)`.
///
/// # Arguments
/// `filters` and `kernel_size`: at least 1; one number stands for all axes. Defaults as in Keras: `strides` 1,
/// `dilation_rate` 1, `padding` valid (causal over one axis alone), `groups` 1, `activation` linear, `use_bias` true,
/// `kernel_initializer` Glorot uniform, `bias_initializer` zeros.
///
/// # Differences
/// PyTorch's images and kernels have their channels first, `[F, C / groups, k...]`. Keras refuses strides together with
/// dilation, here they may be.
///
/// # Examples
/// ```
/// use footlight_nn::{Conv2D, Layer};
/// let layer = Conv2D::new(32, 3).activation("relu");
/// assert_eq!(layer.output_shape(&[28, 28, 1]).unwrap(), [26, 26, 32]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv<const N: usize> {
    common: Common,
    filters: usize,
    groups: usize,
    window: Window<N>,
    kernel: Weight,
    output: Output,
}

convolution_methods!([const N: usize] Conv<N>, N);
weight_methods!([const N: usize] Conv<N>, "kernel", "Glorot uniform": kernel => kernel_initializer, kernel_regularizer, kernel_constraint);
weight_methods!([const N: usize] Conv<N>, "bias", "zeros": output.bias => bias_initializer, bias_regularizer, bias_constraint);

impl<const N: usize> Conv<N> {
    const PADDINGS: &[&str] = if N == 1 { &["valid", "same", "causal"] } else { &["valid", "same"] };

    /// A layer of `filters` kernels of `kernel_size`, with Keras' defaults.
    pub fn new(filters: usize, kernel_size: impl Into<PerAxis<N>>) -> Conv<N> {
        let keys = keys!("kernel");
        Conv {
            common: Common::default(),
            filters,
            groups: 1,
            window: Window::new(kernel_size.into()),
            kernel: Weight::new(keys, Initializer::glorot_uniform()),
            output: Output::new(),
        }
    }

    /// Groups of channels that do not see each other; both channels and filters are multiples. Default 1.
    pub fn groups(mut self, groups: usize) -> Conv<N> {
        self.groups = groups;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Conv<N>, Error> {
        let filters = read.required_usize("filters")?;
        let Some(size) = PerAxis::<N>::read(read, "kernel_size")? else { return Err(config::missing("kernel_size")) };
        let mut layer = Conv::new(filters, size.0);
        layer.window.read(read, Conv::<N>::PADDINGS)?;
        layer.window.dilation_rate = PerAxis::read(read, "dilation_rate")?.unwrap_or(layer.window.dilation_rate);
        layer.groups = read.usize_or("groups", 1)?;
        layer.kernel.read(read)?;
        layer.output.read(read)?;
        read.refuse(&["lora_rank", "quantization_config"])?;
        read.ignore(&["lora_alpha"]);
        Ok(layer)
    }

    /// Spatial extents and channels of a sample, channels that divide into the groups.
    fn split(&self, input: &[usize]) -> Result<([usize; N], usize), Error> {
        let (spatial, channels) = self.window.data_format.split(input)?;
        if !channels.is_multiple_of(self.groups.max(1)) {
            let message = format!("{channels} channels do not divide into {} groups", self.groups);
            return Err(Error::new(ErrorKind::Shape, message).help("take a number of groups that divides the channels"));
        }
        Ok((spatial, channels))
    }
}

impl<const N: usize> Layer for Conv<N> {
    layer_basics!(["Conv1D", "Conv2D", "Conv3D"][N - 1]);

    fn config(&self) -> Config {
        let mut config = config! {
            "filters": self.filters,
            "dilation_rate": self.window.dilation_rate.0.as_slice(),
            "groups": self.groups,
        };
        self.window.write("kernel_size", &mut config);
        self.kernel.write(&mut config);
        self.output.write(&mut config);
        config
    }

    fn check(&self) -> Result<(), Error> {
        at_least_one("filters", self.filters)?;
        at_least_one("groups", self.groups)?;
        if !self.filters.is_multiple_of(self.groups) {
            let message = format!("filters = {} do not divide into groups = {}", self.filters, self.groups);
            return Err(Error::config(message).in_key("groups"));
        }
        self.window.check("kernel_size", Conv::<N>::PADDINGS)?;
        self.kernel.check()?;
        self.output.check()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let (spatial, _) = self.split(input)?;
        let out = self.window.outputs(&spatial)?;
        self.output.activation.output_shape(&self.window.data_format.shape(&out, self.filters))
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let (_, channels) = self.split(input)?;
        let shape = [self.window.size.0.as_slice(), &[channels / self.groups, self.filters]].concat();
        Ok([self.kernel.spec("kernel", shape)].into_iter().chain(self.output.spec(self.filters)).collect())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = self.window.data_format.turn_last(g, input.value);
        let geometry = geometry(g, x, &self.window, self.groups);
        let y = g.conv(x, cx.weights[0], geometry);
        Masked::new(self.output.lower(g, &self.window, y, cx.weights.get(1)))
    }
}
