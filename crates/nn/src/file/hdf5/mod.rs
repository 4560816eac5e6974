//! HDF5 bytes: the tree of weights inside a `.keras` archive, and a `.weights.h5` file as a whole.
//!
//! The format is the business of a library, hidden behind a small trait. What is ours is distrust: the library works in
//! a thread of its own, where a panic is an error and deep nesting has room, and under a budget of bytes, links and
//! depth. The message of such a panic still appears on standard error, because silencing it would change the whole
//! program's hook.

mod pure;

use std::thread;

use footlight_tensor::{Error, ErrorKind};

use super::bytes::Bytes;
use super::{Group, Scope};

/// What HDF5 bytes begin with.
pub const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Reads the groups, the tensors and the texts in HDF5 bytes.
///
/// `float32`, `float64`, `int32`, `int64` and `uint8` keep their type; `bool` becomes `uint8`; `int8`, `int16` and
/// `uint16` become `int32`; `uint32` becomes `int64`. Attributes other than a group's texts are passed over.
///
/// # Errors
/// `ErrorKind::File` for bytes that are not HDF5 or end early, for other element types, for links and data that lead out
/// of the file, and for files made to fill the memory or to keep the reader busy for ever.
///
/// # Differences
/// Keras lets a dataset promise 4 GiB before it weighs the promise against the bytes that are there; here 256 MiB.
pub fn read(bytes: impl Into<Vec<u8>>) -> Result<Group, Error> {
    read_beside(bytes.into().into(), Scope::Whole, || ())
}

/// As [`read`], of bytes that need not lie in memory, and of what `scope` says of the tree; `beside` is done meanwhile.
pub(super) fn read_beside(bytes: Bytes, scope: Scope, beside: impl FnOnce()) -> Result<Group, Error> {
    isolated(move || Library::read(bytes, scope), beside)
}

/// Writes a tree as HDF5 bytes that HDF5 1.8 and later reads: contiguous, little-endian, uncompressed, with scalar
/// dataspaces for scalars, empty groups kept, and no time stamps: the same tree gives the same bytes.
///
/// # Errors
/// `ErrorKind::File` for keys that HDF5 cannot hold (empty, `.`, `..`, with `/`) and trees nested beyond 32 groups.
pub fn write(root: &Group) -> Result<Vec<u8>, Error> {
    isolated(|| Library::write(root), || ())
}

/// What a library has to do for us, in our own types only.
trait Codec {
    fn read(bytes: Bytes, scope: Scope) -> Result<Group, Error>;
    fn write(root: &Group) -> Result<Vec<u8>, Error>;
}

type Library = pure::Hdf5Pure;

/// A datatype can be nested some thousand times in one header, and parsers descend by recursion. Only pages that are
/// touched cost memory.
const STACK_BYTES: usize = 64 << 20;

fn isolated<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send, beside: impl FnOnce()) -> Result<T, Error> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("hdf5".into()).stack_size(STACK_BYTES);
        let handle =
            builder.spawn_scoped(scope, work).map_err(|error| fault(format!("no thread to be had: {error}")))?;
        beside();
        handle.join().unwrap_or_else(|payload| {
            Err(fault(format!("the library gave up on this file: {}", panic_text(payload.as_ref())))
                .help("the file is probably damaged; copy it again or save the model anew"))
        })
    })
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

fn fault(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::File, format!("hdf5: {message}"))
}

const DEPTH_LIMIT: usize = 32;
const LINK_LIMIT: usize = 100_000;
const CHUNK_LIMIT: u64 = 1 << 20;
/// Up to this size nothing is held against a promise.
const PLAIN_LIMIT_BYTES: u64 = 256 << 20;
/// What a stored byte may become: a little more than deflate can make of it, and what Keras grants.
const RATIO_LIMIT: u64 = 1000;

/// What reading one file may cost.
struct Budget {
    file_bytes: u64,
    links: usize,
    declared_bytes: u64,
    text_bytes: u64,
}

impl Budget {
    fn new(file_bytes: u64) -> Budget {
        Budget { file_bytes, links: 0, declared_bytes: 0, text_bytes: 0 }
    }

    /// Allows for the texts of an attribute: each lies in the file once, though many may point at one.
    fn texts(&mut self, texts: &[String]) -> Result<(), Error> {
        self.text_bytes += texts.iter().map(|text| text.len() as u64).sum::<u64>();
        if self.text_bytes > self.file_bytes {
            return Err(fault(format!("its texts are longer than its {} bytes", self.file_bytes)));
        }
        Ok(())
    }

    /// Allows for one more link, `depth` groups down. Groups may contain themselves, so both have to end.
    fn link(&mut self, depth: usize) -> Result<(), Error> {
        self.links += 1;
        if depth > DEPTH_LIMIT {
            return Err(fault(format!("groups are nested beyond {DEPTH_LIMIT}; perhaps one contains itself")));
        }
        if self.links > LINK_LIMIT {
            return Err(fault(format!("more than {LINK_LIMIT} groups and datasets; perhaps one contains itself")));
        }
        Ok(())
    }

    /// Allows for a dataset that promises `declared_bytes` from `stored_bytes`.
    fn data(&mut self, declared_bytes: u64, stored_bytes: u64) -> Result<(), Error> {
        self.declared_bytes = self.declared_bytes.saturating_add(declared_bytes);
        refuse_bomb(declared_bytes, stored_bytes)?;
        refuse_bomb(self.declared_bytes, self.file_bytes)
    }
}

fn refuse_bomb(declared_bytes: u64, stored_bytes: u64) -> Result<(), Error> {
    if declared_bytes > PLAIN_LIMIT_BYTES && declared_bytes / RATIO_LIMIT > stored_bytes {
        return Err(fault(format!(
            "{declared_bytes} bytes are declared out of {stored_bytes} stored, more than {RATIO_LIMIT} times"
        )));
    }
    Ok(())
}

/// Says why a key cannot be part of a path.
fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() || key == "." || key == ".." || key.contains(['/', '\0']) {
        return Err(fault(format!("`{}` cannot be the key of an entry", key.escape_debug())));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
