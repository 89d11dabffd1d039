//! The interpreter of pipelines: events in (`handle_*`), commands and a deadline out (`poll_*`). No clock, no I/O, no values.
//!
//! The passages through the policies form a tree: a frame for each policy entered, a leaf for each call. Parents stand
//! before their children in `nodes`, so without concurrent calls it is a plain stack. One rule governs lifetimes: a frame
//! lives until its outcome is discarded, or the execution ends. So a driver that streams a response keeps the execution,
//! and with it the permits, until the last byte.

use crate::{
    attributes::Attributes,
    command::{CallId, Command, Commands, Resolution},
    event::Kind,
    outcome::{CallerFault, Outcome},
    pipeline::Pipeline,
    policies::{Policy, Slot, dead_letter::DeadLetterConfig},
    policy::{Cause, Step},
    random::Random,
    rejection::{Reason, Rejection},
    time::Instant,
};
use smallvec::SmallVec;
use std::{ops::Deref, sync::Arc, task::Waker, time::Duration};

mod last_failure;
mod node;
mod passage;
mod release;

use node::{Common, NO_PARENT, Node};

/// One caller's passage through a pipeline, as a state machine: the contract between policies and drivers.
///
/// An execution performs no I/O and knows neither clocks nor values. A *driver* makes the calls that it asks for, keeps
/// their results and tells the time; the execution says what to do next. Its methods are of three kinds:
///
/// - **`handle_*`** tell it what has happened, and when: a call finished ([`handle_result`](Self::handle_result)), its
///   deadline passed or its waker was woken ([`handle_wake`](Self::handle_wake)), the stream that was the answer ended
///   ([`handle_end`](Self::handle_end)). Of the same kind are [`start`](Self::start), [`abandon`](Self::abandon), for a
///   caller who does not wait for the answer, and [`exclude`](Self::exclude), for time in which the caller was waited for.
/// - **`poll_*`** say what to do: [`poll_command`](Self::poll_command) now, [`poll_timeout`](Self::poll_timeout) until when
///   to wait.
/// - The others only look.
///
/// # Order of polling
///
/// After each method of the first kind, poll commands until there is none, and do each as it comes: a later one may end
/// what an earlier one began. A call that is over at once may be handled before the next command is polled. Then poll the
/// timeout, and wait for whatever comes first: the end of a call, that instant, or a wake-up of the waker passed in last.
///
/// ```
/// use seawall::{Attributes, Command, Execution, Instant, Outcome, Pipeline, PolicyConfig, RetryConfig};
/// use std::{sync::Arc, task::Waker};
///
/// let pipeline = Pipeline::build("documented", &[PolicyConfig::Retry(RetryConfig::default())])?;
/// let (mut now, waker) = (Instant::from_millis(1_000), Waker::noop());
/// let mut execution = Execution::start(Arc::new(pipeline), Attributes::default(), 7, now, waker);
/// let mut outcomes = [Outcome::failure(seawall::Class::Transient), Outcome::Success].into_iter();
/// let done = loop {
///     match execution.poll_command() {
///         Some(Command::Call { id, .. } | Command::Fallback { id, .. }) => {
///             // Here the call is over at once; others are awaited beside the timeout.
///             execution.handle_result(id, outcomes.next().unwrap(), now, waker);
///         }
///         Some(Command::Cancel(_)) => {} // Its result, if there is one, is dropped here.
///         Some(Command::Done(done)) => break done,
///         None => {
///             now = execution.poll_timeout().unwrap(); // Time passes.
///             execution.handle_wake(now, waker);
///         }
///     }
/// };
/// assert_eq!((done.outcome, execution.calls()), (Outcome::Success, 2));
/// # Ok::<(), seawall::config::ConfigError>(())
/// ```
///
/// # When the deadline may change
///
/// What `poll_timeout` answers changes in methods of the first kind only, to an earlier or to a later instant; it does not
/// change by polling, nor by what other executions do: those wake the waker. It is never later than
/// [`Attributes::deadline`], and there is none once the execution has its answer.
///
/// # Time
///
/// All instants come from one clock, and none is earlier than one passed in before. An earlier one does no harm: no time
/// has passed then, and what is due becomes due by later instants. An execution never asks for the time.
///
/// # What never happens
///
/// - A second [`Command::Done`], or any command after it, however the policies behave.
/// - `Done` while a call runs: each one that is not over has been cancelled before.
/// - A call that begins at or after its own deadline, or that of the caller.
/// - A [`CallId`] used twice, or cancelled twice; or the cancelling of the call whose result is the answer, or is what an
///   alternative stands in for and has not been polled yet.
/// - A change by the result of a call that was cancelled, or that is handled a second time.
/// - A permit that stays behind: whatever the policies handed out goes back when the driver drops the execution, at
///   whatever point it does so.
///
/// Random numbers come from the seed alone, so the same pipeline state, attributes, seed and events give the same commands.
pub struct Execution<P: Deref<Target = Pipeline> = Arc<Pipeline>> {
    pipeline: P,
    nodes: SmallVec<[Node; 8]>,
    commands: Commands,
    /// The last failure inside a frame that went on (a retry between attempts), by node.
    last_failures: SmallVec<[(usize, Resolution); 1]>,
    common: Common,
    started_at: Instant,
    next_call: u32,
    /// Alternatives called without a fallback policy.
    stood_in: u32,
    /// The policy that said that the work has failed for good, and the outcome then.
    given_up: Option<(u16, Outcome)>,
    phase: Phase,
}

/// A dead letter that a policy asked for.
pub struct LetterDue {
    pub(crate) config: DeadLetterConfig,
    /// What the work came to.
    pub(crate) outcome: Outcome,
    /// The execution, as events name it.
    pub(crate) execution: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Running,
    /// The answer is out; a stream may still be under way.
    Answered(Outcome),
    Over,
}

/// What an alternative replaces if a user-written policy calls it without having called the operation.
const NOT_CALLED: Resolution =
    Resolution { outcome: Outcome::Rejected(Rejection::new(Reason::NotCalled, None)), call: None };

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// Begins an execution at `now`, and enters the first policies: poll its commands next. `seed` is where its random
    /// numbers come from, and its name in events; see [`fresh_seed`](crate::fresh_seed).
    pub fn start(
        pipeline: P,
        attributes: Attributes,
        seed: u64,
        now: Instant,
        waker: &Waker,
    ) -> Self {
        let mut this = Self::prepare(pipeline, attributes, seed, false);
        this.begin(now, waker);
        this
    }

    /// An execution that has not begun: for drivers that learn the time and their waker later. `has_payload` says whether the
    /// driver keeps what failed for good.
    #[inline(always)]
    pub(crate) fn prepare(
        pipeline: P,
        attributes: Attributes,
        seed: u64,
        has_payload: bool,
    ) -> Self {
        Self {
            pipeline,
            nodes: SmallVec::new(),
            commands: Commands::new(),
            last_failures: SmallVec::new(),
            common: Common {
                attributes,
                random: Random::new(seed),
                seed,
                now: Instant::from_nanos(0),
                attempt: 1,
                concurrent: true,
                has_payload,
            },
            started_at: Instant::from_nanos(0),
            next_call: 0,
            stood_in: 0,
            given_up: None,
            // Dropped now, it has nothing to give back, and nothing to say.
            phase: Phase::Over,
        }
    }

    /// For drivers that make one call after the other: nothing is hedged.
    pub(crate) fn set_sequential(&mut self) {
        self.common.concurrent = false;
    }

    /// The dead letter that a policy asked for; none where the work has not failed for good.
    pub(crate) fn letter_due(&self) -> Option<LetterDue> {
        let (depth, outcome) = self.given_up?;
        let config = match self.pipeline.policies().get(usize::from(depth)) {
            Some(Policy::DeadLetter(policy)) => policy.config().clone(),
            _ => DeadLetterConfig::default(),
        };
        Some(LetterDue { config, outcome, execution: self.common.seed })
    }

    #[inline]
    pub(crate) fn begin(&mut self, now: Instant, waker: &Waker) {
        self.phase = Phase::Running;
        self.common.now = now;
        self.started_at = now;
        self.emit(Kind::Started);
        if self.common.now < self.common.attributes.deadline {
            let asked = self.enter(NO_PARENT, 0, self.common.attributes.deadline, waker);
            self.proceed(asked, waker);
        }
    }

    /// A call finished with this outcome. The results of calls that were cancelled, or are over, are ignored.
    pub fn handle_result(&mut self, call: CallId, outcome: Outcome, now: Instant, waker: &Waker) {
        if outcome.is_success() && self.succeed(call, now) {
            let call = Some(call);
            return self.commands.push(Command::Done(Resolution { outcome, call }));
        }
        self.common.now = now;
        let found = self.nodes.iter().rposition(|node| {
            node.running && matches!(node.slot, Slot::Call { id, .. } if id == call)
        });
        let Some(at) = found else { return };
        self.call_finished(at, outcome);
        let asked = self.finish(at, Resolution { outcome, call: Some(call) }, waker);
        self.proceed(asked, waker);
    }

    /// The deadline of [`poll_timeout`](Self::poll_timeout) has passed, or the waker was woken. It does no harm to call it
    /// without either; the waker passed in takes the place of earlier ones.
    pub fn handle_wake(&mut self, now: Instant, waker: &Waker) {
        self.common.now = now;
        if self.phase == Phase::Running && now >= self.common.attributes.deadline {
            return self.give_up();
        }
        let mut at = 0;
        while at < self.nodes.len() {
            let node = &self.nodes[at];
            if node.running && !node.bypassed && matches!(node.slot, Slot::Frame(_)) {
                if node.wake_at <= now {
                    self.nodes[at].wake_at = Instant::FAR_FUTURE;
                }
                let step = self.with_frame(at, waker, |policy, frame, cx| policy.wake(frame, cx));
                match step.unwrap_or(Step::Wait) {
                    Step::Wait => {}
                    step if self.nodes[at].shadow => self.bypass(at, step),
                    step => self.proceed(Some((at, step)), waker),
                }
            }
            at += 1;
        }
    }

    /// The caller's own deadline has passed.
    fn give_up(&mut self) {
        let limit = self.common.attributes.deadline.since(self.started_at);
        self.emit(Kind::DeadlinePassed { limit });
        self.release_from(0, |_, _| true, Cause::CallerGone);
        let outcome = Outcome::CallerFault(CallerFault::Deadline { limit });
        self.answer(Resolution { outcome, call: None });
    }

    /// The stream that was the answer ended like this: the permits go back, and the breakers count it. Only for executions
    /// with [`Attributes::streamed`] that are answered with a success; before the answer it does nothing.
    pub fn handle_end(&mut self, outcome: Outcome, now: Instant) {
        if let Phase::Answered(_) = self.phase {
            self.common.now = now;
            self.end(outcome);
        }
    }

    /// Takes time out of the calls that are running, because they waited for their own caller for `length` (for the rest
    /// of its request, say): every limit around them moves by it, and no measurement contains it. The caller's own
    /// deadline stays where it is.
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
        let deadline = self.common.attributes.deadline;
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

    /// Ends the execution before its answer, or before the end of the stream, for this cause. Everything goes back, and no
    /// command follows; whatever calls still run are the driver's to drop.
    pub fn abandon(&mut self, now: Instant, cause: Cause) {
        if self.phase == Phase::Over {
            return;
        }
        self.common.now = now;
        self.phase = Phase::Over;
        self.commands = Commands::new();
        self.release_from(0, |_, _| true, cause);
        self.emit(Kind::Abandoned { took: now.since(self.started_at) });
    }

    /// Calls of this execution have used so many tokens more. What rate limits took for them in advance is settled when the
    /// execution ends, so this comes before [`handle_result`](Self::handle_result) or [`handle_end`](Self::handle_end).
    pub fn handle_used_tokens(&mut self, tokens: u32) {
        let used = self.common.attributes.used_tokens.unwrap_or(0);
        self.common.attributes.used_tokens = Some(used.saturating_add(tokens));
    }

    /// The next thing to do, if there is one. Poll until there is none: see *Order of polling*.
    #[inline]
    #[must_use = "a command that is taken and not carried out is lost"]
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop()
    }

    /// When to call [`handle_wake`](Self::handle_wake) at the latest; none where only the end of a call, or a wake-up,
    /// is waited for, and none once there is an answer. It may have come already.
    #[must_use = "without a timer nothing that waits goes on"]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase != Phase::Running {
            return None;
        }
        let alarms = self.nodes.iter().map(|node| node.wake_at);
        let earliest = alarms.fold(self.common.attributes.deadline, Instant::min);
        (earliest != Instant::FAR_FUTURE).then_some(earliest)
    }

    /// The pipeline that the execution passes through.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The number of calls that the execution has asked for, of the operation and of alternatives.
    pub fn calls(&self) -> u32 {
        self.next_call
    }

    /// Whether the execution still waits for its answer, or for the end of a stream.
    pub fn is_open(&self) -> bool {
        match self.phase {
            Phase::Running => true,
            Phase::Answered(outcome) => self.common.attributes.streamed && outcome.is_success(),
            Phase::Over => false,
        }
    }
}

impl<P: Deref<Target = Pipeline>> Drop for Execution<P> {
    fn drop(&mut self) {
        match self.phase {
            // The driver had no time to tell: the last instant it gave must do.
            _ if self.is_open() => self.abandon(self.common.now, Cause::CallerGone),
            // All but what is still held was over with the answer.
            Phase::Answered(outcome) => self.give_back(outcome),
            Phase::Running | Phase::Over => {}
        }
    }
}
