//! The commands that an execution gives to its driver.

use crate::{outcome::Outcome, time::Instant};
use smallvec::SmallVec;

/// Names one call of the operation, or of an alternative to it, within its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(crate) u32);

/// A command of an execution: what its driver must do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Call the operation.
    Call {
        /// Identifies the call in the commands and results that follow.
        id: CallId,
        /// The number of the attempt, counted by the retry policy from 1.
        attempt: u32,
        /// The instant at which the call will be cut off; [`Instant::FAR_FUTURE`] for never.
        deadline: Instant,
    },
    /// Call alternative `nth`, from 1. A driver without one answers with `handle_result(id, after)`.
    Fallback {
        /// Identifies the call in the commands and results that follow.
        id: CallId,
        /// The number of the alternative, from 1.
        nth: u32,
        /// The resolution that the alternative replaces. The value of its call is no longer needed by anyone else.
        after: Resolution,
    },
    /// The call, or its result, is no longer needed.
    Cancel(CallId),
    /// The execution has its answer. No command follows.
    Done(Resolution),
}

/// How an execution ended, and the call whose value is the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolution {
    /// The outcome that the execution ended with.
    pub outcome: Outcome,
    /// The call whose value or error is the answer; none where no call gave it.
    pub call: Option<CallId>,
}

/// The commands that the driver has not taken yet, first come, first served. There is seldom more than one.
pub(crate) struct Commands(SmallVec<[Command; 2]>);

impl Commands {
    /// Inlined, so that it is built where it stays.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(SmallVec::new())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, command: Command) {
        self.0.push(command);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Command> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }
}
