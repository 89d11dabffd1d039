//! Everything that is counted, in Prometheus's text format 0.0.4.
//!
//! The counters of operations come from the core's table ([`Counts::COUNTERS`]); here stand the families that are no
//! counters of one operation: gauges, histograms, and numbers that are put together from several.

use crate::runtime::{Operation, Registry};
use seawall::{Bulkhead, CircuitView, Counts, Instant, Mode, Policy, Series, State};
use std::{
    fmt::{Display, Write},
    sync::Arc,
    time::Duration,
};

/// Upper bounds of the latency buckets, in seconds.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The page with the numbers of all operations of a server that has been up for so long.
pub(crate) fn page(registry: &Registry, up: Duration) -> Page {
    let now = registry.now();
    let rows: Vec<Row> = registry.operations().into_iter().map(|one| Row::new(one, now)).collect();
    let mut page = Page::default();
    page.process(up);
    page.outcomes(&rows);
    page.counters(&rows);
    page.labelled_counters(&rows);
    page.latencies(&rows);
    page.circuits(&rows);
    page.bulkheads(&rows);
    page.settings(&rows, now);
    page
}

/// An operation with its counters and its circuit, read once for all families.
struct Row {
    operation: Operation,
    /// The name of the operation, escaped as labels need it.
    name: String,
    counts: Counts,
    circuit: Option<CircuitView>,
}

impl Row {
    fn new(operation: Operation, now: Instant) -> Self {
        let name = escaped(&operation.name());
        let (counts, circuit) = (operation.counts(), operation.pipeline().circuit(now));
        Self { operation, name, counts, circuit }
    }

    /// The label of families with one series for each operation.
    fn operation(&self) -> String {
        format!("operation=\"{}\"", self.name)
    }

    /// The label of families about one policy.
    fn name(&self) -> String {
        format!("name=\"{}\"", self.name)
    }

    /// The labels of a circuit's state. Only one that does not enforce has a mode there: `mode=""` picks the others.
    fn circuit(&self) -> Option<(String, &CircuitView)> {
        let view = self.circuit.as_ref()?;
        let mode = match view.mode {
            Mode::Enforce => String::new(),
            mode => format!(",mode=\"{}\"", mode.label()),
        };
        Some((self.name() + &mode, view))
    }
}

/// A label's value with backslashes, quotes and line breaks escaped.
pub(crate) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Reads a number of a bulkhead.
type Gauge = fn(&Bulkhead) -> u32;

/// A page that is being written.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) text: String,
}

impl Page {
    /// Writes a family of metrics: its head, then a line for each series with its labels, escaped as
    /// `operation="chat"`, or none.
    pub(crate) fn family<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        series: impl IntoIterator<Item = (String, V)>,
    ) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in series {
            self.line(name, &labels, value);
        }
    }

    /// Writes one series; a family's head stands before it.
    pub(crate) fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.text, "{name} {value}"),
            labels => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }

    /// Writes a gauge without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help, [(String::new(), value)]);
    }

    fn process(&mut self, up: Duration) {
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        self.family("seawall_build_info", "gauge", "The version that runs.", [(version, 1)]);
        self.gauge("seawall_uptime_seconds", "Seconds since the start.", up.as_secs_f64());
    }

    fn outcomes(&mut self, rows: &[Row]) {
        let outcomes = Counts::COUNTERS.iter().filter_map(|counter| match counter.series {
            Some(Series::Outcome(outcome)) => Some((outcome, counter.value)),
            _ => None,
        });
        let series = rows.iter().flat_map(|row| {
            let labels = move |outcome| format!("{},outcome=\"{outcome}\"", row.operation());
            outcomes.clone().map(move |(outcome, value)| (labels(outcome), value(&row.counts)))
        });
        self.family("seawall_calls_total", "counter", "Executions that ended, by outcome.", series);
    }

    fn counters(&mut self, rows: &[Row]) {
        for counter in Counts::COUNTERS {
            let (name, of_circuits) = match counter.series {
                Some(Series::Operation(name)) => (name, false),
                Some(Series::Circuit(name)) => (name, true),
                Some(Series::Outcome(_)) | None => continue,
            };
            let rows = rows.iter().filter(|row| !of_circuits || row.circuit.is_some());
            let series = rows.map(|row| {
                let labels = if of_circuits { row.name() } else { row.operation() };
                (labels, (counter.value)(&row.counts))
            });
            self.family(name, "counter", counter.help, series);
        }
        let series = rows.iter().map(|row| (row.operation(), row.counts.in_flight));
        self.family("seawall_in_flight", "gauge", "Executions in progress.", series);
    }

    /// Rejections by reason, and what policies in shadow would have done.
    fn labelled_counters(&mut self, rows: &[Row]) {
        let by_reason = rows.iter().flat_map(|row| {
            let labels = move |reason| format!("{},reason=\"{reason}\"", row.operation());
            row.counts.rejections.iter().map(move |(reason, count)| (labels(reason), count))
        });
        self.family("seawall_rejections_total", "counter", "Rejections, by reason.", by_reason);
        let by_policy = rows.iter().flat_map(|row| {
            let labels = move |policy| format!("{},policy=\"{policy}\"", row.operation());
            row.counts.shadowed.iter().map(move |(policy, count)| (labels(policy), count))
        });
        let help = "What policies in shadow would have done, by policy.";
        self.family("seawall_shadow_decisions_total", "counter", help, by_policy);
        let limited = |row: &Row| row.counts.rejections.get("rate_limited").copied().unwrap_or(0);
        let series = rows.iter().map(|row| (row.operation(), limited(row)));
        let help = "Rejections by a rate limiter.";
        self.family("rate_limit_rejections_total", "counter", help, series);
    }

    fn latencies(&mut self, rows: &[Row]) {
        let help = "Time of executions that were not refused.";
        self.family::<u64>("seawall_latency_seconds", "histogram", help, []);
        for row in rows {
            let (latencies, labels) = (row.operation.metrics().latencies(), row.operation());
            for bound in BOUNDS {
                let count = latencies.count_within(Duration::from_secs_f64(bound));
                let labels = format!("{labels},le=\"{bound}\"");
                self.line("seawall_latency_seconds_bucket", &labels, count);
            }
            let infinite = format!("{labels},le=\"+Inf\"");
            self.line("seawall_latency_seconds_bucket", &infinite, latencies.count());
            self.line("seawall_latency_seconds_sum", &labels, latencies.sum().as_secs_f64());
            self.line("seawall_latency_seconds_count", &labels, latencies.count());
        }
    }

    fn circuits(&mut self, rows: &[Row]) {
        let help = "0 closed, 1 open, 2 half-open; forced: 3 open, 4 closed, 5 off. One with a mode does not act.";
        let circuits = || rows.iter().filter_map(Row::circuit);
        let numbers = circuits().map(|(labels, view)| (labels, view.state as u8));
        self.family("circuit_breaker_state", "gauge", help, numbers);
        let states = circuits().flat_map(|(labels, view)| {
            State::ALL.map(|state| {
                let labels = format!("{labels},state=\"{}\"", state.label());
                (labels, u8::from(view.state == state))
            })
        });
        let help = "1 for the state that the circuit is in; one with a mode does not act.";
        self.family("seawall_circuit_state", "gauge", help, states);
        let shared = rows.iter().filter_map(|row| Some((row, row.circuit.as_ref()?.shared?)));
        let alone = shared.map(|(row, shared)| (row.name(), u8::from(shared.degraded)));
        let help =
            "1 while a shared circuit is this instance's own, because the store does not answer.";
        self.family("seawall_circuit_degraded", "gauge", help, alone);
        let breakers = || rows.iter().filter(|row| row.circuit.is_some());
        let in_a_row = |row: &Row| row.circuit.as_ref().map_or(0, |view| view.failure_count);
        let series = breakers().map(|row| (row.name(), in_a_row(row)));
        self.family("circuit_breaker_failure_count", "gauge", "Consecutive failures now.", series);
        let failed = |counts: &Counts| counts.failed_calls + counts.timed_out_calls;
        let series = breakers().map(|row| (row.name(), failed(&row.counts)));
        let help = "Executions that failed or timed out; refused ones are not among them.";
        self.family("circuit_breaker_failures_total", "counter", help, series);
        let series = breakers().map(|row| (row.name(), row.counts.successful_calls));
        let help = "Successes behind the breaker.";
        self.family("circuit_breaker_success_count", "counter", help, series);
    }

    fn bulkheads(&mut self, rows: &[Row]) {
        let found =
            rows.iter().filter_map(|row| Some((row, row.operation.pipeline().bulkhead()?.clone())));
        let found: Vec<(&Row, Arc<Bulkhead>)> = found.collect();
        let gauges: [(&str, &str, Gauge); 3] = [
            ("bulkhead_active_operations", "Calls in a bulkhead now.", Bulkhead::in_use),
            ("seawall_bulkhead_limit", "Calls that may be in a bulkhead now.", Bulkhead::limit),
            ("seawall_bulkhead_queued", "Calls that wait before a bulkhead now.", Bulkhead::queued),
        ];
        for (name, help, value) in gauges {
            let series = found.iter().map(|(row, bulkhead)| (row.name(), value(bulkhead)));
            self.family(name, "gauge", help, series);
        }
        let series = found.iter().map(|(row, _)| (row.name(), row.counts.bulkhead_rejections));
        let help = "Calls that a bulkhead rejected.";
        self.family("bulkhead_rejected_operations", "counter", help, series);
    }

    /// Writes the values that adaptive policies have reached, the modes, and the pauses.
    fn settings(&mut self, rows: &[Row], now: Instant) {
        let modes = each_policy(rows, |row, position, policy| {
            let (kind, mode) = (policy.label(), row.operation.pipeline().mode(position).label());
            Some((format!(",policy=\"{kind}\",position=\"{position}\",mode=\"{mode}\""), 1))
        });
        let help = "1 for the mode that a policy is in.";
        self.family("seawall_policy_mode", "gauge", help, modes);
        let paused = |row: &Row| u8::from(row.operation.pipeline().repeats_are_paused());
        let series = rows.iter().map(|row| (row.operation(), paused(row)));
        let help = "1 while retries and hedges are paused.";
        self.family("seawall_repeats_paused", "gauge", help, series);
        let mut adapted = |name, help, value: &dyn Fn(&Policy) -> Option<f64>| {
            let series = each_policy(rows, |_, position, policy| {
                Some((format!(",position=\"{position}\""), value(policy)?))
            });
            self.family(name, "gauge", help, series);
        };
        adapted("seawall_timeout_limit_seconds", "The limit of a timeout now.", &|policy| {
            let Policy::Timeout(timeout) = policy else { return None };
            Some(timeout.limit(now).as_secs_f64())
        });
        adapted("seawall_hedge_delay_seconds", "The delay of a hedge now.", &|policy| {
            let Policy::Hedge(hedge) = policy else { return None };
            Some(hedge.delay(now).as_secs_f64())
        });
        adapted("seawall_throttle_share", "The share a throttle turns away.", &|policy| {
            let Policy::Throttle(throttle) = policy else { return None };
            Some(throttle.share())
        });
    }
}

/// Writes what `series` gives for each policy by its position: further labels, and a value.
fn each_policy<V>(
    rows: &[Row],
    series: impl Fn(&Row, usize, &Policy) -> Option<(String, V)>,
) -> Vec<(String, V)> {
    let mut found = Vec::new();
    for row in rows {
        for (position, policy) in row.operation.pipeline().policies().iter().enumerate() {
            if let Some((labels, value)) = series(row, position, policy) {
                found.push((row.operation() + &labels, value));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_tower::TokioTimer;

    /// `docs/operate.md` names every metric that a page has, and no other.
    #[test]
    fn the_documents_name_every_metric() {
        let documents = include_str!("../../../docs/operate.md");
        let registry = seawall::Registry::builder().timer(TokioTimer).build();
        let text = page(&registry, Duration::ZERO).text;
        let families =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        for family in families {
            assert!(
                documents.contains(&format!("`{family}`")),
                "docs/operate.md does not name {family}"
            );
        }
        for word in documents
            .split('`')
            .filter(|word| word.starts_with("seawall_") && word.ends_with("_total"))
        {
            let of_control =
                ["seawall_control", "seawall_dlq", "seawall_requests", "seawall_tenant"]
                    .iter()
                    .any(|start| word.starts_with(start));
            assert!(of_control || text.contains(&format!("# TYPE {word} ")), "there is no {word}");
        }
    }
}
