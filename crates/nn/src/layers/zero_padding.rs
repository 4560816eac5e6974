//! Margins of zeros.

use crate::Error;
use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::spatial::{Margins, channels_last, spatial};

macro_rules! zero_padding {
    ($(#[$doc:meta])* $layer:ident, $class:literal, $axes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer {
            common: Common,
            padding: Margins<$axes>,
        }

        common_methods!($layer);

        impl $layer {
            /// A layer that puts `padding` zeros around: one number for all margins, one for each axis, or a pair for each.
            pub fn new(padding: impl Into<Margins<$axes>>) -> $layer {
                $layer { common: Common::default(), padding: padding.into() }
            }

            pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<$layer, Error> {
                channels_last(read)?;
                Ok($layer::new(Margins::read(read, "padding", Margins::from(1))?))
            }
        }

        impl Layer for $layer {
            layer_basics!($class);

            fn config(&self) -> Config {
                config! { "padding": self.padding.write(), "data_format": "channels_last" }
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
                let (extents, channels) = spatial::<$axes>(input)?;
                let padded = extents.iter().zip(&self.padding.0);
                let padded = padded.map(|(extent, [before, after])| extent.saturating_add(*before).saturating_add(*after));
                Ok(padded.chain([channels]).collect())
            }

            fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
                let margins = |side: usize| -> Vec<usize> {
                    [0].into_iter().chain(self.padding.0.iter().map(|pair| pair[side])).chain([0]).collect()
                };
                Masked::new(cx.graph.pad(input.value, margins(0), margins(1), 0.0))
            }
        }
    };
}

zero_padding! {
    /// Puts steps of zeros before and after sequences.
    ///
    /// # Shapes
    /// Input `[N, T, C]`, output `[N, before + T + after, C]`.
    ///
    /// # Arguments
    /// `padding`: one number for both ends, or a pair; Keras' default is 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, ZeroPadding1D};
    /// assert_eq!(ZeroPadding1D::new([2, 0]).output_shape(&[10, 4]).unwrap(), [12, 4]);
    /// ```
    ZeroPadding1D, "ZeroPadding1D", 1
}

zero_padding! {
    /// Puts rows and columns of zeros around pictures.
    ///
    /// # Shapes
    /// Input `[N, H, W, C]`, output `[N, top + H + bottom, left + W + right, C]`.
    ///
    /// # Arguments
    /// `padding`: one number for all sides, one for each axis, or `[[top, bottom], [left, right]]`; Keras' default is 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, ZeroPadding2D};
    /// assert_eq!(ZeroPadding2D::new(2).output_shape(&[28, 28, 1]).unwrap(), [32, 32, 1]);
    /// ```
    ZeroPadding2D, "ZeroPadding2D", 2
}

zero_padding! {
    /// Puts zeros around three axes, such as those of films.
    ///
    /// # Shapes
    /// Input `[N, D, H, W, C]`, output longer along `D`, `H` and `W` by the margins.
    ///
    /// # Arguments
    /// `padding`: one number for all margins, one for each axis, or a pair for each; Keras' default is 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, ZeroPadding3D};
    /// assert_eq!(ZeroPadding3D::new([0, 1, 2]).output_shape(&[4, 4, 4, 3]).unwrap(), [4, 6, 8, 3]);
    /// ```
    ZeroPadding3D, "ZeroPadding3D", 3
}
