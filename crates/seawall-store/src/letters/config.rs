//! How a queue keeps its letters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The bounds and habits of one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueConfig {
    /// After so many failed replays a letter is quarantined. At least 1.
    pub max_retry_attempts: u32,
    /// Letters are removed so long after their first failure.
    pub retention: Duration,
    /// From so many waiting letters on, somebody should know. The store does nothing with it.
    pub alert_threshold: u64,
    /// Bytes of the longest payload that is taken.
    pub max_message_size: usize,
    /// Letters that are kept, those already replayed included.
    pub max_letters: u64,
    /// Bytes that their payloads and headers may take, as they are stored.
    pub max_bytes: u64,
    /// What happens to a letter that comes when the queue is full.
    pub when_full: WhenFull,
    /// Payloads and headers of more than so many bytes are compressed (zstd); `None` compresses nothing.
    pub compress_over: Option<usize>,
    /// Whether payloads and headers must be encrypted. Without a key, letters are then refused.
    pub encryption: bool,
}

/// What happens to a letter that comes when its queue is full. Letters that were replayed give way in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It is refused.
    #[default]
    Reject,
    /// The oldest letters give way to it, except those that are being replayed.
    DropOldest,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            max_retry_attempts: 3,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            alert_threshold: 100,
            max_message_size: 1 << 20,
            max_letters: 1_000_000,
            max_bytes: 10 << 30,
            when_full: WhenFull::Reject,
            compress_over: Some(1024),
            encryption: false,
        }
    }
}

/// The configuration of every queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queues {
    /// That of queues without one of their own.
    pub default: QueueConfig,
    /// Those of single queues, by name.
    pub by_name: BTreeMap<String, QueueConfig>,
}

impl Queues {
    /// The configuration of the queue of this name.
    pub fn of(&self, queue: &str) -> &QueueConfig {
        self.by_name.get(queue).unwrap_or(&self.default)
    }
}
