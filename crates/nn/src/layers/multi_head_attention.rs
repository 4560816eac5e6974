//! Attention with projections, by heads.

use crate::Error;
use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::heads::{Heads, heads_layer, heads_methods};

/// Attention by several heads, each with projections of its own:
/// `head_a = softmax(query W_a^Q (key W_a^K)^T / sqrt(key_dim)) value W_a^V`, `y = concat(head_1, ..., head_A) W^O`.
///
/// # Shapes
/// Called on queries `[N, T, F]`, values `[N, S, V]` and maybe keys `[N, S, K]`, which are the values unless given; there
/// may be more axes of steps, which all are attended over. Kernels `[F, A, key_dim]`, `[K, A, key_dim]`,
/// `[V, A, value_dim]` and `[A, value_dim, F]`. Output `[N, T, F]`, attention weights `[N, A, T, S]`.
///
/// # Arguments
/// Defaults as in Keras: `value_dim` that of the key, kernels Glorot uniform, biases zeros, `dropout` 0, no `use_gate`, no
/// `sliding_window`, the features of the query as `output_shape`. A call may be given `attention_mask`, `[N, T, S]` or
/// `[N, A, T, S]`, where what is not 0 may be attended to, `value_mask` and `key_mask`.
///
/// # Numerics
/// A query that may attend to no key finds the mean of all values, but nothing where there is dropout, more than one axis
/// of steps or where the attention weights are asked for: Keras' two ways differ there.
///
/// # Masks
/// What reads one of the inputs after this layer finds no mask on it, as in Keras 3.15.1: in a block whose input goes on
/// beside the attention, only the first attention knows the mask. Give `attention_mask` where it must not be lost.
///
/// # Differences
/// `attention_axes` other than all axes of steps are refused. The attention weights carry no mask.
///
/// # References
/// Vaswani et al. (2017), "Attention is all you need", section 3.2.
///
/// # Examples
/// ```
/// use footlight_nn::{Architecture, Input, MultiHeadAttention, On};
/// let x = Input::new([20, 64]).symbol();
/// let y = MultiHeadAttention::new(4, 16).use_causal_mask(true).on([&x, &x]);
/// let model = Architecture::of_symbols("attention", [&x], [&y])?;
/// assert_eq!(model.output_shape(), Some(&[20, 64][..]));
/// # Ok::<(), footlight_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MultiHeadAttention {
    common: Common,
    heads: Heads,
    attention_axes: Option<Vec<i64>>,
}

common_methods!(MultiHeadAttention);
heads_methods!(MultiHeadAttention);

impl MultiHeadAttention {
    /// A layer of `num_heads` heads, whose queries and keys have `key_dim` features.
    pub fn new(num_heads: usize, key_dim: usize) -> MultiHeadAttention {
        let heads = Heads::new(num_heads, num_heads, key_dim);
        MultiHeadAttention { common: Common::default(), heads, attention_axes: None }
    }

    /// The features of each head's values; default those of its keys.
    pub fn value_dim(mut self, value_dim: usize) -> MultiHeadAttention {
        self.heads.value_dim = value_dim;
        self
    }

    /// The extents of the output after the axes of steps, Keras' `output_shape`; default the features of the query.
    pub fn output_features(mut self, extents: impl Into<Vec<usize>>) -> MultiHeadAttention {
        self.heads.output_shape = Some(extents.into());
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<MultiHeadAttention, Error> {
        let mut layer = MultiHeadAttention::new(read.required_usize("num_heads")?, read.required_usize("key_dim")?);
        layer.heads.value_dim = read.usize("value_dim")?.unwrap_or(layer.heads.key_dim);
        layer.heads.output_shape = read.extents("output_shape")?;
        layer.attention_axes = read.i64s("attention_axes")?;
        layer.heads = layer.heads.read(read)?;
        Ok(layer)
    }

    /// Complains of axes that are not all axes of steps in queries of `rank` axes without the batch.
    fn check_axes(&self, rank: usize) -> Result<(), Error> {
        let Some(given) = &self.attention_axes else { return Ok(()) };
        let from_first = |axis: &i64| if *axis < 0 { *axis + rank as i64 + 1 } else { *axis };
        if given.iter().map(from_first).eq(1..rank as i64) {
            return Ok(());
        }
        let message = format!("`attention_axes` = {given:?} is not supported yet, only all axes of steps");
        Err(Error::config(message).in_key("attention_axes"))
    }
}

impl Layer for MultiHeadAttention {
    layer_basics!("MultiHeadAttention");

    fn config(&self) -> Config {
        let mut config = self.heads.config();
        config.insert("num_heads".into(), self.heads.count.into());
        config.insert("key_dim".into(), self.heads.key_dim.into());
        config.insert("value_dim".into(), self.heads.value_dim.into());
        config.insert("output_shape".into(), self.heads.output_shape.clone().into());
        config.insert("attention_axes".into(), self.attention_axes.clone().into());
        config
    }

    fn check(&self) -> Result<(), Error> {
        let heads = &self.heads;
        let counts = [("num_heads", heads.count), ("key_dim", heads.key_dim), ("value_dim", heads.value_dim)];
        if let Some(extents) = heads.output_shape.as_ref().filter(|extents| extents.is_empty() || extents.len() > 8) {
            let message = format!("output_shape = {extents:?} must have one to 8 extents");
            return Err(Error::config(message).in_key("output_shape"));
        }
        heads.check(&counts, self.common.activity_regularizer.is_some())
    }

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        inputs.first().map_or(Ok(()), |query| self.check_axes(query.len()))?;
        self.heads.output_shapes(inputs)
    }

    fn takes_masks(&self) -> bool {
        true
    }

    heads_layer!();
}
