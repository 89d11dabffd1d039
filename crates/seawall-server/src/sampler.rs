//! Samples rates and percentiles once a second, shared by all readers: the stream of snapshots, the dashboard, alerts.

use crate::{
    active::ActiveConfig,
    alerts::{Alert, Alerts, Inspected, Watched},
    dead_letters::DeadLetters,
    feed::Feed,
    fleet::{Fleet, Load},
    latency::LatencyView,
    persistence::Persistence,
    revisions::Revision,
    runtime::{Operation, Registry},
    tenants::Tenants,
    wall_clock,
};
use bytes::Bytes;
use seawall::{CircuitView, Instant, Mode, State};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};
use tokio::time::{Duration, MissedTickBehavior, interval};
use utoipa::ToSchema;
use windows::{Window, Windows};

mod activity;
mod windows;

pub use activity::Activity;
pub use windows::Minute;

/// The whole server at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the snapshot was taken.
    pub at: String,
    /// The time since the start of the server, in milliseconds.
    pub uptime_ms: u64,
    /// The version of the server.
    pub version: String,
    /// The preset in force.
    pub preset: String,
    /// The revision of the configuration in force.
    pub revision: u64,
    /// Whether retries and hedges of all operations are paused.
    pub repeats_paused: bool,
    /// The circuits that refuse calls.
    pub health: HealthView,
    /// The alerts that last, the worst first.
    pub alerts: Vec<Alert>,
    /// All operations, by name.
    pub operations: Vec<OperationView>,
    /// What the other instances of the fleet are shown of all operations.
    #[serde(skip)]
    pub(crate) load: Load,
    /// The message for readers that have the last hour already; made once for all of them.
    #[serde(skip)]
    brief: OnceLock<Bytes>,
}

/// The circuits that refuse calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// Whether no circuit refuses all calls: none that enforces is open or forced open.
    pub healthy: bool,
    /// The circuits, by whether they refuse calls.
    #[serde(flatten)]
    #[schema(schema_with = crate::schema::described::<seawall::Health>)]
    pub circuits: seawall::Health,
}

impl HealthView {
    pub(crate) fn of(registry: &Registry) -> Self {
        let circuits = registry.health();
        Self { healthy: circuits.is_healthy(), circuits }
    }
}

/// One operation at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperationView {
    /// The name of the operation.
    pub name: String,
    /// The circuit of the operation; `null` if it has no breaker.
    pub circuit: Option<CircuitLine>,
    /// The activity of the last seconds, per second.
    pub rates: Activity<f64>,
    /// The activity since the last reset of the counters.
    pub totals: Activity<u64>,
    /// Latencies of the last five to ten seconds.
    pub latency_ms: LatencyView,
    /// The number of executions in progress.
    pub in_flight: u64,
    /// The number of calls that wait for a place in the operation's bulkhead.
    pub queued: u32,
    /// The last hour, a character a minute, the present one last: what the circuit was at its worst.
    pub hour: String,
    /// The last hour, a minute each, the present one last. In a stream the first snapshot has all of them, those
    /// after it the present one only.
    pub minutes: Vec<Minute>,
    /// The number of the present minute, counted from the first one that was sampled.
    pub minute: u64,
    /// Whether retries and hedges of the operation are paused.
    pub repeats_paused: bool,
}

/// A circuit at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CircuitLine {
    /// The state that decides about the next call.
    pub state: State,
    /// `enforce`, `shadow` or `off`: only one that enforces refuses calls.
    #[serde(default)]
    pub mode: Mode,
    /// The number of consecutive failures, while closed.
    pub failure_count: u32,
    /// The number of consecutive failures that open the circuit; `null` if a window decides alone.
    pub threshold: Option<u32>,
    /// The time since the last change of state, in milliseconds.
    pub in_state_ms: u64,
    /// The time since the circuit was last closed, in milliseconds, failed probes included; `null` while it is closed
    /// or forced.
    pub broken_for_ms: Option<u64>,
    /// The time until an open circuit lets a probe through, in milliseconds.
    pub next_probe_in_ms: Option<u64>,
    /// The reason for the present state.
    pub reason: Option<String>,
}

/// Takes a snapshot a second, and lets alerts begin and end, until the receivers are gone.
pub(crate) async fn sample(
    sampler: Sampler,
    publish: tokio::sync::watch::Sender<Option<Arc<Snapshot>>>,
) {
    let mut windows = Windows::default();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let snapshot = sampler.snapshot(&mut windows);
        publish.send_replace(Some(Arc::new(snapshot)));
    }
}

/// Samples a server, and lets its alerts begin and end.
pub(crate) struct Sampler {
    pub(crate) started: Instant,
    pub(crate) live: Arc<ActiveConfig>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) store: Arc<Persistence>,
    pub(crate) letters: Arc<DeadLetters>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) fleet: Arc<Fleet>,
}

impl Sampler {
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
        let (revision, health) = (self.live.now(), HealthView::of(registry));
        self.evaluate_alerts(&watched, &revision);
        Snapshot {
            at: wall_clock::now(),
            uptime_ms: millis(now.since(self.started)),
            version: env!("CARGO_PKG_VERSION").into(),
            preset: revision.config.preset.clone(),
            revision: revision.number,
            repeats_paused: registry.repeats_are_paused(),
            load: load(&watched, now.since(self.started), &health),
            health,
            alerts: self.alerts.lasting(),
            operations: views,
            brief: OnceLock::new(),
        }
    }

    fn evaluate_alerts(&self, watched: &[Watched], revision: &Revision) {
        let monitoring = &revision.config.monitoring;
        let mut conditions = Vec::new();
        if monitoring.enabled {
            let inspected = Inspected {
                operations: watched,
                trail: self.live.trail(),
                store_failure: self.store.failure(),
                letters: &self.letters,
                tenants: &self.tenants,
                refused_file: self.live.history().refused_file(),
                fleet: self.fleet.health(),
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
            totals: *window.totals(),
            latency_ms: LatencyView::of(&window.recent_latencies()),
            in_flight: window.in_flight(),
            queued: pipeline.bulkhead().map_or(0, |bulkhead| bulkhead.queued()),
            hour: window.strip(),
            minutes: window.minutes().cloned().collect(),
            minute: window.minute_number(),
            repeats_paused: pipeline.repeats_are_paused(),
        }
    }
}

impl Snapshot {
    /// The result of `message` for this snapshot without the minutes before the present one: with many operations, an
    /// hour of each every second would be most of what is sent.
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

/// The calls of the last minute, of a server that has been up for so long. A request is one of a route and one of each upstream
/// that it was sent to: it counts once, as what its client got.
fn load(watched: &[Watched], up: Duration, health: &HealthView) -> Load {
    let is_route = |one: &&Watched| one.operation.starts_with("route ");
    let routes: Vec<&Watched> = watched.iter().filter(is_route).collect();
    let counted = if routes.is_empty() { watched.iter().collect() } else { routes };
    let ended: u64 = counted.iter().map(|one| one.ended).sum();
    let failed: u64 = counted.iter().map(|one| one.failed).sum();
    let tenth = |number: f64| (number * 10.0).round() / 10.0;
    Load {
        calls_per_second: tenth(ended as f64 / up.as_secs_f64().clamp(1.0, 60.0)),
        error_share: failed as f64 / ended.max(1) as f64,
        open_circuits: health.circuits.open.len(),
    }
}

fn circuit_line(
    view: &CircuitView,
    threshold: Option<u32>,
    now: Instant,
    started: Instant,
) -> CircuitLine {
    CircuitLine {
        state: view.state,
        mode: view.mode,
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
