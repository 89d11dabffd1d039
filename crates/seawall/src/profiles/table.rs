//! The table.

use super::{
    Attempts, Breaker, Places, Profile,
    ProfileKind::{self, Call, Dependency, Strategy, Tier},
    Rate,
};

const S: u64 = 1_000;

/// An AI strategy: waits of `clamp(multiplier · 2ⁿ⁻¹, min, max)` seconds and additive jitter.
const fn ai(
    base_ms: u64,
    max: u32,
    total: u64,
    min: u64,
    top: u64,
    jitter: u64,
) -> Option<Attempts> {
    Some(Attempts {
        max,
        base_ms,
        min_ms: min * S,
        max_ms: top * S,
        jitter_max_ms: Some(jitter * S),
        total_ms: Some(total * S),
    })
}

/// Doubling waits up to a minute, with full jitter.
const fn doubling(max: u32, base_ms: u64) -> Option<Attempts> {
    Some(Attempts { max, base_ms, min_ms: 0, max_ms: 60 * S, jitter_max_ms: None, total_ms: None })
}

const fn breaker(failures: u32, recovery: u64, successes: u32) -> Option<Breaker> {
    Some(Breaker { failures, recovery_ms: recovery * S, successes })
}

const fn queueing(concurrent: u32, wait: u64) -> Option<Places> {
    Some(Places { concurrent, queued: concurrent, wait_ms: wait * S })
}

const fn rejecting(concurrent: u32, wait: u64) -> Option<Places> {
    Some(Places { concurrent, queued: 0, wait_ms: wait * S })
}

const fn rate(rate: u32, burst: u32) -> Option<Rate> {
    Some(Rate { rate, per_ms: 60 * S, burst })
}

const fn row(name: &'static str, kind: ProfileKind, description: &'static str) -> Profile {
    Profile {
        name,
        kind,
        description,
        rate: None,
        breaker: None,
        retry: None,
        bulkhead: None,
        timeout_ms: None,
    }
}

/// Every profile there is.
pub const PROFILES: &[Profile] = &[
    Profile {
        breaker: breaker(3, 30, 1),
        retry: ai(500, 2, 10, 1, 5, 2),
        ..row("aggressive", Strategy, "Fail fast: two attempts within ten seconds")
    },
    Profile {
        breaker: breaker(5, 60, 1),
        retry: ai(1000, 3, 30, 2, 10, 2),
        ..row("balanced", Strategy, "Three attempts within half a minute: for most calls")
    },
    Profile {
        breaker: breaker(8, 120, 1),
        retry: ai(2000, 5, 120, 4, 30, 2),
        ..row("conservative", Strategy, "Five patient attempts within two minutes")
    },
    Profile {
        breaker: breaker(10, 300, 1),
        retry: ai(1500, 7, 300, 3, 60, 5),
        ..row("critical", Strategy, "Seven attempts within five minutes: the answer must come")
    },
    Profile {
        breaker: breaker(5, 60, 3),
        retry: doubling(3, 1000),
        timeout_ms: Some(30 * S),
        ..row("default", Call, "A call of which nothing is known")
    },
    Profile {
        breaker: breaker(3, 30, 3),
        retry: doubling(3, 500),
        bulkhead: queueing(50, 30),
        timeout_ms: Some(10 * S),
        ..row("internal_service", Call, "A service of one's own")
    },
    Profile {
        breaker: breaker(5, 60, 3),
        retry: doubling(4, 1000),
        bulkhead: queueing(20, 30),
        timeout_ms: Some(30 * S),
        ..row("external_service", Call, "A service of somebody else's")
    },
    Profile {
        breaker: breaker(3, 15, 3),
        retry: doubling(2, 100),
        bulkhead: queueing(100, 30),
        timeout_ms: Some(5 * S),
        ..row("database", Call, "A database")
    },
    Profile {
        breaker: breaker(10, 10, 3),
        timeout_ms: Some(2 * S),
        ..row("cache", Call, "A cache: one attempt, no queue")
    },
    Profile {
        rate: rate(100, 10),
        breaker: breaker(2, 180, 1),
        retry: doubling(5, 2000),
        ..row("critical_tier", Tier, "Call sites that the business stands on")
    },
    Profile {
        rate: rate(1000, 100),
        breaker: breaker(5, 60, 1),
        retry: doubling(3, 1000),
        ..row("standard", Tier, "Most call sites")
    },
    Profile {
        rate: rate(10_000, 1000),
        breaker: breaker(10, 30, 1),
        retry: doubling(2, 500),
        ..row("non_critical", Tier, "Call sites that may fail")
    },
    Profile {
        breaker: breaker(5, 60, 1),
        bulkhead: queueing(10, 15),
        timeout_ms: Some(10 * S),
        ..row("database_dependency", Dependency, "A database: queues for ten places")
    },
    Profile {
        breaker: breaker(3, 60, 1),
        bulkhead: rejecting(15, 20),
        timeout_ms: Some(15 * S),
        ..row("external_api", Dependency, "Somebody else's API: rejects beyond fifteen calls")
    },
    Profile {
        bulkhead: rejecting(50, 2),
        timeout_ms: Some(2 * S),
        ..row("cache_dependency", Dependency, "A cache: never breaks the circuit")
    },
    Profile {
        breaker: breaker(5, 60, 1),
        bulkhead: queueing(20, 10),
        timeout_ms: Some(10 * S),
        ..row("message_queue", Dependency, "A message queue")
    },
    Profile {
        bulkhead: rejecting(8, 30),
        timeout_ms: Some(30 * S),
        ..row("file_system", Dependency, "Files: eight operations at once")
    },
    Profile {
        bulkhead: queueing(4, 60),
        timeout_ms: Some(60 * S),
        ..row("cpu_intensive", Dependency, "Computation: four at once")
    },
    Profile {
        bulkhead: queueing(2, 120),
        timeout_ms: Some(120 * S),
        ..row("memory_intensive", Dependency, "Work that needs much memory: two at once")
    },
];

/// The profile of this name.
pub fn profile(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}
