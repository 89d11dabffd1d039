//! What an operator sets on a rate limiter.

use super::rules::{Gcra, Rule, Span};
use crate::{
    config::{Problems, config},
    policy::policy_config,
    time::nanos,
};
use std::time::Duration;

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
        /// Calls allowed on top of `rate` after a quiet time; of a token bucket only.
        #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000_000)))]
        burst: u32 = 0,
        /// How calls are counted.
        algorithm: Algorithm = Algorithm::TokenBucket,
        /// Further limits that a call must pass, all or none; at most 7.
        also: Vec<Limit> = Vec::new(),
        /// A call that comes too early waits for its turn up to this long, first come, first served; of one
        /// token bucket only. Left out: it is refused.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration::option"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::option::schema"))]
        max_wait: Option<Duration> = None,
        /// One limit for each key of the call, instead of one for all.
        keyed: bool = false,
        /// Keys remembered at most. When as many are busy, further ones share one limit.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000_000)))]
        max_keys: u32 = 100_000,
    }
}

config! {
    /// One more limit.
    pub struct Limit {
        /// Calls allowed in each `per`.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000_000)))]
        rate: u32 = 1_000,
        /// The period that `rate` counts in.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        per: Duration = Duration::from_secs(60),
        /// Calls allowed on top of `rate` after a quiet time; of a token bucket only.
        #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000_000)))]
        burst: u32 = 0,
        /// How calls are counted.
        algorithm: Algorithm = Algorithm::TokenBucket,
    }
}

/// How calls are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Algorithm {
    /// Tokens flow in evenly, up to `rate + burst`; smooth, one word. After a quiet time `rate + burst` pass at
    /// once, so up to twice that in one `per`.
    #[default]
    TokenBucket,
    /// `rate` in each period of the clock. Around its turn up to twice `rate` pass.
    FixedWindow,
    /// The last two periods, the earlier one weighed by what is left of it: nearly exact, one word. `rate` at
    /// most a million.
    SlidingWindow,
    /// Each call that passed is remembered: never more than `rate` in any `per`. Eight bytes and more a call;
    /// `rate` at most 100,000.
    SlidingLog,
}

/// Far from where nanoseconds overflow.
const LONGEST_FILL: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Limit {
    pub(super) fn rule(&self) -> Rule {
        let span = Span { limit: u64::from(self.rate), per: nanos(self.per).max(1) };
        match self.algorithm {
            Algorithm::TokenBucket => Rule::Bucket(Gcra::new(self.rate, self.per, self.burst)),
            Algorithm::FixedWindow => Rule::Fixed(span),
            Algorithm::SlidingWindow => Rule::Sliding(span),
            Algorithm::SlidingLog => Rule::Log(span),
        }
    }

    fn check(&self, problems: &mut Problems) {
        let billion = 1_000_000_000;
        let (most, right) = match self.algorithm {
            Algorithm::TokenBucket | Algorithm::FixedWindow => {
                (billion, "a whole number from 1 to 1000000000")
            }
            Algorithm::SlidingWindow => {
                (1_000_000, "a whole number from 1 to 1000000 in a sliding window")
            }
            Algorithm::SlidingLog => (100_000, "a whole number from 1 to 100000 in a sliding log"),
        };
        problems.require((1..=most).contains(&self.rate), "rate", self.rate, right);
        problems.require(self.burst <= billion, "burst", self.burst, "at most 1000000000");
        let bucket = self.algorithm == Algorithm::TokenBucket;
        problems.require(
            bucket || self.burst == 0,
            "burst",
            self.burst,
            "of use in a token bucket only",
        );
        problems.require_positive("per", self.per);
        let month = Duration::from_secs(31 * 24 * 3600);
        problems.require(self.per <= month, "per", self.per, "at most 31 days");
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
    }
}

impl RateLimiterConfig {
    fn first(&self) -> Limit {
        let Self { rate, per, burst, algorithm, .. } = *self;
        Limit { rate, per, burst, algorithm }
    }

    /// All limits, the first of them first.
    pub(super) fn rules(&self) -> Vec<Rule> {
        [self.first()].iter().chain(&self.also).map(Limit::rule).collect()
    }

    pub(crate) fn check(&self, problems: &mut Problems) {
        self.first().check(problems);
        problems.require(self.also.len() <= 7, "also", self.also.len(), "a list of at most 7");
        problems.within("also", |problems| {
            for (i, limit) in self.also.iter().enumerate() {
                problems.within(&format!("[{i}]"), |problems| limit.check(problems));
            }
        });
        if let Some(max_wait) = self.max_wait {
            problems.require_positive("max_wait", max_wait);
            let hour = Duration::from_secs(3600);
            problems.require(max_wait <= hour, "max_wait", max_wait, "at most an hour");
            let one_bucket = self.also.is_empty() && self.algorithm == Algorithm::TokenBucket;
            let right =
                "of use beside other limits or another algorithm than a token bucket: leave it out";
            problems.require(one_bucket, "max_wait", max_wait, right);
        }
        problems.require(
            (1..=10_000_000).contains(&self.max_keys),
            "max_keys",
            self.max_keys,
            "a whole number from 1 to 10000000",
        );
    }
}
