//! Numbers in another range.

use crate::Error;
use crate::config::{self, Config, KeyKind, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::numbers::Numbers;
use serde_json::json;

/// `y = x scale + offset`, such as pixels from `0..=255` to `0..=1`.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `scale` and `offset`: a number, or numbers that broadcast to a sample, such as one for each channel; Keras' default offset is 0.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, Rescaling};
/// assert_eq!(Rescaling::new(1.0 / 255.0).output_shape(&[28, 28]).unwrap(), [28, 28]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rescaling {
    common: Common,
    scale: Numbers,
    offset: Numbers,
}

common_methods!(Rescaling);

impl Rescaling {
    /// A layer that multiplies by `scale`: one number, or one for each channel.
    pub fn new(scale: impl Into<Numbers>) -> Rescaling {
        Rescaling { common: Common::default(), scale: scale.into(), offset: Numbers::from(0.0) }
    }

    /// What is added then: one number, or one for each channel; default 0.
    pub fn offset(mut self, offset: impl Into<Numbers>) -> Rescaling {
        self.offset = offset.into();
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Rescaling, Error> {
        let scale = read.parse("scale", KeyKind::Numbers, Numbers::read)?.ok_or_else(|| config::missing("scale"))?;
        let offset = read.parse_or("offset", KeyKind::Numbers, json!(0.0), Numbers::read)?;
        Ok(Rescaling::new(scale).offset(offset.unwrap_or(Numbers::from(0.0))))
    }
}

impl Layer for Rescaling {
    layer_basics!("Rescaling");

    fn config(&self) -> Config {
        config! { "scale": self.scale.write(), "offset": self.offset.write() }
    }

    fn check(&self) -> Result<(), Error> {
        self.scale.check("scale").and_then(|()| self.offset.check("offset"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.scale.fit("scale", input)?;
        self.offset.fit("offset", input)?;
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let axes: Vec<usize> = (0..g.shape(input.value).len()).collect();
        let [scale, offset] = [&self.scale, &self.offset].map(|numbers| numbers.lower(g, &axes, axes.len()));
        let y = g.mul(input.value, scale);
        input.with(g.add(y, offset))
    }
}
