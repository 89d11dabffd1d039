//! How long calls took of late: a quantile that slides, and costs one load to read.

use crate::{
    Instant, Latencies,
    config::{Problems, config},
    metrics::Histogram,
    sync::{AtomicU64, Ordering},
    time::nanos,
};
use std::time::Duration;

config! {
    /// A bound that follows how long calls take.
    pub struct Percentile {
        /// The share of calls, over 0 and under 1, that stays within it: 0.99 is the 99th percentile.
        #[cfg_attr(feature = "schema", schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0)))]
        share: f64 = 0.99,
        /// The bound is that percentile times this.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.1, max = 100.0)))]
        multiplier: f64 = 1.0,
        /// The bound is never lower.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        min: Duration = Duration::from_millis(1),
        /// The calls of the last so long are looked at.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        window: Duration = Duration::from_secs(60),
        /// With fewer calls than this the fixed bound holds.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        minimum_calls: u32 = 100,
    }
}

impl Percentile {
    pub(crate) fn check(&self, problems: &mut Problems) {
        let Self { share, multiplier, min, window, minimum_calls } = *self;
        problems.require(share > 0.0 && share < 1.0, "share", share, "a share over 0 and under 1");
        let good = (0.1..=100.0).contains(&multiplier);
        problems.require(good, "multiplier", multiplier, "a number from 0.1 to 100");
        problems.require_positive("min", min);
        let good = window >= Duration::from_millis(100) && window <= Duration::from_secs(86_400);
        problems.require(good, "window", window, "a duration from 100ms to 24h");
        let good = (1..=1_000_000).contains(&minimum_calls);
        problems.require(good, "minimum_calls", minimum_calls, "a whole number from 1 to 1000000");
    }
}

/// Two histograms that take turns: the older half of the window is forgotten at once. The bound is worked out
/// anew 32 times in a window.
#[derive(Debug)]
pub(crate) struct Recent {
    config: Percentile,
    halves: [Histogram; 2],
    half: u64,
    /// The half that is written to, counted since the epoch.
    turn: AtomicU64,
    refresh_at: AtomicU64,
    /// The bound in nanoseconds; 0 for none yet.
    bound: AtomicU64,
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

    /// A call took so long.
    #[inline]
    pub(crate) fn record(&self, now: Instant, took: Duration) {
        let turn = now.as_nanos() / self.half;
        let seen = self.turn.load(Ordering::Acquire);
        if turn > seen {
            self.take_turns(seen, turn);
        }
        self.halves[(turn % 2) as usize].record(took);
        let due = self.refresh_at.load(Ordering::Relaxed);
        if now.as_nanos() >= due {
            self.refresh(due, now);
        }
    }

    /// The bound now, where enough calls were seen.
    #[inline]
    pub(crate) fn bound(&self) -> Option<Duration> {
        match self.bound.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    #[cold]
    fn take_turns(&self, seen: u64, turn: u64) {
        let won = self.turn.compare_exchange(seen, turn, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err() {
            return;
        }
        self.halves[(turn % 2) as usize].reset();
        if turn > seen + 1 {
            self.halves[(seen % 2) as usize].reset();
            self.halves[((seen + 1) % 2) as usize].reset();
        }
    }

    #[cold]
    fn refresh(&self, due: u64, now: Instant) {
        let next = now.as_nanos() + self.half / 16;
        let won = self.refresh_at.compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err() {
            return;
        }
        let [one, other] = &self.halves;
        let all = Latencies::both(&one.latencies(), &other.latencies());
        let enough = all.count() >= u64::from(self.config.minimum_calls);
        let bound = all
            .quantile(self.config.share)
            .filter(|_| enough)
            .map(|quantile| quantile.mul_f64(self.config.multiplier).max(self.config.min));
        self.bound.store(bound.map_or(0, nanos), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Random;

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
            recent.bound()
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
        assert_eq!(recent.bound(), None);
    }
}
