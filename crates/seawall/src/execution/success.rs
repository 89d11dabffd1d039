//! The short way of a success.

use super::{Execution, NO_PARENT};
use crate::{command::CallId, outcome::Outcome, pipeline::Pipeline, policies::Slot, time::Instant};
use std::{ops::Deref, task::Waker};

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// Nobody but the call and the policies around it is there: no second passage runs or waits.
    fn is_chain(&self) -> bool {
        let mut further = self.nodes.iter().skip(1).enumerate();
        further.all(|(before, node)| usize::from(node.parent) == before)
    }

    /// The short way of a success, through policies that mostly just hand it on: all of
    /// [`handle_result`](Self::handle_result) but its `Done`, where it says yes; nothing where not.
    #[inline]
    pub(crate) fn succeed(&mut self, call: CallId, now: Instant) -> bool {
        let Some(leaf) = self.nodes.len().checked_sub(1) else { return false };
        let alone = !self.pipeline.hedges() || self.is_chain();
        let straight =
            self.pipeline.is_plain() && alone && self.kept.is_empty() && self.commands.is_empty();
        let is_it = matches!(self.nodes[leaf].slot, Slot::Call { id, .. } if id == call);
        if !(straight && is_it && self.nodes[leaf].running) {
            return false;
        }
        self.now = now;
        self.call_finished(leaf, Outcome::Success);
        let mut at = leaf as u16;
        while at != NO_PARENT {
            let node = &mut self.nodes[usize::from(at)];
            node.running = false;
            let (parent, depth) = (node.parent, usize::from(node.depth));
            if at != leaf as u16 && self.pipeline.policies()[depth].heeds_success() {
                let waker = Waker::noop();
                self.with_frame(usize::from(at), waker, |policy, frame, cx| {
                    policy.inner_done(frame, cx, Outcome::Success)
                });
            }
            at = parent;
        }
        self.answered(Outcome::Success);
        true
    }
}
