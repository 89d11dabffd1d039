//! Waits between attempts, the server's wish included.

use super::{
    Driver, Step,
    fields::{Fields, Log},
};
use crate::{as_ms, ms, retry::Caller};
use seawall::{Backoff, Class, Failure, Growth, Jitter, Outcome, RetryConfig};
use serde_json::json;
use std::time::Duration;

pub(super) struct Waits {
    config: RetryConfig,
}

fn backoff(fields: &Fields<'_>) -> Backoff {
    let length = |field: &str, left_out: f64| ms(fields.number(field).unwrap_or(left_out));
    Backoff {
        growth: match fields.text("kind").unwrap() {
            "constant" => Growth::Constant,
            "linear" => Growth::Linear,
            "exponential" | "server_hint" => Growth::Exponential,
            other => panic!("no growth {other}"),
        },
        jitter: match fields.text("jitter").unwrap_or("none") {
            "none" => Jitter::None,
            "full" | "full_modulo" => Jitter::Full,
            "plus_minus_25" => Jitter::Around,
            "add_then_cap" => Jitter::Additive,
            other => panic!("no jitter {other}"),
        },
        base_delay: length("base_ms", 1.0),
        exponential_multiplier: fields.number("factor").unwrap_or(2.0),
        min_delay: length("min_ms", 0.0),
        max_delay: length("max_ms", 1e9),
        jitter_max: length("jitter_add_ms", 0.0),
        ..Backoff::default()
    }
}

impl Waits {
    pub(super) fn new(fields: &Fields<'_>) -> Self {
        let backoff = backoff(fields);
        // `aws_clamp` and `aws_v2_0`: what those rules do has no counterpart.
        fields.get("mode");
        let throttled = fields.number("base_throttling_ms");
        let base = as_ms(backoff.base_delay);
        let config = RetryConfig {
            max_attempts: fields.whole("max_attempts").unwrap_or(100),
            max_retry_after: backoff.max_delay,
            rate_limit_multiplier: throttled.map_or(2.0, |throttled| throttled / base),
            budget: None,
            backoff,
            ..RetryConfig::default()
        };
        Self { config }
    }

    /// The waits of one execution whose attempts all fail.
    fn waits(&self, count: usize) -> Vec<f64> {
        let mut caller = Caller::new(self.config.clone()).unwrap();
        let mut waits = Vec::new();
        while waits.len() < count {
            let before = caller.now;
            if !caller.ends(Outcome::failure(Class::Transient)) {
                break;
            }
            waits.push(as_ms(caller.now.since(before)));
        }
        waits
    }

    /// The wait that the step asks for at this draw.
    fn wait(&self, step: &Step<'_>, u: f64) -> Option<f64> {
        let mut config = self.config.clone();
        if let Some(own) = step.fields.number("computed_ms") {
            config.backoff.base_delay = ms(own);
        }
        let class = match step.fields.text("error") {
            Some("throttle") => Class::RateLimited,
            Some("server") | None => Class::Transient,
            Some(other) => panic!("no error {other}"),
        };
        let asked = step.fields.text("hint").and_then(|hint| hint.parse().ok());
        let retry_after = asked.filter(|asked| *asked > 0.0).map(ms);
        let outcome = Outcome::Failure(Failure { retry_after, ..Failure::new(class) });
        let retry = step.fields.whole("retry").unwrap_or(0) + 1;
        config
            .wait(&outcome, retry, Duration::ZERO, u)
            .map(|wait| (as_ms(wait) * 100.0).round() / 100.0)
    }

    /// The draw of the step, uniform in `[0, 1]`.
    fn draw(&self, step: &Step<'_>) -> f64 {
        let Some(random) = step.fields.number("random") else {
            return step.fields.number("rand").unwrap_or(0.0);
        };
        // The peer takes its draw modulo the wait: the same share of ours.
        let whole = self.wait(step, 1.0).unwrap();
        (random % whole) / whole
    }
}

impl Driver for Waits {
    fn take(&mut self, step: &Step<'_>, _now: f64, log: &mut Log) {
        match step.verb {
            "delays" => {
                let count = step.fields.whole("count").unwrap() as usize;
                log.expect(&step.expected, "delays_ms", || self.waits(count));
            }
            "delay" => {
                let u = self.draw(step);
                // At the most that chance may add, where nothing else is said.
                let most = if self.config.backoff.jitter == Jitter::Additive { 1.0 } else { u };
                let seen = self.wait(step, most);
                log.expect(&step.expected, "delay_ms", || seen);
                log.expect(&step.expected, "delay_ms_between", || {
                    json!([self.wait(step, 0.0), self.wait(step, 1.0)])
                });
            }
            other => panic!("no step {other}"),
        }
    }
}
