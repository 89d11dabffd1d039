//! One error, generic over the caller's own. "Did it run?" is in the type.

use crate::{
    name::Name,
    outcome::{CallerFault, Outcome},
    rejection::{Reason, Rejection},
};
use std::{fmt, time::Duration};

/// The reason why an execution gave no value.
///
/// It prints what happened; for the operation's own error, that error itself. [`source`](std::error::Error::source) is
/// the source of the operation's own error, so that a report of the whole chain names each cause once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The operation ran and failed; this is its own, last error.
    Inner(E),
    /// The operation ran and was cut off.
    TimedOut(Elapsed),
    /// A policy refused to run the operation.
    Rejected(Rejected),
}

/// A timed-out execution: which operation was cut off, and after how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// The name of the operation.
    pub operation: Name,
    /// The time that the operation was allowed.
    pub limit: Duration,
    /// Whether the caller's own deadline passed, rather than a limit of a policy.
    pub by_caller: bool,
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, limit, by_caller } = self;
        if *by_caller {
            write!(f, "{operation}: the caller's deadline passed after {limit:?}")
        } else {
            write!(f, "{operation} timed out after {limit:?}")
        }
    }
}

/// A refused execution: which operation did not run, which of its policies refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The name of the operation whose policy refused; of nested operations, the one that did.
    pub operation: Name,
    /// The reason of the policy for refusing.
    pub reason: Reason,
    /// How long to wait until another try could succeed, if the policy knows.
    pub retry_after: Option<Duration>,
}

impl Rejected {
    /// The refusal of a policy of this operation.
    pub const fn new(operation: Name, rejection: Rejection) -> Self {
        let Rejection { reason, retry_after } = rejection;
        Self { operation, reason, retry_after }
    }

    /// The policy that refused: `rate_limiter`, `bulkhead` …; the name that a policy written by the user gave itself.
    pub const fn policy(&self) -> &'static str {
        self.reason.policy()
    }

    /// This refusal without the name of the operation, as outcomes and events carry it.
    pub const fn rejection(&self) -> Rejection {
        Rejection::new(self.reason, self.retry_after)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.rejection())
    }
}

impl<E> Error<E> {
    /// Whether the operation was refused, and so did not run.
    pub const fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// Whether the operation was cut off.
    pub const fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// How long to wait until another try could succeed, if a policy knows.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(rejection) => rejection.retry_after,
            Self::Inner(_) | Self::TimedOut(_) => None,
        }
    }

    /// The operation's own error, if it is one.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::TimedOut(_) | Self::Rejected(_) => None,
        }
    }

    /// Converts the operation's own error with `change`, and leaves every other error as it is.
    pub fn map_inner<F>(self, change: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Self::Inner(error) => Error::Inner(change(error)),
            Self::TimedOut(elapsed) => Error::TimedOut(elapsed),
            Self::Rejected(rejection) => Error::Rejected(rejection),
        }
    }

    /// The outcome an enclosing pipeline sees, when `inner` classifies the operation's own error.
    pub fn outcome(&self, inner: impl FnOnce(&E) -> Outcome) -> Outcome {
        match self {
            Self::Inner(error) => inner(error),
            Self::TimedOut(Elapsed { limit, by_caller: true, .. }) => {
                Outcome::CallerFault(CallerFault::Deadline { limit: *limit })
            }
            Self::TimedOut(elapsed) => Outcome::TimedOut { limit: elapsed.limit },
            Self::Rejected(rejection) => Outcome::Rejected(rejection.rejection()),
        }
    }
}

impl<E> Error<Error<E>> {
    /// One error for two nested operations: the inner one's, where it has one. So a refusal or a timeout names the
    /// operation that it comes from.
    pub fn flatten(self) -> Error<E> {
        match self {
            Self::Inner(error) => error,
            Self::TimedOut(elapsed) => Error::TimedOut(elapsed),
            Self::Rejected(rejection) => Error::Rejected(rejection),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::TimedOut(elapsed) => elapsed.fmt(f),
            Self::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

/// An operation's own error, so that `?` works on it where the answer of an operation is read:
///
/// ```
/// async fn price(stock: &seawall::Operation) -> Result<f64, seawall::Error<std::num::ParseFloatError>> {
///     let words = stock.call(async || Ok("6.00 EUR")).await?;
///     Ok(words.trim_end_matches(" EUR").parse()?)
/// }
/// ```
impl<E> From<E> for Error<E> {
    fn from(error: E) -> Self {
        Self::Inner(error)
    }
}

impl<E: std::error::Error> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Inner(error) => error.source(),
            Self::TimedOut(_) | Self::Rejected(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
