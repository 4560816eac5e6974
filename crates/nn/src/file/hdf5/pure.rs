//! The tree by way of the crate `hdf5-pure`, which is young and changes often: its version is pinned, and nothing of it
//! is seen outside this file.

use std::sync::atomic::{AtomicU64, Ordering};

use footlight_tensor::{Data, Error, Tensor};
use hdf5_pure::{
    AttrValue, DType, Dataset, DatasetBuilder, File, FileBuilder, FinishedGroup, FormatError, GroupBuilder, Layout,
    LibVer, Source,
};

use super::super::bytes::Bytes;
use super::super::{Entry, Group, Scope};
use super::{Budget, CHUNK_LIMIT, Codec, DEPTH_LIMIT, check_key, fault, refuse_bomb};

/// The one codec there is.
pub(super) struct Hdf5Pure;

impl Codec for Hdf5Pure {
    fn read(bytes: Bytes, scope: Scope) -> Result<Group, Error> {
        let mut budget = Budget::new(bytes.len());
        let file = File::from_source(Metered::new(bytes)).map_err(fault)?;
        read_group(&file.root(), "", 0, scope, &mut budget)
    }

    fn write(root: &Group) -> Result<Vec<u8>, Error> {
        let mut builder = FileBuilder::new();
        builder.with_libver_bounds(LibVer::Earliest, LibVer::V18);
        for (key, entry) in &root.entries {
            check_key(key)?;
            match entry {
                Entry::Dataset(tensor) => write_tensor(builder.create_dataset(key), tensor),
                Entry::Group(below) => {
                    let below = write_group(builder.create_group(key), below, 1)?;
                    builder.add_group(below);
                }
            }
        }
        for (key, texts) in &root.attributes {
            builder.set_attr(key, written(texts));
        }
        builder.finish().map_err(fault)
    }
}

/// The bytes of a file, given out only so often: damaged indexes can send a reader round in circles, and each round
/// reads.
struct Metered {
    bytes: Bytes,
    given_bytes: AtomicU64,
}

impl Metered {
    /// Data are read once and each header a few times; files of Keras take 1.0 to 1.4 times their length.
    const ROUNDS: u64 = 4;
    const SMALL_BYTES: u64 = 8 << 20;

    fn new(bytes: Bytes) -> Metered {
        Metered { bytes, given_bytes: AtomicU64::new(0) }
    }
}

impl Source for Metered {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), FormatError> {
        let asked = into.len() as u64;
        let given = self.given_bytes.fetch_add(asked, Ordering::Relaxed);
        if given.saturating_add(asked) > Metered::ROUNDS * self.len() + Metered::SMALL_BYTES {
            return Err(FormatError::Source("the file leads round in circles".into()));
        }
        if self.bytes.stretch(offset, asked).is_none() {
            let whole = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
            let (expected, available) = (whole(offset.saturating_add(asked)), whole(self.len()));
            return Err(FormatError::UnexpectedEof { expected, available });
        }
        self.bytes.read_at(offset, into).map_err(|error| FormatError::Source(error.to_string()))
    }
}

fn read_group(
    group: &hdf5_pure::Group,
    path: &str,
    depth: usize,
    scope: Scope,
    budget: &mut Budget,
) -> Result<Group, Error> {
    let here = |error| at(path, fault(error));
    let attributes = group.attrs().map_err(here)?;
    let mut read = Group::default();
    let attributes = attributes.iter().filter(|(key, _)| depth > 0 || scope.has(key));
    for (key, texts) in attributes.filter_map(|(key, value)| Some((key, value.as_strings()?))) {
        budget.texts(texts).map_err(|error| at(path, error))?;
        read.attributes.insert(key.clone(), texts.to_vec());
    }
    for (key, dataset) in group.iter_datasets().map_err(here)? {
        let path = join(path, &key);
        let tensor = budget.link(depth + 1).and_then(|()| check_key(&key)).and_then(|()| read_tensor(&dataset, budget));
        insert(&mut read, key, Entry::Dataset(tensor.map_err(|error| at(&path, error))?), &path)?;
    }
    for (key, below) in group.iter_groups().map_err(here)? {
        let path = join(path, &key);
        budget.link(depth + 1).and_then(|()| check_key(&key)).map_err(|error| at(&path, error))?;
        if depth == 0 && !scope.has(&key) {
            continue;
        }
        let below = read_group(&below, &path, depth + 1, scope, budget)?;
        insert(&mut read, key, Entry::Group(below), &path)?;
    }
    Ok(read)
}

fn insert(group: &mut Group, key: String, entry: Entry, path: &str) -> Result<(), Error> {
    match group.entries.insert(key, entry) {
        Some(_) => Err(at(path, fault("two entries of one group have this key"))),
        None => Ok(()),
    }
}

fn read_tensor(dataset: &Dataset, budget: &mut Budget) -> Result<Tensor, Error> {
    let shape = dataset.shape().map_err(fault)?;
    let element_bytes = dataset.element_size().map_err(fault)?;
    check_storage(dataset, &shape, element_bytes, budget)?;
    let data = read_data(dataset)?;
    let shape: Option<Vec<usize>> = shape.into_iter().map(|extent| usize::try_from(extent).ok()).collect();
    let shape = shape.ok_or_else(|| fault("an extent is beyond this machine"))?;
    Tensor::new(shape, data).map_err(|error| fault(error.message()))
}

/// Holds what a dataset promises against what is stored for it, before anything is allocated.
fn check_storage(dataset: &Dataset, shape: &[u64], element_bytes: u64, budget: &mut Budget) -> Result<(), Error> {
    let declared_bytes = size_bytes(shape, element_bytes)?;
    let stored_bytes = match dataset.layout().map_err(fault)? {
        Layout::Compact { size } | Layout::Contiguous { address: Some(_), size } => size,
        Layout::Contiguous { address: None, size } => {
            if declared_bytes > 0 {
                return Err(fault(format!("its {declared_bytes} bytes are not in the file")));
            }
            size
        }
        Layout::Chunked { chunk_shape, .. } => {
            let stored_bytes = stored_in_chunks(dataset, shape, &chunk_shape)?;
            refuse_bomb(size_bytes(&chunk_shape, element_bytes)?, stored_bytes)?;
            return budget.data(declared_bytes, stored_bytes);
        }
        Layout::Virtual => return Err(fault("its data are a view of other files")),
        _ => return Err(fault("its data are stored in an unknown way")),
    };
    if stored_bytes != declared_bytes {
        return Err(fault(format!("its shape takes {declared_bytes} bytes, {stored_bytes} are stored")));
    }
    if stored_bytes > budget.file_bytes {
        let message = format!("{stored_bytes} bytes are declared, the whole file has {}", budget.file_bytes);
        return Err(fault(message));
    }
    budget.data(declared_bytes, stored_bytes)
}

fn size_bytes(shape: &[u64], element_bytes: u64) -> Result<u64, Error> {
    let size = shape.iter().try_fold(element_bytes, |size, &extent| size.checked_mul(extent));
    size.ok_or_else(|| fault("its shape cannot be addressed"))
}

fn stored_in_chunks(dataset: &Dataset, shape: &[u64], chunk_shape: &[u64]) -> Result<u64, Error> {
    if shape.len() != chunk_shape.len() || chunk_shape.contains(&0) {
        return Err(fault("its chunks do not have the rank of its shape"));
    }
    let per_axis = shape.iter().zip(chunk_shape).map(|(extent, chunk)| extent.div_ceil(*chunk));
    let num_chunks = per_axis.fold(1u64, u64::saturating_mul);
    if num_chunks > CHUNK_LIMIT {
        return Err(fault(format!("it is cut in {num_chunks} chunks, more than {CHUNK_LIMIT}")));
    }
    let chunks = dataset.chunks().map_err(fault)?;
    Ok(chunks.iter().map(|chunk| chunk.storage_size).fold(0, u64::saturating_add))
}

fn read_data(dataset: &Dataset) -> Result<Data, Error> {
    Ok(match dataset.dtype().map_err(fault)? {
        DType::F32 => dataset.read_f32().map_err(fault)?.into(),
        DType::F64 => dataset.read_f64().map_err(fault)?.into(),
        DType::I32 | DType::I16 | DType::I8 | DType::U16 => dataset.read_i32().map_err(fault)?.into(),
        DType::I64 | DType::U32 => dataset.read_i64().map_err(fault)?.into(),
        DType::U8 => dataset.read_u8().map_err(fault)?.into(),
        DType::Enum(names) if names == ["FALSE", "TRUE"] => dataset.read_u8().map_err(fault)?.into(),
        other => {
            let message = format!("its element type `{other}` is not one that tensors have");
            return Err(fault(message).help("save the model with variables of float32"));
        }
    })
}

fn write_group(mut builder: GroupBuilder, group: &Group, depth: usize) -> Result<FinishedGroup, Error> {
    if depth > DEPTH_LIMIT {
        return Err(fault(format!("groups are nested beyond {DEPTH_LIMIT}")));
    }
    for (key, entry) in &group.entries {
        check_key(key)?;
        match entry {
            Entry::Dataset(tensor) => write_tensor(builder.create_dataset(key), tensor),
            Entry::Group(below) => {
                let below = write_group(builder.create_group(key), below, depth + 1)?;
                builder.add_group(below);
            }
        }
    }
    for (key, texts) in &group.attributes {
        builder.set_attr(key, written(texts));
    }
    Ok(builder.finish())
}

fn written(texts: &[String]) -> AttrValue {
    match texts {
        [text] => AttrValue::VarLenString(text.clone()),
        texts => AttrValue::VarLenStringArray(texts.to_vec()),
    }
}

fn write_tensor(builder: &mut DatasetBuilder, tensor: &Tensor) {
    let shape: Vec<u64> = tensor.shape().iter().map(|&extent| extent as u64).collect();
    match tensor.data() {
        Data::F32(values) => builder.with_f32_data(values),
        Data::F64(values) => builder.with_f64_data(values),
        Data::I32(values) => builder.with_i32_data(values),
        Data::I64(values) => builder.with_i64_data(values),
        Data::U8(values) => builder.with_u8_data(values),
    }
    .with_shape(&shape);
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") }
}

fn at(path: &str, error: Error) -> Error {
    if path.is_empty() { error } else { error.at(format!("`{}`", path.escape_debug())) }
}
