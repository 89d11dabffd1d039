//! Policies that act, watch or rest, switched while calls pass; and the brake.

use super::*;
use crate::{
    event::{State, Withheld},
    outcome::Class,
    policies::{Policy, PolicyConfig},
    policies::{
        bulkhead::BulkheadConfig, circuit_breaker::CircuitBreakerConfig, fallback::FallbackConfig,
        rate_limiter::RateLimiterConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
    testing::{Bench, ms},
};

const FAILED: Outcome = Outcome::failure(Class::Transient);

/// One of each kind that would act on a slow failure.
fn all(mode: Mode) -> Vec<PolicyConfig> {
    [
        PolicyConfig::Fallback(FallbackConfig::default()),
        PolicyConfig::RateLimiter(RateLimiterConfig { rate: 1, ..Default::default() }),
        PolicyConfig::CircuitBreaker(CircuitBreakerConfig {
            failure_threshold: Some(1),
            ..Default::default()
        }),
        PolicyConfig::Retry(RetryConfig::default()),
        PolicyConfig::Bulkhead(BulkheadConfig::default()),
        PolicyConfig::Timeout(TimeoutConfig { limit: ms(20), ..Default::default() }),
    ]
    .map(|config| config.with_mode(mode))
    .into()
}

#[test]
fn a_policy_that_is_off_does_not_stand_there() {
    let mut bench = Bench::new(all(Mode::Off));
    let attributes = Attributes { fallbacks: 1, ..Attributes::default() };
    for _ in 0..5 {
        let ran = bench.run_with(attributes, |_| (ms(100), FAILED));
        assert_eq!((ran.outcome, ran.took, ran.calls.len()), (FAILED, ms(100), 1));
    }
    let breaker = bench.pipeline.circuit_breaker().unwrap();
    assert_eq!(breaker.view(bench.now).last_failure, None);
}

#[test]
fn a_policy_in_shadow_decides_and_never_acts() {
    let mut bench = Bench::new(all(Mode::Shadow));
    let attributes = Attributes { fallbacks: 1, ..Attributes::default() };
    let ran = bench.run_with(attributes, |_| (ms(100), FAILED));
    assert_eq!((ran.outcome, ran.took, ran.calls.len()), (FAILED, ms(100), 1));
    let told: Vec<_> = bench.heard(true).iter().map(Kind::label).collect();
    // In shadow the timeout would have cut the call off; it did not, so the call failed by itself.
    assert_eq!(told, ["timed_out", "retry_scheduled", "circuit_changed", "fell_back"]);
    assert_eq!(bench.pipeline.circuit_breaker().unwrap().state(), State::Open);
    // Now the limiter and the open circuit would refuse.
    let ran = bench.run(|_| (ms(10), Outcome::Success));
    assert_eq!((ran.outcome, ran.calls.len()), (Outcome::Success, 1));
    let told: Vec<_> = bench.heard(true).iter().map(Kind::label).collect();
    assert_eq!(told, ["rejected", "rejected"]);
    let loud: Vec<_> = bench.heard(false).iter().map(Kind::label).collect();
    assert!(!loud.contains(&"rejected") && !loud.contains(&"timed_out"), "{loud:?}");
}

#[test]
fn a_full_bulkhead_in_shadow_keeps_no_place_in_its_queue() {
    let config = BulkheadConfig { max_concurrent: 1, max_queued: 5, ..Default::default() };
    let bulkhead = Arc::new(crate::policies::bulkhead::Bulkhead::new(config).unwrap());
    let mut bench = Bench::with([Policy::Bulkhead(bulkhead.clone())]);
    bench.pipeline.set_mode("bulkhead", Mode::Shadow);
    let held = bulkhead.try_acquire().unwrap();
    assert_eq!(bench.run(|_| (ms(10), Outcome::Success)).outcome, Outcome::Success);
    assert_eq!(bench.heard(true), [Kind::Queued { policy: "bulkhead" }]);
    assert_eq!((bulkhead.queued(), bulkhead.in_use()), (0, 1));
    drop(held);
    bench.run(|_| (ms(10), Outcome::Success));
    assert_eq!(bulkhead.in_use(), 0);
}

#[test]
fn policies_inside_of_a_shadow_act_as_usual() {
    let mut bench = Bench::new([
        PolicyConfig::Timeout(TimeoutConfig { limit: ms(5), ..Default::default() })
            .with_mode(Mode::Shadow),
        PolicyConfig::Retry(RetryConfig::default()),
    ]);
    let ran = bench.run(|n| (ms(10), if n < 2 { FAILED } else { Outcome::Success }));
    assert_eq!((ran.outcome, ran.calls.len()), (Outcome::Success, 3));
}

#[test]
fn modes_change_for_calls_from_then_on() {
    let mut bench =
        Bench::new([PolicyConfig::Timeout(TimeoutConfig { limit: ms(20), ..Default::default() })]);
    let pipeline = bench.pipeline.clone();
    let slow = |_: usize| (ms(100), Outcome::Success);
    assert_eq!(bench.run(slow).took, ms(20));
    assert_eq!(pipeline.set_mode("timeout", Mode::Off), 1);
    assert_eq!(pipeline.set_mode("retry", Mode::Off), 0);
    assert_eq!(bench.run(slow).outcome, Outcome::Success);
    assert_eq!(pipeline.mode(0), Mode::Off);
    pipeline.set_mode("timeout", Mode::Enforce);
    assert_eq!(bench.run(slow).took, ms(20));
}

#[test]
fn the_brake_stops_retries_also_those_under_way() {
    let mut bench =
        Bench::new([PolicyConfig::Retry(RetryConfig { max_attempts: 5, ..Default::default() })]);
    let pipeline = bench.pipeline.clone();
    let ran = bench.run(|n| {
        if n == 1 {
            pipeline.pause_repeats(true);
        }
        (ms(1), FAILED)
    });
    assert_eq!((ran.outcome, ran.calls.len()), (FAILED, 2));
    let paused = Kind::Withheld { policy: "retry", why: Withheld::Paused };
    assert!(bench.heard(false).contains(&paused));
    pipeline.pause_repeats(false);
    assert_eq!(bench.run(|_| (ms(1), FAILED)).calls.len(), 5);
}
