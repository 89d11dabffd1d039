//! **Circuit breaker**: stops calling a dependency that keeps failing, and finds out when it is back.
//!
//! Use one for each dependency that can fail as a whole. Not for errors that the request itself causes,
//! and not to limit load (that is the bulkhead's work). The invariant: results count only for the
//! state that admitted them (permits carry a generation), a rejection is never a failure, and every
//! probe gives its place back, also when it is dropped, hangs or panics.

use crate::{
    attributes::Key,
    config::{Check, ConfigError},
    event::{Kind, State, Transition},
    outcome::{Class, Outcome},
    policy::{Cause, Cx, OnSuccess, Pattern, Step},
    random::{Random, fresh_seed},
    rejection::{Reason, Rejection},
    sync::{Ordering, update},
    time::Instant,
    window::{Sample, Window},
};
use std::{sync::Arc, time::Duration};

mod cell;
mod circuit;
mod marks;
mod settings;
mod view;

pub use circuit::{Force, Verdict};
pub use settings::{CircuitBreakerConfig, breaker};
pub use view::{CircuitView, Forced, KeyedCounts};

use cell::{Cell, CellRef, Cells};
use circuit::{Circuit, Word};

/// A circuit breaker: one circuit for all calls, or one for each key.
#[derive(Debug)]
pub struct CircuitBreaker {
    config: CircuitBreakerConfig,
    cells: Cells,
}

/// The admission of one call, from [`CircuitBreaker::try_acquire`]. Record how the call ended; dropping the permit instead
/// gives the place back and says nothing about the dependency.
#[must_use = "a permit that is dropped at once admits nothing"]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    cell: Option<CellRef<'a>>,
    ticket: Ticket,
    now: Instant,
    /// The change of state that admitting this call caused, if any.
    pub transition: Option<Transition>,
}

/// A permit as plain data: the generation that admitted the call, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    generation: u16,
    started: Instant,
}

impl CircuitBreaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: CircuitBreakerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { cells: Cells::new(&config), config })
    }

    /// Its configuration.
    pub fn config(&self) -> &CircuitBreakerConfig {
        &self.config
    }

    /// Tries to admit a call at `now`, outside a pipeline. A keyed breaker takes the circuit of [`Key::NONE`].
    ///
    /// # Errors
    /// A rejection while the circuit is open, or half-open with all probes out.
    #[inline]
    pub fn try_acquire(&self, now: Instant) -> Result<Permit<'_>, Rejection> {
        self.try_acquire_for(now, Key::NONE)
    }

    /// Tries to admit a call at `now` for a key, outside a pipeline; where one circuit is for all, the key does not matter.
    ///
    /// # Errors
    /// A rejection while the circuit is open, or half-open with all probes out.
    #[inline]
    pub fn try_acquire_for(&self, now: Instant, key: Key) -> Result<Permit<'_>, Rejection> {
        let cell = self.cell(now, key);
        if let Some(generation) = Word::closed(cell.word.load(Ordering::Acquire)) {
            let ticket = Ticket { generation, started: now };
            return Ok(Permit { breaker: self, cell: Some(cell), ticket, now, transition: None });
        }
        if let Some(wait) = Word::refuses(cell.word.load(Ordering::Acquire), now, &self.config) {
            return Err(Rejection::new(Reason::CircuitOpen, Some(wait)));
        }
        let draw = || Random::new(fresh_seed()).unit();
        let (ticket, transition) = self.admit(&cell, now, draw)?;
        Ok(Permit { breaker: self, cell: Some(cell), ticket, now, transition })
    }

    /// The state that decides about the next call; of a keyed breaker, for a key not seen before.
    pub fn state(&self) -> State {
        match &self.cells {
            Cells::One(cell) => cell.word().circuit.state(),
            Cells::Keyed(_) => State::Closed,
        }
    }

    /// The state for this key at an instant: what was forced for a time may be over.
    pub(crate) fn state_of(&self, now: Instant, key: Key) -> State {
        let of = |cell: &Cell| cell.word().circuit.as_of(now).state();
        match &self.cells {
            Cells::One(cell) => of(cell),
            Cells::Keyed(keyed) => keyed.by_key.find(key).map_or(State::Closed, |cell| of(&cell)),
        }
    }

    /// The circuit of this key, where it has one and each key has its own.
    pub fn view_of(&self, now: Instant, key: Key) -> Option<CircuitView> {
        match &self.cells {
            Cells::One(_) => None,
            Cells::Keyed(keyed) => Some(keyed.by_key.find(key)?.view(now, &self.config)),
        }
    }

    #[inline]
    fn cell(&self, now: Instant, key: Key) -> CellRef<'_> {
        match &self.cells {
            Cells::One(cell) => CellRef::One(cell),
            Cells::Keyed(keyed) => CellRef::Shared(keyed.cell(key, now, &self.config)),
        }
    }

    #[inline]
    fn admit(
        &self,
        cell: &Cell,
        now: Instant,
        mut draw: impl FnMut() -> f64,
    ) -> Result<(Ticket, Option<Transition>), Rejection> {
        let (admission, transition) = update(&cell.word, |word| {
            let word = Word::unpack(word);
            let (next, admission) = word.admit(&self.config, now, &mut draw);
            (next.pack(), (admission, word.change_to(&next, now)))
        });
        let transition = transition.map(|change| cell.note(change));
        match admission {
            Ok(generation) => Ok((Ticket { generation, started: now }, transition)),
            Err(rejection) => Err(rejection),
        }
    }

    /// Counts a verdict, if the state that admitted the call still stands.
    #[inline]
    fn record(
        &self,
        cell: &Cell,
        ticket: Ticket,
        now: Instant,
        took: Duration,
        verdict: Verdict,
    ) -> Option<Transition> {
        // Nothing to forget, and nobody counts: the end of most calls.
        let quiet = verdict == Verdict::Success && cell.window.is_none();
        if quiet && Word::is_quiet(cell.word.load(Ordering::Acquire)) {
            return None;
        }
        if verdict.is_failure() {
            cell.last_failure.store(now.as_nanos(), Ordering::Relaxed);
        }
        let slow = self.config.slow_call_duration.is_some_and(|bound| took >= bound);
        let change = update(&cell.word, |word| {
            let word = Word::unpack(word);
            let (next, why) = word.record(&self.config, ticket.generation, now, verdict, slow);
            (next.pack(), why.map(|why| word.transition(&next, now, why)))
        });
        match change {
            Some(change) => Some(cell.note(change)),
            None => self.judge(cell, ticket, now, verdict, slow),
        }
    }

    /// Adds the verdict to the window, and opens the circuit when the window says so.
    #[inline]
    fn judge(
        &self,
        cell: &Cell,
        ticket: Ticket,
        now: Instant,
        verdict: Verdict,
        slow: bool,
    ) -> Option<Transition> {
        let window = cell.window.as_ref()?;
        let word = cell.word();
        let counts = word.generation == ticket.generation
            && matches!(word.circuit, Circuit::Closed { .. })
            && verdict != Verdict::None;
        if !counts {
            return None;
        }
        let sample = Sample { failure: verdict.is_failure(), slow };
        let why = window.record(ticket.generation, now, sample)?;
        let change = update(&cell.word, |word| {
            let word = Word::unpack(word);
            match word.trip(&self.config, ticket.generation, now) {
                Some(next) => (next.pack(), Some(word.transition(&next, now, why))),
                None => (word.pack(), None),
            }
        });
        change.map(|change| cell.note(change))
    }
}

impl Permit<'_> {
    /// Records that the dependency did its work. Returns the change of state that this caused, if any.
    #[inline]
    pub fn success(self, now: Instant) -> Option<Transition> {
        self.verdict(now, Verdict::Success)
    }

    /// Records that the dependency failed or was too slow. Returns the change of state that this caused, if any.
    #[inline]
    pub fn failure(self, now: Instant) -> Option<Transition> {
        self.verdict(now, Verdict::Failure)
    }

    /// Records a verdict of any kind. Returns the change of state that this caused, if any.
    #[inline]
    pub fn verdict(mut self, now: Instant, verdict: Verdict) -> Option<Transition> {
        // Taken, so that dropping what is left does nothing.
        let cell = self.cell.take()?;
        self.breaker.record(&cell, self.ticket, now, now.since(self.ticket.started), verdict)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            self.breaker.record(&cell, self.ticket, self.now, Duration::ZERO, Verdict::None);
        }
    }
}

/// The verdict on the dependency that follows from an outcome.
fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        // A permanent failure is an answer: the dependency lives.
        Outcome::Success => Verdict::Success,
        Outcome::TimedOut { .. } => Verdict::Failure,
        Outcome::Rejected(_) | Outcome::CallerFault(_) => Verdict::None,
        Outcome::Failure(failure) => match failure.class {
            Class::Permanent => Verdict::Success,
            Class::RateLimited => Verdict::RateLimited,
            Class::Transient | Class::Unknown => Verdict::Failure,
        },
    }
}

/// The ticket until its verdict is recorded, and how long the call took to answer, in nanoseconds.
pub(crate) struct Frame {
    ticket: Option<Ticket>,
    took: u64,
    /// The key's circuit, where each key has one.
    cell: Option<Arc<Cell>>,
}

impl CircuitBreaker {
    #[inline]
    fn settle(&self, frame: &mut Frame, cx: &mut Cx<'_>, verdict: Verdict) {
        let Some(ticket) = frame.ticket.take() else { return };
        let cell = match (&frame.cell, &self.cells) {
            (Some(cell), _) => cell,
            (None, Cells::One(cell)) => cell,
            (None, Cells::Keyed(_)) => return,
        };
        let took = Duration::from_nanos(frame.took);
        if let Some(change) = self.record(cell, ticket, cx.now, took, verdict) {
            cx.emit(Kind::CircuitChanged(change));
        }
    }

    /// Whether this call passes in spite of a refusal: a first attempt, where only retries are refused.
    #[cold]
    fn lets_pass(&self, rejection: Rejection, cx: &Cx<'_>) -> bool {
        let by_state = matches!(
            rejection.reason,
            Reason::CircuitOpen | Reason::ProbesTaken | Reason::RampingUp
        );
        self.config.only_retries && *cx.attempt == 1 && by_state
    }
}

impl Pattern for Arc<CircuitBreaker> {
    type Frame = Frame;

    #[inline]
    fn on_success(&self) -> OnSuccess {
        let by_time = matches!(self.config.window, Some(Window::Time(_)));
        OnSuccess::Observes { needs_time: by_time || self.config.slow_call_duration.is_some() }
    }

    #[inline]
    fn holds(frame: &Frame) -> bool {
        frame.ticket.is_some()
    }

    #[inline(always)]
    fn pass(&self, cx: &mut Cx<'_>) -> Option<Frame> {
        let Cells::One(cell) = &self.cells else { return None };
        let generation = Word::closed(cell.word.load(Ordering::Acquire))?;
        let ticket = Some(Ticket { generation, started: cx.now });
        Some(Frame { ticket, took: 0, cell: None })
    }

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let (now, key) = (cx.now, cx.attributes.key);
        let cell = self.cell(now, key);
        let admitted = self.admit(&cell, now, || cx.random.unit());
        let cell = match cell {
            CellRef::One(_) => None,
            CellRef::Shared(cell) => Some(cell),
        };
        match admitted {
            Ok((ticket, change)) => {
                if let Some(change) = change {
                    cx.emit(Kind::CircuitChanged(change));
                }
                (Frame { ticket: Some(ticket), took: 0, cell }, Step::Call)
            }
            Err(rejection) if self.lets_pass(rejection, cx) => {
                (Frame { ticket: None, took: 0, cell: None }, Step::Call)
            }
            Err(rejection) => {
                cx.emit(Kind::Rejected(rejection));
                let step = Step::Finish(Outcome::Rejected(rejection));
                (Frame { ticket: None, took: 0, cell: None }, step)
            }
        }
    }

    #[inline]
    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        if let Some(ticket) = frame.ticket {
            frame.took = nanos_since(cx.now, ticket.started);
        }
        // A stream's outcome is known at its end: `release` will bring it.
        if !(cx.attributes.streamed && outcome.is_success()) {
            self.settle(frame, cx, verdict(&outcome));
        }
        Step::Finish(outcome)
    }

    #[inline]
    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        let verdict = match cause {
            Cause::Ended(outcome) => verdict(&outcome),
            Cause::TimedOut | Cause::Panicked => Verdict::Failure,
            Cause::Discarded | Cause::CallerGone => Verdict::None,
        };
        if let (Some(ticket), true) = (frame.ticket, frame.took == 0) {
            frame.took = nanos_since(cx.now, ticket.started);
        }
        self.settle(frame, cx, verdict);
    }

    fn exclude(&self, frame: &mut Frame, length: Duration) {
        if let Some(ticket) = &mut frame.ticket {
            ticket.started = ticket.started + length;
        }
    }
}

fn nanos_since(now: Instant, started: Instant) -> u64 {
    now.as_nanos().saturating_sub(started.as_nanos())
}

#[cfg(test)]
mod tests;
