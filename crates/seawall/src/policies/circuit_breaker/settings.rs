//! The settings of a circuit breaker.

use super::shared::SharedCircuit;
use crate::{
    config::{Problems, days, hours, secs},
    policy::policy_config,
    window::{Bounds, Window},
};
use std::time::Duration;

policy_config! {
    /// Stops calling a dependency that keeps failing.
    ///
    /// Without `window` it counts consecutive failures; with one it judges the share of failures and of
    /// slow calls, and counts consecutive failures only where `failure_threshold` is set too.
    #[check(Self::check_window)]
    pub struct CircuitBreakerConfig {
        /// The number of consecutive failures that open the circuit. Left out: 5, or no such limit if `window` is set.
        #[range(1..=1_000_000)]
        failure_threshold: Option<u32> = None,
        /// The calls that the ratios are taken of. Left out: no ratio is judged.
        window: Option<Window> = None,
        /// The share of failures in the window that opens the circuit.
        #[range(over 0.0..=1.0)]
        failure_ratio: f64 = 0.5,
        /// Calls in the window below which no ratio is judged. More than a window of calls holds means as many as it
        /// holds.
        #[range(1..=1_000_000)]
        minimum_calls: u32 = 10,
        /// A call that takes at least this long is slow; a slow probe opens the circuit again. Needs `window`. Left
        /// out: no call is slow.
        slow_call_duration: Option<Duration> = None,
        /// The share of slow calls in the window that opens the circuit.
        #[range(over 0.0..=1.0)]
        slow_call_ratio: f64 = 1.0,
        /// How long the circuit stays open before it lets probes through.
        #[range(positive..=days(30))]
        recovery_timeout: Duration = secs(60),
        /// The factor by which the open time grows each time that a probe fails; 1: it does not grow.
        #[range(1.0..=10.0)]
        recovery_multiplier: f64 = 1.0,
        /// The longest open time that it grows to; where `recovery_timeout` is longer, that one holds.
        #[range(positive..=days(30))]
        max_recovery_timeout: Duration = secs(600),
        /// The largest share by which chance makes the open time longer, from the second opening in a row on, so that
        /// many processes do not probe at once.
        #[range(0.0..=1.0)]
        recovery_jitter: f64 = 0.1,
        /// The most probes that are in progress at once while the circuit is half-open.
        #[range(1..=63)]
        half_open_max_calls: u32 = 1,
        /// The number of probes that must succeed to close the circuit. One that fails opens it again.
        #[range(1..=63)]
        success_threshold: u32 = 1,
        /// How long probes may be without a result, to a fifteenth of a second. When all of them have been for so long,
        /// their places go to new ones.
        #[range(positive..=days(30))]
        probe_lease: Duration = secs(60),
        /// How long after closing all calls pass again; before that a growing share of them does. Left out: all pass
        /// at once.
        #[range(positive..=hours(24))]
        ramp_up: Option<Duration> = None,
        /// The share of calls that passes at the beginning of `ramp_up`.
        #[range(0.0..=1.0)]
        ramp_up_from: f64 = 0.1,
        /// Whether only retries are refused while the circuit is open, and first attempts pass. For a breaker inside a
        /// retry that should take load off a dependency and never cost a caller an answer.
        only_retries: bool = false,
        /// Whether there is one circuit for each key of the calls, in place of one for all.
        keyed: bool = false,
        /// The most keys that have a circuit of their own. When all of them are in use, further keys share one circuit.
        #[range(1..=1_000_000)]
        max_keys: u32 = 10_000,
        /// Where the circuit is shared with other instances through a store: how. Left out: this instance has its own.
        #[nested]
        shared: Option<SharedCircuit> = None,
    }
}

/// A circuit breaker: it opens after five consecutive failures, and lets a probe through after a minute.
pub fn breaker() -> CircuitBreakerConfig {
    CircuitBreakerConfig::default()
}

impl CircuitBreakerConfig {
    /// The bounds at which its window opens the circuit.
    pub(crate) fn bounds(&self) -> Bounds {
        let Self { failure_ratio, slow_call_ratio, minimum_calls, .. } = *self;
        Bounds { failure_ratio, slow_call_ratio, minimum_calls }
    }

    /// The consecutive failures that open the circuit, if they do.
    pub fn consecutive_failures(&self) -> Option<u32> {
        match (self.failure_threshold, &self.window) {
            (Some(threshold), _) => Some(threshold),
            (None, None) => Some(5),
            (None, Some(_)) => None,
        }
    }

    /// How long the circuit stays open after its opening number `openings` in a row, from 1; `u` is uniform
    /// in `[0, 1)`.
    pub fn open_time(&self, openings: u32, u: f64) -> Duration {
        if openings <= 1 {
            return self.recovery_timeout;
        }
        let again = i32::try_from(openings - 1).unwrap_or(i32::MAX);
        let most = self.max_recovery_timeout.max(self.recovery_timeout).as_secs_f64();
        let grown = self.recovery_timeout.as_secs_f64() * self.recovery_multiplier.powi(again);
        let seconds = grown.min(most) * (1.0 + self.recovery_jitter * u);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max_recovery_timeout)
    }

    /// The longest that `open_time` can be after this opening.
    #[inline]
    pub(super) fn longest_open_time(&self, openings: u32) -> Duration {
        if openings <= 1 { self.recovery_timeout } else { self.open_time(openings, 1.0) }
    }

    fn check_window(&self, problems: &mut Problems) {
        if let (Some(slow), None) = (self.slow_call_duration, &self.window) {
            let right = "of use without a window: set window as well";
            problems.require(false, "slow_call_duration", slow, right);
        }
        match self.window {
            Some(Window::Calls(calls)) => {
                problems.hold("window.calls", calls, Window::CALLS, None);
            }
            Some(Window::Time(length)) => {
                problems.hold("window.time", length, Window::TIME, None);
            }
            None => {}
        }
    }
}
