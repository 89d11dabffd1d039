//! The counters of one operation, folded from its events. What cannot be computed from events does not exist.
//!
//! **Add a counter** as one row of the table below: its name and sentence, the events that add to it, and its series in
//! Prometheus. The fields of [`Counts`] and of the API, the schema and the exposition follow from the row.

use crate::{
    event::{Event, Kind, Observer, State, Transition, Withheld},
    histogram::{Histogram, Latencies},
    outcome::Outcome,
    policies::Policy,
    rejection::{Reason, Rejection},
    sync::{AtomicU64, Mutex, Ordering::Relaxed, lock},
    time::Instant,
};
use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// Numbers by label: rejections by reason, for example.
type Labelled = BTreeMap<Cow<'static, str>, u64>;

/// The kind of series of a counter in the text that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// A family of this name, with one series for each `operation`.
    Operation(&'static str),
    /// The family `seawall_calls_total`, with one series for each `operation` and this `outcome`.
    Outcome(&'static str),
    /// A family of this name, with one series for each operation that has a circuit breaker, by its `name`.
    Circuit(&'static str),
}

/// One counter of an operation: what it is called, what it counts, and how it is exported.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// Its field in [`Counts`] and in the API.
    pub name: &'static str,
    /// A sentence that says what it counts.
    pub help: &'static str,
    /// Its series in Prometheus; `None` if other series say the same.
    pub series: Option<Series>,
    /// Reads the counter from the counts of an operation.
    pub value: fn(&Counts) -> u64,
}

/// Declares the counters, each in one row: `name (with: parts) <- [event] [event] => series`. Every event adds to one
/// counter at most; what the `parts` counted is added when the counter is read.
macro_rules! counters {
    ($(
        $(#[doc = $help:literal])+
        $name:ident $((with: $($part:ident),+))? <- $([$($event:tt)+])+ $(=> $series:expr)?;
    )*) => {
        /// The counters of the table, as indices.
        #[derive(Clone, Copy)]
        #[expect(non_camel_case_types, reason = "a row has the name of its counter")]
        enum Count {
            $($name,)*
        }

        /// The number of rows before those of reasons and of policies.
        const COUNTERS: usize = [$(Count::$name),*].len();

        /// All counters of an operation at one moment, since its registration or its last reset.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct Counts {
            $($(#[doc = $help])+ pub $name: u64,)*
            /// Executions in progress; a reset does not change it.
            pub in_flight: u64,
            /// Rejections by the bulkhead, whatever their reason.
            pub bulkhead_rejections: u64,
            /// Rejections by reason: those of the operation's own policies, and those that came up from an operation
            /// that it called.
            pub rejections: Labelled,
            /// How often policies in shadow mode would have acted, by policy.
            pub shadowed: Labelled,
        }

        impl Counts {
            /// The table of counters, for exporters and documents.
            pub const COUNTERS: &'static [Counter] = &[$(Counter {
                name: stringify!($name),
                help: concat!($($help),+).trim_ascii_start(),
                series: [$(Some($series),)? None][0],
                value: |counts| counts.$name,
            },)*];

            /// The counters of the table; `row` reads one of its rows.
            fn of(row: impl Fn(Count) -> u64) -> Self {
                Self { $($name: row(Count::$name) $($(+ row(Count::$part))+)?,)* ..Self::default() }
            }
        }

        impl Count {
            /// The row that an event adds to.
            #[inline]
            fn of(kind: &Kind) -> Option<Self> {
                Some(match *kind {
                    $($($($event)+ => Self::$name,)+)*
                    _ => return None,
                })
            }
        }
    };
}

counters! {
    /// Executions begun.
    total_calls <- [Kind::Started];
    /// Executions that succeeded.
    successful_calls <- [Kind::Finished { outcome: Outcome::Success, .. }] => Series::Outcome("success");
    /// Executions that ended in a failure of the operation for which the dependency is to blame.
    failed_calls <- [Kind::Finished { outcome: outcome @ Outcome::Failure(_), .. } if outcome.blames_dependency()]
        => Series::Outcome("failure");
    /// Executions that ended in a timeout.
    timed_out_calls <- [Kind::Finished { outcome: Outcome::TimedOut { .. }, .. }] => Series::Outcome("timed_out");
    /// Executions that ended in a rejection by a rate limiter; they are among `rejected_calls`.
    rate_limited_calls <- [Kind::Finished {
        outcome: Outcome::Rejected(Rejection { reason: Reason::RateLimited, .. }), ..
    }];
    /// Executions that ended in a rejection.
    rejected_calls (with: rate_limited_calls) <- [Kind::Finished { outcome: Outcome::Rejected(_), .. }]
        => Series::Outcome("rejected");
    /// Executions that the caller spoiled: client errors, requests that broke off, and deadlines of the caller that
    /// passed. They are no failures.
    caller_faults <- [Kind::Finished { outcome, .. } if outcome.blames_caller()] => Series::Outcome("caller_fault");
    /// Executions whose caller went away.
    abandoned_calls <- [Kind::Abandoned { .. }] => Series::Operation("seawall_abandoned_total");
    /// Answers that broke off on their way, after the call for them had succeeded; they are among `failed_attempts`.
    broken_answers <- [Kind::AnswerFailed { .. }];
    /// Attempts that failed, timed out, or were cut off by a timeout, and those whose answer broke off on its way.
    failed_attempts (with: broken_answers)
        <- [Kind::CallFinished { attempt: 1.., outcome, .. } if outcome.blames_dependency()]
        [Kind::CallCancelled { attempt: 1.., cut_off: true, .. }]
        => Series::Operation("seawall_failed_attempts_total");
    /// Calls of the operation that ended, those of retries included. A call that an operation further in refused did
    /// not run and is none; an alternative is counted in `fallbacks`.
    attempts (with: failed_attempts)
        <- [Kind::CallFinished { attempt: 1.., outcome, .. } if !matches!(outcome, Outcome::Rejected(_))]
        [Kind::CallCancelled { attempt: 1.., .. }]
        => Series::Operation("seawall_attempts_total");
    /// Retries scheduled.
    retries_executed <- [Kind::RetryScheduled { .. }] => Series::Operation("seawall_retries_total");
    /// Retries that were not made, because the budget was spent.
    retries_unaffordable <- [Kind::Withheld { why: Withheld::Budget, .. }]
        => Series::Operation("seawall_retries_unaffordable_total");
    /// Retries and hedges that were not made, because an operator had paused them.
    repeats_paused <- [Kind::Withheld { why: Withheld::Paused, .. }]
        => Series::Operation("seawall_repeats_paused_total");
    /// Further calls made beside one that took long.
    hedges <- [Kind::Hedged { .. }] => Series::Operation("seawall_hedges_total");
    /// Faults injected.
    faults_injected <- [Kind::FaultInjected(_)] => Series::Operation("seawall_faults_injected_total");
    /// Timeouts that fired, on attempts and on whole executions.
    timeouts <- [Kind::TimedOut { .. }] => Series::Operation("seawall_timeouts_total");
    /// Alternatives called.
    fallbacks <- [Kind::FellBack { .. }] => Series::Operation("seawall_fallbacks_total");
    /// Executions that waited for a place in a bulkhead, or for their turn at a rate limiter.
    queued <- [Kind::Queued { .. }] => Series::Operation("seawall_queued_total");
    /// Calls of a shared rate limit that were decided without the store that counts it, because that did not answer.
    degraded_decisions <- [Kind::LimitDegraded { .. }] => Series::Operation("seawall_degraded_decisions_total");
    /// Round trips to the store of a shared rate limit.
    store_round_trips <- [Kind::StoreAnswered { .. }] => Series::Operation("seawall_store_round_trips_total");
    /// Times that the store of a shared rate limit or circuit was lost.
    store_losses <- [Kind::StoreLost { .. }] => Series::Operation("seawall_store_losses_total");
    /// Calls that failed for good and are kept as dead letters.
    dead_letters <- [Kind::LetterKept] => Series::Operation("seawall_dead_letters_total");
    /// Calls that failed for good, for which a dead letter was asked, and that are not known to be kept.
    dead_letters_lost <- [Kind::LetterLost { .. }] => Series::Operation("seawall_dead_letters_lost_total");
    /// Times that the circuit opened, failed probes included. What an operator forces is not among them; what happens
    /// in shadow is.
    circuit_breaker_opens <- [Kind::CircuitChanged(Transition { to: State::Open, .. })]
        => Series::Circuit("seawall_circuit_opened_total");
    /// Times that the circuit became half-open: a probe was let through after `recovery_timeout`. Where the probes
    /// outlived their lease, the stay goes on.
    circuit_breaker_half_opens
        <- [Kind::CircuitChanged(Transition { from, to: State::HalfOpen, .. }) if from != State::HalfOpen]
        => Series::Circuit("seawall_circuit_half_opened_total");
    /// Times that the circuit closed: after probes, or because an operator reset it or let go of it.
    circuit_breaker_closes
        <- [Kind::CircuitChanged(Transition { from, to: State::Closed, .. }) if from != State::Closed]
        => Series::Circuit("seawall_circuit_closed_total");
}

/// The first row of the table of rejections: the built-in reasons, and one for user-written policies.
const REASONS: usize = COUNTERS;
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

/// How long a circuit was in each state.
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

impl Counts {
    /// Executions that ended, without those that the caller spoiled or left: what success and error shares are
    /// shares of.
    pub const fn judged_calls(&self) -> u64 {
        self.successful_calls + self.failed_calls + self.timed_out_calls + self.rejected_calls
    }

    /// The share of successes among [`judged_calls`](Self::judged_calls), from 0 to 1; `None` before the first.
    pub fn success_rate(&self) -> Option<f64> {
        self.share(self.successful_calls)
    }

    /// The share of failures and timeouts among [`judged_calls`](Self::judged_calls), from 0 to 1; `None` before the
    /// first.
    pub fn failure_rate(&self) -> Option<f64> {
        self.share(self.failed_calls + self.timed_out_calls)
    }

    fn share(&self, part: u64) -> Option<f64> {
        let judged = self.judged_calls();
        (judged > 0).then(|| part as f64 / judged as f64)
    }
}

impl Metrics {
    /// A snapshot of all counters.
    pub fn counts(&self) -> Counts {
        let base = *lock(&self.base);
        let row = |row: usize| self.rows[row].load(Relaxed).wrapping_sub(base[row]);
        let of = |reason: Reason| row(REASONS + reason.index());
        let reasons = Reason::BUILT_IN.iter().map(|reason| reason.label()).chain(["custom"]);
        let labelled = |label: &'static str, at| (Cow::Borrowed(label), row(at));
        Counts {
            in_flight: self.in_flight(),
            bulkhead_rejections: of(Reason::BulkheadFull)
                + of(Reason::QueueTimeout)
                + of(Reason::Shed),
            rejections: reasons.zip(REASONS..).map(|(label, at)| labelled(label, at)).collect(),
            shadowed: Policy::LABELS
                .iter()
                .zip(SHADOWS..)
                .map(|(label, at)| labelled(label, at))
                .collect(),
            ..Counts::of(|count| row(count as usize))
        }
    }

    /// Executions in progress: those begun less those ended, whatever a reset did.
    fn in_flight(&self) -> u64 {
        let row = |count: Count| self.rows[count as usize].load(Relaxed);
        let ended = [
            Count::successful_calls,
            Count::failed_calls,
            Count::timed_out_calls,
            Count::rate_limited_calls,
            Count::rejected_calls,
            Count::caller_faults,
            Count::abandoned_calls,
        ];
        // Read before what began: so it is never more than that.
        let ended: u64 = ended.map(row).iter().sum();
        row(Count::total_calls).saturating_sub(ended)
    }

    /// How long executions took, without refused ones.
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

    /// The circuit that is in force now is in this state: another breaker may have taken the place of the one
    /// whose changes were seen.
    pub(crate) fn circuit_is(&self, now: Instant, state: State) {
        let mut circuit = lock(&self.circuit);
        if circuit.state != state {
            circuit.enter(now, state);
        }
    }

    /// Apart from [`observe`](Observer::observe), as everything that takes a lock: most events come without one, and would
    /// pay for it all the same.
    #[cold]
    fn circuit_changed(&self, change: Transition) {
        lock(&self.circuit).enter(change.at, change.to);
    }

    #[cold]
    fn refused(&self, reason: Reason) {
        self.rows[REASONS + reason.index()].fetch_add(1, Relaxed);
    }

    /// Counts what a policy in shadow would have done.
    #[cold]
    fn shadowed(&self, kind: Kind) {
        let label = |policy| Policy::LABELS.iter().position(|label| *label == policy);
        if let Some(row) = kind.policy().and_then(label) {
            self.rows[SHADOWS + row].fetch_add(1, Relaxed);
        }
    }
}

impl Observer for Metrics {
    #[inline]
    fn observe(&self, event: &Event<'_>) {
        // The circuit of a breaker in shadow changes all the same.
        if event.shadow && !matches!(event.kind, Kind::CircuitChanged(_)) {
            return self.shadowed(event.kind);
        }
        if let Some(count) = Count::of(&event.kind) {
            self.rows[count as usize].fetch_add(1, Relaxed);
        }
        match event.kind {
            // Rejections take no time; among the latencies they would make an outage look fast. And how long a caller
            // took to spoil its call is not the dependency's latency.
            Kind::Finished { outcome: Outcome::Rejected(_) | Outcome::CallerFault(_), .. } => {}
            Kind::Finished { took, .. } => self.latency.record(took),
            // What is refused further in is refused to this one's caller, too, for the same reason.
            Kind::Rejected(rejection)
            | Kind::CallFinished { outcome: Outcome::Rejected(rejection), .. } => {
                self.refused(rejection.reason);
            }
            Kind::CircuitChanged(change) => self.circuit_changed(change),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
