//! The circuit as one word, and its pure transitions: `(old, config, now) -> (new, answer)`.
//!
//! | bits | closed | open | half-open |
//! |---|---|---|---|
//! | 0–1 | 0 | 1 | 2 |
//! | 2–15 | generation | generation | generation |
//! | 16–63 | consecutive failures (32) | until (48, units of 1.024 µs) | in flight (6), successes (6), lease (36, units of 1.05 ms) |
//!
//! The generation grows by one at every change of state, so a permit of an older state is known.

use super::{CircuitBreakerConfig, refusal};
use crate::{
    Instant, Rejection,
    event::{State, Transition, Why},
};

/// What a circuit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Calls pass; failures are counted.
    Closed {
        /// Consecutive failures so far.
        failures: u32,
    },
    /// Calls are refused.
    Open {
        /// Until then.
        until: Instant,
    },
    /// Probes pass.
    HalfOpen {
        /// Probes out.
        in_flight: u32,
        /// Probes that succeeded.
        successes: u32,
        /// When all places are taken: at this instant they are given up.
        lease: Instant,
    },
}

/// What a finished call says about the dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// It works, and wants fewer calls: counts as a failure in ratios, never in a row of failures.
    RateLimited,
    /// Nothing.
    None,
}

impl Verdict {
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failure | Self::RateLimited)
    }
}

impl Circuit {
    pub(super) const CLOSED: Self = Self::Closed { failures: 0 };

    pub(super) fn state(self) -> State {
        match self {
            Self::Closed { .. } => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn open(config: &CircuitBreakerConfig, now: Instant) -> Self {
        Self::Open { until: now + config.recovery_timeout }
    }

    fn first_probe(config: &CircuitBreakerConfig, now: Instant) -> Self {
        Self::HalfOpen { in_flight: 1, successes: 0, lease: now + config.probe_lease }
    }
}

/// A circuit and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) generation: u16,
    pub(crate) circuit: Circuit,
}

/// Generations are counted modulo this: 14 bits, less one value that windows use for "none".
pub(crate) const GENERATIONS: u16 = (1 << 14) - 1;
const OPEN_SHIFT: u32 = 10;
const LEASE_SHIFT: u32 = 20;

impl Word {
    pub(super) const CLOSED: Self = Self { generation: 0, circuit: Circuit::CLOSED };

    /// The word after a change to `circuit`.
    pub(super) fn next(self, circuit: Circuit) -> Self {
        Self { generation: (self.generation + 1) % GENERATIONS, circuit }
    }

    fn with(self, circuit: Circuit) -> Self {
        Self { circuit, ..self }
    }

    /// May a call pass at `now`? The generation that admits it, or the refusal.
    #[inline]
    pub(super) fn admit(
        self,
        config: &CircuitBreakerConfig,
        now: Instant,
    ) -> (Self, Result<u16, Rejection>) {
        match self.circuit {
            Circuit::Closed { .. } => (self, Ok(self.generation)),
            Circuit::Open { until } if now < until => {
                (self, Err(refusal(false, Some(until.since(now)))))
            }
            Circuit::HalfOpen { in_flight, successes, .. }
                if in_flight < config.half_open_max_calls =>
            {
                // The lease runs from the last admission: while one place is free, nobody is stuck.
                let lease = now + config.probe_lease;
                let in_flight = in_flight + 1;
                (self.with(Circuit::HalfOpen { in_flight, successes, lease }), Ok(self.generation))
            }
            Circuit::HalfOpen { lease, .. } if now < lease => (self, Err(refusal(true, None))),
            // The recovery time is over, or every probe hangs: a new round of probes.
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => {
                let next = self.next(Circuit::first_probe(config, now));
                (next, Ok(next.generation))
            }
        }
    }

    /// What a verdict changes; late ones, of an older generation, change nothing.
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
            Circuit::Closed { failures } => self.record_closed(config, failures, now, verdict),
            Circuit::HalfOpen { in_flight, successes, lease } => {
                let back = in_flight.saturating_sub(1);
                let waiting = |successes| Circuit::HalfOpen { in_flight: back, successes, lease };
                match verdict {
                    Verdict::Failure => {
                        (self.next(Circuit::open(config, now)), Some(Why::ProbeFailed))
                    }
                    // A dependency that opened the circuit by being slow is not back while it is slow.
                    Verdict::Success if slow => {
                        (self.next(Circuit::open(config, now)), Some(Why::ProbeSlow))
                    }
                    Verdict::Success if successes + 1 >= config.success_threshold => {
                        let threshold = config.success_threshold;
                        (self.next(Circuit::CLOSED), Some(Why::ProbesSucceeded { threshold }))
                    }
                    Verdict::Success => (self.with(waiting(successes + 1)), None),
                    Verdict::RateLimited | Verdict::None => (self.with(waiting(successes)), None),
                }
            }
            Circuit::Open { .. } => (self, None),
        }
    }

    #[inline]
    fn record_closed(
        self,
        config: &CircuitBreakerConfig,
        failures: u32,
        now: Instant,
        verdict: Verdict,
    ) -> (Self, Option<Why>) {
        let Some(threshold) = config.consecutive_failures() else { return (self, None) };
        match verdict {
            Verdict::Success => (self.with(Circuit::CLOSED), None),
            Verdict::RateLimited | Verdict::None => (self, None),
            Verdict::Failure if failures + 1 >= threshold => {
                let why = Why::ConsecutiveFailures { threshold };
                (self.next(Circuit::open(config, now)), Some(why))
            }
            Verdict::Failure => (self.with(Circuit::Closed { failures: failures + 1 }), None),
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
        (closed && generation == self.generation).then(|| self.next(Circuit::open(config, now)))
    }

    /// The change that an admission made, if it made one.
    #[inline]
    pub(super) fn change_to(&self, next: &Self, now: Instant) -> Option<Transition> {
        if next.generation == self.generation {
            return None;
        }
        let again = self.circuit.state() == next.circuit.state();
        let why = if again { Why::ProbesExpired } else { Why::RecoveryElapsed };
        Some(self.transition(next, now, why))
    }

    pub(super) fn transition(&self, next: &Self, now: Instant, why: Why) -> Transition {
        Transition { at: now, from: self.circuit.state(), to: next.circuit.state(), why }
    }

    #[inline]
    pub(super) fn pack(self) -> u64 {
        let (tag, payload) = match self.circuit {
            Circuit::Closed { failures } => (0, u64::from(failures)),
            Circuit::Open { until } => (1, units(until, OPEN_SHIFT, 48)),
            Circuit::HalfOpen { in_flight, successes, lease } => {
                let counts = u64::from(in_flight) | u64::from(successes) << 6;
                (2, counts | units(lease, LEASE_SHIFT, 36) << 12)
            }
        };
        tag | u64::from(self.generation) << 2 | payload << 16
    }

    #[inline]
    pub(super) fn unpack(word: u64) -> Self {
        let payload = word >> 16;
        let six_bits = |shift: u32| (payload >> shift & 63) as u32;
        let circuit = match word & 3 {
            0 => Circuit::Closed { failures: payload as u32 },
            1 => Circuit::Open { until: Instant::from_nanos(payload << OPEN_SHIFT) },
            _ => Circuit::HalfOpen {
                in_flight: six_bits(0),
                successes: six_bits(6),
                lease: Instant::from_nanos(payload >> 12 << LEASE_SHIFT),
            },
        };
        Self { generation: (word >> 2) as u16 & GENERATIONS, circuit }
    }
}

/// An instant in units of 2^`shift` ns, rounded up so that nothing happens early, in `bits` bits.
#[inline]
fn units(at: Instant, shift: u32, bits: u32) -> u64 {
    at.as_nanos().div_ceil(1 << shift).min((1 << bits) - 1)
}
