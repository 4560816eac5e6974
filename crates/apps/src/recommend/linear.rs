//! Dense matrices of the closed-form models: products, and the inverse of what is symmetric and positive definite.

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::time::Instant;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Accum, MatMut, MatRef, Par};
use footlight::{Error, ErrorKind, Result};

/// A matrix of floats, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub data: Vec<f32>,
}

impl Matrix {
    pub fn zeros(rows: usize, columns: usize) -> Matrix {
        Matrix { rows, columns, data: vec![0.0; rows * columns] }
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.columns..(row + 1) * self.columns]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.columns..(row + 1) * self.columns]
    }

    /// `A^T A`.
    pub fn gram(&self) -> Matrix {
        let mut gram = Matrix::zeros(self.columns, self.columns);
        let a = MatRef::from_row_major_slice(&self.data, self.rows, self.columns);
        triangular::matmul(
            MatMut::from_column_major_slice_mut(&mut gram.data, self.columns, self.columns),
            BlockStructure::TriangularLower,
            Accum::Replace,
            a.transpose(),
            BlockStructure::Rectangular,
            a,
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
        gram.mirror();
        gram
    }

    /// What stands on one side of the diagonal, on the other side too: the lower triangle of the columns, tile by tile.
    fn mirror(&mut self) {
        const TILE: usize = 32;
        let n = self.columns;
        for top in (0..n).step_by(TILE) {
            for left in (0..=top).step_by(TILE) {
                for row in top..(top + TILE).min(n) {
                    for column in left..(left + TILE).min(row) {
                        self.data[row * n + column] = self.data[column * n + row];
                    }
                }
            }
        }
    }

    /// The inverse of a symmetric positive definite matrix, by its Cholesky factor: two matrices of its size are held.
    ///
    /// # Errors
    /// A matrix that is not positive definite.
    pub fn inverse(mut self) -> Result<Matrix> {
        let n = self.rows;
        factor(MatMut::from_column_major_slice_mut(&mut self.data, n, n))?;
        let mut lower = Matrix::zeros(n, n);
        let factor = MatRef::from_column_major_slice(&self.data, n, n);
        invert_lower_triangular(MatMut::from_column_major_slice_mut(&mut lower.data, n, n), factor, Par::Seq);
        let inverse = MatRef::from_column_major_slice(&lower.data, n, n);
        triangular::matmul(
            MatMut::from_column_major_slice_mut(&mut self.data, n, n),
            BlockStructure::TriangularLower,
            Accum::Replace,
            inverse.transpose(),
            BlockStructure::TriangularUpper,
            inverse,
            BlockStructure::TriangularLower,
            1.0,
            Par::Seq,
        );
        self.mirror();
        Ok(self)
    }

    /// `A^-1 b` of a symmetric positive definite matrix, in place of each of the columns of which `b` is made.
    ///
    /// # Errors
    /// A matrix that is not positive definite.
    pub fn solve(mut self, b: &mut [f32]) -> Result<()> {
        let n = self.rows;
        factor(MatMut::from_column_major_slice_mut(&mut self.data, n, n))?;
        let factor = MatRef::from_column_major_slice(&self.data, n, n);
        let columns = MatMut::from_column_major_slice_mut(b, n, b.len() / n.max(1));
        llt::solve::solve_in_place(factor, columns, Par::Seq, MemStack::new(&mut [] as &mut [MaybeUninit<u8>]));
        Ok(())
    }
}

/// Floating-point operations that a core does in a second in products of matrices, timed once: the best of three.
pub(crate) fn operations_per_second() -> f64 {
    const SIZE: usize = 384;
    static SPEED: OnceLock<f64> = OnceLock::new();
    *SPEED.get_or_init(|| {
        let a = Matrix { rows: SIZE, columns: SIZE, data: (0..SIZE * SIZE).map(|i| (i % 7) as f32).collect() };
        let time = |_| {
            let start = Instant::now();
            std::hint::black_box(a.gram());
            start.elapsed().as_secs_f64()
        };
        (SIZE as f64).powi(3) / (0..3).map(time).fold(f64::INFINITY, f64::min).max(1e-9)
    })
}

/// The Cholesky factor in place of the lower triangle.
fn factor(a: MatMut<'_, f32>) -> Result<()> {
    let mut memory =
        MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f32>(a.nrows(), Par::Seq, Default::default()));
    let stack = MemStack::new(&mut memory);
    let done = llt::factor::cholesky_in_place(a, Default::default(), Par::Seq, stack, Default::default());
    done.map(drop).map_err(|_| {
        let message = "the matrix of the closed form is not positive definite";
        Error::new(ErrorKind::Numeric, message).help("choose a larger regularization")
    })
}

/// `sum_i a_i b_i`.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (heads_a, rest_a) = a.as_chunks::<16>();
    let (heads_b, rest_b) = b.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (a, b) in heads_a.iter().zip(heads_b) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}

/// `y += a x`.
pub(crate) fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight::tensor::{Philox, RandomKey};

    fn random(rows: usize, columns: usize) -> Matrix {
        let mut draw = Philox::new(RandomKey::new(1));
        Matrix { rows, columns, data: (0..rows * columns).map(|_| draw.normal() as f32).collect() }
    }

    fn product(a: &Matrix, b: &Matrix) -> Matrix {
        let mut c = Matrix::zeros(a.rows, b.columns);
        for i in 0..a.rows {
            for k in 0..a.columns {
                add_scaled(c.row_mut(i), a.row(i)[k], b.row(k));
            }
        }
        c
    }

    fn transposed(a: &Matrix) -> Matrix {
        let data = (0..a.columns * a.rows).map(|i| a.data[i % a.rows * a.columns + i / a.rows]).collect();
        Matrix { rows: a.columns, columns: a.rows, data }
    }

    #[test]
    fn a_matrix_times_its_inverse_is_the_identity() {
        for n in [1, 2, 17, 70] {
            let a = random(2 * n + 3, n);
            let gram = a.gram();
            let naive = product(&transposed(&a), &a);
            assert!(gram.data.iter().zip(&naive.data).all(|(a, b)| (a - b).abs() < 1e-4 * n as f32), "{n}");
            let identity = product(&gram, &gram.clone().inverse().unwrap());
            for (index, value) in identity.data.iter().enumerate() {
                let expected = f32::from(u8::from(index / n == index % n));
                assert!((value - expected).abs() < 1e-3, "{n}: {value}");
            }
        }
    }

    #[test]
    fn solving_gives_what_the_inverse_gives() {
        let gram = random(40, 13).gram();
        let inverse = gram.clone().inverse().unwrap();
        let mut b: Vec<f32> = (0..26).map(|i| (i as f32).sin()).collect();
        let expected: Vec<f32> =
            b.chunks(13).flat_map(|b| (0..13).map(|i| dot(inverse.row(i), b)).collect::<Vec<_>>()).collect();
        gram.solve(&mut b).unwrap();
        assert!(b.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let a = Matrix { rows: 2, columns: 2, data: vec![1.0, 2.0, 2.0, 1.0] };
        assert_eq!(a.inverse().unwrap_err().kind(), ErrorKind::Numeric);
    }
}
