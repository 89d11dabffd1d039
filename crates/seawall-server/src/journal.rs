//! What happened, record by record: bounded in memory, and in the store where there is one.

use seawall_store::Store;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The records that are kept, oldest first.
pub(crate) struct Journal<R> {
    name: &'static str,
    kept: Mutex<VecDeque<Arc<R>>>,
    /// Whether a record is not in the store, though it should be.
    unsaved: AtomicBool,
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// With the last `most` records that the store has of former runs.
    pub(crate) fn open(name: &'static str, most: usize, store: Option<&Store>) -> Self {
        let earlier =
            store.and_then(|store| store.last::<R>(name, most).ok()).unwrap_or_default().0;
        let kept = Mutex::new(earlier.into_iter().map(Arc::new).collect());
        Self { name, kept, unsaved: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<R>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record, and keeps the last `most`. On disk when it returns, where there is a store.
    ///
    /// # Errors
    /// When the store cannot be written; then the record is kept, and [`save`](Self::save) tries again.
    pub(crate) fn add(&self, record: R, most: usize, store: Option<&Store>) -> Result<(), String> {
        let record = Arc::new(record);
        {
            let mut kept = self.lock();
            kept.push_back(record.clone());
            while kept.len() > most {
                kept.pop_front();
            }
        }
        let Some(store) = store else { return Ok(()) };
        store.append(self.name, &[&*record], most).map_err(|error| self.not_saved(error))
    }

    /// All records, the latest first.
    pub(crate) fn latest(&self) -> Vec<Arc<R>> {
        self.lock().iter().rev().cloned().collect()
    }

    /// Writes records that could not be written when they were made.
    ///
    /// # Errors
    /// When the store still cannot be written.
    pub(crate) fn save(&self, store: &Store) -> Result<(), String> {
        if !self.unsaved.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let mut all = self.latest();
        all.reverse();
        let all: Vec<&R> = all.iter().map(|record| &**record).collect();
        store.replace(self.name, &all).map_err(|error| self.not_saved(error))
    }

    fn not_saved(&self, error: impl std::fmt::Display) -> String {
        self.unsaved.store(true, Ordering::Relaxed);
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(journal: &Journal<u32>) -> Vec<u32> {
        journal.latest().iter().map(|record| **record).collect()
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s")).unwrap();
        let journal = Journal::open("numbers", 3, Some(&store));
        for n in 1..=4 {
            journal.add(n, 3, Some(&store)).unwrap();
        }
        assert_eq!(values(&journal), [4, 3, 2]);
        assert_eq!(store.last::<u32>("numbers", 9).unwrap().0, [2, 3, 4]);
        // As on a full disk: the record is in memory alone.
        journal.add(5, 3, None).unwrap();
        journal.not_saved("no room");
        assert_eq!(store.last::<u32>("numbers", 9).unwrap().0, [2, 3, 4]);
        journal.save(&store).unwrap();
        assert_eq!(store.last::<u32>("numbers", 9).unwrap().0, [3, 4, 5]);
        assert_eq!(values(&Journal::open("numbers", 3, Some(&store))), [5, 4, 3]);
    }
}
