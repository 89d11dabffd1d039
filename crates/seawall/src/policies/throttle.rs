//! **Throttle**: refuses calls by chance, the more of them the more the dependency refuses.
//!
//! Use it in clients of a dependency that sheds load, so that most of what it would refuse is not even sent:
//! a breaker with a dimmer in place of a switch. Do not use it where every single call matters. The invariant: while
//! the dependency accepts at least one call in `k`, nothing is refused; and some calls always pass, so that its
//! recovery is noticed.
//!
//! A call is refused with probability `max(0, (requests − k · accepts) / (requests + 1))`, both counted
//! over `window`, and calls refused here are requests, too. (Beyer and others: *Site Reliability
//! Engineering*, 2016, chapter 21, "Client-side throttling".)

use crate::{
    config::{Check, ConfigError, hours, millis, secs},
    event::Kind,
    outcome::{Outcome, Verdict},
    policy::{Cause, Cx, OnSuccess, Pattern, Step, policy_config},
    rejection::{Reason, Rejection},
    sync::{AtomicU64, Ordering},
    time::{Instant, is_due, nanos},
    window::{Sample, TimeRing},
};
use std::{sync::Arc, time::Duration};

policy_config! {
    /// Refuses calls by chance: the more of them, the more the dependency refuses.
    pub struct ThrottleConfig {
        /// Calls sent for each one that the dependency accepts: 2 sends twice as many as it accepts.
        #[range(1.0..=100.0)]
        k: f64 = 2.0,
        /// How far back calls are counted.
        #[range(millis(100)..=hours(24))]
        window: Duration = secs(120),
        /// The largest share of calls that is refused. The rest is always sent, so that a recovery of the
        /// dependency is noticed.
        #[range(0.0..=1.0)]
        max_share: f64 = 0.9,
    }
}

/// A throttle: calls are refused by chance, the more of them the more the dependency refuses.
pub fn throttle() -> ThrottleConfig {
    ThrottleConfig::default()
}

impl ThrottleConfig {
    /// The share of calls, from 0 to 1, that is refused after `requests` calls of which the dependency accepted
    /// `accepts`.
    pub fn share(&self, requests: u32, accepts: u32) -> f64 {
        let (requests, accepts) = (f64::from(requests), f64::from(accepts));
        ((requests - self.k * accepts) / (requests + 1.0)).clamp(0.0, self.max_share)
    }
}

/// A throttle: its configuration, and what it counted.
#[derive(Debug)]
pub struct Throttle {
    config: ThrottleConfig,
    /// The calls; its failures are those that the dependency did not accept.
    ring: TimeRing,
    /// The share refused now, as the bits of a double. While it is 0, a success is only counted.
    share: AtomicU64,
    /// After this instant the share is computed again, because time alone changes it.
    look_at: AtomicU64,
}

impl Throttle {
    /// A throttle that has counted nothing yet, and so refuses nothing.
    ///
    /// # Errors
    /// All fields that are out of their bounds.
    pub fn new(config: ThrottleConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            ring: TimeRing::new(config.window),
            share: AtomicU64::new(0),
            look_at: AtomicU64::new(0),
            config,
        })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &ThrottleConfig {
        &self.config
    }

    /// The share of calls that is refused now, from 0 to 1.
    #[inline]
    pub fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Ordering::Relaxed))
    }

    /// Tries to admit a call at `now`, outside a pipeline, with a uniform draw from `[0, 1)`.
    ///
    /// # Errors
    /// A rejection, by chance.
    #[inline]
    pub fn try_acquire(&self, now: Instant, draw: impl FnOnce() -> f64) -> Result<(), Rejection> {
        if self.share.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.draw(now, draw)
    }

    #[cold]
    fn draw(&self, now: Instant, draw: impl FnOnce() -> f64) -> Result<(), Rejection> {
        if is_due(now, self.look_at.load(Ordering::Relaxed), nanos(self.config.window) / 32) {
            self.look(now);
        }
        if draw() >= self.share() {
            return Ok(());
        }
        self.record(now, false);
        Err(Rejection::new(Reason::Throttled, None))
    }

    /// Records that the dependency accepted a call, or did not: for use outside a pipeline.
    #[inline]
    pub fn record(&self, now: Instant, accepted: bool) {
        let sample = Sample { failure: !accepted, slow: false };
        let late = self.ring.record(0, now, sample).is_none();
        if !late && (!accepted || self.share.load(Ordering::Relaxed) != 0) {
            self.look(now);
        }
    }

    #[cold]
    fn look(&self, now: Instant) {
        let tally = self.ring.tally(0, now);
        let accepts = tally.calls.saturating_sub(tally.failures);
        let share = self.config.share(tally.calls, accepts);
        self.share.store(share.to_bits(), Ordering::Relaxed);
        let slice = self.config.window / 32;
        self.look_at.store((now + slice).as_nanos(), Ordering::Relaxed);
    }
}

/// Whether the call is still to be counted.
pub(crate) struct Frame {
    counts: bool,
}

impl Throttle {
    fn settle(&self, frame: &mut Frame, now: Instant, verdict: Verdict) {
        if std::mem::take(&mut frame.counts) && verdict != Verdict::None {
            self.record(now, !verdict.is_failure());
        }
    }
}

impl Pattern for Arc<Throttle> {
    type Frame = Frame;

    #[inline]
    fn holds(frame: &Frame) -> bool {
        frame.counts
    }

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::Observes { needs_time: true }
    }

    #[inline(always)]
    fn pass(&self, _cx: &mut Cx<'_>) -> Option<Frame> {
        (self.share.load(Ordering::Relaxed) == 0).then_some(Frame { counts: true })
    }

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        match self.try_acquire(cx.now, || cx.random.unit()) {
            Ok(()) => (Frame { counts: true }, Step::Call),
            Err(rejection) => {
                cx.emit(Kind::Rejected(rejection));
                (Frame { counts: false }, Step::Finish(Outcome::Rejected(rejection)))
            }
        }
    }

    #[inline]
    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        self.settle(frame, cx.now, outcome.verdict());
        Step::Finish(outcome)
    }

    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        self.settle(frame, cx.now, cause.verdict());
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
