//! How frames are released, and when the driver may let go of results.

use super::{Execution, Phase, node::NO_PARENT};
use crate::{
    command::{CallId, Command, Resolution},
    event::Kind,
    outcome::Outcome,
    pipeline::Pipeline,
    policies::Slot,
    policy::Cause,
    time::Instant,
};
use std::{ops::Deref, task::Waker};

impl<P: Deref<Target = Pipeline>> Execution<P> {
    #[inline]
    pub(super) fn answer(&mut self, resolution: Resolution) {
        self.commands.push(Command::Done(resolution));
        self.answered(resolution.outcome);
    }

    #[inline]
    pub(super) fn answered(&mut self, outcome: Outcome) {
        self.phase = Phase::Answered(outcome);
        if !(self.common.attributes.streamed && outcome.is_success()) {
            self.finished(outcome);
        }
    }

    fn finished(&mut self, outcome: Outcome) {
        let took = self.common.now.since(self.started_at);
        self.emit(Kind::Finished { outcome, took, calls: self.next_call });
    }

    /// The answer has been delivered, or the stream that it was ended like this: everything goes back.
    pub(super) fn end(&mut self, outcome: Outcome) {
        let Phase::Answered(answered) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return;
        };
        self.give_back(outcome);
        if self.common.attributes.streamed && answered.is_success() {
            if outcome.blames_dependency() {
                self.answer_failed(outcome);
            }
            self.finished(outcome);
        }
    }

    /// The attempt that had answered failed after all; an alternative is no attempt.
    #[cold]
    fn answer_failed(&self, outcome: Outcome) {
        let answered = self.nodes.iter().rev().find_map(|node| match node.slot {
            Slot::Call { attempt, .. } => Some(attempt),
            _ => None,
        });
        if answered.is_some_and(|attempt| attempt > 0) {
            self.emit(Kind::AnswerFailed { outcome });
        }
    }

    /// Releases the node at `top` and everything inside of it.
    pub(super) fn release_subtree(&mut self, top: usize, cause: Cause) {
        self.release_from(top, |this, at| this.is_inside(at, top), cause);
    }

    pub(super) fn is_inside(&self, mut at: usize, top: usize) -> bool {
        while at > top && self.nodes[at].parent != NO_PARENT {
            at = usize::from(self.nodes[at].parent);
        }
        at == top
    }

    /// Releases the nodes from `first` on that `which` picks, innermost last.
    pub(super) fn release_from(
        &mut self,
        first: usize,
        which: impl Fn(&Self, usize) -> bool,
        cause: Cause,
    ) {
        for at in first..self.nodes.len() {
            if which(self, at) {
                self.release(at, cause);
            }
        }
        while self.nodes.len() > first
            && self.nodes.last().is_some_and(|node| matches!(node.slot, Slot::Released))
        {
            self.nodes.pop();
        }
    }

    fn release(&mut self, at: usize, cause: Cause) {
        let was_running = std::mem::replace(&mut self.nodes[at].running, false);
        self.nodes[at].wake_at = Instant::FAR_FUTURE;
        match self.nodes[at].slot {
            Slot::Released => return,
            Slot::Call { id, attempt, started_at } => {
                if was_running {
                    let took = self.common.now.since(started_at);
                    let cut_off = matches!(cause, Cause::TimedOut | Cause::Panicked);
                    self.emit(Kind::CallCancelled { attempt, cut_off, took });
                }
                self.cancel(id);
            }
            Slot::Frame(ref frame) => {
                let holds = frame.holds();
                self.forget_failure(at);
                if holds {
                    self.release_frame(at, cause);
                }
            }
        }
        self.nodes[at].slot = Slot::Released;
    }

    fn release_frame(&mut self, at: usize, cause: Cause) {
        // Where no call ran inside, a timeout or a panic says nothing about the dependency.
        let ran = self.next_call > self.nodes[at].calls_before;
        let cause = match cause {
            Cause::TimedOut | Cause::Panicked if !ran => Cause::Discarded,
            cause => cause,
        };
        self.with_frame(at, Waker::noop(), |policy, frame, cx| policy.release(frame, cx, cause));
    }

    /// Gives back what is still held when all is over: no call runs any more, no result is waited for.
    #[inline]
    pub(super) fn give_back(&mut self, outcome: Outcome) {
        for at in 0..self.nodes.len() {
            if matches!(&self.nodes[at].slot, Slot::Frame(frame) if frame.holds()) {
                self.with_frame(at, Waker::noop(), |policy, frame, cx| {
                    policy.release(frame, cx, Cause::Ended(outcome));
                });
            }
        }
    }

    /// Lets the driver drop a call or its result, unless it is the last failure of some frame.
    pub(super) fn cancel(&mut self, call: CallId) {
        let kept = self.last_failures.iter().any(|(_, failure)| failure.call == Some(call));
        if self.phase == Phase::Running && !kept {
            self.commands.push(Command::Cancel(call));
        }
    }
}
