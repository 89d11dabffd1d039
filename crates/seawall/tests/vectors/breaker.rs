//! Cases of circuit breakers.

use crate::{Case, Held, as_ms, at, expect, ms, number};
use seawall::{
    Attributes, CircuitBreaker, CircuitBreakerConfig, Force, Permit, Rejection, State, Verdict,
    Why, Window,
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// The whole numbers of a pair such as `[2, 3]`.
fn pair(config: &Value, field: &str) -> Option<(u32, u32)> {
    let pair = config.get(field)?.as_array()?;
    Some((pair[0].as_u64()? as u32, pair[1].as_u64()? as u32))
}

#[expect(clippy::too_many_lines, reason = "one arm a dialect")]
fn config(case: &Case) -> CircuitBreakerConfig {
    let config = &case.config;
    let n = |field: &str| number(config, field);
    let base = CircuitBreakerConfig {
        recovery_jitter: 0.0,
        max_recovery_timeout: ms(1e9),
        ..CircuitBreakerConfig::default()
    };
    match case.dialect.as_str() {
        "r4j" => {
            let (window, size) = (config["window"].as_str(), n("size").unwrap_or(100.0));
            let wait = &config["wait_open"];
            let permitted = n("permitted_half_open").unwrap_or(10.0) as u32;
            let minimum = n("min_calls").unwrap_or(100.0) as u32;
            CircuitBreakerConfig {
                window: Some(if window == Some("time") {
                    Window::Time(ms(size * 1_000.0))
                } else {
                    Window::Calls(size as u32)
                }),
                minimum_calls: minimum,
                failure_ratio: n("failure_rate").unwrap_or(50.0) / 100.0,
                slow_call_duration: n("slow_ms").map(ms),
                slow_call_ratio: n("slow_rate").unwrap_or(100.0) / 100.0,
                recovery_timeout: ms(wait.as_f64().or(number(wait, "initial")).unwrap_or(60_000.0)),
                recovery_multiplier: number(wait, "multiplier").unwrap_or(1.0),
                half_open_max_calls: permitted,
                success_threshold: permitted.min(minimum),
                probe_lease: n("max_wait_half_open")
                    .filter(|wait| *wait > 0.0)
                    .map_or(ms(60_000.0), ms),
                ..base
            }
        }
        "failsafe" => {
            let (failures, of) = pair(config, "failures").unwrap_or((1, 1));
            let period = n("period").map(|period| Window::Time(ms(period)));
            CircuitBreakerConfig {
                window: Some(period.unwrap_or(Window::Calls(of))),
                minimum_calls: n("exec_threshold").map_or(of, |calls| calls as u32),
                failure_ratio: f64::from(failures) / f64::from(of),
                success_threshold: pair(config, "successes").map_or(1, |(successes, _)| successes),
                recovery_timeout: ms(n("delay").unwrap_or(60_000.0)),
                ..base
            }
        }
        "gobreaker" => {
            let over = n("trip_consecutive_over").unwrap_or(5.0) as u32;
            let ratio = n("trip_ratio");
            let requests = n("max_requests").unwrap_or(1.0) as u32;
            CircuitBreakerConfig {
                failure_threshold: ratio.is_none().then_some(over + 1),
                window: ratio.map(|_| Window::Time(ms(n("interval").unwrap_or(60_000.0)))),
                failure_ratio: ratio.unwrap_or(1.0),
                minimum_calls: n("trip_min").unwrap_or(1.0) as u32,
                recovery_timeout: ms(n("timeout").unwrap_or(60_000.0)),
                half_open_max_calls: requests,
                success_threshold: requests,
                ..base
            }
        }
        "polly" => {
            let lengths = config["break"].as_array();
            let first = lengths.map_or(n("break"), |lengths| lengths[0].as_f64());
            CircuitBreakerConfig {
                window: Some(Window::Time(ms(n("sampling").unwrap_or(30_000.0)))),
                failure_ratio: n("ratio").unwrap_or(0.1),
                minimum_calls: n("min_throughput").unwrap_or(100.0) as u32,
                recovery_timeout: ms(first.unwrap_or(5_000.0)),
                recovery_multiplier: if lengths.is_some() { 2.0 } else { 1.0 },
                ..base
            }
        }
        "sentinel" => CircuitBreakerConfig {
            window: Some(Window::Time(ms(n("stat_interval").unwrap_or(1_000.0)))),
            failure_ratio: n("threshold").unwrap_or(0.5),
            minimum_calls: n("min_requests").unwrap_or(5.0) as u32,
            recovery_timeout: ms(n("recovery").unwrap_or(1_000.0)),
            ..base
        },
        "linkerd" => {
            let good = n("threshold").filter(|good| *good > 0.0);
            CircuitBreakerConfig {
                failure_threshold: n("max_failures").map(|failures| failures as u32),
                window: good.map(|_| Window::Time(ms(n("window").unwrap_or(10_000.0)))),
                // 1 - 0.8 is a little over 0.2.
                failure_ratio: good.map_or(1.0, |good| ((1.0 - good) * 1e6).round() / 1e6),
                minimum_calls: n("min_requests").unwrap_or(1.0) as u32,
                recovery_timeout: ms(n("backoff_min").unwrap_or(1_000.0)),
                recovery_multiplier: 2.0,
                max_recovery_timeout: ms(n("backoff_max").unwrap_or(60_000.0)),
                ..base
            }
        }
        _ => CircuitBreakerConfig {
            window: Some(Window::Time(ms(10_000.0))),
            minimum_calls: n("volume").unwrap_or(20.0) as u32,
            failure_ratio: n("error_pct").unwrap_or(50.0) / 100.0,
            recovery_timeout: ms(n("sleep").unwrap_or(5_000.0)),
            ..base
        },
    }
}

struct Replay<'b> {
    breaker: &'b CircuitBreaker,
    held: BTreeMap<String, Permit<&'b CircuitBreaker>>,
    refused: u64,
}

impl<'b> Replay<'b> {
    fn finish(&self, permit: Permit<&CircuitBreaker>, step: &Value) {
        let now = at(number(step, "at").unwrap());
        match step["outcome"].as_str().unwrap() {
            "success" => _ = permit.success(now),
            "failure" => _ = permit.failure(now),
            "rate_limited" => _ = permit.verdict(now, Verdict::RateLimited),
            // Ignored, cancelled, blocked further in: they say nothing.
            _ => drop(permit),
        }
    }

    fn acquire(
        &mut self,
        step: &Value,
        began: f64,
    ) -> Result<Permit<&'b CircuitBreaker>, Rejection> {
        let key = Attributes::default().key;
        let answer = self.breaker.try_acquire_for(at(began), key);
        self.refused += u64::from(answer.is_err());
        let _ = step;
        answer
    }

    fn take(&mut self, step: &Value) -> Held {
        let now = number(step, "at").unwrap();
        match step["op"].as_str().unwrap() {
            "call" => {
                // A call of some length began before its end.
                let began = now - number(step, "dur").unwrap_or(0.0);
                match self.acquire(step, began) {
                    Ok(permit) => {
                        self.finish(permit, step);
                        self.check(step, Ok(()))
                    }
                    Err(refused) => self.check(step, Err(refused)),
                }
            }
            "acquire" => match self.acquire(step, now) {
                Ok(permit) => {
                    self.held.insert(step["id"].as_str().unwrap().into(), permit);
                    self.check(step, Ok(()))
                }
                Err(refused) => self.check(step, Err(refused)),
            },
            "finish" => {
                let permit = self.held.remove(step["id"].as_str().unwrap()).unwrap();
                self.finish(permit, step);
                self.check(step, Ok(()))
            }
            "force" => self.force(step, now),
            _ => self.check(step, Ok(())),
        }
    }

    fn force(&mut self, step: &Value, now: f64) -> Held {
        let open_until = |length: Duration| Some(at(now) + length);
        let wait = self.breaker.config().recovery_timeout;
        match step["to"].as_str().unwrap() {
            "open" => self.breaker.force(at(now), Force::Open, "case", open_until(wait)),
            "open_for" => {
                let length = ms(number(step, "for").unwrap());
                self.breaker.force(at(now), Force::Open, "case", open_until(length))
            }
            "forced_open" | "isolated" => self.breaker.force(at(now), Force::Open, "case", None),
            "disabled" => self.breaker.force(at(now), Force::Disabled, "case", None),
            "closed" => self.breaker.reset(at(now)),
            // From open to half-open: the open time ends now. From closed there is no such way.
            "half_open" if step["expect"]["result"] == "illegal" => None,
            _ => self.breaker.force(at(now), Force::Open, "case", Some(at(now))),
        };
        self.check(step, Ok(()))
    }

    fn check(&self, step: &Value, answer: Result<(), Rejection>) -> Held {
        let Some(expected) = step.get("expect") else { return Ok(()) };
        let now = at(number(step, "at").unwrap());
        let view = self.breaker.view(now);
        expect(
            step,
            "permitted",
            expected.get("permitted").and_then(Value::as_bool),
            answer.is_ok(),
        )?;
        let state = match view.state {
            // An open circuit whose time is over is half-open for whoever comes next.
            State::Open if view.next_probe_at.is_some_and(|probe| probe <= now) => "half_open",
            State::ForcedOpen if expected["state"] == "isolated" => "isolated",
            // Forced open until a time is what the peers call open.
            State::ForcedOpen if expected["state"] == "open" => "open",
            state => state.label(),
        };
        expect(step, "state", expected["state"].as_str(), state)?;
        let told = answer.err().and_then(|refused| refused.retry_after);
        let until_probe = view.next_probe_at.map(|probe| probe.since(now));
        let wait = told.or(until_probe).map(|wait| as_ms(wait).round());
        expect(step, "retry_after", number(expected, "retry_after").map(Some), wait)?;
        expect(step, "not_permitted", expected["not_permitted"].as_u64(), self.refused)?;
        let why = view.last_transition.map(|change| match change.why {
            Why::ConsecutiveFailures { .. } => "consecutive",
            Why::FailureRatio { .. } => "success_rate",
            _ => "other",
        });
        expect(step, "reason", expected["reason"].as_str().map(Some), why)?;
        let Some(window) = view.window else { return Ok(()) };
        let known = window.calls >= self.breaker.config().minimum_calls;
        let rate = |part: u32| {
            if known { 100.0 * f64::from(part) / f64::from(window.calls) } else { -1.0 }
        };
        expect(step, "failure_rate", number(expected, "failure_rate"), rate(window.failures))?;
        expect(step, "slow_rate", number(expected, "slow_rate"), rate(window.slow))?;
        let count = |field: &str| expected.get(field).and_then(Value::as_u64);
        expect(step, "buffered", count("buffered"), u64::from(window.calls))?;
        expect(step, "requests", count("requests"), u64::from(window.calls))?;
        expect(step, "failed", count("failed"), u64::from(window.failures))
    }
}

pub(crate) fn replay(case: &Case) -> Held {
    let breaker = CircuitBreaker::new(config(case)).map_err(|error| error.to_string())?;
    let mut replay = Replay { breaker: &breaker, held: BTreeMap::new(), refused: 0 };
    for step in &case.steps {
        for _ in 0..step.get("repeat").and_then(Value::as_u64).unwrap_or(1) {
            replay.take(step)?;
        }
    }
    Ok(())
}
