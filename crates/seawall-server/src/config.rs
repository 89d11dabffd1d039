//! The configuration file that `seawall serve` reads. These types are its only description: the schema, the checks and the
//! reference come from them.

use schemars::JsonSchema;
use seawall::{Override, PolicyConfig, Preset};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

mod advice;
mod check;
mod effective;
mod endpoint;
mod matching;
mod network;
mod operating;
mod upstream;

pub(crate) use check::{NAME_RULE, is_name};
pub use effective::EffectivePolicy;
pub(crate) use endpoint::Endpoint;
pub(crate) use matching::{KeySource, PathPattern, is_reserved};
pub(crate) use network::Network;
pub(crate) use operating::SHORTEST_KEY;
pub use operating::{
    AlertConfig, AuthConfig, KeyConfig, MonitoringConfig, Scope, Secret, StoreConfig,
};
pub use upstream::{Protocol, RateLimitConfig, Repeatable, RouteConfig, UpstreamConfig};

/// The configuration of a server: where it listens, which upstreams it stands in front of, and how it protects them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// The address to listen on. Other than loopback needs a key: `SEAWALL_API_KEYS`, or `auth.keys`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The preset that operations without a `strategy` or `policies` start from: `simple`, `development`,
    /// `production`, or one of `presets`.
    pub preset: String,
    /// Values that take the place of the preset's.
    pub custom: Override,
    /// Presets of your own, by name.
    pub presets: BTreeMap<String, Preset>,
    /// Strategies of your own, by name.
    pub strategies: BTreeMap<String, StrategyConfig>,
    /// How long the server goes on after a signal to stop, while `/readyz` says 503: as long as a load balancer needs
    /// to notice.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub shutdown_delay: Duration,
    /// How long requests in progress may take to finish after that.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub drain_timeout: Duration,
    /// Bounds on what clients may send.
    pub limits: Limits,
    /// Proxies that are trusted to describe their clients: addresses (`10.0.0.7`) and networks (`10.0.0.0/8`). What
    /// others say in `X-Forwarded-*` and `Forwarded` is replaced. Empty: no proxy is trusted.
    #[schemars(length(max = 1000))]
    pub trusted_proxies: Vec<String>,
    /// Named destinations of requests.
    pub upstreams: BTreeMap<String, UpstreamConfig>,
    /// Which request goes to which upstream; the first route that matches decides.
    pub routes: Vec<RouteConfig>,
    /// Operations that code in the same process calls by name.
    pub operations: BTreeMap<String, OperationConfig>,
    /// Keys of the control plane, and what they open.
    pub auth: AuthConfig,
    /// Where the state is kept that survives a restart.
    pub store: StoreConfig,
    /// How much is remembered, and when alerts are raised.
    pub monitoring: MonitoringConfig,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            preset: "simple".into(),
            custom: Override::default(),
            presets: BTreeMap::new(),
            strategies: BTreeMap::new(),
            shutdown_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            upstreams: BTreeMap::new(),
            routes: Vec::new(),
            operations: BTreeMap::new(),
            auth: AuthConfig::default(),
            store: StoreConfig::default(),
            monitoring: MonitoringConfig::default(),
        }
    }
}

/// A named list of policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["policies"]))]
pub struct StrategyConfig {
    /// The purpose of the strategy, in one line.
    #[serde(default)]
    pub description: String,
    /// The policies in order, outermost first.
    #[serde(default)]
    pub policies: Vec<PolicyConfig>,
}

/// An operation that has no upstream here. Without `strategy` and `policies` it has the preset's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationConfig {
    /// The name of a profile. It cannot be set together with `policies`.
    pub strategy: Option<String>,
    /// The policies in order, outermost first.
    pub policies: Option<Vec<PolicyConfig>>,
}

/// A named list of policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes in a request's body, however it is framed; beyond it the answer is 413. A request to the control API may
    /// have 1 MiB at most, and 64 KiB whatever is set here, so that the limit can be set again.
    pub max_body_bytes: u64,
    /// The longest part of a body that is kept for further attempts, in bytes; a longer body is passed on as it comes,
    /// once.
    pub max_replay_bytes: u64,
    /// The most connections that are open at once; further ones wait to be accepted.
    #[schemars(range(min = 1))]
    pub max_connections: usize,
    /// Requests in progress at once, each until the last byte of its answer; beyond it the answer is 503. The control
    /// plane answers beyond it, too.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// How long an idle connection is kept open for a next request. Longer than the keep-alive time of a load balancer
    /// before it, or that one sends requests into connections that are being closed.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub keep_alive_timeout: Duration,
    /// The longest pause between two pieces of a request, and how long its headers may take in all.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub client_timeout: Duration,
    /// The least rate of a request's body, in bytes a second; 0 for none. It counts the time for which the gateway
    /// waits for the client, beyond the first `client_timeout` of it, and not the time in which the upstream does not
    /// read. Below it the answer is 408, which is the client's fault.
    #[schemars(range(max = 1_000_000_000))]
    pub min_upload_rate: u64,
    /// How long a client may read nothing of an answer. Then the connection is closed, the upstream's call is
    /// cancelled, and its permits go back.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 << 20,
            max_replay_bytes: 1 << 20,
            max_connections: 10_000,
            max_in_flight: 5_000,
            keep_alive_timeout: Duration::from_secs(90),
            client_timeout: Duration::from_secs(30),
            min_upload_rate: 1024,
            write_timeout: Duration::from_secs(60),
        }
    }
}
