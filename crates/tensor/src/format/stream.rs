//! Reading counted elements from a stream without believing its header.

use std::io::{ErrorKind as IoKind, Read};

use crate::{Error, ErrorKind};

/// The most bytes reserved ahead of the bytes seen.
const AHEAD_BYTES: usize = 64 << 20;
/// The bytes decoded at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Up to this size nothing is held against data that were compressed well.
const PLAIN_LIMIT_BYTES: u64 = 4 << 30;
/// The most that larger data may grow.
const RATIO_LIMIT: u64 = 100;

/// A reader that knows its format's name and how many bytes it has given.
pub(crate) struct Stream<R> {
    reader: R,
    format: &'static str,
    position: u64,
}

impl<R: Read> Stream<R> {
    /// Reads `reader` from its present position, which counts as byte 0.
    pub(crate) fn new(reader: R, format: &'static str) -> Stream<R> {
        Stream { reader, format, position: 0 }
    }

    /// The number of bytes read so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// An error in this format.
    pub(crate) fn fault(&self, message: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::File, format!("{}: {message}", self.format))
            .help("the file is damaged; copy or download it again")
    }

    /// Refuses a promise of `declared_bytes` out of `stored_bytes` that only a compression bomb makes.
    pub(crate) fn check_growth(&self, declared_bytes: u64, stored_bytes: u64) -> Result<(), Error> {
        match is_bomb(declared_bytes, stored_bytes) {
            false => Ok(()),
            true => Err(self.fault(bomb(declared_bytes, stored_bytes))),
        }
    }

    /// Fills `bytes`, which belong to `part` of the format, ending at byte `expected_end`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8], part: &str, expected_end: u64) -> Result<(), Error> {
        let mut done = 0;
        while done < bytes.len() {
            match self.read(&mut bytes[done..])? {
                0 => {
                    let message =
                        format!("the bytes end at byte {}, the {part} ends at byte {expected_end}", self.position);
                    return Err(self.fault(message).help("the file is cut short; copy or download it again"));
                }
                count => done += count,
            }
        }
        Ok(())
    }

    /// Fills an array of `part`.
    pub(crate) fn array<const N: usize>(&mut self, part: &str) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, part, self.position + N as u64)?;
        Ok(bytes)
    }

    /// Decodes `count` elements of `N` bytes each straight into their final place.
    ///
    /// At most 64 MiB are reserved beyond what has arrived, so a header that promises too much costs nothing.
    pub(crate) fn elements<T, const N: usize>(
        &mut self,
        count: usize,
        decode: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Error> {
        let expected_end = count.checked_mul(N).and_then(|bytes| self.position.checked_add(bytes as u64));
        let Some(expected_end) = expected_end else {
            return Err(self.fault(format!("{count} elements of {N} bytes are more than can be addressed")));
        };
        let mut elements: Vec<T> = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES.min(count * N)];
        while elements.len() < count {
            let missing = count - elements.len();
            let step = missing.min(CHUNK_BYTES / N);
            if elements.capacity() - elements.len() < step {
                let ahead = missing.min(elements.len().max(AHEAD_BYTES / size_of::<T>()));
                if elements.try_reserve_exact(ahead).is_err() {
                    return Err(self.fault(format!("no memory for {count} elements of {N} bytes")));
                }
            }
            let bytes = &mut chunk[..step * N];
            self.fill(bytes, "data", expected_end)?;
            elements.extend(bytes.as_chunks::<N>().0.iter().map(|&element| decode(element)));
        }
        Ok(elements)
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        let end = self.position;
        match self.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(self
                .fault(format!("bytes follow byte {end}, where the shape in the header says the data ends"))
                .help("the header and the data do not belong together; make the file again")),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.reader.read(bytes) {
                Ok(count) => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == IoKind::Interrupted => {}
                Err(error) => return Err(self.fault(format!("cannot read past byte {}: {error}", self.position))),
            }
        }
    }
}

/// Whether data are large and promise to grow beyond what honest ones do.
pub(crate) fn is_bomb(declared_bytes: u64, stored_bytes: u64) -> bool {
    declared_bytes > PLAIN_LIMIT_BYTES && declared_bytes / RATIO_LIMIT > stored_bytes
}

/// What is said of a bomb.
pub(crate) fn bomb(declared_bytes: u64, stored_bytes: u64) -> String {
    format!("{declared_bytes} bytes are declared out of {stored_bytes} stored, more than {RATIO_LIMIT} times")
}

/// The number of elements under `shape`, if their bytes can be addressed.
pub(crate) fn count_elements(shape: &[usize], size_bytes: usize) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent))?;
    let bytes = count.checked_mul(size_bytes)?;
    (bytes <= isize::MAX as usize).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_of_more_than_there_is_reserves_little_and_names_both_ends() {
        let mut stream = Stream::new(&[7u8; 10][..], "test");
        let error = stream.elements(1 << 40, u8::from_be_bytes).unwrap_err();
        assert_eq!(error.message(), "test: the bytes end at byte 10, the data ends at byte 1099511627776");
    }

    #[test]
    fn only_large_data_that_grow_beyond_measure_are_bombs() {
        assert!(is_bomb(5 << 30, 1 << 20));
        assert!(!is_bomb(5 << 30, 1 << 30));
        assert!(!is_bomb(1 << 30, 1 << 10));
    }

    #[test]
    fn elements_longer_than_a_chunk_arrive_whole_and_in_order() {
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_be_bytes).collect();
        let mut stream = Stream::new(&bytes[..], "test");
        let elements = stream.elements(100_000, i32::from_be_bytes).unwrap();
        assert!(elements.iter().enumerate().all(|(i, &x)| x == i as i32));
        assert_eq!(elements.capacity(), 100_000);
        stream.end().unwrap();
    }
}
