//! **Hedge**: makes a further call beside one that takes long; the first good answer is the answer.
//!
//! Use it against a long tail of latencies, where calls may run twice and there is room for a few percent
//! more of them. Do not use it against overload, which it would add to, nor for calls that must not be repeated. The
//! invariant: whoever loses is cancelled at once; hedges stay within the budget, so they are a small share of
//! the calls whatever happens. (Dean and Barroso: *The Tail at Scale*, 2013.)

use crate::{
    config::{Check, ConfigError, millis},
    event::{Kind, Withheld},
    outcome::Outcome,
    policies::retry::{Bucket, ShareBudget},
    policy::{Cause, Cx, OnSuccess, Pattern, Step, policy_config},
    recent::{Percentile, Recent, Timed},
    time::Instant,
};
use std::{sync::Arc, time::Duration};

policy_config! {
    /// Makes a further call beside one that takes long; the first good answer is the answer.
    pub struct HedgeConfig {
        /// How long a call may run before the next one is made beside it. A delay of 0 would make every call twice at
        /// once.
        #[range(positive)]
        #[right = "more than 0, since 0 would make every call twice at once; left out it is 100ms"]
        delay: Duration = millis(100),
        /// A delay that follows how long calls take: with a share of 0.95, one call in twenty is hedged. Until
        /// enough calls were seen, and again after no calls for the length of `window`, `delay` holds. Left out:
        /// `delay` holds always.
        #[nested]
        adaptive: Option<Percentile> = None,
        /// The most further calls that are made for one call.
        #[range(1..=10)]
        max_hedges: u32 = 1,
        /// The budget that all callers together may spend on hedges; null: no bound.
        #[nested]
        budget: Option<ShareBudget> = Some(ShareBudget {
            ratio: 0.1,
            min_per_second: 1.0,
            max_saved: 10,
        }),
    }
}

/// A hedge: a further call is made beside one that takes longer than `delay`.
pub fn hedge(delay: Duration) -> HedgeConfig {
    HedgeConfig::default().delay(delay)
}

/// A hedge: its configuration, its delay, and what is left of its budget.
#[derive(Debug)]
pub struct Hedge {
    config: HedgeConfig,
    recent: Option<Recent>,
    bucket: Option<Bucket>,
}

impl Hedge {
    /// A hedge with a full budget.
    ///
    /// # Errors
    /// All fields that are out of their bounds.
    pub fn new(config: HedgeConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let bucket = config.budget.as_ref().map(Bucket::share);
        let recent = config.adaptive.clone().map(Recent::new);
        Ok(Self { config, recent, bucket })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &HedgeConfig {
        &self.config
    }

    /// How long a call that starts at `now` may run before it is hedged.
    pub fn delay(&self, now: Instant) -> Duration {
        let adapted = self.recent.as_ref().and_then(|recent| recent.bound(now));
        adapted.unwrap_or(self.config.delay)
    }

    fn withholds(&self, cx: &Cx<'_>) -> Option<Withheld> {
        if cx.repeats_are_paused() {
            return Some(Withheld::Paused);
        }
        let spent = self.bucket.as_ref().is_some_and(|bucket| !bucket.withdraw(cx.now));
        spent.then_some(Withheld::Budget)
    }
}

pub(crate) struct Frame {
    /// The first call, as if it had not been hedged: the others would make calls look quick.
    call: Timed,
    next_at: Instant,
    launched: u32,
    running: u32,
}

impl Pattern for Arc<Hedge> {
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
        if let Some(bucket) = &self.bucket {
            bucket.began(cx.now);
        }
        let hedges = cx.concurrent && cx.attributes.repeatable;
        let next_at = if hedges { cx.now + self.delay(cx.now) } else { Instant::FAR_FUTURE };
        cx.wake_at(next_at);
        let call = Timed::begin(cx.now, self.recent.as_ref());
        (Frame { call, next_at, launched: 0, running: 1 }, Step::Call)
    }

    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        frame.running -= 1;
        let is_answer = match outcome {
            Outcome::Success => true,
            outcome => outcome.blames_caller(),
        };
        if is_answer || frame.running == 0 {
            frame.call.ended(self.recent.as_ref(), cx.now, &outcome);
            Step::Finish(outcome)
        } else {
            Step::Wait
        }
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        if cx.now < frame.next_at {
            return Step::Wait;
        }
        frame.next_at = Instant::FAR_FUTURE;
        if let Some(why) = self.withholds(cx) {
            cx.emit(Kind::Withheld { policy: "hedge", why });
            return Step::Wait;
        }
        frame.launched += 1;
        frame.running += 1;
        if frame.launched < self.config.max_hedges {
            frame.next_at = cx.now + self.delay(cx.now);
            cx.wake_at(frame.next_at);
        }
        let after = cx.now.since(frame.call.started_at);
        cx.emit(Kind::Hedged { nth: frame.launched, after });
        Step::Call
    }

    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        if let Cause::TimedOut | Cause::Discarded = cause {
            frame.call.cut_off(self.recent.as_ref(), cx.now);
        }
    }

    fn exclude(&self, frame: &mut Frame, length: Duration) {
        frame.call.started_at = frame.call.started_at + length;
        frame.next_at = frame.next_at + length;
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
