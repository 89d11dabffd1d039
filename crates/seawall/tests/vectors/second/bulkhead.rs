//! Cases of bulkheads.

use super::{
    Driver, Step,
    drive::{Entry, Passage, enter, label},
    fields::{Fields, Log},
};
use crate::{as_ms, at, ms};
use seawall::{Attributes, Bulkhead, BulkheadConfig, Outcome, Pipeline, Policy, Rejection};
use std::{collections::VecDeque, sync::Arc, time::Duration};

pub(super) fn config(fields: &Fields<'_>) -> BulkheadConfig {
    let wait = fields.number("max_wait_ms").unwrap();
    BulkheadConfig {
        max_concurrent: fields.whole("max_concurrent").unwrap(),
        max_queued: if wait > 0.0 { 1_000 } else { 0 },
        max_wait: ms(wait.max(1.0)),
        ..BulkheadConfig::default()
    }
}

pub(super) struct Places {
    bulkhead: Arc<Bulkhead>,
    pipeline: Arc<Pipeline>,
    taken: VecDeque<Passage>,
}

impl Places {
    pub(super) fn new(fields: &Fields<'_>) -> Self {
        Self::of(Arc::new(Bulkhead::new(config(fields)).unwrap()))
    }

    /// Callers of a bulkhead that others have, too.
    pub(super) fn of(bulkhead: Arc<Bulkhead>) -> Self {
        let pipeline = Pipeline::new("case", [Policy::Bulkhead(bulkhead.clone())]);
        Self { bulkhead, pipeline: Arc::new(pipeline), taken: VecDeque::new() }
    }

    /// Asks for a place, and waits to the end: how long, and the refusal.
    pub(super) fn acquire(&mut self, now: f64) -> (Duration, Option<Rejection>) {
        let began = at(now);
        let mut until = began;
        let mut entry = enter(&self.pipeline, Attributes::default(), now);
        loop {
            match entry {
                Entry::Calls(passage) => {
                    self.taken.push_back(passage);
                    return (until.since(began), None);
                }
                Entry::Waits(passage, due) => {
                    until = due;
                    entry = passage.wakes(due);
                }
                Entry::Refused(rejection) => return (until.since(began), Some(rejection)),
            }
        }
    }

    fn release(&mut self, now: f64) {
        self.taken.pop_front().expect("it holds a place").ends(Outcome::Success, now);
    }
}

impl Driver for Places {
    fn take(&mut self, step: &Step<'_>, now: f64, log: &mut Log) {
        let (mut wait, mut refused) = (Duration::ZERO, None);
        for _ in 0..step.fields.whole("n").unwrap() {
            match step.verb {
                "acquire" => (wait, refused) = self.acquire(now),
                "release" => self.release(now),
                other => panic!("no step {other}"),
            }
        }
        log.expect(&step.expected, "allowed", || refused.is_none());
        log.expect(&step.expected, "wait_ms", || as_ms(wait));
        log.expect(&step.expected, "error", || refused.map(|refused| label(refused.reason)));
        let remaining = self.bulkhead.limit() - self.bulkhead.in_use();
        log.expect(&step.expected, "remaining", || remaining);
    }
}
