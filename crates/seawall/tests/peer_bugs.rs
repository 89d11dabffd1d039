//! Faults that were measured in other libraries, or features that their users asked for in vain: each is tested here.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{
    Adaptive, Aimd, Algorithm, Attributes, Backoff, Bulkhead, BulkheadConfig, CircuitBreaker,
    CircuitBreakerConfig, Class, Clock, Error, Failure, Instant, Jitter, Key, Outcome, Pipeline,
    Policy, PolicyConfig, Random, RateLimiter, RateLimiterConfig, Retry, RetryBudget, RetryConfig,
    ShareBudget, State, SystemTimer, TimeoutConfig, Window,
};
use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

fn at(ms: u64) -> Instant {
    Instant::from_millis(1_000_000 + ms)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn breaker(config: CircuitBreakerConfig) -> CircuitBreaker {
    CircuitBreaker::new(config).unwrap()
}

fn windowed(calls: u32) -> CircuitBreakerConfig {
    CircuitBreakerConfig {
        window: Some(Window::Calls(calls)),
        recovery_timeout: ms(1_000),
        ..CircuitBreakerConfig::default()
    }
}

fn fail(breaker: &CircuitBreaker, now: Instant) {
    breaker.try_acquire(now).unwrap().failure(now);
}

/// Open since 0, to be probed from 1,000 ms on.
fn open(config: CircuitBreakerConfig) -> CircuitBreaker {
    let failure_threshold = Some(1);
    let breaker = breaker(CircuitBreakerConfig { failure_threshold, ..config });
    fail(&breaker, at(0));
    breaker
}

fn run<F: IntoFuture>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future.into_future())
}

#[test]
fn long_health_does_not_delay_the_opening() {
    for (config, needed) in [
        (windowed(100), 50),
        (CircuitBreakerConfig::default(), 5),
        (CircuitBreakerConfig { minimum_calls: 5, ..windowed(100) }, 50),
    ] {
        for before in [1_000, 100_000] {
            let breaker = breaker(config.clone());
            for _ in 0..before {
                breaker.try_acquire(at(0)).unwrap().success(at(0));
            }
            let mut failures = 0;
            while breaker.state() == State::Closed {
                fail(&breaker, at(1));
                failures += 1;
            }
            assert_eq!(failures, needed, "after {before} successes");
        }
    }
}

#[test]
fn minimum_calls_means_that_many_calls() {
    for (window, minimum_calls, needed) in [
        (Window::Calls(100), 5, 5),
        (Window::Calls(10), 50, 10),
        (Window::Time(Duration::from_secs(60)), 5, 5),
    ] {
        let config = CircuitBreakerConfig {
            window: Some(window),
            minimum_calls,
            ..CircuitBreakerConfig::default()
        };
        let breaker = breaker(config);
        let failures = (1..).find(|_| {
            fail(&breaker, at(0));
            breaker.state() == State::Open
        });
        assert_eq!(failures, Some(needed));
    }
}

#[test]
fn of_fifty_at_once_as_many_probes_pass_as_may() {
    let breaker = open(CircuitBreakerConfig { half_open_max_calls: 3, ..windowed(10) });
    let breaker = &breaker;
    let barrier = std::sync::Barrier::new(50);
    let admitted: usize = std::thread::scope(|scope| {
        let ask = || {
            barrier.wait();
            breaker.try_acquire(at(1_001)).map(std::mem::forget).is_ok()
        };
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(admitted, 3);
}

#[test]
fn probes_that_are_dropped_hang_or_panic_do_not_wedge_it() {
    let lease = CircuitBreakerConfig { probe_lease: ms(500), ..windowed(10) };
    // Dropped.
    let breaker = open(lease.clone());
    drop(breaker.try_acquire(at(1_001)).unwrap());
    breaker.try_acquire(at(1_001)).unwrap().success(at(1_002));
    assert_eq!(breaker.state(), State::Closed);
    // Hung for ever.
    let breaker = open(lease.clone());
    let hung = breaker.try_acquire(at(1_001)).unwrap();
    assert!(breaker.try_acquire(at(1_002)).is_err());
    breaker.try_acquire(at(1_600)).unwrap().success(at(1_601));
    assert_eq!(breaker.state(), State::Closed);
    drop(hung);
    // Panicked.
    let breaker = Arc::new(open(CircuitBreakerConfig { recovery_timeout: ms(1), ..lease }));
    let pipeline = Pipeline::new("probed", [Policy::CircuitBreaker(breaker.clone())]);
    let call = |panics: bool| {
        let work = |_| if panics { panic!("on purpose") } else { Ok::<_, ()>(()) };
        pipeline.run(&SystemTimer, work).blocking()
    };
    breaker.reset(SystemTimer.now());
    fail(&breaker, SystemTimer.now());
    std::thread::sleep(ms(3));
    assert!(catch_unwind(AssertUnwindSafe(|| call(true))).is_err());
    assert_eq!(breaker.state(), State::Open, "a panic is a failure");
    std::thread::sleep(ms(3));
    assert_eq!(call(false), Ok(()));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn late_results_of_an_older_state_change_nothing() {
    let breaker = breaker(CircuitBreakerConfig { success_threshold: 3, ..windowed(10) });
    let (good, bad): (Vec<_>, Vec<_>) = (0..20)
        .map(|_| breaker.try_acquire(at(0)).unwrap())
        .enumerate()
        .partition(|(n, _)| n % 2 == 0);
    for _ in 0..10 {
        if let Ok(permit) = breaker.try_acquire(at(0)) {
            permit.failure(at(0));
        }
    }
    assert_eq!(breaker.state(), State::Open);
    let probe = breaker.try_acquire(at(1_001)).unwrap();
    for (_, late) in good {
        late.success(at(1_002));
    }
    assert_eq!(breaker.state(), State::HalfOpen, "ten late successes are no probes");
    probe.success(at(1_003));
    for _ in 0..2 {
        breaker.try_acquire(at(1_004)).unwrap().success(at(1_004));
    }
    assert_eq!(breaker.state(), State::Closed);
    for (_, late) in bad {
        late.failure(at(1_005));
    }
    assert_eq!(
        breaker.state(),
        State::Closed,
        "ten late failures belong to the outage that is over"
    );
}

#[test]
fn calls_that_time_out_or_panic_open_it_wherever_the_timeout_stands() {
    let limit = ms(1);
    let timeout = PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() });
    let breaker = PolicyConfig::CircuitBreaker(windowed(100));
    for policies in [vec![timeout.clone(), breaker.clone()], vec![breaker.clone(), timeout]] {
        let pipeline = Pipeline::build("slow", &policies).unwrap();
        let refused = (0..300).any(|_| {
            let hang = |_| pending::<Result<(), ()>>();
            let call = pipeline.run(&SystemTimer, hang);
            matches!(run(call), Err(Error::Rejected(_)))
        });
        assert!(refused, "{policies:?}");
    }
    let pipeline = Pipeline::build("panics", &[breaker]).unwrap();
    for _ in 0..300 {
        let call = || {
            let panics = |_| -> Result<(), ()> { panic!("on purpose") };
            pipeline.run(&SystemTimer, panics).blocking()
        };
        let _ = catch_unwind(AssertUnwindSafe(call));
    }
    assert_eq!(pipeline.circuit_breaker().unwrap().state(), State::Open);
}

/// 60 % are not rounded to 100 %, and the tokens of time really come.
#[test]
fn a_budget_does_what_it_says() {
    let retries = |ratio: f64, min_per_second: f64| {
        let budget = ShareBudget { ratio, min_per_second, max_saved: 10 };
        let config = RetryConfig {
            max_attempts: 2,
            backoff: Backoff { base_delay: ms(1), jitter: Jitter::None, ..Backoff::default() },
            budget: Some(RetryBudget::Share(budget)),
            ..RetryConfig::default()
        };
        let pipeline =
            Pipeline::new("paid", [Policy::Retry(Arc::new(Retry::new(config).unwrap()))]);
        let mut calls = 0;
        for n in 0..1_000 {
            let waker = std::task::Waker::noop();
            let now = at(n * 10);
            let mut execution =
                seawall::Execution::start(&pipeline, Attributes::default(), n, now, waker);
            while let Some(command) = execution.poll_command() {
                if let seawall::Command::Call { id, .. } = command {
                    calls += 1;
                    execution.handle_result(id, Outcome::failure(Class::Transient), now, waker);
                    if let Some(due) = execution.poll_timeout() {
                        execution.handle_wake(due, waker);
                    }
                }
            }
        }
        calls - 1_000
    };
    // Ten were saved up.
    let (by_calls, by_time) = (retries(0.6, 0.0), retries(0.0, 20.0));
    assert!((606..=611).contains(&by_calls), "{by_calls}, not 610");
    // Ten seconds at twenty a second.
    assert!((206..=211).contains(&by_time), "{by_time}, not 210");
}

#[test]
fn a_rate_is_calls_in_a_period_and_an_exact_one_can_be_had() {
    let limit = |rate, per, algorithm| {
        RateLimiter::new(RateLimiterConfig { rate, per, algorithm, ..Default::default() }).unwrap()
    };
    let second = Duration::from_secs(1);
    let fast = limit(4_000, second, Algorithm::TokenBucket);
    let passed = |limiter: &RateLimiter, from: u64, to: u64, step: usize| {
        (from..to)
            .step_by(step)
            .filter(|n| limiter.try_acquire(at(*n), Key::NONE, 1).is_ok())
            .count()
    };
    let burst = (0..10_000).filter(|_| fast.try_acquire(at(0), Key::NONE, 1).is_ok()).count();
    assert_eq!(burst, 4_000, "4,000 a second are not one in 4,000 seconds");
    // Never more than 100 in any minute, also around a boundary.
    let exact = limit(100, 60 * second, Algorithm::SlidingLog);
    assert_eq!(passed(&exact, 55_000, 60_000, 10), 100);
    assert_eq!(passed(&exact, 60_000, 114_990, 10), 0);
}

#[test]
fn a_flood_of_keys_uses_up_no_memory() {
    let config = RateLimiterConfig { keyed: true, max_keys: 1_000, ..Default::default() };
    let limiter = RateLimiter::new(config).unwrap();
    let config = CircuitBreakerConfig { keyed: true, max_keys: 1_000, ..Default::default() };
    let circuits = breaker(config);
    for key in 0..50_000 {
        let key = Key::from_hash(Random::new(key).bits());
        let _ = limiter.try_acquire(at(0), key, 1);
        drop(circuits.try_acquire_for(at(0), key));
    }
    assert!(limiter.keys() <= 1_000);
    assert!(circuits.view(at(0)).keys.unwrap().known <= 1_000);
}

#[test]
fn retry_after_is_followed_and_what_may_not_run_twice_does_not() {
    let config = RetryConfig::default();
    let asked = Failure { retry_after: Some(ms(7_000)), ..Failure::new(Class::Transient) };
    let wait = config.wait(&Outcome::Failure(asked), 1, ms(0), 0.0);
    assert_eq!(wait, Some(ms(7_000)));
    assert!(!config.is_retryable(&Outcome::failure(Class::Transient), false));
}

#[test]
fn an_adaptive_limit_neither_sticks_at_one_nor_loses_updates() {
    let aimd = Aimd { max_latency: ms(10), ..Aimd::default() };
    let config = BulkheadConfig { adaptive: Some(Adaptive::Aimd(aimd)), ..Default::default() };
    let bulkhead = Bulkhead::new(config).unwrap();
    for n in 0..100 {
        bulkhead.record(at(n * 100), ms(11), &Outcome::Success);
    }
    assert_eq!(bulkhead.limit(), 1);
    let _place = bulkhead.try_acquire().unwrap();
    for n in 0..10 {
        bulkhead.record(at(20_000 + n), ms(1), &Outcome::Success);
    }
    assert_eq!(bulkhead.limit(), 3, "it grows while half of it is in use, and no further");
    let places: Vec<_> = (0..9).map_while(|_| bulkhead.try_acquire().ok()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    bulkhead.record(at(30_000), ms(1), &Outcome::Success);
                }
            });
        }
    });
    assert_eq!(bulkhead.limit(), 7, "three in use carry it so far");
    drop(places);
}

/// Every answer can be matched, without a wildcard and without a downcast; and an operation may borrow mutably.
#[test]
fn errors_are_exhaustive_and_operations_may_change_what_they_borrow() {
    let pipeline =
        Pipeline::build("counted", &[PolicyConfig::Retry(RetryConfig::default())]).unwrap();
    let mut calls = Vec::new();
    let answer = pipeline
        .run(&SystemTimer, |attempt| {
            calls.push(attempt.number);
            if calls.len() < 2 { Err("not yet") } else { Ok(calls.len()) }
        })
        .blocking();
    let told = match answer {
        Ok(calls) => calls,
        Err(Error::Inner(_)) => 100,
        Err(Error::TimedOut(_)) => 200,
        Err(Error::Rejected(_)) => 300,
    };
    assert_eq!((told, calls), (2, vec![1, 2]));
}
