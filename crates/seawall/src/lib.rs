//! **Seawall** keeps a service standing when the things it calls fail.
//!
//! Name an operation, and call it through the registry; its policies, metrics and circuit come along:
//!
//! ```
//! # async fn summarize() -> Result<String, std::io::Error> { Ok("short".into()) }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = seawall::Registry::builder().preset("production")?.build();
//! let summary = registry.operation("ai_summarize")?.call(|| summarize()).await?;
//! # assert_eq!(summary, "short"); Ok(()) }
//! ```
//!
//! Four nouns carry the whole:
//!
//! * a [`Policy`] is the shared state of one pattern: a breaker's circuit, a limiter's bucket;
//! * a [`Pipeline`] is an ordered list of policies, outermost first;
//! * an [`Execution`] is one caller's passage through a pipeline. It is told what happened and when, and
//!   says what to do next; it never sees a clock, a socket or a value;
//! * a *driver* runs executions: [`Run`] for async code and for plain functions, the tower layers, the gateway, and
//!   the simulator.
//!
//! Each policy can also be used alone, for example [`CircuitBreaker::try_acquire`].

// The declarations of configurations name this crate as others do.
extern crate self as seawall;

mod attributes;
mod backoff;
mod command;
pub mod config;
mod dead_letters;
mod error;
mod event;
mod execution;
mod histogram;
mod keyed;
mod metrics;
mod name;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod observers;
mod outcome;
mod pipeline;
mod policies;
mod policy;
mod profiles;
mod random;
mod recent;
#[cfg(not(loom))]
mod registry;
mod rejection;
mod run;
mod sync;
#[cfg(all(test, not(loom)))]
mod testing;
mod time;
#[cfg(not(loom))]
mod timer;
mod window;

pub use attributes::{Attributes, Key, Priority};
pub use backoff::{Backoff, Growth, Jitter};
pub use command::{CallId, Command, Resolution};
pub use dead_letters::{
    DeadLetters, FailedCall, LetterAttempt, LetterDraft, LetterFate, Payload, Storing,
};
pub use error::{Elapsed, Error, Rejected};
pub use event::{Event, Fault, Kind, LetterLoss, Observer, State, Transition, Why, Withheld};
pub use execution::Execution;
pub use histogram::{Histogram, Latencies};
pub use metrics::{Counter, Counts, Metrics, Series};
pub use name::Name;
#[cfg(feature = "metrics")]
pub use observers::MetricsObserver;
#[cfg(feature = "tracing")]
pub use observers::TracingObserver;
pub use outcome::{AnyError, CallerFault, Class, Classify, Failure, Outcome, Settled, Verdict};
pub use pipeline::{Pipeline, check_policies};
pub use policies::bulkhead::{
    Adaptive, Aimd, Bulkhead, BulkheadConfig, ControlledDelay, Gradient, Place, QueueOrder,
};
pub use policies::chaos::{Chaos, ChaosConfig, Schedule};
pub use policies::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitReport, CircuitSnapshot, CircuitView,
    FleetCircuit, Force, Forced, KeyedCounts, OpenBy, Permit, ProbeLease, ReportedState,
    SharedCircuit, SharedCircuitView, SharedCircuits,
};
pub use policies::dead_letter::{DeadLetter, DeadLetterConfig};
pub use policies::fallback::{Fallback, FallbackConfig};
pub use policies::hedge::{Hedge, HedgeConfig};
pub use policies::rate_limiter::{
    Algorithm, DegradedMode, Gcra, Limit, LimitAsk, LimitGrant, LimitSettlement, Quota,
    RateLimiter, RateLimiterConfig, Reservation, SharedLimit, SharedLimits, Unit,
};
pub use policies::retry::{AwsBudget, GrpcBudget, Retry, RetryBudget, RetryConfig, ShareBudget};
pub use policies::throttle::{Throttle, ThrottleConfig};
pub use policies::timeout::{Timeout, TimeoutConfig};
pub use policies::{Policy, PolicyConfig};
pub use policy::{Cause, CustomFrame, CustomPolicy, Cx, Mode, Step};
pub use profiles::{
    Catalog, DecidedBy, Override, Preset, Profile, ProfileKind, Settings, decided_by, preset,
    presets, profile, profiles,
};
pub use random::{Random, fresh_seed};
pub use recent::Percentile;
#[cfg(not(loom))]
pub use registry::{
    Fallible, Health, Operation, Registry, RegistryBuilder, RegistryChange, RegistryError, global,
};
pub use rejection::{Reason, Rejection};
pub use run::{Attempt, HeldPermits, KeptFuture, KeptRun, Run, RunFuture, Work, WorkResult};
#[cfg(feature = "macros")]
pub use seawall_macros::resilient;
pub use time::{Clock, Instant, SystemClock, Timer};
#[cfg(not(loom))]
pub use timer::{DefaultSleep, DefaultTimer, SystemSleep, SystemTimer};
pub use window::{Tally, Window};

/// Short constructors of the policies' configurations, and the list that holds them.
///
/// ```
/// use seawall::prelude::*;
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let policies = policies![
///     rate_limit(100, second).burst(20),
///     breaker().failure_threshold(3),
///     retry(4),
///     timeout(2 * second),
/// ];
/// seawall::Registry::default().register("stock", policies)?;
/// # Ok::<(), seawall::RegistryError>(())
/// ```
///
/// Each gives a configuration with its defaults, and one setter for each of its fields; [`policies!`] takes them all.
pub mod prelude {
    pub use crate::{
        policies,
        policies::{
            bulkhead::bulkhead, chaos::chaos, circuit_breaker::breaker, dead_letter::dead_letter,
            fallback::fallback, hedge::hedge, rate_limiter::rate_limit, retry::retry,
            throttle::throttle, timeout::timeout,
        },
    };
}

/// The configurations of a pipeline's policies, outermost first, as a `Vec<PolicyConfig>`. Each is the configuration
/// of any policy; the short constructors of the [prelude] make them.
#[macro_export]
macro_rules! policies {
    ($($policy:expr),* $(,)?) => { ::std::vec![$($crate::PolicyConfig::from($policy)),*] };
}

/// The guides' examples, compiled and run.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/library.md")]
    struct Library;
    #[doc = include_str!("../../../docs/testing.md")]
    #[cfg(feature = "tokio")]
    struct Testing;
    #[doc = include_str!("../../../docs/policies/timeout.md")]
    struct Timeout;
    #[doc = include_str!("../../../docs/policies/retry.md")]
    struct Retry;
    #[doc = include_str!("../../../docs/policies/hedge.md")]
    struct Hedge;
    #[doc = include_str!("../../../docs/policies/circuit-breaker.md")]
    struct CircuitBreaker;
    #[doc = include_str!("../../../docs/policies/throttle.md")]
    struct Throttle;
    #[doc = include_str!("../../../docs/policies/rate-limiter.md")]
    struct RateLimiter;
    #[doc = include_str!("../../../docs/policies/bulkhead.md")]
    struct Bulkhead;
    #[doc = include_str!("../../../docs/policies/fallback.md")]
    struct Fallback;
    #[doc = include_str!("../../../docs/policies/chaos.md")]
    struct Chaos;
    #[doc = include_str!("../../../docs/policies/dead-letter.md")]
    struct DeadLetter;
}
