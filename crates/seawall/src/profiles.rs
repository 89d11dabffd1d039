//! Named sets of policies, as one table of data: strategies by temperament, call profiles, call-site
//! tiers and kinds of dependency; and presets by environment, which choose among them.
//!
//! Order within each, outermost first: fallback → rate limiter → circuit breaker → retry → bulkhead →
//! attempt timeout → call. So one operation whose retries are exhausted is one failure for its breaker.

use crate::{
    backoff::{Backoff, Growth, Jitter},
    policies::{
        PolicyConfig, bulkhead::BulkheadConfig, circuit_breaker::CircuitBreakerConfig,
        fallback::FallbackConfig, rate_limiter::RateLimiterConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use std::time::Duration;

mod catalog;
mod presets;
mod table;

pub use catalog::Catalog;
pub use presets::{Override, Preset, Settings, preset, presets};
pub use table::{PROFILES, profile};

/// What a profile is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum ProfileKind {
    /// A temperament: `aggressive`, `balanced`, `conservative`, `critical`.
    Strategy,
    /// What is called: `internal_service`, `database` …
    Call,
    /// How much a call site matters: `critical_tier`, `standard`, `non_critical`.
    Tier,
    /// What kind of thing is depended on: `database_dependency` …
    Dependency,
}

/// A row of the table. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Its name in files and code.
    pub name: &'static str,
    /// What it is named after.
    pub kind: ProfileKind,
    /// One line for people.
    pub description: &'static str,
    pub(crate) rate: Option<Rate>,
    pub(crate) breaker: Option<Breaker>,
    pub(crate) retry: Option<Attempts>,
    pub(crate) bulkhead: Option<Places>,
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) rate: u32,
    pub(crate) per_ms: u64,
    pub(crate) burst: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Breaker {
    pub(crate) failures: u32,
    pub(crate) recovery_ms: u64,
    pub(crate) successes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Attempts {
    pub(crate) max: u32,
    pub(crate) base_ms: u64,
    pub(crate) min_ms: u64,
    pub(crate) max_ms: u64,
    /// `Some`: additive jitter up to this, as the AI strategies have it. `None`: full jitter.
    pub(crate) jitter_max_ms: Option<u64>,
    pub(crate) total_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Places {
    pub(crate) concurrent: u32,
    pub(crate) queued: u32,
    pub(crate) wait_ms: u64,
}

const fn ms(length: u64) -> Duration {
    Duration::from_millis(length)
}

impl Profile {
    /// Its policies, outermost first.
    pub fn policies(&self) -> Vec<PolicyConfig> {
        let fallback = PolicyConfig::Fallback(FallbackConfig::default());
        let rest = [
            self.rate.map(Rate::config),
            self.breaker.map(Breaker::config),
            self.retry.map(Attempts::config),
            self.bulkhead.map(Places::config),
            self.timeout_ms.map(|limit| {
                PolicyConfig::Timeout(TimeoutConfig { limit: ms(limit), ..Default::default() })
            }),
        ];
        std::iter::once(fallback).chain(rest.into_iter().flatten()).collect()
    }
}

impl Rate {
    fn config(self) -> PolicyConfig {
        let Self { rate, per_ms, burst } = self;
        let config = RateLimiterConfig { rate, per: ms(per_ms), burst, ..Default::default() };
        PolicyConfig::RateLimiter(config)
    }
}

impl Breaker {
    pub(crate) fn config(self) -> PolicyConfig {
        PolicyConfig::CircuitBreaker(CircuitBreakerConfig {
            failure_threshold: Some(self.failures),
            recovery_timeout: ms(self.recovery_ms),
            success_threshold: self.successes,
            ..Default::default()
        })
    }
}

impl Attempts {
    pub(crate) fn config(self) -> PolicyConfig {
        let jitter = match self.jitter_max_ms {
            Some(0) => Jitter::None,
            Some(_) => Jitter::Additive,
            None => Jitter::Full,
        };
        PolicyConfig::Retry(RetryConfig {
            max_attempts: self.max,
            backoff: Backoff {
                growth: Growth::Exponential,
                base_delay: ms(self.base_ms),
                min_delay: ms(self.min_ms),
                max_delay: ms(self.max_ms),
                jitter,
                jitter_max: ms(self.jitter_max_ms.unwrap_or(0)),
                ..Default::default()
            },
            max_total_delay: self.total_ms.map(ms),
            ..Default::default()
        })
    }
}

impl Places {
    fn config(self) -> PolicyConfig {
        PolicyConfig::Bulkhead(BulkheadConfig {
            max_concurrent: self.concurrent,
            max_queued: self.queued,
            max_wait: ms(self.wait_ms),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests;
