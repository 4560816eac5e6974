//! The shape of what a model is given.

use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, layer_basics};
use crate::{Error, ErrorKind, Extents};
use footlight_tensor::display_shape;
use serde_json::Value;

/// Says which shape a sample has; the first in a list of layers, if it is there.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Examples
/// Sentences of any length, of vectors of 64 numbers:
/// ```
/// use footlight_nn::{Architecture, Dense, Input, On};
/// let x = Input::new([None, Some(64)]).symbol();
/// let model = Architecture::of_symbols("steps", [&x], [&Dense::new(8).on(&x)])?;
/// assert!(model.summary(None).contains("(None, None, 8)"));
/// # Ok::<(), footlight_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    common: Common,
}

impl Input {
    /// An input whose samples have these extents (without the batch); `None` for one that only samples tell.
    pub fn new(extents: impl Into<Extents>) -> Input {
        Input { common: Common { input_shape: Some(extents.into()), ..Common::default() } }
    }

    /// Names the input.
    pub fn name(mut self, name: &str) -> Input {
        self.common.name = Some(name.into());
        self
    }

    /// The shape is that of the first samples where nothing is said.
    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Input, Error> {
        read.ignore(&["dtype", "sparse", "ragged", "optional"]);
        if let Some(extents) = read_extents(read, "shape")? {
            return Ok(Input::new(extents));
        }
        let Some(shape) = read.get("batch_shape") else { return Ok(Input { common: Common::default() }) };
        samples_of(shape).map(Input::new).ok_or_else(|| no_extents("batch_shape", shape))
    }
}

/// The extents of a sample; none where nothing is said.
pub(crate) fn read_extents<'a>(read: &mut Reader<'a>, key: &'a str) -> Result<Option<Extents>, Error> {
    read.get(key).map(|value| extents_of(value).ok_or_else(|| no_extents(key, value))).transpose()
}

fn no_extents(key: &str, value: &Value) -> Error {
    let message = format!("{key} = {value} must be a list of extents, each a whole number or None");
    Error::config(message).in_key(key)
}

/// The extents of a list, which are null or `"None"` where they are not known.
fn extents_of(value: &Value) -> Option<Extents> {
    let extent = |value: &Value| match value {
        Value::Null => Some(None),
        Value::String(none) => (none == "None").then_some(None),
        known => known.as_u64().and_then(|known| usize::try_from(known).ok()).map(Some),
    };
    match value {
        Value::Array(list) => list.iter().map(extent).collect::<Option<_>>().map(Extents),
        one => extent(one).map(|one| Extents(vec![one])),
    }
}

/// The extents of a list that begins with that of the batch.
pub(crate) fn samples_of(value: &Value) -> Option<Extents> {
    let Extents(mut extents) = extents_of(value).filter(|extents| !extents.0.is_empty())?;
    extents.remove(0);
    Some(Extents(extents))
}

impl Layer for Input {
    layer_basics!("InputLayer");

    fn config(&self) -> Config {
        crate::config::config! {
            "batch_shape": self.common.input_shape.as_ref().map(Extents::batched),
            "dtype": "float32",
            "sparse": false,
            "ragged": false,
            "optional": false,
        }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        if let Some(extents) = self.common.input_shape.as_ref().filter(|extents| !extents.fit(input)) {
            let got = display_shape(input);
            return Err(Error::new(ErrorKind::Shape, format!("samples have shape {got}, the model expects {extents}")));
        }
        Ok(input.to_vec())
    }

    fn call(&self, _: &mut Call<'_>, input: Masked) -> Masked {
        input
    }
}
