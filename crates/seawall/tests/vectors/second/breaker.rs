//! Breakers: one circuit, or one for each host.

use super::{
    Driver, Step,
    drive::{Entry, Heard, Passage, enter},
    fields::{Fields, Log},
};
use crate::{as_ms, at, ms};
use seawall::{
    Attributes, Cause, CircuitBreaker, CircuitBreakerConfig, CircuitView, Class, Force, Key, Kind,
    Mode, Outcome, Pipeline, Policy, Reason, Rejection, State, Tally, Why, Window,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Trips strictly beyond the bound, where ours trips when it is reached.
fn beyond(bound: f64) -> f64 {
    // 1 - 0.8 is a little under 0.2.
    ((bound * 1e9).round() / 1e9).next_up()
}

fn window(config: &Fields<'_>) -> Option<Window> {
    let window = config.nested("window")?;
    // Ours slides, in 32 slices; a case in which that matters differs.
    let (_, _) = (window.get("kind"), window.get("slices"));
    let count = window.whole("count").map(Window::Calls);
    Some(count.unwrap_or_else(|| Window::Time(ms(window.number("time_ms").unwrap()))))
}

/// A pair such as `{"n": 2, "of": 3}`, or a number.
fn threshold(config: &Fields<'_>, field: &str) -> Option<(u32, Option<u32>)> {
    if config.peek(field)?.is_object() {
        let pair = config.nested(field).unwrap();
        return Some((pair.whole("n").unwrap(), pair.whole("of")));
    }
    config.whole(field).map(|n| (n, None))
}

pub(super) fn config(dialect: &str, config: &Fields<'_>) -> CircuitBreakerConfig {
    let mut ours = CircuitBreakerConfig {
        recovery_jitter: 0.0,
        max_recovery_timeout: ms(1e9),
        window: window(config),
        slow_call_duration: config.number("slow_call_ms").map(ms),
        slow_call_ratio: config.number("slow_call_ratio").unwrap_or(1.0),
        half_open_max_calls: config.whole("half_open_max_calls").unwrap_or(1),
        ..CircuitBreakerConfig::default()
    };
    if let Some(calls) = config.whole("minimum_calls") {
        ours.minimum_calls = calls;
    }
    match (config.number("failure_ratio"), config.number("success_ratio_min")) {
        (Some(ratio), _) => ours.failure_ratio = ratio,
        (None, Some(good)) => ours.failure_ratio = beyond(1.0 - good),
        (None, None) => {}
    }
    if config.text("ratio_compare") == Some(">") {
        ours.failure_ratio = beyond(ours.failure_ratio);
    }
    // Their numbers of probes are in all, not in progress; ours counts those that succeed.
    ours.success_threshold = match threshold(config, "success_threshold") {
        Some((successes, _)) => successes,
        None if dialect == "resilience4j" => ours.half_open_max_calls.min(ours.minimum_calls),
        None => 1,
    };
    match threshold(config, "failure_threshold") {
        Some((failures, Some(of))) => {
            ours.window = ours.window.or(Some(Window::Calls(of)));
            ours.failure_ratio = f64::from(failures) / f64::from(of);
            ours.minimum_calls = of;
        }
        Some((failures, None)) => ours.failure_threshold = Some(failures),
        None => {}
    }
    if ours.window.is_none() {
        // A window that judges nothing, so that the calls can be counted.
        ours.window = Some(Window::Calls(10_000));
        (ours.failure_ratio, ours.minimum_calls) = (1.0, 10_000);
    }
    recovery(config, &mut ours);
    ours
}

fn recovery(config: &Fields<'_>, ours: &mut CircuitBreakerConfig) {
    if let Some(length) = config.number("half_open_max_wait_ms") {
        ours.probe_lease = ms(length);
    }
    if let Some(factor) = config.number("recovery_timeout_factor") {
        ours.recovery_multiplier = factor;
    }
    if let Some(backoff) = config.nested("backoff") {
        assert_eq!(
            (backoff.text("kind"), backoff.text("jitter")),
            (Some("exponential"), Some("none"))
        );
        ours.recovery_timeout = ms(backoff.number("base_ms").unwrap());
        ours.recovery_multiplier = backoff.number("factor").unwrap();
        ours.max_recovery_timeout = ms(backoff.number("max_ms").unwrap());
    }
    match config.get("recovery_timeout_ms") {
        Some(Value::Array(lengths)) => {
            let length = |n: usize| lengths[n].as_f64().unwrap();
            ours.recovery_timeout = ms(length(0));
            ours.recovery_multiplier = length(1) / length(0);
        }
        Some(length) => ours.recovery_timeout = ms(length.as_f64().unwrap()),
        None => {}
    }
}

/// Envoy's ejection of hosts: a circuit for each. How many may be ejected, and how often it looks, has no counterpart.
fn outlier(outlier: &Fields<'_>) -> (CircuitBreakerConfig, Vec<String>) {
    for field in ["interval_ms", "max_ejection_percent", "always_eject_one_host"] {
        outlier.get(field);
    }
    let hosts = outlier.get("hosts").and_then(Value::as_array).unwrap();
    let config = CircuitBreakerConfig {
        failure_threshold: outlier.whole("consecutive_5xx"),
        recovery_timeout: ms(outlier.number("base_ejection_ms").unwrap()),
        recovery_multiplier: 2.0,
        recovery_jitter: 0.0,
        keyed: true,
        ..CircuitBreakerConfig::default()
    };
    (config, hosts.iter().map(|host| host.as_str().unwrap().to_owned()).collect())
}

pub(super) struct Breakers {
    pipeline: Arc<Pipeline>,
    breaker: Arc<CircuitBreaker>,
    heard: Arc<Heard>,
    running: BTreeMap<String, Passage>,
    hosts: Vec<String>,
    /// A ratio is known from `minimum_calls` on.
    known_late: bool,
    refused: u64,
    /// Thresholds that a breaker in shadow said were crossed.
    announced: u64,
    /// Failed probes in a row before each opening.
    attempts: Vec<u32>,
}

impl Breakers {
    pub(super) fn new(dialect: &str, fields: &Fields<'_>) -> Self {
        let (config, hosts) = match fields.nested("outlier") {
            Some(fields) => outlier(&fields),
            None => (config(dialect, fields), Vec::new()),
        };
        let breaker = Arc::new(CircuitBreaker::new(config).unwrap());
        let heard = Arc::new(Heard::default());
        let pipeline = Pipeline::new("case", [Policy::CircuitBreaker(breaker.clone())]);
        Self {
            pipeline: Arc::new(pipeline.with_observer(heard.clone())),
            breaker,
            heard,
            running: BTreeMap::new(),
            hosts,
            known_late: dialect == "resilience4j",
            refused: 0,
            announced: 0,
            attempts: Vec::new(),
        }
    }

    fn key(&self, host: &str) -> Key {
        Key::of(self.hosts.iter().position(|known| known == host).unwrap())
    }

    fn start(&mut self, step: &Step<'_>, now: f64) -> Result<Passage, Rejection> {
        let key = step.fields.text("host").map_or(Key::NONE, |host| self.key(host));
        match enter(&self.pipeline, Attributes { key, ..Attributes::default() }, now) {
            Entry::Calls(passage) => Ok(passage),
            Entry::Refused(rejection) => {
                self.refused += 1;
                Err(rejection)
            }
            Entry::Waits(..) => panic!("a breaker lets nobody wait"),
        }
    }

    fn force(&self, step: &Step<'_>, now: f64) {
        let until = match step.fields.text("to").unwrap() {
            "open" => Some(at(now) + self.breaker.config().recovery_timeout),
            "open_for" => Some(at(now) + ms(step.fields.number("for_ms").unwrap())),
            // The open time ends now: the next call is a probe.
            "half_open" => Some(at(now)),
            "forced_open" => None,
            "closed" => {
                self.breaker.reset(at(now));
                return;
            }
            "metrics_only" => {
                self.pipeline.set_mode("circuit_breaker", Mode::Shadow);
                return;
            }
            other => panic!("no way to {other}"),
        };
        self.breaker.force(at(now), Force::Open, "case", until);
    }

    /// Records the changes since the last call.
    fn listen(&mut self, now: f64) {
        for (shadow, kind) in self.heard.take() {
            let Kind::CircuitChanged(change) = kind else { continue };
            self.announced += u64::from(shadow);
            if change.to == State::Open {
                self.attempts.push(self.breaker.view(at(now)).openings - 1);
            }
        }
    }

    fn only_measures(&self) -> bool {
        self.pipeline.mode(0) == Mode::Shadow
    }

    /// The content of the window; of a breaker that only measures, what it held when it reported.
    fn tally(&self, view: &CircuitView) -> Tally {
        match view.last_transition.map(|change| change.why) {
            Some(Why::FailureRatio { failures, calls, .. }) if self.only_measures() => {
                Tally { calls, failures, slow: 0 }
            }
            _ => view.window.unwrap_or_default(),
        }
    }

    fn share(&self, part: u32, calls: u32) -> Value {
        let config = self.breaker.config();
        let minimum = match config.window {
            Some(Window::Calls(size)) => config.minimum_calls.min(size),
            _ => config.minimum_calls,
        };
        let unknown = calls == 0 || self.known_late && calls < minimum;
        if unknown { Value::Null } else { json!(f64::from(part) / f64::from(calls)) }
    }

    fn ejected(&self, now: f64) -> Vec<&str> {
        let views = self.breaker.views(at(now));
        let refuses = |host: &&String| {
            let view = views.iter().find(|(key, _)| *key == self.key(host));
            view.is_some_and(|(_, view)| view.next_probe_at.is_some_and(|probe| probe > at(now)))
        };
        self.hosts.iter().filter(refuses).map(String::as_str).collect()
    }

    fn check(
        &self,
        step: &Step<'_>,
        now: f64,
        answer: Option<Result<(), Rejection>>,
        log: &mut Log,
    ) {
        let expected = &step.expected;
        let view = self.breaker.view(at(now));
        log.expect(expected, "admitted", || answer.map(|answer| answer.is_ok()));
        log.expect(expected, "state", || self.state(now));
        let tally = self.tally(&view);
        log.expect(expected, "calls", || tally.calls);
        log.expect(expected, "failures", || tally.failures);
        log.expect(expected, "successes", || tally.calls - tally.failures);
        log.expect(expected, "slow_calls", || tally.slow);
        log.expect(expected, "failure_ratio", || self.share(tally.failures, tally.calls));
        log.expect(expected, "slow_ratio", || self.share(tally.slow, tally.calls));
        log.expect(expected, "success_ratio", || {
            self.share(tally.calls - tally.failures, tally.calls)
        });
        let until_probe = view.next_probe_at.map(|probe| as_ms(probe.since(at(now))).round());
        log.expect(expected, "open_for_ms", || until_probe);
        let refused = answer.and_then(Result::err);
        log.expect(expected, "retry_after_ms", || match refused {
            Some(refused) => refused.retry_after.map(as_ms),
            None => until_probe,
        });
        log.expect(expected, "rejected_total", || self.refused);
        log.expect(expected, "events", || self.announced);
        log.expect(expected, "half_open_attempts", || self.attempts.clone());
        log.expect(expected, "reason", || match view.last_transition.map(|change| change.why) {
            Some(Why::ConsecutiveFailures { .. }) => "consecutive",
            Some(Why::FailureRatio { .. }) => "success_rate",
            _ => "other",
        });
        log.expect(expected, "ejected", || self.ejected(now));
        // Nobody counts ejections that were held back, as none is.
        log.expect(expected, "overflow", || 0);
    }
}

fn end(mut passage: Passage, outcome: &str, now: f64) {
    match outcome {
        "success" => passage.ends(Outcome::Success, now),
        "failure" => passage.ends(Outcome::failure(Class::Transient), now),
        "rate_limited" => passage.ends(Outcome::failure(Class::RateLimited), now),
        "blocked_later" => {
            let rejection = Rejection::new(Reason::BulkheadFull, None);
            passage.ends(Outcome::Rejected(rejection), now);
        }
        "panicked" => passage.abandon(Cause::Panicked, now),
        "cancelled" => passage.abandon(Cause::CallerGone, now),
        other => panic!("no outcome {other}"),
    }
}

impl Driver for Breakers {
    fn state(&self, now: f64) -> Option<String> {
        if self.only_measures() {
            return Some("metrics_only".to_owned());
        }
        let view = self.breaker.view(at(now));
        let state = match view.state {
            // An open circuit whose time is over is half-open for whoever comes next.
            State::Open if view.next_probe_at.is_some_and(|probe| probe <= at(now)) => {
                State::HalfOpen
            }
            // Forced open until a time is what the peers call open.
            State::ForcedOpen if view.forced.is_some_and(|forced| forced.until.is_some()) => {
                State::Open
            }
            state => state,
        };
        Some(state.label().to_owned())
    }

    fn take(&mut self, step: &Step<'_>, now: f64, log: &mut Log) {
        let name = || step.fields.text("call").unwrap().to_owned();
        let mut answer = None;
        match step.verb {
            "call" => {
                let outcome = step.fields.text("outcome").unwrap();
                // A call of some length began before its end.
                let began = now - step.fields.number("took_ms").unwrap_or(0.0);
                let passage = self.start(step, began);
                answer = Some(passage.map(|passage| end(passage, outcome, now)));
            }
            "start" => {
                let (name, passage) = (name(), self.start(step, now));
                answer = Some(passage.map(|passage| _ = self.running.insert(name, passage)));
            }
            "finish" => {
                let outcome = step.fields.text("outcome").unwrap();
                // Nobody finishes where nobody was let in: then the case differs already.
                if let Some(passage) = self.running.remove(&name()) {
                    end(passage, outcome, now);
                }
            }
            "force" => self.force(step, now),
            // Ours needs nobody to look at it now and then.
            "observe" | "tick" => {}
            other => panic!("no step {other}"),
        }
        self.listen(now);
        self.check(step, now, answer, log);
    }
}
