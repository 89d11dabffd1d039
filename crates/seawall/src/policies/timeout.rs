//! **Timeout**: ends the call inside it when that takes too long.
//!
//! Use one around a single attempt (inside the retry) and one around the whole (outside of it). Not for
//! work that must not be cut in the middle. The invariant: an inner call that is still running at the
//! limit is cancelled, counts as timed out for every breaker inside, and its permits come back at once.

use crate::{
    config::{Check, ConfigError, Problems, secs},
    event::Kind,
    outcome::Outcome,
    policy::{Cause, Cx, OnSuccess, Pattern, Step, policy_config},
    recent::{Percentile, Recent, Timed},
    time::Instant,
};
use std::{sync::Arc, time::Duration};

policy_config! {
    /// Ends a call that takes too long.
    #[check(Self::check_adaptive)]
    pub struct TimeoutConfig {
        /// The longest time that a call may take, with everything inside this policy. For no limit, leave the
        /// policy out.
        #[range(positive)]
        #[right = "more than 0; a pipeline without a limit has no timeout policy: leave it out"]
        limit: Duration = secs(30),
        /// A lower limit that follows how long calls take. Of a call that was cut off it is known only that it would
        /// have taken longer, so where more calls are cut off than `share` allows for, the limit doubles, up to
        /// `limit`, until calls end by themselves again. Without calls for the length of `window`, `limit` holds. Left
        /// out: `limit` holds always.
        #[nested]
        adaptive: Option<Percentile> = None,
    }
}

/// A timeout: no call takes longer than `limit`.
pub fn timeout(limit: Duration) -> TimeoutConfig {
    TimeoutConfig::default().limit(limit)
}

impl TimeoutConfig {
    fn check_adaptive(&self, problems: &mut Problems) {
        if let Some(Percentile { min, .. }) = self.adaptive {
            problems.require(min <= self.limit, "adaptive.min", min, "at most the timeout's limit");
        }
    }
}

/// A timeout: its configuration, and how long calls took where its limit follows that.
#[derive(Clone, Debug)]
pub struct Timeout {
    config: TimeoutConfig,
    recent: Option<Arc<Recent>>,
}

impl Timeout {
    /// A timeout. An adaptive limit begins without any call seen.
    ///
    /// # Errors
    /// All fields that are out of their bounds.
    pub fn new(config: TimeoutConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let recent = config.adaptive.clone().map(|adaptive| Arc::new(Recent::new(adaptive)));
        Ok(Self { config, recent })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &TimeoutConfig {
        &self.config
    }

    /// The time that a call is allowed that starts at `now`.
    #[inline]
    pub fn limit(&self, now: Instant) -> Duration {
        let adapted = self.recent.as_ref().and_then(|recent| recent.bound(now));
        adapted.map_or(self.config.limit, |bound| bound.min(self.config.limit))
    }

    /// The instant at which a call is cut off that begins at `start`: for use outside a pipeline.
    #[inline]
    pub fn deadline(&self, start: Instant) -> Instant {
        start + self.limit(start)
    }

    fn recent(&self) -> Option<&Recent> {
        self.recent.as_deref()
    }

    /// Records for an adaptive limit how long a call took that ended by itself, for use without a pipeline.
    pub fn record(&self, now: Instant, took: Duration) {
        if let Some(recent) = &self.recent {
            recent.record(now, took);
        }
    }

    /// Records for an adaptive limit that a call was cut off after so long and would have taken longer, for use without a
    /// pipeline.
    pub fn record_cut_off(&self, now: Instant, after: Duration) {
        if let Some(recent) = &self.recent {
            recent.cut_off(now, after);
        }
    }
}

pub(crate) struct Frame {
    deadline: Instant,
    call: Timed,
}

impl Pattern for Timeout {
    type Frame = Frame;
    const ALWAYS_PASSES: bool = true;

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::observed_if(self.recent.is_some())
    }

    #[inline]
    fn holds(frame: &Frame) -> bool {
        frame.call.counts()
    }

    #[inline(always)]
    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let deadline = self.deadline(cx.now).min(*cx.deadline);
        *cx.deadline = deadline;
        cx.wake_at(deadline);
        (Frame { deadline, call: Timed::begin(cx.now, self.recent()) }, Step::Call)
    }

    #[inline]
    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        frame.call.ended(self.recent(), cx.now, &outcome);
        Step::Finish(outcome)
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        if cx.now < frame.deadline {
            return Step::Wait;
        }
        // The time really allowed: less than the configured limit where the caller's deadline is nearer.
        let limit = frame.deadline.since(frame.call.started_at);
        frame.call.cut_off(self.recent(), cx.now);
        cx.emit(Kind::TimedOut { limit });
        Step::Finish(Outcome::TimedOut { limit })
    }

    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        // Ended from outside, by a further timeout or because another call had answered. When a caller left is
        // not always known, and a panic is an end of its own.
        if let Cause::TimedOut | Cause::Discarded = cause {
            frame.call.cut_off(self.recent(), cx.now);
        }
    }

    fn exclude(&self, frame: &mut Frame, length: Duration) {
        frame.deadline = frame.deadline + length;
        frame.call.started_at = frame.call.started_at + length;
    }
}

#[cfg(test)]
mod tests;
