//! Cases of retry budgets.

use super::{
    Driver, Step,
    drive::{Entry, Passage, enter},
    fields::{Fields, Log},
};
use crate::{
    at,
    retry::{Caller, quick},
};
use seawall::{
    Attributes, AwsBudget, Class, GrpcBudget, Outcome, Pipeline, Policy, Retry, RetryBudget,
    ShareBudget,
};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn driver(fields: &Fields<'_>) -> Box<dyn Driver> {
    let whole = |field: &str| fields.whole(field).unwrap();
    let number = |field: &str| fields.number(field).unwrap();
    let budget = fields.text("budget").unwrap();
    match budget {
        "aws_quota" => {
            let budget = RetryBudget::Aws(AwsBudget {
                capacity: whole("capacity"),
                retry_cost: whole("cost"),
                timeout_cost: whole("cost_timeout"),
                rate_limit_cost: whole("cost_throttle"),
                refill: whole("reward"),
            });
            Box::new(Attempts(Caller::new(quick(100, Some(budget))).unwrap()))
        }
        "grpc_throttle" => {
            let (max_tokens, token_ratio) = (whole("max_tokens"), number("token_ratio"));
            let budget = RetryBudget::Grpc(GrpcBudget { max_tokens, token_ratio });
            Box::new(Attempts(Caller::new(quick(whole("max_attempts"), Some(budget))).unwrap()))
        }
        // What may be retried at once, where nobody else calls, is what may be saved up here.
        "budget_envoy" => {
            Box::new(Crowd::new(number("percent") / 100.0, 0.0, whole("min_retry_concurrency")))
        }
        "budget_failsafe_go" | "concurrency_ratio" => {
            Box::new(Crowd::new(number("max_rate"), 0.0, whole("min_concurrency")))
        }
        "budget_finagle" | "tps" => {
            let ttl = fields.number("ttl_s").or(fields.number("ttl_ms").map(|ms| ms / 1_000.0));
            let per_second = number("min_per_sec");
            let saved = (per_second * ttl.unwrap()).max(1.0);
            Box::new(Crowd::new(number("ratio"), per_second, saved as u32))
        }
        other => panic!("no budget {other}"),
    }
}

/// One caller after the other.
struct Attempts(Caller);

impl Attempts {
    /// The attempts of one call, and whether it succeeds in the end.
    fn call(&mut self, outcomes: &[Value]) -> (u32, bool) {
        for (made, outcome) in (1..).zip(outcomes) {
            let good = outcome == "success";
            let outcome = if good { Outcome::Success } else { Outcome::failure(Class::Transient) };
            if !self.0.ends(outcome) {
                return (made, good);
            }
        }
        panic!("more attempts than the case has outcomes")
    }
}

impl Driver for Attempts {
    fn take(&mut self, step: &Step<'_>, _now: f64, log: &mut Log) {
        let expected = &step.expected;
        match step.verb {
            "rpc" => {
                let outcomes = step.fields.get("outcomes").and_then(Value::as_array).unwrap();
                let (attempts, good) = self.call(outcomes);
                log.expect(expected, "attempts", || attempts);
                log.expect(expected, "ok", || good);
            }
            verb => {
                let follows = self.0.ends(match (verb, step.fields.text("error")) {
                    ("success", None) => Outcome::Success,
                    // Whoever gives up has a failure that nobody repeats.
                    ("give_up", None) => Outcome::failure(Class::Permanent),
                    ("retry", Some("server")) => Outcome::failure(Class::Transient),
                    ("retry", Some("timeout")) => Outcome::TimedOut { limit: crate::ms(1.0) },
                    ("retry", Some("throttle")) => Outcome::failure(Class::RateLimited),
                    other => panic!("no step {other:?}"),
                });
                log.expect(expected, "allowed", || follows);
            }
        }
        log.expect(expected, "tokens", || self.0.retry.saved(self.0.now));
    }
}

/// Many callers at once.
struct Crowd {
    budget: ShareBudget,
    retry: Arc<Retry>,
    pipeline: Arc<Pipeline>,
    /// Calls that have begun, for steps with failures. They paid in while the budget was full.
    ready: Vec<Passage>,
    /// Calls whose attempt is repeated.
    repeating: Vec<Passage>,
}

impl Crowd {
    fn new(ratio: f64, min_per_second: f64, max_saved: u32) -> Self {
        let budget = ShareBudget { ratio, min_per_second, max_saved };
        let config = quick(2, Some(RetryBudget::Share(budget.clone())));
        let retry = Arc::new(Retry::new(config).unwrap());
        let pipeline = Arc::new(Pipeline::new("case", [Policy::Retry(retry.clone())]));
        let (ready, repeating) = (Vec::new(), Vec::new());
        let mut crowd = Self { budget, retry, pipeline, ready, repeating };
        crowd.begin(10, 0.0);
        crowd
    }

    fn begin(&mut self, calls: u32, now: f64) {
        for _ in 0..calls {
            let Entry::Calls(passage) = enter(&self.pipeline, Attributes::default(), now) else {
                panic!("a retry lets everybody in")
            };
            self.ready.push(passage);
        }
    }

    /// Makes calls that begin and succeed.
    fn deposit(&mut self, calls: u32, now: f64) {
        let before = self.ready.len();
        self.begin(calls, now);
        for mut passage in self.ready.drain(before..) {
            passage.ends(Outcome::Success, now);
        }
    }

    /// A call fails: whether it is repeated.
    fn withdraw(&mut self, now: f64) -> bool {
        let mut passage = self.ready.pop().expect("enough calls have begun");
        passage.ends(Outcome::failure(Class::Transient), now);
        let follows = passage.due().is_some();
        if follows {
            self.repeating.push(passage);
        }
        follows
    }

    /// Lets a repeated attempt succeed.
    fn release(&mut self, now: f64) {
        let passage = self.repeating.pop().expect("an attempt is repeated");
        let due = passage.due().unwrap();
        let Entry::Calls(mut passage) = passage.wakes(due) else { panic!("its time has come") };
        passage.ends(Outcome::Success, now);
    }

    /// Whether one more call may be repeated, with so many calls in progress and so many of them repeated.
    fn check(&mut self, step: &Step<'_>, now: f64, log: &mut Log) {
        let count = |one: &str, other: &str| step.fields.whole(one).or(step.fields.whole(other));
        let active = count("active", "executions").unwrap();
        let retries = count("retries", "budgeted").unwrap();
        let ShareBudget { ratio, min_per_second, max_saved } = self.budget;
        *self = Self::new(ratio, min_per_second, max_saved);
        self.begin(active + retries, now);
        let limit = self.retry.saved(at(now)).unwrap().floor();
        for _ in 0..retries {
            self.withdraw(now);
        }
        let allowed = self.withdraw(now);
        log.expect(&step.expected, "allowed", || allowed);
        log.expect(&step.expected, "limit", || limit);
    }
}

impl Driver for Crowd {
    fn take(&mut self, step: &Step<'_>, now: f64, log: &mut Log) {
        match step.verb {
            "check" => self.check(step, now, log),
            "deposit" => self.deposit(step.fields.whole("n").unwrap(), now),
            "set" => {
                self.begin(step.fields.whole("executions").unwrap(), now);
                for _ in 0..step.fields.whole("budgeted").unwrap() {
                    self.withdraw(now);
                }
            }
            "withdraw" => {
                let allowed = self.withdraw(now);
                log.expect(&step.expected, "allowed", || allowed);
            }
            "release" => self.release(now),
            other => panic!("no step {other}"),
        }
    }
}
