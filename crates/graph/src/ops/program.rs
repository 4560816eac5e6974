//! Several elementwise ops in one pass over memory.

use super::{Backward, Binary, Gradient, OpRule, Sample, SampleInput, Unary, require_f32};
use crate::Type;
use crate::builder::broadcast_shapes;
use footlight_tensor::{DType, RandomKey};

/// What an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    /// Input `i` of the program, broadcast to the output's shape.
    Input(usize),
    /// What instruction `i` of the program gave.
    Register(usize),
    /// A number.
    Constant(f32),
}

/// One elementwise step; its result is the register of its own position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    /// A function of one operand.
    Unary(Unary, Operand),
    /// A function of two operands.
    Binary(Binary, Operand, Operand),
    /// The second operand where the first is not 0, else the third.
    Select(Operand, Operand, Operand),
    /// Uniform random numbers of `key` at the step held by i32 input `step`, see [`super::RandomUniform`].
    Uniform {
        /// The stream.
        key: RandomKey,
        /// Which input holds the step.
        step: usize,
    },
}

/// A list of elementwise instructions with one output, the last register.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The instructions, each reading inputs and earlier registers.
    pub instructions: Vec<Instruction>,
    /// The shape of the output, to which inputs broadcast.
    pub shape: Vec<usize>,
}

impl Instruction {
    /// The operands read.
    pub fn operands(&self) -> impl Iterator<Item = Operand> {
        let list: [Option<Operand>; 3] = match *self {
            Instruction::Unary(_, a) => [Some(a), None, None],
            Instruction::Binary(_, a, b) => [Some(a), Some(b), None],
            Instruction::Select(c, a, b) => [Some(c), Some(a), Some(b)],
            Instruction::Uniform { .. } => [None; 3],
        };
        list.into_iter().flatten()
    }
}

impl Program {
    /// A chain with a constant, a broadcast input, a comparison and a selection.
    pub fn samples() -> Vec<Sample> {
        use Operand::{Constant, Input, Register};
        let instructions = vec![
            Instruction::Binary(Binary::Add, Input(0), Input(1)),
            Instruction::Unary(Unary::Tanh, Register(0)),
            Instruction::Binary(Binary::Greater, Input(2), Constant(0.0)),
            Instruction::Select(Register(2), Register(1), Register(0)),
            Instruction::Binary(Binary::Mul, Register(3), Constant(1.25)),
        ];
        let uniform = |shape: &[usize]| SampleInput::Uniform(shape.to_vec(), -2.0, 2.0);
        let inputs = vec![uniform(&[3, 5]), uniform(&[5]), uniform(&[3, 1])];
        vec![Sample { op: Program { instructions, shape: vec![3, 5] }.into(), inputs }]
    }
}

impl OpRule for Program {
    fn name(&self) -> &'static str {
        "program"
    }

    fn attributes(&self) -> String {
        let names = self.instructions.iter().map(|instruction| match instruction {
            Instruction::Unary(kind, _) => kind.kind_name(),
            Instruction::Binary(kind, ..) => kind.kind_name(),
            Instruction::Select(..) => "select",
            Instruction::Uniform { .. } => "random_uniform",
        });
        names.collect::<Vec<_>>().join(" ")
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        if self.instructions.is_empty() {
            return Err("has no instructions".into());
        }
        for (index, instruction) in self.instructions.iter().enumerate() {
            for operand in instruction.operands() {
                let legal = match operand {
                    Operand::Input(i) => inputs.get(i).is_some_and(|ty| ty.dtype == DType::F32),
                    Operand::Register(r) => r < index,
                    Operand::Constant(_) => true,
                };
                if !legal {
                    return Err(format!("instruction {index} reads {operand:?}, which is not there"));
                }
            }
            if let Instruction::Uniform { step, .. } = instruction
                && inputs.get(*step).is_none_or(|ty| ty.dtype != DType::I32 || ty.rank() != 0)
            {
                return Err(format!("instruction {index} needs an i32 scalar as input {step}"));
            }
        }
        for ty in inputs.iter().filter(|ty| ty.dtype != DType::I32) {
            require_f32("input", ty)?;
            if broadcast_shapes(&ty.shape, &self.shape)? != self.shape {
                return Err(format!("input {ty} does not broadcast to {:?}", self.shape));
            }
        }
        Ok(vec![Type::f32(self.shape.clone())])
    }

    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable("programs are made by fusion, after differentiation")
    }
}
