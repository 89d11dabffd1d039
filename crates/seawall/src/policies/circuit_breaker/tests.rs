//! A table for every transition, in a small notation:
//!
//! `milliseconds: steps -> state`, where `a?` asks for a permit and gets it, `a!` asks and is refused,
//! `a+` succeeds, `a-` fails, `a~` is rate limited, `a.` is dropped without a verdict, and `reset` is the
//! operator. After `closed` may follow the failures counted.

use super::{
    marks::{LeaseEnd, OpenEnd, Ramp},
    *,
};
use crate::{event::Why, outcome::Class, window::GENERATIONS};

mod clocks;
mod operated;
mod owned;
mod restored;
use std::collections::BTreeMap;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn three() -> CircuitBreakerConfig {
    CircuitBreakerConfig {
        failure_threshold: Some(3),
        recovery_timeout: seconds(10),
        recovery_jitter: 0.0,
        probe_lease: seconds(5),
        ..Default::default()
    }
}

fn check(config: CircuitBreakerConfig, script: &str) {
    let breaker = CircuitBreaker::new(config).expect("the configuration is right");
    let mut permits: BTreeMap<String, Permit<&CircuitBreaker>> = BTreeMap::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (time, rest) = line.split_once(':').expect("a time");
        let (steps, expected) = rest.split_once("->").expect("an expectation");
        let now = Instant::from_millis(1_000_000 + time.trim().parse::<u64>().expect("a time"));
        for step in steps.split_whitespace() {
            if step == "reset" {
                breaker.reset(now);
                continue;
            }
            let (name, action) = step.split_at(step.len() - 1);
            let mut permit = || permits.remove(name).unwrap_or_else(|| panic!("{line}: no {name}"));
            match action {
                "?" => {
                    let asked = breaker.try_acquire(now);
                    let asked = asked.unwrap_or_else(|refused| panic!("{line}: {step} {refused}"));
                    permits.insert(name.into(), asked);
                }
                "!" => assert!(breaker.try_acquire(now).is_err(), "{line}: {step} passed"),
                "+" => _ = permit().success(now),
                "-" => _ = permit().failure(now),
                "~" => _ = permit().verdict(now, Verdict::RateLimited),
                "." => drop(permit()),
                _ => panic!("{line}: what is {step}?"),
            }
        }
        let view = breaker.view(now);
        let mut expected = expected.split_whitespace();
        assert_eq!(Some(view.state.label()), expected.next(), "{line}");
        if let Some(failures) = expected.next() {
            assert_eq!(view.failure_count.to_string(), failures, "{line}");
        }
    }
}

#[test]
fn closed_counts_failures_in_a_row() {
    check(
        three(),
        "0: a? a- b? b-             -> closed 2
         0: c? c+                   -> closed 0
         0: d? d- e? e-             -> closed 2
         0: f? f-                   -> open
         1: g!                      -> open",
    );
    check(
        CircuitBreakerConfig { failure_threshold: Some(1), ..three() },
        "0: a? a- b!                -> open",
    );
}

#[test]
fn outcomes_that_say_nothing_about_the_dependency_change_nothing() {
    check(
        three(),
        "0: a? a- b? b-             -> closed 2
         0: c? c~ d? d. e? e~       -> closed 2
         0: f? f-                   -> open",
    );
}

#[test]
fn open_ends_with_its_time_and_not_before() {
    check(
        three(),
        "0: a? a- b? b- c? c-       -> open
         9999: d!                   -> open
         10001: e? f!               -> half_open
         10002: e+                  -> closed 0",
    );
    check(
        CircuitBreakerConfig { recovery_timeout: Duration::from_millis(500), ..three() },
        "0: a? a- b? b- c? c-       -> open
         499: d!                    -> open
         501: e?                    -> half_open",
    );
}

#[test]
fn one_failed_probe_opens_again_and_restarts_the_timeout() {
    check(
        CircuitBreakerConfig { half_open_max_calls: 2, success_threshold: 2, ..three() },
        "0: a? a- b? b- c? c-       -> open
         10001: d? e? f!            -> half_open
         10002: d+                  -> half_open
         10003: e-                  -> open
         20002: g!                  -> open
         20004: h? h+               -> half_open
         20005: i? i+               -> closed 0",
    );
}

#[test]
fn the_open_time_grows_while_probes_fail_and_is_short_again_after_closing() {
    let config = CircuitBreakerConfig {
        failure_threshold: Some(1),
        recovery_timeout: seconds(10),
        recovery_multiplier: 2.0,
        max_recovery_timeout: seconds(35),
        recovery_jitter: 0.0,
        ..Default::default()
    };
    check(
        config.clone(),
        "0: a? a-                   -> open
         9990: b!                   -> open
         10001: b? b-               -> open
         29990: c!                  -> open
         30002: c? c-               -> open
         64990: d!                  -> open
         65003: d? d-               -> open
         99990: e!                  -> open
         100004: e? e+              -> closed 0
         100005: f? f-              -> open
         110000: g!                 -> open
         110006: g? g+              -> closed 0",
    );
    let long = CircuitBreakerConfig { recovery_timeout: seconds(60), ..config };
    assert_eq!(long.open_time(5, 0.5), seconds(60), "the bound is not below recovery_timeout");
}

#[test]
fn further_openings_are_spread_by_chance_and_the_first_is_exact() {
    let config = CircuitBreakerConfig {
        failure_threshold: Some(1),
        recovery_timeout: seconds(10),
        recovery_jitter: 0.5,
        ..Default::default()
    };
    assert_eq!(config.open_time(1, 0.9), seconds(10));
    assert_eq!(config.open_time(2, 0.0), seconds(10));
    assert_eq!(config.open_time(2, 0.5), Duration::from_millis(12_500));
    // Breakers whose probes fail at different nanoseconds stay open for different times.
    let waits: std::collections::BTreeSet<_> = (0..50)
        .map(|n| {
            let breaker = CircuitBreaker::new(config.clone()).unwrap();
            let at = |ms: u64| Instant::from_nanos(ms * 1_000_000 + n);
            breaker.try_acquire(at(0)).unwrap().failure(at(0));
            breaker.try_acquire(at(10_001)).unwrap().failure(at(10_002));
            breaker.view(at(10_003)).next_probe_at.unwrap().since(at(10_002)).as_millis()
        })
        .collect();
    assert!(waits.len() > 30 && *waits.first().unwrap() >= 10_000, "{waits:?}");
    assert!(*waits.last().unwrap() <= 15_001, "{waits:?}");
}

#[test]
fn half_open_admits_exactly_its_number_and_needs_its_successes() {
    check(
        CircuitBreakerConfig { half_open_max_calls: 3, success_threshold: 4, ..three() },
        "0: a? a- b? b- c? c-       -> open
         10001: d? e? f? g!         -> half_open
         10002: d+ h? i!            -> half_open
         10003: e+ f+               -> half_open
         10004: h+                  -> closed 0",
    );
}

#[test]
fn the_count_of_successes_starts_at_nothing_in_every_half_open() {
    check(
        CircuitBreakerConfig { success_threshold: 2, ..three() },
        "0: a? a- b? b- c? c-       -> open
         10001: d? d+               -> half_open
         10002: e? e-               -> open
         20003: f? f+               -> half_open
         20004: g? g+               -> closed 0",
    );
}

#[test]
fn probes_give_their_place_back() {
    // Dropped: nothing is known yet, so the next one may try. Turned away with a 429: it is not back.
    check(
        three(),
        "0: a? a- b? b- c? c-       -> open
         10001: d? e! d. e?         -> half_open
         10002: e~                  -> open
         20003: f? f+               -> closed 0",
    );
    // Hung: the lease runs out, its place goes to another, and its late word counts for nothing.
    check(
        three(),
        "0: a? a- b? b- c? c-       -> open
         10001: d?                  -> half_open
         15000: e!                  -> half_open
         15070: e?                  -> half_open
         15071: d-                  -> half_open
         15072: e+                  -> closed 0",
    );
}

#[test]
fn the_lease_runs_from_the_last_admission() {
    check(
        CircuitBreakerConfig { half_open_max_calls: 2, ..three() },
        "0: a? a- b? b- c? c-       -> open
         10001: d?                  -> half_open
         14000: e?                  -> half_open
         15500: f!                  -> half_open
         19070: f?                  -> half_open",
    );
}

#[test]
fn results_count_only_for_the_state_that_admitted_them() {
    // Slow calls of the closed state come back while it is open, half-open and closed again.
    check(
        three(),
        "0: s? t? u? v? w? a? a- b? b- c? c- -> open
         1: s-                      -> open
         10001: d?                  -> half_open
         10002: t- u+               -> half_open
         10003: d+                  -> closed 0
         10004: v- w-               -> closed 0",
    );
}

#[test]
fn reset_closes_from_every_state() {
    check(three(), "0: a? a- b? b- reset -> closed 0");
    check(
        three(),
        "0: a? a- b? b- c? s? c-    -> open
         1: reset d? d-             -> closed 1
         2: s-                      -> closed 1",
    );
    check(
        three(),
        "0: a? a- b? b- c? c-       -> open
         10001: d?                  -> half_open
         10002: reset d- e?         -> closed 0",
    );
}

#[test]
fn a_reset_says_what_it_changed_and_nothing_when_it_changed_nothing() {
    let breaker = CircuitBreaker::new(three()).unwrap();
    let now = Instant::from_millis(1);
    assert_eq!(breaker.reset(now), None);
    for _ in 0..3 {
        breaker.try_acquire(now).unwrap().failure(now);
    }
    let change = breaker.reset(now).expect("it was open");
    assert_eq!((change.from, change.to, change.why), (State::Open, State::Closed, Why::Reset));
    assert_eq!(breaker.view(now).last_transition, Some(change));
    assert_eq!(breaker.view(now).last_failure, None);
}

#[test]
fn transitions_explain_themselves() {
    let breaker = CircuitBreaker::new(three()).unwrap();
    let at = |ms: u64| Instant::from_millis(1000 + ms);
    let fail = |ms| breaker.try_acquire(at(ms)).unwrap().failure(at(ms));
    assert_eq!((fail(0), fail(1)), (None, None));
    let opened = fail(2).expect("the third failure opens");
    assert_eq!(opened.why, Why::ConsecutiveFailures { threshold: 3 });
    assert_eq!((opened.from, opened.to, opened.at), (State::Closed, State::Open, at(2)));
    assert_eq!(breaker.view(at(3)).last_transition, Some(opened));
    assert_eq!(breaker.view(at(3)).last_failure, Some(at(2)));

    let refused = breaker.try_acquire(at(3)).unwrap_err();
    assert_eq!(refused.reason, Reason::CircuitOpen);
    let wait = refused.retry_after.expect("an open circuit knows when it ends");
    assert!(wait > Duration::from_millis(9_998) && wait < Duration::from_millis(10_001));

    let probe = breaker.try_acquire(at(10_003)).unwrap();
    assert_eq!(probe.transition.unwrap().why, Why::RecoveryElapsed);
    let taken = breaker.try_acquire(at(10_003)).unwrap_err();
    assert_eq!(taken.reason, Reason::ProbesTaken);
    let closed = probe.success(at(10_004)).expect("one success is enough");
    assert_eq!(closed.why, Why::ProbesSucceeded { threshold: 1 });

    for ms in 10_005..10_008 {
        fail(ms);
    }
    let probe = breaker.try_acquire(at(21_000)).unwrap();
    let again = breaker.try_acquire(at(26_070)).unwrap();
    assert_eq!(again.transition.unwrap().why, Why::ProbesExpired);
    assert_eq!(probe.failure(at(26_072)), None);
    assert_eq!(again.failure(at(26_073)).unwrap().why, Why::ProbeFailed);
}

#[test]
fn a_hundred_thousand_successes_do_not_hide_five_failures() {
    let consecutive = CircuitBreakerConfig::default();
    let windowed = CircuitBreakerConfig {
        window: Some(Window::Calls(10)),
        failure_ratio: 0.5,
        minimum_calls: 10,
        ..Default::default()
    };
    for config in [consecutive, windowed] {
        let breaker = CircuitBreaker::new(config).unwrap();
        let now = Instant::from_millis(1000);
        for _ in 0..100_000 {
            breaker.try_acquire(now).unwrap().success(now);
        }
        for _ in 0..4 {
            assert_eq!(breaker.try_acquire(now).unwrap().failure(now), None);
        }
        assert!(breaker.try_acquire(now).unwrap().failure(now).is_some());
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn the_ratio_opens_with_the_call_that_completes_the_minimum() {
    let config = CircuitBreakerConfig {
        window: Some(Window::Time(seconds(60))),
        failure_ratio: 0.5,
        minimum_calls: 10,
        ..Default::default()
    };
    // Nine failures, then a tenth of either kind.
    for last in [Verdict::Failure, Verdict::Success] {
        let breaker = CircuitBreaker::new(config.clone()).unwrap();
        let now = Instant::from_millis(100_000);
        for _ in 0..9 {
            assert_eq!(breaker.try_acquire(now).unwrap().failure(now), None);
        }
        let why = breaker.try_acquire(now).unwrap().verdict(now, last).expect("it opens").why;
        let failures = if last == Verdict::Failure { 10 } else { 9 };
        assert_eq!(why, Why::FailureRatio { failures, calls: 10, bound: 0.5 });
    }
    // Four of ten.
    let breaker = CircuitBreaker::new(config.clone()).unwrap();
    let now = Instant::from_millis(100_000);
    for n in 0..10 {
        let permit = breaker.try_acquire(now).unwrap();
        let change = if n < 4 { permit.failure(now) } else { permit.success(now) };
        assert_eq!(change, None);
    }
    // Failures older than the window are forgotten.
    let breaker = CircuitBreaker::new(config).unwrap();
    for _ in 0..9 {
        breaker.try_acquire(now).unwrap().failure(now);
    }
    let later = now + seconds(62);
    for _ in 0..20 {
        assert_eq!(breaker.try_acquire(later).unwrap().success(later), None);
    }
}

#[test]
fn slow_calls_open_by_their_own_ratio() {
    let config = CircuitBreakerConfig {
        window: Some(Window::Calls(4)),
        minimum_calls: 4,
        slow_call_duration: Some(seconds(2)),
        slow_call_ratio: 0.75,
        ..Default::default()
    };
    let breaker = CircuitBreaker::new(config).unwrap();
    let call = |start: u64, took: u64| {
        let permit = breaker.try_acquire(Instant::from_millis(start)).unwrap();
        permit.success(Instant::from_millis(start + took))
    };
    assert_eq!([call(0, 2000), call(0, 1999), call(0, 5000), call(0, 10)], [None; 4]);
    assert_eq!([call(0, 2500)], [None], "of the last four two are slow");
    let why = call(0, 3000).map(|change| change.why);
    assert_eq!(why, Some(Why::SlowCallRatio { slow: 3, calls: 4, bound: 0.75 }));
}

#[test]
fn a_slow_probe_opens_again() {
    let config = CircuitBreakerConfig {
        window: Some(Window::Calls(2)),
        minimum_calls: 1,
        slow_call_duration: Some(seconds(2)),
        recovery_timeout: seconds(1),
        recovery_jitter: 0.0,
        ..Default::default()
    };
    let breaker = CircuitBreaker::new(config).unwrap();
    let call = |start: u64, took: u64| {
        let permit = breaker.try_acquire(Instant::from_millis(start)).unwrap();
        permit.success(Instant::from_millis(start + took)).map(|change| (change.to, change.why))
    };
    assert!(matches!(call(0, 2000), Some((State::Open, Why::SlowCallRatio { .. }))));
    assert_eq!(call(3001, 2000), Some((State::Open, Why::ProbeSlow)));
    assert!(matches!(call(6002, 1999), Some((State::Closed, Why::ProbesSucceeded { .. }))));
}

#[test]
fn rate_limited_answers_count_in_ratios_and_never_in_a_row() {
    let config = CircuitBreakerConfig {
        failure_threshold: Some(2),
        window: Some(Window::Calls(10)),
        failure_ratio: 0.8,
        minimum_calls: 5,
        ..Default::default()
    };
    let breaker = CircuitBreaker::new(config).unwrap();
    let now = Instant::from_millis(5);
    let limited = || breaker.try_acquire(now).unwrap().verdict(now, Verdict::RateLimited);
    for _ in 0..4 {
        assert_eq!(limited(), None);
    }
    let why = limited().map(|change| change.why);
    assert_eq!(why, Some(Why::FailureRatio { failures: 5, calls: 5, bound: 0.8 }));
}

#[test]
fn a_new_state_begins_with_an_empty_window() {
    let config = CircuitBreakerConfig {
        window: Some(Window::Calls(6)),
        failure_ratio: 0.5,
        minimum_calls: 2,
        recovery_timeout: seconds(1),
        ..Default::default()
    };
    let breaker = CircuitBreaker::new(config).unwrap();
    let at = Instant::from_millis;
    breaker.try_acquire(at(0)).unwrap().failure(at(0));
    assert!(breaker.try_acquire(at(0)).unwrap().failure(at(0)).is_some());
    breaker.try_acquire(at(1001)).unwrap().success(at(1001)).expect("closed again");
    assert_eq!(breaker.try_acquire(at(1002)).unwrap().failure(at(1002)), None);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn outcomes_become_verdicts() {
    let limit = seconds(1);
    let rejected = Rejection::new(Reason::RateLimited, None);
    for (outcome, expected) in [
        (Outcome::Success, Verdict::Success),
        (Outcome::TimedOut { limit }, Verdict::Failure),
        (Outcome::Rejected(rejected), Verdict::None),
        (Outcome::failure(Class::Permanent), Verdict::Success),
        (Outcome::failure(Class::RateLimited), Verdict::RateLimited),
        (Outcome::failure(Class::Transient), Verdict::Failure),
        (Outcome::failure(Class::Unknown), Verdict::Failure),
    ] {
        assert_eq!(outcome.verdict(), expected, "{outcome:?}");
    }
}

#[test]
fn the_word_keeps_what_it_is_given() {
    let nanos = Instant::from_nanos;
    let year = 365 * 86_400 * 1_000_000_000_u64;
    let kept = |circuit| {
        for generation in [0, 1, GENERATIONS - 1] {
            let word = Word { generation, circuit };
            assert_eq!(Word::unpack(word.pack()), word);
        }
    };
    for at in [0, 1, 1_000_000, 86_400_000_000_000, year, 9 * year, 56 * year, u64::MAX] {
        let ramping = CircuitBreakerConfig { ramp_up: Some(seconds(60)), ..three() };
        for ramp in [Ramp::NONE, Ramp::new(nanos(at), &ramping)] {
            kept(Circuit::Closed { failures: 999_999, ramp });
        }
        for force in [Force::Open, Force::Closed, Force::Disabled] {
            kept(Circuit::Forced { force, until: None });
            kept(Circuit::forced(force, nanos(at), Some(nanos(at) + seconds(60))));
        }
        kept(Circuit::Open { until: OpenEnd::at(nanos(at)), openings: 61 });
        let lease = LeaseEnd::at(nanos(at));
        kept(Circuit::HalfOpen { in_flight: 63, successes: 62, openings: 61, lease });
    }
}

#[test]
fn generations_go_round_in_a_circle() {
    let mut word = Word { generation: GENERATIONS - 1, circuit: Circuit::CLOSED };
    word = word.next(Circuit::CLOSED);
    assert_eq!(word.generation, 0);
    // Sixteen thousand changes later everything still works.
    let breaker = CircuitBreaker::new(CircuitBreakerConfig {
        failure_threshold: Some(1),
        recovery_timeout: Duration::from_millis(1),
        window: Some(Window::Calls(4)),
        ..Default::default()
    });
    let breaker = breaker.unwrap();
    let mut now = Instant::from_millis(1);
    for _ in 0..u32::from(GENERATIONS) {
        assert!(breaker.try_acquire(now).unwrap().failure(now).is_some());
        assert!(breaker.try_acquire(now).is_err());
        now = now + Duration::from_millis(3);
        assert!(breaker.try_acquire(now).unwrap().success(now).is_some());
    }
}

#[test]
fn bounds_are_named_all_at_once() {
    let wrong = CircuitBreakerConfig {
        failure_threshold: Some(0),
        recovery_timeout: Duration::ZERO,
        success_threshold: 64,
        half_open_max_calls: 0,
        failure_ratio: 1.5,
        slow_call_ratio: f64::NAN,
        minimum_calls: 0,
        probe_lease: Duration::ZERO,
        recovery_multiplier: 0.9,
        max_recovery_timeout: Duration::ZERO,
        recovery_jitter: 1.1,
        window: Some(Window::Calls(10_001)),
        slow_call_duration: None,
        ramp_up: Some(Duration::ZERO),
        ramp_up_from: -0.1,
        max_keys: 0,
        ..Default::default()
    };
    let told = CircuitBreaker::new(wrong).unwrap_err().to_string();
    for field in [
        "failure_threshold",
        "recovery_timeout",
        "success_threshold",
        "half_open_max_calls",
        "failure_ratio",
        "slow_call_ratio",
        "minimum_calls",
        "probe_lease",
        "recovery_multiplier",
        "max_recovery_timeout",
        "recovery_jitter",
        "window.calls",
        "ramp_up:",
        "ramp_up_from",
        "max_keys",
    ] {
        assert!(told.contains(field), "{field} is not in: {told}");
    }
    let useless = CircuitBreakerConfig { slow_call_duration: Some(seconds(1)), ..three() };
    assert!(CircuitBreaker::new(useless).unwrap_err().to_string().contains("slow_call_duration"));
}
