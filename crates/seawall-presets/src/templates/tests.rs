//! Templates: their numbers, which is nearest, and changes of them.

use super::*;
use serde_json::json;

#[test]
fn templates_have_the_numbers_of_the_specification() {
    for (name, expected) in [
        (
            "fast_development",
            json!({"retry_attempts": 1, "circuit_breaker_threshold": 2, "recovery_timeout": 15,
                   "default_strategy": "aggressive",
                   "operation_overrides": {"sentiment": "aggressive"}}),
        ),
        (
            "robust_production",
            json!({"retry_attempts": 6, "circuit_breaker_threshold": 12, "recovery_timeout": 180,
                   "default_strategy": "conservative",
                   "operation_overrides": {"qa": "critical", "summarize": "conservative"}}),
        ),
        (
            "low_latency",
            json!({"retry_attempts": 1, "circuit_breaker_threshold": 2, "recovery_timeout": 10,
                   "default_strategy": "aggressive", "max_delay_seconds": 5,
                   "exponential_multiplier": 0.5, "exponential_min": 0.5, "exponential_max": 5.0}),
        ),
        (
            "high_throughput",
            json!({"retry_attempts": 3, "circuit_breaker_threshold": 8, "recovery_timeout": 45,
                   "default_strategy": "balanced",
                   "operation_overrides": {"sentiment": "aggressive", "key_points": "balanced"}}),
        ),
        (
            "maximum_reliability",
            json!({"retry_attempts": 8, "circuit_breaker_threshold": 15, "recovery_timeout": 300,
                   "default_strategy": "critical",
                   "operation_overrides": {"qa": "critical", "summarize": "critical",
                       "sentiment": "conservative", "key_points": "conservative",
                       "questions": "conservative"},
                   "exponential_multiplier": 2.0, "exponential_min": 3.0, "exponential_max": 60.0,
                   "jitter_enabled": true, "jitter_max": 5.0}),
        ),
    ] {
        let config = &named(name).unwrap().config;
        assert_eq!(serde_json::to_value(config).unwrap(), expected, "{name}");
        let verdict = custom::validate(&expected, &Catalog::default());
        let extreme = match name {
            "fast_development" | "low_latency" => Some("circuit_breaker_threshold is 2"),
            "maximum_reliability" => Some("retry_attempts is 8"),
            _ => None,
        };
        assert!(verdict.is_valid, "{name}: {verdict:?}");
        assert_eq!(verdict.warnings.len(), usize::from(extreme.is_some()), "{name}: {verdict:?}");
        if let Some(extreme) = extreme {
            assert!(verdict.warnings[0].starts_with(extreme), "{name}: {verdict:?}");
        }
    }
    assert_eq!(all().len(), 5);
    assert_eq!(named("slow"), None);
}

#[test]
fn the_nearest_template_is_found() {
    let full = |attempts: i64, threshold: i64, strategy: &str| {
        json!({"retry_attempts": attempts, "circuit_breaker_threshold": threshold,
               "default_strategy": strategy})
    };
    for (config, name, confidence) in [
        (full(6, 12, "conservative"), Some("robust_production"), 1.0),
        (full(1, 2, "aggressive"), Some("fast_development"), 1.0),
        (full(8, 15, "critical"), Some("maximum_reliability"), 1.0),
        (full(3, 8, "balanced"), Some("high_throughput"), 1.0),
        (full(2, 4, "aggressive"), Some("fast_development"), 0.333),
        (full(7, 15, "critical"), Some("maximum_reliability"), 0.667),
        (full(5, 10, "unheard of"), Some("robust_production"), 0.0),
        (full(20, 100, "unheard of"), None, 0.0),
        (json!({"default_strategy": "balanced"}), Some("high_throughput"), 1.0),
        (
            json!({"retry_attempts": 8, "default_strategy": "critical"}),
            Some("maximum_reliability"),
            1.0,
        ),
        (json!({}), Some("high_throughput"), 0.5),
        (json!({"retry_attempts": "6", "default_strategy": 1}), Some("high_throughput"), 0.5),
        (json!({"retry_attempts": 3.0}), Some("high_throughput"), 1.0),
        (json!({"retry_attempts": 1e300, "circuit_breaker_threshold": i64::MIN}), None, 0.0),
        (json!([1]), Some("high_throughput"), 0.5),
        (json!(null), Some("high_throughput"), 0.5),
    ] {
        let advice = nearest(&config);
        assert_eq!(advice.suggested_template.as_deref(), name, "{config}");
        assert_eq!(advice.confidence, confidence, "{config}");
        assert!(!advice.reasoning.is_empty());
        assert_eq!(advice.available_templates.len(), 5);
    }
}

#[test]
fn changes_are_laid_over_the_template() {
    let catalog = Catalog::default();
    for (name, overrides, error) in [
        ("robust_production", None, None),
        ("robust_production", Some(json!(null)), None),
        ("robust_production", Some(json!({})), None),
        ("robust_production", Some(json!({"operation_overrides": {"qa": "balanced"}})), None),
        ("robust_production", Some(json!({"retry_attempts": 11})), Some("retry_attempts must")),
        ("robust_production", Some(json!({"operation_overrides": 1})), Some("operation_overrides")),
        ("robust_production", Some(json!({"x": 1})), Some("x is not a known field")),
        ("low_latency", Some(json!({"exponential_min": 6})), Some("exponential_min must be below")),
        ("low_latency", Some(json!([])), Some("overrides must be a JSON object")),
        ("low_latencies", None, Some("there is no template `low_latencies`; there are fast_dev")),
    ] {
        let verdict = validate(name, overrides.as_ref(), &catalog);
        assert_eq!(verdict.is_valid, error.is_none(), "{name} {overrides:?}: {verdict:?}");
        let errors = verdict.errors.join("\n");
        assert!(errors.starts_with(error.unwrap_or_default()), "{errors}");
    }
    // Five operations of the template and six more are one too many: they were added, not put in place.
    let six = json!({"operation_overrides":
        {"a": "balanced", "b": "balanced", "c": "balanced", "d": "balanced", "e": "balanced", "f": "balanced"}});
    assert!(!validate("maximum_reliability", Some(&six), &catalog).is_valid);
    assert!(validate("robust_production", Some(&six), &catalog).is_valid);
}
