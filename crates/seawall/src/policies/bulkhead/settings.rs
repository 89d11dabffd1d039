//! What an operator sets on a bulkhead.

use crate::{
    attributes::Priority,
    config::{Problems, config},
    policy::policy_config,
};
use std::time::Duration;

policy_config! {
    /// Limits calls in progress.
    pub struct BulkheadConfig {
        /// Calls in progress at once; of an adaptive limit, at most.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        max_concurrent: u32 = 100,
        /// Calls waiting at once; 0 refuses whatever finds no place.
        #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000)))]
        max_queued: u32 = 0,
        /// The longest wait.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        max_wait: Duration = Duration::from_secs(30),
        /// Who is served first while the queue does not get empty.
        order: QueueOrder = QueueOrder::Fifo,
        /// A shorter wait while the queue does not get empty. Left out: the wait is `max_wait` always.
        controlled_delay: Option<ControlledDelay> = None,
        /// A limit that follows what the dependency can take. Left out: it is `max_concurrent` always.
        adaptive: Option<Adaptive> = None,
        /// The share of the places, over 0 and up to 1, that calls of normal priority may fill; what they find
        /// beyond it is kept for critical ones. Under 1 they do not queue.
        #[cfg_attr(feature = "schema", schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0)))]
        normal_share: f64 = 1.0,
        /// The same for calls in the background.
        #[cfg_attr(feature = "schema", schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0)))]
        background_share: f64 = 1.0,
    }
}

/// Who is served first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum QueueOrder {
    /// Who came first.
    #[default]
    Fifo,
    /// Who came first; while the queue does not get empty, who came last: those who waited long are likely to
    /// be gone. (Maurer: *Fail at Scale*, 2015.)
    AdaptiveLifo,
}

config! {
    /// While the queue has not been empty for `interval`, who comes waits no longer than `target`; otherwise no
    /// longer than `interval`. (Controlled delay in the form of Maurer: *Fail at Scale*, 2015.)
    pub struct ControlledDelay {
        /// The wait that a standing queue may cost.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        target: Duration = Duration::from_millis(5),
        /// How long a queue may stand before it counts as standing.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        interval: Duration = Duration::from_millis(100),
    }
}

/// How a limit follows what the dependency can take.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Adaptive {
    /// Up by one a good call, down by a share at a slow or refused one.
    Aimd(Aimd),
    /// By how latency now compares with latency in quiet times.
    Gradient(Gradient),
}

config! {
    /// Additive increase, multiplicative decrease: a call that takes longer than `max_latency`, is cut off or
    /// rate-limited multiplies the limit by `backoff_ratio`; any other raises it by one while at least half of it
    /// is in use. (Chiu and Jain, 1989; in the form of Netflix's `AIMDLimit`, but two cuts are
    /// at least a tenth of `max_latency` apart: many late calls at once are one overload.)
    pub struct Aimd {
        /// The limit at the beginning.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        initial_limit: u32 = 20,
        /// The limit is never lower.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        min_limit: u32 = 1,
        /// A call that takes longer is a sign of overload.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        max_latency: Duration = Duration::from_secs(1),
        /// What is left of the limit after one, from 0.5 to under 1.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.5, max = 0.999)))]
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
        /// The limit at the beginning.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        initial_limit: u32 = 20,
        /// The limit is never lower.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        min_limit: u32 = 1,
        /// How much longer than in quiet times calls may take, from 1 to 10.
        #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 10.0)))]
        tolerance: f64 = 1.5,
        /// How far the limit moves in one window, over 0 and up to 1.
        #[cfg_attr(feature = "schema", schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0)))]
        smoothing: f64 = 0.2,
        /// Calls that may queue at the dependency.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000)))]
        queue_size: u32 = 4,
        /// Windows that the quiet latency is averaged over.
        #[cfg_attr(feature = "schema", schemars(range(min = 10, max = 100_000)))]
        long_window: u32 = 600,
        /// How long latencies are collected before the limit moves.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        window: Duration = Duration::from_millis(100),
        /// Calls a window needs, or it lasts longer.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
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

    pub(crate) fn check(&self, problems: &mut Problems) {
        let million = 1_000_000;
        problems.require(
            (1..=million).contains(&self.max_concurrent),
            "max_concurrent",
            self.max_concurrent,
            "a whole number from 1 to 1000000",
        );
        problems.require(
            self.max_queued <= million,
            "max_queued",
            self.max_queued,
            "a whole number from 0 to 1000000",
        );
        problems.require_positive("max_wait", self.max_wait);
        for (field, share) in
            [("normal_share", self.normal_share), ("background_share", self.background_share)]
        {
            let good = share > 0.0 && share <= 1.0;
            problems.require(good, field, share, "a share over 0 and up to 1");
        }
        if let Some(ControlledDelay { target, interval }) = self.controlled_delay {
            problems.within("controlled_delay", |problems| {
                problems.require_positive("target", target);
                let good = interval >= target;
                problems.require(good, "interval", interval, "at least as long as target");
            });
        }
        problems.within("adaptive", |problems| match &self.adaptive {
            None => {}
            Some(Adaptive::Aimd(aimd)) => {
                problems.within("aimd", |problems| aimd.check(self.max_concurrent, problems));
            }
            Some(Adaptive::Gradient(gradient)) => {
                problems
                    .within("gradient", |problems| gradient.check(self.max_concurrent, problems));
            }
        });
    }
}

fn check_limits(initial: u32, min: u32, max: u32, problems: &mut Problems) {
    let right = "a whole number from 1 to max_concurrent";
    problems.require((1..=max).contains(&initial), "initial_limit", initial, right);
    let right = "a whole number from 1 to initial_limit";
    problems.require((1..=initial).contains(&min), "min_limit", min, right);
}

impl Aimd {
    fn check(&self, max: u32, problems: &mut Problems) {
        check_limits(self.initial_limit, self.min_limit, max, problems);
        problems.require_positive("max_latency", self.max_latency);
        let ratio = self.backoff_ratio;
        let good = (0.5..1.0).contains(&ratio);
        problems.require(good, "backoff_ratio", ratio, "a number from 0.5 to under 1");
    }
}

impl Gradient {
    fn check(&self, max: u32, problems: &mut Problems) {
        check_limits(self.initial_limit, self.min_limit, max, problems);
        let Self { tolerance, smoothing, queue_size, long_window, window, minimum_calls, .. } =
            *self;
        let good = (1.0..=10.0).contains(&tolerance);
        problems.require(good, "tolerance", tolerance, "a number from 1 to 10");
        let good = smoothing > 0.0 && smoothing <= 1.0;
        problems.require(good, "smoothing", smoothing, "a number over 0 and up to 1");
        let good = (1..=1_000).contains(&queue_size);
        problems.require(good, "queue_size", queue_size, "a whole number from 1 to 1000");
        let good = (10..=100_000).contains(&long_window);
        problems.require(good, "long_window", long_window, "a whole number from 10 to 100000");
        let good = window >= Duration::from_millis(1) && window <= Duration::from_secs(60);
        problems.require(good, "window", window, "a duration from 1ms to 60s");
        let good = (1..=100_000).contains(&minimum_calls);
        problems.require(good, "minimum_calls", minimum_calls, "a whole number from 1 to 100000");
    }
}
