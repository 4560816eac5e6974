//! The sections of a description that are settings of their own, by their keys.

use std::path::PathBuf;

use footlight_nn::Error as Fault;
use footlight_nn::config::{Reader, within};
use footlight_nn::suggest;
use footlight_tensor::DType;

use crate::Result;
use crate::data::{Samples, TextVectorization};
use crate::train::{Callback, Fit};

/// What is said above all sections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSettings {
    /// The seed of weights, order and dropout; default 0.
    pub seed: u64,
    /// Where the trained model is written.
    pub output: Option<PathBuf>,
    /// Where the numbers of each epoch are written.
    pub history: Option<PathBuf>,
}

/// `[data]`: what is learned from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSettings {
    /// A known set, a folder, an `.npz` file, a table or a text; default MNIST, else generated digits.
    pub set: Option<String>,
    /// The column of a table that holds the labels.
    pub label: Option<String>,
    /// What inputs are divided by; default 255 for bytes, 1 for other numbers.
    pub scale: Option<f32>,
    /// The fraction of samples, the last ones, held out of a file without samples to test with; default 0.2, of a running
    /// text 0.1.
    pub test_split: Option<f64>,
    /// `[data.text]`: how texts become numbers, and where they are.
    pub text: TextSettings,
}

/// `[data.text]`: how texts become numbers, and where they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextSettings {
    /// The column of a table that holds the texts.
    pub column: Option<String>,
    /// How they become numbers; default as Keras' `TextVectorization`.
    pub vectorization: Option<TextVectorization>,
}

/// `[fit]`: how the model is trained.
pub struct FitSettings {
    /// How often all samples are seen; default 1.
    pub epochs: usize,
    /// Samples per step; default 32.
    pub batch_size: usize,
    /// The epoch to begin with, counted from 0; default 0.
    pub initial_epoch: usize,
    /// Steps of an epoch; default as many as it takes to see all samples once.
    pub steps_per_epoch: Option<usize>,
    /// Whether samples are seen in a new order each time; default true.
    pub shuffle: bool,
    /// The fraction of samples, the last ones, kept for validation; default 0.
    pub validation_split: f64,
    /// Whether the samples to test with are validated on, `validation_data = "test"`; they take the place of a split.
    pub validates_on_test: bool,
    /// Samples per step of validation; default as for training.
    pub validation_batch_size: Option<usize>,
    /// Validates after every so many epochs; default 1.
    pub validation_freq: usize,
    /// What is called while the model trains.
    pub callbacks: Vec<Box<dyn Callback>>,
}

impl Default for FitSettings {
    fn default() -> FitSettings {
        FitSettings {
            epochs: 1,
            batch_size: 32,
            initial_epoch: 0,
            steps_per_epoch: None,
            shuffle: true,
            validation_split: 0.0,
            validates_on_test: false,
            validation_batch_size: None,
            validation_freq: 1,
            callbacks: Vec::new(),
        }
    }
}

impl RunSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Result<RunSettings, Fault> {
        let path = |text: Option<String>| text.map(PathBuf::from);
        Ok(RunSettings {
            seed: read.usize_or("seed", 0)? as u64,
            output: path(read.string("output")?),
            history: path(read.string("history")?),
        })
    }
}

impl DataSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Result<DataSettings, Fault> {
        let scale = read.maybe_f64("scale")?.map(|scale| scale as f32);
        scale.map_or(Ok(()), |scale| within("scale", scale, f32::MIN_POSITIVE..=f32::MAX))?;
        let test_split = read.maybe_f64("test_split")?;
        test_split.map_or(Ok(()), |split| within("test_split", split as f32, f32::MIN_POSITIVE..1.0))?;
        let (set, label) = (read.string("set")?, read.string("label")?);
        Ok(DataSettings { set, label, scale, test_split, text: TextSettings::default() })
    }

    /// Inputs as the model sees them.
    pub fn scaled(&self, x: Samples) -> Samples {
        match self.scale {
            Some(scale) => x / scale,
            None if x.dtype() == DType::U8 => x / 255.0,
            None => x,
        }
    }
}

impl TextSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Result<TextSettings, Fault> {
        let column = read.string("column")?;
        Ok(TextSettings { column, vectorization: Some(TextVectorization::read(read)?) })
    }
}

impl FitSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Result<FitSettings, Fault> {
        let default = FitSettings::default();
        Ok(FitSettings {
            epochs: positive("epochs", read.usize_or("epochs", default.epochs)?)?,
            batch_size: positive("batch_size", read.usize_or("batch_size", default.batch_size)?)?,
            initial_epoch: read.usize_or("initial_epoch", default.initial_epoch)?,
            steps_per_epoch: positive_if("steps_per_epoch", read.usize("steps_per_epoch")?)?,
            shuffle: read.bool("shuffle", default.shuffle)?,
            validation_split: fraction(read.f64("validation_split", default.validation_split)?)?,
            validates_on_test: validates_on_test(read.string("validation_data")?)?,
            validation_batch_size: positive_if("validation_batch_size", read.usize("validation_batch_size")?)?,
            validation_freq: positive("validation_freq", read.usize_or("validation_freq", default.validation_freq)?)?,
            callbacks: Vec::new(),
        })
    }

    /// What [`crate::Model::fit`] is asked for.
    pub fn to_fit(&mut self) -> Fit<'_> {
        let mut fit = Fit::new()
            .epochs(self.epochs)
            .batch_size(self.batch_size)
            .initial_epoch(self.initial_epoch)
            .shuffle(self.shuffle)
            .validation_split(self.validation_split)
            .validation_freq(self.validation_freq);
        if let Some(steps) = self.steps_per_epoch {
            fit = fit.steps_per_epoch(steps);
        }
        if let Some(batch_size) = self.validation_batch_size {
            fit = fit.validation_batch_size(batch_size);
        }
        self.callbacks.iter_mut().fold(fit, |fit, callback| fit.callback(callback.as_mut()))
    }
}

fn validates_on_test(validation_data: Option<String>) -> Result<bool, Fault> {
    match validation_data.as_deref() {
        None => Ok(false),
        Some("test") => Ok(true),
        Some(other) => Err(suggest::unknown("validation_data", other, &["test"]).in_key("validation_data")),
    }
}

fn fraction(validation_split: f64) -> Result<f64, Fault> {
    within("validation_split", validation_split as f32, 0.0..1.0).map(|()| validation_split)
}

fn positive(key: &str, count: usize) -> Result<usize, Fault> {
    match count {
        0 => Err(Fault::config(format!("{key} = 0, at least 1 is needed")).in_key(key)),
        count => Ok(count),
    }
}

fn positive_if(key: &str, count: Option<usize>) -> Result<Option<usize>, Fault> {
    count.map(|count| positive(key, count)).transpose()
}
