//! Exact sliding windows of outcomes; counting takes no lock.
//!
//! Every counter is tagged with the breaker's generation (and, over time, with its slice), so a
//! new generation starts from nothing without anybody clearing anything, and late results of an older
//! one find no place. A success in a settled count window costs one atomic write.
//!
//! The rings follow the idea of linkerd's success-rate breaker: exact counts in slices, and no moving
//! average, which would be blind to bursts.

use crate::{
    config::{config, days, millis},
    event::Why,
    sync::{AtomicBool, Ordering},
    time::Instant,
};

mod count;
mod time;

use count::CountRing;
use std::{ops::RangeInclusive, time::Duration};
pub(crate) use time::TimeRing;

/// The bits of a generation, of which there are 14.
pub(crate) const GENERATION_MASK: u16 = (1 << 14) - 1;
/// Generations are counted modulo this: one value less than the bits have, since windows use the last one for "none".
pub(crate) const GENERATIONS: u16 = GENERATION_MASK;

/// One call, as a window counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) failure: bool,
    pub(crate) slow: bool,
}

/// The calls that a breaker's window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tally {
    /// The number of calls in the window.
    pub calls: u32,
    /// The number of calls that failed.
    pub failures: u32,
    /// The number of calls that took `slow_call_duration` or longer.
    pub slow: u32,
}

config! {
    /// The calls that ratios are computed of.
    #[derive(Eq)]
    pub enum Window {
        /// The last calls, this many of them, from 1 to 10,000.
        Calls(
            #[cfg_attr(feature = "schema", schemars(transform = crate::config::schema(Window::CALLS)))]
            u32,
        ),
        /// The calls within this length of time, to a thirty-second of it; from 1 ms to 30 days.
        Time(
            #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
            #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
            #[cfg_attr(feature = "schema", schemars(transform = crate::config::schema(Window::TIME)))]
            Duration,
        ),
    }
}

impl Window {
    pub(crate) const CALLS: RangeInclusive<u32> = 1..=10_000;
    pub(crate) const TIME: RangeInclusive<Duration> = millis(1)..=days(30);
}

/// The bounds at which a window has too many bad calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) failure_ratio: f64,
    pub(crate) slow_call_ratio: f64,
    /// Calls before any ratio is judged.
    pub(crate) minimum_calls: u32,
}

/// A window of calls or of time.
#[derive(Debug)]
pub(crate) struct Ring {
    kind: RingKind,
    bounds: Bounds,
    /// A ratio was over its bound and only `minimum_calls` kept the circuit closed: then a success, too,
    /// may be the call that opens it.
    held_by_minimum: AtomicBool,
}

#[derive(Debug)]
enum RingKind {
    Count(CountRing),
    Time(Box<TimeRing>),
}

impl Ring {
    pub(crate) fn new(window: &Window, bounds: Bounds) -> Self {
        let kind = match window {
            Window::Calls(calls) => RingKind::Count(CountRing::new(*calls)),
            Window::Time(length) => RingKind::Time(Box::new(TimeRing::new(*length))),
        };
        Self { kind, bounds, held_by_minimum: AtomicBool::new(false) }
    }

    /// Adds a call; says why the circuit should open, if it should.
    #[inline]
    pub(crate) fn record(&self, generation: u16, now: Instant, sample: Sample) -> Option<Why> {
        match &self.kind {
            RingKind::Count(ring) => ring.record(generation, sample)?,
            RingKind::Time(ring) => ring.record(generation, now, sample)?,
        }
        // A good call lowers every ratio, so there is nothing to judge.
        if !sample.failure && !sample.slow && !self.held_by_minimum.load(Ordering::Relaxed) {
            return None;
        }
        self.judge(generation, now)
    }

    /// The calls of this generation that it holds.
    pub(crate) fn tally(&self, generation: u16, now: Instant) -> Tally {
        match &self.kind {
            RingKind::Count(ring) => ring.tally(generation),
            RingKind::Time(ring) => ring.tally(generation, now),
        }
    }

    fn judge(&self, generation: u16, now: Instant) -> Option<Why> {
        let tally = self.tally(generation, now);
        let capacity = match &self.kind {
            RingKind::Count(ring) => ring.len(),
            RingKind::Time(_) => u32::MAX,
        };
        let why = self.bounds.exceeded(&tally);
        let short = tally.calls < self.bounds.minimum_calls.min(capacity);
        self.held_by_minimum.store(why.is_some() && short, Ordering::Relaxed);
        why.filter(|_| !short)
    }
}

impl Bounds {
    /// The ratio that is over its bound, if one is.
    fn exceeded(&self, tally: &Tally) -> Option<Why> {
        let Tally { calls, failures, slow } = *tally;
        let share = |part: u32| f64::from(part) / f64::from(calls.max(1));
        if failures > 0 && share(failures) >= self.failure_ratio {
            return Some(Why::FailureRatio { failures, calls, bound: self.failure_ratio });
        }
        if slow > 0 && share(slow) >= self.slow_call_ratio {
            return Some(Why::SlowCallRatio { slow, calls, bound: self.slow_call_ratio });
        }
        None
    }
}

/// Whether generation `a` came after `b`; generations wrap around.
fn is_newer(a: u16, b: u16) -> bool {
    let ahead = (a + GENERATIONS - b) % GENERATIONS;
    ahead != 0 && ahead < GENERATIONS / 2
}

/// A generation that is never given out: what rings hold before their first call.
const NOBODY: u16 = GENERATIONS;

#[cfg(test)]
mod tests;
