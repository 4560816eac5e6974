//! Pooling to a given number of outputs.

use super::{Average, Max, Pool};
use crate::Error;
use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::window::{DataFormat, PerAxis};
use footlight_graph::ops::Windows;
use std::marker::PhantomData;

/// Maxima of a given number of windows over one spatial axis; see [`AdaptivePooling`].
pub type AdaptiveMaxPooling1D = AdaptivePooling<Max, 1>;
/// Maxima of a given number of windows over two spatial axes; see [`AdaptivePooling`].
pub type AdaptiveMaxPooling2D = AdaptivePooling<Max, 2>;
/// Maxima of a given number of windows over three spatial axes; see [`AdaptivePooling`].
pub type AdaptiveMaxPooling3D = AdaptivePooling<Max, 3>;
/// Means of a given number of windows over one spatial axis; see [`AdaptivePooling`].
pub type AdaptiveAveragePooling1D = AdaptivePooling<Average, 1>;
/// Means of a given number of windows over two spatial axes; see [`AdaptivePooling`].
pub type AdaptiveAveragePooling2D = AdaptivePooling<Average, 2>;
/// Means of a given number of windows over three spatial axes; see [`AdaptivePooling`].
pub type AdaptiveAveragePooling3D = AdaptivePooling<Average, 3>;

/// The maximum or the mean of as many windows as asked for over `N` spatial axes: window `i` of `m` over an axis of extent
/// `n` goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
///
/// # Shapes
/// Input `[N, spatial..., C]`, output `[N, output_size..., C]`.
///
/// # Arguments
/// `output_size`: at least 1; one number stands for all axes.
///
/// # Examples
/// ```
/// use footlight_nn::{AdaptiveAveragePooling2D, Layer};
/// assert_eq!(AdaptiveAveragePooling2D::new([2, 3]).output_shape(&[7, 7, 64]).unwrap(), [2, 3, 64]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptivePooling<P: Pool, const N: usize> {
    common: Common,
    output_size: PerAxis<N>,
    data_format: DataFormat,
    pool: PhantomData<P>,
}

common_methods!([P: Pool, const N: usize] AdaptivePooling<P, N>);

impl<P: Pool, const N: usize> AdaptivePooling<P, N> {
    /// A layer with `output_size` windows along each axis.
    pub fn new(output_size: impl Into<PerAxis<N>>) -> AdaptivePooling<P, N> {
        AdaptivePooling {
            common: Common::default(),
            output_size: output_size.into(),
            data_format: DataFormat::ChannelsLast,
            pool: PhantomData,
        }
    }

    /// Where the channels of images lie; default last.
    pub fn data_format(mut self, data_format: DataFormat) -> AdaptivePooling<P, N> {
        self.data_format = data_format;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<AdaptivePooling<P, N>, Error> {
        let Some(size) = PerAxis::<N>::read(read, "output_size")? else { return Err(config::missing("output_size")) };
        Ok(AdaptivePooling::new(size.0).data_format(DataFormat::read(read)?))
    }
}

impl<P: Pool, const N: usize> Layer for AdaptivePooling<P, N> {
    layer_basics!(P::NAMES.adaptive[N - 1]);

    fn config(&self) -> Config {
        config! { "output_size": self.output_size.0.as_slice(), "data_format": self.data_format.name() }
    }

    fn check(&self) -> Result<(), Error> {
        self.output_size.check("output_size")
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let (_, channels) = self.data_format.split::<N>(input)?;
        Ok(self.data_format.shape(&self.output_size.0, channels))
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let x = self.data_format.turn_last(g, input.value);
        let y = P::windows(g, x, &self.output_size.0.map(Windows::Adaptive));
        Masked::new(self.data_format.turn_back(g, y))
    }
}
