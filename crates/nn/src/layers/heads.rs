//! Attention by heads: what the layers with projected queries, keys and values share.

use crate::config::{Config, NULL, Reader, config, within};
use crate::layer::{Call, Masked, WeightSpec};
use crate::layers::attending::{ATTENTION_MASK, Asked, causal, joined, over_heads, truth, window};
use crate::layers::masks::fitting;
use crate::layers::softmax::hidden;
use crate::layers::weight::{Weight, keys};
use crate::layers::{Dropout, EinsumDense};
use crate::{Activation, Error, ErrorKind, Initializer, Layer, Regularizer};
use footlight_graph::ops::Lower;
use footlight_graph::{Builder, Value};
use footlight_tensor::display_shape;

/// The settings of attention by heads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heads {
    /// Heads of queries.
    pub(crate) count: usize,
    /// Heads of keys and values, each for as many heads of queries.
    pub(crate) groups: usize,
    /// Whether they are those of a [`crate::GroupQueryAttention`], whose parts Keras' files call by other names.
    pub(crate) is_grouped: bool,
    pub(crate) key_dim: usize,
    pub(crate) value_dim: usize,
    /// The extents of the output in place of the query's features.
    pub(crate) output_shape: Option<Vec<usize>>,
    pub(crate) asked: Asked,
    pub(crate) use_bias: bool,
    pub(crate) use_gate: bool,
    pub(crate) sliding_window: Option<usize>,
    pub(crate) kernel: Weight,
    pub(crate) bias: Weight,
}

/// The builder methods of a layer with a field `heads`.
macro_rules! heads_methods {
    ($layer:ident) => {
        impl $layer {
            /// Whether the projections add a bias; default true.
            pub fn use_bias(mut self, use_bias: bool) -> $layer {
                self.heads.use_bias = use_bias;
                self
            }

            /// Whether what the heads find is multiplied by a sigmoid of a projection of the query; default false.
            pub fn use_gate(mut self, use_gate: bool) -> $layer {
                self.heads.use_gate = use_gate;
                self
            }

            /// A query attends to the keys less than this many steps away; default to all.
            pub fn sliding_window(mut self, steps: usize) -> $layer {
                self.heads.sliding_window = Some(steps);
                self
            }
        }

        $crate::layers::attending::asked_methods!($layer, heads.asked);
        $crate::layers::weight::weight_methods!([] $layer, "kernel of each projection", "Glorot uniform":
            heads.kernel => kernel_initializer, kernel_regularizer, kernel_constraint);
        $crate::layers::weight::weight_methods!([] $layer, "bias of each projection", "zeros":
            heads.bias => bias_initializer, bias_regularizer, bias_constraint);
    };
}
pub(crate) use heads_methods;

/// The methods of [`Layer`] that a layer with a field `heads` has from it.
macro_rules! heads_layer {
    () => {
        $crate::layer::several_inputs!();

        fn weights_for(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
            self.output_shapes(inputs)?;
            self.heads.weights(inputs)
        }

        fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
            self.heads.call(cx, inputs, self.common.activity_regularizer)
        }

        fn input_names(&self) -> &'static [&'static str] {
            &["query", "value", "key"]
        }

        $crate::layers::attending::asked_options!(heads.asked);
    };
}
pub(crate) use heads_layer;

impl Heads {
    pub(crate) fn new(count: usize, groups: usize, key_dim: usize) -> Heads {
        Heads {
            count,
            groups,
            is_grouped: false,
            key_dim,
            value_dim: key_dim,
            output_shape: None,
            asked: Asked::default(),
            use_bias: true,
            use_gate: false,
            sliding_window: None,
            kernel: Weight::new(keys!("kernel"), Initializer::glorot_uniform()),
            bias: Weight::new(keys!("bias"), Initializer::Zeros),
        }
    }

    /// Takes the keys that all layers of heads have.
    pub(crate) fn read(mut self, read: &mut Reader<'_>) -> Result<Heads, Error> {
        self.asked.dropout = read.f32("dropout", 0.0)?;
        self.use_bias = read.bool("use_bias", true)?;
        self.use_gate = read.bool("use_gate", false)?;
        self.sliding_window = read.usize("sliding_window")?;
        Weight::read_all(read, [&mut self.kernel, &mut self.bias])?;
        read.ignore(&["seed", "flash_attention"]);
        Ok(self)
    }

    /// The keys that all layers of heads have.
    pub(crate) fn config(&self) -> Config {
        let mut config = config! {
            "dropout": self.asked.dropout,
            "use_bias": self.use_bias,
            "use_gate": self.use_gate,
            "sliding_window": self.sliding_window,
        };
        Weight::write_all(&mut config, &[&self.kernel, &self.bias]);
        config.insert("seed".into(), NULL.into());
        config
    }

    /// Complains of a setting out of range; `counts` are those that must not be 0.
    pub(crate) fn check(&self, counts: &[(&str, usize)], has_penalty: bool) -> Result<(), Error> {
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::config(format!("{key} = 0: there must be at least one")).in_key(key));
        }
        if self.sliding_window == Some(0) {
            let message = "sliding_window = 0: a query attends to no key";
            return Err(Error::config(message).in_key("sliding_window").help("leave it out to attend to all"));
        }
        if has_penalty && self.asked.return_attention_scores {
            let message = "`activity_regularizer` is not supported with `return_attention_scores`";
            return Err(Error::config(message).in_key("activity_regularizer"));
        }
        within("dropout", self.asked.dropout, 0.0..=1.0)?;
        self.kernel.check()?;
        self.bias.check()
    }

    /// The shapes of the output and the attention weights, of queries, values and keys that fit each other.
    pub(crate) fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let [query, value, key] = roles(inputs)?;
        let told = || {
            let [query, value, key] = [query, value, key].map(|shape| display_shape(shape));
            format!("queries {query}, values {value} and keys {key}")
        };
        let fault = |what: &str| Error::new(ErrorKind::Shape, format!("{}: {what}", told()));
        if query.len() < 2 || value.len() != query.len() {
            return Err(fault("each needs the same axes of steps and one of features"));
        }
        let steps = |shape: &[usize]| shape[..shape.len() - 1].to_vec();
        if value.len() != key.len() || steps(value) != steps(key) {
            return Err(fault("there must be as many keys as values"));
        }
        if query.len() > 2 && (self.asked.use_causal_mask || self.sliding_window.is_some()) {
            return Err(fault("a causal mask or a sliding window needs one axis of steps"));
        }
        let features = self.output_shape.clone().unwrap_or_else(|| query[query.len() - 1..].to_vec());
        let mut shapes = vec![[steps(query), features].concat()];
        if self.asked.return_attention_scores {
            shapes.push([vec![self.count], steps(query), steps(key)].concat());
        }
        Ok(shapes)
    }

    fn dense(&self, equation: &str, extents: &[usize], bias_axes: &str) -> EinsumDense {
        let extents: Vec<i64> = extents.iter().map(|extent| i64::try_from(*extent).unwrap_or(i64::MAX)).collect();
        let dense = EinsumDense::new(equation, extents).weighted(self.kernel.clone(), self.bias.clone());
        if self.use_bias { dense.bias_axes(bias_axes) } else { dense }
    }

    /// The projection of queries, keys or values to heads.
    fn projection(&self, count: usize, size: usize) -> EinsumDense {
        self.dense("...x,xhd->...hd", &[count, size], "hd")
    }

    fn gate(&self) -> EinsumDense {
        self.projection(self.count, self.value_dim).activation(Activation::Sigmoid)
    }

    /// The projection of what the heads found.
    fn combination(&self, features: &[usize]) -> EinsumDense {
        let axes: String = ('i'..='z').take(features.len()).collect();
        self.dense(&format!("...hd,hd{axes}->...{axes}"), features, &axes)
    }

    pub(crate) fn weights(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        let [query, value, key] = roles(inputs)?;
        let outputs = self.output_shapes(inputs)?;
        let found = [&query[..query.len() - 1], &[self.count, self.value_dim]].concat();
        let gate = self.use_gate.then(|| ("gate", self.gate(), query));
        let mut parts = vec![
            ("query", self.projection(self.count, self.key_dim), query),
            ("key", self.projection(self.groups, self.key_dim), key),
        ];
        parts.extend(gate);
        parts.push(("value", self.projection(self.groups, self.value_dim), value));
        parts.push(("attention_output", self.combination(&outputs[0][query.len() - 1..]), &found));
        let mut all = Vec::new();
        for (name, dense, input) in parts {
            // Keras' attributes: those without a leading underscore are found under the property of that name.
            let part = format!("{}_dense", name.trim_start_matches("attention_"));
            let part = if name == "gate" || self.is_grouped { format!("_{part}") } else { part };
            let spec = |spec: WeightSpec| {
                WeightSpec { name: format!("{name}/{}", spec.name).into(), ..spec }.within(part.clone())
            };
            all.extend(dense.weights(input)?.into_iter().map(spec));
        }
        Ok(all)
    }

    pub(crate) fn call(&self, cx: &mut Call<'_>, inputs: &[Masked], penalty: Option<Regularizer>) -> Vec<Masked> {
        let axes = cx.graph.shape(inputs[0].value).len() - 2;
        self.call_fused(cx, inputs, penalty, axes == 1)
    }

    /// As [`Heads::call`]; `is_fused` where Keras takes its other way if nothing else hinders it.
    pub(crate) fn call_fused(
        &self,
        cx: &mut Call<'_>,
        inputs: &[Masked],
        penalty: Option<Regularizer>,
        is_fused: bool,
    ) -> Vec<Masked> {
        let query = inputs[0];
        let value = inputs.get(1).copied().unwrap_or(query);
        let key = inputs.get(2).copied().unwrap_or(value);
        let mut weights = cx.weights.chunks(if self.use_bias { 2 } else { 1 });
        let mut project = |cx: &mut Call<'_>, dense: EinsumDense, x: Value, penalty: Option<Regularizer>| {
            let weights = weights.next().unwrap_or_default();
            let y = dense.call(&mut Call::new(cx.graph, weights, None, cx.key), Masked::new(x)).value;
            cx.penalties.extend(penalty.map(|penalty| (penalty, y)));
            y
        };
        let q = project(cx, self.projection(self.count, self.key_dim), query.value, penalty);
        let k = project(cx, self.projection(self.groups, self.key_dim), key.value, penalty);
        let gate = self.use_gate.then(|| project(cx, self.gate(), query.value, penalty));
        let v = project(cx, self.projection(self.groups, self.value_dim), value.value, penalty);
        let shape = cx.graph.shape(query.value);
        let samples: Vec<Vec<usize>> =
            [query, value, key].iter().map(|input| cx.graph.shape(input.value)[1..].to_vec()).collect();
        // The shapes were checked when the model was built.
        let Ok(outputs) = self.output_shapes(&samples) else { return inputs.to_vec() };
        let (found, scores) = self.attend(cx, [q, k, v], inputs, is_fused);
        let steps = &shape[..shape.len() - 1];
        let found = cx.graph.reshape(found, [steps, &[self.count, self.value_dim]].concat());
        let found = gate.map_or(found, |gate| cx.graph.mul(found, gate));
        let y = project(cx, self.combination(&outputs[0][steps.len() - 1..]), found, None);
        let scores = outputs.get(1).map(|sample| cx.graph.reshape(scores, [&shape[..1], sample].concat()));
        [query.with(y)].into_iter().chain(scores.map(Masked::new)).collect()
    }

    /// What the heads find, `[N, T, count, value_dim]`, and the attention weights, `[N, count, T, S]`.
    ///
    /// The queries of all heads that share a key follow one another, so that each group is one product.
    fn attend(&self, cx: &mut Call<'_>, [q, k, v]: [Value; 3], inputs: &[Masked], is_fused: bool) -> (Value, Value) {
        let g = &mut *cx.graph;
        let [q, k, v] = [q, k, v].map(|x| heads_first(g, x));
        let (to, from) = (g.shape(q), g.shape(k));
        let (batch, t, s) = (to[0], to[2], from[2]);
        let repeated = self.count / self.groups * t;
        let q = g.reshape(q, [batch, self.groups, repeated, self.key_dim]);
        let q = g.mul_scalar(q, 1.0 / (self.key_dim as f32).sqrt());
        let mask = self.mask(cx, inputs, [batch, t, s]);
        // Where nothing but later steps is hidden, half of each matrix is neither computed nor read.
        let is_lower = mask.is_some_and(|mask| mask.is_causal) && self.groups == self.count;
        let only = |lower: Lower| is_lower.then_some(lower);
        let g = &mut *cx.graph;
        let scores = g.matmul_lower(q, k, [false, true], only(Lower::Output));
        let scores = g.reshape(scores, [batch, self.count, t, s]);
        let mask = mask.map(|mask| mask.value).filter(|_| !is_lower);
        let hidden = mask.map_or(scores, |mask| hidden(g, scores, mask));
        let mut weights = if is_lower { g.causal_softmax(hidden) } else { g.softmax(hidden) };
        // Keras' other way to attend leaves a query that may attend to nothing the mean of all values.
        let is_fused = is_fused && self.asked.dropout == 0.0 && !self.asked.return_attention_scores;
        if let Some(mask) = mask.filter(|_| !is_fused) {
            weights = g.mul(weights, mask);
        }
        let kept = Dropout::new(self.asked.dropout).call(cx, Masked::new(weights)).value;
        let g = &mut *cx.graph;
        let kept = g.reshape(kept, [batch, self.groups, repeated, s]);
        let found = g.matmul_lower(kept, v, [false, false], only(Lower::A));
        let found = g.reshape(found, [batch, self.count, t, self.value_dim]);
        (g.transpose(found, [0, 2, 1, 3]), weights)
    }

    /// 1 where a query may attend to a key, of a shape that broadcasts to `[N, count, T, S]`.
    fn mask(&self, cx: &mut Call<'_>, inputs: &[Masked], [batch, t, s]: [usize; 3]) -> Option<Mask> {
        let own = |at: usize| inputs.get(at).and_then(|input| input.mask);
        let given = |name: &str, own: Option<Value>| cx.get(name).map(|mask| mask.value).or(own);
        let (value, key) = (given("value_mask", own(1)), given("key_mask", own(2)));
        let pairs = cx.get(ATTENTION_MASK).map(|mask| mask.value);
        let g = &mut *cx.graph;
        let of = [inputs[0], inputs[inputs.len() - 1]].map(|input| g.shape(input.value));
        let [queries, keys] = of.each_ref().map(|shape| &shape[..shape.len() - 1]);
        let query = own(0).map(|mask| fitting(g, mask, queries));
        let [value, key] = [value, key].map(|mask| mask.map(|mask| fitting(g, mask, keys)));
        let query = query.map(|mask| g.reshape(mask, [batch, 1, t, 1]));
        let [value, key] = [value, key].map(|mask| mask.map(|mask| g.reshape(mask, [batch, 1, 1, s])));
        let pairs = pairs.map(|mask| {
            let mask = over_heads(g, mask, self.count, [queries, keys]);
            truth(g, mask)
        });
        let causal = self.asked.use_causal_mask.then(|| causal(g, t, s));
        let window = self.sliding_window.map(|steps| window(g, [t, s], steps));
        let others = joined(g, [query, value, key, pairs, window]);
        let value = joined(g, [others, causal])?;
        Some(Mask { value, is_causal: others.is_none() })
    }
}

/// What queries may attend to.
#[derive(Clone, Copy)]
struct Mask {
    /// 1 where a query may attend to a key.
    value: Value,
    /// Whether it hides all later steps and nothing else.
    is_causal: bool,
}

/// `[N, ..., A, D]` as `[N, A, T, D]`, where `T` counts the steps of all axes between.
fn heads_first(g: &mut Builder, x: Value) -> Value {
    let shape = g.shape(x);
    let [batch, steps @ .., heads, size] = shape.as_slice() else { return x };
    let x = g.reshape(x, [*batch, steps.iter().product(), *heads, *size]);
    g.transpose(x, [0, 2, 1, 3])
}

/// The shapes of queries, values and keys; the values are the keys where these are not given.
fn roles(inputs: &[Vec<usize>]) -> Result<[&Vec<usize>; 3], Error> {
    match inputs {
        [query, value] => Ok([query, value, value]),
        [query, value, key] => Ok([query, value, key]),
        many => Err(Error::config(format!("takes a query, a value and maybe a key, got {} inputs", many.len()))
            .help("for attention of a sequence to itself give it twice")),
    }
}
