//! Time that says nothing about the dependency: while the caller itself is waited for.

use super::Execution;
use crate::{pipeline::Pipeline, policies::Slot, time::Instant};
use std::{ops::Deref, time::Duration};

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// The calls that are running waited for their own caller for `length` (for the rest of its request, say), so
    /// neither limits nor measurements count it: every limit around them moves by it. The caller's own deadline stays.
    pub fn exclude(&mut self, length: Duration) {
        if length.is_zero() {
            return;
        }
        self.started_at = self.started_at + length;
        for at in 0..self.nodes.len() {
            if self.nodes[at].running && self.has_call(at) {
                self.exclude_at(at, length);
            }
        }
    }

    /// Whether the node at `top` is a call that runs, or has one inside of it.
    fn has_call(&self, top: usize) -> bool {
        (top..self.nodes.len()).any(|at| {
            let node = &self.nodes[at];
            node.running && matches!(node.slot, Slot::Call { .. }) && self.is_inside(at, top)
        })
    }

    fn exclude_at(&mut self, at: usize, length: Duration) {
        let deadline = self.attributes.deadline;
        let node = &mut self.nodes[at];
        if node.wake_at != Instant::FAR_FUTURE {
            node.wake_at = node.wake_at + length;
        }
        node.deadline = (node.deadline + length).min(deadline);
        match &mut node.slot {
            Slot::Call { started_at, .. } => *started_at = *started_at + length,
            Slot::Frame(frame) => {
                self.pipeline.policies()[usize::from(node.depth)].exclude(frame, length);
            }
            Slot::Released => {}
        }
    }
}
