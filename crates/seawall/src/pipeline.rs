//! An ordered list of policies, outermost first, and the configuration it is built from.

use crate::{
    Bulkhead, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig, Fallback, FallbackConfig,
    Policy, RateLimiter, RateLimiterConfig, Retry, RetryConfig, Timeout, TimeoutConfig,
    config::{ConfigError, Problems},
    event::Observer,
};
use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// The name of an operation: cheap to clone, and the same in metrics, events and the API.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One policy, as written in a file.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "type", rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PolicyConfig {
    /// Ends a call that takes too long.
    Timeout(TimeoutConfig),
    /// Runs a failed call again.
    Retry(RetryConfig),
    /// Stops calling a dependency that keeps failing.
    CircuitBreaker(CircuitBreakerConfig),
    /// Limits calls over time.
    RateLimiter(RateLimiterConfig),
    /// Limits calls in progress.
    Bulkhead(BulkheadConfig),
    /// Answers by other means.
    Fallback(FallbackConfig),
}

impl PolicyConfig {
    /// Notes every field out of its bounds.
    pub fn check(&self, problems: &mut Problems) {
        match self {
            Self::Timeout(config) => config.check(problems),
            Self::Retry(config) => config.check(problems),
            Self::CircuitBreaker(config) => config.check(problems),
            Self::RateLimiter(config) => config.check(problems),
            Self::Bulkhead(config) => config.check(problems),
            Self::Fallback(config) => config.check(problems),
        }
    }

    /// A policy with fresh state.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn build(&self) -> Result<Policy, ConfigError> {
        Ok(match self.clone() {
            Self::Timeout(config) => Policy::Timeout(Timeout::new(config)?),
            Self::Retry(config) => Policy::Retry(Arc::new(Retry::new(config)?)),
            Self::CircuitBreaker(config) => {
                Policy::CircuitBreaker(Arc::new(CircuitBreaker::new(config)?))
            }
            Self::RateLimiter(config) => Policy::RateLimiter(Arc::new(RateLimiter::new(config)?)),
            Self::Bulkhead(config) => Policy::Bulkhead(Arc::new(Bulkhead::new(config)?)),
            Self::Fallback(config) => Policy::Fallback(Fallback::new(config)?),
        })
    }
}

/// A named, ordered list of policies, outermost first. Clones share the policies' state.
#[derive(Clone)]
pub struct Pipeline {
    name: Name,
    policies: Arc<[Policy]>,
    observer: Option<Arc<dyn Observer>>,
    /// Nothing but built-in policies: at most one call is in progress at a time.
    is_plain: bool,
    times_success: bool,
}

impl Pipeline {
    /// A pipeline of these policies, outermost first, observed by nobody.
    pub fn new(name: &str, policies: impl IntoIterator<Item = Policy>) -> Self {
        let policies: Arc<[Policy]> = policies.into_iter().collect();
        let is_plain = !policies.iter().any(|policy| matches!(policy, Policy::Custom(_)));
        let timed = |policy: &Policy| match policy {
            Policy::CircuitBreaker(breaker) => breaker.times_success(),
            Policy::Custom(_) => true,
            _ => false,
        };
        let times_success = policies.iter().any(timed);
        Self { name: name.into(), policies, observer: None, is_plain, times_success }
    }

    /// A pipeline with fresh state.
    ///
    /// # Errors
    /// Every field out of its bounds, with paths such as `policies[2].failure_ratio`.
    pub fn build(name: &str, policies: &[PolicyConfig]) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        check_policies(policies, &mut problems);
        problems.into_result()?;
        let built: Result<Vec<Policy>, _> = policies.iter().map(PolicyConfig::build).collect();
        Ok(Self::new(name, built?))
    }

    /// The same pipeline, telling `observer` everything.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its policies, outermost first.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Its first circuit breaker, if it has one.
    pub fn circuit_breaker(&self) -> Option<&Arc<CircuitBreaker>> {
        self.policies.iter().find_map(|policy| match policy {
            Policy::CircuitBreaker(breaker) => Some(breaker),
            _ => None,
        })
    }

    /// Its first bulkhead, if it has one.
    pub fn bulkhead(&self) -> Option<&Arc<Bulkhead>> {
        self.policies.iter().find_map(|policy| match policy {
            Policy::Bulkhead(bulkhead) => Some(bulkhead),
            _ => None,
        })
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether anybody wants to know when a success came. If not, the clock need not be read for it.
    pub(crate) fn times_success(&self) -> bool {
        self.times_success || self.observer.is_some()
    }

    pub(crate) fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}

/// Notes every field out of its bounds, under `policies[i]`.
pub fn check_policies(policies: &[PolicyConfig], problems: &mut Problems) {
    problems.within("policies", |problems| {
        for (i, policy) in policies.iter().enumerate() {
            problems.within(&format!("[{i}]"), |problems| policy.check(problems));
        }
    });
}
