//! The contract between a policy and the [`Execution`](crate::Execution) that interprets it.
//!
//! A policy is shared, long-lived state. A *frame* is one execution's passage through it: plain data,
//! kept inline by the execution, handed back to the policy at each step. A frame owns what the policy
//! gave it (permits, queue places) until `release`, which the execution calls exactly once.

use crate::{
    attributes::Attributes,
    event::{Event, Kind, Observer},
    name::Name,
    outcome::Outcome,
    random::Random,
    time::Instant,
};
use std::{fmt::Debug, sync::Arc, task::Waker, time::Duration};

mod mode;

pub use mode::Mode;
pub(crate) use mode::{Controls, MOST_POLICIES, policy_config};

/// What a frame asks of the execution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Start one more passage through the next policy inward.
    Call,
    /// Call the driver's alternative number `nth`, from 1.
    Fallback {
        /// Which alternative.
        nth: u32,
    },
    /// Nothing until an inner call finishes or a wake-up comes.
    Wait,
    /// This frame is done; whatever still runs inside it is cancelled.
    Finish(Outcome),
}

/// Why a frame goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// The execution is over and its value was delivered, or a stream ended with this outcome.
    Ended(Outcome),
    /// Its outcome was discarded, or another one won.
    Discarded,
    /// A timeout outside of it fired while it ran.
    TimedOut,
    /// The operation panicked.
    Panicked,
    /// The caller went away.
    CallerGone,
}

/// Everything a frame may know of the world.
pub struct Cx<'a> {
    /// The time, read once for this step.
    pub now: Instant,
    /// Wakes this execution.
    pub waker: &'a Waker,
    /// What the driver said of the call.
    pub attributes: &'a Attributes,
    /// The earliest of the caller's deadline and all timeouts around this frame. A timeout lowers it for
    /// what is inside, and wakes at it: nothing begins after it.
    pub deadline: &'a mut Instant,
    /// Retry's count of the present attempt, from 1.
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

    /// Tells the observers.
    pub fn emit(&mut self, kind: Kind) {
        self.sink.emit(self.now, kind);
    }

    /// Whether an operator has paused retries and hedges.
    pub fn repeats_are_paused(&self) -> bool {
        self.controls.repeats_are_paused()
    }
}

/// Where the events of one execution go.
#[derive(Clone, Copy)]
pub(crate) struct Sink<'a> {
    pub(crate) observer: Option<&'a dyn Observer>,
    pub(crate) operation: &'a Name,
    pub(crate) execution: u64,
    /// The policy that speaks is in [`Mode::Shadow`].
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

/// A policy written by a user. It stands in a pipeline like the built-in ones; its frames are boxed.
pub trait CustomPolicy: Debug + Send + Sync {
    /// One execution's passage.
    fn frame(&self) -> Box<dyn CustomFrame>;
}

/// One execution's passage through a [`CustomPolicy`]. Dropping it must give back what it holds.
pub trait CustomFrame: Send {
    /// The execution reached this policy.
    fn start(&mut self, _cx: &mut Cx<'_>) -> Step {
        Step::Call
    }
    /// An inner call finished.
    fn inner_done(&mut self, _cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        Step::Finish(outcome)
    }
    /// A timer or the waker fired; it may be for nothing.
    fn wake(&mut self, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// The frame goes, for this cause.
    fn release(&mut self, _cx: &mut Cx<'_>, _cause: Cause) {}
}

/// What each built-in pattern implements; [`Policy`] dispatches over them without a pointer.
pub(crate) trait Pattern {
    type Frame;
    /// Whether a success inside means something to it; the others hand it on as it is.
    fn heeds_success(&self) -> bool {
        false
    }
    /// Whether it matters when a success came. Where it matters to nobody, the clock need not be read for it.
    fn times_success(&self) -> bool {
        false
    }
    /// Whether the frame holds what `release` gives back.
    fn holds(_frame: &Self::Frame) -> bool {
        false
    }
    /// The short way in: the frame of a call that simply passes. Where it is `None` nothing has changed, and
    /// [`start`](Self::start) decides.
    #[inline(always)]
    fn pass(&self, _cx: &mut Cx<'_>) -> Option<Self::Frame> {
        None
    }
    /// The long way in. Only for patterns that do not always let calls pass.
    fn start(&self, cx: &mut Cx<'_>) -> (Self::Frame, Step) {
        match self.pass(cx) {
            Some(frame) => (frame, Step::Call),
            None => unreachable!("a pattern that refuses says how"),
        }
    }
    fn inner_done(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        Step::Finish(outcome)
    }
    fn wake(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    fn release(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>, _cause: Cause) {}
    /// The caller was waited for, for `length`, while a call ran inside: limits move by it, and what is measured
    /// leaves it out.
    fn exclude(&self, _frame: &mut Self::Frame, _length: Duration) {}
}

impl Pattern for Arc<dyn CustomPolicy> {
    type Frame = Box<dyn CustomFrame>;
    fn heeds_success(&self) -> bool {
        true
    }
    fn times_success(&self) -> bool {
        true
    }
    fn holds(_: &Self::Frame) -> bool {
        true
    }
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
}

#[cfg(all(test, not(loom)))]
mod tests;
