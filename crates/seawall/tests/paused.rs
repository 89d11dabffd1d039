//! A registry without a timer of its own, under tokio's paused clock.
#![cfg(all(not(loom), feature = "tokio"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{Backoff, Jitter, PolicyConfig, Registry, RetryConfig, TimeoutConfig};
use std::{future::pending, time::Duration};

const S: Duration = Duration::from_secs(1);

fn timeout() -> PolicyConfig {
    PolicyConfig::Timeout(TimeoutConfig { limit: S, ..Default::default() })
}

async fn cut_off_after_a_second(ahead: Duration) {
    tokio::time::advance(ahead).await;
    for registry in [Registry::default(), Registry::builder().preset("production").unwrap().build()]
    {
        let operation = registry.register("slow", vec![timeout()]).unwrap();
        let (start, real) = (tokio::time::Instant::now(), std::time::Instant::now());
        let answer = operation.call(pending::<Result<(), ()>>).await;
        assert!(answer.unwrap_err().is_timed_out());
        assert!((S..S + S / 10).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert!(real.elapsed() < S, "it waited for the system's clock");
    }
}

#[tokio::test(start_paused = true)]
async fn one_paused_test() {
    cut_off_after_a_second(3600 * S).await;
}

#[tokio::test(start_paused = true)]
async fn and_another_in_the_same_process() {
    cut_off_after_a_second(Duration::ZERO).await;
}

#[tokio::test]
async fn a_clock_may_be_paused_later() {
    let operation = Registry::default().register("slow", vec![timeout()]).unwrap();
    assert!(operation.call(async || Ok::<_, ()>(())).await.is_ok());
    tokio::time::pause();
    cut_off_after_a_second(60 * S).await;
}

#[test]
fn a_runtime_without_timers_will_do_where_nothing_is_paused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let limit = Duration::from_millis(20);
    let short = PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() });
    let operation = Registry::default().register("slow", vec![short]).unwrap();
    let answer = runtime.block_on(operation.call(pending::<Result<(), ()>>));
    assert!(answer.unwrap_err().is_timed_out());
}

#[tokio::test(start_paused = true)]
async fn a_blocking_call_waits_on_its_thread() {
    let backoff = Backoff {
        base_delay: Duration::from_millis(5),
        jitter: Jitter::None,
        ..Backoff::default()
    };
    let retry = PolicyConfig::Retry(RetryConfig { backoff, ..Default::default() });
    let operation = Registry::default().register("plain", vec![retry]).unwrap();
    assert!(operation.run(|_| Err::<(), _>("down")).blocking().is_err());
    assert_eq!(operation.counts().attempts, 3);
}
