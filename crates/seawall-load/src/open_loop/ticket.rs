//! Requests on their way, and the counts that they share with the pacer and the handles.

use super::{
    recorder::{Ended, Recorder},
    report::{ErrorClass, Progress, Report},
};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The state that the pacer, the requests and the handles share.
#[derive(Debug)]
pub(super) struct Shared {
    begin: Instant,
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Debug)]
struct State {
    recorder: Recorder,
    stop: bool,
}

impl Shared {
    pub(super) fn new(begin: Instant, recorder: Recorder) -> Self {
        let state = Mutex::new(State { recorder, stop: false });
        Self { begin, state, stopped: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the start of the schedule; zero before it.
    pub(super) fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    pub(super) fn progress(&self) -> Progress {
        self.state().recorder.progress(self.now())
    }

    pub(super) fn report(&self) -> Report {
        self.state().recorder.report(self.now())
    }

    pub(super) fn stop(&self) {
        self.state().stop = true;
        self.stopped.notify_all();
    }

    /// The schedule ended at this offset.
    pub(super) fn over(&self, at: Duration) {
        self.state().recorder.over(at);
    }

    /// Waits until the offset or a stop. True if the offset was reached, false after a stop.
    pub(super) fn wait_until(&self, offset: Duration) -> bool {
        let mut state = self.state();
        loop {
            // Not `now`: it is zero before the start, and the wait would be too short.
            let due = self.begin.checked_add(offset);
            let left =
                due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
            if state.stop || left.is_zero() {
                return !state.stop;
            }
            let woken = self.stopped.wait_timeout(state, left);
            (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A request on its way. Dropped before it ended, as by a panic, it counts as reset: it is never lost.
#[derive(Debug)]
pub(super) struct Ticket {
    shared: Arc<Shared>,
    intended: Duration,
    began: Duration,
    result: Result<(), ErrorClass>,
}

impl Ticket {
    /// `None` where too many are in flight.
    pub(super) fn take(shared: &Arc<Shared>, intended: Duration) -> Option<Self> {
        let now = shared.now();
        let may = shared.state().recorder.due(intended, now);
        let result = Err(ErrorClass::Reset);
        may.then(|| Self { shared: Arc::clone(shared), intended, began: now, result })
    }

    /// The runtime has come round to it.
    pub(super) fn begin(&mut self) {
        self.began = self.shared.now();
    }

    pub(super) fn end(mut self, result: Result<(), ErrorClass>) {
        self.result = result;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Self { intended, began, result, .. } = *self;
        let ended = self.shared.now();
        self.shared.state().recorder.ended(Ended { intended, began, ended, result });
    }
}
