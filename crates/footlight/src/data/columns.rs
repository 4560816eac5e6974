//! Inputs, targets and weights of the same samples.

use footlight_cpu::Feed;
use footlight_nn::Batch;
use footlight_tensor::Tensor;

use super::Samples;
use super::samples::mixed;
use crate::{Error, ErrorKind, Result};

/// Inputs and targets, and how much each sample counts.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub x: Samples,
    pub y: Samples,
    pub weight: Option<Samples>,
}

impl Columns {
    /// Columns of samples that have no weights.
    pub fn new(x: &Samples, y: &Samples) -> Columns {
        Columns { x: x.clone(), y: y.clone(), weight: None }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// With weights, if some are given.
    ///
    /// # Errors
    /// Weights that are not one finite number for each sample.
    pub fn weighted(mut self, name: &str, weight: Option<&Samples>) -> Result<Columns> {
        let Some(weight) = weight else { return Ok(self) };
        if (weight.len(), weight.sample_len()) != (self.len(), 1) {
            let shape = footlight_tensor::display_shape(weight.sample_shape());
            let (samples, rows) = (self.len(), weight.len());
            let message = format!("{name} has {rows} samples of shape {shape}, x has {samples}");
            return Err(Error::new(ErrorKind::Data, message).help("every sample needs one weight"));
        }
        crate::train::check_values(name, weight)?;
        self.weight = Some(weight.clone());
        Ok(self)
    }

    /// With weights by class: those not named count 1, as in Keras.
    ///
    /// The class of a sample is its label, or the place of its largest target if it has several.
    ///
    /// # Errors
    /// A weight that is not finite.
    pub fn weighted_by_class(self, weights: &[(i64, f32)]) -> Result<Columns> {
        let of_class =
            |class: i64| weights.iter().find(|(known, _)| *known == class).map_or(1.0, |(_, weight)| *weight);
        let of_samples: Vec<f32> = (0..self.len()).map(|index| of_class(class_of(&self.y, index))).collect();
        let weight = Samples::from(Tensor::new([of_samples.len()], of_samples)?);
        self.weighted("class_weight", Some(&weight))
    }

    /// A number that tells these columns from others.
    pub fn digest(&self) -> u64 {
        let columns = [Some(&self.x), Some(&self.y), self.weight.as_ref()];
        columns.into_iter().flatten().fold(0, |hash, samples| mixed(hash, samples.digest()))
    }

    /// The samples of `range`.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Columns {
        let cut = |samples: &Samples| samples.slice(range.clone());
        Columns { x: cut(&self.x), y: cut(&self.y), weight: self.weight.as_ref().map(cut) }
    }

    /// A step of `size` samples.
    pub fn batch(&self, size: usize) -> Batch {
        Batch { size, is_weighted: self.weight.is_some() }
    }

    /// The inputs of a step on `rows`.
    pub fn feeds<'a>(&'a self, rows: &'a [u32]) -> Feeds<'a> {
        let x = feed(&self.x, rows);
        let weight = self.weight.as_ref().map(|weight| feed(weight, rows));
        Feeds { all: [x, feed(&self.y, rows), weight.unwrap_or(x)], len: 2 + usize::from(weight.is_some()) }
    }
}

/// The inputs of a step, made without allocating.
pub(crate) struct Feeds<'a> {
    all: [Feed<'a>; 3],
    len: usize,
}

impl<'a> std::ops::Deref for Feeds<'a> {
    type Target = [Feed<'a>];

    fn deref(&self) -> &[Feed<'a>] {
        &self.all[..self.len]
    }
}

/// The rows `batch` of samples, as a session is fed with them.
pub(crate) fn feed<'a>(samples: &'a Samples, batch: &'a [u32]) -> Feed<'a> {
    let (scale, offset) = samples.scale_offset();
    Feed::Gather { table: samples.tensor(), first: samples.range().start, rows: batch, scale, offset }
}

fn class_of(y: &Samples, index: usize) -> i64 {
    if y.sample_len() <= 1 {
        return y.label(index);
    }
    let mut row = vec![0.0; y.sample_len()];
    y.row_f32(index, &mut row);
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_not_named_counts_one() {
        let y = Samples::from(Tensor::new([3], vec![2u8, 0, 1]).unwrap());
        let one_hot = Samples::from(Tensor::new([3, 3], vec![0.0f32, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).unwrap());
        for y in [y, one_hot] {
            let columns = Columns::new(&y, &y).weighted_by_class(&[(0, 0.5), (2, 3.0)]).unwrap();
            assert_eq!(columns.weight.unwrap().to_tensor().to_f32(), [3.0, 0.5, 1.0]);
        }
    }
}
