//! Layers that make one value of several.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics, several_inputs};
use crate::{Error, ErrorKind};
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value, broadcast_shapes};
use footlight_tensor::display_shape;
use serde_json::Value as Json;

/// The shape that all inputs broadcast to: as NumPy does, with ranks filled up after the batch as in Keras.
fn merged_shape(inputs: &[Vec<usize>]) -> Result<Vec<usize>, Error> {
    if inputs.len() < 2 {
        return Err(Error::config(format!("merges at least two inputs, got {}", inputs.len())));
    }
    let mut shape = inputs[0].clone();
    for input in &inputs[1..] {
        shape = broadcast_shapes(&shape, input).map_err(|_| {
            let all: Vec<String> = inputs.iter().map(|shape| display_shape(shape)).collect();
            let message = format!("inputs of shapes {} do not fit each other", all.join(", "));
            Error::new(ErrorKind::Shape, message).help("every extent must be equal, or 1")
        })?;
    }
    Ok(shape)
}

/// `x` with axes of extent 1 after the batch, so that it has `rank` axes.
fn widened(g: &mut Builder, x: Value, rank: usize) -> Value {
    let shape = g.shape(x);
    if shape.len() >= rank || shape.is_empty() {
        return x;
    }
    let ones = vec![1; rank - shape.len()];
    g.reshape(x, [&shape[..1], &ones, &shape[1..]].concat())
}

/// 1 where one of two counts, as in Keras; none if one has no mask, which counts everywhere.
fn either_mask(g: &mut Builder, a: Option<Value>, b: Option<Value>) -> Option<Value> {
    Some(g.binary(Binary::Maximum, a?, b?))
}

macro_rules! merges {
    ($($(#[$doc:meta])* $layer:ident $class:literal $combine:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Default)]
        pub struct $layer {
            common: Common,
        }

        common_methods!($layer);

        impl $layer {
            /// The layer.
            pub fn new() -> $layer {
                $layer::default()
            }

            pub(crate) fn from_config(_: &mut Reader<'_>) -> Result<$layer, Error> {
                Ok($layer::new())
            }
        }

        impl Layer for $layer {
            layer_basics!($class);

            several_inputs!();

            fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
                Ok(vec![merged_shape(inputs)?])
            }

            fn weights_for(&self, _: &[Vec<usize>]) -> Result<Vec<crate::WeightSpec>, Error> {
                Ok(Vec::new())
            }

            fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
                let g = &mut *cx.graph;
                let rank = inputs.iter().map(|input| g.shape(input.value).len()).max().unwrap_or_default();
                let mut inputs = inputs.iter().map(|input| input.with(widened(g, input.value, rank))).collect::<Vec<_>>();
                let combine: fn(&mut Builder, Masked, Masked) -> Value = $combine;
                let count = inputs.len();
                let first = inputs.remove(0);
                let all = inputs.into_iter().fold(first, |all, input| {
                    let value = combine(g, all, input);
                    Masked { value, mask: either_mask(g, all.mask, input.mask) }
                });
                vec![all.with(finish(g, all, count, $class))]
            }

            fn write_arguments(&self, values: Vec<Json>) -> Vec<Json> {
                vec![values.into()]
            }
        }
    )*};
}

fn finish(g: &mut Builder, all: Masked, count: usize, class: &str) -> Value {
    match class {
        "Average" => g.mul_scalar(all.value, 1.0 / count as f32),
        "Multiply" => {
            let zero = g.constant(0.0);
            counted(g, all, zero)
        }
        _ => all.value,
    }
}

/// `x` where it counts, else `other`.
fn counted(g: &mut Builder, x: Masked, other: Value) -> Value {
    let rank = g.shape(x.value).len();
    let Some(mask) = x.mask.filter(|mask| g.shape(*mask).len() <= rank) else { return x.value };
    let mut shape = g.shape(mask);
    shape.resize(rank, 1);
    let mask = g.reshape(mask, shape);
    g.select(mask, x.value, other)
}

/// The one of two that counts, what `kind` makes of both where both do.
fn chosen(g: &mut Builder, kind: Binary, a: Masked, b: Masked) -> Value {
    let b = counted(g, b, a.value);
    let a = counted(g, a, b);
    g.binary(kind, a, b)
}

merges! {
    /// The sum of its inputs, element by element; shapes broadcast.
    ///
    /// # Shapes
    /// Inputs `[N, ...]`, output `[N, ...]`.
    Add "Add" |g, a, b| g.add(a.value, b.value);
    /// The first input less the second, element by element; shapes broadcast.
    ///
    /// # Shapes
    /// Inputs `[N, ...]`, output `[N, ...]`.
    Subtract "Subtract" |g, a, b| g.sub(a.value, b.value);
    /// The product of its inputs, element by element; shapes broadcast. What a mask leaves out is 1, and where all do 0.
    ///
    /// # Shapes
    /// Inputs `[N, ...]`, output `[N, ...]`.
    Multiply "Multiply" |g, a, b| {
        let one = g.constant(1.0);
        let (a, b) = (counted(g, a, one), counted(g, b, one));
        g.mul(a, b)
    };
    /// The mean of its inputs, element by element; shapes broadcast.
    ///
    /// # Shapes
    /// Inputs `[N, ...]`, output `[N, ...]`.
    Average "Average" |g, a, b| g.add(a.value, b.value);
    /// The largest of its inputs that no mask leaves out, element by element; shapes broadcast.
    ///
    /// # Shapes
    /// Inputs `[N, ...]`, output `[N, ...]`.
    Maximum "Maximum" |g, a, b| chosen(g, Binary::Maximum, a, b);
    /// The smallest of its inputs that no mask leaves out, element by element; shapes broadcast.
    ///
    /// # Shapes
    /// Inputs `[N, ...]`, output `[N, ...]`.
    Minimum "Minimum" |g, a, b| chosen(g, Binary::Minimum, a, b);
}

/// Its inputs one after another along an axis.
///
/// # Shapes
/// Inputs `[N, ..., F_i, ...]`, output `[N, ..., sum of F_i, ...]`.
///
/// # Arguments
/// `axis`, counted with that of the batch; default -1 as in Keras.
#[derive(Clone, Debug, PartialEq)]
pub struct Concatenate {
    common: Common,
    axis: i64,
}

common_methods!(Concatenate);

impl Default for Concatenate {
    fn default() -> Concatenate {
        Concatenate { common: Common::default(), axis: -1 }
    }
}

impl Concatenate {
    /// A layer that concatenates along the last axis.
    pub fn new() -> Concatenate {
        Concatenate::default()
    }

    /// The axis, counted with that of the batch; default -1, the last.
    pub fn axis(mut self, axis: i64) -> Concatenate {
        self.axis = axis;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Concatenate, Error> {
        match read.i64s("axis")?.as_deref() {
            None => Ok(Concatenate::new()),
            Some([axis]) => Ok(Concatenate::new().axis(*axis)),
            Some(axes) => Err(Error::config(format!("`axis` = {axes:?}: expected one")).in_key("axis")),
        }
    }

    /// The axis counted from the batch, of values of `rank` axes with that of the batch.
    fn axis_of(&self, rank: usize) -> Option<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis))
    }
}

impl Layer for Concatenate {
    layer_basics!("Concatenate");

    fn config(&self) -> Config {
        config! { "axis": self.axis }
    }

    several_inputs!();

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let all = || inputs.iter().map(|shape| display_shape(shape)).collect::<Vec<_>>().join(", ");
        let Some(mut shape) = inputs.first().cloned() else {
            return Err(Error::config("concatenates at least one input, got none"));
        };
        let Some(axis) = self.axis_of(shape.len() + 1) else {
            return Err(Error::config(format!("axis = {} does not exist in samples of shapes {}", self.axis, all())));
        };
        for input in &inputs[1..] {
            let fits = |(at, (a, b)): (usize, (&usize, &usize))| at + 1 == axis || a == b;
            if input.len() != shape.len() || !input.iter().zip(&shape).enumerate().all(fits) {
                let message = format!("inputs of shapes {} differ beside axis {}", all(), self.axis);
                return Err(Error::new(ErrorKind::Shape, message).help("all other extents must be equal"));
            }
            shape[axis - 1] += input[axis - 1];
        }
        Ok(vec![shape])
    }

    fn weights_for(&self, _: &[Vec<usize>]) -> Result<Vec<crate::WeightSpec>, Error> {
        Ok(Vec::new())
    }

    fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        let g = &mut *cx.graph;
        let values: Vec<Value> = inputs.iter().map(|input| input.value).collect();
        let rank = g.shape(values[0]).len();
        let axis = self.axis_of(rank).unwrap_or(rank.saturating_sub(1));
        let value = g.concat(&values, axis);
        // Along the axis of steps masks follow one another, else a step counts where it does in one.
        let mask = if axis == 1 && inputs.iter().any(|input| input.mask.is_some()) && rank > 2 {
            let masks: Vec<Value> = inputs
                .iter()
                .map(|input| {
                    input.mask.unwrap_or_else(|| {
                        let (one, shape) = (g.constant(1.0), g.shape(input.value));
                        g.broadcast(one, shape[..2].to_vec())
                    })
                })
                .collect();
            Some(g.concat(&masks, 1))
        } else {
            let mut masks = inputs.iter().map(|input| input.mask);
            let first = masks.next().flatten();
            masks.fold(first, |any, mask| either_mask(g, any, mask))
        };
        vec![Masked { value, mask }]
    }

    fn write_arguments(&self, values: Vec<Json>) -> Vec<Json> {
        vec![values.into()]
    }
}

/// The dot product of two inputs along an axis of each.
///
/// # Shapes
/// Inputs `[N, ..., F, ...]`, output the other axes of the first, then those of the second; of vectors `[N, 1]`.
///
/// # Arguments
/// `axes`: the axis of each, counted with that of the batch; `normalize`: whether vectors are first brought to length 1
/// along it, default false.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    common: Common,
    axes: [i64; 2],
    normalize: bool,
}

common_methods!(Dot);

impl Dot {
    /// The product along an axis of the first and one of the second input, counted with that of the batch.
    pub fn new(first: i64, second: i64) -> Dot {
        Dot { common: Common::default(), axes: [first, second], normalize: false }
    }

    /// Whether vectors are first brought to length 1, which makes it the cosine; default false.
    pub fn normalize(mut self, normalize: bool) -> Dot {
        self.normalize = normalize;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Dot, Error> {
        let axes = match read.i64s("axes")?.as_deref() {
            None => return Err(crate::config::missing("axes")),
            Some([axis]) => [*axis, *axis],
            Some([first, second]) => [*first, *second],
            Some(axes) => {
                return Err(Error::config(format!("`axes` = {axes:?}: expected one or two")).in_key("axes"));
            }
        };
        Ok(Dot::new(axes[0], axes[1]).normalize(read.bool("normalize", false)?))
    }

    /// The axes counted from the batch, of values of these ranks with that of the batch.
    fn axes_of(&self, ranks: [usize; 2]) -> Option<[usize; 2]> {
        let axis = |axis: i64, rank: usize| {
            let axis = if axis < 0 { axis + rank as i64 } else { axis };
            usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis))
        };
        Some([axis(self.axes[0], ranks[0])?, axis(self.axes[1], ranks[1])?])
    }
}

impl Layer for Dot {
    layer_basics!("Dot");

    fn config(&self) -> Config {
        config! { "axes": self.axes, "normalize": self.normalize }
    }

    several_inputs!();

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let [a, b] = inputs else {
            return Err(Error::config(format!("takes two inputs, got {}", inputs.len())));
        };
        let shapes = || format!("{} and {}", display_shape(a), display_shape(b));
        let Some([first, second]) = self.axes_of([a.len() + 1, b.len() + 1]) else {
            return Err(Error::config(format!(
                "axes = {:?} do not exist in samples of shapes {}",
                self.axes,
                shapes()
            )));
        };
        if a[first - 1] != b[second - 1] {
            let (x, y) = (a[first - 1], b[second - 1]);
            let message =
                format!("samples of shapes {}: the extents {x} and {y} along axes {:?} differ", shapes(), self.axes);
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let others = |shape: &[usize], axis: usize| -> Vec<usize> {
            shape.iter().enumerate().filter(|(at, _)| at + 1 != axis).map(|(_, extent)| *extent).collect()
        };
        let shape = [others(a, first), others(b, second)].concat();
        Ok(vec![if shape.is_empty() { vec![1] } else { shape }])
    }

    fn weights_for(&self, _: &[Vec<usize>]) -> Result<Vec<crate::WeightSpec>, Error> {
        Ok(Vec::new())
    }

    fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        let g = &mut *cx.graph;
        let values = [inputs[0].value, inputs[1].value];
        let shapes = values.map(|value| g.shape(value));
        let Some(axes) = self.axes_of([shapes[0].len(), shapes[1].len()]) else { return vec![inputs[0]] };
        let matrices: Vec<Value> = (0..2)
            .map(|side| {
                let (value, axis, shape) = (values[side], axes[side], &shapes[side]);
                let value = if self.normalize { crate::losses::normalize(g, value, axis) } else { value };
                let order: Vec<usize> = (0..shape.len()).filter(|at| *at != axis).chain([axis]).collect();
                let last = g.transpose(value, order);
                let rest: usize =
                    shape.iter().enumerate().skip(1).filter(|(at, _)| *at != axis).map(|(_, d)| d).product();
                g.reshape(last, [shape[0], rest, shape[axis]])
            })
            .collect();
        let product = g.matmul_with(matrices[0], matrices[1], false, true);
        let samples: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.get(1..).unwrap_or_default().to_vec()).collect();
        let output = self.output_shapes(&samples).map(|mut shapes| shapes.swap_remove(0)).unwrap_or_default();
        let batch = shapes[0].first().copied().unwrap_or(1);
        vec![Masked::new(g.reshape(product, [&[batch], output.as_slice()].concat()))]
    }

    fn write_arguments(&self, values: Vec<Json>) -> Vec<Json> {
        vec![values.into()]
    }
}
