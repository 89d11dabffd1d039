//! Dead letters: work that failed for good, kept until somebody replays or deletes it.
//!
//! [`Letters`] is the contract that every place for letters keeps; [`contract`] tests whether one does.
//! [`EmbeddedLetters`] keeps them in one file of this machine, [`InMemoryLetters`] for as long as the process lives, and
//! `RedisLetters`, with the feature `redis`, where several instances share them.

pub(crate) mod arrival;
pub(crate) mod config;
pub(crate) mod content;
pub mod contract;
mod embedded;
pub(crate) mod id;
pub(crate) mod job;
pub(crate) mod keys;
pub(crate) mod letter;
mod library;
pub(crate) mod lifecycle;
mod memory;
pub(crate) mod query;
pub(crate) mod record;
mod redact;
mod replay;
pub(crate) mod seal;
pub(crate) mod stats;
mod time;

use crate::store::Result;
use std::fmt;

pub use config::{QueueConfig, Queues, WhenFull};
pub use content::{Content, Header, Payload};
pub use embedded::EmbeddedLetters;
pub use id::{Fingerprint, LetterId};
pub use job::{Job, JobLease, JobStatus, MAX_SELECTED, Progress, ReplayOrder, Selection};
pub use keys::Keys;
pub use letter::{Attempt, Envelope, FailedWork, Letter, MAX_ATTEMPTS, State};
pub use library::LetterWriter;
pub use memory::InMemoryLetters;
pub use query::{Group, Groups, MAX_GROUPS, Page, Query};
pub use redact::{REDACTED, Redaction};
pub use replay::{Action, Replay};
pub use seal::Resealed;
pub use stats::{QueueStats, Stats};

/// A place for dead letters.
///
/// # What holds for every implementation
/// - **Durable when returned.** [`EmbeddedLetters`] has a change on disk when the call returns, and a killed process loses
///   nothing of that; [`InMemoryLetters`] keeps it until the process ends.
/// - **Whole or not at all.** After an `Err` nothing of a call is there, or, where an answer was lost on a network, all of
///   it. Whoever tries again may do so: a letter whose identifier is there already is not stored twice.
/// - **Replayed once.** A replay that was noted as succeeded is never handed out again, nor is a letter that is being
///   replayed. Of a replay whose end was never noted, since the process ended, nobody can know whether it was done: it
///   counts as failed, and may be handed out again. Its idempotency key tells the receiver.
/// - **One letter for one work.** A letter with the idempotency key of one in the same queue becomes part of that one:
///   its attempts are added, and [`Envelope::deliveries`] counts it. State and content stay, so what was replayed stays
///   so, and a replay that fails into the queue again makes no new letter.
/// - **Bounds.** A queue holds at most what its [`QueueConfig`] says, there are at most [`MAX_QUEUES`] queues, and no call
///   reads all letters into memory.
/// - **A full disk**, or a place that cannot be reached: a change fails, its error says what to do, and letters can still
///   be read. Every later change tries again by itself.
///
/// # Calls block
/// As those of [`Store`](crate::Store): a caller is on a thread that may wait.
pub trait Letters: fmt::Debug + Send + Sync {
    /// Puts the bounds of the queues in force. Letters that are there stay until the next one comes, or
    /// [`expire`](Self::expire) finds that their time is over.
    fn configure(&self, queues: Queues);

    /// Stores letters, all of those that are not refused or none, and says what became of each, in their order.
    ///
    /// # Errors
    /// When they cannot be written.
    fn put(&self, letters: Vec<Letter>) -> Result<Vec<Put>>;

    /// A letter, whole. It is not changed by that.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, id: LetterId) -> Result<Option<Letter>>;

    /// At most `most` letters that the query means, newest first unless it says otherwise, from behind the letter `after` on.
    ///
    /// # Errors
    /// When they cannot be read.
    fn page(&self, query: &Query, after: Option<LetterId>, most: usize) -> Result<Page>;

    /// The groups of all letters that the query means.
    ///
    /// # Errors
    /// When they cannot be read.
    fn groups(&self, query: &Query) -> Result<Groups>;

    /// Takes a waiting letter for a replay. Whoever has it notes the end by [`finish_replay`](Self::finish_replay).
    ///
    /// # Errors
    /// When that cannot be written; then it is not taken.
    fn begin_replay(&self, id: LetterId) -> Result<Begun>;

    /// Notes how a replay ended, and returns the state in which the letter is now: none if it is gone, and its state
    /// unchanged if it was not being replayed.
    ///
    /// # Errors
    /// When that cannot be written; then the letter is still being replayed.
    fn finish_replay(&self, id: LetterId, outcome: &ReplayOutcome) -> Result<Option<State>>;

    /// Lets quarantined letters be replayed again, and returns how many there were.
    ///
    /// # Errors
    /// When that cannot be written.
    fn release(&self, ids: &[LetterId]) -> Result<u64>;

    /// Deletes letters, and returns how many there were.
    ///
    /// # Errors
    /// When that cannot be written; then none is deleted.
    fn delete(&self, ids: &[LetterId]) -> Result<u64>;

    /// Deletes all letters that the query means, and returns how many there were. It goes in steps: after an error, or
    /// when the process ends, some are deleted and the others are not.
    ///
    /// # Errors
    /// When that cannot be written.
    fn purge(&self, query: &Query) -> Result<u64>;

    /// Removes letters whose time is over at `now`, in milliseconds since 1970, and returns how many there were. It goes
    /// in steps, as [`purge`](Self::purge) does. A letter that is being replayed stays until that has ended.
    ///
    /// # Errors
    /// When that cannot be written.
    fn expire(&self, now: u64) -> Result<u64>;

    /// Encrypts letters again that are not encrypted with the newest key yet: a step of those behind `after`, oldest first. Only
    /// a place that was opened with keys encrypts.
    ///
    /// # Errors
    /// When they cannot be read or written; then those of the step are as they were.
    fn reseal(&self, _after: Option<LetterId>) -> Result<Resealed> {
        Ok(Resealed::default())
    }

    /// The state of all queues.
    ///
    /// # Errors
    /// When it cannot be read.
    fn stats(&self) -> Result<Stats>;

    /// Writes down a job, in place of what was written of it before. Of more than [`MAX_JOBS`] the oldest is forgotten.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save_job(&self, job: &Job) -> Result<()>;

    /// All jobs that are written down, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn jobs(&self) -> Result<Vec<Job>>;

    /// Whether other processes may have the same letters open. Then each runs only those jobs that it has the lease of.
    fn is_shared(&self) -> bool {
        false
    }

    /// Takes the lease of a job, or renews it. Where letters are shared it ends by itself some time after its holder was
    /// last heard of, and with the holder's opening of the place; nobody else runs the job until then.
    ///
    /// # Errors
    /// When that cannot be written; then a lease that was held may be over.
    fn lease_job(&self, _id: LetterId) -> Result<JobLease> {
        Ok(JobLease::Held(None))
    }

    /// Asks whoever has the lease of a job to bring it to this state. It learns that when it renews the lease.
    ///
    /// # Errors
    /// When that cannot be written.
    fn ask_of_job(&self, _id: LetterId, _status: JobStatus) -> Result<()> {
        Ok(())
    }

    /// Where the letters are, for people: a path, an address, or that they end with the process.
    fn place(&self) -> String;
}

/// Queues that a place for letters holds.
pub const MAX_QUEUES: usize = 1000;

/// Jobs that a place for letters remembers.
pub const MAX_JOBS: usize = 100;

/// What became of a letter that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored. A letter whose identifier was there already is not stored twice.
    Stored,
    /// It has become part of this letter, which has its idempotency key.
    Merged(LetterId),
    /// It was not taken.
    Refused(Refusal),
}

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its payload or its headers are longer than [`QueueConfig::max_message_size`].
    TooLarge,
    /// Its queue is full, or there are too many queues.
    Full,
    /// It is no letter that can be stored, for this reason.
    Invalid(String),
}

/// The answer to whoever wants to replay a letter.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// The letter. The replay has begun.
    Ready(Box<Letter>),
    /// It is in another state, so there is no replay.
    NotWaiting(State),
    /// Its content cannot be read, for this reason, so there is no replay.
    Unreadable(String),
    /// There is no such letter.
    Missing,
}

/// The end of a replay, as whoever made it notes it.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplayOutcome {
    /// The work is done, so the letter is never replayed again.
    Succeeded(Attempt),
    /// It failed. After [`QueueConfig::max_retry_attempts`] of these a letter is quarantined.
    Failed(Attempt),
    /// It was never sent, so it does not count.
    NotSent,
}
