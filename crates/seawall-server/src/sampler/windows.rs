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
mod tests {
    use super::*;

    #[test]
    fn a_minute_shows_its_worst() {
        let sign = |state| sign_of(state, Mode::Enforce);
        assert_eq!(worse('-', sign(State::Closed)), 'c');
        assert_eq!(worse('c', sign(State::Open)), 'o');
        assert_eq!(worse('o', sign(State::HalfOpen)), 'o');
        assert_eq!(worse('h', '-'), 'h');
        assert_eq!(worse('c', sign_of(State::Open, Mode::Shadow)), 's');
        assert_eq!(sign_of(State::Open, Mode::Off), '-');
    }

    /// An operation with a circuit of one failure, and its window.
    fn circuit() -> (crate::Registry, Operation, Window) {
        let registry = crate::Registry::with_timer(
            seawall_tower::TokioTimer,
            &seawall::presets()[0],
            Vec::new(),
        );
        let config = seawall::CircuitBreakerConfig {
            failure_threshold: Some(1),
            recovery_timeout: Duration::from_millis(1),
            ..Default::default()
        };
        let breaker = seawall::PolicyConfig::CircuitBreaker(config);
        let operation = registry.register("a", vec![breaker]).unwrap();
        (registry, operation, Window::default())
    }

    #[tokio::test(start_paused = true)]
    async fn the_strip_has_what_came_and_went_between_two_looks() {
        let (registry, operation, mut window) = circuit();
        let start = registry.now();
        window.advance(&operation, start);
        // Open, half-open and closed again, all within a second.
        operation.call_blocking(|| Err::<(), _>(())).unwrap_err();
        tokio::time::advance(Duration::from_millis(500)).await;
        operation.call_blocking(|| Ok::<_, ()>(())).unwrap();
        window.advance(&operation, start + Duration::from_secs(1));
        assert_eq!(operation.circuit().unwrap().state, State::Closed);
        assert_eq!(window.strip(), "o");
        // The minutes after it have nothing of it.
        window.advance(&operation, start + Duration::from_secs(61));
        window.advance(&operation, start + Duration::from_secs(62));
        assert_eq!(window.strip(), "oc");
        // In shadow the same is what it would have done.
        operation.set_mode("circuit_breaker", Mode::Shadow);
        operation.call_blocking(|| Err::<(), _>(())).unwrap_err();
        window.advance(&operation, start + Duration::from_secs(63));
        assert_eq!(window.strip(), "os");
        assert_eq!(window.watched(&operation, start + Duration::from_secs(963)).open_for, None);
        operation.set_mode("circuit_breaker", Mode::Enforce);
        window.advance(&operation, start + Duration::from_secs(64));
        assert!(window.watched(&operation, start + Duration::from_secs(963)).open_for.is_some());
    }

    #[test]
    fn a_minute_keeps_its_last_second_and_begins_on_time() {
        let (registry, operation, mut window) = circuit();
        let start = registry.now();
        let at = |millis| start + Duration::from_millis(millis);
        window.advance(&operation, start);
        window.advance(&operation, at(59_500));
        operation.call_blocking(|| Ok::<_, ()>(())).unwrap();
        window.advance(&operation, at(60_700));
        operation.call_blocking(|| Ok::<_, ()>(())).unwrap();
        window.advance(&operation, at(119_900));
        assert_eq!(window.minutes().map(|one| one.calls).collect::<Vec<_>>(), [1, 1]);
        // The looks are late; the minutes are not.
        window.advance(&operation, at(120_100));
        assert_eq!(window.minute_number(), 3);
        window.advance(&operation, at(300_000));
        assert_eq!((window.minute_number(), window.strip().len()), (6, 6));
    }

    #[test]
    fn an_hour_is_kept_minute_by_minute() {
        let registry = crate::Registry::with_timer(
            seawall_tower::TokioTimer,
            &seawall::presets()[0],
            Vec::new(),
        );
        let breaker = seawall::PolicyConfig::CircuitBreaker(Default::default());
        let operation = registry.register("a", vec![breaker]).unwrap();
        let start = registry.now();
        let mut window = Window::default();
        for minute in 0..70_u64 {
            for second in [0, 20, 40] {
                if second == 20 && minute == 65 {
                    operation.call_blocking(|| Err::<(), _>(())).unwrap_err();
                }
                window.advance(&operation, start + Duration::from_secs(minute * 60 + second));
            }
        }
        assert_eq!((window.minutes().count(), window.minute_number()), (60, 70));
        let busy: Vec<u64> = window.minutes().map(|minute| minute.calls).collect();
        assert_eq!(busy.iter().sum::<u64>(), 1, "{busy:?}");
        assert_eq!(window.minutes().nth(55).unwrap().failed, 1, "in the minute it happened");
        assert_eq!(window.strip(), "c".repeat(60));
    }

    #[test]
    fn a_reset_is_no_negative_number() {
        let few = |calls| Few { calls, ..Few::default() };
        assert_eq!(few(5).since(&few(3)).calls, 2);
        assert_eq!(few(5).since(&few(30)).calls, 5);
    }
}
