//! Schemas written by hand, for what derived ones seldom or never contain.

use crate::{findings::Findings, yaml};
use serde_json::{Value, json};

/// The mistakes of a text against a schema, as `line:column: path: message`.
fn mistakes(schema: &Value, text: &str) -> Vec<String> {
    let mut findings = Findings::default();
    let tree = yaml::parse(text, &mut findings).unwrap();
    super::check(schema, &tree, &mut findings);
    let found = findings.into_mistakes(&[String::new()]);
    found.iter().map(|mistake| mistake.to_string()[1..].to_owned()).collect()
}

#[track_caller]
fn check(schema: &Value, text: &str, expected: &[&str]) {
    assert_eq!(mistakes(schema, text), expected, "{text}");
}

#[test]
fn parts_of_all_of_are_one_mapping() {
    let schema = json!({
        "allOf": [
            { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] },
            { "$ref": "#/$defs/B" },
        ],
        "unevaluatedProperties": false,
        "$defs": { "B": { "properties": { "b": { "type": "boolean" } }, "required": ["b"] } },
    });
    check(&schema, "a: 1\nb: true", &[]);
    check(
        &schema,
        "a: x\nc: 1",
        &[
            "1:1: b: missing field `b`; write true or false",
            "1:4: a: \"x\" is not a whole number; write a whole number",
            "2:1: c: unknown field `c`; known: a, b",
        ],
    );
}

#[test]
fn pattern_properties_say_what_keys_match() {
    let schema = json!({
        "type": "object",
        "patternProperties": { "^\\d+$": { "type": "boolean" } },
        "additionalProperties": false,
    });
    check(&schema, "429: true", &[]);
    check(
        &schema,
        "429: 1\nabc: true",
        &[
            "1:6: 429: 1 is not true or false; write true or false",
            "2:1: abc: unknown field `abc`; keys here match `^\\d+$`",
        ],
    );
}

#[test]
fn a_pattern_that_does_not_compile_asks_for_nothing() {
    check(&json!({ "type": "string", "pattern": "(" }), "x", &[]);
    check(
        &json!({ "type": "string", "pattern": "^[a-z]+$" }),
        "X",
        &["1:1: \"X\" does not have the right form; write text that matches `^[a-z]+$`"],
    );
}

#[test]
fn bounds_of_numbers() {
    let ratio = json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 });
    let whole = json!({ "type": "integer", "minimum": 1 });
    let least = json!({ "type": "number", "exclusiveMaximum": 10.5 });
    let both = json!({ "type": "number", "exclusiveMaximum": 2, "minimum": -1 });
    let inside = json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 });
    for (schema, text, expected) in [
        (&ratio, "0", "1:1: 0 is too small; write a number above 0, up to 1"),
        (&ratio, "-0.0", "1:1: -0.0 is too small; write a number above 0, up to 1"),
        (&ratio, "1.01", "1:1: 1.01 is too large; write a number above 0, up to 1"),
        (&whole, "0", "1:1: 0 is too small; write a whole number of 1 or more"),
        (&whole, "1.0", "1:1: 1.0 is not a whole number; write a whole number of 1 or more"),
        (&least, "10.5", "1:1: 10.5 is too large; write a number below 10.5"),
        (&both, "-1.5", "1:1: -1.5 is too small; write a number from -1, below 2"),
        (&inside, "1", "1:1: 1 is too large; write a number above 0, below 1"),
    ] {
        check(schema, text, &[expected]);
    }
    for (schema, text) in [(&ratio, "1"), (&ratio, "1e-9"), (&whole, "0x10"), (&both, "-1")] {
        check(schema, text, &[]);
    }
}

#[test]
fn bounds_of_integer_types_are_exact() {
    for (format, good, bad, right) in [
        ("uint8", "255", "256", "from 0 to 255"),
        ("uint32", "4294967295", "4294967296", "from 0 to 4294967295"),
        (
            "uint64",
            "18446744073709551615",
            "18446744073709551616",
            "from 0 to 18446744073709551615",
        ),
        ("int8", "-128", "-129", "from -128 to 127"),
        ("int32", "-2147483648", "-2147483649", "from -2147483648 to 2147483647"),
        (
            "int64",
            "-9223372036854775808",
            "-9223372036854775809",
            "from -9223372036854775808 to 9223372036854775807",
        ),
    ] {
        let schema = json!({ "type": "integer", "format": format });
        check(&schema, good, &[]);
        let side = if bad.starts_with('-') { "small" } else { "large" };
        let expected = format!("1:1: {bad} is too {side}; write a whole number {right}");
        check(&schema, bad, &[expected.as_str()]);
    }
}

#[test]
fn lists_and_their_items() {
    let pair = json!({
        "type": "array",
        "prefixItems": [{ "type": "integer" }, { "type": "string" }],
        "minItems": 2,
        "maxItems": 2,
    });
    check(&pair, "[1, a]", &[]);
    check(
        &pair,
        "[a]",
        &[
            "1:1: the list is too short with 1; write at least 2 items",
            "1:2: [0]: \"a\" is not a whole number; write a whole number",
        ],
    );
    check(&pair, "[1, a, b]", &["1:1: the list is too long with 3; write at most 2 items"]);
    let set = json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true, "minItems": 1 });
    check(
        &set,
        "[a, b, a]",
        &["1:8: [2]: \"a\" is in the list twice; it is there as `[0]`; keep one"],
    );
    check(&set, "[]", &["1:1: the list is empty; write at least 1 item"]);
}

#[test]
fn lengths_count_characters() {
    let schema = json!({ "type": "string", "minLength": 2, "maxLength": 3 });
    check(&schema, "éé", &[]);
    check(&schema, "é", &["1:1: \"é\" is too short; write at least 2 characters"]);
    check(&schema, "éééé", &["1:1: \"éééé\" is too long; write at most 3 characters"]);
}

#[test]
fn sizes_of_mappings() {
    let schema = json!({ "type": "object", "minProperties": 1, "maxProperties": 2 });
    check(&schema, "{}", &["1:1: too few fields: 0; write at least 1 field"]);
    check(&schema, "{a: 1, b: 1, c: 1}", &["1:1: too many fields: 3; write at most 2 fields"]);
}

#[test]
fn formats() {
    for (format, good, bad, noun, right) in [
        (
            "uri",
            "https://x.org/a",
            "x.org",
            "a URL",
            "a URL with its scheme, such as https://example.com",
        ),
        ("ip", "'::1'", "1.2.3", "an IP address", "an address such as 10.0.0.1 or ::1"),
        (
            "socket-address",
            "'[::1]:80'",
            "localhost:80",
            "a socket address",
            "an address with its port, such as 127.0.0.1:8080",
        ),
        ("ipv4", "10.0.0.1", "'::1'", "an IPv4 address", "an address such as 10.0.0.1"),
        ("ipv6", "'::1'", "10.0.0.1", "an IPv6 address", "an address such as ::1"),
        (
            "duration",
            "1h 30m",
            "20 parsecs",
            "a duration",
            "a number with a unit, such as 250ms, 20s or 5m",
        ),
    ] {
        let schema = json!({ "type": "string", "format": format });
        check(&schema, good, &[]);
        let bad_text = bad.trim_matches('\'');
        let expected = format!("1:1: \"{bad_text}\" is not {noun}; write {right}");
        check(&schema, bad, &[expected.as_str()]);
    }
    check(&json!({ "type": "string", "format": "color" }), "x", &[]);
}

#[test]
fn durations_take_a_number_only_if_the_schema_says_so() {
    let text = json!({ "type": "string", "format": "duration" });
    let either = json!({ "type": ["string", "number"], "format": "duration", "minimum": 0 });
    check(&either, "20", &[]);
    check(&either, "0.5", &[]);
    check(&either, "250ms", &[]);
    check(&either, "-1", &["1:1: -1 is too small; write a duration of 0s or more"]);
    check(
        &either,
        "true",
        &[
            "1:1: true is not a duration; write a number with a unit, such as 250ms, 20s or 5m, or a \
           number of seconds",
        ],
    );
    check(
        &text,
        "20",
        &["1:1: 20 is not a duration; write a number with a unit, such as 250ms, 20s or 5m"],
    );
    check(&text, "'20'", &["1:1: \"20\" is not a duration; add a unit, such as 20s"]);
}

#[test]
fn bounds_of_durations_have_units() {
    let bounded = json!({
        "type": ["string", "number"], "format": "duration", "exclusiveMinimum": 0, "maximum": 31_536_000
    });
    check(&bounded, "0", &["1:1: 0 is too small; write a duration above 0s, up to 365 days"]);
    check(
        &bounded,
        "31536001",
        &["1:1: 31536001 is too large; write a duration above 0s, up to 365 days"],
    );
    for (least, words) in [(0.25, "250ms"), (60.0, "60s"), (86_400.0, "24h"), (90.0, "90s")] {
        let schema = json!({ "type": "number", "format": "duration", "minimum": least });
        let expected = format!("1:1: 0 is too small; write a duration of {words} or more");
        check(&schema, "0", &[&expected]);
    }
}

#[test]
fn a_false_schema_refuses_everything() {
    let schema = json!({ "properties": { "old": false } });
    check(&schema, "old: 1", &["1:6: old: 1 is not anything known here"]);
}

#[test]
fn a_deprecated_field_is_a_warning() {
    let schema = json!({ "properties": { "old": { "deprecated": true } } });
    check(&schema, "old: 1", &["1:6: warning: old: this field is deprecated"]);
}

#[test]
fn an_open_mapping_warns_of_what_it_does_not_know() {
    let schema = json!({ "type": "object", "properties": { "timeout": {} } });
    check(
        &schema,
        "timeot: 1",
        &["1:1: warning: timeot: unknown field `timeot`; did you mean `timeout`? known: timeout"],
    );
    let taking = json!({ "properties": { "a": {} }, "additionalProperties": true });
    check(&taking, "b: 1", &[]);
}

#[test]
fn schemas_that_lead_back_to_themselves_end() {
    let nothing = json!({ "$ref": "#" });
    check(&nothing, "x", &[]);
    let choice = json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] });
    check(&choice, "null", &[]);
    assert!(!mistakes(&choice, "x").is_empty());
    let constrained = json!({
        "minLength": 2,
        "anyOf": [{ "$ref": "#" }, { "type": "string", "maxLength": 3 }, { "type": "string" }],
    });
    check(&constrained, "xx", &[]);
}

/// Undistinguished branches at every level: without remembering trials this would take 3^60 walks.
#[test]
fn nested_trials_stay_cheap() {
    let branch = |name: &str| {
        json!({
            "type": "object",
            "properties": { "next": { "$ref": "#" }, name: { "type": "boolean" } },
            "additionalProperties": false,
        })
    };
    let schema = json!({ "anyOf": [branch("a"), branch("b"), branch("c"), { "type": "string" }] });
    let text = format!("{}{{ c: 1 }}{}", "{ next: ".repeat(60), " }".repeat(60));
    assert!(!mistakes(&schema, &text).is_empty());
    check(&schema, &text.replace("c: 1", "c: true"), &[]);
}

#[test]
fn secrets_are_never_printed() {
    let secret = json!({ "type": "string", "minLength": 20, "writeOnly": true });
    let schema = json!({
        "properties": {
            "key": secret,
            "keys": { "type": "array", "items": { "type": "string", "format": "password", "pattern": "^k" } },
            "auth": { "type": "object", "properties": { "token": secret } },
            "either": { "anyOf": [secret, { "type": "integer" }] },
            "deep": { "writeOnly": true, "properties": { "a": { "type": "integer" } } },
            "set": { "type": "array", "uniqueItems": true, "items": secret },
        },
    });
    let text = "key: hunter2\nkeys: [hunter2]\nauth: hunter2\neither: hunter2\ndeep: { a: hunter2 }\n\
                set: [hunter2hunter2hunter2, hunter2hunter2hunter2]\n";
    let found = mistakes(&schema, text).join("\n");
    assert_eq!(found.lines().count(), 6, "{found}");
    assert!(!found.contains("hunter2"), "{found}");
    check(
        &schema,
        "key: hunter2",
        &["1:6: key: the value is too short; write at least 20 characters"],
    );
    check(
        &schema,
        "keys: hunter2",
        &["1:7: keys: the value is not a list; write a list such as `[…]`"],
    );
}
