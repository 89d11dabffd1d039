//! The table against the specification's numbers, and each of them acting.

use super::*;
use crate::{
    attributes::Attributes,
    command::Command,
    event::Kind,
    execution::Execution,
    outcome::{Class, Outcome},
    pipeline::Pipeline,
    testing::Bench,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    task::Waker,
};

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
        ("aggressive", "timeout 40s, breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 10s, timeout 30s"),
        ("balanced", "timeout 150s, breaker 5/60s/1, retry 3x1s [2s,10s] +2s 30s, timeout 120s"),
        (
            "conservative",
            "timeout 240s, breaker 8/120s/1, retry 5x2s [4s,30s] +2s 120s, timeout 120s",
        ),
        (
            "critical",
            "timeout 420s, breaker 10/300s/1, retry 7x1.5s [3s,60s] +5s 300s, timeout 120s",
        ),
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
        (
            "critical_tier",
            "rate 100/60s+10, breaker 2/180s/1, retry 5x2s [0s,60s] Full -, timeout 30s",
        ),
        ("standard", "rate 1000/60s+100, breaker 5/60s/1, retry 3x1s [0s,60s] Full -, timeout 30s"),
        (
            "non_critical",
            "rate 10000/60s+1000, breaker 10/30s/1, retry 2x0.5s [0s,60s] Full -, timeout 30s",
        ),
        ("database_dependency", "breaker 5/60s/1, bulkhead 10+10 15s, timeout 10s"),
        ("external_api", "breaker 3/60s/1, bulkhead 15+0 20s, timeout 15s"),
        ("cache_dependency", "bulkhead 50+0 2s, timeout 2s"),
        ("message_queue", "breaker 5/60s/1, bulkhead 20+20 10s, timeout 10s"),
        ("file_system", "bulkhead 8+0 30s, timeout 30s"),
        ("cpu_intensive", "bulkhead 4+4 60s, timeout 60s"),
        ("memory_intensive", "bulkhead 2+2 120s, timeout 120s"),
        ("stripe", "breaker 5/60s/3, retry 4x1s [0s,60s] Full -, rate 100/1s+10, timeout 30s"),
        ("twitter", "breaker 5/60s/3, retry 4x1s [0s,60s] Full -, rate 300/900s+0, timeout 30s"),
        ("github", "breaker 5/60s/3, retry 4x1s [0s,60s] Full -, rate 5000/3600s+100, timeout 30s"),
    ] {
        let profile = profile(name).unwrap_or_else(|| panic!("no profile is called {name}"));
        assert_eq!(shown_all(&profile.policies()), format!("fallback, {expected}"), "{name}");
    }
    assert_eq!(profiles().len(), 22, "a new profile needs its row here");
    assert_eq!(profile("custom"), None);
}

#[test]
fn presets_choose_by_operation() {
    let policies = |preset: &str, operation: &str| {
        let preset = super::preset(preset).unwrap();
        shown_all(&preset.policies(operation))
    };
    for (preset, operation, expected) in [
        (
            "simple",
            "anything",
            "timeout 180s, breaker 5/60s/1, retry 3x1s [2s,10s] +2s 60s, timeout 120s",
        ),
        (
            "development",
            "anything",
            "timeout 70s, breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 40s, timeout 30s",
        ),
        (
            "development",
            "qa",
            "timeout 150s, breaker 5/60s/1, retry 3x1s [2s,10s] +2s 30s, timeout 120s",
        ),
        (
            "production",
            "anything",
            "timeout 220s, breaker 10/120s/1, retry 5x1.5s [2s,30s] +2s 100s, timeout 120s",
        ),
        (
            "production",
            "qa",
            "timeout 420s, breaker 10/300s/1, retry 7x1.5s [3s,60s] +5s 300s, timeout 120s",
        ),
        (
            "production",
            "sentiment",
            "timeout 40s, breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 10s, timeout 30s",
        ),
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
    for profile in profiles() {
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
        (
            "anything",
            "timeout 130s, breaker 10/120s/1, retry 4x0.5s [1s,7.5s] +2s 100s, timeout 30s",
        ),
        ("mine", "timeout 420s, breaker 10/300s/1, retry 7x1.5s [3s,60s] +5s 300s, timeout 120s"),
        ("sentiment", "timeout 40s, breaker 3/30s/1, retry 2x0.5s [1s,5s] +2s 10s, timeout 30s"),
    ] {
        let policies = shown_all(&settings.policies(operation, &catalog));
        assert_eq!(policies, format!("fallback, {expected}"), "{operation}");
    }
    let quiet = Override { jitter_enabled: Some(false), ..Override::default() };
    let policies = preset("simple").unwrap().settings(&quiet).own_policies();
    assert_eq!(
        shown_all(&policies),
        "fallback, timeout 180s, breaker 5/60s/1, retry 3x1s [2s,10s] None 60s, timeout 120s"
    );
}

#[test]
fn a_catalog_knows_its_own_names_first() {
    let mut catalog = Catalog::default();
    catalog.add_strategy("balanced", Vec::new());
    catalog.add_preset(Preset { name: "simple".into(), retry_attempts: 9, ..Preset::default() });
    catalog.add_preset(Preset { name: "mine".into(), ..Preset::default() });
    assert_eq!(catalog.strategy("balanced"), Some(Vec::new()));
    assert!(catalog.strategy("critical").is_some_and(|policies| policies.len() == 5));
    assert_eq!(catalog.strategy("nothing"), None);
    assert_eq!(catalog.preset("simple").map(|preset| preset.retry_attempts), Some(9));
    let names: Vec<_> = catalog.presets().iter().map(|preset| preset.name.as_str()).collect();
    assert_eq!(names, ["development", "production", "simple", "mine"]);
}

/// The outcome of one call under the preset, and how long it takes.
fn called(
    preset: &str,
    attributes: Attributes,
    each: (Duration, Outcome),
) -> (Outcome, f64, usize) {
    let preset = super::preset(preset).unwrap();
    let ran = Bench::new(preset.policies("anything")).run_with(attributes, |_| each);
    (ran.outcome, ran.took.as_secs_f64(), ran.calls.len())
}

#[test]
fn a_call_that_hangs_ends_under_every_preset() {
    const NEVER: Duration = Duration::from_secs(1_000_000);
    for (preset, attempt, most) in
        [("simple", 120, 180), ("development", 30, 70), ("production", 120, 220)]
    {
        let hang = (NEVER, Outcome::Success);
        let (outcome, took, calls) = called(preset, Attributes::default(), hang);
        let limit = Duration::from_secs(attempt);
        assert_eq!(outcome, Outcome::TimedOut { limit }, "{preset}");
        assert!(took <= most as f64 && calls >= 1, "{preset}: {took} s, {calls} calls");
        // Whatever an attempt is allowed: with the attempts' own limit taken away, the total still ends the call.
        let mut policies = super::preset(preset).unwrap().policies("anything");
        policies.pop();
        let ran = Bench::new(policies).run(|_| hang);
        let limit = Duration::from_secs(most);
        assert_eq!((ran.outcome, ran.took), (Outcome::TimedOut { limit }, limit), "{preset}");
    }
}

#[test]
fn a_refused_connection_fails_within_the_total_of_every_preset() {
    let refused = (Duration::ZERO, Outcome::failure(Class::Transient));
    for (preset, most, calls) in
        [("simple", 180.0, 3), ("development", 70.0, 2), ("production", 220.0, 5)]
    {
        let (outcome, took, made) = called(preset, Attributes::default(), refused);
        assert_eq!((outcome, made), (refused.1, calls), "{preset}");
        assert!(took <= most, "{preset}: {took} s");
    }
}

#[test]
fn the_total_is_the_time_for_beginning_and_one_attempt_more() {
    let change = Override { max_delay_seconds: Some(600), ..Override::default() };
    for (preset, total) in [("simple", 720), ("development", 630), ("production", 720)] {
        let policies = super::preset(preset).unwrap().settings(&change).own_policies();
        let limits: Vec<u64> = policies
            .iter()
            .filter_map(|policy| match policy {
                PolicyConfig::Timeout(timeout) => Some(timeout.limit.as_secs()),
                _ => None,
            })
            .collect();
        assert_eq!(limits, [total, total - 600], "{preset}");
    }
}

#[test]
fn a_stream_that_has_begun_may_take_longer_than_every_limit() {
    for preset in presets() {
        let bench = Bench::new(preset.policies("anything"));
        let attributes = Attributes { streamed: true, ..Attributes::default() };
        let (begun, waker) = (bench.now + Duration::from_secs(20), Waker::noop());
        let mut execution =
            Execution::start(bench.pipeline.clone(), attributes, 1, bench.now, waker);
        let Some(Command::Call { id, .. }) = execution.poll_command() else { panic!("no call") };
        execution.handle_result(id, Outcome::Success, begun, waker);
        let Some(Command::Done(done)) = execution.poll_command() else { panic!("not done") };
        assert_eq!(done.outcome, Outcome::Success, "{}", preset.name);
        assert_eq!(execution.poll_timeout(), None, "{}: nothing is left to cut it", preset.name);
        bench.heard(false);
        execution.handle_end(Outcome::Success, begun + Duration::from_secs(3600));
        let heard = bench.heard(false);
        let cut = |kind: &Kind| matches!(kind, Kind::TimedOut { .. });
        assert!(!heard.iter().any(cut), "{}: {heard:?}", preset.name);
    }
}

#[cfg(feature = "serde")]
#[test]
fn the_field_that_decides_on_a_value_is_the_one_that_changes_it() {
    use serde_json::{Value, json};

    /// The values of all policies by place and path.
    fn values(policies: &[PolicyConfig]) -> BTreeMap<(usize, String), Value> {
        fn walk(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
            let Some(fields) = value.as_object() else {
                return found.push((path.into(), value.clone()));
            };
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, &format!("{path}{dot}{name}"), found);
            }
        }
        let mut all = BTreeMap::new();
        for (place, policy) in policies.iter().enumerate() {
            let mut found = Vec::new();
            walk(&serde_json::to_value(policy).unwrap(), "", &mut found);
            all.extend(found.into_iter().map(|(path, value)| ((place, path), value)));
        }
        all
    }

    let preset = preset("simple").unwrap();
    let policies = preset.settings(&Override::default()).own_policies();
    let before = values(&policies);
    let mut seen = BTreeSet::new();
    for (field, value) in [
        ("retry_attempts", json!(7)),
        ("circuit_breaker_threshold", json!(17)),
        ("recovery_timeout", json!(77)),
        ("exponential_multiplier", json!(3.5)),
        ("exponential_min", json!(0.75)),
        ("exponential_max", json!(77.0)),
        ("jitter_enabled", json!(false)),
        ("jitter_max", json!(7.5)),
        ("max_delay_seconds", json!(77)),
    ] {
        let change: Override = serde_json::from_value(json!({ field: value })).unwrap();
        let after = values(&preset.settings(&change).own_policies());
        let changed = after.iter().filter(|(at, value)| before.get(at) != Some(value));
        for ((place, path), _) in changed {
            // Without jitter there is none to add either.
            if (field, path.as_str()) == ("jitter_enabled", "backoff.jitter_max") {
                continue;
            }
            let decided = decided_by(&policies, *place, path);
            assert_eq!(decided, Some(DecidedBy::Field(field)), "{place} {path}");
            seen.insert(field);
        }
    }
    assert_eq!(seen.len(), 9);
    for ((place, path), value) in before {
        let default = json!(null);
        let plain = value == default || path == "type" || path == "mode";
        let decided = decided_by(&policies, place, &path);
        assert!(!(plain && decided.is_some()), "{place} {path}");
    }
}
