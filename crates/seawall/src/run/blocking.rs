//! The blocking driver: the operation and the pauses run on the caller's thread.

use super::{
    Attempt, Running,
    results::{Results, answer, keep},
    work::BlockingWork,
};
use crate::{
    attributes::Attributes,
    command::{CallId, Command},
    error::Error,
    execution::Execution,
    outcome::{Classify, Outcome},
    pipeline::Pipeline,
    random::fresh_seed,
    time::{Clock, Instant, SystemClock},
};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Runs work on the calling thread. A timeout cannot interrupt it: it turns the answer into a timeout when it comes too
/// late, and lets no further attempt begin.
pub(super) fn drive_blocking<W: BlockingWork>(
    pipeline: &Pipeline,
    clock: impl Clock,
    attributes: Attributes,
    classify: &impl Classify<W::Value, W::Error>,
    work: &mut W,
) -> Result<W::Value, Error<W::Error>> {
    let fallbacks = work.alternatives();
    // A plain function's value is whole when it returns.
    let attributes = Attributes { fallbacks, streamed: false, ..attributes };
    let mut driver = Driver::new(pipeline, clock, attributes, work.has_payload());
    driver.begin();
    loop {
        match driver.running.execution.poll_command() {
            Some(Command::Call { id, attempt, deadline }) => {
                work.call_began(id, attempt, driver.at);
                let attempt = Attempt { number: attempt, deadline };
                let result = driver.running.operation(|| work.call(attempt));
                let outcome = classify.classify(&result);
                if let Some(tokens) = classify.used_tokens(&result) {
                    driver.running.execution.handle_used_tokens(tokens);
                }
                let now = driver.now();
                work.call_ended(id, &result, outcome, now);
                // First the timers, as an async driver would have met them.
                driver.running.execution.handle_wake(now, &driver.waker);
                driver.ended(id, outcome, result.map_err(Error::Inner), now);
            }
            Some(Command::Fallback { id, after, .. }) => {
                let came_to = match answer(after, pipeline, &mut driver.results) {
                    // A value that is classified as a failure has no error to fall back from.
                    Ok(value) => Err(Ok(value)),
                    Err(error) => driver.running.operation(|| work.fallback(error)).map_err(Err),
                };
                let (outcome, came_to) = match came_to {
                    Ok(result) => (classify.classify(&result), result.map_err(Error::Inner)),
                    Err(failed) => (after.outcome, failed),
                };
                let now = driver.now();
                driver.ended(id, outcome, came_to, now);
            }
            Some(Command::Cancel(id)) => driver.results.retain(|(call, _)| *call != id),
            Some(Command::Done(done)) => {
                if work.has_payload()
                    && let Some(due) = driver.running.execution.letter_due()
                {
                    work.failed_for_good(due);
                }
                return answer(done, pipeline, &mut driver.results);
            }
            None => driver.pause(),
        }
    }
}

struct Driver<'p, C: Clock, T, E> {
    running: Running<&'p Pipeline, C>,
    waker: Waker,
    results: Results<T, E>,
    /// What passed on this thread while the clock stood still, as one that a test has paused does.
    stood: Duration,
    /// The instant that was read last.
    at: Instant,
}

impl<'p, C: Clock, T, E> Driver<'p, C, T, E> {
    /// Inlined, so that it is built where it stays.
    #[inline(always)]
    fn new(pipeline: &'p Pipeline, clock: C, attributes: Attributes, has_payload: bool) -> Self {
        Self {
            running: Running {
                execution: Execution::prepare(pipeline, attributes, fresh_seed(), has_payload),
                clock,
                in_operation: false,
            },
            waker: Waker::from(Arc::new(Unpark(std::thread::current()))),
            results: Results::new(),
            stood: Duration::ZERO,
            at: Instant::EPOCH,
        }
    }

    fn begin(&mut self) {
        let now = self.now();
        self.running.execution.set_sequential();
        self.running.execution.begin(now, &self.waker);
    }

    fn now(&mut self) -> Instant {
        self.at = self.running.clock.now() + self.stood;
        self.at
    }

    fn ended(&mut self, id: CallId, outcome: Outcome, came_to: Result<T, Error<E>>, now: Instant) {
        keep(&mut self.results, id, came_to);
        self.running.execution.handle_result(id, outcome, now, &self.waker);
    }

    /// Waits for the deadline or for a wake-up.
    fn pause(&mut self) {
        let (before, parked_at) = (self.running.clock.now(), SystemClock.now());
        match self.running.execution.poll_timeout() {
            Some(at) => std::thread::park_timeout(at.since(before + self.stood)),
            None => std::thread::park(),
        }
        if self.running.clock.now() == before {
            self.stood += SystemClock.now().since(parked_at);
        }
        let now = self.now();
        self.running.execution.handle_wake(now, &self.waker);
    }
}

/// Waits on this thread for a future, at most so long.
pub(super) fn park_until_ready<F: Future>(future: F, at_most: Duration) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut future, until) = (pin!(future), SystemClock.now() + at_most);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = until.since(SystemClock.now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
