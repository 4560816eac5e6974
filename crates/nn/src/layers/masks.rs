//! Masks that come with values, whose shapes are known only when a layer is called.

use footlight_graph::{Builder, ErrorKind, Value};
use footlight_tensor::display_shape;

/// The mask, if its shape is `wanted`; else a fault that tells both.
pub(crate) fn fitting(g: &mut Builder, mask: Value, wanted: &[usize]) -> Value {
    let shape = g.shape(mask);
    if g.is_poison(mask) || shape == wanted {
        return mask;
    }
    let message = format!("a mask has shape {}, expected {}", display_shape(&shape), display_shape(wanted));
    g.fault(ErrorKind::Shape, message, Some("give it an element for each step of each sample"))
}
