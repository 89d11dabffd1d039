//! One circuit beside that of all instances: what is reported of it, and how it follows.

use super::{ASKED, LONGEST_PAUSE, Link, SHUT, WIDE};
use crate::{
    attributes::Key,
    event::{Transition, Why},
    policies::circuit_breaker::{
        CircuitBreakerConfig,
        cell::Cell,
        circuit::{Circuit, MOST_OPENINGS, Word},
        marks::{OpenEnd, Ramp},
    },
    sync::{Ordering, lock, update},
    time::Instant,
};
use std::time::Duration;

/// How long a lease is kept for the first call that comes, at first and at most: twice as long each time that none came, so
/// that instances with few calls do not take it from one another for ever.
const FIRST_HOLD: Duration = Duration::from_secs(1);
const MOST_DOUBLINGS: u32 = 8;
/// The shortest pause between two questions for the lease.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// A circuit of this instance, as it is reported to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitReport {
    /// The key that the circuit belongs to; [`Key::NONE`] if the breaker has one for all calls.
    pub key: Key,
    /// The number of the last change of the common circuit that this instance knows; 0 before the first.
    pub known: u64,
    /// The state of the circuit here.
    pub state: ReportedState,
    /// Whether this instance brought that state about, rather than followed the others.
    pub is_own: bool,
    /// The number of the lease that this instance holds, or held last; 0 for none.
    pub lease: u64,
    /// Whether this instance would probe, or does. One that holds the lease and does not want it gives it back.
    pub wants_lease: bool,
    generation: u16,
    at: Instant,
    asked: bool,
}

/// What one instance says of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedState {
    /// Nothing: it probes, or an operator has forced its state.
    Unsaid,
    /// The circuit is closed.
    Closed,
    /// An operator reset the circuit: it is closed for all instances, whatever they know.
    Reset,
    /// The circuit is open.
    Open {
        /// How long it stays so.
        left: Duration,
        /// How often it has opened since it was last closed.
        openings: u32,
    },
}

/// The circuit of all instances, as the store has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetCircuit {
    /// The key that it belongs to; [`Key::NONE`] if there is one for all calls.
    pub key: Key,
    /// The number of its last change; each is greater than all before.
    pub change: u64,
    /// While it is open: how long it stays so, and how often it has opened since it was last closed.
    pub open: Option<(Duration, u32)>,
    /// The lease, if this instance holds it.
    pub lease: Option<ProbeLease>,
    /// How long another instance may hold the lease, if one does.
    pub taken_for: Option<Duration>,
}

/// The right to probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeLease {
    /// Its number; each lease has another.
    pub number: u64,
    /// How long it lasts unless it is renewed, from the moment at which it was asked for.
    pub left: Duration,
    /// How often the right to probe was given since the circuit opened, this time included.
    pub nth: u32,
}

/// What this instance knows of the circuit of all.
#[derive(Debug)]
pub(super) struct Known {
    /// The number of its last change.
    change: u64,
    open: Option<Opening>,
    lease: Option<Lease>,
    /// The generation of the circuit here in which it agreed with that of all.
    agreed: u16,
    /// An operator reset the circuit, which the store does not know yet.
    pub(super) was_reset: bool,
    /// What an operator forced has ended: it follows the others again.
    pub(super) rejoins: bool,
}

#[derive(Clone, Copy, Debug)]
struct Opening {
    until: Instant,
    openings: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    number: u64,
    until: Instant,
    /// Until when it is kept although nobody probes.
    hold_until: Instant,
}

impl Known {
    pub(super) fn new(change: u64) -> Self {
        let agreed = Word::CLOSED.generation;
        Self { change, open: None, lease: None, agreed, was_reset: false, rejoins: false }
    }

    pub(super) fn holds_lease(&self, now: Instant) -> bool {
        self.lease.is_some_and(|lease| now < lease.until)
    }
}

impl Word {
    /// The word after the circuit took up the state of that of all instances. What an operator forced here stays.
    fn followed(self, config: &CircuitBreakerConfig, now: Instant, fleet: Option<Opening>) -> Self {
        match (fleet, self.circuit) {
            (_, Circuit::Forced { .. }) | (None, Circuit::Closed { .. }) => self,
            (Some(opening), Circuit::Open { .. }) => {
                Self { circuit: opening.circuit(config, now), ..self }
            }
            (Some(opening), _) => self.next(opening.circuit(config, now)),
            (None, _) => self.next(Circuit::Closed { failures: 0, ramp: Ramp::new(now, config) }),
        }
    }
}

impl Opening {
    fn circuit(self, config: &CircuitBreakerConfig, now: Instant) -> Circuit {
        let openings = self.openings.clamp(1, MOST_OPENINGS);
        // The gate is shut until the time of all is over; this one is no longer than can be read back.
        let left = self.until.since(now).min(config.longest_open_time(openings));
        let until = if left.is_zero() { OpenEnd::OVER } else { OpenEnd::at(now + left) };
        Circuit::Open { until, openings }
    }
}

impl Cell {
    /// Takes up the state of the circuit of all. The lock of `known` is held.
    fn follow(
        &self,
        known: &mut Known,
        config: &CircuitBreakerConfig,
        now: Instant,
    ) -> Option<Transition> {
        let (generation, change) = update(&self.word, |word| {
            let word = Word::unpack(word);
            let next = word.followed(config, now, known.open);
            let changes = next.generation != word.generation;
            let change = changes.then(|| word.transition(&next, now, Why::Shared));
            (next.pack(), (next.generation, change))
        });
        known.agreed = generation;
        change.map(|change| self.remember(change))
    }

    /// What is to be reported of this circuit, and the change of state that was due before; none if it is not shared.
    pub(super) fn report(
        &self,
        config: &CircuitBreakerConfig,
        now: Instant,
    ) -> Option<(CircuitReport, Option<Transition>)> {
        let link = self.link.as_ref()?;
        let mut known = lock(&link.known);
        let is_forced = |word: Word| matches!(word.circuit, Circuit::Forced { .. });
        let mut change = None;
        if known.rejoins && !is_forced(self.word()) {
            known.rejoins = false;
            if known.open.is_some() {
                change = self.follow(&mut known, config, now);
            }
        }
        let word = self.word();
        let asked = link.ask_from.load(Ordering::Acquire) == ASKED;
        let is_own = word.generation != known.agreed;
        let report = CircuitReport {
            key: link.key,
            known: known.change,
            state: known.state_of(word, config, now),
            is_own,
            wants_lease: known.wants_lease(word, config, now, asked),
            lease: known.lease.map_or(0, |lease| lease.number),
            generation: word.generation,
            at: now,
            asked,
        };
        Some((report, change))
    }

    /// Whether the store should hear of this circuit regularly: it is not simply closed, here and everywhere.
    pub(super) fn is_notable(&self) -> bool {
        let Some(link) = &self.link else { return false };
        let known = lock(&link.known);
        let word = self.word();
        let closed = matches!(word.circuit, Circuit::Closed { .. });
        !closed || known.open.is_some() || known.lease.is_some() || known.agreed != word.generation
    }

    /// Takes up what the store answered to a report, or, without one, what it said by itself. Returns the change of state
    /// that this caused, if any.
    pub(super) fn learn(
        &self,
        config: &CircuitBreakerConfig,
        now: Instant,
        fleet: &FleetCircuit,
        report: Option<&CircuitReport>,
    ) -> Option<Transition> {
        let link = self.link.as_ref()?;
        let mut known = lock(&link.known);
        if fleet.change < known.change {
            return None;
        }
        let is_new = fleet.change > known.change;
        known.change = fleet.change;
        known.open = fleet.open.map(|(left, openings)| Opening { until: now + left, openings });
        let word = self.word();
        // What has happened here since the report is newer than the answer to it.
        let is_current = report.is_none_or(|report| report.generation == word.generation);
        let mut change = None;
        if is_new {
            known.lease = None;
        }
        if is_current && (is_new || report.is_some()) {
            let closed_by_itself =
                !is_new && known.open.is_some() && matches!(word.circuit, Circuit::Closed { .. });
            let probes = !is_new && matches!(word.circuit, Circuit::HalfOpen { .. });
            let alone = !is_new && known.open.is_none();
            if probes || alone {
                known.agreed = word.generation;
            } else if !closed_by_itself {
                change = self.follow(&mut known, config, now);
            }
        }
        if let Some(report) = report {
            known.take_lease(fleet, report, now);
            let probes = matches!(self.word().circuit, Circuit::HalfOpen { .. });
            // Another instance probes, or this one does not any more.
            if is_current && probes && known.open.is_some() && known.lease.is_none() {
                change = self.follow(&mut known, config, now).or(change);
            }
            link.allow_questions(report, fleet, now);
        }
        let gate = if is_current { known.gate(self.word()) } else { SHUT };
        link.gate.store(gate, Ordering::Release);
        change
    }
}

impl Known {
    fn state_of(
        &mut self,
        word: Word,
        config: &CircuitBreakerConfig,
        now: Instant,
    ) -> ReportedState {
        let was_reset = std::mem::take(&mut self.was_reset);
        match word.circuit {
            Circuit::Closed { .. } if was_reset => ReportedState::Reset,
            Circuit::Closed { .. } => ReportedState::Closed,
            Circuit::Open { until, openings } => {
                let left = until.left(now, config.longest_open_time(openings));
                ReportedState::Open { left: left.unwrap_or_default(), openings }
            }
            Circuit::HalfOpen { .. } | Circuit::Forced { .. } => ReportedState::Unsaid,
        }
    }

    /// Whether this instance would probe, or keeps the right to.
    fn wants_lease(
        &mut self,
        word: Word,
        config: &CircuitBreakerConfig,
        now: Instant,
        asked: bool,
    ) -> bool {
        let is_kept = |lease: &Option<Lease>| lease.is_some_and(|lease| now < lease.hold_until);
        match word.circuit {
            Circuit::HalfOpen { in_flight, lease, .. } => {
                let probes = in_flight > 0 && lease.left(now, config.probe_lease).is_some();
                if let (true, Some(lease)) = (probes, &mut self.lease) {
                    // One after another: the next probe may take its time to come.
                    lease.hold_until = lease.hold_until.max(now + FIRST_HOLD);
                }
                probes || is_kept(&self.lease)
            }
            Circuit::Open { .. } => asked || word.generation == self.agreed && is_kept(&self.lease),
            Circuit::Closed { .. } | Circuit::Forced { .. } => false,
        }
    }

    fn take_lease(&mut self, fleet: &FleetCircuit, report: &CircuitReport, now: Instant) {
        let granted = fleet.lease.filter(|_| self.open.is_some());
        self.lease = granted.map(|ProbeLease { number, left, nth }| {
            let known = self.lease.filter(|known| known.number == number);
            let hold = FIRST_HOLD * (1 << nth.saturating_sub(1).min(MOST_DOUBLINGS));
            Lease {
                number,
                until: report.at + left,
                hold_until: known.map_or(now + hold, |known| known.hold_until),
            }
        });
    }

    /// Until when this instance may begin to probe.
    fn gate(&self, word: Word) -> u64 {
        match (word.circuit, self.open, self.lease) {
            (Circuit::Closed { .. } | Circuit::Forced { .. }, ..) => SHUT,
            // It opened by itself, and the others did not follow.
            (_, None, _) => WIDE,
            (_, Some(_), lease) => lease.map_or(SHUT, |lease| lease.until.as_nanos()),
        }
    }
}

impl Link {
    /// From when on the next call that may not probe asks for the lease.
    fn allow_questions(&self, report: &CircuitReport, fleet: &FleetCircuit, now: Instant) {
        let asked_since = !report.asked && self.ask_from.load(Ordering::Acquire) == ASKED;
        if asked_since {
            return;
        }
        let open = fleet.open.map_or(Duration::ZERO, |(left, _)| left);
        let wait = fleet.taken_for.unwrap_or_default().max(open);
        let least = if report.asked { SHORTEST_PAUSE } else { Duration::ZERO };
        let from = now + wait.clamp(least, LONGEST_PAUSE);
        self.ask_from.store(from.as_nanos(), Ordering::Release);
    }
}
