//! What a run is given: whole tensors, or rows gathered from a data set as the step needs them.

use crate::isa::Isa;
use footlight_tensor::{DType, Data, Tensor};

/// The value of one input for one run.
#[derive(Clone, Copy, Debug)]
pub enum Feed<'a> {
    /// All elements.
    F32(&'a [f32]),
    /// All elements.
    I32(&'a [i32]),
    /// Row `i` of the input is row `first + rows[i]` of `table`, converted and, if the input holds floats, mapped to
    /// `x * scale + offset`.
    Gather {
        /// The samples along axis 0.
        table: &'a Tensor,
        /// The sample that row 0 stands for.
        first: usize,
        /// Which of them, counted from `first`.
        rows: &'a [u32],
        /// Multiplies each element.
        scale: f32,
        /// Added to each element.
        offset: f32,
    },
}

impl Feed<'_> {
    /// Why this feed does not hold `rows` rows of `row_len` elements of `dtype`; `None` if it does.
    pub(crate) fn mismatch(&self, dtype: DType, rows: usize, row_len: usize) -> Option<String> {
        let wanted = rows * row_len;
        match self {
            Feed::F32(data) if dtype != DType::F32 || data.len() != wanted => {
                Some(format!("{} float32 elements given, {wanted} {dtype} wanted", data.len()))
            }
            Feed::I32(data) if dtype != DType::I32 || data.len() != wanted => {
                Some(format!("{} int32 elements given, {wanted} {dtype} wanted", data.len()))
            }
            Feed::Gather { table, first, rows: chosen, .. } => {
                let count = table.shape().first().copied().unwrap_or(0);
                let has = table.len().checked_div(count).unwrap_or(0);
                if chosen.len() != rows || has != row_len {
                    return Some(format!("{} rows of {has} elements given, {rows} of {row_len} wanted", chosen.len()));
                }
                let outside = chosen.iter().find(|&&r| first + r as usize >= count);
                outside.map(|row| format!("row {row} asked for, the table has {count}"))
            }
            _ => None,
        }
    }

    /// Writes rows `first..first + count` of the input as floats.
    #[inline]
    pub(crate) fn write_f32(&self, isa: Isa, first: usize, row_len: usize, out: &mut [f32]) {
        match self {
            Feed::F32(data) => out.copy_from_slice(&data[first * row_len..][..out.len()]),
            Feed::I32(_) => unreachable!("refused by mismatch"),
            Feed::Gather { table, first: base, rows, scale, offset } => {
                for (row, out) in rows[first..].iter().zip(out.chunks_exact_mut(row_len.max(1))) {
                    let at = (base + *row as usize) * row_len;
                    convert(isa, table.data(), at, *scale, *offset, out);
                }
            }
        }
    }

    /// Writes rows `first..first + count` of the input as integers.
    pub(crate) fn write_i32(&self, first: usize, row_len: usize, out: &mut [i32]) {
        match self {
            Feed::I32(data) => out.copy_from_slice(&data[first * row_len..][..out.len()]),
            Feed::F32(_) => unreachable!("refused by mismatch"),
            Feed::Gather { table, first: base, rows, .. } => {
                for (row, out) in rows[first..].iter().zip(out.chunks_exact_mut(row_len.max(1))) {
                    let at = (base + *row as usize) * row_len;
                    integers(table.data(), at, out);
                }
            }
        }
    }
}

fn convert(isa: Isa, data: &Data, at: usize, scale: f32, offset: f32, out: &mut [f32]) {
    match data {
        Data::U8(v) => crate::kernels::layout::bytes_to_f32(isa, &v[at..][..out.len()], scale, offset, out),
        Data::F32(v) if scale == 1.0 && offset == 0.0 => out.copy_from_slice(&v[at..][..out.len()]),
        Data::F32(v) => map(&v[at..], scale, offset, out, |x| x),
        Data::F64(v) => map(&v[at..], scale, offset, out, |x| x as f32),
        Data::I32(v) => map(&v[at..], scale, offset, out, |x| x as f32),
        Data::I64(v) => map(&v[at..], scale, offset, out, |x| x as f32),
    }
}

fn map<T: Copy>(from: &[T], scale: f32, offset: f32, out: &mut [f32], float: impl Fn(T) -> f32) {
    for (out, x) in out.iter_mut().zip(from) {
        *out = float(*x) * scale + offset;
    }
}

fn integers(data: &Data, at: usize, out: &mut [i32]) {
    fn copy<T: Copy>(from: &[T], out: &mut [i32], integer: impl Fn(T) -> i32) {
        for (out, x) in out.iter_mut().zip(from) {
            *out = integer(*x);
        }
    }
    match data {
        Data::U8(v) => copy(&v[at..], out, i32::from),
        Data::I32(v) => copy(&v[at..], out, |x| x),
        Data::I64(v) => copy(&v[at..], out, |x| x as i32),
        Data::F32(v) => copy(&v[at..], out, |x| x as i32),
        Data::F64(v) => copy(&v[at..], out, |x| x as i32),
    }
}
