//! Former states of the counters, as far back as readers look, in little memory: an operation keeps a few histograms, and
//! a dozen numbers for each second of the last minute.

use super::Activity;
use crate::{alerts::Watched, runtime::Operation};
use seawall::{CircuitView, Instant, Latencies, Mode, State};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// How far back rates look, in seconds.
const RATE_SECONDS: usize = 5;
/// How far back alerts look, in seconds.
const ALERT_SECONDS: usize = 60;
/// Latencies shown are of the last one to two of these.
const SHOWN: Duration = Duration::from_secs(5);
/// Latencies that alerts look at are of the last one to two of these.
const ALERTING: Duration = Duration::from_secs(30);
const MINUTES: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The windows of all operations.
#[derive(Default)]
pub(super) struct Windows(BTreeMap<String, Window>);

/// The recent activity of one operation.
#[derive(Default)]
pub(super) struct Window {
    now: Activity<u64>,
    in_flight: u64,
    latest: Latencies,
    /// The counters at each sample of the last minute, oldest first.
    seconds: VecDeque<(Instant, Activity<u64>)>,
    shown: Turns,
    alerting: Turns,
    minutes: VecDeque<Minute>,
    minutes_begun: u64,
    minute: Option<Begun>,
    circuit: Option<CircuitView>,
    /// Since when a limit that is shared has been decided without its store.
    degraded: Option<Instant>,
}

/// The present minute: when it began, what was counted by then, and at the last look.
#[derive(Clone, Copy)]
struct Begun {
    at: Instant,
    base: Activity<u64>,
    last: Activity<u64>,
}

/// Two former states, taken in turns, so that there is always one that is old enough.
#[derive(Default)]
struct Turns {
    older: Latencies,
    newer: Latencies,
    turned: Option<Instant>,
}

/// The activity of one minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// Executions that began.
    pub calls: u64,
    /// Executions that failed or timed out.
    pub failed: u64,
    /// Executions that ended in a rejection.
    pub rejected: u64,
    /// Executions that the caller spoiled.
    pub caller_faults: u64,
    /// Retries that were scheduled.
    pub retries: u64,
    /// `c` closed, `h` half-open, `o` open, `f` forced, `s` in shadow it would have refused calls, `-` without a
    /// circuit, or with one that is off: the worst of the minute.
    pub circuit: char,
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
    /// Removes the windows of operations that are gone.
    pub(super) fn keep(&mut self, operations: &[Operation]) {
        if self.0.len() > operations.len() {
            let names: std::collections::BTreeSet<String> =
                operations.iter().map(|operation| operation.name().to_string()).collect();
            self.0.retain(|name, _| names.contains(name));
        }
    }

    /// The window of an operation, with its activity until now.
    pub(super) fn of(&mut self, operation: &Operation, now: Instant) -> &Window {
        let window = self.0.entry(operation.name().to_string()).or_default();
        window.advance(operation, now);
        window
    }
}

impl Window {
    fn advance(&mut self, operation: &Operation, now: Instant) {
        let counts = operation.counts();
        (self.now, self.in_flight) = (Activity::of(&counts), counts.in_flight);
        self.latest = operation.metrics().latencies();
        self.shown.turn(&self.latest, now, SHOWN);
        self.alerting.turn(&self.latest, now, ALERTING);
        push(&mut self.seconds, (now, self.now), ALERT_SECONDS + 1);
        self.circuit = operation.pipeline().circuit(now);
        let degraded = operation.pipeline().is_degraded();
        self.degraded = degraded.then(|| self.degraded.unwrap_or(now));
        self.count_minute(now);
    }

    /// Adds the activity since the last sample to the minute that was the present one then; after it others may have
    /// begun. Minutes begin whole minutes after the first one, however late the sample is.
    fn count_minute(&mut self, now: Instant) {
        let counted = self.now;
        let mut present =
            *self.minute.get_or_insert(Begun { at: now, base: counted, last: counted });
        if self.minutes.is_empty() {
            self.begin_minute();
        }
        let seen = worst_of(&counted.since(&present.last), self.circuit.as_ref());
        if let Some(minute) = self.minutes.back_mut() {
            let done = counted.since(&present.base);
            *minute = Minute {
                calls: done.calls,
                failed: done.failed(),
                rejected: done.rejected,
                caller_faults: done.caller_faults,
                retries: done.retries,
                circuit: worse(minute.circuit, seen),
            };
        }
        while now.since(present.at) >= MINUTE {
            present = Begun { at: present.at + MINUTE, base: counted, last: counted };
            self.begin_minute();
        }
        self.minute = Some(Begun { last: counted, ..present });
    }

    fn begin_minute(&mut self) {
        let circuit = sign(self.circuit.as_ref());
        push(&mut self.minutes, Minute { circuit, ..Minute::default() }, MINUTES);
        self.minutes_begun += 1;
    }

    /// The circuit of the operation at the last sample.
    pub(super) fn circuit(&self) -> Option<&CircuitView> {
        self.circuit.as_ref()
    }

    /// The activity since the last reset.
    pub(super) fn totals(&self) -> &Activity<u64> {
        &self.now
    }

    /// The number of executions in progress.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The activity per second in the last few seconds.
    pub(super) fn rates(&self, now: Instant) -> Activity<f64> {
        let back = self.seconds.len().saturating_sub(RATE_SECONDS + 1);
        match self.seconds.get(back) {
            Some((at, old)) => self.now.since(old).per_second(now.since(*at).as_secs_f64()),
            None => Activity::default(),
        }
    }

    /// The latencies of the last five to ten seconds.
    pub(super) fn recent_latencies(&self) -> Latencies {
        self.latest.since(&self.shown.older)
    }

    pub(super) fn minutes(&self) -> impl Iterator<Item = &Minute> {
        self.minutes.iter()
    }

    /// The number of the present minute, from 1.
    pub(super) fn minute_number(&self) -> u64 {
        self.minutes_begun
    }

    /// The last hour, a character a minute.
    pub(super) fn strip(&self) -> String {
        self.minutes.iter().map(|minute| minute.circuit).collect()
    }

    /// The numbers that alerts are decided by.
    pub(super) fn watched(&self, operation: &Operation, now: Instant) -> Watched {
        let done = self.seconds.front().map(|(_, old)| self.now.since(old)).unwrap_or_default();
        let pipeline = operation.pipeline();
        Watched {
            operation: operation.name().to_string(),
            ended: done.judged(),
            failed: done.failed() + done.refused(),
            timed_out: done.timed_out,
            p95: self.latest.since(&self.alerting.older).quantile(0.95),
            degraded_for: self.degraded.map(|since| now.since(since)),
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

/// The worst that the circuit is, or was while all this was done: also what came and went in between.
fn worst_of(done: &Activity<u64>, circuit: Option<&CircuitView>) -> char {
    let Some(circuit) = circuit else { return '-' };
    let passed = |count: u64, state| if count > 0 { sign_of(state, circuit.mode) } else { '-' };
    let through = worse(passed(done.opens, State::Open), passed(done.half_opens, State::HalfOpen));
    worse(through, sign_of(circuit.state, circuit.mode))
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
