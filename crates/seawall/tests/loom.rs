//! Every interleaving of two or three threads (up to the bound of preemptions), under the model checker:
//! `cargo xtask test loom`.
#![cfg(loom)]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use seawall::{
    Adaptive, Aimd, Attributes, Bulkhead, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig,
    Command, Execution, Force, Instant, Key, Mode, Outcome, Pipeline, Policy, RateLimiter,
    RateLimiterConfig, State, Transition, Window,
};
use std::{
    task::{Wake, Waker},
    time::Duration,
};

const NOW: Instant = Instant::from_millis(1_000);
const LATER: Instant = Instant::from_millis(3_000);

fn breaker(threshold: u32) -> CircuitBreakerConfig {
    CircuitBreakerConfig {
        failure_threshold: Some(threshold),
        recovery_timeout: Duration::from_secs(1),
        ..Default::default()
    }
}

fn half_open() -> Arc<CircuitBreaker> {
    let breaker = CircuitBreaker::new(breaker(1)).expect("the configuration is right");
    breaker.try_acquire(NOW).expect("it is closed").failure(NOW);
    Arc::new(breaker)
}

/// Runs the same function on two threads, and gives both results.
fn twice<T: 'static>(run: impl Fn() -> T + Clone + 'static) -> (T, T) {
    let other = thread::spawn(run.clone());
    let one = run();
    (one, other.join().expect("the thread does not panic"))
}

#[test]
fn one_of_two_probes_is_admitted() {
    loom::model(|| {
        let breaker = half_open();
        let shared = breaker.clone();
        let admitted = move || match shared.try_acquire(LATER) {
            Ok(probe) => {
                std::mem::forget(probe);
                1
            }
            Err(_) => 0,
        };
        let (one, other) = twice(admitted);
        assert_eq!(one + other, 1);
        assert_eq!(breaker.state(), State::HalfOpen);
    });
}

#[test]
fn a_circuit_opens_once() {
    loom::model(|| {
        let breaker = Arc::new(CircuitBreaker::new(breaker(2)).expect("right"));
        let shared = breaker.clone();
        let fail = move || shared.try_acquire(NOW).ok().and_then(|permit| permit.failure(NOW));
        let (one, other) = twice(fail);
        let opened = [one, other].into_iter().flatten().collect::<Vec<Transition>>();
        assert_eq!(opened.len(), 1);
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_window_opens_once_and_counts_every_call() {
    loom::model(|| {
        let config = CircuitBreakerConfig {
            window: Some(Window::Calls(2)),
            failure_ratio: 1.0,
            minimum_calls: 2,
            ..CircuitBreakerConfig::default()
        };
        let breaker = Arc::new(CircuitBreaker::new(config).expect("right"));
        let shared = breaker.clone();
        let fail = move || shared.try_acquire(NOW).ok().and_then(|permit| permit.failure(NOW));
        let (one, other) = twice(fail);
        let opened = [one, other].into_iter().flatten().count();
        assert_eq!(opened, 1);
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_dropped_probe_gives_its_place_to_another() {
    loom::model(|| {
        let breaker = half_open();
        let probe = breaker.try_acquire(LATER).expect("the recovery time is over");
        let shared = breaker.clone();
        let other = thread::spawn(move || {
            // It finds the place taken or free; taken or not, it gives back what it takes.
            drop(shared.try_acquire(LATER));
        });
        drop(probe);
        other.join().expect("the thread does not panic");
        assert!(breaker.try_acquire(LATER).is_ok(), "the place is gone");
    });
}

#[test]
fn a_late_result_does_not_touch_a_newer_state() {
    loom::model(|| {
        let breaker = half_open();
        let shared = breaker.clone();
        let old = breaker.try_acquire(LATER).expect("the recovery time is over");
        let reset = thread::spawn(move || {
            shared.reset(LATER);
        });
        old.failure(LATER);
        reset.join().expect("the thread does not panic");
        // Whichever came first, the operator's word stands.
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.view(LATER).failure_count, 0);
    });
}

#[test]
fn a_limit_is_not_exceeded() {
    loom::model(|| {
        let config = RateLimiterConfig { rate: 2, burst: 0, ..Default::default() };
        let limiter = Arc::new(RateLimiter::new(config).expect("right"));
        let passed = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (limiter, passed) = (limiter.clone(), passed.clone());
                thread::spawn(move || {
                    if limiter.try_acquire(NOW, Key::NONE, 1).is_ok() {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("the thread does not panic");
        }
        assert_eq!(passed.load(Ordering::Relaxed), 2);
    });
}

fn bulkhead(max_concurrent: u32, max_queued: u32) -> std::sync::Arc<Bulkhead> {
    let config = BulkheadConfig { max_concurrent, max_queued, ..Default::default() };
    std::sync::Arc::new(Bulkhead::new(config).expect("right"))
}

#[test]
fn places_are_never_more_than_there_are() {
    loom::model(|| {
        let bulkhead = bulkhead(1, 0);
        let inside = Arc::new(AtomicUsize::new(0));
        let shared = bulkhead.clone();
        let enter = move || {
            if let Ok(place) = shared.try_acquire() {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are inside");
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(place);
            }
        };
        twice(enter);
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    });
}

struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn begins(execution: &mut Execution<std::sync::Arc<Pipeline>>) -> bool {
    matches!(execution.poll_command(), Some(Command::Call { .. }))
}

#[test]
fn a_freed_place_reaches_who_waits() {
    loom::model(|| {
        let bulkhead = bulkhead(1, 1);
        let pipeline =
            std::sync::Arc::new(Pipeline::new("loom", [Policy::Bulkhead(bulkhead.clone())]));
        let place = bulkhead.try_acquire().expect("it is empty");
        let waiter = {
            let pipeline = pipeline.clone();
            thread::spawn(move || {
                let counted = std::sync::Arc::new(Counted(AtomicUsize::new(0)));
                let waker = Waker::from(counted.clone());
                let attributes = Attributes::default();
                let execution = Execution::start(pipeline, attributes, 0, NOW, &waker);
                (execution, counted, waker)
            })
        };
        drop(place);
        let (mut execution, counted, waker) = waiter.join().expect("the thread does not panic");
        if !begins(&mut execution) {
            assert_eq!(counted.0.load(Ordering::SeqCst), 1, "nobody woke who waits");
            execution.handle_wake(NOW, &waker);
            assert!(begins(&mut execution), "it was woken for nothing");
        }
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (1, 0));
        drop(execution);
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    });
}

#[test]
fn a_caller_who_leaves_the_queue_takes_no_place_along() {
    loom::model(|| {
        let bulkhead = bulkhead(1, 1);
        let pipeline =
            std::sync::Arc::new(Pipeline::new("loom", [Policy::Bulkhead(bulkhead.clone())]));
        let place = bulkhead.try_acquire().expect("it is empty");
        let execution = Execution::start(pipeline, Attributes::default(), 0, NOW, Waker::noop());
        assert_eq!(bulkhead.queued(), 1);
        // The place is handed over while its taker goes away.
        let leaver = thread::spawn(move || drop(execution));
        drop(place);
        leaver.join().expect("the thread does not panic");
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
        assert!(bulkhead.try_acquire().is_ok());
    });
}

#[test]
fn a_place_is_free_before_the_answer_is_out() {
    loom::model(|| {
        let bulkhead = bulkhead(1, 0);
        let pipeline =
            std::sync::Arc::new(Pipeline::new("loom", [Policy::Bulkhead(bulkhead.clone())]));
        let run = move || {
            let pipeline = pipeline.clone();
            let mut execution =
                Execution::start(pipeline, Attributes::default(), 0, NOW, Waker::noop());
            match execution.poll_command() {
                Some(Command::Call { id, .. }) => {
                    execution.handle_result(id, Outcome::Success, NOW, Waker::noop());
                    1
                }
                _ => 0,
            }
        };
        let (one, other) = twice(run);
        assert!(one + other >= 1, "both were refused, and nobody was inside");
        assert_eq!(bulkhead.in_use(), 0);
    });
}

#[test]
fn waiting_callers_enter_when_the_limit_rises_while_a_place_is_freed() {
    loom::model(|| {
        let aimd = Aimd { initial_limit: 1, ..Aimd::default() };
        let config = BulkheadConfig {
            max_concurrent: 2,
            max_queued: 2,
            adaptive: Some(Adaptive::Aimd(aimd)),
            ..BulkheadConfig::default()
        };
        let bulkhead = std::sync::Arc::new(Bulkhead::new(config).expect("right"));
        let policy = Policy::Bulkhead(bulkhead.clone());
        let pipeline = std::sync::Arc::new(Pipeline::new("loom", [policy]));
        let start =
            || Execution::start(pipeline.clone(), Attributes::default(), 0, NOW, Waker::noop());
        let first = start();
        let waiting = start();
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (1, 1));
        let shared = bulkhead.clone();
        let grows = thread::spawn(move || shared.record(NOW, Duration::ZERO, &Outcome::Success));
        drop(first);
        grows.join().expect("the thread does not panic");
        assert_eq!(
            (bulkhead.in_use(), bulkhead.queued()),
            (1, 0),
            "somebody waits beside a free place"
        );
        drop(waiting);
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    });
}

#[test]
fn a_forced_state_holds_whichever_call_ends() {
    loom::model(|| {
        let breaker = half_open();
        let probe = breaker.try_acquire(LATER).expect("the recovery time is over");
        let shared = breaker.clone();
        let operator = thread::spawn(move || _ = shared.force(LATER, Force::Open, "loom", None));
        probe.success(LATER);
        operator.join().expect("the thread does not panic");
        assert_eq!(breaker.state(), State::ForcedOpen);
        assert!(breaker.try_acquire(LATER).is_err());
    });
}

#[test]
fn a_mode_that_is_switched_loses_no_other_switch() {
    loom::model(|| {
        let bulkhead = bulkhead(1, 0);
        let pipeline = std::sync::Arc::new(Pipeline::new("loom", [Policy::Bulkhead(bulkhead)]));
        let shared = pipeline.clone();
        let pauses = thread::spawn(move || shared.pause_repeats(true));
        pipeline.set_mode("bulkhead", Mode::Shadow);
        pauses.join().expect("the thread does not panic");
        assert!(pipeline.repeats_are_paused());
        assert_eq!(pipeline.mode(0), Mode::Shadow);
    });
}
