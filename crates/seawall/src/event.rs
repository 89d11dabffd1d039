//! The only telemetry: metrics, logs, the dashboard, test assertions and reports all fold over
//! [`Event`]s. Where nobody listens, none is built.

use crate::{Instant, Name, Outcome, Rejection, time::Short};
use std::{fmt, sync::Arc, time::Duration};

/// Something that happened in one execution.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// When.
    pub at: Instant,
    /// In which operation.
    pub operation: &'a Name,
    /// In which execution: its seed, so equal seeds give equal logs.
    pub execution: u64,
    /// Said by a policy in [`Mode::Shadow`](crate::Mode): it would have done so, and did not.
    pub shadow: bool,
    /// What.
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// An execution began.
    Started,
    /// The operation was called.
    CallStarted {
        /// Retry's count, from 1.
        attempt: u32,
    },
    /// A call ended by itself.
    CallFinished {
        /// How.
        outcome: Outcome,
        /// Retry's count, from 1; 0 for an alternative.
        attempt: u32,
        /// How long it ran.
        took: Duration,
    },
    /// A call was stopped, since its result was no longer needed.
    CallCancelled {
        /// Retry's count, from 1; 0 for an alternative.
        attempt: u32,
        /// By a timeout, or by a panic: it failed. Otherwise somebody was faster, or the caller went away.
        cut_off: bool,
        /// How long it ran.
        took: Duration,
    },
    /// The answer of a call that had succeeded broke off while it was on its way.
    AnswerFailed {
        /// How.
        outcome: Outcome,
    },
    /// A policy refused.
    Rejected(Rejection),
    /// The execution waits for a place, or for its turn.
    Queued {
        /// `bulkhead` or `rate_limiter`.
        policy: &'static str,
    },
    /// A retry will follow.
    RetryScheduled {
        /// The attempt that will run, from 2.
        attempt: u32,
        /// The pause before it.
        delay: Duration,
    },
    /// A retry or a hedge would have followed, and did not.
    Withheld {
        /// `retry` or `hedge`.
        policy: &'static str,
        /// Why.
        why: Withheld,
    },
    /// A further call was made beside one that takes long.
    Hedged {
        /// Which one, from 1.
        nth: u32,
        /// How long the first call has run.
        after: Duration,
    },
    /// A fault was injected.
    FaultInjected(Fault),
    /// A timeout cut its inner calls off.
    TimedOut {
        /// The time they were allowed.
        limit: Duration,
    },
    /// The caller's own deadline passed; what still ran was cut off.
    DeadlinePassed {
        /// The time that it left when the execution began.
        limit: Duration,
    },
    /// A fallback was called.
    FellBack {
        /// Which one, from 1.
        nth: u32,
    },
    /// A circuit changed its state.
    CircuitChanged(Transition),
    /// The execution ended with this outcome.
    Finished {
        /// How.
        outcome: Outcome,
        /// From start to end, pauses and queueing included.
        took: Duration,
        /// Calls of the operation; 0 when it was refused.
        calls: u32,
    },
    /// The execution was dropped before its end, because the caller went away.
    Abandoned {
        /// From start to drop.
        took: Duration,
    },
}

impl Kind {
    /// The name in logs and on the wire: `circuit_changed`, `retry_scheduled` …
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::CallStarted { .. } => "call_started",
            Self::CallFinished { .. } => "call_finished",
            Self::CallCancelled { .. } => "call_cancelled",
            Self::AnswerFailed { .. } => "answer_failed",
            Self::Rejected(_) => "rejected",
            Self::Queued { .. } => "queued",
            Self::RetryScheduled { .. } => "retry_scheduled",
            Self::Withheld { .. } => "withheld",
            Self::Hedged { .. } => "hedged",
            Self::FaultInjected(_) => "fault_injected",
            Self::TimedOut { .. } => "timed_out",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::FellBack { .. } => "fell_back",
            Self::CircuitChanged(_) => "circuit_changed",
            Self::Finished { .. } => "finished",
            Self::Abandoned { .. } => "abandoned",
        }
    }

    /// The policy that it is about, where it is about one.
    pub const fn policy(&self) -> Option<&'static str> {
        match self {
            Self::Rejected(rejection) => Some(rejection.reason.policy()),
            Self::RetryScheduled { .. } => Some("retry"),
            Self::Queued { policy } | Self::Withheld { policy, .. } => Some(policy),
            Self::Hedged { .. } => Some("hedge"),
            Self::FaultInjected(_) => Some("chaos"),
            Self::TimedOut { .. } => Some("timeout"),
            Self::FellBack { .. } => Some("fallback"),
            Self::CircuitChanged(_) => Some("circuit_breaker"),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::CallStarted { attempt } => write!(f, "attempt {attempt} called"),
            Self::CallFinished { outcome, attempt: 0, took } => {
                write!(f, "the alternative ended in {} after {}", outcome.label(), Short(*took))
            }
            Self::CallFinished { outcome, attempt, took } => {
                write!(f, "attempt {attempt} ended in {} after {}", outcome.label(), Short(*took))
            }
            Self::AnswerFailed { outcome } => {
                write!(f, "the answer ended in {}", outcome.label())
            }
            Self::CallCancelled { took, .. } => write!(f, "call cancelled after {}", Short(*took)),
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Queued { policy } => write!(f, "waiting at the {policy}"),
            Self::RetryScheduled { attempt, delay } => {
                write!(f, "attempt {attempt} follows in {}", Short(*delay))
            }
            Self::Withheld { policy, why } => write!(f, "no {policy}: {}", why.label()),
            Self::Hedged { nth, after } => write!(f, "hedge {nth} called after {}", Short(*after)),
            Self::FaultInjected(fault) => write!(f, "fault injected: {}", fault.label()),
            Self::TimedOut { limit } => write!(f, "timed out after {}", Short(*limit)),
            Self::DeadlinePassed { limit } => {
                write!(f, "the caller's deadline passed after {}", Short(*limit))
            }
            Self::FellBack { nth } => write!(f, "fell back to alternative {nth}"),
            Self::CircuitChanged(transition) => transition.fmt(f),
            Self::Finished { outcome, took, calls } => {
                write!(f, "{} after {} and {calls} calls", outcome.label(), Short(*took))
            }
            Self::Abandoned { took } => write!(f, "abandoned by the caller after {}", Short(*took)),
        }
    }
}

/// Why a repeated call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The budget for repeated calls is spent.
    Budget,
    /// An operator paused them.
    Paused,
}

impl Withheld {
    /// `budget` or `paused`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Paused => "paused",
        }
    }
}

/// A fault that a chaos policy injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call begins later.
    Latency,
    /// The call fails without being made.
    Error,
    /// The call is as if it never ended.
    Hang,
}

impl Fault {
    /// `latency`, `error` or `hang`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Error => "error",
            Self::Hang => "hang",
        }
    }
}

/// The states of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// Takes note of events, on the thread that runs the execution: be quick, and never block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, event: &Event<'_>);
}

/// Everyone in the list is told, in its order.
impl Observer for Vec<Arc<dyn Observer>> {
    fn observe(&self, event: &Event<'_>) {
        for observer in self {
            observer.observe(event);
        }
    }
}
