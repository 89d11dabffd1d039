//! The interpreter: events in (`handle_*`), commands out (`poll_*`). No clock, no I/O, no values.
//!
//! The passages through the policies form a tree: a frame for each policy entered, a leaf for each call.
//! Parents stand before their children in `nodes`, so a pipeline without hedges is a plain stack. One
//! rule governs lifetimes: a frame lives until its outcome is discarded, or the execution ends. So a
//! driver that streams a response keeps the execution, and with it the permits, until the last byte.

use crate::{
    attributes::Attributes,
    command::{CallId, Command, Resolution},
    event::Kind,
    outcome::{CallerFault, Outcome},
    pipeline::Pipeline,
    policies::Slot,
    policies::{Frame, Policy},
    policy::{Cause, Cx, Mode, Sink, Step},
    random::Random,
    rejection::{Reason, Rejection},
    time::Instant,
};
use smallvec::SmallVec;
use std::{ops::Deref, sync::Arc, task::Waker};

mod alternative;
mod exclude;
mod node;
mod release;
mod shadow;
mod success;

use node::{NO_PARENT, Node};

/// One caller's passage through a pipeline.
pub struct Execution<P: Deref<Target = Pipeline> = Arc<Pipeline>> {
    pipeline: P,
    nodes: SmallVec<[Node; 8]>,
    commands: SmallVec<[Command; 2]>,
    /// What failed inside a frame that went on (a retry between attempts), by node: the answer, should
    /// nothing but refusals follow. A refusal would say that the operation did not run.
    kept: SmallVec<[(usize, Resolution); 1]>,
    attributes: Attributes,
    random: Random,
    seed: u64,
    started_at: Instant,
    now: Instant,
    next_call: u32,
    attempt: u32,
    /// Alternatives called without a fallback policy.
    stood_in: u32,
    /// The driver can have two calls in progress at once.
    concurrent: bool,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Running,
    /// The answer is out; a stream may still be under way.
    Answered(Outcome),
    Over,
}

/// What a fallback stands in for when no call came before it; only user-written policies do that.
const NO_CALL: Resolution = Resolution {
    outcome: Outcome::Rejected(Rejection::new(Reason::Custom("fallback"), None)),
    call: None,
};

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// Begins. The same pipeline state, attributes, seed and times give the same commands.
    pub fn start(
        pipeline: P,
        attributes: Attributes,
        seed: u64,
        now: Instant,
        waker: &Waker,
    ) -> Self {
        let mut this = Self::prepare(pipeline, attributes, seed, now);
        this.begin(waker);
        this
    }

    /// An execution that has not begun: for drivers that learn their waker later.
    #[inline(always)]
    pub(crate) fn prepare(pipeline: P, attributes: Attributes, seed: u64, now: Instant) -> Self {
        Self {
            pipeline,
            nodes: SmallVec::new(),
            commands: SmallVec::new(),
            kept: SmallVec::new(),
            attributes,
            random: Random::new(seed),
            seed,
            started_at: now,
            now,
            next_call: 0,
            attempt: 1,
            stood_in: 0,
            concurrent: true,
            phase: Phase::Running,
        }
    }

    /// For drivers that make one call after the other: nothing is hedged.
    pub(crate) fn sequential(mut self) -> Self {
        self.concurrent = false;
        self
    }

    #[inline]
    pub(crate) fn begin(&mut self, waker: &Waker) {
        self.emit(Kind::Started);
        if self.now < self.attributes.deadline {
            self.enter(NO_PARENT, 0, self.attributes.deadline, waker);
        }
    }

    /// A call finished. Late results of cancelled calls are ignored.
    pub fn handle_result(&mut self, call: CallId, outcome: Outcome, now: Instant, waker: &Waker) {
        if outcome.is_success() && self.succeed(call, now) {
            let call = Some(call);
            return self.commands.push(Command::Done(Resolution { outcome, call }));
        }
        self.now = now;
        let found = self.nodes.iter().rposition(|node| {
            node.running && matches!(node.slot, Slot::Call { id, .. } if id == call)
        });
        let Some(at) = found else { return };
        self.call_finished(at, outcome);
        self.finish(at, Resolution { outcome, call: Some(call) }, waker);
    }

    #[inline]
    pub(super) fn call_finished(&self, at: usize, outcome: Outcome) {
        if let Slot::Call { attempt, started_at, .. } = self.nodes[at].slot {
            let took = self.now.since(started_at);
            self.emit(Kind::CallFinished { outcome, attempt, took });
        }
    }

    /// A deadline passed, or the waker was woken. Calling it for nothing is harmless.
    pub fn handle_wake(&mut self, now: Instant, waker: &Waker) {
        self.now = now;
        if self.phase == Phase::Running && now >= self.attributes.deadline {
            return self.give_up();
        }
        let mut at = 0;
        while at < self.nodes.len() {
            let node = &self.nodes[at];
            if node.running && !node.passed_by && matches!(node.slot, Slot::Frame(_)) {
                if node.wake_at <= now {
                    self.nodes[at].wake_at = Instant::FAR_FUTURE;
                }
                let step = self.with_frame(at, waker, |policy, frame, cx| policy.wake(frame, cx));
                if self.nodes[at].shadow {
                    if step != Step::Wait {
                        self.pass_by(at);
                    }
                } else {
                    self.apply(at, step, NO_CALL, waker);
                }
            }
            at += 1;
        }
    }

    /// The caller's own deadline has passed.
    fn give_up(&mut self) {
        let limit = self.attributes.deadline.since(self.started_at);
        self.emit(Kind::DeadlinePassed { limit });
        self.release_from(0, |_, _| true, Cause::CallerGone);
        let outcome = Outcome::CallerFault(CallerFault::Deadline { limit });
        self.answer(Resolution { outcome, call: None });
    }

    /// The stream that was the answer ended like this: the permits go back, the breakers count it.
    /// Only for `streamed` executions that are answered; otherwise it does nothing.
    pub fn handle_end(&mut self, outcome: Outcome, now: Instant) {
        if let Phase::Answered(_) = self.phase {
            self.now = now;
            self.end(outcome);
        }
    }

    /// Ends before the answer, or before the end of the stream, for this cause.
    pub fn abandon(&mut self, now: Instant, cause: Cause) {
        if self.phase == Phase::Over {
            return;
        }
        self.now = now;
        self.phase = Phase::Over;
        self.release_from(0, |_, _| true, cause);
        self.emit(Kind::Abandoned { took: now.since(self.started_at) });
    }

    /// The next thing to do, if there is one. Poll until there is none.
    #[inline]
    pub fn poll_command(&mut self) -> Option<Command> {
        if self.commands.is_empty() { None } else { Some(self.commands.remove(0)) }
    }

    /// When to call [`handle_wake`](Self::handle_wake) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase != Phase::Running {
            return None;
        }
        let earliest = self.nodes.iter().map(|node| node.wake_at).min();
        let earliest =
            earliest.map_or(self.attributes.deadline, |at| at.min(self.attributes.deadline));
        (earliest != Instant::FAR_FUTURE).then_some(earliest)
    }

    /// The pipeline it passes through.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Calls made so far, of the operation and of alternatives.
    pub fn calls(&self) -> u32 {
        self.next_call
    }

    /// Whether it still waits for its answer, or for the end of a stream.
    pub fn is_open(&self) -> bool {
        match self.phase {
            Phase::Running => true,
            Phase::Answered(outcome) => self.attributes.streamed && outcome.is_success(),
            Phase::Over => false,
        }
    }

    /// Enters the policies from `depth` inward, down to the call.
    fn enter(&mut self, mut parent: u16, mut depth: u16, mut deadline: Instant, waker: &Waker) {
        let modes = self.pipeline.controls().modes();
        while let Some(policy) = self.pipeline.policies().get(usize::from(depth)) {
            if !modes.all_enforce() && modes.of(usize::from(depth)) != Mode::Enforce {
                if modes.of(usize::from(depth)) == Mode::Shadow {
                    parent = self.shadow(parent, depth, deadline, waker);
                }
                depth += 1;
                continue;
            }
            // Filled in where it stays: a copy of what was just written costs more than all the rest.
            let at = self.nodes.len();
            self.nodes.push(Node::VACANT);
            let node = &mut self.nodes[at];
            node.parent = parent;
            node.depth = depth;
            node.calls_before = self.next_call;
            let mut cx = Cx {
                now: self.now,
                waker,
                attributes: &self.attributes,
                deadline: &mut deadline,
                attempt: &mut self.attempt,
                random: &mut self.random,
                wake_at: &mut node.wake_at,
                sink: sink(&self.pipeline, self.seed, false),
                controls: self.pipeline.controls(),
                concurrent: self.concurrent,
            };
            if policy.pass(&mut cx, &mut node.slot) {
                node.deadline = deadline;
            } else {
                let step = policy.start(&mut cx, &mut node.slot);
                node.deadline = deadline;
                if !matches!(step, Step::Call) {
                    return self.apply(at, step, NO_CALL, waker);
                }
            }
            parent = at as u16;
            depth += 1;
        }
        let attempt = self.attempt;
        let id = self.leaf(parent, deadline, attempt);
        self.emit(Kind::CallStarted { attempt });
        self.commands.push(Command::Call { id, attempt, deadline });
    }

    fn leaf(&mut self, parent: u16, deadline: Instant, attempt: u32) -> CallId {
        let calls_before = self.next_call;
        let id = CallId(calls_before);
        self.next_call += 1;
        self.nodes.push(Node::VACANT);
        if let Some(node) = self.nodes.last_mut() {
            node.parent = parent;
            node.calls_before = calls_before;
            node.slot = Slot::Call { id, attempt, started_at: self.now };
            node.deadline = deadline;
        }
        id
    }

    /// Does what the frame at `at` asked for, after `inner` ended inside of it.
    fn apply(&mut self, at: usize, step: Step, inner: Resolution, waker: &Waker) {
        let Node { depth, deadline, .. } = self.nodes[at];
        match step {
            // Whoever set a deadline that has passed is about to say so; nothing begins any more.
            Step::Call | Step::Fallback { .. } if deadline <= self.now => {}
            Step::Wait => {}
            Step::Call => self.enter(at as u16, depth + 1, deadline, waker),
            Step::Fallback { nth } => {
                let id = self.leaf(at as u16, deadline, 0);
                self.commands.push(Command::Fallback { id, nth, after: inner });
            }
            Step::Finish(outcome) => self.finish(at, Resolution { outcome, call: None }, waker),
        }
    }

    /// Settles the node at `at`, cancels what still runs inside it, and hands the outcome outward.
    fn finish(&mut self, mut at: usize, mut resolution: Resolution, waker: &Waker) {
        loop {
            if !self.kept.is_empty() {
                self.settle_kept(at, &mut resolution);
            }
            let node = &mut self.nodes[at];
            node.running = false;
            node.wake_at = Instant::FAR_FUTURE;
            let parent = node.parent;
            if at + 1 < self.nodes.len() {
                let timed_out = matches!(resolution.outcome, Outcome::TimedOut { .. });
                let cause = if timed_out { Cause::TimedOut } else { Cause::Discarded };
                self.release_from(
                    at + 1,
                    |this, node| this.nodes[node].running && this.is_inside(node, at),
                    cause,
                );
            }
            if parent == NO_PARENT {
                return self.answer_or_stand_in(at, resolution);
            }
            let outer = usize::from(parent);
            let outcome = resolution.outcome;
            let mut step = self.with_frame(outer, waker, |policy, frame, cx| {
                policy.inner_done(frame, cx, outcome)
            });
            if self.nodes[outer].shadow {
                step = Step::Finish(outcome);
            }
            if let Step::Finish(outcome) = step {
                resolution.outcome = outcome;
                at = outer;
                continue;
            }
            // A fallback takes the value it stands in for before the value is cancelled.
            if let Step::Fallback { .. } = step {
                self.apply(outer, step, resolution, waker);
                return self.release_subtree(at, Cause::Discarded);
            }
            self.keep(outer, resolution);
            self.release_subtree(at, Cause::Discarded);
            return self.apply(outer, step, resolution, waker);
        }
    }

    #[inline]
    fn with_frame<R>(
        &mut self,
        at: usize,
        waker: &Waker,
        f: impl FnOnce(&Policy, &mut Frame, &mut Cx<'_>) -> R,
    ) -> R {
        let Node { slot, depth, wake_at, deadline, shadow, .. } = &mut self.nodes[at];
        let Slot::Frame(frame) = slot else { unreachable!("only frames have calls inside them") };
        let mut cx = Cx {
            now: self.now,
            waker,
            attributes: &self.attributes,
            deadline,
            attempt: &mut self.attempt,
            random: &mut self.random,
            wake_at,
            sink: sink(&self.pipeline, self.seed, *shadow),
            controls: self.pipeline.controls(),
            concurrent: self.concurrent,
        };
        f(&self.pipeline.policies()[usize::from(*depth)], frame, &mut cx)
    }

    #[inline]
    fn emit(&self, kind: Kind) {
        sink(&self.pipeline, self.seed, false).emit(self.now, kind);
    }
}

#[inline]
fn sink(pipeline: &Pipeline, execution: u64, shadow: bool) -> Sink<'_> {
    Sink { observer: pipeline.observer(), operation: pipeline.name(), execution, shadow }
}

impl<P: Deref<Target = Pipeline>> Drop for Execution<P> {
    fn drop(&mut self) {
        match self.phase {
            // The driver had no time to tell: the last instant it gave must do.
            _ if self.is_open() => self.abandon(self.now, Cause::CallerGone),
            Phase::Answered(outcome) => self.end(outcome),
            Phase::Running | Phase::Over => {}
        }
    }
}
