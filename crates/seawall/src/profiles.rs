//! Named sets of policies, as one table of data: strategies by temperament, call profiles, call-site tiers and kinds
//! of dependency; and presets by environment, which choose among them.
//!
//! Order within each, outermost first: fallback → rate limiter → total timeout → circuit breaker → retry → bulkhead →
//! attempt timeout → call. So one operation whose retries are exhausted is one failure for its breaker. Strategies and
//! presets bound both an attempt and the whole; the total is the time in which attempts may begin plus one attempt, so
//! that it never cuts off what the retry policy would still have allowed.

use crate::{
    backoff::{Backoff, Jitter},
    policies::{
        PolicyConfig, circuit_breaker::CircuitBreakerConfig, fallback::FallbackConfig,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use std::time::Duration;

mod catalog;
mod deciding;
mod presets;
mod table;

pub use catalog::Catalog;
pub use deciding::{DecidedBy, decided_by};
pub use presets::{Override, Preset, Settings, preset, presets};
pub use table::{Profile, ProfileKind, profile, profiles};

/// The policies that strategies and presets consist of: `retry` bounds when attempts may begin, `attempt` how long each
/// may take.
fn patient(breaker: PolicyConfig, retry: RetryConfig, attempt: Duration) -> Vec<PolicyConfig> {
    let beginning = retry.max_total_delay.unwrap_or_default();
    vec![
        PolicyConfig::Fallback(FallbackConfig::default()),
        timeout(beginning + attempt),
        breaker,
        PolicyConfig::Retry(retry),
        timeout(attempt),
    ]
}

/// A breaker that opens after this many failures in a row, for this many seconds.
fn breaker(failures: u32, recovery: u32, successes: u32) -> PolicyConfig {
    PolicyConfig::CircuitBreaker(CircuitBreakerConfig {
        failure_threshold: Some(failures),
        recovery_timeout: Duration::from_secs(recovery.into()),
        success_threshold: successes,
        ..Default::default()
    })
}

/// Waits of `clamp(multiplier · 2ⁿ⁻¹, min, max)` seconds and up to `jitter` more; after `total` seconds no attempt begins.
fn additive(attempts: u32, total: u32, [multiplier, min, max, jitter]: [f64; 4]) -> RetryConfig {
    let seconds = |seconds: f64| Duration::from_millis((seconds * 1000.0).round() as u64);
    RetryConfig {
        max_attempts: attempts,
        backoff: Backoff {
            base_delay: seconds(multiplier),
            min_delay: seconds(min),
            max_delay: seconds(max),
            jitter: if jitter > 0.0 { Jitter::Additive } else { Jitter::None },
            jitter_max: seconds(jitter),
            ..Default::default()
        },
        max_total_delay: Some(Duration::from_secs(total.into())),
        ..Default::default()
    }
}

fn timeout(limit: Duration) -> PolicyConfig {
    PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() })
}

#[cfg(test)]
mod tests;
