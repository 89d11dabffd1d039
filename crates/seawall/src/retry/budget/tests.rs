//! The bucket against its definition.

use super::*;
use crate::Random;

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
    assert!(pays(LATE) && pays(FAILED) && pays(FAILED), "10 + 5 + 5");
    assert!(!pays(FAILED), "nothing is left, and time refills nothing");
    // A success after retries gives one retry's price back.
    bucket.ended(at(0), &OK, false);
    assert!(bucket.withdraw_after(at(0), &FAILED));
    for _ in 0..4 {
        bucket.ended(at(0), &OK, true);
    }
    assert!(!bucket.withdraw_after(at(0), &FAILED), "4 of 5");
    bucket.ended(at(0), &OK, true);
    assert!(bucket.withdraw_after(at(0), &FAILED));
    // It never holds more than its capacity.
    for _ in 0..100 {
        bucket.ended(at(0), &OK, true);
    }
    assert_eq!((0..10).filter(|_| bucket.withdraw_after(at(0), &FAILED)).count(), 4);
}

#[test]
fn the_tokens_of_grpc_stop_retries_at_the_half() {
    let bucket = Bucket::new(&RetryBudget::Grpc(GrpcBudget { max_tokens: 10, token_ratio: 0.5 }));
    let allowed = || bucket.withdraw_after(at(0), &FAILED);
    for failures in 1..=10 {
        bucket.ended(at(0), &FAILED, true);
        assert_eq!(allowed(), 10 - failures > 5, "{failures} failures");
    }
    // 0 tokens now; a refusal of our own takes none, each success puts half of one in.
    bucket.ended(at(0), &FAILED, true);
    for successes in 1..=12 {
        bucket.ended(at(0), &OK, false);
        assert_eq!(allowed(), f64::from(successes) * 0.5 > 5.0, "{successes} successes");
    }
}

#[test]
fn every_form_names_what_is_out_of_its_bounds() {
    let told = |budget: RetryBudget| {
        let config = crate::RetryConfig { budget: Some(budget), ..Default::default() };
        crate::Retry::new(config).unwrap_err().to_string()
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
