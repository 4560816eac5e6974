//! What layers that draw random numbers share.

use crate::config::{Reader, within};
use crate::layer::{Call, Mode};
use crate::layers::input::read_extents;
use crate::{Error, Extents};
use footlight_graph::ops::Binary;
use footlight_tensor::display_shape;
use serde_json::{Value, json};

/// The number of updates so far while training, `None` when answering: nothing is drawn then.
pub(crate) fn training_step(cx: &Call<'_>) -> Option<footlight_graph::Value> {
    cx.step.filter(|_| cx.mode == Mode::Train)
}

/// Complains of a fraction outside of `[0, 1)`.
pub(crate) fn check_rate(rate: f32) -> Result<(), Error> {
    within("rate", rate, 0.0..1.0).map_err(|e| e.help("`rate` is the fraction dropped, as in Keras"))
}

/// Which axes share what is drawn: of an extent of 1, and of those that are not known none.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct NoiseShape(pub Option<Extents>);

impl NoiseShape {
    pub(crate) fn read(read: &mut Reader<'_>) -> Result<NoiseShape, Error> {
        read_extents(read, "noise_shape").map(NoiseShape)
    }

    pub(crate) fn write(&self) -> Value {
        self.0.as_ref().map_or(Value::Null, |Extents(extents)| json!(extents))
    }

    /// Refuses extents that are neither 1 nor those of the samples.
    pub(crate) fn check(&self, sample: &[usize]) -> Result<(), Error> {
        let Some(extents) = &self.0 else { return Ok(()) };
        let fits = |(extent, d): (&Option<usize>, &usize)| extent.is_none_or(|extent| extent == 1 || extent == *d);
        if extents.0.len() == sample.len() + 1 && extents.0.iter().skip(1).zip(sample).all(fits) {
            return Ok(());
        }
        let shape = display_shape(sample);
        let message =
            format!("noise_shape = {extents} does not fit samples of shape {shape} and the axis of the batch");
        Err(Error::config(message).in_key("noise_shape").help("each extent is 1, that of the samples, or None"))
    }

    /// The shape that is drawn for values of `shape`.
    pub(crate) fn of(&self, shape: Vec<usize>) -> Vec<usize> {
        let Some(Extents(extents)) = &self.0 else { return shape };
        extents.iter().zip(shape).map(|(extent, d)| extent.unwrap_or(d)).collect()
    }
}

/// 1 with probability `1 - rate`, else 0.
pub(crate) fn kept(
    cx: &mut Call<'_>,
    step: footlight_graph::Value,
    shape: Vec<usize>,
    rate: f32,
) -> footlight_graph::Value {
    let uniform = cx.graph.random_uniform(cx.key, step, shape);
    let rate = cx.graph.constant(rate);
    cx.graph.binary(Binary::GreaterEqual, uniform, rate)
}
