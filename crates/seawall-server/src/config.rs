//! The configuration file that `seawall serve` reads. These types are its only description: the schema, the checks and the
//! reference come from them.

use seawall::{
    Override, PolicyConfig, Preset,
    config::{days, secs},
};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

mod advice;
mod check;
mod dead_letters;
mod effective;
mod endpoint;
mod fleet;
mod matching;
mod network;
mod operating;
mod tenants;
mod tiers;
mod upstream;

pub(crate) use check::{NAME_RULE, is_name};
pub use dead_letters::{DeadLetterQueueConfig, DeadLettersConfig, LetterStore, RouteDeadLetter};
pub use effective::EffectivePolicy;
pub(crate) use endpoint::Endpoint;
pub use fleet::FleetConfig;
pub(crate) use matching::{KeySource, PathPattern, is_reserved, shared_key};
pub(crate) use network::Network;
pub(crate) use operating::SHORTEST_KEY;
pub use operating::{
    AlertConfig, AuthConfig, KeyConfig, MonitoringConfig, RedisStoreConfig, Scope, Secret,
    SentinelConfig, StoreConfig,
};
pub(crate) use tenants::TenantSource;
pub use tenants::{
    BudgetConfig, BudgetUnit, Period, PriceConfig, RequestLimitConfig, TenantConfig, TenantsConfig,
};
pub use tiers::TierConfig;
pub use upstream::{
    Protocol, RateLimitConfig, Repeatable, RouteConfig, TokenLimitConfig, UpstreamConfig,
};

seawall::configuration! {
    /// The configuration of a server: where it listens, which upstreams it stands in front of, and how it protects them.
    pub struct GatewayConfig {
        /// The address to listen on. Other than loopback needs a key: `SEAWALL_API_KEYS`, or `auth.keys`.
        #[schemars(with = "String")]
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8000)),
        /// The preset that operations without a `strategy` or `policies` start from: `simple`, `development`,
        /// `production`, or one of `presets`.
        preset: String = "simple".into(),
        /// Values that take the place of the preset's.
        custom: Override = Override::default(),
        /// Presets of your own, by name.
        presets: BTreeMap<String, Preset> = BTreeMap::new(),
        /// Strategies of your own, by name.
        strategies: BTreeMap<String, StrategyConfig> = BTreeMap::new(),
        /// How long the server goes on after a signal to stop, while `/readyz` says 503: as long as a load balancer needs
        /// to notice.
        shutdown_delay: Duration = Duration::ZERO,
        /// How long requests in progress may take to finish after that.
        drain_timeout: Duration = secs(30),
        /// Bounds on what clients may send.
        #[nested]
        limits: Limits = Limits::default(),
        /// Proxies that are trusted to describe their clients: addresses (`10.0.0.7`) and networks (`10.0.0.0/8`). What
        /// others say in `X-Forwarded-*` and `Forwarded` is replaced. Empty: no proxy is trusted.
        #[schemars(length(max = 1000))]
        trusted_proxies: Vec<String> = Vec::new(),
        /// Named destinations of requests.
        upstreams: BTreeMap<String, UpstreamConfig> = BTreeMap::new(),
        /// Which request goes to which upstream; the first route that matches decides.
        #[nested]
        routes: Vec<RouteConfig> = Vec::new(),
        /// Whose requests are, and what each tenant may use.
        #[nested]
        tenants: TenantsConfig = TenantsConfig::default(),
        /// Operations that code in the same process calls by name.
        operations: BTreeMap<String, OperationConfig> = BTreeMap::new(),
        /// Keys of the control plane, and what they open.
        auth: AuthConfig = AuthConfig::default(),
        /// Where the state is kept that survives a restart.
        #[nested]
        store: StoreConfig = StoreConfig::default(),
        /// The instances that serve together, and how a change reaches all of them. Left out: this instance is on its own.
        #[nested]
        fleet: Option<FleetConfig> = None,
        /// Requests that failed for good, kept until somebody replays or deletes them.
        #[nested]
        dead_letters: DeadLettersConfig = DeadLettersConfig::default(),
        /// How much is remembered, and when alerts are raised.
        #[nested]
        monitoring: MonitoringConfig = MonitoringConfig::default(),
    }
}

seawall::configuration! {
    /// A named list of policies.
    #[schemars(extend("required" = ["policies"]))]
    pub struct StrategyConfig {
        /// The purpose of the strategy, in one line.
        description: String = String::new(),
        /// The policies in order, outermost first.
        policies: Vec<PolicyConfig> = Vec::new(),
    }
}

seawall::configuration! {
    /// An operation that has no upstream here. Without `strategy` and `policies` it has the preset's.
    pub struct OperationConfig {
        /// The name of a profile. It cannot be set together with `policies`.
        strategy: Option<String> = None,
        /// The policies in order, outermost first.
        policies: Option<Vec<PolicyConfig>> = None,
    }
}

seawall::configuration! {
    /// Bounds on what clients may send.
    pub struct Limits {
        /// Bytes in a request's body, however it is framed; beyond it the answer is 413. A request to the control API may
        /// have 1 MiB at most, and 64 KiB whatever is set here, so that the limit can be set again.
        max_body_bytes: u64 = 32 << 20,
        /// The longest part of a body that is kept for further attempts, in bytes; a longer body is passed on as it comes,
        /// once.
        max_replay_bytes: u64 = 1 << 20,
        /// The most connections that are open at once; further ones wait to be accepted.
        #[range(1..)]
        max_connections: usize = 10_000,
        /// Requests in progress at once, each until the last byte of its answer; beyond it the answer is 503. The control
        /// plane answers beyond it, too.
        #[range(1..=1_000_000)]
        max_in_flight: usize = 5_000,
        /// How long an idle connection is kept open for a next request. Longer than the keep-alive time of a load balancer
        /// before it, or that one sends requests into connections that are being closed.
        #[range(positive..=days(365))]
        keep_alive_timeout: Duration = secs(90),
        /// The longest pause between two pieces of a request, and how long its headers may take in all.
        #[range(positive..=days(365))]
        client_timeout: Duration = secs(30),
        /// The least rate of a request's body, in bytes a second; 0 for none. It counts the time for which the gateway
        /// waits for the client, beyond the first `client_timeout` of it, and not the time in which the upstream does not
        /// read. Below it the answer is 408, which is the client's fault.
        #[range(0..=1_000_000_000)]
        min_upload_rate: u64 = 1024,
        /// How long a client may read nothing of an answer. Then the connection is closed, the upstream's call is
        /// cancelled, and its permits go back.
        #[range(positive..=days(365))]
        write_timeout: Duration = secs(60),
    }
}
