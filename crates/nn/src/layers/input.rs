//! The shape of what a model is given.

use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, layer_basics};
use crate::{Error, ErrorKind};
use footlight_tensor::display_shape;
use serde_json::{Value, json};

/// Says which shape a sample has; the first in a list of layers, if it is there.
///
/// # Shapes
/// Input and output `[N, ...]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    common: Common,
    shape: Vec<usize>,
}

impl Input {
    /// An input whose samples have `shape` (without the batch).
    pub fn new(shape: impl Into<Vec<usize>>) -> Input {
        let shape = shape.into();
        Input { common: Common { input_shape: Some(shape.clone()), ..Common::default() }, shape }
    }

    /// Names the input.
    pub fn name(mut self, name: &str) -> Input {
        self.common.name = Some(name.into());
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Input, Error> {
        read.ignore(&["dtype", "sparse", "ragged", "optional"]);
        if let Some(shape) = read.extents("shape")? {
            return Ok(Input::new(shape));
        }
        let shape = read.get("batch_shape").and_then(Value::as_array).cloned().unwrap_or_default();
        let extents: Option<Vec<usize>> =
            shape.iter().skip(1).map(|d| d.as_u64().and_then(|d| usize::try_from(d).ok())).collect();
        match extents {
            Some(extents) if !shape.is_empty() => Ok(Input::new(extents)),
            _ => Err(Error::config("`batch_shape` must be a list of extents that are known but for the first")
                .in_key("shape")),
        }
    }
}

impl Layer for Input {
    layer_basics!("InputLayer");

    fn config(&self) -> Config {
        let batch_shape: Vec<Value> = [Value::Null].into_iter().chain(self.shape.iter().map(|d| json!(d))).collect();
        crate::config::config! {
            "batch_shape": batch_shape,
            "dtype": "float32",
            "sparse": false,
            "ragged": false,
            "optional": false,
        }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        if input != self.shape {
            let (got, want) = (display_shape(input), display_shape(&self.shape));
            return Err(Error::new(ErrorKind::Shape, format!("samples have shape {got}, the model expects {want}")));
        }
        Ok(input.to_vec())
    }

    fn call(&self, _: &mut Call<'_>, input: Masked) -> Masked {
        input
    }
}
