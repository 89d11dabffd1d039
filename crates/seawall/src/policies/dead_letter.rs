//! **Dead letter**: has the work of a call kept that failed for good, so that somebody can do it later.
//!
//! Use it outside the retry, for work that must not be lost: orders, e-mails, webhooks. Not for reads, whose callers ask
//! again, nor inside the retry, where an attempt that is repeated has not failed for good. The policy sees no values: it
//! decides by the outcome, and the driver hands what the caller gave as payload to the registry's place for dead letters.
//! The invariant: a call that failed for good becomes a letter, or an event says that it did not.

use crate::{
    config::{Check, ConfigError, Problems, secs},
    event::{Kind, LetterLoss},
    outcome::{Class, Outcome},
    policy::{Cause, Cx, OnSuccess, Pattern, Step, policy_config},
    rejection::Reason,
};
use std::time::Duration;

policy_config! {
    /// Keeps the payload of a call that failed for good as a dead letter. What the payload is, is said by the caller.
    #[check(Self::check_queue)]
    pub struct DeadLetterConfig {
        /// The queue of the letters, 1 to 200 characters.
        queue: String = "default".to_owned(),
        /// Whether a call that a policy further in refused becomes a letter, too: the circuit is open, the bulkhead is full.
        /// A call beyond a rate limit never does.
        on_rejected: bool = true,
        /// Whether a failure that the request itself caused (a permanent one) makes a letter: it would fail again.
        on_permanent: bool = false,
        /// The longest time that a caller waits until its letter is stored. After that the letter may be stored yet, and the
        /// error says so.
        #[range(positive..=secs(60))]
        max_wait: Duration = secs(5),
    }
}

impl DeadLetterConfig {
    fn check_queue(&self, problems: &mut Problems) {
        let queue = &self.queue;
        let length = queue.chars().count();
        let good = (1..=200).contains(&length) && !queue.contains(char::is_control);
        problems.require(good, "queue", queue, "1 to 200 characters");
    }
}

/// A dead letter for each call that fails for good, in the queue `default`.
pub fn dead_letter() -> DeadLetterConfig {
    DeadLetterConfig::default()
}

/// A dead letter: which outcomes make one. What it contains, and where it goes, is the driver's.
#[derive(Clone, Debug, Default)]
pub struct DeadLetter {
    config: std::sync::Arc<DeadLetterConfig>,
}

impl DeadLetter {
    /// A policy with this configuration.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: DeadLetterConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config: config.into() })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &DeadLetterConfig {
        &self.config
    }

    /// Whether work that ended with this outcome is kept; for use outside a pipeline.
    pub fn applies(&self, outcome: &Outcome) -> bool {
        match outcome {
            // The caller has gone, or what it sent cannot be sent again.
            Outcome::Success | Outcome::CallerFault(_) => false,
            Outcome::Failure(failure) => {
                self.config.on_permanent || failure.class != Class::Permanent
            }
            Outcome::TimedOut { .. } => true,
            // A caller beyond its limit is told when to come back.
            Outcome::Rejected(rejection) => {
                self.config.on_rejected
                    && !matches!(rejection.reason, Reason::RateLimited | Reason::LimitUnknown)
            }
        }
    }
}

pub(crate) struct Frame {
    is_decided: bool,
}

impl Pattern for DeadLetter {
    type Frame = Frame;
    const ALWAYS_PASSES: bool = true;

    #[inline(always)]
    fn start(&self, _cx: &mut Cx<'_>) -> (Frame, Step) {
        (Frame { is_decided: false }, Step::Call)
    }

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::HandsOn
    }

    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        frame.is_decided = true;
        if !self.applies(&outcome) {
            return Step::Finish(outcome);
        }
        // In shadow mode nothing is kept, and nobody else tells of it.
        if cx.sink.shadow {
            cx.emit(Kind::LetterKept);
        }
        Step::DeadLetter(outcome)
    }

    /// A policy outside of it that cuts it off asks nobody what the call came to.
    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        if !frame.is_decided && matches!(cause, Cause::TimedOut | Cause::Panicked) {
            cx.emit(Kind::LetterLost { why: LetterLoss::CutOff });
        }
    }
}

#[cfg(test)]
mod tests;
