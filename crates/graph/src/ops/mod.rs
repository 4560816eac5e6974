//! The catalogue of ops: for each its attributes, shape rule, gradient rule and samples to be checked with.
//!
//! An op is a struct in one of the family files and one line in the catalogue below, from which the [`Op`] enum and its
//! dispatch are generated; the exhaustive match in every backend then names what is missing.

mod conv;
mod elementwise;
mod index;
mod layout;
mod loss;
mod matmul;
mod pool;
mod pooled;
mod program;
mod random;
mod reduce;
mod scan;
mod source;
mod update;
mod window;

pub use conv::{Conv, ConvGeometry, ConvInputGradient, ConvKernelGradient, convolution_flops};
pub(crate) use elementwise::broadcast_fault;
pub use elementwise::{Binary, Cast, Select, Unary};
pub use index::{Gather, Iota, SumRows};
pub use layout::{Broadcast, OneHot, Reshape, Transpose};
pub use loss::{Softmax, SparseSoftmaxCrossEntropy};
pub use matmul::{Lower, MatMul};
pub use pool::{AveragePool, AveragePoolGradient, MaxPool, PoolGather, PoolScatter, Windows};
pub use pooled::{ConvMaxPool, ScatterInputGradient, ScatterKernelGradient};
pub use program::{Instruction, Operand, Program};
pub use random::RandomUniform;
pub use reduce::{ArgMax, ReduceMax, ReduceSum};
pub use scan::{Scan, Turn};
pub use source::{Constant, Given, Input, Literal, State};
pub use update::AdamUpdate;
pub use window::{Concat, Pad, Reverse, Slice};

use crate::{Builder, Type, Value};
use std::fmt;

/// What an op's gradient rule is given.
pub struct Backward<'a> {
    /// Where to record the gradient's ops.
    pub graph: &'a mut Builder,
    /// What the op read.
    pub inputs: &'a [Value],
    /// What the op wrote.
    pub outputs: &'a [Value],
    /// The gradient of the loss by each output; `None` where the loss does not depend on it.
    pub dy: &'a [Option<Value>],
}

/// What an op's gradient rule answers.
pub enum Gradient {
    /// The gradient by each input; `None` for inputs that take none (integers).
    Inputs(Vec<Option<Value>>),
    /// There is no gradient, and why.
    NotDifferentiable(&'static str),
}

/// One input of a sample: shape and how to fill it.
#[derive(Clone, Debug)]
pub enum SampleInput {
    /// Uniform floats in a range.
    Uniform(Vec<usize>, f64, f64),
    /// Floats that keep at least 0.1 from zero and from each other's ties, in `[-2, 2]`.
    Apart(Vec<usize>),
    /// Integers in `0..bound`.
    Index(Vec<usize>, i32),
}

impl SampleInput {
    /// The type of the input.
    pub fn type_(&self) -> Type {
        match self {
            SampleInput::Uniform(shape, ..) | SampleInput::Apart(shape) => Type::f32(shape.clone()),
            SampleInput::Index(shape, _) => Type::i32(shape.clone()),
        }
    }
}

/// An op with inputs to check it with.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The op.
    pub op: Op,
    /// Its inputs.
    pub inputs: Vec<SampleInput>,
}

/// What every op defines beside its attributes.
pub trait OpRule {
    /// The name in printed graphs.
    fn name(&self) -> &'static str;

    /// Attributes in printed graphs, such as `axes=[1]`; empty if there are none.
    fn attributes(&self) -> String {
        String::new()
    }

    /// The types of the outputs.
    ///
    /// # Errors
    /// What does not fit, with both shapes.
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String>;

    /// The gradient by the inputs, recorded as further ops.
    fn gradient(&self, cx: Backward<'_>) -> Gradient;
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// An op: one of the closed catalogue.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $name($name)),*
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*

        impl OpRule for Op {
            fn name(&self) -> &'static str {
                match self { $(Op::$name(op) => op.name()),* }
            }
            fn attributes(&self) -> String {
                match self { $(Op::$name(op) => op.attributes()),* }
            }
            fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
                match self { $(Op::$name(op) => op.infer(inputs)),* }
            }
            fn gradient(&self, cx: Backward<'_>) -> Gradient {
                match self { $(Op::$name(op) => op.gradient(cx)),* }
            }
        }

        /// Every entry of the catalogue with its samples: name, samples.
        pub fn catalogue() -> Vec<(&'static str, Vec<Sample>)> {
            vec![$((stringify!($name), $name::samples())),*]
        }
    };
}

catalogue! {
    /// A value given for each run.
    Input,
    /// A value that outlives the step.
    State,
    /// A number known when the graph is made.
    Constant,
    /// An elementwise function of one value.
    Unary,
    /// An elementwise function of two values, broadcast.
    Binary,
    /// One of two values, element by element.
    Select,
    /// Another element type.
    Cast,
    /// The sum along axes.
    ReduceSum,
    /// The maximum along axes.
    ReduceMax,
    /// The position of the maximum along the last axis.
    ArgMax,
    /// The matrix product.
    MatMul,
    /// The convolution of images with a kernel.
    Conv,
    /// The gradient of a convolution by its input.
    ConvInputGradient,
    /// The gradient of a convolution by its kernel.
    ConvKernelGradient,
    /// The maxima of windows and their positions.
    MaxPool,
    /// Elements of an image at given positions.
    PoolGather,
    /// Sums of elements at given positions of an image.
    PoolScatter,
    /// The maxima of windows of a convolution and their positions, made by fusion.
    ConvMaxPool,
    /// The gradient of a convolution by its input from elements at given positions, made by fusion.
    ScatterInputGradient,
    /// The gradient of a convolution by its kernel from elements at given positions, made by fusion.
    ScatterKernelGradient,
    /// The means of windows.
    AveragePool,
    /// The gradient of the means of windows.
    AveragePoolGradient,
    /// The same elements under another shape.
    Reshape,
    /// Axes in another order.
    Transpose,
    /// Repetition along axes of extent 1.
    Broadcast,
    /// Indices as rows of zeros with a one.
    OneHot,
    /// A part of a tensor.
    Slice,
    /// A tensor with something around and between its elements.
    Pad,
    /// Tensors one after another.
    Concat,
    /// Axes in the opposite direction.
    Reverse,
    /// Rows of a table.
    Gather,
    /// Rows added up by index.
    SumRows,
    /// Positions along an axis.
    Iota,
    /// A tensor known when the graph is made.
    Literal,
    /// Uniform random numbers of a keyed stream.
    RandomUniform,
    /// The softmax along the last axis.
    Softmax,
    /// Softmax and cross-entropy with integer labels, fused.
    SparseSoftmaxCrossEntropy,
    /// Several elementwise ops in one pass, made by fusion.
    Program,
    /// One step of Adam for one parameter, fused.
    AdamUpdate,
    /// A graph repeated over the steps of sequences.
    Scan,
    /// What a scan gives to its body.
    Given,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let attributes = self.attributes();
        if attributes.is_empty() { Ok(()) } else { write!(f, "[{attributes}]") }
    }
}

/// Takes exactly `N` inputs, or says how many came.
pub(crate) fn arity<'a, const N: usize>(inputs: &[&'a Type]) -> Result<[&'a Type; N], String> {
    inputs.try_into().map_err(|_| format!("takes {N} inputs, got {}", inputs.len()))
}

/// Requires 32-bit floats.
pub(crate) fn require_f32(name: &str, ty: &Type) -> Result<(), String> {
    if ty.dtype == footlight_tensor::DType::F32 { Ok(()) } else { Err(format!("{name} must be f32, got {ty}")) }
}

/// Requires 32-bit integers.
pub(crate) fn require_i32(name: &str, ty: &Type) -> Result<(), String> {
    if ty.dtype == footlight_tensor::DType::I32 { Ok(()) } else { Err(format!("{name} must be i32, got {ty}")) }
}
