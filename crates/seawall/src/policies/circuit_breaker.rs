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
    outcome::{Outcome, Verdict},
    policy::{Cause, Cx, OnSuccess, Pattern, Step},
    random::{Random, fresh_seed},
    rejection::{Reason, Rejection},
    sync::{Ordering, update},
    time::Instant,
    window::{Sample, Window},
};
use std::{ops::Deref, sync::Arc, time::Duration};

mod cell;
mod circuit;
mod marks;
mod settings;
mod shared;
mod snapshot;
mod view;

pub use circuit::Force;
pub use settings::{CircuitBreakerConfig, breaker};
pub use shared::{
    CircuitReport, FleetCircuit, OpenBy, ProbeLease, ReportedState, SharedCircuit,
    SharedCircuitView, SharedCircuits,
};
pub use snapshot::CircuitSnapshot;
pub use view::{CircuitView, Forced, KeyedCounts};

use cell::{Cell, Cells};
use circuit::{Circuit, Word};
use shared::Sharing;

/// A circuit breaker: one circuit for all calls, or one for each key.
#[derive(Debug)]
pub struct CircuitBreaker {
    config: CircuitBreakerConfig,
    cells: Cells,
    /// What ties its circuits to those of other instances, where they are shared.
    sharing: Option<Arc<Sharing>>,
}

/// The admission of one call, from [`CircuitBreaker::try_acquire`] (it borrows the breaker) or
/// [`CircuitBreaker::try_acquire_owned`] (it shares the breaker, and may go to another task). Record how the call ended;
/// dropping the permit instead gives the place back and says nothing about the dependency.
#[must_use = "a permit that is dropped at once admits nothing"]
#[derive(Debug)]
pub struct Permit<B: Deref<Target = CircuitBreaker> = Arc<CircuitBreaker>> {
    breaker: B,
    /// Taken when a verdict is recorded, so that dropping what is left does nothing.
    ticket: Option<Ticket>,
    /// The change of state that admitting this call caused, if any.
    pub transition: Option<Transition>,
}

/// An admission as plain data: of which circuit, by which generation of it, and when.
#[derive(Debug)]
struct Ticket {
    generation: u16,
    started: Instant,
    /// The circuit of the call's key; none for the one that all calls share.
    own: Option<Arc<Cell>>,
}

/// A ticket, with the change of state that the admission caused; or the refusal.
type Admission = Result<(Ticket, Option<Transition>), Rejection>;

impl CircuitBreaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: CircuitBreakerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let sharing = config.shared.clone().map(|shared| Arc::new(Sharing::new(shared)));
        Ok(Self { cells: Cells::new(&config, sharing.as_ref()), config, sharing })
    }

    /// The configuration of the breaker.
    pub fn config(&self) -> &CircuitBreakerConfig {
        &self.config
    }

    /// Tries to admit a call at `now`, outside a pipeline. A keyed breaker takes the circuit of [`Key::NONE`].
    ///
    /// # Errors
    /// A rejection while the circuit is open, or half-open with all probes out.
    #[inline]
    pub fn try_acquire(&self, now: Instant) -> Result<Permit<&Self>, Rejection> {
        self.try_acquire_for(now, Key::NONE)
    }

    /// Tries to admit a call at `now` for a key, outside a pipeline; where one circuit is for all, the key does not matter.
    ///
    /// # Errors
    /// A rejection while the circuit is open, or half-open with all probes out.
    #[inline]
    pub fn try_acquire_for(&self, now: Instant, key: Key) -> Result<Permit<&Self>, Rejection> {
        let (ticket, transition) = self.acquire(now, key)?;
        Ok(Permit { breaker: self, ticket: Some(ticket), transition })
    }

    /// Tries to admit a call at `now` for a key, with a permit that keeps the breaker alive and may be moved into a spawned
    /// task or thread; where one circuit is for all, the key does not matter.
    ///
    /// # Errors
    /// A rejection while the circuit is open, or half-open with all probes out.
    pub fn try_acquire_owned(
        self: &Arc<Self>,
        now: Instant,
        key: Key,
    ) -> Result<Permit, Rejection> {
        let (ticket, transition) = self.acquire(now, key)?;
        Ok(Permit { breaker: self.clone(), ticket: Some(ticket), transition })
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

    /// The circuit of a call, where this is its own.
    #[inline]
    fn circuit<'a>(&'a self, own: &'a Option<Arc<Cell>>) -> &'a Cell {
        own.as_deref().unwrap_or_else(|| self.cells.shared())
    }

    /// Admits a call outside a pipeline.
    #[inline]
    fn acquire(&self, now: Instant, key: Key) -> Admission {
        let own = self.cells.own(key, now, &self.config);
        let word = self.circuit(&own).word.load(Ordering::Acquire);
        if let Some(generation) = Word::closed(word) {
            return Ok((Ticket { generation, started: now, own }, None));
        }
        if let Some(wait) = Word::refuses(word, now, &self.config) {
            return Err(Rejection::new(Reason::CircuitOpen, Some(wait)));
        }
        self.admit(own, now, || Random::new(fresh_seed()).unit())
    }

    #[inline]
    fn admit(
        &self,
        own: Option<Arc<Cell>>,
        now: Instant,
        mut draw: impl FnMut() -> f64,
    ) -> Admission {
        let cell = self.circuit(&own);
        let (admission, transition) = update(&cell.word, |word| {
            let word = Word::unpack(word);
            let (next, admission) =
                word.admit(&self.config, now, &mut draw, || cell.may_probe(now));
            (next.pack(), (admission, word.change_to(&next, now)))
        });
        let transition = transition.map(|change| cell.note(change));
        let generation = admission?;
        Ok((Ticket { generation, started: now, own }, transition))
    }

    /// Counts a verdict, if the state that admitted the call still stands.
    #[inline]
    fn record(
        &self,
        ticket: &Ticket,
        now: Instant,
        took: Duration,
        verdict: Verdict,
    ) -> Option<Transition> {
        let cell = self.circuit(&ticket.own);
        // Nothing to forget, and nothing is counted: the end of most calls.
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
            None => self.judge(cell, ticket.generation, now, verdict, slow),
        }
    }

    /// Adds the verdict to the window, and opens the circuit when the window says so.
    #[inline]
    fn judge(
        &self,
        cell: &Cell,
        generation: u16,
        now: Instant,
        verdict: Verdict,
        slow: bool,
    ) -> Option<Transition> {
        let window = cell.window.as_ref()?;
        let word = cell.word();
        let counts = word.generation == generation
            && matches!(word.circuit, Circuit::Closed { .. })
            && verdict != Verdict::None;
        if !counts {
            return None;
        }
        let sample = Sample { failure: verdict.is_failure(), slow };
        let why = window.record(generation, now, sample)?;
        let change = update(&cell.word, |word| {
            let word = Word::unpack(word);
            match word.trip(&self.config, generation, now) {
                Some(next) => (next.pack(), Some(word.transition(&next, now, why))),
                None => (word.pack(), None),
            }
        });
        change.map(|change| cell.note(change))
    }
}

impl<B: Deref<Target = CircuitBreaker>> Permit<B> {
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
        let ticket = self.ticket.take()?;
        self.breaker.record(&ticket, now, now.since(ticket.started), verdict)
    }
}

impl<B: Deref<Target = CircuitBreaker>> Drop for Permit<B> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.record(&ticket, ticket.started, Duration::ZERO, Verdict::None);
        }
    }
}

/// The ticket until its verdict is recorded, and how long the call took to answer, in nanoseconds.
pub(crate) struct Frame {
    ticket: Option<Ticket>,
    took: u64,
}

impl CircuitBreaker {
    #[inline]
    fn settle(&self, frame: &mut Frame, cx: &mut Cx<'_>, verdict: Verdict) {
        let Some(ticket) = frame.ticket.take() else { return };
        let took = Duration::from_nanos(frame.took);
        if let Some(change) = self.record(&ticket, cx.now, took, verdict) {
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
        let ticket = Ticket { generation, started: cx.now, own: None };
        Some(Frame { ticket: Some(ticket), took: 0 })
    }

    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        let own = self.cells.own(cx.attributes.key, cx.now, &self.config);
        match self.admit(own, cx.now, || cx.random.unit()) {
            Ok((ticket, change)) => {
                if let Some(change) = change {
                    cx.emit(Kind::CircuitChanged(change));
                }
                (Frame { ticket: Some(ticket), took: 0 }, Step::Call)
            }
            Err(rejection) if self.lets_pass(rejection, cx) => {
                (Frame { ticket: None, took: 0 }, Step::Call)
            }
            Err(rejection) => {
                cx.emit(Kind::Rejected(rejection));
                let step = Step::Finish(Outcome::Rejected(rejection));
                (Frame { ticket: None, took: 0 }, step)
            }
        }
    }

    #[inline]
    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        if let Some(ticket) = &frame.ticket {
            frame.took = nanos_since(cx.now, ticket.started);
        }
        // A stream's outcome is known at its end: `release` will bring it.
        if !(cx.attributes.streamed && outcome.is_success()) {
            self.settle(frame, cx, outcome.verdict());
        }
        Step::Finish(outcome)
    }

    #[inline]
    fn release(&self, frame: &mut Frame, cx: &mut Cx<'_>, cause: Cause) {
        if let (Some(ticket), true) = (&frame.ticket, frame.took == 0) {
            frame.took = nanos_since(cx.now, ticket.started);
        }
        self.settle(frame, cx, cause.verdict());
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
