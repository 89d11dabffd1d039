//! What calls took in advance is settled with what they have used.

use super::*;

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::TokenBucket,
    Algorithm::FixedWindow,
    Algorithm::SlidingWindow,
    Algorithm::SlidingLog,
];

fn of(algorithm: Algorithm) -> RateLimiter {
    let config = RateLimiterConfig { rate: 100, algorithm, ..Default::default() };
    RateLimiter::new(config).unwrap()
}

/// Takes this cost, which must pass at once.
fn take(limiter: &RateLimiter, now: Instant, cost: u32) -> Reservation<'_> {
    limiter.reserve(now, Key::NONE, cost, Duration::ZERO).unwrap()
}

fn remaining(limiter: &RateLimiter, now: Instant) -> u64 {
    limiter.quota(now, Key::NONE).remaining
}

#[test]
fn what_was_not_used_goes_back_and_what_was_used_beyond_counts() {
    for algorithm in ALGORITHMS {
        let limiter = of(algorithm);
        let (one, two) = (take(&limiter, at(0), 40), take(&limiter, at(0), 40));
        assert_eq!(remaining(&limiter, at(0)), 20, "{algorithm:?}");
        one.settle(at(1), 10);
        assert!((50..=51).contains(&remaining(&limiter, at(1))), "{algorithm:?}");
        two.settle(at(1), 60);
        assert!((30..=31).contains(&remaining(&limiter, at(1))), "{algorithm:?}");
        assert!(limiter.try_acquire(at(1), Key::NONE, 32).is_err());
        assert!(limiter.try_acquire(at(1), Key::NONE, 30).is_ok());
    }
}

#[test]
fn nothing_but_what_was_taken_goes_back_and_the_limit_is_never_more_than_whole() {
    for algorithm in ALGORITHMS {
        let limiter = of(algorithm);
        take(&limiter, at(0), 30).settle(at(5_000), 0);
        assert_eq!(remaining(&limiter, at(5_000)), 100, "{algorithm:?}");
        // A window that is over takes nothing back for the next one, in which others were counted.
        let late = take(&limiter, at(5_000), 50);
        assert!(limiter.try_acquire(at(8_000), Key::NONE, 100).is_ok());
        if algorithm != Algorithm::TokenBucket {
            late.settle(at(8_000), 0);
            assert_eq!(remaining(&limiter, at(8_000)), 0, "{algorithm:?}");
        }
    }
}

#[test]
fn a_debt_of_a_bucket_is_paid_off_at_its_rate() {
    let limiter = of(Algorithm::TokenBucket);
    take(&limiter, at(0), 100).settle(at(0), 350);
    let refused = limiter.try_acquire(at(0), Key::NONE, 1).unwrap_err();
    assert_eq!(refused.retry_after, Some(Duration::from_millis(2_510)));
    assert!(limiter.try_acquire(at(2_509), Key::NONE, 1).is_err());
    assert!(limiter.try_acquire(at(2_510), Key::NONE, 1).is_ok());
    assert_eq!(remaining(&limiter, at(3_520)), 100);
}

#[test]
fn an_absurd_report_shuts_a_limit_for_ten_times_its_length_at_most() {
    for algorithm in ALGORITHMS {
        let limiter = of(algorithm);
        take(&limiter, at(0), 1).settle(at(0), u32::MAX);
        assert_eq!(remaining(&limiter, at(0)), 0, "{algorithm:?}");
        let refused = limiter.try_acquire(at(0), Key::NONE, 1).unwrap_err().retry_after.unwrap();
        assert!(refused <= 11 * SECOND, "{algorithm:?} {refused:?}");
        assert_eq!(limiter.try_acquire(at(12_000), Key::NONE, 1), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn keys_that_were_forgotten_are_in_debt_all_the_same() {
    let config = RateLimiterConfig { rate: 10, keyed: true, ..Default::default() };
    let limiter = RateLimiter::new(config).unwrap();
    let (one, two) = (Key::of("one"), Key::of("two"));
    let turn = limiter.reserve(at(0), one, 10, Duration::ZERO).unwrap();
    let other = limiter.reserve(at(0), two, 10, Duration::ZERO).unwrap();
    // By now nothing of them is remembered.
    turn.settle(at(9_000), 25);
    other.settle(at(9_000), 0);
    let left = |key| limiter.quota(at(9_000), key).remaining;
    assert_eq!((left(one), left(two), left(Key::of("three"))), (0, 10, 10));
}

#[test]
fn a_clock_that_was_set_back_keeps_no_debt_for_longer_than_it_was() {
    let limiter = of(Algorithm::TokenBucket);
    take(&limiter, at(900_000), 100).settle(at(900_000), 200);
    // A quarter of an hour earlier.
    let refused = limiter.try_acquire(at(0), Key::NONE, 1).unwrap_err().retry_after.unwrap();
    assert!(refused <= 2 * SECOND, "{refused:?}");
}

#[cfg(not(loom))]
mod pipelines {
    use super::*;
    use crate::{
        attributes::Attributes,
        command::Command,
        execution::Execution,
        outcome::{Class, Outcome},
        pipeline::Pipeline,
        policies::{PolicyConfig, retry::RetryConfig},
        policy::Cause,
        testing::Bench,
    };
    use std::task::Waker;

    fn tokens() -> RateLimiterConfig {
        rate_limit(1_000, SECOND).unit(Unit::Tokens)
    }

    fn left(bench: &Bench) -> u64 {
        let limiter = bench.pipeline.rate_limiters().next().unwrap().0.clone();
        limiter.quota(bench.now, Key::NONE).remaining
    }

    fn expects(tokens: u32) -> Attributes {
        Attributes::default().tokens(tokens)
    }

    #[test]
    fn without_a_report_a_success_keeps_the_estimate_and_a_failure_nothing() {
        let mut bench = Bench::new([tokens().into()]);
        bench.run_with(expects(400), |_| (Duration::ZERO, Outcome::Success));
        assert_eq!(left(&bench), 600);
        let failed = Outcome::failure(Class::Transient);
        bench.run_with(expects(400), |_| (Duration::ZERO, failed));
        assert_eq!(left(&bench), 600);
        // A call without tokens takes none, whatever its cost, and is not refused.
        bench.run_with(expects(600), |_| (Duration::ZERO, Outcome::Success));
        let free = Attributes::default().cost(7);
        assert_eq!(
            bench.run_with(free, |_| (Duration::ZERO, Outcome::Success)).outcome,
            Outcome::Success
        );
        assert_eq!(left(&bench), 0);
        let refused = bench.run_with(expects(1), |_| (Duration::ZERO, Outcome::Success));
        assert!(matches!(refused.outcome, Outcome::Rejected(_)));
    }

    #[test]
    fn an_estimate_beyond_the_whole_limit_takes_all_of_it() {
        let mut bench = Bench::new([tokens().into()]);
        let ran = bench.run_with(expects(u32::MAX), |_| (Duration::ZERO, Outcome::Success));
        assert_eq!((ran.outcome, left(&bench)), (Outcome::Success, 0));
    }

    #[test]
    fn an_attempt_that_another_one_replaces_gives_all_back() {
        let retry = PolicyConfig::Retry(RetryConfig { max_attempts: 3, ..Default::default() });
        let mut bench = Bench::new([retry, tokens().into()]);
        // The limiter stands inside, so each attempt takes.
        let ends = [Outcome::failure(Class::Transient), Outcome::Success];
        let ran = bench.run_with(expects(700), |n| (Duration::ZERO, ends[n]));
        assert_eq!((ran.outcome, ran.calls.len()), (Outcome::Success, 2));
        assert_eq!(left(&bench), 300);
    }

    /// Runs one streamed call that reports these tokens, one after the other, and ends like this.
    fn streamed(pipeline: &Pipeline, reports: &[u32], end: Option<Outcome>) {
        let attributes = Attributes { streamed: true, ..expects(400) };
        let (now, waker) = (at(0), Waker::noop());
        let mut execution = Execution::start(pipeline, attributes, 1, now, waker);
        let Some(Command::Call { id, .. }) = execution.poll_command() else { panic!("no call") };
        execution.handle_result(id, Outcome::Success, now, waker);
        reports.iter().for_each(|tokens| execution.handle_used_tokens(*tokens));
        match end {
            Some(outcome) => execution.handle_end(outcome, now),
            None => execution.abandon(now, Cause::CallerGone),
        }
    }

    #[test]
    fn a_stream_is_settled_with_what_it_reported_however_it_ends() {
        let failed = Outcome::failure(Class::Transient);
        for (reports, end, used) in [
            (&[100, 50][..], Some(Outcome::Success), 150),
            (&[2_000], Some(Outcome::Success), 1_000),
            (&[], Some(Outcome::Success), 400),
            (&[30], Some(failed), 30),
            (&[], Some(failed), 0),
            (&[30], None, 30),
            (&[], None, 400),
            (&[u32::MAX, u32::MAX], Some(failed), 1_000),
        ] {
            let limiter = Arc::new(RateLimiter::new(tokens()).unwrap());
            let pipeline =
                Pipeline::new("op", [crate::policies::Policy::RateLimiter(limiter.clone())]);
            streamed(&pipeline, reports, end);
            assert_eq!(
                limiter.quota(at(0), Key::NONE).remaining,
                1_000 - used,
                "{reports:?} {end:?}"
            );
        }
    }

    #[test]
    fn a_call_in_debt_waits_for_its_turn_where_it_may() {
        let mut bench = Bench::new([tokens().max_wait(10 * SECOND).into()]);
        let limiter = bench.pipeline.rate_limiters().next().unwrap().0.clone();
        limiter
            .reserve(bench.now, Key::NONE, 1_000, Duration::ZERO)
            .unwrap()
            .settle(bench.now, 3_000);
        let ran = bench.run_with(expects(500), |_| (Duration::ZERO, Outcome::Success));
        assert_eq!((ran.outcome, ran.took), (Outcome::Success, Duration::from_millis(2_500)));
    }
}
