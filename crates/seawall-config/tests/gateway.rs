//! A file as operators write them: many mistakes at once, checks across fields, warnings, secrets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use schemars::JsonSchema;
use seawall_config::{Document, Format, Report, Severity, Source, load_str};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gateway {
    listen: String,
    #[serde(default)]
    auth: Option<Auth>,
    upstreams: BTreeMap<String, Upstream>,
    routes: Vec<Route>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Auth {
    #[schemars(extend("minLength" = 16, "writeOnly" = true))]
    key: Key,
}

/// A rule that no schema expresses: serde refuses the value, and quotes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct Key;

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.starts_with("sk-") {
            true => Ok(Self),
            false => Err(format!("the key {text:?} does not start with sk-")),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upstream {
    #[schemars(length(min = 1), inner(url))]
    endpoints: Vec<String>,
    #[serde(default)]
    #[schemars(extend("format" = "duration"))]
    attempt_timeout: Option<String>,
    #[serde(default)]
    policies: Vec<Policy>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
enum Policy {
    Retry {
        #[schemars(range(min = 1, max = 100))]
        max_attempts: u32,
    },
    Bulkhead {
        max_concurrent: u32,
        #[serde(default)]
        queue: bool,
    },
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Route {
    path: String,
    upstream: String,
    #[serde(default)]
    rate_limit: Option<RateLimit>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RateLimit {
    #[schemars(range(min = 1))]
    rate: u32,
    #[schemars(extend("format" = "duration"))]
    per: String,
}

impl Document for Gateway {
    fn check(&self, report: &mut Report<'_>) {
        for (index, route) in self.routes.iter().enumerate() {
            if !self.upstreams.contains_key(&route.upstream) {
                let known: Vec<&str> = self.upstreams.keys().map(String::as_str).collect();
                report.error(
                    format_args!("routes[{index}].upstream"),
                    format!("there is no upstream `{}`", route.upstream),
                    format!("known: {}", known.join(", ")),
                );
            }
            report.within(format_args!("routes[{index}]"), |report| {
                if route.rate_limit.is_none() && route.path == "/*" {
                    report.warning("rate_limit", "a route for everything has no limit", "");
                }
            });
        }
        for (name, upstream) in &self.upstreams {
            if upstream.endpoints.len() > 1 && upstream.attempt_timeout.is_none() {
                report.error(
                    format_args!("upstreams[\"{name}\"].attempt_timeout"),
                    "several endpoints need a timeout for each attempt",
                    "write one, such as 20s",
                );
            }
        }
    }
}

const GOOD: &str = r#"# The gateway of the tests.
listen: 127.0.0.1:8080
auth: { key: sk-0123456789abcdef }
upstreams:
  chat:
    endpoints: [https://a.example, https://b.example]
    attempt_timeout: 20s
    policies:
      - { type: retry, max_attempts: 3 }
      - type: bulkhead
        max_concurrent: 10
routes:
  - { path: /v1/*, upstream: chat, rate_limit: { rate: 100, per: 1s } }
"#;

fn load(text: &str) -> Result<Gateway, String> {
    load_str("seawall.yaml", text, Format::Yaml).map_err(|mistakes| mistakes.to_string())
}

#[test]
fn a_good_file_loads() {
    let gateway = load(GOOD).unwrap();
    assert_eq!(gateway.listen, "127.0.0.1:8080");
    assert_eq!(gateway.upstreams["chat"].policies.len(), 2);
    assert_eq!(gateway.routes[0].rate_limit.as_ref().map(|limit| limit.rate), Some(100));
    assert_eq!(gateway.routes[0].rate_limit.as_ref().map(|limit| &*limit.per), Some("1s"));
    assert!(gateway.auth.is_some_and(|auth| matches!(auth.key, Key)));
}

#[test]
fn ten_mistakes_come_at_once() {
    let text = r#"listen: 8080
auth: { key: hunter2 }
upstreams:
  chat:
    endpoints: []
    attempt_timeout: 20 parsecs
    retries: 3
    policies:
      - { type: retry, max_attempts: 0 }
      - { type: bulkhed, max_concurrent: 10 }
      - { type: bulkhead, max_concurent: 10 }
routes:
  - { path: /v1/*, upstream: chat, rate_limit: { rate: "100", per: 1 } }
  - { path: /v1/*, path: /v2 }
"#;
    let expected = r#"seawall.yaml:1:9: listen: 8080 is not text; put it in quotes
seawall.yaml:2:14: auth.key: the value is too short; write at least 16 characters
seawall.yaml:5:16: upstreams.chat.endpoints: the list is empty; write at least 1 item
seawall.yaml:6:22: upstreams.chat.attempt_timeout: "20 parsecs" is not a duration; write a number with a unit, such as 250ms, 20s or 5m
seawall.yaml:7:5: upstreams.chat.retries: unknown field `retries`; known: attempt_timeout, endpoints, policies
seawall.yaml:9:38: upstreams.chat.policies[0].max_attempts: 0 is too small; write a whole number from 1 to 100
seawall.yaml:10:17: upstreams.chat.policies[1].type: "bulkhed" is not one of the known values; did you mean `bulkhead`? known: retry, bulkhead
seawall.yaml:11:9: upstreams.chat.policies[2].max_concurrent: missing field `max_concurrent`; write a whole number of 0 or more
seawall.yaml:11:27: upstreams.chat.policies[2].max_concurent: unknown field `max_concurent`; did you mean `max_concurrent`? known: max_concurrent, queue, type
seawall.yaml:13:56: routes[0].rate_limit.rate: "100" is not a whole number; write a whole number of 1 or more
seawall.yaml:13:68: routes[0].rate_limit.per: 1 is not a duration; write a number with a unit, such as 250ms, 20s or 5m
seawall.yaml:14:5: routes[1].upstream: missing field `upstream`; write text
seawall.yaml:14:20: routes[1].path: duplicate key `path`; it is first given on line 14; keep one"#;
    let found = load(text).unwrap_err();
    assert_eq!(found, expected, "\n{found}");
}

#[test]
fn checks_across_fields_find_their_lines() {
    let text = GOOD
        .replace("    attempt_timeout: 20s\n", "")
        .replace("upstream: chat", "upstream: chta")
        .replace("chat:", "chat.eu:");
    assert_eq!(
        load(&text).unwrap_err(),
        "seawall.yaml:5:3: upstreams[\"chat.eu\"].attempt_timeout: several endpoints need a timeout for \
         each attempt; write one, such as 20s\n\
         seawall.yaml:12:30: routes[0].upstream: there is no upstream `chta`; known: chat.eu"
    );
}

#[test]
fn warnings_do_not_refuse_the_file() {
    let text = format!("{GOOD}  - {{ path: /*, upstream: chat, rate_limt: ~ }}\n");
    let loaded = Source::new("f", text, Format::Yaml).load::<Gateway>().unwrap();
    assert_eq!(loaded.document.routes.len(), 2);
    assert!(!loaded.warnings.any_error());
    assert_eq!(
        loaded.warnings.to_string(),
        "f:14:5: warning: routes[1].rate_limit: a route for everything has no limit\n\
         f:14:33: warning: routes[1].rate_limt: unknown field `rate_limt`; did you mean `rate_limit`? \
         known: path, rate_limit, upstream"
    );
}

#[test]
fn mistakes_that_only_serde_finds_have_a_line_and_no_secret() {
    let text = GOOD.replace("sk-0123456789abcdef", "hunter2hunter2hunter2");
    assert_eq!(
        load(&text).unwrap_err(),
        "seawall.yaml:3:14: auth.key: the key \"***\" does not start with sk-"
    );
}

#[test]
fn mistakes_are_records_too() {
    let text = GOOD.replace("max_attempts: 3", "max_attempts: 300");
    let mistakes = load_str::<Gateway>("f", &text, Format::Yaml).unwrap_err();
    assert_eq!((mistakes.len(), mistakes.is_empty()), (1, false));
    let json = serde_json::to_value(&mistakes).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "file": "f", "line": 9, "column": 38, "path": "upstreams.chat.policies[0].max_attempts",
            "value": "300", "message": "300 is too large", "right": "write a whole number from 1 to 100",
            "severity": "error",
        }])
    );
    assert_eq!(serde_json::from_value::<seawall_config::Mistakes>(json).unwrap(), mistakes);
    assert_eq!(mistakes.into_iter().next().map(|one| one.severity), Some(Severity::Error));
}

#[test]
fn a_flood_of_mistakes_is_cut() {
    let text = format!("{GOOD}{}", "  - {}\n".repeat(3000));
    let found = load(&text).unwrap_err();
    assert_eq!(found.lines().count(), 1001);
    assert!(found.ends_with("5000 more mistakes are not listed"), "{found}");
}

#[test]
fn the_other_formats_load_the_same_and_have_lines() {
    let json = r#"{
  "listen": "x",
  "upstreams": { "chat": { "endpoints": ["https://a.example"] } },
  "routes": [{ "path": "/", "upstream": 5 }]
}"#;
    let found = load_str::<Gateway>("f.json", json, Format::Json).unwrap_err().to_string();
    assert_eq!(found, "f.json:4:41: routes[0].upstream: 5 is not text; put it in quotes");
    let good = format!("\u{feff}{}", json.replace('5', "\"chat\""));
    assert!(load_str::<Gateway>("f.json", &good, Format::Json).is_ok());
    for (text, expected) in [
        ("{\"é\": 1,}", "f.json:1:9: not JSON: key must be a string"),
        ("listen: x", "f.json:1:1: not JSON: expected value"),
        (
            "{\"a\": 1, \"a\": 2}",
            "f.json:1:10: a: duplicate key `a`; it is first given on line 1; keep one",
        ),
    ] {
        let found = load_str::<Gateway>("f.json", text, Format::Json).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
    let toml = "listen = 'x'\n[upstreams.chat]\nendpoints = ['https://a.example']\n\
                [[routes]]\npath = '/'\nupstream = 5\n";
    let found = load_str::<Gateway>("f.toml", toml, Format::Toml).unwrap_err().to_string();
    assert_eq!(found, "f.toml:6:12: routes[0].upstream: 5 is not text; put it in quotes");
    assert!(load_str::<Gateway>("f.toml", &toml.replace('5', "'chat'"), Format::Toml).is_ok());
}
