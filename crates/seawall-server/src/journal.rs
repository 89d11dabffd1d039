//! Records of one kind, bounded: in memory for who reads them, and in a log of the store for the next run.

use crate::persistence::Log;
use seawall_store::StoreError;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The last records of one kind, oldest first.
pub(crate) struct Journal<R> {
    log: Log<R>,
    kept: Mutex<Kept<R>>,
    /// Held while the log is written, so that its order is that of the records.
    writing: Mutex<()>,
}

struct Kept<R> {
    records: VecDeque<Arc<R>>,
    /// Records kept at most, here and in the log.
    most: usize,
    /// The number of latest records that are not in the log yet.
    unsaved: usize,
    /// Whether the log differs from what is kept before the unsaved records: then it is replaced.
    is_stale: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R> Kept<R> {
    fn trim(&mut self) {
        let excess = self.records.len().saturating_sub(self.most);
        self.records.drain(..excess);
        self.unsaved = self.unsaved.min(self.records.len());
    }
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// A journal of `most` records, with those that its log has of former runs.
    pub(crate) fn open(log: Log<R>, most: usize) -> Self {
        let records = log.last(most).into_iter().map(Arc::new).collect();
        let kept = Kept { records, most, unsaved: 0, is_stale: false };
        Self { log, kept: Mutex::new(kept), writing: Mutex::new(()) }
    }

    /// Keeps another number of records from now on.
    pub(crate) fn set_most(&self, most: usize) {
        let mut kept = lock(&self.kept);
        kept.most = most;
        kept.trim();
    }

    /// Adds a record in memory; [`save`](Self::save) writes it.
    pub(crate) fn push(&self, record: R) {
        let mut kept = lock(&self.kept);
        kept.records.push_back(Arc::new(record));
        kept.unsaved += 1;
        kept.trim();
    }

    /// Adds a record, and writes it before it returns. Where the store cannot be written, the record stays in memory,
    /// and [`save`](Self::save) tries again.
    pub(crate) fn add(&self, record: R) {
        self.push(record);
        // The log notes a failure.
        let _ = self.save();
    }

    /// Forgets the oldest records while `is_over` says so. The log forgets them in its own time.
    pub(crate) fn drop_oldest_while(&self, is_over: impl Fn(&R) -> bool) {
        let mut kept = lock(&self.kept);
        while kept.records.front().is_some_and(|oldest| is_over(oldest)) {
            kept.records.pop_front();
        }
        kept.trim();
    }

    /// Forgets all records but those to keep, here and in the log. Says how many went and how many stay.
    ///
    /// # Errors
    /// When the log cannot be written; then [`save`](Self::save) tries again.
    pub(crate) fn retain(
        &self,
        is_kept: impl Fn(&R) -> bool,
    ) -> Result<(usize, usize), StoreError> {
        let (removed, rest) = {
            let mut kept = lock(&self.kept);
            let before = kept.records.len();
            kept.records.retain(|record| is_kept(record));
            kept.is_stale = true;
            kept.trim();
            (before - kept.records.len(), kept.records.len())
        };
        self.save().map(|()| (removed, rest))
    }

    /// All records, the latest first.
    pub(crate) fn latest(&self) -> Vec<Arc<R>> {
        lock(&self.kept).records.iter().rev().cloned().collect()
    }

    /// Looks at all records in place, oldest first.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = &R>) -> T) -> T {
        look(&mut lock(&self.kept).records.iter().map(|record| &**record))
    }

    /// Writes what is not in the log yet.
    ///
    /// # Errors
    /// When it cannot be written; then the next call tries again.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let _one_after_another = lock(&self.writing);
        let (records, most, is_stale) = {
            let mut kept = lock(&self.kept);
            let is_stale = std::mem::take(&mut kept.is_stale);
            let unsaved = std::mem::take(&mut kept.unsaved);
            let skip = if is_stale { 0 } else { kept.records.len() - unsaved };
            (kept.records.iter().skip(skip).cloned().collect::<Vec<_>>(), kept.most, is_stale)
        };
        let written = match is_stale {
            true => self.log.replace(records.iter().map(|record| &**record)),
            false if records.is_empty() => Ok(()),
            false => self.log.append(&records, most),
        };
        if written.is_err() {
            // Some of it may have been written after all.
            lock(&self.kept).is_stale = true;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        feed::Feed,
        persistence::{Persistence, testing::Brittle},
    };
    use std::sync::atomic::Ordering;

    fn values(journal: &Journal<u32>) -> Vec<u32> {
        journal.latest().iter().map(|record| **record).collect()
    }

    #[test]
    fn records_that_could_not_be_written_are_written_later() {
        let store = Arc::new(Brittle::default());
        let persistence = Persistence::new(store.clone(), Feed::new());
        let log = || persistence.log::<u32>("numbers");
        let journal = Journal::open(log(), 3);
        for n in 1..=4 {
            journal.add(n);
        }
        assert_eq!(values(&journal), [4, 3, 2]);
        assert_eq!(log().last(9), [2, 3, 4]);
        // As on a full disk: the record is in memory alone.
        store.full.store(true, Ordering::Relaxed);
        journal.add(5);
        journal.add(6);
        assert_eq!(values(&journal), [6, 5, 4]);
        assert_eq!(log().last(9), [2, 3, 4]);
        assert!(journal.save().is_err());
        store.full.store(false, Ordering::Relaxed);
        journal.save().unwrap();
        assert_eq!(log().last(9), [4, 5, 6]);
        assert_eq!(values(&Journal::open(log(), 3)), [6, 5, 4]);
    }

    #[test]
    fn removed_records_do_not_come_back() {
        let store = Arc::new(Brittle::default());
        let persistence = Persistence::new(store.clone(), Feed::new());
        let log = || persistence.log::<u32>("numbers");
        let journal = Journal::open(log(), 9);
        (1..=4).for_each(|n| journal.push(n));
        assert_eq!(log().last(9), [0; 0], "not before it is saved");
        journal.save().unwrap();
        journal.push(5);
        store.full.store(true, Ordering::Relaxed);
        assert!(journal.retain(|n| n % 2 == 1).is_err());
        assert_eq!(log().last(9), [1, 2, 3, 4]);
        store.full.store(false, Ordering::Relaxed);
        journal.push(6);
        journal.save().unwrap();
        journal.save().unwrap();
        assert_eq!(log().last(9), [1, 3, 5, 6]);
        journal.drop_oldest_while(|n| *n < 5);
        journal.set_most(1);
        assert_eq!((values(&journal), journal.retain(|n| *n > 5).unwrap()), (vec![6], (0, 1)));
        assert_eq!(log().last(9), [6]);
    }
}
