//! Each event moves what it should, and nothing else.

use super::*;
use crate::{
    event::{LetterLoss, Transition, Why},
    name::Name,
    outcome::CallerFault,
    rejection::Rejection,
};

fn fold(kinds: &[Kind]) -> Metrics {
    let metrics = Metrics::default();
    let operation = &Name::from("o");
    for kind in kinds {
        let at = match kind {
            Kind::CircuitChanged(change) => change.at,
            _ => Instant::from_millis(1),
        };
        metrics.observe(&Event { at, operation, execution: 1, shadow: false, kind: *kind });
    }
    metrics
}

fn finished(outcome: Outcome, ms: u64) -> Kind {
    Kind::Finished { outcome, took: Duration::from_millis(ms), calls: 1 }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line an event")]
fn every_event_is_counted_where_it_belongs() {
    let limit = Duration::from_secs(1);
    let failure = Outcome::failure(crate::outcome::Class::Transient);
    let wrong = Outcome::failure(crate::outcome::Class::Permanent);
    let spoiled = Outcome::CallerFault(CallerFault::Request);
    let full = Rejection::new(Reason::BulkheadFull, None);
    let late = Rejection::new(Reason::QueueTimeout, None);
    let own = Rejection::new(Reason::Custom("mine"), None);
    let circuit = |from, to| {
        let at = Instant::from_millis(1);
        Kind::CircuitChanged(Transition { at, from, to, why: Why::Reset })
    };
    let call = |outcome| Kind::CallFinished { outcome, attempt: 1, took: limit };
    let counts = fold(&[
        Kind::Started,
        Kind::Started,
        Kind::Started,
        Kind::Started,
        Kind::Started,
        Kind::Started,
        Kind::Started,
        Kind::Started,
        Kind::Started,
        Kind::CallStarted { attempt: 1 },
        Kind::CallStarted { attempt: 2 },
        call(Outcome::Success),
        call(failure),
        call(wrong),
        call(spoiled),
        Kind::DeadlinePassed { limit },
        // Cut off by a timeout, and beaten by a hedge.
        Kind::CallCancelled { attempt: 1, cut_off: true, took: limit },
        Kind::CallCancelled { attempt: 1, cut_off: false, took: limit },
        // What an inner operation refuses did not run, and comes up with its reason.
        call(Outcome::Rejected(late)),
        // Alternatives are no attempts.
        Kind::CallFinished { outcome: failure, attempt: 0, took: limit },
        Kind::CallCancelled { attempt: 0, cut_off: true, took: limit },
        Kind::AnswerFailed { outcome: failure },
        Kind::Rejected(full),
        Kind::Rejected(late),
        Kind::Rejected(own),
        Kind::Queued { policy: "bulkhead" },
        Kind::RetryScheduled { attempt: 2, delay: limit },
        Kind::Withheld { policy: "retry", why: Withheld::Budget },
        Kind::Withheld { policy: "hedge", why: Withheld::Paused },
        Kind::Hedged { nth: 1, after: limit },
        Kind::FaultInjected(crate::event::Fault::Error),
        Kind::TimedOut { limit },
        Kind::FellBack { nth: 1 },
        Kind::LetterKept,
        Kind::LetterLost { why: LetterLoss::NoPlace },
        Kind::LetterLost { why: LetterLoss::TooSlow },
        Kind::LimitDegraded { how: "local" },
        Kind::StoreAnswered { asks: 7, took: limit },
        Kind::StoreAnswered { asks: 1, took: limit },
        Kind::StoreLost { policy: "rate_limiter" },
        Kind::StoreFound { policy: "circuit_breaker" },
        circuit(State::Closed, State::Open),
        circuit(State::Open, State::HalfOpen),
        circuit(State::HalfOpen, State::HalfOpen),
        circuit(State::HalfOpen, State::Open),
        circuit(State::Open, State::ForcedOpen),
        circuit(State::ForcedOpen, State::Closed),
        finished(Outcome::Success, 10),
        finished(failure, 20),
        finished(Outcome::TimedOut { limit }, 30),
        finished(Outcome::Rejected(full), 0),
        finished(wrong, 40),
        finished(spoiled, 50),
        finished(Outcome::CallerFault(CallerFault::Deadline { limit }), 60),
        Kind::Abandoned { took: limit },
    ])
    .counts();
    let expected = Counts {
        total_calls: 9,
        successful_calls: 1,
        failed_calls: 1,
        timed_out_calls: 1,
        rejected_calls: 1,
        rate_limited_calls: 0,
        caller_faults: 3,
        abandoned_calls: 1,
        attempts: 6,
        failed_attempts: 3,
        broken_answers: 1,
        retries_executed: 1,
        retries_unaffordable: 1,
        repeats_paused: 1,
        hedges: 1,
        faults_injected: 1,
        timeouts: 1,
        fallbacks: 1,
        dead_letters: 1,
        dead_letters_lost: 2,
        queued: 1,
        degraded_decisions: 1,
        store_round_trips: 2,
        store_losses: 1,
        in_flight: 1,
        circuit_breaker_opens: 2,
        circuit_breaker_half_opens: 1,
        circuit_breaker_closes: 1,
        bulkhead_rejections: 3,
        rejections: [
            ("circuit_open", 0),
            ("probes_taken", 0),
            ("ramping_up", 0),
            ("rate_limited", 0),
            ("limit_unknown", 0),
            ("bulkhead_full", 1),
            ("queue_timeout", 2),
            ("shed", 0),
            ("throttled", 0),
            ("fault_injected", 0),
            ("not_called", 0),
            ("custom", 1),
        ]
        .map(|(label, count)| (label.into(), count))
        .into(),
        shadowed: Policy::LABELS.iter().map(|label| ((*label).into(), 0)).collect(),
    };
    assert_eq!(counts, expected);
}

#[test]
fn refusals_do_not_make_an_outage_look_fast() {
    let refused = Outcome::Rejected(Rejection::new(Reason::CircuitOpen, None));
    let metrics = fold(&[finished(Outcome::Success, 100), finished(refused, 0)]);
    assert_eq!(metrics.latencies().count(), 1);
}

#[test]
fn time_in_each_state_adds_up() {
    let change = |second: u64, from, to| {
        let at = Instant::from_millis(second * 1000);
        Kind::CircuitChanged(Transition { at, from, to, why: Why::Reset })
    };
    let metrics = fold(&[
        change(10, State::Closed, State::Open),
        change(40, State::Open, State::HalfOpen),
        change(45, State::HalfOpen, State::Open),
        change(60, State::Open, State::HalfOpen),
        change(61, State::HalfOpen, State::Closed),
    ]);
    let (spent, since) = metrics.circuit_times(Instant::from_millis(100_000));
    assert_eq!(spent.map(|time| time.as_secs()), [39, 45, 6, 0, 0, 0]);
    assert_eq!(since, Some(Instant::from_millis(61_000)));
    assert_eq!(metrics.counts().circuit_breaker_opens, 2);
    metrics.reset();
    assert_eq!(metrics.circuit_times(Instant::from_millis(61_000)).0, [Duration::ZERO; 6]);
}

#[test]
fn a_reset_forgets_what_is_over_and_keeps_what_is_not() {
    let metrics = fold(&[Kind::Started, Kind::Started, finished(Outcome::Success, 5)]);
    metrics.reset();
    let counts = metrics.counts();
    assert_eq!((counts.total_calls, counts.successful_calls, counts.in_flight), (0, 0, 1));
    assert_eq!(metrics.latencies().count(), 0);
}

#[test]
fn the_counters_of_an_operation_are_small() {
    // The counters themselves, and the buckets that they point to: 16 for each power of two.
    let size = size_of::<Metrics>() + 16 * 29 * size_of::<u64>();
    assert!(size < 8 * 1024, "{size} bytes");
}

#[test]
fn decisions_of_policies_in_shadow_are_counted_apart() {
    let metrics = Metrics::default();
    let operation = &Name::from("o");
    let limit = Duration::from_secs(1);
    let full = Rejection::new(Reason::BulkheadFull, None);
    for kind in [Kind::Rejected(full), Kind::TimedOut { limit }, Kind::TimedOut { limit }] {
        let at = Instant::from_millis(1);
        metrics.observe(&Event { at, operation, execution: 1, shadow: true, kind });
    }
    let counts = metrics.counts();
    assert_eq!((counts.timeouts, counts.bulkhead_rejections), (0, 0));
    let told: Vec<_> = counts.shadowed.into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(told, [("bulkhead".into(), 1), ("timeout".into(), 2)]);
}

#[test]
fn every_counter_has_a_name_and_a_series_of_its_own() {
    let unlike =
        |a: &Counter, b: &Counter| a.name != b.name && (a.series.is_none() || a.series != b.series);
    for (at, one) in Counts::COUNTERS.iter().enumerate() {
        assert!(Counts::COUNTERS[..at].iter().all(|before| unlike(one, before)), "{one:?}");
        assert!(one.help.ends_with('.') && !one.help.contains(['\n', '[']), "{one:?}");
    }
}
