//! Elementwise ops. Their gradient rules are the two tables `Unary::gradient` and `Binary::gradient`.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32};
use crate::builder::broadcast_shapes;
use crate::{Op, Type};
use footlight_tensor::{DType, display_shape};

macro_rules! kinds {
    ($(#[$doc:meta])* $enum:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum {
            $($(#[$vdoc])* $variant),*
        }

        impl $enum {
            /// Every kind, in declaration order.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),*];

            /// The name in printed graphs.
            pub fn kind_name(self) -> &'static str {
                match self { $($enum::$variant => $name),* }
            }
        }
    };
}

kinds! {
    /// An elementwise function of one value.
    Unary {
        /// `x`, copied.
        Identity = "identity",
        /// `x`, a constant to whoever differentiates.
        StopGradient = "stop_gradient",
        /// `-x`.
        Neg = "neg",
        /// `|x|`.
        Abs = "abs",
        /// `-1`, `0` or `1`.
        Sign = "sign",
        /// `e^x`.
        Exp = "exp",
        /// `ln x`.
        Log = "log",
        /// `ln(1 + x)`, exact near 0.
        Log1p = "log1p",
        /// `e^x - 1`, exact near 0.
        Expm1 = "expm1",
        /// `x^(1/2)`.
        Sqrt = "sqrt",
        /// `tanh x`.
        Tanh = "tanh",
        /// `1 / (1 + e^-x)`.
        Sigmoid = "sigmoid",
        /// `2/sqrt(pi) * integral from 0 to x of e^-t^2 dt`.
        Erf = "erf",
        /// `cos x`.
        Cos = "cos",
        /// The largest integer not above `x`.
        Floor = "floor",
    }
}

kinds! {
    /// An elementwise function of two values, broadcast as in NumPy.
    Binary {
        /// `a + b`.
        Add = "add",
        /// `a - b`.
        Sub = "sub",
        /// `a * b`.
        Mul = "mul",
        /// `a / b`.
        Div = "div",
        /// The larger; at ties the gradient goes to `a`.
        Maximum = "maximum",
        /// The smaller; at ties the gradient goes to `a`.
        Minimum = "minimum",
        /// `a^b` for `a > 0`, or any `a` where `b` is a whole number.
        Pow = "pow",
        /// 1 where equal, else 0, in the element type of both.
        Equal = "equal",
        /// 1 where `a > b`, else 0.
        Greater = "greater",
        /// 1 where `a >= b`, else 0.
        GreaterEqual = "greater_equal",
    }
}

/// `a` where `condition` is not 0, else `b`; inputs: condition, a, b, broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Select;

/// The same numbers as another element type; floats become integers by truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The type of the output: `F32` or `I32`.
    pub dtype: DType,
}

const PIECEWISE: &str = "piecewise constant, so its gradient is zero wherever it exists";

impl Unary {
    /// Every kind, away from its kinks and inside its domain.
    pub fn samples() -> Vec<Sample> {
        let input = |kind: Unary| match kind {
            Unary::Log | Unary::Sqrt => SampleInput::Uniform(vec![3, 5], 0.2, 3.0),
            Unary::Log1p => SampleInput::Uniform(vec![3, 5], -0.7, 3.0),
            Unary::Abs | Unary::Sign | Unary::Floor => SampleInput::Apart(vec![3, 5]),
            _ => SampleInput::Uniform(vec![3, 5], -2.5, 2.5),
        };
        Unary::ALL.iter().map(|&kind| Sample { op: kind.into(), inputs: vec![input(kind)] }).collect()
    }
}

impl OpRule for Unary {
    fn name(&self) -> &'static str {
        self.kind_name()
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        if *self != Unary::Identity {
            require_f32("x", x)?;
        }
        Ok(vec![x.clone()])
    }

    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None]) };
        let (g, x, y) = (cx.graph, cx.inputs[0], cx.outputs[0]);
        let dx = match self {
            Unary::Identity => dy,
            Unary::Neg => g.neg(dy),
            Unary::Abs => {
                let sign = g.unary(Unary::Sign, x);
                g.mul(dy, sign)
            }
            Unary::Exp => g.mul(dy, y),
            Unary::Log => g.div(dy, x),
            Unary::Log1p => {
                let one_plus_x = g.add_scalar(x, 1.0);
                g.div(dy, one_plus_x)
            }
            Unary::Expm1 => {
                let exp = g.add_scalar(y, 1.0);
                g.mul(dy, exp)
            }
            Unary::Sqrt => {
                let half = g.mul_scalar(dy, 0.5);
                g.div(half, y)
            }
            Unary::Tanh => {
                let square = g.mul(y, y);
                let slope = g.scalar_sub(1.0, square);
                g.mul(dy, slope)
            }
            Unary::Sigmoid => {
                let rest = g.scalar_sub(1.0, y);
                let slope = g.mul(y, rest);
                g.mul(dy, slope)
            }
            Unary::Erf => {
                let square = g.mul(x, x);
                let minus = g.neg(square);
                let bell = g.unary(Unary::Exp, minus);
                let slope = g.mul_scalar(bell, std::f32::consts::FRAC_2_SQRT_PI);
                g.mul(dy, slope)
            }
            Unary::Cos => {
                // -sin x
                let ahead = g.add_scalar(x, std::f32::consts::FRAC_PI_2);
                let slope = g.unary(Unary::Cos, ahead);
                g.mul(dy, slope)
            }
            Unary::StopGradient => return Gradient::NotDifferentiable("its gradient is stopped on purpose"),
            Unary::Sign | Unary::Floor => return Gradient::NotDifferentiable(PIECEWISE),
        };
        Gradient::Inputs(vec![Some(dx)])
    }
}

impl Binary {
    /// Every kind with equal and with broadcast shapes.
    pub fn samples() -> Vec<Sample> {
        let shapes: [[&[usize]; 2]; 4] = [[&[3, 5], &[3, 5]], [&[3, 5], &[5]], [&[3, 1], &[3, 5]], [&[3, 5], &[]]];
        let fill = |kind: Binary, side: usize, shape: &[usize]| match (kind, side) {
            (Binary::Pow, 0) | (Binary::Div, 1) => SampleInput::Uniform(shape.to_vec(), 0.4, 2.0),
            (Binary::Maximum | Binary::Minimum | Binary::Equal | Binary::Greater | Binary::GreaterEqual, 0) => {
                SampleInput::Apart(shape.to_vec())
            }
            (Binary::Maximum | Binary::Minimum, _) => SampleInput::Uniform(shape.to_vec(), -0.04, 0.04),
            _ => SampleInput::Uniform(shape.to_vec(), -2.0, 2.0),
        };
        let mut samples = Vec::new();
        for &kind in Binary::ALL {
            for [a, b] in shapes {
                samples.push(Sample { op: kind.into(), inputs: vec![fill(kind, 0, a), fill(kind, 1, b)] });
            }
        }
        let of_integers = Binary::ALL.iter().filter(|kind| !matches!(kind, Binary::Div | Binary::Pow));
        for (&kind, [a, b]) in of_integers.flat_map(|kind| shapes.map(|shapes| (kind, shapes))) {
            let index = |shape: &[usize]| SampleInput::Index(shape.to_vec(), 4);
            samples.push(Sample { op: kind.into(), inputs: vec![index(a), index(b)] });
        }
        samples
    }

    /// Whether the answer is 0 or 1 rather than a measure.
    pub fn is_comparison(self) -> bool {
        matches!(self, Binary::Equal | Binary::Greater | Binary::GreaterEqual)
    }
}

impl OpRule for Binary {
    fn name(&self) -> &'static str {
        self.kind_name()
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [a, b] = arity(inputs)?;
        if a.dtype != b.dtype {
            return Err(format!("element types differ: {a} and {b}"));
        }
        if a.dtype == DType::I32 && matches!(self, Binary::Div | Binary::Pow) {
            return Err(format!("integers have no {}; cast {a} and {b} to f32", self.kind_name()));
        }
        let shape = broadcast_shapes(&a.shape, &b.shape)?;
        Ok(vec![Type { shape, dtype: a.dtype }])
    }

    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None, None]) };
        let (g, a, b, y) = (cx.graph, cx.inputs[0], cx.inputs[1], cx.outputs[0]);
        let (da, db) = match self {
            Binary::Add => (dy, dy),
            Binary::Sub => (dy, g.neg(dy)),
            Binary::Mul => (g.mul(dy, b), g.mul(dy, a)),
            Binary::Div => {
                let da = g.div(dy, b);
                let scaled = g.mul(da, y);
                (da, g.neg(scaled))
            }
            Binary::Maximum | Binary::Minimum => {
                // Whether y is a, told from y, so that b may be forgotten.
                let first = match self {
                    Binary::Maximum => g.binary(Binary::GreaterEqual, a, y),
                    _ => g.binary(Binary::GreaterEqual, y, a),
                };
                let da = g.mul(dy, first);
                (da, g.sub(dy, da))
            }
            Binary::Pow => {
                let ratio = g.div(y, a);
                let slope = g.mul(b, ratio);
                let log = g.unary(Unary::Log, a);
                let slope_b = g.mul(y, log);
                (g.mul(dy, slope), g.mul(dy, slope_b))
            }
            Binary::Equal | Binary::Greater | Binary::GreaterEqual => return Gradient::NotDifferentiable(PIECEWISE),
        };
        Gradient::Inputs(vec![Some(g.sum_to_shape_of(da, a)), Some(g.sum_to_shape_of(db, b))])
    }
}

impl Select {
    /// A condition of zeros and ones, with broadcasting.
    pub fn samples() -> Vec<Sample> {
        let uniform = |shape: &[usize]| SampleInput::Uniform(shape.to_vec(), -2.0, 2.0);
        vec![Sample {
            op: Select.into(),
            inputs: vec![SampleInput::Apart(vec![3, 5]), uniform(&[3, 5]), uniform(&[5])],
        }]
    }
}

impl OpRule for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [condition, a, b] = arity(inputs)?;
        for (name, ty) in [("condition", condition), ("a", a), ("b", b)] {
            require_f32(name, ty)?;
        }
        let shape = broadcast_shapes(&broadcast_shapes(&condition.shape, &a.shape)?, &b.shape)?;
        Ok(vec![Type::f32(shape)])
    }

    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None; 3]) };
        let (g, [condition, a, b]) = (cx.graph, [cx.inputs[0], cx.inputs[1], cx.inputs[2]]);
        let zero = g.constant(0.0);
        let da = g.select(condition, dy, zero);
        let db = g.select(condition, zero, dy);
        Gradient::Inputs(vec![None, Some(g.sum_to_shape_of(da, a)), Some(g.sum_to_shape_of(db, b))])
    }
}

impl Cast {
    /// Both directions.
    pub fn samples() -> Vec<Sample> {
        vec![
            Sample { op: Cast { dtype: DType::F32 }.into(), inputs: vec![SampleInput::Index(vec![3, 5], 9)] },
            Sample { op: Cast { dtype: DType::I32 }.into(), inputs: vec![SampleInput::Apart(vec![3, 5])] },
        ]
    }
}

impl OpRule for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn attributes(&self) -> String {
        self.dtype.name().to_string()
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        if !matches!(self.dtype, DType::F32 | DType::I32) {
            return Err(format!("a graph holds float32 and int32, not {}", self.dtype));
        }
        Ok(vec![Type { shape: x.shape.clone(), dtype: self.dtype }])
    }

    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable("integers have no gradient")
    }
}

impl Op {
    /// Whether the op works element by element, so that it may be fused into a [`super::Program`].
    pub fn is_elementwise(&self) -> bool {
        matches!(self, Op::Unary(_) | Op::Binary(_) | Op::Select(_) | Op::RandomUniform(_))
    }
}

/// The message for shapes that do not broadcast.
pub(crate) fn broadcast_fault(a: &[usize], b: &[usize], axis: usize) -> String {
    format!("shapes {} and {} do not broadcast on axis {axis}", display_shape(a), display_shape(b))
}
