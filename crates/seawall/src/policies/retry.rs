//! **Retry**: runs a failed call again after a growing, jittered pause.
//!
//! Use it for failures that pass by themselves, on operations that may run twice. Do not use it on more than one
//! layer of a call (three layers of three attempts are 27 calls). The invariant: the failed attempt's
//! permits are back before the pause; no pause follows the last attempt or reaches past a deadline;
//! retries stay within the budget; the answer is the last real outcome.

use crate::{
    backoff::Backoff,
    config::{Check, ConfigError, days, secs},
    event::{Kind, Withheld},
    outcome::{Class, Failure, Outcome},
    policy::{Cx, OnSuccess, Pattern, Step, policy_config},
    time::{Instant, nanos, scaled},
};
use std::time::Duration;

mod budget;

pub(crate) use budget::Bucket;
use budget::Price;
pub use budget::{AwsBudget, GrpcBudget, RetryBudget, ShareBudget};

policy_config! {
    /// Runs a failed call again after a growing, jittered wait.
    pub struct RetryConfig {
        /// The number of attempts in all, the first included.
        #[range(1..=100)]
        max_attempts: u32 = 3,
        /// The wait before each further attempt.
        #[nested]
        backoff: Backoff = Backoff::default(),
        /// How long after the first attempt another one may still begin. Left out: no bound.
        #[range(positive..=days(365))]
        max_total_delay: Option<Duration> = None,
        /// The longest wait that a `Retry-After` may ask for. One that asks for more ends the retrying.
        #[range(..=days(365))]
        max_retry_after: Duration = secs(60),
        /// What the wait is multiplied by after a rate-limit failure that names no `Retry-After`. `max_delay`
        /// bounds the product, too.
        #[range(1.0..=100.0)]
        rate_limit_multiplier: f64 = 2.0,
        /// The budget that all callers together may spend on retries; null: no bound.
        #[nested]
        budget: Option<RetryBudget> = Some(RetryBudget::default()),
        /// Whether failures of an unknown class are retried.
        retry_unknown: bool = true,
        /// Whether attempts that a timeout ended are retried.
        retry_timeouts: bool = true,
    }
}

/// A retry: at most `max_attempts` attempts, the first included.
pub fn retry(max_attempts: u32) -> RetryConfig {
    RetryConfig::default().max_attempts(max_attempts)
}

impl RetryConfig {
    /// Whether an attempt with this outcome may be followed by another one. It depends on nothing else.
    pub fn is_retryable(&self, outcome: &Outcome, repeatable: bool) -> bool {
        match outcome {
            // A rejection is our own policies' word, and a caller that spoiled its request cannot send it
            // again: repeating either would only add load.
            Outcome::Success | Outcome::Rejected(_) | Outcome::CallerFault(_) => false,
            Outcome::TimedOut { .. } => repeatable && self.retry_timeouts,
            Outcome::Failure(failure) => {
                (repeatable || failure.unsent)
                    && failure.should_retry.unwrap_or_else(|| self.retries_class(failure.class))
            }
        }
    }

    fn retries_class(&self, class: Class) -> bool {
        match class {
            Class::Transient | Class::RateLimited => true,
            Class::Permanent => false,
            Class::Unknown => self.retry_unknown,
        }
    }

    /// The wait before retry `retry` (from 1), or `None` where the dependency asks for a longer one than
    /// `max_retry_after`; pure, and saturating. `previous` is the wait before, `u` uniform in `[0, 1)`.
    ///
    /// A wait that the dependency asks for can only lengthen the back-off's own: a `Retry-After` of 0 or in the
    /// past is no permission to come back at once.
    pub fn wait(
        &self,
        outcome: &Outcome,
        retry: u32,
        previous: Duration,
        u: f64,
    ) -> Option<Duration> {
        let own = self.backoff.delay(retry, previous, u);
        let Outcome::Failure(Failure { class, retry_after, .. }) = outcome else {
            return Some(own);
        };
        match retry_after {
            Some(asked) if *asked > self.max_retry_after => None,
            // All callers who were asked to wait for the same instant would come back together: spread them by a tenth.
            Some(asked) => Some(scaled(*asked, 1.0 + u / 10.0).max(own)),
            None if *class == Class::RateLimited => {
                let longer = scaled(own, self.rate_limit_multiplier);
                // Additive jitter alone may reach beyond the longest wait.
                Some(longer.min(self.backoff.max_delay).max(own))
            }
            None => Some(own),
        }
    }
}

/// A retry: its configuration and what is left of its budget; each execution counts its own attempts.
#[derive(Debug)]
pub struct Retry {
    config: RetryConfig,
    bucket: Option<Bucket>,
}

impl Retry {
    /// A retry with a full budget.
    ///
    /// # Errors
    /// All fields that are out of their bounds.
    pub fn new(config: RetryConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let bucket = config.budget.as_ref().map(Bucket::new);
        Ok(Self { config, bucket })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &RetryConfig {
        &self.config
    }

    /// The tokens that are left in its budget at `now`; `None` where it has no budget.
    pub fn saved(&self, now: Instant) -> Option<f64> {
        self.bucket.as_ref().map(|bucket| bucket.tokens(now))
    }

    /// Takes the price of a retry that is due from the budget, or says why the retry must not be made. The budget is
    /// asked last, so that only a retry that will be made is paid for.
    fn pay(&self, cx: &Cx<'_>, outcome: &Outcome) -> Result<Option<Price>, Withheld> {
        if cx.repeats_are_paused() {
            return Err(Withheld::Paused);
        }
        let Some(bucket) = &self.bucket else { return Ok(None) };
        bucket.withdraw_after(cx.now, outcome).map(Some).ok_or(Withheld::Budget)
    }
}

/// The wait that the dependency asked for (`Retry-After`).
fn asked(outcome: &Outcome) -> Duration {
    match outcome {
        Outcome::Failure(Failure { retry_after: Some(asked), .. }) => *asked,
        _ => Duration::ZERO,
    }
}

pub(crate) struct Frame {
    attempts: u32,
    /// The price of this attempt, taken from the budget; none for a first attempt.
    paid: Option<Price>,
    started_at: Instant,
    /// The pause before this attempt, in nanoseconds.
    previous: u64,
    /// When the pause ends; `FAR_FUTURE` while an attempt runs.
    resume_at: Instant,
}

impl Pattern for std::sync::Arc<Retry> {
    type Frame = Frame;
    const ALWAYS_PASSES: bool = true;

    #[inline]
    fn on_success(&self) -> OnSuccess {
        match &self.bucket {
            Some(bucket) if bucket.observes_success() => OnSuccess::Observes { needs_time: false },
            _ => OnSuccess::HandsOn,
        }
    }

    #[inline]
    fn holds(_: &Frame) -> bool {
        false
    }

    #[inline(always)]
    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        *cx.attempt = 1;
        if let Some(bucket) = &self.bucket {
            bucket.began(cx.now);
        }
        let resume_at = Instant::FAR_FUTURE;
        (Frame { attempts: 1, paid: None, started_at: cx.now, previous: 0, resume_at }, Step::Call)
    }

    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        let config = &self.config;
        if let Some(bucket) = &self.bucket {
            bucket.ended(cx.now, &outcome, frame.paid);
        }
        if frame.attempts >= config.max_attempts.min(cx.attributes.max_attempts)
            || !config.is_retryable(&outcome, cx.attributes.repeatable)
            || asked(&outcome) > cx.attributes.max_retry_after
        {
            return Step::Finish(outcome);
        }
        let previous = Duration::from_nanos(frame.previous);
        let Some(delay) = config.wait(&outcome, frame.attempts, previous, cx.random()) else {
            return Step::Finish(outcome);
        };
        let resume_at = cx.now + delay;
        let too_late = config.max_total_delay.is_some_and(|max| resume_at > frame.started_at + max);
        if too_late || resume_at >= *cx.deadline {
            return Step::Finish(outcome);
        }
        frame.paid = match self.pay(cx, &outcome) {
            Ok(paid) => paid,
            Err(why) => {
                cx.emit(Kind::Withheld { policy: "retry", why });
                return Step::Finish(outcome);
            }
        };
        frame.attempts += 1;
        frame.previous = nanos(delay);
        frame.resume_at = resume_at;
        cx.emit(Kind::RetryScheduled { attempt: frame.attempts, delay });
        cx.wake_at(resume_at);
        Step::Wait
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        if cx.now < frame.resume_at {
            return Step::Wait;
        }
        frame.resume_at = Instant::FAR_FUTURE;
        *cx.attempt = frame.attempts;
        Step::Call
    }

    fn exclude(&self, frame: &mut Frame, length: Duration) {
        frame.started_at = frame.started_at + length;
    }
}

#[cfg(test)]
mod tests;
