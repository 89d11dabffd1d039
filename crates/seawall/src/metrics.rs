//! Counters of one operation, folded from its events. What cannot be computed from events does not exist.

use crate::{
    event::{Event, Kind, Observer, State, Transition, Withheld},
    histogram::{Histogram, Latencies},
    outcome::Outcome,
    policies::Policy,
    rejection::Reason,
    sync::{AtomicU64, Mutex, Ordering::Relaxed, lock},
    time::Instant,
};
use std::time::Duration;

/// What is counted, in the order of the table. The rows of reasons and of policies follow.
#[derive(Clone, Copy)]
enum Count {
    Started,
    Successes,
    Failures,
    TimedOut,
    Refused,
    RateLimited,
    CallerFaults,
    Abandoned,
    Calls,
    FailedCalls,
    Retries,
    Unaffordable,
    Paused,
    Hedges,
    Timeouts,
    Fallbacks,
    Queued,
    Faults,
    CircuitHalfOpened,
    CircuitClosed,
    CircuitOpened,
}

/// The first row of the table of rejections: the built-in reasons, and one for user-written policies.
const REASONS: usize = Count::CircuitOpened as usize + 1;
/// The first row of the table of what policies in shadow would have done.
const SHADOWS: usize = REASONS + Reason::BUILT_IN.len() + 1;
const ROWS: usize = SHADOWS + Policy::LABELS.len();

/// The counters of one operation. About 5 KB.
#[derive(Debug)]
pub struct Metrics {
    /// They only grow: a reset moves the base, so that nothing in progress is lost or counted twice.
    rows: [AtomicU64; ROWS],
    base: Mutex<[u64; ROWS]>,
    latency: Histogram,
    circuit: Mutex<CircuitTimes>,
}

/// How long a circuit was in which state.
#[derive(Clone, Copy, Debug)]
struct CircuitTimes {
    state: State,
    since: Option<Instant>,
    spent: [Duration; State::ALL.len()],
}

impl CircuitTimes {
    fn enter(&mut self, at: Instant, state: State) {
        if let Some(since) = self.since {
            self.spent[self.state as usize] += at.since(since);
        }
        (self.since, self.state) = (Some(at), state);
    }
}

impl Default for CircuitTimes {
    fn default() -> Self {
        Self { state: State::Closed, since: None, spent: [Duration::ZERO; State::ALL.len()] }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            rows: std::array::from_fn(|_| AtomicU64::new(0)),
            base: Mutex::new([0; ROWS]),
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
    /// Executions that ended in a failure of the operation for which the dependency is to blame
    /// ([`Outcome::blames_dependency`]).
    pub failed_calls: u64,
    /// Executions that ended in a timeout.
    pub timed_out_calls: u64,
    /// Executions that ended in a rejection.
    pub rejected_calls: u64,
    /// Executions that ended in a rejection by a rate limiter; they are among `rejected_calls`.
    pub rate_limited_calls: u64,
    /// Executions that the caller spoiled: client errors ([`Class::Permanent`](crate::Class)), requests that
    /// broke off, and deadlines of the caller that passed. They are no failures.
    pub caller_faults: u64,
    /// Executions whose caller went away.
    pub abandoned_calls: u64,
    /// Calls of the operation that ended, those of retries included. A call that was refused further in, by the
    /// policies of an operation that it called, did not run and is none; an alternative is counted in
    /// `fallbacks`.
    pub attempts: u64,
    /// Attempts that failed, timed out, or were cut off by a timeout, also those whose answer broke off while it
    /// was on its way.
    pub failed_attempts: u64,
    /// Retries scheduled.
    pub retries_executed: u64,
    /// Retries that were not made, because the budget was spent.
    pub retries_unaffordable: u64,
    /// Retries and hedges that were not made, because an operator had paused them.
    pub repeats_paused: u64,
    /// Further calls made beside one that took long.
    pub hedges: u64,
    /// Faults injected.
    pub faults_injected: u64,
    /// Timeouts that fired, on attempts and on whole executions.
    pub timeouts: u64,
    /// Alternatives called.
    pub fallbacks: u64,
    /// Executions that waited for a place in a bulkhead, or for their turn at a rate limiter.
    pub queued: u64,
    /// Executions in progress.
    pub in_flight: u64,
    /// Times that the circuit opened, failed probes included. What an operator forces is not among them; what
    /// happens in shadow is.
    pub circuit_breaker_opens: u64,
    /// Times that the circuit became half-open: a probe was let through after `recovery_timeout`.
    pub circuit_breaker_half_opens: u64,
    /// Times that the circuit closed: after probes, or because an operator reset it or let go of it.
    pub circuit_breaker_closes: u64,
    /// Refusals of the bulkhead.
    pub bulkhead_rejections: u64,
    /// Refusals by reason: those of its own policies, and those that came up from an operation that it called.
    pub rejections: Vec<(&'static str, u64)>,
    /// What policies in shadow would have done, by policy.
    pub shadowed: Vec<(&'static str, u64)>,
}

impl Counts {
    /// Executions that ended, without those that the caller spoiled or left: what success and error shares are
    /// shares of.
    pub const fn judged_calls(&self) -> u64 {
        self.successful_calls + self.failed_calls + self.timed_out_calls + self.rejected_calls
    }

    /// The share of successes among [`judged_calls`](Self::judged_calls), from 0 to 1; `None` before the first.
    pub fn success_rate(&self) -> Option<f64> {
        let judged = self.judged_calls();
        (judged > 0).then(|| self.successful_calls as f64 / judged as f64)
    }
}

impl Metrics {
    /// All counters now.
    pub fn counts(&self) -> Counts {
        let base = *lock(&self.base);
        let row = |row: usize| self.rows[row].load(Relaxed).wrapping_sub(base[row]);
        let count = |count: Count| row(count as usize);
        let by_reason = |reason: Reason| row(REASONS + reason.index());
        let labels = Reason::BUILT_IN.iter().map(|reason| reason.label()).chain(["custom"]);
        Counts {
            total_calls: count(Count::Started),
            successful_calls: count(Count::Successes),
            failed_calls: count(Count::Failures),
            timed_out_calls: count(Count::TimedOut),
            rejected_calls: count(Count::Refused),
            rate_limited_calls: count(Count::RateLimited),
            caller_faults: count(Count::CallerFaults),
            abandoned_calls: count(Count::Abandoned),
            attempts: count(Count::Calls),
            failed_attempts: count(Count::FailedCalls),
            retries_executed: count(Count::Retries),
            retries_unaffordable: count(Count::Unaffordable),
            repeats_paused: count(Count::Paused),
            hedges: count(Count::Hedges),
            faults_injected: count(Count::Faults),
            timeouts: count(Count::Timeouts),
            fallbacks: count(Count::Fallbacks),
            queued: count(Count::Queued),
            in_flight: self.in_flight(),
            circuit_breaker_opens: count(Count::CircuitOpened),
            circuit_breaker_half_opens: count(Count::CircuitHalfOpened),
            circuit_breaker_closes: count(Count::CircuitClosed),
            bulkhead_rejections: [Reason::BulkheadFull, Reason::QueueTimeout, Reason::Shed]
                .map(by_reason)
                .iter()
                .sum(),
            rejections: labels.zip((REASONS..).map(row)).collect(),
            shadowed: Policy::LABELS.iter().copied().zip((SHADOWS..ROWS).map(row)).collect(),
        }
    }

    /// Executions in progress: those begun less those ended, whatever a reset did.
    fn in_flight(&self) -> u64 {
        let row = |count: Count| self.rows[count as usize].load(Relaxed);
        let ended = [
            Count::Successes,
            Count::Failures,
            Count::TimedOut,
            Count::Refused,
            Count::CallerFaults,
            Count::Abandoned,
        ];
        // Read before what began: so it is never more than that.
        let ended: u64 = ended.map(row).iter().sum();
        row(Count::Started).saturating_sub(ended)
    }

    /// How long executions took, refused ones excluded.
    pub fn latencies(&self) -> Latencies {
        self.latency.latencies()
    }

    /// The time the circuit has spent in each state up to `now`, in the order of [`State::ALL`], and the
    /// instant it entered the present one. Counted from its registration; alone, from its first change.
    pub fn circuit_times(&self, now: Instant) -> ([Duration; State::ALL.len()], Option<Instant>) {
        let times = *lock(&self.circuit);
        let mut spent = times.spent;
        if let Some(since) = times.since {
            spent[times.state as usize] += now.since(since);
        }
        (spent, times.since)
    }

    /// Counts the time in the closed state from here on.
    pub(crate) fn begin(&self, now: Instant) {
        lock(&self.circuit).since = Some(now);
    }

    /// Sets everything that counts up to zero. What is in progress stays.
    pub fn reset(&self) {
        let mut base = lock(&self.base);
        for (base, row) in base.iter_mut().zip(&self.rows) {
            *base = row.load(Relaxed);
        }
        drop(base);
        self.latency.reset();
        lock(&self.circuit).spent = [Duration::ZERO; State::ALL.len()];
    }

    #[inline]
    fn add(&self, count: Count) {
        self.rows[count as usize].fetch_add(1, Relaxed);
    }

    #[inline]
    fn finished(&self, outcome: Outcome, took: Duration) {
        self.add(match outcome {
            Outcome::Success => Count::Successes,
            Outcome::Failure(_) if outcome.blames_caller() => Count::CallerFaults,
            Outcome::Failure(_) => Count::Failures,
            Outcome::TimedOut { .. } => Count::TimedOut,
            // Refusals take no time; among the latencies they would make an outage look fast.
            Outcome::Rejected(rejection) => {
                if rejection.reason == Reason::RateLimited {
                    self.add(Count::RateLimited);
                }
                return self.add(Count::Refused);
            }
            // How long a caller took to spoil its call is not the dependency's latency.
            Outcome::CallerFault(_) => return self.add(Count::CallerFaults),
        });
        self.latency.record(took);
    }

    fn circuit_changed(&self, Transition { at, from, to, .. }: Transition) {
        lock(&self.circuit).enter(at, to);
        match to {
            State::Open => self.add(Count::CircuitOpened),
            // Half-open again because the probes outlived their lease is the same stay.
            State::HalfOpen if from != State::HalfOpen => self.add(Count::CircuitHalfOpened),
            State::Closed if from != State::Closed => self.add(Count::CircuitClosed),
            _ => {}
        }
    }

    /// The circuit that is in force now is in this state: another breaker may have taken the place of the one
    /// whose changes were seen.
    pub(crate) fn circuit_is(&self, now: Instant, state: State) {
        let mut circuit = lock(&self.circuit);
        if circuit.state != state {
            circuit.enter(now, state);
        }
    }

    #[inline]
    fn call_finished(&self, outcome: Outcome, attempt: u32) {
        match outcome {
            Outcome::Success => self.attempted(attempt, false),
            // What is refused further in is refused to this one's caller, too, for the same reason.
            Outcome::Rejected(rejection) => self.refused(rejection.reason),
            Outcome::Failure(_) | Outcome::TimedOut { .. } | Outcome::CallerFault(_) => {
                self.attempted(attempt, outcome.blames_dependency());
            }
        }
    }

    /// A call is over; alternatives, with the number 0, are no attempts.
    #[inline]
    fn attempted(&self, attempt: u32, failed: bool) {
        if attempt == 0 {
            return;
        }
        self.add(Count::Calls);
        if failed {
            self.add(Count::FailedCalls);
        }
    }

    #[cold]
    fn refused(&self, reason: Reason) {
        self.rows[REASONS + reason.index()].fetch_add(1, Relaxed);
    }

    /// Counts what a policy in shadow would have done. Its circuit changes all the same.
    #[cold]
    fn shadowed(&self, kind: Kind) {
        if let Kind::CircuitChanged(change) = kind {
            return self.circuit_changed(change);
        }
        let row = kind
            .policy()
            .and_then(|policy| Policy::LABELS.iter().position(|label| *label == policy));
        if let Some(row) = row {
            self.rows[SHADOWS + row].fetch_add(1, Relaxed);
        }
    }
}

impl Observer for Metrics {
    #[inline]
    fn observe(&self, event: &Event<'_>) {
        if event.shadow {
            return self.shadowed(event.kind);
        }
        self.add(match event.kind {
            Kind::Started => Count::Started,
            Kind::CallStarted { .. } | Kind::DeadlinePassed { .. } => return,
            Kind::CallFinished { outcome, attempt, .. } => {
                return self.call_finished(outcome, attempt);
            }
            Kind::CallCancelled { attempt, cut_off, .. } => {
                return self.attempted(attempt, cut_off);
            }
            Kind::AnswerFailed { .. } => Count::FailedCalls,
            Kind::Rejected(rejection) => return self.refused(rejection.reason),
            Kind::Queued { .. } => Count::Queued,
            Kind::RetryScheduled { .. } => Count::Retries,
            Kind::Withheld { why: Withheld::Budget, .. } => Count::Unaffordable,
            Kind::Withheld { why: Withheld::Paused, .. } => Count::Paused,
            Kind::Hedged { .. } => Count::Hedges,
            Kind::FaultInjected(_) => Count::Faults,
            Kind::TimedOut { .. } => Count::Timeouts,
            Kind::FellBack { .. } => Count::Fallbacks,
            Kind::CircuitChanged(change) => return self.circuit_changed(change),
            Kind::Finished { outcome, took, .. } => return self.finished(outcome, took),
            Kind::Abandoned { .. } => Count::Abandoned,
        });
    }
}

#[cfg(test)]
mod tests;
