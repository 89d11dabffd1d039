//! Policies in pipelines: composition, timeouts, hedges.

use super::{
    Driver, Step, breaker, bulkhead,
    drive::{Heard, label},
    fields::{Fields, Log},
};
use crate::{as_ms, at, ms};
use seawall::{
    Attributes, Backoff, CallId, CircuitBreaker, Class, Command, Execution, Failure, Fallback,
    FallbackConfig, Force, Growth, Hedge, HedgeConfig, Instant, Jitter, Kind, Outcome, Pipeline,
    Policy, Resolution, Retry, RetryConfig, Timeout, TimeoutConfig,
};
use serde_json::Value;
use std::{sync::Arc, task::Waker};

/// Whether a case needs the cache, which is a layer of `seawall-tower`.
pub(super) fn has_cache(case: &Value) -> bool {
    let policies = case["config"]["pipeline"].as_array();
    policies.is_some_and(|policies| policies.iter().any(|policy| policy.get("cache").is_some()))
}

/// A policy, its configuration being the only field of the object.
fn policy(dialect: &str, fields: &Fields<'_>) -> Policy {
    if let Some(of) = fields.nested("retry") {
        return Policy::Retry(Arc::new(Retry::new(retry(&of)).unwrap()));
    }
    if let Some(of) = fields.nested("circuit_breaker") {
        let config = breaker::config(dialect, &of);
        return Policy::CircuitBreaker(Arc::new(CircuitBreaker::new(config).unwrap()));
    }
    if let Some(of) = fields.nested("timeout") {
        let limit = ms(of.number("timeout_ms").unwrap());
        let config = TimeoutConfig { limit, ..TimeoutConfig::default() };
        return Policy::Timeout(Timeout::new(config).unwrap());
    }
    if let Some(of) = fields.nested("bulkhead") {
        let config = bulkhead::config(&of);
        return Policy::Bulkhead(Arc::new(seawall::Bulkhead::new(config).unwrap()));
    }
    if let Some(of) = fields.nested("hedge") {
        return Policy::Hedge(Arc::new(Hedge::new(hedge(&of)).unwrap()));
    }
    assert!(fields.peek("fallback").is_some(), "no such policy");
    Policy::Fallback(Fallback::new(FallbackConfig::default()).unwrap())
}

fn retry(fields: &Fields<'_>) -> RetryConfig {
    let backoff = Backoff {
        growth: Growth::Constant,
        base_delay: ms(fields.number("delay_ms").unwrap()),
        jitter: Jitter::None,
        ..Backoff::default()
    };
    // Without an end of theirs it is as many as ours may be.
    let most = fields.get("max_attempts").and_then(Value::as_u64).unwrap_or(100);
    RetryConfig { max_attempts: most as u32, backoff, budget: None, ..RetryConfig::default() }
}

fn hedge(fields: &Fields<'_>) -> HedgeConfig {
    // The first good answer is the answer: a case that wants another one differs.
    let (_, _) = (fields.get("cancel_on"), fields.get("cancel_on_value"));
    // A negative delay is the peer's way to say that there will be no hedge; ours is a delay that never passes.
    let delay = fields.number("delay_ms").filter(|delay| *delay >= 0.0);
    HedgeConfig {
        delay: ms(delay.unwrap_or(1e9)),
        max_hedges: fields.whole("max_hedges").unwrap(),
        budget: None,
        ..HedgeConfig::default()
    }
}

pub(super) struct Stack {
    pipeline: Arc<Pipeline>,
    heard: Arc<Heard>,
    /// The value of the fallback, where there is one.
    instead: Option<Value>,
    /// The other holders of places in the bulkhead.
    others: Option<bulkhead::Places>,
}

impl Stack {
    pub(super) fn new(dialect: &str, fields: &Fields<'_>) -> Self {
        let all = fields.list("pipeline");
        let policies: Vec<Policy> = all.iter().map(|fields| policy(dialect, fields)).collect();
        let fallbacks = all.iter().find_map(|fields| fields.nested("fallback"));
        let instead = fallbacks.map(|fallback| fallback.get("value").unwrap().clone());
        let heard = Arc::new(Heard::default());
        let pipeline = Pipeline::new("case", policies).with_observer(heard.clone());
        Self { pipeline: Arc::new(pipeline), heard, instead, others: None }
    }

    fn hold(&mut self, places: u32, now: f64) {
        let bulkhead = self.pipeline.bulkhead().unwrap().clone();
        let others = self.others.insert(bulkhead::Places::of(bulkhead));
        for _ in 0..places {
            assert!(others.acquire(now).1.is_none());
        }
    }

    fn force(&self, step: &Step<'_>, now: f64) {
        assert_eq!(step.fields.text("to"), Some("open"));
        let breaker = self.pipeline.circuit_breaker().unwrap();
        let until = at(now) + breaker.config().recovery_timeout;
        breaker.force(at(now), Force::Open, "case", Some(until));
    }

    fn check(&self, step: &Step<'_>, ran: &Ran<'_>, log: &mut Log) {
        let expected = &step.expected;
        let heard = self.heard.take();
        let count = |which: fn(&Kind) -> bool| heard.iter().filter(|(_, kind)| which(kind)).count();
        let retries = count(|kind| matches!(kind, Kind::RetryScheduled { .. }));
        let hedges = count(|kind| matches!(kind, Kind::Hedged { .. }));
        log.expect(expected, "result", || {
            if ran.done.outcome.is_success() { "success" } else { "error" }
        });
        log.expect(expected, "value", || ran.value().cloned());
        log.expect(expected, "error", || match ran.done.outcome {
            Outcome::Success => "none",
            Outcome::Failure(_) => "failure",
            Outcome::TimedOut { .. } => "timed_out",
            Outcome::Rejected(rejection) => label(rejection.reason),
            Outcome::CallerFault(_) => "caller_fault",
        });
        log.expect(expected, "attempts", || 1 + retries + hedges);
        log.expect(expected, "invocations", || ran.invocations.len());
        log.expect(expected, "retries", || retries);
        log.expect(expected, "hedges", || hedges);
        log.expect(expected, "timeouts", || count(|kind| matches!(kind, Kind::TimedOut { .. })));
        log.expect(expected, "winner", || ran.winner().map(|winner| winner + 1));
        log.expect(expected, "starts_ms", || {
            ran.invocations
                .iter()
                .map(|call| as_ms(call.began.since(ran.began)))
                .collect::<Vec<_>>()
        });
        log.expect(expected, "done_at_ms", || as_ms(ran.ended.since(ran.began)));
        log.expect(expected, "fallback_cause", || {
            match ran.instead_of.map(|after| after.outcome) {
                Some(Outcome::Rejected(rejection)) => label(rejection.reason),
                Some(_) => "failure",
                None => "none",
            }
        });
        if let Some(expected) = expected.nested("breaker") {
            let view = self.pipeline.circuit_breaker().unwrap().view(ran.ended);
            log.expect(&expected, "state", || view.state.label());
            let tally = view.window.unwrap_or_default();
            log.expect(&expected, "failures", || tally.failures);
            log.expect(&expected, "successes", || tally.calls - tally.failures);
        }
    }
}

impl Driver for Stack {
    fn take(&mut self, step: &Step<'_>, now: f64, log: &mut Log) {
        match step.verb {
            "hold" => self.hold(step.fields.whole("bulkhead_permits").unwrap(), now),
            "force" => self.force(step, now),
            "execute" => {
                let script: Vec<Scripted> =
                    step.fields.list("attempts_script").iter().map(Scripted::new).collect();
                let attributes = Attributes {
                    repeatable: step.fields.get("idempotent").is_none_or(|repeats| repeats == true),
                    fallbacks: u32::from(self.instead.is_some()),
                    ..Attributes::default()
                };
                let ran = Ran::new(&self.pipeline, attributes, at(now), &script, &self.instead);
                self.check(step, &ran, log);
            }
            other => panic!("no step {other}"),
        }
    }
}

/// The script of an invocation.
#[derive(Clone)]
struct Scripted {
    took: f64,
    outcome: Outcome,
    value: Option<Value>,
}

impl Scripted {
    fn new(fields: &Fields<'_>) -> Self {
        let class = if fields.is("fatal") { Class::Permanent } else { Class::Transient };
        let mut failure = Failure::new(class);
        match fields.number("pushback_ms") {
            Some(wait) if wait < 0.0 => failure.should_retry = Some(false),
            wait => failure.retry_after = wait.map(ms),
        }
        Self {
            took: fields.number("took_ms").unwrap_or(0.0),
            outcome: match fields.text("outcome").unwrap() {
                "success" => Outcome::Success,
                "failure" => Outcome::Failure(failure),
                other => panic!("no outcome {other}"),
            },
            value: fields.get("value").cloned(),
        }
    }
}

struct Invocation {
    id: CallId,
    began: Instant,
    value: Option<Value>,
}

/// One execution, from its start to its end.
struct Ran<'a> {
    pipeline: &'a Arc<Pipeline>,
    began: Instant,
    ended: Instant,
    invocations: Vec<Invocation>,
    done: Resolution,
    /// The resolution that a fallback was called for, and its value.
    instead_of: Option<Resolution>,
    instead: &'a Option<Value>,
}

impl<'a> Ran<'a> {
    fn new(
        pipeline: &'a Arc<Pipeline>,
        attributes: Attributes,
        began: Instant,
        script: &[Scripted],
        instead: &'a Option<Value>,
    ) -> Self {
        let done = Resolution { outcome: Outcome::Success, call: None };
        let mut ran = Ran {
            pipeline,
            began,
            ended: began,
            invocations: Vec::new(),
            done,
            instead_of: None,
            instead,
        };
        ran.run(attributes, script);
        ran
    }

    fn run(&mut self, attributes: Attributes, script: &[Scripted]) {
        let waker = Waker::noop();
        let mut now = self.began;
        let mut execution = Execution::start(self.pipeline.clone(), attributes, 1, now, waker);
        let mut running: Vec<(Instant, CallId, Outcome)> = Vec::new();
        loop {
            while let Some(command) = execution.poll_command() {
                match command {
                    Command::Call { id, .. } => {
                        // The last entry repeats.
                        let nth = self.invocations.len().min(script.len() - 1);
                        let Scripted { took, outcome, value } = script[nth].clone();
                        running.push((now + ms(took), id, outcome));
                        self.invocations.push(Invocation { id, began: now, value });
                    }
                    Command::Fallback { id, after, .. } => {
                        self.instead_of = Some(after);
                        running.push((now, id, Outcome::Success));
                    }
                    Command::Cancel(id) => running.retain(|(_, running, _)| *running != id),
                    Command::Done(done) => {
                        (self.done, self.ended) = (done, now);
                        return;
                    }
                }
            }
            let due = execution.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
            running.sort_by_key(|(at, id, _)| (*at, *id));
            match running.first() {
                Some((at, ..)) if *at <= due => {
                    let (at, id, outcome) = running.remove(0);
                    now = at;
                    execution.handle_result(id, outcome, now, waker);
                }
                _ => {
                    assert!(due < Instant::FAR_FUTURE, "it waits for nothing");
                    now = due;
                    execution.handle_wake(now, waker);
                }
            }
        }
    }

    /// The invocation whose value or error is the answer, from 0.
    fn winner(&self) -> Option<usize> {
        self.invocations.iter().position(|call| Some(call.id) == self.done.call)
    }

    fn value(&self) -> Option<&Value> {
        match self.winner() {
            Some(winner) => self.invocations[winner].value.as_ref(),
            None => self.instead.as_ref().filter(|_| self.instead_of.is_some()),
        }
    }
}
