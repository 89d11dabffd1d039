//! Tests of what operators force, of how traffic returns after an outage, of one circuit for each key, and of
//! `only_retries`.

use super::*;
use crate::{
    attributes::Attributes,
    backoff::{Backoff, Jitter},
    command::Command,
    execution::Execution,
    pipeline::Pipeline,
    policies::{
        Policy,
        circuit_breaker::Force,
        retry::{Retry, RetryConfig},
    },
};
use std::task::Waker;

fn at(ms: u64) -> Instant {
    Instant::from_millis(1_000_000 + ms)
}

fn fail(breaker: &CircuitBreaker, now: Instant, key: u64, times: u32) {
    for _ in 0..times {
        breaker.try_acquire_for(now, Key::of(key)).unwrap().failure(now);
    }
}

#[test]
fn forced_open_refuses_all_and_says_why_until_it_ends() {
    let breaker = CircuitBreaker::new(three()).unwrap();
    let change = breaker.force(at(0), Force::Open, "migration", Some(at(500))).unwrap();
    assert_eq!((change.from, change.to), (State::Closed, State::ForcedOpen));
    let refused = breaker.try_acquire(at(100)).unwrap_err();
    assert_eq!(refused.retry_after.map(|wait| wait.as_millis()), Some(400));
    let forced = breaker.view(at(100)).forced.unwrap();
    assert_eq!((&*forced.reason, forced.until.unwrap() >= at(500)), ("migration", true));
    // It ends as an open circuit does: with a probe.
    assert_eq!(breaker.view(at(501)).state, State::Open);
    let since = |now| breaker.view(at(now)).since.unwrap();
    assert_eq!(since(400), at(0), "the time in a state counts from its beginning");
    assert!(since(501) >= at(500) && since(501) < at(501), "and it began when the force ended");
    let probe = breaker.try_acquire(at(501)).unwrap();
    let change = probe.transition.unwrap();
    assert_eq!((change.to, change.why), (State::HalfOpen, Why::ForceExpired));
    assert!(breaker.try_acquire(at(501)).is_err());
    probe.success(at(502));
    assert_eq!(breaker.view(at(502)).state, State::Closed);
    assert_eq!(breaker.view(at(502)).forced, None);
}

#[test]
fn forced_closed_and_disabled_never_open() {
    for (force, state) in [(Force::Closed, State::ForcedClosed), (Force::Disabled, State::Disabled)]
    {
        let breaker = CircuitBreaker::new(three()).unwrap();
        fail(&breaker, at(0), 0, 3);
        assert_eq!(breaker.state(), State::Open);
        breaker.force(at(0), force, "it must go on", None);
        fail(&breaker, at(1), 0, 20);
        assert_eq!(breaker.view(at(1)).state, state);
        // An operator ends it.
        breaker.reset(at(2));
        fail(&breaker, at(2), 0, 3);
        assert_eq!(breaker.state(), State::Open, "it counts again");
        // Time ends it.
        breaker.force(at(3), force, "for a while", Some(at(50)));
        fail(&breaker, at(49), 0, 20);
        assert_eq!(breaker.view(at(51)).state, State::Closed);
        fail(&breaker, at(51), 0, 3);
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn after_closing_the_traffic_comes_back_little_by_little() {
    let config = CircuitBreakerConfig { ramp_up: Some(seconds(10)), ramp_up_from: 0.1, ..three() };
    let breaker = CircuitBreaker::new(config).unwrap();
    fail(&breaker, at(0), 0, 3);
    let closed = breaker.try_acquire(at(11_000)).unwrap().success(at(11_000));
    assert_eq!(closed.unwrap().to, State::Closed);
    let share = |from: u64| {
        let passed = (0..1000).filter(|n| {
            // Permits that say nothing about the dependency.
            let now = at(from) + Duration::from_micros(*n);
            match breaker.try_acquire(now) {
                Ok(_) => true,
                Err(refused) => {
                    assert_eq!(refused.reason, Reason::RampingUp);
                    false
                }
            }
        });
        passed.count() as f64 / 1000.0
    };
    for (after, expected) in [(100, 0.11), (5_000, 0.55), (9_000, 0.91)] {
        let share = share(11_000 + after);
        assert!((share - expected).abs() < 0.06, "{after} ms: {share}, not {expected}");
    }
    assert!(breaker.view(at(12_000)).ramps_until.is_some());
    assert_eq!(share(21_200), 1.0);
    assert_eq!(breaker.view(at(21_200)).ramps_until, None);
    // Failures on the way up open it as ever.
    breaker.reset(at(30_000));
    fail(&breaker, at(30_000), 0, 3);
    breaker.try_acquire(at(41_000)).unwrap().success(at(41_000));
    let mut failures = 0;
    while failures < 3 {
        if let Ok(permit) = breaker.try_acquire(at(46_000) + Duration::from_micros(failures)) {
            permit.failure(at(46_000));
            failures += 1;
        } else {
            breaker.try_acquire(at(52_000)).unwrap().failure(at(52_000));
            failures += 1;
        }
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn each_key_has_its_own_circuit() {
    let config = CircuitBreakerConfig { keyed: true, max_keys: 4, ..three() };
    let breaker = CircuitBreaker::new(config).unwrap();
    fail(&breaker, at(0), 7, 3);
    assert!(breaker.try_acquire_for(at(1), Key::of(7_u64)).is_err());
    assert!(breaker.try_acquire_for(at(1), Key::of(8_u64)).is_ok());
    let view = breaker.view(at(1));
    assert_eq!(
        (view.state, view.keys),
        (State::Open, Some(KeyedCounts { known: 2, not_closed: 1 }))
    );
    let state_of = |now, key: u64| {
        let mut views = breaker.views(now).into_iter();
        views.find(|(known, _)| *known == Key::of(key)).map(|(_, view)| view.state)
    };
    assert_eq!(state_of(at(1), 7), Some(State::Open));
    assert_eq!(state_of(at(1), 99), None);
    // At the bound, keys that rest are forgotten; what is open is not.
    for key in 10..13_u64 {
        assert!(breaker.try_acquire_for(at(2), Key::of(key)).is_ok());
    }
    assert!(breaker.try_acquire_for(at(20_000), Key::of(20_u64)).is_ok());
    assert!(state_of(at(20_000), 7).is_some(), "an open circuit is kept");
    assert!(state_of(at(20_000), 10).is_none(), "a closed one at rest is forgotten");
}

#[test]
fn beyond_the_bound_keys_share_a_circuit() {
    let config = CircuitBreakerConfig { keyed: true, max_keys: 2, ..three() };
    let breaker = CircuitBreaker::new(config).unwrap();
    let held: Vec<_> =
        (0..2_u64).map(|key| breaker.try_acquire_for(at(0), Key::of(key)).unwrap()).collect();
    fail(&breaker, at(0), 50, 3);
    assert!(breaker.try_acquire_for(at(0), Key::of(51_u64)).is_err(), "the shared circuit is open");
    assert!(breaker.try_acquire_for(at(0), Key::of(0_u64)).is_ok());
    assert_eq!(breaker.view(at(0)).state, State::Open, "and the view says so");
    drop(held);
}

#[test]
fn a_breaker_for_retries_lets_first_attempts_pass() {
    let breaker =
        CircuitBreakerConfig { only_retries: true, failure_threshold: Some(2), ..three() };
    let breaker = Arc::new(CircuitBreaker::new(breaker).unwrap());
    let retry = RetryConfig {
        max_attempts: 3,
        backoff: Backoff { jitter: Jitter::None, base_delay: seconds(1), ..Backoff::default() },
        ..RetryConfig::default()
    };
    let retry = Policy::Retry(Arc::new(Retry::new(retry).unwrap()));
    let pipeline = Pipeline::new("gentle", [retry, Policy::CircuitBreaker(breaker.clone())]);
    let calls = |from: u64| {
        let waker = Waker::noop();
        let attributes = Attributes::default();
        let mut execution = Execution::start(&pipeline, attributes, 1, at(from), waker);
        let mut calls = 0;
        loop {
            match execution.poll_command() {
                Some(Command::Call { id, .. }) => {
                    calls += 1;
                    let failed = Outcome::failure(Class::Transient);
                    execution.handle_result(id, failed, at(from), waker);
                }
                Some(Command::Done(done)) => break (calls, done.outcome),
                Some(_) => {}
                None => {
                    let due = execution.poll_timeout().unwrap();
                    execution.handle_wake(due, waker);
                }
            }
        }
    };
    // The second failure opens the circuit, so there is no third attempt; the answer is the real failure.
    assert_eq!(calls(0), (2, Outcome::failure(Class::Transient)));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(calls(5_000), (1, Outcome::failure(Class::Transient)));
}
