//! Limiters, adaptive limits, shares and the throttle.

use crate::{Case, Held, as_ms, at, expect, ms, number};
use seawall::{
    Adaptive, Aimd, Algorithm, Attributes, Bulkhead, BulkheadConfig, Command, Execution, Key,
    Outcome, Pipeline, Policy, Priority, RateLimiter, RateLimiterConfig, ThrottleConfig,
};
use serde_json::Value;
use std::{sync::Arc, task::Waker, time::Duration};

fn config(case: &Case) -> RateLimiterConfig {
    let n = |field: &str| number(&case.config, field);
    let base = RateLimiterConfig::default();
    let bucket = |rate: f64, per: f64, burst: f64| RateLimiterConfig {
        rate: rate as u32,
        per: ms(per),
        burst: burst as u32,
        ..base.clone()
    };
    match case.dialect.as_str() {
        "r4j_cycle" => RateLimiterConfig {
            rate: n("limit").unwrap() as u32,
            per: ms(n("period").unwrap()),
            algorithm: Algorithm::FixedWindow,
            max_wait: n("timeout").filter(|wait| *wait > 0.0).map(ms),
            ..base
        },
        "failsafe_bursty" => bucket(n("permits").unwrap(), n("period").unwrap(), 0.0),
        "failsafe_smooth" => bucket(1.0, n("interval").unwrap(), 0.0),
        "token_bucket" => {
            let (capacity, rate) = (n("capacity").unwrap(), n("rate").unwrap());
            bucket(rate, 1_000.0, capacity - rate)
        }
        "timer_bucket" => {
            let (most, fill) = (n("max_tokens").unwrap(), n("tokens_per_fill").unwrap());
            bucket(fill, n("fill_interval").unwrap(), most - fill)
        }
        "sentinel_leaky" => bucket(n("rate").unwrap(), 1_000.0, 0.0),
        _ => bucket(n("count").unwrap(), 1_000.0, 0.0),
    }
}

/// How long a call waits in milliseconds, -1 for ever.
fn wait(limiter: &RateLimiter, now: f64, cost: u32, most: Duration) -> f64 {
    limiter.reserve(at(now), Key::NONE, cost, most).map_or(-1.0, |turn| as_ms(turn.wait).round())
}

pub(crate) fn replay(case: &Case) -> Held {
    let limiter = RateLimiter::new(config(case)).map_err(|error| error.to_string())?;
    for step in &case.steps {
        let (now, cost) = (number(step, "at").unwrap(), number(step, "n").unwrap_or(1.0) as u32);
        let expected = &step["expect"];
        if step["op"] == "change_limit" {
            return Err("a limit is not changed in place".into());
        }
        let waits = expected.get("wait").is_some();
        let most = number(&case.config, "timeout").map_or(Duration::from_secs(3_600), ms);
        for _ in 0..step.get("repeat").and_then(Value::as_u64).unwrap_or(1) {
            if waits && case.steps.iter().all(|step| step["repeat"].is_null()) {
                expect(step, "wait", number(expected, "wait"), wait(&limiter, now, cost, most))?;
            } else if waits {
                let seen = wait(&limiter, now, cost, most);
                let last = limiter.quota(at(now), Key::NONE).remaining == 0 && seen > 0.0;
                expect(
                    step,
                    "wait",
                    number(expected, "wait").filter(|_| last || step["repeat"].is_null()),
                    seen,
                )?;
            } else if step["partial"] == true {
                let granted = (0..cost)
                    .filter(|_| limiter.try_acquire(at(now), Key::NONE, 1).is_ok())
                    .count();
                expect(step, "granted", number(expected, "granted"), granted as f64)?;
            } else {
                let passed = limiter.try_acquire(at(now), Key::NONE, cost).is_ok();
                expect(
                    step,
                    "permitted",
                    expected.get("permitted").and_then(Value::as_bool),
                    passed,
                )?;
                let granted = if passed { f64::from(cost) } else { 0.0 };
                expect(step, "granted", number(expected, "granted"), granted)?;
            }
        }
        let available = number(expected, "available").filter(|available| *available >= 0.0);
        let remaining = limiter.quota(at(now), Key::NONE).remaining as f64;
        expect(step, "available", available, remaining)?;
        // Asked last: a call that would pass takes nothing where it is only looked at.
        if let Some(next) = number(expected, "next_token_ms") {
            let seen = match remaining {
                0.0 => {
                    limiter.try_acquire(at(now), Key::NONE, 1).unwrap_err().retry_after.map(as_ms)
                }
                _ => Some(0.0),
            };
            expect(step, "next_token_ms", Some(Some(next)), seen.map(|wait| (wait - 1e-3).ceil()))?;
        }
    }
    Ok(())
}

pub(crate) fn aimd(case: &Case) -> Held {
    let initial = number(&case.config, "initial").unwrap() as u32;
    let config = BulkheadConfig {
        max_concurrent: 200,
        adaptive: Some(Adaptive::Aimd(Aimd {
            initial_limit: initial,
            min_limit: 20,
            max_latency: ms(5_000.0),
            backoff_ratio: 0.9,
        })),
        ..BulkheadConfig::default()
    };
    let bulkhead = Bulkhead::new(config).map_err(|error| error.to_string())?;
    for (n, step) in case.steps.iter().enumerate() {
        let inside = number(step, "inflight").unwrap() as usize;
        let places: Vec<_> = (0..inside).map(|_| bulkhead.try_acquire().unwrap()).collect();
        let took = ms(number(step, "rtt").unwrap());
        let outcome =
            if step["drop"] == true { Outcome::TimedOut { limit: took } } else { Outcome::Success };
        bulkhead.record(at(10_000.0 * (n + 1) as f64), took, &outcome);
        drop(places);
        let limit = u64::from(bulkhead.limit());
        expect(step, "limit", step["expect"]["limit"].as_u64(), limit)?;
    }
    Ok(())
}

pub(crate) fn partitioned(case: &Case) -> Held {
    let config = BulkheadConfig {
        max_concurrent: number(&case.config, "limit").unwrap() as u32,
        background_share: number(&case.config["partitions"], "batch").unwrap(),
        ..BulkheadConfig::default()
    };
    let policy =
        Policy::Bulkhead(Arc::new(Bulkhead::new(config).map_err(|error| error.to_string())?));
    let pipeline = Arc::new(Pipeline::new("shares", [policy]));
    let mut inside = Vec::new();
    for step in &case.steps {
        let batch = step["partition"] == "batch";
        let priority = if batch { Priority::Background } else { Priority::Normal };
        for _ in 0..step.get("repeat").and_then(Value::as_u64).unwrap_or(1) {
            let attributes = Attributes { priority, ..Attributes::default() };
            let waker = Waker::noop();
            let mut execution = Execution::start(pipeline.clone(), attributes, 1, at(0.0), waker);
            let passed = matches!(execution.poll_command(), Some(Command::Call { .. }));
            inside.push(execution);
            expect(step, "permitted", step["expect"]["permitted"].as_bool(), passed)?;
        }
    }
    Ok(())
}

pub(crate) fn reject_probability(case: &Case) -> Held {
    let n = |field: &str| number(&case.config, field).unwrap();
    let config = ThrottleConfig {
        k: 1.0 / n("success_threshold"),
        max_share: n("max_rejection"),
        ..ThrottleConfig::default()
    };
    for step in &case.steps {
        let count = |field: &str| number(step, field).unwrap() as u32;
        let wanted = number(&step["expect"], "probability").unwrap();
        let seen = config.share(count("total"), count("success"));
        if (seen - wanted).abs() > 1e-9 {
            return Err(format!("{step}: {seen}"));
        }
    }
    Ok(())
}
