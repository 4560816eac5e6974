//! Pooling of whole images.

use super::{Average, Max, Pool};
use crate::Error;
use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::masks::fitting;
use crate::layers::window::DataFormat;
use std::marker::PhantomData;

/// The maximum over one spatial axis; see [`GlobalPooling`].
pub type GlobalMaxPooling1D = GlobalPooling<Max, 1>;
/// The maximum over two spatial axes; see [`GlobalPooling`].
pub type GlobalMaxPooling2D = GlobalPooling<Max, 2>;
/// The maximum over three spatial axes; see [`GlobalPooling`].
pub type GlobalMaxPooling3D = GlobalPooling<Max, 3>;
/// The mean over one spatial axis; see [`GlobalPooling`].
pub type GlobalAveragePooling1D = GlobalPooling<Average, 1>;
/// The mean over two spatial axes; see [`GlobalPooling`].
pub type GlobalAveragePooling2D = GlobalPooling<Average, 2>;
/// The mean over three spatial axes; see [`GlobalPooling`].
pub type GlobalAveragePooling3D = GlobalPooling<Average, 3>;

/// The maximum or the mean over all `N` spatial axes, for each channel. The mean over one axis leaves out
/// what a mask hides.
///
/// # Shapes
/// Input `[N, spatial..., C]`, output `[N, C]`, or `[N, 1..., C]` with `keepdims`.
///
/// # Arguments
/// `keepdims`: whether the axes stay with extent 1; default false, as in Keras.
///
/// # Examples
/// ```
/// use footlight_nn::{GlobalAveragePooling2D, Layer};
/// assert_eq!(GlobalAveragePooling2D::new().output_shape(&[7, 7, 64]).unwrap(), [64]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalPooling<P: Pool, const N: usize> {
    common: Common,
    keepdims: bool,
    data_format: DataFormat,
    pool: PhantomData<P>,
}

common_methods!([P: Pool, const N: usize] GlobalPooling<P, N>);

impl<P: Pool, const N: usize> Default for GlobalPooling<P, N> {
    fn default() -> GlobalPooling<P, N> {
        GlobalPooling {
            common: Common::default(),
            keepdims: false,
            data_format: DataFormat::ChannelsLast,
            pool: PhantomData,
        }
    }
}

impl<P: Pool, const N: usize> GlobalPooling<P, N> {
    /// A layer that takes the spatial axes away.
    pub fn new() -> GlobalPooling<P, N> {
        GlobalPooling::default()
    }

    /// Whether the spatial axes stay with extent 1; default false.
    pub fn keepdims(mut self, keepdims: bool) -> GlobalPooling<P, N> {
        self.keepdims = keepdims;
        self
    }

    /// Where the channels of images lie; default last.
    pub fn data_format(mut self, data_format: DataFormat) -> GlobalPooling<P, N> {
        self.data_format = data_format;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GlobalPooling<P, N>, Error> {
        let layer = GlobalPooling::new().keepdims(read.bool("keepdims", false)?);
        Ok(layer.data_format(DataFormat::read(read)?))
    }
}

impl<P: Pool, const N: usize> Layer for GlobalPooling<P, N> {
    layer_basics!(P::NAMES.global[N - 1]);

    fn config(&self) -> Config {
        config! { "data_format": self.data_format.name(), "keepdims": self.keepdims }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let (_, channels) = self.data_format.split::<N>(input)?;
        Ok(if self.keepdims { self.data_format.shape(&[1; N], channels) } else { vec![channels] })
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let channel_axis = self.data_format.channel_axis(N + 2);
        let axes: Vec<usize> = (1..N + 2).filter(|axis| *axis != channel_axis).collect();
        let y = match input.mask.filter(|_| P::IS_MEAN && N == 1) {
            Some(mask) => {
                let mut shape = g.shape(input.value);
                shape.remove(channel_axis);
                let mask = fitting(g, mask, &shape);
                shape.insert(channel_axis, 1);
                let mask = g.reshape(mask, shape);
                let zero = g.constant(0.0);
                let kept = g.select(mask, input.value, zero);
                let (sum, count) = (g.reduce_sum(kept, &axes, self.keepdims), g.reduce_sum(mask, &axes, self.keepdims));
                g.div(sum, count)
            }
            None => P::whole(g, input.value, &axes, self.keepdims),
        };
        Masked::new(y)
    }
}
