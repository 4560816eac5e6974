//! The specification: every op as a plain loop, in `f32` or `f64`.
//!
//! Nothing here is fast, and nothing here ever goes away: kernels are checked against it, and gradients are checked with
//! it. Sums are added in order.

#[path = "naive/layout.rs"]
mod layout;

use footlight_graph::ops::{
    AdamUpdate, ArgMax, Binary, Constant, Instruction, Lower, MatMul, OneHot, Operand, Program, RandomUniform, Scan,
    ScatterInputGradient, ScatterKernelGradient, Softmax, Unary,
};
use footlight_graph::{Graph, Op, OpRule, Type};
use footlight_tensor::{DType, RandomKey};
use std::collections::HashMap;

// By its path, because benchmarks compile this file as a module of their own.
#[path = "naive/conv.rs"]
mod conv;

/// The float type of an interpretation.
pub trait Scalar: Copy + PartialOrd + std::fmt::Debug + Send + Sync + 'static {
    /// From a number of the graph.
    fn from_f64(x: f64) -> Self;
    /// To compare and print.
    fn to_f64(self) -> f64;
    /// A function of one number.
    fn unary(kind: Unary, x: Self) -> Self;
    /// A function of two numbers.
    fn binary(kind: Binary, a: Self, b: Self) -> Self;
}

macro_rules! scalar {
    ($t:ty, $erf:expr) => {
        impl Scalar for $t {
            fn from_f64(x: f64) -> $t {
                x as $t
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn unary(kind: Unary, x: $t) -> $t {
                match kind {
                    Unary::Identity | Unary::StopGradient => x,
                    Unary::Neg => -x,
                    Unary::Abs => x.abs(),
                    Unary::Sign if x == 0.0 || x.is_nan() => x,
                    Unary::Sign => x.signum(),
                    Unary::Exp => x.exp(),
                    Unary::Log => x.ln(),
                    Unary::Log1p => x.ln_1p(),
                    Unary::Expm1 => x.exp_m1(),
                    Unary::Sqrt => x.sqrt(),
                    Unary::Tanh => x.tanh(),
                    Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
                    Unary::Erf => $erf(f64::from(x)) as $t,
                    Unary::Cos => x.cos(),
                    Unary::Floor => x.floor(),
                }
            }
            fn binary(kind: Binary, a: $t, b: $t) -> $t {
                let truth = |is: bool| if is { 1.0 } else { 0.0 };
                match kind {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                    Binary::Div => a / b,
                    Binary::Maximum => {
                        if a >= b || a.is_nan() {
                            a
                        } else {
                            b
                        }
                    }
                    Binary::Minimum => {
                        if a <= b || a.is_nan() {
                            a
                        } else {
                            b
                        }
                    }
                    Binary::Pow => a.powf(b),
                    Binary::Equal => truth(a == b),
                    Binary::Greater => truth(a > b),
                    Binary::GreaterEqual => truth(a >= b),
                }
            }
        }
    };
}
scalar!(f32, erf);
scalar!(f64, erf);

/// `erf x` in double precision: a series of positive terms below 2, the continued fraction of `erfc` above.
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() || a > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    if a < 2.0 {
        // erf x = 2 / sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 * 5) + ...): no term cancels another.
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum.abs() {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI;
    }
    // erfc x = e^(-x^2) / sqrt(pi) / (x + (1/2) / (x + 1 / (x + (3/2) / (x + ...))))
    let fraction = (1..=80).rev().fold(a, |f, k| a + f64::from(k) / 2.0 / f);
    let erfc = (-a * a).exp() / fraction * std::f64::consts::FRAC_2_SQRT_PI / 2.0;
    (1.0 - erfc).copysign(x)
}

/// A value of an interpretation.
#[derive(Clone, Debug, PartialEq)]
pub struct NaiveValue<S> {
    /// The extents.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: NaiveData<S>,
}

/// The elements of a value, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum NaiveData<S> {
    /// Floats.
    Float(Vec<S>),
    /// Integers.
    Int(Vec<i32>),
}

impl<S: Scalar> NaiveValue<S> {
    /// Floats of a shape.
    pub fn float(shape: impl Into<Vec<usize>>, data: Vec<S>) -> NaiveValue<S> {
        NaiveValue { shape: shape.into(), data: NaiveData::Float(data) }
    }

    /// Integers of a shape.
    pub fn int(shape: impl Into<Vec<usize>>, data: Vec<i32>) -> NaiveValue<S> {
        NaiveValue { shape: shape.into(), data: NaiveData::Int(data) }
    }

    /// The floats, if these are floats.
    pub fn as_float(&self) -> Option<&[S]> {
        match &self.data {
            NaiveData::Float(v) => Some(v),
            NaiveData::Int(_) => None,
        }
    }

    /// The integers, if these are integers.
    pub fn as_int(&self) -> Option<&[i32]> {
        match &self.data {
            NaiveData::Int(v) => Some(v),
            NaiveData::Float(_) => None,
        }
    }

    fn dtype(&self) -> DType {
        if self.as_int().is_some() { DType::I32 } else { DType::F32 }
    }

    /// Entry `index` along axis 0.
    fn row(&self, index: usize) -> NaiveValue<S> {
        let shape = &self.shape[1..];
        let range = index * shape.iter().product::<usize>()..(index + 1) * shape.iter().product::<usize>();
        match &self.data {
            NaiveData::Float(v) => NaiveValue::float(shape, v[range].to_vec()),
            NaiveData::Int(v) => NaiveValue::int(shape, v[range].to_vec()),
        }
    }

    fn floats(&self) -> &[S] {
        self.as_float().expect("shape rules require floats here")
    }

    fn ints(&self) -> &[i32] {
        self.as_int().expect("shape rules require integers here")
    }
}

/// Runs `graph`: answers its outputs and replaces the states that change.
///
/// # Errors
/// The name of an input or state that is not given.
pub fn run<S: Scalar>(
    graph: &Graph,
    feeds: &HashMap<String, NaiveValue<S>>,
    states: &mut HashMap<String, NaiveValue<S>>,
) -> Result<HashMap<String, NaiveValue<S>>, String> {
    let values = interpret(graph, |op| match op {
        Op::Input(op) => feeds.get(&op.name).cloned().ok_or_else(|| format!("input `{}` not given", op.name)),
        Op::State(op) => states.get(&op.name).cloned().ok_or_else(|| format!("state `{}` not given", op.name)),
        op => Err(format!("`{op}` is given by a scan alone")),
    })?;
    let get = |value: footlight_graph::Value| values[value.index()].clone().expect("nodes are in order");
    for state in graph.states() {
        if let Some(next) = state.next {
            states.insert(state.name.clone(), get(next));
        }
    }
    Ok(graph.outputs().iter().map(|(name, value)| (name.clone(), get(*value))).collect())
}

/// The values of all nodes; `given` tells those that come from outside.
fn interpret<S: Scalar>(
    graph: &Graph,
    given: impl Fn(&Op) -> Result<NaiveValue<S>, String>,
) -> Result<Vec<Option<NaiveValue<S>>>, String> {
    let mut values: Vec<Option<NaiveValue<S>>> = vec![None; graph.values().len()];
    for node in graph.nodes() {
        let outputs = match &node.op {
            Op::Input(_) | Op::State(_) | Op::Given(_) => vec![given(&node.op)?],
            op => {
                let inputs: Vec<&NaiveValue<S>> =
                    node.inputs.iter().map(|v| values[v.index()].as_ref().expect("nodes are in order")).collect();
                evaluate(op, &inputs)
            }
        };
        for (value, output) in node.outputs.iter().zip(outputs) {
            debug_assert_eq!(output.shape, graph.type_of(*value).shape, "{}", node.op.name());
            values[value.index()] = Some(output);
        }
    }
    Ok(values)
}

/// The outputs of one op.
pub fn evaluate<S: Scalar>(op: &Op, inputs: &[&NaiveValue<S>]) -> Vec<NaiveValue<S>> {
    let one = |value| vec![value];
    match op {
        Op::Input(_) | Op::State(_) | Op::Given(_) => unreachable!("given by the interpreter"),
        Op::Constant(Constant::F32(x)) => one(NaiveValue::float([], vec![S::from_f64(f64::from(*x))])),
        Op::Constant(Constant::I32(x)) => one(NaiveValue::int([], vec![*x])),
        Op::Unary(kind) => one(unary(*kind, inputs[0])),
        Op::Binary(kind) => one(binary(*kind, inputs[0], inputs[1])),
        Op::Select(_) => one(select(inputs)),
        Op::Cast(op) => one(cast(op.dtype, inputs[0])),
        Op::ReduceSum(op) => one(fold(inputs[0], &op.axes, op.keepdims, 0.0, |a, b| S::binary(Binary::Add, a, b))),
        Op::ReduceMax(op) => {
            one(fold(inputs[0], &op.axes, op.keepdims, f64::NEG_INFINITY, |a, b| S::binary(Binary::Maximum, a, b)))
        }
        Op::ArgMax(ArgMax) => one(argmax(inputs[0])),
        Op::MatMul(op) => one(matmul(*op, inputs[0], inputs[1])),
        Op::Conv(op) => one(conv::conv(&op.geometry, inputs[0], inputs[1])),
        Op::ConvInputGradient(op) => one(conv::conv_input_gradient(&op.geometry, &op.spatial, inputs[0], inputs[1])),
        Op::ConvKernelGradient(op) => {
            one(conv::conv_kernel_gradient(&op.geometry, &op.window, op.chunks, [inputs[0], inputs[1]]))
        }
        Op::MaxPool(op) => conv::max_pool(&op.windows, inputs[0]),
        Op::ConvMaxPool(op) => conv::max_pool(&op.pool.windows, &conv::conv(&op.conv.geometry, inputs[0], inputs[1])),
        Op::ScatterInputGradient(ScatterInputGradient { of }) => {
            let dy = conv::scattered(&of.geometry, &of.spatial, conv::window(inputs[2]), [inputs[0], inputs[1]]);
            one(conv::conv_input_gradient(&of.geometry, &of.spatial, &dy, inputs[2]))
        }
        Op::ScatterKernelGradient(ScatterKernelGradient { of }) => {
            let dy = conv::scattered(&of.geometry, conv::spatial(inputs[0]), &of.window, [inputs[1], inputs[2]]);
            one(conv::conv_kernel_gradient(&of.geometry, &of.window, of.chunks, [inputs[0], &dy]))
        }
        Op::PoolGather(_) => one(conv::pool_gather(inputs[0], inputs[1])),
        Op::PoolScatter(op) => one(conv::pool_scatter(&op.spatial, inputs[0], inputs[1])),
        Op::AveragePool(op) => one(conv::average_pool(&op.windows, inputs[0])),
        Op::AveragePoolGradient(op) => one(conv::average_pool_gradient(&op.windows, &op.spatial, inputs[0])),
        Op::Reshape(op) => one(NaiveValue { shape: op.shape.clone(), data: inputs[0].data.clone() }),
        Op::Transpose(op) => one(transpose(inputs[0], &op.order)),
        Op::Broadcast(op) => one(broadcast(inputs[0], &op.shape)),
        Op::OneHot(op) => one(one_hot(*op, inputs[0])),
        Op::Slice(op) => one(layout::slice(op, inputs[0])),
        Op::Pad(op) => one(layout::pad(op, inputs[0])),
        Op::Concat(op) => one(layout::concat(op.axis, inputs)),
        Op::Reverse(op) => one(layout::reverse(&op.axes, inputs[0])),
        Op::Gather(_) => one(layout::gather(inputs[0], inputs[1])),
        Op::SumRows(op) => one(layout::sum_rows(*op, inputs[0], inputs[1])),
        Op::Iota(op) => one(layout::iota(op)),
        Op::Literal(op) => {
            let values = op.values.iter().map(|x| S::from_f64(f64::from(*x))).collect();
            one(NaiveValue::float(op.shape.clone(), values))
        }
        Op::RandomUniform(op) => one(random(op, inputs[0])),
        Op::Softmax(op) => one(softmax(*op, inputs[0])),
        Op::SparseSoftmaxCrossEntropy(_) => cross_entropy(inputs[0], inputs[1]),
        Op::Program(op) => one(program(op, inputs)),
        Op::AdamUpdate(op) => adam(op, inputs),
        Op::Scan(op) => scan(op, inputs),
    }
}

fn scan<S: Scalar>(op: &Scan, inputs: &[&NaiveValue<S>]) -> Vec<NaiveValue<S>> {
    let types = inputs.iter().map(|x| Type { shape: x.shape.clone(), dtype: x.dtype() }).collect::<Vec<_>>();
    let outputs = op.infer(&types.iter().collect::<Vec<_>>()).expect("shape rules have checked this");
    let mut carries: Vec<NaiveValue<S>> =
        inputs[op.constants..][..op.carries].iter().map(|carry| (*carry).clone()).collect();
    let mut results: Vec<Vec<NaiveValue<S>>> = vec![Vec::new(); outputs.len() - op.carries];
    for turn in 0..op.length {
        let given = |node: &Op| match node {
            Op::Given(given) => Ok(match op.carry(given.index) {
                Some(carry) => carries[carry].clone(),
                None if op.is_sequence(given.index) => inputs[given.index].row(op.step(turn)),
                None => inputs[given.index].clone(),
            }),
            other => Err(format!("a body has no {other}")),
        };
        let values = interpret(&op.body, given).expect("a body reads what it is given");
        let made = op.body.outputs().iter().map(|(_, v)| values[v.index()].clone().expect("nodes are in order"));
        let mut made: Vec<NaiveValue<S>> = made.collect();
        made.drain(op.carries..).zip(&mut results).for_each(|(step, result)| result.push(step));
        carries = made;
    }
    let stacked = results.into_iter().zip(&outputs[op.carries..]).map(|(mut steps, ty)| {
        if op.reverse {
            steps.reverse();
        }
        stack(ty, steps)
    });
    let stacked: Vec<NaiveValue<S>> = stacked.collect();
    carries.into_iter().chain(stacked).collect()
}

/// Steps one after another.
fn stack<S: Scalar>(ty: &Type, steps: Vec<NaiveValue<S>>) -> NaiveValue<S> {
    match ty.dtype {
        DType::I32 => NaiveValue::int(&*ty.shape, steps.iter().flat_map(|step| step.ints().to_vec()).collect()),
        _ => NaiveValue::float(&*ty.shape, steps.iter().flat_map(|step| step.floats().to_vec()).collect()),
    }
}

/// For each element of `shape` in order, the index into a tensor of `from` that broadcasts to it.
fn broadcast_indices(from: &[usize], shape: &[usize]) -> Vec<usize> {
    let lead = shape.len() - from.len();
    let mut indices = Vec::with_capacity(shape.iter().product());
    for element in 0..shape.iter().product() {
        let (mut rest, mut at, mut stride) = (element, 0, 1);
        for axis in (0..shape.len()).rev() {
            let index = rest % shape[axis];
            rest /= shape[axis];
            if axis >= lead {
                let extent = from[axis - lead];
                at += if extent == 1 { 0 } else { index * stride };
                stride *= extent;
            }
        }
        indices.push(at);
    }
    indices
}

fn broadcast<S: Scalar>(x: &NaiveValue<S>, shape: &[usize]) -> NaiveValue<S> {
    let indices = broadcast_indices(&x.shape, shape);
    match &x.data {
        NaiveData::Float(v) => NaiveValue::float(shape, indices.iter().map(|&i| v[i]).collect()),
        NaiveData::Int(v) => NaiveValue::int(shape, indices.iter().map(|&i| v[i]).collect()),
    }
}

fn unary<S: Scalar>(kind: Unary, x: &NaiveValue<S>) -> NaiveValue<S> {
    match &x.data {
        NaiveData::Float(v) => NaiveValue::float(x.shape.clone(), v.iter().map(|&x| S::unary(kind, x)).collect()),
        NaiveData::Int(_) => x.clone(),
    }
}

fn binary<S: Scalar>(kind: Binary, a: &NaiveValue<S>, b: &NaiveValue<S>) -> NaiveValue<S> {
    let shape = footlight_graph::broadcast_shapes(&a.shape, &b.shape).expect("shape rules have checked this");
    let (a, b) = (broadcast(a, &shape), broadcast(b, &shape));
    match (&a.data, &b.data) {
        (NaiveData::Float(a), NaiveData::Float(b)) => {
            NaiveValue::float(shape, a.iter().zip(b).map(|(&a, &b)| S::binary(kind, a, b)).collect())
        }
        _ => {
            let apply = |(&a, &b): (&i32, &i32)| match kind {
                Binary::Add => a.wrapping_add(b),
                Binary::Sub => a.wrapping_sub(b),
                Binary::Mul => a.wrapping_mul(b),
                Binary::Maximum => a.max(b),
                Binary::Minimum => a.min(b),
                Binary::Equal => i32::from(a == b),
                Binary::Greater => i32::from(a > b),
                Binary::GreaterEqual => i32::from(a >= b),
                Binary::Div | Binary::Pow => unreachable!("refused by the shape rule"),
            };
            NaiveValue::int(shape, a.ints().iter().zip(b.ints()).map(apply).collect())
        }
    }
}

fn select<S: Scalar>(inputs: &[&NaiveValue<S>]) -> NaiveValue<S> {
    let shape = inputs.iter().fold(vec![], |shape, v| {
        footlight_graph::broadcast_shapes(&shape, &v.shape).expect("shape rules have checked this")
    });
    let [condition, a, b] = [0, 1, 2].map(|i| broadcast(inputs[i], &shape));
    let rows = condition.floats().iter().zip(a.floats()).zip(b.floats());
    NaiveValue::float(shape, rows.map(|((c, a), b)| if c.to_f64() != 0.0 { *a } else { *b }).collect())
}

fn cast<S: Scalar>(dtype: DType, x: &NaiveValue<S>) -> NaiveValue<S> {
    match (&x.data, dtype) {
        (NaiveData::Float(v), DType::I32) => {
            NaiveValue::int(x.shape.clone(), v.iter().map(|x| x.to_f64() as i32).collect())
        }
        (NaiveData::Int(v), DType::F32) => {
            NaiveValue::float(x.shape.clone(), v.iter().map(|x| S::from_f64(f64::from(*x))).collect())
        }
        _ => x.clone(),
    }
}

fn fold<S: Scalar>(
    x: &NaiveValue<S>,
    axes: &[usize],
    keepdims: bool,
    start: f64,
    f: impl Fn(S, S) -> S,
) -> NaiveValue<S> {
    let kept: Vec<usize> = x.shape.iter().enumerate().map(|(a, &d)| if axes.contains(&a) { 1 } else { d }).collect();
    let mut out = vec![S::from_f64(start); kept.iter().product()];
    for (x, at) in x.floats().iter().zip(broadcast_indices(&kept, &x.shape)) {
        out[at] = f(out[at], *x);
    }
    let shape = if keepdims {
        kept
    } else {
        x.shape.iter().enumerate().filter(|(a, _)| !axes.contains(a)).map(|(_, &d)| d).collect()
    };
    NaiveValue::float(shape, out)
}

fn rows<S: Scalar>(x: &NaiveValue<S>) -> std::slice::Chunks<'_, S> {
    x.floats().chunks(x.shape.last().copied().unwrap_or(1).max(1))
}

fn argmax<S: Scalar>(x: &NaiveValue<S>) -> NaiveValue<S> {
    let position = |row: &[S]| {
        let is_nan = |x: S| x.to_f64().is_nan();
        let mut best = 0;
        for (i, &value) in row.iter().enumerate() {
            if value > row[best] || (is_nan(value) && !is_nan(row[best])) {
                best = i;
            }
        }
        best as i32
    };
    NaiveValue::int(&x.shape[..x.shape.len() - 1], rows(x).map(position).collect())
}

fn matmul<S: Scalar>(op: MatMul, a: &NaiveValue<S>, b: &NaiveValue<S>) -> NaiveValue<S> {
    let (m, n, k) = op.extents(&a.shape, &b.shape);
    let lead = &a.shape[..a.shape.len() - 2];
    let mut out = Vec::new();
    for item in 0..lead.iter().product() {
        let (x, y) = (&a.floats()[item * m * k..], &b.floats()[item * k * n..]);
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let mut sum = S::from_f64(0.0);
            let is_above = |p: usize| match op.lower {
                None => false,
                Some(Lower::Output) => j > i,
                Some(Lower::A) => {
                    if op.transpose_a {
                        i > p
                    } else {
                        p > i
                    }
                }
            };
            for p in (0..k).filter(|p| !is_above(*p)) {
                let left = x[if op.transpose_a { p * m + i } else { i * k + p }];
                let right = y[if op.transpose_b { j * k + p } else { p * n + j }];
                sum = S::binary(Binary::Add, sum, S::binary(Binary::Mul, left, right));
            }
            out.push(sum);
        }
    }
    NaiveValue::float([lead, &[m, n]].concat(), out)
}

fn transpose<S: Scalar>(x: &NaiveValue<S>, order: &[usize]) -> NaiveValue<S> {
    let shape: Vec<usize> = order.iter().map(|&a| x.shape[a]).collect();
    let stride = |axis: usize| -> usize { x.shape[axis + 1..].iter().product() };
    let at = |element: usize| {
        let (mut rest, mut at) = (element, 0);
        for (axis, extent) in shape.iter().enumerate().rev() {
            at += rest % extent * stride(order[axis]);
            rest /= extent;
        }
        at
    };
    let count = shape.iter().product();
    match &x.data {
        NaiveData::Float(v) => NaiveValue::float(shape.clone(), (0..count).map(|e| v[at(e)]).collect()),
        NaiveData::Int(v) => NaiveValue::int(shape.clone(), (0..count).map(|e| v[at(e)]).collect()),
    }
}

fn one_hot<S: Scalar>(op: OneHot, x: &NaiveValue<S>) -> NaiveValue<S> {
    let mut shape = x.shape.clone();
    shape.push(op.depth);
    let row = |index: &i32| {
        let index = *index;
        (0..op.depth).map(move |i| S::from_f64(if i as i64 == i64::from(index) { 1.0 } else { 0.0 }))
    };
    NaiveValue::float(shape, x.ints().iter().flat_map(row).collect())
}

fn uniform<S: Scalar>(key: RandomKey, step: u32, element: usize) -> S {
    let word = key.words(element as u64 / 4, step)[element % 4];
    S::from_f64(f64::from(word >> 8) / 16_777_216.0)
}

fn random<S: Scalar>(op: &RandomUniform, step: &NaiveValue<S>) -> NaiveValue<S> {
    let step = step.ints()[0] as u32;
    let count = op.shape.iter().product();
    NaiveValue::float(op.shape.clone(), (0..count).map(|e| uniform(op.key, step, e)).collect())
}

fn softmax<S: Scalar>(op: Softmax, x: &NaiveValue<S>) -> NaiveValue<S> {
    let mut out = Vec::with_capacity(x.floats().len());
    for (at, whole) in rows(x).enumerate() {
        let count = match x.shape[..] {
            [.., rows, columns] if op.causal => columns.min(at % rows + 1),
            _ => whole.len(),
        };
        let row = &whole[..count];
        let max = row.iter().fold(S::from_f64(f64::NEG_INFINITY), |a, &b| S::binary(Binary::Maximum, a, b));
        let e: Vec<S> = row.iter().map(|&x| S::unary(Unary::Exp, S::binary(Binary::Sub, x, max))).collect();
        let sum = e.iter().fold(S::from_f64(0.0), |a, &b| S::binary(Binary::Add, a, b));
        out.extend(e.iter().map(|&e| S::binary(Binary::Div, e, sum)));
        out.resize(out.len() + whole.len() - count, S::from_f64(0.0));
    }
    NaiveValue::float(x.shape.clone(), out)
}

fn cross_entropy<S: Scalar>(logits: &NaiveValue<S>, labels: &NaiveValue<S>) -> Vec<NaiveValue<S>> {
    let loss = |(row, label): (&[S], &i32)| {
        let Some(own) = usize::try_from(*label).ok().and_then(|l| row.get(l)) else { return S::from_f64(f64::NAN) };
        let max = row.iter().fold(S::from_f64(f64::NEG_INFINITY), |a, &b| S::binary(Binary::Maximum, a, b));
        let exp = |x: S| S::unary(Unary::Exp, S::binary(Binary::Sub, x, max));
        let sum = row.iter().fold(S::from_f64(0.0), |a, &b| S::binary(Binary::Add, a, exp(b)));
        S::binary(Binary::Sub, S::binary(Binary::Add, S::unary(Unary::Log, sum), max), *own)
    };
    let losses = rows(logits).zip(labels.ints()).map(loss).collect();
    vec![NaiveValue::float(labels.shape.clone(), losses), softmax(Softmax::default(), logits)]
}

fn program<S: Scalar>(op: &Program, inputs: &[&NaiveValue<S>]) -> NaiveValue<S> {
    let count: usize = op.shape.iter().product();
    let wide: Vec<Vec<S>> =
        inputs.iter().map(|v| v.as_float().map_or(vec![], |_| broadcast(v, &op.shape).floats().to_vec())).collect();
    let element = |e: usize| {
        let mut registers: Vec<S> = Vec::with_capacity(op.instructions.len());
        for instruction in &op.instructions {
            let get = |operand: Operand| match operand {
                Operand::Input(i) => wide[i][e],
                Operand::Register(r) => registers[r],
                Operand::Constant(c) => S::from_f64(f64::from(c)),
            };
            let y = match *instruction {
                Instruction::Unary(kind, a) => S::unary(kind, get(a)),
                Instruction::Binary(kind, a, b) => S::binary(kind, get(a), get(b)),
                Instruction::Select(c, a, b) => {
                    if get(c).to_f64() != 0.0 {
                        get(a)
                    } else {
                        get(b)
                    }
                }
                Instruction::Uniform { key, step } => uniform(key, inputs[step].ints()[0] as u32, e),
            };
            registers.push(y);
        }
        registers[registers.len() - 1]
    };
    NaiveValue::float(op.shape.clone(), (0..count).map(element).collect())
}

fn adam<S: Scalar>(op: &AdamUpdate, inputs: &[&NaiveValue<S>]) -> Vec<NaiveValue<S>> {
    use Binary::{Add, Div, Mul, Sub};
    let c = |x: f32| S::from_f64(f64::from(x));
    let alpha = inputs[4].floats()[0];
    let (rest_1, rest_2) = (S::binary(Sub, c(1.0), c(op.beta_1)), S::binary(Sub, c(1.0), c(op.beta_2)));
    let row_len = inputs[0].shape.iter().skip(1).product::<usize>().max(1);
    let stays = |i: usize| {
        let begin = i - i % row_len;
        op.lazy && inputs[1].floats()[begin..begin + row_len].iter().all(|g| *g == c(0.0))
    };
    let mut out: [Vec<S>; 3] = Default::default();
    for i in 0..inputs[0].floats().len() {
        let [w, g, m, v] = [0, 1, 2, 3].map(|input: usize| inputs[input].floats()[i]);
        if stays(i) {
            for (out, old) in out.iter_mut().zip([w, m, v]) {
                out.push(old);
            }
            continue;
        }
        let m = S::binary(Add, m, S::binary(Mul, S::binary(Sub, g, m), rest_1));
        let v = S::binary(Add, v, S::binary(Mul, S::binary(Sub, S::binary(Mul, g, g), v), rest_2));
        let root = S::binary(Add, S::unary(Unary::Sqrt, v), c(op.epsilon));
        let w = S::binary(Sub, w, S::binary(Div, S::binary(Mul, alpha, m), root));
        out[0].push(w);
        out[1].push(m);
        out[2].push(v);
    }
    out.into_iter().map(|data| NaiveValue::float(inputs[0].shape.clone(), data)).collect()
}
