//! The softmax as a layer.

use crate::Error;
use crate::config::Axes;
use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::features;
use footlight_graph::{Builder, Value};

/// The softmax as a layer: Keras' layer `Softmax`, along one axis.
///
/// # Shapes
/// Input and output `[N, ...]`.
///
/// # Arguments
/// `axis`: counted with that of the batch; default the last, as in Keras.
///
/// # Numerics
/// Where a mask of the input's own shape comes along, what it leaves out has probability 0.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, SoftmaxLayer};
/// assert_eq!(SoftmaxLayer::new().output_shape(&[10]).unwrap(), [10]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxLayer {
    common: Common,
    axis: i64,
}

common_methods!(SoftmaxLayer);

impl Default for SoftmaxLayer {
    fn default() -> SoftmaxLayer {
        SoftmaxLayer { common: Common::default(), axis: -1 }
    }
}

impl SoftmaxLayer {
    /// A layer along the last axis.
    pub fn new() -> SoftmaxLayer {
        SoftmaxLayer::default()
    }

    /// Along which axis, counted with that of the batch; default the last.
    pub fn axis(mut self, axis: i64) -> SoftmaxLayer {
        self.axis = axis;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<SoftmaxLayer, Error> {
        Ok(SoftmaxLayer::new().axis(crate::layers::axis(read)?))
    }

    /// The axis in a tensor of `rank`.
    fn place(&self, rank: usize) -> Result<usize, Error> {
        let axis = Axes::from(self.axis).of(rank)?[0];
        if axis == 0 {
            return Err(Error::config("axis = 0 is that of the batch: an answer would depend on other samples"));
        }
        Ok(axis)
    }
}

impl Layer for SoftmaxLayer {
    layer_basics!("Softmax");

    fn config(&self) -> Config {
        config! { "axis": self.axis }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        self.place(input.len() + 1)?;
        Ok(input.to_vec())
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let shape = g.shape(input.value);
        let mask = input.mask.filter(|mask| g.shape(*mask) == shape);
        let x = mask.map_or(input.value, |mask| hidden(g, input.value, mask));
        // The axis and the last change places.
        let mut order: Vec<usize> = (0..shape.len()).collect();
        let Ok(axis) = self.place(shape.len()) else { return input };
        order.swap(axis, shape.len() - 1);
        let is_last = axis + 1 == shape.len();
        let turned = if is_last { x } else { g.transpose(x, order.clone()) };
        let y = g.softmax(turned);
        let y = if is_last { y } else { g.transpose(y, order) };
        input.with(mask.map_or(y, |mask| g.mul(y, mask)))
    }
}

/// `x` where `mask` is not 0, elsewhere what stands for minus infinity in Keras.
pub(crate) fn hidden(g: &mut Builder, x: Value, mask: Value) -> Value {
    const LOWEST: f32 = -1e9;
    let lowest = g.constant(LOWEST);
    g.select(mask, x, lowest)
}
