//! The store of a process that keeps nothing.

use crate::store::{Result, Store};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A store that ends with the process. It is used if none is configured, so that the code that writes need not know.
#[derive(Debug, Default)]
pub struct InMemory {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    logs: BTreeMap<String, VecDeque<Vec<u8>>>,
    values: BTreeMap<String, Vec<u8>>,
}

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for InMemory {
    fn append(&self, log: &str, records: &[Vec<u8>], keep: usize) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut kept = self.lock();
        let log = kept.logs.entry(log.to_owned()).or_default();
        log.extend(records.iter().cloned());
        log.drain(..log.len().saturating_sub(keep));
        Ok(())
    }

    fn replace(&self, log: &str, records: &[Vec<u8>]) -> Result<()> {
        self.lock().logs.insert(log.to_owned(), records.to_vec().into());
        Ok(())
    }

    fn last(&self, log: &str, most: usize) -> Result<Vec<Vec<u8>>> {
        let kept = self.lock();
        let Some(log) = kept.logs.get(log) else { return Ok(Vec::new()) };
        Ok(log.iter().skip(log.len().saturating_sub(most)).cloned().collect())
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<()> {
        self.lock().values.insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    fn value(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.lock().values.get(name).cloned())
    }

    fn place(&self) -> String {
        "in memory: what is remembered ends with the process".to_owned()
    }
}
