//! Feedback on disk: an embedded database of events in the order in which they were acknowledged.
//!
//! A commit is on disk before it returns, and is there whole or not at all. One process holds a store at a time.

use std::panic::catch_unwind;
use std::path::Path;

use footlight::{Error, ErrorKind, Result};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};

use super::super::{EventKind, NamedEvent};

/// The version of the tables, and the only one that is read.
const VERSION: u64 = 1;
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
const VERSION_KEY: &str = "footlight_feedback";
/// User, item, kind, value and time of each event.
const EVENTS: TableDefinition<u64, (&str, &str, &str, f32, i64)> = TableDefinition::new("events");

/// The events of a store that a server has filled, in the order in which they were acknowledged.
///
/// # Errors
/// `ErrorKind::File`: what is not there, is no store, is damaged, is of another version, or is held by a server.
pub fn stored(path: impl AsRef<Path>) -> Result<Vec<NamedEvent>> {
    let path = path.as_ref();
    if !path.exists() {
        let message = format!("`{}`: there is no store of feedback", path.display());
        return Err(Error::new(ErrorKind::File, message).help("name the file that `footlight recommend serve` tells"));
    }
    Ok(Store::open(path)?.1)
}

/// A store of events.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    next: u64,
}

impl Store {
    /// Opens a store, or makes one where there is no file; also what it holds.
    ///
    /// # Errors
    /// `ErrorKind::File`: what is no store, is damaged, is of another version, is in use or cannot be written.
    pub fn open(path: &Path) -> Result<(Store, Vec<NamedEvent>)> {
        let open = || {
            let mut database = Database::create(path).map_err(|error| of_opening(&error))?;
            // All checksums are compared, which opening alone does not do.
            if !database.check_integrity().map_err(|error| of_opening(&error))? {
                return Err(damaged("checksums do not fit"));
            }
            initialize(&database)?;
            let events = read(&database)?;
            Ok((Store { database, next: events.len() as u64 }, events))
        };
        // Some damages make the library panic.
        let opened = catch_unwind(open).unwrap_or_else(|_| Err(damaged("its parts do not fit")));
        opened.map_err(|error| error.at(format!("`{}`", path.display())))
    }

    /// Puts events behind the others; they are on disk when this returns.
    ///
    /// # Errors
    /// `ErrorKind::File` when they cannot be written; nothing may be added then until the store was opened anew.
    pub fn append<'a>(&mut self, events: impl IntoIterator<Item = &'a NamedEvent>) -> Result<()> {
        let write = self.database.begin_write().map_err(fault)?;
        let mut next = self.next;
        {
            let mut table = write.open_table(EVENTS).map_err(fault)?;
            for NamedEvent { user, item, kind, value, time } in events {
                table.insert(next, (user.as_str(), item.as_str(), kind.name(), *value, *time)).map_err(fault)?;
                next += 1;
            }
        }
        write.commit().map_err(fault)?;
        self.next = next;
        Ok(())
    }
}

fn fault(error: impl Into<redb::Error>) -> Error {
    Error::new(ErrorKind::File, format!("the store of feedback: {}", error.into()))
}

fn of_opening(error: &DatabaseError) -> Error {
    let (message, help) = match error {
        DatabaseError::DatabaseAlreadyOpen => {
            ("another process holds it".into(), "stop the server that holds it, or name another store")
        }
        DatabaseError::UpgradeRequired(version) => {
            (format!("it is a store of the older format {version}"), "use the program that wrote it")
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
            (format!("cannot open it: {error}"), "name a file in a folder that can be written to")
        }
        other => return damaged(other),
    };
    Error::new(ErrorKind::File, message).help(help)
}

fn damaged(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::File, format!("it is no store of feedback, or is damaged: {why}"))
        .help("move it away, or name another file")
}

/// Makes the tables of a new store, and refuses those of another version.
fn initialize(database: &Database) -> Result<()> {
    let write = database.begin_write().map_err(fault)?;
    let is_new = write.list_tables().map_err(fault)?.next().is_none();
    {
        let mut about = write.open_table(ABOUT).map_err(fault)?;
        if is_new {
            about.insert(VERSION_KEY, VERSION).map_err(fault)?;
            write.open_table(EVENTS).map_err(fault)?;
        }
        match about.get(VERSION_KEY).map_err(fault)?.map(|version| version.value()) {
            Some(VERSION) => {}
            Some(other) => {
                let message = format!("it has version {other} of the format, this program reads version {VERSION}");
                return Err(
                    Error::new(ErrorKind::File, message).help("use the program that wrote it, or another store")
                );
            }
            None => return Err(Error::new(ErrorKind::File, "it is a database, but no store of feedback")),
        }
    }
    write.commit().map_err(fault)
}

fn read(database: &Database) -> Result<Vec<NamedEvent>> {
    let table = database.begin_read().map_err(fault)?.open_table(EVENTS).map_err(fault)?;
    let mut events = Vec::new();
    for row in table.iter().map_err(fault)? {
        let (number, row) = row.map_err(fault)?;
        let (user, item, kind, value, time) = row.value();
        let unknown = || Error::new(ErrorKind::File, format!("event {} is of no known kind `{kind}`", number.value()));
        let kind = EventKind::from_name(kind).ok_or_else(unknown)?;
        events.push(NamedEvent { user: user.into(), item: item.into(), kind, value, time });
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder of a test's own, which goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("footlight-store-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }

        fn path(&self) -> PathBuf {
            self.0.join("films.feedback")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn event(number: usize) -> NamedEvent {
        let kind = EventKind::from_name(EventKind::NAMES[number % 8]).unwrap();
        NamedEvent { user: format!("u{number}"), item: format!("i{number}"), kind, value: number as f32, time: 7 }
    }

    #[test]
    fn what_was_appended_is_there_in_its_order_when_it_is_opened_again() {
        let folder = Folder::new("order");
        let events: Vec<NamedEvent> = (0..20).map(event).collect();
        for part in events.chunks(7) {
            Store::open(&folder.path()).unwrap().0.append(part).unwrap();
        }
        assert_eq!(Store::open(&folder.path()).unwrap().1, events);
        assert_eq!(stored(folder.path()).unwrap(), events);
    }

    #[test]
    fn a_store_that_is_not_there_is_told_and_not_made() {
        let folder = Folder::new("missing");
        let error = stored(folder.path()).unwrap_err();
        assert!(error.message().ends_with("there is no store of feedback"), "{error:?}");
        assert!(!folder.path().exists());
    }

    #[test]
    fn a_store_is_held_by_one() {
        let folder = Folder::new("held");
        let _held = Store::open(&folder.path()).unwrap();
        let error = Store::open(&folder.path()).unwrap_err();
        assert!(error.message().ends_with("films.feedback`: another process holds it"), "{error:?}");
    }

    #[test]
    fn another_version_and_another_database_are_told() {
        let folder = Folder::new("version");
        drop(Store::open(&folder.path()).unwrap());
        let set = |change: &dyn Fn(&mut redb::Table<&'static str, u64>)| {
            let database = Database::create(folder.path()).unwrap();
            let write = database.begin_write().unwrap();
            change(&mut write.open_table(ABOUT).unwrap());
            write.commit().unwrap();
        };
        set(&|about| drop(about.insert(VERSION_KEY, 2).unwrap()));
        let error = Store::open(&folder.path()).unwrap_err();
        assert!(error.message().contains("it has version 2 of the format, this program reads version 1"), "{error:?}");
        set(&|about| drop(about.remove(VERSION_KEY).unwrap()));
        let error = Store::open(&folder.path()).unwrap_err();
        assert!(error.message().contains("it is a database, but no store of feedback"), "{error:?}");
    }

    #[test]
    fn no_file_that_is_no_store_is_written_to() {
        let folder = Folder::new("foreign");
        std::fs::write(folder.path(), "user,item\na,b\n").unwrap();
        let error = Store::open(&folder.path()).unwrap_err();
        assert!(error.message().contains("it is no store of feedback, or is damaged"), "{error:?}");
        assert_eq!(std::fs::read(folder.path()).unwrap(), b"user,item\na,b\n");
    }

    #[test]
    fn a_store_that_is_damaged_is_told_or_whole() {
        let folder = Folder::new("damaged");
        let events: Vec<NamedEvent> = (0..500).map(event).collect();
        Store::open(&folder.path()).unwrap().0.append(&events).unwrap();
        let whole = std::fs::read(folder.path()).unwrap();
        let mut told = 0;
        let mut check = |what: &str, bytes: &[u8]| {
            std::fs::write(folder.path(), bytes).unwrap();
            match Store::open(&folder.path()) {
                Ok((_, read)) => assert_eq!(read, events, "{what}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::File);
                    told += 1;
                    // It is not mended in silence.
                    let again = Store::open(&folder.path());
                    assert!(again.is_err() || again.is_ok_and(|(_, read)| read == events), "{what}: {error:?}");
                }
            }
        };
        for part in 1..64 {
            check(&format!("cut at {part}/64"), &whole[..whole.len() * part / 64]);
        }
        let written: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
        for at in written.iter().step_by(written.len() / 64) {
            let mut bytes = whole.clone();
            bytes[*at] ^= 1;
            check(&format!("byte {at}"), &bytes);
        }
        assert!(told > 64, "{told}");
    }
}
