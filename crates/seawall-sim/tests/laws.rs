//! Published laws of overload, replayed by the policies as they are. Where a paper gives no figures, the model and
//! the tolerances are those of independent simulations of the same set-up.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{
    Backoff, BulkheadConfig, CircuitBreakerConfig, ControlledDelay, Growth, Jitter, PolicyConfig,
    QueueOrder, RetryBudget, RetryConfig, ShareBudget, TimeoutConfig, Window,
};
use seawall_sim::{Arrivals, Load, Phase, Report, Scenario, run};
use std::time::Duration;

const SEEDS: u64 = 10;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Bronson and others (*Metastable Failures in Distributed Systems*, 2021): ten workers of 100 ms each; for five
/// seconds nothing is served; then the retries alone keep it from coming back. Late answers are still served.
fn metastable(seed: u64, rate: f64, policies: Vec<PolicyConfig>) -> Report {
    let phase = |at, workers| Phase {
        at: second(at),
        latency: ms(100),
        exponential: true,
        workers: Some(workers),
        ..Phase::default()
    };
    let scenario = Scenario {
        seed,
        duration: second(240),
        policies,
        load: Load { rate, arrivals: Arrivals::Poisson, ..Load::default() },
        dependency: vec![phase(0, 10), phase(30, 0), phase(35, 10)],
        ..Scenario::default()
    };
    run(&scenario).unwrap()
}

fn retry(jitter: bool, budget: Option<RetryBudget>) -> PolicyConfig {
    let (growth, jitter) =
        if jitter { (Growth::Exponential, Jitter::Full) } else { (Growth::Constant, Jitter::None) };
    PolicyConfig::Retry(RetryConfig {
        max_attempts: 3,
        backoff: Backoff {
            growth,
            jitter,
            base_delay: if jitter == Jitter::None { ms(0) } else { ms(200) },
            max_delay: second(10),
            ..Backoff::default()
        },
        budget,
        ..RetryConfig::default()
    })
}

fn timeout() -> PolicyConfig {
    PolicyConfig::Timeout(TimeoutConfig { limit: second(1), ..Default::default() })
}

/// Goodput in the last part of the run as a share of the demand, and attempts for each execution there.
fn after_all(report: &Report) -> (f64, f64) {
    let late = &report.seconds[205..235];
    let sum = |of: fn(&seawall_sim::Second) -> u64| late.iter().map(of).sum::<u64>() as f64;
    let executions = sum(|second| second.executions);
    (sum(|second| second.successes) / executions, sum(|second| second.calls) / executions)
}

/// Seconds after the trigger until goodput is whole for good, to a second.
fn recovery(report: &Report) -> usize {
    let bad =
        |second: &seawall_sim::Second| (second.successes as f64) < 0.8 * second.executions as f64;
    report.seconds[35..235].iter().rposition(bad).map_or(0, |at| at + 1)
}

#[test]
fn retries_alone_keep_an_overload_up_for_ever() {
    for seed in 0..SEEDS {
        for jitter in [false, true] {
            let (goodput, attempts) =
                after_all(&metastable(seed, 80.0, vec![retry(jitter, None), timeout()]));
            assert!(goodput < 0.05, "seed {seed}: it recovered: {goodput}");
            assert!((attempts / 3.0 - 1.0).abs() < 0.05, "seed {seed}: {attempts} attempts");
        }
        // Below a third of the capacity three attempts fit in.
        let (goodput, _) = after_all(&metastable(seed, 30.0, vec![retry(false, None), timeout()]));
        assert!(goodput > 0.95, "seed {seed}: {goodput}");
    }
}

#[test]
fn a_budget_lets_it_recover() {
    let budget = ShareBudget { ratio: 0.1, min_per_second: 0.0, max_saved: 10 };
    let budget = Some(RetryBudget::Share(budget));
    let mut sum = 0;
    for seed in 0..SEEDS {
        let report = metastable(seed, 80.0, vec![retry(false, budget.clone()), timeout()]);
        let (goodput, attempts) = after_all(&report);
        assert!(goodput > 0.95 && attempts < 1.05, "seed {seed}: {goodput}, {attempts} attempts");
        sum += recovery(&report);
    }
    let mean = sum as f64 / SEEDS as f64;
    assert!((20.0..=50.0).contains(&mean), "{mean} s, published 24 to 46");
}

#[test]
fn a_breaker_lets_it_recover_too() {
    let breaker = CircuitBreakerConfig {
        window: Some(Window::Time(second(10))),
        minimum_calls: 20,
        failure_ratio: 0.5,
        recovery_timeout: second(5),
        half_open_max_calls: 5,
        success_threshold: 5,
        ..CircuitBreakerConfig::default()
    };
    let breaker = PolicyConfig::CircuitBreaker(breaker);
    let mut sum = 0;
    for seed in 0..SEEDS {
        let report = metastable(seed, 80.0, vec![retry(true, None), breaker.clone(), timeout()]);
        let (goodput, _) = after_all(&report);
        assert!(goodput > 0.95, "seed {seed}: {goodput}");
        sum += recovery(&report);
    }
    let mean = sum as f64 / SEEDS as f64;
    assert!((8.0..=24.0).contains(&mean), "{mean} s, published 12 to 18");
}

/// Maurer (*Fail at Scale*, 2015): one server, 120 % load; what is done within 100 ms of its arrival is good.
fn queue(
    seed: u64,
    rate: f64,
    order: QueueOrder,
    controlled_delay: Option<ControlledDelay>,
) -> f64 {
    let bulkhead = BulkheadConfig {
        max_concurrent: 1,
        max_queued: 10_000,
        max_wait: second(60),
        order,
        controlled_delay,
        ..BulkheadConfig::default()
    };
    let load =
        Load { rate, arrivals: Arrivals::Poisson, useful_within: Some(ms(100)), ..Load::default() };
    let scenario = Scenario {
        seed,
        duration: second(30),
        policies: vec![PolicyConfig::Bulkhead(bulkhead)],
        load,
        dependency: vec![Phase { latency: ms(1), exponential: true, ..Phase::default() }],
        ..Scenario::default()
    };
    let report = run(&scenario).unwrap();
    let late = &report.seconds[10..30];
    late.iter().map(|second| second.useful).sum::<u64>() as f64 / 20.0
}

fn mean(run: impl Fn(u64) -> f64) -> f64 {
    (0..SEEDS).map(run).sum::<f64>() / SEEDS as f64
}

#[test]
fn a_queue_in_overload_keeps_its_goodput_by_controlled_delay_or_newest_first() {
    let delay = Some(ControlledDelay::default());
    for (name, order, delay, published) in [
        ("controlled delay", QueueOrder::Fifo, delay.clone(), 0.9723),
        ("newest first", QueueOrder::AdaptiveLifo, None, 0.9918),
        ("both", QueueOrder::AdaptiveLifo, delay, 0.9652),
    ] {
        let share = mean(|seed| queue(seed, 1_200.0, order, delay.clone())) / 1_000.0;
        assert!((share / published - 1.0).abs() < 0.03, "{name}: {share}, published {published}");
        assert!(share >= 0.95, "{name}: {share}");
        let calm = mean(|seed| queue(seed, 800.0, order, delay.clone())) / 800.0;
        assert!(calm >= 0.98, "{name}: {calm} of a load that fits");
    }
    let plain = mean(|seed| queue(seed, 1_200.0, QueueOrder::Fifo, None)) / 1_000.0;
    assert!(plain < 0.01, "first come, first served keeps {plain}");
}
