//! Tests of what is refused from untrusted sources, and of the places that are reported.

use super::*;
use serde_json::{Map, json};

/// A value for one operation, as text.
fn with(value: &str) -> Value {
    json!({"operation_overrides": {"qa": value}})
}

fn errors(value: &Value) -> Vec<String> {
    let verdict = content(&value.to_string()).0;
    assert_eq!(verdict.is_valid, verdict.errors.is_empty());
    assert_eq!(verdict.is_valid, verdict.suggestions.is_empty());
    verdict.errors
}

#[test]
fn plain_configurations_pass() {
    for template in crate::templates::all() {
        let value = serde_json::to_value(&template.config).unwrap();
        assert_eq!(errors(&value), Vec::<String>::new(), "{}", template.name);
    }
    for value in [
        "condition=1",
        "metadata:",
        "important",
        "evaluate",
        "a__b",
        "../x".trim_start_matches('.'),
        "ünïcode",
        "漢字",
        "$HOME",
        "a < b",
        &"x".repeat(10),
    ] {
        assert_eq!(errors(&with(value)), Vec::<String>::new(), "{value}");
    }
}

#[test]
fn forbidden_content_is_found_with_its_path() {
    for (text, what) in [
        ("<script>", "a script tag"),
        ("</SCRIPT >", "a script tag"),
        ("<img src=x>", "markup"),
        ("<!-- -->", "markup"),
        ("JavaScript:alert", "a `javascript:` address"),
        ("data:text/html", "a `data:` address"),
        ("vbscript:x", "a `vbscript:` address"),
        ("x onload = y", "an event handler"),
        ("onclick=y", "an event handler"),
        ("../../etc", "a step to the folder above"),
        ("<% x %>", "a template tag"),
        ("{{ x }}", "a template tag"),
        ("{% x %}", "a template tag"),
        ("${HOME}", "a `${…}` placeholder"),
        ("eval (x)", "a call of `eval`"),
        ("EXEC(x)", "a call of `exec`"),
        ("import os", "an `import`"),
        ("require('x')", "a call of `require`"),
        ("__class__", "a dunder name"),
        ("a\tb", "a control character (Cc)"),
        ("a\u{200b}b", "a format character (Cf)"),
        ("\u{e000}", "a character for private use (Co)"),
        ("\u{1f600}", "a character over U+1F4FF"),
    ] {
        let value = format!("operation_overrides.qa holds {what}, which is not allowed");
        assert!(errors(&with(text)).contains(&value), "{text}: {:?}", errors(&with(text)));
        let key = errors(&json!({"operation_overrides": { text: "balanced" }}));
        let place = "operation_overrides";
        let found = |e: &String| e.starts_with(place) && e.contains("has a key that holds");
        assert!(key.iter().any(|e| found(e) && e.contains(what)), "{text}: {key:?}");
    }
}

#[test]
fn escapes_are_found_in_the_text() {
    for (text, what) in [
        (r#"{"default_strategy": "balan\u0063ed"}"#, r"an escape `\u....` at byte 27"),
        (r#"{"default_strategy": "\\x41"}"#, r"an escape `\x..` at byte 23"),
        (r#"{"default_strategy": "\x41"}"#, r"an escape `\x..`"),
        (r#"{"default_strategy": "\ud800"}"#, r"an escape `\u....`"),
        (r#"{"\u0061": 1}"#, r"an escape `\u....`"),
    ] {
        let errors = content(text).0.errors;
        assert!(errors.iter().any(|error| error.contains(what)), "{text}: {errors:?}");
    }
}

/// `{"operation_overrides": [[…]]}` whose innermost list is this deep.
fn deep(depth: usize) -> Value {
    let inner = (1..depth).fold(json!([]), |inner, _| json!([inner]));
    json!({ "operation_overrides": inner })
}

#[test]
fn sizes_are_bounded() {
    let long = |length: usize| "ab".repeat(length).chars().take(length).collect::<String>();
    let object = |size: usize| {
        let entries: Map<String, Value> = (0..size).map(|i| (format!("o{i}"), json!(1))).collect();
        json!({ "operation_overrides": entries })
    };
    let list = |size: usize| json!({ "operation_overrides": vec![1; size] });
    for (right, wrong, expected) in [
        (with(&long(200)), with(&long(201)), "operation_overrides.qa has 201 characters"),
        (object(50), object(51), "operation_overrides has 51 properties; at most 50"),
        (list(20), list(21), "operation_overrides has 21 items; at most 20"),
        (deep(10), deep(11), "[0] is nested too deep; at most 10 levels"),
        (with(&"x".repeat(10)), with(&"x".repeat(11)), "qa has more than 10 equal characters"),
    ] {
        assert_eq!(errors(&right), Vec::<String>::new());
        assert!(errors(&wrong).iter().any(|e| e.contains(expected)), "{:?}", errors(&wrong));
    }
}

#[test]
fn large_texts_are_not_looked_at() {
    let fits = format!("{{\"retry_attempts\": 3}}{}", " ".repeat(4096 - 21));
    assert_eq!(fits.len(), 4096);
    let info = SecurityInfo { size_bytes: 4096, max_size_bytes: 4096, field_count: 1 };
    let (verdict, found, _) = content(&fits);
    assert_eq!((verdict, found), (Verdict::new(), info));
    let (verdict, info, _) = content(&"<script>".repeat(1_000_000));
    assert_eq!(verdict.errors, ["the configuration has 8000000 bytes; at most 4096 are allowed"]);
    assert_eq!((info.size_bytes, info.field_count), (8_000_000, 0));
}

#[test]
fn fields_and_text_are_checked_too() {
    for (text, expected) in [
        (r#"{"retry_attempt": 3}"#, "retry_attempt is not a known field"),
        (r#"{"retry_attempts": 3, "retry_attempts": 3}"#, "given twice"),
        ("[]", "must be a JSON object"),
        ("{", "EOF"),
    ] {
        let errors = validate_secure(text, &Catalog::default()).0.errors;
        assert!(errors.len() == 1 && errors[0].contains(expected), "{text}: {errors:?}");
    }
    let catalog = Catalog::default();
    let (verdict, _) = validate_secure(r#"{"retry_attempts": 30, "x": "<%"}"#, &catalog);
    assert_eq!(verdict.errors.len(), 3, "{verdict:?}");
    assert!(!validate_secure("{}", &catalog).0.is_valid);
    assert!(validate_secure(r#"{"retry_attempts": 3.0}"#, &catalog).0.is_valid);
}

#[test]
fn limits_are_those_of_the_specification() {
    let SecurityLimits { allowed_fields, forbidden_pattern_count, .. } = limits();
    assert_eq!(allowed_fields.len(), 11);
    assert_eq!(forbidden_pattern_count, 16);
    let mut rest = serde_json::to_value(limits()).unwrap();
    for field in ["allowed_fields", "forbidden_pattern_count"] {
        rest.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(
        rest,
        json!({
            "max_size_bytes": 4096, "max_string_length": 200, "max_array_items": 20,
            "max_object_properties": 50, "max_nesting_depth": 10, "max_repeated_chars": 10,
            "max_unicode_codepoint": 0x1F4FF,
            "forbidden_unicode_categories": ["Cc", "Cf", "Co", "Cs"],
        })
    );
}
