//! Nothing on the path of a success or of a refusal touches the heap.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{
    BulkheadConfig, CircuitBreaker, CircuitBreakerConfig, FallbackConfig, Instant, Pipeline,
    PolicyConfig, RateLimiterConfig, Registry, RetryConfig, SystemTimer, TimeoutConfig, Window,
};
use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn now<F: IntoFuture>(future: F) -> F::Output {
    match pin!(future.into_future()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should be ready at once"),
    }
}

/// Allocations of a thousand runs, after one to warm up. The counter is the process's, and the test harness allocates a
/// little on a thread of its own: what the runs themselves allocate is there each time.
fn allocations(mut run: impl FnMut()) -> u64 {
    run();
    let mut thousand = || {
        let before = dhat::HeapStats::get().total_blocks;
        for _ in 0..1000 {
            run();
        }
        dhat::HeapStats::get().total_blocks - before
    };
    (0..3).map(|_| thousand()).min().unwrap()
}

fn policies() -> Vec<PolicyConfig> {
    let billion = 1_000_000_000;
    vec![
        PolicyConfig::Fallback(FallbackConfig::default()),
        PolicyConfig::RateLimiter(RateLimiterConfig {
            rate: billion,
            burst: billion,
            ..Default::default()
        }),
        PolicyConfig::Timeout(TimeoutConfig {
            limit: Duration::from_secs(60),
            ..Default::default()
        }),
        PolicyConfig::CircuitBreaker(CircuitBreakerConfig {
            window: Some(Window::Calls(100)),
            ..Default::default()
        }),
        PolicyConfig::Retry(RetryConfig::default()),
        PolicyConfig::Bulkhead(BulkheadConfig::default()),
        PolicyConfig::Timeout(TimeoutConfig {
            limit: Duration::from_secs(30),
            ..Default::default()
        }),
    ]
}

fn open_circuit() -> Vec<PolicyConfig> {
    let config = CircuitBreakerConfig { failure_threshold: Some(1), ..Default::default() };
    vec![PolicyConfig::CircuitBreaker(config)]
}

// One test: the counter is the process's.
#[test]
fn successes_and_refusals_allocate_nothing() {
    let _counting = dhat::Profiler::builder().testing().build();

    let pipeline = Pipeline::build("bare", &policies()).unwrap();
    let success = || ready(Ok::<_, ()>(1));
    let timer = SystemTimer;
    let bare = allocations(|| {
        let run = pipeline.run(&timer, |_| success());
        assert_eq!(now(run), Ok(1));
    });
    assert_eq!(bare, 0, "a pipeline");

    let registry = Registry::default();
    let operation = registry.register("registered", policies()).unwrap();
    let registered = allocations(|| assert_eq!(now(operation.call(success)), Ok(1)));
    assert_eq!(registered, 0, "a registered operation with its metrics");

    let refusing = registry.register("refusing", open_circuit()).unwrap();
    assert!(now(refusing.call(|| ready(Err::<(), _>(())))).is_err());
    let refused = allocations(|| {
        let answer = now(refusing.call(|| ready(Ok::<_, ()>(()))));
        assert!(answer.unwrap_err().is_rejected());
    });
    assert_eq!(refused, 0, "an open circuit");

    let breaker = CircuitBreaker::new(CircuitBreakerConfig::default()).unwrap();
    let at = Instant::from_millis(1);
    let naked = allocations(|| assert_eq!(breaker.try_acquire(at).unwrap().success(at), None));
    assert_eq!(naked, 0, "a naked breaker");

    // And the counter counts: this one must.
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1000);
}
