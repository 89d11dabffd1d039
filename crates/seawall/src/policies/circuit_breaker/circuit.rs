//! The circuit as one word, and its pure transitions: `(old, config, now) -> (new, answer)`.
//!
//! | bits | closed | open | half-open | forced |
//! |---|---|---|---|---|
//! | 0–1 | 0 | 1 | 2 | 3 |
//! | 2–15 | generation | generation | generation | generation |
//! | 16–63 | consecutive failures (20), end of the ramp (28, units of 67 ms) | until (42, units of 66 µs), openings (6) | in flight (6), successes (6), openings (6), lease (30, units of 67 ms) | until (46, units of 66 µs), which (2) |
//!
//! The generation grows by one at every change of state, so a permit of an older state is known. Of instants the low
//! bits are kept (`marks.rs`), so a word is right at any age of the clock.

use super::{
    CircuitBreakerConfig,
    marks::{ForceEnd, LONGEST_FORCE, LeaseEnd, OpenEnd, Ramp, RampEnd},
};
use crate::{
    event::{State, Transition, Why},
    outcome::Verdict,
    random::Random,
    rejection::{Reason, Rejection},
    time::Instant,
    window::{GENERATION_MASK, GENERATIONS},
};
use std::time::Duration;

/// The state of a circuit, with its counts and instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circuit {
    /// Calls pass, and failures are counted.
    Closed {
        /// The number of consecutive failures so far.
        failures: u32,
        /// After an outage, only a growing share of the calls passes for a while.
        ramp: Ramp,
    },
    /// Calls are refused.
    Open {
        /// The end of this state: then a probe passes.
        until: OpenEnd,
        /// Times that it has opened since it was closed, up to 63.
        openings: u32,
    },
    /// A bounded number of probes pass.
    HalfOpen {
        /// The number of probes that are under way.
        in_flight: u32,
        /// The number of probes that succeeded.
        successes: u32,
        /// Times that it has opened since it was closed, up to 63.
        openings: u32,
        /// The instant at which the places of the probes are given up, if all of them are taken.
        lease: LeaseEnd,
    },
    /// An operator forced the state.
    Forced {
        /// The state that is forced.
        force: Force,
        /// When the forced state ends by itself; `None` for never.
        until: Option<ForceEnd>,
    },
}

/// A state that an operator may force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Every call is refused.
    Open,
    /// Every call passes; failures are noted, and do not open the circuit.
    Closed,
    /// Every call passes, and nothing is counted.
    Disabled,
}

impl Circuit {
    pub(super) const CLOSED: Self = Self::Closed { failures: 0, ramp: Ramp::NONE };

    /// The state at `now`, in which a forced state may have ended.
    pub(super) fn as_of(self, now: Instant) -> Self {
        match self {
            Self::Forced { until: Some(until), force }
                if until.left(now, LONGEST_FORCE).is_none() =>
            {
                match force {
                    Force::Open => Self::Open { until: OpenEnd::OVER, openings: 1 },
                    Force::Closed | Force::Disabled => Self::CLOSED,
                }
            }
            other => other,
        }
    }

    pub(super) fn state(self) -> State {
        match self {
            Self::Forced { force: Force::Open, .. } => State::ForcedOpen,
            Self::Forced { force: Force::Closed, .. } => State::ForcedClosed,
            Self::Forced { force: Force::Disabled, .. } => State::Disabled,
            Self::Closed { .. } => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
        }
    }

    pub(super) fn openings(self) -> u32 {
        match self {
            Self::Closed { .. } | Self::Forced { .. } => 0,
            Self::Open { openings, .. } | Self::HalfOpen { openings, .. } => openings,
        }
    }
}

/// A circuit and its generation, as packed into one atomic word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) generation: u16,
    pub(crate) circuit: Circuit,
}

/// The word after a request to call, and the generation that admits the call, or the refusal.
type Answer = (Word, Result<u16, Rejection>);

pub(super) const MOST_OPENINGS: u32 = 63;
const MOST_FAILURES: u32 = (1 << 20) - 1;

impl Word {
    pub(super) const CLOSED: Self = Self { generation: 0, circuit: Circuit::CLOSED };

    /// The word after a change to `circuit`.
    pub(super) fn next(self, circuit: Circuit) -> Self {
        Self { generation: (self.generation + 1) % GENERATIONS, circuit }
    }

    /// The word after the circuit opened, or opened again.
    fn opened(self, config: &CircuitBreakerConfig, now: Instant) -> Self {
        let openings = (self.circuit.openings() + 1).min(MOST_OPENINGS);
        // Drawn from what is at hand, so that the transition stays pure; processes differ in their clocks.
        let u = Random::new(now.as_nanos() ^ u64::from(self.generation)).unit();
        let until = OpenEnd::at(now + config.open_time(openings, u));
        self.next(Circuit::Open { until, openings })
    }

    /// The word after the first probe of a new round was let through.
    fn probing(self, config: &CircuitBreakerConfig, now: Instant) -> Self {
        let openings = self.circuit.openings();
        let lease = LeaseEnd::at(now + config.probe_lease);
        self.next(Circuit::HalfOpen { in_flight: 1, successes: 0, openings, lease })
    }

    fn with(self, circuit: Circuit) -> Self {
        Self { circuit, ..self }
    }

    /// May a call pass at `now`? The generation that admits it, or the refusal. `draw` is uniform in
    /// `[0, 1)`, and asked only where chance decides; `may_probe` only where the call would begin to probe.
    #[inline]
    pub(super) fn admit(
        self,
        config: &CircuitBreakerConfig,
        now: Instant,
        draw: impl FnOnce() -> f64,
        may_probe: impl FnOnce() -> bool,
    ) -> Answer {
        let refuse = |reason, wait| (self, Err(Rejection::new(reason, wait)));
        match self.circuit {
            Circuit::Closed { ramp: Ramp::NONE, .. } => (self, Ok(self.generation)),
            Circuit::Closed { failures, ramp } => {
                self.admit_ramping(config, now, failures, ramp, draw)
            }
            Circuit::HalfOpen { in_flight, successes, openings, .. }
                if in_flight < config.half_open_max_calls =>
            {
                // The lease runs from the last admission: while one place is free, no call is stuck.
                let lease = LeaseEnd::at(now + config.probe_lease);
                let in_flight = in_flight + 1;
                let probing = Circuit::HalfOpen { in_flight, successes, openings, lease };
                (self.with(probing), Ok(self.generation))
            }
            Circuit::HalfOpen { lease, .. } if lease.left(now, config.probe_lease).is_some() => {
                refuse(Reason::ProbesTaken, None)
            }
            Circuit::Open { until, openings } => {
                match until.left(now, config.longest_open_time(openings)) {
                    Some(left) => refuse(Reason::CircuitOpen, Some(left)),
                    // Another instance probes.
                    None if !may_probe() => refuse(Reason::ProbesTaken, None),
                    None => self.admit_probe(config, now),
                }
            }
            // Every probe hangs.
            Circuit::HalfOpen { .. } if !may_probe() => refuse(Reason::ProbesTaken, None),
            Circuit::HalfOpen { .. } => self.admit_probe(config, now),
            Circuit::Forced { .. } => self.admit_forced(config, now),
        }
    }

    /// Begins a new round of probes.
    fn admit_probe(self, config: &CircuitBreakerConfig, now: Instant) -> Answer {
        let next = self.probing(config, now);
        (next, Ok(next.generation))
    }

    /// After an outage, callers come back a few at a time.
    #[cold]
    fn admit_ramping(
        self,
        config: &CircuitBreakerConfig,
        now: Instant,
        failures: u32,
        ramp: Ramp,
        draw: impl FnOnce() -> f64,
    ) -> Answer {
        let Some(left) = ramp.left(now, config) else {
            let whole = self.with(Circuit::Closed { failures, ramp: Ramp::NONE });
            return (whole, Ok(self.generation));
        };
        let length = config.ramp_up.unwrap_or(left).as_secs_f64();
        let passed = 1.0 - left.as_secs_f64() / length;
        let share = config.ramp_up_from + (1.0 - config.ramp_up_from) * passed;
        let passes = draw() < share;
        let refused = || Rejection::new(Reason::RampingUp, None);
        (self, if passes { Ok(self.generation) } else { Err(refused()) })
    }

    #[cold]
    fn admit_forced(self, config: &CircuitBreakerConfig, now: Instant) -> Answer {
        match self.circuit.as_of(now) {
            Circuit::Forced { force: Force::Open, until } => {
                let left = until.and_then(|until| until.left(now, LONGEST_FORCE));
                (self, Err(Rejection::new(Reason::CircuitOpen, left)))
            }
            Circuit::Forced { .. } => (self, Ok(self.generation)),
            Circuit::Open { .. } => self.admit_probe(config, now),
            ended => {
                let next = self.next(ended);
                (next, Ok(next.generation))
            }
        }
    }

    /// The change that a verdict makes. A late verdict, of an older generation, changes nothing.
    #[inline]
    pub(super) fn record(
        self,
        config: &CircuitBreakerConfig,
        generation: u16,
        now: Instant,
        verdict: Verdict,
        slow: bool,
    ) -> (Self, Option<Why>) {
        if generation != self.generation {
            return (self, None);
        }
        match self.circuit {
            Circuit::Closed { failures, ramp } => {
                self.record_closed(config, failures, ramp, now, verdict)
            }
            Circuit::HalfOpen { in_flight, successes, openings, lease } => {
                let in_flight = in_flight.saturating_sub(1);
                let waiting =
                    |successes| Circuit::HalfOpen { in_flight, successes, openings, lease };
                match verdict {
                    // A dependency that turns probes away, also politely, is not back.
                    Verdict::Failure | Verdict::RateLimited => {
                        (self.opened(config, now), Some(Why::ProbeFailed))
                    }
                    // A dependency that opened the circuit by being slow is not back while it is slow.
                    Verdict::Success if slow => (self.opened(config, now), Some(Why::ProbeSlow)),
                    Verdict::Success if successes + 1 >= config.success_threshold => {
                        let threshold = config.success_threshold;
                        let closed = Circuit::Closed { failures: 0, ramp: Ramp::new(now, config) };
                        (self.next(closed), Some(Why::ProbesSucceeded { threshold }))
                    }
                    Verdict::Success => (self.with(waiting(successes + 1)), None),
                    Verdict::None => (self.with(waiting(successes)), None),
                }
            }
            Circuit::Open { .. } | Circuit::Forced { .. } => (self, None),
        }
    }

    #[inline]
    fn record_closed(
        self,
        config: &CircuitBreakerConfig,
        failures: u32,
        ramp: Ramp,
        now: Instant,
        verdict: Verdict,
    ) -> (Self, Option<Why>) {
        let Some(threshold) = config.consecutive_failures() else { return (self, None) };
        match verdict {
            Verdict::Success => (self.with(Circuit::Closed { failures: 0, ramp }), None),
            Verdict::RateLimited | Verdict::None => (self, None),
            Verdict::Failure if failures + 1 >= threshold => {
                let why = Why::ConsecutiveFailures { threshold };
                (self.opened(config, now), Some(why))
            }
            Verdict::Failure => (self.with(Circuit::Closed { failures: failures + 1, ramp }), None),
        }
    }

    /// Opens a circuit that is still closed in this generation: the window asked for it.
    pub(super) fn trip(
        self,
        config: &CircuitBreakerConfig,
        generation: u16,
        now: Instant,
    ) -> Option<Self> {
        let closed = matches!(self.circuit, Circuit::Closed { .. });
        (closed && generation == self.generation).then(|| self.opened(config, now))
    }

    /// The change that an admission made, if it made one.
    #[inline]
    pub(super) fn change_to(&self, next: &Self, now: Instant) -> Option<Transition> {
        if next.generation == self.generation {
            return None;
        }
        let why = match (self.circuit, next.circuit) {
            (Circuit::Forced { .. }, _) => Why::ForceExpired,
            (Circuit::HalfOpen { .. }, Circuit::HalfOpen { .. }) => Why::ProbesExpired,
            _ => Why::RecoveryElapsed,
        };
        Some(self.transition(next, now, why))
    }

    pub(super) fn transition(&self, next: &Self, now: Instant, why: Why) -> Transition {
        Transition { at: now, from: self.circuit.state(), to: next.circuit.state(), why }
    }
}

/// The positions of the bits of a word; below [`PAYLOAD`] they are the same in all states.
const TAG: u64 = 3;
const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;
const FORCED: u64 = 3;
const GENERATION: u32 = 2;
const PAYLOAD: u32 = 16;
/// Within the payload: of a closed circuit, …
const RAMP: u32 = 20;
/// … of an open one, …
const OPENINGS: u32 = 42;
/// … of a half-open one, …
const SUCCESSES: u32 = 6;
const PROBED_OPENINGS: u32 = 12;
const LEASE: u32 = 18;
/// … and of a forced one.
const FORCE: u32 = 46;

impl Word {
    #[inline]
    pub(super) fn pack(self) -> u64 {
        let (tag, payload) = match self.circuit {
            Circuit::Closed { failures, ramp } => {
                (CLOSED, u64::from(failures.min(MOST_FAILURES)) | ramp.0.bits() << RAMP)
            }
            Circuit::Open { until, openings } => {
                (OPEN, until.bits() | u64::from(openings) << OPENINGS)
            }
            Circuit::HalfOpen { in_flight, successes, openings, lease } => {
                let probes = u64::from(in_flight) | u64::from(successes) << SUCCESSES;
                let openings = u64::from(openings) << PROBED_OPENINGS;
                (HALF_OPEN, probes | openings | lease.bits() << LEASE)
            }
            Circuit::Forced { force, until } => {
                let until =
                    until.map_or(ForceEnd::MASK, |until| until.bits().min(ForceEnd::MASK - 1));
                (FORCED, until | (force as u64) << FORCE)
            }
        };
        tag | u64::from(self.generation) << GENERATION | payload << PAYLOAD
    }

    #[inline]
    pub(super) fn unpack(word: u64) -> Self {
        let payload = word >> PAYLOAD;
        let six_bits = |shift: u32| (payload >> shift & 63) as u32;
        let circuit = match word & TAG {
            CLOSED => Circuit::Closed {
                failures: payload as u32 & MOST_FAILURES,
                ramp: Ramp(RampEnd::from_bits(payload >> RAMP)),
            },
            OPEN => {
                Circuit::Open { until: OpenEnd::from_bits(payload), openings: six_bits(OPENINGS) }
            }
            FORCED => Circuit::Forced {
                force: [Force::Open, Force::Closed, Force::Disabled][six_bits(FORCE) as usize % 3],
                until: match ForceEnd::from_bits(payload) {
                    end if end.bits() == ForceEnd::MASK => None,
                    end => Some(end),
                },
            },
            _ => Circuit::HalfOpen {
                in_flight: six_bits(0),
                successes: six_bits(SUCCESSES),
                openings: six_bits(PROBED_OPENINGS),
                lease: LeaseEnd::from_bits(payload >> LEASE),
            },
        };
        Self { generation: Self::generation(word), circuit }
    }

    #[inline(always)]
    fn generation(word: u64) -> u16 {
        (word >> GENERATION) as u16 & GENERATION_MASK
    }

    /// The generation of a circuit that is closed for good, and does not ramp up: what most calls ask, answered without
    /// unpacking the word.
    #[inline(always)]
    pub(super) fn closed(word: u64) -> Option<u16> {
        let ramps = word >> (PAYLOAD + RAMP) != 0;
        (word & TAG == CLOSED && !ramps).then_some(Self::generation(word))
    }

    /// How long an open circuit still refuses. In an outage this is what most calls ask, so it is quick.
    #[inline(always)]
    pub(super) fn refuses(
        word: u64,
        now: Instant,
        config: &CircuitBreakerConfig,
    ) -> Option<Duration> {
        if word & TAG != OPEN {
            return None;
        }
        let openings = (word >> (PAYLOAD + OPENINGS)) as u32;
        OpenEnd::from_bits(word >> PAYLOAD).left(now, config.longest_open_time(openings))
    }

    /// Closed, and no failure is counted: a success changes nothing.
    #[inline(always)]
    pub(super) fn is_quiet(word: u64) -> bool {
        word & TAG == CLOSED && word >> PAYLOAD & u64::from(MOST_FAILURES) == 0
    }
}
