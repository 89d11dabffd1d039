//! Why a policy did not let a call through.

use crate::time::Short;
use std::{fmt, time::Duration};

/// A refusal, by whom and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What refused.
    pub reason: Reason,
    /// How long until another try could succeed, when the policy knows.
    pub retry_after: Option<Duration>,
}

/// What refused to run an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The circuit is open.
    CircuitOpen,
    /// The circuit is half-open and all its probes are out.
    ProbesTaken,
    /// The circuit has just closed, and lets only a part of the calls through.
    RampingUp,
    /// More calls than the rate limiter allows.
    RateLimited,
    /// As many calls in progress, and waiting, as the bulkhead allows.
    BulkheadFull,
    /// A place in the bulkhead did not come free within `max_wait`.
    QueueTimeout,
    /// The call's priority is too low for the places that are left.
    Shed,
    /// The dependency refuses or fails so many calls that this one is not even sent.
    Throttled,
    /// A fault was injected in place of the call.
    FaultInjected,
    /// A policy written by the user refused.
    Custom(&'static str),
}

impl Reason {
    /// Every built-in reason, in the order of [`Reason::index`].
    pub(crate) const BUILT_IN: [Self; 9] = [
        Self::CircuitOpen,
        Self::ProbesTaken,
        Self::RampingUp,
        Self::RateLimited,
        Self::BulkheadFull,
        Self::QueueTimeout,
        Self::Shed,
        Self::Throttled,
        Self::FaultInjected,
    ];

    /// The name of the policy that refuses for this reason.
    pub const fn policy(self) -> &'static str {
        match self {
            Self::CircuitOpen | Self::ProbesTaken | Self::RampingUp => "circuit_breaker",
            Self::RateLimited => "rate_limiter",
            Self::BulkheadFull | Self::QueueTimeout | Self::Shed => "bulkhead",
            Self::Throttled => "throttle",
            Self::FaultInjected => "chaos",
            Self::Custom(name) => name,
        }
    }

    /// The label in metrics, logs and problem documents.
    pub const fn label(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::ProbesTaken => "probes_taken",
            Self::RampingUp => "ramping_up",
            Self::RateLimited => "rate_limited",
            Self::BulkheadFull => "bulkhead_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Shed => "shed",
            Self::Throttled => "throttled",
            Self::FaultInjected => "fault_injected",
            Self::Custom(_) => "custom",
        }
    }

    /// The place in a table with one row a reason; the last row is for user-written policies.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::CircuitOpen => 0,
            Self::ProbesTaken => 1,
            Self::RampingUp => 2,
            Self::RateLimited => 3,
            Self::BulkheadFull => 4,
            Self::QueueTimeout => 5,
            Self::Shed => 6,
            Self::Throttled => 7,
            Self::FaultInjected => 8,
            Self::Custom(_) => 9,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CircuitOpen => "the circuit is open",
            Self::ProbesTaken => "the circuit is half-open and its probes are out",
            Self::RampingUp => "the circuit has just closed and lets a part of the calls through",
            Self::RateLimited => "the rate limit is reached",
            Self::BulkheadFull => "the bulkhead is full",
            Self::QueueTimeout => "no place came free in the bulkhead",
            Self::Shed => "no place is left for calls of this priority",
            Self::Throttled => "the dependency turns too many calls away",
            Self::FaultInjected => "a fault was injected",
            Self::Custom(name) => return write!(f, "{name} refused"),
        })
    }
}

impl Rejection {
    /// A refusal for this reason.
    pub const fn new(reason: Reason, retry_after: Option<Duration>) -> Self {
        Self { reason, retry_after }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rejected: {}", self.reason)?;
        match self.retry_after {
            Some(wait) => write!(f, "; try again in {}", Short(wait)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}
