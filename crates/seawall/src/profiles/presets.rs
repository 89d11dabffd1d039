//! Presets: the policies of an environment for operations that name none of their own, and how a custom configuration
//! changes them in a few words.

use super::{Catalog, Profile, additive, breaker, patient, profile, table::LONG_ANSWER};
use crate::policies::PolicyConfig;
use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

/// A preset: a named choice of policies for all operations of an environment that name none of their own.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("required" = [
    "retry_attempts", "circuit_breaker_threshold", "recovery_timeout", "default_strategy"
])))]
pub struct Preset {
    /// The name of the preset in files and in code.
    #[cfg_attr(feature = "serde", serde(skip_deserializing))]
    pub name: String,
    /// The purpose of the preset, in one line for people.
    #[cfg_attr(feature = "serde", serde(default))]
    pub description: String,
    /// Attempts in all, the first included.
    #[cfg_attr(feature = "serde", serde(default))]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub retry_attempts: u32,
    /// Consecutive failures that open a circuit.
    #[cfg_attr(feature = "serde", serde(default))]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
    pub circuit_breaker_threshold: u32,
    /// Seconds that a circuit stays open.
    #[cfg_attr(feature = "serde", serde(default))]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
    pub recovery_timeout: u32,
    /// The strategy whose waits, and whose limit for one attempt, are used.
    #[cfg_attr(feature = "serde", serde(default))]
    pub default_strategy: String,
    /// Operations with a strategy of their own.
    #[cfg_attr(feature = "serde", serde(default))]
    pub operation_overrides: BTreeMap<String, String>,
    /// The environments that the preset is meant for.
    #[cfg_attr(feature = "serde", serde(default))]
    pub environment_contexts: Vec<String>,
}

/// A custom configuration: what is to differ from a preset. A field that is left out stays as the preset has it.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Override {
    /// Attempts in all, the first included.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10)))]
    pub retry_attempts: Option<u32>,
    /// Consecutive failures that open a circuit.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 20)))]
    pub circuit_breaker_threshold: Option<u32>,
    /// Seconds that a circuit stays open.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 10, max = 300)))]
    pub recovery_timeout: Option<u32>,
    /// The strategy whose waits, and whose limit for one attempt, are used.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub default_strategy: Option<String>,
    /// Operations with a strategy of their own, beside those of the preset.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 10)))]
    pub operation_overrides: BTreeMap<String, String>,
    /// The factor that every wait is multiplied by.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.1, max = 5.0)))]
    pub exponential_multiplier: Option<f64>,
    /// The shortest wait, in seconds.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.5, max = 10.0)))]
    pub exponential_min: Option<f64>,
    /// The longest wait before jitter, in seconds.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 5.0, max = 120.0)))]
    pub exponential_max: Option<f64>,
    /// Whether a random part is added to each wait.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub jitter_enabled: Option<bool>,
    /// The longest random part, in seconds.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.1, max = 10.0)))]
    pub jitter_max: Option<f64>,
    /// Seconds after which no further attempt begins; all of the call ends when one attempt more could have.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    #[cfg_attr(feature = "schema", schemars(range(min = 5, max = 600)))]
    pub max_delay_seconds: Option<u32>,
}

/// A preset in full, with the changes of a custom configuration. Lengths are in seconds.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// The name of the preset.
    pub preset: String,
    /// Attempts in all, the first included.
    pub retry_attempts: u32,
    /// Consecutive failures that open a circuit.
    pub circuit_breaker_threshold: u32,
    /// How many seconds a circuit stays open.
    pub recovery_timeout: u32,
    /// The strategy whose waits, and whose limit for one attempt, are used.
    pub default_strategy: String,
    /// Operations with a strategy of their own.
    pub operation_overrides: BTreeMap<String, String>,
    /// The factor that every wait is multiplied by.
    pub exponential_multiplier: f64,
    /// The shortest wait between two attempts, before jitter.
    pub exponential_min: f64,
    /// The longest wait between two attempts, before jitter.
    pub exponential_max: f64,
    /// Whether a random part is added to each wait.
    pub jitter_enabled: bool,
    /// The most that is added to a wait at random.
    pub jitter_max: f64,
    /// No further attempt begins when this much time has passed.
    pub max_delay_seconds: u32,
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    vec![
        Preset {
            name: "simple".into(),
            description: "Balanced settings that fit most services".into(),
            retry_attempts: 3,
            circuit_breaker_threshold: 5,
            recovery_timeout: 60,
            default_strategy: "balanced".into(),
            operation_overrides: BTreeMap::new(),
            environment_contexts: words(&["development", "testing", "staging", "production"]),
        },
        Preset {
            name: "development".into(),
            description: "Fail fast, to see what fails".into(),
            retry_attempts: 2,
            circuit_breaker_threshold: 3,
            recovery_timeout: 30,
            default_strategy: "aggressive".into(),
            operation_overrides: pairs(&[("sentiment", "aggressive"), ("qa", "balanced")]),
            environment_contexts: words(&["development", "testing"]),
        },
        Preset {
            name: "production".into(),
            description: "Patient, for services that must answer".into(),
            retry_attempts: 5,
            circuit_breaker_threshold: 10,
            recovery_timeout: 120,
            default_strategy: "conservative".into(),
            operation_overrides: pairs(&[
                ("qa", "critical"),
                ("sentiment", "aggressive"),
                ("summarize", "conservative"),
                ("key_points", "balanced"),
                ("questions", "balanced"),
            ]),
            environment_contexts: words(&["production", "staging"]),
        },
    ]
});

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

/// All presets that are built in; the first, `simple`, fits most services.
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// The built-in preset of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// Writes the preset out in full, with the changes of a custom configuration. Where these name another strategy, the
    /// waits are those of that strategy.
    pub fn settings(&self, change: &Override) -> Settings {
        let strategy = change.default_strategy.as_ref().unwrap_or(&self.default_strategy).clone();
        let retry_attempts = change.retry_attempts.unwrap_or(self.retry_attempts);
        let (multiplier, min, max) = match strategy.as_str() {
            "balanced" => (1.0, 2.0, 10.0),
            "aggressive" => (0.5, 1.0, 5.0),
            _ => (1.5, 2.0, 30.0),
        };
        let jitter = profile(&strategy).and_then(Profile::jitter);
        let jitter = jitter.map_or(2.0, |longest| longest.as_secs_f64());
        // The preset's own: a change of the attempts alone must not move it.
        let total = self.retry_attempts.saturating_mul(20).min(120);
        let mut operation_overrides = self.operation_overrides.clone();
        operation_overrides.extend(change.operation_overrides.clone());
        Settings {
            preset: self.name.clone(),
            retry_attempts,
            circuit_breaker_threshold: change
                .circuit_breaker_threshold
                .unwrap_or(self.circuit_breaker_threshold),
            recovery_timeout: change.recovery_timeout.unwrap_or(self.recovery_timeout),
            default_strategy: strategy,
            operation_overrides,
            exponential_multiplier: change.exponential_multiplier.unwrap_or(multiplier),
            exponential_min: change.exponential_min.unwrap_or(min),
            exponential_max: change.exponential_max.unwrap_or(max),
            jitter_enabled: change.jitter_enabled.unwrap_or(true),
            jitter_max: change.jitter_max.unwrap_or(jitter),
            max_delay_seconds: change.max_delay_seconds.unwrap_or(total),
        }
    }

    /// The policies of an operation, outermost first: those of its own strategy where the preset names one for it, else
    /// those of the preset.
    pub fn policies(&self, operation: &str) -> Vec<PolicyConfig> {
        self.settings(&Override::default()).policies(operation, &Catalog::default())
    }
}

impl Override {
    /// Whether it changes nothing of the preset.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Settings {
    /// The name of the strategy that an operation follows: its own, or else the default.
    pub fn strategy_of(&self, operation: &str) -> &str {
        self.operation_overrides.get(operation).unwrap_or(&self.default_strategy)
    }

    /// The policies of an operation, outermost first: those of its own strategy where one is named for it and the catalog
    /// has it, else those of these settings.
    pub fn policies(&self, operation: &str, catalog: &Catalog) -> Vec<PolicyConfig> {
        let own = self.operation_overrides.get(operation);
        own.and_then(|strategy| catalog.strategy(strategy)).unwrap_or_else(|| self.own_policies())
    }

    /// The policies of operations without a strategy of their own, outermost first. An attempt may take as long as with
    /// the default strategy.
    pub fn own_policies(&self) -> Vec<PolicyConfig> {
        let strategy = profile(&self.default_strategy).and_then(Profile::attempt_limit);
        let jitter = if self.jitter_enabled { self.jitter_max } else { 0.0 };
        let waits =
            [self.exponential_multiplier, self.exponential_min, self.exponential_max, jitter];
        patient(
            breaker(self.circuit_breaker_threshold, self.recovery_timeout, 1),
            additive(self.retry_attempts, self.max_delay_seconds, waits),
            strategy.unwrap_or(Duration::from_secs(LONG_ANSWER)),
        )
    }
}
