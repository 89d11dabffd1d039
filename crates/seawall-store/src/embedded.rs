//! The store in one file of this machine, by redb.
//!
//! A process that is killed loses nothing of what was written, and a file that was being written then opens again.

use crate::store::{Result, Store, StoreError};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");

/// The records of one log under their numbers, from 1 in the order of writing.
type Records<'n> = TableDefinition<'n, u64, &'static [u8]>;

/// A store in one file, which its owner alone may read.
#[derive(Debug)]
pub struct Embedded {
    /// None while it cannot be opened again after a failure.
    database: Mutex<Option<Database>>,
    path: PathBuf,
}

impl Embedded {
    /// Opens the file, or makes it, with its folder.
    ///
    /// # Errors
    /// When another process has it open, it is no store, or it cannot be read or made.
    pub fn open(path: &Path) -> Result<Self> {
        make_folder(path)?;
        let database = open(path)?;
        // It holds what operators did, and the whole configuration.
        owner_only(path)?;
        Ok(Self { database: Mutex::new(Some(database)), path: path.to_owned() })
    }

    /// Works on the database. After a failure of the disk redb takes nothing more until it is opened again: that is
    /// tried each time.
    fn work<T>(
        &self,
        work: impl Fn(&Database) -> std::result::Result<T, redb::Error>,
    ) -> Result<T> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = slot.as_ref() {
            match work(database) {
                Err(redb::Error::PreviousIo) => {}
                done => return done.map_err(|error| failed(&self.path, error)),
            }
        }
        // Only once it is closed can it be opened.
        *slot = None;
        let database = slot.insert(open(&self.path)?);
        work(database).map_err(|error| failed(&self.path, error))
    }
}

impl Store for Embedded {
    fn append(&self, log: &str, records: &[Vec<u8>], keep: usize) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.work(|database| {
            let writing = database.begin_write()?;
            {
                let mut table = writing.open_table(Records::new(log))?;
                let mut number = table.last()?.map_or(0, |(number, _)| number.value());
                for record in records {
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

    fn replace(&self, log: &str, records: &[Vec<u8>]) -> Result<()> {
        self.work(|database| {
            let writing = database.begin_write()?;
            writing.delete_table(Records::new(log))?;
            {
                let mut table = writing.open_table(Records::new(log))?;
                for (number, record) in (1_u64..).zip(records) {
                    table.insert(number, record.as_slice())?;
                }
            }
            Ok(writing.commit()?)
        })
    }

    fn last(&self, log: &str, most: usize) -> Result<Vec<Vec<u8>>> {
        self.work(|database| {
            let table = match database.begin_read()?.open_table(Records::new(log)) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let mut records = Vec::new();
            for row in table.iter()?.rev().take(most) {
                records.push(row?.1.value().to_vec());
            }
            records.reverse();
            Ok(records)
        })
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<()> {
        self.work(|database| {
            let writing = database.begin_write()?;
            writing.open_table(VALUES)?.insert(name, value)?;
            Ok(writing.commit()?)
        })
    }

    fn value(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.work(|database| {
            let table = match database.begin_read()?.open_table(VALUES) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            Ok(table.get(name)?.map(|value| value.value().to_vec()))
        })
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

fn open(path: &Path) -> Result<Database> {
    Database::create(path).map_err(|error| not_opened(path, error))
}

/// Makes the folder of a file, with those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|error| of_folder(path, &error))
}

/// Lets nobody but its owner read a file.
pub(crate) fn owner_only(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, owner_only).map_err(|error| of_folder(path, &error))?;
    }
    Ok(())
}

fn of_folder(path: &Path, error: &io::Error) -> StoreError {
    StoreError::new(
        path.display().to_string(),
        format!("its folder cannot be used: {error}; give the store another path"),
    )
}

/// Why a database was not opened.
pub(crate) fn not_opened(path: &Path, error: redb::DatabaseError) -> StoreError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::new(
            path.display().to_string(),
            "it is in use by another process; give each its own",
        ),
        error => failed(path, error.into()),
    }
}

/// Why work on a database failed.
pub(crate) fn failed(path: &Path, error: redb::Error) -> StoreError {
    let place = path.display().to_string();
    match error {
        redb::Error::Io(error) if is_full(error.kind()) => {
            StoreError::new(place, format!("{error}; make room on its disk"))
        }
        error => StoreError::new(place, error),
    }
}

/// Whether there is no room: on the disk, in a quota, or within a limit of the process.
fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_only_files_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let _store = Embedded::open(&path).unwrap();
        let message = Embedded::open(&path).unwrap_err().to_string();
        assert!(message.contains("in use by another process"), "{message}");
        let other = folder.path().join("text");
        std::fs::write(&other, "no database").unwrap();
        let message = Embedded::open(&other).unwrap_err().to_string();
        assert!(message.contains("text: "), "{message}");
        assert_eq!(std::fs::read(&other).unwrap(), b"no database", "it stays as it was");
    }
}
