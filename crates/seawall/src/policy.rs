//! The contract between a policy and the [`Execution`](crate::Execution) that interprets it.
//!
//! A policy is shared, long-lived state. A *frame* is one execution's passage through it: plain data,
//! kept inline by the execution, handed back to the policy at each step. A frame owns what the policy
//! gave it (permits, queue places) until `release`, which the execution calls exactly once.

use crate::{
    Attributes, Bulkhead, CircuitBreaker, Fallback, Instant, Name, Outcome, RateLimiter, Retry,
    Timeout,
    event::{Event, Kind, Observer},
    random::Random,
    {bulkhead, circuit_breaker, fallback, rate_limiter, retry, timeout},
};
use std::{fmt::Debug, sync::Arc, task::Waker};

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
}

/// Where the events of one execution go.
#[derive(Clone, Copy)]
pub(crate) struct Sink<'a> {
    pub(crate) observer: Option<&'a dyn Observer>,
    pub(crate) operation: &'a Name,
    pub(crate) execution: u64,
}

impl Sink<'_> {
    #[inline]
    pub(crate) fn emit(&self, at: Instant, kind: Kind) {
        if let Some(observer) = self.observer {
            let Self { operation, execution, .. } = *self;
            observer.observe(&Event { at, operation, execution, kind });
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
    /// A success inside means something to it; the others hand it on as it is.
    const HEEDS_SUCCESS: bool = false;
    /// Whether the frame holds what `release` gives back.
    fn holds(_frame: &Self::Frame) -> bool {
        false
    }
    fn start(&self, cx: &mut Cx<'_>) -> (Self::Frame, Step);
    fn inner_done(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        Step::Finish(outcome)
    }
    fn wake(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    fn release(&self, _frame: &mut Self::Frame, _cx: &mut Cx<'_>, _cause: Cause) {}
}

impl Pattern for Arc<dyn CustomPolicy> {
    type Frame = Box<dyn CustomFrame>;
    const HEEDS_SUCCESS: bool = true;
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

/// Declares the closed set of patterns: the policy, its frame, and the dispatch between them.
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident($policy:ty, $frame:ty),)*) => {
        /// One policy of a pipeline: a handle on shared state.
        #[derive(Clone, Debug)]
        pub enum Policy { $($(#[$doc])* $name($policy),)* }

        /// One execution's passage through one policy.
        pub(crate) enum Frame { $($name($frame),)* }

        impl Frame {
            #[inline]
            pub(crate) fn holds(&self) -> bool {
                match self { $(Self::$name(frame) => <$policy as Pattern>::holds(frame),)* }
            }
        }

        impl Policy {
            #[inline]
            pub(crate) fn heeds_success(&self) -> bool {
                match self { $(Self::$name(_) => <$policy as Pattern>::HEEDS_SUCCESS,)* }
            }
            #[inline(always)]
            pub(crate) fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
                match self {
                    $(Self::$name(policy) => {
                        let (frame, step) = policy.start(cx);
                        (Frame::$name(frame), step)
                    })*
                }
            }
            #[inline]
            pub(crate) fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
                match (self, frame) {
                    $((Self::$name(policy), Frame::$name(frame)) => policy.inner_done(frame, cx, outcome),)*
                    _ => Step::Finish(outcome),
                }
            }
            #[inline]
            pub(crate) fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
                match (self, frame) {
                    $((Self::$name(policy), Frame::$name(frame)) => policy.wake(frame, cx),)*
                    _ => Step::Wait,
                }
            }
            #[inline]
            pub(crate) fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
                match (self, frame) {
                    $((Self::$name(policy), Frame::$name(frame)) => policy.release(frame, cx, cause),)*
                    _ => {}
                }
            }
        }
    };
}

patterns! {
    /// Ends a call that takes too long.
    Timeout(Timeout, timeout::Frame),
    /// Runs a failed call again.
    Retry(Arc<Retry>, retry::Frame),
    /// Stops calling a dependency that keeps failing.
    CircuitBreaker(Arc<CircuitBreaker>, circuit_breaker::Frame),
    /// Limits calls over time.
    RateLimiter(Arc<RateLimiter>, rate_limiter::Frame),
    /// Limits calls in progress.
    Bulkhead(Arc<Bulkhead>, bulkhead::Frame),
    /// Answers by other means.
    Fallback(Fallback, fallback::Frame),
    /// Written by the user.
    Custom(Arc<dyn CustomPolicy>, Box<dyn CustomFrame>),
}
