//! Tests of which faults are injected, how often, and when.

use super::*;
use crate::{
    event::State,
    policies::{
        PolicyConfig, circuit_breaker::CircuitBreakerConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    testing::{Bench, ms},
};

fn chaos(config: ChaosConfig) -> PolicyConfig {
    PolicyConfig::Chaos(config)
}

#[test]
fn it_is_off_unless_enabled() {
    let config = ChaosConfig { error_share: 1.0, ..Default::default() };
    let mut bench = Bench::new([chaos(config.clone())]);
    assert_eq!(bench.run(|_| (ms(1), Outcome::Success)).outcome, Outcome::Success);
    let mut bench = Bench::new([chaos(ChaosConfig { enabled: true, ..config })]);
    let ran = bench.run(|_| (ms(1), Outcome::Success));
    assert_eq!((ran.outcome, ran.calls.len()), (Outcome::failure(Class::Transient), 0));
    assert!(bench.heard(false).contains(&Kind::FaultInjected(Fault::Error)));
}

#[test]
fn each_share_is_what_it_says() {
    let mut bench = Bench::new([chaos(ChaosConfig {
        enabled: true,
        error_share: 0.2,
        hang_share: 0.1,
        hang_for: ms(5_000),
        latency_share: 0.5,
        min_latency: ms(100),
        max_latency: ms(300),
        ..Default::default()
    })]);
    let (mut failed, mut hung, mut late) = (0, 0, Vec::new());
    for _ in 0..10_000 {
        let ran = bench.run(|_| (ms(1), Outcome::Success));
        match ran.outcome {
            Outcome::Success if ran.took > ms(1) => late.push(ran.took - ms(1)),
            Outcome::Success => {}
            Outcome::TimedOut { limit } => {
                assert_eq!((limit, ran.took), (ms(5_000), ms(5_000)));
                hung += 1;
            }
            _ => failed += 1,
        }
    }
    let near = |found: usize, expected: f64| (found as f64 / expected - 1.0).abs() < 0.1;
    assert!(near(failed, 2_000.0) && near(hung, 1_000.0) && near(late.len(), 3_500.0));
    assert!(late.iter().all(|length| (ms(100)..=ms(300)).contains(length)));
    let mean = late.iter().sum::<Duration>() / late.len() as u32;
    assert!((ms(190)..=ms(210)).contains(&mean), "{mean:?}");
}

#[test]
fn a_schedule_turns_it_on_and_off() {
    let second = Duration::from_secs;
    let once = Schedule { after: second(10), lasts: second(5), every: None };
    let again = Schedule { every: Some(second(20)), ..once.clone() };
    for (at, by_once, by_again) in [
        (0, false, false),
        (9, false, false),
        (10, true, true),
        (14, true, true),
        (15, false, false),
        (29, false, false),
        (30, false, true),
        (35, false, false),
        (51, false, true),
    ] {
        assert_eq!((once.is_on(second(at)), again.is_on(second(at))), (by_once, by_again), "{at}");
    }
    let config =
        ChaosConfig { enabled: true, error_share: 1.0, schedule: Some(once), ..Default::default() };
    let mut bench = Bench::new([chaos(config)]);
    let fails: Vec<bool> = (0..20)
        .map(|_| {
            let ran = bench.run(|_| (Duration::ZERO, Outcome::Success));
            bench.now = bench.now + second(1);
            ran.outcome != Outcome::Success
        })
        .collect();
    assert_eq!(fails.iter().position(|failed| *failed), Some(10));
    assert_eq!(fails.iter().filter(|failed| **failed).count(), 5);
}

#[test]
fn policies_outside_take_an_injected_fault_for_real() {
    let breaker = CircuitBreakerConfig { failure_threshold: Some(4), ..Default::default() };
    let hang = ChaosConfig { enabled: true, hang_share: 1.0, ..Default::default() };
    let mut bench = Bench::new([
        PolicyConfig::CircuitBreaker(breaker),
        PolicyConfig::Retry(RetryConfig { max_attempts: 2, ..Default::default() }),
        PolicyConfig::Timeout(TimeoutConfig { limit: ms(50), ..Default::default() }),
        chaos(hang),
    ]);
    for _ in 0..4 {
        let ran = bench.run(|_| (ms(1), Outcome::Success));
        assert_eq!(ran.outcome, Outcome::TimedOut { limit: ms(50) });
    }
    let breaker = bench.pipeline.circuit_breaker().unwrap();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn bounds_are_named() {
    let wrong = ChaosConfig {
        error_share: 0.6,
        hang_share: 0.6,
        latency_share: 2.0,
        hang_for: Duration::ZERO,
        min_latency: ms(10),
        max_latency: ms(5),
        schedule: Some(Schedule { lasts: Duration::ZERO, ..Schedule::default() }),
        ..Default::default()
    };
    let told = Chaos::new(wrong).unwrap_err().to_string();
    for field in ["hang_share", "latency_share", "hang_for", "min_latency", "schedule.lasts"] {
        assert!(told.contains(field), "{field} is not in: {told}");
    }
}
