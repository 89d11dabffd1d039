//! The closed set of patterns. A new one is a file, a module and a line here.

use crate::{
    command::CallId,
    config::{ConfigError, Problems},
    outcome::Outcome,
    policy::{Cause, CustomFrame, CustomPolicy, Cx, Mode, Pattern, Step},
    time::Instant,
};
use std::{sync::Arc, time::Duration};

pub(crate) mod bulkhead;
pub(crate) mod chaos;
pub(crate) mod circuit_breaker;
pub(crate) mod fallback;
pub(crate) mod hedge;
pub(crate) mod rate_limiter;
pub(crate) mod retry;
pub(crate) mod throttle;
pub(crate) mod timeout;

use bulkhead::{Bulkhead, BulkheadConfig};
use chaos::{Chaos, ChaosConfig};
use circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
use fallback::{Fallback, FallbackConfig};
use hedge::{Hedge, HedgeConfig};
use rate_limiter::{RateLimiter, RateLimiterConfig};
use retry::{Retry, RetryConfig};
use throttle::{Throttle, ThrottleConfig};
use timeout::{Timeout, TimeoutConfig};

/// What stands at a node of an execution's tree.
pub(crate) enum Slot {
    /// One passage through a policy.
    Frame(Frame),
    /// A call of the operation.
    Call { id: CallId, attempt: u32, started_at: Instant },
    /// Nothing any more: it goes when nothing stands behind it.
    Released,
}

/// Declares the policies, their frames, their configurations, and the dispatch between them.
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident($own:ident, $policy:ty, $frame:ty, $config:ty, $label:literal),)*) => {
        /// One policy of a pipeline: a handle on shared state.
        #[derive(Clone, Debug)]
        pub enum Policy {
            $($(#[$doc])* $name($policy),)*
            /// Written by the user.
            Custom(Arc<dyn CustomPolicy>),
        }

        /// One execution's passage through one policy.
        pub(crate) enum Frame {
            $($name($frame),)*
            Custom(Box<dyn CustomFrame>),
        }

        /// One policy, as written in a file.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(tag = "type", rename_all = "snake_case"))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum PolicyConfig { $($(#[$doc])* $name($config),)* }

        impl PolicyConfig {
            /// Notes every field out of its bounds.
            pub fn check(&self, problems: &mut Problems) {
                match self { $(Self::$name(config) => config.check(problems),)* }
            }

            /// A policy with fresh state.
            ///
            /// # Errors
            /// Every field out of its bounds.
            pub fn build(&self) -> Result<Policy, ConfigError> {
                Ok(match self { $(Self::$name(config) => Policy::$name($own::new(config.clone())?.into()),)* })
            }

            /// The same in another mode.
            #[must_use]
            pub fn with_mode(mut self, mode: Mode) -> Self {
                match &mut self { $(Self::$name(config) => config.mode = mode,)* }
                self
            }

            /// Its `type` in files, metrics and views.
            pub fn label(&self) -> &'static str {
                match self { $(Self::$name(_) => $label,)* }
            }

            /// The mode it starts in.
            pub fn mode(&self) -> Mode {
                match self { $(Self::$name(config) => config.mode,)* }
            }
        }

        impl Frame {
            #[inline]
            pub(crate) fn holds(&self) -> bool {
                match self {
                    $(Self::$name(frame) => <$policy as Pattern>::holds(frame),)*
                    Self::Custom(frame) => <Arc<dyn CustomPolicy> as Pattern>::holds(frame),
                }
            }
        }

        impl Policy {
            /// The labels of all built-in policies.
            pub(crate) const LABELS: &[&str] = &[$($label),*];

            /// Its `type` in files, metrics and views.
            pub fn label(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $label,)*
                    Self::Custom(_) => "custom",
                }
            }

            /// Its configuration; none where it was written by the user.
            pub fn config(&self) -> Option<PolicyConfig> {
                match self {
                    $(Self::$name(policy) => Some(PolicyConfig::$name(policy.config().clone())),)*
                    Self::Custom(_) => None,
                }
            }

            #[inline]
            pub(crate) fn heeds_success(&self) -> bool {
                match self {
                    $(Self::$name(policy) => policy.heeds_success(),)*
                    Self::Custom(policy) => policy.heeds_success(),
                }
            }

            pub(crate) fn times_success(&self) -> bool {
                match self {
                    $(Self::$name(policy) => policy.times_success(),)*
                    Self::Custom(policy) => policy.times_success(),
                }
            }

            /// Begins the short way, with the frame written where it stays; `false` where that is not open.
            #[inline(always)]
            pub(crate) fn pass(&self, cx: &mut Cx<'_>, place: &mut Slot) -> bool {
                match self {
                    $(Self::$name(policy) => match policy.pass(cx) {
                        Some(frame) => *place = Slot::Frame(Frame::$name(frame)),
                        None => return false,
                    },)*
                    Self::Custom(_) => return false,
                }
                true
            }

            /// Begins, with the frame written where it stays.
            pub(crate) fn start(&self, cx: &mut Cx<'_>, place: &mut Slot) -> Step {
                match self {
                    $(Self::$name(policy) => {
                        let (frame, step) = policy.start(cx);
                        *place = Slot::Frame(Frame::$name(frame));
                        step
                    })*
                    Self::Custom(policy) => {
                        let (frame, step) = Pattern::start(policy, cx);
                        *place = Slot::Frame(Frame::Custom(frame));
                        step
                    }
                }
            }

            #[inline]
            pub(crate) fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
                match (self, frame) {
                    $((Self::$name(policy), Frame::$name(frame)) => policy.inner_done(frame, cx, outcome),)*
                    (Self::Custom(policy), Frame::Custom(frame)) => policy.inner_done(frame, cx, outcome),
                    _ => Step::Finish(outcome),
                }
            }

            #[inline]
            pub(crate) fn wake(&self, frame: &mut Frame, cx: &mut Cx<'_>) -> Step {
                match (self, frame) {
                    $((Self::$name(policy), Frame::$name(frame)) => policy.wake(frame, cx),)*
                    (Self::Custom(policy), Frame::Custom(frame)) => policy.wake(frame, cx),
                    _ => Step::Wait,
                }
            }

            #[inline]
            pub(crate) fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
                match (self, frame) {
                    $((Self::$name(policy), Frame::$name(frame)) => policy.release(frame, cx, cause),)*
                    (Self::Custom(policy), Frame::Custom(frame)) => policy.release(frame, cx, cause),
                    _ => {}
                }
            }

            pub(crate) fn exclude(&self, frame: &mut Frame, length: Duration) {
                match (self, frame) {
                    $((Self::$name(policy), Frame::$name(frame)) => policy.exclude(frame, length),)*
                    _ => {}
                }
            }
        }
    };
}

patterns! {
    /// Ends a call that takes too long.
    Timeout(Timeout, Timeout, timeout::Frame, TimeoutConfig, "timeout"),
    /// Runs a failed call again.
    Retry(Retry, Arc<Retry>, retry::Frame, RetryConfig, "retry"),
    /// Stops calling a dependency that keeps failing.
    CircuitBreaker(
        CircuitBreaker, Arc<CircuitBreaker>, circuit_breaker::Frame, CircuitBreakerConfig, "circuit_breaker"
    ),
    /// Limits calls over time.
    RateLimiter(RateLimiter, Arc<RateLimiter>, rate_limiter::Frame, RateLimiterConfig, "rate_limiter"),
    /// Limits calls in progress.
    Bulkhead(Bulkhead, Arc<Bulkhead>, bulkhead::Frame, BulkheadConfig, "bulkhead"),
    /// Answers by other means.
    Fallback(Fallback, Fallback, fallback::Frame, FallbackConfig, "fallback"),
    /// Makes a further call beside one that takes long.
    Hedge(Hedge, Arc<Hedge>, hedge::Frame, HedgeConfig, "hedge"),
    /// Turns calls away by chance, the more of them the more the dependency turns away.
    Throttle(Throttle, Arc<Throttle>, throttle::Frame, ThrottleConfig, "throttle"),
    /// Injects faults.
    Chaos(Chaos, Arc<Chaos>, chaos::Frame, ChaosConfig, "chaos"),
}
