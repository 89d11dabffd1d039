//! `seawall explain`: what a field means, what it is set to, and what is said of paths that mean nothing.

use crate::support::{Folder, ended, run, seawall};
use serde_json::{Value, json};

const YAML: &str = "\
upstreams:
  chat: { endpoints: ['http://a'], policies: [{ type: retry, max_attempts: 2 }, { type: circuit_breaker }] }
  slow: { endpoints: ['http://b'], strategy: conservative }
operations:
  mail: {}
routes: [{ path: /*, upstream: chat }]
auth: { keys: [{ name: ann, key: a-secret-of-ann-alone }] }
production: { preset: production }
";

fn explained(arguments: &[&str]) -> Value {
    let (code, text, told) = run(&[&["explain", "--json"], arguments].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {told}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_field_is_explained_with_type_bounds_and_default() {
    let (code, text, _) = run(&["explain", "upstreams.chat.policies[0].retry.max_attempts"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        text,
        "upstreams.chat.policies[0].retry.max_attempts\n  The number of attempts in all, the first included.\n  \
         type     whole number from 1 to 100\n  default  3\n"
    );
    for (path, kind, default) in [
        ("listen", "text", json!("127.0.0.1:8000")),
        (
            "drain_timeout",
            "length of time such as 250ms, 20s or 5m, or a number of seconds",
            json!("30s"),
        ),
        (
            "policies.retry.max_total_delay",
            "length of time such as 250ms, 20s or 5m, or a number of seconds above 0 to 31536000, or null",
            json!(null),
        ),
        ("policies.circuit_breaker.failure_ratio", "number above 0.0 to 1.0", json!(0.5)),
        ("auth.protect_reads", "true or false", json!(true)),
        ("custom.jitter_max", "number from 0.1 to 10.0, or null", json!(null)),
        ("production.preset", "text", json!("simple")),
    ] {
        let told = explained(&[path]);
        assert_eq!((&told[0]["type"], &told[0]["default"]), (&json!(kind), &default), "{path}");
        assert!(told[0]["description"].as_str().is_some_and(|text| text.len() > 10), "{path}");
    }
    let choices = explained(&["policies.retry.mode"]);
    assert_eq!(choices[0]["choices"], json!(["enforce", "shadow", "off"]));
    let section = explained(&["routes"]);
    assert_eq!(
        section[0]["fields"],
        json!([
            "dead_letter",
            "fallback",
            "methods",
            "path",
            "rate_limit",
            "total_timeout",
            "upstream"
        ])
    );
}

#[test]
fn short_paths_are_found_wherever_they_fit() {
    let everywhere = json!([
        "operations.<name>.policies[].retry.max_attempts",
        "strategies.<name>.policies[].retry.max_attempts",
        "upstreams.<name>.policies[].retry.max_attempts"
    ]);
    for path in ["policies.retry.max_attempts", "retry.max_attempts", "max_attempts"] {
        assert_eq!(explained(&[path])[0]["paths"], everywhere, "{path}");
    }
    let one = json!(["upstreams.<name>.policies[].retry.max_attempts"]);
    for path in ["upstreams.policies.max_attempts", "upstreams.*.policies[].max_attempts"] {
        assert_eq!(explained(&[path])[0]["paths"], one, "{path}");
    }
    let named = explained(&[r#"upstreams["gpt-4.1"].endpoints[1]"#]);
    assert_eq!(named[0]["paths"], json!([r#"upstreams["gpt-4.1"].endpoints[1]"#]));
}

#[test]
fn values_in_force_are_shown_with_their_origin() {
    let folder = Folder::new();
    let file = folder.file("a.yaml", YAML).display().to_string();
    let values = |path: &str, more: &[&str]| {
        let told = explained(&[&[path, "--config", &file], more].concat());
        let all = told.as_array().unwrap().iter().flat_map(|one| one["values"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap().replace(&file, "FILE");
        all.map(|set| format!("{}={} {}", text(&set["path"]), set["value"], text(&set["origin"])))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        values("policies.retry.max_attempts", &[]),
        [
            "operations.mail.policies[3].max_attempts=3 preset simple",
            "upstreams.chat.policies[0].max_attempts=2 FILE:2",
            "upstreams.slow.policies[3].max_attempts=5 preset conservative",
        ]
    );
    assert_eq!(values("upstreams.slow.policies[3].retry.max_attempts", &[]).len(), 1);
    assert_eq!(values("upstreams.slow.policies[0].retry.max_attempts", &[]), [""; 0]);
    assert_eq!(values("drain_timeout", &[]), ["drain_timeout=\"30s\" default"]);
    assert_eq!(values("preset", &[]), ["preset=\"simple\" default"]);
    for path in ["preset", "production.preset"] {
        let told = values(path, &["--env", "production"]);
        assert_eq!(told, ["preset=\"production\" FILE:8 (production)"]);
    }
    let attempts = values("operations.mail.policies.retry.max_attempts", &["--env", "production"]);
    assert_eq!(attempts, ["operations.mail.policies[3].max_attempts=5 preset production"]);

    let mut command = seawall();
    command.args(["explain", "preset", "--config", &file]).env("SEAWALL__PRESET", "development");
    let (_, text, _) = ended(&mut command);
    assert!(text.contains("preset = \"development\"  (variable SEAWALL__PRESET)"), "{text}");
    let (_, text, _) = run(&["explain", "auth.keys", "--config", &file]);
    assert!(text.contains("auth.keys[0].key = \"***\"") && !text.contains("a-secret"), "{text}");
}

#[test]
fn a_path_that_means_nothing_gets_the_nearest_name() {
    for (path, told) in [
        ("listne", "there is no field `listne`; did you mean `listen`? known: auth, custom"),
        ("max_atempts", "did you mean `max_attempts`?"),
        (
            "upstreams.chat.polices",
            "no field `polices` in `upstreams.chat`; did you mean `policies`? known: attempt_timeout",
        ),
        (
            "upstreams.chat.policies[0].max_atempts",
            "in `upstreams.chat.policies[0]`; did you mean `max_attempts`?",
        ),
        ("policies.retry.bakoff", "in `policies.retry`; did you mean `backoff`?"),
        ("listen.port", "there is no field `port` in `listen`; it has no fields"),
        ("zzzz", "there is no field `zzzz`; known: auth"),
    ] {
        let (code, out, error) = run(&["explain", path]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{path}");
        assert!(error.contains(told), "{path}: {error}");
    }
    for path in ["", "a..b", "a[", "a[x]"] {
        let (code, _, error) = run(&["explain", path]);
        assert_eq!(code, Some(2), "{path}");
        assert!(error.contains("write it as upstreams.chat.endpoints[0]"), "{error}");
    }
    let folder = Folder::new();
    let file = folder.file("b.yaml", "limts: 3\n").display().to_string();
    let (code, _, error) = run(&["explain", "listen", "--config", &file]);
    assert_eq!(code, Some(2));
    assert!(error.contains("b.yaml:1:1: limts: unknown field"), "{error}");
}
