//! Makes calls whose instructions are counted: `counted CASE N` makes N calls of one kind and nothing else. Time
//! stands nearly still, so that equal calls take the same path each time.
#![allow(clippy::unwrap_used, reason = "a wrong case or number is the end of it")]

use seawall::{
    BulkheadConfig, CircuitBreakerConfig, Clock, Instant, Key, Pipeline, PolicyConfig, RateLimiter,
    RateLimiterConfig, Registry, RetryConfig, TimeoutConfig, Timer,
};
use std::{
    cell::Cell,
    future::{Future, Pending, pending},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A clock that moves by a microsecond at each reading.
#[derive(Clone, Debug)]
struct Still(Cell<u64>);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0.set(self.0.get() + 1_000);
        Instant::from_nanos(self.0.get())
    }
}

impl Timer for Still {
    type Sleep = Pending<()>;
    fn sleep_until(&self, _: Instant) -> Pending<()> {
        pending()
    }
}

fn now<F: IntoFuture>(future: F) -> F::Output {
    match pin!(future.into_future()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn five() -> Vec<PolicyConfig> {
    let plenty =
        RateLimiterConfig { rate: 1_000_000_000, burst: 1_000_000_000, ..Default::default() };
    vec![
        PolicyConfig::Timeout(TimeoutConfig::default()),
        PolicyConfig::Retry(RetryConfig::default()),
        PolicyConfig::CircuitBreaker(CircuitBreakerConfig::default()),
        PolicyConfig::RateLimiter(plenty),
        PolicyConfig::Bulkhead(BulkheadConfig::default()),
    ]
}

/// Not inlined, so that callgrind finds it by its name: only what happens in it is counted.
#[inline(never)]
fn counted_loop(n: u64, mut call: impl FnMut(u64)) {
    for i in 0..n {
        call(black_box(i));
    }
}

fn piped(n: u64, policies: &[PolicyConfig]) {
    let timer = Still(Cell::new(1_000_000_000));
    let pipeline = Pipeline::build("counted", policies).unwrap();
    counted_loop(n, |i| {
        let call = |_| std::future::ready(Ok::<_, ()>(i));
        let run = pipeline.run(&timer, call);
        let _ = black_box(now(run));
    });
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let n: u64 = words[2].parse().unwrap();
    match words[1].as_str() {
        "none" => piped(n, &[]),
        "five" => piped(n, &five()),
        "refused" => {
            let limit = RateLimiterConfig {
                rate: 1,
                per: Duration::from_secs(3_600),
                ..Default::default()
            };
            piped(n, &[PolicyConfig::RateLimiter(limit)]);
        }
        "registered" => {
            let registry = Registry::builder().timer(Still(Cell::new(1_000_000_000))).build();
            let operation = registry.register("counted", five()).unwrap();
            counted_loop(n, |i| {
                let _ = black_box(now(operation.call(|| std::future::ready(Ok::<_, ()>(i)))));
            });
        }
        "keyed" => {
            let limit = RateLimiterConfig { rate: 1_000_000, keyed: true, ..Default::default() };
            let limiter = RateLimiter::new(limit).unwrap();
            counted_loop(n, |i| {
                let key = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !0xFF;
                let _ = black_box(limiter.try_acquire(
                    Instant::from_nanos(i + 1),
                    Key::from_hash(key),
                    1,
                ));
            });
        }
        other => panic!("{other} is no case: none, five, refused, registered, keyed"),
    }
}
