//! Masks that come with values, whose shapes are known only when a layer is called.

use footlight_graph::{Builder, ErrorKind, Value};
use footlight_tensor::display_shape;

/// The mask, if its shape is `wanted`; else a fault that tells both.
pub(crate) fn fitting(g: &mut Builder, mask: Value, wanted: &[usize]) -> Value {
    if g.is_poison(mask) || g.shape(mask) == wanted {
        return mask;
    }
    misfit(g, "a mask", mask, &[wanted], "give it an element for each step of each sample")
}

/// Whether a mask says something of all that has the shape `wanted`, an axis of one element the same for all along it.
pub(crate) fn covers(mask: &[usize], wanted: &[usize]) -> bool {
    mask.len() == wanted.len() && mask.iter().zip(wanted).all(|(own, extent)| [1, *extent].contains(own))
}

/// The fault of a mask whose shape is none of those `wanted`.
pub(crate) fn misfit(g: &mut Builder, name: &str, mask: Value, wanted: &[&[usize]], help: &str) -> Value {
    let wanted: Vec<String> = wanted.iter().map(|shape| display_shape(shape)).collect();
    let message = format!("{name} has shape {}, expected {}", display_shape(&g.shape(mask)), wanted.join(" or "));
    g.fault(ErrorKind::Shape, message, Some(help))
}
