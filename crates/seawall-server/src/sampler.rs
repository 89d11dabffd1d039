//! What the counters did lately: rates and quantiles over a few seconds, computed once a second for all
//! who look.

use crate::{
    Operation, Registry,
    active::ActiveConfig,
    alerts::{Alert, Alerts, Inspected, Watched},
    feed::Feed,
    persistence::Persistence,
    revisions::Revision,
    wall_clock,
};
use bytes::Bytes;
use seawall::{CircuitView, Counts, Instant, Latencies};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};
use tokio::time::{Duration, MissedTickBehavior, interval};
use utoipa::ToSchema;
use windows::{Window, Windows, grown};

mod windows;

pub use windows::Minute;

/// The whole server at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    pub at: String,
    pub uptime_ms: u64,
    pub version: String,
    pub preset: String,
    pub revision: u64,
    pub repeats_paused: bool,
    pub health: HealthView,
    /// Those that last, the worst first.
    pub alerts: Vec<Alert>,
    pub operations: Vec<OperationView>,
    /// The message for who has the last hour already; made once for all.
    #[serde(skip)]
    brief: OnceLock<Bytes>,
}

/// Which circuits refuse calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    pub healthy: bool,
    pub open_circuit_breakers: Vec<String>,
    pub half_open_circuit_breakers: Vec<String>,
    #[serde(default)]
    pub would_refuse_circuit_breakers: Vec<String>,
    pub total_circuit_breakers: usize,
    pub total_operations: usize,
}

/// One operation at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    pub name: String,
    pub circuit: Option<CircuitLine>,
    pub rates: Rates,
    pub totals: Totals,
    pub latency_ms: Quantiles,
    pub in_flight: u64,
    pub queued: u32,
    /// The last hour, a character a minute, the present one last: what the circuit was at its worst.
    pub hour: String,
    /// The last hour, a minute each, the present one last. In a stream the first snapshot has all of them, those
    /// after it the present one only.
    pub minutes: Vec<Minute>,
    /// Which minute the present one is, counted from the first that was seen.
    pub minute: u64,
    pub repeats_paused: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CircuitLine {
    pub state: String,
    /// `enforce`, `shadow` or `off`: only one that enforces refuses calls.
    #[serde(default)]
    pub mode: String,
    pub failure_count: u32,
    pub threshold: Option<u32>,
    /// Since its last change of state.
    pub in_state_ms: u64,
    /// Since it was last closed, failed probes included; none while it is closed or forced.
    pub broken_for_ms: Option<u64>,
    pub next_probe_in_ms: Option<u64>,
    pub reason: Option<String>,
}

/// Per second.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    pub calls: f64,
    pub successes: f64,
    pub failures: f64,
    pub timed_out: f64,
    /// Spoiled by the caller: client errors, requests that broke off, deadlines of the caller.
    pub caller_faults: f64,
    pub rejected: f64,
    pub retries: f64,
    pub fallbacks: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    pub calls: u64,
    pub successes: u64,
    pub failures: u64,
    pub timed_out: u64,
    pub caller_faults: u64,
    pub rejected: u64,
    pub attempts: u64,
    pub fallbacks: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Quantiles {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

/// Takes a snapshot a second, and lets alerts begin and end, until the receivers are gone.
pub(crate) async fn sample(
    watch: Watch,
    publish: tokio::sync::watch::Sender<Option<Arc<Snapshot>>>,
) {
    let mut windows = Windows::default();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let snapshot = watch.snapshot(&mut windows);
        publish.send_replace(Some(Arc::new(snapshot)));
    }
}

/// What is sampled, and who is told.
pub(crate) struct Watch {
    pub(crate) started: Instant,
    pub(crate) live: Arc<ActiveConfig>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) store: Arc<Persistence>,
}

/// Which circuits refuse calls, in the words of the API.
pub(crate) fn health(registry: &Registry) -> HealthView {
    let health = registry.health();
    let names = |names: &[seawall::Name]| names.iter().map(ToString::to_string).collect();
    HealthView {
        healthy: health.is_healthy(),
        open_circuit_breakers: names(&health.open),
        half_open_circuit_breakers: names(&health.half_open),
        would_refuse_circuit_breakers: names(&health.would_refuse),
        total_circuit_breakers: health.total_circuit_breakers,
        total_operations: health.total_operations,
    }
}

impl Watch {
    fn snapshot(&self, windows: &mut Windows) -> Snapshot {
        let registry = self.live.registry();
        let now = registry.now();
        let operations = registry.operations();
        windows.keep(&operations);
        let mut watched = Vec::with_capacity(operations.len());
        let views = operations
            .iter()
            .map(|operation| {
                let window = windows.of(operation, now);
                let view = self.view(operation, window, now);
                watched.push(window.watched(operation, now));
                view
            })
            .collect();
        let revision = self.live.now();
        self.evaluate(&watched, &revision);
        Snapshot {
            at: wall_clock::now(),
            uptime_ms: millis(now.since(self.started)),
            version: env!("CARGO_PKG_VERSION").into(),
            preset: revision.config.preset.clone(),
            revision: revision.number,
            repeats_paused: registry.repeats_are_paused(),
            health: health(registry),
            alerts: self.alerts.lasting(),
            operations: views,
            brief: OnceLock::new(),
        }
    }

    fn evaluate(&self, watched: &[Watched], revision: &Revision) {
        let monitoring = &revision.config.monitoring;
        let mut conditions = Vec::new();
        if monitoring.enabled {
            let inspected = Inspected {
                operations: watched,
                trail: self.live.trail(),
                store_failure: self.store.failure(),
                refused_file: self.live.history().refused_file(),
            };
            conditions = inspected.conditions(&monitoring.alerts);
        }
        for alert in self.alerts.evaluate(&conditions) {
            let (kind, verb) = match alert.ended_at {
                None => ("alert_started", "began"),
                Some(_) => ("alert_ended", "ended"),
            };
            let name = alert.operation.as_deref().unwrap_or("");
            let level = alert.level.label();
            let text = format!("{level} {verb}: {}", alert.description);
            match alert.ended_at {
                None => tracing::warn!(operation = name, level, "alert: {}", alert.description),
                Some(_) => tracing::info!(operation = name, level, "alert ended: {}", alert.title),
            }
            self.feed.note(kind, name, text);
        }
    }

    fn view(&self, operation: &Operation, window: &Window, now: Instant) -> OperationView {
        let pipeline = operation.pipeline();
        OperationView {
            name: operation.name().to_string(),
            circuit: window.circuit().map(|view| {
                let breaker = pipeline.circuit_breaker();
                let threshold = breaker.and_then(|breaker| breaker.config().consecutive_failures());
                circuit_line(view, threshold, now, self.started)
            }),
            rates: window.rates(now),
            totals: Totals::of(window.counts()),
            latency_ms: Quantiles::of(&window.recent_latencies()),
            in_flight: window.counts().in_flight,
            queued: pipeline.bulkhead().map_or(0, |bulkhead| bulkhead.queued()),
            hour: window.strip(),
            minutes: window.minutes().cloned().collect(),
            minute: window.minute_number(),
            repeats_paused: pipeline.repeats_are_paused(),
        }
    }
}

impl Snapshot {
    /// What `message` makes of this without the minutes before the present one: with many operations, an hour of
    /// each every second would be most of what is sent.
    pub(crate) fn brief(&self, message: impl FnOnce(&Self) -> Bytes) -> Bytes {
        let make = || {
            let mut brief = self.clone();
            for view in &mut brief.operations {
                view.minutes.drain(..view.minutes.len().saturating_sub(1));
            }
            message(&brief)
        };
        self.brief.get_or_init(make).clone()
    }
}

fn circuit_line(
    view: &CircuitView,
    threshold: Option<u32>,
    now: Instant,
    started: Instant,
) -> CircuitLine {
    CircuitLine {
        state: view.state.label().into(),
        mode: view.mode.label().into(),
        failure_count: view.failure_count,
        threshold,
        in_state_ms: millis(now.since(view.since.unwrap_or(started))),
        broken_for_ms: view.broken.map(|change| millis(now.since(change.at))),
        next_probe_in_ms: view.next_probe_at.map(|at| millis(at.since(now))),
        reason: view.why(),
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl Rates {
    fn between(old: &Counts, new: &Counts, seconds: f64) -> Self {
        let rate = |old: u64, new: u64| {
            (grown(new, old) as f64 / seconds.max(0.001) * 10.0).round() / 10.0
        };
        Self {
            calls: rate(old.total_calls, new.total_calls),
            successes: rate(old.successful_calls, new.successful_calls),
            failures: rate(old.failed_calls, new.failed_calls),
            timed_out: rate(old.timed_out_calls, new.timed_out_calls),
            caller_faults: rate(old.caller_faults, new.caller_faults),
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
            caller_faults: counts.caller_faults,
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
