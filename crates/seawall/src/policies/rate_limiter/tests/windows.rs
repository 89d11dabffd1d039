//! The windows and the log against their definitions; several limits at once; and waiting for a turn.

use super::*;
use crate::attributes::Attributes;

fn limited(algorithm: Algorithm, rate: u32, per: Duration) -> RateLimiter {
    RateLimiter::new(RateLimiterConfig { rate, per, algorithm, ..Default::default() }).unwrap()
}

const ALL: [Algorithm; 4] = [
    Algorithm::TokenBucket,
    Algorithm::FixedWindow,
    Algorithm::SlidingWindow,
    Algorithm::SlidingLog,
];

/// The most calls that pass within any `per` of one minute if one is tried every 10 ms, beginning so far into the
/// minute.
fn worst(algorithm: Algorithm, begins: u64) -> usize {
    let minute = Duration::from_secs(60);
    let limiter = limited(algorithm, 50, minute);
    let start = Instant::from_nanos(60_000_000_000 * 20_000 + begins * 1_000_000);
    let mut passed: Vec<Instant> = Vec::new();
    for n in 0..20_000 {
        let now = start + Duration::from_millis(10 * n);
        if limiter.try_acquire(now, Key::NONE, 1).is_ok() {
            passed.push(now);
        }
    }
    let within =
        |from: &Instant| passed.iter().filter(|at| *at >= from && at.since(*from) < minute).count();
    passed.iter().map(within).max().unwrap()
}

/// The published worst cases at a limit of 50: 100 in fixed windows, 99 in sliding ones and in a bucket, 50 in a log.
#[test]
fn the_most_that_pass_in_one_period_are_the_published_ones() {
    for (algorithm, most) in [
        (Algorithm::FixedWindow, 100),
        (Algorithm::SlidingWindow, 99),
        (Algorithm::TokenBucket, 100),
        (Algorithm::SlidingLog, 50),
    ] {
        let found = [0, 30_000, 59_000, 59_990].map(|begins| worst(algorithm, begins));
        let worst = found.into_iter().max().unwrap();
        assert!(worst <= most && worst + 1 >= most, "{algorithm:?}: {found:?}, not {most}");
    }
}

/// Each algorithm as its definition says it, in plain arithmetic over all that passed.
fn allowed(
    algorithm: Algorithm,
    passed: &[(u64, u64)],
    now: u64,
    per: u64,
    rate: u64,
    cost: u64,
) -> bool {
    let sum = |from: u64, to: u64| -> u64 {
        passed.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, cost)| cost).sum()
    };
    let window = now / per * per;
    match algorithm {
        Algorithm::FixedWindow => sum(window, window + per) + cost <= rate,
        Algorithm::SlidingLog => sum((now + 1).saturating_sub(per), now + 1) + cost <= rate,
        _ => {
            let before = u128::from(sum(window - per, window)) * u128::from(window + per - now);
            let current = u128::from(sum(window, window + per) + cost);
            before + current * u128::from(per) <= u128::from(rate * per)
        }
    }
}

#[test]
fn each_decides_as_its_definition_says_and_the_wait_is_exact() {
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::SlidingLog] {
        for seed in 0..100 {
            let mut random = Random::new(seed);
            let rate = 1 + random.below(20);
            let per = 1_000 + random.below(1_000_000);
            let limiter = limited(algorithm, rate as u32, Duration::from_nanos(per));
            let (mut now, mut passed) = (1_000_000_000, Vec::new());
            for step in 0..300 {
                now += random.below(2 * per / rate + 2);
                let cost = 1 + random.below(2);
                let expected = allowed(algorithm, &passed, now, per, rate, cost);
                let instant = Instant::from_nanos(now);
                let remaining = limiter.quota(instant, Key::NONE).remaining;
                let told = format!("{algorithm:?} {seed} {step}");
                assert_eq!(remaining >= cost && cost <= rate, expected, "{told}");
                match limiter.try_acquire(instant, Key::NONE, cost as u32) {
                    Ok(()) => {
                        assert!(expected, "{told}: it passed");
                        passed.push((now, cost));
                    }
                    Err(refused) => {
                        assert!(!expected, "{told}: it was refused");
                        let Some(wait) = refused.retry_after else {
                            assert!(cost > rate, "{told}");
                            continue;
                        };
                        let due = now + wait.as_nanos() as u64;
                        assert!(
                            allowed(algorithm, &passed, due, per, rate, cost),
                            "{told}: too early"
                        );
                        let early = allowed(algorithm, &passed, due - 1, per, rate, cost);
                        assert!(!early, "{told}: it could have come sooner");
                    }
                }
            }
        }
    }
}

#[test]
fn of_several_limits_a_call_takes_from_all_or_from_none() {
    for keyed in [false, true] {
        let minute = Limit {
            rate: 5,
            per: Duration::from_secs(60),
            algorithm: Algorithm::SlidingLog,
            ..Limit::default()
        };
        let config = RateLimiterConfig {
            rate: 2,
            per: SECOND,
            also: vec![minute],
            keyed,
            ..Default::default()
        };
        let limiter = RateLimiter::new(config).unwrap();
        let mut passed = Vec::new();
        for second in 0..70 {
            for _ in 0..3 {
                if limiter.try_acquire(at(second * 1_000), Key::of(7), 1).is_ok() {
                    passed.push(second);
                }
            }
        }
        // Two at once and two a second later; the fifth ends the minute's, and refusals took nothing.
        assert_eq!(passed[..5], [0, 0, 1, 1, 2]);
        assert_eq!(passed[5..], [60, 60, 61, 61, 62]);
        let wait = limiter.try_acquire(at(62_000), Key::of(7), 1).unwrap_err().retry_after.unwrap();
        assert_eq!(wait, Duration::from_secs(58), "the longer of the two");
        assert_eq!(limiter.quota(at(62_000), Key::of(7)).remaining, 0);
        let other = limiter.try_acquire(at(62_000), Key::of(8), 1).is_ok();
        assert_eq!(other, keyed, "another key has limits of its own");
    }
}

#[test]
fn keys_of_every_algorithm_are_bounded_and_forgotten() {
    for algorithm in ALL {
        let config = RateLimiterConfig {
            rate: 2,
            algorithm,
            keyed: true,
            max_keys: 100,
            ..Default::default()
        };
        let limiter = RateLimiter::new(config).unwrap();
        let key = |n: u64| Key::from_hash(Random::new(n).bits());
        for n in 0..10_000 {
            let _ = limiter.try_acquire(at(0), key(n), 1);
        }
        assert_eq!(limiter.keys(), 100, "{algorithm:?}");
        // Two periods later all of them are idle.
        assert!(limiter.try_acquire(at(2_500), key(20_000), 2).is_ok());
        assert!(limiter.keys() < 100, "{algorithm:?}");
        assert!(limiter.try_acquire(at(2_500), key(20_000), 1).is_err());
    }
}

#[cfg(not(loom))]
#[test]
fn a_call_that_comes_too_early_waits_for_its_turn() {
    use crate::{
        policies::Policy,
        testing::{Bench, ms},
    };
    let config =
        RateLimiterConfig { rate: 10, per: SECOND, max_wait: Some(ms(250)), ..Default::default() };
    let limiter = Arc::new(RateLimiter::new(config).unwrap());
    for _ in 0..10 {
        limiter.try_acquire(Instant::from_millis(1_000_000), Key::NONE, 1).unwrap();
    }
    let mut bench = Bench::with([Policy::RateLimiter(limiter.clone())]);
    let call = |_: usize| (Duration::ZERO, Outcome::Success);
    let ran = bench.run(call);
    assert_eq!((ran.outcome, ran.calls), (Outcome::Success, vec![ms(100)]));
    // Whose deadline comes before the turn is refused at once, and takes nothing.
    let soon = Attributes { deadline: bench.now + ms(99), ..Attributes::default() };
    let ran = bench.run_with(soon, call);
    assert!(matches!(ran.outcome, Outcome::Rejected(_)) && ran.took.is_zero(), "{ran:?}");
    // Two are ahead: the third would wait 300 ms, and is refused.
    let turns: Vec<_> =
        (0..2).map(|_| limiter.reserve(bench.now, Key::NONE, 1, ms(250)).unwrap()).collect();
    assert_eq!(turns.iter().map(|turn| turn.wait).collect::<Vec<_>>(), [ms(100), ms(200)]);
    let ran = bench.run(call);
    let refused = Rejection::new(Reason::RateLimited, Some(ms(300)));
    assert_eq!(ran.outcome, Outcome::Rejected(refused));
    // A turn that is given back is the next one's.
    for turn in turns {
        turn.refund();
    }
    assert_eq!(bench.run(call).took, ms(100));
}

#[cfg(not(loom))]
#[test]
fn a_caller_who_leaves_before_its_turn_gives_it_back() {
    use crate::{execution::Execution, pipeline::Pipeline, policies::Policy, testing::ms};
    let config = RateLimiterConfig { rate: 1, max_wait: Some(10 * SECOND), ..Default::default() };
    let limiter = Arc::new(RateLimiter::new(config).unwrap());
    let pipeline = Pipeline::new("waits", [Policy::RateLimiter(limiter.clone())]);
    limiter.try_acquire(at(0), Key::NONE, 1).unwrap();
    let waker = std::task::Waker::noop();
    let start = || Execution::start(&pipeline, Attributes::default(), 1, at(0), waker);
    let (first, second) = (start(), start());
    assert_eq!(second.poll_timeout(), Some(at(2_000)));
    drop(second);
    assert_eq!(limiter.reserve(at(0), Key::NONE, 1, ms(5_000)).unwrap().wait, 2 * SECOND);
    drop(first);
}

#[test]
fn bounds_are_named_in_every_limit() {
    let wrong = |config: RateLimiterConfig| RateLimiter::new(config).unwrap_err().to_string();
    let limit = Limit { rate: 2_000_000, algorithm: Algorithm::SlidingWindow, ..Limit::default() };
    let told = wrong(RateLimiterConfig { also: vec![limit], ..Default::default() });
    assert!(told.contains("also[0].rate"), "{told}");
    let log =
        RateLimiterConfig { rate: 100_001, algorithm: Algorithm::SlidingLog, ..Default::default() };
    assert!(wrong(log).contains("sliding log"));
    let burst =
        RateLimiterConfig { burst: 5, algorithm: Algorithm::FixedWindow, ..Default::default() };
    assert!(wrong(burst).contains("burst"));
    let also = vec![Limit::default()];
    let waits = RateLimiterConfig { max_wait: Some(SECOND), also, ..Default::default() };
    assert!(wrong(waits).contains("max_wait"));
}

/// A clock that is set back by an hour refuses no longer than its own period does.
#[test]
fn a_clock_that_is_set_back_refuses_no_longer_than_a_period() {
    for algorithm in ALL {
        for (keyed, several) in [(false, false), (true, false), (false, true), (true, true)] {
            for back in [3_600_000, 90_000, 12_345] {
                let also = if several { vec![Limit::default()] } else { Vec::new() };
                let config =
                    RateLimiterConfig { rate: 10, algorithm, keyed, also, ..Default::default() };
                let limiter = RateLimiter::new(config).unwrap();
                let later = 10_000_000;
                let passes = |ms: u64| limiter.try_acquire(at(ms), Key::of(7), 1).is_ok();
                assert_eq!((0..50).filter(|_| passes(later)).count(), 10);
                let told = format!("{algorithm:?} keyed {keyed} several {several} {back}");
                let now = later - back;
                let passed = (0..=2_000).filter(|ms| passes(now + ms)).count();
                assert!((10..=31).contains(&passed), "{told}: {passed} in two periods");
                let wait = limiter.quota(at(now + 2_000), Key::of(7)).reset_after;
                assert!(wait <= Duration::from_secs(2), "{told}: {wait:?}");
            }
        }
    }
}

/// Instants that are read late, as threads read them, let no call through beyond the limit.
#[test]
fn late_readings_of_the_clock_open_no_second_window() {
    for algorithm in ALL {
        let limiter = limited(algorithm, 10, SECOND);
        let before = (0..5).filter(|_| limiter.try_acquire(at(999), Key::NONE, 1).is_ok()).count();
        let mut passed = 0;
        for n in 0..100 {
            // Around the turn of a window, each second reading is a millisecond late.
            passed += usize::from(limiter.try_acquire(at(1_000 - n % 2), Key::NONE, 1).is_ok());
        }
        assert_eq!(before, 5);
        let most = if algorithm == Algorithm::FixedWindow { 10 } else { 5 };
        assert_eq!(passed, most, "{algorithm:?}");
    }
}

#[test]
fn turns_that_were_given_ahead_are_no_sign_of_a_clock_set_back() {
    let limiter = limited(Algorithm::TokenBucket, 1, SECOND);
    assert!(limiter.try_acquire(at(0), Key::NONE, 1).is_ok());
    for n in 1..=100 {
        let turn = limiter.reserve(at(0), Key::NONE, 1, 200 * SECOND).unwrap();
        assert_eq!(turn.wait, n * SECOND);
    }
    let refused = limiter.try_acquire(at(0), Key::NONE, 1).unwrap_err();
    assert_eq!(refused.retry_after, Some(101 * SECOND));
}
