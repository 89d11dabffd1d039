//! Where the work of calls that failed for good is kept: the contract with the place, and what a letter is made of.

use crate::{error::Error, event::LetterLoss, name::Name};
use std::{error, fmt, future::Future, pin::Pin, time::Duration};

/// A place for dead letters, as [`RegistryBuilder::dead_letters`](crate::RegistryBuilder::dead_letters) takes it.
///
/// The crate `seawall-store` has one over each of its stores, `LetterWriter`.
pub trait DeadLetters: Send + Sync {
    /// Begins to store a letter. The future ends when that is done, with the letter's identifier, or with a sentence that
    /// says why it is not stored. A letter is stored also where nobody polls the future, or where it is dropped.
    fn keep(&self, draft: LetterDraft) -> Storing;
}

/// A letter that is being stored.
pub type Storing = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// What a dead letter is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterDraft {
    /// The name of the operation that failed.
    pub operation: Name,
    /// The queue for the letter.
    pub queue: String,
    /// The kind of error in one word: the class of a failure, `timed_out`, or the reason of a refusal.
    pub error_class: &'static str,
    /// The error's message.
    pub error: String,
    /// The calls that were made, in the order in which they began; at most 100, the first ones.
    pub attempts: Vec<LetterAttempt>,
    /// The payload that the caller gave.
    pub payload: Payload,
}

/// A call that was made for work that became a dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterAttempt {
    /// The number of the attempt, counted by the retry from 1.
    pub number: u32,
    /// How long ago it began, when the letter was made.
    pub ago: Duration,
    /// The time from its beginning to its end.
    pub took: Duration,
    /// How it ended: `failure`, `timed_out` …; `cut_off` for one that did not end by itself.
    pub outcome: &'static str,
    /// Its own error, if it had one.
    pub error: Option<String>,
}

/// The work of a call, as its caller describes it for whoever does it later. Bytes and text alone are one, too.
///
/// ```
/// let payload = seawall::Payload::new(r#"{"order": 7}"#)
///     .idempotency_key("order-7")
///     .tenant("acme")
///     .header("content-type", "application/json");
/// assert_eq!(payload.bytes, br#"{"order": 7}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// The work itself, in a form that whoever does it later can read.
    pub bytes: Vec<u8>,
    /// Names the work: two letters of one queue with the same key are one letter.
    pub idempotency_key: Option<String>,
    /// The tenant whose work it is.
    pub tenant: Option<String>,
    /// What else somebody must know to do it. The place of the letters replaces the values of secret ones.
    pub headers: Vec<(String, String)>,
}

impl Payload {
    /// A payload of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }

    /// Sets what names the work.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { idempotency_key: Some(key.into()), ..self }
    }

    /// Sets whose work it is.
    #[must_use]
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        Self { tenant: Some(tenant.into()), ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl<B: Into<Vec<u8>>> From<B> for Payload {
    fn from(bytes: B) -> Self {
        Self::new(bytes)
    }
}

/// The payload itself may be confidential.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// What became of the work of a call that gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterFate {
    /// No letter is made of such an error, or no policy asks for one.
    NotDue,
    /// It is stored, under this identifier.
    Kept(String),
    /// It is not stored, or nobody knows that it is: the reason, and a sentence about it.
    Lost(LetterLoss, String),
}

/// The error of a call with a payload, and what became of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCall<E> {
    /// The last real error, a timeout or a refusal.
    pub error: Error<E>,
    /// What became of the payload.
    pub letter: LetterFate,
}

impl<E> FailedCall<E> {
    /// The identifier of the dead letter that the call has become, if it has become one.
    pub fn letter_id(&self) -> Option<&str> {
        match &self.letter {
            LetterFate::Kept(id) => Some(id),
            LetterFate::NotDue | LetterFate::Lost(..) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for FailedCall<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        match &self.letter {
            LetterFate::NotDue => Ok(()),
            LetterFate::Kept(id) => write!(f, "; kept as dead letter {id}"),
            LetterFate::Lost(_, why) => write!(f, "; not kept as a dead letter: {why}"),
        }
    }
}

impl<E: error::Error> error::Error for FailedCall<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.error.source()
    }
}
