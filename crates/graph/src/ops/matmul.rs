//! The matrix product.

use super::elementwise::Binary;
use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32};
use crate::{Builder, Type, Value};
use footlight_tensor::{DType, display_shape};

/// `y = op(a) op(b)` where `op` transposes the last two axes if asked; transposes are strides, never copies.
///
/// # Shapes
/// `op(a)`: `[..., M, K]`, `op(b)`: `[..., K, N]`, output `[..., M, N]`; the leading extents are those of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatMul {
    /// Whether `a` is given as `[..., K, M]`.
    pub transpose_a: bool,
    /// Whether `b` is given as `[..., N, K]`.
    pub transpose_b: bool,
    /// The matrix of which only the lower triangle counts, as where no step looks at later ones; for batches of matrices.
    pub lower: Option<Lower>,
}

/// A matrix of a product whose elements above the diagonal are zero, whatever they are: they are not read, or not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lower {
    /// The left one, as it is given.
    A,
    /// The result.
    Output,
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

    /// Floating-point operations for inputs of these shapes: two for each term that is not zero.
    pub fn flops(&self, a: &[usize], b: &[usize]) -> f64 {
        let (m, n, k) = self.extents(a, b);
        let lead: usize = a[..a.len() - 2].iter().product();
        let below = |rows: usize, columns: usize| (1..=rows).map(|row| row.min(columns)).sum::<usize>();
        let (pairs, others) = match self.lower {
            None => (m * k, n),
            Some(Lower::Output) => (below(m, n), k),
            Some(Lower::A) if self.transpose_a => (below(k, m), n),
            Some(Lower::A) => (below(m, k), n),
        };
        2.0 * lead as f64 * pairs as f64 * others as f64
    }

    /// All four ways to transpose, of matrices and of batches of them, and of triangles in batches.
    pub fn samples() -> Vec<Sample> {
        let uniform = |lead: &[usize], matrix: [usize; 2]| SampleInput::Uniform([lead, &matrix].concat(), -2.0, 2.0);
        let mut samples = Vec::new();
        for lead in [[].as_slice(), &[2], &[3, 2]] {
            for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
                let a = uniform(lead, if transpose_a { [5, 3] } else { [3, 5] });
                let b = uniform(lead, if transpose_b { [4, 5] } else { [5, 4] });
                for lower in [None, Some(Lower::A), Some(Lower::Output)] {
                    if lower.is_none() || !lead.is_empty() {
                        let op = MatMul { transpose_a, transpose_b, lower };
                        samples.push(Sample { op: op.into(), inputs: vec![a.clone(), b.clone()] });
                    }
                }
            }
        }
        samples
    }
}

/// The matrices of `x` with zeros above their diagonals.
fn lower_triangle(g: &mut Builder, x: Value) -> Value {
    let shape = g.shape(x);
    let [.., rows, columns] = shape[..] else { return x };
    let [row, column] = [0, 1].map(|axis| g.iota([rows, columns], axis));
    let is_below = g.binary(Binary::GreaterEqual, row, column);
    let is_below = g.cast(is_below, DType::F32);
    let zero = g.constant(0.0);
    g.select(is_below, x, zero)
}

impl OpRule for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn attributes(&self) -> String {
        let lower = self.lower.map(|lower| if lower == Lower::A { "lower a" } else { "lower output" });
        let transposed = [(self.transpose_a, "transpose_a"), (self.transpose_b, "transpose_b")];
        let told: Vec<&str> = transposed.into_iter().filter_map(|(is, name)| is.then_some(name)).chain(lower).collect();
        told.join(", ")
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
        if self.lower.is_some() && lead_a.is_empty() {
            return Err(format!("a triangle takes batches of matrices, got {}", both()));
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

    /// With `C = A B`: `dA = dC B^T`, `dB = A^T dC`; transposed inputs get the transpose of that. Of a triangle that stands
    /// on the left again only the triangle is read, on the right its other half is made zero.
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None, None]) };
        let (g, a, b) = (cx.graph, cx.inputs[0], cx.inputs[1]);
        let (of_a, of_output) = (self.lower == Some(Lower::A), self.lower == Some(Lower::Output));
        let only = |lower: Lower, is: bool| is.then_some(lower);
        let right = |g: &mut Builder, x: Value, is: bool| if is { lower_triangle(g, x) } else { x };
        // What is asked of `a` as it is given is asked of its gradient.
        let of_da = only(Lower::Output, of_a);
        let da = match (self.transpose_a, self.transpose_b) {
            (false, tb) => g.matmul_lower(dy, b, [false, !tb], of_da.or(only(Lower::A, of_output))),
            (true, tb) => {
                let dy = right(g, dy, of_output);
                g.matmul_lower(b, dy, [tb, true], of_da)
            }
        };
        let db = match (self.transpose_a, self.transpose_b) {
            (ta, false) => {
                let dy = right(g, dy, of_output);
                g.matmul_lower(a, dy, [!ta, false], only(Lower::A, of_a))
            }
            (ta, true) => {
                let a = right(g, a, of_a);
                g.matmul_lower(dy, a, [true, ta], only(Lower::A, of_output))
            }
        };
        Gradient::Inputs(vec![Some(da), Some(db)])
    }
}
