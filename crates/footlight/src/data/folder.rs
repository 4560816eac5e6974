//! Four `idx` files in a folder: finding, reading, checking.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use footlight_tensor::{DType, Tensor, display_shape, idx};
use sha2::{Digest, Sha256};

use super::{
    Samples,
    known::{KnownFile, KnownSet, STEMS},
};
use crate::{Error, ErrorKind};

/// Inputs and targets, to learn from and to test with.
pub(super) type Parts = [Samples; 4];

/// How far the files of a known set are trusted.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Trust {
    /// The user's own files: any that fit together.
    User,
    /// Files that have to be the very ones published.
    Checksums,
}

/// The file of `stem` in `folder`, compressed or plain.
pub(super) fn find(folder: &Path, stem: &str) -> Option<PathBuf> {
    // Some copies of MNIST have a dot where the originals have a hyphen.
    let dotted = stem.replace("-idx", ".idx");
    [format!("{stem}.gz"), stem.to_owned(), format!("{dotted}.gz"), dotted]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// The stems that have no file in `folder`: all of them if there is no such folder.
///
/// # Errors
/// `file` when there is one that cannot be read, or something that is no folder.
pub(super) fn missing(folder: &Path) -> Result<Vec<&'static str>, Error> {
    let unusable = |why: String| {
        let message = format!("`{}` {why}", folder.display());
        Err(Error::new(ErrorKind::File, message).help("it has to be a folder that you may read"))
    };
    match fs::read_dir(folder) {
        Err(_) if folder.is_file() => unusable("is a file".into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => unusable(format!("cannot be read: {error}")),
        _ => Ok(STEMS.into_iter().filter(|stem| find(folder, stem).is_none()).collect()),
    }
}

/// Reads the four files of `folder`, which are those of `set` if one is given.
///
/// # Errors
/// `file` for files that are missing, cut short or, under [`Trust::Checksums`], not the published ones; `data` for
/// files that do not fit together.
pub(super) fn read(folder: &Path, set: Option<&KnownSet>, trust: Trust) -> Result<Parts, Error> {
    let missing = missing(folder)?;
    if !missing.is_empty() {
        return Err(Error::new(
            ErrorKind::File,
            format!("`{}` lacks {} (plain or .gz)", folder.display(), missing.join(", ")),
        )
        .help(format!("it needs the four files {}", STEMS.join(", "))));
    }
    let mut columns = Vec::with_capacity(4);
    for (index, stem) in STEMS.into_iter().enumerate() {
        let path = find(folder, stem).unwrap_or_else(|| folder.join(stem));
        let published = set.filter(|_| trust == Trust::Checksums).map(|set| &set.files[index]);
        let tensor = read_file(&path, published)?;
        if index % 2 == 0 {
            check_inputs(&path, &tensor, set)?
        } else {
            check_labels(&path, &tensor, set)?
        }
        columns.push((path, tensor));
    }
    let [x_train, y_train, x_test, y_test]: [(PathBuf, Tensor); 4] = columns.try_into().expect("four files were read");
    check_lengths(&x_train, &y_train)?;
    check_lengths(&x_test, &y_test)?;
    check_parts(&x_train, &x_test)?;
    check_classes(&y_train, &y_test)?;
    Ok([x_train, y_train, x_test, y_test].map(|(_, tensor)| Samples::from(tensor)))
}

fn read_file(path: &Path, published: Option<&KnownFile>) -> Result<Tensor, Error> {
    let place = format!("`{}`", path.display());
    let unreadable = |error: io::Error| {
        Error::new(ErrorKind::File, format!("{place}: cannot be read: {error}")).help("check the file's permissions")
    };
    let file = File::open(path).map_err(unreadable)?;
    let stored_bytes = file.metadata().map_err(unreadable)?.len();
    let hasher = published.map(|_| Sha256::new());
    let mut reader = Hashing { reader: idx::Plain::new(file).map_err(unreadable)?, hasher };
    let tensor = idx::read_sized(&mut reader, stored_bytes).map_err(|error| Error::from(error).at(&place));
    let Some(published) = published else { return tensor };
    let again = format!("delete `{}`; the next run downloads it again", path.display());
    let tensor = tensor.map_err(|error| error.help(&again))?;
    let sum = reader.sum();
    if sum != published.sha256 {
        let message = format!(
            "{place}: not the published file\n  expected: SHA-256 {} (decompressed)\n  arrived:  SHA-256 {sum}",
            published.sha256
        );
        return Err(Error::new(ErrorKind::File, message).help(again));
    }
    Ok(tensor)
}

fn check_inputs(path: &Path, x: &Tensor, set: Option<&KnownSet>) -> Result<(), Error> {
    let fits = match set {
        Some(_) => x.dtype() == DType::U8 && x.shape().len() == 3 && x.shape()[1..] == [28, 28],
        None => x.shape().len() >= 2,
    };
    if fits && !x.is_empty() {
        return Ok(());
    }
    let expected = if set.is_some() { "uint8 [N, 28, 28], N at least 1" } else { "[N, ...], N at least 1" };
    let what = match set {
        _ if x.is_empty() => "no pictures in it".to_owned(),
        Some(set) => format!("not pictures of {}", set.name),
        None => "not pictures".to_owned(),
    };
    let help = match (x.shape().len(), set) {
        (1, _) => "this looks like labels; perhaps two files were swapped".to_owned(),
        (_, Some(set)) if !x.is_empty() => {
            format!("for other pictures give the folder's path in place of the name `{}`", set.name)
        }
        _ => "give pictures of at least one pixel each".to_owned(),
    };
    Err(mismatch(path, &what, expected, x).help(help))
}

fn check_labels(path: &Path, y: &Tensor, set: Option<&KnownSet>) -> Result<(), Error> {
    if y.shape().len() != 1 || !y.dtype().is_integer() || y.is_empty() {
        let help = match y.shape().len() {
            1 if y.is_empty() => "give one label for each picture",
            1 => "labels are numbers of classes; save them as uint8 or int32",
            _ => "this looks like pictures; perhaps two files were swapped",
        };
        let what = if y.is_empty() { "no labels in it" } else { "not labels" };
        return Err(mismatch(path, what, "whole numbers [N], N at least 1", y).help(help));
    }
    let (low, high) = label_range(y);
    let fault = |legal: &str| {
        let message = format!("labels go from {low} to {high}, legal {legal}");
        Err(fault(path, message).help("number the classes from 0, and check that the labels belong to these pictures"))
    };
    match set {
        Some(set) if low < 0 || high > 9 => fault(&format!("in {} are 0 to 9", set.name)),
        _ if low < 0 => fault("are 0 and above"),
        _ => Ok(()),
    }
}

fn check_lengths((x_path, x): &(PathBuf, Tensor), (y_path, y): &(PathBuf, Tensor)) -> Result<(), Error> {
    let (pictures, labels) = (x.shape()[0], y.shape()[0]);
    if pictures != labels {
        let message = format!("{pictures} pictures, but {labels} labels in `{}`", y_path.display());
        return Err(
            fault(x_path, message).help("every picture needs one label; perhaps files of train and t10k were mixed")
        );
    }
    Ok(())
}

fn check_parts((train_path, train): &(PathBuf, Tensor), (path, test): &(PathBuf, Tensor)) -> Result<(), Error> {
    if train.shape()[1..] != test.shape()[1..] {
        let (train, test) = (display_shape(&train.shape()[1..]), display_shape(&test.shape()[1..]));
        let message = format!("a picture has shape {test}, one of `{}` has {train}", train_path.display());
        return Err(fault(path, message).help("both files have to hold pictures of one size"));
    }
    Ok(())
}

fn check_classes((train_path, train): &(PathBuf, Tensor), (path, test): &(PathBuf, Tensor)) -> Result<(), Error> {
    let (train, test) = (label_range(train).1, label_range(test).1);
    if test > train {
        let train_path = train_path.display();
        let message = format!("label {test} has no sample in `{train_path}`, whose highest label is {train}");
        return Err(fault(path, message).help("what is not trained cannot be tested; split the samples anew"));
    }
    Ok(())
}

fn label_range(y: &Tensor) -> (i64, i64) {
    let labels = y.to_f64();
    let low = labels.iter().copied().fold(f64::INFINITY, f64::min);
    let high = labels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low as i64, high as i64)
}

fn mismatch(path: &Path, what: &str, expected: &str, arrived: &Tensor) -> Error {
    let arrived = format!("{} {}", arrived.dtype(), display_shape(arrived.shape()));
    fault(path, format!("{what}\n  expected: {expected}\n  arrived:  {arrived}"))
}

fn fault(path: &Path, message: String) -> Error {
    Error::new(ErrorKind::Data, format!("`{}`: {message}", path.display()))
}

/// The SHA-256 of everything `reader` gives, which has to be at most `limit_bytes`.
#[cfg(feature = "download")]
pub(super) fn checksum(reader: impl Read, limit_bytes: u64) -> io::Result<String> {
    let mut hashing = Hashing { reader: reader.take(limit_bytes), hasher: Some(Sha256::new()) };
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(hashing.sum())
}

/// Hashes what passes through, if it is to.
struct Hashing<R> {
    reader: R,
    hasher: Option<Sha256>,
}

impl<R> Hashing<R> {
    /// The sum of the bytes read so far in hexadecimal digits.
    fn sum(&self) -> String {
        let digest = self.hasher.clone().unwrap_or_default().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..count]);
        }
        Ok(count)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{fs, process, sync::atomic};

    use super::*;

    /// A folder of this test's own, removed at the end.
    pub(in crate::data) struct Scratch(pub PathBuf);

    impl Scratch {
        pub(in crate::data) fn new() -> Scratch {
            static COUNT: atomic::AtomicUsize = atomic::AtomicUsize::new(0);
            let count = COUNT.fetch_add(1, atomic::Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("footlight-data-{}-{count}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }

        /// A small set of 3 + 2 pictures in `name`, with file `index` replaced by `bytes`.
        pub(in crate::data) fn set(&self, name: &str, replaced: Option<(usize, Vec<u8>)>) -> PathBuf {
            let folder = self.0.join(name);
            fs::create_dir_all(&folder).unwrap();
            for (index, stem) in STEMS.into_iter().enumerate() {
                let count = if index < 2 { 3 } else { 2 };
                let bytes = match &replaced {
                    Some((which, bytes)) if *which == index => bytes.clone(),
                    _ if index % 2 == 0 => pictures(count, 28),
                    _ => labels(&(0..count as u8).collect::<Vec<_>>()),
                };
                fs::write(folder.join(stem), bytes).unwrap();
            }
            folder
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    pub(in crate::data) fn pictures(count: usize, side: usize) -> Vec<u8> {
        idx::write(&Tensor::new([count, side, side], vec![9u8; count * side * side]).unwrap()).unwrap()
    }

    pub(in crate::data) fn labels(values: &[u8]) -> Vec<u8> {
        idx::write(&Tensor::new([values.len()], values.to_vec()).unwrap()).unwrap()
    }

    #[test]
    fn faults_name_the_file_and_both_sides() {
        let mnist = KnownSet::by_name("mnist");
        let cases: [(usize, Vec<u8>, Option<&KnownSet>, &str); 2] = [
            (
                0,
                pictures(3, 20),
                mnist,
                "not pictures of mnist\n  expected: uint8 [N, 28, 28], N at least 1\n  arrived:  uint8 [3, 20, 20]",
            ),
            (1, labels(&[0, 1, 10]), mnist, "labels go from 0 to 10, legal in mnist are 0 to 9"),
        ];
        let scratch = Scratch::new();
        for (case, (index, bytes, set, message)) in cases.into_iter().enumerate() {
            let folder = scratch.set(&case.to_string(), Some((index, bytes)));
            let error = read(&folder, set, Trust::User).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.message().contains(message), "{error}");
            assert!(error.message().contains(STEMS[index]), "{error}");
        }
    }

    #[test]
    fn a_file_cut_short_is_named_with_its_bytes() {
        let scratch = Scratch::new();
        let mut bytes = pictures(3, 28);
        bytes.truncate(100);
        let error = read(&scratch.set("cut", Some((0, bytes))), None, Trust::User).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        assert!(
            error.message().ends_with("-ubyte`: idx: the bytes end at byte 100, the data ends at byte 2368"),
            "{error}"
        );
    }

    #[test]
    fn all_missing_files_are_named_at_once() {
        let scratch = Scratch::new();
        let folder = scratch.set("some", None);
        fs::remove_file(folder.join(STEMS[1])).unwrap();
        fs::remove_file(folder.join(STEMS[2])).unwrap();
        let error = read(&folder, None, Trust::User).unwrap_err();
        assert!(error.message().ends_with("lacks train-labels-idx1-ubyte, t10k-images-idx3-ubyte (plain or .gz)"));
    }

    #[test]
    fn compressed_files_and_dotted_names_are_found() {
        let scratch = Scratch::new();
        let folder = scratch.set("mixed", None);
        fs::rename(folder.join(STEMS[0]), folder.join("train-images.idx3-ubyte")).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, &labels(&[2, 1, 0])).unwrap();
        fs::remove_file(folder.join(STEMS[1])).unwrap();
        fs::write(folder.join("train-labels-idx1-ubyte.gz"), encoder.finish().unwrap()).unwrap();
        let [x_train, y_train, ..] = read(&folder, None, Trust::User).unwrap();
        assert_eq!((x_train.len(), x_train.dtype(), y_train.label(0)), (3, DType::U8, 2));
    }

    #[test]
    fn a_wrong_checksum_says_to_delete_the_file() {
        let scratch = Scratch::new();
        let folder = scratch.set("mnist", None);
        let error = read(&folder, KnownSet::by_name("mnist"), Trust::Checksums).unwrap_err();
        assert!(error.message().contains("not the published file\n  expected: SHA-256 ba891046"), "{error}");
        assert!(error.help_text().unwrap().starts_with("delete `"), "{error}");
        assert!(error.help_text().unwrap().ends_with("the next run downloads it again"), "{error}");
    }
}
