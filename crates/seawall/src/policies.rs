//! The catalogue of built-in policies. A new one is a file of its own, and here a module and a row.

use crate::{
    command::CallId,
    config::{Check, ConfigError, Problems},
    outcome::Outcome,
    policy::{Cause, CustomPolicy, Cx, Mode, OnSuccess, Pattern, Step},
    time::Instant,
};
use std::{sync::Arc, time::Duration};

pub(crate) mod bulkhead;
pub(crate) mod chaos;
pub(crate) mod circuit_breaker;
pub(crate) mod dead_letter;
pub(crate) mod fallback;
pub(crate) mod hedge;
pub(crate) mod rate_limiter;
pub(crate) mod retry;
pub(crate) mod throttle;
pub(crate) mod timeout;

/// The content of a node in an execution's tree.
pub(crate) enum Slot {
    /// One passage through a policy.
    Frame(Frame),
    /// One call of the operation.
    Call { id: CallId, attempt: u32, started_at: Instant },
    /// Nothing any more: the node is removed once no node stands behind it.
    Released,
}

/// Declares the policies, their frames, their configurations, and the dispatch between them.
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident($own:ty, $policy:ty, $config:ty, $label:literal),)*) => {
        /// One policy of a pipeline: a handle on shared state. Clones share it.
        #[derive(Clone, Debug)]
        pub enum Policy {
            $($(#[$doc])* $name($policy),)*
            /// A policy written by the user.
            Custom(Arc<dyn CustomPolicy>),
        }

        /// One execution's passage through one policy.
        pub(crate) enum Frame {
            $($name(<$policy as Pattern>::Frame),)*
            Custom(<Arc<dyn CustomPolicy> as Pattern>::Frame),
        }

        /// One policy, as written in a file.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(tag = "type", rename_all = "snake_case"))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum PolicyConfig { $($(#[$doc])* $name($config),)* }

        $(
            impl From<$config> for PolicyConfig {
                fn from(config: $config) -> Self {
                    Self::$name(config)
                }
            }
        )*

        impl PolicyConfig {
            /// Notes every field out of its bounds.
            pub fn check(&self, problems: &mut Problems) {
                match self { $(Self::$name(config) => config.check(problems),)* }
            }

            /// A policy with new state.
            ///
            /// # Errors
            /// Every field out of its bounds.
            pub fn build(&self) -> Result<Policy, ConfigError> {
                Ok(match self { $(Self::$name(config) => Policy::$name(<$own>::new(config.clone())?.into()),)* })
            }

            /// A copy of this configuration with another mode.
            #[must_use]
            pub fn with_mode(mut self, mode: Mode) -> Self {
                match &mut self { $(Self::$name(config) => config.mode = mode,)* }
                self
            }

            /// The kind of the policy: its `type` in files, and its label in metrics and events.
            pub fn label(&self) -> &'static str {
                match self { $(Self::$name(_) => $label,)* }
            }

            /// The mode that the policy starts in.
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

            /// The `type` of the policy in files, metrics and views.
            pub fn label(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $label,)*
                    Self::Custom(_) => "custom",
                }
            }

            /// The configuration of the policy; none for a policy written by the user.
            pub fn config(&self) -> Option<PolicyConfig> {
                match self {
                    $(Self::$name(policy) => Some(PolicyConfig::$name(policy.config().clone())),)*
                    Self::Custom(_) => None,
                }
            }

            /// Says what to do about a success inside of it.
            #[inline]
            pub(crate) fn on_success(&self) -> OnSuccess {
                match self {
                    $(Self::$name(policy) => policy.on_success(),)*
                    Self::Custom(policy) => policy.on_success(),
                }
            }

            /// The fast path of admission, with the frame written where it stays; `false` where that is not open.
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

            /// Starts a passage, with the frame written where it stays.
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
                    (Self::Custom(policy), Frame::Custom(frame)) => policy.exclude(frame, length),
                    _ => {}
                }
            }
        }
    };
}

patterns! {
    /// Ends a call that takes too long.
    Timeout(timeout::Timeout, timeout::Timeout, timeout::TimeoutConfig, "timeout"),
    /// Runs a failed call again.
    Retry(retry::Retry, Arc<retry::Retry>, retry::RetryConfig, "retry"),
    /// Stops calling a dependency that keeps failing.
    CircuitBreaker(
        circuit_breaker::CircuitBreaker,
        Arc<circuit_breaker::CircuitBreaker>,
        circuit_breaker::CircuitBreakerConfig,
        "circuit_breaker"
    ),
    /// Limits the number of calls in a period.
    RateLimiter(
        rate_limiter::RateLimiter,
        Arc<rate_limiter::RateLimiter>,
        rate_limiter::RateLimiterConfig,
        "rate_limiter"
    ),
    /// Limits the number of calls in progress.
    Bulkhead(bulkhead::Bulkhead, Arc<bulkhead::Bulkhead>, bulkhead::BulkheadConfig, "bulkhead"),
    /// Answers with an alternative when a call fails or is refused. The alternatives are the caller's: a route's
    /// `fallback`, or a function in code. Without one, this policy does nothing.
    Fallback(fallback::Fallback, fallback::Fallback, fallback::FallbackConfig, "fallback"),
    /// Makes a further call beside one that takes long.
    Hedge(hedge::Hedge, Arc<hedge::Hedge>, hedge::HedgeConfig, "hedge"),
    /// Refuses a random share of the calls, the larger the more calls the dependency refuses.
    Throttle(throttle::Throttle, Arc<throttle::Throttle>, throttle::ThrottleConfig, "throttle"),
    /// Injects faults, to test how callers cope with them.
    Chaos(chaos::Chaos, Arc<chaos::Chaos>, chaos::ChaosConfig, "chaos"),
    /// Keeps the payload of a call that failed for good as a dead letter. For operations of the library: a route of the
    /// gateway has `dead_letter` in its place.
    DeadLetter(
        dead_letter::DeadLetter,
        dead_letter::DeadLetter,
        dead_letter::DeadLetterConfig,
        "dead_letter"
    ),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn every_policy_has_a_short_constructor_that_is_right() {
        let second = Duration::from_secs(1);
        let all = policies![
            timeout(second).mode(Mode::Shadow),
            retry(2),
            breaker().failure_threshold(None),
            rate_limit(10, second),
            bulkhead(5),
            fallback(),
            hedge(second),
            throttle(),
            chaos(),
            dead_letter(),
        ];
        let labels: Vec<&str> = all.iter().map(PolicyConfig::label).collect();
        assert_eq!(labels, Policy::LABELS);
        assert_eq!(all[0].mode(), Mode::Shadow);
        for config in all {
            assert_eq!(config.build().unwrap().config(), Some(config));
        }
    }
}
