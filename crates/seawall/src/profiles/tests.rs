//! The table against the specification's numbers, and each of them acting.

use super::*;
use crate::pipeline::Pipeline;
use std::collections::{BTreeMap, BTreeSet};

/// A policy in a few words.
fn shown(policy: &PolicyConfig) -> String {
    let s = |length: Duration| format!("{}s", length.as_secs_f64());
    match policy {
        PolicyConfig::Fallback(_) => "fallback".into(),
        PolicyConfig::RateLimiter(c) => format!("rate {}/{}+{}", c.rate, s(c.per), c.burst),
        PolicyConfig::CircuitBreaker(c) => format!(
            "breaker {}/{}/{}",
            c.consecutive_failures().unwrap_or(0),
            s(c.recovery_timeout),
            c.success_threshold
        ),
        PolicyConfig::Retry(c) => {
            let Backoff { base_delay, min_delay, max_delay, jitter, jitter_max, .. } = c.backoff;
            let jitter = match jitter {
                Jitter::Additive => format!("+{}", s(jitter_max)),
                jitter => format!("{jitter:?}"),
            };
            let total = c.max_total_delay.map_or_else(|| "-".into(), s);
            let (base, min, max) = (s(base_delay), s(min_delay), s(max_delay));
            format!("retry {}x{base} [{min},{max}] {jitter} {total}", c.max_attempts)
        }
        PolicyConfig::Bulkhead(c) => {
            format!("bulkhead {}+{} {}", c.max_concurrent, c.max_queued, s(c.max_wait))
        }
        PolicyConfig::Timeout(c) => format!("timeout {}", s(c.limit)),
        other => panic!("no profile has {other:?}"),
    }
}

fn shown_all(policies: &[PolicyConfig]) -> String {
    policies.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[test]
fn profiles_have_the_numbers_of_the_specification() {
    for (name, expected) in [
        ("aggressive", "breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 10s"),
        ("balanced", "breaker 5/60s/1, retry 3x1s [2s,10s] +2s 30s"),
        ("conservative", "breaker 8/120s/1, retry 5x2s [4s,30s] +2s 120s"),
        ("critical", "breaker 10/300s/1, retry 7x1.5s [3s,60s] +5s 300s"),
        ("default", "breaker 5/60s/3, retry 3x1s [0s,60s] Full -, timeout 30s"),
        (
            "internal_service",
            "breaker 3/30s/3, retry 3x0.5s [0s,60s] Full -, bulkhead 50+50 30s, timeout 10s",
        ),
        (
            "external_service",
            "breaker 5/60s/3, retry 4x1s [0s,60s] Full -, bulkhead 20+20 30s, timeout 30s",
        ),
        (
            "database",
            "breaker 3/15s/3, retry 2x0.1s [0s,60s] Full -, bulkhead 100+100 30s, timeout 5s",
        ),
        ("cache", "breaker 10/10s/3, timeout 2s"),
        ("critical_tier", "rate 100/60s+10, breaker 2/180s/1, retry 5x2s [0s,60s] Full -"),
        ("standard", "rate 1000/60s+100, breaker 5/60s/1, retry 3x1s [0s,60s] Full -"),
        ("non_critical", "rate 10000/60s+1000, breaker 10/30s/1, retry 2x0.5s [0s,60s] Full -"),
        ("database_dependency", "breaker 5/60s/1, bulkhead 10+10 15s, timeout 10s"),
        ("external_api", "breaker 3/60s/1, bulkhead 15+0 20s, timeout 15s"),
        ("cache_dependency", "bulkhead 50+0 2s, timeout 2s"),
        ("message_queue", "breaker 5/60s/1, bulkhead 20+20 10s, timeout 10s"),
        ("file_system", "bulkhead 8+0 30s, timeout 30s"),
        ("cpu_intensive", "bulkhead 4+4 60s, timeout 60s"),
        ("memory_intensive", "bulkhead 2+2 120s, timeout 120s"),
    ] {
        let profile = profile(name).unwrap_or_else(|| panic!("no profile is called {name}"));
        assert_eq!(shown_all(&profile.policies()), format!("fallback, {expected}"), "{name}");
    }
    assert_eq!(PROFILES.len(), 19, "a new profile needs its row here");
    assert_eq!(profile("custom"), None);
}

#[test]
fn presets_choose_by_operation() {
    let policies = |preset: &str, operation: &str| {
        let preset = super::preset(preset).unwrap();
        shown_all(&preset.policies(operation))
    };
    for (preset, operation, expected) in [
        ("simple", "anything", "breaker 5/60s/1, retry 3x1s [2s,10s] +2s 60s"),
        ("development", "anything", "breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 40s"),
        ("development", "qa", "breaker 5/60s/1, retry 3x1s [2s,10s] +2s 30s"),
        ("production", "anything", "breaker 10/120s/1, retry 5x1.5s [2s,30s] +2s 100s"),
        ("production", "qa", "breaker 10/300s/1, retry 7x1.5s [3s,60s] +5s 300s"),
        ("production", "sentiment", "breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 10s"),
    ] {
        assert_eq!(
            policies(preset, operation),
            format!("fallback, {expected}"),
            "{preset} {operation}"
        );
    }
    for preset in presets() {
        assert!(profile(&preset.default_strategy).is_some(), "{}", preset.name);
        for (operation, strategy) in &preset.operation_overrides {
            assert!(profile(strategy).is_some(), "{}: {operation}", preset.name);
        }
    }
}

#[test]
fn every_profile_and_preset_makes_a_pipeline() {
    let mut names = BTreeSet::new();
    for profile in PROFILES {
        assert!(names.insert(profile.name), "{} twice", profile.name);
        assert!(!profile.description.is_empty());
        Pipeline::build(profile.name, &profile.policies()).unwrap();
    }
    for preset in presets() {
        Pipeline::build(preset.name.as_str(), &preset.policies("x")).unwrap();
    }
}

#[test]
fn a_preset_can_be_changed_in_a_few_words() {
    let change = Override {
        retry_attempts: Some(4),
        default_strategy: Some("aggressive".into()),
        exponential_max: Some(7.5),
        operation_overrides: BTreeMap::from([("mine".into(), "critical".into())]),
        ..Override::default()
    };
    let settings = preset("production").unwrap().settings(&change);
    let catalog = Catalog::default();
    for (operation, expected) in [
        ("anything", "breaker 10/120s/1, retry 4x0.5s [1s,7.5s] +2s 100s"),
        ("mine", "breaker 10/300s/1, retry 7x1.5s [3s,60s] +5s 300s"),
        ("sentiment", "breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 10s"),
    ] {
        let policies = shown_all(&settings.policies(operation, &catalog));
        assert_eq!(policies, format!("fallback, {expected}"), "{operation}");
    }
    let quiet = Override { jitter_enabled: Some(false), ..Override::default() };
    let policies = preset("simple").unwrap().settings(&quiet).own_policies();
    assert_eq!(shown_all(&policies), "fallback, breaker 5/60s/1, retry 3x1s [2s,10s] None 60s");
}

#[test]
fn a_catalog_knows_its_own_names_first() {
    let mut catalog = Catalog::default();
    catalog.add_strategy("balanced", Vec::new());
    catalog.add_preset(Preset { name: "simple".into(), retry_attempts: 9, ..Preset::default() });
    catalog.add_preset(Preset { name: "mine".into(), ..Preset::default() });
    assert_eq!(catalog.strategy("balanced"), Some(Vec::new()));
    assert!(catalog.strategy("critical").is_some_and(|policies| policies.len() == 3));
    assert_eq!(catalog.strategy("nothing"), None);
    assert_eq!(catalog.preset("simple").map(|preset| preset.retry_attempts), Some(9));
    let names: Vec<_> = catalog.presets().iter().map(|preset| preset.name.as_str()).collect();
    assert_eq!(names, ["development", "production", "simple", "mine"]);
}
