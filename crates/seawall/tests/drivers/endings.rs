//! Callers who leave and operations that panic, at every point.

use crate::stage::{After, Stage, poll};
use seawall::{Attempt, Attributes, State, Work, WorkResult};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
};

/// Fails twice, slowly; then its alternative succeeds, slowly.
struct Slow<'a> {
    /// Counts every moment at which the caller's code runs; the moment 0 panics.
    fuse: &'a Cell<i32>,
}

impl Slow<'_> {
    fn burn(fuse: &Cell<i32>) {
        assert!(fuse.get() != 0, "burnt down");
        fuse.set(fuse.get() - 1);
    }

    async fn answer(fuse: &Cell<i32>, result: Result<u32, ()>) -> Result<u32, ()> {
        for _ in 0..3 {
            Self::burn(fuse);
            After(1, Some(())).await;
        }
        Self::burn(fuse);
        result
    }
}

type Answer<'a> = std::pin::Pin<Box<dyn Future<Output = Result<u32, ()>> + 'a>>;

impl<'a> Work for Slow<'a> {
    type Value = u32;
    type Error = ();
    type Call = Answer<'a>;
    type Alternative = Answer<'a>;

    fn call(&mut self, _: Attempt) -> Answer<'a> {
        Self::burn(self.fuse);
        Box::pin(Self::answer(self.fuse, Err(())))
    }

    fn fallback(&mut self, _: u32, _: WorkResult<Self>) -> Result<Answer<'a>, WorkResult<Self>> {
        Self::burn(self.fuse);
        Ok(Box::pin(Self::answer(self.fuse, Ok(7))))
    }
}

/// Polls at most `polls` times, then drops everything. True if the run had ended.
fn run(stage: &Stage, fuse: &Cell<i32>, polls: u32) -> bool {
    let work = Slow { fuse };
    let mut run = pin!(stage.pipeline.drive(&stage.hand, work).into_future());
    for _ in 0..polls {
        if let std::task::Poll::Ready(answer) = poll(run.as_mut()) {
            assert_eq!(answer, Ok(7));
            return true;
        }
        stage.hand.pass(1);
    }
    false
}

#[test]
fn a_caller_may_leave_at_every_point() {
    let mut polls = 0;
    loop {
        let stage = Stage::new();
        let ended = run(&stage, &Cell::new(-1), polls);
        stage.assert_everything_is_back(&format!("left after {polls} polls"));
        if ended {
            break;
        }
        assert_eq!(stage.counts().abandoned_calls, u64::from(polls > 0));
        polls += 1;
    }
    assert!(polls > 20, "{polls} polls are too few to have met every policy");
}

#[test]
fn an_operation_may_panic_at_every_point() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut points = 0;
    loop {
        let stage = Stage::new();
        let fuse = Cell::new(points);
        let ended = catch_unwind(AssertUnwindSafe(|| run(&stage, &fuse, 10_000)));
        stage.assert_everything_is_back(&format!("panicked at point {points}"));
        if let Ok(ended) = ended {
            assert!(ended);
            break;
        }
        assert_eq!(stage.counts().abandoned_calls, 1);
        // Whether in its first attempt, a later one or its stand-in: the probe that panicked failed.
        assert_eq!(stage.breaker.state(), State::Open, "panicked at point {points}");
        points += 1;
    }
    std::panic::set_hook(hook);
    assert!(points > 10, "{points} points are too few to have met every call");
}

#[test]
fn a_caller_who_leaves_before_the_first_command_makes_no_call() {
    let (now, waker) = (seawall::Instant::from_millis(1_000), std::task::Waker::noop());
    let pipeline = std::sync::Arc::new(seawall::Pipeline::new("plain", []));
    let mut execution = seawall::Execution::start(pipeline, Attributes::default(), 1, now, waker);
    execution.abandon(now, seawall::Cause::CallerGone);
    assert_eq!((execution.poll_command(), execution.poll_timeout()), (None, None));
}
