//! Texts as data: where they come from, and how they become the numbers that a model reads.
//!
//! Texts with labels (tables, folders by class, `imdb`) become sequences of one length with a label each. One running text
//! (a `.txt` file, `tiny-shakespeare`) becomes windows whose targets are the tokens that come next. Either way the
//! vocabulary is learned from what is trained on alone.

mod choices;
mod corpus;
mod known;
mod vectorization;
mod windows;

pub use choices::{End, Split, Standardize};
pub(super) use corpus::{folder, table};
pub(super) use known::KnownText;
pub use vectorization::TextVectorization;
pub(super) use windows::running;

use std::{fs, io::Read, path::Path};

use crate::{Error, ErrorKind, Result};

/// The most that a compressed text may grow to.
const LIMIT_BYTES: u64 = 1 << 30;
/// The most memory that decompressing takes; `xz -9` asks for half.
const MEMORY_KIB: u32 = 128 << 10;

/// The text in a file, which is UTF-8 and, if its name ends in `.xz`, compressed.
fn read(path: &Path) -> Result<String> {
    let unreadable = |error| Error::new(ErrorKind::File, format!("cannot read it: {error}"));
    let is_compressed = path.extension().is_some_and(|ending| ending == "xz");
    let bytes = fs::read(path).map_err(unreadable).and_then(|bytes| match is_compressed {
        true => decompressed(&bytes),
        false => Ok(bytes),
    });
    bytes.and_then(decoded).map_err(|error| error.at(format!("`{}`", path.display())))
}

fn decompressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let taken =
        lzma_rust2::XzReader::new_mem_limit(bytes, true, MEMORY_KIB).take(LIMIT_BYTES + 1).read_to_end(&mut text);
    let fault = match taken {
        Ok(_) if text.len() as u64 > LIMIT_BYTES => {
            let message = format!("its {} bytes become more than {LIMIT_BYTES}", bytes.len());
            return Err(Error::new(ErrorKind::File, message).help("train on a part of the text"));
        }
        Ok(_) => return Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => "they are cut short".into(),
        Err(error) => error.to_string(),
    };
    let message = format!("its {} bytes cannot be decompressed: {fault}", bytes.len());
    Err(Error::new(ErrorKind::File, message).help("copy the file again; it has to be one of xz"))
}

/// Bytes as a text, without the mark that some editors put before it.
///
/// # Errors
/// Bytes that are not UTF-8, with the place of the first.
fn decoded(bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        let byte = error.as_bytes()[at];
        Error::new(ErrorKind::File, format!("byte {at} (0x{byte:02x}, in line {line}) is not UTF-8"))
            .help("save the text in UTF-8")
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    })
}
