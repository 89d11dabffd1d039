//! Alternatives that are handed over are called, with and without a fallback policy.

use crate::stage::{Hand, finish, ms};
use seawall::{
    Attempt, Attributes, BulkheadConfig, Class, Clock, Error, FallbackConfig, Mode, Operation,
    Outcome, PolicyConfig, Registry, TimeoutConfig, Work, WorkResult,
};
use std::future::{Pending, Ready, pending, ready};

fn operation(hand: &Hand, policies: Vec<PolicyConfig>) -> Operation<Hand> {
    let registry = Registry::builder().timer(hand.clone()).build();
    registry.register("tested", policies).unwrap()
}

fn timeout() -> PolicyConfig {
    PolicyConfig::Timeout(TimeoutConfig { limit: ms(5), ..Default::default() })
}

fn permanent<T>(result: &Result<T, &'static str>) -> Outcome {
    if result.is_ok() { Outcome::Success } else { Outcome::failure(Class::Permanent) }
}

/// An alternative whose value names the error that it replaces.
fn told(error: Error<&'static str>) -> Result<String, &'static str> {
    Ok(match error {
        Error::Inner(error) => error.to_owned(),
        Error::TimedOut(_) => "timed out".to_owned(),
        Error::Rejected(rejection) => rejection.reason.label().to_owned(),
    })
}

#[test]
fn alternatives_replace_failures_timeouts_and_refusals_without_a_policy() {
    let hand = Hand::new();
    let full = BulkheadConfig { max_concurrent: 1, max_queued: 0, ..BulkheadConfig::default() };
    for policies in [vec![], vec![timeout()], vec![PolicyConfig::Bulkhead(full), timeout()]] {
        let operation = operation(&hand, policies.clone());
        let down = operation.run(|_| ready(Err("down"))).fallback(|error| ready(told(error)));
        assert_eq!(finish(&hand, down).unwrap(), "down", "{policies:?}");
        if !policies.is_empty() {
            let hung = operation.run(|_| pending()).fallback(|error| ready(told(error)));
            assert_eq!(finish(&hand, hung).unwrap(), "timed out", "{policies:?}");
        }
        if let Some(bulkhead) = operation.pipeline().bulkhead() {
            let _place = bulkhead.try_acquire().unwrap();
            let refused = operation.run(|_| ready(Ok(String::new()))).fallback(|e| ready(told(e)));
            assert_eq!(finish(&hand, refused).unwrap(), "bulkhead_full");
        }
        let counts = operation.counts();
        assert_eq!(counts.fallbacks, 1 + policies.len() as u64, "{policies:?}");
        assert_eq!((counts.successful_calls, counts.in_flight), (counts.total_calls, 0));
    }
}

#[test]
fn every_way_to_hand_one_over_calls_it() {
    let hand = Hand::new();
    let operation = operation(&hand, vec![]);
    let attributes = Attributes::default();
    let fails = |_: Attempt| Err::<String, _>("down");
    let call = |attempt| ready(fails(attempt));
    let with = operation
        .run(call)
        .attributes(attributes)
        .classify(permanent)
        .fallback(|error| ready(told(error)));
    assert_eq!(finish(&hand, with).unwrap(), "down");
    let blocking =
        operation.run(fails).attributes(attributes).classify(permanent).fallback(told).blocking();
    assert_eq!(blocking.unwrap(), "down");
    // What stands in may fail, too; then its error is the answer.
    let worse = |_| ready(Err::<String, _>("down, too"));
    let answer = finish(&hand, operation.run(|_| ready(Err("down"))).fallback(worse));
    assert_eq!(answer, Err(Error::Inner("down, too")));
    // Where all goes well it is not called.
    let fine = || ready(Ok("fine".to_owned()));
    let unused = |_| -> Ready<Result<String, &str>> { panic!("there is nothing to stand in for") };
    assert_eq!(finish(&hand, operation.run(|_| fine()).fallback(unused)).unwrap(), "fine");
    // And nobody is asked who handed nothing over.
    let alone = Attributes { fallbacks: 3, ..attributes };
    assert_eq!(
        finish(&hand, operation.run(call).attributes(alone).classify(permanent)),
        Err(Error::Inner("down"))
    );
    assert_eq!(operation.counts().fallbacks, 3);
}

/// Hangs; and has two alternatives, of which the first fails.
struct Hangs;

impl Work for Hangs {
    type Value = u32;
    type Error = &'static str;
    type Call = Pending<Result<u32, &'static str>>;
    type Alternative = Ready<Result<u32, &'static str>>;

    fn alternatives(&self) -> u32 {
        2
    }
    fn call(&mut self, _: Attempt) -> Self::Call {
        pending()
    }
    fn fallback(
        &mut self,
        nth: u32,
        _: WorkResult<Self>,
    ) -> Result<Self::Alternative, WorkResult<Self>> {
        Ok(ready(if nth == 2 { Ok(nth) } else { Err("down") }))
    }
}

#[test]
fn work_says_itself_how_many_alternatives_it_has() {
    let hand = Hand::new();
    let fallback = PolicyConfig::Fallback(FallbackConfig::default());
    for policies in [vec![timeout()], vec![fallback, timeout()]] {
        let operation = operation(&hand, policies);
        let run = operation.drive(Hangs);
        assert_eq!(finish(&hand, run), Ok(2));
        assert_eq!(operation.counts().fallbacks, 2);
    }
}

#[test]
fn a_policy_in_the_list_keeps_its_own_rules() {
    let hand = Hand::new();
    let config = FallbackConfig { on_permanent: false, ..Default::default() };
    let operation = operation(&hand, vec![timeout(), PolicyConfig::Fallback(config)]);
    let attributes = Attributes::default();
    let call = |_| ready(Err::<String, _>("not found"));
    let run = operation
        .run(call)
        .attributes(attributes)
        .classify(permanent)
        .fallback(|error| ready(told(error)));
    assert_eq!(finish(&hand, run), Err(Error::Inner("not found")));
    // It stands inside the timeout: that is not stood in for.
    let hung = operation.run(|_| pending()).fallback(|error| ready(told(error)));
    assert!(finish(&hand, hung).unwrap_err().is_timed_out());
    // And an operator who switched it off meant it.
    operation.set_mode("fallback", Mode::Off);
    let down = operation.run(|_| ready(Err("down"))).fallback(|error| ready(told(error)));
    assert_eq!(finish(&hand, down), Err(Error::Inner("down")));
    assert_eq!(operation.counts().fallbacks, 0);
}

#[test]
fn nothing_begins_after_the_callers_deadline() {
    let hand = Hand::new();
    let operation = operation(&hand, vec![]);
    let attributes = Attributes { deadline: hand.now() + ms(10), ..Attributes::default() };
    let unused = |_| -> Ready<Result<u32, &str>> { panic!("nobody waits for this") };
    let run = operation.run(|_| pending()).attributes(attributes).fallback(unused);
    assert!(finish(&hand, run).unwrap_err().is_timed_out());
}
