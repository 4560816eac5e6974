//! The matrix product.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32};
use crate::Type;
use footlight_tensor::display_shape;

/// `y = op(a) op(b)` where `op` transposes the last two axes if asked; transposes are strides, never copies.
///
/// # Shapes
/// `op(a)`: `[..., M, K]`, `op(b)`: `[..., K, N]`, output `[..., M, N]`; the leading extents are those of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Whether `a` is given as `[..., K, M]`.
    pub transpose_a: bool,
    /// Whether `b` is given as `[..., N, K]`.
    pub transpose_b: bool,
}

impl MatMul {
    /// `(M, N, K)` for inputs of these shapes.
    pub fn extents(&self, a: &[usize], b: &[usize]) -> (usize, usize, usize) {
        let last_two = |shape: &[usize], is_turned: bool| match shape {
            [.., columns, rows] if is_turned => (*rows, *columns),
            [.., rows, columns] => (*rows, *columns),
            _ => unreachable!("the shape rule asks for two axes"),
        };
        let (m, k) = last_two(a, self.transpose_a);
        (m, last_two(b, self.transpose_b).1, k)
    }

    /// Floating-point operations for inputs of these shapes: two for each term.
    pub fn flops(&self, a: &[usize], b: &[usize]) -> f64 {
        let (_, n, _) = self.extents(a, b);
        2.0 * a.iter().product::<usize>() as f64 * n as f64
    }

    /// All four ways to transpose, of matrices and of batches of them.
    pub fn samples() -> Vec<Sample> {
        let uniform = |lead: &[usize], matrix: [usize; 2]| SampleInput::Uniform([lead, &matrix].concat(), -2.0, 2.0);
        let mut samples = Vec::new();
        for lead in [[].as_slice(), &[2], &[3, 2]] {
            for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
                let a = uniform(lead, if transpose_a { [5, 3] } else { [3, 5] });
                let b = uniform(lead, if transpose_b { [4, 5] } else { [5, 4] });
                samples.push(Sample { op: MatMul { transpose_a, transpose_b }.into(), inputs: vec![a, b] });
            }
        }
        samples
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
        let both = || format!("{} and {}", display_shape(&a.shape), display_shape(&b.shape));
        let ([lead_a @ .., row_a, column_a], [lead_b @ .., row_b, column_b]) = (&a.shape[..], &b.shape[..]) else {
            return Err(format!("takes matrices or batches of them, got {}", both()));
        };
        if lead_a != lead_b {
            return Err(format!("the leading extents of {} differ", both()));
        }
        let inner_a = if self.transpose_a { row_a } else { column_a };
        let inner_b = if self.transpose_b { column_b } else { row_b };
        if inner_a != inner_b {
            let (a, b) = (display_shape(&a.shape), display_shape(&b.shape));
            return Err(format!("inner extents differ: {inner_a} in {a} and {inner_b} in {b}"));
        }
        let (m, n, _) = self.extents(&a.shape, &b.shape);
        Ok(vec![Type::f32([lead_a, &[m, n]].concat())])
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
