//! A dashboard for Grafana: circuits, calls, latency, retries, bulkheads, each a row.

use serde_json::{Value, json};

/// The data source of all panels.
const SOURCE: &str = "${datasource}";
/// Grafana counts the width of a page in these.
const WIDTH: u64 = 24;
const HEIGHT: u64 = 8;

/// A line of a chart: the expression, and the name of its series.
type Series = (&'static str, &'static str);

/// A panel but for its place.
struct Panel {
    title: &'static str,
    kind: &'static str,
    unit: &'static str,
    width: u64,
    series: &'static [Series],
    description: &'static str,
}

/// The panels under one title.
struct Row {
    title: &'static str,
    panels: &'static [Panel],
}

const fn chart(title: &'static str, unit: &'static str, series: &'static [Series]) -> Panel {
    Panel { title, kind: "timeseries", unit, width: 8, series, description: "" }
}

const CIRCUITS: Row = Row {
    title: "Circuits",
    panels: &[
        Panel {
            title: "State",
            kind: "state-timeline",
            unit: "short",
            width: 16,
            series: &[("circuit_breaker_state{name=~\"$operation\"}", "{{name}} {{mode}}")],
            description: "Closed is well. Open: calls are refused. Half-open: a probe is out. With a mode it refuses nothing.",
        },
        chart(
            "Opened in an hour",
            "short",
            &[("increase(seawall_circuit_opened_total{name=~\"$operation\"}[1h])", "{{name}}")],
        ),
        chart(
            "Failures in a row",
            "short",
            &[("circuit_breaker_failure_count{name=~\"$operation\"}", "{{name}}")],
        ),
        Panel {
            title: "Not closed now",
            kind: "stat",
            unit: "short",
            width: 8,
            series: &[(
                "sum(seawall_circuit_state{name=~\"$operation\",state=~\"open|half_open|forced_open\",mode=\"\"}) or vector(0)",
                "circuits",
            )],
            description: "Circuits that refuse calls, or admit probes only.",
        },
        Panel {
            title: "Retries and hedges paused",
            kind: "stat",
            unit: "short",
            width: 8,
            series: &[("sum(seawall_repeats_paused{operation=~\"$operation\"})", "operations")],
            description: "Operations whose brake is on.",
        },
    ],
};

const CALLS: Row = Row {
    title: "Calls",
    panels: &[
        chart(
            "Calls by outcome",
            "reqps",
            &[(
                "sum by (outcome) (rate(seawall_calls_total{operation=~\"$operation\",outcome!=\"caller_fault\"}[$__rate_interval]))",
                "{{outcome}}",
            )],
        ),
        chart(
            "Share that fails",
            "percentunit",
            &[(
                "sum by (operation) (rate(seawall_calls_total{operation=~\"$operation\",\
                 outcome=~\"failure|timed_out\"}[$__rate_interval])) \
                 / sum by (operation) (rate(seawall_calls_total{operation=~\"$operation\",outcome!=\"caller_fault\"}[$__rate_interval]))",
                "{{operation}}",
            )],
        ),
        chart(
            "Refused, by reason",
            "reqps",
            &[
                (
                    "sum by (reason) (rate(seawall_rejections_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "{{reason}}",
                ),
                (
                    "sum(rate(rate_limit_rejections_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "by rate limiters in all",
                ),
            ],
        ),
        chart(
            "In progress",
            "short",
            &[("seawall_in_flight{operation=~\"$operation\"}", "{{operation}}")],
        ),
        chart(
            "Fallbacks and callers that left",
            "reqps",
            &[
                (
                    "sum(rate(seawall_fallbacks_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "fallbacks",
                ),
                (
                    "sum(rate(seawall_abandoned_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "left",
                ),
            ],
        ),
        chart(
            "What policies in shadow would do",
            "reqps",
            &[(
                "sum by (policy) (rate(seawall_shadow_decisions_total{operation=~\"$operation\"}[$__rate_interval]))",
                "{{policy}}",
            )],
        ),
    ],
};

const LATENCY: Row = Row {
    title: "Latency",
    panels: &[
        chart(
            "Quantiles of all",
            "s",
            &[
                (
                    "histogram_quantile(0.5, sum by (le) (rate(seawall_latency_seconds_bucket\
                     {operation=~\"$operation\"}[$__rate_interval])))",
                    "p50",
                ),
                (
                    "histogram_quantile(0.95, sum by (le) (rate(seawall_latency_seconds_bucket\
                     {operation=~\"$operation\"}[$__rate_interval])))",
                    "p95",
                ),
                (
                    "histogram_quantile(0.99, sum by (le) (rate(seawall_latency_seconds_bucket\
                     {operation=~\"$operation\"}[$__rate_interval])))",
                    "p99",
                ),
            ],
        ),
        chart(
            "p95 by operation",
            "s",
            &[(
                "histogram_quantile(0.95, sum by (operation, le) (rate(seawall_latency_seconds_bucket\
                 {operation=~\"$operation\"}[$__rate_interval])))",
                "{{operation}}",
            )],
        ),
        chart(
            "Average by operation, and timeouts that adapt",
            "s",
            &[
                (
                    "rate(seawall_latency_seconds_sum{operation=~\"$operation\"}[$__rate_interval]) \
                     / rate(seawall_latency_seconds_count{operation=~\"$operation\"}[$__rate_interval])",
                    "{{operation}}",
                ),
                (
                    "seawall_timeout_limit_seconds{operation=~\"$operation\"}",
                    "limit of {{operation}}",
                ),
            ],
        ),
    ],
};

const RETRIES: Row = Row {
    title: "Retries",
    panels: &[
        chart(
            "Retries and hedges",
            "reqps",
            &[
                (
                    "sum(rate(seawall_retries_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "retries",
                ),
                (
                    "sum(rate(seawall_hedges_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "hedges",
                ),
                (
                    "sum(rate(seawall_retries_unaffordable_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "over the budget",
                ),
                (
                    "sum(rate(seawall_repeats_paused_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "held back by the brake",
                ),
            ],
        ),
        chart(
            "Attempts for each call",
            "short",
            &[(
                "sum by (operation) (rate(seawall_attempts_total{operation=~\"$operation\"}[$__rate_interval])) \
                 / sum by (operation) (rate(seawall_calls_total{operation=~\"$operation\",outcome!=\"rejected\"}\
                 [$__rate_interval]))",
                "{{operation}}",
            )],
        ),
        chart(
            "Attempts that fail, timeouts that fire",
            "reqps",
            &[
                (
                    "sum(rate(seawall_failed_attempts_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "failed",
                ),
                (
                    "sum(rate(seawall_timeouts_total{operation=~\"$operation\"}[$__rate_interval]))",
                    "timed out",
                ),
            ],
        ),
    ],
};

const BULKHEADS: Row = Row {
    title: "Bulkheads",
    panels: &[
        chart(
            "Places taken, of those there are",
            "percentunit",
            &[(
                "bulkhead_active_operations{name=~\"$operation\"} / seawall_bulkhead_limit{name=~\"$operation\"}",
                "{{name}}",
            )],
        ),
        chart(
            "Calls that wait",
            "short",
            &[("seawall_bulkhead_queued{name=~\"$operation\"}", "{{name}}")],
        ),
        chart(
            "Refused",
            "reqps",
            &[(
                "rate(bulkhead_rejected_operations{name=~\"$operation\"}[$__rate_interval])",
                "{{name}}",
            )],
        ),
    ],
};

/// The whole dashboard.
pub(super) fn dashboard() -> Value {
    json!({
        "title": "Seawall",
        "uid": "seawall",
        "description": "Circuits, calls, latency, retries and bulkheads of Seawall.",
        "tags": ["seawall"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "timezone": "browser",
        "graphTooltip": 1,
        "annotations": { "list": [] },
        "links": [],
        "templating": { "list": variables() },
        "panels": panels(),
    })
}

fn variables() -> Value {
    json!([
        {
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
            "current": {}, "hide": 0, "refresh": 1,
        },
        {
            "name": "operation", "label": "Operation", "type": "query",
            "datasource": { "type": "prometheus", "uid": SOURCE },
            "definition": "label_values(seawall_calls_total, operation)",
            "query": { "query": "label_values(seawall_calls_total, operation)", "refId": "operation" },
            "includeAll": true, "allValue": ".*", "multi": true,
            "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
            "hide": 0, "refresh": 2, "sort": 1,
        },
    ])
}

fn panels() -> Vec<Value> {
    let mut panels = Vec::new();
    let mut y = 0;
    for row in [CIRCUITS, CALLS, LATENCY, RETRIES, BULKHEADS] {
        panels.push(json!({
            "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": y, "w": WIDTH, "h": 1 },
        }));
        y += 1;
        let mut x = 0;
        for one in row.panels {
            if x + one.width > WIDTH {
                (x, y) = (0, y + HEIGHT);
            }
            panels.push(panel(one, panels.len() + 1, x, y));
            x += one.width;
        }
        y += HEIGHT;
    }
    panels
}

fn panel(panel: &Panel, id: usize, x: u64, y: u64) -> Value {
    let targets = panel.series.iter().zip('A'..).map(|((expression, legend), id)| {
        json!({
            "refId": id.to_string(), "expr": expression, "legendFormat": legend, "range": true,
            "datasource": { "type": "prometheus", "uid": SOURCE },
        })
    });
    let mut defaults = json!({ "unit": panel.unit, "min": 0 });
    if panel.kind == "state-timeline" {
        defaults["mappings"] = states();
    }
    json!({
        "id": id, "type": panel.kind, "title": panel.title, "description": panel.description,
        "datasource": { "type": "prometheus", "uid": SOURCE },
        "gridPos": { "x": x, "y": y, "w": panel.width, "h": HEIGHT },
        "targets": targets.collect::<Vec<_>>(),
        "fieldConfig": { "defaults": defaults, "overrides": [] },
        "options": {},
    })
}

/// The words for the numbers of `circuit_breaker_state`.
fn states() -> Value {
    let word = |text: &str, color: &str| json!({ "text": text, "color": color });
    json!([{ "type": "value", "options": {
        "0": word("closed", "green"),
        "1": word("open", "red"),
        "2": word("half-open", "yellow"),
        "3": word("forced open", "dark-red"),
        "4": word("forced closed", "purple"),
        "5": word("disabled", "purple"),
    }}])
}
