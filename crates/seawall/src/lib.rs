//! **Seawall** keeps a service standing when the things it calls fail.
//!
//! Name an operation, and call it through the registry; its policies, metrics and circuit come along:
//!
//! ```
//! # async fn summarize() -> Result<String, std::io::Error> { Ok("short".into()) }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = seawall::Registry::with_preset("production")?;
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
//! * a *driver* runs executions: [`Pipeline::run`] for async code, [`Pipeline::run_blocking`] for the
//!   rest, one tower layer, the gateway, and the simulator.
//!
//! Each policy can also be used alone, for example [`CircuitBreaker::try_acquire`].

mod attributes;
mod backoff;
mod bulkhead;
mod chaos;
mod circuit_breaker;
pub mod config;
mod error;
mod event;
mod execution;
mod fallback;
mod hedge;
mod keyed;
mod metrics;
mod outcome;
mod pipeline;
mod policy;
mod profiles;
mod random;
mod rate_limiter;
mod recent;
#[cfg(not(loom))]
mod registry;
mod retry;
mod run;
mod sync;
#[cfg(all(test, not(loom)))]
mod testing;
mod throttle;
mod time;
mod timeout;
#[cfg(not(loom))]
mod timer;
mod window;

pub use attributes::{Attributes, Priority};
pub use backoff::{Backoff, Growth, Jitter};
pub use bulkhead::{
    Adaptive, Aimd, Bulkhead, BulkheadConfig, ControlledDelay, Gradient, Place, QueueOrder,
};
pub use chaos::{Chaos, ChaosConfig, Schedule};
pub use circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitView, Force, Forced, Keys, Permit, Verdict, Window,
};
pub use error::{Elapsed, Error, Reason, Rejection};
pub use event::{Event, Fault, Kind, Observer, State, Transition, Why, Withheld};
pub use execution::{CallId, Command, Execution, Resolution};
pub use fallback::{Fallback, FallbackConfig};
pub use hedge::{Hedge, HedgeConfig};
pub use metrics::{Counts, Histogram, Latencies, Metrics};
pub use outcome::{AnyError, CallerFault, Class, Classify, Failure, Outcome};
pub use pipeline::{Name, Pipeline, check_policies};
pub use policy::{Cause, CustomFrame, CustomPolicy, Cx, Mode, Policy, PolicyConfig, Step};
pub use profiles::{
    Catalog, Override, PROFILES, Preset, Profile, ProfileKind, Settings, preset, presets, profile,
};
pub use random::{Random, fresh_seed};
pub use rate_limiter::{
    Algorithm, Gcra, Limit, Quota, RateLimiter, RateLimiterConfig, Reservation,
};
pub use recent::Percentile;
#[cfg(not(loom))]
pub use registry::{Fallible, Health, Operation, Registry, RegistryChange, RegistryError, global};
pub use retry::{AwsBudget, GrpcBudget, Retry, RetryBudget, RetryConfig, ShareBudget};
pub use run::{Attempt, Failed, Held, Work, drive};
#[cfg(feature = "macros")]
pub use seawall_macros::resilient;
pub use throttle::{Throttle, ThrottleConfig};
pub use time::{Clock, Instant, SystemClock, Timer};
pub use timeout::{Timeout, TimeoutConfig};
#[cfg(not(loom))]
pub use timer::{DefaultSleep, DefaultTimer, SystemSleep, SystemTimer};
pub use window::Tally;

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
}
