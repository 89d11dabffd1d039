//! The states of a circuit, its changes of state, and why they happen.

use crate::time::Instant;
use std::fmt;

/// The states of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum State {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// A few probes pass.
    HalfOpen,
    /// Calls are refused, by an operator's word.
    ForcedOpen,
    /// Calls pass, by an operator's word; failures are noted.
    ForcedClosed,
    /// Calls pass, by an operator's word; nothing is counted.
    Disabled,
}

impl State {
    /// All of them, in the order of their numbers in `circuit_breaker_state`.
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Disabled,
    ];

    /// Calls are refused while it lasts.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::ForcedOpen)
    }

    /// An operator decided it.
    pub const fn is_forced(self) -> bool {
        matches!(self, Self::ForcedOpen | Self::ForcedClosed | Self::Disabled)
    }

    /// 0 for the state that refuses most.
    pub(crate) const fn refuses_less(self) -> u8 {
        match self {
            Self::ForcedOpen => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
            Self::Closed | Self::ForcedClosed | Self::Disabled => 3,
        }
    }

    /// `closed`, `open`, `half_open`, `forced_open`, `forced_closed` or `disabled`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
        }
    }
}

/// A circuit's change of state, with its cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// The state left.
    pub from: State,
    /// The state entered.
    pub to: State,
    /// The number that crossed its bound.
    pub why: Why,
}

/// Why a circuit changed its state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// That many failures in a row reached `failure_threshold`.
    ConsecutiveFailures {
        /// `failure_threshold`.
        threshold: u32,
    },
    /// The share of failures in the window reached `failure_ratio`.
    FailureRatio {
        /// Failures in the window.
        failures: u32,
        /// Calls in the window.
        calls: u32,
        /// `failure_ratio`.
        bound: f64,
    },
    /// The share of slow calls in the window reached `slow_call_ratio`.
    SlowCallRatio {
        /// Slow calls in the window.
        slow: u32,
        /// Calls in the window.
        calls: u32,
        /// `slow_call_ratio`.
        bound: f64,
    },
    /// The circuit was open for `recovery_timeout`; probing begins.
    RecoveryElapsed,
    /// That many probes succeeded.
    ProbesSucceeded {
        /// `success_threshold`.
        threshold: u32,
    },
    /// A probe failed.
    ProbeFailed,
    /// A probe succeeded, and took `slow_call_duration` or longer.
    ProbeSlow,
    /// All probes outlived `probe_lease`; their places went to new ones.
    ProbesExpired,
    /// An operator reset it.
    Reset,
    /// An operator forced it.
    Forced,
    /// The time was over for which an operator had forced it.
    ForceExpired,
    /// Its mode became `off`, or was: what it knew is forgotten, and it begins closed.
    SwitchedOff,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures { threshold } => {
                write!(f, "{threshold} consecutive failures reached failure_threshold {threshold}")
            }
            Self::FailureRatio { failures, calls, bound } => {
                write!(f, "{failures} of the last {calls} calls failed; failure_ratio is {bound}")
            }
            Self::SlowCallRatio { slow, calls, bound } => {
                write!(f, "{slow} of the last {calls} calls were slow; slow_call_ratio is {bound}")
            }
            Self::RecoveryElapsed => f.write_str("recovery_timeout has passed"),
            Self::ProbesSucceeded { threshold } => {
                write!(f, "{threshold} probes succeeded; success_threshold is {threshold}")
            }
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbeSlow => f.write_str("a probe was slow"),
            Self::ProbesExpired => f.write_str("the probes outlived probe_lease"),
            Self::Reset => f.write_str("reset by an operator"),
            Self::Forced => f.write_str("forced by an operator"),
            Self::ForceExpired => f.write_str("the time is over for which an operator forced it"),
            Self::SwitchedOff => f.write_str("its mode is off: what it knew is forgotten"),
        }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}: {}", self.from.label(), self.to.label(), self.why)
    }
}
