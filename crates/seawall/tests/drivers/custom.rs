//! Tests of what a policy written by a user may ask for, and of what the caller gets then.

use crate::stage::{After, Hand, finish, ms};
use seawall::{
    Attempt, Attributes, Cause, Class, CustomFrame, CustomPolicy, Cx, Error, Instant, Mode,
    Outcome, Pipeline, Policy, Reason, Rejected, Rejection, Step, Work, WorkResult,
};
use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// Asks for these steps: at the start, when what is inside is done, and ten milliseconds after it waited.
#[derive(Clone, Copy, Debug)]
struct Scripted {
    start: Step,
    inner_done: fn(Outcome, u32) -> Step,
    wake: fn(Outcome) -> Step,
    /// The number of passages inside that ended.
    ended: u32,
    last: Outcome,
    until: Instant,
}

const SCRIPT: Scripted = Scripted {
    start: Step::Call,
    inner_done: |outcome, _| Step::Finish(outcome),
    wake: |_| Step::Wait,
    ended: 0,
    last: Outcome::Success,
    until: Instant::FAR_FUTURE,
};

impl CustomPolicy for Scripted {
    fn frame(&self) -> Box<dyn CustomFrame> {
        Box::new(*self)
    }
}

impl CustomFrame for Scripted {
    fn start(&mut self, _: &mut Cx<'_>) -> Step {
        self.start
    }

    fn inner_done(&mut self, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        self.ended += 1;
        self.last = outcome;
        let step = (self.inner_done)(outcome, self.ended);
        if step == Step::Wait {
            self.until = cx.now + ms(10);
            cx.wake_at(self.until);
        }
        step
    }

    fn wake(&mut self, cx: &mut Cx<'_>) -> Step {
        if cx.now >= self.until { (self.wake)(self.last) } else { Step::Wait }
    }
}

fn pipeline(scripts: impl IntoIterator<Item = Scripted>) -> Pipeline {
    let policies = scripts.into_iter().map(|script| Policy::Custom(Arc::new(script)));
    Pipeline::new("scripted", policies)
}

/// Fails, and has an alternative whose value says what it stands in for.
struct Fails;

impl Work for Fails {
    type Value = String;
    type Error = &'static str;
    type Call = Ready<Result<String, &'static str>>;
    type Alternative = Self::Call;

    fn call(&mut self, _: Attempt) -> Self::Call {
        ready(Err("down"))
    }
    fn fallback(
        &mut self,
        nth: u32,
        failed: WorkResult<Self>,
    ) -> Result<Self::Call, WorkResult<Self>> {
        Ok(ready(Ok(format!("alternative {nth} after {:?}", failed.unwrap_err()))))
    }
}

fn run(scripts: impl IntoIterator<Item = Scripted>) -> Result<String, Error<&'static str>> {
    let (hand, pipeline) = (Hand::new(), pipeline(scripts));
    finish(&hand, pipeline.drive(hand.clone(), Fails))
}

fn not_called<T>() -> Result<T, Error<&'static str>> {
    let rejection = Rejection::new(Reason::NotCalled, None);
    Err(Error::Rejected(Rejected::new("scripted".into(), rejection)))
}

#[test]
fn giving_up_after_a_pause_answers_with_the_calls_own_error() {
    let hand = Hand::new();
    let pipeline =
        pipeline([Scripted { inner_done: |_, _| Step::Wait, wake: Step::Finish, ..SCRIPT }]);
    let call = |_| ready(Err::<(), _>("down"));
    let run = pipeline.run(&hand, call);
    assert_eq!(finish(&hand, run), Err(Error::Inner("down")));
}

#[test]
fn an_alternative_that_is_called_after_a_pause_stands_in_for_the_last_failure() {
    let waits = |outcome: Outcome, _| {
        if outcome.is_success() { Step::Finish(outcome) } else { Step::Wait }
    };
    let script = Scripted { inner_done: waits, wake: |_| Step::Fallback { nth: 1 }, ..SCRIPT };
    let answer = run([script]);
    assert_eq!(answer.unwrap(), "alternative 1 after Inner(\"down\")");
}

#[test]
fn an_alternative_that_is_called_at_once_stands_in_for_no_call() {
    let answer = run([Scripted { start: Step::Fallback { nth: 1 }, ..SCRIPT }]);
    let Err(Error::Rejected(refused)) = not_called::<()>() else { unreachable!() };
    assert_eq!(answer.unwrap(), format!("alternative 1 after Rejected({refused:?})"));
}

#[test]
fn an_answer_in_place_of_the_call_has_no_value() {
    let (hand, attributes) = (Hand::new(), Attributes::default());
    let pipeline = pipeline([Scripted { start: Step::Finish(Outcome::Success), ..SCRIPT }]);
    let call = |_| -> Ready<Result<(), &str>> { panic!("it is not called") };
    assert_eq!(finish(&hand, pipeline.run(&hand, call).attributes(attributes)), not_called());
    let blocking = pipeline.run(&hand, |_| Ok::<(), &str>(())).attributes(attributes).blocking();
    assert_eq!(blocking, not_called());
}

#[test]
fn a_refusal_may_be_repeated_at_once_as_often_as_one_likes() {
    let refused = Outcome::Rejected(Rejection::new(Reason::Custom("scripted"), None));
    let again = |outcome: Outcome, ended| {
        if ended < 100_000 { Step::Call } else { Step::Finish(outcome) }
    };
    let scripts = [
        Scripted { inner_done: again, ..SCRIPT },
        Scripted { start: Step::Finish(refused), ..SCRIPT },
    ];
    let hand = Hand::new();
    let call = |_| -> Ready<Result<(), &str>> { panic!("it is not called") };
    let pipeline = pipeline(scripts);
    let run = pipeline.run(&hand, call);
    assert!(finish(&hand, run).is_err_and(|error| error.is_rejected()));
}

/// A policy that waits before its call, counts its releases, and must not be called after its release.
#[derive(Debug, Default)]
struct Queue(Arc<AtomicU32>);

struct Waiting {
    releases: Arc<AtomicU32>,
    called: bool,
    released: bool,
}

impl CustomPolicy for Queue {
    fn frame(&self) -> Box<dyn CustomFrame> {
        Box::new(Waiting { releases: self.0.clone(), called: false, released: false })
    }
}

impl CustomFrame for Waiting {
    fn start(&mut self, _: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    fn inner_done(&mut self, _: &mut Cx<'_>, outcome: Outcome) -> Step {
        assert!(!self.released);
        Step::Finish(outcome)
    }
    fn wake(&mut self, _: &mut Cx<'_>) -> Step {
        assert!(!self.released);
        if std::mem::replace(&mut self.called, true) { Step::Wait } else { Step::Call }
    }
    fn release(&mut self, _: &mut Cx<'_>, _: Cause) {
        assert!(!std::mem::replace(&mut self.released, true));
        self.releases.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_frame_is_released_once_in_whatever_mode() {
    let (hand, releases) = (Hand::new(), Arc::new(AtomicU32::new(0)));
    let pipeline = Pipeline::new("queue", [Policy::Custom(Arc::new(Queue(releases.clone())))]);
    for mode in [Mode::Enforce, Mode::Shadow, Mode::Off] {
        pipeline.set_mode("custom", mode);
        for call in [After(0, Some(Ok("fine"))), After(2, Some(Err("down")))] {
            let (before, mut call) = (releases.load(Relaxed), Some(call));
            let call = |_| call.take().unwrap();
            let run = pipeline.run(&hand, call);
            let _ = finish(&hand, run);
            assert_eq!(releases.load(Relaxed) - before, u32::from(mode != Mode::Off), "{mode:?}");
        }
    }
}

#[test]
fn policies_beyond_the_thirty_first_act_in_whatever_mode_others_are() {
    let hand = Hand::new();
    let refuses = Outcome::failure(Class::Permanent);
    let mut scripts = vec![SCRIPT; 40];
    scripts[39] = Scripted { start: Step::Finish(refuses), ..SCRIPT };
    let pipeline = pipeline(scripts);
    for mode in [Mode::Shadow, Mode::Off] {
        assert_eq!(pipeline.set_mode("custom", mode), 31);
        let run = pipeline.run(&hand, |_| ready(Ok::<_, ()>(())));
        assert!(finish(&hand, run).is_err());
    }
}
