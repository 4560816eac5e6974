//! Inputs, targets and weights of the same samples.

use footlight_cpu::Feed;
use footlight_nn::Batch;
use footlight_tensor::Tensor;

use super::Samples;
use super::samples::mixed;
use crate::{Error, ErrorKind, Result};

/// Samples for one input or output of a model, or for several: in their order, or by name.
///
/// # Examples
/// ```
/// use footlight::data::{Samples, SamplesList};
/// use footlight::tensor::Tensor;
/// let (a, b) = (Samples::from(Tensor::scalar(1.0)), Samples::from(Tensor::scalar(2.0)));
/// assert_eq!(SamplesList::from(&a).len(), 1);
/// assert_eq!(SamplesList::from([&a, &b]).len(), 2);
/// assert_eq!(SamplesList::from([("title", &a), ("body", &b)]).len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct SamplesList(Vec<(Option<String>, Samples)>);

impl From<&Samples> for SamplesList {
    fn from(samples: &Samples) -> SamplesList {
        SamplesList(vec![(None, samples.clone())])
    }
}

impl From<Vec<Samples>> for SamplesList {
    fn from(all: Vec<Samples>) -> SamplesList {
        SamplesList(all.into_iter().map(|samples| (None, samples)).collect())
    }
}

impl<const N: usize> From<[&Samples; N]> for SamplesList {
    fn from(samples: [&Samples; N]) -> SamplesList {
        SamplesList(samples.into_iter().map(|samples| (None, samples.clone())).collect())
    }
}

impl From<Vec<(String, Samples)>> for SamplesList {
    fn from(samples: Vec<(String, Samples)>) -> SamplesList {
        SamplesList(samples.into_iter().map(|(name, samples)| (Some(name), samples)).collect())
    }
}

impl<const N: usize> From<[(&str, &Samples); N]> for SamplesList {
    fn from(samples: [(&str, &Samples); N]) -> SamplesList {
        SamplesList(samples.into_iter().map(|(name, samples)| (Some(name.into()), samples.clone())).collect())
    }
}

impl SamplesList {
    /// How many inputs or outputs they are for.
    #[allow(clippy::len_without_is_empty, reason = "there is always at least one, or it is an error")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The samples in the order of `names`; `what` is what these name, for messages.
    ///
    /// # Errors
    /// Another number of samples, or a name that is not known or missing.
    pub(crate) fn in_order(self, what: &str, names: &[String]) -> Result<Vec<Samples>> {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in self.0.iter().filter_map(|(name, _)| name.as_deref()) {
            if !known.contains(&name) {
                return Err(footlight_nn::suggest::unknown(what, name, &known).into());
            }
        }
        if self.0.len() != names.len() {
            let (given, wanted, names) = (self.0.len(), names.len(), known.join(", "));
            let plural = if given == 1 { "" } else { "s" };
            let message = format!("samples for {given} {what}{plural} are given, the model has {wanted}: {names}");
            return Err(Error::new(ErrorKind::Data, message).help("give them in this order, or by name"));
        }
        let mut given: Vec<Option<(Option<String>, Samples)>> = self.0.into_iter().map(Some).collect();
        let take = |(index, name): (usize, &String)| {
            let is_own = |given: &Option<(Option<String>, Samples)>| {
                given.as_ref().is_some_and(|(own, _)| own.as_ref() == Some(name))
            };
            let position = given.iter().position(is_own).unwrap_or(index);
            let taken = given[position].take().filter(|(own, _)| own.as_ref().is_none_or(|own| own == name));
            taken
                .map(|(_, samples)| samples)
                .ok_or_else(|| Error::new(ErrorKind::Data, format!("no samples are given for {what} `{name}`")))
        };
        names.iter().enumerate().map(take).collect()
    }
}

/// Inputs and targets, and how much each sample counts.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub x: Vec<Samples>,
    pub y: Vec<Samples>,
    pub weight: Option<Samples>,
}

impl Columns {
    /// Columns of samples that have no weights.
    pub fn new(x: Vec<Samples>, y: Vec<Samples>) -> Columns {
        Columns { x, y, weight: None }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.x[0].len()
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
        let of_samples: Vec<f32> = (0..self.len()).map(|index| of_class(class_of(&self.y[0], index))).collect();
        let weight = Samples::from(Tensor::new([of_samples.len()], of_samples)?);
        self.weighted("class_weight", Some(&weight))
    }

    /// A number that tells these columns from others.
    pub fn digest(&self) -> u64 {
        let columns = self.x.iter().chain(&self.y).chain(&self.weight);
        columns.fold(0, |hash, samples| mixed(hash, samples.digest()))
    }

    /// The samples of `range`.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Columns {
        let cut = |samples: &Samples| samples.slice(range.clone());
        let all = |columns: &[Samples]| columns.iter().map(cut).collect();
        Columns { x: all(&self.x), y: all(&self.y), weight: self.weight.as_ref().map(cut) }
    }

    /// A step of `size` samples.
    pub fn batch(&self, size: usize) -> Batch {
        Batch { size, is_weighted: self.weight.is_some() }
    }

    /// The inputs of a step on `rows`.
    pub fn feeds<'a>(&'a self, rows: &'a [u32]) -> Feeds<'a> {
        Feeds::of(self.x.iter().chain(&self.y).chain(&self.weight), rows)
    }
}

/// The inputs of a step, made without allocating.
pub(crate) struct Feeds<'a> {
    all: [Feed<'a>; Feeds::MOST],
    len: usize,
}

impl<'a> Feeds<'a> {
    /// A step takes at most so many inputs, targets and weights together.
    pub const MOST: usize = 32;

    /// The rows `rows` of `columns`, of which there are at most [`Feeds::MOST`].
    pub fn of(columns: impl Iterator<Item = &'a Samples>, rows: &'a [u32]) -> Feeds<'a> {
        let mut feeds = Feeds { all: [Feed::F32(&[]); Feeds::MOST], len: 0 };
        for samples in columns {
            feeds.all[feeds.len] = feed(samples, rows);
            feeds.len += 1;
        }
        feeds
    }
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
            let columns = Columns::new(vec![y.clone()], vec![y]).weighted_by_class(&[(0, 0.5), (2, 3.0)]).unwrap();
            assert_eq!(columns.weight.unwrap().to_tensor().to_f32(), [3.0, 0.5, 1.0]);
        }
    }
}
