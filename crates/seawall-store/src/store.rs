//! The contract of a place for state that survives a restart.

use std::{error, fmt};

/// A place for logs and values, both as bytes.
///
/// # What holds for every implementation
/// - **Whole or not at all.** A write that returns `Ok` is done. After an `Err` nothing of it is there, or, where an answer
///   was lost on a network, all of it; never a part. So whoever tries again writes with [`replace`](Self::replace) or
///   [`put`](Self::put), which may be done twice.
/// - **Durability.** [`Embedded`](crate::Embedded) has a write on disk when it returns, and a killed process loses nothing of that;
///   [`InMemory`](crate::InMemory) keeps it until the process ends. [`place`](Self::place) says which it is.
/// - **Order.** A log is read in the order in which it was written, and the records of one call stand together, however
///   many threads write.
/// - **Bounds.** A log holds at most the `keep` records of the last [`append`](Self::append); the oldest give way. A record
///   or value has at most [`MAX_RECORD`](crate::MAX_RECORD) bytes, which [`Log`](crate::Log) and [`Value`](crate::Value) see to.
/// - **A full disk**, or a place that cannot be reached: the write fails, its error says what to do, and what was written
///   before can still be read. Every later write tries again by itself.
/// - **One owner.** Two processes do not share a store: opening one that is in use fails.
///
/// # Calls block
/// A caller is on a thread that may wait, and no write can be given up half way, as a future that is dropped would be. An
/// implementation whose client is asynchronous waits for it on the runtime's handle, and bounds each call by a timeout.
pub trait Store: fmt::Debug + Send + Sync {
    /// Adds records to a log, and keeps its last `keep`. Without records nothing happens.
    ///
    /// # Errors
    /// When they cannot be written.
    fn append(&self, log: &str, records: &[Vec<u8>], keep: usize) -> Result<()>;

    /// Puts these records in place of a log's.
    ///
    /// # Errors
    /// When they cannot be written; then the log is as it was.
    fn replace(&self, log: &str, records: &[Vec<u8>]) -> Result<()>;

    /// The last `most` records of a log, oldest first. A log that was never written is empty.
    ///
    /// # Errors
    /// When they cannot be read.
    fn last(&self, log: &str, most: usize) -> Result<Vec<Vec<u8>>>;

    /// Writes a value. Values and logs of one name do not meet.
    ///
    /// # Errors
    /// When it cannot be written; then the former value stays.
    fn put(&self, name: &str, value: &[u8]) -> Result<()>;

    /// Reads a value; `None` where none was written.
    ///
    /// # Errors
    /// When it cannot be read.
    fn value(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// The place of the state, for people: a path, an address, or that it ends with the process.
    fn place(&self) -> String;
}

/// The reason why a store did not do what it was asked. Its text says where, and what to do.
#[derive(Debug)]
pub struct StoreError {
    place: String,
    pub(crate) cause: Box<dyn error::Error + Send + Sync>,
}

impl StoreError {
    /// An error of the store at `place`.
    pub fn new(
        place: impl Into<String>,
        cause: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        Self { place: place.into(), cause: cause.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.cause)
    }
}

impl error::Error for StoreError {}

/// The result of a call of a store.
pub type Result<T> = std::result::Result<T, StoreError>;
