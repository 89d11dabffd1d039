//! Events as counters, gauges and histograms of the crate `metrics`.

use crate::{
    event::{Event, Kind, Observer, Withheld},
    outcome::Outcome,
};
use ::metrics::{counter, gauge, histogram};
use std::time::Duration;

/// Counts every event with the recorder of the crate `metrics`, under the names that the gateway's Prometheus page has,
/// so that its dashboards and alerts serve both.
///
/// The values of all labels are few: operations are named in code, and the others are words of Seawall's or names that
/// policies of your own have in code.
///
/// | name | kind | labels besides `operation` |
/// |---|---|---|
/// | `seawall_calls_total` | counter of executions that ended | `outcome` |
/// | `seawall_latency_seconds` | histogram of executions that were not refused | – |
/// | `seawall_in_flight` | gauge of executions in progress | – |
/// | `seawall_attempts_total`, `seawall_failed_attempts_total` | counters | – |
/// | `seawall_rejections_total` | counter | `reason` |
/// | `seawall_retries_total`, `seawall_retries_unaffordable_total`, `seawall_repeats_paused_total`, `seawall_hedges_total`, `seawall_timeouts_total`, `seawall_fallbacks_total`, `seawall_queued_total`, `seawall_degraded_decisions_total`, `seawall_store_round_trips_total`, `seawall_store_losses_total`, `seawall_dead_letters_total`, `seawall_dead_letters_lost_total`, `seawall_faults_injected_total`, `seawall_abandoned_total` | counters | – |
/// | `seawall_shadow_decisions_total` | counter of what policies in shadow would have done | `policy` |
/// | `circuit_breaker_state` | gauge: 0 closed, 1 open, 2 half-open; forced: 3 open, 4 closed, 5 off | `name` in place of `operation` |
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsObserver;

impl Observer for MetricsObserver {
    fn observe(&self, event: &Event<'_>) {
        let operation = || event.operation.to_string();
        let add = |name: &'static str| counter!(name, "operation" => operation()).increment(1);
        if event.shadow {
            return shadowed(event);
        }
        match event.kind {
            Kind::Started => gauge!("seawall_in_flight", "operation" => operation()).increment(1),
            Kind::CallStarted { .. } | Kind::DeadlinePassed { .. } | Kind::StoreFound { .. } => {}
            Kind::CallFinished { outcome: Outcome::Rejected(rejection), .. }
            | Kind::Rejected(rejection) => {
                let reason = rejection.reason.label();
                counter!("seawall_rejections_total", "operation" => operation(), "reason" => reason)
                    .increment(1);
            }
            // Alternatives, with the number 0, are no attempts.
            Kind::CallFinished { attempt: 0, .. } | Kind::CallCancelled { attempt: 0, .. } => {}
            Kind::CallFinished { outcome, .. } => {
                add("seawall_attempts_total");
                if outcome.blames_dependency() {
                    add("seawall_failed_attempts_total");
                }
            }
            Kind::CallCancelled { cut_off, .. } => {
                add("seawall_attempts_total");
                if cut_off {
                    add("seawall_failed_attempts_total");
                }
            }
            Kind::AnswerFailed { .. } => add("seawall_failed_attempts_total"),
            Kind::Queued { .. } => add("seawall_queued_total"),
            Kind::LimitDegraded { .. } => add("seawall_degraded_decisions_total"),
            Kind::StoreAnswered { .. } => add("seawall_store_round_trips_total"),
            Kind::StoreLost { .. } => add("seawall_store_losses_total"),
            Kind::RetryScheduled { .. } => add("seawall_retries_total"),
            Kind::Withheld { why: Withheld::Budget, .. } => {
                add("seawall_retries_unaffordable_total");
            }
            Kind::Withheld { why: Withheld::Paused, .. } => add("seawall_repeats_paused_total"),
            Kind::Hedged { .. } => add("seawall_hedges_total"),
            Kind::FaultInjected(_) => add("seawall_faults_injected_total"),
            Kind::TimedOut { .. } => add("seawall_timeouts_total"),
            Kind::FellBack { .. } => add("seawall_fallbacks_total"),
            Kind::LetterKept => add("seawall_dead_letters_total"),
            Kind::LetterLost { .. } => add("seawall_dead_letters_lost_total"),
            Kind::CircuitChanged(change) => {
                gauge!("circuit_breaker_state", "name" => operation()).set(change.to as u8);
            }
            Kind::Finished { outcome, took, .. } => finished(event, outcome, took),
            Kind::Abandoned { .. } => {
                gauge!("seawall_in_flight", "operation" => operation()).decrement(1);
                add("seawall_abandoned_total");
            }
        }
    }
}

fn finished(event: &Event<'_>, outcome: Outcome, took: Duration) {
    let operation = || event.operation.to_string();
    gauge!("seawall_in_flight", "operation" => operation()).decrement(1);
    counter!("seawall_calls_total", "operation" => operation(), "outcome" => outcome.label())
        .increment(1);
    // Refusals take no time, and how long a caller took to spoil its call is not the dependency's latency.
    if !matches!(outcome, Outcome::Rejected(_) | Outcome::CallerFault(_)) {
        histogram!("seawall_latency_seconds", "operation" => operation()).record(took);
    }
}

/// Counts what a policy in shadow mode would have done. A circuit's changes of state are real, whatever its mode.
fn shadowed(event: &Event<'_>) {
    if let (Some(policy), false) =
        (event.kind.policy(), matches!(event.kind, Kind::CircuitChanged(_)))
    {
        let operation = event.operation.to_string();
        counter!("seawall_shadow_decisions_total", "operation" => operation, "policy" => policy)
            .increment(1);
    }
}
