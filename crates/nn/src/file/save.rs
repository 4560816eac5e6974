//! Files that are either whole or absent.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use footlight_tensor::{Error, ErrorKind};

/// Puts `bytes` at `path` so that at every moment, power cuts included, the old file or the new one is there whole.
///
/// The bytes go to a file with a temporary name in the same folder, are forced to the disk, and only then take the name;
/// then the folder is forced to the disk. A link is followed, and the file's permissions stay as they were.
///
/// # Errors
/// `ErrorKind::File` with the path and the cause when the folder is missing or may not be written, when the disk is
/// full, or when `path` is a folder or a device. The old file is then as it was, and the temporary one is gone.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    replace(path, |file| file.write_all(bytes)).map_err(|error| describe(path, Some(bytes.len()), &error))
}

/// As [`write_atomically`], for bytes that `write` writes one after another.
///
/// # Errors
/// As [`write_atomically`], and what `write` answers, with the path.
pub fn write_atomically_with(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (path, mut fault) = (path.as_ref(), None);
    let replaced = replace(path, |file| {
        let mut file = BufWriter::new(file);
        let written = write(&mut file).map_err(|error| fault = Some(error.at(format!("`{}`", path.display()))));
        written.map_err(|()| io::Error::other("it is told below"))?;
        file.flush()
    });
    match (fault, replaced) {
        (Some(fault), _) => Err(fault),
        (None, replaced) => replaced.map_err(|error| describe(path, None, &error)),
    }
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(path).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a folder or a device, not a file"));
    }
    let (mut file, temporary) = Temporary::beside(path)?;
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    write(&mut file)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary.0, path)?;
    sync_folder(path)
}

/// A name for a file on its way; whatever is left under it is removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> io::Result<(File, Temporary)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file name"));
        };
        loop {
            let mut temporary = OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}-{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
            let temporary = path.with_file_name(temporary);
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                // Left by a process of the same number that was killed, as every first process of a container is.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => return Ok((opened?, Temporary(temporary))),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove, and a failure here has no one to hear of it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Forces a rename to the disk, which on Unix is the folder's business and elsewhere happens with the rename.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn describe(path: &Path, len_bytes: Option<usize>, error: &io::Error) -> Error {
    let bytes = len_bytes.map(|bytes| format!(" {bytes} bytes")).unwrap_or_default();
    let help = match error.kind() {
        io::ErrorKind::NotFound => "make the folder first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "choose a folder that you may write to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space or choose another disk",
        _ => "choose another path",
    };
    Error::new(ErrorKind::File, format!("`{}`: cannot write{bytes}: {error}", path.display())).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is removed at the end of a test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("footlight-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn names(&self) -> Vec<OsString> {
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_written_and_then_replaced() {
        let folder = Folder::new("replace");
        let path = folder.0.join("model.keras");
        for content in [&b"first"[..], b"second, longer"] {
            write_atomically(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(folder.names(), ["model.keras"]);
    }

    #[test]
    fn what_is_written_bit_by_bit_is_there_whole_or_not_at_all() {
        let folder = Folder::new("bit-by-bit");
        let path = folder.0.join("checkpoint.npz");
        write_atomically_with(&path, |file| {
            (0..3).for_each(|i| file.write_all(&[i; 9000]).unwrap());
            Ok(())
        })
        .unwrap();
        let whole = fs::read(&path).unwrap();
        assert_eq!((whole.len(), whole[26_999]), (27_000, 2));
        let error = write_atomically_with(&path, |file| {
            file.write_all(b"half of the n").unwrap();
            Err(Error::new(ErrorKind::File, "the rest is missing"))
        });
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("checkpoint.npz`: the rest is missing"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(folder.names(), ["checkpoint.npz"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = Folder::new("failure");
        let path = folder.0.join("model.keras");
        write_atomically(&path, b"old").unwrap();
        let error = replace(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(folder.names(), ["model.keras"]);
    }

    #[test]
    fn a_missing_folder_a_folder_and_a_path_without_a_name_are_named() {
        let folder = Folder::new("missing");
        let path = folder.0.join("nowhere/model.keras");
        let error = write_atomically(&path, b"x").unwrap_err();
        assert!(error.message().starts_with(&format!("`{}`: cannot write 1 bytes: ", path.display())), "{error}");
        assert_eq!(error.help_text(), Some("make the folder first"));
        let error = write_atomically(&folder.0, b"x").unwrap_err();
        assert!(error.message().ends_with("it is a folder or a device, not a file"), "{error}");
        assert!(write_atomically("", b"x").is_err());
        assert!(folder.names().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = Folder::new("link");
        let (path, link) = (folder.0.join("a.keras"), folder.0.join("latest.keras"));
        write_atomically(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_without_write_permission_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("readonly");
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o555)).unwrap();
        if File::create(folder.0.join("probe")).is_ok() {
            println!("skipped: this user may write everywhere");
            return;
        }
        let error = write_atomically(folder.0.join("model.keras"), b"x").unwrap_err();
        assert_eq!(error.help_text(), Some("choose a folder that you may write to"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_and_a_device_is_never_replaced() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let cause = full.write_all(b"x").unwrap_err();
        let error = describe(Path::new("best.keras"), Some(1), &cause);
        assert!(error.message().starts_with("`best.keras`: cannot write 1 bytes: No space left on device"), "{error}");
        assert_eq!(error.help_text(), Some("free some space or choose another disk"));
        assert!(write_atomically("/dev/full", b"x").is_err());
    }
}
