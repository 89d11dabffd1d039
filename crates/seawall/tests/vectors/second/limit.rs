//! Rate limiters.

use super::{
    Driver, Step,
    drive::{Entry, Passage, enter},
    fields::{Fields, Log},
};
use crate::{as_ms, at, ms};
use seawall::{
    Algorithm, Attributes, Key, Pipeline, Policy, PolicyConfig, RateLimiter, RateLimiterConfig,
    Reason, Rejection,
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// `burst` is all that passes at once; ours comes on top of `rate`.
fn config(fields: &Fields<'_>) -> RateLimiterConfig {
    let (rate, per) = (fields.number("rate").unwrap(), fields.number("per_ms").unwrap());
    let most = fields.number("burst").unwrap_or(rate);
    // Refilled continuously, and from the first call on: a case in which that matters differs.
    let (_, _) = (fields.get("refill"), fields.get("grid_aligned"));
    // As fast, where no more than `most` pass at once, and whole numbers only.
    let (rate, per) = match rate {
        rate if rate < 1.0 => (1.0, per / rate),
        rate if most < rate => (most, per * most / rate),
        rate => (rate, per),
    };
    let wait = fields.number("max_wait_ms").filter(|wait| *wait > 0.0);
    let wait = wait.or(fields.is("reserve").then_some(3_000_000.0));
    RateLimiterConfig {
        rate: rate as u32,
        per: ms(per),
        burst: (most - rate) as u32,
        max_wait: wait.map(ms),
        algorithm: match fields.text("strategy").unwrap() {
            "token_bucket" => Algorithm::TokenBucket,
            "fixed_window" => Algorithm::FixedWindow,
            "sliding_log" => Algorithm::SlidingLog,
            other => panic!("no algorithm {other}"),
        },
        ..RateLimiterConfig::default()
    }
}

pub(super) struct Limiter {
    pipeline: Arc<Pipeline>,
    /// Calls that passed or wait: who leaves gives its turn back.
    inside: Vec<Passage>,
}

/// What came of one or several calls.
#[derive(Default)]
struct Answer {
    granted: u32,
    wait: Duration,
    refused: Option<Rejection>,
}

impl Limiter {
    pub(super) fn new(fields: &Fields<'_>, log: &mut Log) -> Self {
        let mut config = config(fields);
        if let Err(refused) = RateLimiter::new(config.clone()) {
            log.differs("config", refused.to_string());
            config.max_wait = None;
        }
        let pipeline = Pipeline::build("case", &[PolicyConfig::RateLimiter(config)]).unwrap();
        Self { pipeline: Arc::new(pipeline), inside: Vec::new() }
    }

    fn limiter(&self) -> &RateLimiter {
        match &self.pipeline.policies()[0] {
            Policy::RateLimiter(limiter) => limiter,
            other => panic!("{other:?}"),
        }
    }

    fn acquire(&mut self, cost: u32, now: f64, answer: &mut Answer) {
        match enter(&self.pipeline, Attributes { cost, ..Attributes::default() }, now) {
            Entry::Calls(passage) => {
                answer.granted += cost;
                self.inside.push(passage);
            }
            Entry::Waits(passage, until) => {
                answer.granted += cost;
                answer.wait = until.since(at(now));
                self.inside.push(passage);
            }
            Entry::Refused(rejection) => {
                assert_eq!(rejection.reason, Reason::RateLimited);
                answer.refused = Some(rejection);
            }
        }
    }

    /// How long until a call of cost 1 passes; it takes nothing.
    fn next(&self, now: f64) -> Option<Duration> {
        if self.limiter().quota(at(now), Key::NONE).remaining > 0 {
            return Some(Duration::ZERO);
        }
        self.limiter().try_acquire(at(now), Key::NONE, 1).unwrap_err().retry_after
    }

    fn check(&self, step: &Step<'_>, now: f64, answer: &Answer, log: &mut Log) {
        let expected = &step.expected;
        let wait = |wait: Option<Duration>| wait.map(|wait| (as_ms(wait) - 1e-3).ceil());
        log.expect(expected, "allowed", || answer.granted > 0);
        log.expect(expected, "granted", || answer.granted);
        // Waits are refused where there is none.
        log.expect(expected, "wait_ms", || match answer.granted {
            0 => Value::Null,
            _ => wait(Some(answer.wait)).into(),
        });
        let refused = answer.refused.and_then(|refused| refused.retry_after);
        log.expect(expected, "retry_after_ms", || wait(refused));
        log.expect(expected, "error", || match answer.refused {
            Some(Rejection { retry_after: None, .. }) => "insufficient_capacity",
            Some(_) => "rate_limited",
            None => "none",
        });
        let quota = self.limiter().quota(at(now), Key::NONE);
        log.expect(expected, "capacity", || quota.limit);
        log.expect(expected, "remaining", || quota.remaining);
        log.expect(expected, "next_permit_ms", || wait(self.next(now)));
        log.expect(expected, "next_free_at_ms", || wait(self.next(now)).map(|wait| now + wait));
    }
}

impl Driver for Limiter {
    fn take(&mut self, step: &Step<'_>, now: f64, log: &mut Log) {
        let mut answer = Answer::default();
        match step.verb {
            "acquire" => {
                let cost = step.fields.whole("n").unwrap();
                let (times, cost) = if step.fields.is("partial") { (cost, 1) } else { (1, cost) };
                for _ in 0..times {
                    self.acquire(cost, now, &mut answer);
                }
            }
            "set_rate" => {
                let rate = step.fields.whole("rate").unwrap();
                let config = RateLimiterConfig { rate, ..self.limiter().config().clone() };
                let rebuilt = self.pipeline.rebuild(&[PolicyConfig::RateLimiter(config)]);
                self.pipeline = Arc::new(rebuilt.unwrap());
            }
            other => panic!("no step {other}"),
        }
        self.check(step, now, &answer, log);
    }
}
