//! The softmax as a layer.

use crate::Error;
use crate::config::{Axes, Config, Reader, Setting, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::along::{along, places};
use crate::layers::masks::{covers, misfit};
use footlight_graph::{Builder, Value};

/// The softmax as a layer: Keras' layer `Softmax`, along one axis or several together.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `axis`: one axis or several, counted with that of the batch; default the last, as in Keras.
///
/// # Numerics
/// What a mask leaves out has probability 0. A mask has the input's own shape, or one element along an axis for all of it.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, SoftmaxLayer};
/// assert_eq!(SoftmaxLayer::new().output_shape(&[10]).unwrap(), [10]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxLayer {
    common: Common,
    axis: Axes,
}

common_methods!(SoftmaxLayer);

impl Default for SoftmaxLayer {
    fn default() -> SoftmaxLayer {
        SoftmaxLayer { common: Common::default(), axis: Axes::from(-1) }
    }
}

impl SoftmaxLayer {
    /// A layer along the last axis.
    pub fn new() -> SoftmaxLayer {
        SoftmaxLayer::default()
    }

    /// Along which axes, counted with that of the batch; default the last.
    pub fn axis(mut self, axis: impl Into<Axes>) -> SoftmaxLayer {
        self.axis = axis.into();
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<SoftmaxLayer, Error> {
        Ok(SoftmaxLayer::new().axis(Axes::read_or_last(read)?))
    }
}

impl Layer for SoftmaxLayer {
    layer_basics!("Softmax");

    fn config(&self) -> Config {
        config! { "axis": self.axis.write() }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        places(&self.axis, input.len() + 1)?;
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let shape = g.shape(input.value);
        let Ok(axes) = places(&self.axis, shape.len()) else { return input };
        let mask = input.mask.map(|mask| match covers(&g.shape(mask), &shape) || g.is_poison(mask) {
            true => mask,
            false => misfit(g, "a mask", mask, &[&shape], "give it an element for each number, or take it off before"),
        });
        if let Some(poison) = mask.filter(|mask| g.is_poison(*mask)) {
            return input.with(poison);
        }
        let x = mask.map_or(input.value, |mask| hidden(g, input.value, mask));
        let y = along(g, x, &axes, |g, x| g.softmax(x));
        input.with(mask.map_or(y, |mask| g.mul(y, mask)))
    }
}

/// `x` where `mask` is not 0, elsewhere what stands for minus infinity in Keras.
pub(crate) fn hidden(g: &mut Builder, x: Value, mask: Value) -> Value {
    const LOWEST: f32 = -1e9;
    let lowest = g.constant(LOWEST);
    g.select(mask, x, lowest)
}
