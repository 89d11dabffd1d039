//! Tests of the bucket against its definition.

use super::*;
use crate::random::Random;

fn at(ms: u64) -> Instant {
    Instant::from_millis(1_000_000 + ms)
}

fn bucket(ratio: f64, min_per_second: f64, max_saved: u32) -> Bucket {
    Bucket::share(&ShareBudget { ratio, min_per_second, max_saved })
}

#[test]
fn a_full_bucket_pays_for_as_many_as_it_saved() {
    let bucket = bucket(0.0, 0.0, 3);
    let paid = (0..10).filter(|_| bucket.withdraw(at(0))).count();
    assert_eq!(paid, 3);
    assert!(!bucket.withdraw(at(1_000_000)), "time pays nothing here");
}

#[test]
fn calls_and_time_pay_for_retries() {
    let by_calls = bucket(0.25, 0.0, 1);
    assert!(by_calls.withdraw(at(0)));
    for expected in [false, false, false, true, false] {
        by_calls.began(at(0));
        assert_eq!(by_calls.withdraw(at(0)), expected);
    }
    let by_time = bucket(0.0, 2.0, 1);
    assert!(by_time.withdraw(at(0)));
    assert!(!by_time.withdraw(at(499)));
    assert!(by_time.withdraw(at(500)));
    assert!(!by_time.withdraw(at(600)));
}

#[test]
fn small_rates_are_not_rounded_to_nothing() {
    // However often it is looked at and changed meanwhile: half a token a second is half a token a second.
    for (per_second, seconds) in [(0.5, 2_u64), (0.3, 10), (0.01, 100), (10.0, 1), (99_999.5, 2)] {
        let bucket = bucket(0.000_001, per_second, 1_000_000);
        while bucket.withdraw(at(0)) {}
        let calls = seconds * 1_000;
        (1..=calls).for_each(|ms| bucket.began(at(ms)));
        let expected = per_second * seconds as f64 + 0.000_001 * calls as f64;
        let found = bucket.tokens(at(calls));
        assert!((found - expected).abs() < expected * 1e-5 + 0.01, "{per_second}: {found}");
    }
    for ratio in [0.1, 0.0005, 0.000_04, 0.000_003] {
        let bucket = bucket(ratio, 0.0, 1_000_000);
        while bucket.withdraw(at(0)) {}
        let calls = (1.0 / ratio).ceil() as u64;
        let too_few = calls - 1 - calls / 5_000;
        (0..too_few).for_each(|_| bucket.began(at(0)));
        assert!(!bucket.withdraw(at(0)), "{ratio}");
        (too_few..calls).for_each(|_| bucket.began(at(0)));
        assert!(bucket.withdraw(at(0)), "{ratio}: {calls} calls pay for a retry");
    }
    let grpc = GrpcBudget { max_tokens: 1_000, token_ratio: 0.001 };
    let bucket = Bucket::new(&RetryBudget::Grpc(grpc));
    (0..501).for_each(|_| bucket.ended(at(0), &FAILED, None));
    (0..1_000).for_each(|_| bucket.ended(at(0), &OK, None));
    assert!(bucket.tokens(at(0)) < 500.001, "a thousand successes are one token");
    assert_eq!(bucket.withdraw_after(at(0), &FAILED), None);
    bucket.ended(at(0), &OK, None);
    assert!(bucket.withdraw_after(at(0), &FAILED).is_some());
}

#[test]
fn a_drained_bucket_fills_however_long_nobody_comes() {
    const DAY: u64 = 86_400_000;
    for (ratio, per_second) in [(0.0, 10.0), (0.0, 0.001), (0.2, 1.0)] {
        // From an hour over 25 days, 50 days and 3 years to all the time that an instant can tell.
        for idle in [DAY / 24, 25 * DAY, 50 * DAY, 3 * 365 * DAY, 500 * 365 * DAY] {
            let bucket = bucket(ratio, per_second, 3);
            while bucket.withdraw(at(0)) {}
            let later = at(idle);
            assert_eq!(bucket.tokens(later), 3.0, "{per_second} a second, idle for {idle} ms");
            assert!(bucket.withdraw(later));
        }
    }
}

#[test]
fn a_clock_that_is_set_back_costs_no_more_than_an_empty_bucket() {
    let bucket = bucket(0.0, 10.0, 5);
    let hour = 3_600_000;
    while bucket.withdraw(at(hour)) {}
    // An hour back: it is empty now, and fills from here on.
    assert!(!bucket.withdraw(at(0)));
    assert!(!bucket.withdraw(at(99)));
    assert!(bucket.withdraw(at(100)));
    assert_eq!(bucket.tokens(at(10_000)), 5.0);
}

#[test]
fn no_more_than_that_is_saved() {
    let bucket = bucket(100.0, 100_000.0, 5);
    for _ in 0..1_000 {
        bucket.began(at(0));
    }
    let later = at(3_000_000_000);
    assert_eq!((0..100).filter(|_| bucket.withdraw(later)).count(), 5);
}

#[test]
fn retries_stay_a_share_of_the_calls_whatever_happens() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let (ratio, saved) = (random.unit(), 5 + random.below(50) as u32);
        let bucket = bucket(ratio, 5.0, saved);
        let (mut now, mut calls, mut retries) = (at(0), 0_u32, 0_u32);
        for _ in 0..5_000 {
            now = now + std::time::Duration::from_micros(random.below(20_000));
            calls += 1;
            bucket.began(now);
            retries += u32::from(bucket.withdraw(now)) + u32::from(bucket.withdraw(now));
            let by_time = now.since(at(0)).as_secs_f64() * 5.0;
            let most = f64::from(saved) + f64::from(calls) * (ratio + 0.001) + by_time;
            assert!(f64::from(retries) <= most, "seed {seed}: {retries} retries, {most} allowed");
        }
        // And what is allowed is used: every call asked for two.
        let least = f64::from(calls) * ratio.min(1.0) * 0.95;
        assert!(f64::from(retries) >= least, "seed {seed}: {retries} retries, {least} expected");
    }
}

#[test]
fn a_clock_that_is_read_late_changes_nothing() {
    let bucket = bucket(0.0, 1.0, 1);
    assert!(bucket.withdraw(at(5_000)));
    assert!(!bucket.withdraw(at(4_000)));
    assert!(!bucket.withdraw(at(5_999)));
    assert!(bucket.withdraw(at(6_000)));
}

const OK: Outcome = Outcome::Success;
const FAILED: Outcome = Outcome::failure(Class::Transient);
const LATE: Outcome = Outcome::TimedOut { limit: std::time::Duration::from_secs(1) };

#[test]
fn the_quota_of_aws_is_used_up_by_retries_and_refilled_by_successes() {
    let config = AwsBudget { capacity: 20, ..AwsBudget::default() };
    let bucket = Bucket::new(&RetryBudget::Aws(config));
    let pays = |outcome| bucket.withdraw_after(at(0), &outcome);
    let late = pays(LATE);
    assert!(late.is_some() && pays(FAILED).is_some() && pays(FAILED).is_some(), "10 + 5 + 5");
    assert_eq!(pays(FAILED), None, "nothing is left, and time refills nothing");
    // A success after retries gives back what the last retry was paid: 10 after a timeout.
    bucket.ended(at(0), &OK, late);
    assert_eq!(bucket.tokens(at(0)), 10.0);
    assert!(pays(FAILED).is_some() && pays(FAILED).is_some());
    bucket.ended(at(0), &OK, Some(Price::Retry));
    assert!(pays(FAILED).is_some());
    for _ in 0..4 {
        bucket.ended(at(0), &OK, None);
    }
    assert_eq!(pays(FAILED), None, "4 of 5");
    bucket.ended(at(0), &OK, None);
    assert!(pays(FAILED).is_some());
    // It never holds more than its capacity.
    for _ in 0..100 {
        bucket.ended(at(0), &OK, None);
    }
    assert_eq!((0..10).filter(|_| pays(FAILED).is_some()).count(), 4);
}

#[test]
fn a_bucket_of_aws_is_as_full_as_before_when_every_retry_succeeds() {
    let limited = Outcome::failure(Class::RateLimited);
    let config = AwsBudget { capacity: 100, rate_limit_cost: 7, refill: 0, ..Default::default() };
    let bucket = Bucket::new(&RetryBudget::Aws(config));
    for (outcome, cost) in [(FAILED, 5.0), (LATE, 10.0), (limited, 7.0)] {
        for _ in 0..1_000 {
            let paid = bucket.withdraw_after(at(0), &outcome);
            assert_eq!(bucket.tokens(at(0)), 100.0 - cost, "{outcome:?}");
            bucket.ended(at(0), &OK, paid);
            assert_eq!(bucket.tokens(at(0)), 100.0, "{outcome:?}");
        }
    }
}

#[test]
fn the_tokens_of_grpc_stop_retries_at_the_half() {
    let bucket = Bucket::new(&RetryBudget::Grpc(GrpcBudget { max_tokens: 10, token_ratio: 0.5 }));
    let allowed = || bucket.withdraw_after(at(0), &FAILED).is_some();
    for failures in 1..=10 {
        bucket.ended(at(0), &FAILED, None);
        assert_eq!(allowed(), 10 - failures > 5, "{failures} failures");
    }
    // 0 tokens now; a refusal of our own takes none, each success puts half of one in.
    bucket.ended(at(0), &FAILED, None);
    for successes in 1..=12 {
        bucket.ended(at(0), &OK, Some(Price::Retry));
        assert_eq!(allowed(), f64::from(successes) * 0.5 > 5.0, "{successes} successes");
    }
}

#[test]
fn every_form_names_what_is_out_of_its_bounds() {
    let told = |budget: RetryBudget| {
        let config =
            crate::policies::retry::RetryConfig { budget: Some(budget), ..Default::default() };
        crate::policies::retry::Retry::new(config).unwrap_err().to_string()
    };
    let share = ShareBudget { ratio: -1.0, min_per_second: f64::NAN, max_saved: 0 };
    let aws = AwsBudget { capacity: 0, retry_cost: 2_000_000, ..Default::default() };
    let grpc = GrpcBudget { max_tokens: 0, token_ratio: 0.0 };
    for (told, fields) in [
        (told(RetryBudget::Share(share)), &["share.ratio", "min_per_second", "max_saved"][..]),
        (told(RetryBudget::Aws(aws)), &["budget.aws.capacity", "retry_cost"]),
        (told(RetryBudget::Grpc(grpc)), &["budget.grpc.max_tokens", "token_ratio"]),
    ] {
        for field in fields {
            assert!(told.contains(field), "{field} is not in: {told}");
        }
    }
}
