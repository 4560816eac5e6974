//! `npy` bytes, NumPy's format for one array: a magic string, a version, a header in Python's notation, the elements.
//!
//! The header is parsed as a dictionary of three known keys; nothing in it is evaluated. Arrays of objects hold
//! pickles, which are programs, and are refused for ever.
//!
//! # References
//! NumPy documentation, `numpy.lib.format`, versions 1.0, 2.0 and 3.0.

use std::io::{self, Read, Write};

use super::stream::{Stream, count_elements};
use crate::{Data, Error, ErrorKind, Tensor, display_shape};

const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// A header of plain numbers takes about a hundred bytes; this is the most that version 1.0 can hold.
const HEADER_LIMIT_BYTES: usize = 65_535;
/// NumPy's own limit.
const RANK_LIMIT: usize = 64;
/// Elements that are turned into bytes at a time.
const AT_A_TIME: usize = 1 << 14;

/// Reads a tensor from `npy` bytes of version 1.0, 2.0 or 3.0.
///
/// `float32`, `float64`, `int32`, `int64` and `uint8` keep their type; `bool` becomes `uint8`; `int8`, `int16` and
/// `uint16` become `int32`; `uint32` becomes `int64`. Either byte order and either element order is understood; the
/// tensor is row-major.
///
/// # Errors
/// `ErrorKind::File` for bytes that are not `npy`, end early or go on after the data; `ErrorKind::DType` for other
/// element types.
///
/// # Examples
/// ```
/// use footlight_tensor::{Tensor, npy};
/// let tensor = Tensor::new([2], vec![1.5f32, 2.5]).unwrap();
/// assert_eq!(npy::read(&npy::write(&tensor).unwrap()).unwrap(), tensor);
/// ```
pub fn read(bytes: &[u8]) -> Result<Tensor, Error> {
    read_sized(bytes, None)
}

/// Reads a tensor from a stream of `npy` bytes.
///
/// # Errors
/// As [`read`]; also when the stream cannot be read.
pub fn read_stream(reader: impl Read) -> Result<Tensor, Error> {
    read_sized(reader, None)
}

/// Reads a tensor from a stream that something outside says has `declared_bytes`.
pub(crate) fn read_sized(reader: impl Read, declared_bytes: Option<u64>) -> Result<Tensor, Error> {
    let mut stream = Stream::new(reader, "npy");
    let header = Header::read(&mut stream)?;
    let size_bytes = header.element.size_bytes();
    let Some(count) = count_elements(&header.shape, size_bytes) else {
        let shape = display_shape(&header.shape);
        return Err(stream.fault(format!("shape {shape} of {size_bytes}-byte elements cannot be addressed")));
    };
    let end = stream.position() + (count * size_bytes) as u64;
    if let Some(declared) = declared_bytes.filter(|&declared| declared != end) {
        return Err(stream.fault(format!("the data ends at byte {end}, the archive declares {declared} bytes")));
    }
    let data = header.element.read(&mut stream, count, &header)?;
    stream.end()?;
    Tensor::new(header.shape, data)
}

/// Writes `tensor` as `npy` bytes of version 1.0, little-endian and row-major.
///
/// # Errors
/// `ErrorKind::Shape` for more than 64 axes, NumPy's limit.
pub fn write(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let mut bytes = header(tensor)?;
    bytes.reserve_exact(tensor.len() * tensor.dtype().size_bytes());
    write_elements(tensor, &mut bytes).expect("memory takes all bytes");
    Ok(bytes)
}

/// What comes before the elements.
pub(super) fn header(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    if tensor.shape().len() > RANK_LIMIT {
        let message = format!("npy: rank {} is more than the {RANK_LIMIT} axes NumPy reads", tensor.shape().len());
        return Err(Error::new(ErrorKind::Shape, message));
    }
    let code = match tensor.data() {
        Data::F32(_) => "<f4",
        Data::F64(_) => "<f8",
        Data::I32(_) => "<i4",
        Data::I64(_) => "<i8",
        Data::U8(_) => "|u1",
    };
    let extents: String = tensor.shape().iter().map(|extent| format!("{extent}, ")).collect();
    let extents = match tensor.shape() {
        [_] => extents.trim_end(),
        _ => extents.trim_end_matches(", "),
    };
    let mut header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({extents}), }}");
    // The data begins at a multiple of 64 bytes, as NumPy writes it; the last byte before it is a line feed.
    let prefix_bytes = MAGIC.len() + 4;
    let padded = (prefix_bytes + header.len() + 1).next_multiple_of(64) - prefix_bytes;
    header.push_str(&" ".repeat(padded - 1 - header.len()));
    header.push('\n');
    let mut bytes = Vec::from(MAGIC);
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    Ok(bytes)
}

/// Writes the elements, some at a time.
pub(super) fn write_elements(tensor: &Tensor, out: &mut impl Write) -> io::Result<()> {
    fn each<T: Copy, const BYTES: usize>(
        elements: &[T],
        out: &mut impl Write,
        bytes_of: fn(T) -> [u8; BYTES],
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BYTES * AT_A_TIME.min(elements.len()));
        elements.chunks(AT_A_TIME).try_for_each(|some| {
            bytes.clear();
            bytes.extend(some.iter().flat_map(|x| bytes_of(*x)));
            out.write_all(&bytes)
        })
    }
    match tensor.data() {
        Data::F32(v) => each(v, out, f32::to_le_bytes),
        Data::F64(v) => each(v, out, f64::to_le_bytes),
        Data::I32(v) => each(v, out, i32::to_le_bytes),
        Data::I64(v) => each(v, out, i64::to_le_bytes),
        Data::U8(v) => out.write_all(v),
    }
}

/// The element types that are read.
#[derive(Clone, Copy)]
enum Element {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    Bool,
}

impl Element {
    fn from_code(code: &str) -> Option<Element> {
        Some(match code {
            "f4" => Element::F32,
            "f8" => Element::F64,
            "i1" => Element::I8,
            "i2" => Element::I16,
            "i4" => Element::I32,
            "i8" => Element::I64,
            "u1" => Element::U8,
            "u2" => Element::U16,
            "u4" => Element::U32,
            "b1" => Element::Bool,
            _ => return None,
        })
    }

    fn size_bytes(self) -> usize {
        match self {
            Element::I8 | Element::U8 | Element::Bool => 1,
            Element::I16 | Element::U16 => 2,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F64 | Element::I64 => 8,
        }
    }

    fn read<R: Read>(self, stream: &mut Stream<R>, count: usize, header: &Header) -> Result<Data, Error> {
        Ok(match self {
            Element::F32 => header.load(stream, count, f32::from_le_bytes)?.into(),
            Element::F64 => header.load(stream, count, f64::from_le_bytes)?.into(),
            Element::I8 => header.load(stream, count, |b| i32::from(i8::from_le_bytes(b)))?.into(),
            Element::I16 => header.load(stream, count, |b| i32::from(i16::from_le_bytes(b)))?.into(),
            Element::I32 => header.load(stream, count, i32::from_le_bytes)?.into(),
            Element::I64 => header.load(stream, count, i64::from_le_bytes)?.into(),
            Element::U8 => header.load(stream, count, u8::from_le_bytes)?.into(),
            Element::U16 => header.load(stream, count, |b| i32::from(u16::from_le_bytes(b)))?.into(),
            Element::U32 => header.load(stream, count, |b| i64::from(u32::from_le_bytes(b)))?.into(),
            Element::Bool => header.load(stream, count, |[b]| u8::from(b != 0))?.into(),
        })
    }
}

struct Header {
    element: Element,
    is_big_endian: bool,
    is_fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn read<R: Read>(stream: &mut Stream<R>) -> Result<Header, Error> {
        let magic: [u8; 6] = stream.array("header")?;
        if magic != MAGIC {
            return Err(stream.fault("the file does not start with \\x93NUMPY").help("give a file made by numpy.save"));
        }
        let [major, minor] = stream.array("header")?;
        let length = match (major, minor) {
            (1, 0) => usize::from(u16::from_le_bytes(stream.array("header")?)),
            (2 | 3, 0) => u32::from_le_bytes(stream.array("header")?) as usize,
            _ => {
                return Err(stream
                    .fault(format!("version {major}.{minor}, 1.0 to 3.0 are known"))
                    .help("save the array again with numpy.save"));
            }
        };
        if length > HEADER_LIMIT_BYTES {
            return Err(stream.fault(format!("the header has {length} bytes, at most {HEADER_LIMIT_BYTES} are read")));
        }
        let mut text = vec![0; length];
        let end = stream.position() + length as u64;
        stream.fill(&mut text, "header", end)?;
        let Some(fields) = Fields::parse(&text) else {
            return Err(stream
                .fault("the header is not a dictionary of `descr`, `fortran_order` and `shape`")
                .help("save the array again with numpy.save"));
        };
        let (element, is_big_endian) = element_type(&fields.descr)?;
        Ok(Header { element, is_big_endian, is_fortran_order: fields.is_fortran_order, shape: fields.shape })
    }

    /// The elements in row-major order; `decode` takes little-endian bytes.
    fn load<R: Read, T: Copy, const N: usize>(
        &self,
        stream: &mut Stream<R>,
        count: usize,
        decode: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Error> {
        let stored = if self.is_big_endian {
            stream.elements(count, |mut bytes: [u8; N]| {
                bytes.reverse();
                decode(bytes)
            })?
        } else {
            stream.elements(count, decode)?
        };
        let is_line = self.shape.iter().filter(|&&extent| extent != 1).count() < 2;
        Ok(if self.is_fortran_order && !is_line { row_major(&stored, &self.shape) } else { stored })
    }
}

/// Puts elements stored with the first axis fastest into an order with the last axis fastest.
fn row_major<T: Copy>(stored: &[T], shape: &[usize]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(stored.len());
    for _ in 0..stored.len() {
        let offset = index.iter().zip(shape).rev().fold(0, |offset, (&i, &extent)| offset * extent + i);
        ordered.push(stored[offset]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    ordered
}

/// The element type that a `descr` names, and whether its bytes are big-endian.
fn element_type(descr: &Descr) -> Result<(Element, bool), Error> {
    let refuse = |what: String| {
        Err(Error::new(ErrorKind::DType, format!("npy: {what}")).help("convert the array with astype(\"float32\")"))
    };
    let code = match descr {
        Descr::Code(code) => code.as_str(),
        Descr::Record => return refuse("the array has records for elements, a tensor has numbers".into()),
    };
    let (is_big_endian, kind) = match code.as_bytes().first() {
        Some(b'>') => (true, &code[1..]),
        Some(b'<' | b'=' | b'|') => (false, &code[1..]),
        _ => (false, code),
    };
    if kind.starts_with('O') {
        return Err(Error::new(ErrorKind::DType, "npy: the array holds Python objects; pickles are never executed")
            .help("save plain numbers: numpy.save(path, numpy.asarray(x, dtype=\"float32\"), allow_pickle=False)"));
    }
    match Element::from_code(kind) {
        Some(element) => Ok((element, is_big_endian)),
        None => {
            let shown: String = code.escape_default().take(40).collect();
            refuse(format!("element type `{shown}`, known are f4, f8, i1, i2, i4, i8, u1, u2, u4, b1"))
        }
    }
}

enum Descr {
    Code(String),
    Record,
}

struct Fields {
    descr: Descr,
    is_fortran_order: bool,
    shape: Vec<usize>,
}

impl Fields {
    /// Parses `{'descr': ..., 'fortran_order': ..., 'shape': (...), }` with the keys in any order.
    fn parse(text: &[u8]) -> Option<Fields> {
        let (mut descr, mut is_fortran_order, mut shape) = (None, None, None);
        let mut rest = Cursor(text);
        rest.expect(b'{')?;
        while !rest.accept(b'}') {
            let key = rest.string()?;
            rest.expect(b':')?;
            match key.as_str() {
                "descr" if rest.peek() == Some(b'[') => {
                    // What follows a record type is not needed to refuse it.
                    return Some(Fields { descr: Descr::Record, is_fortran_order: false, shape: vec![] });
                }
                "descr" => descr = Some(Descr::Code(rest.string()?)),
                "fortran_order" => is_fortran_order = Some(rest.boolean()?),
                "shape" => shape = Some(rest.tuple()?),
                _ => return None,
            }
            if !rest.accept(b',') && rest.peek() != Some(b'}') {
                return None;
            }
        }
        if rest.peek().is_some() {
            return None;
        }
        Some(Fields { descr: descr?, is_fortran_order: is_fortran_order?, shape: shape? })
    }
}

/// What is left of a header; every look skips white space first.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn peek(&mut self) -> Option<u8> {
        self.0 = self.0.trim_ascii_start();
        self.0.first().copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.0 = &self.0[1..];
        }
        is_next
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.peek().filter(|byte| matches!(byte, b'\'' | b'"'))?;
        let length = self.0[1..].iter().position(|&byte| byte == quote)?;
        let string = std::str::from_utf8(&self.0[1..1 + length]).ok()?.to_owned();
        self.0 = &self.0[length + 2..];
        Some(string)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.peek();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Some(value);
            }
        }
        None
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        let mut extents = Vec::new();
        self.expect(b'(')?;
        while !self.accept(b')') {
            self.peek();
            let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            extents.push(std::str::from_utf8(&self.0[..digits]).ok()?.parse().ok()?);
            self.0 = &self.0[digits..];
            // NumPy under Python 2 wrote long integers as `3L`.
            self.accept(b'L');
            if extents.len() > RANK_LIMIT || (!self.accept(b',') && self.peek() != Some(b')')) {
                return None;
            }
        }
        Some(extents)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tensors = [
            Tensor::new([2, 3], vec![0u8, 1, 2, 253, 254, 255]).unwrap(),
            Tensor::new([4], vec![i32::MIN, -1, 0, i32::MAX]).unwrap(),
            Tensor::new([2, 1], vec![i64::MIN, i64::MAX]).unwrap(),
            Tensor::new([1, 2, 2], vec![0.5f32, -1.0, f32::MAX, 1e-40]).unwrap(),
            Tensor::new([2], vec![1e300f64, -0.0]).unwrap(),
            Tensor::new([0, 5], Vec::<f32>::new()).unwrap(),
            Tensor::scalar(3.0),
        ];
        for tensor in tensors {
            let bytes = write(&tensor).unwrap();
            assert_eq!(read(&bytes).unwrap(), tensor);
            assert_eq!((bytes.len() - tensor.len() * tensor.dtype().size_bytes()) % 64, 0);
        }
    }

    /// The bytes of `numpy.save` for `numpy.arange(3, dtype="<f4")`, NumPy 2.4.
    #[test]
    fn the_bytes_are_those_numpy_writes() {
        let bytes = write(&Tensor::new([3], vec![0.0f32, 1.0, 2.0]).unwrap()).unwrap();
        let mut expected = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }".to_vec();
        expected.resize(127, b' ');
        expected.push(b'\n');
        expected.extend([0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn every_version_byte_order_and_type_is_read() {
        let cases: [(u8, &str, &[u8], Data); 10] = [
            (1, "'>f4'", &[63, 128, 0, 0], Data::F32(vec![1.0])),
            (2, "'<f8'", &[0, 0, 0, 0, 0, 0, 0xF0, 0x3F], Data::F64(vec![1.0])),
            (3, "\"|i1\"", &[0xFF], Data::I32(vec![-1])),
            (1, "'>i2'", &[0xFF, 0xFE], Data::I32(vec![-2])),
            (1, "'=i4'", &[1, 0, 0, 0], Data::I32(vec![1])),
            (2, "'>i8'", &[0, 0, 0, 0, 0, 0, 1, 0], Data::I64(vec![256])),
            (1, "'|u1'", &[200], Data::U8(vec![200])),
            (1, "'<u2'", &[0xFF, 0xFF], Data::I32(vec![65_535])),
            (1, "'<u4'", &[0xFF; 4], Data::I64(vec![4_294_967_295])),
            (1, "'|b1'", &[2], Data::U8(vec![1])),
        ];
        for (version, descr, bytes, data) in cases {
            let tensor = read(&file(version, &header(descr, "False", "(1L,)"), bytes)).unwrap();
            assert_eq!(tensor.data(), &data, "{descr}");
        }
    }

    #[test]
    fn fortran_order_is_transposed() {
        let tensor = read(&file(1, &header("'|u1'", "True", "(2, 3)"), &[0, 10, 1, 11, 2, 12])).unwrap();
        assert_eq!(tensor, Tensor::new([2, 3], vec![0u8, 1, 2, 10, 11, 12]).unwrap());
        let stored: Vec<u8> = (0..24).collect();
        let tensor = read(&file(1, &header("'|u1'", "True", "(2, 3, 4)"), &stored)).unwrap();
        // Element [i, j, k] lies at i + 2 j + 6 k.
        assert_eq!(tensor.to_f32()[12 + 4 * 2 + 3], (1 + 2 * 2 + 6 * 3) as f32);
    }

    #[test]
    fn hostile_files_are_refused_with_their_reason() {
        let cases = [
            (header("'|O'", "False", "(3,)"), "npy: the array holds Python objects; pickles are never executed"),
            (
                header("[('a', '<f4')]", "False", "(3,)"),
                "npy: the array has records for elements, a tensor has numbers",
            ),
            (
                header("'<c8'", "False", "(3,)"),
                "npy: element type `<c8`, known are f4, f8, i1, i2, i4, i8, u1, u2, u4, b1",
            ),
            (
                header("'<f4'", "False", "(18446744073709551615, 3)"),
                "npy: shape [18446744073709551615, 3] of 4-byte elements cannot be addressed",
            ),
            (
                header("'|u1'", "False", "(1000000000000,)"),
                "npy: the bytes end at byte 80, the data ends at byte 1000000000080",
            ),
        ];
        for (header, message) in cases {
            let error = read(&file(1, &header, &[])).unwrap_err();
            assert_eq!(error.message(), message);
            assert!(error.help_text().is_some(), "{error}");
        }
        let parse = "npy: the header is not a dictionary of `descr`, `fortran_order` and `shape`";
        for shape in ["(-1,)", "(1 2)", "(99999999999999999999,)", "3", "(3", "__import__('os')"] {
            let error = read(&file(1, &header("'<f4'", "False", shape), &[])).unwrap_err();
            assert_eq!(error.message(), parse, "{shape}");
        }
        let error = read(&file(2, &" ".repeat(70_000), &[])).unwrap_err();
        assert_eq!(error.message(), "npy: the header has 70000 bytes, at most 65535 are read");
        assert!(read(&file(4, "", &[])).unwrap_err().message().starts_with("npy: version 4.0"));
        assert!(read(b"PK\x03\x04....").is_err());
        assert!(read(&file(1, &header("'|u1'", "False", "(1,)"), &[1, 2])).is_err());
    }

    #[test]
    fn every_prefix_is_an_error() {
        let whole = write(&Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap()).unwrap();
        for end in 0..whole.len() {
            let error = read(&whole[..end]).unwrap_err();
            assert!(error.message().contains(&format!("the bytes end at byte {end},")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            version in 1u8..4,
            text in "[{}()'\", :0-9LTrueFalsedescrfortran_ordershape<f4]{0,80}",
            data in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = read(&data);
            let _ = read(&file(version, &text, &data));
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0usize..144, byte: u8) {
            let mut bytes = write(&Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap()).unwrap();
            bytes[at] = byte;
            let _ = read(&bytes);
        }
    }
}
