//! What an execution asks of its driver.

use crate::{outcome::Outcome, time::Instant};
use smallvec::SmallVec;

/// Names one call of the operation, or of an alternative to it, within its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(crate) u32);

/// What the driver must do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Call the operation.
    Call {
        /// The name of the call.
        id: CallId,
        /// Retry's count, from 1.
        attempt: u32,
        /// When the call will be cut off; [`Instant::FAR_FUTURE`] for never.
        deadline: Instant,
    },
    /// Call alternative `nth`, from 1. A driver without one answers with `handle_result(id, after)`.
    Fallback {
        /// The name of the call.
        id: CallId,
        /// Which alternative.
        nth: u32,
        /// What it stands in for. The value of that call is no longer needed by anyone else.
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

/// The commands that the driver has not taken yet, first come, first served.
#[derive(Default)]
pub(crate) struct Commands {
    queue: SmallVec<[Command; 2]>,
    taken: usize,
}

impl Commands {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, command: Command) {
        self.queue.push(command);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Command> {
        let command = self.queue.get(self.taken).copied()?;
        self.taken += 1;
        if self.taken == self.queue.len() {
            self.queue.clear();
            self.taken = 0;
        }
        Some(command)
    }
}
