//! What layers that draw random numbers share.

use crate::Error;
use crate::config::within;
use crate::layer::{Call, Mode};
use footlight_graph::Value;
use footlight_graph::ops::Binary;

/// The number of updates so far while training, `None` when answering: nothing is drawn then.
pub(crate) fn training_step(cx: &Call<'_>) -> Option<Value> {
    cx.step.filter(|_| cx.mode == Mode::Train)
}

/// Complains of a fraction outside of `[0, 1)`.
pub(crate) fn check_rate(rate: f32) -> Result<(), Error> {
    within("rate", rate, 0.0..1.0).map_err(|e| e.help("`rate` is the fraction dropped, as in Keras"))
}

/// 1 with probability `1 - rate`, else 0.
pub(crate) fn kept(cx: &mut Call<'_>, step: Value, shape: Vec<usize>, rate: f32) -> Value {
    let uniform = cx.graph.random_uniform(cx.key, step, shape);
    let rate = cx.graph.constant(rate);
    cx.graph.binary(Binary::GreaterEqual, uniform, rate)
}
