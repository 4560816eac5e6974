//! Texts with a label each: of tables, and of folders by class.

use std::{
    fs,
    path::{Path, PathBuf},
};

use footlight_tensor::Tensor;

use super::read;
use crate::data::{Dataset, LoadOptions, Origin, Samples, dataset, shuffled, table::TextTable};
use crate::{Error, ErrorKind, Result};

/// Texts and their labels.
pub(in crate::data) struct Texts {
    pub texts: Vec<String>,
    pub y: Samples,
}

impl Texts {
    /// Texts whose labels are classes.
    pub fn of_classes(labelled: Vec<(String, i64)>) -> Result<Texts> {
        let (texts, labels): (Vec<String>, Vec<i64>) = labelled.into_iter().unzip();
        Ok(Texts { y: Samples::from(Tensor::new([labels.len()], labels)?), texts })
    }

    /// Those before `at`, and the others.
    fn split_at(mut self, at: usize) -> [Texts; 2] {
        let others = self.texts.split_off(at);
        let y = self.y.slice(at..self.y.len());
        [Texts { y: self.y.slice(0..at), ..self }, Texts { texts: others, y }]
    }
}

/// Texts to learn from and texts to test with.
pub(in crate::data) struct Corpus {
    pub name: String,
    pub train: Texts,
    pub test: Texts,
    pub classes: Vec<String>,
    pub origin: Origin,
}

impl Corpus {
    /// A corpus of one place, of which the last texts are held out for the test.
    fn hold_out(path: &Path, texts: Texts, classes: Vec<String>, fraction: f64) -> Result<Corpus> {
        let total = texts.texts.len();
        let at = dataset::held_out_from(path, total, fraction)?;
        let [train, test] = texts.split_at(at);
        let origin = Origin::File { path: path.to_owned(), held_out: Some((total - at, total)) };
        Ok(Corpus { name: dataset::stem(path), train, test, classes, origin })
    }

    /// The texts as numbers, see [`LoadOptions::text`].
    ///
    /// # Errors
    /// As [`TextVectorization::adapt`](super::TextVectorization::adapt).
    pub fn dataset(self, options: &LoadOptions) -> Result<Dataset> {
        let mut vectorization = options.text.clone().unwrap_or_default();
        if !vectorization.is_adapted() {
            vectorization.adapt(&self.train.texts)?;
        }
        let x_train = vectorization.call(&self.train.texts)?;
        let vectorization = vectorization.output_sequence_length(x_train.shape()[1]);
        Ok(Dataset {
            name: self.name,
            x_train: x_train.into(),
            y_train: self.train.y,
            x_test: vectorization.call(&self.test.texts)?.into(),
            y_test: self.test.y,
            classes: self.classes,
            text: Some(vectorization),
            origin: self.origin,
        })
    }
}

/// The texts of a table with a column of texts and one of labels.
///
/// # Errors
/// As [`TextTable::open`], and too few rows to hold some out.
pub(in crate::data) fn table(path: &Path, column: &str, options: &LoadOptions) -> Result<Dataset> {
    let TextTable { texts, y, classes } = TextTable::open(path, column, options.label.as_deref())?;
    Corpus::hold_out(path, Texts { texts, y }, classes, options.test_split())?.dataset(options)
}

/// The folders that hold what is trained on and what is tested with.
const PARTS: [&str; 2] = ["train", "test"];

/// The texts of a folder with a folder of `.txt` files for each class, or with two such folders called `train` and
/// `test`; nothing if it is no such folder.
///
/// Classes are numbered in the order of their names. Texts come in an order drawn once and for all.
///
/// # Errors
/// Files that cannot be read or are no texts, classes of the one part that the other lacks, and too few texts.
pub(in crate::data) fn folder(path: &Path, options: &LoadOptions) -> Result<Option<Dataset>> {
    let parts = PARTS.map(|part| path.join(part));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !parts.iter().all(|part| part.is_dir()) {
        let classes = classes(path)?;
        if classes.is_empty() {
            return Ok(None);
        }
        let corpus = Corpus::hold_out(path, of_classes(path, &classes)?, classes, options.test_split())?;
        return Corpus { name, ..corpus }.dataset(options).map(Some);
    }
    let [train, test] = [classes(&parts[0])?, classes(&parts[1])?];
    if train.is_empty() {
        return Ok(None);
    }
    if train != test {
        let message = format!(
            "`{}`: the classes of both parts differ\n  train: {}\n  test:  {}",
            path.display(),
            train.join(", "),
            test.join(", ")
        );
        return Err(Error::new(ErrorKind::Data, message).help("give both parts the same folders of .txt files"));
    }
    let corpus = Corpus {
        name,
        train: of_classes(&parts[0], &train)?,
        test: of_classes(&parts[1], &test)?,
        classes: train,
        origin: Origin::Folder(path.to_owned()),
    };
    corpus.dataset(options).map(Some)
}

/// The names of the folders with `.txt` files, sorted.
fn classes(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for class in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        if entries(&class)?.iter().any(|file| is_text(file)) {
            names.push(class.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"))
}

/// What a folder holds, sorted by name.
fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let read = || fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = read().map_err(|error| {
        Error::new(ErrorKind::File, format!("`{}` cannot be read: {error}", path.display()))
            .help("it has to be a folder that you may read")
    })?;
    paths.sort();
    Ok(paths)
}

fn of_classes(path: &Path, classes: &[String]) -> Result<Texts> {
    let mut labelled = Vec::new();
    for (class, label) in classes.iter().zip(0..) {
        for file in entries(&path.join(class))?.iter().filter(|file| is_text(file)) {
            labelled.push((read(file)?, label));
        }
    }
    Texts::of_classes(mixed(labelled))
}

/// In an order drawn once and for all, so that the last part of texts sorted by class is not all of one.
pub(super) fn mixed<T>(sorted: Vec<T>) -> Vec<T> {
    let order = shuffled(sorted.len(), 0, 0);
    let mut sorted: Vec<Option<T>> = sorted.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| sorted[index as usize].take()).collect()
}
