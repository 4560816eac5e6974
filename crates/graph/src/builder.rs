//! Records ops. Building never fails: faults are collected, a faulty op yields poison, and ops on poison say nothing.

use crate::graph::StateSlot;
use crate::ops::{
    AdamUpdate, ArgMax, AveragePool, AveragePoolGradient, Binary, Broadcast, Cast, Concat, Constant, Conv,
    ConvGeometry, ConvInputGradient, ConvKernelGradient, Gather, Input, Iota, Literal, Lower, MatMul, MaxPool, OneHot,
    Pad, PoolGather, PoolScatter, RandomUniform, ReduceMax, ReduceSum, Reshape, Reverse, Select, Slice, Softmax,
    SparseSoftmaxCrossEntropy, State, SumRows, Transpose, Unary, Windows,
};
use crate::{Error, ErrorKind, Fault, Graph, Node, Op, OpRule, Role, Type, Value};
use footlight_tensor::{DType, RandomKey};
use std::collections::HashMap;

pub(crate) const POISON: Value = Value(u32::MAX);

/// Records ops into a graph.
///
/// # Examples
/// ```
/// use footlight_graph::{Builder, Type};
/// let mut g = Builder::new();
/// let x = g.input("x", Type::f32([4, 3]));
/// let y = g.mul_scalar(x, 2.0);
/// g.output("y", y);
/// let graph = g.finish().unwrap();
/// assert_eq!(graph.type_of(graph.output("y").unwrap()).shape, [4, 3]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    graph: Graph,
    faults: Vec<Fault>,
    scopes: Vec<String>,
    /// What follows each state, and each value that was to follow one.
    followers: HashMap<Value, Value>,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Continues `graph`: its values stay valid.
    pub fn extend(graph: Graph) -> Builder {
        let followers = graph.states.iter().filter_map(|state| Some((state.value, state.next?))).collect();
        Builder { graph, followers, ..Builder::default() }
    }

    /// The graph, if no fault was found.
    ///
    /// # Errors
    /// All faults together.
    pub fn finish(self) -> Result<Graph, Error> {
        if !self.faults.is_empty() {
            return Err(Error::new(self.faults));
        }
        self.graph.verify()?;
        Ok(self.graph)
    }

    /// Records what follows under `name`, within the current scope, until [`Builder::leave`].
    pub fn enter(&mut self, name: &str) {
        self.scopes.push(name.to_string());
    }

    /// Ends the innermost scope.
    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    /// The current scope, such as `encoder/dense_2`.
    pub fn path(&self) -> String {
        self.scopes.join("/")
    }

    /// Records a fault at the current scope and answers poison.
    pub fn fault(&mut self, kind: ErrorKind, message: impl Into<String>, help: Option<&str>) -> Value {
        self.fault_at(self.path(), kind, message, help)
    }

    /// Records a fault at `path` and answers poison.
    pub(crate) fn fault_at(
        &mut self,
        path: String,
        kind: ErrorKind,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> Value {
        let fault = Fault { kind, path, message: message.into(), help: help.map(str::to_string) };
        self.faults.push(fault);
        POISON
    }

    /// The faults so far.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn graph_mut(&mut self) -> &mut Graph {
        &mut self.graph
    }

    /// The type of `value`, or `None` for poison.
    pub fn type_of(&self, value: Value) -> Option<&Type> {
        self.graph.types.get(value.index())
    }

    /// The shape of `value`; empty for poison, whose users report nothing.
    pub fn shape(&self, value: Value) -> Vec<usize> {
        self.type_of(value).map(|ty| ty.shape.clone()).unwrap_or_default()
    }

    /// Whether a fault stands behind `value`.
    pub fn is_poison(&self, value: Value) -> bool {
        value == POISON
    }

    /// Records an op and answers its outputs.
    pub fn push(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Vec<Value> {
        let op = op.into();
        let types: Option<Vec<&Type>> = inputs.iter().map(|v| self.type_of(*v)).collect();
        let Some(types) = types else { return vec![POISON; output_count(&op)] };
        let inferred = op.infer(&types).and_then(|outputs| match outputs.iter().find(|ty| ty.len() > Type::LARGEST) {
            Some(ty) => Err(format!("{ty} would be more than {} numbers", Type::LARGEST)),
            None => Ok(outputs),
        });
        match inferred {
            Ok(outputs) => self.append(op, inputs, outputs),
            Err(message) => {
                let kind = if message.contains("must be") { ErrorKind::DType } else { ErrorKind::Shape };
                let count = output_count(&op);
                self.fault(kind, format!("op `{}`: {message}", op.name()), None);
                vec![POISON; count]
            }
        }
    }

    fn append(&mut self, op: Op, inputs: &[Value], outputs: Vec<Type>) -> Vec<Value> {
        let node = self.graph.nodes.len();
        let first = self.graph.types.len() as u32;
        let values: Vec<Value> = (first..first + outputs.len() as u32).map(Value).collect();
        self.graph.producers.extend(outputs.iter().map(|_| node));
        self.graph.types.extend(outputs);
        let path = self.path();
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: values.clone(), path });
        values
    }

    fn one(&mut self, op: impl Into<Op>, inputs: &[Value]) -> Value {
        self.push(op, inputs)[0]
    }

    /// A value given for each run.
    pub fn input(&mut self, name: &str, ty: Type) -> Value {
        self.one(Input { name: name.into(), ty }, &[])
    }

    /// A value that outlives the step; its name is taken as it is, without the scope.
    pub fn state(&mut self, name: &str, ty: Type, role: Role) -> Value {
        let value = self.one(State { name: name.into(), ty, role }, &[]);
        self.graph.states.push(StateSlot { name: name.into(), role, value, next: None });
        value
    }

    /// What state `value` becomes when the step ends; `value` may also be what it was to become before.
    pub fn set_next(&mut self, value: Value, next: Value) {
        if self.is_poison(value) || self.is_poison(next) {
            return;
        }
        match self.graph.states.iter_mut().find(|s| s.value == value || s.next == Some(value)) {
            Some(state) => {
                state.next = Some(next);
                self.followers.insert(value, next);
            }
            None => {
                self.fault(ErrorKind::Invalid, "only a state can have a next value", None);
            }
        }
    }

    /// What state `value` is to become, as far as that is known; `value` may also be what it was to become before, and is
    /// the answer if it is none or stays as it is.
    pub fn next_of(&self, value: Value) -> Value {
        let chain = std::iter::successors(Some(value), |value| self.followers.get(value).copied());
        chain.take(1 + self.followers.len()).last().unwrap_or(value)
    }

    /// Makes `value` readable after a run under `name`.
    pub fn output(&mut self, name: &str, value: Value) {
        if !self.is_poison(value) {
            self.graph.outputs.push((name.into(), value));
        }
    }

    /// A scalar.
    pub fn constant(&mut self, value: f32) -> Value {
        self.one(Constant::F32(value), &[])
    }

    /// An integer scalar.
    pub fn constant_i32(&mut self, value: i32) -> Value {
        self.one(Constant::I32(value), &[])
    }

    /// A tensor of known floats.
    pub fn literal(&mut self, shape: impl Into<Vec<usize>>, values: impl Into<std::sync::Arc<[f32]>>) -> Value {
        self.one(Literal { shape: shape.into(), values: values.into() }, &[])
    }

    /// An elementwise function.
    pub fn unary(&mut self, kind: Unary, x: Value) -> Value {
        self.one(kind, &[x])
    }

    /// An elementwise function of two values.
    pub fn binary(&mut self, kind: Binary, a: Value, b: Value) -> Value {
        self.one(kind, &[a, b])
    }

    /// `-x`.
    pub fn neg(&mut self, x: Value) -> Value {
        self.unary(Unary::Neg, x)
    }

    /// `a + b`.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Add, a, b)
    }

    /// `a - b`.
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Sub, a, b)
    }

    /// `a * b`, element by element.
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Mul, a, b)
    }

    /// `a / b`.
    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Div, a, b)
    }

    /// `x + c`.
    pub fn add_scalar(&mut self, x: Value, c: f32) -> Value {
        let c = self.constant(c);
        self.add(x, c)
    }

    /// `x * c`.
    pub fn mul_scalar(&mut self, x: Value, c: f32) -> Value {
        let c = self.constant(c);
        self.mul(x, c)
    }

    /// `c - x`.
    pub fn scalar_sub(&mut self, c: f32, x: Value) -> Value {
        let c = self.constant(c);
        self.sub(c, x)
    }

    /// The larger of `x` and `c`.
    pub fn maximum_scalar(&mut self, x: Value, c: f32) -> Value {
        let c = self.constant(c);
        self.binary(Binary::Maximum, x, c)
    }

    /// The smaller of `x` and `c`.
    pub fn minimum_scalar(&mut self, x: Value, c: f32) -> Value {
        let c = self.constant(c);
        self.binary(Binary::Minimum, x, c)
    }

    /// `a` where `condition` is not 0, else `b`.
    pub fn select(&mut self, condition: Value, a: Value, b: Value) -> Value {
        self.one(Select, &[condition, a, b])
    }

    /// Another element type.
    pub fn cast(&mut self, x: Value, dtype: DType) -> Value {
        if self.type_of(x).is_some_and(|ty| ty.dtype == dtype) {
            return x;
        }
        self.one(Cast { dtype }, &[x])
    }

    /// The sum along `axes`.
    pub fn reduce_sum(&mut self, x: Value, axes: &[usize], keepdims: bool) -> Value {
        self.one(ReduceSum { axes: axes.to_vec(), keepdims }, &[x])
    }

    /// The maximum along `axes`.
    pub fn reduce_max(&mut self, x: Value, axes: &[usize], keepdims: bool) -> Value {
        self.one(ReduceMax { axes: axes.to_vec(), keepdims }, &[x])
    }

    /// The mean along `axes`: the sum over the count.
    pub fn reduce_mean(&mut self, x: Value, axes: &[usize], keepdims: bool) -> Value {
        let shape = self.shape(x);
        let count: usize = axes.iter().filter_map(|&a| shape.get(a)).product();
        let sum = self.reduce_sum(x, axes, keepdims);
        self.mul_scalar(sum, 1.0 / count as f32)
    }

    /// The sum of all elements, a scalar.
    pub fn sum_all(&mut self, x: Value) -> Value {
        let axes: Vec<usize> = (0..self.shape(x).len()).collect();
        if axes.is_empty() {
            return x;
        }
        self.reduce_sum(x, &axes, false)
    }

    /// The mean of all elements, a scalar.
    pub fn mean_all(&mut self, x: Value) -> Value {
        let axes: Vec<usize> = (0..self.shape(x).len()).collect();
        if axes.is_empty() {
            return x;
        }
        self.reduce_mean(x, &axes, false)
    }

    /// The position of the maximum along the last axis.
    pub fn argmax(&mut self, x: Value) -> Value {
        self.one(ArgMax, &[x])
    }

    /// `a b` for matrices, or for batches of them with the same leading extents.
    pub fn matmul(&mut self, a: Value, b: Value) -> Value {
        self.matmul_with(a, b, false, false)
    }

    /// `op(a) op(b)`, each transposed if asked.
    pub fn matmul_with(&mut self, a: Value, b: Value, transpose_a: bool, transpose_b: bool) -> Value {
        self.matmul_lower(a, b, [transpose_a, transpose_b], None)
    }

    /// As [`Builder::matmul_with`], of batches of matrices with zeros above a diagonal.
    pub fn matmul_lower(
        &mut self,
        a: Value,
        b: Value,
        [transpose_a, transpose_b]: [bool; 2],
        lower: Option<Lower>,
    ) -> Value {
        self.one(MatMul { transpose_a, transpose_b, lower }, &[a, b])
    }

    /// `op(a) op(b)`, the leading axes broadcast as in NumPy; one matrix `b` for all of `a` is one product of all rows.
    pub fn matmul_broadcast(&mut self, a: Value, b: Value, transpose_a: bool, transpose_b: bool) -> Value {
        let (from, to) = (self.shape(a), self.shape(b));
        let ([lead_a @ .., rows, columns], [lead_b @ .., row_b, column_b]) = (&from[..], &to[..]) else {
            return self.matmul_with(a, b, transpose_a, transpose_b);
        };
        if lead_b.is_empty() && !lead_a.is_empty() && !transpose_a {
            let flat = self.reshape(a, [lead_a.iter().product::<usize>() * rows, *columns]);
            let y = self.matmul_with(flat, b, false, transpose_b);
            let n = if transpose_b { row_b } else { column_b };
            return self.reshape(y, [lead_a, &[*rows, *n]].concat());
        }
        let Ok(lead) = broadcast_shapes(lead_a, lead_b) else {
            return self.matmul_with(a, b, transpose_a, transpose_b);
        };
        let a = self.broadcast(a, [lead.as_slice(), &[*rows, *columns]].concat());
        let b = self.broadcast(b, [lead.as_slice(), &[*row_b, *column_b]].concat());
        self.matmul_with(a, b, transpose_a, transpose_b)
    }

    /// The convolution of images `x` with kernel `w`.
    pub fn conv(&mut self, x: Value, w: Value, geometry: ConvGeometry) -> Value {
        self.one(Conv { geometry }, &[x, w])
    }

    /// The gradient of a convolution by its input of extents `spatial`: the transposed convolution.
    pub fn conv_input_gradient(&mut self, dy: Value, w: Value, geometry: ConvGeometry, spatial: Vec<usize>) -> Value {
        self.one(ConvInputGradient { geometry, spatial }, &[dy, w])
    }

    /// The gradient of a convolution by its kernel of shape `kernel`.
    pub fn conv_kernel_gradient(&mut self, x: Value, dy: Value, geometry: ConvGeometry, kernel: Vec<usize>) -> Value {
        let window = kernel[..kernel.len().saturating_sub(2)].to_vec();
        let dw = self.one(ConvKernelGradient { geometry, window, chunks: 1 }, &[x, dy]);
        self.reshape(dw, kernel)
    }

    /// The maxima of windows, and their positions.
    pub fn max_pool(&mut self, x: Value, windows: &[Windows]) -> (Value, Value) {
        let outputs = self.push(MaxPool { windows: windows.to_vec() }, &[x]);
        (outputs[0], outputs[1])
    }

    /// Elements of images at positions.
    pub fn pool_gather(&mut self, x: Value, positions: Value) -> Value {
        self.one(PoolGather, &[x, positions])
    }

    /// Elements added up at positions of images.
    pub fn pool_scatter(&mut self, y: Value, positions: Value, spatial: &[usize]) -> Value {
        self.one(PoolScatter { spatial: spatial.to_vec() }, &[y, positions])
    }

    /// The means of windows.
    pub fn average_pool(&mut self, x: Value, windows: &[Windows]) -> Value {
        self.one(AveragePool { windows: windows.to_vec() }, &[x])
    }

    /// The gradient of the means of windows.
    pub fn average_pool_gradient(&mut self, dy: Value, windows: &[Windows], spatial: &[usize]) -> Value {
        self.one(AveragePoolGradient { windows: windows.to_vec(), spatial: spatial.to_vec() }, &[dy])
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Vec<usize>>) -> Value {
        let shape = shape.into();
        if self.type_of(x).is_some_and(|ty| ty.shape == shape) {
            return x;
        }
        self.one(Reshape { shape }, &[x])
    }

    /// Axes in another order.
    pub fn transpose(&mut self, x: Value, order: impl Into<Vec<usize>>) -> Value {
        self.one(Transpose { order: order.into() }, &[x])
    }

    /// Repetition to `shape`.
    pub fn broadcast(&mut self, x: Value, shape: impl Into<Vec<usize>>) -> Value {
        let shape = shape.into();
        if self.type_of(x).is_some_and(|ty| ty.shape == shape) {
            return x;
        }
        self.one(Broadcast { shape }, &[x])
    }

    /// Indices as rows with a one.
    pub fn one_hot(&mut self, indices: Value, depth: usize) -> Value {
        self.one(OneHot { depth }, &[indices])
    }

    /// Positions `range` along `axis`, all along the others.
    pub fn slice_axis(&mut self, x: Value, axis: usize, range: std::ops::Range<usize>) -> Value {
        let shape = self.shape(x);
        let whole = range.start == 0 && shape.get(axis) == Some(&range.end);
        if whole {
            return x;
        }
        let (mut starts, mut ends) = (vec![0; shape.len()], shape.clone());
        if let (Some(start), Some(end)) = (starts.get_mut(axis), ends.get_mut(axis)) {
            (*start, *end) = (range.start, range.end);
        }
        self.one(Slice { starts, ends, steps: vec![1; shape.len()] }, &[x])
    }

    /// A number before and after the elements along each axis.
    pub fn pad(&mut self, x: Value, low: impl Into<Vec<usize>>, high: impl Into<Vec<usize>>, value: f32) -> Value {
        let (low, high) = (low.into(), high.into());
        let (interior, value) = (vec![0; low.len()], Constant::F32(value));
        self.one(Pad { low, high, interior, value }, &[x])
    }

    /// Tensors one after another along `axis`.
    pub fn concat(&mut self, values: &[Value], axis: usize) -> Value {
        /// Inputs of one node; more are put together in steps.
        const MOST: usize = 32;
        match values {
            [x] => *x,
            few if few.len() <= MOST => self.one(Concat { axis }, few),
            many => {
                let parts: Vec<Value> = many.chunks(MOST).map(|part| self.concat(part, axis)).collect();
                self.concat(&parts, axis)
            }
        }
    }

    /// The elements along `axes` in the opposite order.
    pub fn reverse(&mut self, x: Value, axes: &[usize]) -> Value {
        self.one(Reverse { axes: axes.to_vec() }, &[x])
    }

    /// Rows of `table` by indices.
    pub fn gather(&mut self, table: Value, indices: Value) -> Value {
        self.one(Gather, &[table, indices])
    }

    /// A table of `rows` rows, each the sum of the `values` whose index names it.
    pub fn sum_rows(&mut self, values: Value, indices: Value, rows: usize) -> Value {
        self.one(SumRows { rows }, &[values, indices])
    }

    /// The position along `axis`, as integers.
    pub fn iota(&mut self, shape: impl Into<Vec<usize>>, axis: usize) -> Value {
        self.one(Iota { shape: shape.into(), axis }, &[])
    }

    /// Uniform random numbers in `[0, 1)` of stream `key` at `step`.
    pub fn random_uniform(&mut self, key: RandomKey, step: Value, shape: impl Into<Vec<usize>>) -> Value {
        self.one(RandomUniform { key, shape: shape.into() }, &[step])
    }

    /// Random numbers of mean 0 and standard deviation 1 of stream `key` at `step`: `sqrt(-2 ln(1 - u)) cos(2 pi v)` with
    /// uniform `u` and `v` (Box and Muller).
    pub fn random_normal(&mut self, key: RandomKey, step: Value, shape: impl Into<Vec<usize>>) -> Value {
        let shape = shape.into();
        let u = self.random_uniform(key.child("radius"), step, shape.clone());
        let v = self.random_uniform(key.child("angle"), step, shape);
        let rest = self.scalar_sub(1.0, u);
        let log = self.unary(Unary::Log, rest);
        let square = self.mul_scalar(log, -2.0);
        let radius = self.unary(Unary::Sqrt, square);
        let angle = self.mul_scalar(v, std::f32::consts::TAU);
        let direction = self.unary(Unary::Cos, angle);
        self.mul(radius, direction)
    }

    /// The softmax along the last axis.
    pub fn softmax(&mut self, x: Value) -> Value {
        self.one(Softmax::default(), &[x])
    }

    /// The softmax of what is not above the diagonal of matrices, zeros there.
    pub fn causal_softmax(&mut self, x: Value) -> Value {
        self.one(Softmax { causal: true }, &[x])
    }

    /// The loss of each row and the probabilities, from logits and integer labels.
    pub fn sparse_softmax_cross_entropy(&mut self, logits: Value, labels: Value) -> (Value, Value) {
        let outputs = self.push(SparseSoftmaxCrossEntropy, &[logits, labels]);
        (outputs[0], outputs[1])
    }

    /// The next parameter and slots of one step of Adam.
    pub fn adam_update(&mut self, op: AdamUpdate, [w, g, m, v, alpha]: [Value; 5]) -> [Value; 3] {
        let outputs = self.push(op, &[w, g, m, v, alpha]);
        [outputs[0], outputs[1], outputs[2]]
    }

    /// Sums `x` down to the shape that was broadcast to give it: the gradient of broadcasting to `target`.
    pub fn sum_to_shape_of(&mut self, x: Value, target: Value) -> Value {
        let (Some(from), Some(to)) = (self.type_of(x).cloned(), self.type_of(target).cloned()) else { return POISON };
        if from.shape == to.shape {
            return x;
        }
        let lead = from.rank().saturating_sub(to.rank());
        let is_repeated = |axis: &usize| *axis < lead || (to.shape[axis - lead] == 1 && from.shape[*axis] != 1);
        let axes: Vec<usize> = (0..from.rank()).filter(is_repeated).collect();
        let sum = self.reduce_sum(x, &axes, true);
        self.reshape(sum, to.shape)
    }
}

fn output_count(op: &Op) -> usize {
    match op {
        Op::AdamUpdate(_) => 3,
        Op::SparseSoftmaxCrossEntropy(_) | Op::MaxPool(_) | Op::ConvMaxPool(_) => 2,
        Op::Scan(scan) => scan.body.outputs().len(),
        _ => 1,
    }
}

/// The shape both broadcast to, as NumPy does: axes are matched from the last, extent 1 repeats.
///
/// # Errors
/// Both shapes and the axis on which they differ.
pub fn broadcast_shapes(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(crate::ops::broadcast_fault(a, b, axis)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_moved_on_as_often_as_one_likes() {
        let mut g = Builder::new();
        let x = g.state("x", Type::f32([2]), Role::Statistic);
        let mut latest = x;
        for _ in 0..4 {
            let next = g.add_scalar(latest, 1.0);
            g.set_next(latest, next);
            assert_eq!([g.next_of(x), g.next_of(latest)], [next, next]);
            latest = next;
        }
        let graph = g.finish().unwrap();
        assert_eq!(graph.states()[0].next, Some(latest));
        assert_eq!(Builder::extend(graph).next_of(x), latest);
    }

    #[test]
    fn faults_are_collected_and_poison_is_silent() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([4, 128]));
        let w = g.input("w", Type::f32([256, 64]));
        g.enter("encoder");
        g.enter("dense_2");
        let y = g.matmul(x, w);
        let z = g.mul_scalar(y, 2.0);
        g.leave();
        g.enter("add");
        g.add(x, w);
        assert!(g.is_poison(z));
        let error = g.finish().unwrap_err();
        assert_eq!(error.faults().len(), 2);
        assert_eq!(error.faults()[0].path, "encoder/dense_2");
        assert_eq!(
            error.faults()[0].message,
            "op `matmul`: inner extents differ: 128 in [4, 128] and 256 in [256, 64]"
        );
        assert_eq!(error.faults()[1].message, "op `add`: shapes [4, 128] and [256, 64] do not broadcast on axis 0");
    }

    /// Bytes are counted in a number that has an end, and what is allocated by it is written to.
    #[test]
    fn values_beyond_all_measure_are_faults() {
        for extent in [1 << 32, usize::MAX] {
            let mut g = Builder::new();
            let x = g.input("x", Type::i32([2]));
            let rows = g.one_hot(x, extent);
            let matrix = g.state("matrix", Type::f32([extent, extent]), Role::Metric);
            let next = g.matmul_with(rows, rows, true, false);
            g.set_next(matrix, next);
            let message = g.finish().unwrap_err().to_string();
            assert!(message.contains(&format!("f32[{extent}, {extent}] would be more than")), "{message}");
        }
        assert_eq!((Type::f32([usize::MAX, 2, 0]).len(), Type::f32([usize::MAX, 2]).size_bytes()), (0, usize::MAX));
    }

    #[test]
    fn shapes_broadcast_from_the_last_axis() {
        assert_eq!(broadcast_shapes(&[3, 1], &[4]), Ok(vec![3, 4]));
        assert_eq!(broadcast_shapes(&[], &[2, 2]), Ok(vec![2, 2]));
        assert!(broadcast_shapes(&[3], &[4]).is_err());
    }
}
