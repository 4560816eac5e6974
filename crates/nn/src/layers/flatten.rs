//! Samples as vectors.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::{Error, suggest};

/// Makes each sample a vector, in row-major order.
///
/// # Shapes
/// Input `[N, ...]`, output `[N, F]` with `F` the product of the rest.
///
/// # Examples
/// ```
/// use footlight_nn::{Flatten, Layer};
/// assert_eq!(Flatten::new().output_shape(&[28, 28]).unwrap(), [784]);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Flatten {
    common: Common,
}

common_methods!(Flatten);

impl Flatten {
    /// A layer that flattens.
    pub fn new() -> Flatten {
        Flatten::default()
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Flatten, Error> {
        match read.string("data_format")?.as_deref() {
            None | Some("channels_last") => Ok(Flatten::new()),
            Some(other) => Err(suggest::unknown("data_format", other, &["channels_last"])),
        }
    }
}

impl Layer for Flatten {
    layer_basics!("Flatten");

    fn config(&self) -> Config {
        config! { "data_format": "channels_last" }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(vec![input.iter().product()])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let shape = cx.graph.shape(input.value);
        let batch = shape.first().copied().unwrap_or(1);
        let y = cx.graph.reshape(input.value, [batch, shape.iter().skip(1).product()]);
        Masked::new(y)
    }
}
