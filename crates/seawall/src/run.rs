//! The two drivers that run a caller's operation: async, and blocking.
//!
//! They hold the values and the clock; the [`Execution`] decides. On the fast path, where the operation succeeds at
//! once, nothing is allocated and no timer is made: the operation is polled first.

use crate::{
    attributes::Attributes,
    command::{CallId, Command, Resolution},
    error::Error,
    execution::Execution,
    outcome::{Classify, Outcome},
    pipeline::Pipeline,
    policy::Cause,
    random::fresh_seed,
    time::{Clock, Instant, Timer},
};
use smallvec::SmallVec;
use std::{
    future::{Future, poll_fn},
    ops::Deref,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

mod blocking;
mod results;
mod work;

pub(crate) use blocking::drive_blocking;
use results::{Results, answer, keep};
pub(crate) use work::NoFallback;
#[cfg(not(loom))]
pub(crate) use work::WithFallback;
pub use work::{Attempt, Work, WorkResult};

/// The permits of a streamed execution ([`Attributes::streamed`]) that has been answered. Say how the stream ended with
/// [`end`](Self::end); dropping them instead means that the caller went away.
pub struct HeldPermits<P: Deref<Target = Pipeline>, C: Clock>(Running<P, C>);

impl<P: Deref<Target = Pipeline>, C: Clock> HeldPermits<P, C> {
    /// The stream ended with this outcome: the permits go back, and circuit breakers count it.
    pub fn end(mut self, outcome: Outcome) {
        let now = self.0.clock.now();
        self.0.execution.handle_end(outcome, now);
    }

    /// How many calls were made for the answer, of the operation and of alternatives.
    pub fn calls(&self) -> u32 {
        self.0.execution.calls()
    }
}

/// An execution with its clock, so that it can end at the right time however its driver ends.
struct Running<P: Deref<Target = Pipeline>, C: Clock> {
    execution: Execution<P>,
    clock: C,
    /// Set while the operation's own code runs: if it is still set when we are dropped, it panicked.
    in_operation: bool,
}

impl<P: Deref<Target = Pipeline>, C: Clock> Drop for Running<P, C> {
    fn drop(&mut self) {
        if self.in_operation {
            self.execution.abandon(self.clock.now(), Cause::Panicked);
        } else if self.execution.is_open() {
            self.execution.abandon(self.clock.now(), Cause::CallerGone);
        }
    }
}

impl<P: Deref<Target = Pipeline>, C: Clock> Running<P, C> {
    fn operation<R>(&mut self, run: impl FnOnce() -> R) -> R {
        self.in_operation = true;
        let result = run();
        self.in_operation = false;
        result
    }
}

/// Runs `work` under a pipeline. The permits come along with the value, for drivers of streams: they are held until
/// [`HeldPermits::end`], or until they are dropped.
///
/// Dropping the future cancels the calls and gives everything back.
///
/// # Errors
/// The last real error, a timeout, or a rejection.
pub async fn drive<P, Tm, C, W>(
    pipeline: P,
    timer: Tm,
    attributes: Attributes,
    classify: &C,
    work: W,
) -> Result<(W::Value, HeldPermits<P, Tm>), Error<W::Error>>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer,
    C: Classify<W::Value, W::Error>,
    W: Work,
{
    let places = (pin!(None), pin!(None), pin!(None));
    let mut driver = Driver::new(pipeline, timer, attributes, work, places);
    let result = poll_fn(|cx| driver.poll(classify, cx)).await;
    result.map(|value| (value, HeldPermits(driver.running)))
}

/// [`drive`] for values that are whole when they come: the permits go back at once, and are moved nowhere, since that
/// would cost more than most calls.
pub(crate) async fn drive_to_value<P, Tm, C, W>(
    pipeline: P,
    timer: Tm,
    attributes: Attributes,
    classify: &C,
    work: W,
) -> WorkResult<W>
where
    P: Deref<Target = Pipeline>,
    Tm: Timer,
    C: Classify<W::Value, W::Error>,
    W: Work,
{
    let places = (pin!(None), pin!(None), pin!(None));
    let mut driver = Driver::new(pipeline, timer, attributes, work, places);
    poll_fn(|cx| driver.poll(classify, cx)).await
}

/// Where a driver's futures stay: its call, its alternative, its sleep.
type Places<'f, W, Tm> = (
    Pin<&'f mut Option<<W as Work>::Call>>,
    Pin<&'f mut Option<<W as Work>::Alternative>>,
    Pin<&'f mut Option<<Tm as Timer>::Sleep>>,
);

/// The state of one async run. The first call runs in place; only concurrent ones are boxed.
struct Driver<'f, P: Deref<Target = Pipeline>, Tm: Timer, W: Work> {
    running: Running<P, Tm>,
    work: W,
    call: Pin<&'f mut Option<W::Call>>,
    call_id: Option<CallId>,
    alternative: Pin<&'f mut Option<W::Alternative>>,
    alternative_id: Option<CallId>,
    further: Vec<(CallId, Pin<Box<W::Call>>)>,
    results: Results<W::Value, W::Error>,
    sleep: Pin<&'f mut Option<Tm::Sleep>>,
    sleeping_until: Option<Instant>,
    begun: bool,
    /// Time waited for the caller that the execution knows of.
    excluded: Duration,
    /// The clock at the beginning of this poll.
    polled_at: Instant,
}

type Ended<W> = (CallId, Result<<W as Work>::Value, <W as Work>::Error>);

impl<'f, P: Deref<Target = Pipeline>, Tm: Timer, W: Work> Driver<'f, P, Tm, W> {
    /// Inlined, so that it is built where it stays: moving it would cost more than most calls.
    #[inline(always)]
    fn new(
        pipeline: P,
        timer: Tm,
        attributes: Attributes,
        work: W,
        (call, alternative, sleep): Places<'f, W, Tm>,
    ) -> Self {
        let polled_at = timer.now();
        let fallbacks = attributes.fallbacks.max(work.alternatives());
        let attributes = Attributes { fallbacks, ..attributes };
        Self {
            running: Running {
                execution: Execution::prepare(pipeline, attributes, fresh_seed(), polled_at),
                clock: timer,
                in_operation: false,
            },
            work,
            call,
            call_id: None,
            alternative,
            alternative_id: None,
            further: Vec::new(),
            results: SmallVec::new(),
            sleep,
            sleeping_until: None,
            begun: false,
            excluded: Duration::ZERO,
            polled_at,
        }
    }

    fn poll<C>(&mut self, classify: &C, cx: &mut Context<'_>) -> Poll<WorkResult<W>>
    where
        C: Classify<W::Value, W::Error>,
    {
        if self.begun {
            self.polled_at = self.running.clock.now();
            self.exclude_caller_wait();
            self.running.execution.handle_wake(self.polled_at, cx.waker());
        } else {
            self.begun = true;
            self.running.execution.begin(cx.waker());
        }
        loop {
            while let Some(command) = self.running.execution.poll_command() {
                if let Some(done) = self.execute_command(command, cx.waker()) {
                    let pipeline = self.running.execution.pipeline();
                    return Poll::Ready(answer(done, pipeline, &mut self.results));
                }
            }
            if let Some((id, result)) = self.poll_calls(cx) {
                self.exclude_caller_wait();
                let outcome = classify.classify(&result);
                if outcome.is_success() && self.succeed(id) {
                    return Poll::Ready(result.map_err(Error::Inner));
                }
                self.results.push((id, result));
                let now = self.running.clock.now();
                self.running.execution.handle_result(id, outcome, now, cx.waker());
            } else if self.poll_timer(cx).is_ready() {
                // Whether the deadline has passed is read from the clock, not from the sleep.
                let now = self.running.clock.now();
                self.exclude_caller_wait();
                self.running.execution.handle_wake(now, cx.waker());
            } else {
                return Poll::Pending;
            }
        }
    }

    /// Waits for the execution's deadline, if it has one: with one sleep, which is reset where it stays.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.running.execution.poll_timeout() else { return Poll::Pending };
        let clock = &self.running.clock;
        match self.sleep.as_mut().as_pin_mut() {
            Some(_) if self.sleeping_until == Some(deadline) => {}
            Some(sleep) => clock.reset(sleep, deadline),
            None => self.sleep.set(Some(clock.sleep_until(deadline))),
        }
        self.sleeping_until = Some(deadline);
        let Some(sleep) = self.sleep.as_mut().as_pin_mut() else { return Poll::Pending };
        std::task::ready!(sleep.poll(cx));
        self.sleeping_until = None;
        Poll::Ready(())
    }

    /// Takes out what the caller was waited for since the last time. For most work that is nothing, and known to
    /// the compiler.
    #[inline(always)]
    fn exclude_caller_wait(&mut self) {
        let waited = self.work.caller_wait();
        if waited > self.excluded {
            self.running.execution.exclude(waited - self.excluded);
            self.excluded = waited;
        }
    }

    /// The fast path of a success. The clock is read for it only where somebody wants to know.
    #[inline]
    fn succeed(&mut self, id: CallId) -> bool {
        let Running { execution, clock, .. } = &mut self.running;
        let timed = execution.pipeline().needs_success_time();
        execution.succeed(id, if timed { clock.now() } else { self.polled_at })
    }

    fn execute_command(&mut self, command: Command, waker: &Waker) -> Option<Resolution> {
        match command {
            Command::Call { id, attempt, deadline } => self.start_call(id, attempt, deadline),
            Command::Fallback { id, nth, after } => self.start_alternative(id, nth, after, waker),
            Command::Cancel(id) => self.cancel(id),
            Command::Done(done) => return Some(done),
        }
        None
    }

    fn start_call(&mut self, id: CallId, number: u32, deadline: Instant) {
        let Self { running, work, .. } = self;
        let call = running.operation(|| work.call(Attempt { number, deadline }));
        if self.call_id.is_none() {
            self.call_id = Some(id);
            self.call.set(Some(call));
        } else {
            self.further.push((id, Box::pin(call)));
        }
    }

    fn start_alternative(&mut self, id: CallId, nth: u32, after: Resolution, waker: &Waker) {
        let failed = answer(after, self.running.execution.pipeline(), &mut self.results);
        let Self { running, work, .. } = self;
        match running.operation(|| work.fallback(nth, failed)) {
            Ok(alternative) => {
                self.alternative_id = Some(id);
                self.alternative.set(Some(alternative));
            }
            Err(failed) => {
                keep(&mut self.results, id, failed);
                let now = self.running.clock.now();
                self.running.execution.handle_result(id, after.outcome, now, waker);
            }
        }
    }

    fn cancel(&mut self, id: CallId) {
        let Self { running, call, call_id, alternative, alternative_id, further, results, .. } =
            self;
        running.operation(|| {
            if *call_id == Some(id) {
                *call_id = None;
                call.set(None);
            }
            if *alternative_id == Some(id) {
                *alternative_id = None;
                alternative.set(None);
            }
            further.retain(|(further, _)| *further != id);
            results.retain(|(kept, _)| *kept != id);
        });
    }

    /// Polls everything that runs; the first that is done.
    fn poll_calls(&mut self, cx: &mut Context<'_>) -> Option<Ended<W>> {
        let Self { running, call, call_id, alternative, alternative_id, further, .. } = self;
        running.operation(|| {
            if let (Some(id), Some(future)) = (*call_id, call.as_mut().as_pin_mut())
                && let Poll::Ready(result) = future.poll(cx)
            {
                *call_id = None;
                call.set(None);
                return Some((id, result));
            }
            if let (Some(id), Some(future)) = (*alternative_id, alternative.as_mut().as_pin_mut())
                && let Poll::Ready(result) = future.poll(cx)
            {
                *alternative_id = None;
                alternative.set(None);
                return Some((id, result));
            }
            let ready = further.iter_mut().enumerate().find_map(|(at, (_, future))| {
                match future.as_mut().poll(cx) {
                    Poll::Ready(result) => Some((at, result)),
                    Poll::Pending => None,
                }
            });
            ready.map(|(at, result)| (further.swap_remove(at).0, result))
        })
    }
}

impl Pipeline {
    /// Runs `operation` under these policies, outside of any registry. `classify` says what a result means to them.
    ///
    /// # Errors
    /// The last real error, a timeout, or a rejection.
    pub async fn run<Tm, F, Fut, T, E>(
        &self,
        timer: &Tm,
        attributes: Attributes,
        classify: &impl Classify<T, E>,
        operation: F,
    ) -> Result<T, Error<E>>
    where
        Tm: Timer,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        drive_to_value(self, timer, attributes, classify, NoFallback(operation)).await
    }

    /// Runs `operation` under these policies on the calling thread, with pauses and queueing. A timeout cannot interrupt
    /// it: it refuses an answer that comes too late. Nothing is hedged.
    ///
    /// # Errors
    /// The last real error, a timeout, or a rejection.
    pub fn run_blocking<T, E>(
        &self,
        clock: &impl Clock,
        attributes: Attributes,
        classify: &impl Classify<T, E>,
        operation: impl FnMut(Attempt) -> Result<T, E>,
    ) -> Result<T, Error<E>> {
        drive_blocking(self, clock, attributes, classify, operation, Err)
    }
}
