//! `npz` bytes: a zip archive of `npy` files, as `numpy.savez` and `numpy.savez_compressed` write them.
//!
//! Archives can be bombs, so an entry is read only as far as its `npy` header says, that length has to be the one the
//! archive declares, and entries that share bytes or promise a hundredfold of a large size are refused unread.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::npy;
use super::stream::{bomb, is_bomb};
use crate::{Error, ErrorKind, Tensor};

const SUFFIX: &str = ".npy";

/// Reads all tensors of `npz` bytes, in the order of the archive, named without their `.npy`.
///
/// # Errors
/// As [`read_stream`].
///
/// # Examples
/// ```
/// use footlight_tensor::{Tensor, npz};
/// let x = Tensor::new([2], vec![1.5f32, 2.5]).unwrap();
/// let bytes = npz::write([("x", &x)]).unwrap();
/// assert_eq!(npz::read(&bytes).unwrap(), [("x".to_string(), x)]);
/// ```
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, Error> {
    read_stream(Cursor::new(bytes))
}

/// Reads all tensors of a stream of `npz` bytes.
///
/// # Errors
/// `ErrorKind::File` for bytes that are not a zip archive, entries that are not `npy`, wrong checksums, and archives
/// made to fill the memory; `ErrorKind::DType` for element types that [`npy::read`] refuses.
pub fn read_stream(mut reader: impl Read + Seek) -> Result<Vec<(String, Tensor)>, Error> {
    let archive_bytes = reader.seek(SeekFrom::End(0)).map_err(fault)?;
    reader.rewind().map_err(fault)?;
    let mut archive = ZipArchive::new(reader)
        .map_err(|_| fault(format!("its {archive_bytes} bytes are no zip archive, or one that is cut short")))?;
    if archive.has_overlapping_files().map_err(fault)? {
        return Err(fault("two entries share the same bytes, which only a zip bomb does"));
    }
    let mut tensors = Vec::new();
    let mut declared_bytes = 0u64;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(fault)?;
        let name = entry.name().map_err(fault)?.into_owned();
        let Some(short) = name.strip_suffix(SUFFIX) else {
            return Err(fault(format!("entry `{}` is not an {SUFFIX} file", name.escape_default()))
                .help("make the file with numpy.savez or numpy.savez_compressed"));
        };
        declared_bytes = declared_bytes.saturating_add(entry.size());
        if is_bomb(entry.size(), entry.compressed_size()) || is_bomb(declared_bytes, archive_bytes) {
            return Err(fault(format!("entry `{short}`: {}", bomb(entry.size(), entry.compressed_size()))));
        }
        let size = entry.size();
        let tensor = npy::read_sized(entry, Some(size)).map_err(|error| error.at(format!("npz: entry `{short}`")))?;
        tensors.push((short.to_owned(), tensor));
    }
    Ok(tensors)
}

/// Writes named tensors as `npz` bytes, stored as `numpy.savez` does, with no time stamps: the same tensors give the same
/// bytes.
///
/// # Errors
/// `ErrorKind::File` when two tensors have the same name; `ErrorKind::Shape` as [`npy::write`].
pub fn write<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Vec<u8>, Error> {
    let mut bytes = Cursor::new(Vec::new());
    write_stream(tensors, &mut bytes)?;
    Ok(bytes.into_inner())
}

/// As [`write()`], to where the bytes belong, so that they are not all in memory.
///
/// # Errors
/// As [`write()`]; `ErrorKind::File` with the cause when the bytes are not taken.
///
/// # Examples
/// ```
/// use footlight_tensor::{Tensor, npz};
/// let x = Tensor::new([2], vec![1.5f32, 2.5]).unwrap();
/// let mut file = std::io::Cursor::new(Vec::new());
/// npz::write_stream([("x", &x)], &mut file).unwrap();
/// assert_eq!(file.into_inner(), npz::write([("x", &x)]).unwrap());
/// ```
pub fn write_stream<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    out: impl Write + Seek,
) -> Result<(), Error> {
    let not_taken = |error: io::Error| Error::new(ErrorKind::File, format!("npz: cannot write: {error}"));
    let fault = |error: ZipError| match error {
        ZipError::Io(error) => not_taken(error),
        other => Error::new(ErrorKind::File, format!("npz: {other}")),
    };
    let mut writer = ZipWriter::new(out);
    for (name, tensor) in tensors {
        let header = npy::header(tensor)?;
        let len_bytes = (header.len() + tensor.len() * tensor.dtype().size_bytes()) as u64;
        let options = SimpleFileOptions::DEFAULT
            .compression_method(CompressionMethod::Stored)
            .large_file(len_bytes >= u64::from(u32::MAX));
        writer.start_file(format!("{name}{SUFFIX}"), options).map_err(fault)?;
        let written = writer.write_all(&header).and_then(|()| npy::write_elements(tensor, &mut writer));
        written.map_err(not_taken)?;
    }
    writer.finish().map_err(fault)?.flush().map_err(not_taken)
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::File, format!("npz: {error}"))
        .help("copy or download the file again; it has to be one made by numpy.savez")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let x = Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap();
        let y = Tensor::new([2], vec![5u8, 9]).unwrap();
        write([("x", &x), ("layers/y", &y)]).unwrap()
    }

    fn archive(name: &str, content: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, SimpleFileOptions::DEFAULT).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tensors = read(&sample()).unwrap();
        assert_eq!(tensors[0].0, "x");
        assert_eq!(tensors[0].1.to_f32(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(tensors[1].0, "layers/y");
        assert_eq!(tensors[1].1, Tensor::new([2], vec![5u8, 9]).unwrap());
        assert!(read(&write([]).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn writing_twice_gives_the_same_bytes() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let x = Tensor::scalar(1.0);
        assert_eq!(write([("x", &x), ("x", &x)]).unwrap_err().kind(), ErrorKind::File);
    }

    #[test]
    fn every_prefix_is_an_error() {
        let whole = sample();
        for end in 0..whole.len() {
            let error = read(&whole[..end]).unwrap_err();
            assert!(error.message().starts_with(&format!("npz: its {end} bytes are no zip archive")), "{error}");
            assert!(error.help_text().is_some(), "{error}");
        }
    }

    #[test]
    fn foreign_entries_and_wrong_sizes_are_refused() {
        let error = read(&archive("note.txt", b"hello")).unwrap_err();
        assert_eq!(error.message(), "npz: entry `note.txt` is not an .npy file");
        let mut content = npy::write(&Tensor::scalar(1.0)).unwrap();
        content.push(0);
        let error = read(&archive("x.npy", &content)).unwrap_err();
        assert_eq!(error.message(), "npz: entry `x`: npy: the data ends at byte 132, the archive declares 133 bytes");
    }

    #[test]
    fn an_entry_that_declares_a_bomb_is_refused_unread() {
        // The uncompressed size stands in the central directory, 24 bytes after its signature.
        let mut bytes = archive("x.npy", &npy::write(&Tensor::scalar(1.0)).unwrap());
        let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bytes[directory + 24..directory + 28].copy_from_slice(&0xFFFF_FFFEu32.to_le_bytes());
        let error = read(&bytes).unwrap_err();
        assert_eq!(
            error.message(),
            "npz: entry `x`: npy: the data ends at byte 132, the archive declares 4294967294 bytes"
        );
    }

    #[test]
    fn a_changed_data_byte_is_noticed() {
        let x = Tensor::new([8], vec![1u8, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let mut bytes = archive("x.npy", &npy::write(&x).unwrap());
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        assert!(read(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn changed_bytes_never_panic(changes in prop::collection::vec((0usize..400, any::<u8>()), 1..4)) {
            let mut bytes = sample();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let _ = read(&bytes);
        }
    }
}
