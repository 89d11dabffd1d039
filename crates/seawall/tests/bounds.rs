//! The bounds of every field of every policy, taken from the JSON Schema: values at a bound are accepted, and those
//! just beyond it are refused with the field, the value and the bound.

#![cfg(all(feature = "schema", not(loom)))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{
    PolicyConfig,
    config::{Problem, Problems},
};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Fields that have to go along, so that only the bound itself is at issue.
const ALONG: &[(&str, &str, &str)] = &[
    ("circuit_breaker", "slow_call_duration", r#"{ "window": { "calls": 10 } }"#),
    ("circuit_breaker", "shared.lease", r#"{ "shared": { "timeout": "100ms" } }"#),
    ("circuit_breaker", "shared.timeout", r#"{ "shared": { "lease": "60s" } }"#),
    ("rate_limiter", "per", r#"{ "rate": 1 }"#),
    ("rate_limiter", "rate", r#"{ "per": 60 }"#),
    ("rate_limiter", "shared.lease", r#"{ "rate": 1000000 }"#),
    ("bulkhead", "adaptive.aimd.initial_limit", r#"{ "max_concurrent": 1000000 }"#),
    ("bulkhead", "adaptive.gradient.initial_limit", r#"{ "max_concurrent": 1000000 }"#),
    (
        "bulkhead",
        "adaptive.aimd.min_limit",
        r#"{ "max_concurrent": 1000000, "adaptive": { "aimd": { "initial_limit": 1000000 } } }"#,
    ),
    (
        "bulkhead",
        "adaptive.gradient.min_limit",
        r#"{ "max_concurrent": 1000000, "adaptive": { "gradient": { "initial_limit": 1000000 } } }"#,
    ),
    ("bulkhead", "controlled_delay.interval", r#"{ "controlled_delay": { "target": "1ns" } }"#),
    ("chaos", "schedule.every", r#"{ "schedule": { "lasts": "1ns" } }"#),
    ("chaos", "max_latency", r#"{ "min_latency": 0 }"#),
    ("rate_limiter", "also[0].per", r#"{ "also": [{ "rate": 1 }] }"#),
];

/// A field with a number or a duration.
struct Field {
    path: Vec<String>,
    schema: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Low,
    High,
}

#[test]
fn every_bound_of_the_schema_is_held_by_the_check() {
    let schema = schemars::schema_for!(PolicyConfig).to_value();
    let mut bounds = 0;
    for branch in schema["oneOf"].as_array().unwrap() {
        let policy = branch["properties"]["type"]["const"].as_str().unwrap();
        for field in fields(&schema, branch) {
            for (side, names) in [
                (Side::Low, ["minimum", "exclusiveMinimum"]),
                (Side::High, ["maximum", "exclusiveMaximum"]),
            ] {
                let found: Vec<&str> =
                    names.into_iter().filter(|name| field.schema.contains_key(*name)).collect();
                assert!(found.len() <= 1, "{policy} {}: {found:?}", shown(&field.path));
                for name in found {
                    field.try_bound(policy, side, &field.schema[name], name.starts_with("ex"));
                    bounds += 1;
                }
            }
        }
    }
    assert!(bounds > 120, "{bounds}");
}

impl Field {
    /// Tries the values at a bound and just beyond it.
    fn try_bound(&self, policy: &str, side: Side, bound: &Value, open: bool) {
        let (inside, outside) = if self.schema.get("format") == Some(&json!("duration")) {
            let at = Duration::from_secs_f64(bound.as_f64().unwrap()).as_nanos() as i128;
            let next = if side == Side::Low { at - 1 } else { at + 1 };
            let back = if side == Side::Low { at + 1 } else { at - 1 };
            let written = |nanos: i128| json!(format!("{nanos}ns"));
            if open { (written(back), written(at)) } else { (written(at), written(next)) }
        } else if self.schema["format"] == "double" {
            let at = bound.as_f64().unwrap();
            let (down, up) = (json!(at.next_down()), json!(at.next_up()));
            let (next, back) = if side == Side::Low { (down, up) } else { (up, down) };
            if open { (back, json!(at)) } else { (json!(at), next) }
        } else {
            let at = bound.as_i64().unwrap();
            assert!(!open);
            (json!(at), json!(if side == Side::Low { at - 1 } else { at + 1 }))
        };
        let path = shown(&self.path);
        let problems = self.problems(policy, &inside).unwrap();
        assert_eq!(problems, [], "{policy} {path}: {inside}");
        // A value that the type itself does not have is refused before the check.
        let Some(problems) = self.problems(policy, &outside) else { return };
        let problem =
            problems.first().unwrap_or_else(|| panic!("{policy} {path}: {outside} passes"));
        assert!(problems.iter().all(|other| other.path == path), "{policy}: {problems:?}");
        let value = match outside.as_str() {
            Some(length) => format!("{:?}", humantime_of(length)),
            None => outside.to_string(),
        };
        assert_eq!((&problem.path, &problem.value), (&path, &value), "{policy}");
        let bound = if value == "0ns" { "0".to_owned() } else { words_of(bound, &self.schema) };
        assert!(problem.right.contains(&bound), "{policy} {problem}: no {bound}");
    }

    /// The problems that the check finds with this value; none if the type does not take it.
    fn problems(&self, policy: &str, value: &Value) -> Option<Vec<Problem>> {
        let mut config = json!({ "type": policy });
        let along = ALONG.iter().find(|(of, path, _)| *of == policy && *path == shown(&self.path));
        if let Some((.., fields)) = along {
            let fields: Value = serde_json::from_str(fields).unwrap();
            config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
        let mut place = &mut config;
        for segment in &self.path {
            place = match segment.as_str() {
                "[0]" => {
                    if !place.is_array() {
                        *place = json!([{}]);
                    }
                    &mut place[0]
                }
                name => &mut place[name],
            };
        }
        *place = value.clone();
        let config: PolicyConfig = serde_json::from_value(config).ok()?;
        let mut problems = Problems::default();
        config.check(&mut problems);
        Some(problems.into_result().err().map_or_else(Vec::new, |error| error.problems))
    }
}

/// A bound as messages have it.
fn words_of(bound: &Value, schema: &Map<String, Value>) -> String {
    if schema.get("format") != Some(&json!("duration")) {
        return bound.as_f64().unwrap().to_string();
    }
    let millis = (bound.as_f64().unwrap() * 1000.0) as u64;
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..3_600_000 => format!("{}s", millis / 1_000),
        3_600_000..=86_400_000 => format!("{}h", millis / 3_600_000),
        _ => format!("{} days", millis / 86_400_000),
    }
}

fn humantime_of(nanos: &str) -> Duration {
    Duration::from_nanos(nanos.trim_end_matches("ns").parse().unwrap())
}

fn shown(path: &[String]) -> String {
    path.join(".").replace(".[", "[")
}

/// All fields below a schema that hold a number or a duration.
fn fields(root: &Value, schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    collect(root, schema, &mut Vec::new(), &mut found);
    found
}

fn collect(root: &Value, schema: &Value, path: &mut Vec<String>, found: &mut Vec<Field>) {
    if let Some(name) = schema["$ref"].as_str() {
        collect(root, root.pointer(&name[1..]).unwrap(), path, found);
    }
    for branch in ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
        collect(root, branch, path, found);
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        path.push(name.clone());
        collect(root, below, path, found);
        path.pop();
    }
    if schema["items"].is_object() {
        path.push("[0]".to_owned());
        collect(root, &schema["items"], path, found);
        path.pop();
    }
    let types = schema["type"].to_string();
    if types.contains("integer") || types.contains("number") {
        let schema = schema.as_object().unwrap().clone();
        found.push(Field { path: path.clone(), schema });
    }
}
