//! The async driver: the state of one run, without the places where its futures stay.

use super::{
    Attempt, Running, Work, WorkResult,
    results::{Results, answer, keep},
};
use crate::{
    attributes::Attributes,
    command::{CallId, Command, Resolution},
    error::Error,
    execution::{Execution, LetterDue},
    outcome::Classify,
    pipeline::Pipeline,
    random::fresh_seed,
    time::{Instant, Timer},
};
use smallvec::SmallVec;
use std::{
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Where a run's futures stay: its call, its alternative, its sleep. Whoever polls the driver lends it the places.
pub(super) struct Places<'f, W: Work, Tm: Timer> {
    pub(super) call: Pin<&'f mut Option<W::Call>>,
    pub(super) alternative: Pin<&'f mut Option<W::Alternative>>,
    pub(super) sleep: Pin<&'f mut Option<Tm::Sleep>>,
}

/// The state of one async run. The first call runs in its place; only concurrent ones are boxed.
pub(super) struct Driver<P: Deref<Target = Pipeline>, Tm: Timer, W: Work> {
    pub(super) running: Running<P, Tm>,
    work: W,
    call_id: Option<CallId>,
    alternative_id: Option<CallId>,
    further: Vec<(CallId, Pin<Box<W::Call>>)>,
    results: Results<W::Value, W::Error>,
    sleeping_until: Option<Instant>,
    begun: bool,
    /// Time waited for the caller that the execution knows of.
    excluded: Duration,
    /// The clock at the beginning of this poll.
    polled_at: Instant,
}

type Ended<W> = (CallId, Result<<W as Work>::Value, <W as Work>::Error>);

impl<P: Deref<Target = Pipeline>, Tm: Timer, W: Work> Driver<P, Tm, W> {
    /// Inlined, so that it is built where it stays: moving it would cost more than most calls.
    #[inline(always)]
    pub(super) fn new(pipeline: P, timer: Tm, attributes: Attributes, work: W) -> Self {
        let attributes = Attributes { fallbacks: work.alternatives(), ..attributes };
        Self {
            running: Running {
                execution: Execution::prepare(
                    pipeline,
                    attributes,
                    fresh_seed(),
                    work.has_payload(),
                ),
                clock: timer,
                in_operation: false,
            },
            work,
            call_id: None,
            alternative_id: None,
            further: Vec::new(),
            results: SmallVec::new(),
            sleeping_until: None,
            begun: false,
            excluded: Duration::ZERO,
            polled_at: Instant::from_nanos(0),
        }
    }

    /// The dead letter that a policy asked for, when the run has ended.
    pub(super) fn letter_due(&self) -> Option<LetterDue> {
        self.running.execution.letter_due()
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        self.running.execution.pipeline()
    }

    pub(super) fn work(&self) -> &W {
        &self.work
    }

    pub(super) fn poll<C>(
        &mut self,
        mut places: Places<'_, W, Tm>,
        classify: &C,
        cx: &mut Context<'_>,
    ) -> Poll<WorkResult<W>>
    where
        C: Classify<W::Value, W::Error>,
    {
        self.polled_at = self.running.clock.now();
        if self.begun {
            self.exclude_caller_wait();
            self.running.execution.handle_wake(self.polled_at, cx.waker());
        } else {
            self.begun = true;
            self.running.execution.begin(self.polled_at, cx.waker());
        }
        loop {
            while let Some(command) = self.running.execution.poll_command() {
                if let Some(done) = self.execute_command(command, &mut places, cx.waker()) {
                    let pipeline = self.running.execution.pipeline();
                    return Poll::Ready(answer(done, pipeline, &mut self.results));
                }
            }
            if let Some((id, result)) = self.poll_calls(&mut places, cx) {
                self.exclude_caller_wait();
                let outcome = classify.classify(&result);
                if let Some(tokens) = classify.used_tokens(&result) {
                    self.running.execution.handle_used_tokens(tokens);
                }
                if outcome.is_success() && self.succeed(id) {
                    return Poll::Ready(result.map_err(Error::Inner));
                }
                let now = self.running.clock.now();
                self.work.call_ended(id, &result, outcome, now);
                self.results.push((id, result));
                self.running.execution.handle_result(id, outcome, now, cx.waker());
            } else if self.poll_timer(places.sleep.as_mut(), cx).is_ready() {
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
    fn poll_timer(
        &mut self,
        mut place: Pin<&mut Option<Tm::Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(deadline) = self.running.execution.poll_timeout() else { return Poll::Pending };
        let clock = &self.running.clock;
        match place.as_mut().as_pin_mut() {
            Some(_) if self.sleeping_until == Some(deadline) => {}
            Some(sleep) => clock.reset(sleep, deadline),
            None => place.set(Some(clock.sleep_until(deadline))),
        }
        self.sleeping_until = Some(deadline);
        let Some(sleep) = place.as_mut().as_pin_mut() else { return Poll::Pending };
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

    fn execute_command(
        &mut self,
        command: Command,
        places: &mut Places<'_, W, Tm>,
        waker: &Waker,
    ) -> Option<Resolution> {
        match command {
            Command::Call { id, attempt, deadline } => {
                self.start_call(id, attempt, deadline, places);
            }
            Command::Fallback { id, nth, after } => {
                let place = places.alternative.as_mut();
                self.start_alternative(id, nth, after, place, waker);
            }
            Command::Cancel(id) => self.cancel(id, places),
            Command::Done(done) => return Some(done),
        }
        None
    }

    fn start_call(
        &mut self,
        id: CallId,
        number: u32,
        deadline: Instant,
        places: &mut Places<'_, W, Tm>,
    ) {
        let Self { running, work, polled_at, .. } = self;
        work.call_began(id, number, *polled_at);
        let call = running.operation(|| work.call(Attempt { number, deadline }));
        if self.call_id.is_none() {
            self.call_id = Some(id);
            places.call.set(Some(call));
        } else {
            self.further.push((id, Box::pin(call)));
        }
    }

    fn start_alternative(
        &mut self,
        id: CallId,
        nth: u32,
        after: Resolution,
        mut place: Pin<&mut Option<W::Alternative>>,
        waker: &Waker,
    ) {
        let failed = answer(after, self.running.execution.pipeline(), &mut self.results);
        let Self { running, work, .. } = self;
        match running.operation(|| work.fallback(nth, failed)) {
            Ok(alternative) => {
                self.alternative_id = Some(id);
                place.set(Some(alternative));
            }
            Err(failed) => {
                keep(&mut self.results, id, failed);
                let now = self.running.clock.now();
                self.running.execution.handle_result(id, after.outcome, now, waker);
            }
        }
    }

    fn cancel(&mut self, id: CallId, places: &mut Places<'_, W, Tm>) {
        let Self { running, call_id, alternative_id, further, results, .. } = self;
        running.operation(|| {
            if *call_id == Some(id) {
                *call_id = None;
                places.call.set(None);
            }
            if *alternative_id == Some(id) {
                *alternative_id = None;
                places.alternative.set(None);
            }
            further.retain(|(further, _)| *further != id);
            results.retain(|(kept, _)| *kept != id);
        });
    }

    /// Polls everything that runs; the first that is done.
    fn poll_calls(
        &mut self,
        places: &mut Places<'_, W, Tm>,
        cx: &mut Context<'_>,
    ) -> Option<Ended<W>> {
        let Self { running, call_id, alternative_id, further, .. } = self;
        running.operation(|| {
            if let (Some(id), Some(future)) = (*call_id, places.call.as_mut().as_pin_mut())
                && let Poll::Ready(result) = future.poll(cx)
            {
                *call_id = None;
                places.call.set(None);
                return Some((id, result));
            }
            if let (Some(id), Some(future)) =
                (*alternative_id, places.alternative.as_mut().as_pin_mut())
                && let Poll::Ready(result) = future.poll(cx)
            {
                *alternative_id = None;
                places.alternative.set(None);
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
