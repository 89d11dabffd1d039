//! What the abstraction costs: `cargo run --release -p seawall --example cost`.
use seawall::*;
use std::{
    hint::black_box,
    task::{Context, Poll, Waker},
    time::Duration,
};

fn time(name: &str, mut f: impl FnMut()) {
    let n = 1_000_000;
    let mut best = f64::MAX;
    for _ in 0..7 {
        let t = std::time::Instant::now();
        for _ in 0..n {
            f()
        }
        best = best.min(t.elapsed().as_nanos() as f64 / n as f64);
    }
    println!("{name:56} {best:8.1} ns");
}
fn block<F: Future>(f: F) -> F::Output {
    let mut f = std::pin::pin!(f);
    match f.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(v) => v,
        Poll::Pending => panic!("pending"),
    }
}
fn main() {
    let now = SystemClock.now();
    time("clock", || {
        black_box(SystemClock.now());
    });
    let b = CircuitBreaker::new(CircuitBreakerConfig::default()).unwrap();
    time("breaker alone consecutive", || {
        let p = b.try_acquire(now).unwrap();
        black_box(p.success(now));
    });
    let w = CircuitBreaker::new(CircuitBreakerConfig {
        window: Some(Window::Calls(100)),
        ..Default::default()
    })
    .unwrap();
    time("breaker alone window 100 calls", || {
        let p = w.try_acquire(now).unwrap();
        black_box(p.success(now));
    });
    let w = CircuitBreaker::new(CircuitBreakerConfig {
        window: Some(Window::Time(Duration::from_secs(60))),
        ..Default::default()
    })
    .unwrap();
    time("breaker alone window 60 s", || {
        let p = w.try_acquire(now).unwrap();
        black_box(p.success(now));
    });
    let l = RateLimiter::new(RateLimiterConfig {
        rate: 1_000_000_000,
        burst: 1_000_000_000,
        ..Default::default()
    })
    .unwrap();
    time("limiter alone", || {
        black_box(l.try_acquire(SystemClock.now(), 0, 1).is_ok());
    });
    let h = Bulkhead::new(BulkheadConfig::default()).unwrap();
    time("bulkhead alone", || {
        black_box(h.try_acquire().is_ok());
    });
    let five = [
        PolicyConfig::Timeout(TimeoutConfig::default()),
        PolicyConfig::Retry(RetryConfig::default()),
        PolicyConfig::CircuitBreaker(CircuitBreakerConfig {
            window: Some(Window::Calls(100)),
            ..Default::default()
        }),
        PolicyConfig::RateLimiter(RateLimiterConfig {
            rate: 1_000_000_000,
            burst: 1_000_000_000,
            ..Default::default()
        }),
        PolicyConfig::Bulkhead(BulkheadConfig::default()),
    ];
    let run = |p: &Pipeline| {
        let r: Result<u32, Error<()>> =
            block(p.run(&SystemTimer, Attributes::default(), &AnyError, |_| {
                std::future::ready(Ok(1))
            }));
        black_box(r).unwrap();
    };
    for n in 0..=5 {
        let p = Pipeline::build("x", &five[..n]).unwrap();
        time(&format!("async run, {n} policies"), || run(&p));
    }
    let r = Registry::default().register("five", five.to_vec()).unwrap();
    time("registered operation, 5 policies, metrics", || {
        let v: Result<u32, Error<()>> = block(r.call(|| std::future::ready(Ok(1))));
        black_box(v).unwrap();
    });
}
