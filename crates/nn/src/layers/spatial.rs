//! What layers along the axes of space and time share: channels come last.

use crate::config::{KeyKind, Reader};
use crate::{Error, ErrorKind, suggest};
use footlight_tensor::display_shape;
use serde_json::{Value as Json, json};

/// The extents along the `D` spatial axes of a sample `[..., C]`, and the channels.
pub(crate) fn spatial<const D: usize>(input: &[usize]) -> Result<([usize; D], usize), Error> {
    if let Some((channels, axes)) = input.split_last()
        && let Ok(axes) = axes.try_into()
    {
        return Ok((axes, *channels));
    }
    let message = format!("needs samples of {} axes, the last for channels, got shape {}", D + 1, display_shape(input));
    Err(Error::new(ErrorKind::Shape, message).help("put a Reshape before"))
}

/// Refuses channels that do not come last.
pub(crate) fn channels_last(read: &mut Reader<'_>) -> Result<(), Error> {
    match read.string("data_format")?.as_deref() {
        None | Some("channels_last") => Ok(()),
        Some(other) => Err(suggest::unknown("data_format", other, &["channels_last"])),
    }
}

/// How many positions before and after along each of `D` axes: one number for all, one for each axis, or a pair for each.
///
/// # Examples
/// ```
/// use footlight_nn::Margins;
/// assert_eq!(Margins::<2>::from(1), Margins::from([[1, 1], [1, 1]]));
/// assert_eq!(Margins::<2>::from([1, 2]), Margins::from([[1, 1], [2, 2]]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margins<const D: usize>(pub(crate) [[usize; 2]; D]);

impl<const D: usize> From<usize> for Margins<D> {
    fn from(all: usize) -> Margins<D> {
        Margins([[all; 2]; D])
    }
}

impl<const D: usize> From<[[usize; 2]; D]> for Margins<D> {
    fn from(pairs: [[usize; 2]; D]) -> Margins<D> {
        Margins(pairs)
    }
}

/// Before and after along the one axis.
impl From<[usize; 2]> for Margins<1> {
    fn from(pair: [usize; 2]) -> Margins<1> {
        Margins([pair])
    }
}

/// The same before and after, axis by axis.
impl From<[usize; 2]> for Margins<2> {
    fn from(axes: [usize; 2]) -> Margins<2> {
        Margins(axes.map(|margin| [margin; 2]))
    }
}

/// The same before and after, axis by axis.
impl From<[usize; 3]> for Margins<3> {
    fn from(axes: [usize; 3]) -> Margins<3> {
        Margins(axes.map(|margin| [margin; 2]))
    }
}

impl<const D: usize> Margins<D> {
    /// As Keras writes it: along one axis a pair, else a list of pairs.
    pub(crate) fn write(&self) -> Json {
        match self.0.as_slice() {
            [pair] => json!(pair),
            pairs => json!(pairs),
        }
    }

    /// What `key` holds.
    pub(crate) fn read<'a>(read: &mut Reader<'a>, key: &'a str, default: Margins<D>) -> Result<Margins<D>, Error> {
        let count = |value: &Json| value.as_u64().and_then(|x| usize::try_from(x).ok());
        let pair = |value: &Json| match value.as_array().map(Vec::as_slice) {
            Some([before, after]) => Some([count(before)?, count(after)?]),
            Some(_) => None,
            None => count(value).map(|margin| [margin; 2]),
        };
        let read_one = |value: &Json| match value.as_array() {
            None => count(value).map(Margins::from),
            Some(_) if D == 1 => pair(value).map(|pair| Margins([pair; D])),
            Some(list) => list.iter().map(pair).collect::<Option<Vec<_>>>()?.try_into().ok().map(Margins),
        };
        Ok(read.parse_or(key, KeyKind::Margins, default.write(), read_one)?.unwrap_or(default))
    }
}
