//! `idx` bytes, the format of MNIST: two zero bytes, a type byte, the rank, big-endian extents, big-endian elements.
//!
//! Streams are decoded straight into the one vector that is kept, so 60,000 pictures of 47 MB cost 47 MB. There is no
//! reading by parts: a data set that does not fit in memory is another format's work.
//!
//! # References
//! LeCun, Cortes, Burges (1998), "The MNIST database of handwritten digits", section "File formats".

use std::io::{BufReader, Chain, Cursor, ErrorKind as IoKind, Read, Result as IoResult};

use flate2::bufread::MultiGzDecoder;

use super::stream::{Stream, count_elements};
use crate::{Data, Error, ErrorKind, Tensor, display_shape};

const U8: u8 = 0x08;
const I8: u8 = 0x09;
const I16: u8 = 0x0B;
const I32: u8 = 0x0C;
const F32: u8 = 0x0D;
const F64: u8 = 0x0E;

/// Reads a tensor from plain `idx` bytes.
///
/// Bytes, 32-bit integers and floats keep their type; 8- and 16-bit signed integers become `int32`.
///
/// # Errors
/// `ErrorKind::File` when the bytes do not start as `idx` does, end early, or go on after the data.
///
/// # Examples
/// ```
/// use footlight_tensor::idx;
/// let labels = idx::read(&[0, 0, 8, 1, 0, 0, 0, 2, 5, 9]).unwrap();
/// assert_eq!(labels.to_f32(), [5.0, 9.0]);
/// ```
pub fn read(bytes: &[u8]) -> Result<Tensor, Error> {
    read_plain(bytes, u64::MAX)
}

/// Reads a tensor from a stream of `idx` bytes, gzip-compressed or plain.
///
/// # Errors
/// As [`read`]; also when the stream cannot be read or its gzip checksum is wrong.
pub fn read_stream(reader: impl Read) -> Result<Tensor, Error> {
    read_sized(reader, u64::MAX)
}

/// Reads a tensor from a stream of `idx` bytes, gzip-compressed or plain, that takes `stored_bytes` where it comes from.
///
/// # Errors
/// As [`read_stream`]; also when the header promises more than a hundredfold of `stored_bytes` and more than 4 GiB,
/// which only a compression bomb does.
pub fn read_sized(reader: impl Read, stored_bytes: u64) -> Result<Tensor, Error> {
    let plain = Plain::new(reader).map_err(|error| {
        Error::new(ErrorKind::File, format!("idx: {error}")).help("the file is damaged; copy or download it again")
    })?;
    read_plain(plain, stored_bytes)
}

/// Writes `tensor` as plain `idx` bytes.
///
/// # Errors
/// `ErrorKind::DType` for `int64`, which `idx` lacks; `ErrorKind::Shape` for more than 255 axes or an extent past 32
/// bits.
pub fn write(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let kind = match tensor.data() {
        Data::U8(_) => U8,
        Data::I32(_) => I32,
        Data::F32(_) => F32,
        Data::F64(_) => F64,
        Data::I64(_) => {
            return Err(Error::new(ErrorKind::DType, "idx: the format has no int64 elements")
                .help("convert the elements to int32, or write npy"));
        }
    };
    let rank = u8::try_from(tensor.shape().len());
    let extents: Result<Vec<u32>, _> = tensor.shape().iter().map(|&extent| u32::try_from(extent)).collect();
    let (Ok(rank), Ok(extents)) = (rank, extents) else {
        let shape = display_shape(tensor.shape());
        return Err(Error::new(ErrorKind::Shape, format!("idx: shape {shape} has no place in an idx header")));
    };
    let mut bytes = Vec::with_capacity(4 + 4 * extents.len() + tensor.len() * tensor.dtype().size_bytes());
    bytes.extend([0, 0, kind, rank]);
    bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    match tensor.data() {
        Data::U8(v) => bytes.extend_from_slice(v),
        Data::I32(v) => bytes.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Data::F32(v) => bytes.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Data::F64(v) => bytes.extend(v.iter().flat_map(|x| x.to_be_bytes())),
        Data::I64(_) => {}
    }
    Ok(bytes)
}

fn read_plain(reader: impl Read, stored_bytes: u64) -> Result<Tensor, Error> {
    let mut stream = Stream::new(reader, "idx");
    let magic: [u8; 4] = stream.array("header")?;
    let [0, 0, kind, rank] = magic else {
        let [a, b, ..] = magic;
        return Err(stream
            .fault(format!("the file starts with bytes {a:#04x} {b:#04x}, an idx file starts with 0x00 0x00"))
            .help("give a file such as train-images-idx3-ubyte.gz"));
    };
    let size_bytes = match kind {
        U8 | I8 => 1,
        I16 => 2,
        I32 | F32 => 4,
        F64 => 8,
        _ => {
            let known = "0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e";
            return Err(stream
                .fault(format!("byte 2 gives element type {kind:#04x}, idx has {known}"))
                .help("give a file such as train-images-idx3-ubyte.gz"));
        }
    };
    let mut shape = Vec::with_capacity(usize::from(rank));
    for _ in 0..rank {
        shape.push(u32::from_be_bytes(stream.array("header")?) as usize);
    }
    let Some(count) = count_elements(&shape, size_bytes) else {
        let shape = display_shape(&shape);
        return Err(stream.fault(format!("shape {shape} of {size_bytes}-byte elements cannot be addressed")));
    };
    stream.check_growth(stream.position() + (count * size_bytes) as u64, stored_bytes)?;
    let data: Data = match kind {
        U8 => stream.elements(count, u8::from_be_bytes)?.into(),
        I8 => stream.elements(count, |b| i32::from(i8::from_be_bytes(b)))?.into(),
        I16 => stream.elements(count, |b| i32::from(i16::from_be_bytes(b)))?.into(),
        I32 => stream.elements(count, i32::from_be_bytes)?.into(),
        F32 => stream.elements(count, f32::from_be_bytes)?.into(),
        _ => stream.elements(count, f64::from_be_bytes)?.into(),
    };
    stream.end()?;
    Tensor::new(shape, data)
}

/// A reader that gives the plain bytes of a stream, whether it is gzip-compressed (it starts with `1f 8b`) or not.
pub struct Plain<R: Read>(Kind<R>);

type Whole<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

enum Kind<R: Read> {
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
    Plain(Whole<R>),
}

impl<R: Read> Plain<R> {
    /// Looks at the first two bytes of `reader` to see which it is.
    ///
    /// # Errors
    /// The reader's own.
    pub fn new(mut reader: R) -> IoResult<Plain<R>> {
        let mut start = Vec::with_capacity(2);
        while start.len() < 2 {
            let mut byte = [0];
            match reader.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => start.push(byte[0]),
                Err(error) if error.kind() == IoKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let is_gzip = start == [0x1f, 0x8b];
        let whole = BufReader::with_capacity(64 << 10, Cursor::new(start).chain(reader));
        Ok(Plain(if is_gzip { Kind::Gzip(Box::new(MultiGzDecoder::new(whole))) } else { Kind::Plain(whole) }))
    }
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, bytes: &mut [u8]) -> IoResult<usize> {
        match &mut self.0 {
            Kind::Gzip(reader) => reader.read(bytes),
            Kind::Plain(reader) => reader.read(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tensors = [
            Tensor::new([2, 3], vec![0u8, 1, 2, 253, 254, 255]).unwrap(),
            Tensor::new([4], vec![i32::MIN, -1, 0, i32::MAX]).unwrap(),
            Tensor::new([1, 2, 2], vec![0.5f32, -1.0, f32::MAX, 1e-40]).unwrap(),
            Tensor::new([2], vec![1e300f64, -0.0]).unwrap(),
            Tensor::new([0, 5], Vec::<u8>::new()).unwrap(),
            Tensor::scalar(3.0),
        ];
        for tensor in tensors {
            let bytes = write(&tensor).unwrap();
            assert_eq!(read(&bytes).unwrap(), tensor);
            assert_eq!(read_stream(&bytes[..]).unwrap(), tensor);
            assert_eq!(read_stream(&gzip(&bytes)[..]).unwrap(), tensor);
        }
    }

    #[test]
    fn short_integers_become_int32() {
        assert_eq!(read(&[0, 0, 0x0B, 1, 0, 0, 0, 1, 0xFF, 0xFE]).unwrap().data(), &Data::I32(vec![-2]));
        assert_eq!(read(&[0, 0, 0x09, 1, 0, 0, 0, 1, 0x80]).unwrap().data(), &Data::I32(vec![-128]));
    }

    #[test]
    fn a_type_that_idx_lacks_is_refused() {
        let error = write(&Tensor::new([1], vec![1i64]).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DType);
    }

    #[test]
    fn every_prefix_is_an_error_that_says_where_the_bytes_end() {
        let whole = write(&Tensor::new([2, 3], vec![1i32, 2, 3, 4, 5, 6]).unwrap()).unwrap();
        for end in 0..whole.len() {
            let error = read(&whole[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::File);
            assert!(error.message().starts_with(&format!("idx: the bytes end at byte {end}, the ")), "{error}");
        }
        let zipped = gzip(&whole);
        for end in 0..zipped.len() {
            assert!(read_stream(&zipped[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn hostile_headers_are_refused_before_memory_is_taken() {
        let cases: [(&[u8], &str); 5] = [
            (b"PNG\0", "idx: the file starts with bytes 0x50 0x4e, an idx file starts with 0x00 0x00"),
            (&[0, 0, 7, 1], "idx: byte 2 gives element type 0x07, idx has 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e"),
            (
                &[0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                "idx: shape [4294967295, 4294967295, 4294967295] of 1-byte elements cannot be addressed",
            ),
            (
                &[0, 0, 8, 2, 255, 255, 255, 255, 0, 255, 255, 255, 1],
                "idx: the bytes end at byte 13, the data ends at byte 72057589726183437",
            ),
            (
                &[0, 0, 8, 1, 0, 0, 0, 1, 1, 2],
                "idx: bytes follow byte 9, where the shape in the header says the data ends",
            ),
        ];
        for (bytes, message) in cases {
            let error = read(bytes).unwrap_err();
            assert_eq!(error.message(), message);
            assert!(error.help_text().is_some(), "{error}");
        }
    }

    /// Ten million zeros take ten thousand bytes of gzip; what the header does not ask for is never unpacked.
    #[test]
    fn compression_bombs_are_refused_early() {
        let mut short = vec![0, 0, 8, 1, 0, 0, 0, 10];
        short.resize(10_000_000, 0);
        let error = read_stream(&gzip(&short)[..]).unwrap_err();
        assert_eq!(error.message(), "idx: bytes follow byte 18, where the shape in the header says the data ends");
        let long = gzip(&[0, 0, 8, 2, 255, 255, 255, 255, 0, 0, 0, 9, 0]);
        let error = read_sized(&long[..], long.len() as u64).unwrap_err();
        let message = format!("idx: 38654705667 bytes are declared out of {} stored, more than 100 times", long.len());
        assert_eq!(error.message(), message);
        assert_eq!(error.help_text(), Some("the file is damaged; copy or download it again"));
    }

    #[test]
    fn a_changed_gzip_byte_is_noticed() {
        let mut zipped = gzip(&write(&Tensor::new([200], vec![7u8; 200]).unwrap()).unwrap());
        let crc = zipped.len() - 8;
        zipped[crc] ^= 1;
        assert!(read_stream(&zipped[..]).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            kind in 0u8..16,
            rank in 0u8..5,
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = vec![0, 0, kind, rank];
            bytes.extend(&rest);
            let _ = read(&bytes);
            let _ = read(&rest);
            let _ = read_stream(&rest[..]);
            let _ = read_stream(&[&[0x1f, 0x8b, 8][..], &rest].concat()[..]);
        }
    }
}
