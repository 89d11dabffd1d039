//! Everything that is counted, in Prometheus's text format 0.0.4.

use crate::{Operation, Registry};
use seawall::{Bulkhead, Counts, Instant, Mode, Policy, State};
use std::{fmt::Write, time::Duration};

/// Upper bounds of the latency buckets, in seconds.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The numbers of all operations.
pub(crate) fn page(registry: &Registry, up: Duration) -> Page {
    let rows: Vec<Row> = registry.operations().into_iter().map(Row::new).collect();
    let mut page = Page::default();
    page.uptime(up);
    page.operations(&rows);
    page.circuits(&rows, registry.now());
    page.places(&rows);
    page.settings(&rows, registry.now());
    page
}

/// An operation with its counters, read once for all families.
struct Row {
    operation: Operation,
    name: String,
    counts: Counts,
}

impl Row {
    fn new(operation: Operation) -> Self {
        let name = escaped(&operation.name());
        let counts = operation.counts();
        Self { operation, name, counts }
    }
}

/// Escapes of a label's value.
pub(crate) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A page that is being written.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) text: String,
}

type Column = fn(&Counts) -> u64;
type Gauge = fn(&Bulkhead) -> u32;

impl Page {
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
    }

    /// One family with one series for each operation.
    fn column(&mut self, rows: &[Row], name: &str, kind: &str, help: &str, value: Column) {
        self.family(name, kind, help);
        for row in rows {
            self.line(name, &format!("operation=\"{}\"", row.name), value(&row.counts));
        }
    }

    fn uptime(&mut self, up: Duration) {
        self.family("seawall_build_info", "gauge", "The version that runs.");
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        self.line("seawall_build_info", &version, 1);
        self.family("seawall_uptime_seconds", "gauge", "Seconds since the start.");
        let _ = writeln!(self.text, "seawall_uptime_seconds {}", up.as_secs_f64());
    }

    fn operations(&mut self, rows: &[Row]) {
        self.outcomes(rows);
        self.rejections(rows);
        let (counter, gauge) = ("counter", "gauge");
        let columns: [(&str, &str, &str, Column); 12] = [
            ("seawall_attempts_total", counter, "Calls of the operation, retries included.", |c| {
                c.attempts
            }),
            ("seawall_failed_attempts_total", counter, "Calls that failed.", |c| c.failed_attempts),
            ("seawall_retries_total", counter, "Retries scheduled.", |c| c.retries_executed),
            ("seawall_retries_unaffordable_total", counter, "Retries over the budget.", |c| {
                c.retries_unaffordable
            }),
            (
                "seawall_repeats_paused_total",
                counter,
                "Retries and hedges held back by the brake.",
                |c| c.repeats_paused,
            ),
            ("seawall_hedges_total", counter, "Further calls beside slow ones.", |c| c.hedges),
            (
                "seawall_queued_total",
                counter,
                "Executions that waited for a place or a turn.",
                |c| c.queued,
            ),
            ("seawall_faults_injected_total", counter, "Faults injected.", |c| c.faults_injected),
            ("seawall_timeouts_total", counter, "Timeouts that fired.", |c| c.timeouts),
            ("seawall_fallbacks_total", counter, "Alternatives called.", |c| c.fallbacks),
            ("seawall_abandoned_total", counter, "Executions whose caller left.", |c| {
                c.abandoned_calls
            }),
            ("seawall_in_flight", gauge, "Executions in progress.", |c| c.in_flight),
        ];
        for (name, kind, help, value) in columns {
            self.column(rows, name, kind, help, value);
        }
        self.latencies(rows);
    }

    fn outcomes(&mut self, rows: &[Row]) {
        self.family("seawall_calls_total", "counter", "Executions ended, by outcome.");
        for row in rows {
            let counts = &row.counts;
            for (outcome, value) in [
                ("success", counts.successful_calls),
                ("failure", counts.failed_calls),
                ("timed_out", counts.timed_out_calls),
                ("rejected", counts.rejected_calls),
                ("caller_fault", counts.caller_faults),
            ] {
                let labels = format!("operation=\"{}\",outcome=\"{outcome}\"", row.name);
                self.line("seawall_calls_total", &labels, value);
            }
        }
    }

    fn rejections(&mut self, rows: &[Row]) {
        self.family("seawall_rejections_total", "counter", "Refusals, by reason.");
        for row in rows {
            for (reason, value) in &row.counts.rejections {
                let labels = format!("operation=\"{}\",reason=\"{reason}\"", row.name);
                self.line("seawall_rejections_total", &labels, value);
            }
        }
        let help = "What policies in shadow would have done, by policy.";
        self.family("seawall_shadow_decisions_total", "counter", help);
        for row in rows {
            for (policy, value) in &row.counts.shadowed {
                let labels = format!("operation=\"{}\",policy=\"{policy}\"", row.name);
                self.line("seawall_shadow_decisions_total", &labels, value);
            }
        }
        let limited: Column = |counts| {
            let of = |(reason, n): &(&str, u64)| (*reason == "rate_limited").then_some(*n);
            counts.rejections.iter().filter_map(of).sum()
        };
        let help = "Calls refused by a rate limiter.";
        self.column(rows, "rate_limit_rejections_total", "counter", help, limited);
    }

    /// What policies that adapt have come to, and what modes and brakes are set.
    fn settings(&mut self, rows: &[Row], now: Instant) {
        self.family("seawall_policy_mode", "gauge", "1 for the mode that a policy is in.");
        for row in rows {
            let pipeline = row.operation.pipeline();
            for (i, policy) in pipeline.policies().iter().enumerate() {
                let (kind, mode) = (policy.label(), pipeline.mode(i).label());
                let labels = format!(
                    "operation=\"{}\",policy=\"{kind}\",position=\"{i}\",mode=\"{mode}\"",
                    row.name
                );
                self.line("seawall_policy_mode", &labels, 1);
            }
        }
        self.family("seawall_repeats_paused", "gauge", "1 while retries and hedges are paused.");
        for row in rows {
            let paused = u8::from(row.operation.pipeline().repeats_are_paused());
            self.line("seawall_repeats_paused", &format!("operation=\"{}\"", row.name), paused);
        }
        self.adapted(
            rows,
            "seawall_timeout_limit_seconds",
            "The limit of a timeout now.",
            |policy| {
                let Policy::Timeout(timeout) = policy else { return None };
                Some(timeout.limit(now).as_secs_f64())
            },
        );
        self.adapted(rows, "seawall_hedge_delay_seconds", "The delay of a hedge now.", |policy| {
            let Policy::Hedge(hedge) = policy else { return None };
            Some(hedge.delay(now).as_secs_f64())
        });
        self.adapted(
            rows,
            "seawall_throttle_share",
            "The share a throttle turns away.",
            |policy| {
                let Policy::Throttle(throttle) = policy else { return None };
                Some(throttle.share())
            },
        );
    }

    fn adapted(
        &mut self,
        rows: &[Row],
        name: &str,
        help: &str,
        value: impl Fn(&Policy) -> Option<f64>,
    ) {
        self.family(name, "gauge", help);
        for row in rows {
            for (i, policy) in row.operation.pipeline().policies().iter().enumerate() {
                if let Some(value) = value(policy) {
                    let labels = format!("operation=\"{}\",position=\"{i}\"", row.name);
                    self.line(name, &labels, value);
                }
            }
        }
    }

    fn latencies(&mut self, rows: &[Row]) {
        let name = "seawall_latency_seconds";
        self.family(name, "histogram", "Time of executions that were not refused.");
        for row in rows {
            let latencies = row.operation.metrics().latencies();
            for bound in BOUNDS {
                let labels = format!("operation=\"{}\",le=\"{bound}\"", row.name);
                let count = latencies.count_within(Duration::from_secs_f64(bound));
                self.line("seawall_latency_seconds_bucket", &labels, count);
            }
            let labels = format!("operation=\"{}\"", row.name);
            let infinite = format!("{labels},le=\"+Inf\"");
            self.line("seawall_latency_seconds_bucket", &infinite, latencies.count());
            self.line("seawall_latency_seconds_sum", &labels, latencies.sum().as_secs_f64());
            self.line("seawall_latency_seconds_count", &labels, latencies.count());
        }
    }

    fn circuits(&mut self, rows: &[Row], now: Instant) {
        let views: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let view = row.operation.pipeline().circuit(now)?;
                let mut labels = format!("name=\"{}\"", row.name);
                // Only what acts stands there without a mode: `mode=""` picks it.
                if view.mode != Mode::Enforce {
                    let _ = write!(labels, ",mode=\"{}\"", view.mode.label());
                }
                Some((row, view, labels))
            })
            .collect();
        self.family(
            "circuit_breaker_state",
            "gauge",
            "0 closed, 1 open, 2 half-open; forced: 3 open, 4 closed, 5 off. One with a mode does not act.",
        );
        for (_, view, labels) in &views {
            self.line("circuit_breaker_state", labels, view.state as u8);
        }
        self.family(
            "seawall_circuit_state",
            "gauge",
            "1 for the state that the circuit is in; one with a mode does not act.",
        );
        for (_, view, labels) in &views {
            for state in State::ALL {
                let labels = format!("{labels},state=\"{}\"", state.label());
                self.line("seawall_circuit_state", &labels, u8::from(view.state == state));
            }
        }
        self.family("circuit_breaker_failure_count", "gauge", "Consecutive failures now.");
        for (row, view, _) in &views {
            let labels = format!("name=\"{}\"", row.name);
            self.line("circuit_breaker_failure_count", &labels, view.failure_count);
        }
        let columns: [(&str, &str, Column); 5] = [
            (
                "circuit_breaker_failures_total",
                "Executions that failed or timed out; refused ones are not among them.",
                |c| c.failed_calls + c.timed_out_calls,
            ),
            ("circuit_breaker_success_count", "Successes behind the breaker.", |c| {
                c.successful_calls
            }),
            (
                "seawall_circuit_opened_total",
                "Times the circuit opened, failed probes included.",
                |c| c.circuit_breaker_opens,
            ),
            ("seawall_circuit_half_opened_total", "Times the circuit let probes through.", |c| {
                c.circuit_breaker_half_opens
            }),
            ("seawall_circuit_closed_total", "Times the circuit closed again.", |c| {
                c.circuit_breaker_closes
            }),
        ];
        for (name, help, value) in columns {
            self.family(name, "counter", help);
            for (row, ..) in &views {
                self.line(name, &format!("name=\"{}\"", row.name), value(&row.counts));
            }
        }
    }

    fn places(&mut self, rows: &[Row]) {
        let bulkheads: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((row, row.operation.pipeline().bulkhead()?.clone())))
            .collect();
        self.family("bulkhead_active_operations", "gauge", "Calls in a bulkhead now.");
        for (row, bulkhead) in &bulkheads {
            let labels = format!("name=\"{}\"", row.name);
            self.line("bulkhead_active_operations", &labels, bulkhead.in_use());
        }
        let gauges: [(&str, &str, Gauge); 2] = [
            ("seawall_bulkhead_limit", "Calls that may be in a bulkhead now.", Bulkhead::limit),
            ("seawall_bulkhead_queued", "Calls that wait before a bulkhead now.", Bulkhead::queued),
        ];
        for (name, help, value) in gauges {
            self.family(name, "gauge", help);
            for (row, bulkhead) in &bulkheads {
                self.line(name, &format!("name=\"{}\"", row.name), value(bulkhead));
            }
        }
        self.family("bulkhead_rejected_operations", "counter", "Calls a bulkhead refused.");
        for (row, _) in &bulkheads {
            let labels = format!("name=\"{}\"", row.name);
            self.line("bulkhead_rejected_operations", &labels, row.counts.bulkhead_rejections);
        }
    }
}
