//! Dropout of whole channels.

use crate::Error;
use crate::config::{self, Config, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::noise::{check_rate, kept, training_step};
use crate::layers::spatial::{channels_last, spatial};

macro_rules! spatial_dropout {
    ($(#[$doc:meta])* $layer:ident, $class:literal, $axes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer {
            common: Common,
            rate: f32,
        }

        common_methods!($layer);

        impl $layer {
            /// A layer that drops the fraction `rate` of the channels.
            pub fn new(rate: f32) -> $layer {
                $layer { common: Common::default(), rate }
            }

            pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<$layer, Error> {
                read.ignore(&["seed"]);
                if $axes > 1 {
                    channels_last(read)?;
                }
                read.maybe_f32("rate")?.map($layer::new).ok_or_else(|| config::missing("rate"))
            }
        }

        impl Layer for $layer {
            layer_basics!($class);

            fn config(&self) -> Config {
                let mut config = config! { "rate": self.rate, "seed": NULL };
                if $axes > 1 {
                    config.insert("data_format".into(), "channels_last".into());
                }
                config
            }

            fn check(&self) -> Result<(), Error> {
                check_rate(self.rate)
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
                spatial::<$axes>(input).map(|_| input.to_vec())
            }

            fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
                let shape = cx.graph.shape(input.value);
                let Some(step) = training_step(cx).filter(|_| self.rate > 0.0) else { return input };
                let &[batch, .., channels] = shape.as_slice() else { return input };
                let of_channels = [&[batch], [1; $axes].as_slice(), &[channels]].concat();
                let kept = kept(cx, step, of_channels, self.rate);
                let scale = cx.graph.mul_scalar(kept, 1.0 / (1.0 - self.rate));
                input.with(cx.graph.mul(input.value, scale))
            }
        }
    };
}

spatial_dropout! {
    /// Drops each feature of a sequence, at all steps, with probability `rate` while training, and divides those that stay
    /// by `1 - rate`: neighbouring steps are alike, so that dropping single ones would hide little.
    ///
    /// # Shapes
    /// Input and output `[N, T, C]`.
    ///
    /// # Arguments
    /// `rate`: the fraction dropped, in `[0, 1)`.
    ///
    /// # Train and infer
    /// When the model answers the layer is not there.
    ///
    /// # References
    /// Tompson et al. (2015), "Efficient object localization using convolutional networks", section 3.2.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, SpatialDropout1D};
    /// assert_eq!(SpatialDropout1D::new(0.2).output_shape(&[20, 8]).unwrap(), [20, 8]);
    /// ```
    SpatialDropout1D, "SpatialDropout1D", 1
}

spatial_dropout! {
    /// Drops each channel of a picture as a whole, with probability `rate` while training, and divides those that stay by
    /// `1 - rate`.
    ///
    /// # Shapes
    /// Input and output `[N, H, W, C]`.
    ///
    /// # Arguments
    /// `rate`: the fraction dropped, in `[0, 1)`.
    ///
    /// # Train and infer
    /// When the model answers the layer is not there.
    ///
    /// # References
    /// Tompson et al. (2015), "Efficient object localization using convolutional networks", section 3.2.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, SpatialDropout2D};
    /// assert!(SpatialDropout2D::new(0.2).output_shape(&[20, 8]).is_err());
    /// ```
    SpatialDropout2D, "SpatialDropout2D", 2
}

spatial_dropout! {
    /// Drops each channel of three axes as a whole, with probability `rate` while training, and divides those that stay by
    /// `1 - rate`.
    ///
    /// # Shapes
    /// Input and output `[N, D, H, W, C]`.
    ///
    /// # Arguments
    /// `rate`: the fraction dropped, in `[0, 1)`.
    ///
    /// # Train and infer
    /// When the model answers the layer is not there.
    ///
    /// # References
    /// Tompson et al. (2015), "Efficient object localization using convolutional networks", section 3.2.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, SpatialDropout3D};
    /// assert_eq!(SpatialDropout3D::new(0.2).output_shape(&[4, 4, 4, 8]).unwrap(), [4, 4, 4, 8]);
    /// ```
    SpatialDropout3D, "SpatialDropout3D", 3
}
