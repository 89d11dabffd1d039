//! Tests of circuits that are saved by one breaker and restored by another: after any time, on another clock, under another
//! configuration.

use super::*;
use crate::{policies::circuit_breaker::Force, random::Random};

fn at(ms: u64) -> Instant {
    Instant::from_millis(1_000_000 + ms)
}

/// The same moment on the clock of the next process.
fn later(ms: u64) -> Instant {
    Instant::from_millis(7 + ms)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn opened(config: &CircuitBreakerConfig) -> CircuitBreaker {
    let breaker = CircuitBreaker::new(config.clone()).unwrap();
    (0..3).for_each(|_| _ = breaker.try_acquire(at(0)).unwrap().failure(at(0)));
    assert_eq!(breaker.state(), State::Open);
    breaker
}

/// A new breaker of this configuration that took up the snapshot at the beginning of its clock.
fn restored(
    config: &CircuitBreakerConfig,
    snapshot: &[CircuitSnapshot],
    age: Duration,
) -> (CircuitBreaker, Option<Transition>) {
    let breaker = CircuitBreaker::new(config.clone()).unwrap();
    let change = breaker.restore(later(0), snapshot, age);
    (breaker, change)
}

#[test]
fn an_open_circuit_stays_open_for_the_time_that_was_left() {
    let snapshot = opened(&three()).snapshot(at(2_000));
    // Two seconds before it was saved, and three while nothing ran.
    let (breaker, change) = restored(&three(), &snapshot, seconds(3));
    let change = change.unwrap();
    assert_eq!((change.from, change.to, change.why), (State::Closed, State::Open, Why::Restored));
    let view = breaker.view(later(0));
    assert_eq!((view.openings, view.last_transition), (1, Some(change)));
    assert_eq!(view.why().as_deref(), Some("restored from a saved state"));
    let wait = breaker.try_acquire(later(1)).unwrap_err().retry_after.unwrap();
    assert!(wait >= millis(4_998) && wait <= millis(5_000), "{wait:?}");
    assert!(breaker.try_acquire(later(4_999)).is_err());
    breaker.try_acquire(later(5_001)).expect("a probe").success(later(5_001));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn what_is_over_probes_and_what_was_closed_stays_closed() {
    let breaker = opened(&three());
    let (probing, _) = restored(&three(), &breaker.snapshot(at(2_000)), seconds(3_600));
    assert_eq!(probing.state(), State::Open);
    let probe = probing.try_acquire(later(0)).expect("a probe");
    assert!(probing.try_acquire(later(0)).is_err(), "one probe at a time");
    probe.success(later(0));

    let hung = breaker.try_acquire(at(10_001)).expect("a probe");
    let half_open = breaker.snapshot(at(10_002));
    assert_eq!((half_open[0].state, half_open[0].left), (State::HalfOpen, None));
    let (again, _) = restored(&three(), &half_open, Duration::ZERO);
    again.try_acquire(later(0)).expect("a probe").failure(later(0));
    assert_eq!(again.view(later(0)).openings, 2, "it knows how often it has opened");

    hung.success(at(10_003));
    assert_eq!(breaker.snapshot(at(10_004)), []);
    assert_eq!(restored(&three(), &[], Duration::ZERO).1, None);
}

#[test]
fn what_happened_since_is_newer_than_a_snapshot() {
    let snapshot = opened(&three()).snapshot(at(0));
    let breaker = CircuitBreaker::new(three()).unwrap();
    breaker.force(later(0), Force::Disabled, "it must go on", None);
    assert_eq!(breaker.restore(later(1), &snapshot, Duration::ZERO), None);
    assert_eq!(breaker.state(), State::Disabled);
    let (breaker, _) = restored(&three(), &snapshot, seconds(9));
    assert_eq!(breaker.restore(later(1), &snapshot, Duration::ZERO), None, "not once more");
    assert!(breaker.try_acquire(later(1_001)).is_ok());
    // Permits of before say nothing about the state that was restored.
    let breaker = CircuitBreaker::new(three()).unwrap();
    let permit = breaker.try_acquire(later(0)).unwrap();
    breaker.restore(later(0), &snapshot, Duration::ZERO);
    assert_eq!(permit.success(later(1)), None);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn what_an_operator_forced_stays_forced_until_its_end() {
    for (force, state, after) in [
        (Force::Open, State::ForcedOpen, State::Open),
        (Force::Closed, State::ForcedClosed, State::Closed),
        (Force::Disabled, State::Disabled, State::Closed),
    ] {
        let breaker = CircuitBreaker::new(three()).unwrap();
        breaker.force(at(0), force, "a drill", Some(at(10_000)));
        let snapshot = breaker.snapshot(at(1_000));
        let (again, change) = restored(&three(), &snapshot, seconds(4));
        assert_eq!(change.map(|change| (change.to, change.why)), Some((state, Why::Restored)));
        let view = again.view(later(4_999));
        let forced = view.forced.clone().unwrap();
        assert_eq!((view.state, &*forced.reason), (state, "a drill"));
        assert!(forced.until.unwrap().since(later(5_000)) < millis(1), "{forced:?}");
        assert_eq!(view.why().as_deref(), Some("forced: a drill"));
        let view = again.view(later(5_001));
        assert_eq!(view.state, after);
        assert!(view.since.unwrap().since(later(5_000)) < millis(1), "{:?}", view.since);
        // It had ended before the start.
        let (again, _) = restored(&three(), &snapshot, seconds(10));
        assert_eq!(again.state(), after);
        assert!(again.try_acquire(later(0)).is_ok(), "one that was forced open probes");
        // It lasts until it is ended.
        breaker.force(at(0), force, "for good", None);
        let (again, _) = restored(&three(), &breaker.snapshot(at(1)), seconds(1 << 40));
        assert_eq!(again.view(later(1 << 50)).state, state);
        again.reset(later(2));
        assert_eq!(again.state(), State::Closed);
    }
}

#[test]
fn circuits_of_keys_are_found_again_and_bounded() {
    let config = CircuitBreakerConfig { keyed: true, max_keys: 2_000, ..three() };
    let key = |n: u64| Key::from_hash(Random::new(n).bits());
    let breaker = CircuitBreaker::new(config.clone()).unwrap();
    let fail = |n: u64, now| {
        (0..3).for_each(|_| _ = breaker.try_acquire_for(now, key(n)).unwrap().failure(now));
    };
    (0..1_500).for_each(|n| fail(n, at(n)));
    drop(breaker.try_acquire_for(at(1_500), key(9_999)));
    let snapshot = breaker.snapshot(at(2_000));
    assert_eq!(snapshot.len(), 1_000);
    assert_eq!(snapshot[0].key, Some(key(1_499)), "the one that lasts longest");
    assert!(snapshot.is_sorted_by(|a, b| a.left >= b.left));
    let (again, _) = restored(&config, &snapshot, Duration::ZERO);
    assert!(again.try_acquire_for(later(1), key(1_499)).is_err());
    assert!(again.try_acquire_for(later(1), key(499)).is_ok(), "beyond the bound");
    assert!(again.try_acquire_for(later(1), key(9_999)).is_ok());
    // Where there is no place for a key, the circuit that such keys share stays closed.
    let few = CircuitBreakerConfig { max_keys: 2, ..config.clone() };
    let (again, _) = restored(&few, &snapshot, Duration::ZERO);
    assert_eq!(again.view(later(1)).keys, Some(KeyedCounts { known: 2, not_closed: 2 }));
    assert!(again.try_acquire_for(later(1), key(9_999)).is_ok());
    // One circuit for all is not that of a key, nor the other way round.
    assert_eq!(restored(&three(), &snapshot, Duration::ZERO).1, None);
    assert_eq!(restored(&config, &opened(&three()).snapshot(at(0)), Duration::ZERO).1, None);
}

/// Any snapshot, also one that no breaker would make, under any configuration, after any time: the circuit is never open
/// longer than the configuration allows nor than was left, never opens again by itself, and recovers by a probe.
#[test]
fn no_snapshot_keeps_a_circuit_open_beyond_what_was_left_and_the_configuration() {
    let mut random = Random::new(7);
    let mut below = |bound: u64| random.bits() % bound;
    for round in 0..20_000 {
        let config = CircuitBreakerConfig {
            recovery_timeout: millis(1 + below(100_000)),
            recovery_multiplier: 1.0 + below(30) as f64 / 10.0,
            max_recovery_timeout: millis(1 + below(1_000_000)),
            ..three()
        };
        let left = [0, below(1_000), below(10_000_000), u64::MAX / 1_000_000][below(4) as usize];
        let saved = CircuitSnapshot {
            key: None,
            state: [State::Open, State::HalfOpen, State::Closed][below(3) as usize],
            left: (below(8) > 0).then(|| millis(left)),
            openings: [0, 1, below(70) as u32, u32::MAX][below(4) as usize],
            reason: None,
        };
        // A wall clock that was set back counts as no time.
        let age = [Duration::ZERO, millis(below(1_000_000)), Duration::MAX][below(3) as usize];
        let start = Instant::from_nanos(below(u64::MAX / 2));
        let breaker = CircuitBreaker::new(config.clone()).unwrap();
        breaker.restore(start, std::slice::from_ref(&saved), age);
        let told = format!("round {round}: {saved:?} after {age:?} with {config:?}");
        let expected = if saved.state == State::Closed { State::Closed } else { State::Open };
        assert_eq!(breaker.state(), expected, "{told}");
        if expected == State::Closed {
            continue;
        }
        let openings = saved.openings.clamp(1, 63);
        let left = match saved.state {
            State::Open => saved.left.unwrap_or_default().saturating_sub(age),
            _ => Duration::ZERO,
        };
        let expected = left.min(config.longest_open_time(openings));
        let view = breaker.view(start);
        let found = view.next_probe_at.unwrap().since(start);
        assert!(found >= expected && found <= expected + millis(1), "{found:?}: {told}");
        if expected > millis(2) {
            assert!(breaker.try_acquire(start + (expected - millis(1))).is_err(), "{told}");
        }
        let end = start + expected + millis(1);
        let probe = breaker.try_acquire(end).unwrap_or_else(|_| panic!("no probe: {told}"));
        assert_eq!(breaker.view(end).openings, openings, "{told}");
        probe.success(end);
        assert_eq!(breaker.state(), State::Closed, "{told}");
    }
}

/// Runs of random calls, cut at random moments by a restart that takes a random time, against one run without any.
#[test]
fn restarts_change_nothing_about_when_an_outage_is_probed() {
    let config = CircuitBreakerConfig { recovery_multiplier: 2.0, ..three() };
    let mut random = Random::new(11);
    for round in 0..300 {
        let mut one = CircuitBreaker::new(config.clone()).unwrap();
        let other = CircuitBreaker::new(config.clone()).unwrap();
        // The process that is started again has a clock of its own.
        let (mut now, mut ahead) = (0, 0);
        for step in 0..200 {
            now += random.bits() % 3_000;
            let theirs = Instant::from_millis(1_000 + now + ahead);
            let ours = Instant::from_millis(1_000 + now);
            if one.state() == State::Open && random.bits().is_multiple_of(4) {
                let (snapshot, down) = (one.snapshot(theirs), random.bits() % 2_000);
                now += down;
                ahead = random.bits() % 1_000_000;
                one = CircuitBreaker::new(config.clone()).unwrap();
                let theirs = Instant::from_millis(1_000 + now + ahead);
                one.restore(theirs, &snapshot, millis(down));
                continue;
            }
            let fails = random.bits() % 10 < 7;
            let verdict = if fails { Verdict::Failure } else { Verdict::Success };
            let passed = [(&one, theirs), (&other, ours)].map(|(breaker, now)| {
                breaker.try_acquire(now).map(|permit| permit.verdict(now, verdict)).is_ok()
            });
            assert_eq!(passed[0], passed[1], "round {round}, step {step}");
            assert_eq!(one.state(), other.state(), "round {round}, step {step}");
        }
    }
}
