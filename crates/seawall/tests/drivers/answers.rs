//! Tests of the answer that a caller gets.

use crate::stage::{After, Hand, Stage, finish, ms};
use seawall::{
    Attempt, Attributes, CircuitBreakerConfig, Class, Classify, Clock, Command, Error, Execution,
    FallbackConfig, Outcome, Pipeline, PolicyConfig, RateLimiterConfig, Reason, Registry,
    RetryConfig, TimeoutConfig, Work, WorkResult,
};
use std::{
    cell::{Cell, RefCell},
    future::{Ready, pending, ready},
    rc::Rc,
    task::Waker,
};

fn retry(max_attempts: u32) -> PolicyConfig {
    PolicyConfig::Retry(RetryConfig { max_attempts, ..Default::default() })
}

#[test]
fn a_value_passes_through() {
    let hand = Hand::new();
    let pipeline = Pipeline::new("plain", []);
    let call = |_| ready(Ok::<_, ()>(Box::new(42)));
    let answer = finish(&hand, pipeline.run(&hand, call));
    assert_eq!(*answer.unwrap(), 42);
}

#[test]
fn the_last_real_error_is_the_answer() {
    let hand = Hand::new();
    let pipeline = Pipeline::build("retried", &[retry(3)]).unwrap();
    let calls = Cell::new(0);
    let call = |attempt: Attempt| {
        calls.set(calls.get() + 1);
        assert_eq!(attempt.number, calls.get());
        ready(Err::<(), _>(format!("error {}", calls.get())))
    };
    let answer = finish(&hand, pipeline.run(&hand, call));
    assert!(matches!(answer, Err(Error::Inner(error)) if error == "error 3"));
    assert_eq!(calls.get(), 3);
}

#[test]
fn a_call_that_succeeds_in_time_is_polled_and_no_more() {
    let stage = Stage::new();
    let call = |_| After(3, Some(Ok::<_, ()>("late, not too late")));
    let run = stage.pipeline.run(&stage.hand, call);
    assert_eq!(finish(&stage.hand, run), Ok("late, not too late"));
    assert_eq!(stage.counts().successful_calls, 1);
    stage.assert_everything_is_back("after a success");
}

#[test]
fn an_attempt_that_hangs_is_dropped_and_repeated() {
    let stage = Stage::new();
    let dropped = Rc::new(Cell::new(0));
    struct Count(Rc<Cell<u32>>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let call = |_: Attempt| {
        let count = Count(dropped.clone());
        async move {
            let _count = count;
            pending::<Result<(), ()>>().await
        }
    };
    let run = stage.pipeline.run(&stage.hand, call);
    let answer = finish(&stage.hand, run);
    let Err(Error::TimedOut(elapsed)) = answer else { panic!("{answer:?}") };
    assert_eq!((&*elapsed.operation, elapsed.limit), ("staged", ms(50)));
    assert_eq!(dropped.get(), 3);
    let counts = stage.counts();
    assert_eq!((counts.attempts, counts.timeouts, counts.timed_out_calls), (3, 3, 1));
    assert_eq!(stage.breaker.state(), seawall::State::Open, "a hung probe is a failure");
    stage.assert_everything_is_back("after timeouts");
}

#[test]
fn the_callers_deadline_holds_without_any_policy() {
    let hand = Hand::new();
    let pipeline = Pipeline::new("plain", []);
    let deadline = hand.now() + ms(30);
    let attributes = Attributes { deadline, ..Attributes::default() };
    let call = |attempt: Attempt| {
        assert_eq!(attempt.deadline, deadline);
        pending::<Result<(), &str>>()
    };
    let answer = finish(&hand, pipeline.run(&hand, call).attributes(attributes));
    let Err(Error::TimedOut(elapsed)) = &answer else { panic!("{answer:?}") };
    assert_eq!((elapsed.limit, elapsed.by_caller), (ms(30), true));
    assert_eq!(
        answer.unwrap_err().to_string(),
        "plain: the caller's deadline passed after 30ms",
        "it does not read as if a policy had set the limit"
    );
    // And where it has passed already, nothing is called.
    let call = |_| -> Ready<Result<(), ()>> { panic!("nobody waits for this call") };
    let answer = finish(&hand, pipeline.run(&hand, call).attributes(attributes));
    assert!(answer.unwrap_err().is_timed_out());
}

#[test]
fn a_refusal_names_the_operation_it_comes_from_however_many_are_around_it() {
    let hand = Hand::new();
    let registry = Registry::builder().timer(hand.clone()).build();
    let limit = RateLimiterConfig { rate: 1, ..Default::default() };
    let retry = PolicyConfig::Retry(RetryConfig::default());
    let policies = vec![PolicyConfig::RateLimiter(limit)];
    let inner = registry.register("inner", policies).unwrap();
    let outer = registry.register("outer", vec![retry]).unwrap();
    let by_inner = |result: &Result<u32, Error<()>>| match result {
        Ok(_) => Outcome::Success,
        Err(error) => error.outcome(|()| Outcome::failure(Class::Unknown)),
    };
    let ask = || {
        let nested = |_| inner.call(|| ready(Ok::<_, ()>(7)));
        finish(&hand, outer.run(nested).classify(by_inner))
    };
    assert_eq!(ask(), Ok(7));
    let refused = ask().map_err(Error::flatten).unwrap_err();
    let Error::Rejected(rejected) = &refused else { panic!("{refused:?}") };
    assert_eq!((&*rejected.operation, rejected.policy()), ("inner", "rate_limiter"));
    assert_eq!((outer.counts().rejected_calls, outer.counts().retries_executed), (1, 0));
}

#[test]
fn a_callers_own_deadline_never_counts_against_the_dependency() {
    let hand = Hand::new();
    let registry = Registry::builder().timer(hand.clone()).build();
    let breaker = CircuitBreakerConfig { failure_threshold: Some(1), ..Default::default() };
    let policies = vec![PolicyConfig::CircuitBreaker(breaker)];
    let inner = registry.register("inner", policies.clone()).unwrap();
    let outer = registry.register("outer", policies).unwrap();
    for _ in 0..3 {
        let attributes = Attributes { deadline: hand.now() + ms(5), ..Attributes::default() };
        let nested =
            |_| inner.run(|_| pending::<Result<(), ()>>()).attributes(attributes).into_future();
        // Whoever wraps one operation in another hands the blame on, and does not invent one.
        let by_inner = |result: &Result<(), Error<()>>| match result {
            Ok(()) => Outcome::Success,
            Err(error) => error.outcome(|()| Outcome::failure(Class::Unknown)),
        };
        let run = outer.run(nested).classify(by_inner);
        let answer = finish(&hand, run);
        assert!(matches!(answer, Err(Error::Inner(Error::TimedOut(_)))), "{answer:?}");
    }
    for operation in [inner, outer] {
        let breaker = operation.pipeline().circuit_breaker().unwrap().clone();
        assert_eq!(breaker.state(), seawall::State::Closed);
        let counts = operation.counts();
        assert_eq!((counts.total_calls, counts.caller_faults), (3, 3), "{counts:?}");
        assert_eq!((counts.timed_out_calls, counts.failed_calls, counts.timeouts), (0, 0, 0));
        assert_eq!((counts.failed_attempts, counts.in_flight), (0, 0));
        assert_eq!(counts.success_rate(), None, "nothing was said about the dependency");
    }
}

#[test]
fn of_nested_operations_the_one_that_refused_is_told_apart() {
    let hand = Hand::new();
    let registry = Registry::builder().timer(hand.clone()).build();
    let breaker = CircuitBreakerConfig { failure_threshold: Some(1), ..Default::default() };
    let inner = registry.register("inner", vec![PolicyConfig::CircuitBreaker(breaker)]).unwrap();
    let outer = registry.register("outer", Vec::new()).unwrap();
    let call = || {
        let nested = |_| inner.call(|| ready(Err::<(), _>(())));
        let by_inner = |result: &Result<(), Error<()>>| match result {
            Ok(()) => Outcome::Success,
            Err(error) => error.outcome(|()| Outcome::failure(Class::Unknown)),
        };
        finish(&hand, outer.run(nested).classify(by_inner))
    };
    assert_eq!(call(), Err(Error::Inner(Error::Inner(()))));
    let refused = call();
    assert!(matches!(refused, Err(Error::Inner(Error::Rejected(_)))), "{refused:?}");
    // Both counted it as what it was.
    assert_eq!((inner.counts().rejected_calls, outer.counts().rejected_calls), (1, 1));
}

#[test]
fn a_refusal_after_a_real_failure_does_not_say_that_nothing_ran() {
    let hand = Hand::new();
    let breaker = CircuitBreakerConfig { failure_threshold: Some(1), ..Default::default() };
    let policies = [retry(3), PolicyConfig::CircuitBreaker(breaker)];
    let pipeline = Pipeline::build("opened on the way", &policies).unwrap();
    let run = || {
        let call = |attempt: Attempt| ready(Err::<(), _>(attempt.number));
        finish(&hand, pipeline.run(&hand, call))
    };
    // The second attempt is refused: the first one's error is the answer.
    assert_eq!(run(), Err(Error::Inner(1)));
    assert!(run().unwrap_err().is_rejected());
}

#[test]
fn a_timeout_in_the_queue_says_nothing_about_the_dependency() {
    let stage = Stage::new();
    stage.breaker.reset(stage.hand.now());
    let held = stage.bulkhead.try_acquire().unwrap();
    let deadline = stage.hand.now() + ms(100);
    let attributes = Attributes { deadline, ..Attributes::default() };
    let call = |_| -> Ready<Result<(), ()>> { panic!("there is no place") };
    let run = stage.pipeline.run(&stage.hand, call).attributes(attributes);
    assert!(finish(&stage.hand, run).unwrap_err().is_timed_out());
    assert_eq!(stage.breaker.state(), seawall::State::Closed, "nothing was called");
    drop(held);
    stage.assert_everything_is_back("after a timeout in the queue");
}

#[test]
fn after_the_deadline_nothing_begins_also_when_a_result_comes_first() {
    let policies = [
        PolicyConfig::Timeout(TimeoutConfig { limit: ms(50), ..Default::default() }),
        PolicyConfig::Fallback(FallbackConfig::default()),
    ];
    let pipeline = Pipeline::build("late", &policies).unwrap();
    let attributes = Attributes { fallbacks: 1, ..Attributes::default() };
    let (start, waker) = (Hand::new().now(), Waker::noop());
    let mut execution = Execution::start(&pipeline, attributes, 1, start, waker);
    let Some(Command::Call { id, .. }) = execution.poll_command() else { panic!("it calls") };
    // The driver brings the result before it looks at the time.
    let late = start + ms(60);
    execution.handle_result(id, Outcome::failure(Class::Transient), late, waker);
    let fallback = execution.poll_command().filter(|c| matches!(c, Command::Fallback { .. }));
    assert_eq!(fallback, None);
    assert!(execution.poll_timeout().is_some_and(|due| due <= late));
    execution.handle_wake(late, waker);
    let done = std::iter::from_fn(|| execution.poll_command()).last();
    let Some(Command::Done(done)) = done else { panic!("{done:?}") };
    assert_eq!(done.outcome, Outcome::TimedOut { limit: ms(50) });
}

/// A service that answers by status, with alternatives.
struct Statuses {
    alternatives: u32,
    answers: Vec<Result<u16, &'static str>>,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Work for Statuses {
    type Value = u16;
    type Error = &'static str;
    type Call = Ready<Result<u16, &'static str>>;
    type Alternative = Self::Call;

    fn alternatives(&self) -> u32 {
        self.alternatives
    }

    fn call(&mut self, attempt: Attempt) -> Self::Call {
        self.asked.borrow_mut().push(format!("call {}", attempt.number));
        ready(self.answers[0])
    }

    fn fallback(
        &mut self,
        nth: u32,
        failed: WorkResult<Self>,
    ) -> Result<Self::Call, WorkResult<Self>> {
        self.asked.borrow_mut().push(format!("alternative {nth} after {failed:?}"));
        match self.answers.get(nth as usize) {
            Some(answer) => Ok(ready(*answer)),
            None => Err(failed),
        }
    }
}

struct ByStatus;

impl Classify<u16, &'static str> for ByStatus {
    fn classify(&self, result: &Result<u16, &'static str>) -> Outcome {
        match result {
            Ok(..400) => Outcome::Success,
            Ok(400..500) => Outcome::failure(Class::Permanent),
            _ => Outcome::failure(Class::Transient),
        }
    }
}

/// Runs under fallback and two attempts; the answer, and who was asked.
fn fall_back(
    answers: &[Result<u16, &'static str>],
    alternatives: u32,
) -> (Result<u16, Error<&'static str>>, Vec<String>) {
    let hand = Hand::new();
    let config = FallbackConfig { on_permanent: false, ..Default::default() };
    let policies = [PolicyConfig::Fallback(config), retry(2)];
    let pipeline = Pipeline::build("by status", &policies).unwrap();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let work = Statuses { alternatives, answers: answers.to_vec(), asked: asked.clone() };
    let answer = finish(&hand, pipeline.drive(hand.clone(), work).classify(ByStatus));
    let asked = asked.borrow().clone();
    (answer, asked)
}

#[test]
fn an_alternative_replaces_a_value_that_is_classified_as_a_failure() {
    let (answer, asked) = fall_back(&[Ok(503), Ok(200)], 1);
    assert_eq!(answer, Ok(200));
    assert_eq!(asked, ["call 1", "call 2", "alternative 1 after Ok(503)"]);
}

#[test]
fn alternatives_are_tried_in_order_and_the_last_answer_is_the_answer() {
    let (answer, asked) = fall_back(&[Err("down"), Ok(503), Err("down, too"), Ok(502)], 3);
    assert_eq!(answer, Ok(502));
    assert_eq!(
        asked,
        [
            "call 1",
            "call 2",
            "alternative 1 after Err(Inner(\"down\"))",
            "alternative 2 after Ok(503)",
            "alternative 3 after Err(Inner(\"down, too\"))",
        ]
    );
}

#[test]
fn a_driver_that_has_no_alternative_after_all_gives_the_failed_value_back() {
    let (answer, _) = fall_back(&[Ok(503)], 1);
    assert_eq!(answer, Ok(503));
    let (answer, _) = fall_back(&[Err("down")], 2);
    assert_eq!(answer, Err(Error::Inner("down")));
}

#[test]
fn a_permanent_failure_is_neither_retried_nor_replaced() {
    let (answer, asked) = fall_back(&[Ok(404), Ok(200)], 1);
    assert_eq!((answer, asked), (Ok(404), vec!["call 1".to_owned()]));
}

#[test]
fn an_alternative_answers_after_a_timeout() {
    let hand = Hand::new();
    let policies = [
        PolicyConfig::Fallback(FallbackConfig::default()),
        PolicyConfig::Timeout(TimeoutConfig { limit: ms(5), ..Default::default() }),
    ];
    let pipeline = Pipeline::build("slow", &policies).unwrap();
    struct Slow;
    impl Work for Slow {
        type Value = &'static str;
        type Error = ();
        type Call = std::future::Pending<Result<&'static str, ()>>;
        type Alternative = Ready<Result<&'static str, ()>>;
        fn call(&mut self, _: Attempt) -> Self::Call {
            pending()
        }
        fn fallback(
            &mut self,
            _: u32,
            failed: WorkResult<Self>,
        ) -> Result<Self::Alternative, WorkResult<Self>> {
            assert!(failed.unwrap_err().is_timed_out());
            Ok(ready(Ok("from the cache")))
        }
    }
    assert_eq!(finish(&hand, pipeline.drive(hand.clone(), Slow)), Ok("from the cache"));
}

#[test]
fn callers_in_the_queue_are_served_and_those_who_find_it_full_are_refused() {
    let stage = Stage::new();
    stage.breaker.reset(stage.hand.now());
    let run = |polls: u32| {
        let call = move |_| After(polls, Some(Ok::<_, ()>(polls)));
        stage.pipeline.run(&stage.hand, call).into_future()
    };
    let mut callers: Vec<_> = (5..9).map(|polls| Box::pin(run(polls))).collect();
    let mut answers = Vec::new();
    for _ in 0..100 {
        callers.retain_mut(|caller| match crate::stage::poll(caller.as_mut()) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        stage.hand.pass(1);
    }
    assert!(callers.is_empty());
    let refused = answers.remove(0).unwrap_err();
    let Error::Rejected(rejection) = refused else { panic!("{refused:?}") };
    assert_eq!(rejection.reason, Reason::BulkheadFull);
    assert_eq!(answers, [Ok(5), Ok(6), Ok(7)]);
    stage.assert_everything_is_back("after a queue");
}
