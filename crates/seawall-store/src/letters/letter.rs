//! A dead letter: work that failed for good, with all that is known of why. These are the types of the API, too.

use super::{
    content::{Content, Header, Payload},
    id::{Fingerprint, LetterId},
    redact::Redaction,
    time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A dead letter, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Letter {
    /// What lists show of it.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Every try to do the work, oldest first, replays among them. At most [`MAX_ATTEMPTS`]; of more, the first and the
    /// latest are kept.
    pub attempts: Vec<Attempt>,
    /// The work itself.
    pub content: Content,
}

/// Attempts that a letter keeps.
pub const MAX_ATTEMPTS: usize = 100;

/// What is known of a letter without its attempts and its content. Lists and groups read only this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Its identifier, which sorts by the time at which it was made.
    pub id: LetterId,
    /// The queue that it is in.
    pub queue: String,
    /// What was to be done: a route, an upstream, or the name of an operation.
    pub operation: String,
    /// The tenant whose work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Names the work itself: two letters of one queue with the same key are one letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Where it is in its life.
    pub state: State,
    /// The kind of error, in one word.
    pub error_class: String,
    /// The error's message.
    pub error: String,
    /// What letters of the same kind of failure share.
    pub fingerprint: Fingerprint,
    /// When the work failed for good at first.
    #[serde(with = "time")]
    #[schemars(with = "String")]
    pub first_failure: u64,
    /// When it failed last, be it in a replay.
    #[serde(with = "time")]
    #[schemars(with = "String")]
    pub last_failure: u64,
    /// How often it came: letters with the same idempotency key are counted here.
    pub deliveries: u32,
    /// Replays that were begun since it came, or since it was released from quarantine.
    pub replays: u32,
    /// When it is removed, whatever its state.
    #[serde(default, with = "time::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires: Option<u64>,
    /// Bytes of its payload.
    pub payload_bytes: u64,
}

impl Envelope {
    /// Whether its time is over at `now`, and nobody is at work on it.
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        self.state != State::Replaying && self.expires.is_some_and(|end| end <= now)
    }
}

/// Where a letter is in its life.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can be replayed.
    Waiting,
    /// A replay has begun, and its end is not noted yet.
    Replaying,
    /// A replay succeeded. It is never replayed again.
    Replayed,
    /// Too many replays failed. It is replayed only after somebody has released it.
    Quarantined,
}

/// The states, in the order of their numbers in indexes.
pub(crate) const STATES: [State; 4] =
    [State::Waiting, State::Replaying, State::Replayed, State::Quarantined];

/// One try to do the work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The time at which it began.
    #[serde(with = "time")]
    #[schemars(with = "String")]
    pub at: u64,
    /// The upstream that was asked, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// How it ended, in few words: a status, `timed out`, `rejected`.
    pub outcome: String,
    /// Milliseconds that it took.
    pub duration_ms: u64,
    /// The error and its causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The state of the circuit breaker then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// Whether it was a replay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// Work that just failed for good, from which a letter is made.
#[derive(Clone, Debug, Default)]
pub struct FailedWork {
    /// The queue for it.
    pub queue: String,
    /// What was to be done.
    pub operation: String,
    /// The tenant whose work it is.
    pub tenant: Option<String>,
    /// Names the work itself.
    pub idempotency_key: Option<String>,
    /// The kind of error, in one word.
    pub error_class: String,
    /// The error's message.
    pub error: String,
    /// Every try to do it, oldest first.
    pub attempts: Vec<Attempt>,
    /// Its headers, as they came.
    pub headers: Vec<Header>,
    /// Its body.
    pub payload: Vec<u8>,
}

impl Letter {
    /// A letter about work that failed at `now`, in milliseconds since 1970. Secrets in its headers are replaced.
    pub fn new(work: FailedWork, now: u64, redaction: &Redaction) -> Self {
        let fingerprint = Fingerprint::of(&work.error_class, &work.operation, &work.error);
        let mut headers = work.headers;
        redaction.apply(&mut headers);
        Self {
            envelope: Envelope {
                id: LetterId::new(now),
                queue: work.queue,
                operation: work.operation,
                tenant: work.tenant,
                idempotency_key: work.idempotency_key,
                state: State::Waiting,
                error_class: work.error_class,
                error: work.error,
                fingerprint,
                first_failure: now,
                last_failure: now,
                deliveries: 1,
                replays: 0,
                expires: None,
                payload_bytes: work.payload.len() as u64,
            },
            attempts: work.attempts,
            content: Content::Open { headers, payload: Payload(work.payload) },
        }
    }
}
