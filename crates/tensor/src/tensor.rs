//! Contiguous row-major tensors.

use crate::{DType, Error, ErrorKind};

/// The elements of a tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Bytes.
    U8(Vec<u8>),
}

macro_rules! for_each_data {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            Data::F32($v) => $body,
            Data::F64($v) => $body,
            Data::I32($v) => $body,
            Data::I64($v) => $body,
            Data::U8($v) => $body,
        }
    };
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        for_each_data!(self, v => v.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::U8(_) => DType::U8,
        }
    }
}

macro_rules! from_vec {
    ($($t:ty => $variant:ident),*) => {$(
        impl From<Vec<$t>> for Data {
            fn from(v: Vec<$t>) -> Data {
                Data::$variant(v)
            }
        }
    )*};
}
from_vec!(f32 => F32, f64 => F64, i32 => I32, i64 => I64, u8 => U8);

/// A host tensor: a shape and its elements, contiguous and row-major.
///
/// # Examples
/// ```
/// use footlight_tensor::Tensor;
/// let t = Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
/// assert_eq!(t.shape(), [2, 3]);
/// assert_eq!(t.to_f32()[5], 6.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Errors
    /// `ErrorKind::Shape` when the product of the extents is not the number of elements.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Data>) -> Result<Tensor, Error> {
        let (shape, data) = (shape.into(), data.into());
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count != Some(data.len()) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("shape {} does not hold {} elements", display_shape(&shape), data.len()),
            ));
        }
        Ok(Tensor { shape, data })
    }

    /// A tensor of rank 0.
    pub fn scalar(value: f32) -> Tensor {
        Tensor { shape: vec![], data: Data::F32(vec![value]) }
    }

    /// The extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, given up.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The elements as `f32` if that is their type.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The elements converted to `f32` (rounded to nearest).
    #[allow(clippy::unnecessary_cast, reason = "one line for every element type")]
    pub fn to_f32(&self) -> Vec<f32> {
        for_each_data!(&self.data, v => v.iter().map(|&x| x as f32).collect())
    }

    /// The elements converted to `f64`.
    #[allow(clippy::unnecessary_cast, reason = "one line for every element type")]
    pub fn to_f64(&self) -> Vec<f64> {
        for_each_data!(&self.data, v => v.iter().map(|&x| x as f64).collect())
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// `ErrorKind::Shape` when the element counts differ.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Result<Tensor, Error> {
        Tensor::new(shape, self.data)
    }
}

/// A shape as people read it: `[2, 3]`.
pub fn display_shape(shape: &[usize]) -> String {
    let parts: Vec<String> = shape.iter().map(|d| d.to_string()).collect();
    format!("[{}]", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_does_not_hold_the_data_is_refused() {
        let error = Tensor::new([2, 2], vec![1.0f32; 3]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        assert_eq!(error.message(), "shape [2, 2] does not hold 3 elements");
        assert!(Tensor::new([usize::MAX, 2], vec![0u8; 4]).is_err());
    }
}
