//! Former states of the counters, as far back as somebody looks, in little memory: an operation keeps a few
//! histograms, and sixty numbers a minute.

use super::Rates;
use crate::{Operation, alerts::Watched};
use seawall::{CircuitView, Counts, Instant, Latencies, Mode, State};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use utoipa::ToSchema;

/// How far back rates look.
const RATE_SECONDS: usize = 5;
/// How far back alerts look.
const ALERT_SECONDS: usize = 60;
/// Latencies shown are of the last one to two of these.
const SHOWN: Duration = Duration::from_secs(5);
/// Latencies that alerts look at are of the last one to two of these.
const HEEDED: Duration = Duration::from_secs(30);
const MINUTES: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The windows of all operations.
#[derive(Default)]
pub(super) struct Windows(BTreeMap<String, Window>);

/// What one operation did lately.
#[derive(Default)]
pub(super) struct Window {
    now: Counts,
    latest: Latencies,
    seconds: VecDeque<(Instant, Counts)>,
    few: VecDeque<(Instant, Few)>,
    shown: Turns,
    heeded: Turns,
    minutes: VecDeque<Minute>,
    minutes_begun: u64,
    minute: Option<Begun>,
    circuit: Option<CircuitView>,
}

/// The present minute: when it began, what was counted by then, and at the last look.
#[derive(Clone, Copy)]
struct Begun {
    at: Instant,
    base: Few,
    last: Few,
}

/// The few numbers that alerts and charts need.
#[derive(Clone, Copy, Default)]
struct Few {
    calls: u64,
    /// Executions that ended and that the caller neither spoiled nor left.
    judged: u64,
    failed: u64,
    timed_out: u64,
    rejected: u64,
    /// Of those, for another reason than that the caller asks too often.
    refused: u64,
    retries: u64,
    opens: u64,
    half_opens: u64,
}

/// Two former states, taken in turns, so that there is always one that is old enough.
#[derive(Default)]
struct Turns {
    older: Latencies,
    newer: Latencies,
    turned: Option<Instant>,
}

/// What happened in one minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Minute {
    pub calls: u64,
    /// Failures and timeouts.
    pub failed: u64,
    pub rejected: u64,
    pub retries: u64,
    /// `c` closed, `h` half-open, `o` open, `f` forced, `s` in shadow it would have refused calls, `-` without a
    /// circuit, or with one that is off: the worst of the minute.
    #[schema(value_type = String)]
    pub circuit: char,
}

/// What was counted since; after a reset in between the new count is the smaller one, and counts from zero.
pub(super) fn grown(new: u64, old: u64) -> u64 {
    if new >= old { new - old } else { new }
}

impl Few {
    fn of(counts: &Counts) -> Self {
        Self {
            calls: counts.total_calls,
            judged: counts.judged_calls(),
            failed: counts.failed_calls + counts.timed_out_calls,
            timed_out: counts.timed_out_calls,
            rejected: counts.rejected_calls,
            refused: counts.rejected_calls.saturating_sub(counts.rate_limited_calls),
            retries: counts.retries_executed,
            opens: counts.circuit_breaker_opens,
            half_opens: counts.circuit_breaker_half_opens,
        }
    }

    /// The worst that the circuit was until `now`, and is: also what came and went in between.
    fn states_until(&self, now: &Self, circuit: Option<&CircuitView>) -> char {
        let Some(circuit) = circuit else { return '-' };
        let mode = circuit.mode;
        let passed = |count: u64, state| if count > 0 { sign_of(state, mode) } else { '-' };
        let done = now.since(self);
        let through =
            worse(passed(done.opens, State::Open), passed(done.half_opens, State::HalfOpen));
        worse(through, sign_of(circuit.state, mode))
    }

    /// What was counted since; after a reset in between, all since the reset.
    fn since(&self, old: &Self) -> Self {
        Self {
            calls: grown(self.calls, old.calls),
            judged: grown(self.judged, old.judged),
            failed: grown(self.failed, old.failed),
            timed_out: grown(self.timed_out, old.timed_out),
            rejected: grown(self.rejected, old.rejected),
            refused: grown(self.refused, old.refused),
            retries: grown(self.retries, old.retries),
            opens: grown(self.opens, old.opens),
            half_opens: grown(self.half_opens, old.half_opens),
        }
    }
}

impl Turns {
    fn turn(&mut self, latest: &Latencies, now: Instant, length: Duration) {
        if self.turned.is_none_or(|turned| now.since(turned) >= length) {
            self.older = std::mem::replace(&mut self.newer, latest.clone());
            self.turned = Some(now);
        }
    }
}

impl Windows {
    /// Forgets operations that are gone.
    pub(super) fn keep(&mut self, operations: &[Operation]) {
        if self.0.len() > operations.len() {
            let names: std::collections::BTreeSet<String> =
                operations.iter().map(|operation| operation.name().to_string()).collect();
            self.0.retain(|name, _| names.contains(name));
        }
    }

    /// An operation's window, with what happened until now.
    pub(super) fn of(&mut self, operation: &Operation, now: Instant) -> &Window {
        let window = self.0.entry(operation.name().to_string()).or_default();
        window.advance(operation, now);
        window
    }
}

impl Window {
    fn advance(&mut self, operation: &Operation, now: Instant) {
        self.now = operation.counts();
        self.latest = operation.metrics().latencies();
        self.shown.turn(&self.latest, now, SHOWN);
        self.heeded.turn(&self.latest, now, HEEDED);
        let few = Few::of(&self.now);
        push(&mut self.seconds, (now, self.now.clone()), RATE_SECONDS + 1);
        push(&mut self.few, (now, few), ALERT_SECONDS + 1);
        self.circuit = operation.pipeline().circuit(now);
        self.count_minute(now, few);
    }

    /// What happened since the last look belongs to the minute that was the present one then; after it others may
    /// have begun. They begin whole minutes after the first one, however late the look is.
    fn count_minute(&mut self, now: Instant, few: Few) {
        let mut present = *self.minute.get_or_insert(Begun { at: now, base: few, last: few });
        if self.minutes.is_empty() {
            self.begin_minute();
        }
        let seen = present.last.states_until(&few, self.circuit.as_ref());
        if let Some(minute) = self.minutes.back_mut() {
            let done = few.since(&present.base);
            (minute.calls, minute.failed) = (done.calls, done.failed);
            (minute.rejected, minute.retries) = (done.rejected, done.retries);
            minute.circuit = worse(minute.circuit, seen);
        }
        while now.since(present.at) >= MINUTE {
            present = Begun { at: present.at + MINUTE, base: few, last: few };
            self.begin_minute();
        }
        self.minute = Some(Begun { last: few, ..present });
    }

    fn begin_minute(&mut self) {
        let circuit = sign(self.circuit.as_ref());
        push(&mut self.minutes, Minute { circuit, ..Minute::default() }, MINUTES);
        self.minutes_begun += 1;
    }

    /// Its circuit, as it was met last.
    pub(super) fn circuit(&self) -> Option<&CircuitView> {
        self.circuit.as_ref()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.now
    }

    pub(super) fn rates(&self, now: Instant) -> Rates {
        match self.seconds.front() {
            Some((at, old)) => Rates::between(old, &self.now, now.since(*at).as_secs_f64()),
            None => Rates::default(),
        }
    }

    pub(super) fn recent_latencies(&self) -> Latencies {
        self.latest.since(&self.shown.older)
    }

    pub(super) fn minutes(&self) -> impl Iterator<Item = &Minute> {
        self.minutes.iter()
    }

    /// Which minute the present one is, from 1.
    pub(super) fn minute_number(&self) -> u64 {
        self.minutes_begun
    }

    /// The last hour, a character a minute.
    pub(super) fn strip(&self) -> String {
        self.minutes.iter().map(|minute| minute.circuit).collect()
    }

    /// What alerts look at.
    pub(super) fn watched(&self, operation: &Operation, now: Instant) -> Watched {
        let done =
            self.few.front().map_or_else(Few::default, |(_, old)| Few::of(&self.now).since(old));
        let pipeline = operation.pipeline();
        Watched {
            operation: operation.name().to_string(),
            ended: done.judged,
            failed: done.failed + done.refused,
            timed_out: done.timed_out,
            p95: self.latest.since(&self.heeded.older).quantile(0.95),
            open_for: self
                .circuit
                .as_ref()
                .filter(|view| view.mode == Mode::Enforce)
                .and_then(|view| view.broken)
                .map(|change| now.since(change.at)),
            bulkhead: pipeline
                .bulkhead()
                .map(|bulkhead| f64::from(bulkhead.in_use()) / f64::from(bulkhead.limit().max(1))),
        }
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(item);
}

fn sign(circuit: Option<&CircuitView>) -> char {
    circuit.map_or('-', |circuit| sign_of(circuit.state, circuit.mode))
}

/// A state as one character of the strip.
fn sign_of(state: State, mode: Mode) -> char {
    match (mode, state) {
        (Mode::Off, _) | (_, State::Disabled) => '-',
        (_, State::Closed) => 'c',
        (Mode::Shadow, State::HalfOpen | State::Open | State::ForcedOpen) => 's',
        (_, State::HalfOpen) => 'h',
        (_, State::Open) => 'o',
        (_, State::ForcedOpen | State::ForcedClosed) => 'f',
    }
}

/// The worse of what a minute saw.
fn worse(seen: char, now: char) -> char {
    const ORDER: &str = "-cshfo";
    if ORDER.find(now) > ORDER.find(seen) { now } else { seen }
}

#[cfg(test)]
mod tests;
