//! The reasons why a policy refuses a call.

use crate::time::Short;
use std::{fmt, time::Duration};

/// A refusal: which policy refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason, which names the policy that refused.
    pub reason: Reason,
    /// How long to wait until another try could succeed, if the policy knows.
    pub retry_after: Option<Duration>,
}

/// Declares the reasons; for each of them the policy that refuses, the label, and the words for people.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $policy:literal, $label:literal, $words:literal;)*) => {
        /// The reason why an operation was not run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A policy written by the user refused; it says its name.
            Custom(&'static str),
        }

        impl Reason {
            /// Every built-in reason, in the order of [`Reason::index`].
            pub(crate) const BUILT_IN: &[Self] = &[$(Self::$name),*];

            /// The name of the policy that refuses for this reason.
            pub const fn policy(self) -> &'static str {
                match self {
                    $(Self::$name => $policy,)*
                    Self::Custom(name) => name,
                }
            }

            /// The label in metrics, logs and problem documents.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                    Self::Custom(_) => "custom",
                }
            }

            /// The place in a table with one row a reason; the last row is for user-written policies.
            pub(crate) const fn index(self) -> usize {
                enum Index { $($name,)* Custom }
                match self {
                    $(Self::$name => Index::$name as usize,)*
                    Self::Custom(_) => Index::Custom as usize,
                }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($words),)*
                    Self::Custom(name) => write!(f, "{name} refused"),
                }
            }
        }
    };
}

reasons! {
    /// The circuit is open.
    CircuitOpen: "circuit_breaker", "circuit_open", "the circuit is open";
    /// The circuit is half-open and all its probes are out.
    ProbesTaken: "circuit_breaker", "probes_taken", "the circuit is half-open and its probes are out";
    /// The circuit has just closed, and lets only a part of the calls through.
    RampingUp: "circuit_breaker", "ramping_up",
        "the circuit has just closed and lets a part of the calls through";
    /// The call exceeds what the rate limiter allows.
    RateLimited: "rate_limiter", "rate_limited", "the rate limit is reached";
    /// The store that counts a shared limit does not answer, and without it no call passes.
    LimitUnknown: "rate_limiter", "limit_unknown", "the store of the shared rate limit does not answer";
    /// As many calls are in progress, and waiting, as the bulkhead allows.
    BulkheadFull: "bulkhead", "bulkhead_full", "the bulkhead is full";
    /// A place in the bulkhead did not come free within `max_wait`.
    QueueTimeout: "bulkhead", "queue_timeout", "no place came free in the bulkhead";
    /// The call's priority is too low for the places that are left.
    Shed: "bulkhead", "shed", "no place is left for calls of this priority";
    /// The dependency refuses or fails so many calls that this one is not even sent.
    Throttled: "throttle", "throttled", "the dependency turns too many calls away";
    /// A fault was injected in place of the call.
    FaultInjected: "chaos", "fault_injected", "a fault was injected";
    /// No policy refused, but the operation was not called: a policy written by the user answered in its place or went
    /// to an alternative at once, or it asked for a second call of what cannot be called twice.
    NotCalled: "custom", "not_called", "the operation was not called";
}

impl Rejection {
    /// A refusal for this reason; `retry_after` is how long to wait until another try could succeed, if known.
    pub const fn new(reason: Reason, retry_after: Option<Duration>) -> Self {
        Self { reason, retry_after }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Custom(_) | Reason::NotCalled => self.reason.fmt(f)?,
            reason => write!(f, "rejected by {}: {reason}", reason.policy())?,
        }
        match self.retry_after {
            Some(wait) => write!(f, "; try again in {}", Short(wait)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}
