//! Presets: what an environment wants of operations that say nothing themselves.

use super::{Attempts, Breaker, profile, table::PROFILES};
use crate::{FallbackConfig, PolicyConfig};

/// A named choice of policies for a whole environment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Preset {
    /// Its name in files and code.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Attempts in all, the first included.
    pub retry_attempts: u32,
    /// Consecutive failures that open a circuit.
    pub circuit_breaker_threshold: u32,
    /// Seconds that a circuit stays open.
    pub recovery_timeout: u32,
    /// The strategy whose waits are used.
    pub default_strategy: &'static str,
    /// Operations with a strategy of their own.
    pub operation_overrides: &'static [(&'static str, &'static str)],
    /// Environments it is meant for.
    pub environment_contexts: &'static [&'static str],
}

const PRESETS: &[Preset] = &[
    Preset {
        name: "simple",
        description: "Balanced settings that fit most services",
        retry_attempts: 3,
        circuit_breaker_threshold: 5,
        recovery_timeout: 60,
        default_strategy: "balanced",
        operation_overrides: &[],
        environment_contexts: &["development", "testing", "staging", "production"],
    },
    Preset {
        name: "development",
        description: "Fail fast, to see what fails",
        retry_attempts: 2,
        circuit_breaker_threshold: 3,
        recovery_timeout: 30,
        default_strategy: "aggressive",
        operation_overrides: &[("sentiment", "aggressive"), ("qa", "balanced")],
        environment_contexts: &["development", "testing"],
    },
    Preset {
        name: "production",
        description: "Patient, for services that must answer",
        retry_attempts: 5,
        circuit_breaker_threshold: 10,
        recovery_timeout: 120,
        default_strategy: "conservative",
        operation_overrides: &[
            ("qa", "critical"),
            ("sentiment", "aggressive"),
            ("summarize", "conservative"),
            ("key_points", "balanced"),
            ("questions", "balanced"),
        ],
        environment_contexts: &["production", "staging"],
    },
];

/// Every preset there is.
pub fn presets() -> &'static [Preset] {
    PRESETS
}

/// The preset of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The policies of an operation, outermost first: those of its own strategy where the preset names
    /// one for it, else the preset's.
    pub fn policies(&self, operation: &str) -> Vec<PolicyConfig> {
        let own = self.operation_overrides.iter().find(|(name, _)| *name == operation);
        match own.and_then(|(_, strategy)| profile(strategy)) {
            Some(strategy) => strategy.policies(),
            None => self.own_policies(),
        }
    }

    fn own_policies(&self) -> Vec<PolicyConfig> {
        let (base_ms, min_ms, max_ms) = match self.default_strategy {
            "balanced" => (1000, 2000, 10_000),
            "aggressive" => (500, 1000, 5000),
            _ => (1500, 2000, 30_000),
        };
        let strategy = PROFILES.iter().find(|profile| profile.name == self.default_strategy);
        let retry = Attempts {
            max: self.retry_attempts,
            base_ms,
            min_ms,
            max_ms,
            jitter_max_ms: strategy.and_then(|row| row.retry?.jitter_max_ms),
            total_ms: Some(u64::from((20 * self.retry_attempts).min(120)) * 1000),
        };
        let breaker = Breaker {
            failures: self.circuit_breaker_threshold,
            recovery_ms: u64::from(self.recovery_timeout) * 1000,
            successes: 1,
        };
        let fallback = PolicyConfig::Fallback(FallbackConfig::default());
        vec![fallback, breaker.config(), retry.config()]
    }
}
