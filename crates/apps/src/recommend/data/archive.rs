//! The files of a set: in a folder, or in the `.zip` or `.tar.xz` that it was published as.

use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use footlight::{Error, ErrorKind, Result};

/// The most that one file may hold.
const LIMIT_BYTES: u64 = 4 << 30;
/// The most memory that decompressing takes; `xz -9` asks for half.
const MEMORY_KIB: u32 = 128 << 10;

/// A file by its name without folders.
pub(super) struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The files at `path` whose names are wanted: the file itself, those of the folder or its folders, or else those of the
/// first archive in it; in the order of their paths.
///
/// # Errors
/// `ErrorKind::File` for what cannot be read, is no archive, or is too large.
pub(super) fn files(path: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<File>> {
    let place = |error: Error| error.at(format!("`{}`", path.display()));
    if !path.is_dir() {
        return one(path, is_wanted).map_err(place);
    }
    let mut paths = Vec::new();
    list(path, 2, &mut paths).map_err(unreadable).map_err(place)?;
    paths.sort();
    let wanted: Vec<&PathBuf> = paths.iter().filter(|path| is_wanted(&name_of(path))).collect();
    if !wanted.is_empty() {
        return wanted.into_iter().map(|path| plain(path)).collect::<Result<_>>().map_err(place);
    }
    match paths.iter().find(|path| is_archive(path)) {
        Some(archive) => files(archive, is_wanted),
        None => Ok(Vec::new()),
    }
}

fn one(path: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<File>> {
    let name = name_of(path);
    match path.extension().and_then(OsStr::to_str) {
        Some("zip") => unzip(fs::File::open(path).map_err(unreadable)?, is_wanted),
        Some("xz") if name.ends_with(".tar.xz") => untar(&fs::read(path).map_err(unreadable)?, is_wanted),
        _ => Ok(vec![plain(path)?]),
    }
}

fn is_archive(path: &Path) -> bool {
    let name = name_of(path);
    name.ends_with(".zip") || name.ends_with(".tar.xz")
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn list(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true if depth > 1 => list(&path, depth - 1, paths)?,
            true => {}
            false => paths.push(path),
        }
    }
    Ok(())
}

fn plain(path: &Path) -> Result<File> {
    Ok(File { name: name_of(path), bytes: limited(fs::File::open(path).map_err(unreadable)?)? })
}

fn unzip(file: fs::File, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<File>> {
    let mut archive = zip::ZipArchive::new(file).map_err(unreadable)?;
    if archive.has_overlapping_files().map_err(unreadable)? {
        return Err(Error::new(ErrorKind::File, "two members share the same bytes, which only a zip bomb does"));
    }
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(unreadable)?;
        let name = name_of(Path::new(member.name().map_err(unreadable)?.as_ref()));
        if is_wanted(&name) {
            files.push(File { name, bytes: limited(member)? });
        }
    }
    Ok(files)
}

fn untar(bytes: &[u8], is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<File>> {
    let stream = lzma_rust2::XzReader::new_mem_limit(Cursor::new(bytes), true, MEMORY_KIB);
    let mut archive = tar::Archive::new(stream);
    let mut files = Vec::new();
    for member in archive.entries().map_err(unreadable)? {
        let member = member.map_err(unreadable)?;
        let name = name_of(&member.path().map_err(unreadable)?);
        if is_wanted(&name) && member.header().entry_type().is_file() {
            files.push(File { name, bytes: limited(member)? });
        }
    }
    Ok(files)
}

fn limited(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(Error::new(ErrorKind::File, format!("a file holds more than {LIMIT_BYTES} bytes")));
    }
    Ok(bytes)
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::File, format!("cannot read it: {error}"))
}
