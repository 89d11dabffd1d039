//! Tables from the specification, and bounds under many draws.

use super::*;
use crate::random::Random;

const S: Duration = Duration::from_secs(1);

fn check(backoff: Backoff, expected: &[u64]) {
    let got: Vec<u64> =
        (1..).zip(expected).map(|(n, _)| backoff.delay(n, S, 0.5).as_secs()).collect();
    assert_eq!(got, expected, "{backoff:?}");
}

#[test]
fn growth() {
    let plain = |growth, base: u64, cap: u64| Backoff {
        growth,
        base_delay: S * u32::try_from(base).unwrap(),
        max_delay: S * u32::try_from(cap).unwrap(),
        jitter: Jitter::None,
        ..Backoff::default()
    };
    check(plain(Growth::Exponential, 1, 60), &[1, 2, 4, 8, 16, 32, 60, 60]);
    check(plain(Growth::Linear, 2, 10), &[2, 4, 6, 8, 10, 10]);
    check(plain(Growth::Fibonacci, 1, 60), &[1, 1, 2, 3, 5, 8, 13]);
    check(plain(Growth::Constant, 3, 60), &[3, 3, 3]);
    let triple = Backoff { exponential_multiplier: 3.0, ..plain(Growth::Exponential, 1, 60) };
    check(triple, &[1, 3, 9, 27, 60]);
    let floored = Backoff { min_delay: 3 * S, ..plain(Growth::Exponential, 1, 60) };
    check(floored, &[3, 3, 4, 8]);
}

#[test]
fn never_wraps() {
    for growth in [Growth::Linear, Growth::Exponential, Growth::Fibonacci] {
        for retry in [0, 1, 1000, u32::MAX] {
            let backoff = Backoff {
                growth,
                base_delay: S * 86_400,
                max_delay: S * 172_800,
                jitter: Jitter::None,
                ..Backoff::default()
            };
            let delay = backoff.delay(retry, Duration::MAX, 0.999);
            assert!(delay <= S * 172_800 && delay >= S * 86_400, "{growth:?} {retry} {delay:?}");
        }
    }
}

#[test]
fn jitter_keeps_its_bounds_and_uses_them() {
    let (ms, cap) = (Duration::from_millis(1), 60 * S);
    let table = [
        (Jitter::Full, Duration::ZERO, cap),
        (Jitter::Equal, cap / 2, cap),
        (Jitter::Decorrelated, 50 * S, cap),
        (Jitter::Around, 45 * S, cap),
        (Jitter::Additive, cap, cap + 2 * S),
        (Jitter::None, cap, cap),
    ];
    for (jitter, low, high) in table {
        let backoff = Backoff { jitter, base_delay: 50 * S, ..Backoff::default() };
        let mut random = Random::new(7);
        let draws: Vec<_> = (0..10_000).map(|_| backoff.delay(3, cap, random.unit())).collect();
        let (min, max) = (*draws.iter().min().unwrap(), *draws.iter().max().unwrap());
        assert!(min >= low && max <= high, "{jitter:?}: {min:?}..{max:?}");
        let spread = high - low;
        assert!(
            min <= low + spread / 50 + ms && max + spread / 50 + ms >= high,
            "{jitter:?} unused"
        );
    }
}

#[test]
fn no_wait_at_all_stays_none() {
    for growth in [Growth::Constant, Growth::Linear, Growth::Exponential, Growth::Fibonacci] {
        let backoff = Backoff { growth, base_delay: Duration::ZERO, ..Backoff::default() };
        assert_eq!(backoff.delay(u32::MAX, Duration::ZERO, 0.5), Duration::ZERO, "{growth:?}");
    }
}

#[test]
fn the_longest_waits_overflow_nothing() {
    let jitters = [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
        Jitter::Around,
        Jitter::Additive,
    ];
    for jitter in jitters {
        let backoff = Backoff {
            jitter,
            base_delay: Duration::MAX,
            max_delay: Duration::MAX,
            jitter_max: Duration::MAX,
            ..Backoff::default()
        };
        let delay = backoff.delay(100, Duration::MAX, 1.0 - f64::EPSILON);
        assert!(delay > S, "{jitter:?}: {delay:?}");
    }
}

#[test]
fn decorrelated_grows_from_the_wait_before() {
    let backoff = Backoff { jitter: Jitter::Decorrelated, base_delay: S, ..Backoff::default() };
    assert_eq!(backoff.delay(1, Duration::ZERO, 0.9), S);
    assert_eq!(backoff.delay(2, 4 * S, 0.5), S + 11 * S / 2);
    assert_eq!(backoff.delay(2, 400 * S, 0.9), 60 * S);
}
