//! Dead letters: where they are kept, for how long, and which routes make some.

use schemars::JsonSchema;
use seawall::config::{days, hours, secs};
use seawall_store::{
    letters::{QueueConfig, Queues, WhenFull},
    redis::RedisLettersConfig,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// The queue of routes that name none.
pub(crate) const DEFAULT_QUEUE: &str = "default";
/// The file of the letters, beside that of the store.
const FILE: &str = "letters.redb";

seawall::configuration! {
    /// Where requests are kept that failed for good, and for how long. Set in files and variables only, never through
    /// the API. Keys for encryption come from the variable `SEAWALL_DEAD_LETTER_KEYS`, or from `keys_file`.
    pub struct DeadLettersConfig {
        /// Where letters are kept. Left out: in a file where `path` or `store.path` says so, else in memory. Needs a restart.
        store: Option<LetterStore> = None,
        /// In Redis: what tells these letters from others under `store.redis.prefix`. Instances with one name share their
        /// letters. Needs a restart.
        #[schemars(length(min = 1, max = 100))]
        key_prefix: String = "letters".to_owned(),
        /// In Redis: replicas that must have a letter before it counts as kept. 0 waits for none. Needs a restart.
        #[range(..=100)]
        wait_replicas: u32 = 0,
        /// In Redis: how long after an instance was last heard of its replays are ended, and its jobs taken over by another.
        /// Needs a restart.
        #[range(secs(1)..=hours(1))]
        lease: Duration = secs(15),
        /// The file of the letters. Left out: `letters.redb` in the folder of `store.path`.
        #[schemars(with = "Option<String>")]
        path: Option<PathBuf> = None,
        /// The file with the keys that payloads and headers are encrypted with, one `name:base64` a line: the first
        /// encrypts, all of them decrypt. `SEAWALL_DEAD_LETTER_KEYS` has the same with commas, and wins.
        #[schemars(with = "Option<String>")]
        keys_file: Option<PathBuf> = None,
        /// Names of further headers and query parameters whose values are secrets, so that letters do not have them.
        #[schemars(length(max = 1000))]
        redact: Vec<String> = Vec::new(),
        /// The queues by name. One that is not here has the default of every value.
        queues: BTreeMap<String, DeadLetterQueueConfig> = BTreeMap::new(),
    }
}

seawall::configuration! {
    /// The bounds of one queue of dead letters.
    pub struct DeadLetterQueueConfig {
        /// After so many failed replays a letter is quarantined: it is replayed only after somebody has released it.
        #[range(1..=1000)]
        max_retry_attempts: u32 = 3,
        /// Days after the first failure of a letter at which it is removed.
        #[range(1..=36_500)]
        retention_days: u32 = 7,
        /// A warning is raised from so many waiting letters on.
        #[range(1..)]
        alert_threshold: u64 = 100,
        /// A warning is raised where a letter has waited for longer.
        #[range(positive)]
        alert_age: Duration = days(1),
        /// Bytes of the longest body that is kept. Bodies beyond `limits.max_replay_bytes` are never kept.
        #[range(1..=64 << 20)]
        max_message_size: usize = 1 << 20,
        /// Letters that are kept, those already replayed included.
        #[range(1..=100_000_000)]
        max_letters: u64 = 1_000_000,
        /// Bytes that bodies and headers may take, as they are stored.
        #[range(1..=1 << 44)]
        max_bytes: u64 = 10 << 30,
        /// What happens to a letter that comes when the queue is full.
        when_full: WhenFull = WhenFull::Reject,
        /// Whether bodies and headers of more than 1 KiB are compressed (zstd).
        compression: bool = true,
        /// Whether letters must be encrypted. Without a key none is taken then. Where there are keys, letters are
        /// encrypted in any case.
        encryption: bool = false,
    }
}

/// The kind of place for dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LetterStore {
    /// Letters end with the process.
    Memory,
    /// Letters are in one file of this machine; one that was accepted is on disk.
    File,
    /// Letters are in the Redis of `store.redis`, and instances share them.
    Redis,
}

/// Whether a route keeps requests that failed for good, and in which queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RouteDeadLetter {
    /// `true`: in the queue `default`. `false`: they are not kept.
    Switch(bool),
    /// In the queue of this name.
    Queue(String),
}

impl Default for RouteDeadLetter {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl RouteDeadLetter {
    /// The queue for the requests of the route; none where they are not kept.
    pub(crate) fn queue(&self) -> Option<&str> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(DEFAULT_QUEUE),
            Self::Queue(name) => Some(name),
        }
    }
}

impl DeadLettersConfig {
    /// The file of the letters, beside this one of the store; none where they are kept in memory.
    pub(crate) fn file(&self, store: Option<&Path>) -> Option<PathBuf> {
        if matches!(self.store, Some(LetterStore::Memory | LetterStore::Redis)) {
            return None;
        }
        self.path.clone().or_else(|| Some(store?.with_file_name(FILE)))
    }

    /// How letters are kept in Redis; none where they are not.
    pub(crate) fn redis(&self) -> Option<RedisLettersConfig> {
        (self.store == Some(LetterStore::Redis)).then(|| RedisLettersConfig {
            key_prefix: self.key_prefix.clone(),
            wait_replicas: self.wait_replicas,
            lease: self.lease,
            ..RedisLettersConfig::default()
        })
    }

    /// The configuration of the queue of this name.
    pub(crate) fn queue(&self, name: &str) -> DeadLetterQueueConfig {
        self.queues.get(name).cloned().unwrap_or_default()
    }

    /// The bounds of all queues, as the store takes them.
    pub(crate) fn bounds(&self) -> Queues {
        let by_name = self.queues.iter().map(|(name, queue)| (name.clone(), queue.bounds()));
        Queues { default: DeadLetterQueueConfig::default().bounds(), by_name: by_name.collect() }
    }
}

impl DeadLetterQueueConfig {
    fn bounds(&self) -> QueueConfig {
        QueueConfig {
            max_retry_attempts: self.max_retry_attempts,
            retention: days(u64::from(self.retention_days)),
            alert_threshold: self.alert_threshold,
            max_message_size: self.max_message_size,
            max_letters: self.max_letters,
            max_bytes: self.max_bytes,
            when_full: self.when_full,
            compress_over: self.compression.then_some(1024),
            encryption: self.encryption,
        }
    }
}
