//! Numbers about the queues of a place for letters.

use super::{letter::State, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of all queues.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// The queues by name. One that has held a letter stays, for its counters.
    pub queues: BTreeMap<String, QueueStats>,
    /// Letters that were damaged on the disk and set aside.
    pub corrupt: u64,
    /// The identifiers of the latest of those, or where their records were; at most 100.
    pub corrupt_ids: Vec<String>,
}

/// The state of one queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueStats {
    /// Letters that can be replayed.
    pub waiting: u64,
    /// Letters whose replay has begun.
    pub replaying: u64,
    /// Letters whose replay succeeded.
    pub replayed: u64,
    /// Letters of which too many replays failed.
    pub quarantined: u64,
    /// Bytes that payloads and headers take, as they are stored.
    pub bytes: u64,
    /// Letters that came, since the queue exists.
    pub enqueued: u64,
    /// Letters that came again with the idempotency key of one that was there.
    pub merged: u64,
    /// Letters that gave way to newer ones.
    pub dropped: u64,
    /// Letters that were not taken, since the queue was full or they were too large.
    pub refused: u64,
    /// Letters whose time was over.
    pub expired: u64,
    /// When the oldest letter failed that still waits.
    #[serde(with = "time::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub oldest: Option<u64>,
}

impl QueueStats {
    /// All letters, whatever their state.
    pub fn letters(&self) -> u64 {
        self.waiting + self.replaying + self.replayed + self.quarantined
    }

    pub(crate) fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Waiting => &mut self.waiting,
            State::Replaying => &mut self.replaying,
            State::Replayed => &mut self.replayed,
            State::Quarantined => &mut self.quarantined,
        }
    }

    /// A letter of so many bytes is there.
    pub(crate) fn enter(&mut self, state: State, bytes: u64) {
        *self.of(state) += 1;
        self.bytes += bytes;
    }

    /// A letter of so many bytes has gone.
    pub(crate) fn leave(&mut self, state: State, bytes: u64) {
        let letters = self.of(state);
        *letters = letters.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
