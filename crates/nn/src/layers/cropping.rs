//! Margins cut off.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::spatial::{Margins, channels_last, spatial};
use crate::{Error, ErrorKind};
use footlight_tensor::display_shape;

macro_rules! cropping {
    ($(#[$doc:meta])* $layer:ident, $class:literal, $axes:literal, $default:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer {
            common: Common,
            cropping: Margins<$axes>,
        }

        common_methods!($layer);

        impl $layer {
            /// A layer that cuts off `cropping`: one number for all margins, one for each axis, or a pair for each.
            pub fn new(cropping: impl Into<Margins<$axes>>) -> $layer {
                $layer { common: Common::default(), cropping: cropping.into() }
            }

            pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<$layer, Error> {
                if $axes > 1 {
                    channels_last(read)?;
                }
                Ok($layer::new(Margins::read(read, "cropping", Margins::from($default))?))
            }
        }

        impl Layer for $layer {
            layer_basics!($class);

            fn config(&self) -> Config {
                let mut config = config! { "cropping": self.cropping.write() };
                if $axes > 1 {
                    config.insert("data_format".into(), "channels_last".into());
                }
                config
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
                let (extents, channels) = spatial::<$axes>(input)?;
                let left = extents.iter().zip(&self.cropping.0).map(|(extent, [before, after])| {
                    extent.checked_sub(before.checked_add(*after)?).filter(|left| *left > 0)
                });
                let left: Option<Vec<usize>> = left.collect();
                let left = left.ok_or_else(|| {
                    let (cropping, shape) = (self.cropping.write(), display_shape(input));
                    Error::new(ErrorKind::Shape, format!("cropping = {cropping} leaves nothing of samples {shape}"))
                })?;
                Ok([left.as_slice(), &[channels]].concat())
            }

            fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
                let shape = cx.graph.shape(input.value);
                let mut y = input.value;
                for (axis, [before, after]) in (1..).zip(self.cropping.0) {
                    let end = shape.get(axis).map_or(0, |extent| extent.saturating_sub(after));
                    y = cx.graph.slice_axis(y, axis, before..end);
                }
                Masked::new(y)
            }
        }
    };
}

cropping! {
    /// Cuts steps off the beginning and the end of sequences.
    ///
    /// # Shapes
    /// Input `[N, T, C]`, output `[N, T - before - after, C]`.
    ///
    /// # Arguments
    /// `cropping`: one number for both ends, or a pair; Keras' default is 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Cropping1D, Layer};
    /// assert_eq!(Cropping1D::new([1, 2]).output_shape(&[10, 4]).unwrap(), [7, 4]);
    /// ```
    Cropping1D, "Cropping1D", 1, 1
}

cropping! {
    /// Cuts rows and columns off pictures.
    ///
    /// # Shapes
    /// Input `[N, H, W, C]`, output `[N, H - top - bottom, W - left - right, C]`.
    ///
    /// # Arguments
    /// `cropping`: one number for all sides, one for each axis, or `[[top, bottom], [left, right]]`; Keras' default is 0.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Cropping2D, Layer};
    /// assert_eq!(Cropping2D::new([[1, 2], [0, 3]]).output_shape(&[10, 10, 3]).unwrap(), [7, 7, 3]);
    /// ```
    Cropping2D, "Cropping2D", 2, 0
}

cropping! {
    /// Cuts off the margins of three axes, such as those of films.
    ///
    /// # Shapes
    /// Input `[N, D, H, W, C]`, output shorter along `D`, `H` and `W` by the margins.
    ///
    /// # Arguments
    /// `cropping`: one number for all margins, one for each axis, or a pair for each; Keras' default is 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Cropping3D, Layer};
    /// assert_eq!(Cropping3D::new([0, 1, 2]).output_shape(&[8, 8, 8, 3]).unwrap(), [8, 6, 4, 3]);
    /// ```
    Cropping3D, "Cropping3D", 3, 1
}
