//! Shared limits in virtual time, with a simulated store that is slow, refuses and gets lost.

use super::*;
use crate::{
    attributes::Attributes,
    command::Command,
    event::{Event, Observer},
    execution::Execution,
    pipeline::Pipeline,
    policies::rate_limiter::{rate_limit, settings::Unit},
    policy::Mode,
};
use std::{
    sync::Mutex as StdMutex,
    task::{Context, Poll},
    time::Duration,
};

mod fleet;

const SECOND: Duration = Duration::from_secs(1);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Instant {
    Instant::from_millis(1_000_000 + n)
}

#[derive(Default)]
struct Heard(StdMutex<Vec<Kind>>);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(event.kind);
    }
}

/// One instance: its pipeline of one shared limit, and what a connector sees of it.
struct Instance {
    pipeline: Arc<Pipeline>,
    limits: SharedLimits,
    heard: Arc<Heard>,
}

impl Instance {
    fn new(config: RateLimiterConfig) -> Self {
        let heard = Arc::new(Heard::default());
        let pipeline = Pipeline::build("op", &[config.into()]).unwrap();
        let pipeline = Arc::new(pipeline.with_observer(heard.clone()));
        let limits = pipeline.shared_limits().remove(0);
        Self { pipeline, limits, heard }
    }

    fn connected(config: RateLimiterConfig) -> Self {
        let instance = Self::new(config);
        instance.limits.connected(at(0), None);
        instance
    }

    fn call(&self, now: Instant, attributes: Attributes) -> Call {
        let execution = Execution::start(self.pipeline.clone(), attributes, 1, now, Waker::noop());
        Call { execution, began: now }
    }

    fn asks(&self, now: Instant) -> Option<Vec<LimitAsk>> {
        match self.limits.poll_asks(now, 100, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(asks) => Some(asks),
            Poll::Pending => None,
        }
    }

    fn heard(&self, is: impl Fn(&Kind) -> bool) -> usize {
        self.heard.0.lock().unwrap().iter().filter(|kind| is(kind)).count()
    }

    fn degraded_decisions(&self) -> usize {
        self.heard(|kind| matches!(kind, Kind::LimitDegraded { .. }))
    }
}

/// A call under way; the operation itself takes no time.
struct Call {
    execution: Execution,
    began: Instant,
}

#[derive(Debug, PartialEq)]
enum Now {
    Waits,
    Passed,
    Refused(Reason, Option<Duration>),
}

impl Call {
    fn look(&mut self, now: Instant) -> Now {
        self.execution.handle_wake(now, Waker::noop());
        self.result(now)
    }

    fn result(&mut self, now: Instant) -> Now {
        match self.execution.poll_command() {
            None => Now::Waits,
            Some(Command::Call { id, .. }) => {
                self.execution.handle_result(id, Outcome::Success, now, Waker::noop());
                assert!(matches!(self.execution.poll_command(), Some(Command::Done(_))));
                Now::Passed
            }
            Some(Command::Done(done)) => match done.outcome {
                Outcome::Rejected(Rejection { reason, retry_after }) => {
                    Now::Refused(reason, retry_after)
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

fn grant(calls: u32) -> LimitGrant {
    LimitGrant { calls, ..LimitGrant::default() }
}

fn direct(rate: u32) -> RateLimiterConfig {
    rate_limit(rate, SECOND).shared(SharedLimit::default())
}

fn of_key(key: u64, cost: u32) -> Attributes {
    Attributes { key: Key::from_hash(key), cost, ..Attributes::default() }
}

#[test]
fn calls_that_wait_are_asked_for_together_and_pass_with_the_grant() {
    let instance = Instance::connected(direct(10));
    let mut calls: Vec<Call> = (0..3).map(|_| instance.call(at(0), of_key(0, 2))).collect();
    assert!(calls.iter_mut().all(|call| call.result(at(0)) == Now::Waits));
    let asks = instance.asks(at(1)).unwrap();
    assert_eq!((asks.len(), asks[0].first, asks[0].needed, asks[0].ahead), (1, 2, 6, 0));
    // One that comes while the store is asked waits for the next question.
    let mut late = instance.call(at(2), of_key(0, 1));
    assert_eq!((late.result(at(2)), instance.asks(at(2))), (Now::Waits, None));
    instance.limits.granted(at(5), &asks[0], &grant(6));
    assert!(calls.iter_mut().all(|call| call.look(at(5)) == Now::Passed));
    assert_eq!(late.look(at(5)), Now::Waits);
    assert_eq!(instance.asks(at(5)).unwrap()[0].needed, 1);
}

#[test]
fn a_refusal_is_remembered_so_that_a_storm_asks_nothing() {
    let instance = Instance::connected(direct(10));
    let mut calls: Vec<Call> = (0..3).map(|_| instance.call(at(0), of_key(0, 1))).collect();
    let asks = instance.asks(at(0)).unwrap();
    let retry_after = Some(ms(100));
    instance.limits.granted(at(4), &asks[0], &LimitGrant { retry_after, ..grant(1) });
    assert_eq!(calls[0].look(at(4)), Now::Passed);
    assert_eq!(calls[1].look(at(4)), Now::Refused(Reason::RateLimited, Some(ms(100))));
    assert_eq!(calls[2].look(at(14)), Now::Refused(Reason::RateLimited, Some(ms(90))));
    for n in 14..104 {
        let answer = instance.call(at(n), of_key(0, 1)).result(at(n));
        assert_eq!(answer, Now::Refused(Reason::RateLimited, Some(ms(104 - n))));
        assert_eq!(instance.asks(at(n)), None);
    }
    assert_eq!(instance.call(at(104), of_key(0, 1)).result(at(104)), Now::Waits);
}

#[test]
fn a_refusal_that_an_operator_resets_is_asked_again() {
    let instance = Instance::connected(direct(10));
    let _waits = instance.call(at(0), of_key(0, 1));
    let asks = instance.asks(at(0)).unwrap();
    let retry_after = Some(SECOND);
    instance.limits.granted(at(1), &asks[0], &LimitGrant { retry_after, ..grant(0) });
    instance.limits_of().reset(Key::NONE);
    assert_eq!(instance.call(at(2), of_key(0, 1)).result(at(2)), Now::Waits);
}

#[test]
fn what_costs_more_than_the_limit_is_refused_without_the_store() {
    let instance = Instance::connected(direct(10).burst(5));
    let answer = instance.call(at(0), of_key(0, 16)).result(at(0));
    assert_eq!(answer, Now::Refused(Reason::RateLimited, None));
    assert_eq!(instance.asks(at(0)), None);
}

#[test]
fn a_call_that_leaves_gives_back_its_place_or_its_grant() {
    let instance = Instance::connected(direct(10));
    let (one, two) = (instance.call(at(0), of_key(0, 3)), instance.call(at(0), of_key(0, 4)));
    drop(one);
    let asks = instance.asks(at(0)).unwrap();
    assert_eq!((asks[0].first, asks[0].needed), (4, 4));
    instance.limits.granted(at(1), &asks[0], &grant(4));
    drop(two);
    // Its grant is there for others, and for a second.
    assert_eq!(instance.call(at(2), of_key(0, 3)).result(at(2)), Now::Passed);
    assert_eq!(instance.call(at(3), of_key(0, 1)).result(at(3)), Now::Passed);
    assert_eq!(instance.call(at(4), of_key(0, 1)).result(at(4)), Now::Waits);
    assert_eq!(lock(&instance.limits_of().book).waiting(), 0, "the last one was dropped, too");
}

#[test]
fn nobody_waits_longer_than_the_timeout_nor_for_a_store_that_is_lost() {
    let instance = Instance::connected(direct(10));
    let mut waits = instance.call(at(0), of_key(0, 1));
    let asks = instance.asks(at(0)).unwrap();
    assert_eq!(waits.execution.poll_timeout(), Some(at(50)));
    assert_eq!(waits.look(at(49)), Now::Waits);
    assert_eq!(waits.look(at(50)), Now::Passed, "this instance has its share");
    assert!(instance.limits.is_degraded() && instance.pipeline.is_degraded());
    assert_eq!(instance.asks(at(50)), Some(Vec::new()), "the connector should look");
    assert_eq!(instance.asks(at(50)), None);
    for _ in 0..9 {
        assert_eq!(instance.call(at(51), of_key(0, 1)).result(at(51)), Now::Passed);
    }
    assert_eq!(
        instance.call(at(52), of_key(0, 1)).result(at(52)),
        Now::Refused(Reason::RateLimited, Some(ms(98)))
    );
    assert_eq!(instance.degraded_decisions(), 11);
    assert_eq!(instance.heard(|kind| matches!(kind, Kind::StoreLost { .. })), 1);
    // The answer comes late: it counts, and the store is there when the connector says so.
    instance.limits.granted(at(60), &asks[0], &grant(1));
    assert_eq!(instance.call(at(61), of_key(0, 1)).result(at(61)), Now::Passed);
    instance.limits.connected(at(70), Some(4));
    let mut waits = instance.call(at(71), of_key(0, 1));
    assert_eq!(waits.result(at(71)), Now::Waits);
    assert_eq!(instance.asks(at(71)).unwrap().len(), 1);
}

#[test]
fn while_the_store_is_lost_it_is_as_configured() {
    let config = |degraded| {
        let shared = SharedLimit::default().degraded(degraded).instances(5);
        rate_limit(10, SECOND).shared(shared)
    };
    for (degraded, passes, reason) in [
        (DegradedMode::Local, 2, Reason::RateLimited),
        (DegradedMode::Open, 100, Reason::RateLimited),
        (DegradedMode::Closed, 0, Reason::LimitUnknown),
    ] {
        let instance = Instance::new(config(degraded));
        let answers = (0..100).map(|_| instance.call(at(0), of_key(0, 1)).result(at(0)));
        let (passed, refused): (Vec<Now>, Vec<Now>) =
            answers.partition(|answer| *answer == Now::Passed);
        assert_eq!(passed.len(), passes, "{degraded:?}");
        assert!(
            refused.iter().all(|answer| matches!(answer, Now::Refused(is, _) if *is == reason))
        );
        assert_eq!(instance.degraded_decisions(), 100);
    }
}

#[test]
fn those_who_wait_are_decided_at_once_when_the_store_is_lost() {
    let instance = Instance::connected(direct(10));
    let mut calls: Vec<Call> = (0..4).map(|_| instance.call(at(0), of_key(0, 1))).collect();
    instance.limits.connected(at(0), Some(5));
    assert!(instance.asks(at(0)).is_some());
    instance.limits.lost(at(3));
    let answers: Vec<Now> = calls.iter_mut().map(|call| call.look(at(3))).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == Now::Passed).count(), 2);
    assert_eq!(instance.heard(|kind| matches!(kind, Kind::StoreLost { .. })), 1);
    instance.limits.lost(at(4));
    assert_eq!(instance.heard(|kind| matches!(kind, Kind::StoreLost { .. })), 1, "it is said once");
}

#[test]
fn one_key_can_fail_while_the_others_are_counted() {
    let instance = Instance::connected(direct(10).keyed(true));
    let (mut one, mut two) =
        (instance.call(at(0), of_key(1, 1)), instance.call(at(0), of_key(2, 1)));
    let asks = instance.asks(at(0)).unwrap();
    assert_eq!(asks.len(), 2);
    instance.limits.failed(&asks[0], at(100));
    instance.limits.granted(at(1), &asks[1], &grant(1));
    assert_eq!((one.look(at(1)), two.look(at(1))), (Now::Passed, Now::Passed));
    assert_eq!(instance.degraded_decisions(), 1);
    assert_eq!(instance.call(at(99), of_key(1, 1)).result(at(99)), Now::Passed);
    assert_eq!(instance.degraded_decisions(), 2);
    assert_eq!(instance.call(at(100), of_key(1, 1)).result(at(100)), Now::Waits);
}

#[test]
fn a_lease_is_spent_without_the_store_and_asked_again_in_advance() {
    let instance =
        Instance::connected(rate_limit(1_000, SECOND).shared(SharedLimit::default().lease(8)));
    let (mut waited, mut asked) = (0, 0);
    for n in 0..200 {
        let mut call = instance.call(at(n), of_key(0, 1));
        let first = call.result(at(n));
        for ask in instance.asks(at(n)).unwrap_or_default() {
            asked += 1;
            assert!(ask.ahead <= 8);
            instance.limits.granted(at(n), &ask, &grant(ask.needed + ask.ahead));
        }
        if first == Now::Waits {
            waited += 1;
            assert_eq!(call.look(at(n)), Now::Passed);
        }
    }
    assert!(waited <= 3, "{waited} of 200 calls waited for the store");
    assert!(asked <= 50, "{asked} round trips for 200 calls");
    // What is left of it is lost after `lease_time`.
    assert_eq!(instance.call(at(5_000), of_key(0, 1)).result(at(5_000)), Now::Waits);
}

#[test]
fn keys_are_bounded() {
    let config = direct(10).keyed(true).max_keys(50_u32);
    let instance = Instance::connected(config);
    for key in 1..1_000 {
        let mut call = instance.call(at(0), of_key(key, 1));
        for ask in instance.asks(at(0)).unwrap_or_default() {
            instance.limits.granted(
                at(0),
                &ask,
                &LimitGrant { retry_after: Some(SECOND), ..grant(1) },
            );
        }
        call.look(at(0));
    }
    assert!(instance.limits_of().keys() <= 51, "{}", instance.limits_of().keys());
}

#[test]
fn a_policy_in_shadow_lets_every_call_pass() {
    let instance = Instance::new(direct(1).mode(Mode::Shadow));
    instance.limits.connected(at(0), None);
    assert_eq!(instance.call(at(0), of_key(0, 1)).result(at(0)), Now::Passed);
    assert_eq!(instance.call(at(0), of_key(0, 9)).result(at(0)), Now::Passed);
}

#[test]
fn what_does_not_go_with_a_shared_limit_is_told() {
    let shared = SharedLimit::default().lease(200).name("a{b".to_owned());
    let config = rate_limit(2_000_000, SECOND).max_wait(SECOND).shared(shared);
    let also = Limit { rate: 100, per: SECOND, ..Limit::default() };
    let told = RateLimiter::new(config.also(vec![also])).unwrap_err().to_string();
    for field in ["rate: ", "max_wait: ", "shared.lease: ", "shared.name: "] {
        assert!(told.contains(field), "{field} is not in: {told}");
    }
}

impl Instance {
    fn limits_of(&self) -> &Shared {
        match &self.pipeline.policies()[0] {
            crate::policies::Policy::RateLimiter(limiter) => match &limiter.limiter {
                super::super::Limiter::Shared(shared) => shared,
                _ => panic!("it is shared"),
            },
            _ => panic!("it is a rate limiter"),
        }
    }
}

#[test]
fn the_store_learns_what_calls_have_used_beyond_their_estimate_and_what_they_left() {
    let instance = Instance::connected(direct(1_000).unit(Unit::Tokens));
    let expects = |tokens| Attributes::default().tokens(tokens);
    let call = |tokens| {
        let mut call = instance.call(at(0), expects(tokens));
        assert_eq!(call.result(at(0)), Now::Waits);
        let ask = instance.asks(at(0)).unwrap().remove(0);
        assert_eq!((ask.needed, ask.settlement), (tokens, LimitSettlement::default()));
        instance.limits.granted(at(0), &ask, &grant(tokens));
        call
    };
    let (mut more, mut less) = (call(400), call(300));
    for (call, used) in [(&mut more, 450), (&mut less, 100)] {
        call.execution.handle_wake(at(1), Waker::noop());
        let Some(Command::Call { id, .. }) = call.execution.poll_command() else { panic!() };
        call.execution.handle_used_tokens(used);
        call.execution.handle_result(id, Outcome::Success, at(1), Waker::noop());
    }
    drop((more, less));
    // No call needs a question, and one is asked all the same, for both.
    let ask = instance.asks(at(2)).unwrap().remove(0);
    let left_since = ms(2);
    let settlement = LimitSettlement { beyond: 50, left: 200, left_since };
    assert_eq!((ask.needed, ask.ahead, ask.settlement), (0, 0, settlement));
    assert_eq!(instance.asks(at(2)), None);
    instance.limits.granted(at(3), &ask, &grant(0));
    assert_eq!(instance.asks(at(3)), None, "once");
}

#[test]
fn while_the_store_is_lost_calls_are_settled_here() {
    let instance = Instance::new(direct(1_000).unit(Unit::Tokens));
    let mut call = instance.call(at(0), Attributes::default().tokens(900));
    let Some(Command::Call { id, .. }) = call.execution.poll_command() else { panic!() };
    call.execution.handle_used_tokens(100);
    call.execution.handle_result(id, Outcome::Success, at(0), Waker::noop());
    drop(call);
    let limiter = instance.pipeline.rate_limiters().next().unwrap().0;
    assert_eq!(limiter.quota(at(0), Key::NONE).remaining, 900);
}
