//! The configuration in force: layers, origins, and that it reaches the calls.

use crate::{
    support::Upstream,
    world::{QUIET, World},
};
use seawall_presets::{legacy, migrate};
use seawall_server::Inputs;
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn later_layers_win_and_every_value_says_where_it_comes_from() {
    let yaml = format!(
        "{QUIET}limits: {{ max_body_bytes: 1000, max_replay_bytes: 10 }}\npreset: development\n\
         staging: {{ limits: {{ max_body_bytes: 2000 }} }}\n"
    );
    let variables = [
        ("SEAWALL_ENV", "staging"),
        ("RESILIENCE_PRESET", "production"),
        ("SEAWALL__LIMITS__MAX_REPLAY_BYTES", "20"),
        ("SEAWALL__UPSTREAMS__CHAT__CONNECT_TIMEOUT", "750ms"),
    ];
    let world = World::with(&yaml, &variables).await;
    let change = json!({ "configuration": { "drain_timeout": "9s" } });
    assert_eq!(world.put("config", change).await.status, 200);
    let config = world.json("config").await;
    assert_eq!((&config["preset_name"], &config["revision"]), (&"production".into(), &2.into()));
    assert_eq!(config["configuration"]["retry_attempts"], 5);
    assert_eq!(config["operation_strategies"], json!({ "chat": "aggressive", "qa": "critical" }));
    assert_eq!(config["strategies"].as_object().unwrap().len(), 4);
    assert_eq!(config["api_change"], json!({ "drain_timeout": "9s" }));
    let document = &config["document"];
    assert_eq!(document["limits"]["max_body_bytes"], 2000);
    assert_eq!(document["limits"]["max_replay_bytes"], 20);
    assert_eq!(document["upstreams"]["chat"]["connect_timeout"], "750ms");
    let file = world.file();
    let file = file.display();
    for (path, source) in [
        ("limits.max_body_bytes", format!("{file}:8 (staging)")),
        ("limits.max_replay_bytes", "variable SEAWALL__LIMITS__MAX_REPLAY_BYTES".into()),
        ("limits.max_connections", "default".into()),
        ("preset", "variable RESILIENCE_PRESET".into()),
        ("drain_timeout", "API".into()),
        ("upstreams.chat.strategy", format!("{file}:3")),
    ] {
        assert_eq!(config["sources"][path], source, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_and_overrides_reach_the_calls() {
    let sick = Upstream::statuses(&[500]).await;
    let yaml = format!(
        "upstreams: {{ ai: {{ endpoints: ['{}'] }} }}\nroutes: [{{ path: /*, upstream: ai }}]\n",
        sick.endpoint()
    );
    let custom = "{\"retry_attempts\": 2, \"circuit_breaker_threshold\": 2, \"exponential_min\": 0.5, \
                  \"exponential_multiplier\": 0.1, \"jitter_enabled\": false}";
    let world = World::with(&yaml, &[("RESILIENCE_CUSTOM_CONFIG", custom)]).await;
    for _ in 0..2 {
        let answer = world.get("/x").await;
        assert_eq!(answer.status, 500, "exhausted retries give the last real answer");
        assert_eq!(answer.header("x-seawall-attempts"), "2");
    }
    assert_eq!(sick.calls(), 4);
    let refused = world.get("/x").await;
    assert_eq!((refused.status.as_u16(), sick.calls()), (503, 4), "the breaker opened after two");
    let config = world.json("config").await;
    assert_eq!(config["custom_overrides"]["circuit_breaker_threshold"], 2);
    assert_eq!(config["configuration"]["exponential_min"], 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_variables_are_applied_and_reported() {
    let legacy = [
        ("RETRY_MAX_ATTEMPTS", "2"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "3"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "30"),
        ("DEFAULT_RESILIENCE_STRATEGY", "aggressive"),
    ];
    let world = World::with(QUIET, &legacy).await;
    let config = world.json("config").await;
    assert_eq!(
        (&config["is_legacy_config"], &config["preset_name"]),
        (&true.into(), &"development".into())
    );
    assert_eq!(config["custom_overrides"], json!(null));
    let usage = world.json("monitoring/usage-statistics").await;
    assert_eq!(usage["usage_statistics"]["legacy_config_usage_rate"], 1.0);
}

fn told(yaml: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.yaml");
    std::fs::write(&file, yaml).unwrap();
    let pairs = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    match Inputs::file(file).with_variables(pairs).load() {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn wrong_variables_stop_the_start_and_are_named() {
    for (name, value, words) in [
        ("RESILIENCE_PRESET", "prod", "choose one of simple, development, production"),
        ("RESILIENCE_CUSTOM_CONFIG", "{\"retry_attempts\": 11}", "1 to 10"),
        ("RESILIENCE_CUSTOM_CONFIG", "{oops", "RESILIENCE_CUSTOM_CONFIG"),
        ("SEAWALL_ENV", "moon", "use development, testing, staging, production"),
        ("SEAWALL__LIMITS__MAX_BODYBYTES", "1", "did you mean `max_body_bytes`"),
        ("ENABLE_RESILIENCE_MONITORING", "perhaps", "use true or false"),
    ] {
        let told = told(QUIET, &[(name, value)]);
        assert!(told.contains(words), "{name}={value}: {told}");
    }
}

#[test]
fn the_arithmetic_is_done_before_the_night() {
    let with = |policies: &str, route: &str| {
        told(
            &format!(
                "upstreams:\n  a: {{ endpoints: ['http://127.0.0.1:9'], repeatable: never, policies: [{policies}] }}\n\
                 routes: [{{ path: /*, upstream: a{route} }}]\n"
            ),
            &[],
        )
    };
    let cb = "{ type: circuit_breaker, window: { time: 60s }, minimum_calls: 100 }";
    for (policies, route, words) in [
        (cb.replace("60s", "600s"), ", rate_limit: { rate: 3 }", "cannot open within 33 s"),
        (cb.replace("60s", "20s"), ", rate_limit: { rate: 3 }", "never opens: its window of 20s"),
        ("{ type: timeout, limit: 5s }, { type: retry, max_attempts: 4 }, { type: timeout, limit: 2s }".into(), "",
            "4 attempts of 2s take 8s"),
        ("{ type: rate_limiter, rate: 50, burst: 40 }, { type: bulkhead, max_concurrent: 10 }".into(), "",
            "90 calls may come at once, and the bulkhead behind has room for 10"),
        ("{ type: retry }, { type: retry }, { type: retry }".into(), "", "3 layers that retry make up to 27 calls"),
        (["{ type: retry, max_attempts: 100 }"; 11].join(", "), "", "make up to 18446744073709551615 calls"),
        ("{ type: retry, max_attempts: 11 }".into(), "", "10 is the most"),
        ("{ type: retry, backoff: { jitter: none } }".into(), "", "without jitter"),
        ("{ type: retry, max_attempts: 10, backoff: { growth: constant, base_delay: 60s } }".into(), "",
            "may wait 540 s"),
        ("{ type: circuit_breaker, failure_threshold: 1 }".into(), "", "a single failure"),
        ("{ type: circuit_breaker, recovery_timeout: 5s }".into(), "", "30s is the least"),
        ("{ type: rate_limiter, rate: 5, burst: 9 }".into(), "", "use rate or less"),
        ("{ type: hedge }".into(), "", "no request here may be sent twice"),
        ("{ type: retry }".into(), ", rate_limit: { rate: 5, burst: 9 }", "routes[0].rate_limit.burst"),
        ("{ type: timeout, limit: 5s }".into(), ", total_timeout: 5s", "a hang there uses up the total of 5s"),
        ("{ type: retry }".into(), " }, { path: /x, upstream: a", "/* above takes every request"),
    ] {
        let told = with(&policies, route);
        assert!(told.contains(words), "{policies}{route}:\n{told}");
        assert!(told.lines().all(|line| line.contains("warning: ")), "{told}");
    }
    for route in ["", ", total_timeout: 8s"] {
        assert_eq!(with("{ type: retry }, { type: timeout, limit: 2s }", route), "");
    }
}

/// The policies that come of a file and variables, and the preset in full.
fn effective(yaml: &str, variables: &BTreeMap<String, String>) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.yaml");
    std::fs::write(&file, yaml).unwrap();
    let loaded = Inputs::file(file).with_variables(variables.clone()).load();
    let config = loaded.unwrap_or_else(|error| panic!("{error}")).document;
    let policies = |name: &str| config.effective_policies(name);
    json!([config.settings(), policies("chat"), policies("qa"), policies("sentiment")])
}

#[test]
fn migrating_changes_nothing() {
    let sets: [&[(&str, &str)]; 5] = [
        &[
            ("RETRY_MAX_ATTEMPTS", "2"),
            ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "3"),
            ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "30"),
            ("DEFAULT_RESILIENCE_STRATEGY", "aggressive"),
        ],
        &[
            ("RETRY_MAX_ATTEMPTS", "7"),
            ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "8"),
            ("RETRY_MAX_DELAY", "300"),
        ],
        &[("RETRY_MAX_ATTEMPTS", "4")],
        &[
            ("QA_RESILIENCE_STRATEGY", "critical"),
            ("RETRY_JITTER_ENABLED", "no"),
            ("RETRY_EXPONENTIAL_MAX", "50"),
        ],
        &[("RETRY_MAX_ATTEMPTS", "many"), ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "45")],
    ];
    let told =
        told(QUIET, &[("RETRY_MAX_ATTEMPTS", "many"), ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "45")]);
    assert!(told.contains("many") && told.contains("older variables choose the preset"), "{told}");
    for set in sets {
        let old: BTreeMap<String, String> =
            set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let before = effective(QUIET, &old);
        let analyzed = legacy::analyze(&old);
        let env = migrate::write(&analyzed, &old, migrate::Target::Env);
        let new = legacy::read_env_file(&env).unwrap_or_else(|wrong| panic!("{wrong:?}\n{env}"));
        assert_eq!(effective(QUIET, &new), before, "{set:?}\n{env}");
        let yaml = migrate::write(&analyzed, &old, migrate::Target::Yaml);
        let file = format!("{QUIET}{yaml}");
        assert_eq!(effective(&file, &BTreeMap::new()), before, "{set:?}\n{file}");
    }
}
