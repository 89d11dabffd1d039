//! The one deployable: a gateway in front of HTTP, OpenAI-compatible and Anthropic upstreams, its control
//! API, its dashboard, and Prometheus metrics, on one listener.
//!
//! [`GatewayConfig`] is the file; [`Server::bind`] opens the listener; [`Server::run`] serves until it is
//! told to stop, then drains.

mod access;
mod alerts;
mod benchmark;
mod config;
#[allow(unused_qualifications, reason = "the macro that describes the endpoints writes them")]
mod control;
mod feed;
mod gateway;
mod inputs;
mod journal;
mod monitor;
mod prometheus;
mod revisions;
mod sampler;
mod serve;
mod wall;

pub use config::{
    AlertConfig, AuthConfig, EffectivePolicy, GatewayConfig, KeyConfig, Limits, MonitoringConfig,
    OperationConfig, Protocol, RateLimitConfig, Repeatable, RouteConfig, Scope, Secret,
    StoreConfig, StrategyConfig, UpstreamConfig,
};
pub use inputs::{Inputs, PROTECTED};
pub use serve::{ServeError, Server, Stop};

/// The registry of a server: Seawall's, on tokio's clock.
pub(crate) type Registry = seawall::Registry<seawall_tower::TokioTimer>;
/// A registered operation of a server.
pub(crate) type Operation = seawall::Operation<seawall_tower::TokioTimer>;
/// The permits of an answer that is still being streamed.
pub(crate) type Held = seawall::Held<std::sync::Arc<seawall::Pipeline>, seawall_tower::TokioTimer>;
/// An error of any kind, where only its text matters.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
