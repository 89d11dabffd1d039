//! What an operator sets on a circuit breaker.

use crate::{
    config::Problems,
    policy::policy_config,
    window::{Bounds, Window},
};
use std::time::Duration;

policy_config! {
    /// Stops calling a dependency that keeps failing.
    ///
    /// Without `window` it counts consecutive failures; with one it judges the share of failures and of
    /// slow calls, and counts consecutive failures only where `failure_threshold` is set too.
    pub struct CircuitBreakerConfig {
        /// Consecutive failures that open the circuit. Left out: 5, or off where `window` is set.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        failure_threshold: Option<u32> = None,
        /// Which calls the ratios are taken of. Left out: no ratios are judged.
        window: Option<Window> = None,
        /// The share of failures in the window, over 0 and up to 1, that opens the circuit.
        #[cfg_attr(feature = "schema", schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0)))]
        failure_ratio: f64 = 0.5,
        /// Calls in the window before any ratio is judged. More than a window of calls holds means as
        /// many as it holds.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        minimum_calls: u32 = 10,
        /// A call that takes at least this long is slow, and a slow probe opens the circuit again. Left
        /// out: none is.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration::option"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::option::schema"))]
        slow_call_duration: Option<Duration> = None,
        /// The share of slow calls in the window, over 0 and up to 1, that opens the circuit.
        #[cfg_attr(feature = "schema", schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0)))]
        slow_call_ratio: f64 = 1.0,
        /// How long the circuit stays open before it lets probes through.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        recovery_timeout: Duration = Duration::from_secs(60),
        /// The open time grows by this factor each time that a probe fails; 1: it does not grow.
        #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 10.0)))]
        recovery_multiplier: f64 = 1.0,
        /// The open time grows up to this, or stays at `recovery_timeout` where that is longer.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        max_recovery_timeout: Duration = Duration::from_secs(600),
        /// From the second opening in a row on, the open time is longer by up to this share, by chance, so
        /// that many processes do not probe at once.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
        recovery_jitter: f64 = 0.1,
        /// Probes in progress at once while half-open.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 63)))]
        half_open_max_calls: u32 = 1,
        /// Probes that must succeed to close the circuit. One that fails opens it again.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 63)))]
        success_threshold: u32 = 1,
        /// When all probes have been out for this long (to a fifteenth of a second), their places go to new
        /// ones.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        probe_lease: Duration = Duration::from_secs(60),
        /// After closing, how long until all calls pass again; before, a growing share does. Left out: all
        /// pass at once.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration::option"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::option::schema"))]
        ramp_up: Option<Duration> = None,
        /// The share of calls, from 0 to 1, that passes at the beginning of `ramp_up`.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
        ramp_up_from: f64 = 0.1,
        /// Refuse only retries while the circuit is open; first attempts pass. For a breaker inside a retry
        /// that shall take load off a dependency and never an answer from a caller.
        only_retries: bool = false,
        /// One circuit for each key of the call, instead of one for all.
        keyed: bool = false,
        /// Keys with a circuit of their own, at most. When as many are busy, further ones share one.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        max_keys: u32 = 10_000,
    }
}

/// Longer times make no sense for a circuit, and the breaker's word needs a bound.
const MAX_LENGTH: Duration = Duration::from_secs(30 * 24 * 3600);

impl CircuitBreakerConfig {
    /// When its window opens the circuit.
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

    pub(crate) fn check(&self, problems: &mut Problems) {
        let millions = |n: u32| (1..=1_000_000).contains(&n);
        let ratio = |r: f64| r > 0.0 && r <= 1.0;
        let right = "a whole number from 1 to 1000000";
        if let Some(threshold) = self.failure_threshold {
            problems.require(millions(threshold), "failure_threshold", threshold, right);
        }
        problems.require(millions(self.minimum_calls), "minimum_calls", self.minimum_calls, right);
        for (field, value) in
            [("failure_ratio", self.failure_ratio), ("slow_call_ratio", self.slow_call_ratio)]
        {
            problems.require(ratio(value), field, value, "a number over 0 and up to 1");
        }
        for (field, value) in [
            ("half_open_max_calls", self.half_open_max_calls),
            ("success_threshold", self.success_threshold),
        ] {
            problems.require(
                (1..=63).contains(&value),
                field,
                value,
                "a whole number from 1 to 63",
            );
        }
        let multiplier = self.recovery_multiplier;
        let good = (1.0..=10.0).contains(&multiplier);
        problems.require(good, "recovery_multiplier", multiplier, "a number from 1 to 10");
        let good = (0.0..=1.0).contains(&self.recovery_jitter);
        problems.require(good, "recovery_jitter", self.recovery_jitter, "a share from 0 to 1");
        let good = (0.0..=1.0).contains(&self.ramp_up_from);
        problems.require(good, "ramp_up_from", self.ramp_up_from, "a share from 0 to 1");
        if let Some(length) = self.ramp_up {
            problems.require_positive("ramp_up", length);
            let good = length <= Duration::from_secs(24 * 3600);
            problems.require(good, "ramp_up", length, "at most 24 hours");
        }
        problems.require(millions(self.max_keys), "max_keys", self.max_keys, right);
        for (field, value) in [
            ("recovery_timeout", self.recovery_timeout),
            ("max_recovery_timeout", self.max_recovery_timeout),
            ("probe_lease", self.probe_lease),
        ] {
            problems.require_positive(field, value);
            problems.require(value <= MAX_LENGTH, field, value, "at most 30 days");
        }
        problems.require(
            self.slow_call_duration.is_none() || self.window.is_some(),
            "slow_call_duration",
            self.slow_call_duration,
            "of use without a window: set window as well",
        );
        self.check_window(problems);
    }

    fn check_window(&self, problems: &mut Problems) {
        match self.window {
            Some(Window::Calls(calls)) => problems.require(
                (1..=10_000).contains(&calls),
                "window.calls",
                calls,
                "a whole number from 1 to 10000",
            ),
            Some(Window::Time(length)) => {
                let good = length >= Duration::from_millis(1) && length <= MAX_LENGTH;
                problems.require(good, "window.time", length, "a duration from 1ms to 30days");
            }
            None => {}
        }
    }
}
