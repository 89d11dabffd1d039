//! Policies that watch and do not act ([`Mode::Shadow`](crate::Mode)).
//!
//! Such a policy's frame is told everything that a real one is told. What it answers is not done: its events
//! say what it would have done, and the call goes on without it.

use super::{Execution, Node, sink};
use crate::{
    pipeline::Pipeline,
    policy::{Cause, Cx, Step},
    time::Instant,
};
use std::{ops::Deref, task::Waker};

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// Enters a policy that only watches; its place in the tree.
    #[cold]
    pub(super) fn shadow(
        &mut self,
        parent: u16,
        depth: u16,
        deadline: Instant,
        waker: &Waker,
    ) -> u16 {
        // What is further in must not see its deadline, nor its count of attempts.
        let (mut own_deadline, mut own_attempt) = (deadline, self.attempt);
        let at = self.nodes.len();
        let calls_before = self.next_call;
        self.nodes.push(Node {
            parent,
            depth,
            shadow: true,
            calls_before,
            deadline,
            ..Node::VACANT
        });
        let node = &mut self.nodes[at];
        let mut cx = Cx {
            now: self.now,
            waker,
            attributes: &self.attributes,
            deadline: &mut own_deadline,
            attempt: &mut own_attempt,
            random: &mut self.random,
            wake_at: &mut node.wake_at,
            sink: sink(&self.pipeline, self.seed, true),
            controls: self.pipeline.controls(),
            concurrent: self.concurrent,
        };
        let policy = &self.pipeline.policies()[usize::from(depth)];
        let step = policy.start(&mut cx, &mut node.slot);
        if step != Step::Call {
            // A place in a queue is not waited for: others shall have it.
            if step == Step::Wait {
                self.with_frame(at, Waker::noop(), |policy, frame, cx| {
                    policy.release(frame, cx, Cause::Discarded);
                });
            }
            self.pass_by(at);
        }
        at as u16
    }

    /// The policy at `at` would have acted by now: it is not asked again.
    pub(super) fn pass_by(&mut self, at: usize) {
        self.nodes[at].wake_at = Instant::FAR_FUTURE;
        self.nodes[at].passed_by = true;
    }
}
