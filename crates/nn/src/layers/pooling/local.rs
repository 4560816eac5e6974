//! Pooling of windows.

use super::{Average, Max, Pool};
use crate::Error;
use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::window::{PerAxis, Window, window_methods};
use footlight_graph::ops::Windows;
use std::marker::PhantomData;

/// Maxima of windows over one spatial axis; see [`Pooling`].
pub type MaxPooling1D = Pooling<Max, 1>;
/// Maxima of windows over two spatial axes; see [`Pooling`].
pub type MaxPooling2D = Pooling<Max, 2>;
/// Maxima of windows over three spatial axes; see [`Pooling`].
pub type MaxPooling3D = Pooling<Max, 3>;
/// Means of windows over one spatial axis; see [`Pooling`].
pub type AveragePooling1D = Pooling<Average, 1>;
/// Means of windows over two spatial axes; see [`Pooling`].
pub type AveragePooling2D = Pooling<Average, 2>;
/// Means of windows over three spatial axes; see [`Pooling`].
pub type AveragePooling3D = Pooling<Average, 3>;

/// The maximum or the mean of windows over `N` spatial axes, for each channel.
///
/// # Shapes
/// Input `[N, spatial..., C]`, output `[N, out..., C]`; per axis of extent `n` and window `k`, valid
/// `out = floor((n - k) / s) + 1`, same `ceil(n / s)`.
///
/// # Arguments
/// `pool_size`: at least 1, default 2; `strides`: default `pool_size`; `padding`: valid or same, default valid; all as in
/// Keras.
///
/// # Numerics
/// Positions beyond the input count neither for the maximum nor for the mean. Of equal maxima the first takes the gradient,
/// a NaN wins.
///
/// # Differences
/// PyTorch counts padding as zeros in means unless told otherwise.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, MaxPooling2D};
/// assert_eq!(MaxPooling2D::new(2).output_shape(&[11, 11, 64]).unwrap(), [5, 5, 64]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pooling<P: Pool, const N: usize> {
    common: Common,
    window: Window<N>,
    pool: PhantomData<P>,
}

common_methods!([P: Pool, const N: usize] Pooling<P, N>);
window_methods!([P: Pool, const N: usize] Pooling<P, N>);

const PADDINGS: &[&str] = &["valid", "same"];

impl<P: Pool, const N: usize> Default for Pooling<P, N> {
    fn default() -> Pooling<P, N> {
        Pooling::new(2)
    }
}

impl<P: Pool, const N: usize> Pooling<P, N> {
    /// A layer with windows of `pool_size`, side by side.
    pub fn new(pool_size: impl Into<PerAxis<N>>) -> Pooling<P, N> {
        let size = pool_size.into();
        Pooling { common: Common::default(), window: Window { strides: size, ..Window::new(size) }, pool: PhantomData }
    }

    /// Positions from one window to the next, for all axes or for each; default the size of the window.
    pub fn strides(mut self, strides: impl Into<PerAxis<N>>) -> Pooling<P, N> {
        self.window.strides = strides.into();
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Pooling<P, N>, Error> {
        let mut layer = Pooling::new(PerAxis::<N>::read(read, "pool_size")?.map_or([2; N], |size| size.0));
        layer.window.read(read, PADDINGS)?;
        Ok(layer)
    }
}

impl<P: Pool, const N: usize> Layer for Pooling<P, N> {
    layer_basics!(P::NAMES.local[N - 1]);

    fn config(&self) -> Config {
        let mut config = config! {};
        self.window.write("pool_size", &mut config);
        config
    }

    fn check(&self) -> Result<(), Error> {
        self.window.check("pool_size", PADDINGS)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let (spatial, channels) = self.window.data_format.split(input)?;
        Ok(self.window.data_format.shape(&self.window.outputs(&spatial)?, channels))
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let (window, format) = (&self.window, self.window.data_format);
        let x = format.turn_last(g, input.value);
        let shape = g.shape(x);
        let along = |axis: usize| Windows::Even {
            size: window.size.0[axis],
            stride: window.strides.0[axis],
            padding: window.reach(axis, shape.get(axis + 1).copied().unwrap_or(1)),
        };
        let y = P::windows(g, x, &(0..N).map(along).collect::<Vec<_>>());
        Masked::new(format.turn_back(g, y))
    }
}
