//! Work with a history of its calls, for the letter that it may become.

use super::{
    Attempt, Work, WorkResult,
    work::{Answered, BlockingWork},
};
use crate::{
    command::CallId, dead_letters::LetterAttempt, error::Error, execution::LetterDue,
    outcome::Outcome, time::Instant,
};
use std::{fmt, time::Duration};

/// Calls that a letter tells of.
const MOST_ATTEMPTS: usize = 100;

/// Work with a history of its calls.
pub(super) struct Recorded<W> {
    work: W,
    calls: Vec<Record>,
    /// The letter that the blocking driver was asked for.
    pub(super) due: Option<LetterDue>,
}

struct Record {
    id: CallId,
    number: u32,
    began: Instant,
    ended: Option<(Instant, &'static str, Option<String>)>,
}

impl<W> Recorded<W> {
    pub(super) fn new(work: W) -> Self {
        Self { work, calls: Vec::new(), due: None }
    }

    fn began(&mut self, id: CallId, number: u32, now: Instant) {
        if self.calls.len() < MOST_ATTEMPTS {
            self.calls.push(Record { id, number, began: now, ended: None });
        }
    }

    fn ended<T, E: fmt::Display>(
        &mut self,
        id: CallId,
        result: &Result<T, E>,
        outcome: Outcome,
        now: Instant,
    ) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            let error = result.as_ref().err().map(ToString::to_string);
            call.ended = Some((now, outcome.label(), error));
        }
    }

    /// The calls as a letter has them.
    pub(super) fn attempts(&self, now: Instant) -> Vec<LetterAttempt> {
        let attempt = |Record { number, began, ended, .. }: &Record| {
            let (end, outcome, error) = ended.clone().unwrap_or((now, "cut_off", None));
            LetterAttempt {
                number: *number,
                ago: now.since(*began),
                took: end.since(*began),
                outcome,
                error,
            }
        };
        self.calls.iter().map(attempt).collect()
    }
}

impl<W: Work> Work for Recorded<W>
where
    W::Error: fmt::Display,
{
    type Value = W::Value;
    type Error = W::Error;
    type Call = W::Call;
    type Alternative = W::Alternative;

    fn alternatives(&self) -> u32 {
        self.work.alternatives()
    }
    fn call(&mut self, attempt: Attempt) -> W::Call {
        self.work.call(attempt)
    }
    fn fallback(
        &mut self,
        nth: u32,
        failed: WorkResult<Self>,
    ) -> Result<W::Alternative, WorkResult<Self>> {
        self.work.fallback(nth, failed)
    }
    fn caller_wait(&self) -> Duration {
        self.work.caller_wait()
    }
    fn has_payload(&self) -> bool {
        true
    }
    fn call_began(&mut self, id: CallId, number: u32, now: Instant) {
        self.began(id, number, now);
    }
    fn call_ended(
        &mut self,
        id: CallId,
        result: &Result<W::Value, W::Error>,
        outcome: Outcome,
        now: Instant,
    ) {
        self.ended(id, result, outcome, now);
    }
}

impl<W: BlockingWork> BlockingWork for Recorded<W>
where
    W::Error: fmt::Display,
{
    type Value = W::Value;
    type Error = W::Error;

    fn alternatives(&self) -> u32 {
        self.work.alternatives()
    }
    fn call(&mut self, attempt: Attempt) -> Answered<W> {
        self.work.call(attempt)
    }
    fn fallback(&mut self, failed: Error<W::Error>) -> Result<Answered<W>, Error<W::Error>> {
        self.work.fallback(failed)
    }
    fn has_payload(&self) -> bool {
        true
    }
    fn failed_for_good(&mut self, due: LetterDue) {
        self.due = Some(due);
    }
    fn call_began(&mut self, id: CallId, number: u32, now: Instant) {
        self.began(id, number, now);
    }
    fn call_ended(&mut self, id: CallId, result: &Answered<W>, outcome: Outcome, now: Instant) {
        self.ended(id, result, outcome, now);
    }
}
