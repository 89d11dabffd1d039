//! `check` and `schema`, and what every command says of bad input.

use crate::support::{Folder, seawall};
use std::process::Output;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = seawall().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

const BROKEN: &str = "\
preset: productoin
upstreams:
  chat: { endpoints: [ftp://a], strategy: balanced }
  backup: { endpoints: [] }
routes:
  - { path: /v1/*, upstream: cha, rate_limit: { rate: -1 } }
limts: 3
";

#[test]
fn check_and_serve_tell_every_mistake_with_path_and_line() {
    let folder = Folder::new();
    let file = folder.file("broken.yaml", BROKEN).display().to_string();
    for arguments in [&["check", &file][..], &["serve", "--config", &file]] {
        let (code, _, told) = run(arguments);
        assert_eq!(code, Some(2), "{told}");
        let lines: Vec<&str> = told.lines().collect();
        for (line, expected) in lines.iter().zip([
            ":1:9: preset:",
            ":3:23: upstreams.chat.endpoints[0]:",
            ":4:24: upstreams.backup.endpoints:",
            ":6:30: routes[0].upstream:",
            ":6:55: routes[0].rate_limit.rate:",
            ":7:1: limts: unknown field `limts`; did you mean `limits`?",
        ]) {
            assert!(line.starts_with(&file) && line.contains(expected), "{expected}: {line}");
        }
        assert_eq!(lines.len(), 6, "{told}");
    }
}

#[test]
fn check_is_content_with_a_good_file_in_every_format() {
    let folder = Folder::new();
    for (name, text) in [
        (
            "a.yaml",
            "upstreams: { a: { endpoints: ['http://a'] } }\nroutes: [{ path: /*, upstream: a }]\n",
        ),
        (
            "a.json",
            "{\"upstreams\":{\"a\":{\"endpoints\":[\"http://a\"]}},\"routes\":[{\"path\":\"/*\",\"upstream\":\"a\"}]}",
        ),
        (
            "a.toml",
            "[upstreams.a]\nendpoints = ['http://a']\n[[routes]]\npath = '/*'\nupstream = 'a'\n",
        ),
    ] {
        let file = folder.file(name, text).display().to_string();
        let (code, _, told) = run(&["check", &file]);
        assert_eq!(code, Some(0), "{name}: {told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, _, told) = run(&["check", "no-such-file.yaml"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("no-such-file.yaml"), "{told}");
}

#[test]
fn the_schema_is_the_one_that_is_kept() {
    let (code, printed, _) = run(&["schema"]);
    assert_eq!(code, Some(0));
    let kept = include_str!("../../../../docs/schema.json");
    assert!(printed == kept, "docs/schema.json is stale: `cargo xtask codegen` writes it");
}

#[test]
fn a_demo_keeps_its_promises() {
    let (code, printed, told) = run(&["demo", "--json", "--seconds", "15"]);
    let seen: serde_json::Value = serde_json::from_str(&printed).unwrap_or_default();
    assert_eq!((code, &seen["passed"]), (Some(0), &true.into()), "{printed}{told}");
    for side in ["direct", "seawall"] {
        for field in ["requests", "success_rate", "p50_ms", "p99_ms"] {
            assert!(seen[side][field].is_number(), "{side}.{field}: {printed}");
        }
    }
    for field in ["opened_after_ms", "calls_while_open", "closed_after_ms"] {
        assert!(seen["breaker"][field].is_number(), "breaker.{field}: {printed}");
    }
}
