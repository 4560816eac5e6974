//! The `.keras` archive: a zip of `metadata.json`, `config.json` and `model.weights.h5`, and of a member of our own.

use std::io::{Cursor, ErrorKind as IoErrorKind, Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use footlight_tensor::{Error, ErrorKind};
use serde_json::{Value, json};
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::bytes::{Bytes, Reader};
use super::{Group, Scope, hdf5};

/// The version of Keras whose files are written.
pub const KERAS_VERSION: &str = "3.15.1";

const METADATA: &str = "metadata.json";
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.weights.h5";
const WEIGHTS_NPZ: &str = "model.weights.npz";

/// Up to this size nothing is held against a member that is compressed well. Keras compresses none.
const PLAIN_LIMIT_BYTES: u64 = 256 << 20;
/// The most that a larger member may grow.
const RATIO_LIMIT: u64 = 100;
/// The configuration of a model with a thousand layers takes about a megabyte. In memory a byte of JSON can take
/// more than a hundred.
pub(super) const JSON_LIMIT_BYTES: u64 = 4 << 20;
/// What is read at once of a member that is passed over: it stays in the processor's cache.
const PIECE_BYTES: usize = 64 << 10;
/// A vocabulary of a million words takes some ten megabytes.
const OWN_LIMIT_BYTES: u64 = 32 << 20;

/// A saved model: who saved it when, what it is, and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// `keras_version` and `date_saved`; `null` where a file has none.
    pub metadata: Value,
    /// The model as Keras serialises it: `class_name`, `config`, `compile_config` and the like.
    pub config: Value,
    /// The variables.
    pub weights: Group,
    /// What Keras has no place for and passes over, such as a vocabulary, as JSON; empty for nothing.
    pub footlight: Vec<u8>,
}

impl Archive {
    /// The member that only Footlight reads.
    pub const FOOTLIGHT: &str = "footlight.json";

    /// An archive saved at `time`, which is written in UTC.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::file::{Archive, Group};
    /// let archive = Archive::new(serde_json::json!({}), Group::default(), std::time::UNIX_EPOCH);
    /// assert_eq!(archive.metadata["date_saved"], "1970-01-01@00:00:00");
    /// assert_eq!(Archive::read(&archive.write().unwrap()).unwrap(), archive);
    /// ```
    pub fn new(config: Value, weights: Group, time: SystemTime) -> Archive {
        let metadata = json!({ "keras_version": KERAS_VERSION, "date_saved": date_saved(time) });
        Archive { metadata, config, weights, footlight: Vec::new() }
    }

    /// Opens the archive at `path`, or the folder with the same files unpacked.
    ///
    /// # Errors
    /// As [`Archive::read`], with the path; also when the files cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Archive, Error> {
        let path = path.as_ref();
        let opened = match path.is_dir() {
            true => Archive::of_folder(path, Scope::Whole),
            false => Bytes::open(path).map_err(cannot_read).and_then(|bytes| Archive::of_bytes(&bytes, Scope::Whole)),
        };
        opened.map_err(|error| advised(error).at(format!("`{}`", path.display())))
    }

    /// Reads the bytes of an archive, whose members may be stored or deflated. Assets are passed over.
    ///
    /// # Errors
    /// `ErrorKind::File` with the member and its byte numbers: for bytes that are not a zip archive, members that are
    /// missing, there twice, cut short, changed, or made to fill the memory, JSON that is none, and as [`hdf5::read`].
    /// Weights in `model.weights.npz` are refused, because Keras writes them as pickles, which are programs.
    pub fn read(bytes: &[u8]) -> Result<Archive, Error> {
        Archive::of_bytes(&bytes.to_vec().into(), Scope::Whole)
    }

    pub(super) fn of_bytes(bytes: &Bytes, scope: Scope) -> Result<Archive, Error> {
        let archive = Archive::unzip(bytes, scope).map_err(advised)?;
        match bytes.is_unchanged().map_err(cannot_read)? {
            true => Ok(archive),
            false => Err(fault("it was changed while it was read").help("read it again when it is written")),
        }
    }

    pub(super) fn of_folder(folder: &Path, scope: Scope) -> Result<Archive, Error> {
        Archive::assemble(scope, |name, limit| from_folder(folder, name, limit)).map_err(advised)
    }

    fn unzip(bytes: &Bytes, scope: Scope) -> Result<Archive, Error> {
        let damaged = |error: ZipError| {
            let error = match error {
                ZipError::InvalidArchive(_) => "they are no zip archive, or one that is cut short".into(),
                other => other.to_string(),
            };
            fault(format!("its {} bytes cannot be read: {error}", bytes.len()))
                .help("copy the file again; it has to be one that Keras 3 saved as `.keras`")
        };
        let mut zip: Zip = ZipArchive::new(bytes.reader()).map_err(damaged)?;
        if zip.has_duplicate_names() {
            return Err(fault("the archive holds two members of one name"));
        }
        if zip.has_overlapping_files().map_err(damaged)? {
            return Err(fault("two members share the same bytes, which only a zip bomb does"));
        }
        Archive::assemble(scope, |name, limit| from_zip(&zip, bytes, name, limit))
    }

    /// Writes the bytes of the archive, all members stored. The same archive gives the same bytes.
    ///
    /// # Errors
    /// As [`hdf5::write`], and a member of our own that would be too large to be read again.
    pub fn write(&self) -> Result<Vec<u8>, Error> {
        let weights = hdf5::write(&self.weights).map_err(|error| error.at(WEIGHTS))?;
        let (metadata, config) = (self.metadata.to_string(), self.config.to_string());
        let own = Some((Archive::FOOTLIGHT, self.footlight.as_slice())).filter(|(_, own)| !own.is_empty());
        own.map_or(Ok(()), |(name, bytes)| check_limit(name, bytes.len() as u64, OWN_LIMIT_BYTES))?;
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let members = [(METADATA, metadata.as_bytes()), (CONFIG, config.as_bytes()), (WEIGHTS, &weights)];
        for (name, bytes) in members.into_iter().chain(own) {
            let options = SimpleFileOptions::DEFAULT
                .compression_method(CompressionMethod::Stored)
                .large_file(bytes.len() as u64 >= u64::from(u32::MAX));
            zip.start_file(name, options).map_err(fault)?;
            zip.write_all(bytes).map_err(fault)?;
        }
        Ok(zip.finish().map_err(fault)?.into_inner())
    }

    /// Puts an archive together from members that `get` finds by name and limit of size.
    fn assemble(
        scope: Scope,
        mut get: impl FnMut(&str, u64) -> Result<Option<Member>, Error>,
    ) -> Result<Archive, Error> {
        let config = get(CONFIG, JSON_LIMIT_BYTES)?;
        let config = config.ok_or_else(|| missing(CONFIG).help("it has to be a model saved by Keras 3 as `.keras`"))?;
        let mut config = parse(CONFIG, &config.held()?)?;
        scope.cut(&mut config);
        let metadata = get(METADATA, JSON_LIMIT_BYTES)?;
        let metadata = metadata.map_or(Ok(Value::Null), |member| parse(METADATA, &member.held()?))?;
        let Some(weights) = get(WEIGHTS, u64::MAX)? else {
            // Whether it is there is all that matters, so nothing of it is read.
            return Err(match get(WEIGHTS_NPZ, 0) {
                Ok(None) => missing(WEIGHTS).help("save the whole model, not its configuration alone"),
                _ => fault(format!("`{WEIGHTS_NPZ}` holds pickles, which are programs and never run"))
                    .help("save the model with weights_format=\"h5\", which is what Keras does unless told otherwise"),
            });
        };
        let mut checked = Ok(());
        let tree = hdf5::read_beside(weights.bytes, scope, || checked = (weights.check)());
        // What the archive says of its member comes before what is found in it.
        checked?;
        let weights = tree.map_err(|error| error.at(WEIGHTS))?;
        let footlight = get(Archive::FOOTLIGHT, OWN_LIMIT_BYTES)?;
        let footlight = footlight.map_or(Ok(Vec::new()), Member::held)?;
        Ok(Archive { metadata, config, weights, footlight })
    }
}

/// A member of an archive, found and not yet checked.
struct Member {
    bytes: Bytes,
    /// Reads all of it and holds it against its checksum.
    check: Box<dyn FnOnce() -> Result<(), Error>>,
}

impl Member {
    fn held(self) -> Result<Vec<u8>, Error> {
        (self.check)()?;
        self.bytes.to_vec().map_err(cannot_read)
    }
}

impl From<Bytes> for Member {
    /// A member that needs no check.
    fn from(bytes: Bytes) -> Member {
        Member { bytes, check: Box::new(|| Ok(())) }
    }
}

type Zip = ZipArchive<Reader>;

/// A member that is stored stays where it is; one that is deflated is unpacked, and checked by that.
fn from_zip(zip: &Zip, archive: &Bytes, name: &str, limit: u64) -> Result<Option<Member>, Error> {
    let mut zip = zip.clone();
    let damaged = |error: &dyn std::fmt::Display| fault(format!("`{name}`: {error}"));
    let entry = match zip.by_name(name) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(damaged(&error)),
    };
    let (declared, stored) = (entry.size(), entry.compressed_size());
    if declared > PLAIN_LIMIT_BYTES && declared / RATIO_LIMIT > stored {
        let message = format!("{declared} bytes are declared out of {stored} stored, more than {RATIO_LIMIT} times");
        return Err(damaged(&message));
    }
    check_limit(name, declared, limit)?;
    let start = entry.data_start().unwrap_or(0);
    let Some(bytes) = archive.stretch(start, stored) else {
        let end = start.saturating_add(stored);
        return Err(damaged(&format!("it ends at byte {end}, the file has {}", archive.len())));
    };
    if entry.compression() == CompressionMethod::Stored {
        drop(entry);
        let name = name.to_owned();
        let check = move || {
            let entry = zip.by_name(&name).map_err(|error| fault(format!("`{name}`: {error}")))?;
            pass(&name, entry, |_| {})
        };
        return Ok(Some(Member { bytes, check: Box::new(check) }));
    }
    // It grows as it comes.
    let mut unpacked = Vec::with_capacity(usize::try_from(declared.min(stored)).unwrap_or(0));
    pass(name, entry, |piece| unpacked.extend_from_slice(piece))?;
    Ok(Some(Bytes::from(unpacked).into()))
}

/// Lets `each` see the bytes of a member, which are as many as it says and have its checksum, or there is an error.
fn pass(name: &str, entry: ZipFile<Reader>, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
    let (declared, start) = (entry.size(), entry.data_start().unwrap_or(0));
    let (mut entry, mut piece, mut count) = (entry.take(declared.saturating_add(1)), vec![0; PIECE_BYTES], 0);
    let taken = loop {
        match entry.read(&mut piece) {
            Ok(0) => break Ok(()),
            Ok(len) => {
                count += len as u64;
                each(&piece[..len]);
            }
            Err(error) if error.kind() == IoErrorKind::Interrupted => {}
            Err(error) => break Err(error.to_string()),
        }
    };
    let taken = taken.and_then(|()| match count == declared {
        true => Ok(()),
        false => Err("its length is not the declared one".into()),
    });
    taken.map_err(|error| {
        fault(format!("`{name}`: {error}; {count} of {declared} bytes were read, from byte {start} on"))
    })
}

fn from_folder(folder: &Path, name: &str, limit: u64) -> Result<Option<Member>, Error> {
    let path = folder.join(name);
    let here = |error| cannot_read(error).at(format!("`{name}`"));
    match fs::metadata(&path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(here(error)),
        // Links are followed, but a device or a pipe may go on for ever.
        Ok(found) if !found.is_file() => return Err(fault(format!("`{name}` is no file"))),
        Ok(found) => check_limit(name, found.len(), limit)?,
    }
    Bytes::open(&path).map(|bytes| Some(bytes.into())).map_err(here)
}

pub(super) fn check_limit(name: &str, len_bytes: u64, limit: u64) -> Result<(), Error> {
    if len_bytes > limit {
        return Err(fault(format!("`{name}` has {len_bytes} bytes, more than {limit}")));
    }
    Ok(())
}

pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| fault(format!("`{name}` ({} bytes): {error}", bytes.len())))
}

fn missing(name: &str) -> Error {
    fault(format!("`{name}` is missing"))
}

pub(super) fn cannot_read(error: io::Error) -> Error {
    fault(format!("cannot read it: {error}")).help("check the path and its permissions")
}

/// Gives an error of reading a next step if it has none of its own.
pub(super) fn advised(error: Error) -> Error {
    match error.help_text() {
        Some(_) => error,
        None => error.help("the file is damaged; copy it again or save the model anew"),
    }
}

pub(super) fn fault(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::File, message.to_string())
}

/// The time as Keras writes it, `%Y-%m-%d@%H:%M:%S`. A time before 1970 counts as 1970.
fn date_saved(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}@{hour:02}:{minute:02}:{second:02}")
}

/// The Gregorian date of a day counted from 1970-01-01. Years begin in March here, so that the leap day is their last.
fn date(day_number: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01 it is 719,468 days.
    let days = day_number + 719_468;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
