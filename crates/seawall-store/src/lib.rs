//! State that survives a restart: logs of records, and single values by name.
//!
//! [`Store`] is the contract that every place for such state keeps; [`contract`] tests whether one does. [`Embedded`]
//! keeps it in one file of this machine, [`InMemory`] for as long as the process lives. Programs read and write through
//! [`Log`] and [`Value`], which know the types of what they keep. [`letters`] keeps work that failed for good.

pub mod contract;
mod embedded;
pub mod letters;
mod log;
mod memory;
#[cfg(feature = "redis")]
pub mod redis;
mod store;

pub use embedded::Embedded;
pub use log::{Log, MAX_RECORD, Value};
pub use memory::InMemory;
pub use store::{Result, Store, StoreError};

/// The programs of the page on dead letters, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/dead-letters.md")]
struct DeadLettersPage;
