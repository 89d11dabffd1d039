//! The built-in profiles, one in each row.

use super::{additive, breaker, patient, timeout};
use crate::{
    backoff::{Backoff, Jitter},
    policies::{
        PolicyConfig, bulkhead::BulkheadConfig, fallback::FallbackConfig,
        rate_limiter::RateLimiterConfig, retry::RetryConfig,
    },
};
use ProfileKind::{Call, Dependency, Strategy, ThirdParty, Tier};
use std::{sync::LazyLock, time::Duration};

/// What a profile is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum ProfileKind {
    /// A temperament: `aggressive`, `balanced`, `conservative`, `critical`.
    Strategy,
    /// The kind of call: `internal_service`, `database` …
    Call,
    /// The importance of a call site: `critical_tier`, `standard`, `non_critical`.
    Tier,
    /// The kind of dependency: `database_dependency` …
    Dependency,
    /// A provider whose published limit the profile keeps: `stripe`, `twitter`, `github`.
    ThirdParty,
}

/// A named list of policies that is built in.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The name of the profile in files and in code.
    pub name: &'static str,
    /// What the profile is named after.
    pub kind: ProfileKind,
    /// Its purpose, in one line for people.
    pub description: &'static str,
    policies: Vec<PolicyConfig>,
}

impl Profile {
    /// The policies of the profile, outermost first.
    pub fn policies(&self) -> Vec<PolicyConfig> {
        self.policies.clone()
    }

    /// The most that is added to a wait, if the profile adds anything.
    pub(super) fn jitter(&self) -> Option<Duration> {
        self.policies.iter().find_map(|policy| match policy {
            PolicyConfig::Retry(RetryConfig { backoff, .. }) => {
                (backoff.jitter == Jitter::Additive).then_some(backoff.jitter_max)
            }
            _ => None,
        })
    }

    /// How long one attempt may take, if the profile says so.
    pub(super) fn attempt_limit(&self) -> Option<Duration> {
        match self.policies.last()? {
            PolicyConfig::Timeout(timeout) => Some(timeout.limit),
            _ => None,
        }
    }
}

/// Attempts with doubling waits of up to a minute, with full jitter.
fn doubling(attempts: u32, first_ms: u64) -> PolicyConfig {
    PolicyConfig::Retry(RetryConfig {
        max_attempts: attempts,
        backoff: Backoff {
            base_delay: Duration::from_millis(first_ms),
            jitter: Jitter::Full,
            jitter_max: Duration::ZERO,
            ..Default::default()
        },
        ..Default::default()
    })
}

fn bulkhead(concurrent: u32, queued: u32, wait: u64) -> PolicyConfig {
    PolicyConfig::Bulkhead(BulkheadConfig {
        max_concurrent: concurrent,
        max_queued: queued,
        max_wait: seconds(wait),
        ..Default::default()
    })
}

/// A rate limiter of this many calls in so many seconds.
fn rate(rate: u32, per: u64, burst: u32) -> PolicyConfig {
    let per = seconds(per);
    PolicyConfig::RateLimiter(RateLimiterConfig { rate, per, burst, ..Default::default() })
}

/// A timeout of one attempt, in seconds.
fn limit(attempt: u64) -> PolicyConfig {
    timeout(seconds(attempt))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A profile of these policies, with a fallback around them.
fn row(
    name: &'static str,
    kind: ProfileKind,
    description: &'static str,
    policies: impl IntoIterator<Item = PolicyConfig>,
) -> Profile {
    let fallback = PolicyConfig::Fallback(FallbackConfig::default());
    let policies = std::iter::once(fallback).chain(policies).collect();
    Profile { name, kind, description, policies }
}

fn strategy(
    name: &'static str,
    description: &'static str,
    breaker: PolicyConfig,
    retry: RetryConfig,
    attempt: u64,
) -> Profile {
    let policies = patient(breaker, retry, seconds(attempt));
    Profile { name, kind: Strategy, description, policies }
}

/// Seconds that an attempt may take where the answer may come late: longer than most answers of language models take,
/// and shorter than for ever.
pub(super) const LONG_ANSWER: u64 = 120;

/// Seconds that an attempt may take where failing fast is asked for.
const FAST_ANSWER: u64 = 30;

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(rows);

/// Each row: a name, what it is named after, what it is for, and its policies.
#[rustfmt::skip]
fn rows() -> Vec<Profile> {
    vec![
        strategy("aggressive", "Fail fast: two attempts within ten seconds",
            breaker(3, 30, 1), additive(2, 10, [0.5, 1.0, 5.0, 2.0]), FAST_ANSWER),
        strategy("balanced", "Three attempts within half a minute: for most calls",
            breaker(5, 60, 1), additive(3, 30, [1.0, 2.0, 10.0, 2.0]), LONG_ANSWER),
        strategy("conservative", "Five patient attempts within two minutes",
            breaker(8, 120, 1), additive(5, 120, [2.0, 4.0, 30.0, 2.0]), LONG_ANSWER),
        strategy("critical", "Seven attempts within five minutes: the answer must come",
            breaker(10, 300, 1), additive(7, 300, [1.5, 3.0, 60.0, 5.0]), LONG_ANSWER),

        row("default", Call, "A call of which nothing is known",
            [breaker(5, 60, 3), doubling(3, 1000), limit(30)]),
        row("internal_service", Call, "A service of one's own",
            [breaker(3, 30, 3), doubling(3, 500), bulkhead(50, 50, 30), limit(10)]),
        row("external_service", Call, "A service of somebody else's",
            [breaker(5, 60, 3), doubling(4, 1000), bulkhead(20, 20, 30), limit(30)]),
        row("database", Call, "A database",
            [breaker(3, 15, 3), doubling(2, 100), bulkhead(100, 100, 30), limit(5)]),
        row("cache", Call, "A cache: one attempt, no queue",
            [breaker(10, 10, 3), limit(2)]),

        row("critical_tier", Tier, "Call sites that the business stands on",
            [rate(100, 60, 10), breaker(2, 180, 1), doubling(5, 2000), limit(30)]),
        row("standard", Tier, "Most call sites",
            [rate(1000, 60, 100), breaker(5, 60, 1), doubling(3, 1000), limit(30)]),
        row("non_critical", Tier, "Call sites that may fail",
            [rate(10_000, 60, 1000), breaker(10, 30, 1), doubling(2, 500), limit(30)]),

        row("database_dependency", Dependency, "A database: queues for ten places",
            [breaker(5, 60, 1), bulkhead(10, 10, 15), limit(10)]),
        row("external_api", Dependency, "Somebody else's API: rejects beyond fifteen calls",
            [breaker(3, 60, 1), bulkhead(15, 0, 20), limit(15)]),
        row("cache_dependency", Dependency, "A cache: never breaks the circuit",
            [bulkhead(50, 0, 2), limit(2)]),
        row("message_queue", Dependency, "A message queue",
            [breaker(5, 60, 1), bulkhead(20, 20, 10), limit(10)]),
        row("file_system", Dependency, "Files: eight operations at once",
            [bulkhead(8, 0, 30), limit(30)]),
        row("cpu_intensive", Dependency, "Computation: four at once",
            [bulkhead(4, 4, 60), limit(60)]),
        row("memory_intensive", Dependency, "Work that needs much memory: two at once",
            [bulkhead(2, 2, 120), limit(120)]),

        // Each attempt counts: the limit stands inside the retry.
        row("stripe", ThirdParty, "Stripe: 100 calls a second",
            [breaker(5, 60, 3), doubling(4, 1000), rate(100, 1, 10), limit(30)]),
        row("twitter", ThirdParty, "Twitter: 300 calls in 15 minutes",
            [breaker(5, 60, 3), doubling(4, 1000), rate(300, 900, 0), limit(30)]),
        row("github", ThirdParty, "GitHub: 5,000 calls an hour",
            [breaker(5, 60, 3), doubling(4, 1000), rate(5000, 3600, 100), limit(30)]),
    ]
}

/// All profiles that are built in.
pub fn profiles() -> &'static [Profile] {
    &PROFILES
}

/// The built-in profile of this name.
pub fn profile(name: &str) -> Option<&'static Profile> {
    profiles().iter().find(|profile| profile.name == name)
}
