//! Waits, hints, budgets, and how often something is called.

use crate::{Case, Held, as_ms, at, expect, ms, number};
use seawall::{
    Attributes, AwsBudget, Backoff, Class, Command, Execution, Failure, Growth, Instant, Jitter,
    Outcome, Pipeline, Policy, Retry, RetryBudget, RetryConfig, ShareBudget,
};
use serde_json::Value;
use std::{sync::Arc, task::Waker, time::Duration};

fn near(step: &Value, wanted: f64, seen: Duration) -> Held {
    let seen = as_ms(seen);
    if (seen - wanted).abs() < 0.01 { Ok(()) } else { Err(format!("{step}: {seen} ms")) }
}

pub(crate) fn backoff(case: &Case) -> Held {
    let n = |field: &str| number(&case.config, field);
    let growth = match case.config["type"].as_str() {
        Some("constant") => Growth::Constant,
        Some("linear") => Growth::Linear,
        _ => Growth::Exponential,
    };
    let jitter = match case.dialect.as_str() {
        "backoff_polly" if case.config["jitter"] == true => Jitter::Around,
        "backoff_envoy" => Jitter::Full,
        _ if n("jitter_add").is_some() => Jitter::Additive,
        _ => Jitter::None,
    };
    let backoff = Backoff {
        growth,
        base_delay: ms(n("base").unwrap()),
        min_delay: ms(n("min").unwrap_or(0.0)),
        max_delay: ms(n("max").unwrap_or(1e13)),
        jitter,
        jitter_max: ms(n("jitter_add").unwrap_or(0.0)),
        ..Backoff::default()
    };
    for (nth, step) in case.steps.iter().enumerate() {
        let retry = number(step, "retry").unwrap_or(nth as f64) as u32 + 1;
        let delay = |u: f64| backoff.delay(retry, Duration::ZERO, u);
        if let Some(random) = number(step, "random") {
            // The peer takes its draw modulo the wait: the same share of ours.
            let whole = as_ms(Backoff { jitter: Jitter::None, ..backoff.clone() }.delay(
                retry,
                Duration::ZERO,
                0.0,
            ));
            near(step, number(step, "delay").unwrap(), delay((random % whole) / whole))?;
        } else if let Some(range) = step["delay"].as_array() {
            near(step, range[0].as_f64().unwrap(), delay(0.0))?;
            near(step, range[1].as_f64().unwrap(), delay(1.0))?;
        } else if jitter == Jitter::Additive {
            near(step, number(step, "delay").unwrap(), delay(1.0))?;
        } else {
            near(step, number(step, "delay").unwrap(), delay(number(step, "rand").unwrap_or(0.0)))?;
        }
    }
    Ok(())
}

/// Waits that a server asks for.
pub(crate) fn hint(case: &Case) -> Held {
    for step in &case.steps {
        let own = number(step, "computed").unwrap_or(0.0);
        let backoff = Backoff { base_delay: ms(own), jitter: Jitter::None, ..Backoff::default() };
        let most = number(&case.config, "max_interval").unwrap_or(60_000.0);
        let config = RetryConfig { backoff, max_retry_after: ms(most), ..RetryConfig::default() };
        let hint = &step["hint"];
        let asked = hint.as_f64().or_else(|| hint.as_str()?.parse().ok());
        let asked = asked.or(number(&case.config, "interval")).filter(|asked| *asked > 0.0);
        let retry_after = asked.map(ms);
        let outcome = Outcome::Failure(Failure { retry_after, ..Failure::new(Class::Transient) });
        let share = number(step, "random").map_or(0.0, |random| random / 10_000.0);
        let seen = config.wait(&outcome, 1, Duration::ZERO, share);
        match (number(step, "delay"), seen) {
            (Some(wanted), Some(seen)) => near(step, wanted, seen)?,
            (None, None) => {}
            (_, seen) => return Err(format!("{step}: {seen:?}")),
        }
    }
    Ok(())
}

/// One caller after the other under a retry.
pub(crate) struct Caller {
    pub(crate) retry: Arc<Retry>,
    pipeline: Arc<Pipeline>,
    pub(crate) now: Instant,
    execution: Option<Execution>,
    attempts: u32,
}

impl Caller {
    pub(crate) fn new(config: RetryConfig) -> Result<Self, String> {
        let retry = Arc::new(Retry::new(config).map_err(|error| error.to_string())?);
        let pipeline = Arc::new(Pipeline::new("retried", [Policy::Retry(retry.clone())]));
        Ok(Self { retry, pipeline, now: at(0.0), execution: None, attempts: 0 })
    }

    /// The attempt in progress ends like this; whether another one follows.
    pub(crate) fn ends(&mut self, outcome: Outcome) -> bool {
        let waker = Waker::noop();
        let mut execution = match self.execution.take() {
            // Nobody has more attempts than the bound of the configuration.
            Some(execution) if self.attempts < 100 => execution,
            _ => {
                self.attempts = 1;
                let attributes = Attributes::default();
                Execution::start(self.pipeline.clone(), attributes, 1, self.now, waker)
            }
        };
        let Some(Command::Call { id, .. }) = execution.poll_command() else { panic!("it calls") };
        execution.handle_result(id, outcome, self.now, waker);
        let follows = execution.poll_timeout();
        if let Some(due) = follows {
            while execution.poll_command().is_some() {}
            self.now = self.now.max(due);
            execution.handle_wake(self.now, waker);
            self.attempts += 1;
            self.execution = Some(execution);
        }
        follows.is_some()
    }
}

pub(crate) fn quick(max_attempts: u32, budget: Option<RetryBudget>) -> RetryConfig {
    let backoff = Backoff {
        base_delay: Duration::from_nanos(1),
        max_delay: Duration::from_nanos(1),
        ..Backoff::default()
    };
    RetryConfig { max_attempts, backoff, budget, ..RetryConfig::default() }
}

pub(crate) fn quota(case: &Case) -> Held {
    let n = |field: &str| number(&case.config, field).unwrap() as u32;
    let budget = AwsBudget {
        capacity: n("capacity"),
        retry_cost: n("cost"),
        timeout_cost: n("cost_timeout"),
        rate_limit_cost: n("cost_throttle"),
        refill: n("reward"),
    };
    let mut caller = Caller::new(quick(100, Some(RetryBudget::Aws(budget))))?;
    for step in &case.steps {
        let follows =
            caller.ends(match (step["event"].as_str().unwrap(), step["error"].as_str()) {
                ("success", _) => Outcome::Success,
                ("give_up", _) => Outcome::failure(Class::Permanent),
                (_, Some("timeout")) => Outcome::TimedOut { limit: ms(1.0) },
                (_, Some("throttle")) => Outcome::failure(Class::RateLimited),
                _ => Outcome::failure(Class::Transient),
            });
        let expected = &step["expect"];
        expect(step, "allowed", expected.get("allowed").and_then(Value::as_bool), follows)?;
        let left = caller.retry.saved(caller.now).unwrap();
        expect(step, "capacity", number(expected, "capacity"), left)?;
    }
    Ok(())
}

pub(crate) fn share(case: &Case) -> Held {
    let n = |field: &str| number(&case.config, field).unwrap();
    let saved = (n("min_per_sec") * n("ttl_s")).max(1.0);
    let budget = ShareBudget {
        ratio: n("ratio"),
        min_per_second: n("min_per_sec"),
        max_saved: saved as u32,
    };
    let mut caller = Caller::new(quick(2, Some(RetryBudget::Share(budget))))?;
    for step in &case.steps {
        for _ in 0..step.get("n").and_then(Value::as_u64).unwrap_or(1) {
            let follows = caller.ends(Outcome::failure(Class::Transient));
            caller.execution = None;
            let allowed = step["expect"].get("allowed").and_then(Value::as_bool);
            expect(step, "allowed", allowed, follows)?;
        }
    }
    Ok(())
}

pub(crate) fn count(case: &Case) -> Held {
    let most = number(&case.config, "max_attempts").unwrap() as u32;
    for step in &case.steps {
        let mut caller = Caller::new(quick(most, None))?;
        let (mut attempts, mut ok) = (0, false);
        for outcome in step["outcomes"].as_array().unwrap() {
            attempts += 1;
            ok = outcome == "success";
            let follows = caller.ends(match outcome.as_str().unwrap() {
                "success" => Outcome::Success,
                "abort" => Outcome::failure(Class::Permanent),
                _ => Outcome::failure(Class::Transient),
            });
            if !follows {
                break;
            }
        }
        expect(step, "attempts", step["expect"]["attempts"].as_u64(), attempts)?;
        expect(step, "ok", step["expect"]["ok"].as_bool(), ok)?;
    }
    Ok(())
}

/// The number of calls at the bottom of this many layers of retries, when everything fails there.
fn calls(layers: u64, attempts: u32) -> u64 {
    if layers == 0 {
        return 1;
    }
    let mut caller = Caller::new(quick(attempts, None)).unwrap();
    let mut sum = calls(layers - 1, attempts);
    while caller.ends(Outcome::failure(Class::Transient)) {
        sum += calls(layers - 1, attempts);
    }
    sum
}

pub(crate) fn amplification(case: &Case) -> Held {
    for step in &case.steps {
        let attempts = number(step, "attempts_per_layer").unwrap() as u32;
        let seen = calls(step["layers"].as_u64().unwrap(), attempts);
        expect(step, "calls", step["expect"]["calls_at_bottom"].as_u64(), seen)?;
    }
    Ok(())
}
