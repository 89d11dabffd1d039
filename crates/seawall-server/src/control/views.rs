//! What the API says of operations and their circuits, from the state that is used.

use crate::{Operation, Registry, wall_clock};
use seawall::{Instant, Mode, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Quantiles in milliseconds; none before the first call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyView {
    pub count: u64,
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

/// The counters of one operation since its start or its last reset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationMetrics {
    /// Executions begun.
    pub total_calls: u64,
    pub successful_calls: u64,
    pub failed_calls: u64,
    pub timed_out_calls: u64,
    /// Executions that the caller spoiled (client errors, broken requests, deadlines of its own); no failures.
    pub caller_faults: u64,
    /// Executions that were refused.
    pub rejected_calls: u64,
    /// Executions whose caller went away.
    pub abandoned_calls: u64,
    /// Executions in progress.
    pub in_flight: u64,
    /// Calls of the operation, those of retries included.
    pub attempts: u64,
    pub failed_attempts: u64,
    pub retries_executed: u64,
    /// Retries that the budget did not pay.
    pub retries_unaffordable: u64,
    /// Retries and hedges that an operator had paused.
    pub repeats_paused: u64,
    pub hedges: u64,
    pub timeouts: u64,
    pub fallbacks: u64,
    pub queued: u64,
    pub faults_injected: u64,
    pub circuit_breaker_opens: u64,
    pub circuit_breaker_half_opens: u64,
    pub circuit_breaker_closes: u64,
    pub bulkhead_rejections: u64,
    /// By reason.
    pub rejections: BTreeMap<String, u64>,
    /// What policies in shadow would have done, by policy.
    pub shadowed: BTreeMap<String, u64>,
    /// Of the executions that ended and that the caller neither spoiled nor left, 0 to 1; none before the first.
    pub success_rate: Option<f64>,
    pub latency_ms: LatencyView,
}

impl OperationMetrics {
    pub(crate) fn of(operation: &Operation) -> Self {
        let counts = operation.counts();
        let latencies = operation.metrics().latencies();
        let ms = |q| latencies.quantile(q).map(|time| time.as_secs_f64() * 1000.0);
        let named = |rows: &[(&'static str, u64)]| {
            rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        Self {
            total_calls: counts.total_calls,
            successful_calls: counts.successful_calls,
            failed_calls: counts.failed_calls,
            timed_out_calls: counts.timed_out_calls,
            caller_faults: counts.caller_faults,
            rejected_calls: counts.rejected_calls,
            abandoned_calls: counts.abandoned_calls,
            in_flight: counts.in_flight,
            attempts: counts.attempts,
            failed_attempts: counts.failed_attempts,
            retries_executed: counts.retries_executed,
            retries_unaffordable: counts.retries_unaffordable,
            repeats_paused: counts.repeats_paused,
            hedges: counts.hedges,
            timeouts: counts.timeouts,
            fallbacks: counts.fallbacks,
            queued: counts.queued,
            faults_injected: counts.faults_injected,
            circuit_breaker_opens: counts.circuit_breaker_opens,
            circuit_breaker_half_opens: counts.circuit_breaker_half_opens,
            circuit_breaker_closes: counts.circuit_breaker_closes,
            bulkhead_rejections: counts.bulkhead_rejections,
            rejections: named(&counts.rejections),
            shadowed: named(&counts.shadowed),
            success_rate: counts.success_rate(),
            latency_ms: LatencyView {
                count: latencies.count(),
                p50: ms(0.5),
                p95: ms(0.95),
                p99: ms(0.99),
            },
        }
    }
}

/// A state that an operator forced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForcedView {
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<String>,
}

/// The circuits of a breaker with one for each key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeysView {
    pub known: usize,
    pub not_closed: usize,
}

/// What a window holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowView {
    pub calls: u64,
    pub failures: u64,
    pub slow: u64,
}

/// A change of state, with its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TransitionView {
    pub at: String,
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// What a breaker counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CircuitMetrics {
    pub total_calls: u64,
    pub successful_calls: u64,
    pub failed_calls: u64,
    pub timed_out_calls: u64,
    pub caller_faults: u64,
    pub rejected_calls: u64,
    /// Times it opened, failed probes included; in shadow, too.
    pub opens: u64,
    /// Times it let probes through.
    pub half_opens: u64,
    /// Times it closed, after probes or by an operator.
    pub closes: u64,
    /// By state; none where there is a circuit for each key.
    #[serde(serialize_with = "super::answer::clock")]
    pub seconds_in_state: Option<BTreeMap<String, f64>>,
}

/// One breaker, as the next call would meet it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CircuitBreakerView {
    pub name: String,
    /// `closed`, `open`, `half_open`, `forced_open`, `forced_closed`, `disabled`.
    pub state: String,
    /// `enforce`; `shadow`: it decides and refuses nothing; `off`: it is not asked, and knows nothing.
    #[serde(default)]
    pub mode: String,
    /// Whether calls are refused now: it is open, or forced open, and enforces.
    pub refuses: bool,
    /// Since when it is in this state; none where it never changed.
    pub in_state_since: Option<String>,
    /// Failures in a row, while closed.
    pub failure_count: u32,
    /// Failures in a row that open it; none where a window decides alone.
    pub threshold: Option<u32>,
    /// In seconds.
    pub recovery_timeout: f64,
    pub last_failure: Option<String>,
    /// When it last opened, while it is open.
    pub opened_at: Option<String>,
    /// Since when it is not closed any more, failed probes included: the beginning of the outage.
    pub broken_since: Option<String>,
    /// Why it stands as it does: what an operator said, or what broke it, and what followed.
    pub why: Option<String>,
    /// Times it opened since it was last closed.
    pub openings_in_a_row: u32,
    /// When the traffic after closing is whole again.
    pub ramps_until: Option<String>,
    pub window: Option<WindowView>,
    pub forced: Option<ForcedView>,
    pub keys: Option<KeysView>,
    /// When an open circuit lets its first probe through.
    pub next_probe_at: Option<String>,
    pub last_transition: Option<TransitionView>,
    pub metrics: CircuitMetrics,
}

impl CircuitBreakerView {
    /// None where the operation has no breaker.
    pub(crate) fn of(operation: &Operation, now: Instant) -> Option<Self> {
        let pipeline = operation.pipeline();
        let (view, config) = (pipeline.circuit(now)?, pipeline.circuit_breaker()?.config());
        let opened =
            view.last_transition.filter(|change| change.to.is_open() && view.state.is_open());
        Some(Self {
            name: operation.name().to_string(),
            state: view.state.label().into(),
            mode: view.mode.label().into(),
            refuses: view.refuses(),
            in_state_since: view.since.map(|at| wall_clock::of(at, now)),
            failure_count: view.failure_count,
            threshold: config.consecutive_failures(),
            recovery_timeout: config.recovery_timeout.as_secs_f64(),
            last_failure: view.last_failure.map(|at| wall_clock::of(at, now)),
            opened_at: opened.map(|change| wall_clock::of(change.at, now)),
            broken_since: view.broken.map(|change| wall_clock::of(change.at, now)),
            why: view.why(),
            openings_in_a_row: view.openings,
            ramps_until: view.ramps_until.map(|at| wall_clock::of(at, now)),
            window: view.window.map(|tally| WindowView {
                calls: tally.calls.into(),
                failures: tally.failures.into(),
                slow: tally.slow.into(),
            }),
            forced: view.forced.as_ref().map(|forced| ForcedView {
                reason: forced.reason.to_string(),
                until: forced.until.map(|at| wall_clock::of(at, now)),
            }),
            keys: view.keys.map(|keys| KeysView { known: keys.known, not_closed: keys.not_closed }),
            next_probe_at: view.next_probe_at.map(|at| wall_clock::of(at, now)),
            last_transition: view.last_transition.map(|change| TransitionView {
                at: wall_clock::of(change.at, now),
                from: change.from.label().into(),
                to: change.to.label().into(),
                reason: change.why.to_string(),
            }),
            metrics: CircuitMetrics::of(operation, now, config.keyed),
        })
    }

    /// Whether it is in one of these states and enforces.
    pub(crate) fn enforces_in(&self, states: &[State]) -> bool {
        self.mode == Mode::Enforce.label() && states.iter().any(|state| state.label() == self.state)
    }

    /// The line of a table.
    pub(crate) fn cells(self) -> Vec<String> {
        let text = |text: Option<String>| text.unwrap_or_default();
        let threshold = self.threshold.map(|threshold| threshold.to_string());
        vec![
            self.name,
            self.state,
            self.failure_count.to_string(),
            text(threshold),
            self.recovery_timeout.to_string(),
            text(self.broken_since),
            text(self.next_probe_at),
            self.metrics.opens.to_string(),
            text(self.why),
            self.mode,
        ]
    }

    /// The names of those cells.
    pub(crate) const CELLS: [&str; 10] = [
        "name",
        "state",
        "failure_count",
        "threshold",
        "recovery_timeout",
        "broken_since",
        "next_probe_at",
        "opens",
        "reason",
        "mode",
    ];
}

impl CircuitMetrics {
    fn of(operation: &Operation, now: Instant, keyed: bool) -> Self {
        let counts = operation.counts();
        let (spent, _) = operation.metrics().circuit_times(now);
        let seconds = || {
            let each = State::ALL.iter().zip(spent);
            each.map(|(state, time)| (state.label().to_owned(), time.as_secs_f64())).collect()
        };
        Self {
            total_calls: counts.total_calls,
            successful_calls: counts.successful_calls,
            failed_calls: counts.failed_calls,
            timed_out_calls: counts.timed_out_calls,
            caller_faults: counts.caller_faults,
            rejected_calls: counts.rejected_calls,
            opens: counts.circuit_breaker_opens,
            half_opens: counts.circuit_breaker_half_opens,
            closes: counts.circuit_breaker_closes,
            // Of many circuits there is no one state to count the time of.
            seconds_in_state: (!keyed).then(seconds),
        }
    }
}

/// All breakers, by name.
pub(crate) fn circuit_breakers(registry: &Registry) -> BTreeMap<String, CircuitBreakerView> {
    let now = registry.now();
    let operations = registry.operations();
    let views = operations.iter().filter_map(|operation| CircuitBreakerView::of(operation, now));
    views.map(|view| (view.name.clone(), view)).collect()
}
