//! A mask from the data itself.

use crate::Error;
use crate::config::{Config, FINITE, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::features;
use footlight_graph::ops::Binary;

/// Leaves out the steps of which every feature is `mask_value`: their features become 0, and a mask of the others goes along.
///
/// # Shapes
/// Input and output `[N, ..., F]`, mask `[N, ...]`.
///
/// # Arguments
/// `mask_value`: any number; default 0 as in Keras.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, Masking};
/// assert_eq!(Masking::new(-1.0).output_shape(&[20, 8]).unwrap(), [20, 8]);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Masking {
    common: Common,
    mask_value: f32,
}

common_methods!(Masking);

impl Masking {
    /// A layer that leaves out steps of `mask_value`.
    pub fn new(mask_value: f32) -> Masking {
        Masking { mask_value, ..Masking::default() }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Masking, Error> {
        Ok(Masking::new(read.f32("mask_value", 0.0)?))
    }
}

impl Layer for Masking {
    layer_basics!("Masking");

    fn config(&self) -> Config {
        config! { "mask_value": self.mask_value }
    }

    fn check(&self) -> Result<(), Error> {
        within("mask_value", self.mask_value, FINITE)
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let shape = g.shape(input.value);
        let Some((&features, steps)) = shape.split_last() else { return input };
        let masked = g.constant(self.mask_value);
        let equal = g.binary(Binary::Equal, input.value, masked);
        let differs = g.scalar_sub(1.0, equal);
        let counts = g.reduce_max(differs, &[steps.len()], true);
        let wide = g.broadcast(counts, [steps, &[features]].concat());
        let zero = g.constant(0.0);
        let value = g.select(wide, input.value, zero);
        Masked { value, mask: Some(g.reshape(counts, steps)) }
    }
}
