//! The API's views of operations and their circuits, made from the state in use. Counters, states and windows are the
//! core's own types; only instants become wall-clock times.

use crate::{
    latency::LatencyView,
    runtime::{Operation, Registry},
    schema::described,
    wall_clock,
};
use seawall::{Counts, Instant, KeyedCounts, Mode, SharedCircuitView, State, Tally, Transition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The counters of one operation since its start or its last reset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationMetrics {
    /// The counters themselves.
    #[serde(flatten)]
    #[schema(schema_with = described::<Counts>)]
    pub counts: Counts,
    /// The share of successes, from 0 to 1, among the executions that ended and that the caller neither spoiled nor
    /// left; `null` before the first.
    pub success_rate: Option<f64>,
    /// The share of the same executions that failed or timed out.
    pub failure_rate: Option<f64>,
    /// The latencies of executions that were not rejected.
    pub latency_ms: LatencyView,
}

impl OperationMetrics {
    pub(crate) fn of(operation: &Operation) -> Self {
        let counts = operation.counts();
        Self {
            success_rate: counts.success_rate(),
            failure_rate: counts.failure_rate(),
            latency_ms: LatencyView::of(&operation.metrics().latencies()),
            counts,
        }
    }
}

/// A state that an operator forced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForcedView {
    /// The reason that the operator gave.
    pub reason: String,
    /// When the forced state ends by itself; `null` if it lasts until an operator ends it.
    pub until: Option<String>,
}

/// A change of a circuit's state, with its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TransitionView {
    /// The time at which the state changed.
    pub at: String,
    /// The state before.
    #[schema(schema_with = described::<State>)]
    pub from: State,
    /// The state after.
    #[schema(schema_with = described::<State>)]
    pub to: State,
    /// The reason, with the number that crossed its bound.
    pub reason: String,
}

impl TransitionView {
    fn of(change: Transition, now: Instant) -> Self {
        let Transition { at, from, to, why } = change;
        Self { at: wall_clock::of(at, now), from, to, reason: why.to_string() }
    }
}

/// The counters of the calls of one breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CircuitMetrics {
    /// Executions that began.
    pub total_calls: u64,
    /// Executions that succeeded.
    pub successful_calls: u64,
    /// Executions that ended in a failure for which the dependency is to blame.
    pub failed_calls: u64,
    /// Executions that ended in a timeout.
    pub timed_out_calls: u64,
    /// Executions that the caller spoiled; they are no failures.
    pub caller_faults: u64,
    /// Executions that ended in a rejection.
    pub rejected_calls: u64,
    /// How often the circuit opened, failed probes included; in shadow, too.
    pub opens: u64,
    /// How often the circuit became half-open.
    pub half_opens: u64,
    /// How often the circuit closed, after probes or by an operator.
    pub closes: u64,
    /// The number of seconds in each state; `null` if there is a circuit for each key.
    #[serde(serialize_with = "super::tag::clock")]
    pub seconds_in_state: Option<BTreeMap<String, f64>>,
}

/// One breaker, as the next call would meet it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CircuitBreakerView {
    /// The name of the operation.
    pub name: String,
    /// The state that decides about the next call.
    #[schema(schema_with = described::<State>)]
    pub state: State,
    /// The mode: `enforce` acts; `shadow` decides and refuses nothing; `off` is not asked, and knows nothing.
    #[serde(default)]
    #[schema(schema_with = described::<Mode>)]
    pub mode: Mode,
    /// Whether calls are refused now: the circuit is open, or forced open, and the breaker enforces.
    pub refuses: bool,
    /// Since when the circuit is in this state; `null` if it never changed.
    pub in_state_since: Option<String>,
    /// The number of consecutive failures, while closed.
    pub failure_count: u32,
    /// The number of consecutive failures that open the circuit; `null` if a window decides alone.
    pub threshold: Option<u32>,
    /// How long an open circuit waits before it lets a probe through, in seconds.
    pub recovery_timeout: f64,
    /// When the last failure was recorded.
    pub last_failure: Option<String>,
    /// When the circuit last opened, while it is open.
    pub opened_at: Option<String>,
    /// Since when the circuit has not been closed, failed probes included: the beginning of the outage.
    pub broken_since: Option<String>,
    /// The reason for the present state: what an operator said, or what opened the circuit, and what followed.
    pub why: Option<String>,
    /// How often the circuit has opened since it was last closed.
    pub openings_in_a_row: u32,
    /// Until when only a growing part of the calls is let through, after closing.
    pub ramps_until: Option<String>,
    /// The calls in the window, while closed; `null` if there is no window.
    #[schema(schema_with = described::<Option<Tally>>)]
    pub window: Option<Tally>,
    /// The state that an operator forced; `null` if none is forced.
    pub forced: Option<ForcedView>,
    /// The number of circuits, if there is one for each key.
    #[schema(schema_with = described::<Option<KeyedCounts>>)]
    pub keys: Option<KeyedCounts>,
    /// How it stands with the instances that share the circuit; `null` if none do, or the breaker does not enforce.
    #[serde(default)]
    #[schema(schema_with = described::<Option<SharedCircuitView>>)]
    pub shared: Option<SharedCircuitView>,
    /// When an open circuit lets its first probe through.
    pub next_probe_at: Option<String>,
    /// The last change of state.
    pub last_transition: Option<TransitionView>,
    /// The counters of the calls of the breaker.
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
            state: view.state,
            mode: view.mode,
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
            window: view.window,
            forced: view.forced.as_ref().map(|forced| ForcedView {
                reason: forced.reason.to_string(),
                until: forced.until.map(|at| wall_clock::of(at, now)),
            }),
            keys: view.keys,
            shared: view.shared,
            next_probe_at: view.next_probe_at.map(|at| wall_clock::of(at, now)),
            last_transition: view.last_transition.map(|change| TransitionView::of(change, now)),
            metrics: CircuitMetrics::of(operation, now, config.keyed),
        })
    }

    /// Whether the circuit is in one of these states and the breaker enforces.
    pub(crate) fn enforces_in(&self, states: &[State]) -> bool {
        self.mode == Mode::Enforce && states.contains(&self.state)
    }

    /// Whether the circuit is closed, or the breaker does not enforce and so refuses no call.
    pub(crate) fn is_healthy(&self) -> bool {
        self.mode != Mode::Enforce || self.state == State::Closed
    }
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

/// All breakers, by the names of their operations.
pub(crate) fn circuit_breakers(registry: &Registry) -> BTreeMap<String, CircuitBreakerView> {
    let now = registry.now();
    let operations = registry.operations();
    let views = operations.iter().filter_map(|operation| CircuitBreakerView::of(operation, now));
    views.map(|view| (view.name.clone(), view)).collect()
}
