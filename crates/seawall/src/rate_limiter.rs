//! **Rate limiter**: bounds calls over time, for everyone together or for each key.
//!
//! Use it to protect a dependency's quota, or yourself from one caller. Not to bound work in progress
//! (that is the bulkhead). A token bucket, kept as the generic cell rate algorithm (ITU-T I.371): one
//! word holds the *theoretical arrival time*, the instant at which the bucket is full again. The
//! invariant: from any instant on, at most `rate + burst` calls pass at once, and `rate` more in each
//! `per` after that.

use crate::{
    Instant, Outcome, Reason, Rejection,
    config::{ConfigError, Problems, validated},
    event::Kind,
    keyed::Keyed,
    policy::{Cx, Pattern, Step, policy_config},
    sync::{AtomicU64, Ordering, update},
    time::nanos,
};
use std::{sync::Arc, time::Duration};

policy_config! {
    /// Limits calls over time.
    pub struct RateLimiterConfig {
        /// Calls allowed in each `per`, on the long run.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000_000)))]
        rate: u32 = 100,
        /// The period that `rate` counts in.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        per: Duration = Duration::from_secs(1),
        /// Calls allowed on top of `rate` after a quiet time.
        #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000_000)))]
        burst: u32 = 0,
        /// One limit for each key of the call, instead of one for all.
        keyed: bool = false,
        /// Keys remembered at most. When as many are busy, further ones share one limit.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000_000)))]
        max_keys: u32 = 100_000,
    }
}

/// Far from where nanoseconds overflow.
const LONGEST_FILL: Duration = Duration::from_secs(100 * 365 * 86_400);

impl RateLimiterConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        let billion = 1_000_000_000;
        let right = "a whole number from 1 to 1000000000";
        problems.require((1..=billion).contains(&self.rate), "rate", self.rate, right);
        problems.require(self.burst <= billion, "burst", self.burst, "at most 1000000000");
        problems.require_positive("per", self.per);
        problems.require(
            self.per <= Duration::from_secs(31 * 24 * 3600),
            "per",
            self.per,
            "at most 31 days",
        );
        problems.require(
            nanos(self.per) >= u64::from(self.rate),
            "rate",
            self.rate,
            "at most one call a nanosecond",
        );
        let fill = Gcra::new(self.rate, self.per, self.burst).tolerance;
        problems.require(
            fill <= nanos(LONGEST_FILL),
            "burst",
            self.burst,
            "small enough for an empty bucket to fill within 100 years",
        );
        problems.require(
            (1..=10_000_000).contains(&self.max_keys),
            "max_keys",
            self.max_keys,
            "a whole number from 1 to 10000000",
        );
    }
}

/// The two numbers of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// Time that one call uses up, in nanoseconds.
    interval: u64,
    /// Time that may be used up ahead, in nanoseconds: `interval · (rate + burst)`.
    tolerance: u64,
}

impl Gcra {
    /// Rounded so that never more than `rate` in `per` pass.
    pub fn new(rate: u32, per: Duration, burst: u32) -> Self {
        let interval = nanos(per).div_ceil(u64::from(rate.max(1))).max(1);
        let capacity = u64::from(rate) + u64::from(burst);
        Self { interval, tolerance: interval.saturating_mul(capacity) }
    }

    /// Whether a call of this cost passes at `now` where the bucket is full again at `tat`: the new
    /// `tat`, or how long to wait. A cost beyond the whole bucket never passes.
    #[inline]
    pub fn decide(
        &self,
        tat: Instant,
        now: Instant,
        cost: u32,
    ) -> Result<Instant, Option<Duration>> {
        let uses = self.interval.saturating_mul(u64::from(cost.max(1)));
        if uses > self.tolerance {
            return Err(None);
        }
        let next = tat.max(now).as_nanos().saturating_add(uses);
        let ahead = next - now.as_nanos();
        match ahead.checked_sub(self.tolerance) {
            None | Some(0) => Ok(Instant::from_nanos(next)),
            Some(wait) => Err(Some(Duration::from_nanos(wait))),
        }
    }

    /// Calls that would pass at `now`.
    pub fn remaining(&self, tat: Instant, now: Instant) -> u64 {
        let used = tat.as_nanos().saturating_sub(now.as_nanos());
        self.tolerance.saturating_sub(used) / self.interval
    }
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// `rate + burst`.
    pub limit: u64,
    /// Calls that would pass now.
    pub remaining: u64,
    /// Until nothing is used up.
    pub reset_after: Duration,
}

/// A rate limiter, for all calls together or for each key.
#[derive(Debug)]
pub struct RateLimiter {
    config: RateLimiterConfig,
    gcra: Gcra,
    state: Buckets,
}

#[derive(Debug)]
enum Buckets {
    One(AtomicU64),
    Keyed(Keyed),
}

impl RateLimiter {
    /// A limiter with everything left.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: RateLimiterConfig) -> Result<Self, ConfigError> {
        validated(|problems| config.check(problems))?;
        let state = if config.keyed {
            Buckets::Keyed(Keyed::new(config.max_keys))
        } else {
            Buckets::One(AtomicU64::new(0))
        };
        Ok(Self { gcra: Gcra::new(config.rate, config.per, config.burst), state, config })
    }

    /// Its configuration.
    pub fn config(&self) -> &RateLimiterConfig {
        &self.config
    }

    /// Takes `cost` from the limit of `key` (one limit for all unless `keyed`): naked use.
    ///
    /// # Errors
    /// A rejection that says when to come back; without a time when `cost` is more than the whole limit.
    #[inline]
    pub fn try_acquire(&self, now: Instant, key: u64, cost: u32) -> Result<(), Rejection> {
        let decide = |tat: u64| match self.gcra.decide(Instant::from_nanos(tat), now, cost) {
            Ok(next) => (next.as_nanos(), Ok(())),
            Err(wait) => (tat, Err(wait)),
        };
        let answer = match &self.state {
            Buckets::One(tat) => update(tat, decide),
            Buckets::Keyed(keyed) => keyed.update(key, now, decide),
        };
        answer.map_err(|wait| Rejection::new(Reason::RateLimited, wait))
    }

    /// What is left for `key`.
    pub fn quota(&self, now: Instant, key: u64) -> Quota {
        let tat = Instant::from_nanos(match &self.state {
            Buckets::One(tat) => tat.load(Ordering::Acquire),
            Buckets::Keyed(keyed) => keyed.peek(key),
        });
        Quota {
            limit: u64::from(self.config.rate) + u64::from(self.config.burst),
            remaining: self.gcra.remaining(tat, now),
            reset_after: tat.since(now),
        }
    }

    /// Keys remembered now; 0 where there is one limit for all.
    pub fn keys(&self) -> usize {
        match &self.state {
            Buckets::One(_) => 0,
            Buckets::Keyed(keyed) => keyed.len(),
        }
    }
}

/// A passage keeps nothing: what was taken stays taken.
pub(crate) struct Frame;

impl Pattern for Arc<RateLimiter> {
    type Frame = Frame;

    #[inline]
    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let step = match self.try_acquire(cx.now, cx.attributes.key, cx.attributes.cost) {
            Ok(()) => Step::Call,
            Err(rejection) => {
                cx.emit(Kind::Rejected(rejection));
                Step::Finish(Outcome::Rejected(rejection))
            }
        };
        (Frame, step)
    }
}

#[cfg(test)]
mod tests;
