//! Transposed convolution.

use super::parts::{Output, at_least_one, convolution_methods};
use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, layer_basics};
use crate::layers::weight::{Weight, keys, weight_methods};
use crate::layers::window::{Padding, PerAxis, Window};
use crate::{Error, ErrorKind, Initializer};
use footlight_graph::Type;
use footlight_graph::ops::ConvGeometry;
use footlight_tensor::display_shape;

/// Transposed convolution over one spatial axis; see [`ConvTranspose`].
pub type Conv1DTranspose = ConvTranspose<1>;
/// Transposed convolution over two spatial axes; see [`ConvTranspose`].
pub type Conv2DTranspose = ConvTranspose<2>;
/// Transposed convolution over three spatial axes; see [`ConvTranspose`].
pub type Conv3DTranspose = ConvTranspose<3>;

/// Transposed convolution over `N` spatial axes: the gradient of a convolution by its input,
/// `y[q, f] = activation(sum x[o, c] kernel[k, f, c] + bias[f])` over all `o`, `k`, `c` with `o s + k d - p = q`.
///
/// # Shapes
/// Input `[N, spatial..., C]`, kernel `[kernel_size..., filters, C]`, bias `[filters]`, output `[N, out..., filters]`; per
/// axis of extent `n` and window `w = d (k - 1) + 1`, valid `out = (n - 1) s + w + output_padding`, same
/// `out = (n - 1) s + w % 2 + output_padding`; without `output_padding`, valid `(n - 1) s + max(w, s)`, same `n s`.
///
/// # Arguments
/// As of [`crate::Conv`], without groups. `output_padding`: below the stride of its axis; default none, as in Keras.
///
/// # Differences
/// PyTorch's kernel is `[C, F, k...]`, and its padding is cut off the output.
///
/// # References
/// Dumoulin and Visin (2016), "A guide to convolution arithmetic for deep learning", chapter 4.
///
/// # Examples
/// ```
/// use footlight_nn::{Conv2DTranspose, Layer};
/// let layer = Conv2DTranspose::new(8, 3).strides(2).padding("same");
/// assert_eq!(layer.output_shape(&[7, 7, 16]).unwrap(), [14, 14, 8]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose<const N: usize> {
    common: Common,
    filters: usize,
    output_padding: Option<PerAxis<N>>,
    window: Window<N>,
    kernel: Weight,
    output: Output,
}

convolution_methods!([const N: usize] ConvTranspose<N>, N);
weight_methods!([const N: usize] ConvTranspose<N>, "kernel", "Glorot uniform": kernel => kernel_initializer, kernel_regularizer, kernel_constraint);
weight_methods!([const N: usize] ConvTranspose<N>, "bias", "zeros": output.bias => bias_initializer, bias_regularizer, bias_constraint);

const PADDINGS: &[&str] = &["valid", "same"];

impl<const N: usize> ConvTranspose<N> {
    /// A layer of `filters` kernels of `kernel_size`, with Keras' defaults.
    pub fn new(filters: usize, kernel_size: impl Into<PerAxis<N>>) -> ConvTranspose<N> {
        let keys = keys!("kernel");
        ConvTranspose {
            common: Common::default(),
            filters,
            output_padding: None,
            window: Window::new(kernel_size.into()),
            kernel: Weight::new(keys, Initializer::glorot_uniform()),
            output: Output::new(),
        }
    }

    /// Positions added behind the output, for all axes or for each; default such that the output is a multiple of the input.
    pub fn output_padding(mut self, padding: impl Into<PerAxis<N>>) -> ConvTranspose<N> {
        self.output_padding = Some(padding.into());
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<ConvTranspose<N>, Error> {
        let filters = read.required_usize("filters")?;
        let Some(size) = PerAxis::<N>::read(read, "kernel_size")? else { return Err(config::missing("kernel_size")) };
        let mut layer = ConvTranspose::new(filters, size.0);
        layer.window.read(read, PADDINGS)?;
        layer.window.dilation_rate = PerAxis::read(read, "dilation_rate")?.unwrap_or(layer.window.dilation_rate);
        layer.output_padding = PerAxis::read(read, "output_padding")?;
        layer.kernel.read(read)?;
        layer.output.read(read)?;
        Ok(layer)
    }

    /// The output's extent on an axis where the input's is `length`, and how far the window reaches beyond the output.
    fn axis(&self, axis: usize, length: usize) -> (usize, [usize; 2]) {
        let (span, stride) = (self.window.span(axis), self.window.strides.0[axis]);
        let extra = self.output_padding.map(|padding| padding.0[axis]);
        let steps = (length - 1) * stride;
        let (output, low) = match self.window.padding {
            Padding::Same => {
                // Of the zeros around an input that is stretched by the stride, Keras puts the larger half before it.
                let total = extra.map_or(stride + span, |extra| span + span % 2 + extra) - 2;
                let before = total.div_ceil(2).min(span - 1);
                (extra.map_or(length * stride, |extra| steps + span % 2 + extra), span - 1 - before)
            }
            _ => (steps + span + extra.unwrap_or(span.max(stride) - span), 0),
        };
        (output, [low, (steps + span).saturating_sub(output + low)])
    }

    fn outputs(&self, spatial: &[usize; N]) -> Result<[usize; N], Error> {
        let mut out = *spatial;
        for (axis, extent) in out.iter_mut().enumerate() {
            let stretched = extent.checked_mul(self.window.strides.0[axis]).filter(|length| *length <= Type::LARGEST);
            *extent = stretched.map_or(usize::MAX, |_| self.axis(axis, *extent).0);
        }
        if out.contains(&0) {
            let message = format!("samples of {} have an output of {}", display_shape(spatial), display_shape(&out));
            return Err(Error::new(ErrorKind::Shape, message).help("leave output_padding out, or make it larger"));
        }
        Ok(out)
    }
}

impl<const N: usize> Layer for ConvTranspose<N> {
    layer_basics!(["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"][N - 1]);

    fn config(&self) -> Config {
        let mut config = config! {
            "filters": self.filters,
            "dilation_rate": self.window.dilation_rate.0.as_slice(),
            "output_padding": self.output_padding.map(|padding| padding.0.to_vec()),
        };
        self.window.write("kernel_size", &mut config);
        self.kernel.write(&mut config);
        self.output.write(&mut config);
        config
    }

    fn check(&self) -> Result<(), Error> {
        at_least_one("filters", self.filters)?;
        self.window.check("kernel_size", PADDINGS)?;
        let extra = self.output_padding.map_or([0; N], |padding| padding.0);
        if extra.iter().zip(&self.window.strides.0).any(|(extra, stride)| extra >= stride) {
            let message = format!("`output_padding` = {extra:?} must be below strides {:?}", self.window.strides.0);
            return Err(Error::config(message).in_key("output_padding"));
        }
        self.kernel.check()?;
        self.output.check()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let (spatial, _) = self.window.data_format.split(input)?;
        let out = self.outputs(&spatial)?;
        self.output.activation.output_shape(&self.window.data_format.shape(&out, self.filters))
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let (_, channels) = self.window.data_format.split::<N>(input)?;
        let shape = [self.window.size.0.as_slice(), &[self.filters, channels]].concat();
        Ok([self.kernel.spec("kernel", shape)].into_iter().chain(self.output.spec(self.filters)).collect())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = self.window.data_format.turn_last(g, input.value);
        let shape = g.shape(x);
        let axes: Vec<_> = shape.iter().skip(1).take(N).enumerate().map(|(a, length)| self.axis(a, *length)).collect();
        let geometry = ConvGeometry {
            strides: self.window.strides.0.to_vec(),
            dilation: self.window.dilation_rate.0.to_vec(),
            padding: axes.iter().map(|(_, reach)| *reach).collect(),
            groups: 1,
        };
        let y = g.conv_input_gradient(x, cx.weights[0], geometry, axes.iter().map(|(output, _)| *output).collect());
        Masked::new(self.output.lower(g, &self.window, y, cx.weights.get(1)))
    }
}
