//! Counters of one operation, folded from its events. What cannot be computed from events does not exist.

use crate::{
    Event, Instant, Kind, Observer, Outcome, Reason, State,
    sync::{AtomicU64, Mutex, Ordering::Relaxed, lock},
};
use std::time::Duration;

mod histogram;

pub use histogram::{Histogram, Latencies};

/// Rows of the table of rejections: the built-in reasons, and one for user-written policies.
const REASONS: usize = Reason::BUILT_IN.len() + 1;

/// The counters of one operation. About 5 KB.
#[derive(Debug)]
pub struct Metrics {
    started: AtomicU64,
    successes: AtomicU64,
    failures: AtomicU64,
    timed_out: AtomicU64,
    abandoned: AtomicU64,
    /// By reason: one row each.
    rejected: [AtomicU64; REASONS],
    /// Executions that ended in a rejection.
    refused: AtomicU64,
    calls: AtomicU64,
    failed_calls: AtomicU64,
    retries: AtomicU64,
    unaffordable: AtomicU64,
    timeouts: AtomicU64,
    fallbacks: AtomicU64,
    queued: AtomicU64,
    in_flight: AtomicU64,
    latency: Histogram,
    circuit: Mutex<CircuitTimes>,
}

/// How long a circuit was in which state.
#[derive(Clone, Copy, Debug)]
struct CircuitTimes {
    state: State,
    since: Option<Instant>,
    spent: [Duration; 3],
    opened: u64,
}

impl Default for CircuitTimes {
    fn default() -> Self {
        Self { state: State::Closed, since: None, spent: [Duration::ZERO; 3], opened: 0 }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started: zero(),
            successes: zero(),
            failures: zero(),
            timed_out: zero(),
            abandoned: zero(),
            rejected: std::array::from_fn(|_| zero()),
            refused: zero(),
            calls: zero(),
            failed_calls: zero(),
            retries: zero(),
            unaffordable: zero(),
            timeouts: zero(),
            fallbacks: zero(),
            queued: zero(),
            in_flight: zero(),
            latency: Histogram::default(),
            circuit: Mutex::default(),
        }
    }
}

/// All counters at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Counts {
    /// Executions begun.
    pub total_calls: u64,
    /// Executions that succeeded.
    pub successful_calls: u64,
    /// Executions that ended in a failure of the operation.
    pub failed_calls: u64,
    /// Executions that ended in a timeout.
    pub timed_out_calls: u64,
    /// Executions that ended in a rejection.
    pub rejected_calls: u64,
    /// Executions whose caller went away.
    pub abandoned_calls: u64,
    /// Calls of the operation, those of retries included.
    pub attempts: u64,
    /// Calls of the operation that failed or were cut off.
    pub failed_attempts: u64,
    /// Retries scheduled.
    pub retries_executed: u64,
    /// Retries that were not made, because the budget was spent.
    pub retries_unaffordable: u64,
    /// Timeouts that fired, on attempts and on whole executions.
    pub timeouts: u64,
    /// Alternatives called.
    pub fallbacks: u64,
    /// Executions that waited for a place in a bulkhead.
    pub queued: u64,
    /// Executions in progress.
    pub in_flight: u64,
    /// Times that the circuit opened.
    pub circuit_breaker_opens: u64,
    /// Refusals of the bulkhead.
    pub bulkhead_rejections: u64,
    /// Refusals by reason.
    pub rejections: Vec<(&'static str, u64)>,
}

impl Metrics {
    /// All counters now.
    pub fn counts(&self) -> Counts {
        let by_reason = |reason: Reason| self.rejected[reason.index()].load(Relaxed);
        let labels = Reason::BUILT_IN.iter().map(|reason| reason.label()).chain(["custom"]);
        Counts {
            total_calls: self.started.load(Relaxed),
            successful_calls: self.successes.load(Relaxed),
            failed_calls: self.failures.load(Relaxed),
            timed_out_calls: self.timed_out.load(Relaxed),
            rejected_calls: self.refused.load(Relaxed),
            abandoned_calls: self.abandoned.load(Relaxed),
            attempts: self.calls.load(Relaxed),
            failed_attempts: self.failed_calls.load(Relaxed),
            retries_executed: self.retries.load(Relaxed),
            retries_unaffordable: self.unaffordable.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            fallbacks: self.fallbacks.load(Relaxed),
            queued: self.queued.load(Relaxed),
            // Between two loads more may end than began.
            in_flight: u64::try_from(self.in_flight.load(Relaxed) as i64).unwrap_or(0),
            circuit_breaker_opens: lock(&self.circuit).opened,
            bulkhead_rejections: by_reason(Reason::BulkheadFull) + by_reason(Reason::QueueTimeout),
            rejections: labels
                .zip(&self.rejected)
                .map(|(label, count)| (label, count.load(Relaxed)))
                .collect(),
        }
    }

    /// How long executions took, refused ones excluded.
    pub fn latencies(&self) -> Latencies {
        self.latency.latencies()
    }

    /// The time the circuit has spent in each state up to `now`, in the order of [`State::ALL`], and the
    /// instant it entered the present one. Counted from its first change.
    pub fn circuit_times(&self, now: Instant) -> ([Duration; 3], Option<Instant>) {
        let times = *lock(&self.circuit);
        let mut spent = times.spent;
        if let Some(since) = times.since {
            spent[times.state as usize] += now.since(since);
        }
        (spent, times.since)
    }

    /// Sets everything that counts up to zero. What is in progress stays.
    pub fn reset(&self) {
        let counters = [
            &self.started,
            &self.successes,
            &self.failures,
            &self.timed_out,
            &self.abandoned,
            &self.refused,
            &self.calls,
            &self.failed_calls,
            &self.retries,
            &self.unaffordable,
            &self.timeouts,
            &self.fallbacks,
            &self.queued,
        ];
        for counter in counters.into_iter().chain(&self.rejected) {
            counter.store(0, Relaxed);
        }
        self.latency.reset();
        let mut circuit = lock(&self.circuit);
        circuit.opened = 0;
        circuit.spent = [Duration::ZERO; 3];
    }

    fn finished(&self, outcome: Outcome, took: Duration) {
        self.in_flight.fetch_sub(1, Relaxed);
        let counter = match outcome {
            Outcome::Success => &self.successes,
            Outcome::Failure(_) => &self.failures,
            Outcome::TimedOut { .. } => &self.timed_out,
            // Refusals take no time; among the latencies they would make an outage look fast.
            Outcome::Rejected(_) => {
                self.refused.fetch_add(1, Relaxed);
                return;
            }
        };
        counter.fetch_add(1, Relaxed);
        self.latency.record(took);
    }

    fn circuit_changed(&self, at: Instant, to: State) {
        let mut circuit = lock(&self.circuit);
        if let Some(since) = circuit.since {
            let state = circuit.state as usize;
            circuit.spent[state] += at.since(since);
        }
        circuit.since = Some(at);
        circuit.state = to;
        circuit.opened += u64::from(to == State::Open);
    }
}

impl Observer for Metrics {
    #[inline]
    fn observe(&self, event: &Event<'_>) {
        match event.kind {
            Kind::Started => {
                self.started.fetch_add(1, Relaxed);
                self.in_flight.fetch_add(1, Relaxed);
            }
            Kind::CallStarted { .. } => {
                self.calls.fetch_add(1, Relaxed);
            }
            Kind::CallFinished { outcome: Outcome::Success, .. } => {}
            Kind::CallFinished { .. } => {
                self.failed_calls.fetch_add(1, Relaxed);
            }
            Kind::CallCancelled { .. } => {}
            Kind::Rejected(rejection) => {
                self.rejected[rejection.reason.index()].fetch_add(1, Relaxed);
            }
            Kind::Queued => {
                self.queued.fetch_add(1, Relaxed);
            }
            Kind::RetryScheduled { .. } => {
                self.retries.fetch_add(1, Relaxed);
            }
            Kind::BudgetExhausted => {
                self.unaffordable.fetch_add(1, Relaxed);
            }
            Kind::TimedOut { .. } => {
                self.timeouts.fetch_add(1, Relaxed);
            }
            Kind::FellBack { .. } => {
                self.fallbacks.fetch_add(1, Relaxed);
            }
            Kind::CircuitChanged(change) => self.circuit_changed(change.at, change.to),
            Kind::Finished { outcome, took, .. } => self.finished(outcome, took),
            Kind::Abandoned { .. } => {
                self.in_flight.fetch_sub(1, Relaxed);
                self.abandoned.fetch_add(1, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
