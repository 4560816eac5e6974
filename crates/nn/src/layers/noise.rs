//! What layers that draw random numbers share.

use crate::Error;
use crate::config::within;
use crate::layer::{Call, Mode};
use footlight_graph::Value;
use footlight_graph::ops::{Binary, Unary};
use std::f32::consts::TAU;

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

/// Standard normal numbers: `sqrt(-2 ln(1 - u)) cos(2 pi v)` of uniform `u` and `v`.
///
/// # References
/// Box and Muller (1958), "A note on the generation of random normal deviates".
pub(crate) fn normal(cx: &mut Call<'_>, step: Value, shape: Vec<usize>) -> Value {
    let g = &mut *cx.graph;
    let (u, v) = (cx.key.child("radius"), cx.key.child("angle"));
    let (u, v) = (g.random_uniform(u, step, shape.clone()), g.random_uniform(v, step, shape));
    let rest = g.scalar_sub(1.0, u);
    let log = g.unary(Unary::Log, rest);
    let square = g.mul_scalar(log, -2.0);
    let radius = g.unary(Unary::Sqrt, square);
    let angle = g.mul_scalar(v, TAU);
    let cosine = g.unary(Unary::Cos, angle);
    g.mul(radius, cosine)
}
