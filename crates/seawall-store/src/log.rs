//! Logs and values by type: JSON in the store.

use crate::store::{Result, Store, StoreError};
use serde::{Serialize, de::DeserializeOwned};
use std::{marker::PhantomData, sync::Arc};

/// Bytes of the longest record or value that is written.
pub const MAX_RECORD: usize = 16 << 20;

/// A log of one type of records.
#[derive(Clone, Debug)]
pub struct Log<R> {
    store: Arc<dyn Store>,
    name: &'static str,
    records: PhantomData<fn() -> R>,
}

impl<R: Serialize + DeserializeOwned> Log<R> {
    /// The log of this name.
    pub fn new(store: Arc<dyn Store>, name: &'static str) -> Self {
        Self { store, name, records: PhantomData }
    }

    /// Adds records, and keeps the last `keep`. They are written when it returns.
    ///
    /// # Errors
    /// When they cannot be written, or one is longer than [`MAX_RECORD`]; then none of them is.
    pub fn append<'r>(&self, records: impl IntoIterator<Item = &'r R>, keep: usize) -> Result<()>
    where
        R: 'r,
    {
        let records = self.encoded(records)?;
        if records.is_empty() { Ok(()) } else { self.store.append(self.name, &records, keep) }
    }

    /// Puts these records in place of what is there.
    ///
    /// # Errors
    /// As [`append`](Self::append); then the log is as it was.
    pub fn replace<'r>(&self, records: impl IntoIterator<Item = &'r R>) -> Result<()>
    where
        R: 'r,
    {
        self.store.replace(self.name, &self.encoded(records)?)
    }

    /// The last `most` records, oldest first, and how many more among them this version cannot read: those are left out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn last(&self, most: usize) -> Result<(Vec<R>, usize)> {
        let found = self.store.last(self.name, most)?;
        let records: Vec<R> =
            found.iter().filter_map(|record| serde_json::from_slice(record).ok()).collect();
        let unreadable = found.len() - records.len();
        Ok((records, unreadable))
    }

    fn encoded<'r>(&self, records: impl IntoIterator<Item = &'r R>) -> Result<Vec<Vec<u8>>>
    where
        R: 'r,
    {
        records.into_iter().map(|record| encoded(&*self.store, record)).collect()
    }
}

/// A single value of one type.
#[derive(Clone, Debug)]
pub struct Value<V> {
    store: Arc<dyn Store>,
    name: &'static str,
    value: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> Value<V> {
    /// The value of this name.
    pub fn new(store: Arc<dyn Store>, name: &'static str) -> Self {
        Self { store, name, value: PhantomData }
    }

    /// Writes the value.
    ///
    /// # Errors
    /// When it cannot be written, or is longer than [`MAX_RECORD`]; then the former value stays.
    pub fn put(&self, value: &V) -> Result<()> {
        self.store.put(self.name, &encoded(&*self.store, value)?)
    }

    /// Reads the value; `None` if there is none, or none that this version can read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Option<V>> {
        let found = self.store.value(self.name)?;
        Ok(found.and_then(|value| serde_json::from_slice(&value).ok()))
    }
}

fn encoded(store: &dyn Store, record: &impl Serialize) -> Result<Vec<u8>> {
    let bytes =
        serde_json::to_vec(record).map_err(|error| StoreError::new(store.place(), error))?;
    if bytes.len() > MAX_RECORD {
        let message = format!("a record of {} bytes is longer than {MAX_RECORD}", bytes.len());
        return Err(StoreError::new(store.place(), message));
    }
    Ok(bytes)
}
