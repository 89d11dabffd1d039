//! `seawall rules`: the alert rules fire when they should and only then, and nothing in them or in the dashboard
//! asks for a metric that no server exports.

use crate::{
    remote::{gateway, trip},
    support::{Folder, Serving, ended, get, run},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// A program of the Debian package `prometheus`.
fn promtool(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder);
    if let Err(error) = Command::new("promtool").arg("--version").output() {
        panic!("promtool is needed ({error}): apt-get install -y prometheus");
    }
    ended(&mut command)
}

/// A rule, when it is looked at in minutes, and series with and without a reason to fire.
type Case =
    (&'static str, &'static str, u32, &'static [[&'static str; 2]], &'static [[&'static str; 2]]);

const SUCCESS: &str = r#"seawall_calls_total{operation="a",outcome="success"}"#;
const FAILURE: &str = r#"seawall_calls_total{operation="a",outcome="failure"}"#;
const TIMED_OUT: &str = r#"seawall_calls_total{operation="a",outcome="timed_out"}"#;
const OPEN: &str = r#"seawall_circuit_state{name="a",state="open"}"#;
const HALF_OPEN: &str = r#"seawall_circuit_state{name="a",state="half_open"}"#;
const CLOSED: &str = r#"seawall_circuit_state{name="a",state="closed"}"#;
const FORCED: &str = r#"seawall_circuit_state{name="a",state="forced_open"}"#;
const FAST: &str = r#"seawall_latency_seconds_bucket{operation="a",le="1"}"#;
const LONG: &str = r#"seawall_latency_seconds_bucket{operation="a",le="2.5"}"#;
const LONGER: &str = r#"seawall_latency_seconds_bucket{operation="a",le="10"}"#;
const ALL: &str = r#"seawall_latency_seconds_bucket{operation="a",le="+Inf"}"#;

const CASES: &[Case] = &[
    // Open and half-open by turns is still not closed.
    (
        "CircuitBreakerOpen",
        "critical",
        9,
        &[[OPEN, "1 1 0 1 1 0 1 1 0 1"], [HALF_OPEN, "0 0 1 0 0 1 0 0 1 0"], [CLOSED, "0+0x9"]],
        &[[OPEN, "1 1 1 0 0 1 1 1 1 1"], [HALF_OPEN, "0+0x9"], [CLOSED, "0 0 0 1 1 0 0 0 0 0"]],
    ),
    ("CircuitBreakerForced", "warning", 65, &[[FORCED, "1+0x70"]], &[[FORCED, "0+0x20 1+0x50"]]),
    (
        "CircuitBreakerFlapping",
        "warning",
        40,
        &[[r#"seawall_circuit_opened_total{name="a"}"#, "0+1x60"]],
        &[[r#"seawall_circuit_opened_total{name="a"}"#, "0+0x30 1+0x30"]],
    ),
    (
        "HighErrorRate",
        "warning",
        15,
        &[[SUCCESS, "0+93x20"], [FAILURE, "0+4x20"], [TIMED_OUT, "0+3x20"]],
        &[[SUCCESS, "0+96x20"], [FAILURE, "0+2x20"], [TIMED_OUT, "0+2x20"]],
    ),
    (
        "HighErrorRate",
        "critical",
        15,
        &[[SUCCESS, "0+85x20"], [FAILURE, "0+15x20"]],
        &[[SUCCESS, "0+93x20"], [FAILURE, "0+7x20"]],
    ),
    (
        "HighLatency",
        "warning",
        15,
        &[[FAST, "0+10x20"], [LONG, "0+100x20"], [LONGER, "0+100x20"], [ALL, "0+100x20"]],
        &[[FAST, "0+99x20"], [LONG, "0+100x20"], [LONGER, "0+100x20"], [ALL, "0+100x20"]],
    ),
    (
        "HighLatency",
        "critical",
        15,
        &[[FAST, "0+0x20"], [LONG, "0+10x20"], [LONGER, "0+100x20"], [ALL, "0+100x20"]],
        &[[FAST, "0+10x20"], [LONG, "0+100x20"], [LONGER, "0+100x20"], [ALL, "0+100x20"]],
    ),
    (
        "ManyTimeouts",
        "warning",
        15,
        &[[SUCCESS, "0+90x20"], [TIMED_OUT, "0+10x20"]],
        &[[SUCCESS, "0+90x20"], [FAILURE, "0+10x20"], [TIMED_OUT, "0+0x20"]],
    ),
    (
        "HighRetryRate",
        "warning",
        20,
        &[
            [r#"seawall_retries_total{operation="a"}"#, "0+30x30"],
            [r#"seawall_attempts_total{operation="a"}"#, "0+100x30"],
        ],
        &[
            [r#"seawall_retries_total{operation="a"}"#, "0+10x30"],
            [r#"seawall_attempts_total{operation="a"}"#, "0+100x30"],
        ],
    ),
    (
        "RetriesPaused",
        "warning",
        65,
        &[[r#"seawall_repeats_paused{operation="a"}"#, "1+0x70"]],
        &[[r#"seawall_repeats_paused{operation="a"}"#, "1+0x30 0 1+0x40"]],
    ),
    (
        "SharedLimitDegraded",
        "warning",
        5,
        &[[r#"seawall_degraded_decisions_total{operation="a"}"#, "0+5x10"]],
        &[[r#"seawall_degraded_decisions_total{operation="a"}"#, "0+0x10"]],
    ),
    (
        "FleetStoreLost",
        "warning",
        5,
        &[["seawall_fleet_degraded", "1+0x10"]],
        &[["seawall_fleet_degraded", "1 1 1 1 0 0 1+0x5"]],
    ),
    (
        "FleetRevisionRefused",
        "critical",
        5,
        &[["seawall_fleet_revision_refused", "1+0x10"]],
        &[["seawall_fleet_revision_refused", "1 1 1 0 0 0 0 0"]],
    ),
    (
        "RateLimitHitRate",
        "warning",
        20,
        &[[r#"rate_limit_rejections_total{operation="a"}"#, "0+10x30"], [SUCCESS, "0+90x30"]],
        &[[r#"rate_limit_rejections_total{operation="a"}"#, "0+1x30"], [SUCCESS, "0+90x30"]],
    ),
    (
        "BulkheadNearlyFull",
        "warning",
        10,
        &[
            [r#"bulkhead_active_operations{name="a"}"#, "9+0x20"],
            [r#"seawall_bulkhead_limit{name="a"}"#, "10+0x20"],
        ],
        &[
            [r#"bulkhead_active_operations{name="a"}"#, "5+0x20"],
            [r#"seawall_bulkhead_limit{name="a"}"#, "10+0x20"],
        ],
    ),
    (
        "SeawallAbsent",
        "critical",
        10,
        &[["up", "0+0x20"]],
        &[[r#"seawall_build_info{version="1"}"#, "1+0x20"]],
    ),
];

/// One test of promtool's: whether an alert is firing.
fn unit_test((name, severity, minute, fires, quiet): &Case, firing: bool) -> String {
    let mut text = String::from("  - interval: 1m\n    input_series:\n");
    for [series, values] in if firing { *fires } else { *quiet } {
        text += &format!("      - {{ series: '{series}', values: '{values}' }}\n");
    }
    let expression =
        format!(r#"count(ALERTS{{alertname="{name}",severity="{severity}",alertstate="firing"}})"#);
    text += &format!(
        "    promql_expr_test:\n      - expr: '{expression}'\n        eval_time: {minute}m\n"
    );
    let samples = if firing { "[{ labels: '{}', value: 1 }]" } else { "[]" };
    text + &format!("        exp_samples: {samples}\n")
}

fn rules() -> String {
    let (code, text, told) = run(&["rules", "prometheus"]);
    assert_eq!(code, Some(0), "{told}");
    text
}

#[test]
fn every_rule_fires_when_it_should_and_only_then() {
    let folder = Folder::new();
    let path = folder.file("rules.yaml", &rules());
    let here = path.parent().unwrap();
    let (code, out, told) =
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"], here);
    assert_eq!(code, Some(0), "{out}{told}");
    let found = format!("{} rules found", CASES.len());
    assert!(out.contains(&found), "a rule without a test: {out}");

    let mut text = String::from("rule_files: [rules.yaml]\ntests:\n");
    for case in CASES {
        assert!(rules().contains(&format!("alert: {}\n", case.0)), "{}", case.0);
        text += &unit_test(case, true);
        text += &unit_test(case, false);
    }
    folder.file("tests.yaml", &text);
    let (code, out, told) = promtool(&["test", "rules", "tests.yaml"], here);
    assert_eq!(code, Some(0), "{out}{told}");
}

#[test]
fn an_alert_says_what_it_is_about() {
    let folder = Folder::new();
    let path = folder.file("rules.yaml", &rules());
    let text = format!(
        "rule_files: [rules.yaml]\ntests:\n  - interval: 1m\n    input_series:\n      \
           - {{ series: '{SUCCESS}', values: '0+80x20' }}\n      - {{ series: '{TIMED_OUT}', values: '0+20x20' }}\n    \
         alert_rule_test:\n      - eval_time: 15m\n        alertname: ManyTimeouts\n        exp_alerts:\n          \
           - exp_labels: {{ severity: warning, operation: a }}\n            exp_annotations:\n              \
               summary: Calls of a time out\n              \
               description: 20% of the calls of a end by a timeout; 5 % is the threshold.\n"
    );
    folder.file("tests.yaml", &text);
    let (code, out, told) = promtool(&["test", "rules", "tests.yaml"], path.parent().unwrap());
    assert_eq!(code, Some(0), "{out}{told}");
    for needed in ["for:", "severity:", "summary:", "description:", "expr:"] {
        assert_eq!(rules().matches(&format!(" {needed}")).count(), CASES.len(), "{needed}");
    }
    assert!(rules().contains("# A rule on the growth of dead letters is not among them"));
}

#[test]
fn thresholds_come_from_a_file() {
    let folder = Folder::new();
    let yaml = "monitoring: { alerts: { circuit_open: 90s, p95_warning: 500ms, p95_critical: 750ms, error_share_warning: 0.01 } }\n\
                operations: { mail: {} }\n";
    let file = folder.file("a.yaml", yaml).display().to_string();
    let (code, text, _) = run(&["rules", "prometheus", "--config", &file]);
    assert_eq!(code, Some(0));
    for words in ["for: 1m30s\n", "> 0.75'", "750ms is the threshold", "> 0.01'"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let path = folder.file("rules.yaml", &text);
    assert_eq!(promtool(&["check", "rules", "rules.yaml"], path.parent().unwrap()).0, Some(0));
    assert_eq!(run(&["rules", "prometheus", "--config", "no-such.yaml"]).0, Some(2));
    assert_eq!(run(&["rules", "nagios"]).0, Some(2));
}

/// The names in an expression that could be ours.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let ours = [
        "seawall_",
        "circuit_breaker_",
        "bulkhead_",
        "rate_limit_",
        "retry_",
        "dlq_",
        "connection_pool_",
    ];
    words
        .filter(|word| ours.iter().any(|start| word.starts_with(start)))
        .map(str::to_owned)
        .collect()
}

fn dashboard() -> Value {
    let (code, text, told) = run(&["rules", "grafana"]);
    assert_eq!(code, Some(0), "{told}");
    serde_json::from_str(&text).unwrap()
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    expressions
        .chain([dashboard["templating"]["list"][1]["query"]["query"].as_str().unwrap().to_owned()])
        .collect()
}

#[test]
fn only_metrics_that_a_server_exports_are_asked_for() {
    let serving = Serving::start(&gateway(), &[]);
    trip(&serving);
    let page = get(&serving.address, "/metrics");
    let mut exported = BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffixes: &[&str] =
            if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        exported.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }
    for series in [
        r#"seawall_circuit_state{name="gone",state="open"} 1"#,
        r#"seawall_calls_total{operation="gone",outcome="failure"} 2"#,
        r#"circuit_breaker_state{name="gone"} 1"#,
    ] {
        assert!(page.contains(series), "the rules count on {series}: {page}");
    }
    let of_rules = rules();
    let of_rules = of_rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let all = of_rules.map(str::to_owned).chain(expressions(&dashboard()));
    let asked: BTreeSet<String> = all.flat_map(|expression| metrics(&expression)).collect();
    assert!(asked.len() > 20, "{asked:?}");
    let missing: Vec<&String> = asked.difference(&exported).collect();
    assert!(missing.is_empty(), "no server exports {missing:?}");
}

#[test]
fn the_dashboard_is_whole_and_its_expressions_are_right() {
    let dashboard = dashboard();
    let names: Vec<&Value> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["datasource", "operation"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|panel| panel["title"].as_str().unwrap())
        .collect();
    assert_eq!(rows, ["Circuits", "Calls", "Latency", "Retries", "Bulkheads"]);
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "panels overlap: {panel}");
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
        }
    }
    // As recording rules, promtool reads them.
    let folder = Folder::new();
    let mut text = String::from("groups:\n  - name: board\n    rules:\n");
    for (number, expression) in expressions(&dashboard).iter().enumerate() {
        if !expression.starts_with("label_values(") {
            let plain = expression.replace("$operation", ".*").replace("$__rate_interval", "5m");
            assert!(!plain.contains('$'), "{plain}");
            text += &format!("      - record: board:{number}\n        expr: '{plain}'\n");
        }
    }
    let path = folder.file("board.yaml", &text);
    let (code, out, told) = promtool(&["check", "rules", "board.yaml"], path.parent().unwrap());
    assert_eq!(code, Some(0), "{out}{told}{}", fs::read_to_string(path).unwrap());
}
