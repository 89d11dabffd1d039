//! The names under which letters are in Redis.
//!
//! All of them have one hash tag, so that one script may change several: in a Cluster all letters are in one slot.
//!
//! | key | type | what is in it |
//! |---|---|---|
//! | `letter:<id>` | hash | a letter: the records of its envelope (`head`), its attempts, and its content |
//! | `ids` | sorted set | all identifiers; they sort by time |
//! | `by_state`, `by_group` | sorted sets | identifiers behind queue and state, or fingerprint |
//! | `by_expiry` | sorted set | identifiers by the time of their end |
//! | `by_key` | hash | the letter of each queue and idempotency key |
//! | `counts` | hash | the counters of the queues |
//! | `replaying` | hash | the owner of each replay that has begun |
//! | `owner:<owner>` | string | an instance is alive; expires |
//! | `jobs`, `asked` | hashes | replays of many letters, and what is asked of them by other instances |
//! | `lease:<id>` | string | the owner of such a replay; expires |

use crate::{
    letters::{
        id::{Fingerprint, LetterId},
        letter::{Envelope, State},
    },
    redis::Redis,
};

/// Characters of an identifier as text.
const ID: usize = 36;

/// Names of keys.
pub(super) struct Layout {
    pub(super) ids: String,
    pub(super) by_state: String,
    pub(super) by_group: String,
    pub(super) by_expiry: String,
    pub(super) by_key: String,
    pub(super) counts: String,
    pub(super) replaying: String,
    pub(super) corrupt: String,
    pub(super) jobs: String,
    pub(super) asked: String,
    /// What the names of keys begin with that have a further part.
    start: String,
}

impl Layout {
    pub(super) fn new(redis: &Redis, tag: &str) -> Self {
        let key = |name: &str| redis.key(tag, name);
        Self {
            ids: key("ids"),
            by_state: key("by_state"),
            by_group: key("by_group"),
            by_expiry: key("by_expiry"),
            by_key: key("by_key"),
            counts: key("counts"),
            replaying: key("replaying"),
            corrupt: key("corrupt"),
            jobs: key("jobs"),
            asked: key("asked"),
            start: key(""),
        }
    }

    pub(super) fn letter(&self, id: u128) -> String {
        format!("{}letter:{}", self.start, text(id))
    }

    pub(super) fn owner(&self, owner: &str) -> String {
        format!("{}owner:{owner}", self.start)
    }

    pub(super) fn lease(&self, job: u128) -> String {
        format!("{}lease:{}", self.start, text(job))
    }
}

/// An identifier as it is in Redis.
pub(super) fn text(id: u128) -> String {
    LetterId::from_number(id).to_string()
}

/// The identifier at the end of an index's member.
pub(super) fn id_of(member: &str) -> Option<u128> {
    let start = member.len().checked_sub(ID)?;
    member.get(start..)?.parse().ok().map(LetterId::number)
}

/// A queue's name in quotes, so that none is the beginning of another.
pub(super) fn quoted(queue: &str) -> String {
    serde_json::Value::from(queue).to_string()
}

/// What members of the index by state begin with.
pub(super) fn of_state(queue: &str, state: State) -> String {
    format!("{}{}", quoted(queue), state as u8)
}

/// What members of the index by group begin with.
pub(super) fn of_group(fingerprint: Fingerprint) -> String {
    fingerprint.to_string()
}

/// The field of a letter's idempotency key.
pub(super) fn key_field(envelope: &Envelope) -> Option<String> {
    let key = envelope.idempotency_key.as_ref()?;
    Some(format!("{}{key}", quoted(&envelope.queue)))
}

/// The field of a queue's counter. The field with no counter's name says that the queue exists.
pub(super) fn count_field(queue: &str, counter: &str) -> String {
    format!("{}{counter}", quoted(queue))
}

/// The queue and the counter of a field.
pub(super) fn queue_of(field: &str) -> Option<(String, &str)> {
    let (queue, counter) = field.split_at(field.rfind('"')? + 1);
    Some((serde_json::from_str(queue).ok()?, counter))
}

/// The name of the counter of letters in this state.
pub(super) fn counter(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Replaying => "replaying",
        State::Replayed => "replayed",
        State::Quarantined => "quarantined",
    }
}
