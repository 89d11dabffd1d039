//! The outcome of a finished call, as policies see it. The value itself stays with the driver.

use crate::rejection::Rejection;
use std::time::Duration;

/// The outcome of one call, or of a whole execution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The call ran and succeeded.
    Success,
    /// The call ran and failed.
    Failure(Failure),
    /// The call ran and was cut off: the dependency's fault, as far as anyone can tell.
    TimedOut {
        /// The time that the call was allowed.
        limit: Duration,
    },
    /// The call did not run. This says nothing about the dependency, so no breaker counts it.
    Rejected(Rejection),
    /// The caller spoiled it. This says nothing about the dependency either: no breaker counts it, no retry
    /// repeats it, no fallback stands in for it.
    CallerFault(CallerFault),
}

/// The ways in which a caller spoils its own call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerFault {
    /// The caller's request cannot be sent, is sent too slowly, or breaks off before its end.
    Request,
    /// Its own deadline ([`Attributes::deadline`](crate::Attributes)) passed before an answer came.
    Deadline {
        /// The time that the deadline left when the execution began.
        limit: Duration,
    },
}

impl Outcome {
    /// A failure of this class, with nothing more known.
    pub const fn failure(class: Class) -> Self {
        Self::Failure(Failure::new(class))
    }

    /// Whether this is [`Outcome::Success`].
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }

    /// What it says about the dependency. This is the one rule of who is at fault: breakers, throttles, budgets, counters,
    /// alerts and error shares all follow it.
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Success => Verdict::Success,
            Self::TimedOut { .. } => Verdict::Failure,
            Self::Rejected(_) | Self::CallerFault(_) => Verdict::None,
            Self::Failure(failure) => match failure.class {
                // The dependency answered that the request is wrong: it works.
                Class::Permanent => Verdict::Success,
                Class::RateLimited => Verdict::RateLimited,
                Class::Transient | Class::Unknown => Verdict::Failure,
            },
        }
    }

    /// Whether the dependency is to blame, by its [`verdict`](Self::verdict).
    pub const fn blames_dependency(&self) -> bool {
        self.verdict().is_failure()
    }

    /// Whether the caller is to blame: a [`Class::Permanent`] failure or a [`CallerFault`].
    pub const fn blames_caller(&self) -> bool {
        match self {
            Self::Failure(failure) => matches!(failure.class, Class::Permanent),
            Self::CallerFault(_) => true,
            Self::Success | Self::TimedOut { .. } | Self::Rejected(_) => false,
        }
    }

    /// `success`, `failure`, `timed_out`, `rejected` or `caller_fault`: the label in metrics and logs.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(Failure { class: Class::Permanent, .. }) | Self::CallerFault(_) => {
                "caller_fault"
            }
            Self::Failure(_) => "failure",
            Self::TimedOut { .. } => "timed_out",
            Self::Rejected(_) => "rejected",
        }
    }
}

/// What a finished call says about the health of the dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The dependency works.
    Success,
    /// The dependency failed.
    Failure,
    /// The dependency works, and wants fewer calls: this counts as a failure in ratios and of a probe, never in a row
    /// of consecutive failures.
    RateLimited,
    /// The call says nothing about the dependency.
    None,
}

impl Verdict {
    /// Whether the dependency failed, or asked for fewer calls.
    pub(crate) const fn is_failure(self) -> bool {
        matches!(self, Self::Failure | Self::RateLimited)
    }
}

/// The details of a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failure {
    /// The class of the failure, which decides whether a retry may help.
    pub class: Class,
    /// How long the dependency asked to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// What the dependency says about retrying (`x-should-retry`); it wins over the class.
    pub should_retry: Option<bool>,
    /// Whether the request never reached the dependency (connection refused, name not found): running it again is safe
    /// even if it is not repeatable.
    pub unsent: bool,
}

impl Failure {
    /// A failure of this class, with nothing more known.
    pub const fn new(class: Class) -> Self {
        Self { class, retry_after: None, should_retry: None, unsent: false }
    }
}

/// Kinds of failure, as far as policies treat them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Likely to pass: network errors, HTTP 408, 425, 500, 502, 503, 504, 529.
    Transient,
    /// The dependency limits our rate (HTTP 429): retried after a longer wait; counts in ratios, never
    /// as a consecutive failure.
    RateLimited,
    /// The request is at fault (most HTTP 4xx, exhausted budgets): never retried, and no sign of a sick
    /// dependency.
    Permanent,
    /// A failure that was not classified: treated as transient, unless a retry says otherwise.
    Unknown,
}

impl Class {
    /// The label in metrics and logs: `transient`, `rate_limited`, `permanent` or `unknown`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
        }
    }
}

/// Turns a result into an [`Outcome`]. The default, [`AnyError`], takes every `Err` for a failure of
/// unknown class.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not classify `Result<{T}, {E}>`",
    label = "not a classification of this result",
    note = "a classification is `AnyError`, or a closure `|result: &Result<_, _>| …` that answers an `Outcome`"
)]
pub trait Classify<T, E> {
    /// The outcome that the policies see for `result`.
    fn classify(&self, result: &Result<T, E>) -> Outcome;

    /// How many tokens the call has used, as far as `result` says; see [`Run::settle`](crate::Run::settle).
    #[inline(always)]
    fn used_tokens(&self, _result: &Result<T, E>) -> Option<u32> {
        None
    }
}

/// A classification that also says how many tokens a call has used: what [`Run::settle`](crate::Run::settle) makes.
#[derive(Clone, Copy, Debug)]
pub struct Settled<C, F> {
    pub(crate) classify: C,
    pub(crate) used_tokens: F,
}

impl<T, E, C, F> Classify<T, E> for Settled<C, F>
where
    C: Classify<T, E>,
    F: Fn(&Result<T, E>) -> Option<u32>,
{
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self.classify.classify(result)
    }

    fn used_tokens(&self, result: &Result<T, E>) -> Option<u32> {
        (self.used_tokens)(result)
    }
}

/// `Ok` is a success, `Err` a failure of [`Class::Unknown`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyError;

impl<T, E> Classify<T, E> for AnyError {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::failure(Class::Unknown),
        }
    }
}

impl<T, E, F: Fn(&Result<T, E>) -> Outcome> Classify<T, E> for F {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}
