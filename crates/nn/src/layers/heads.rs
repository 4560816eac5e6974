//! Attention by heads: what the layers with projected queries, keys and values share.

use crate::config::{Config, NULL, Reader, config, within};
use crate::layer::{Call, Masked, WeightSpec};
use crate::layers::attending::{causal, joined, over_heads, truth, window};
use crate::layers::softmax::hidden;
use crate::layers::{Dropout, EinsumDense};
use crate::{Activation, Constraint, Error, ErrorKind, Initializer, Layer, Regularizer};
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
    pub(crate) dropout: f32,
    pub(crate) use_bias: bool,
    pub(crate) use_gate: bool,
    pub(crate) sliding_window: Option<usize>,
    pub(crate) kernel_initializer: Initializer,
    pub(crate) bias_initializer: Initializer,
    pub(crate) kernel_regularizer: Option<Regularizer>,
    pub(crate) bias_regularizer: Option<Regularizer>,
    pub(crate) kernel_constraint: Option<Constraint>,
    pub(crate) bias_constraint: Option<Constraint>,
    pub(crate) use_causal_mask: bool,
    pub(crate) return_attention_scores: bool,
}

/// The builder methods of a layer with a field `heads`.
macro_rules! heads_methods {
    ($layer:ident) => {
        impl $layer {
            /// The fraction of the attention weights that is dropped while training; default 0.
            pub fn dropout(mut self, rate: f32) -> $layer {
                self.heads.dropout = rate;
                self
            }

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

            /// How the kernels begin; default Glorot uniform.
            pub fn kernel_initializer(mut self, initializer: impl Into<Initializer>) -> $layer {
                self.heads.kernel_initializer = initializer.into();
                self
            }

            /// How the biases begin; default zeros.
            pub fn bias_initializer(mut self, initializer: impl Into<Initializer>) -> $layer {
                self.heads.bias_initializer = initializer.into();
                self
            }

            /// A penalty on each kernel; default none.
            pub fn kernel_regularizer(mut self, regularizer: Regularizer) -> $layer {
                self.heads.kernel_regularizer = Some(regularizer);
                self
            }

            /// A penalty on each bias; default none.
            pub fn bias_regularizer(mut self, regularizer: Regularizer) -> $layer {
                self.heads.bias_regularizer = Some(regularizer);
                self
            }

            /// What each kernel is kept to after each update; default nothing.
            pub fn kernel_constraint(mut self, constraint: Constraint) -> $layer {
                self.heads.kernel_constraint = Some(constraint);
                self
            }

            /// What each bias is kept to after each update; default nothing.
            pub fn bias_constraint(mut self, constraint: Constraint) -> $layer {
                self.heads.bias_constraint = Some(constraint);
                self
            }

            /// Whether a step attends only to itself and those before; default false. In Keras a setting of the call.
            pub fn use_causal_mask(mut self, use_causal_mask: bool) -> $layer {
                self.heads.use_causal_mask = use_causal_mask;
                self
            }

            /// Whether the attention weights are a second output; default false. In Keras a setting of the call.
            pub fn return_attention_scores(mut self, return_attention_scores: bool) -> $layer {
                self.heads.return_attention_scores = return_attention_scores;
                self
            }
        }
    };
}
pub(crate) use heads_methods;

/// The methods of [`Layer`] that a layer with a field `heads` has from it.
macro_rules! heads_layer {
    () => {
        fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
            Ok(self.output_shapes(&[input.to_vec()])?.swap_remove(0))
        }

        fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
            self.weights_for(&[input.to_vec()])
        }

        fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
            self.call_all(cx, &[input])[0]
        }

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

        fn call_options(&self) -> Config {
            crate::layers::attending::options(self.heads.use_causal_mask, self.heads.return_attention_scores)
        }

        fn set_call_option(&mut self, key: &str, value: &Json) -> Result<(), Error> {
            let heads = &mut self.heads;
            crate::layers::attending::set_option(
                key,
                value,
                &mut heads.use_causal_mask,
                &mut heads.return_attention_scores,
            )
        }
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
            dropout: 0.0,
            use_bias: true,
            use_gate: false,
            sliding_window: None,
            kernel_initializer: Initializer::glorot_uniform(),
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
            use_causal_mask: false,
            return_attention_scores: false,
        }
    }

    /// Takes the keys that all layers of heads have.
    pub(crate) fn read(mut self, read: &mut Reader<'_>) -> Result<Heads, Error> {
        self.dropout = read.f32("dropout", 0.0)?;
        self.use_bias = read.bool("use_bias", true)?;
        self.use_gate = read.bool("use_gate", false)?;
        self.sliding_window = read.usize("sliding_window")?;
        if let Some(initializer) = read.object("kernel_initializer", Initializer::from_config)? {
            self.kernel_initializer = initializer;
        }
        if let Some(initializer) = read.object("bias_initializer", Initializer::from_config)? {
            self.bias_initializer = initializer;
        }
        self.kernel_regularizer = read.object("kernel_regularizer", Regularizer::from_config)?;
        self.bias_regularizer = read.object("bias_regularizer", Regularizer::from_config)?;
        self.kernel_constraint = read.object("kernel_constraint", Constraint::from_config)?;
        self.bias_constraint = read.object("bias_constraint", Constraint::from_config)?;
        read.ignore(&["seed", "flash_attention"]);
        Ok(self)
    }

    /// The keys that all layers of heads have.
    pub(crate) fn config(&self) -> Config {
        config! {
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "use_gate": self.use_gate,
            "sliding_window": self.sliding_window,
            "kernel_initializer": self.kernel_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
            "kernel_regularizer": self.kernel_regularizer.map(|r| r.to_config()),
            "bias_regularizer": self.bias_regularizer.map(|r| r.to_config()),
            "kernel_constraint": self.kernel_constraint.as_ref().map(Constraint::to_config),
            "bias_constraint": self.bias_constraint.as_ref().map(Constraint::to_config),
            "seed": NULL,
        }
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
        if has_penalty && self.return_attention_scores {
            let message = "`activity_regularizer` is not supported with `return_attention_scores`";
            return Err(Error::config(message).in_key("activity_regularizer"));
        }
        within("dropout", self.dropout, 0.0..=1.0)?;
        self.kernel_initializer.check().map_err(|e| e.in_key("kernel_initializer"))?;
        self.bias_initializer.check().map_err(|e| e.in_key("bias_initializer"))
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
        if query.len() > 2 && (self.use_causal_mask || self.sliding_window.is_some()) {
            return Err(fault("a causal mask or a sliding window needs one axis of steps"));
        }
        let features = self.output_shape.clone().unwrap_or_else(|| query[query.len() - 1..].to_vec());
        let mut shapes = vec![[steps(query), features].concat()];
        if self.return_attention_scores {
            shapes.push([vec![self.count], steps(query), steps(key)].concat());
        }
        Ok(shapes)
    }

    fn dense(&self, equation: &str, extents: &[usize], bias_axes: &str) -> EinsumDense {
        let extents: Vec<i64> = extents.iter().map(|extent| i64::try_from(*extent).unwrap_or(i64::MAX)).collect();
        let mut dense = EinsumDense::new(equation, extents)
            .kernel_initializer(self.kernel_initializer.clone())
            .bias_initializer(self.bias_initializer.clone());
        if self.use_bias {
            dense = dense.bias_axes(bias_axes);
        }
        if let Some(regularizer) = self.kernel_regularizer {
            dense = dense.kernel_regularizer(regularizer);
        }
        if let Some(regularizer) = self.bias_regularizer {
            dense = dense.bias_regularizer(regularizer);
        }
        if let Some(constraint) = &self.kernel_constraint {
            dense = dense.kernel_constraint(constraint.clone());
        }
        if let Some(constraint) = &self.bias_constraint {
            dense = dense.bias_constraint(constraint.clone());
        }
        dense
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
        let (found, scores) = self.attend(cx, [q, k, v], inputs);
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
    fn attend(&self, cx: &mut Call<'_>, [q, k, v]: [Value; 3], inputs: &[Masked]) -> (Value, Value) {
        let g = &mut *cx.graph;
        let axes = g.shape(q).len() - 3;
        let [q, k, v] = [q, k, v].map(|x| heads_first(g, x));
        let (to, from) = (g.shape(q), g.shape(k));
        let (batch, t, s) = (to[0], to[2], from[2]);
        let repeated = self.count / self.groups * t;
        let q = g.reshape(q, [batch, self.groups, repeated, self.key_dim]);
        let q = g.mul_scalar(q, 1.0 / (self.key_dim as f32).sqrt());
        let scores = g.matmul_with(q, k, false, true);
        let scores = g.reshape(scores, [batch, self.count, t, s]);
        let mask = self.mask(cx, inputs, axes, [batch, t, s]);
        let g = &mut *cx.graph;
        let hidden = mask.map_or(scores, |mask| hidden(g, scores, mask));
        let mut weights = g.softmax(hidden);
        // Keras' other way to attend leaves a query that may attend to nothing the mean of all values.
        let is_fused = self.dropout == 0.0 && !self.return_attention_scores && axes == 1;
        if let Some(mask) = mask.filter(|_| !is_fused) {
            weights = g.mul(weights, mask);
        }
        let kept = Dropout::new(self.dropout).call(cx, Masked::new(weights)).value;
        let g = &mut *cx.graph;
        let kept = g.reshape(kept, [batch, self.groups, repeated, s]);
        let found = g.matmul(kept, v);
        let found = g.reshape(found, [batch, self.count, t, self.value_dim]);
        (g.transpose(found, [0, 2, 1, 3]), weights)
    }

    /// 1 where a query may attend to a key, of a shape that broadcasts to `[N, count, T, S]`.
    fn mask(&self, cx: &mut Call<'_>, inputs: &[Masked], axes: usize, [batch, t, s]: [usize; 3]) -> Option<Value> {
        let own = |at: usize| inputs.get(at).and_then(|input| input.mask);
        let given = |name: &str, own: Option<Value>| cx.get(name).map(|mask| mask.value).or(own);
        let (value, key) = (given("value_mask", own(1)), given("key_mask", own(2)));
        let pairs = cx.get("attention_mask").map(|mask| mask.value);
        let g = &mut *cx.graph;
        let query = own(0).map(|mask| g.reshape(mask, [batch, 1, t, 1]));
        let [value, key] = [value, key].map(|mask| mask.map(|mask| g.reshape(mask, [batch, 1, 1, s])));
        let pairs = pairs.map(|mask| {
            let mask = over_heads(g, mask, axes);
            truth(g, mask)
        });
        let causal = self.use_causal_mask.then(|| causal(g, t, s));
        let window = self.sliding_window.map(|steps| window(g, [t, s], steps));
        joined(g, [query, value, key, pairs, causal, window])
    }
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
