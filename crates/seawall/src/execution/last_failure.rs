//! The last failure inside a frame that went on: where a call really failed and nothing but refusals followed, the
//! answer is the failure, since a refusal would say that the operation did not run.

use super::Execution;
use crate::{command::Resolution, outcome::Outcome, pipeline::Pipeline};
use std::ops::Deref;

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// The frame at `outer` goes on from how a passage inside of it ended. A failure, or what the caller spoiled, takes the
    /// place of an earlier one.
    pub(super) fn note_failure(&mut self, outer: usize, resolution: Resolution) {
        if !matches!(resolution.outcome, Outcome::Success | Outcome::Rejected(_)) {
            self.forget_failure(outer);
            self.last_failures.push((outer, resolution));
        }
    }

    /// The frame at `at` ends like this: or as its last failure, where it ends in a refusal.
    #[inline]
    pub(super) fn prefer_failure(&mut self, at: usize, resolution: &mut Resolution) {
        if self.last_failures.is_empty() {
            return;
        }
        if !matches!(resolution.outcome, Outcome::Rejected(_)) {
            self.forget_failure(at);
        } else if let Some(failure) = self.take_failure(at) {
            *resolution = failure;
        }
    }

    /// The resolution of the frame at `at`, which ends with this outcome by itself. If its last failure ended with the
    /// same outcome, that failure is the resolution, with the call's own error.
    #[inline]
    pub(super) fn recall(&mut self, at: usize, outcome: &Outcome) -> Resolution {
        let is_it =
            |(node, failure): &(usize, Resolution)| *node == at && failure.outcome == *outcome;
        match self.last_failures.iter().position(is_it) {
            Some(found) => self.last_failures.swap_remove(found).1,
            None => Resolution { outcome: *outcome, call: None },
        }
    }

    /// The last failure inside the frame at `at` is no longer of interest, nor is the result of its call.
    pub(super) fn forget_failure(&mut self, at: usize) {
        if let Some(Resolution { call: Some(call), .. }) = self.take_failure(at) {
            self.cancel(call);
        }
    }

    /// Takes out the last failure inside the frame at `at`; its call's result is what the caller of this makes of it.
    pub(super) fn take_failure(&mut self, at: usize) -> Option<Resolution> {
        let found = self.last_failures.iter().position(|(node, _)| *node == at)?;
        Some(self.last_failures.swap_remove(found).1)
    }
}
