//! Keys of the control plane, the store, retention, and alert thresholds.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use seawall::config::{Problems, days, millis, secs};
use seawall_store::redis::{
    RedisAddress, RedisConfig, RedisIdentity, RedisTls, is_address, is_encrypted,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, fs, path::PathBuf, time::Duration};

/// Characters of the shortest key that may open a server to other machines.
pub(crate) const SHORTEST_KEY: usize = 16;

seawall::configuration! {
    /// Keys of the control plane, and what they open. Set in files and variables only, never through the API.
    pub struct AuthConfig {
        /// Whether reading needs a key, too, once there are keys.
        protect_reads: bool = true,
        /// Keys, beside those in `SEAWALL_API_KEYS` and `SEAWALL_READ_API_KEYS`.
        keys: Vec<KeyConfig> = Vec::new(),
    }
}

seawall::configuration! {
    /// A key of the control plane.
    #[schemars(extend("required" = ["name", "key"]))]
    pub struct KeyConfig {
        /// The name of the key's owner, which the audit log shows.
        #[schemars(length(min = 1, max = 64))]
        name: String = String::new(),
        /// The key, best as `${NAME}` of an environment variable.
        key: Secret = Secret::default(),
        /// The requests that the key allows.
        scope: Scope = Scope::default(),
    }
}

/// The requests that a key allows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reading only.
    #[default]
    Read,
    /// Reading and changing.
    Write,
}

/// A text that is never shown: logs, documents and answers have `***` in its place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true, "format": "password" })
    }
}

seawall::configuration! {
    /// Where the state is kept that survives a restart. Set in files and variables only, never through the API.
    pub struct StoreConfig {
        /// The file of the embedded store. Left out: what the control plane remembers ends with the process.
        #[schemars(with = "Option<String>")]
        path: Option<PathBuf> = None,
        /// The Redis or Valkey that counts the rate limits which this instance shares with others.
        #[nested]
        redis: Option<RedisStoreConfig> = None,
    }
}

seawall::configuration! {
    /// A Redis 6 or a Valkey: one of `url`, `cluster` and `sentinel` says how it is reached. Addresses are URLs,
    /// `redis://[user:password@]host[:port][/database]`, and are never shown. Connections to `rediss://…` are encrypted.
    #[check(Self::check_address)]
    pub struct RedisStoreConfig {
        /// The address of one server.
        url: Option<Secret> = None,
        /// The addresses of some nodes of a Cluster; it names the others.
        cluster: Vec<Secret> = Vec::new(),
        /// The Sentinels that know which server is the master.
        sentinel: Option<SentinelConfig> = None,
        /// What all of its keys begin with, so that others can use the same Redis. Instances with one prefix share limits.
        prefix: String = "seawall".to_owned(),
        /// The certificates of encrypted connections. Left out: the server's comes from an authority that browsers trust.
        #[nested]
        tls: Option<RedisTlsConfig> = None,
    }
}

seawall::configuration! {
    /// Files with certificates in PEM, for addresses that begin with `rediss://`. They are read at the start.
    #[check(Self::check_identity)]
    pub struct RedisTlsConfig {
        /// The authorities that the server's certificate may come from, in place of those that browsers trust.
        #[schemars(with = "Option<String>")]
        authorities: Option<PathBuf> = None,
        /// The certificate that is shown to a server that asks for one.
        #[schemars(with = "Option<String>")]
        certificate: Option<PathBuf> = None,
        /// The private key of `certificate`.
        #[schemars(with = "Option<String>")]
        key: Option<PathBuf> = None,
    }
}

impl RedisTlsConfig {
    fn check_identity(&self, problems: &mut Problems) {
        let both = self.certificate.is_some() == self.key.is_some();
        let value = if self.key.is_some() { "a key alone" } else { "a certificate alone" };
        problems.require(both, "key", format_args!("{value}"), "key and certificate, or neither");
    }

    fn read(&self) -> Result<RedisTls, String> {
        let read = |field: &str, path: &Option<PathBuf>| {
            let text = path.as_ref().map(|path| {
                let failed =
                    |error| format!("store.redis.tls.{field}: {}: {error}", path.display());
                fs::read(path).map_err(failed)
            });
            text.transpose()
        };
        let identity = read("certificate", &self.certificate)?.zip(read("key", &self.key)?);
        let identity = identity.map(|(certificate, key)| RedisIdentity { certificate, key });
        Ok(RedisTls { authorities: read("authorities", &self.authorities)?, identity })
    }
}

seawall::configuration! {
    /// Sentinels, and the master that they watch.
    pub struct SentinelConfig {
        /// The addresses of the Sentinels.
        addresses: Vec<Secret> = Vec::new(),
        /// The name of the master.
        master: String = String::new(),
        /// A URL with the user, the password and the database of the master; its host means nothing. Left out: no
        /// password, and database 0.
        login: Option<Secret> = None,
    }
}

/// The addresses of a list, with the names of their fields.
fn named<'a>(
    field: &'static str,
    addresses: &'a [Secret],
) -> impl Iterator<Item = (String, &'a Secret)> {
    addresses.iter().enumerate().map(move |(at, address)| (format!("{field}[{at}]"), address))
}

impl RedisStoreConfig {
    fn check_address(&self, problems: &mut Problems) {
        let sentinel = self.sentinel.as_ref();
        let ways = [self.url.is_some(), !self.cluster.is_empty(), sentinel.is_some()];
        let given = ways.into_iter().filter(|way| *way).count();
        let value = format_args!("{given} of url, cluster and sentinel");
        let right = "the only one of url, cluster and sentinel";
        problems.require(given == 1, "url", value, right);
        if let Some(SentinelConfig { addresses, master, .. }) = sentinel {
            let full = !addresses.is_empty() && !master.is_empty();
            let value = format_args!("{} addresses and the name {master:?}", addresses.len());
            problems.require(full, "sentinel", value, "addresses and the name of a master");
        }
        let addresses = self.addresses();
        for (field, address) in &addresses {
            let right = "a URL such as redis://user:password@host:6379/0, or rediss://… for one that is encrypted";
            problems.require(is_address(address.expose()), field, address, right);
        }
        let encrypted = addresses.iter().any(|(_, address)| is_encrypted(address.expose()));
        let used = self.tls.is_none() || encrypted;
        let right = "left out, where no address begins with rediss://";
        problems.require(used, "tls", format_args!("tls"), right);
    }

    /// All addresses, with the names of their fields.
    fn addresses(&self) -> Vec<(String, &Secret)> {
        let mut addresses: Vec<_> = self.url.iter().map(|url| ("url".to_owned(), url)).collect();
        addresses.extend(named("cluster", &self.cluster));
        if let Some(sentinel) = &self.sentinel {
            addresses.extend(named("sentinel.addresses", &sentinel.addresses));
            addresses.extend(sentinel.login.iter().map(|url| ("sentinel.login".to_owned(), url)));
        }
        addresses
    }

    /// What the store's client takes; `None` where no address is given.
    ///
    /// # Errors
    /// The file of a certificate that cannot be read, and why.
    pub(crate) fn connection(&self) -> Result<Option<RedisConfig>, String> {
        let texts =
            |secrets: &[Secret]| secrets.iter().map(|one| one.expose().to_owned()).collect();
        let address = match (&self.url, &self.sentinel) {
            (Some(url), _) => RedisAddress::Standalone(url.expose().to_owned()),
            (None, Some(named)) => RedisAddress::Sentinel {
                sentinels: texts(&named.addresses),
                master: named.master.clone(),
                master_url: named.login.as_ref().map(|login| login.expose().to_owned()),
            },
            (None, None) if self.cluster.is_empty() => return Ok(None),
            (None, None) => RedisAddress::Cluster(texts(&self.cluster)),
        };
        let tls = self.tls.as_ref().map(RedisTlsConfig::read).transpose()?.unwrap_or_default();
        Ok(Some(RedisConfig { address, prefix: self.prefix.clone(), tls }))
    }
}

seawall::configuration! {
    /// How much is remembered of the configuration and its events, and when alerts are raised.
    pub struct MonitoringConfig {
        /// Whether loads, changes, validations and sessions are remembered, and alerts raised.
        enabled: bool = true,
        /// Whether the endpoints that validate configurations answer.
        validation: bool = true,
        /// The most events that are kept; the oldest give way.
        #[range(100..=1_000_000)]
        max_events: usize = 10_000,
        /// How long an event is kept.
        #[range(positive)]
        retention: Duration = days(1),
        /// The most sessions that are kept; the oldest give way.
        #[range(1..=100_000)]
        max_sessions: usize = 1_000,
        /// The number of revisions of the configuration that are kept for a rollback.
        #[range(1..=10_000)]
        max_revisions: usize = 100,
        /// The thresholds of alerts.
        #[nested]
        alerts: AlertConfig = AlertConfig::default(),
    }
}

seawall::configuration! {
    /// The thresholds of alerts. Shares lie between 0 and 1.
    pub struct AlertConfig {
        /// Configuration loads that failed, of those in the last hour: what `usage-statistics` and
        /// `performance-metrics` call healthy. The alert lasts while the file is refused; at 1 there is none.
        #[range(0.0..=1.0)]
        config_error_share: f64 = 0.05,
        /// A warning is raised where the last load of the configuration took longer.
        config_load_time: Duration = millis(100),
        /// A warning is raised where the configuration changed more often in the last hour.
        #[range(1..)]
        config_changes_per_hour: u32 = 10,
        /// An alert of level `info` is raised where more of the validations in the last hour found errors.
        #[range(0.0..=1.0)]
        validation_failure_share: f64 = 0.1,
        /// A warning is raised where more of an operation's calls in the last minute failed.
        #[range(0.0..=1.0)]
        error_share_warning: f64 = 0.05,
        /// A critical alert is raised where more of an operation's calls in the last minute failed.
        #[range(0.0..=1.0)]
        error_share_critical: f64 = 0.1,
        /// A warning is raised where the 95th percentile of an operation's latency in the last minute is longer.
        p95_warning: Duration = secs(2),
        /// A critical alert is raised where the 95th percentile of an operation's latency in the last minute is longer.
        p95_critical: Duration = secs(5),
        /// A critical alert is raised where a circuit has been open for longer.
        circuit_open: Duration = secs(300),
        /// A warning is raised where a store that instances share has not answered for longer: limits that are shared are decided
        /// without it, or the fleet's configuration cannot be changed.
        store_lost: Duration = secs(60),
        /// A warning is raised where more of a bulkhead's places are in use.
        #[range(0.0..=1.0)]
        bulkhead_share: f64 = 0.8,
        /// A warning is raised where more of an operation's calls in the last minute timed out.
        #[range(0.0..=1.0)]
        timeout_share: f64 = 0.05,
        /// Calls in the last minute below which shares and percentiles say nothing.
        #[range(1..)]
        minimum_calls: u32 = 20,
    }
}
