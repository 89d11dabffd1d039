//! One error, generic over the caller's own. "Did it run?" is in the type.

use crate::{
    name::Name,
    outcome::{CallerFault, Outcome},
    rejection::Rejection,
};
use std::{fmt, time::Duration};

/// Why an execution gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The operation ran and failed; this is its own, last error.
    Inner(E),
    /// The operation ran and was cut off.
    TimedOut(Elapsed),
    /// A policy refused to run the operation.
    Rejected(Rejection),
}

/// Which operation was cut off, and after how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// The operation's name.
    pub operation: Name,
    /// The time it was allowed.
    pub limit: Duration,
    /// It was the caller's own deadline that passed, not a limit of a policy.
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

impl<E> Error<E> {
    /// True when the operation did not run.
    pub const fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// True when the operation was cut off.
    pub const fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// How long until another try could succeed, when a policy knows.
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

    /// The same error with the operation's own one changed.
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
            Self::Rejected(rejection) => Outcome::Rejected(*rejection),
        }
    }
}

impl<E> Error<Error<E>> {
    /// One error for two nested pipelines.
    pub fn flatten(self) -> Error<E> {
        match self {
            Self::Inner(error) => error,
            Self::TimedOut(elapsed) => Error::TimedOut(elapsed),
            Self::Rejected(rejection) => Error::Rejected(rejection),
        }
    }
}

impl<E> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(_) => f.write_str("operation failed"),
            Self::TimedOut(elapsed) => elapsed.fmt(f),
            Self::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Inner(error) => Some(error),
            Self::TimedOut(_) | Self::Rejected(_) => None,
        }
    }
}
