//! The file of letters: opened, read and written, and opened again after a failure.

use super::{
    reading::Reading,
    tables::{Worked, Writing},
};
use crate::{
    embedded,
    store::{Result, StoreError},
};
use redb::{Database, ReadableDatabase};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Bytes of pages that the database keeps in memory.
const CACHE: usize = 32 << 20;

/// After a failed write none is tried for so many times as long as it took to open the file again. On a full disk each try
/// costs that, which for a large file is seconds in which nobody can read.
const REST: u32 = 10;

pub(super) struct File {
    path: PathBuf,
    /// None while it cannot be opened again after a failure.
    database: RwLock<Option<Database>>,
    trouble: Mutex<Trouble>,
}

/// What is known of a disk that takes nothing.
#[derive(Default)]
struct Trouble {
    /// How long it took to open the file again.
    reopening: Duration,
    /// Until when no write is tried, and why.
    rest: Option<(Instant, String)>,
}

impl File {
    /// Opens the file, or makes it, with its folder.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        embedded::make_folder(&path)?;
        let database = open(&path)?;
        embedded::owner_only(&path)?;
        let file = Self { path, database: RwLock::new(Some(database)), trouble: Mutex::default() };
        // The tables are made, so that readers find them.
        file.write(|_| Ok(()))?;
        Ok(file)
    }

    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads from one state of the tables, beside writers.
    pub(super) fn read<T>(&self, work: impl Fn(&Reading) -> Worked<T>) -> Result<T> {
        self.work(|database| work(&Reading::of(&database.begin_read()?)?))
    }

    /// Writes, all that the work does or nothing. It is on disk when this returns.
    pub(super) fn write<T>(
        &self,
        mut work: impl FnMut(&mut Writing<'_>) -> Worked<T>,
    ) -> Result<T> {
        if let Some((until, why)) = &self.trouble().rest
            && Instant::now() < *until
        {
            return Err(StoreError::new(self.place(), why.clone()));
        }
        let written = self.work(|database| {
            let transaction = database.begin_write()?;
            let mut writing = Writing::of(&transaction)?;
            let done = work(&mut writing)?;
            writing.finish()?;
            transaction.commit()?;
            Ok(done)
        });
        let mut trouble = self.trouble();
        let rest = trouble.reopening * REST;
        trouble.rest =
            written.as_ref().err().map(|error| (Instant::now() + rest, error.cause.to_string()));
        written
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the database. After a failure of the disk redb takes nothing more until it is opened again: that is
    /// tried each time.
    fn work<T>(&self, mut work: impl FnMut(&Database) -> Worked<T>) -> Result<T> {
        {
            let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(database) = slot.as_ref() {
                match self.guarded(|| work(database))? {
                    Err(redb::Error::PreviousIo) => {}
                    done => return done.map_err(|error| embedded::failed(&self.path, error)),
                }
            }
        }
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Only once it is closed can it be opened. Another thread may have done so meanwhile, which does no harm.
        let started = Instant::now();
        close(&mut slot);
        let database = slot.insert(open(&self.path)?);
        self.trouble().reopening = started.elapsed();
        self.guarded(|| work(database))?.map_err(|error| embedded::failed(&self.path, error))
    }

    /// The database trusts the pages of its file. Where bytes of them were changed it may panic, which here is an error
    /// like any other.
    fn guarded<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| self.damaged())
    }

    fn damaged(&self) -> StoreError {
        StoreError::new(
            self.place(),
            "the file is damaged: move it away and put back a copy, or start with a new one",
        )
    }
}

impl Drop for File {
    fn drop(&mut self) {
        close(self.database.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Closes the database. It writes then, and where its file is damaged it may panic.
fn close(slot: &mut Option<Database>) {
    let database = slot.take();
    // What it would have written makes opening it faster, and is no loss.
    _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
}

fn open(path: &std::path::Path) -> Result<Database> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    let opened = catch_unwind(AssertUnwindSafe(|| builder.create(path)));
    let damaged = redb::DatabaseError::Storage(redb::StorageError::Corrupted(
        "the file is damaged: move it away and put back a copy, or start with a new one".to_owned(),
    ));
    opened.unwrap_or(Err(damaged)).map_err(|error| embedded::not_opened(path, error))
}
