//! **Chaos**: injects faults, to show that the policies around it cope with them.
//!
//! Use it in tests, in staging, and in drills; it does nothing unless `enabled`. Do not use it as the only test: it
//! injects what you thought of. The invariant: each fault is an event, and is counted.

use crate::{
    config::{Check, ConfigError, Problems, config, hours, millis, secs},
    event::{Fault, Kind},
    outcome::{Class, Outcome},
    policy::{Cx, OnSuccess, Pattern, Step, policy_config},
    sync::{AtomicU64, Ordering},
    time::{Instant, nanos},
};
use std::{sync::Arc, time::Duration};

policy_config! {
    /// Injects faults, to test how callers cope with them.
    #[check(Self::check_pairs)]
    pub struct ChaosConfig {
        /// Whether any fault is injected.
        enabled: bool = false,
        /// The share of calls that fail without being made.
        #[range(0.0..=1.0)]
        error_share: f64 = 0.0,
        /// The share of calls that hang until a timeout ends them, or for `hang_for`. At most 1 together
        /// with `error_share`.
        #[range(0.0..=1.0)]
        hang_share: f64 = 0.0,
        /// How long a call hangs if no timeout ends it.
        #[range(positive..=hours(1))]
        hang_for: Duration = secs(60),
        /// The share of calls that begin later.
        #[range(0.0..=1.0)]
        latency_share: f64 = 0.0,
        /// The shortest time by which such a call begins later; at most `max_latency`.
        min_latency: Duration = millis(100),
        /// The longest time by which such a call begins later.
        #[range(..=hours(1))]
        max_latency: Duration = secs(1),
        /// When faults are injected, counted from the first call. Left out: always.
        #[nested]
        schedule: Option<Schedule> = None,
    }
}

/// Chaos that is enabled; which faults it injects, and how many, is set with its setters.
pub fn chaos() -> ChaosConfig {
    ChaosConfig::default().enabled(true)
}

config! {
    /// A period of time in which something is done, once or again and again.
    #[check(Self::check_every)]
    pub struct Schedule {
        /// How long after the first call the period begins.
        after: Duration = Duration::ZERO,
        /// How long the period lasts.
        #[range(positive)]
        lasts: Duration = secs(60),
        /// The time from the beginning of one period to that of the next; at least `lasts`. Left out: there is one
        /// period only.
        #[range(positive)]
        every: Option<Duration> = None,
    }
}

impl Schedule {
    /// Whether the period is on, this long after the first call.
    pub fn is_on(&self, since_first: Duration) -> bool {
        let Some(into) = since_first.checked_sub(self.after) else { return false };
        match self.every {
            Some(every) => nanos(into) % nanos(every).max(1) < nanos(self.lasts),
            None => into < self.lasts,
        }
    }

    fn check_every(&self, problems: &mut Problems) {
        if let Some(every) = self.every {
            let good = every >= self.lasts;
            problems.require(good, "every", every, "at least as long as lasts");
        }
    }
}

impl ChaosConfig {
    fn check_pairs(&self, problems: &mut Problems) {
        let over = self.error_share <= 1.0 && self.error_share + self.hang_share > 1.0;
        let right = "at most 1 together with error_share";
        problems.require(!over, "hang_share", self.hang_share, right);
        let good = self.min_latency <= self.max_latency;
        problems.require(good, "min_latency", self.min_latency, "at most max_latency");
    }
}

/// A source of faults: its configuration, and when the first call came.
#[derive(Debug)]
pub struct Chaos {
    config: ChaosConfig,
    /// When the first call came, in nanoseconds; 0 before it.
    first: AtomicU64,
}

impl Chaos {
    /// A source of faults that no call has reached yet.
    ///
    /// # Errors
    /// All fields that are out of their bounds.
    pub fn new(config: ChaosConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config, first: AtomicU64::new(0) })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &ChaosConfig {
        &self.config
    }

    /// Whether faults would be injected at `now`.
    pub fn is_on(&self, now: Instant) -> bool {
        if !self.config.enabled {
            return false;
        }
        let Some(schedule) = &self.config.schedule else { return true };
        let first = match self.first.load(Ordering::Acquire) {
            0 => now,
            nanos => Instant::from_nanos(nanos),
        };
        schedule.is_on(now.since(first))
    }

    fn note_first(&self, now: Instant) {
        if self.first.load(Ordering::Relaxed) == 0 {
            let now = now.as_nanos().max(1);
            // Another thread's first call is as good.
            let _ = self.first.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// The fault for the next call, and its length, by uniform draws from `[0, 1)`; pure.
    fn fault(&self, mut draw: impl FnMut() -> f64) -> Option<(Fault, Duration)> {
        let config = &self.config;
        let u = draw();
        if u < config.error_share {
            return Some((Fault::Error, Duration::ZERO));
        }
        if u < config.error_share + config.hang_share {
            return Some((Fault::Hang, config.hang_for));
        }
        if draw() < config.latency_share {
            let spread = config.max_latency.saturating_sub(config.min_latency);
            return Some((Fault::Latency, config.min_latency + spread.mul_f64(draw())));
        }
        None
    }
}

/// A call that may wait before it begins.
pub(crate) struct Frame {
    until: Instant,
    hangs: Option<Duration>,
}

impl Pattern for Arc<Chaos> {
    type Frame = Frame;

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::HandsOn
    }

    #[inline]
    fn holds(_: &Frame) -> bool {
        false
    }

    #[inline(always)]
    fn pass(&self, _cx: &mut Cx<'_>) -> Option<Frame> {
        let nothing = Frame { until: Instant::FAR_FUTURE, hangs: None };
        (!self.config.enabled).then_some(nothing)
    }

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let mut frame = Frame { until: Instant::FAR_FUTURE, hangs: None };
        if !self.config.enabled {
            return (frame, Step::Call);
        }
        self.note_first(cx.now);
        let fault = if self.is_on(cx.now) { self.fault(|| cx.random.unit()) } else { None };
        let Some((fault, length)) = fault else { return (frame, Step::Call) };
        cx.emit(Kind::FaultInjected(fault));
        if fault == Fault::Error {
            return (frame, Step::Finish(Outcome::failure(Class::Transient)));
        }
        frame.hangs = (fault == Fault::Hang).then_some(length);
        frame.until = cx.now + length;
        cx.wake_at(frame.until);
        (frame, Step::Wait)
    }

    fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
        if cx.now < frame.until {
            return Step::Wait;
        }
        frame.until = Instant::FAR_FUTURE;
        match frame.hangs {
            Some(limit) => Step::Finish(Outcome::TimedOut { limit }),
            None => Step::Call,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
