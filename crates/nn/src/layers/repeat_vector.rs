//! A vector as a sequence of itself.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::{Error, ErrorKind};
use footlight_tensor::display_shape;

/// Repeats each sample, a vector, as the `n` steps of a sequence.
///
/// # Shapes
/// Input `[N, F]`, output `[N, n, F]`.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, RepeatVector};
/// assert_eq!(RepeatVector::new(3).output_shape(&[8]).unwrap(), [3, 8]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RepeatVector {
    common: Common,
    n: usize,
}

common_methods!(RepeatVector);

impl RepeatVector {
    /// A layer that repeats vectors `n` times.
    pub fn new(n: usize) -> RepeatVector {
        RepeatVector { common: Common::default(), n }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<RepeatVector, Error> {
        Ok(RepeatVector::new(read.required_usize("n")?))
    }
}

impl Layer for RepeatVector {
    layer_basics!("RepeatVector");

    fn config(&self) -> Config {
        config! { "n": self.n }
    }

    fn check(&self) -> Result<(), Error> {
        if self.n > 0 {
            return Ok(());
        }
        Err(Error::config("n = 0: a sequence needs at least one step").in_key("n"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        match input {
            [features] => Ok(vec![self.n, *features]),
            other => {
                let message = format!("needs samples that are vectors, got shape {}", display_shape(other));
                Err(Error::new(ErrorKind::Shape, message).help("put a Flatten before"))
            }
        }
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let shape = g.shape(input.value);
        let &[batch, features] = shape.as_slice() else { return input };
        let x = g.reshape(input.value, [batch, 1, features]);
        Masked::new(g.broadcast(x, [batch, self.n, features]))
    }
}
