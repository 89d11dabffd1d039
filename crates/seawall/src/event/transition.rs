//! The states of a circuit, its changes of state, and why they happen.

use crate::time::Instant;
use std::fmt;

/// The states of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum State {
    /// Calls pass, and their results are counted.
    Closed,
    /// Calls are refused until `recovery_timeout` is over.
    Open,
    /// A few calls pass as probes; the others are refused.
    HalfOpen,
    /// Calls are refused, because an operator forced it.
    ForcedOpen,
    /// Calls pass, because an operator forced it; failures are noted.
    ForcedClosed,
    /// Calls pass, because an operator forced it; nothing is counted.
    Disabled,
}

impl State {
    /// All states, in the order of their numbers in `circuit_breaker_state`.
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Disabled,
    ];

    /// Whether calls are refused in this state.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::ForcedOpen)
    }

    /// Whether an operator forced this state.
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

    /// The label in the API, metrics and logs: `closed`, `open`, `half_open`, `forced_open`, `forced_closed` or
    /// `disabled`.
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
    /// The instant at which the state changed.
    pub at: Instant,
    /// The state that the circuit left.
    pub from: State,
    /// The state that the circuit entered.
    pub to: State,
    /// The reason of the change, with the number that crossed its bound.
    pub why: Why,
}

/// The reason why a circuit changed its state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// The number of consecutive failures reached `failure_threshold`.
    ConsecutiveFailures {
        /// The `failure_threshold` that was reached.
        threshold: u32,
    },
    /// The share of failures in the window reached `failure_ratio`.
    FailureRatio {
        /// The number of failures in the window.
        failures: u32,
        /// The number of calls in the window.
        calls: u32,
        /// The `failure_ratio` that was reached.
        bound: f64,
    },
    /// The share of slow calls in the window reached `slow_call_ratio`.
    SlowCallRatio {
        /// The number of slow calls in the window.
        slow: u32,
        /// The number of calls in the window.
        calls: u32,
        /// The `slow_call_ratio` that was reached.
        bound: f64,
    },
    /// The circuit was open for `recovery_timeout`; probing begins.
    RecoveryElapsed,
    /// As many probes succeeded as `success_threshold` asks for.
    ProbesSucceeded {
        /// The `success_threshold` that was reached.
        threshold: u32,
    },
    /// A probe failed, so the circuit opened again.
    ProbeFailed,
    /// A probe succeeded, and took `slow_call_duration` or longer.
    ProbeSlow,
    /// All probes outlived `probe_lease`; their places went to new ones.
    ProbesExpired,
    /// An operator reset the circuit.
    Reset,
    /// An operator forced the state.
    Forced,
    /// The time was over for which an operator had forced it.
    ForceExpired,
    /// The mode of the breaker became `off`, or stopped being `off`: the circuit forgets what it knew and begins
    /// closed.
    SwitchedOff,
    /// The circuit took up a state that was saved, by an earlier run of the process or by another one.
    Restored,
    /// The circuit is shared with other instances, and took up the state that it has there.
    Shared,
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
            Self::Restored => f.write_str("restored from a saved state"),
            Self::Shared => f.write_str("another instance shared it"),
        }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}: {}", self.from.label(), self.to.label(), self.why)
    }
}
