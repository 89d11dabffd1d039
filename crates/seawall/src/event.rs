//! The only telemetry: metrics, logs, the dashboard, test assertions and reports all fold over [`Event`]s. An event is
//! built only if there is an observer.

use crate::{
    name::Name,
    outcome::Outcome,
    rejection::Rejection,
    time::{Instant, Short},
};
use std::{fmt, sync::Arc, time::Duration};

mod transition;

pub use transition::{State, Transition, Why};

/// Something that happened in one execution.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The instant at which it happened.
    pub at: Instant,
    /// The name of the operation in which it happened.
    pub operation: &'a Name,
    /// The execution in which it happened, by its seed; so equal seeds give equal logs.
    pub execution: u64,
    /// Whether the policy is in [`Mode::Shadow`](crate::Mode): it would have done so, and did not.
    pub shadow: bool,
    /// The kind of event, with its details.
    pub kind: Kind,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// The execution began.
    Started,
    /// A call of the operation began.
    CallStarted {
        /// The number of the attempt, counted by the retry policy from 1.
        attempt: u32,
    },
    /// A call ended by itself.
    CallFinished {
        /// The outcome of this one call.
        outcome: Outcome,
        /// The number of the attempt, from 1; 0 for an alternative.
        attempt: u32,
        /// How long the call ran.
        took: Duration,
    },
    /// A call was stopped, since its result was no longer needed.
    CallCancelled {
        /// The number of the attempt, from 1; 0 for an alternative.
        attempt: u32,
        /// Whether a timeout or a panic ended the call, which then counts as failed. Otherwise another call was
        /// faster, or the caller went away.
        cut_off: bool,
        /// How long the call ran.
        took: Duration,
    },
    /// The answer of a call that had succeeded broke off while it was on its way.
    AnswerFailed {
        /// The outcome in place of the success that was reported before.
        outcome: Outcome,
    },
    /// A policy refused the call.
    Rejected(Rejection),
    /// The execution waits for a place, or for its turn.
    Queued {
        /// The policy that makes it wait: `bulkhead` or `rate_limiter`.
        policy: &'static str,
    },
    /// A shared rate limit was decided without the store that counts it, because that does not answer.
    LimitDegraded {
        /// How it is decided then: `local`, `open` or `closed`.
        how: &'static str,
    },
    /// The store of a shared rate limit answered.
    StoreAnswered {
        /// Questions, each about one key, that this round trip answered.
        asks: u32,
        /// How long the round trip took.
        took: Duration,
    },
    /// The store through which instances share something does not answer any more.
    StoreLost {
        /// The policy that shares something: `rate_limiter` or `circuit_breaker`.
        policy: &'static str,
    },
    /// The store through which instances share something answers again, or for the first time.
    StoreFound {
        /// The policy that shares something: `rate_limiter` or `circuit_breaker`.
        policy: &'static str,
    },
    /// A retry was scheduled.
    RetryScheduled {
        /// The attempt that will run, from 2.
        attempt: u32,
        /// The pause before that attempt.
        delay: Duration,
    },
    /// A retry or a hedge would have followed, and did not.
    Withheld {
        /// The policy that made no call: `retry` or `hedge`.
        policy: &'static str,
        /// The reason: a spent budget, or an operator's pause.
        why: Withheld,
    },
    /// A further call was made beside one that takes long.
    Hedged {
        /// The number of the hedge, from 1.
        nth: u32,
        /// How long the first call had run by then.
        after: Duration,
    },
    /// The chaos policy injected a fault.
    FaultInjected(Fault),
    /// A timeout cut its inner calls off.
    TimedOut {
        /// The time that the calls were allowed.
        limit: Duration,
    },
    /// The caller's own deadline passed; what still ran was cut off.
    DeadlinePassed {
        /// The time that it left when the execution began.
        limit: Duration,
    },
    /// An alternative was called in place of the operation.
    FellBack {
        /// The number of the alternative, from 1.
        nth: u32,
    },
    /// The payload of a call that failed for good is kept as a dead letter.
    LetterKept,
    /// A call failed for good, a policy asked for a dead letter, and none is known to be kept.
    LetterLost {
        /// The reason.
        why: LetterLoss,
    },
    /// A circuit changed its state.
    CircuitChanged(Transition),
    /// The execution ended with this outcome.
    Finished {
        /// The outcome of the whole execution.
        outcome: Outcome,
        /// The time from start to end, pauses and queueing included.
        took: Duration,
        /// The number of calls of the operation; 0 if it was refused.
        calls: u32,
    },
    /// The execution was dropped before its end, because the caller went away.
    Abandoned {
        /// The time from the start of the execution until it was dropped.
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
            Self::LimitDegraded { .. } => "limit_degraded",
            Self::StoreAnswered { .. } => "store_answered",
            Self::StoreLost { .. } => "store_lost",
            Self::StoreFound { .. } => "store_found",
            Self::RetryScheduled { .. } => "retry_scheduled",
            Self::Withheld { .. } => "withheld",
            Self::Hedged { .. } => "hedged",
            Self::FaultInjected(_) => "fault_injected",
            Self::TimedOut { .. } => "timed_out",
            Self::DeadlinePassed { .. } => "deadline_passed",
            Self::FellBack { .. } => "fell_back",
            Self::LetterKept => "letter_kept",
            Self::LetterLost { .. } => "letter_lost",
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
            Self::LimitDegraded { .. } | Self::StoreAnswered { .. } => Some("rate_limiter"),
            Self::Queued { policy }
            | Self::Withheld { policy, .. }
            | Self::StoreLost { policy }
            | Self::StoreFound { policy } => Some(policy),
            Self::Hedged { .. } => Some("hedge"),
            Self::FaultInjected(_) => Some("chaos"),
            Self::TimedOut { .. } => Some("timeout"),
            Self::FellBack { .. } => Some("fallback"),
            Self::LetterKept | Self::LetterLost { .. } => Some("dead_letter"),
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
            Self::LimitDegraded { how } => {
                write!(f, "rate limit decided without its store: {how}")
            }
            Self::StoreAnswered { asks, took } => {
                write!(f, "{asks} questions answered by the store in {}", Short(*took))
            }
            Self::StoreLost { policy } => write!(f, "the store of the {policy} does not answer"),
            Self::StoreFound { policy } => write!(f, "the store of the {policy} answers"),
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
            Self::LetterKept => f.write_str("kept as a dead letter"),
            Self::LetterLost { why } => write!(f, "not kept as a dead letter: {}", why.label()),
            Self::CircuitChanged(transition) => transition.fmt(f),
            Self::Finished { outcome, took, calls } => {
                write!(f, "{} after {} and {calls} calls", outcome.label(), Short(*took))
            }
            Self::Abandoned { took } => write!(f, "abandoned by the caller after {}", Short(*took)),
        }
    }
}

/// The reason why a repeated call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The budget for repeated calls is spent.
    Budget,
    /// An operator paused retries and hedges.
    Paused,
}

impl Withheld {
    /// The label in logs and on the wire: `budget` or `paused`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Paused => "paused",
        }
    }
}

/// The reason why work that failed for good is not known to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterLoss {
    /// The caller gave no payload.
    NoPayload,
    /// There is no place for dead letters.
    NoPlace,
    /// The place did not take the letter.
    NotStored,
    /// It was not stored within the time that the policy gives. It may be yet.
    TooSlow,
    /// The caller went away before it was stored. It may be yet.
    CallerGone,
    /// A timeout outside of the policy, or a panic, ended the call before the policy could decide.
    CutOff,
}

impl LetterLoss {
    /// The label in logs and on the wire: `no_payload`, `no_place`, `not_stored`, `too_slow`, `caller_gone` or `cut_off`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoPayload => "no_payload",
            Self::NoPlace => "no_place",
            Self::NotStored => "not_stored",
            Self::TooSlow => "too_slow",
            Self::CallerGone => "caller_gone",
            Self::CutOff => "cut_off",
        }
    }
}

/// A fault that a chaos policy injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call begins later than it would have.
    Latency,
    /// The call fails without being made.
    Error,
    /// The call is as if it never ended.
    Hang,
}

impl Fault {
    /// The label in logs and on the wire: `latency`, `error` or `hang`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Error => "error",
            Self::Hang => "hang",
        }
    }
}

/// Receives events, on the thread that runs the execution: be quick, and never block.
pub trait Observer: Send + Sync {
    /// Receives one event. It runs on the path of the call, so it must be quick and must not block.
    fn observe(&self, event: &Event<'_>);
}

/// Passes each event to every observer of the list, in its order.
impl Observer for Vec<Arc<dyn Observer>> {
    fn observe(&self, event: &Event<'_>) {
        for observer in self {
            observer.observe(event);
        }
    }
}
