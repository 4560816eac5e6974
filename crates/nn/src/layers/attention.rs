//! Attention without projections.

use crate::config::{Config, NULL, Reader, config, within};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics, several_inputs};
use crate::layers::Dropout;
use crate::layers::attending::{Asked, asked_methods, asked_options, causal, joined};
use crate::layers::masks::fitting;
use crate::{Error, ErrorKind, Initializer, suggest};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Value};
use footlight_tensor::display_shape;
use serde_json::Value as Json;

/// How alike a query and a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScoreMode {
    /// Their dot product.
    #[default]
    Dot,
    /// The sum over features of `tanh(query + key)`.
    Concat,
}

impl ScoreMode {
    /// Keras' names.
    pub const NAMES: [&str; 2] = ["dot", "concat"];

    fn name(self) -> &'static str {
        ScoreMode::NAMES[self as usize]
    }

    fn from_name(name: &str) -> Result<ScoreMode, Error> {
        match name {
            "dot" => Ok(ScoreMode::Dot),
            "concat" => Ok(ScoreMode::Concat),
            other => Err(suggest::unknown("score_mode", other, &ScoreMode::NAMES)),
        }
    }
}

/// The settings of attention without projections.
#[derive(Clone, Debug, PartialEq, Default)]
struct Settings {
    use_scale: bool,
    asked: Asked,
}

/// What layers of attention without projections share; they say how they score and by which weights.
macro_rules! attention {
    ($layer:ident $class:literal) => {
        common_methods!($layer);

        impl $layer {
            /// Whether scores are scaled by a learned weight.
            pub fn use_scale(mut self, use_scale: bool) -> $layer {
                self.settings.use_scale = use_scale;
                self
            }
        }

        asked_methods!($layer, settings.asked);

        impl Layer for $layer {
            layer_basics!($class);

            fn config(&self) -> Config {
                self.keys()
            }

            fn check(&self) -> Result<(), Error> {
                within("dropout", self.settings.asked.dropout, 0.0..=1.0)
            }

            several_inputs!();

            fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
                self.settings.output_shapes(inputs)
            }

            fn weights_for(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
                self.output_shapes(inputs)?;
                Ok(self.scales(inputs[0][1]))
            }

            fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
                let value = inputs.get(1).unwrap_or(&inputs[0]);
                let key = inputs.get(2).unwrap_or(value);
                let scores = self.scores(cx.graph, cx.weights, inputs[0].value, key.value);
                self.settings.weigh(cx, scores, inputs[0], *value)
            }

            fn write_arguments(&self, values: Vec<Json>) -> Vec<Json> {
                vec![values.into()]
            }

            asked_options!(settings.asked);
        }
    };
}

/// Attention by likeness (Luong): `softmax(query key^T) value`, without projections.
///
/// # Shapes
/// Called on a list: queries `[N, T, F]`, values `[N, S, V]` and maybe keys `[N, S, F]`, which are the values unless given.
/// Output `[N, T, V]`, attention weights `[N, T, S]`.
///
/// # Arguments
/// Defaults as in Keras: `score_mode` dot, no `use_scale` (a learned factor, 1 at first), `dropout` 0. With the score mode
/// concat scores are `concat_score_weight sum(tanh(scale (query + key)))` over features.
///
/// # Numerics
/// Values that a mask leaves out have weight 0. Answers to queries that a mask leaves out are 0.
///
/// # References
/// Luong, Pham, Manning (2015), "Effective approaches to attention-based neural machine translation", section 3.1.
///
/// # Examples
/// ```
/// use footlight_nn::{Attention, Layer};
/// let shapes = Attention::new().output_shapes(&[vec![5, 8], vec![7, 8]]).unwrap();
/// assert_eq!(shapes, [[5, 8]]);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attention {
    common: Common,
    settings: Settings,
    score_mode: ScoreMode,
}

attention!(Attention "Attention");

impl Attention {
    /// Attention by the dot product.
    pub fn new() -> Attention {
        Attention::default()
    }

    /// How alike a query and a key are; default their dot product.
    pub fn score_mode(mut self, score_mode: ScoreMode) -> Attention {
        self.score_mode = score_mode;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Attention, Error> {
        let name = read.string_or("score_mode", "dot")?;
        let score_mode = ScoreMode::from_name(&name).map_err(|e| e.in_key("score_mode"))?;
        Ok(Attention { common: Common::default(), settings: Settings::read(read, false)?, score_mode })
    }

    fn keys(&self) -> Config {
        let mut keys = self.settings.config();
        keys.insert("score_mode".into(), self.score_mode.name().into());
        keys
    }

    fn scales(&self, _: usize) -> Vec<WeightSpec> {
        let is_there =
            [("scale", self.settings.use_scale), ("concat_score_weight", self.score_mode == ScoreMode::Concat)];
        let spec = |(name, _)| WeightSpec::new(name, [], Initializer::Ones);
        is_there.into_iter().filter(|(_, is_there)| *is_there).map(spec).collect()
    }

    fn scores(&self, g: &mut Builder, weights: &[Value], query: Value, key: Value) -> Value {
        let scale = weights.first().filter(|_| self.settings.use_scale);
        let scaled = |g: &mut Builder, x: Value| scale.map_or(x, |scale| g.mul(x, *scale));
        match self.score_mode {
            ScoreMode::Dot => {
                let scores = g.matmul_with(query, key, false, true);
                scaled(g, scores)
            }
            ScoreMode::Concat => {
                let sums = sums_of_pairs(g, query, key);
                let sums = scaled(g, sums);
                let bent = g.unary(Unary::Tanh, sums);
                let score = g.reduce_sum(bent, &[3], false);
                weights.last().map_or(score, |weight| g.mul(score, *weight))
            }
        }
    }
}

/// Attention by a sum (Bahdanau): `softmax(sum(scale tanh(query + key))) value` with the sum over features, without
/// projections.
///
/// # Shapes
/// Called on a list: queries `[N, T, F]`, values `[N, S, V]` and maybe keys `[N, S, F]`, which are the values unless given;
/// scale `[F]`. Output `[N, T, V]`, attention weights `[N, T, S]`.
///
/// # Arguments
/// Defaults as in Keras: `use_scale` (Glorot uniform at first) true, `dropout` 0.
///
/// # Numerics
/// As of [`Attention`].
///
/// # References
/// Bahdanau, Cho, Bengio (2015), "Neural machine translation by jointly learning to align and translate", section 3.1.
///
/// # Examples
/// ```
/// use footlight_nn::{AdditiveAttention, Layer};
/// let weights = AdditiveAttention::new().weights_for(&[vec![5, 8], vec![7, 8]]).unwrap();
/// assert_eq!(weights[0].shape, [8]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdditiveAttention {
    common: Common,
    settings: Settings,
}

attention!(AdditiveAttention "AdditiveAttention");

impl Default for AdditiveAttention {
    fn default() -> AdditiveAttention {
        let settings = Settings { use_scale: true, ..Settings::default() };
        AdditiveAttention { common: Common::default(), settings }
    }
}

impl AdditiveAttention {
    /// Attention by a scaled sum.
    pub fn new() -> AdditiveAttention {
        AdditiveAttention::default()
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<AdditiveAttention, Error> {
        Ok(AdditiveAttention { common: Common::default(), settings: Settings::read(read, true)? })
    }

    fn keys(&self) -> Config {
        self.settings.config()
    }

    fn scales(&self, features: usize) -> Vec<WeightSpec> {
        let scale = || WeightSpec::new("scale", [features], Initializer::glorot_uniform());
        self.settings.use_scale.then(scale).into_iter().collect()
    }

    fn scores(&self, g: &mut Builder, weights: &[Value], query: Value, key: Value) -> Value {
        let sums = sums_of_pairs(g, query, key);
        let bent = g.unary(Unary::Tanh, sums);
        let scaled = weights.first().map_or(bent, |scale| g.mul(bent, *scale));
        g.reduce_sum(scaled, &[3], false)
    }
}

/// `query + key` of each pair, `[N, T, S, F]`.
fn sums_of_pairs(g: &mut Builder, query: Value, key: Value) -> Value {
    let ([n, t, f], [_, s, _]) = (extents(g, query), extents(g, key));
    let query = g.reshape(query, [n, t, 1, f]);
    let key = g.reshape(key, [n, 1, s, f]);
    g.add(query, key)
}

fn extents(g: &Builder, x: Value) -> [usize; 3] {
    g.shape(x).try_into().unwrap_or([1; 3])
}

impl Settings {
    fn read(read: &mut Reader<'_>, use_scale: bool) -> Result<Settings, Error> {
        read.ignore(&["seed"]);
        let (use_scale, dropout) = (read.bool("use_scale", use_scale)?, read.f32("dropout", 0.0)?);
        Ok(Settings { use_scale, asked: Asked { dropout, ..Asked::default() } })
    }

    fn config(&self) -> Config {
        config! { "use_scale": self.use_scale, "dropout": self.asked.dropout, "seed": NULL }
    }

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let (query, value, key) = match inputs {
            [query, value] => (query, value, value),
            [query, value, key] => (query, value, key),
            many => {
                let message = format!("takes a query, a value and maybe a key, got {} inputs", many.len());
                return Err(Error::config(message).help("for attention of a sequence to itself give it twice"));
            }
        };
        let [q, v, k] = [query, value, key].map(|shape| display_shape(shape));
        let fault = |what: &str| Error::new(ErrorKind::Shape, format!("queries {q}, values {v} and keys {k}: {what}"));
        let ([t, f], [s, features], [steps, of_key]) = (&query[..], &value[..], &key[..]) else {
            return Err(fault("each needs an axis of steps and one of features"));
        };
        if steps != s {
            return Err(fault("there must be as many keys as values"));
        }
        if f != of_key {
            return Err(fault("queries and keys must have the same features"));
        }
        let scores = self.asked.return_attention_scores.then(|| vec![*t, *s]);
        Ok([vec![*t, *features]].into_iter().chain(scores).collect())
    }

    /// The mean of the values, weighted by the softmax of the scores, with these weights if asked for.
    fn weigh(&self, cx: &mut Call<'_>, scores: Value, query: Masked, value: Masked) -> Vec<Masked> {
        /// What Keras takes from a score that does not count.
        const HIDDEN: f32 = -1e9;
        let given = cx.all("mask");
        let mask = |at: usize, own: Masked| given.get(at).map(|mask| mask.value).or(own.mask);
        let (query_mask, value_mask) = (mask(0, query), mask(1, value));
        let g = &mut *cx.graph;
        let [n, t, s] = extents(g, scores);
        let query_mask = query_mask.map(|mask| fitting(g, mask, &[n, t]));
        let of_value = value_mask.map(|mask| fitting(g, mask, &[n, s])).map(|mask| g.reshape(mask, [n, 1, s]));
        let causal = self.asked.use_causal_mask.then(|| causal(g, t, s));
        let scores = joined(g, [of_value, causal]).map_or(scores, |mask| {
            let hidden = g.add_scalar(scores, HIDDEN);
            g.select(mask, scores, hidden)
        });
        let weights = g.softmax(scores);
        let weights = Dropout::new(self.asked.dropout).call(cx, Masked::new(weights)).value;
        let g = &mut *cx.graph;
        let found = g.matmul(weights, value.value);
        let answer = query_mask.map_or(found, |mask| {
            let (mask, zero) = (g.reshape(mask, [n, t, 1]), g.constant(0.0));
            g.select(mask, found, zero)
        });
        let scores = self.asked.return_attention_scores.then(|| Masked::new(weights));
        [Masked { value: answer, mask: query_mask }].into_iter().chain(scores).collect()
    }
}
