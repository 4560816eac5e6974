//! Element types of host tensors.

use std::fmt;

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit IEEE float: parameters, activations, gradients.
    F32,
    /// 64-bit IEEE float: read from files, and the precision of gradient checks.
    F64,
    /// 32-bit signed integer: labels, counters.
    I32,
    /// 64-bit signed integer: labels from files.
    I64,
    /// Byte: pictures, small labels.
    U8,
}

impl DType {
    /// The size of one element in bytes.
    pub fn size_bytes(self) -> usize {
        match self {
            DType::U8 => 1,
            DType::F32 | DType::I32 => 4,
            DType::F64 | DType::I64 => 8,
        }
    }

    /// The name Keras and NumPy give to it, such as `float32`.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U8 => "uint8",
        }
    }

    /// Whether the type counts rather than measures.
    pub fn is_integer(self) -> bool {
        matches!(self, DType::I32 | DType::I64 | DType::U8)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
