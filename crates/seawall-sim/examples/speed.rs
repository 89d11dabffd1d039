//! Measures how many events a second the simulator takes, on one core: five policies, 20,000 calls a second, an
//! outage.
//!
//! `cargo run --release -p seawall-sim --example speed`

use seawall::{
    BulkheadConfig, CircuitBreakerConfig, PolicyConfig, RateLimiterConfig, RetryConfig,
    TimeoutConfig,
};
use seawall_sim::{Load, Phase, Scenario, run};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scenario = Scenario {
        duration: Duration::from_secs(60),
        policies: vec![
            PolicyConfig::RateLimiter(RateLimiterConfig { rate: 50_000, ..Default::default() }),
            PolicyConfig::CircuitBreaker(CircuitBreakerConfig {
                recovery_timeout: Duration::from_secs(1),
                ..Default::default()
            }),
            PolicyConfig::Retry(RetryConfig::default()),
            PolicyConfig::Bulkhead(BulkheadConfig { max_concurrent: 10_000, ..Default::default() }),
            PolicyConfig::Timeout(TimeoutConfig {
                limit: Duration::from_secs(1),
                ..Default::default()
            }),
        ],
        load: Load { rate: 20_000.0, ..Load::default() },
        dependency: vec![
            Phase::default(),
            Phase { at: Duration::from_secs(20), failures: 0.5, ..Phase::default() },
            Phase { at: Duration::from_secs(30), ..Phase::default() },
        ],
        ..Scenario::default()
    };
    let began = Instant::now();
    let report = run(&scenario)?;
    let took = began.elapsed().as_secs_f64();
    println!(
        "{} events in {took:.2} s: {:.2} million a second; {} executions, {} calls",
        report.events,
        report.events as f64 / took / 1e6,
        report.executions,
        report.calls
    );
    Ok(())
}
