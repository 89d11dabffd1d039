//! The contract between a policy and the [`Execution`](crate::Execution) that interprets it.
//!
//! A policy is shared, long-lived state. A *frame* is one execution's passage through it: plain data,
//! kept inline by the execution, handed back to the policy at each step. A frame owns what the policy
//! gave it (permits, queue places) until `release`, which the execution calls exactly once.

use crate::{
    attributes::Attributes,
    event::{Event, Kind, Observer},
    name::Name,
    outcome::{Outcome, Verdict},
    random::Random,
    time::Instant,
};
use std::{fmt::Debug, sync::Arc, task::Waker, time::Duration};

mod mode;

pub use mode::Mode;
pub(crate) use mode::{Controls, MOST_POLICIES, policy_config};

/// What a frame asks of the execution. Nothing begins after [`Cx::deadline`]: `Call` and `Fallback` mean `Wait` then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Start one more passage through the next policy inward.
    Call,
    /// Call the driver's alternative number `nth`, in place of how the passages inside ended last. A driver that has no such
    /// alternative hands that outcome back.
    Fallback {
        /// The number of the alternative, from 1.
        nth: u32,
    },
    /// Do nothing until a passage inside ends or a wake-up comes.
    Wait,
    /// This frame is done, with this outcome; whatever still runs inside of it is cancelled.
    Finish(Outcome),
    /// As `Finish`; and the work has failed for good, so that a driver with a payload keeps that as a dead letter.
    DeadLetter(Outcome),
}

/// The reason why a frame is released.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// The execution is over and its value was delivered, or a stream ended with this outcome.
    Ended(Outcome),
    /// The outcome of the frame was discarded, or another one won.
    Discarded,
    /// A timeout outside of it fired while it ran.
    TimedOut,
    /// The operation panicked.
    Panicked,
    /// The caller went away.
    CallerGone,
}

impl Cause {
    /// What a call that ends for this cause says about the dependency.
    pub(crate) const fn verdict(&self) -> Verdict {
        match self {
            Self::Ended(outcome) => outcome.verdict(),
            Self::TimedOut | Self::Panicked => Verdict::Failure,
            Self::Discarded | Self::CallerGone => Verdict::None,
        }
    }
}

/// The context of one step of a frame: everything that a policy may know.
pub struct Cx<'a> {
    /// The time, read once for this step.
    pub now: Instant,
    /// Wakes this execution.
    pub waker: &'a Waker,
    /// What the driver knows of the call: its key, priority, cost, deadline.
    pub attributes: &'a Attributes,
    /// The earliest of the caller's deadline and all timeouts around this frame. A timeout lowers it for
    /// what is inside, and wakes at it: nothing begins after it.
    pub deadline: &'a mut Instant,
    /// The number of the present attempt, counted by the retry policy from 1.
    pub attempt: &'a mut u32,
    pub(crate) random: &'a mut Random,
    pub(crate) wake_at: &'a mut Instant,
    pub(crate) sink: Sink<'a>,
    pub(crate) controls: &'a Controls,
    /// The driver can have two calls in progress at once.
    pub(crate) concurrent: bool,
}

impl Cx<'_> {
    /// Calls the frame's `wake` at `at`; replaces an earlier request of this frame.
    pub fn wake_at(&mut self, at: Instant) {
        *self.wake_at = at;
    }

    /// A uniform draw from `[0, 1)` out of the execution's seed.
    pub fn random(&mut self) -> f64 {
        self.random.unit()
    }

    /// Sends an event to the observer, if there is one.
    pub fn emit(&mut self, kind: Kind) {
        self.sink.emit(self.now, kind);
    }

    /// Whether an operator has paused retries and hedges.
    pub fn repeats_are_paused(&self) -> bool {
        self.controls.repeats_are_paused()
    }
}

/// The destination of the events of one execution.
#[derive(Clone, Copy)]
pub(crate) struct Sink<'a> {
    pub(crate) observer: Option<&'a dyn Observer>,
    pub(crate) operation: &'a Name,
    pub(crate) execution: u64,
    /// The event comes from a policy in [`Mode::Shadow`].
    pub(crate) shadow: bool,
}

impl Sink<'_> {
    #[inline]
    pub(crate) fn emit(&self, at: Instant, kind: Kind) {
        if let Some(observer) = self.observer {
            let Self { operation, execution, shadow, .. } = *self;
            observer.observe(&Event { at, operation, execution, shadow, kind });
        }
    }
}

/// A policy written by a user: shared, long-lived state. It stands in a pipeline like the built-in ones, as
/// [`Policy::Custom`](crate::Policy::Custom); its frames are boxed.
pub trait CustomPolicy: Debug + Send + Sync {
    /// A frame for one execution that has reached this policy; [`CustomFrame::start`] follows at once.
    fn frame(&self) -> Box<dyn CustomFrame>;
}

/// One execution's passage through a [`CustomPolicy`].
///
/// The execution calls `start` once, then `inner_done` once for each passage inside that ended by itself, and `wake`
/// whenever the policy may have something new to ask for, until a step is [`Step::Finish`] or the frame is released.
/// Each method says what to do next, and must not block. Whatever the frame was given by its policy (permits, places
/// in a queue) it gives back in `release` or when it is dropped, whichever comes first: a frame may be dropped at any
/// point.
pub trait CustomFrame: Send {
    /// The execution reached this policy.
    fn start(&mut self, _cx: &mut Cx<'_>) -> Step {
        Step::Call
    }
    /// A passage inside, begun by [`Step::Call`] or [`Step::Fallback`], ended with this outcome.
    fn inner_done(&mut self, _cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        Step::Finish(outcome)
    }
    /// The instant of [`Cx::wake_at`] has come, or the execution's waker was woken; it may be for nothing.
    fn wake(&mut self, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// The frame goes, for this cause. It is called once at most, and nothing is called after it.
    fn release(&mut self, _cx: &mut Cx<'_>, _cause: Cause) {}
    /// The driver waited for its own caller for `length` while a call ran inside: the frame moves its limits by it and
    /// leaves it out of what it measures. The instant of [`Cx::wake_at`] has been moved already.
    fn exclude(&mut self, _length: Duration) {}
}

/// What each built-in policy implements; [`Policy`](crate::Policy) dispatches over them without a pointer.
///
/// Only [`start`](Self::start) must be written. Every default is right for every policy, though not the fastest: a policy
/// opts out of what it does not need, and one that forgets to is slower, never wrong.
pub(crate) trait Pattern {
    /// The state of one execution's passage, as plain data.
    type Frame;

    /// Whether [`start`](Self::start) lets every call pass, with [`Step::Call`]. Then it is the fast path, too.
    const ALWAYS_PASSES: bool = false;

    /// The execution reached this policy: the new frame, and what it asks for.
    fn start(&self, cx: &mut Cx<'_>) -> (Self::Frame, Step);

    /// A passage inside ended with this outcome. It is not asked about successes where [`on_success`](Self::on_success)
    /// opts out.
    fn inner_done(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        Step::Finish(outcome)
    }

    /// The instant of [`Cx::wake_at`] has come, or the waker was woken; it may be for nothing.
    fn wake(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }

    /// The frame goes, for this cause: what it still holds is given back. Asked at most once, and not at all while
    /// [`holds`](Self::holds) says no.
    fn release(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>, _cause: Cause) {}

    /// The caller was waited for, for `length`, while a call ran inside: limits move by it, and what is measured leaves it
    /// out. (The instant of [`Cx::wake_at`] has been moved already.)
    fn exclude(&self, _frame: &mut Self::Frame, _length: Duration) {}

    /// The fast path of admission: the frame of a call that simply passes. Where it is `None` nothing has changed, and
    /// [`start`](Self::start) decides.
    #[inline(always)]
    fn pass(&self, cx: &mut Cx<'_>) -> Option<Self::Frame> {
        if Self::ALWAYS_PASSES { Some(self.start(cx).0) } else { None }
    }

    /// How this policy reacts to a success inside of it.
    fn on_success(&self) -> OnSuccess {
        OnSuccess::Decides
    }

    /// Whether the frame holds anything that `release` must give back.
    fn holds(_frame: &Self::Frame) -> bool {
        true
    }
}

/// How a policy reacts to a success inside of it. A policy that can have two passages inside of it at once must decide;
/// the hedge is the one exception that the interpreter knows of (`Pipeline::hedges`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnSuccess {
    /// It may ask for anything. There is no fast path for the successes of a pipeline with such a policy.
    Decides,
    /// It observes the success and always hands it on. Where no policy needs its time, the clock is not read for it.
    Observes { needs_time: bool },
    /// It hands the success on, and `inner_done` is not called for it.
    HandsOn,
}

impl OnSuccess {
    /// [`Observes`](Self::Observes) the success, with its time, if `observes`.
    pub(crate) const fn observed_if(observes: bool) -> Self {
        if observes { Self::Observes { needs_time: true } } else { Self::HandsOn }
    }
}

impl Pattern for Arc<dyn CustomPolicy> {
    type Frame = Box<dyn CustomFrame>;

    fn start(&self, cx: &mut Cx<'_>) -> (Self::Frame, Step) {
        let mut frame = self.as_ref().frame();
        let step = frame.start(cx);
        (frame, step)
    }
    fn inner_done(&self, frame: &mut Self::Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        frame.inner_done(cx, outcome)
    }
    fn wake(&self, frame: &mut Self::Frame, cx: &mut Cx<'_>) -> Step {
        frame.wake(cx)
    }
    fn release(&self, frame: &mut Self::Frame, cx: &mut Cx<'_>, cause: Cause) {
        frame.release(cx, cause);
    }
    fn exclude(&self, frame: &mut Self::Frame, length: Duration) {
        frame.exclude(length);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
