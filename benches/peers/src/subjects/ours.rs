//! Seawall itself, in every group that it has a part in.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use seawall::{
    Attributes, Bulkhead, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig, Clock,
    FallbackConfig, Instant, Key, Pipeline, PolicyConfig, Random, RateLimiter, RateLimiterConfig,
    Registry, RetryConfig, SystemClock, SystemTimer, TimeoutConfig, Window,
};

use crate::case::{Case, asyn, must, sync};
use crate::work::{Dice, Oops, work, work_after_a_yield, work_sync};

const PEER: &str = "seawall";
const LIMIT: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);
const BILLION: u32 = 1_000_000_000;
const KEYS: u64 = 100_000;

pub fn cases() -> Vec<Case> {
    [naked(), pipelines(), refusals(), stacks()].into_iter().flatten().collect()
}

fn breaker(config: CircuitBreakerConfig) -> Arc<CircuitBreaker> {
    Arc::new(must(CircuitBreaker::new(config)))
}

fn windowed(window: Window) -> CircuitBreakerConfig {
    CircuitBreakerConfig { window: Some(window), ..CircuitBreakerConfig::default() }
}

fn plenty(keyed: bool) -> RateLimiterConfig {
    RateLimiterConfig { rate: BILLION, burst: BILLION, keyed, ..RateLimiterConfig::default() }
}

/// One breaker around the call, used by hand; the clock is read once where the policy needs no more.
fn by_hand(what: &'static str, config: fn() -> CircuitBreakerConfig) -> Case {
    Case::new("breaker", PEER, what, move |_| {
        let breaker = breaker(config());
        Box::new(move || {
            let breaker = breaker.clone();
            asyn(async move |i| {
                let now = SystemClock.now();
                let permit = must(breaker.try_acquire(now));
                let out = work(i).await;
                permit.success(now);
                out
            })
        })
    })
}

fn naked() -> Vec<Case> {
    vec![
        by_hand("by hand, consecutive failures", CircuitBreakerConfig::default),
        by_hand("by hand, count window 100", || windowed(Window::Calls(100))),
        by_hand("by hand, time window 60 s", || windowed(Window::Time(Duration::from_secs(60)))),
        Case::new("breaker", PEER, "by hand, the time is given", |_| {
            let breaker = breaker(CircuitBreakerConfig::default());
            let now = Instant::from_millis(1000);
            Box::new(move || {
                let breaker = breaker.clone();
                sync(move |i| {
                    let permit = must(breaker.try_acquire(black_box(now)));
                    let out = work_sync(i);
                    permit.success(now);
                    out
                })
            })
        }),
        Case::new("bulkhead", PEER, "by hand", |_| {
            let bulkhead = Arc::new(must(Bulkhead::new(BulkheadConfig {
                max_concurrent: 1000,
                ..BulkheadConfig::default()
            })));
            Box::new(move || {
                let bulkhead = bulkhead.clone();
                asyn(async move |i| {
                    let _place = must(bulkhead.try_acquire());
                    must(work(i).await)
                })
            })
        }),
        Case::new("ratelimit", PEER, "direct", |_| {
            let limiter = Arc::new(must(RateLimiter::new(plenty(false))));
            Box::new(move || {
                let limiter = limiter.clone();
                sync(move |_| must(limiter.try_acquire(SystemClock.now(), Key::NONE, 1)))
            })
        }),
        Case::new("ratelimit", PEER, "direct, the time is given", |_| {
            let limiter = Arc::new(must(RateLimiter::new(plenty(false))));
            Box::new(move || {
                let limiter = limiter.clone();
                let mut now = 1_000_000_000;
                sync(move |_| {
                    now += 2;
                    must(limiter.try_acquire(Instant::from_nanos(now), Key::NONE, 1))
                })
            })
        }),
        keyed("keyed, 1 u64 key", 1),
        keyed("keyed, 100k u64 keys", KEYS),
    ]
}

fn keyed(what: &'static str, keys: u64) -> Case {
    Case::new("ratelimit", PEER, what, move |_| {
        // The same keys in each run.
        let hashes: Arc<Vec<Key>> =
            Arc::new((0..keys).map(|k| Key::from_hash(Random::new(k).bits())).collect());
        let limiter = Arc::new(must(RateLimiter::new(plenty(true))));
        for key in hashes.iter() {
            must(limiter.try_acquire(SystemClock.now(), *key, 1));
        }
        let seeds = AtomicU64::new(1);
        Box::new(move || {
            let seed = seeds.fetch_add(1, Relaxed);
            let (limiter, hashes, mut dice) = (limiter.clone(), hashes.clone(), Dice::new(seed));
            sync(move |_| {
                let key = hashes[dice.below(keys) as usize];
                must(limiter.try_acquire(SystemClock.now(), key, 1))
            })
        })
    })
}

/// A pipeline of these policies around an operation that is ready at once.
fn pipeline(group: &'static str, what: &'static str, policies: fn() -> Vec<PolicyConfig>) -> Case {
    Case::new(group, PEER, what, move |_| {
        let pipeline = Arc::new(must(Pipeline::build(what, &policies())));
        Box::new(move || {
            let pipeline = pipeline.clone();
            asyn(async move |i| {
                let call = |_| work(i);
                must(pipeline.run(&SystemTimer, call).await)
            })
        })
    })
}

fn circuit() -> PolicyConfig {
    PolicyConfig::CircuitBreaker(CircuitBreakerConfig::default())
}

fn limit() -> PolicyConfig {
    PolicyConfig::Timeout(TimeoutConfig { limit: LIMIT, ..Default::default() })
}

fn places() -> PolicyConfig {
    PolicyConfig::Bulkhead(BulkheadConfig { max_concurrent: 1000, ..BulkheadConfig::default() })
}

fn pipelines() -> Vec<Case> {
    vec![
        pipeline("breaker", "pipeline of one", || vec![circuit()]),
        pipeline("bulkhead", "pipeline of one", || vec![places()]),
        pipeline("ratelimit", "pipeline of one", || vec![PolicyConfig::RateLimiter(plenty(false))]),
        pipeline("retry", "pipeline of one", || vec![PolicyConfig::Retry(RetryConfig::default())]),
        pipeline("fallback", "pipeline of one, untriggered", || {
            vec![PolicyConfig::Fallback(FallbackConfig::default())]
        }),
        pipeline("timeout", "pipeline of one, ready at once", || vec![limit()]),
        Case::new("timeout", PEER, "pipeline of one, one yield", |_| {
            let pipeline = Arc::new(must(Pipeline::build("timeout", &[limit()])));
            Box::new(move || {
                let pipeline = pipeline.clone();
                asyn(async move |i| {
                    let call = |_| work_after_a_yield(i);
                    must(pipeline.run(&SystemTimer, call).await)
                })
            })
        }),
    ]
}

fn refusals() -> Vec<Case> {
    vec![
        Case::new("reject", PEER, "open breaker, by hand", |_| {
            let breaker = breaker(opening());
            must(breaker.try_acquire(SystemClock.now())).failure(SystemClock.now());
            Box::new(move || {
                let breaker = breaker.clone();
                sync(move |_| breaker.try_acquire(SystemClock.now()).map(drop).unwrap_err())
            })
        }),
        Case::new("reject", PEER, "open breaker, pipeline of one", |rt| {
            let pipeline =
                Arc::new(must(Pipeline::build("open", &[PolicyConfig::CircuitBreaker(opening())])));
            let trip = pipeline.run(&SystemTimer, |_| async { Err::<u64, _>(Oops) });
            assert!(rt.block_on(trip.into_future()).is_err());
            Box::new(move || {
                let pipeline = pipeline.clone();
                asyn(async move |i| {
                    let call = |_| work(i);
                    let run = pipeline.run(&SystemTimer, call);
                    run.await.unwrap_err()
                })
            })
        }),
        Case::new("reject", PEER, "bulkhead, full", |_| {
            let bulkhead = Arc::new(must(Bulkhead::new(BulkheadConfig {
                max_concurrent: 1,
                ..BulkheadConfig::default()
            })));
            std::mem::forget(must(bulkhead.try_acquire()));
            Box::new(move || {
                let bulkhead = bulkhead.clone();
                sync(move |_| bulkhead.try_acquire().map(drop).unwrap_err())
            })
        }),
        exhausted("limiter, exhausted", false, |_| Key::NONE),
        exhausted("keyed limiter, exhausted", true, |key| key),
        exhausted("keyed limiter, exhausted, key hashed each time", true, |_| {
            Key::of(black_box(7))
        }),
    ]
}

fn opening() -> CircuitBreakerConfig {
    CircuitBreakerConfig {
        failure_threshold: Some(1),
        recovery_timeout: HOUR,
        ..CircuitBreakerConfig::default()
    }
}

/// A limiter of which nothing is left; `key` makes the key of each call out of the one that used it up.
fn exhausted(what: &'static str, keyed: bool, key: fn(Key) -> Key) -> Case {
    Case::new("reject", PEER, what, move |_| {
        let config = RateLimiterConfig { rate: 1, per: HOUR, keyed, ..Default::default() };
        let limiter = Arc::new(must(RateLimiter::new(config)));
        let first = Key::of(7);
        must(limiter.try_acquire(SystemClock.now(), key(first), 1));
        Box::new(move || {
            let limiter = limiter.clone();
            sync(move |_| limiter.try_acquire(SystemClock.now(), key(first), 1).unwrap_err())
        })
    })
}

/// Total timeout, retry, breaker, rate limit, bulkhead: as the peers' stacks have them.
fn five() -> Vec<PolicyConfig> {
    vec![
        limit(),
        PolicyConfig::Retry(RetryConfig::default()),
        circuit(),
        PolicyConfig::RateLimiter(plenty(false)),
        places(),
    ]
}

fn stacks() -> Vec<Case> {
    vec![
        pipeline("stack", "no policy", Vec::new),
        pipeline("stack", "five", five),
        Case::new("stack", PEER, "five, registered, with metrics", |_| {
            let registry = Registry::builder().timer(SystemTimer).build();
            let operation = must(registry.register("five", five()));
            Box::new(move || {
                let operation = operation.clone();
                asyn(async move |i| must(operation.call(|| work(i)).await))
            })
        }),
        Case::new("stack", PEER, "five, one yield", |_| {
            let pipeline = Arc::new(must(Pipeline::build("five", &five())));
            Box::new(move || {
                let pipeline = pipeline.clone();
                asyn(async move |i| {
                    let call = |_| work_after_a_yield(i);
                    must(pipeline.run(&SystemTimer, call).await)
                })
            })
        }),
        Case::new("stack", PEER, "five, blocking", |_| {
            let pipeline = Arc::new(must(Pipeline::build("five", &five())));
            Box::new(move || {
                let pipeline = pipeline.clone();
                sync(move |i| {
                    let call = |_| work_sync(i);
                    let attributes = Attributes::default();
                    must(pipeline.run(&SystemClock, call).attributes(attributes).blocking())
                })
            })
        }),
    ]
}
