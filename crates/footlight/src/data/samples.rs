//! Columns of samples in the type they were stored in.

use std::{
    ops::{Add, Div, Mul, Range, Sub},
    sync::Arc,
};

use footlight_tensor::{DType, Data, Philox, RandomKey, Tensor};

/// A column of samples: a tensor in its stored type, and an affine map that is applied as rows are read.
///
/// Bytes stay bytes: 60,000 pictures of 28 x 28 take 47 MB, not the 188 MB of `f32`. Dividing by 255 only changes the
/// map, so it costs nothing. Cloning and slicing share the elements.
///
/// The value of a stored element `s` is `s * scale + offset`, in `f32`.
///
/// # Numerics
/// Several operations are composed into one map, so `x / 255.0` is `s * (1.0 / 255.0)`, which may differ from
/// `s / 255.0` by one unit in the last place.
///
/// # Examples
/// ```
/// use footlight::data::Samples;
/// use footlight_tensor::Tensor;
/// let x = Samples::from(Tensor::new([2, 2], vec![0u8, 255, 102, 51]).unwrap()) / 255.0;
/// let mut row = [0.0; 2];
/// x.row_f32(0, &mut row);
/// assert_eq!(row, [0.0, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Samples {
    tensor: Arc<Tensor>,
    range: Range<usize>,
    scale: f32,
    offset: f32,
}

impl From<Tensor> for Samples {
    /// Axis 0 counts the samples; a tensor of rank 0 is one sample.
    fn from(tensor: Tensor) -> Samples {
        let num_samples = tensor.shape().first().copied().unwrap_or(1);
        Samples { tensor: Arc::new(tensor), range: 0..num_samples, scale: 1.0, offset: 0.0 }
    }
}

impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The shape of one sample: the tensor's without axis 0.
    pub fn sample_shape(&self) -> &[usize] {
        self.tensor.shape().get(1..).unwrap_or(&[])
    }

    /// The number of elements of one sample.
    pub fn sample_len(&self) -> usize {
        self.sample_shape().iter().product()
    }

    /// The stored element type.
    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// The stored tensor, whole and unmapped; these samples are its rows [`Samples::range`].
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The rows of the stored tensor that are these samples.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The map from stored elements to values: `(scale, offset)`.
    pub fn scale_offset(&self) -> (f32, f32) {
        (self.scale, self.offset)
    }

    /// The samples of `range`, sharing the elements; a range past the end stops at the end, as slices do in NumPy.
    pub fn slice(&self, range: Range<usize>) -> Samples {
        let end = self.range.start + range.end.min(self.len());
        let start = (self.range.start + range.start.min(self.len())).min(end);
        Samples { range: start..end, ..self.clone() }
    }

    /// Writes the values of sample `index` to `row`.
    ///
    /// As with a slice, `index` is below [`Samples::len`], and `row` has the length [`Samples::sample_len`].
    pub fn row_f32(&self, index: usize, row: &mut [f32]) {
        let elements = self.elements(index..index + 1);
        let (scale, offset) = (self.scale, self.offset);
        macro_rules! convert {
            ($stored:expr) => {{
                let stored = &$stored[elements];
                assert_eq!(stored.len(), row.len(), "the row has the length of a sample");
                if (scale, offset) == (1.0, 0.0) {
                    row.iter_mut().zip(stored).for_each(|(value, &s)| *value = s as f32);
                } else {
                    row.iter_mut().zip(stored).for_each(|(value, &s)| *value = s as f32 * scale + offset);
                }
            }};
        }
        match self.tensor.data() {
            Data::F32(v) => convert!(v),
            Data::F64(v) => convert!(v),
            Data::I32(v) => convert!(v),
            Data::I64(v) => convert!(v),
            Data::U8(v) => convert!(v),
        }
    }

    /// A number that tells these samples from others: of their shape, their stored elements and their map.
    pub(crate) fn digest(&self) -> u64 {
        let elements = self.elements(0..self.len());
        let seed = self.sample_shape().iter().fold(self.len() as u64, |hash, extent| mixed(hash, *extent as u64));
        let map = u64::from(self.scale.to_bits()) << 32 | u64::from(self.offset.to_bits());
        let of = |words: &mut dyn Iterator<Item = u64>| words.fold(mixed(seed, map), mixed);
        match self.tensor.data() {
            Data::F32(v) => of(&mut v[elements].iter().map(|x| u64::from(x.to_bits()))),
            Data::F64(v) => of(&mut v[elements].iter().map(|x| x.to_bits())),
            Data::I32(v) => of(&mut v[elements].iter().map(|x| *x as u64)),
            Data::I64(v) => of(&mut v[elements].iter().map(|x| *x as u64)),
            Data::U8(v) => {
                let (words, rest) = v[elements].as_chunks::<8>();
                let rest = rest.iter().map(|byte| u64::from(*byte));
                of(&mut words.iter().map(|word| u64::from_le_bytes(*word)).chain(rest))
            }
        }
    }

    /// The same samples, each of another shape with as many elements.
    ///
    /// # Errors
    /// `ErrorKind::Shape` when the counts differ.
    pub fn reshape(self, sample_shape: &[usize]) -> crate::Result<Samples> {
        let count = self.tensor.shape().first().copied().unwrap_or(1);
        let tensor = Arc::unwrap_or_clone(self.tensor).reshape([&[count], sample_shape].concat())?;
        Ok(Samples { tensor: Arc::new(tensor), ..self })
    }

    /// The stored whole number of sample `index`, of its first element if it has several; the map does not apply.
    ///
    /// Fractions are cut off. As with a slice, `index` is below [`Samples::len`].
    pub fn label(&self, index: usize) -> i64 {
        let at = self.elements(index..index + 1).start;
        match self.tensor.data() {
            Data::F32(v) => v[at] as i64,
            Data::F64(v) => v[at] as i64,
            Data::I32(v) => i64::from(v[at]),
            Data::I64(v) => v[at],
            Data::U8(v) => i64::from(v[at]),
        }
    }

    /// A tensor of these samples alone: in the stored type if no map was set, else mapped to `f32`.
    pub fn to_tensor(&self) -> Tensor {
        let mut shape = vec![self.len()];
        shape.extend(self.sample_shape());
        let elements = self.elements(0..self.len());
        let data: Data = if self.scale_offset() == (1.0, 0.0) {
            match self.tensor.data() {
                Data::F32(v) => v[elements].to_vec().into(),
                Data::F64(v) => v[elements].to_vec().into(),
                Data::I32(v) => v[elements].to_vec().into(),
                Data::I64(v) => v[elements].to_vec().into(),
                Data::U8(v) => v[elements].to_vec().into(),
            }
        } else {
            let mut values = vec![0.0; elements.len()];
            for (index, row) in values.chunks_mut(self.sample_len().max(1)).enumerate() {
                self.row_f32(index, row);
            }
            values.into()
        };
        Tensor::new(shape, data).expect("the shape counts the elements it was cut from")
    }

    fn elements(&self, samples: Range<usize>) -> Range<usize> {
        assert!(samples.end <= self.len(), "sample {} of {}", samples.end.saturating_sub(1), self.len());
        let length = self.sample_len();
        (self.range.start + samples.start) * length..(self.range.start + samples.end) * length
    }
}

impl Mul<f32> for Samples {
    type Output = Samples;

    fn mul(mut self, factor: f32) -> Samples {
        self.scale *= factor;
        self.offset *= factor;
        self
    }
}

impl Div<f32> for Samples {
    type Output = Samples;

    fn div(mut self, divisor: f32) -> Samples {
        self.scale /= divisor;
        self.offset /= divisor;
        self
    }
}

impl Add<f32> for Samples {
    type Output = Samples;

    fn add(mut self, term: f32) -> Samples {
        self.offset += term;
        self
    }
}

impl Sub<f32> for Samples {
    type Output = Samples;

    fn sub(mut self, term: f32) -> Samples {
        self.offset -= term;
        self
    }
}

/// The numbers `0..len` in an order that depends on `seed` and `pass` alone; the orders of `fit` are these.
///
/// # Examples
/// ```
/// use footlight::data::shuffled;
/// assert_eq!(shuffled(100, 7, 0), shuffled(100, 7, 0));
/// assert_ne!(shuffled(100, 7, 0), shuffled(100, 7, 1));
/// ```
pub fn shuffled(len: usize, seed: u64, pass: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    shuffle(&mut order, seed, pass);
    order
}

/// Puts `order`, which is `0..len`, in the order of a pass.
pub(crate) fn shuffle(order: &mut [u32], seed: u64, pass: usize) {
    Philox::new(RandomKey::new(seed).child("shuffle").at(pass as u64)).shuffle(order);
}

/// One word more in a hash: the multiplication of wyhash, folded.
pub(super) fn mixed(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures() -> Samples {
        Samples::from(Tensor::new([3, 2, 2], (0..12u8).collect::<Vec<_>>()).unwrap())
    }

    #[test]
    fn arithmetic_composes_one_map_and_leaves_the_bytes() {
        let x = (pictures() / 2.0 - 1.0) * 4.0 + 0.5;
        assert_eq!(x.scale_offset(), (2.0, -3.5));
        assert_eq!(x.dtype(), DType::U8);
        let mut row = [0.0; 4];
        x.row_f32(1, &mut row);
        assert_eq!(row, [4.5, 6.5, 8.5, 10.5]);
        assert_eq!(x.to_tensor().to_f32()[4..8], row);
    }

    #[test]
    fn slices_share_the_elements_and_count_from_their_own_start() {
        let all = pictures();
        let part = all.slice(1..9).slice(1..2);
        assert!(std::ptr::eq(all.tensor(), part.tensor()));
        assert_eq!((part.len(), part.sample_shape(), part.range()), (1, &[2, 2][..], 2..3));
        assert_eq!(part.label(0), 8);
        assert_eq!(part.to_tensor(), Tensor::new([1, 2, 2], vec![8u8, 9, 10, 11]).unwrap());
        assert!(all.slice(Range { start: 5, end: 2 }).is_empty());
        assert!(all.slice(3..3).to_tensor().is_empty());
    }

    #[test]
    fn labels_are_read_from_every_type() {
        let columns: [Data; 5] =
            [vec![7u8].into(), vec![7i32].into(), vec![7i64].into(), vec![7.0f32].into(), vec![7.0f64].into()];
        for data in columns {
            assert_eq!(Samples::from(Tensor::new([1], data).unwrap()).label(0), 7);
        }
        let scalar = Samples::from(Tensor::scalar(7.0));
        assert_eq!((scalar.len(), scalar.label(0)), (1, 7));
    }
}
