//! The share that is turned away, against the published one.

use super::*;
use crate::{
    outcome::Class,
    policies::PolicyConfig,
    random::Random,
    testing::{Bench, ms},
};

/// `load` times what the dependency takes: 50 calls a second in a token bucket of 5. The shares turned away here,
/// turned away there, and taken, after four minutes of getting used to it.
fn shares(k: f64, load: f64, seed: u64) -> (f64, f64, f64) {
    let throttle = Throttle::new(ThrottleConfig { k, ..Default::default() }).expect("it is right");
    let mut random = Random::new(seed);
    let (mut now, mut tokens) = (1_000.0, 5.0_f64);
    let mut counts = [0_u32; 3];
    while now < 1_600.0 {
        let gap = -(1.0 - random.unit()).ln() / (50.0 * load);
        now += gap;
        tokens = (tokens + gap * 50.0).min(5.0);
        let at = Instant::from_nanos((now * 1e9) as u64);
        let what = match throttle.try_acquire(at, || random.unit()) {
            Err(_) => 0,
            Ok(()) => {
                let taken = tokens >= 1.0;
                tokens -= f64::from(u8::from(taken));
                throttle.record(at, taken);
                1 + usize::from(taken)
            }
        };
        counts[what] += u32::from(now > 1_240.0);
    }
    let all = f64::from(counts.iter().sum::<u32>());
    let [here, there, taken] = counts.map(|count| f64::from(count) / all);
    (here, there, taken)
}

/// SRE book, chapter 21: for a load of f times the capacity, a share of 1 − K/f is turned away here.
#[test]
fn it_turns_away_what_the_formula_says() {
    for load in [1.5, 2.0, 3.0, 5.0, 10.0] {
        let runs: Vec<_> = (0..5).map(|seed| shares(2.0, load, seed)).collect();
        let mean = |of: fn(&(f64, f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / 5.0;
        let (here, there, taken) = (mean(|run| run.0), mean(|run| run.1), mean(|run| run.2));
        let expected = (1.0 - 2.0 / load).max(0.0);
        assert!((here - expected).abs() < 0.015, "{load}: {here}, not {expected}");
        if load >= 3.0 {
            assert!((there / taken - 1.0).abs() < 0.05, "{load}: {there} for {taken}");
        }
    }
    let (here, there, taken) = shares(1.1, 5.0, 1);
    assert!(here >= 0.78 && (0.075..=0.125).contains(&(there / taken)), "{here} {there} {taken}");
}

#[test]
fn it_lets_go_when_the_dependency_is_back() {
    let config = ThrottleConfig { window: Duration::from_secs(10), ..Default::default() };
    let mut bench = Bench::new([PolicyConfig::Throttle(config)]);
    let mut second = |outcome: Outcome| {
        let mut passed = 0;
        for _ in 0..100 {
            passed += bench.run(|_| (Duration::ZERO, outcome)).calls.len();
            bench.now = bench.now + ms(10);
        }
        passed
    };
    let failed = Outcome::failure(Class::Transient);
    assert_eq!(second(Outcome::Success), 100);
    let down: Vec<usize> = (0..10).map(|_| second(failed)).collect();
    assert!(down[9] < 30 && down[9] > 0, "a few calls always pass: {down:?}");
    let back: Vec<usize> = (0..25).map(|_| second(Outcome::Success)).collect();
    assert_eq!(back[24], 100, "{back:?}");
    let told = bench.heard(false);
    let throttled = Rejection::new(Reason::Throttled, None);
    assert!(told.contains(&Kind::Rejected(throttled)));
}

#[test]
fn outcomes_that_the_dependency_is_not_to_blame_for_refuse_no_calls() {
    let mut bench = Bench::new([PolicyConfig::Throttle(ThrottleConfig::default())]);
    let rejected = Outcome::Rejected(Rejection::new(Reason::Custom("inner"), None));
    for outcome in [Outcome::failure(Class::Permanent), rejected] {
        for _ in 0..1_000 {
            assert_eq!(bench.run(|_| (ms(1), outcome)).calls.len(), 1);
        }
    }
}

#[test]
fn bounds_are_named() {
    let wrong = ThrottleConfig { k: 0.5, window: ms(1), max_share: 1.5, ..Default::default() };
    let told = Throttle::new(wrong).unwrap_err().to_string();
    for field in ["k: ", "window: ", "max_share: "] {
        assert!(told.contains(field), "{field} is not in: {told}");
    }
}
