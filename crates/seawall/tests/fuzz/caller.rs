//! One caller: obeys its execution, and checks each command against what came before.

use seawall::{
    Attributes, CallId, CallerFault, Cause, Command, Execution, Instant, Outcome, Pipeline, Policy,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) struct Caller {
    execution: Execution<Arc<Pipeline>>,
    attributes: Attributes,
    woken: Arc<Woken>,
    waker: Waker,
    running: Vec<CallId>,
    /// Results that the driver still keeps.
    kept: Vec<CallId>,
    seen: Vec<CallId>,
    answer: Option<Outcome>,
    /// A call ended in a failure, and no alternative took it over.
    has_failed: bool,
}

impl Caller {
    pub(crate) fn start(
        pipeline: Arc<Pipeline>,
        attributes: Attributes,
        seed: u64,
        now: Instant,
    ) -> Self {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let execution = Execution::start(pipeline, attributes, seed, now, &waker);
        let mut this = Self {
            execution,
            attributes,
            woken,
            waker,
            running: Vec::new(),
            kept: Vec::new(),
            seen: Vec::new(),
            answer: None,
            has_failed: false,
        };
        this.execute_commands(now);
        this
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    /// Answered, and no stream under way.
    pub(crate) fn is_over(&self) -> bool {
        self.answer.is_some() && !self.execution.is_open()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.execution.poll_timeout()
    }

    /// Whether the caller was woken since it was last asked.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.0.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn wake(&mut self, now: Instant) {
        self.execution.handle_wake(now, &self.waker);
        self.execute_commands(now);
        let due = self.execution.poll_timeout();
        assert!(due.is_none_or(|due| due > now), "a deadline that has passed stays: it would spin");
    }

    pub(crate) fn finish(&mut self, which: usize, outcome: Outcome, now: Instant) {
        let call = self.running.swap_remove(which);
        self.kept.push(call);
        self.has_failed |= matches!(outcome, Outcome::Failure(_) | Outcome::TimedOut { .. });
        self.execution.handle_result(call, outcome, now, &self.waker);
        // A second word on the same call is ignored.
        self.execution.handle_result(call, Outcome::Success, now, &self.waker);
        self.execute_commands(now);
    }

    pub(crate) fn end_stream(&mut self, outcome: Outcome, now: Instant) {
        self.execution.handle_end(outcome, now);
        assert_eq!(self.execution.poll_command(), None);
    }

    pub(crate) fn panic(mut self, now: Instant) {
        self.execution.abandon(now, Cause::Panicked);
    }

    fn execute_commands(&mut self, now: Instant) {
        while let Some(command) = self.execution.poll_command() {
            assert_eq!(self.answer, None, "{command:?} after the answer");
            match command {
                Command::Call { id, attempt, deadline } => {
                    assert!(attempt >= 1);
                    assert!(deadline > now, "a call that is cut off before it begins");
                    assert!(deadline <= self.attributes.deadline);
                    self.begin(id);
                }
                Command::Fallback { id, nth, after } => {
                    assert!((1..=self.attributes.fallbacks).contains(&nth));
                    assert!(!after.outcome.is_success());
                    self.has_failed = false;
                    self.begin(id);
                }
                Command::Cancel(id) => {
                    let known = self.running.contains(&id) || self.kept.contains(&id);
                    assert!(known, "{id:?} is cancelled, and was not there");
                    self.running.retain(|running| *running != id);
                    self.kept.retain(|kept| *kept != id);
                }
                Command::Done(done) => {
                    assert_eq!(self.running, [], "calls run on after the answer");
                    let there = done.call.is_none_or(|call| self.kept.contains(&call));
                    assert!(there, "the answer's value is gone");
                    let spoiled = Outcome::CallerFault(CallerFault::Request);
                    let has_a_value =
                        matches!(done.outcome, Outcome::Success | Outcome::Failure(_));
                    if has_a_value || done.outcome == spoiled {
                        let is_chaos = |policy: &Policy| matches!(policy, Policy::Chaos(_));
                        let injects = self.execution.pipeline().policies().iter().any(is_chaos);
                        let injected = injects && !done.outcome.is_success();
                        assert!(done.call.is_some() || injected, "{:?} of no call", done.outcome);
                    }
                    let refused = matches!(done.outcome, Outcome::Rejected(_));
                    assert!(!(refused && self.has_failed), "refused, as if it had not run");
                    self.answer = Some(done.outcome);
                }
            }
        }
        if self.answer.is_some() {
            assert_eq!(self.execution.poll_timeout(), None, "a timer after the answer");
        } else {
            let waits = !self.running.is_empty() || self.execution.poll_timeout().is_some();
            assert!(waits, "it waits for nothing");
        }
    }

    fn begin(&mut self, id: CallId) {
        assert!(!self.seen.contains(&id), "{id:?} twice");
        self.seen.push(id);
        self.running.push(id);
    }
}
