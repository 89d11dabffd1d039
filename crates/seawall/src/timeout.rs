//! **Timeout**: ends what is inside it when it takes too long.
//!
//! Use one around a single attempt (inside the retry) and one around the whole (outside of it). Not for
//! work that must not be cut in the middle. The invariant: an inner call that is still running at the
//! limit is cancelled, counts as timed out for every breaker inside, and its permits come back at once.

use crate::{
    Instant, Outcome,
    config::{ConfigError, Problems, validated},
    event::Kind,
    policy::{Cx, Pattern, Step, policy_config},
};
use std::time::Duration;

policy_config! {
    /// Ends a call that takes too long.
    pub struct TimeoutConfig {
        /// Time allowed, everything inside included. For no limit, leave the policy out.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        limit: Duration = Duration::from_secs(30),
    }
}

impl TimeoutConfig {
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.require_positive("limit", self.limit);
    }
}

/// A timeout. Stateless: the limit is all there is.
#[derive(Clone, Debug)]
pub struct Timeout {
    config: TimeoutConfig,
}

impl Timeout {
    /// # Errors
    /// When the limit is zero.
    pub fn new(config: TimeoutConfig) -> Result<Self, ConfigError> {
        validated(|problems| config.check(problems))?;
        Ok(Self { config })
    }

    /// Its configuration.
    pub fn config(&self) -> &TimeoutConfig {
        &self.config
    }

    /// When a call started at `start` is cut off: naked use.
    pub fn deadline(&self, start: Instant) -> Instant {
        start + self.config.limit
    }
}

pub(crate) struct Frame {
    deadline: Instant,
    started_at: Instant,
}

impl Pattern for Timeout {
    type Frame = Frame;

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let deadline = self.deadline(cx.now).min(*cx.deadline);
        *cx.deadline = deadline;
        cx.wake_at(deadline);
        (Frame { deadline, started_at: cx.now }, Step::Call)
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        if cx.now < frame.deadline {
            return Step::Wait;
        }
        // The time really allowed: less than the configured limit where the caller's deadline is nearer.
        let limit = frame.deadline.since(frame.started_at);
        cx.emit(Kind::TimedOut { limit });
        Step::Finish(Outcome::TimedOut { limit })
    }
}

#[cfg(test)]
mod tests;
