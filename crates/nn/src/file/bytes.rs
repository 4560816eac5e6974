//! The bytes of a file, read where they are asked for: from memory, or from the disk a piece at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// The bytes of a file or of a stretch of it. Copies share them; a file is opened once, so that they are all of one file
/// even if another takes its name meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Bytes {
    origin: Origin,
    start: u64,
    len: u64,
}

#[derive(Clone, Debug)]
enum Origin {
    Memory(Arc<Vec<u8>>),
    /// The file, and when it was written last.
    Disk(Arc<File>, Option<SystemTime>),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes { start: 0, len: bytes.len() as u64, origin: Origin::Memory(Arc::new(bytes)) }
    }
}

impl Bytes {
    /// Opens a file. What is no regular file, such as a pipe, is read at once, as it cannot be read at any place.
    pub fn open(path: &Path) -> io::Result<Bytes> {
        let mut file = File::open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            return Ok(bytes.into());
        }
        Ok(Bytes { start: 0, len: found.len(), origin: Origin::Disk(Arc::new(file), found.modified().ok()) })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The stretch of `len` bytes from `start` on, if there are as many.
    pub fn stretch(&self, start: u64, len: u64) -> Option<Bytes> {
        let end = start.checked_add(len)?;
        (end <= self.len).then(|| Bytes { origin: self.origin.clone(), start: self.start + start, len })
    }

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Fewer bytes than that, also where the file became shorter meanwhile, and whatever the disk says.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let there = self.stretch(offset, into.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        match &self.origin {
            Origin::Memory(bytes) => {
                let start = usize::try_from(there.start).expect("it lies in memory");
                into.copy_from_slice(&bytes[start..start + into.len()]);
                Ok(())
            }
            Origin::Disk(file, _) => read_exact_at(file, into, there.start),
        }
    }

    /// Whether nobody has written to the file since it was opened: what was checked is then what was read.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        match &self.origin {
            Origin::Memory(_) => Ok(true),
            Origin::Disk(file, written) => Ok(file.metadata()?.modified().ok() == *written),
        }
    }

    /// All of them in memory.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads them one after another.
    pub fn reader(&self) -> Reader {
        Reader { bytes: self.clone(), position: 0 }
    }
}

/// Reads at a place of a file, whatever others read of it meanwhile.
#[cfg(unix)]
fn read_exact_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

/// Reads at a place of a file, whatever others read of it meanwhile.
#[cfg(windows)]
fn read_exact_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, into, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => (into, offset) = (&mut into[count..], offset + count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A place in bytes from which they are read on.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    bytes: Bytes,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.len.saturating_sub(self.position);
        let count = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            // The place may lie beyond the end.
            return Ok(0);
        }
        self.bytes.read_at(self.position, &mut into[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        let position = match place {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.bytes.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let outside =
            || io::Error::new(io::ErrorKind::InvalidInput, "invalid seek to a negative or overflowing position");
        self.position = position.ok_or_else(outside)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The same bytes in memory and on the disk, where they stay until the end of the test.
    fn both(name: &str, bytes: &[u8], check: impl Fn(&Bytes)) {
        check(&bytes.to_vec().into());
        let path = std::env::temp_dir().join(format!("footlight-bytes-{name}-{}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let opened = Bytes::open(&path).unwrap();
        // The name may go: the file was opened.
        fs::remove_file(&path).unwrap();
        check(&opened);
    }

    #[test]
    fn a_stretch_is_read_as_if_it_were_a_file_and_never_beyond() {
        let all: Vec<u8> = (0..=255).collect();
        both("stretch", &all, |bytes| {
            let part = bytes.stretch(100, 50).unwrap().stretch(10, 20).unwrap();
            assert_eq!((bytes.len(), part.len()), (256, 20));
            assert_eq!(part.to_vec().unwrap(), &all[110..130]);
            let mut three = [0; 3];
            part.read_at(17, &mut three).unwrap();
            assert_eq!(three, [127, 128, 129]);
            for (offset, len) in [(18, 3), (20, 1), (u64::MAX, 2), (u64::MAX - 1, 1)] {
                let error = part.read_at(offset, &mut vec![0; len]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len} from {offset}");
            }
            assert!(part.read_at(20, &mut []).is_ok() && part.stretch(20, 0).is_some());
            assert!(bytes.stretch(200, 57).is_none() && bytes.stretch(u64::MAX, 2).is_none());
        });
    }

    #[test]
    fn reading_goes_on_from_any_place_and_ends_at_the_end() {
        both("reader", b"0123456789", |bytes| {
            let mut reader = bytes.stretch(2, 6).unwrap().reader();
            let mut text = String::new();
            assert_eq!(reader.seek(SeekFrom::End(-2)).unwrap(), 4);
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(reader.seek(SeekFrom::Current(-5)).unwrap(), 1);
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "6734567");
            assert_eq!(reader.seek(SeekFrom::Start(100)).unwrap(), 100);
            assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
            assert!(reader.seek(SeekFrom::End(-7)).is_err() && reader.seek(SeekFrom::Current(i64::MIN)).is_err());
        });
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_read_at_once() {
        let bytes = Bytes::open(Path::new("/dev/null")).unwrap();
        assert!(matches!(bytes.origin, Origin::Memory(_)) && bytes.len() == 0);
    }

    #[test]
    fn a_file_that_becomes_shorter_meanwhile_is_an_error_and_a_change_is_seen() {
        let path = std::env::temp_dir().join(format!("footlight-bytes-shorter-{}", std::process::id()));
        fs::write(&path, [7; 100]).unwrap();
        let bytes = Bytes::open(&path).unwrap();
        assert!(bytes.is_unchanged().unwrap());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(40).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(bytes.read_at(0, &mut [0; 40]).is_ok() && !bytes.is_unchanged().unwrap());
        assert_eq!(bytes.read_at(30, &mut [0; 20]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(bytes.to_vec().is_err());
        fs::remove_file(&path).unwrap();
    }
}
