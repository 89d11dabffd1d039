//! What the API says, from the state that is used.

use crate::{Operation, Registry};
use seawall::{Instant, State};
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// Now, as RFC 3339 in UTC.
pub(super) fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// An instant of the policies' clock, as wall-clock time.
fn wall(at: Instant, now: Instant) -> String {
    let wall = SystemTime::now();
    let then = if at <= now { wall - now.since(at) } else { wall + at.since(now) };
    humantime::format_rfc3339_millis(then).to_string()
}

fn latency_ms(operation: &Operation) -> Value {
    let latencies = operation.metrics().latencies();
    let ms = |q| latencies.quantile(q).map(|time| time.as_secs_f64() * 1000.0);
    json!({ "count": latencies.count(), "p50": ms(0.5), "p95": ms(0.95), "p99": ms(0.99) })
}

fn operation_metrics(operation: &Operation) -> Value {
    let counts = operation.counts();
    let rejections: Map<String, Value> =
        counts.rejections.iter().map(|(reason, n)| ((*reason).to_owned(), json!(n))).collect();
    let mut view = json!(counts);
    view["rejections"] = rejections.into();
    let ended = counts.total_calls.saturating_sub(counts.in_flight);
    view["success_rate"] = match ended {
        0 => Value::Null,
        ended => json!(counts.successful_calls as f64 / ended as f64),
    };
    view["latency_ms"] = latency_ms(operation);
    view
}

/// One breaker; `None` where the operation has none.
pub(super) fn circuit_breaker(operation: &Operation, now: Instant) -> Option<Value> {
    let pipeline = operation.pipeline();
    let breaker = pipeline.circuit_breaker()?;
    let (view, config) = (breaker.view(now), breaker.config());
    let opened_at = view
        .last_transition
        .filter(|change| change.to.is_open() && view.state.is_open())
        .map(|change| wall(change.at, now));
    let (spent, _) = operation.metrics().circuit_times(now);
    let counts = operation.counts();
    // Of many circuits there is no one state to count the time of.
    let seconds: Option<Map<String, Value>> = (!config.keyed).then(|| {
        let each = State::ALL.iter().zip(spent);
        each.map(|(state, time)| (state.label().to_owned(), json!(time.as_secs_f64()))).collect()
    });
    Some(json!({
        "name": operation.name().to_string(),
        "state": view.state.label(),
        "failure_count": view.failure_count,
        "threshold": config.consecutive_failures(),
        "recovery_timeout": config.recovery_timeout.as_secs_f64(),
        "last_failure": view.last_failure.map(|at| wall(at, now)),
        "opened_at": opened_at,
        "openings_in_a_row": view.openings,
        "ramps_until": view.ramps_until.map(|at| wall(at, now)),
        "forced": view.forced.as_ref().map(|forced| json!({
            "reason": &*forced.reason,
            "until": forced.until.map(|at| wall(at, now)),
        })),
        "keys": view.keys.map(|keys| json!({
            "known": keys.known,
            "not_closed": keys.not_closed,
        })),
        "next_probe_at": view.next_probe_at.map(|at| wall(at, now)),
        "last_transition": view.last_transition.map(|change| json!({
            "at": wall(change.at, now),
            "from": change.from.label(),
            "to": change.to.label(),
            "reason": change.why.to_string(),
        })),
        "metrics": {
            "total_calls": counts.total_calls,
            "successful_calls": counts.successful_calls,
            "failed_calls": counts.failed_calls,
            "timed_out_calls": counts.timed_out_calls,
            "rejected_calls": counts.rejected_calls,
            "opens": counts.circuit_breaker_opens,
            "seconds_in_state": seconds,
        },
    }))
}

fn breakers(registry: &Registry) -> Map<String, Value> {
    let now = registry.now();
    registry
        .operations()
        .iter()
        .filter_map(|operation| {
            Some((operation.name().to_string(), circuit_breaker(operation, now)?))
        })
        .collect()
}

fn in_state(breakers: &Map<String, Value>, state: State) -> usize {
    breakers.values().filter(|breaker| breaker["state"] == state.label()).count()
}

/// All breakers, and how many are well.
pub(super) fn circuit_breakers(registry: &Registry) -> Value {
    let breakers = breakers(registry);
    json!({
        "total_count": breakers.len(),
        "healthy_count": in_state(&breakers, State::Closed),
        "open_count": in_state(&breakers, State::Open) + in_state(&breakers, State::ForcedOpen),
        "circuit_breakers": breakers,
    })
}

/// All counters.
pub(super) fn metrics(registry: &Registry) -> Value {
    let operations: Map<String, Value> = registry
        .operations()
        .iter()
        .map(|operation| (operation.name().to_string(), operation_metrics(operation)))
        .collect();
    let breakers = breakers(registry);
    json!({
        "summary": {
            "total_operations": operations.len(),
            "total_circuit_breakers": breakers.len(),
            "healthy_circuit_breakers": in_state(&breakers, State::Closed),
            "timestamp": timestamp(),
        },
        "operations": operations,
        "circuit_breakers": breakers,
    })
}
