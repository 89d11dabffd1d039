//! The one deployable: a gateway in front of HTTP, OpenAI-compatible, Anthropic and Gemini upstreams, its control API,
//! its dashboard, and Prometheus metrics, on one listener.
//!
//! [`GatewayConfig`] is the file; [`Server::bind`] opens the listener; [`Server::run`] serves until it is stopped,
//! then drains.

mod access;
mod active;
mod actor;
mod alerts;
mod audit_trail;
mod benchmark;
mod circuits;
mod config;
#[allow(unused_qualifications, reason = "the macro that describes the endpoints writes them")]
mod control;
mod dead_letters;
mod feed;
mod fleet;
mod gateway;
mod inputs;
mod journal;
mod latency;
mod persistence;
mod prometheus;
mod replays;
mod revisions;
mod runtime;
mod sampler;
mod schema;
mod serve;
mod tenants;
mod wall_clock;

pub use active::Startup;
pub use config::{
    AlertConfig, AuthConfig, BudgetConfig, BudgetUnit, DeadLetterQueueConfig, DeadLettersConfig,
    EffectivePolicy, FleetConfig, GatewayConfig, KeyConfig, LetterStore, Limits, MonitoringConfig,
    OperationConfig, Period, PriceConfig, Protocol, RateLimitConfig, RedisStoreConfig, Repeatable,
    RequestLimitConfig, RouteConfig, RouteDeadLetter, Scope, Secret, SentinelConfig, StoreConfig,
    StrategyConfig, TenantConfig, TenantsConfig, TierConfig, TokenLimitConfig, UpstreamConfig,
};
pub use inputs::{Inputs, PROTECTED};
pub use serve::{ServeError, Server, Stop};

/// The answers and requests of the control API as types, for clients of a running server: what the server writes is what
/// they read.
pub mod wire {
    pub use crate::{
        alerts::{Alert, Category, Level},
        benchmark::Measured,
        control::{
            AlertList, AlertSummary, BenchmarkAnswer, BudgetView, ChangeMode, CircuitBreakerView,
            CircuitBreakers, CircuitMetrics, ConfigAnswer, ConfigChanged, ConfigRequest,
            ForceRequest, ForcedState, ForcedView, ImportAnswer, LetterChange, LetterSelection,
            LetterStats, LetterView, LimitKey, LimiterView, MistakeView, ModeChange, ModeRequest,
            ModelUseView, NearKey, OperationDetail, OperationLimits, OperationLine,
            OperationMetrics, Operations, PauseChange, PauseRequest, PolicyValue, PolicyView,
            ProblemDocument, PurgeRequest, QuotaView, RateLimitList, RefusedLine, ResealRequest,
            RevisionHistory, RevisionLine, RollbackRequest, StateChange, Suite, TenantList,
            TenantView, TransitionView,
        },
        feed::Line,
        fleet::{
            FleetInstance, FleetKind, FleetRevisionView, FleetView, InstanceReport, InstanceState,
        },
        latency::LatencyView,
        revisions::{Cause, Difference},
        sampler::{Activity, CircuitLine, HealthView, Minute, OperationView, Snapshot},
    };
    pub use seawall_store::letters::{
        Attempt, Envelope, Fingerprint, Group, Groups, Header, Job, JobStatus, LetterId,
        Page as LetterPage, Payload, Progress, Query as LetterQuery, QueueStats, ReplayOrder,
        Resealed, Selection, State as LetterState, Stats as LettersStats,
    };
}
