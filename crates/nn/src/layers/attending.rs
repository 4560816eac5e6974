//! What all layers of attention share: the settings of a call, and masks of pairs of steps.

use crate::config::Config;
use crate::layers::masks::{covers, misfit};
use crate::{Error, suggest};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Value};
use footlight_tensor::DType;
use serde_json::Value as Json;

/// The mask of pairs of steps that a call may be given.
pub(crate) const ATTENTION_MASK: &str = "attention_mask";

/// What every layer of attention is asked for beside its sizes.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Asked {
    pub dropout: f32,
    pub use_causal_mask: bool,
    pub return_attention_scores: bool,
}

impl Asked {
    /// The keys of a call: those that are not what they are without being said.
    pub(crate) fn options(&self) -> Config {
        let all =
            [("use_causal_mask", self.use_causal_mask), ("return_attention_scores", self.return_attention_scores)];
        all.into_iter().filter(|(_, flag)| *flag).map(|(key, flag)| (key.into(), flag.into())).collect()
    }

    /// Takes over a key of a call.
    pub(crate) fn set_option(&mut self, key: &str, value: &Json) -> Result<(), Error> {
        let target = match key {
            "use_causal_mask" => &mut self.use_causal_mask,
            "return_attention_scores" => &mut self.return_attention_scores,
            _ => return Err(suggest::unknown("key", key, &["use_causal_mask", "return_attention_scores"]).in_key(key)),
        };
        let fault = || Error::config(format!("`{key}` = {value}: expected true or false")).in_key(key);
        *target = value.as_bool().ok_or_else(fault)?;
        Ok(())
    }
}

/// The builder methods of [`Asked`], which lies in the given fields.
macro_rules! asked_methods {
    ($layer:ident, $($field:ident).+) => {
        impl $layer {
            /// The fraction of the attention weights that is dropped while training; default 0.
            pub fn dropout(mut self, rate: f32) -> $layer {
                self.$($field).+.dropout = rate;
                self
            }

            /// Whether a step attends only to itself and those before; default false. In Keras a setting of the call.
            pub fn use_causal_mask(mut self, use_causal_mask: bool) -> $layer {
                self.$($field).+.use_causal_mask = use_causal_mask;
                self
            }

            /// Whether the attention weights are a second output; default false. In Keras a setting of the call.
            pub fn return_attention_scores(mut self, return_attention_scores: bool) -> $layer {
                self.$($field).+.return_attention_scores = return_attention_scores;
                self
            }
        }
    };
}
pub(crate) use asked_methods;

/// The methods of [`crate::Layer`] about the settings of a call, which lie in the given fields.
macro_rules! asked_options {
    ($($field:ident).+) => {
        fn call_options(&self) -> $crate::Config {
            self.$($field).+.options()
        }

        fn set_call_option(&mut self, key: &str, value: &serde_json::Value) -> Result<(), $crate::Error> {
            self.$($field).+.set_option(key, value)
        }
    };
}
pub(crate) use asked_options;

/// 1 where the step of a query is not before that of a key, `[T, S]`.
pub(crate) fn causal(g: &mut Builder, t: usize, s: usize) -> Value {
    let [to, from] = [0, 1].map(|axis| g.iota([t, s], axis));
    let is_past = g.binary(Binary::GreaterEqual, to, from);
    g.cast(is_past, DType::F32)
}

/// 1 where `mask` is not 0.
pub(crate) fn truth(g: &mut Builder, mask: Value) -> Value {
    let zero = g.constant(0.0);
    let is_zero = g.binary(Binary::Equal, mask, zero);
    g.scalar_sub(1.0, is_zero)
}

/// 1 where all masks are.
pub(crate) fn joined(g: &mut Builder, masks: impl IntoIterator<Item = Option<Value>>) -> Option<Value> {
    masks.into_iter().flatten().reduce(|all, mask| g.mul(all, mask))
}

/// A mask of pairs of the steps of queries `to`, `[N, T...]`, and of keys `from`, `[N, S...]`, with or without an axis of
/// heads, as `[N, 1 or A, T, S]`; else a fault that tells both shapes.
pub(crate) fn over_heads(g: &mut Builder, mask: Value, heads: usize, [to, from]: [&[usize]; 2]) -> Value {
    if g.is_poison(mask) {
        return mask;
    }
    let (batch, to, from) = (&to[..1], &to[1..], &from[1..]);
    let [plain, by_head] = [[batch, to, from].concat(), [batch, &[heads], to, from].concat()];
    let shape = g.shape(mask);
    let lead = match [&plain, &by_head].map(|wanted| covers(&shape, wanted)) {
        [true, _] => [shape[0], 1],
        [_, true] => [shape[0], shape[1]],
        _ => return misfit(g, ATTENTION_MASK, mask, &[&plain, &by_head], "give it an element for each query and key"),
    };
    let pairs = shape.len() - to.len() - from.len();
    let mask = g.reshape(mask, [&lead[..], &shape[pairs..]].concat());
    let mask = g.broadcast(mask, [&lead[..], to, from].concat());
    g.reshape(mask, [&lead[..], &[to.iter().product(), from.iter().product()]].concat())
}

/// 1 where two steps are less than `steps` apart, `[T, S]`.
pub(crate) fn window(g: &mut Builder, [t, s]: [usize; 2], steps: usize) -> Value {
    let [from, to] = [0, 1].map(|axis| g.iota([t, s], axis));
    let apart = g.sub(from, to);
    let apart = g.cast(apart, DType::F32);
    let apart = g.unary(Unary::Abs, apart);
    let steps = g.constant(steps as f32);
    g.binary(Binary::Greater, steps, apart)
}
