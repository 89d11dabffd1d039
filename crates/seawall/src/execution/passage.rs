//! How an execution passes through the tree: inward to a call, outward with its outcome.

use super::{
    Execution, NOT_CALLED,
    node::{NO_PARENT, Node},
};
use crate::{
    command::{CallId, Command, Resolution},
    event::{Kind, LetterLoss},
    outcome::Outcome,
    pipeline::Pipeline,
    policies::{Frame, Policy, Slot, fallback::Fallback},
    policy::{Cause, Cx, Mode, OnSuccess, Step},
    time::Instant,
};
use std::{ops::Deref, task::Waker};

/// A frame, and what it asks for.
type Asked = Option<(usize, Step)>;

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// Does what a frame asks for, and what other frames ask for because of that, until no frame asks for anything.
    #[inline]
    pub(super) fn proceed(&mut self, mut asked: Asked, waker: &Waker) {
        while let Some((at, step)) = &asked {
            let at = *at;
            let Node { depth, deadline, .. } = self.nodes[at];
            asked = match step {
                Step::Wait => None,
                // Nothing begins after a deadline; the policy that set it is about to report that it has passed.
                Step::Call | Step::Fallback { .. } if deadline <= self.common.now => None,
                Step::Call => {
                    // What an inner policy gave up is tried again.
                    self.given_up = None;
                    self.enter(at as u16, depth + 1, deadline, waker)
                }
                Step::Fallback { nth } => {
                    let after = self.take_failure(at).unwrap_or(NOT_CALLED);
                    self.call_alternative(at as u16, deadline, *nth, after);
                    None
                }
                Step::Finish(outcome) | Step::DeadLetter(outcome) => {
                    if matches!(step, Step::DeadLetter(_)) {
                        self.give_up_work(depth, *outcome);
                    }
                    let resolution = self.recall(at, outcome);
                    self.finish(at, resolution, waker)
                }
            };
        }
    }

    /// Enters the policies from `depth` inward, down to the call: or to the first frame that asks for something else.
    pub(super) fn enter(
        &mut self,
        mut parent: u16,
        mut depth: u16,
        mut deadline: Instant,
        waker: &Waker,
    ) -> Asked {
        let modes = self.pipeline.controls().modes();
        while usize::from(depth) < self.pipeline.policies().len() {
            let at = self.nodes.len();
            let mode =
                if modes.all_enforce() { Mode::Enforce } else { modes.of(usize::from(depth)) };
            match mode {
                Mode::Enforce => {
                    if let Some(step) =
                        self.enter_policy(parent, depth, false, &mut deadline, waker)
                    {
                        return Some((at, step));
                    }
                    parent = at as u16;
                }
                Mode::Shadow => {
                    self.enter_shadow(parent, depth, deadline, waker);
                    parent = at as u16;
                }
                Mode::Off => {}
            }
            depth += 1;
        }
        let attempt = self.common.attempt;
        let id = self.leaf(parent, deadline, attempt);
        self.emit(Kind::CallStarted { attempt });
        self.commands.push(Command::Call { id, attempt, deadline });
        None
    }

    /// Enters the policy at `depth`, which lowers `deadline` for what is inside of it if it sets one. Answers what it asks
    /// for; none where it lets the call pass.
    #[inline(always)]
    fn enter_policy(
        &mut self,
        parent: u16,
        depth: u16,
        shadow: bool,
        deadline: &mut Instant,
        waker: &Waker,
    ) -> Option<Step> {
        let Self { pipeline, nodes, common, next_call, .. } = self;
        let policy = &pipeline.policies()[usize::from(depth)];
        let at = nodes.len();
        nodes.push(Node::VACANT);
        let node = &mut nodes[at];
        node.parent = parent;
        node.depth = depth;
        node.shadow = shadow;
        node.calls_before = *next_call;
        let mut cx = common.cx(pipeline, shadow, deadline, &mut node.wake_at, waker);
        if policy.pass(&mut cx, &mut node.slot) {
            node.deadline = *deadline;
            return None;
        }
        let step = policy.start(&mut cx, &mut node.slot);
        node.deadline = *deadline;
        if matches!(step, Step::Call) { None } else { Some(step) }
    }

    /// Enters a policy in shadow mode. What is further in sees neither its deadline nor its count of attempts.
    #[cold]
    fn enter_shadow(&mut self, parent: u16, depth: u16, deadline: Instant, waker: &Waker) {
        let (at, attempt, mut lowered) = (self.nodes.len(), self.common.attempt, deadline);
        let asked = self.enter_policy(parent, depth, true, &mut lowered, waker);
        self.common.attempt = attempt;
        self.nodes[at].deadline = deadline;
        if let Some(step) = asked {
            self.bypass(at, step);
        }
    }

    /// The policy at `at` is in shadow mode and would have acted by now: the call goes on without it, and it is not asked
    /// again.
    #[cold]
    pub(super) fn bypass(&mut self, at: usize, step: Step) {
        // A place in a queue is not waited for: others shall have it.
        if step == Step::Wait {
            self.with_frame(at, Waker::noop(), |policy, frame, cx| {
                policy.release(frame, cx, Cause::Discarded);
            });
            self.nodes[at].slot = Slot::Released;
        }
        self.nodes[at].wake_at = Instant::FAR_FUTURE;
        self.nodes[at].bypassed = true;
    }

    /// A new call below `parent`; alternatives are attempt 0.
    fn leaf(&mut self, parent: u16, deadline: Instant, attempt: u32) -> CallId {
        let calls_before = self.next_call;
        let id = CallId(calls_before);
        self.next_call += 1;
        self.nodes.push(Node::VACANT);
        if let Some(node) = self.nodes.last_mut() {
            node.parent = parent;
            node.calls_before = calls_before;
            node.slot = Slot::Call { id, attempt, started_at: self.common.now };
            node.deadline = deadline;
        }
        id
    }

    fn call_alternative(&mut self, parent: u16, deadline: Instant, nth: u32, after: Resolution) {
        let id = self.leaf(parent, deadline, 0);
        self.commands.push(Command::Fallback { id, nth, after });
    }

    /// Ends the node at `at`, cancels what still runs inside of it, and hands the outcome outward, until a policy asks
    /// for something else or there is the answer.
    pub(super) fn finish(
        &mut self,
        mut at: usize,
        mut resolution: Resolution,
        waker: &Waker,
    ) -> Asked {
        loop {
            self.prefer_failure(at, &mut resolution);
            let node = &mut self.nodes[at];
            node.running = false;
            node.wake_at = Instant::FAR_FUTURE;
            let parent = node.parent;
            self.cancel_inside(at, &resolution.outcome);
            if parent == NO_PARENT {
                self.answer_or_stand_in(at, resolution);
                return None;
            }
            let outer = usize::from(parent);
            let outcome = resolution.outcome;
            let step = self.with_frame(outer, waker, |policy, frame, cx| {
                policy.inner_done(frame, cx, outcome)
            });
            match step.unwrap_or(Step::Finish(outcome)) {
                _ if self.nodes[outer].shadow => at = outer,
                Step::Finish(outcome) => {
                    resolution.outcome = outcome;
                    at = outer;
                }
                Step::DeadLetter(outcome) => {
                    self.give_up_work(self.nodes[outer].depth, outcome);
                    resolution.outcome = outcome;
                    at = outer;
                }
                Step::Fallback { nth } => {
                    let deadline = self.nodes[outer].deadline;
                    if deadline > self.common.now {
                        // Before the release: the driver takes the value that is stood in for before it is cancelled.
                        self.call_alternative(parent, deadline, nth, resolution);
                    }
                    self.release_subtree(at, Cause::Discarded);
                    return None;
                }
                step => {
                    self.note_failure(outer, resolution);
                    self.release_subtree(at, Cause::Discarded);
                    return Some((outer, step));
                }
            }
        }
    }

    /// The policy at `depth` says that the work has failed for good.
    #[cold]
    fn give_up_work(&mut self, depth: u16, outcome: Outcome) {
        self.given_up = Some((depth, outcome));
        if !self.common.has_payload {
            self.emit(Kind::LetterLost { why: LetterLoss::NoPayload });
        }
    }

    /// Releases what still runs inside the node at `at`, which ended like this.
    #[inline]
    fn cancel_inside(&mut self, at: usize, outcome: &Outcome) {
        if at + 1 < self.nodes.len() {
            let timed_out = matches!(outcome, Outcome::TimedOut { .. });
            let cause = if timed_out { Cause::TimedOut } else { Cause::Discarded };
            let runs_inside =
                |this: &Self, node: usize| this.nodes[node].running && this.is_inside(node, at);
            self.release_from(at + 1, runs_inside, cause);
        }
    }

    /// Gives the answer. Or, in place of the resolution of the outermost node, at `at`, calls the driver's next
    /// alternative: a driver that offers an alternative wants it called, so a pipeline without a [`Fallback`] is
    /// treated as if the default one stood around it.
    fn answer_or_stand_in(&mut self, at: usize, resolution: Resolution) {
        if self.common.attributes.fallbacks == 0 || !self.stands_in(&resolution) {
            return self.answer(resolution);
        }
        self.stood_in += 1;
        let nth = self.stood_in;
        self.emit(Kind::FellBack { nth });
        self.call_alternative(NO_PARENT, self.common.attributes.deadline, nth, resolution);
        self.release_subtree(at, Cause::Discarded);
    }

    #[cold]
    fn stands_in(&self, resolution: &Resolution) -> bool {
        let fallback = Fallback::default();
        let attributes = &self.common.attributes;
        self.stood_in < fallback.config().max_fallbacks.min(attributes.fallbacks)
            && self.common.now < attributes.deadline
            && !self.pipeline.has_fallback()
            && fallback.applies(&resolution.outcome)
    }

    /// The fast path of a success, through policies that hand it on as it is: all of
    /// [`handle_result`](Self::handle_result) but its `Done`. `false` where that path is not open, and nothing is done.
    #[inline]
    pub(crate) fn succeed(&mut self, call: CallId, now: Instant) -> bool {
        let Some(leaf) = self.nodes.len().checked_sub(1) else { return false };
        let alone = !self.pipeline.hedges() || self.is_chain();
        let straight = self.pipeline.hands_successes_on()
            && alone
            && self.last_failures.is_empty()
            && self.commands.is_empty();
        let is_it = matches!(self.nodes[leaf].slot, Slot::Call { id, .. } if id == call);
        if !(straight && is_it && self.nodes[leaf].running) {
            return false;
        }
        self.common.now = now;
        self.call_finished(leaf, Outcome::Success);
        let mut at = leaf as u16;
        while at != NO_PARENT {
            let node = &mut self.nodes[usize::from(at)];
            node.running = false;
            let (parent, depth) = (node.parent, usize::from(node.depth));
            if at != leaf as u16
                && self.pipeline.policies()[depth].on_success() != OnSuccess::HandsOn
            {
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

    /// Whether the nodes are one call and the policies around it: no second passage runs or waits.
    fn is_chain(&self) -> bool {
        let mut further = self.nodes.iter().skip(1).enumerate();
        further.all(|(before, node)| usize::from(node.parent) == before)
    }

    #[inline]
    pub(super) fn call_finished(&self, at: usize, outcome: Outcome) {
        if let Slot::Call { attempt, started_at, .. } = self.nodes[at].slot {
            let took = self.common.now.since(started_at);
            self.emit(Kind::CallFinished { outcome, attempt, took });
        }
    }

    /// Lets the frame at `at` take one step; none where it was released, as one in shadow mode may have been.
    #[inline]
    pub(super) fn with_frame<R>(
        &mut self,
        at: usize,
        waker: &Waker,
        step: impl FnOnce(&Policy, &mut Frame, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let Self { pipeline, nodes, common, .. } = self;
        let Node { slot, depth, wake_at, deadline, shadow, .. } = &mut nodes[at];
        let Slot::Frame(frame) = slot else { return None };
        let mut cx = common.cx(pipeline, *shadow, deadline, wake_at, waker);
        Some(step(&pipeline.policies()[usize::from(*depth)], frame, &mut cx))
    }

    #[inline]
    pub(super) fn emit(&self, kind: Kind) {
        self.common.sink(&self.pipeline, false).emit(self.common.now, kind);
    }
}
