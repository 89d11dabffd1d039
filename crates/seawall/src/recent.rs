//! A quantile of the durations of recent calls, over a sliding window; reading it costs one atomic load.

use crate::{
    config::{config, hours, millis, secs},
    histogram::{Histogram, Latencies},
    outcome::Outcome,
    sync::{AtomicU64, Ordering},
    time::{Instant, is_due, nanos},
};
use std::time::Duration;

config! {
    /// A bound that follows how long calls take.
    pub struct Percentile {
        /// The share of calls that stays within the bound: 0.99 is the 99th percentile.
        #[range(over 0.0..1.0)]
        share: f64 = 0.99,
        /// The factor by which the percentile is multiplied to give the bound.
        #[range(0.1..=100.0)]
        multiplier: f64 = 1.0,
        /// The lowest value of the bound.
        #[range(positive)]
        min: Duration = millis(1),
        /// How far back calls are counted.
        #[range(millis(100)..=hours(24))]
        window: Duration = secs(60),
        /// The number of calls below which the fixed bound holds.
        #[range(1..=1_000_000)]
        minimum_calls: u32 = 100,
    }
}

/// Two halves that take turns: the older half of the window is forgotten at once. The bound is computed 32
/// times in a window, and whenever a call was cut off.
#[derive(Debug)]
pub(crate) struct Recent {
    config: Percentile,
    halves: [Half; 2],
    half: u64,
    /// The number of the half that is written to, counted since the epoch.
    turn: AtomicU64,
    refresh_at: AtomicU64,
    /// The bound in nanoseconds; 0 where there is none yet.
    bound: AtomicU64,
}

/// The durations of half a window.
#[derive(Debug, Default)]
struct Half {
    /// The durations of calls that ended by themselves.
    ended: Histogram,
    /// The durations after which the others were cut off: of these it is known only that they would have taken longer.
    /// If they counted as having taken exactly that long, they would keep down the very bound that cut them off.
    cut_off: Histogram,
}

impl Half {
    fn reset(&self) {
        self.ended.reset();
        self.cut_off.reset();
    }
}

impl Recent {
    pub(crate) fn new(config: Percentile) -> Self {
        Self {
            halves: Default::default(),
            half: (nanos(config.window) / 2).max(1),
            turn: AtomicU64::new(0),
            refresh_at: AtomicU64::new(0),
            bound: AtomicU64::new(0),
            config,
        }
    }

    /// Records how long a call took that ended by itself.
    #[inline]
    pub(crate) fn record(&self, now: Instant, took: Duration) {
        self.half_at(now).ended.record(took);
        let due = self.refresh_at.load(Ordering::Relaxed);
        if is_due(now, due, self.half / 16) {
            self.refresh(due, now);
        }
    }

    /// Records that a call was cut off after this time: it would have taken longer.
    #[cold]
    pub(crate) fn cut_off(&self, now: Instant, after: Duration) {
        self.half_at(now).cut_off.record(after);
        // The bound may be what cut it off, and must not do that to all until the next time it is due.
        self.refresh(self.refresh_at.load(Ordering::Relaxed), now);
    }

    /// The bound at `now`, where enough calls were seen within the window.
    #[inline]
    pub(crate) fn bound(&self, now: Instant) -> Option<Duration> {
        let bound = self.bound.load(Ordering::Relaxed);
        let written = self.turn.load(Ordering::Relaxed);
        let fresh = now.as_nanos() < written.saturating_add(2).saturating_mul(self.half);
        (bound > 0 && fresh).then(|| Duration::from_nanos(bound))
    }

    #[inline]
    fn half_at(&self, now: Instant) -> &Half {
        let turn = now.as_nanos() / self.half;
        let seen = self.turn.load(Ordering::Acquire);
        if turn != seen {
            self.take_turns(now, seen, turn);
        }
        &self.halves[(turn % 2) as usize]
    }

    #[cold]
    fn take_turns(&self, now: Instant, seen: u64, turn: u64) {
        let next = turn == seen + 1;
        if turn < seen && !is_due(now, seen.saturating_mul(self.half), 0) {
            // It was read before the turn was taken.
            return;
        }
        if !next {
            self.bound.store(0, Ordering::Relaxed);
        }
        let won = self.turn.compare_exchange(seen, turn, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err() {
            return;
        }
        self.halves[(turn % 2) as usize].reset();
        if !next {
            self.halves[((turn + 1) % 2) as usize].reset();
        }
    }

    #[cold]
    fn refresh(&self, due: u64, now: Instant) {
        let next = now.as_nanos().saturating_add(self.half / 16);
        let won = self.refresh_at.compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err() {
            return;
        }
        let [one, other] = &self.halves;
        let ended = Latencies::both(&one.ended.latencies(), &other.ended.latencies());
        let cut_off = Latencies::both(&one.cut_off.latencies(), &other.cut_off.latencies());
        let before = self.bound.load(Ordering::Relaxed);
        let bound = self.estimate(&ended, &cut_off, Duration::from_nanos(before));
        self.bound.store(bound.map_or(0, nanos), Ordering::Relaxed);
    }

    fn estimate(
        &self,
        ended: &Latencies,
        cut_off: &Latencies,
        before: Duration,
    ) -> Option<Duration> {
        let Percentile { share, multiplier, min, minimum_calls, .. } = self.config;
        if ended.count() + cut_off.count() < u64::from(minimum_calls) {
            return None;
        }
        if let Some(quantile) = ended.quantile_beside(cut_off, share) {
            return Some(quantile.mul_f64(multiplier).max(min));
        }
        // More calls were cut off than the bound allows for, so the percentile is beyond all that was seen. The
        // bound grows until calls end by themselves again; where there was none, nothing is known.
        (!before.is_zero()).then(|| before.max(cut_off.longest() * 2).max(min))
    }
}

/// One call beside a [`Recent`], where there is one: when it began, and whether its length is still to be recorded.
pub(crate) struct Timed {
    pub(crate) started_at: Instant,
    /// Its length is still to be recorded.
    counts: bool,
}

impl Timed {
    #[inline(always)]
    pub(crate) fn begin(now: Instant, recent: Option<&Recent>) -> Self {
        Self { started_at: now, counts: recent.is_some() }
    }

    /// Whether its length is still to be recorded.
    pub(crate) const fn counts(&self) -> bool {
        self.counts
    }

    /// It ended by itself, with this outcome. How soon a call fails says nothing about how long one takes.
    pub(crate) fn ended(&mut self, recent: Option<&Recent>, now: Instant, outcome: &Outcome) {
        match outcome {
            Outcome::Success => {
                if let (Some(recent), true) = (recent, std::mem::take(&mut self.counts)) {
                    recent.record(now, now.since(self.started_at));
                }
            }
            Outcome::TimedOut { .. } => self.cut_off(recent, now),
            _ => self.counts = false,
        }
    }

    /// It was cut off, so it would have taken longer.
    pub(crate) fn cut_off(&mut self, recent: Option<&Recent>, now: Instant) {
        if let (Some(recent), true) = (recent, std::mem::take(&mut self.counts)) {
            recent.cut_off(now, now.since(self.started_at));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn it_follows_the_percentile_and_forgets() {
        let config = Percentile {
            share: 0.9,
            multiplier: 2.0,
            window: Duration::from_secs(10),
            minimum_calls: 50,
            ..Percentile::default()
        };
        let recent = Recent::new(config);
        let mut random = Random::new(3);
        let mut now = Instant::from_millis(1_000_000);
        let mut calls = |seconds: u64, most: u64, recent: &Recent| {
            for _ in 0..seconds * 100 {
                now = now + Duration::from_millis(10);
                recent.record(now, Duration::from_micros(1_000 * random.below(most)));
            }
            recent.bound(now)
        };
        let near = |bound: Option<Duration>, ms: f64| {
            let bound = bound.unwrap().as_secs_f64() * 1000.0;
            assert!((bound / ms - 1.0).abs() < 0.1, "{bound} ms, not {ms}");
        };
        near(calls(20, 100, &recent), 180.0);
        // Ten seconds later nothing of that is left.
        near(calls(16, 1_000, &recent), 1_800.0);
        near(calls(16, 10, &recent), 17.0);
    }

    #[test]
    fn few_calls_are_no_percentile() {
        let recent = Recent::new(Percentile::default());
        for n in 0..99 {
            recent.record(Instant::from_millis(1_000_000 + n), Duration::from_secs(1));
        }
        assert_eq!(recent.bound(Instant::from_millis(1_000_099)), None);
    }
}
