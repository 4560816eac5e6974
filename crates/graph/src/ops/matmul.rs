//! The matrix product.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32};
use crate::Type;
use footlight_tensor::display_shape;

/// `y = op(a) op(b)` where `op` transposes if asked; transposes are strides, never copies.
///
/// # Shapes
/// `op(a)`: `[M, K]`, `op(b)`: `[K, N]`, output `[M, N]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Whether `a` is given as `[K, M]`.
    pub transpose_a: bool,
    /// Whether `b` is given as `[N, K]`.
    pub transpose_b: bool,
}

impl MatMul {
    /// `(M, N, K)` for these inputs.
    pub fn extents(&self, a: &[usize], b: &[usize]) -> (usize, usize, usize) {
        let (m, k) = if self.transpose_a { (a[1], a[0]) } else { (a[0], a[1]) };
        let n = if self.transpose_b { b[0] } else { b[1] };
        (m, n, k)
    }

    /// All four ways to transpose.
    pub fn samples() -> Vec<Sample> {
        let uniform = |rows: usize, columns: usize| SampleInput::Uniform(vec![rows, columns], -2.0, 2.0);
        [(false, false), (true, false), (false, true), (true, true)]
            .into_iter()
            .map(|(transpose_a, transpose_b)| Sample {
                op: MatMul { transpose_a, transpose_b }.into(),
                inputs: vec![
                    if transpose_a { uniform(5, 3) } else { uniform(3, 5) },
                    if transpose_b { uniform(4, 5) } else { uniform(5, 4) },
                ],
            })
            .collect()
    }
}

impl OpRule for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn attributes(&self) -> String {
        match (self.transpose_a, self.transpose_b) {
            (false, false) => String::new(),
            (true, false) => "transpose_a".into(),
            (false, true) => "transpose_b".into(),
            (true, true) => "transpose_a, transpose_b".into(),
        }
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [a, b] = arity(inputs)?;
        require_f32("a", a)?;
        require_f32("b", b)?;
        if a.rank() != 2 || b.rank() != 2 {
            return Err(format!("takes matrices, got {} and {}", display_shape(&a.shape), display_shape(&b.shape)));
        }
        let inner_a = a.shape[if self.transpose_a { 0 } else { 1 }];
        let inner_b = b.shape[if self.transpose_b { 1 } else { 0 }];
        if inner_a != inner_b {
            return Err(format!(
                "inner extents differ: {inner_a} in {} and {inner_b} in {}",
                display_shape(&a.shape),
                display_shape(&b.shape)
            ));
        }
        let (m, n, _) = self.extents(&a.shape, &b.shape);
        Ok(vec![Type::f32([m, n])])
    }

    /// With `C = A B`: `dA = dC B^T`, `dB = A^T dC`; transposed inputs get the transpose of that.
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None, None]) };
        let (g, a, b) = (cx.graph, cx.inputs[0], cx.inputs[1]);
        let da = match (self.transpose_a, self.transpose_b) {
            (false, tb) => g.matmul_with(dy, b, false, !tb),
            (true, tb) => g.matmul_with(b, dy, tb, true),
        };
        let db = match (self.transpose_a, self.transpose_b) {
            (ta, false) => g.matmul_with(a, dy, !ta, false),
            (ta, true) => g.matmul_with(dy, a, true, ta),
        };
        Gradient::Inputs(vec![Some(da), Some(db)])
    }
}
