//! The settings of a rate limiter.

use super::{
    gcra::Gcra,
    rules::{Rule, Rules},
    shared::SharedLimit,
    windows::{Fixed, Log, Sliding, Span},
};
use crate::{
    config::{Problems, config, days, hours, secs},
    policy::policy_config,
    time::nanos,
};
use std::time::Duration;

policy_config! {
    /// Limits the number of calls in a period.
    #[check(Self::check_limits)]
    pub struct RateLimiterConfig {
        /// Calls allowed in each `per`, in the long run.
        #[range(1..=1_000_000_000)]
        rate: u32 = 100,
        /// The period that `rate` counts in.
        #[range(positive..=days(31))]
        per: Duration = secs(1),
        /// Calls allowed on top of `rate` after a quiet time; for a token bucket only.
        #[range(0..=1_000_000_000)]
        burst: u32 = 0,
        /// The algorithm that counts the calls.
        algorithm: Algorithm = Algorithm::TokenBucket,
        /// What is counted: calls, or the tokens of language models that they use.
        unit: Unit = Unit::Calls,
        /// Further limits that a call must pass, all of them or none; at most 7.
        #[nested]
        also: Vec<Limit> = Vec::new(),
        /// The longest time that a call waits for its turn, first come, first served; for a single token bucket only.
        /// Left out: a call that comes too early is refused.
        #[range(positive..=hours(1))]
        max_wait: Option<Duration> = None,
        /// Whether there is one limit for each key of the calls, in place of one for all.
        keyed: bool = false,
        /// The most keys that are remembered. When all of them are in use, further keys share one limit.
        #[range(1..=10_000_000)]
        max_keys: u32 = 100_000,
        /// Where these limits are shared with other instances through a store: how. Left out: this instance counts alone.
        #[nested]
        shared: Option<SharedLimit> = None,
    }
}

/// A rate limiter: `rate` calls in each period of length `per`.
pub fn rate_limit(rate: u32, per: Duration) -> RateLimiterConfig {
    RateLimiterConfig::default().rate(rate).per(per)
}

config! {
    /// A further limit of a rate limiter.
    #[check(Self::check_together)]
    pub struct Limit {
        /// Calls allowed in each `per`.
        #[range(1..=1_000_000_000)]
        rate: u32 = 1_000,
        /// The period that `rate` counts in.
        #[range(positive..=days(31))]
        per: Duration = secs(60),
        /// Calls allowed on top of `rate` after a quiet time; for a token bucket only.
        #[range(0..=1_000_000_000)]
        burst: u32 = 0,
        /// The algorithm that counts the calls.
        algorithm: Algorithm = Algorithm::TokenBucket,
    }
}

config! {
    /// The algorithms by which a rate limiter counts calls.
    #[derive(Copy, Default, Eq)]
    pub enum Algorithm {
        /// Tokens flow in evenly, up to `rate + burst`. Smooth, and 8 bytes. After a quiet time `rate + burst` calls
        /// pass at once, so up to twice that in one `per`.
        #[default]
        TokenBucket,
        /// `rate` calls in each period of the clock. Around the end of a period up to twice `rate` pass.
        FixedWindow,
        /// The calls of this period and those of the one before, which count by the share of it that the last `per`
        /// still covers. Nearly exact, and 8 bytes. `rate` is at most 1,000,000.
        SlidingWindow,
        /// Each call that passed is remembered: never more than `rate` in any `per`. At least 8 bytes for each call;
        /// `rate` is at most 100,000.
        SlidingLog,
    }
}

config! {
    /// What a rate limiter counts.
    #[derive(Copy, Default, Eq)]
    pub enum Unit {
        /// Calls, each by its cost, which is 1 unless said otherwise.
        #[default]
        Calls,
        /// Tokens of language models. Before a call an estimate is taken, at most the whole limit; afterwards it is settled
        /// with what the call has used. More than the estimate becomes a debt, which later calls wait for: in a token bucket
        /// until it is paid off, at most ten whole limits; in windows and logs as long as the window counts. What was not
        /// used goes back, all of it where the call failed. What goes back late, when the bucket is full again, may let that
        /// much more pass at once. Calls that use no tokens pass.
        Tokens,
    }
}

/// The longest time that an empty bucket may need to fill: far from where nanoseconds overflow.
const LONGEST_FILL: Duration = days(100 * 365);

impl Limit {
    /// Calls that pass when nothing is used up: the most that one call may cost.
    pub fn capacity(&self) -> u32 {
        match self.algorithm {
            Algorithm::TokenBucket => self.rate.saturating_add(self.burst),
            _ => self.rate,
        }
    }

    /// The share that one of so many instances takes of it; at least one call.
    pub(super) fn share_of(&self, instances: u32) -> Self {
        let instances = instances.max(1);
        Self { rate: (self.rate / instances).max(1), burst: self.burst / instances, ..self.clone() }
    }

    fn add_to(&self, rules: &mut Rules) {
        let span = Span { limit: u64::from(self.rate), per: nanos(self.per).max(1) };
        let bucket = || Gcra::new(self.rate, self.per, self.burst);
        match self.algorithm {
            Algorithm::TokenBucket => rules.words.push(Rule::Bucket(bucket())),
            Algorithm::FixedWindow => rules.words.push(Rule::Fixed(Fixed(span))),
            Algorithm::SlidingWindow => rules.words.push(Rule::Sliding(Sliding(span))),
            Algorithm::SlidingLog => rules.logs.push(Log(span)),
        }
    }

    fn check_together(&self, problems: &mut Problems) {
        let (most, right) = match self.algorithm {
            Algorithm::TokenBucket | Algorithm::FixedWindow => (u32::MAX, ""),
            Algorithm::SlidingWindow => {
                (1_000_000, "a whole number from 1 to 1000000 in a sliding window")
            }
            Algorithm::SlidingLog => (100_000, "a whole number from 1 to 100000 in a sliding log"),
        };
        problems.require(self.rate <= most, "rate", self.rate, right);
        let good = self.burst == 0 || self.algorithm == Algorithm::TokenBucket;
        problems.require(good, "burst", self.burst, "of use in a token bucket only");
        let good = self.per.is_zero() || nanos(self.per) >= u64::from(self.rate);
        problems.require(good, "rate", self.rate, "at most one call a nanosecond");
        let fill = Gcra::new(self.rate, self.per, self.burst).tolerance;
        let right = "small enough for an empty bucket to fill within 100 years";
        problems.require(fill <= nanos(LONGEST_FILL), "burst", self.burst, right);
    }
}

impl RateLimiterConfig {
    fn first(&self) -> Limit {
        let Self { rate, per, burst, algorithm, .. } = *self;
        Limit { rate, per, burst, algorithm }
    }

    /// All limits, the first of them first.
    pub(super) fn limits(&self) -> Vec<Limit> {
        [self.first()].into_iter().chain(self.also.iter().cloned()).collect()
    }

    /// What one call may take at most: all that the smallest limit lets pass when nothing is used up.
    pub(super) fn capacity(&self) -> u32 {
        self.limits().iter().map(Limit::capacity).min().unwrap_or(1)
    }

    /// The limiter with which one of so many instances counts by itself.
    pub(super) fn share_of(&self, instances: u32) -> Self {
        let Limit { rate, per, burst, algorithm } = self.first().share_of(instances);
        let also = self.also.iter().map(|limit| limit.share_of(instances)).collect();
        Self { rate, per, burst, algorithm, also, shared: None, ..self.clone() }
    }

    /// The first limit and those of `also`, in one list.
    pub(super) fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        self.first().add_to(&mut rules);
        self.also.iter().for_each(|limit| limit.add_to(&mut rules));
        rules
    }

    fn check_limits(&self, problems: &mut Problems) {
        self.first().check_together(problems);
        problems.require(self.also.len() <= 7, "also", self.also.len(), "a list of at most 7");
        if let Some(max_wait) = self.max_wait {
            let one_bucket = self.also.is_empty() && self.algorithm == Algorithm::TokenBucket;
            let right =
                "of use beside other limits or another algorithm than a token bucket: leave it out";
            problems.require(one_bucket, "max_wait", max_wait, right);
            let alone = self.shared.is_none();
            problems.require(alone, "max_wait", max_wait, "of use in a shared limit: leave it out");
        }
        if self.shared.is_some() {
            self.check_shared(problems);
        }
    }

    /// A store counts in microseconds, and leases are parts of the limit.
    fn check_shared(&self, problems: &mut Problems) {
        let right = "at most one call a microsecond where it is shared";
        for (i, limit) in self.limits().iter().enumerate() {
            let good = limit.per.is_zero() || nanos(limit.per) / 1_000 >= u64::from(limit.rate);
            let field = if i == 0 { "rate".to_owned() } else { format!("also[{}].rate", i - 1) };
            problems.require(good, &field, limit.rate, right);
        }
        let smallest = self.capacity();
        if let Some(lease) = self.shared.as_ref().and_then(|shared| shared.lease) {
            let right = "at most what the smallest limit lets pass";
            problems.require(lease <= smallest, "shared.lease", lease, right);
        }
    }
}
