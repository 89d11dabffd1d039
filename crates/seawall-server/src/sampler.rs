//! What the counters did lately: rates and quantiles over a few seconds, computed once a second for all
//! who look.

use crate::{Operation, Registry};
use seawall::{Counts, Instant, Latencies};
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    time::SystemTime,
};
use tokio::time::{Duration, MissedTickBehavior, interval};

/// How far back rates look.
const RATE_SAMPLES: usize = 5;
/// How far back latencies look.
const LATENCY_SAMPLES: usize = 10;

/// The whole server at one moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Snapshot {
    pub(crate) at: String,
    pub(crate) uptime_ms: u64,
    pub(crate) version: &'static str,
    pub(crate) preset: &'static str,
    pub(crate) health: HealthView,
    pub(crate) operations: Vec<OperationView>,
}

/// Which circuits are open.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HealthView {
    pub(crate) healthy: bool,
    pub(crate) open_circuit_breakers: Vec<String>,
    pub(crate) half_open_circuit_breakers: Vec<String>,
    pub(crate) total_circuit_breakers: usize,
    pub(crate) total_operations: usize,
}

/// One operation at one moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OperationView {
    name: String,
    circuit: Option<CircuitLine>,
    rates: Rates,
    totals: Totals,
    latency_ms: Quantiles,
    in_flight: u64,
    queued: u32,
}

#[derive(Clone, Debug, Serialize)]
struct CircuitLine {
    state: &'static str,
    failure_count: u32,
    threshold: Option<u32>,
    in_state_ms: u64,
    next_probe_in_ms: Option<u64>,
    reason: Option<String>,
}

/// Per second.
#[derive(Clone, Debug, Default, Serialize)]
struct Rates {
    calls: f64,
    successes: f64,
    failures: f64,
    timed_out: f64,
    rejected: f64,
    retries: f64,
    fallbacks: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Totals {
    calls: u64,
    successes: u64,
    failures: u64,
    timed_out: u64,
    rejected: u64,
    attempts: u64,
    fallbacks: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Quantiles {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// Former states of the counters, one a second.
#[derive(Default)]
struct History(BTreeMap<String, VecDeque<Sample>>);

struct Sample {
    at: Instant,
    counts: Counts,
    latencies: Latencies,
}

/// Takes a snapshot a second until the receivers are gone.
pub(crate) async fn sample(
    registry: Registry,
    started: Instant,
    publish: tokio::sync::watch::Sender<Option<std::sync::Arc<Snapshot>>>,
) {
    let mut history = History::default();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let snapshot = history.snapshot(&registry, started);
        publish.send_replace(Some(std::sync::Arc::new(snapshot)));
    }
}

/// Which circuits are open, in the words of the API.
pub(crate) fn health(registry: &Registry) -> HealthView {
    let health = registry.health();
    let names = |names: &[seawall::Name]| names.iter().map(ToString::to_string).collect();
    HealthView {
        healthy: health.is_healthy(),
        open_circuit_breakers: names(&health.open),
        half_open_circuit_breakers: names(&health.half_open),
        total_circuit_breakers: health.total_circuit_breakers,
        total_operations: health.total_operations,
    }
}

impl History {
    fn snapshot(&mut self, registry: &Registry, started: Instant) -> Snapshot {
        let now = registry.now();
        Snapshot {
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            uptime_ms: millis(now.since(started)),
            version: env!("CARGO_PKG_VERSION"),
            preset: registry.preset().name,
            health: health(registry),
            operations: registry
                .operations()
                .iter()
                .map(|operation| self.view(operation, now, started))
                .collect(),
        }
    }

    fn view(&mut self, operation: &Operation, now: Instant, started: Instant) -> OperationView {
        let name = operation.name().to_string();
        let counts = operation.counts();
        let latencies = operation.metrics().latencies();
        let samples = self.0.entry(name.clone()).or_default();
        let ago = |back: usize| {
            samples.len().checked_sub(back).or(Some(0)).and_then(|at| samples.get(at))
        };
        let rates = ago(RATE_SAMPLES).map_or_else(Rates::default, |old| {
            Rates::between(&old.counts, &counts, now.since(old.at).as_secs_f64())
        });
        let recent = match ago(LATENCY_SAMPLES) {
            Some(old) => latencies.since(&old.latencies),
            None => latencies.clone(),
        };
        let pipeline = operation.pipeline();
        let view = OperationView {
            circuit: circuit_line(operation, now, started),
            rates,
            totals: Totals::of(&counts),
            latency_ms: Quantiles::of(&recent),
            in_flight: counts.in_flight,
            queued: pipeline.bulkhead().map_or(0, |bulkhead| bulkhead.queued()),
            name,
        };
        samples.push_back(Sample { at: now, counts, latencies });
        if samples.len() > LATENCY_SAMPLES {
            samples.pop_front();
        }
        view
    }
}

fn circuit_line(operation: &Operation, now: Instant, started: Instant) -> Option<CircuitLine> {
    let pipeline = operation.pipeline();
    let breaker = pipeline.circuit_breaker()?;
    let view = breaker.view(now);
    let since = view.last_transition.map_or(started, |change| change.at);
    Some(CircuitLine {
        state: view.state.label(),
        failure_count: view.failure_count,
        threshold: breaker.config().consecutive_failures(),
        in_state_ms: millis(now.since(since)),
        next_probe_in_ms: view.next_probe_at.map(|at| millis(at.since(now))),
        reason: view.last_transition.map(|change| change.why.to_string()),
    })
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl Rates {
    fn between(old: &Counts, new: &Counts, seconds: f64) -> Self {
        // After a reset the new count is the smaller one: it counts from zero.
        let rate = |old: u64, new: u64| {
            let grown = if new >= old { new - old } else { new };
            (grown as f64 / seconds.max(0.001) * 10.0).round() / 10.0
        };
        Self {
            calls: rate(old.total_calls, new.total_calls),
            successes: rate(old.successful_calls, new.successful_calls),
            failures: rate(old.failed_calls, new.failed_calls),
            timed_out: rate(old.timed_out_calls, new.timed_out_calls),
            rejected: rate(old.rejected_calls, new.rejected_calls),
            retries: rate(old.retries_executed, new.retries_executed),
            fallbacks: rate(old.fallbacks, new.fallbacks),
        }
    }
}

impl Totals {
    fn of(counts: &Counts) -> Self {
        Self {
            calls: counts.total_calls,
            successes: counts.successful_calls,
            failures: counts.failed_calls,
            timed_out: counts.timed_out_calls,
            rejected: counts.rejected_calls,
            attempts: counts.attempts,
            fallbacks: counts.fallbacks,
        }
    }
}

impl Quantiles {
    fn of(latencies: &Latencies) -> Self {
        let ms = |q| latencies.quantile(q).map(|time| (time.as_secs_f64() * 1e6).round() / 1e3);
        Self { p50: ms(0.5), p95: ms(0.95), p99: ms(0.99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_survive_a_reset() {
        let counts = |n| Counts { total_calls: n, ..Counts::default() };
        assert_eq!(Rates::between(&counts(100), &counts(150), 5.0).calls, 10.0);
        assert_eq!(Rates::between(&counts(100), &counts(20), 5.0).calls, 4.0);
    }
}
