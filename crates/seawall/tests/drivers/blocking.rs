//! The blocking driver, on real threads and the real clock.

use crate::stage::{Hand, Stage, ms};
use seawall::{
    Attempt, Attributes, Backoff, Bulkhead, BulkheadConfig, Error, FallbackConfig, Jitter,
    Pipeline, Policy, PolicyConfig, Reason, RetryConfig, State, SystemClock, TimeoutConfig,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

fn quick_retry() -> PolicyConfig {
    let backoff = Backoff { base_delay: ms(1), jitter: Jitter::None, ..Backoff::default() };
    PolicyConfig::Retry(RetryConfig { max_attempts: 3, backoff, ..Default::default() })
}

#[test]
fn failures_are_repeated_and_the_value_comes_back() {
    let pipeline = Pipeline::build("blocking", &[quick_retry()]).unwrap();
    let mut calls = 0;
    let call = |attempt: Attempt| {
        calls += 1;
        assert_eq!(attempt.number, calls);
        if calls < 3 { Err(calls) } else { Ok("third") }
    };
    let answer = pipeline.run(&SystemClock, call).blocking();
    assert_eq!(answer, Ok("third"));
    let call = |_| Err::<(), _>("no");
    let answer = pipeline.run(&SystemClock, call).blocking();
    assert_eq!(answer, Err(Error::Inner("no")));
}

#[test]
fn an_answer_that_comes_too_late_is_a_timeout_and_is_not_repeated_past_the_total() {
    let total = PolicyConfig::Timeout(TimeoutConfig { limit: ms(100), ..Default::default() });
    let pipeline = Pipeline::build("late", &[total, quick_retry()]).unwrap();
    let hand = Hand::new();
    let mut calls = 0;
    let call = |_| {
        calls += 1;
        hand.pass(150);
        Ok::<_, ()>(())
    };
    let answer = pipeline.run(&hand, call).blocking();
    let Err(Error::TimedOut(elapsed)) = answer else { panic!("{answer:?}") };
    assert_eq!((elapsed.limit, calls), (ms(100), 1));
}

#[test]
fn without_an_alternative_the_error_stays() {
    let fallback = PolicyConfig::Fallback(FallbackConfig::default());
    let pipeline = Pipeline::build("alone", &[fallback]).unwrap();
    let attributes = Attributes { fallbacks: 2, ..Attributes::default() };
    let call = |_| Err::<(), _>("down");
    let answer = pipeline.run(&SystemClock, call).attributes(attributes).blocking();
    assert_eq!(answer, Err(Error::Inner("down")));
}

#[test]
fn threads_wait_for_their_place() {
    let config = BulkheadConfig {
        max_concurrent: 2,
        max_queued: 100,
        max_wait: ms(60_000),
        ..Default::default()
    };
    let bulkhead = Arc::new(Bulkhead::new(config).unwrap());
    let pipeline = Pipeline::new("narrow", [Policy::Bulkhead(bulkhead.clone())]);
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let call = |_| {
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    std::thread::sleep(ms(2));
                    inside.fetch_sub(1, SeqCst);
                    Ok::<_, ()>(())
                };
                let attributes = Attributes::default();
                pipeline.run(&SystemClock, call).attributes(attributes).blocking().unwrap();
            });
        }
    });
    assert_eq!(most.load(SeqCst), 2);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

#[test]
fn a_thread_that_waits_too_long_is_refused() {
    let config =
        BulkheadConfig { max_concurrent: 1, max_queued: 1, max_wait: ms(20), ..Default::default() };
    let bulkhead = Arc::new(Bulkhead::new(config).unwrap());
    let pipeline = Pipeline::new("narrow", [Policy::Bulkhead(bulkhead.clone())]);
    let place = bulkhead.try_acquire().unwrap();
    let call = |_| Ok::<_, ()>(());
    let answer = pipeline.run(&SystemClock, call).blocking();
    let Err(Error::Rejected(rejection)) = answer else { panic!("{answer:?}") };
    assert_eq!(rejection.reason, Reason::QueueTimeout);
    drop(place);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

#[test]
fn a_panic_passes_through_and_counts() {
    let stage = Stage::new();
    let call = |_| -> Result<(), ()> { std::panic::resume_unwind(Box::new("burnt down")) };
    let run = || stage.pipeline.run(&stage.hand, call).blocking();
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert_eq!(stage.breaker.state(), State::Open);
    stage.assert_everything_is_back("after a panic");
}
