//! The store of a server: opened once at the start, handed out as logs and values, and watched. Where it cannot be written, the
//! health and an alert say so until every log is written again.

use crate::{config::StoreConfig, feed::Feed};
use seawall_store::{Embedded, InMemory, Store, StoreError};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Owns the store. Each keeper of records gets its log or value here, once.
pub(crate) struct Persistence {
    store: Arc<dyn Store>,
    failures: Arc<Failures>,
}

impl Persistence {
    /// Opens the store that is configured; where none is, what is remembered ends with the process.
    ///
    /// # Errors
    /// When it cannot be opened, or another process has it open.
    pub(crate) fn open(config: &StoreConfig, feed: Arc<Feed>) -> Result<Self, StoreError> {
        let store: Arc<dyn Store> = match &config.path {
            Some(path) => Arc::new(Embedded::open(path)?),
            None => Arc::new(InMemory::default()),
        };
        Ok(Self::new(store, feed))
    }

    /// Makes the persistence of this store.
    pub(crate) fn new(store: Arc<dyn Store>, feed: Arc<Feed>) -> Self {
        Self { store, failures: Arc::new(Failures { by_log: Mutex::default(), feed }) }
    }

    /// A persistence that ends with the process.
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::default()), Feed::new())
    }

    /// The log of this name.
    pub(crate) fn log<R: Serialize + DeserializeOwned>(&self, name: &'static str) -> Log<R> {
        let log = seawall_store::Log::new(self.store.clone(), name);
        Log { name, log, failures: self.failures.clone() }
    }

    /// The value of this name.
    pub(crate) fn value<V: Serialize + DeserializeOwned>(&self, name: &'static str) -> Value<V> {
        let value = seawall_store::Value::new(self.store.clone(), name);
        Value { name, value, failures: self.failures.clone() }
    }

    /// The place of the store, for people.
    pub(crate) fn place(&self) -> String {
        self.store.place()
    }

    /// The reason why the store cannot be read or written; none if it can.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failures.lock().values().next().cloned()
    }
}

/// A log of the store. That it cannot be read or written is noted here, so that callers need not.
pub(crate) struct Log<R> {
    name: &'static str,
    log: seawall_store::Log<R>,
    failures: Arc<Failures>,
}

impl<R: Serialize + DeserializeOwned> Log<R> {
    /// The last `most` records of former runs, oldest first; none where they cannot be read.
    pub(crate) fn last(&self, most: usize) -> Vec<R> {
        let (records, unreadable) = match self.log.last(most) {
            Ok(found) => found,
            Err(error) => {
                self.failures.note(self.name, &Err(error));
                return Vec::new();
            }
        };
        if unreadable > 0 {
            tracing::warn!(
                "{unreadable} records of {} are of another version: left out",
                self.name
            );
        }
        records
    }

    /// Adds records, and keeps the last `keep`.
    ///
    /// # Errors
    /// When they cannot be written; that is noted.
    pub(crate) fn append(&self, records: &[Arc<R>], keep: usize) -> Result<(), StoreError> {
        let written = self.log.append(records.iter().map(|record| &**record), keep);
        self.failures.note(self.name, &written);
        written
    }

    /// Puts these records in place of what is there.
    ///
    /// # Errors
    /// When they cannot be written; that is noted.
    pub(crate) fn replace<'r>(
        &self,
        records: impl IntoIterator<Item = &'r R>,
    ) -> Result<(), StoreError>
    where
        R: 'r,
    {
        let written = self.log.replace(records);
        self.failures.note(self.name, &written);
        written
    }
}

/// A value of the store. That it cannot be read or written is noted here, so that callers need not.
pub(crate) struct Value<V> {
    name: &'static str,
    value: seawall_store::Value<V>,
    failures: Arc<Failures>,
}

impl<V: Serialize + DeserializeOwned> Value<V> {
    /// What was written last; none if nothing was, or if it cannot be read.
    pub(crate) fn read(&self) -> Option<V> {
        self.value.read().unwrap_or_else(|error| {
            self.failures.note(self.name, &Err(error));
            None
        })
    }

    /// Writes the value.
    ///
    /// # Errors
    /// When it cannot be written; that is noted.
    pub(crate) fn put(&self, value: &V) -> Result<(), StoreError> {
        let written = self.value.put(value);
        self.failures.note(self.name, &written);
        written
    }
}

/// The logs and values that could not be written the last time, and the reasons.
struct Failures {
    by_log: Mutex<BTreeMap<&'static str, String>>,
    feed: Arc<Feed>,
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.by_log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a log fared. A failure is logged once, not at each attempt.
    fn note(&self, log: &'static str, result: &Result<(), StoreError>) {
        let mut by_log = self.lock();
        match result {
            Ok(()) => {
                if by_log.remove(log).is_some() && by_log.is_empty() {
                    tracing::info!("the store can be written again");
                    self.feed.note("store", "", "the store can be written again".into());
                }
            }
            Err(error) => {
                let error = error.to_string();
                if !by_log.values().any(|known| *known == error) {
                    tracing::error!("the store cannot be written: {error}");
                }
                by_log.insert(log, error);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A store for tests whose disk can be full.

    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A store whose writes fail while it is full.
    #[derive(Debug, Default)]
    pub(crate) struct Brittle {
        inner: InMemory,
        pub(crate) full: AtomicBool,
    }

    impl Brittle {
        fn written<T>(
            &self,
            write: impl FnOnce() -> Result<T, StoreError>,
        ) -> Result<T, StoreError> {
            if self.full.load(Ordering::Relaxed) {
                return Err(StoreError::new("a test", "no room"));
            }
            write()
        }
    }

    impl Store for Brittle {
        fn append(&self, log: &str, records: &[Vec<u8>], keep: usize) -> Result<(), StoreError> {
            self.written(|| self.inner.append(log, records, keep))
        }

        fn replace(&self, log: &str, records: &[Vec<u8>]) -> Result<(), StoreError> {
            self.written(|| self.inner.replace(log, records))
        }

        fn last(&self, log: &str, most: usize) -> Result<Vec<Vec<u8>>, StoreError> {
            self.inner.last(log, most)
        }

        fn put(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
            self.written(|| self.inner.put(name, value))
        }

        fn value(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
            self.inner.value(name)
        }

        fn place(&self) -> String {
            "a test".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::Brittle, *};
    use std::sync::atomic::Ordering;

    #[test]
    fn a_failure_lasts_until_every_log_is_written_again() {
        let store = Arc::new(Brittle::default());
        let persistence = Persistence::new(store.clone(), Feed::new());
        let (one, two) = (persistence.log::<u32>("one"), persistence.log::<u32>("two"));
        let write = |log: &Log<u32>| log.append(&[Arc::new(1)], 9).is_ok();
        assert!(write(&one) && persistence.failure().is_none());
        store.full.store(true, Ordering::Relaxed);
        assert!(!write(&one) && !write(&two));
        assert_eq!(persistence.failure().as_deref(), Some("a test: no room"));
        store.full.store(false, Ordering::Relaxed);
        assert!(write(&two));
        assert!(persistence.failure().is_some(), "the other log still lacks a record");
        assert!(write(&one) && persistence.failure().is_none());
    }
}
