//! A driver in virtual time for the tests of policies: one execution at a time, any number of calls in it.

use crate::{
    attributes::Attributes,
    command::{CallId, Command},
    event::{Event, Kind, Observer},
    execution::Execution,
    outcome::Outcome,
    pipeline::Pipeline,
    policies::{Policy, PolicyConfig},
    time::Instant,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Duration,
};

/// A pipeline, a clock, and what was heard.
pub(crate) struct Bench {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) now: Instant,
    heard: Arc<Heard>,
    seed: u64,
}

#[derive(Default)]
struct Heard(Mutex<Vec<(bool, Kind)>>);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((event.shadow, event.kind));
    }
}

/// The result of one execution.
#[derive(Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    /// When each call began, counted from the start of the execution.
    pub(crate) calls: Vec<Duration>,
    /// The number of calls that were cancelled.
    pub(crate) cancelled: usize,
    /// The call whose value is the answer, from 0.
    pub(crate) answered_by: Option<usize>,
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Bench {
    pub(crate) fn new(policies: impl IntoIterator<Item = PolicyConfig>) -> Self {
        let policies: Vec<PolicyConfig> = policies.into_iter().collect();
        Self::of(Pipeline::build("bench", &policies).expect("the policies are right"))
    }

    pub(crate) fn with(policies: impl IntoIterator<Item = Policy>) -> Self {
        Self::of(Pipeline::new("bench", policies))
    }

    fn of(pipeline: Pipeline) -> Self {
        let heard = Arc::new(Heard::default());
        let pipeline = Arc::new(pipeline.with_observer(heard.clone()));
        Self { pipeline, now: Instant::from_millis(1_000_000), heard, seed: 0 }
    }

    /// The events heard since last asked, those of policies in shadow or the others.
    pub(crate) fn heard(&self, shadow: bool) -> Vec<Kind> {
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, rest): (Vec<_>, Vec<_>) = heard.drain(..).partition(|(of, _)| *of == shadow);
        *heard = rest;
        found.into_iter().map(|(_, kind)| kind).collect()
    }

    /// Runs one execution; call number n, from 0, takes so long and ends like this.
    pub(crate) fn run(&mut self, call: impl FnMut(usize) -> (Duration, Outcome)) -> Ran {
        self.run_with(Attributes::default(), call)
    }

    pub(crate) fn run_with(
        &mut self,
        attributes: Attributes,
        mut call: impl FnMut(usize) -> (Duration, Outcome),
    ) -> Ran {
        self.seed += 1;
        let (waker, began) = (Waker::noop(), self.now);
        let mut execution =
            Execution::start(self.pipeline.clone(), attributes, self.seed, began, waker);
        let mut running: Vec<(Instant, CallId, Outcome)> = Vec::new();
        let (mut ids, mut calls, mut cancelled) = (Vec::new(), Vec::new(), 0);
        loop {
            while let Some(command) = execution.poll_command() {
                match command {
                    Command::Call { id, .. } | Command::Fallback { id, .. } => {
                        let (length, outcome) = call(ids.len());
                        running.push((self.now + length, id, outcome));
                        ids.push(id);
                        calls.push(self.now.since(began));
                    }
                    Command::Cancel(id) => {
                        cancelled += running.iter().filter(|(_, call, _)| *call == id).count();
                        running.retain(|(_, call, _)| *call != id);
                    }
                    Command::Done(done) => {
                        let answered_by = ids.iter().position(|id| Some(*id) == done.call);
                        let took = self.now.since(began);
                        return Ran { outcome: done.outcome, took, calls, cancelled, answered_by };
                    }
                }
            }
            let due = execution.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
            let next = running.iter().enumerate().min_by_key(|(_, (at, id, _))| (*at, *id));
            match next.map(|(place, (at, ..))| (place, *at)) {
                Some((place, at)) if at <= due => {
                    let (at, id, outcome) = running.remove(place);
                    self.now = self.now.max(at);
                    execution.handle_result(id, outcome, self.now, waker);
                }
                _ => {
                    assert!(due < Instant::FAR_FUTURE, "it waits for nothing");
                    self.now = self.now.max(due);
                    execution.handle_wake(self.now, waker);
                }
            }
        }
    }
}
