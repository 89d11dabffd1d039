//! The custom configuration: its bounds, its fields against one another, and its text.

use super::{cross::worst_case_wait, *};
use serde_json::json;

fn verdict(value: &Value) -> Verdict {
    validate(value, &Catalog::default())
}

/// The findings as text: `E …`, `W …`, `S …`.
fn told(verdict: &Verdict) -> String {
    let marked = |mark: &str, messages: &[String]| {
        messages.iter().map(|message| format!("{mark} {message}\n")).collect::<String>()
    };
    let Verdict { is_valid, errors, warnings, suggestions } = verdict;
    assert_eq!(*is_valid, errors.is_empty());
    marked("E", errors) + &marked("W", warnings) + &marked("S", suggestions)
}

#[test]
fn bounds_are_those_of_the_specification() {
    for (field, low, high, step) in [
        ("retry_attempts", 1.0, 10.0, 1.0),
        ("circuit_breaker_threshold", 1.0, 20.0, 1.0),
        ("recovery_timeout", 10.0, 300.0, 1.0),
        ("exponential_multiplier", 0.1, 5.0, 0.01),
        ("exponential_min", 0.5, 10.0, 0.01),
        ("exponential_max", 5.0, 120.0, 0.01),
        ("jitter_max", 0.1, 10.0, 0.01),
        ("max_delay_seconds", 5.0, 600.0, 1.0),
    ] {
        let message = format!("{field} must be between {low} and {high}");
        for (value, right) in
            [(low, true), (high, true), (low - step, false), (high + step, false), (1e300, false)]
        {
            let verdict = verdict(&json!({ field: value }));
            assert_eq!(verdict.is_valid, right, "{field} {value}");
            assert_eq!(verdict.errors.contains(&message), !right, "{field} {value}");
        }
    }
    assert_eq!(Fields::names().len(), 11, "a new field needs its row here");
}

#[test]
fn types_are_exact_but_for_whole_floats() {
    for (value, right) in [
        (json!({"retry_attempts": 3}), true),
        (json!({"retry_attempts": 3.0}), true),
        (json!({"retry_attempts": 3.5}), false),
        (json!({"retry_attempts": "3"}), false),
        (json!({"retry_attempts": true}), false),
        (json!({"retry_attempts": null}), false),
        (json!({"retry_attempts": -1}), false),
        (json!({"exponential_multiplier": 2}), true),
        (json!({"exponential_multiplier": true}), false),
        (json!({"jitter_enabled": false}), true),
        (json!({"jitter_enabled": 0}), false),
        (json!({"jitter_enabled": "true"}), false),
        (json!({"default_strategy": "critical"}), true),
        (json!({"default_strategy": "Critical"}), false),
        (json!({"default_strategy": "database"}), false),
        (json!({"default_strategy": 1}), false),
        (json!({"operation_overrides": {}}), true),
        (json!({"operation_overrides": {"qa": "critical", "sentiment": "balanced"}}), true),
        (json!({"operation_overrides": {"qa": 1}}), false),
        (json!({"operation_overrides": {"": "balanced"}}), false),
        (json!({"operation_overrides": ["qa"]}), false),
        (json!({}), false),
        (json!([]), false),
        (json!("{}"), false),
        (json!(null), false),
    ] {
        let verdict = verdict(&value);
        assert_eq!(verdict.is_valid, right, "{value}: {}", told(&verdict));
        assert_eq!(verdict.suggestions.is_empty(), right, "{value}");
        let given = value.as_object().filter(|given| !given.is_empty());
        let fields = Fields::of(&Catalog::default());
        let readable = given.is_some_and(|given| fields.read(given).1.is_empty());
        assert_eq!(readable, right, "{value}");
    }
}

#[test]
fn messages_name_the_field_and_what_would_be_right() {
    for (value, expected) in [
        (
            json!({"retry_attempts": 11}),
            "E retry_attempts must be between 1 and 10\n\
             S retry_attempts: write a whole number from 1 to 10\n",
        ),
        (
            json!({"recovery_timeout": "60"}),
            "E recovery_timeout: \"60\" is not a whole number\n\
             S recovery_timeout: write a whole number from 10 to 300\n",
        ),
        (
            json!({"default_strategy": "agressive"}),
            "E default_strategy must be one of aggressive, balanced, conservative, critical, \
             not \"agressive\"\nS default_strategy: did you mean `aggressive`? known: aggressive, balanced, conservative, critical\n",
        ),
        (
            json!({"operation_overrides": {"a.b": "x"}}),
            "E operation_overrides[\"a.b\"] must be one of aggressive, balanced, conservative, \
             critical, not \"x\"\nS operation_overrides[\"a.b\"]: known: aggressive, balanced, conservative, critical\n",
        ),
        (
            json!({"retry_attempt": 3}),
            "E retry_attempt is not a known field; known: circuit_breaker_threshold, \
             default_strategy, exponential_max, exponential_min, exponential_multiplier, \
             jitter_enabled, jitter_max, max_delay_seconds, operation_overrides, recovery_timeout, \
             retry_attempts\nS retry_attempt: did you mean `retry_attempts`?\n",
        ),
    ] {
        assert_eq!(told(&verdict(&value)), expected, "{value}");
    }
}

#[test]
fn all_problems_are_reported_at_once_and_bounded() {
    let wrong = verdict(&json!({
        "retry_attempts": 0, "jitter_enabled": "x", "colour": 1, "default_strategy": null,
        "exponential_min": 8, "exponential_max": 7,
    }));
    assert_eq!(wrong.errors.len(), 5, "{}", told(&wrong));
    let many: Map<String, Value> = (0..500).map(|i| (format!("f{i}"), json!(1))).collect();
    assert_eq!(verdict(&Value::Object(many)).errors.len(), 21);
    let operations: Map<String, Value> = (0..11).map(|i| (format!("o{i}"), json!("x"))).collect();
    let over = verdict(&json!({ "operation_overrides": operations }));
    assert_eq!(over.errors.len(), 12);
    assert_eq!(over.errors[0], "operation_overrides: too many fields: 11");
    assert_eq!(over.suggestions[0], "operation_overrides: write at most 10 fields");
    let operations: Map<String, Value> = (0..500).map(|i| (format!("o{i}"), json!("x"))).collect();
    assert_eq!(verdict(&json!({ "operation_overrides": operations })).errors.len(), 20);
}

#[test]
fn fields_are_held_against_one_another() {
    for (value, expected) in [
        (json!({"exponential_min": 6, "exponential_max": 6}), "E exponential_min must be below"),
        (json!({"exponential_min": 9.5, "exponential_max": 5}), "E exponential_min must be below"),
        (json!({"exponential_min": 5.5, "exponential_max": 6}), ""),
        (json!({"exponential_min": 10}), "W exponential_min is 10, not below exponential_max"),
        (json!({"exponential_min": 10, "default_strategy": "critical"}), ""),
        (
            json!({"retry_attempts": 10, "max_delay_seconds": 600, "exponential_multiplier": 5,
                   "exponential_max": 120}),
            "W max_delay_seconds allows waits that add up to 600 seconds, over 5 minutes",
        ),
        (
            json!({"retry_attempts": 7, "max_delay_seconds": 300, "exponential_multiplier": 5,
                   "exponential_max": 120}),
            "",
        ),
        (json!({"default_strategy": "aggressive", "retry_attempts": 6}), "W retry_attempts is 6"),
        (json!({"default_strategy": "aggressive", "retry_attempts": 5}), ""),
        (
            json!({"retry_attempts": 5, "circuit_breaker_threshold": 4}),
            "W circuit_breaker_threshold is 4, lower than retry_attempts, which is 5",
        ),
        (json!({"retry_attempts": 5, "circuit_breaker_threshold": 5}), ""),
        (json!({"jitter_max": 8, "exponential_max": 7}), "W jitter_max is 8, over exponential_max"),
        (json!({"jitter_max": 8, "default_strategy": "aggressive"}), "W jitter_max is 8, over"),
        (json!({"jitter_max": 8, "exponential_max": 7, "jitter_enabled": false}), ""),
        (json!({"jitter_max": 8}), ""),
        (json!({"jitter_enabled": false}), ""),
        (json!({"retry_attempts": 5, "max_delay_seconds": 10}), ""),
        (
            json!({"retry_attempts": 5, "max_delay_seconds": 9}),
            "W max_delay_seconds is 9, less than 2 seconds for each of the 5 attempts",
        ),
        (json!({"retry_attempts": 7}), ""),
        (json!({"retry_attempts": 8}), "W retry_attempts is 8: so many attempts"),
        (json!({"circuit_breaker_threshold": 3}), ""),
        (json!({"circuit_breaker_threshold": 2}), "W circuit_breaker_threshold is 2: so few"),
        (
            json!({"operation_overrides": {"sentimet": "balanced"}}),
            "W operation_overrides.sentimet is no operation that is known here",
        ),
    ] {
        let verdict = verdict(&value);
        let told = told(&verdict);
        assert!(told.starts_with(expected), "{value}: {told}");
        assert_eq!(told.is_empty(), expected.is_empty(), "{value}: {told}");
        assert_eq!(verdict.suggestions.is_empty(), expected.is_empty(), "{value}");
    }
    let off = json!({"jitter_enabled": false});
    let production = validate_for(&off, &Catalog::default(), true);
    assert!(production.is_valid);
    assert!(told(&production).starts_with("W jitter_enabled is false in production"));
}

#[test]
fn text_is_read_strictly() {
    let catalog = Catalog::default();
    assert!(validate_text(r#"{"retry_attempts": 3}"#, &catalog).is_valid);
    for (text, expected) in [
        (
            r#"{"retry_attempts": 3, "retry_attempts": 4}"#,
            "the key `retry_attempts` is given twice",
        ),
        ("{", "EOF"),
        (r#"{"retry_attempts": 30}"#, "retry_attempts must be between"),
    ] {
        let verdict = validate_text(text, &catalog);
        assert!(!verdict.is_valid && verdict.errors[0].contains(expected), "{}", told(&verdict));
    }
}

#[test]
fn added_strategies_count() {
    let mut catalog = Catalog::default();
    catalog.add_strategy("patient", Vec::new());
    let value = json!({"default_strategy": "patient", "retry_attempts": 4.0});
    let (change, problems) = Fields::of(&catalog).read(value.as_object().unwrap());
    assert_eq!(problems, []);
    assert_eq!(change.retry_attempts, Some(4));
    assert_eq!(change.default_strategy.as_deref(), Some("patient"));
    let errors = verdict(&value).errors;
    assert!(errors[0].contains("not \"patient\""), "{errors:?}");
}

#[test]
fn waits_add_up() {
    let settings = |preset: &str, change: Value| {
        let change = serde_json::from_value(change).unwrap();
        seawall::preset(preset).unwrap().settings(&change)
    };
    for (preset, change, expected) in [
        ("simple", json!({}), 8.0),
        ("simple", json!({"jitter_enabled": false}), 4.0),
        ("development", json!({}), 3.0),
        ("production", json!({}), 2.0 + 3.0 + 6.0 + 12.0 + 8.0),
        ("simple", json!({"retry_attempts": 1}), 0.0),
        ("simple", json!({"retry_attempts": 10, "max_delay_seconds": 5}), 5.0),
        ("simple", json!({"retry_attempts": 4_000_000_000_u32}), 60.0),
        (
            "simple",
            json!({"retry_attempts": 101, "max_delay_seconds": 4_000_000, "jitter_enabled": false}),
            2.0 + 2.0 + 4.0 + 8.0 + 96.0 * 10.0,
        ),
    ] {
        let settings = settings(preset, change.clone());
        assert_eq!(worst_case_wait(&settings), expected, "{preset} {change}");
    }
}

#[test]
fn operations_are_known_by_the_catalog() {
    let value = json!({"operation_overrides": {"of one's own": "balanced"}});
    let verdict = verdict(&value);
    assert!(verdict.is_valid && verdict.warnings.len() == 1, "{}", told(&verdict));
    assert!(verdict.suggestions[0].contains("key_points, qa, questions"), "{}", told(&verdict));
    let mut catalog = Catalog::default();
    catalog.add_operation("of one's own");
    assert_eq!(validate(&value, &catalog), Verdict::new());
}

#[test]
fn each_field_has_its_report() {
    let value = json!({"retry_attempts": 30, "jitter_enabled": true, "colour": "red",
                       "default_strategy": "balanced"});
    let reports = fields(&value, &Catalog::default());
    let shown = serde_json::to_value(&reports).unwrap();
    assert_eq!(
        shown["retry_attempts"],
        json!({
            "allowed": true, "type": "integer", "constraints": {"minimum": 1, "maximum": 10},
            "current_value": 30, "current_type": "integer",
            "problem": "retry_attempts must be between 1 and 10",
        })
    );
    assert_eq!(shown["jitter_enabled"]["type"], "boolean");
    assert_eq!(shown["jitter_enabled"]["problem"], Value::Null);
    assert_eq!(shown["default_strategy"]["constraints"]["enum"][3], "critical");
    let colour = &reports["colour"];
    assert!(!colour.allowed && colour.type_name.is_none());
    assert!(colour.problem.as_ref().unwrap().contains("is not a known field"));
    assert_eq!(fields(&json!([1]), &Catalog::default()), BTreeMap::new());
}
