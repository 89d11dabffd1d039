//! The blocking driver: the operation and the pauses run on the caller's thread.

use super::{Attempt, Running, answer, keep};
use crate::{
    attributes::Attributes,
    command::Command,
    error::Error,
    execution::Execution,
    outcome::Classify,
    pipeline::Pipeline,
    random::fresh_seed,
    time::{Clock, SystemClock},
};
use smallvec::SmallVec;
use std::{
    sync::Arc,
    task::{Wake, Waker},
    time::Duration,
};

/// Runs an operation on the calling thread. A timeout cannot interrupt it: it turns the answer into a
/// timeout when it comes too late, and lets no further attempt begin.
pub(crate) fn drive_blocking<T, E>(
    pipeline: &Pipeline,
    clock: impl Clock,
    attributes: Attributes,
    classify: &impl Classify<T, E>,
    mut operation: impl FnMut(Attempt) -> Result<T, E>,
    mut fallback: impl FnMut(Error<E>) -> Result<T, Error<E>>,
) -> Result<T, Error<E>> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    // A plain function's value is whole when it returns.
    let attributes = Attributes { streamed: false, ..attributes };
    let now = clock.now();
    let execution = Execution::prepare(pipeline, attributes, fresh_seed(), now);
    let mut running = Running { execution: execution.sequential(), clock, in_operation: false };
    running.execution.begin(&waker);
    let mut results = SmallVec::new();
    // What passed on this thread while the clock stood still, as one that a test has paused does.
    let mut stood = Duration::ZERO;
    loop {
        match running.execution.poll_command() {
            Some(Command::Call { id, attempt, deadline }) => {
                let result = running.operation(|| operation(Attempt { number: attempt, deadline }));
                let outcome = classify.classify(&result);
                results.push((id, result));
                let now = running.clock.now() + stood;
                // First the timers, as an async driver would have met them.
                running.execution.handle_wake(now, &waker);
                running.execution.handle_result(id, outcome, now, &waker);
            }
            Some(Command::Fallback { id, after, .. }) => {
                let failed = answer(after, pipeline, &mut results);
                let (came_to, outcome) = match failed {
                    // A value that is classified as a failure has no error to fall back from.
                    Ok(value) => (Ok(value), after.outcome),
                    Err(error) => match running.operation(|| fallback(error)) {
                        Ok(value) => {
                            let value = Ok(value);
                            let outcome = classify.classify(&value);
                            (value.map_err(Error::Inner), outcome)
                        }
                        Err(Error::Inner(error)) => {
                            let error = Err(error);
                            let outcome = classify.classify(&error);
                            (error.map_err(Error::Inner), outcome)
                        }
                        Err(other) => (Err(other), after.outcome),
                    },
                };
                keep(&mut results, id, came_to);
                let now = running.clock.now() + stood;
                running.execution.handle_result(id, outcome, now, &waker);
            }
            Some(Command::Cancel(id)) => results.retain(|(call, _)| *call != id),
            Some(Command::Done(done)) => return answer(done, pipeline, &mut results),
            None => {
                let (before, parked_at) = (running.clock.now(), SystemClock.now());
                match running.execution.poll_timeout() {
                    Some(at) => std::thread::park_timeout(at.since(before + stood)),
                    None => std::thread::park(),
                }
                if running.clock.now() == before {
                    stood += SystemClock.now().since(parked_at);
                }
                let now = running.clock.now() + stood;
                running.execution.handle_wake(now, &waker);
            }
        }
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
