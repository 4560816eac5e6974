//! What convolution and pooling share: windows that are laid over images, and the order of an image's axes.

use crate::config::{Config, Reader};
use crate::{Error, ErrorKind, suggest};
use footlight_graph::{Builder, Value};
use footlight_tensor::display_shape;
use serde_json::json;

/// A number for each of `N` spatial axes; one alone stands for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerAxis<const N: usize>(pub [usize; N]);

impl<const N: usize> From<usize> for PerAxis<N> {
    fn from(number: usize) -> PerAxis<N> {
        PerAxis([number; N])
    }
}

impl<const N: usize> From<[usize; N]> for PerAxis<N> {
    fn from(numbers: [usize; N]) -> PerAxis<N> {
        PerAxis(numbers)
    }
}

impl<const N: usize> PerAxis<N> {
    /// The numbers of `key`; `None` if it is absent.
    pub(crate) fn read<'a>(read: &mut Reader<'a>, key: &'a str) -> Result<Option<PerAxis<N>>, Error> {
        let Some(numbers) = read.extents(key)? else { return Ok(None) };
        if let [number] = numbers.as_slice() {
            return Ok(Some(PerAxis::from(*number)));
        }
        let fault = |got: Vec<usize>| Error::config(format!("`{key}` = {got:?}: expected one number or {N} of them"));
        <[usize; N]>::try_from(numbers).map(|numbers| Some(PerAxis(numbers))).map_err(|got| fault(got).in_key(key))
    }

    /// Refuses a 0.
    pub(crate) fn check(&self, key: &str) -> Result<(), Error> {
        if self.0.contains(&0) {
            return Err(Error::config(format!("`{key}` = {:?}: every number is at least 1", self.0)).in_key(key));
        }
        Ok(())
    }
}

/// How far a window reaches beyond the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Not at all.
    #[default]
    Valid,
    /// So far that there is an output for every `stride`-th input; the odd position lies behind.
    Same,
    /// Backwards alone, so that no output sees what comes after it.
    Causal,
    /// A name that was given as text and is not known; reported when the model is built.
    Unknown(String),
}

impl Padding {
    fn name(&self) -> &str {
        match self {
            Padding::Valid => "valid",
            Padding::Same => "same",
            Padding::Causal => "causal",
            Padding::Unknown(name) => name,
        }
    }
}

impl From<&str> for Padding {
    fn from(name: &str) -> Padding {
        let all = [Padding::Valid, Padding::Same, Padding::Causal];
        all.into_iter().find(|padding| padding.name() == name).unwrap_or_else(|| Padding::Unknown(name.into()))
    }
}

/// Where the channels of an image lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// `[N, spatial..., C]`.
    #[default]
    ChannelsLast,
    /// `[N, C, spatial...]`; computed by turning the image around and back.
    ChannelsFirst,
}

impl DataFormat {
    pub(crate) fn read(read: &mut Reader<'_>) -> Result<DataFormat, Error> {
        match read.string_or("data_format", "channels_last")?.as_str() {
            "channels_last" => Ok(DataFormat::ChannelsLast),
            "channels_first" => Ok(DataFormat::ChannelsFirst),
            other => {
                Err(suggest::unknown("data_format", other, &["channels_last", "channels_first"]).in_key("data_format"))
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            DataFormat::ChannelsLast => "channels_last",
            DataFormat::ChannelsFirst => "channels_first",
        }
    }

    /// Spatial extents and channels of a sample.
    ///
    /// # Errors
    /// A sample of another rank, or with an axis without extent.
    pub(crate) fn split<const N: usize>(self, input: &[usize]) -> Result<([usize; N], usize), Error> {
        let parts = match self {
            DataFormat::ChannelsLast => input.split_last(),
            DataFormat::ChannelsFirst => input.split_first(),
        };
        let fits = parts.and_then(|(channels, spatial)| Some((<[usize; N]>::try_from(spatial).ok()?, *channels)));
        fits.filter(|_| !input.contains(&0)).ok_or_else(|| {
            let axes = if N == 1 { "one spatial axis".to_string() } else { format!("{N} spatial axes") };
            let message = format!("needs samples of {axes} and channels, got shape {}", display_shape(input));
            let shape = self.join(&["H", "W", "D"][..N].join(", "), "C");
            Error::new(ErrorKind::Shape, message).help(format!("give each sample the shape [{shape}], as Reshape can"))
        })
    }

    fn join(self, spatial: &str, channels: &str) -> String {
        match self {
            DataFormat::ChannelsLast => format!("{spatial}, {channels}"),
            DataFormat::ChannelsFirst => format!("{channels}, {spatial}"),
        }
    }

    /// The shape of a sample of these extents.
    pub(crate) fn shape(self, spatial: &[usize], channels: usize) -> Vec<usize> {
        match self {
            DataFormat::ChannelsLast => [spatial, &[channels]].concat(),
            DataFormat::ChannelsFirst => [&[channels], spatial].concat(),
        }
    }

    /// The axis of the channels in a batch of `rank` axes.
    pub(crate) fn channel_axis(self, rank: usize) -> usize {
        match self {
            DataFormat::ChannelsLast => rank.saturating_sub(1),
            DataFormat::ChannelsFirst => 1,
        }
    }

    /// A batch with its channels last.
    pub(crate) fn turn_last(self, g: &mut Builder, x: Value) -> Value {
        let rank = g.shape(x).len();
        match self {
            DataFormat::ChannelsFirst if rank > 2 => g.transpose(x, [vec![0], (2..rank).collect(), vec![1]].concat()),
            _ => x,
        }
    }

    /// A batch whose channels are last in this format.
    pub(crate) fn turn_back(self, g: &mut Builder, x: Value) -> Value {
        let rank = g.shape(x).len();
        match self {
            DataFormat::ChannelsFirst if rank > 2 => {
                g.transpose(x, [vec![0, rank - 1], (1..rank - 1).collect()].concat())
            }
            _ => x,
        }
    }
}

/// A window and how it moves over an image of `N` spatial axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window<const N: usize> {
    pub size: PerAxis<N>,
    pub strides: PerAxis<N>,
    pub dilation_rate: PerAxis<N>,
    pub padding: Padding,
    pub data_format: DataFormat,
}

impl<const N: usize> Window<N> {
    pub(crate) fn new(size: PerAxis<N>) -> Window<N> {
        Window {
            size,
            strides: PerAxis([1; N]),
            dilation_rate: PerAxis([1; N]),
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
        }
    }

    /// Everything but size and dilation, which not every layer has; `paddings` are those that the layer knows.
    pub(crate) fn read(&mut self, read: &mut Reader<'_>, paddings: &[&str]) -> Result<(), Error> {
        self.strides = PerAxis::read(read, "strides")?.unwrap_or(self.strides);
        let padding = read.string_or("padding", self.padding.name())?.to_lowercase();
        if !paddings.contains(&padding.as_str()) {
            return Err(suggest::unknown("padding", &padding, paddings).in_key("padding"));
        }
        self.padding = Padding::from(padding.as_str());
        self.data_format = DataFormat::read(read)?;
        Ok(())
    }

    /// Keras' keys, the size under `name`.
    pub(crate) fn write(&self, name: &str, config: &mut Config) {
        config.insert(name.into(), json!(self.size.0.as_slice()));
        config.insert("strides".into(), json!(self.strides.0.as_slice()));
        config.insert("padding".into(), self.padding.name().into());
        config.insert("data_format".into(), self.data_format.name().into());
    }

    /// Complains of a 0, or of a padding that the layer does not know.
    pub(crate) fn check(&self, name: &str, paddings: &[&str]) -> Result<(), Error> {
        self.size.check(name)?;
        self.strides.check("strides")?;
        self.dilation_rate.check("dilation_rate")?;
        if !paddings.contains(&self.padding.name()) {
            return Err(suggest::unknown("padding", self.padding.name(), paddings).in_key("padding"));
        }
        Ok(())
    }

    /// Input positions that a window reaches over on an axis: `d (size - 1) + 1`.
    pub(crate) fn span(&self, axis: usize) -> usize {
        self.dilation_rate.0[axis] * self.size.0[axis].saturating_sub(1) + 1
    }

    /// How far windows reach before and behind an input of `length` on an axis.
    pub(crate) fn reach(&self, axis: usize, length: usize) -> [usize; 2] {
        let span = self.span(axis);
        match self.padding {
            Padding::Same => {
                let stride = self.strides.0[axis].max(1);
                let total = ((length.div_ceil(stride).max(1) - 1) * stride + span).saturating_sub(length);
                [total / 2, total - total / 2]
            }
            Padding::Causal => [span - 1, 0],
            Padding::Valid | Padding::Unknown(_) => [0, 0],
        }
    }

    /// The outputs along each axis.
    ///
    /// # Errors
    /// A window that reaches over more than there is, with its axis.
    pub(crate) fn outputs(&self, spatial: &[usize; N]) -> Result<[usize; N], Error> {
        let mut out = *spatial;
        for (axis, extent) in out.iter_mut().enumerate() {
            let (span, [low, high]) = (self.span(axis), self.reach(axis, *extent));
            let Some(rest) = (*extent + low + high).checked_sub(span) else {
                let message = format!(
                    "a window that spans {span} on spatial axis {axis} does not fit into samples of {}",
                    display_shape(spatial)
                );
                return Err(Error::new(ErrorKind::Shape, message).help("take a smaller window, or padding \"same\""));
            };
            *extent = rest / self.strides.0[axis].max(1) + 1;
        }
        Ok(out)
    }
}

/// The settings of a window as builder methods of a layer with a field `window`.
macro_rules! window_methods {
    ([$($generics:tt)*] $layer:ty) => {
        impl<$($generics)*> $layer {
            /// What lies beyond the input's ends, by value or by name; default valid.
            pub fn padding(mut self, padding: impl Into<$crate::Padding>) -> Self {
                self.window.padding = padding.into();
                self
            }

            /// Where the channels of images lie; default last.
            pub fn data_format(mut self, data_format: $crate::DataFormat) -> Self {
                self.window.data_format = data_format;
                self
            }
        }
    };
}
pub(crate) use window_methods;
