//! A clock that stands still, a pipeline with every policy, and a way to poll step by step.

use seawall::{
    Backoff, Bulkhead, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig, Clock, Counts,
    FallbackConfig, Instant, Jitter, Metrics, Pipeline, Policy, PolicyConfig, RateLimiterConfig,
    RetryConfig, TimeoutConfig, Timer,
};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Time passes when the test says so.
#[derive(Clone, Debug)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(Instant::from_millis(1_000_000).as_nanos())))
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.0.fetch_add(ms * 1_000_000, Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Relaxed))
    }
}

pub(crate) struct Until(Hand, Instant);

impl Future for Until {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.now() >= self.1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Timer for Hand {
    type Sleep = Until;
    fn sleep_until(&self, at: Instant) -> Until {
        Until(self.clone(), at)
    }
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls to the end, a millisecond at a time.
pub(crate) fn finish<F: IntoFuture>(hand: &Hand, future: F) -> F::Output {
    let mut future = std::pin::pin!(future.into_future());
    for _ in 0..100_000 {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
        hand.pass(1);
    }
    panic!("it hangs");
}

/// Every policy once, with a breaker that is about to probe.
pub(crate) struct Stage {
    pub(crate) hand: Hand,
    pub(crate) pipeline: Pipeline,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) breaker: Arc<CircuitBreaker>,
    pub(crate) bulkhead: Arc<Bulkhead>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let hand = Hand::new();
        let breaker = Arc::new(
            CircuitBreaker::new(CircuitBreakerConfig {
                failure_threshold: Some(1),
                recovery_timeout: ms(100),
                probe_lease: ms(100_000),
                ..Default::default()
            })
            .unwrap(),
        );
        breaker.try_acquire(hand.now()).unwrap().failure(hand.now());
        hand.pass(200);
        let bulkhead = BulkheadConfig {
            max_concurrent: 1,
            max_queued: 2,
            max_wait: ms(500),
            ..Default::default()
        };
        let bulkhead = Arc::new(Bulkhead::new(bulkhead).unwrap());
        let built = |config: PolicyConfig| config.build().unwrap();
        let retry = RetryConfig {
            max_attempts: 3,
            backoff: Backoff { base_delay: ms(10), jitter: Jitter::None, ..Backoff::default() },
            ..Default::default()
        };
        let policies = [
            built(PolicyConfig::Fallback(FallbackConfig::default())),
            built(PolicyConfig::RateLimiter(RateLimiterConfig::default())),
            built(PolicyConfig::Timeout(TimeoutConfig { limit: ms(2_000), ..Default::default() })),
            Policy::CircuitBreaker(breaker.clone()),
            built(PolicyConfig::Retry(retry)),
            Policy::Bulkhead(bulkhead.clone()),
            built(PolicyConfig::Timeout(TimeoutConfig { limit: ms(50), ..Default::default() })),
        ];
        let metrics = Arc::new(Metrics::default());
        let pipeline = Pipeline::new("staged", policies).with_observer(metrics.clone());
        Self { hand, pipeline, metrics, breaker, bulkhead }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.metrics.counts()
    }

    /// Asserts that no permit is held, and that every count adds up.
    pub(crate) fn assert_everything_is_back(&self, when: &str) {
        assert_eq!((self.bulkhead.in_use(), self.bulkhead.queued()), (0, 0), "{when}");
        let counts = self.counts();
        assert_eq!(counts.in_flight, 0, "{when}");
        let ended = counts.successful_calls
            + counts.failed_calls
            + counts.timed_out_calls
            + counts.rejected_calls
            + counts.caller_faults
            + counts.abandoned_calls;
        assert_eq!(ended, counts.total_calls, "{when}");
        if self.breaker.state() == seawall::State::HalfOpen {
            let free = self.breaker.try_acquire(self.hand.now()).is_ok();
            assert!(free, "a probe's place is gone: {when}");
        }
    }
}

/// Pending this often, then the value.
pub(crate) struct After<T>(pub(crate) u32, pub(crate) Option<T>);

impl<T: Unpin> Future for After<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if self.0 > 0 {
            self.0 -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.1.take().expect("it is not polled again"))
    }
}
