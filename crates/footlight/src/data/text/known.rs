//! The texts known by name.

use std::path::{Path, PathBuf};

use super::corpus::{Corpus, Texts, mixed};
use super::{read, running};
use crate::data::{Dataset, LoadOptions, Origin, known::canonical};
use crate::{Error, ErrorKind, Result};

/// A set of texts that can be asked for by name.
#[derive(Debug)]
pub(in crate::data) struct KnownText {
    pub name: &'static str,
    /// Its files in the folder of this name, plain or with `.xz` behind.
    files: &'static [&'static str],
    load: fn(&[PathBuf], &Path, &LoadOptions) -> Result<Dataset>,
    /// Where else it can be had.
    source: &'static str,
}

const SETS: &[KnownText] = &[
    KnownText {
        name: "imdb",
        files: &["imdb-train.tsv", "imdb-test.tsv"],
        load: imdb,
        source: "or unpack aclImdb_v1.tar.gz of https://ai.stanford.edu/~amaas/data/sentiment/, remove train/unsup and \
                 give the folder's path",
    },
    KnownText {
        name: "tiny-shakespeare",
        files: &["input.txt"],
        load: |paths, _, options| running(&paths[0], options),
        source: "it is data/tinyshakespeare/input.txt of https://github.com/karpathy/char-rnn",
    },
];

impl KnownText {
    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SETS.iter().map(|set| set.name)
    }

    /// The set of this name, however it is spelled.
    pub fn by_name(name: &str) -> Option<&'static KnownText> {
        let name = canonical(name);
        SETS.iter().find(|set| set.name == name)
    }

    /// Loads the set from the data folder or the cache, where one has a folder of its name with all files.
    ///
    /// # Errors
    /// `ErrorKind::File` with all places if it is in none of them; files that are damaged.
    pub fn load(&self, options: &LoadOptions) -> Result<Dataset> {
        let parents: Vec<&PathBuf> = options.data_folder.iter().chain(&options.cache_folder).collect();
        for folder in parents.iter().map(|parent| parent.join(self.name)) {
            if let Some(paths) = self.files.iter().map(|file| find(&folder, file)).collect::<Option<Vec<_>>>() {
                let set = (self.load)(&paths, &folder, options)?;
                return Ok(Dataset { name: self.name.into(), ..set });
            }
        }
        let mut message = format!("data set `{}` is in none of the places it was looked for", self.name);
        for parent in &parents {
            message += &format!("\n  no `{}`", parent.join(self.name).join(self.files[0]).display());
        }
        let files = self.files.join(" and ");
        let place = match parents.first() {
            Some(parent) => format!("into `{}`", parent.join(self.name).display()),
            None => format!("into a folder `{}` of the folder that FOOTLIGHT_DATA names", self.name),
        };
        Err(Error::new(ErrorKind::File, message).help(format!("put {files} (plain or .xz) {place}; {}", self.source)))
    }
}

fn find(folder: &Path, file: &str) -> Option<PathBuf> {
    [format!("{file}.xz"), file.to_string()].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
}

/// Reviews with the labels 0 (negative) and 1 (positive), see [`review`].
fn imdb(paths: &[PathBuf], folder: &Path, options: &LoadOptions) -> Result<Dataset> {
    let part = |path: &Path| Texts::of_classes(mixed(reviews(path)?));
    let corpus = Corpus {
        name: String::new(),
        train: part(&paths[0])?,
        test: part(&paths[1])?,
        classes: vec!["negative".into(), "positive".into()],
        origin: Origin::Folder(folder.to_owned()),
    };
    corpus.dataset(options)
}

fn reviews(path: &Path) -> Result<Vec<(String, i64)>> {
    let text = read(path)?;
    let read = |(index, line): (usize, &str)| {
        review(line).ok_or_else(|| {
            let message = format!("`{}`: line {} is no label 0 or 1, name and text", path.display(), index + 1);
            Error::new(ErrorKind::Data, message).help("three columns with tabs between are expected in each line")
        })
    };
    text.lines().enumerate().map(read).collect()
}

/// A line of label, name and text with tabs between, of which the text may hold more.
fn review(line: &str) -> Option<(String, i64)> {
    let mut columns = line.splitn(3, '\t');
    let label = columns.next()?.parse().ok().filter(|label| (0..=1).contains(label))?;
    columns.next()?;
    Some((columns.next()?.to_string(), label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_may_hold_tabs() {
        assert_eq!(review("1\t7_9\ta\tb"), Some(("a\tb".into(), 1)));
        assert_eq!([review("2\t7_9\ta"), review("1\tgood"), review("")], [None, None, None]);
    }
}
