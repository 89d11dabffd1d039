//! State that survives a restart, in one file: journals of records, oldest first, and single values by name.
//!
//! A call that returned is on disk. A process that is killed loses nothing of that, and a file that was being
//! written then opens again.

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");

/// The embedded store.
#[derive(Debug)]
pub struct Store {
    /// None while it cannot be opened again after a failure.
    database: Mutex<Option<Database>>,
    path: PathBuf,
}

/// Why the store did not do what it was asked.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    InUse,
    Database(Box<redb::Error>),
    Record(serde_json::Error),
    Folder(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::InUse => write!(f, "{path} is in use by another process; give each its own"),
            Cause::Database(error) => write!(f, "{path}: {error}"),
            Cause::Record(error) => write!(f, "{path}: a record cannot be written: {error}"),
            Cause::Folder(error) => write!(f, "{path}: its folder cannot be made: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

type Result<T> = std::result::Result<T, StoreError>;

/// The records of one journal under their numbers, from 1 in the order of writing.
type Journal<'n> = TableDefinition<'n, u64, &'static [u8]>;

impl Store {
    /// Opens the file, or makes it, with its folder.
    ///
    /// # Errors
    /// When another process has it open, or it cannot be read or made.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |cause| StoreError { path: path.to_owned(), cause };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| failed(Cause::Folder(error)))?;
        }
        let database = open(path).map_err(failed)?;
        // It holds what operators did, and the whole configuration.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let owner_only = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(path, owner_only)
                .map_err(|error| failed(Cause::Folder(error)))?;
        }
        Ok(Self { database: Mutex::new(Some(database)), path: path.to_owned() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Works on the database. After a failure of the disk it takes nothing more until it is opened again: that is
    /// tried each time.
    fn work<T>(
        &self,
        work: impl Fn(&Database) -> std::result::Result<T, redb::Error>,
    ) -> Result<T> {
        let failed = |cause| StoreError { path: self.path.clone(), cause };
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = slot.as_ref() {
            match work(database) {
                Err(redb::Error::PreviousIo) => {}
                done => return done.map_err(|error| failed(Cause::Database(Box::new(error)))),
            }
        }
        // Only once it is closed can it be opened.
        *slot = None;
        let database = slot.insert(open(&self.path).map_err(failed)?);
        work(database).map_err(|error| failed(Cause::Database(Box::new(error))))
    }

    fn written(&self, record: &impl Serialize) -> Result<Vec<u8>> {
        serde_json::to_vec(record)
            .map_err(|error| StoreError { path: self.path.clone(), cause: Cause::Record(error) })
    }

    /// Adds records to a journal, all or none, and keeps its last `keep`. On disk when it returns.
    ///
    /// # Errors
    /// When they cannot be written: the disk is full, most likely. Then none of them is there.
    pub fn append<R: Serialize>(&self, journal: &str, records: &[R], keep: usize) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let records: Vec<Vec<u8>> =
            records.iter().map(|record| self.written(record)).collect::<Result<_>>()?;
        self.work(|database| {
            let writing = database.begin_write()?;
            {
                let mut table = writing.open_table(Journal::new(journal))?;
                let mut number = table.last()?.map_or(0, |(number, _)| number.value());
                for record in &records {
                    number += 1;
                    table.insert(number, record.as_slice())?;
                }
                for _ in keep as u64..table.len()? {
                    table.pop_first()?;
                }
            }
            Ok(writing.commit()?)
        })
    }

    /// The last `most` records of a journal, oldest first. Records that this version cannot read are passed over,
    /// and counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last<R: DeserializeOwned>(&self, journal: &str, most: usize) -> Result<(Vec<R>, usize)> {
        self.work(|database| {
            let reading = database.begin_read()?;
            let table = match reading.open_table(Journal::new(journal)) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), 0)),
                Err(error) => return Err(error.into()),
            };
            let mut records = Vec::new();
            let mut unread = 0;
            for row in table.iter()?.rev().take(most) {
                match serde_json::from_slice(row?.1.value()) {
                    Ok(record) => records.push(record),
                    Err(_) => unread += 1,
                }
            }
            records.reverse();
            Ok((records, unread))
        })
    }

    /// Puts these records in place of a journal's.
    ///
    /// # Errors
    /// When they cannot be written; then the journal is as it was.
    pub fn replace<R: Serialize>(&self, journal: &str, records: &[R]) -> Result<()> {
        let records: Vec<Vec<u8>> =
            records.iter().map(|record| self.written(record)).collect::<Result<_>>()?;
        self.work(|database| {
            let writing = database.begin_write()?;
            writing.delete_table(Journal::new(journal))?;
            {
                let mut table = writing.open_table(Journal::new(journal))?;
                for (number, record) in (1_u64..).zip(&records) {
                    table.insert(number, record.as_slice())?;
                }
            }
            Ok(writing.commit()?)
        })
    }

    /// Writes a single value.
    ///
    /// # Errors
    /// When it cannot be written; then the former value stays.
    pub fn put(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let value = self.written(value)?;
        self.work(|database| {
            let writing = database.begin_write()?;
            writing.open_table(VALUES)?.insert(name, value.as_slice())?;
            Ok(writing.commit()?)
        })
    }

    /// Reads a single value; none where there is none that this version can read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn value<V: DeserializeOwned>(&self, name: &str) -> Result<Option<V>> {
        self.work(|database| {
            let reading = database.begin_read()?;
            let table = match reading.open_table(VALUES) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let found = table.get(name)?;
            Ok(found.and_then(|value| serde_json::from_slice(value.value()).ok()))
        })
    }
}

fn open(path: &Path) -> std::result::Result<Database, Cause> {
    Database::create(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => Cause::InUse,
        error => Cause::Database(Box::new(error.into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/state.redb");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.last::<u32>("a", 10).unwrap(), (vec![], 0));
        store.append("a", &[1, 2, 3], 10).unwrap();
        store.append("a", &[4, 5], 4).unwrap();
        store.append("b", &["x"], 10).unwrap();
        store.put("name", &"value").unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.last::<u32>("a", 10).unwrap().0, [2, 3, 4, 5]);
        assert_eq!(store.last::<u32>("a", 2).unwrap().0, [4, 5]);
        assert_eq!(store.last::<u32>("b", 2).unwrap(), (vec![], 1), "a text is no number");
        assert_eq!(store.value::<String>("name").unwrap().as_deref(), Some("value"));
        assert_eq!(store.value::<String>("other").unwrap(), None);
        store.replace("a", &[9]).unwrap();
        store.append("a", &[10], 9).unwrap();
        assert_eq!(store.last::<u32>("a", 10).unwrap().0, [9, 10]);
    }

    #[test]
    fn one_process_at_a_time_and_only_files_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let _store = Store::open(&path).unwrap();
        let told = Store::open(&path).unwrap_err().to_string();
        assert!(told.contains("in use by another process"), "{told}");
        let other = folder.path().join("text");
        std::fs::write(&other, "no database").unwrap();
        let told = Store::open(&other).unwrap_err().to_string();
        assert!(told.contains("text: "), "{told}");
        assert_eq!(std::fs::read(&other).unwrap(), b"no database", "it stays as it was");
    }
}
