//! Nothing, as a layer.

use crate::Error;
use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};

/// Hands on what it is given.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Examples
/// ```
/// use footlight_nn::{Identity, Layer};
/// assert_eq!(Identity::new().output_shape(&[3, 4]).unwrap(), [3, 4]);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Identity {
    common: Common,
}

common_methods!(Identity);

impl Identity {
    /// A layer that changes nothing.
    pub fn new() -> Identity {
        Identity::default()
    }

    pub(crate) fn from_config(_: &mut Reader<'_>) -> Result<Identity, Error> {
        Ok(Identity::new())
    }
}

impl Layer for Identity {
    layer_basics!("Identity");

    fn config(&self) -> Config {
        config! {}
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(input.to_vec())
    }

    fn call(&self, _: &mut Call<'_>, input: Masked) -> Masked {
        input
    }
}
