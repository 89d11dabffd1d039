//! **Timeout**: ends what is inside it when it takes too long.
//!
//! Use one around a single attempt (inside the retry) and one around the whole (outside of it). Not for
//! work that must not be cut in the middle. The invariant: an inner call that is still running at the
//! limit is cancelled, counts as timed out for every breaker inside, and its permits come back at once.

use crate::{
    Instant, Outcome, Percentile,
    config::{ConfigError, Problems, validated},
    event::Kind,
    policy::{Cx, Pattern, Step, policy_config},
    recent::Recent,
};
use std::{sync::Arc, time::Duration};

policy_config! {
    /// Ends a call that takes too long.
    pub struct TimeoutConfig {
        /// Time allowed, everything inside included. For no limit, leave the policy out.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        limit: Duration = Duration::from_secs(30),
        /// A lower limit that follows how long calls take. A call that is cut off counts as having taken its
        /// limit, so where many are, the limit grows, up to `limit`.
        adaptive: Option<Percentile> = None,
    }
}

impl TimeoutConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.require_positive("limit", self.limit);
        if let Some(adaptive) = &self.adaptive {
            problems.within("adaptive", |problems| {
                adaptive.check(problems);
                let good = adaptive.min <= self.limit;
                problems.require(good, "min", adaptive.min, "at most the timeout's limit");
            });
        }
    }
}

/// A timeout: a limit, and how long calls took where the limit follows that.
#[derive(Clone, Debug)]
pub struct Timeout {
    config: TimeoutConfig,
    recent: Option<Arc<Recent>>,
}

impl Timeout {
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: TimeoutConfig) -> Result<Self, ConfigError> {
        validated(|problems| config.check(problems))?;
        let recent = config.adaptive.clone().map(|adaptive| Arc::new(Recent::new(adaptive)));
        Ok(Self { config, recent })
    }

    /// Its configuration.
    pub fn config(&self) -> &TimeoutConfig {
        &self.config
    }

    /// The time that a call is allowed now.
    #[inline]
    pub fn limit(&self) -> Duration {
        let adapted = self.recent.as_ref().and_then(|recent| recent.bound());
        adapted.map_or(self.config.limit, |bound| bound.min(self.config.limit))
    }

    /// When a call started at `start` is cut off: naked use.
    #[inline]
    pub fn deadline(&self, start: Instant) -> Instant {
        start + self.limit()
    }

    /// Tells an adaptive limit how long a call took: naked use.
    pub fn record(&self, now: Instant, took: Duration) {
        if let Some(recent) = &self.recent {
            recent.record(now, took);
        }
    }
}

pub(crate) struct Frame {
    deadline: Instant,
    started_at: Instant,
}

impl Pattern for Timeout {
    type Frame = Frame;

    #[inline]
    fn heeds_success(&self) -> bool {
        self.recent.is_some()
    }

    fn times_success(&self) -> bool {
        self.recent.is_some()
    }

    #[inline(always)]
    fn pass(&self, cx: &mut Cx<'_>) -> Option<Frame> {
        let deadline = self.deadline(cx.now).min(*cx.deadline);
        *cx.deadline = deadline;
        cx.wake_at(deadline);
        Some(Frame { deadline, started_at: cx.now })
    }

    #[inline]
    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        if let (Some(recent), Outcome::Success) = (&self.recent, &outcome) {
            recent.record(cx.now, cx.now.since(frame.started_at));
        }
        Step::Finish(outcome)
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        if cx.now < frame.deadline {
            return Step::Wait;
        }
        // The time really allowed: less than the configured limit where the caller's deadline is nearer.
        let limit = frame.deadline.since(frame.started_at);
        self.record(cx.now, limit);
        cx.emit(Kind::TimedOut { limit });
        Step::Finish(Outcome::TimedOut { limit })
    }
}

#[cfg(test)]
mod tests;
