//! Alert rules. Each one says what it is about in words that help at night.

use seawall_server::AlertConfig;
use std::time::Duration;

/// One alert rule.
struct Rule {
    name: &'static str,
    severity: &'static str,
    /// The condition, in PromQL.
    expression: String,
    /// How long the condition must hold before the alert is raised.
    lasts: Duration,
    summary: String,
    description: String,
}

const NOTE: &str = "\
# Alert rules for Seawall, written by `seawall rules prometheus`. Load them with `rule_files`.
# Thresholds come from `monitoring.alerts` of the configuration (`--config FILE`), or are its defaults.
# A rule on the growth of dead letters is not among them: no server exports `dlq_size`.
";

const MINUTE: Duration = Duration::from_secs(60);

/// The share of an operation's executions with this outcome; those that the caller spoiled do not count.
fn share(outcome: &str) -> String {
    format!(
        "sum without (outcome) (rate(seawall_calls_total{{outcome=~\"{outcome}\"}}[5m])) \
         / (sum without (outcome) (rate(seawall_calls_total{{outcome!=\"caller_fault\"}}[5m])) > 0)"
    )
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1000.0).round() / 10.0)
}

fn rules(bounds: &AlertConfig) -> Vec<Rule> {
    let mut rules = circuits(bounds);
    rules.extend(calls(bounds));
    rules.extend(retries_and_limits(bounds));
    rules.extend(shared_stores(bounds));
    rules.push(Rule {
        name: "SeawallAbsent",
        severity: "critical",
        expression: "absent(seawall_build_info)".into(),
        lasts: MINUTE * 5,
        summary: "No Seawall is seen".into(),
        description: "Prometheus has no metrics of any Seawall: it is down, or not scraped.".into(),
    });
    rules
}

fn circuits(bounds: &AlertConfig) -> Vec<Rule> {
    let open = bounds.circuit_open;
    vec![
        Rule {
            name: "CircuitBreakerOpen",
            severity: "critical",
            // While it is open it is half-open in between: both count, or it would never last.
            expression: "sum without (state) (seawall_circuit_state{state=~\"open|half_open\",mode=\"\"}) == 1".into(),
            lasts: open,
            summary: "Circuit of {{ $labels.name }} does not close".into(),
            description: format!(
                "The circuit of {{{{ $labels.name }}}} has been open for {}: its dependency does not answer as it \
                 should, and calls are refused or go to the fallback. `seawall breakers show {{{{ $labels.name }}}}` \
                 says why it opened and when the next probe goes out.",
                length(open)
            ),
        },
        Rule {
            name: "CircuitBreakerForced",
            severity: "warning",
            expression: "sum without (state) (seawall_circuit_state{state=~\"forced_open|forced_closed|disabled\",mode=\"\"}) \
                         == 1"
                .into(),
            lasts: MINUTE * 60,
            summary: "Circuit of {{ $labels.name }} is held by hand".into(),
            description: "Somebody forced the circuit of {{ $labels.name }} an hour ago or earlier, and it protects \
                          nothing, or refuses everything. `seawall breakers force {{ $labels.name }} auto` lets it \
                          decide again."
                .into(),
        },
        Rule {
            name: "CircuitBreakerFlapping",
            severity: "warning",
            expression: "increase(seawall_circuit_opened_total[30m]) > 5".into(),
            lasts: MINUTE * 5,
            summary: "Circuit of {{ $labels.name }} opens again and again".into(),
            description: "The circuit of {{ $labels.name }} opened {{ $value | humanize }} times in half an hour: its \
                          dependency is well for single probes, and not for the load that follows."
                .into(),
        },
    ]
}

fn calls(bounds: &AlertConfig) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (severity, bound) in
        [("warning", bounds.error_share_warning), ("critical", bounds.error_share_critical)]
    {
        rules.push(Rule {
            name: "HighErrorRate",
            severity,
            expression: format!("{} > {bound}", share("failure|timed_out")),
            lasts: MINUTE * 5,
            summary: "Calls of {{ $labels.operation }} fail".into(),
            description: format!(
                "{{{{ $value | humanizePercentage }}}} of the calls of {{{{ $labels.operation }}}} fail or time out; \
                 {} is the threshold.",
                percent(bound)
            ),
        });
    }
    for (severity, bound) in [("warning", bounds.p95_warning), ("critical", bounds.p95_critical)] {
        rules.push(Rule {
            name: "HighLatency",
            severity,
            expression: format!(
                "histogram_quantile(0.95, rate(seawall_latency_seconds_bucket[5m])) > {}",
                bound.as_secs_f64()
            ),
            lasts: MINUTE * 5,
            summary: "Calls of {{ $labels.operation }} are slow".into(),
            description: format!(
                "Of the calls of {{{{ $labels.operation }}}} 5 % take longer than \
                 {{{{ $value | humanizeDuration }}}}; {} is the threshold. Retries make calls long, too.",
                length(bound)
            ),
        });
    }
    rules.push(Rule {
        name: "ManyTimeouts",
        severity: "warning",
        expression: format!("{} > {}", share("timed_out"), bounds.timeout_share),
        lasts: MINUTE * 5,
        summary: "Calls of {{ $labels.operation }} time out".into(),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the calls of {{{{ $labels.operation }}}} end by a timeout; {} is \
             the threshold.",
            percent(bounds.timeout_share)
        ),
    });
    rules
}

fn retries_and_limits(bounds: &AlertConfig) -> Vec<Rule> {
    vec![
        Rule {
            name: "HighRetryRate",
            severity: "warning",
            expression: "rate(seawall_retries_total[5m]) / (rate(seawall_attempts_total[5m]) > 0) > 0.2".into(),
            lasts: MINUTE * 10,
            summary: "Many calls of {{ $labels.operation }} are retries".into(),
            description: "{{ $value | humanizePercentage }} of the calls that reach {{ $labels.operation }} are \
                          retries: they hide failures, and add load to what has too much of it. \
                          `seawall retries pause {{ $labels.operation }}` stops them."
                .into(),
        },
        Rule {
            name: "RetriesPaused",
            severity: "warning",
            expression: "seawall_repeats_paused == 1".into(),
            lasts: MINUTE * 60,
            summary: "Retries of {{ $labels.operation }} are paused".into(),
            description: "Somebody paused the retries and hedges of {{ $labels.operation }} an hour ago or earlier. \
                          `seawall retries release {{ $labels.operation }}` lets them begin again."
                .into(),
        },
        Rule {
            name: "RateLimitHitRate",
            severity: "warning",
            expression: "rate(rate_limit_rejections_total[5m]) \
                         / (sum without (outcome) (rate(seawall_calls_total[5m])) > 0) > 0.05"
                .into(),
            lasts: MINUTE * 10,
            summary: "The rate limit of {{ $labels.operation }} refuses calls".into(),
            description: "{{ $value | humanizePercentage }} of the calls of {{ $labels.operation }} are over its rate \
                          limit: a caller sends too many, or the limit is too low."
                .into(),
        },
        Rule {
            name: "BulkheadNearlyFull",
            severity: "warning",
            expression: format!(
                "bulkhead_active_operations / (seawall_bulkhead_limit > 0) > {}",
                bounds.bulkhead_share
            ),
            lasts: MINUTE * 5,
            summary: "The bulkhead of {{ $labels.name }} is nearly full".into(),
            description: format!(
                "{{{{ $value | humanizePercentage }}}} of the places of {{{{ $labels.name }}}} are taken; {} is the \
                 threshold. Its dependency has become slow, or there are more calls than it was made for.",
                percent(bounds.bulkhead_share)
            ),
        },
    ]
}

/// Stores that instances share, and the fleet that they make.
fn shared_stores(bounds: &AlertConfig) -> Vec<Rule> {
    let lost = bounds.store_lost;
    vec![
        Rule {
            name: "SharedLimitDegraded",
            severity: "warning",
            expression: "rate(seawall_degraded_decisions_total[5m]) > 0".into(),
            lasts: lost,
            summary: "The shared rate limit of {{ $labels.operation }} is decided without its store".into(),
            description: "The Redis that counts the rate limit of {{ $labels.operation }} for all instances does not answer: \
                          each decides by its `degraded` configuration. It ends by itself when Redis is back."
                .into(),
        },
        Rule {
            name: "FleetStoreLost",
            severity: "warning",
            expression: "seawall_fleet_degraded == 1".into(),
            lasts: lost,
            summary: "The store of the fleet does not answer".into(),
            description: "Requests go on, and the configuration cannot be changed for all instances. \
                          `seawall config apply --local` changes one."
                .into(),
        },
        Rule {
            name: "FleetRevisionRefused",
            severity: "critical",
            expression: "seawall_fleet_revision_refused == 1".into(),
            lasts: MINUTE,
            summary: "An instance cannot put the fleet's revision in force".into(),
            description: "Its own file makes the change impossible, and it goes on with what it had. \
                          `seawall status --fleet` says why."
                .into(),
        },
    ]
}

/// The whole file of rules.
pub(super) fn file(bounds: &AlertConfig) -> String {
    let mut text = format!("{NOTE}groups:\n  - name: seawall\n    rules:\n");
    for rule in rules(bounds) {
        text += &format!("      - alert: {}\n", rule.name);
        for (name, value) in [("expr", quoted(&rule.expression)), ("for", length(rule.lasts))] {
            text += &format!("        {name}: {value}\n");
        }
        text += &format!("        labels:\n          severity: {}\n", rule.severity);
        text += "        annotations:\n";
        for (name, value) in [("summary", &rule.summary), ("description", &rule.description)] {
            text += &format!("          {name}: {}\n", quoted(value));
        }
    }
    text
}

/// In single quotes nothing means anything but a single quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A length as Prometheus writes it: `5m`, `1h30m`, `250ms`.
fn length(length: Duration) -> String {
    let mut rest = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest >= ms {
            text += &format!("{}{unit}", rest / ms);
            rest %= ms;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_prometheus_reads_them() {
        for (ms, expected) in [(300_000, "5m"), (5_400_000, "1h30m"), (250, "250ms"), (0, "0s")] {
            assert_eq!(length(Duration::from_millis(ms)), expected);
        }
    }

    #[test]
    fn thresholds_are_those_of_the_configuration() {
        let bounds = AlertConfig { error_share_critical: 0.25, ..AlertConfig::default() };
        let text = file(&bounds);
        assert!(text.contains("> 0.25'") && text.contains("25 % is the threshold"), "{text}");
    }
}
