//! Attention with projections, by heads.

use crate::config::{Config, Reader};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics, several_inputs};
use crate::layers::attending::{ATTENTION_MASK, asked_options};
use crate::layers::heads::{Heads, heads_methods};
use crate::layers::masks::{covers, fitting, misfit};
use crate::{Error, ErrorKind};
use footlight_graph::{Builder, Value};
use footlight_tensor::display_shape;

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
/// The attention weights carry no mask.
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

    /// The axes of steps that are attended over, counted with that of the batch and in order; default all.
    pub fn attention_axes(mut self, axes: impl Into<Vec<i64>>) -> MultiHeadAttention {
        self.attention_axes = Some(axes.into());
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

    /// How the steps of values of `rank` axes are divided; nothing if all are attended over.
    ///
    /// # Errors
    /// Axes that are no axes of steps, or not in order.
    fn divided(&self, rank: usize) -> Result<Option<Divided>, Error> {
        let Some(given) = &self.attention_axes else { return Ok(None) };
        let counted = given.iter().map(|axis| if *axis < 0 { axis + rank as i64 } else { *axis });
        let axes: Vec<usize> = counted.filter_map(|axis| usize::try_from(axis).ok()).collect();
        let is_ordered = axes.windows(2).all(|pair| pair[0] < pair[1]) && axes.len() == given.len();
        if axes.is_empty() || !is_ordered || !axes.iter().all(|axis| (1..rank.saturating_sub(1)).contains(axis)) {
            let message = format!("attention_axes = {given:?} must be axes of steps, in their order");
            let help = "axes count from that of the batch, and the last one is that of features";
            return Err(Error::config(message).in_key("attention_axes").help(help));
        }
        let others: Vec<usize> = (1..rank - 1).filter(|axis| !axes.contains(axis)).collect();
        Ok(Some(Divided { axes, others }).filter(|divided| !divided.others.is_empty()))
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
        let Some(divided) = self.divided(inputs.first().map_or(0, Vec::len) + 1)? else {
            return self.heads.output_shapes(inputs);
        };
        let others: Vec<Vec<usize>> = inputs.iter().map(|sample| divided.others_of(sample)).collect();
        if let Some(other) = others.iter().find(|other| **other != others[0]) {
            let [one, other] = [&others[0], other].map(|extents| display_shape(extents));
            let message = format!("the axes that are not attended over have extents {one} and {other}");
            return Err(Error::new(ErrorKind::Shape, message).help("they must be those of the query"));
        }
        let folded: Vec<Vec<usize>> = inputs.iter().map(|sample| divided.attended(sample)).collect();
        let mut shapes = self.heads.output_shapes(&folded)?;
        let steps = &inputs[0][..inputs[0].len() - 1];
        let extents = shapes[0].split_off(divided.axes.len());
        shapes[0] = [steps, &extents].concat();
        if let Some(scores) = shapes.get_mut(1) {
            *scores = [others[0].as_slice(), scores].concat();
        }
        Ok(shapes)
    }

    fn takes_masks(&self) -> bool {
        true
    }

    several_inputs!();

    fn weights_for(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        self.output_shapes(inputs)?;
        match self.divided(inputs[0].len() + 1)? {
            None => self.heads.weights(inputs),
            Some(divided) => {
                self.heads.weights(&inputs.iter().map(|sample| divided.attended(sample)).collect::<Vec<_>>())
            }
        }
    }

    fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        let penalty = self.common.activity_regularizer;
        let shape = cx.graph.shape(inputs[0].value);
        match self.divided(shape.len()) {
            Ok(Some(divided)) => {
                let folded: Vec<Masked> = inputs.iter().map(|input| divided.fold(cx.graph, *input)).collect();
                let named: Vec<(String, Vec<Masked>)> = cx
                    .named
                    .iter()
                    .map(|(key, masks)| {
                        let of = inputs.last().map_or(shape.clone(), |key| cx.graph.shape(key.value));
                        let mut fold = |mask: &Masked| match key.as_str() {
                            ATTENTION_MASK => divided.fold_pairs(cx.graph, mask.value, self.heads.count, [&shape, &of]),
                            _ => divided.fold_steps(cx.graph, mask.value, &of),
                        };
                        (key.clone(), masks.iter().map(|mask| Masked::new(fold(mask))).collect())
                    })
                    .collect();
                let mut own = Call { named: &named, mode: cx.mode, ..Call::new(cx.graph, cx.weights, cx.step, cx.key) };
                let outputs = self.heads.call_fused(&mut own, &folded, penalty, false);
                let penalties = std::mem::take(&mut own.penalties);
                cx.penalties.extend(penalties);
                let unfold = |(index, output): (usize, &Masked)| match index {
                    0 => inputs[0].with(divided.unfold(cx.graph, output.value, &shape)),
                    _ => Masked::new(divided.apart(cx.graph, output.value, &shape)),
                };
                outputs.iter().enumerate().map(unfold).collect()
            }
            _ => self.heads.call(cx, inputs, penalty),
        }
    }

    fn input_names(&self) -> &'static [&'static str] {
        &["query", "value", "key"]
    }

    asked_options!(heads.asked);
}

/// The axes of steps that are attended over, and the others, which count as further samples; counted with the batch.
struct Divided {
    axes: Vec<usize>,
    others: Vec<usize>,
}

impl Divided {
    /// The extents of a sample along the other axes.
    fn others_of(&self, sample: &[usize]) -> Vec<usize> {
        self.others.iter().filter_map(|axis| sample.get(axis - 1)).copied().collect()
    }

    /// The shape of a sample without the other axes.
    fn attended(&self, sample: &[usize]) -> Vec<usize> {
        let kept = (1..).zip(sample).filter(|(axis, _)| !self.others.contains(axis));
        kept.map(|(_, extent)| *extent).collect()
    }

    /// All axes of a value of `rank`, the batch and the other axes of steps first.
    fn order(&self, rank: usize) -> Vec<usize> {
        let rest = (1..rank).filter(|axis| !self.others.contains(axis));
        [0].into_iter().chain(self.others.iter().copied()).chain(rest).collect()
    }

    /// A value whose other axes of steps are joined to that of the batch, as its mask is.
    fn fold(&self, g: &mut Builder, input: Masked) -> Masked {
        let shape = g.shape(input.value);
        let turned = g.transpose(input.value, self.order(shape.len()));
        let turned_shape = g.shape(turned);
        let (lead, rest) = turned_shape.split_at(1 + self.others.len());
        let value = g.reshape(turned, [&[lead.iter().product()], rest].concat());
        Masked { value, mask: input.mask.map(|mask| self.fold_steps(g, mask, &shape)) }
    }

    /// The extents of the batch and of the other axes of a value.
    fn lead_of(&self, shape: &[usize]) -> Vec<usize> {
        [&shape[..1], &self.others_of(&shape[1..])].concat()
    }

    /// The extents of the batch and of the axes that are attended over, of a value that ends with features.
    fn steps_of(&self, shape: &[usize]) -> Vec<usize> {
        let mut steps = [&shape[..1], &self.attended(&shape[1..])].concat();
        steps.pop();
        steps
    }

    /// What is said of samples, said of all that they are cut into.
    fn repeated(&self, g: &mut Builder, mask: Value, lead: &[usize]) -> Value {
        let shape = g.shape(mask);
        let Some((batch, rest)) = shape.split_first() else { return mask };
        let ones = vec![1; self.others.len()];
        let wide = g.reshape(mask, [&[*batch], ones.as_slice(), rest].concat());
        let all = g.broadcast(wide, [lead, rest].concat());
        g.reshape(all, [&[lead.iter().product()], rest].concat())
    }

    /// A mask of the steps that are attended over, of a value of `shape`.
    fn fold_steps(&self, g: &mut Builder, mask: Value, shape: &[usize]) -> Value {
        let mask = fitting(g, mask, &self.steps_of(shape));
        if g.is_poison(mask) { mask } else { self.repeated(g, mask, &self.lead_of(shape)) }
    }

    /// A mask of pairs of steps, which may speak of the other axes too, and of heads; `query` and `key` are the shapes of
    /// the values.
    fn fold_pairs(&self, g: &mut Builder, mask: Value, heads: usize, [query, key]: [&[usize]; 2]) -> Value {
        let lead = self.lead_of(query);
        let pairs = [&self.steps_of(query)[1..], &self.steps_of(key)[1..]].concat();
        let [plain, apart] = [[&lead[..1], &pairs].concat(), [lead.as_slice(), &pairs].concat()];
        let by_head = [lead.as_slice(), &[heads], &pairs].concat();
        let shape = g.shape(mask);
        if covers(&shape, &plain) {
            return self.repeated(g, mask, &lead);
        }
        if !covers(&shape, &apart) && !covers(&shape, &by_head) {
            if g.is_poison(mask) {
                return mask;
            }
            let help = "give it an element for each query and key";
            return misfit(g, ATTENTION_MASK, mask, &[&plain, &apart, &by_head], help);
        }
        let rest = &shape[lead.len()..];
        let all = g.broadcast(mask, [lead.as_slice(), rest].concat());
        g.reshape(all, [&[lead.iter().product()], rest].concat())
    }

    /// What was made of a folded value, with the axis of the batch and the other axes of steps apart.
    fn apart(&self, g: &mut Builder, value: Value, query: &[usize]) -> Value {
        let folded = g.shape(value);
        let lead = self.lead_of(query);
        match folded.get(1..) {
            Some(rest) => g.reshape(value, [&lead, rest].concat()),
            None => value,
        }
    }

    /// What was made of a folded value, with its axes in their places.
    fn unfold(&self, g: &mut Builder, value: Value, query: &[usize]) -> Value {
        let wide = self.apart(g, value, query);
        let rank = g.shape(wide).len();
        let order = self.order(rank);
        let back: Vec<usize> = (0..rank).filter_map(|axis| order.iter().position(|from| *from == axis)).collect();
        g.transpose(wide, back)
    }
}
