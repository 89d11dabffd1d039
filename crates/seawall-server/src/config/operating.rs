//! Keys of the control plane, the store, retention, and alert thresholds.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, path::PathBuf, time::Duration};

/// Characters of the shortest key that may open a server to other machines.
pub(crate) const SHORTEST_KEY: usize = 16;

/// Keys of the control plane, and what they open. Set in files and variables only, never through the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether reading needs a key, too, once there are keys.
    pub protect_reads: bool,
    /// Keys, beside those in `SEAWALL_API_KEYS` and `SEAWALL_READ_API_KEYS`.
    pub keys: Vec<KeyConfig>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { protect_reads: true, keys: Vec::new() }
    }
}

/// A key of the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "key"]))]
pub struct KeyConfig {
    /// The name of the key's owner, which the audit log shows.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The key, best as `${NAME}` of an environment variable.
    #[serde(default)]
    pub key: Secret,
    /// The requests that the key allows.
    #[serde(default)]
    pub scope: Scope,
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

/// Where the state is kept that survives a restart. Set in files and variables only, never through the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The file of the embedded store. Left out: what the control plane remembers ends with the process.
    #[schemars(with = "Option<String>")]
    pub path: Option<PathBuf>,
}

/// How much is remembered of the configuration and its events, and when alerts are raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MonitoringConfig {
    /// Whether loads, changes, validations and sessions are remembered, and alerts raised.
    pub enabled: bool,
    /// Whether the endpoints that validate configurations answer.
    pub validation: bool,
    /// The most events that are kept; the oldest give way.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub max_events: usize,
    /// How long an event is kept.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub retention: Duration,
    /// The most sessions that are kept; the oldest give way.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_sessions: usize,
    /// The number of revisions of the configuration that are kept for a rollback.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_revisions: usize,
    /// The thresholds of alerts.
    pub alerts: AlertConfig,
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            validation: true,
            max_events: 10_000,
            retention: Duration::from_secs(24 * 3600),
            max_sessions: 1_000,
            max_revisions: 100,
            alerts: AlertConfig::default(),
        }
    }
}

/// The thresholds of alerts. Shares lie between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertConfig {
    /// Configuration loads that failed, of those in the last hour: what `usage-statistics` and
    /// `performance-metrics` call healthy. The alert lasts while the file is refused; at 1 there is none.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub config_error_share: f64,
    /// A warning is raised where the last load of the configuration took longer.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub config_load_time: Duration,
    /// A warning is raised where the configuration changed more often in the last hour.
    #[schemars(range(min = 1))]
    pub config_changes_per_hour: u32,
    /// An alert of level `info` is raised where more of the validations in the last hour found errors.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub validation_failure_share: f64,
    /// A warning is raised where more of an operation's calls in the last minute failed.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_share_warning: f64,
    /// A critical alert is raised where more of an operation's calls in the last minute failed.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_share_critical: f64,
    /// A warning is raised where the 95th percentile of an operation's latency in the last minute is longer.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub p95_warning: Duration,
    /// A critical alert is raised where the 95th percentile of an operation's latency in the last minute is longer.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub p95_critical: Duration,
    /// A critical alert is raised where a circuit has been open for longer.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub circuit_open: Duration,
    /// A warning is raised where more of a bulkhead's places are in use.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub bulkhead_share: f64,
    /// A warning is raised where more of an operation's calls in the last minute timed out.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub timeout_share: f64,
    /// Calls in the last minute below which shares and percentiles say nothing.
    #[schemars(range(min = 1))]
    pub minimum_calls: u32,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            config_error_share: 0.05,
            config_load_time: Duration::from_millis(100),
            config_changes_per_hour: 10,
            validation_failure_share: 0.1,
            error_share_warning: 0.05,
            error_share_critical: 0.1,
            p95_warning: Duration::from_secs(2),
            p95_critical: Duration::from_secs(5),
            circuit_open: Duration::from_secs(300),
            bulkhead_share: 0.8,
            timeout_share: 0.05,
            minimum_calls: 20,
        }
    }
}
