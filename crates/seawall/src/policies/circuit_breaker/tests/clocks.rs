//! Tests of the same breaker at every age of the clock, and after the clock was set back.

use super::*;

const YEAR: u64 = 365 * 86_400_000;

/// Clocks in milliseconds: of a process, around the ends of every narrow field, of the calendar, near the last.
fn ages() -> impl Iterator<Item = u64> {
    let fields = [54, 56, 58, 60, 61, 62, 63].map(|bits| (1_u64 << bits) / 1_000_000);
    let around =
        fields.into_iter().flat_map(|end| [end - 11_000, end - 10_000, end - 1, end, end + 1]);
    [0, 1, 1_000, 86_400_000, 3 * YEAR, 10 * YEAR, 57 * YEAR, 300 * YEAR, 580 * YEAR]
        .into_iter()
        .chain(around)
}

fn fail(breaker: &CircuitBreaker, now: Instant) {
    breaker.try_acquire(now).expect("it passes").failure(now);
}

#[test]
fn a_circuit_opens_probes_ramps_and_closes_at_any_age_of_the_clock() {
    let config = CircuitBreakerConfig {
        ramp_up: Some(seconds(20)),
        ramp_up_from: 0.0,
        recovery_multiplier: 2.0,
        ..three()
    };
    for age in ages() {
        let at = |ms: u64| Instant::from_millis(age + ms);
        let breaker = CircuitBreaker::new(config.clone()).unwrap();
        (0..3).for_each(|_| fail(&breaker, at(0)));
        assert_eq!(breaker.state(), State::Open, "{age}");
        for ms in [1, 5_000, 9_999] {
            let refused = breaker.try_acquire(at(ms)).expect_err("it is open");
            let wait = refused.retry_after.expect("it ends").as_millis();
            assert!(wait.abs_diff(u128::from(10_000 - ms)) <= 1, "{age}: {wait} at {ms}");
        }
        // Its first probe hangs: the second one comes when the lease is over.
        let hung = breaker.try_acquire(at(10_001)).expect("a probe");
        assert!(breaker.try_acquire(at(14_900)).is_err(), "{age}");
        fail(&breaker, at(15_200));
        assert_eq!(hung.failure(at(15_201)), None);
        assert!(breaker.try_acquire(at(35_190)).is_err(), "twice as long: {age}");
        breaker.try_acquire(at(35_202)).expect("a probe").success(at(35_202));
        assert_eq!(breaker.state(), State::Closed, "{age}");
        let ramps = breaker.view(at(35_203)).ramps_until.expect("it ramps");
        assert!(ramps.since(at(55_202)) < Duration::from_millis(140), "{age}");
        assert!(breaker.try_acquire(at(55_400)).is_ok(), "{age}");
    }
}

#[test]
fn years_later_the_circuit_is_not_open_any_more() {
    for age in ages() {
        for later in ages().filter(|later| *later > 30_000 && age.checked_add(*later).is_some()) {
            let breaker = CircuitBreaker::new(three()).unwrap();
            (0..3).for_each(|_| fail(&breaker, Instant::from_millis(age)));
            let now = Instant::from_millis(age) + Duration::from_millis(later);
            let left = breaker.view(now).next_probe_at.expect("it is open").since(now);
            // Where the low bits are those of its open time once more, it may last that long once more.
            assert!(left <= seconds(11), "{age} {later}: {left:?}");
        }
    }
}

#[test]
fn a_forced_state_ends_at_any_age_of_the_clock() {
    for age in ages().filter(|age| *age < 500 * YEAR) {
        let at = |ms: u64| Instant::from_millis(age + ms);
        for force in [Force::Open, Force::Closed, Force::Disabled] {
            let breaker = CircuitBreaker::new(three()).unwrap();
            breaker.force(at(0), force, "test", Some(at(60_000)));
            let until = breaker.view(at(59_999)).forced.expect("it is forced").until;
            assert!(until.expect("it ends").since(at(60_000)) < Duration::from_millis(1), "{age}");
            assert!(breaker.view(at(60_001)).forced.is_none(), "{age}");
            breaker.force(at(0), force, "test", None);
            assert!(breaker.view(at(30 * YEAR)).forced.is_some(), "{age}");
            breaker.force(at(0), force, "test", Some(at(20 * YEAR)));
            assert!(breaker.view(at(19 * YEAR)).forced.is_some(), "{age}");
            assert!(breaker.view(at(20 * YEAR + 1)).forced.is_none(), "{age}");
        }
    }
}

#[test]
fn a_clock_that_is_set_back_refuses_no_longer_than_it_is_open() {
    let config = CircuitBreakerConfig { recovery_multiplier: 2.0, ..three() };
    let at = |ms: u64| Instant::from_millis(100_000_000 + ms);
    for back in [12_000, 60_000, 3_600_000, 90_000_000] {
        let breaker = CircuitBreaker::new(config.clone()).unwrap();
        (0..3).for_each(|_| fail(&breaker, at(0)));
        let now = at(0) - Duration::from_millis(back);
        let hung = breaker.try_acquire(now);
        assert!(hung.is_ok(), "{back}: a probe");
        assert!(breaker.try_acquire(now).is_err(), "{back}: one");
        let now = now - Duration::from_millis(back.min(5_000_000));
        assert!(breaker.try_acquire(now).is_ok(), "{back}: the lease is over");
    }
    // By as much as a thread is held up it changes nothing.
    let breaker = CircuitBreaker::new(config).unwrap();
    (0..3).for_each(|_| fail(&breaker, at(900)));
    assert!(breaker.try_acquire(at(0)).is_err());
}

/// Steady good traffic for years of slices, then everything fails.
#[test]
fn a_window_of_time_never_goes_blind() {
    let window = Duration::from_millis(100);
    let config = CircuitBreakerConfig { window: Some(Window::Time(window)), ..Default::default() };
    for hours in [0, 1, 28, 30, 45, 57, 59, 1_000, 24 * 365] {
        let breaker = CircuitBreaker::new(config.clone()).unwrap();
        let at = |ms: u64| Instant::from_millis(1_000 + ms);
        let call = |now: Instant, good: bool| {
            let permit = breaker.try_acquire(now).expect("it is closed");
            if good { permit.success(now) } else { permit.failure(now) }
        };
        // One failure in every slice, which opens nothing.
        for ms in 0..100 {
            (0..3).for_each(|_| assert_eq!(call(at(ms), true), None));
            assert_eq!(call(at(ms), false), None);
        }
        let later = hours * 3_600_000;
        for ms in 0..200 {
            assert_eq!(call(at(later + 200 + ms), true), None);
        }
        let failures = (0..2_000).find(|n| call(at(later + 401 + n / 10), false).is_some());
        assert!(failures.is_some_and(|n| n < 1_000), "after {hours} hours: {failures:?}");
    }
}

#[test]
fn the_reason_of_an_opening_is_shown_until_the_circuit_closes() {
    check(
        three(),
        "0: a? a- b? b- c? c-       -> open 3
         5000: d!                   -> open 3
         10001: e?                  -> half_open 3
         10002: e-                  -> open 3
         20003: f? f+               -> closed 0",
    );
    let config = CircuitBreakerConfig { window: Some(Window::Calls(10)), ..Default::default() };
    let breaker = CircuitBreaker::new(config).unwrap();
    let now = Instant::from_millis(5);
    for n in 0..10 {
        let permit = breaker.try_acquire(now).unwrap();
        let _ = if n < 4 { permit.success(now) } else { permit.failure(now) };
    }
    assert_eq!((breaker.view(now).state, breaker.view(now).failure_count), (State::Open, 6));
    breaker.reset(now);
    assert_eq!(breaker.view(now).failure_count, 0);
}

#[test]
fn callers_of_one_instant_do_not_all_have_the_same_luck() {
    let config = CircuitBreakerConfig { ramp_up: Some(seconds(20)), ramp_up_from: 0.5, ..three() };
    let breaker = CircuitBreaker::new(config).unwrap();
    let at = |ms: u64| Instant::from_millis(ms);
    (0..3).for_each(|_| fail(&breaker, at(0)));
    breaker.try_acquire(at(10_001)).unwrap().success(at(10_001));
    let passed = (0..1_000).filter(|_| breaker.try_acquire(at(10_002)).is_ok()).count();
    assert!((350..650).contains(&passed), "half of 1,000 pass, not {passed}");
}
