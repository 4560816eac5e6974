//! Random numbers as a function of a key, the step and the element.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_i32};
use crate::Type;
use footlight_tensor::{RandomKey, display_shape};

/// Uniform numbers in `[0, 1)` with 24 random bits; input: the step as an i32 scalar.
///
/// Element `e` of step `t` is word `e % 4` of Philox block `(e / 4, t)` under `key`, shifted right by 8, over `2^24`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomUniform {
    /// The stream: seed, layer path and call index.
    pub key: RandomKey,
    /// The shape of the output.
    pub shape: Vec<usize>,
}

impl RandomUniform {
    /// One stream at one step.
    pub fn samples() -> Vec<Sample> {
        let op = RandomUniform { key: RandomKey::new(1), shape: vec![3, 5] }.into();
        vec![Sample { op, inputs: vec![SampleInput::Index(vec![], 9)] }]
    }
}

impl OpRule for RandomUniform {
    fn name(&self) -> &'static str {
        "random_uniform"
    }
    fn attributes(&self) -> String {
        format!("key={:016x}, {}", self.key.0, display_shape(&self.shape))
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [step] = arity(inputs)?;
        require_i32("step", step)?;
        if step.rank() != 0 {
            return Err(format!("step must be a scalar, got {step}"));
        }
        Ok(vec![Type::f32(self.shape.clone())])
    }
    fn gradient(&self, _: Backward<'_>) -> Gradient {
        Gradient::NotDifferentiable("random numbers depend on no float")
    }
}
