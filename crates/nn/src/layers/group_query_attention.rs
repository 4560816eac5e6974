//! Attention whose heads share keys and values in groups.

use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::heads::{Heads, heads_layer, heads_methods};
use crate::{Error, ErrorKind};
use footlight_tensor::display_shape;

/// As [`crate::MultiHeadAttention`], but several heads of queries share one head of keys and values: head `a` uses the
/// keys and values of head `floor(a num_key_value_heads / num_query_heads)`.
///
/// # Shapes
/// Called on queries `[N, T, F]`, values `[N, S, V]` and maybe keys `[N, S, K]`, which are the values unless given. With `A`
/// heads of queries and `G` of keys kernels `[F, A, head_dim]`, `[K, G, head_dim]`, `[V, G, head_dim]` and
/// `[A, head_dim, F]`. Output `[N, T, F]`, attention weights `[N, A, T, S]`.
///
/// # Arguments
/// `num_key_value_heads` must divide `num_query_heads`; with 1 it is multi-query attention. The others, and what a call may
/// be given, are those of [`crate::MultiHeadAttention`].
///
/// # Numerics
/// As of [`crate::MultiHeadAttention`].
///
/// # References
/// Ainslie et al. (2023), "GQA: training generalized multi-query transformer models from multi-head checkpoints".
///
/// # Examples
/// ```
/// use footlight_nn::{GroupQueryAttention, Layer};
/// let layer = GroupQueryAttention::new(16, 8, 2);
/// let weights = layer.weights_for(&[vec![20, 64], vec![20, 64]]).unwrap();
/// assert_eq!((&weights[0].shape[..], &weights[2].shape[..]), (&[64, 8, 16][..], &[64, 2, 16][..]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GroupQueryAttention {
    common: Common,
    heads: Heads,
}

common_methods!(GroupQueryAttention);
heads_methods!(GroupQueryAttention);

impl GroupQueryAttention {
    /// A layer of heads with `head_dim` features each.
    pub fn new(head_dim: usize, num_query_heads: usize, num_key_value_heads: usize) -> GroupQueryAttention {
        let heads = Heads { is_grouped: true, ..Heads::new(num_query_heads, num_key_value_heads, head_dim) };
        GroupQueryAttention { common: Common::default(), heads }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<GroupQueryAttention, Error> {
        let [head_dim, queries, groups] = ["head_dim", "num_query_heads", "num_key_value_heads"];
        let (head_dim, queries) = (read.required_usize(head_dim)?, read.required_usize(queries)?);
        let mut layer = GroupQueryAttention::new(head_dim, queries, read.required_usize(groups)?);
        layer.heads = layer.heads.read(read)?;
        Ok(layer)
    }
}

impl Layer for GroupQueryAttention {
    layer_basics!("GroupQueryAttention");

    fn config(&self) -> Config {
        let mut config = self.heads.config();
        config.insert("head_dim".into(), self.heads.key_dim.into());
        config.insert("num_query_heads".into(), self.heads.count.into());
        config.insert("num_key_value_heads".into(), self.heads.groups.into());
        config
    }

    fn check(&self) -> Result<(), Error> {
        let Heads { count, groups, key_dim, .. } = self.heads;
        let counts = [("head_dim", key_dim), ("num_query_heads", count), ("num_key_value_heads", groups)];
        self.heads.check(&counts, self.common.activity_regularizer.is_some())?;
        if count % groups == 0 {
            return Ok(());
        }
        let message = format!("num_key_value_heads = {groups} does not divide num_query_heads = {count}");
        Err(Error::config(message).in_key("num_key_value_heads"))
    }

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        if let Some(input) = inputs.iter().find(|input| input.len() != 2) {
            let message = format!("needs samples of steps and features, got {}", display_shape(input));
            return Err(Error::new(ErrorKind::Shape, message));
        }
        self.heads.output_shapes(inputs)
    }

    heads_layer!();
}
