//! A data set and its origin.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use footlight_nn::suggest;
use footlight_tensor::Tensor;

use super::{Samples, TextVectorization};
use crate::{Error, ErrorKind, Result};

/// Samples to learn from and samples to test with.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The name it was asked for, or the folder's.
    pub name: String,
    /// Inputs to learn from, `[N, ...]`.
    pub x_train: Samples,
    /// Targets to learn, `[N]`; of a running text `[N, T]`.
    pub y_train: Samples,
    /// Inputs to test with.
    pub x_test: Samples,
    /// Targets to test with.
    pub y_test: Samples,
    /// What the classes are called, if the labels are texts.
    pub classes: Vec<String>,
    /// How texts became these numbers, if they were texts.
    pub text: Option<TextVectorization>,
    /// Where the samples come from.
    pub origin: Origin,
}

impl Dataset {
    /// Numbers the labels by `classes`, such as those that a model answers, in place of the classes of the data; where
    /// either have no names the numbers stay.
    ///
    /// # Errors
    /// `ErrorKind::Data` for a class of the data that is none of `classes`; both are told.
    ///
    /// # Examples
    /// ```
    /// use footlight::data::{Dataset, Origin, Samples};
    /// use footlight::tensor::Tensor;
    /// let y = Samples::from(Tensor::new([3], vec![0i64, 1, 0])?);
    /// let mut set = Dataset {
    ///     name: "films".into(),
    ///     x_train: y.clone(),
    ///     y_train: y.clone(),
    ///     x_test: y.clone(),
    ///     y_test: y,
    ///     classes: vec!["drama".into(), "comedy".into()],
    ///     text: None,
    ///     origin: Origin::Generated { seed: 0 },
    /// };
    /// set.number_as(&["comedy".into(), "drama".into(), "crime".into()])?;
    /// assert_eq!((set.y_test.label(0), set.y_test.label(1), set.classes.len()), (1, 0, 3));
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn number_as(&mut self, classes: &[String]) -> Result<()> {
        if classes.is_empty() || self.classes.is_empty() || self.classes == classes {
            return Ok(());
        }
        let place = |class: &String| classes.iter().position(|known| known == class).map(|place| place as i64);
        let places: Option<Vec<i64>> = self.classes.iter().map(place).collect();
        let Some(places) = places else {
            let list = |names: &[String]| suggest::list(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let (data, model) = (list(&self.classes), list(classes));
            let message =
                format!("`{}`: its classes are not those of the model\n  data:  {data}\n  model: {model}", self.name);
            let help = "name the classes as the model does, or train a new model on these";
            return Err(Error::new(ErrorKind::Data, message).help(help));
        };
        for y in [&mut self.y_train, &mut self.y_test] {
            let renamed = |label: i64| usize::try_from(label).ok().and_then(|label| places.get(label)).copied();
            let labels: Vec<i64> = (0..y.len()).map(|index| y.label(index)).map(|l| renamed(l).unwrap_or(l)).collect();
            let shape = [&[labels.len()], y.sample_shape()].concat();
            *y = Tensor::new(shape, labels)?.into();
        }
        self.classes = classes.to_vec();
        Ok(())
    }

    /// A set of one file, of which the last samples are held out for the test.
    ///
    /// # Errors
    /// Too few samples for both parts, or a fraction out of range.
    pub(super) fn hold_out(path: &Path, x: Samples, y: Samples, fraction: f64) -> Result<Dataset> {
        let total = x.len();
        let at = held_out_from(path, total, fraction)?;
        Ok(Dataset {
            name: stem(path),
            x_train: x.slice(0..at),
            y_train: y.slice(0..at),
            x_test: x.slice(at..total),
            y_test: y.slice(at..total),
            classes: Vec::new(),
            text: None,
            origin: Origin::File { path: path.to_owned(), held_out: Some((total - at, total)) },
        })
    }
}

/// The first of the last samples, a fraction of all, which are held out for the test.
///
/// # Errors
/// As [`Dataset::hold_out`].
pub(super) fn held_out_from(path: &Path, total: usize, fraction: f64) -> Result<usize> {
    let held_out = (total as f64 * fraction).round() as usize;
    if !(0.0..1.0).contains(&fraction) || held_out == 0 || held_out >= total {
        let message = format!("`{}`: {fraction} of {total} samples leaves one side empty", path.display());
        return Err(Error::new(ErrorKind::Data, message).help("give more samples, or another test split"));
    }
    Ok(total - held_out)
}

/// What a file is called, without its folder and its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Where a data set comes from; displayed as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A folder that the user named.
    Folder(PathBuf),
    /// A file that the user named.
    File {
        /// The file.
        path: PathBuf,
        /// How many of how many samples, the last ones, are kept for the test, if the file does not say which.
        held_out: Option<(usize, usize)>,
    },
    /// The cache of an earlier download; checksums are right.
    Cache(PathBuf),
    /// This address, moments ago; checksums are right.
    Downloaded(String),
    /// Generated digits.
    Generated {
        /// The seed they were made from.
        seed: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Folder(path) => write!(f, "folder {}", path.display()),
            Origin::File { path, held_out: None } => write!(f, "file {}", path.display()),
            Origin::File { path, held_out: Some((count, total)) } => {
                write!(f, "file {}, the last {count} of {total} samples held out for the test", path.display())
            }
            Origin::Cache(path) => write!(f, "cache {}", path.display()),
            Origin::Downloaded(url) => write!(f, "downloaded from {url}"),
            Origin::Generated { seed } => write!(f, "generated digits, seed {seed} (not MNIST)"),
        }
    }
}
