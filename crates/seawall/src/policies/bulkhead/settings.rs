//! The settings of a bulkhead.

use crate::{
    attributes::Priority,
    config::{Check, Problems, config, millis, secs},
    policy::policy_config,
};
use std::time::Duration;

policy_config! {
    /// Limits the number of calls in progress.
    #[check(Self::check_adaptive)]
    pub struct BulkheadConfig {
        /// The most calls that are in progress at once. An adaptive limit moves below it.
        #[range(1..=1_000_000)]
        max_concurrent: u32 = 100,
        /// The most calls that wait at once; 0: what finds no place is refused.
        #[range(0..=1_000_000)]
        max_queued: u32 = 0,
        /// The longest time that a call waits.
        #[range(positive)]
        max_wait: Duration = secs(30),
        /// Which call is served first while others wait.
        order: QueueOrder = QueueOrder::Fifo,
        /// A shorter wait while the queue does not become empty. Left out: `max_wait` holds always.
        #[nested]
        controlled_delay: Option<ControlledDelay> = None,
        /// A limit that follows what the dependency can take. Left out: `max_concurrent` holds always.
        adaptive: Option<Adaptive> = None,
        /// The share of the places that calls of normal priority may fill; the others are kept for critical ones. Below
        /// 1, calls of normal priority do not queue.
        #[range(over 0.0..=1.0)]
        normal_share: f64 = 1.0,
        /// The share of the places that calls in the background may fill; the others are kept for calls of a higher
        /// priority. Below 1, calls in the background do not queue.
        #[range(over 0.0..=1.0)]
        background_share: f64 = 1.0,
    }
}

/// A bulkhead: at most `max_concurrent` calls are in progress at once; further ones are refused.
pub fn bulkhead(max_concurrent: u32) -> BulkheadConfig {
    BulkheadConfig::default().max_concurrent(max_concurrent)
}

config! {
    /// Which call is served first while others wait.
    #[derive(Copy, Default, Eq)]
    pub enum QueueOrder {
        /// The call that came first is served first.
        #[default]
        Fifo,
        /// The call that came first; while the queue does not become empty, the one that came last, since the callers
        /// that waited long are likely to be gone. (Maurer: *Fail at Scale*, 2015.)
        AdaptiveLifo,
    }
}

config! {
    /// While the queue has not been empty for `interval`, a new call waits no longer than `target`; otherwise no longer
    /// than `interval`. (Controlled delay in the form of Maurer: *Fail at Scale*, 2015.)
    #[check(Self::check_interval)]
    pub struct ControlledDelay {
        /// The longest wait while the queue stands.
        #[range(positive)]
        target: Duration = millis(5),
        /// How long the queue must not have been empty to count as standing; at least `target`.
        #[range(positive)]
        interval: Duration = millis(100),
    }
}

config! {
    /// How a limit follows what the dependency can take.
    pub enum Adaptive {
        /// The limit rises by one with a good call, and falls by a share at a slow or refused one.
        Aimd(Aimd),
        /// The limit follows how the latency now compares with that of quiet times.
        Gradient(Gradient),
    }
}

config! {
    /// Additive increase, multiplicative decrease: a call that takes longer than `max_latency`, is cut off or
    /// rate-limited multiplies the limit by `backoff_ratio`; any other raises it by one while at least half of it
    /// is in use. (Chiu and Jain, 1989; in the form of Netflix's `AIMDLimit`, but two cuts are
    /// at least a tenth of `max_latency` apart: many late calls at once are one overload.)
    pub struct Aimd {
        /// The limit at the beginning; at most `max_concurrent`.
        #[range(1..=1_000_000)]
        initial_limit: u32 = 20,
        /// The lowest limit; at most `initial_limit`.
        #[range(1..=1_000_000)]
        min_limit: u32 = 1,
        /// A call that takes longer is a sign of overload.
        #[range(positive)]
        max_latency: Duration = secs(1),
        /// The share of the limit that is left after such a sign.
        #[range(0.5..1.0)]
        backoff_ratio: f64 = 0.9,
    }
}

config! {
    /// Each `window` the limit moves towards `limit · gradient + queue_size`, where the gradient is `tolerance ·
    /// quiet latency / latency now`, between 0.5 and 2. (Netflix's `Gradient2Limit`, with two changes: the
    /// gradient may rise over 1, so that new capacity is found soon; and the quiet latency is not learned from
    /// windows in which the limit was full and more concurrency brought no more throughput, since the latency
    /// then is of our own making: without this rule, Uber's, the limit runs away under lasting overload.)
    pub struct Gradient {
        /// The limit at the beginning; at most `max_concurrent`.
        #[range(1..=1_000_000)]
        initial_limit: u32 = 20,
        /// The lowest limit; at most `initial_limit`.
        #[range(1..=1_000_000)]
        min_limit: u32 = 1,
        /// How many times longer than in quiet times calls may take.
        #[range(1.0..=10.0)]
        tolerance: f64 = 1.5,
        /// How far the limit moves in one window, as a share of the way.
        #[range(over 0.0..=1.0)]
        smoothing: f64 = 0.2,
        /// The number of calls that may queue at the dependency.
        #[range(1..=1_000)]
        queue_size: u32 = 4,
        /// The number of windows that the quiet latency is averaged over.
        #[range(10..=100_000)]
        long_window: u32 = 600,
        /// How long latencies are collected before the limit moves.
        #[range(millis(1)..=secs(60))]
        window: Duration = millis(100),
        /// The number of calls that a window needs; it lasts longer until there are as many.
        #[range(1..=100_000)]
        minimum_calls: u32 = 10,
    }
}

impl BulkheadConfig {
    /// The share of the places that calls of this priority may fill.
    pub fn share(&self, priority: Priority) -> f64 {
        match priority {
            Priority::Background => self.background_share,
            Priority::Normal => self.normal_share,
            Priority::Critical => 1.0,
        }
    }

    pub(super) fn initial_limit(&self) -> u32 {
        let initial = match &self.adaptive {
            None => self.max_concurrent,
            Some(Adaptive::Aimd(aimd)) => aimd.initial_limit,
            Some(Adaptive::Gradient(gradient)) => gradient.initial_limit,
        };
        initial.min(self.max_concurrent)
    }

    fn check_adaptive(&self, problems: &mut Problems) {
        let Some(adaptive) = &self.adaptive else { return };
        let max = self.max_concurrent;
        problems.within("adaptive", |problems| match adaptive {
            Adaptive::Aimd(aimd) => problems.within("aimd", |problems| {
                aimd.check(problems);
                check_limits(aimd.initial_limit, aimd.min_limit, max, problems);
            }),
            Adaptive::Gradient(gradient) => problems.within("gradient", |problems| {
                gradient.check(problems);
                check_limits(gradient.initial_limit, gradient.min_limit, max, problems);
            }),
        });
    }
}

/// The limits of an adaptive bulkhead, each against the next higher one.
fn check_limits(initial: u32, min: u32, max: u32, problems: &mut Problems) {
    let right = "a whole number from 1 to max_concurrent";
    problems.require(initial <= max, "initial_limit", initial, right);
    let right = "a whole number from 1 to initial_limit";
    problems.require(initial == 0 || min <= initial, "min_limit", min, right);
}

impl ControlledDelay {
    fn check_interval(&self, problems: &mut Problems) {
        let good = self.interval >= self.target;
        problems.require(good, "interval", self.interval, "at least as long as target");
    }
}
