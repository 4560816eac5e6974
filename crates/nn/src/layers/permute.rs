//! The axes of samples in another order.

use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::{Error, ErrorKind};
use footlight_tensor::display_shape;

/// Puts the axes of each sample into another order.
///
/// # Shapes
/// Input `[N, ...]`; axis `i` of the output is axis `dims[i]` of the input, the first of a sample being 1.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, Permute};
/// assert_eq!(Permute::new([2, 1]).output_shape(&[10, 64]).unwrap(), [64, 10]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Permute {
    common: Common,
    dims: Vec<usize>,
}

common_methods!(Permute);

impl Permute {
    /// A layer that orders the axes of samples as `dims`, counted from 1.
    pub fn new(dims: impl Into<Vec<usize>>) -> Permute {
        Permute { common: Common::default(), dims: dims.into() }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Permute, Error> {
        read.extents("dims")?.map(Permute::new).ok_or_else(|| config::missing("dims"))
    }
}

impl Layer for Permute {
    layer_basics!("Permute");

    fn config(&self) -> Config {
        config! { "dims": self.dims }
    }

    fn check(&self) -> Result<(), Error> {
        let mut sorted = self.dims.clone();
        sorted.sort_unstable();
        if sorted == (1..=self.dims.len()).collect::<Vec<_>>() {
            return Ok(());
        }
        let message = format!("dims = {:?} is no order of the axes 1 to {}", self.dims, self.dims.len());
        Err(Error::config(message).in_key("dims").help("axes are counted with that of the batch, which is 0"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.check()?;
        let axis = |dim: &usize| input.get(dim.checked_sub(1)?).copied();
        let shape: Option<Vec<usize>> = self.dims.iter().map(axis).collect();
        shape.filter(|shape| shape.len() == input.len()).ok_or_else(|| {
            let message = format!("dims = {:?} does not order the axes of samples {}", self.dims, display_shape(input));
            Error::new(ErrorKind::Shape, message).help("name each axis of a sample once, the first being 1")
        })
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        Masked::new(cx.graph.transpose(input.value, [&[0], self.dims.as_slice()].concat()))
    }
}
