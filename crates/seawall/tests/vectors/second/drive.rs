//! One execution at a time, in virtual time.

use crate::at;
use seawall::{
    Attributes, CallId, Command, Event, Execution, Instant, Kind, Observer, Outcome, Pipeline,
    Reason, Rejection, Resolution,
};
use std::{
    sync::{Arc, Mutex},
    task::Waker,
};

/// One step of an execution, as the replay records it.
pub(super) enum Entry {
    /// It makes a call.
    Calls(Passage),
    /// It waits until this instant.
    Waits(Passage, Instant),
    /// It was refused.
    Refused(Rejection),
}

/// An execution with at most one call in progress.
pub(super) struct Passage {
    execution: Execution,
    call: Option<CallId>,
}

/// Begins an execution; `now` is in milliseconds.
pub(super) fn enter(pipeline: &Arc<Pipeline>, attributes: Attributes, now: f64) -> Entry {
    let execution =
        Execution::start(pipeline.clone(), attributes, now as u64, at(now), Waker::noop());
    Passage { execution, call: None }.goes_on()
}

impl Passage {
    fn goes_on(mut self) -> Entry {
        while let Some(command) = self.execution.poll_command() {
            match command {
                Command::Call { id, .. } => {
                    self.call = Some(id);
                    return Entry::Calls(self);
                }
                Command::Done(Resolution { outcome: Outcome::Rejected(rejection), .. }) => {
                    return Entry::Refused(rejection);
                }
                Command::Cancel(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let due = self.execution.poll_timeout().expect("it waits for something");
        Entry::Waits(self, due)
    }

    /// Goes on at the end of its wait.
    pub(super) fn wakes(mut self, now: Instant) -> Entry {
        self.execution.handle_wake(now, Waker::noop());
        self.goes_on()
    }

    /// Ends its call with this outcome.
    pub(super) fn ends(&mut self, outcome: Outcome, now: f64) {
        let call = self.call.take().expect("it calls");
        self.execution.handle_result(call, outcome, at(now), Waker::noop());
    }

    /// Ends its call in another way.
    pub(super) fn abandon(&mut self, cause: seawall::Cause, now: f64) {
        self.execution.abandon(at(now), cause);
    }

    /// When it goes on by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        self.execution.poll_timeout()
    }
}

/// The name of a refusal in the cases.
pub(super) fn label(reason: Reason) -> &'static str {
    match reason.policy() {
        // Ours says whether nobody may wait any more, or the wait was too long.
        "bulkhead" => "bulkhead_full",
        _ => reason.label(),
    }
}

/// Remembers all events, and whether they are of a policy in shadow.
#[derive(Default)]
pub(super) struct Heard(Mutex<Vec<(bool, Kind)>>);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push((event.shadow, event.kind));
    }
}

impl Heard {
    /// Takes all events out.
    pub(super) fn take(&self) -> Vec<(bool, Kind)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
