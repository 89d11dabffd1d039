//! Variables of former systems: which preset they lead to, what differs from it, and what is said of them.

use super::*;
use serde_json::json;

/// Reads variables from lines of `NAME=value`.
fn variables(text: &str) -> BTreeMap<String, String> {
    let split = |line: &str| line.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
    text.lines().filter_map(split).collect()
}

/// Attempts, threshold, recovery and strategy, as variables; 0 and nothing are not set.
fn set(attempts: u32, threshold: u32, recovery: u32, strategy: &str, rest: &str) -> String {
    let number = |name: &str, number: u32| {
        if number == 0 { String::new() } else { format!("{name}={number}\n") }
    };
    number("RETRY_MAX_ATTEMPTS", attempts)
        + &number("CIRCUIT_BREAKER_FAILURE_THRESHOLD", threshold)
        + &number("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", recovery)
        + &format!("DEFAULT_RESILIENCE_STRATEGY={strategy}\n{rest}")
}

#[test]
fn variables_lead_to_presets() {
    use Confidence::{High, Low, Medium};
    for (text, preset, score, confidence, overrides) in [
        (set(2, 3, 30, "aggressive", ""), "development", 1.0, High, json!({})),
        (set(5, 10, 120, "conservative", ""), "production", 1.0, High, json!({})),
        (set(3, 5, 60, "balanced", ""), "simple", 1.0, High, json!({})),
        (
            set(7, 8, 0, "", "RETRY_MAX_DELAY=300"),
            "production",
            0.753,
            Medium,
            json!({"retry_attempts": 7, "circuit_breaker_threshold": 8, "max_delay_seconds": 300}),
        ),
        (set(4, 0, 0, "", ""), "production", 0.80, Medium, json!({"retry_attempts": 4})),
        (set(4, 0, 0, "balanced", ""), "simple", 0.833, Medium, json!({"retry_attempts": 4})),
        (
            set(10, 2, 0, "aggressive", ""),
            "development",
            0.538,
            Low,
            json!({"retry_attempts": 10, "circuit_breaker_threshold": 2}),
        ),
        (set(0, 0, 0, "", "QA_RESILIENCE_STRATEGY=critical"), "production", 1.0, High, json!({})),
        (
            set(0, 0, 0, "", "RETRY_MAX_DELAY=100"),
            "simple",
            0.5,
            Low,
            json!({"max_delay_seconds": 100}),
        ),
        (String::new(), "simple", 1.0, High, json!({})),
        ("RETRY_ENABLED=true\nREDIS_DB=0".into(), "simple", 1.0, High, json!({})),
        (set(0, 0, 0, "unheard of", ""), "simple", 0.5, Low, json!({})),
    ] {
        let legacy = analyze(&variables(&text));
        assert_eq!(legacy.recommended_preset, preset, "{text}");
        assert_eq!(legacy.score, score, "{text}");
        assert_eq!(legacy.confidence, confidence, "{text}");
        assert_eq!(serde_json::to_value(&legacy.custom_overrides).unwrap(), overrides, "{text}");
        assert!(legacy.reasoning.contains(preset) && !legacy.migration_steps.is_empty(), "{text}");
    }
}

#[test]
fn each_preset_has_its_score() {
    let similarity =
        |text: &str| serde_json::to_value(analyze(&variables(text)).similarity).unwrap();
    assert_eq!(
        similarity(&set(2, 3, 30, "aggressive", "")),
        json!({"simple": 0.5, "development": 1.0, "production": 0.272})
    );
    assert_eq!(
        similarity(&set(4, 0, 0, "", "")),
        json!({"simple": 0.75, "development": 0.5, "production": 0.8})
    );
    assert_eq!(
        similarity(&set(0, 0, 0, "", "RETRY_JITTER_MAX=1")),
        json!({"simple": 0.5, "development": 0.5, "production": 0.5})
    );
    assert_eq!(similarity(""), json!({}));
}

#[test]
fn doubtful_values_are_warned_of() {
    let warnings = |text: &str| analyze(&variables(text)).warnings;
    let all = warnings(&set(10, 2, 0, "aggressive", ""));
    assert_eq!(all.len(), 5, "{all:?}");
    assert_eq!(warnings(&set(3, 5, 60, "balanced", "")), Vec::<String>::new());
}

#[test]
fn every_field_has_its_variable() {
    let text = "RETRY_MAX_ATTEMPTS= 4 \nCIRCUIT_BREAKER_FAILURE_THRESHOLD=7\n\
                CIRCUIT_BREAKER_RECOVERY_TIMEOUT=90\nDEFAULT_RESILIENCE_STRATEGY=Critical\n\
                RETRY_MAX_DELAY=45\nRETRY_EXPONENTIAL_MULTIPLIER=1.5\nRETRY_EXPONENTIAL_MIN=1\n\
                RETRY_EXPONENTIAL_MAX=20.0\nRETRY_JITTER_ENABLED=No\nRETRY_JITTER_MAX=0.5\n\
                SUMMARIZE_RESILIENCE_STRATEGY=balanced\nSENTIMENT_RESILIENCE_STRATEGY=aggressive\n\
                KEY_POINTS_RESILIENCE_STRATEGY=balanced\nQUESTIONS_RESILIENCE_STRATEGY=balanced\n\
                QA_RESILIENCE_STRATEGY=critical\nOF_MY_OWN_RESILIENCE_STRATEGY=conservative";
    let change = json!({
        "retry_attempts": 4, "circuit_breaker_threshold": 7, "recovery_timeout": 90,
        "default_strategy": "critical", "max_delay_seconds": 45, "exponential_multiplier": 1.5,
        "exponential_min": 1.0, "exponential_max": 20.0, "jitter_enabled": false, "jitter_max": 0.5,
        "operation_overrides": {
            "summarize": "balanced", "sentiment": "aggressive", "key_points": "balanced",
            "questions": "balanced", "qa": "critical", "of_my_own": "conservative",
        },
    });
    assert_eq!(serde_json::to_value(overrides(&variables(text))).unwrap(), change);
    assert_eq!(analyze(&variables(text)).problems, Vec::<String>::new());
    for line in text.lines() {
        assert!(is_legacy(&variables(line)), "{line}");
    }
    for other in [
        "",
        "RETRY_ENABLED=1",
        "REDIS_HOST=x",
        "RESILIENCE_PRESET=simple",
        "RETRY_MAX_ATTEMPTS= ",
        "_RESILIENCE_STRATEGY=balanced",
        "PATH=/bin",
    ] {
        assert!(!is_legacy(&variables(other)), "{other}");
    }
}

#[test]
fn unreadable_values_are_named_and_the_others_are_used() {
    for (text, problem) in [
        ("RETRY_MAX_ATTEMPTS=many", "RETRY_MAX_ATTEMPTS: \"many\" is not a whole number; skipped"),
        ("RETRY_MAX_ATTEMPTS=2.5", "RETRY_MAX_ATTEMPTS: \"2.5\" is not a whole number; skipped"),
        (
            "RETRY_MAX_ATTEMPTS=99",
            "RETRY_MAX_ATTEMPTS: retry_attempts must be between 1 and 10, not 99; skipped",
        ),
        (
            "RETRY_MAX_ATTEMPTS=-1",
            "RETRY_MAX_ATTEMPTS: retry_attempts must be between 1 and 10, not -1; skipped",
        ),
        ("RETRY_JITTER_MAX=NaN", "RETRY_JITTER_MAX: \"NaN\" is not a number; skipped"),
        (
            "RETRY_JITTER_ENABLED=maybe",
            "RETRY_JITTER_ENABLED: \"maybe\" is not true or false; skipped",
        ),
        (
            "DEFAULT_RESILIENCE_STRATEGY=$(rm)",
            "DEFAULT_RESILIENCE_STRATEGY: default_strategy must be one of aggressive, balanced, \
             conservative, critical, not \"$(rm)\"; skipped",
        ),
        (
            "QA_RESILIENCE_STRATEGY=x",
            "QA_RESILIENCE_STRATEGY: operation_overrides.qa must be one of aggressive, balanced, \
             conservative, critical, not \"x\"; skipped",
        ),
        (
            "RETRY_EXPONENTIAL_MIN=9\nRETRY_EXPONENTIAL_MAX=6",
            "RETRY_EXPONENTIAL_MIN and RETRY_EXPONENTIAL_MAX: exponential_min must be below \
             exponential_max, but 9 is not below 6; both skipped",
        ),
    ] {
        let legacy = analyze(&variables(&format!("{text}\nCIRCUIT_BREAKER_FAILURE_THRESHOLD=9")));
        assert_eq!(legacy.problems, [problem]);
        let skipped = legacy.found.iter().filter(|found| found.explanation.starts_with("skipped"));
        assert_eq!(skipped.count(), text.lines().count(), "{text}");
        let rest = json!({"circuit_breaker_threshold": 9});
        assert_eq!(serde_json::to_value(&legacy.custom_overrides).unwrap(), rest, "{text}");
    }
    let many: String = (0..12).map(|i| format!("O{i:02}_RESILIENCE_STRATEGY=critical\n")).collect();
    let legacy = analyze(&variables(&many));
    assert_eq!((legacy.custom_overrides.operation_overrides.len(), legacy.problems.len()), (10, 2));
    let custom = serde_json::to_value(legacy.custom_overrides).unwrap();
    assert!(custom::validate(&custom, &Catalog::default()).is_valid);
}

#[test]
fn the_differences_from_the_preset_have_the_effect_of_all_variables() {
    for text in [
        set(5, 9, 120, "critical", "FOO_RESILIENCE_STRATEGY=conservative"),
        set(4, 5, 60, "balanced", "QA_RESILIENCE_STRATEGY=balanced\nRETRY_MAX_DELAY=60"),
        set(5, 10, 120, "", "QA_RESILIENCE_STRATEGY=critical\nX_RESILIENCE_STRATEGY=conservative"),
        set(0, 0, 0, "aggressive", "RETRY_JITTER_ENABLED=off"),
    ] {
        let (variables, catalog) = (variables(&text), Catalog::default());
        let legacy = analyze(&variables);
        let preset = seawall::preset(&legacy.recommended_preset).unwrap();
        let before = preset.settings(&overrides(&variables));
        let after = preset.settings(&legacy.custom_overrides);
        assert_eq!(before, after, "{text}");
        for operation in ["qa", "foo", "x", "other"] {
            let policies = before.policies(operation, &catalog);
            assert_eq!(policies, after.policies(operation, &catalog), "{operation} of {text}");
        }
    }
}

#[test]
fn known_variables_are_explained_without_their_secrets() {
    let text = "RESILIENCE_ENABLED=1\nCIRCUIT_BREAKER_ENABLED=1\nRETRY_ENABLED=1\n\
                RESILIENCE_METRICS_ENABLED=1\nRESILIENCE_HEALTH_CHECK_ENABLED=1\n\
                BULKHEAD_MAX_CONCURRENT=10\nREDIS_HOST=redis://:hunter2@r\nREDIS_PORT=1\nREDIS_DB=0\n\
                EXTERNAL_API_BASE_URL=https://me:hunter2@api.example.org/x?key=hunter2\n\
                EXTERNAL_API_TIMEOUT=5\nLOAD_TEST_OUTPUT_DIR=x\nLOAD_TEST_MAX_USERS=1\n\
                LOAD_TEST_DURATION=1\nAPI_KEY=hunter2";
    let legacy = analyze(&variables(text));
    assert_eq!(legacy.found.len(), 14);
    let of = |name: &str| legacy.found.iter().find(|found| found.variable == name).unwrap();
    assert_eq!(of("EXTERNAL_API_BASE_URL").value, "https://***@api.example.org/x");
    assert_eq!(of("REDIS_HOST").value, "redis://***@r");
    assert_eq!(
        of("EXTERNAL_API_TIMEOUT").target.as_deref(),
        Some("upstreams.external_api.attempt_timeout")
    );
    for found in &legacy.found {
        let external = found.variable.starts_with("EXTERNAL");
        assert_eq!(found.target.is_some(), external, "{}", found.variable);
        assert_eq!(found.explanation.starts_with("no target"), !external, "{}", found.variable);
    }
    assert!(!serde_json::to_string(&legacy).unwrap().contains("hunter2"));
}
