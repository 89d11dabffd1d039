//! The work that a driver runs: the caller's operation, and its alternatives.

use crate::{command::CallId, error::Error, execution::LetterDue, outcome::Outcome, time::Instant};
use std::{future::Future, time::Duration};

/// The attempt that an operation is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Retry's count, from 1.
    pub number: u32,
    /// When it will be cut off; [`Instant::FAR_FUTURE`] for never.
    pub deadline: Instant,
}

/// The result of a run, or what an alternative stands in for: a value (also one that was classified as a failure) or
/// the error of the run.
pub type WorkResult<W> = Result<<W as Work>::Value, Error<<W as Work>::Error>>;

/// The work that a driver runs: an operation, and its alternatives.
pub trait Work {
    /// The operation's value.
    type Value;
    /// The operation's own error.
    type Error;
    /// A call of the operation.
    type Call: Future<Output = Result<Self::Value, Self::Error>>;
    /// A call of an alternative.
    type Alternative: Future<Output = Result<Self::Value, Self::Error>>;

    /// How many alternatives there are; 1 unless said otherwise. Further ones are not asked for.
    fn alternatives(&self) -> u32 {
        1
    }

    /// Calls the operation.
    fn call(&mut self, attempt: Attempt) -> Self::Call;

    /// Calls alternative `nth`, from 1, in place of what the operation came to: mostly an error, but
    /// also a value that was classified as a failure, such as an HTTP 503.
    ///
    /// # Errors
    /// `failed` unchanged, where there is no such alternative.
    fn fallback(
        &mut self,
        nth: u32,
        failed: WorkResult<Self>,
    ) -> Result<Self::Alternative, WorkResult<Self>>;

    /// How long this work has waited so far for its own caller rather than for the dependency: for the rest of a
    /// request that is passed on as it comes, say. Limits stand meanwhile, and no latency contains it
    /// ([`Execution::exclude`](crate::Execution::exclude)). It never shrinks.
    fn caller_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether this work is kept as a dead letter where it fails for good and a policy asks for that.
    fn has_payload(&self) -> bool {
        false
    }

    /// A call of the operation began.
    fn call_began(&mut self, _id: CallId, _attempt: u32, _now: Instant) {}

    /// A call, of the operation or of an alternative, ended by itself and with anything but a plain success.
    fn call_ended(
        &mut self,
        _id: CallId,
        _result: &Result<Self::Value, Self::Error>,
        _outcome: Outcome,
        _now: Instant,
    ) {
    }
}

/// What a plain function comes to: its value or its own error.
pub(super) type Answered<W> = Result<<W as BlockingWork>::Value, <W as BlockingWork>::Error>;

/// The work that the blocking driver runs: a function, and maybe one alternative.
pub trait BlockingWork {
    /// The operation's value.
    type Value;
    /// The operation's own error.
    type Error;

    /// How many alternatives there are, 0 or 1.
    fn alternatives(&self) -> u32;

    /// Calls the operation.
    ///
    /// # Errors
    /// The operation's own error.
    fn call(&mut self, attempt: Attempt) -> Result<Self::Value, Self::Error>;

    /// Calls the alternative in place of what failed.
    ///
    /// # Errors
    /// `failed` unchanged, where there is none.
    fn fallback(
        &mut self,
        failed: Error<Self::Error>,
    ) -> Result<Answered<Self>, Error<Self::Error>>;

    /// As [`Work::has_payload`].
    fn has_payload(&self) -> bool {
        false
    }

    /// It has failed for good, and a policy asks for a dead letter.
    fn failed_for_good(&mut self, _due: LetterDue) {}

    /// As [`Work::call_began`].
    fn call_began(&mut self, _id: CallId, _attempt: u32, _now: Instant) {}

    /// As [`Work::call_ended`].
    fn call_ended(
        &mut self,
        _id: CallId,
        _result: &Answered<Self>,
        _outcome: Outcome,
        _now: Instant,
    ) {
    }
}
