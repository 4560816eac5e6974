//! Where values come from: inputs, states, constants.

use super::{Backward, Gradient, OpRule, Sample};
use crate::{Role, Type};
use footlight_tensor::display_shape;
use std::sync::Arc;

/// A value given for each run.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name it is fed by.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A value that outlives the step.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The unique name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// What it is for.
    pub role: Role,
}

/// What a scan gives to its body: a constant, a carry or one step of a sequence, see [`super::Scan`].
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Which of the scan's inputs.
    pub index: usize,
    /// Its type, of a sequence that of one step.
    pub ty: Type,
}

/// A scalar known when the graph is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    /// A float.
    F32(f32),
    /// An integer.
    I32(i32),
}

/// A tensor of floats known when the graph is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// The shape.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub values: Arc<[f32]>,
}

const SOURCE: &str = "a source reads nothing";

impl Input {
    /// None: a source has no inputs to differ by.
    pub fn samples() -> Vec<Sample> {
        vec![]
    }
}

impl State {
    /// None: a source has no inputs to differ by.
    pub fn samples() -> Vec<Sample> {
        vec![]
    }
}

impl Given {
    /// None: a source has no inputs to differ by.
    pub fn samples() -> Vec<Sample> {
        vec![]
    }
}

impl Constant {
    /// None: a source has no inputs to differ by.
    pub fn samples() -> Vec<Sample> {
        vec![]
    }
}

impl Literal {
    /// A matrix.
    pub fn samples() -> Vec<Sample> {
        let values = (0..15).map(|i| i as f32 * 0.3 - 2.0).collect();
        vec![Sample { op: Literal { shape: vec![3, 5], values }.into(), inputs: vec![] }]
    }
}

impl OpRule for Input {
    fn name(&self) -> &'static str {
        "input"
    }
    fn attributes(&self) -> String {
        self.name.clone()
    }
    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>, String> {
        Ok(vec![self.ty.clone()])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable(SOURCE)
    }
}

impl OpRule for State {
    fn name(&self) -> &'static str {
        "state"
    }
    fn attributes(&self) -> String {
        self.name.clone()
    }
    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>, String> {
        Ok(vec![self.ty.clone()])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable(SOURCE)
    }
}

impl OpRule for Given {
    fn name(&self) -> &'static str {
        "given"
    }
    fn attributes(&self) -> String {
        self.index.to_string()
    }
    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>, String> {
        Ok(vec![self.ty.clone()])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable(SOURCE)
    }
}

impl OpRule for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }
    fn attributes(&self) -> String {
        match self {
            Constant::F32(x) => x.to_string(),
            Constant::I32(x) => x.to_string(),
        }
    }
    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>, String> {
        Ok(vec![match self {
            Constant::F32(_) => Type::f32([]),
            Constant::I32(_) => Type::i32([]),
        }])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable(SOURCE)
    }
}

impl OpRule for Literal {
    fn name(&self) -> &'static str {
        "literal"
    }
    fn attributes(&self) -> String {
        display_shape(&self.shape)
    }
    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>, String> {
        let ty = Type::f32(self.shape.clone());
        if ty.len() != self.values.len() {
            return Err(format!("{} numbers are not those of {ty}", self.values.len()));
        }
        Ok(vec![ty])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable(SOURCE)
    }
}
