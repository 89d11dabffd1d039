//! **Circuit breaker**: stops calling a dependency that keeps failing, and finds out when it is back.
//!
//! Use one for each dependency that can fail as a whole. Not for errors that the request itself causes,
//! and not to limit load (that is the bulkhead's work). The invariant: results count only for the
//! state that admitted them (permits carry a generation), a rejection is never a failure, and every
//! probe gives its place back, also when it is dropped, hangs or panics.

use crate::{
    Class, Instant, Outcome, Reason, Rejection,
    config::ConfigError,
    config::validated,
    event::{Kind, State, Transition, Why},
    policy::{Cause, Cx, Pattern, Step},
    sync::{AtomicU64, Mutex, Ordering, lock, update},
    window::{self, Sample},
};
use std::{sync::Arc, time::Duration};

mod circuit;
mod settings;

pub use circuit::{Circuit, Verdict};
pub use settings::{CircuitBreakerConfig, Window};

pub(crate) use circuit::GENERATIONS;
use circuit::Word;

/// A circuit breaker: one atomic word, and a window where one is configured.
#[derive(Debug)]
pub struct CircuitBreaker {
    config: CircuitBreakerConfig,
    word: AtomicU64,
    window: Option<window::Ring>,
    /// When the last failure was recorded, in nanoseconds; 0 for never. For display only.
    last_failure: AtomicU64,
    /// The last change of state. Written at changes, read by views; never on the path of a call.
    last_transition: Mutex<Option<Transition>>,
}

/// What [`CircuitBreaker::try_acquire`] hands out. Record its verdict; dropping it instead gives the
/// place back and says nothing about the dependency.
#[must_use = "a permit that is dropped at once admits nothing"]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    ticket: Ticket,
    now: Instant,
    /// The change of state that admitting this call made, if any.
    pub transition: Option<Transition>,
}

/// A permit as plain data: the generation that admitted the call, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    generation: u16,
    started: Instant,
}

/// What a breaker looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitView {
    /// The state that decides about the next call.
    pub state: State,
    /// Consecutive failures so far, while closed.
    pub failure_count: u32,
    /// Times that it has opened since it was last closed, up to 63.
    pub openings: u32,
    /// When an open circuit lets its first probe through.
    pub next_probe_at: Option<Instant>,
    /// When the last failure was recorded.
    pub last_failure: Option<Instant>,
    /// The last change of state, with its reason.
    pub last_transition: Option<Transition>,
}

impl CircuitBreaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn new(config: CircuitBreakerConfig) -> Result<Self, ConfigError> {
        validated(|problems| config.check(problems))?;
        Ok(Self {
            word: AtomicU64::new(Word::CLOSED.pack()),
            window: config.window.as_ref().map(window::Ring::new),
            last_failure: AtomicU64::new(0),
            last_transition: Mutex::new(None),
            config,
        })
    }

    /// Its configuration.
    pub fn config(&self) -> &CircuitBreakerConfig {
        &self.config
    }

    /// Asks to make a call at `now`: naked use.
    ///
    /// # Errors
    /// A rejection while the circuit is open, or half-open with all probes out.
    #[inline]
    pub fn try_acquire(&self, now: Instant) -> Result<Permit<'_>, Rejection> {
        let (ticket, transition) = self.admit(now)?;
        Ok(Permit { breaker: self, ticket, now, transition })
    }

    /// The circuit as the next call would meet it, and how it came to be so.
    pub fn view(&self, now: Instant) -> CircuitView {
        let Word { circuit, .. } = Word::unpack(self.word.load(Ordering::Acquire));
        let last_failure = self.last_failure.load(Ordering::Relaxed);
        let next_probe_at = match circuit {
            Circuit::Open { until, .. } => Some(until.max(now)),
            Circuit::Closed { .. } | Circuit::HalfOpen { .. } => None,
        };
        CircuitView {
            state: circuit.state(),
            failure_count: if let Circuit::Closed { failures } = circuit { failures } else { 0 },
            openings: circuit.openings(),
            next_probe_at,
            last_failure: (last_failure > 0).then(|| Instant::from_nanos(last_failure)),
            last_transition: *lock(&self.last_transition),
        }
    }

    /// Whether it matters when a success came: to a window of time, and to slow calls.
    pub(crate) fn times_success(&self) -> bool {
        matches!(self.config.window, Some(Window::Time(_)))
            || self.config.slow_call_duration.is_some()
    }

    /// The state that decides about the next call.
    pub fn state(&self) -> State {
        Word::unpack(self.word.load(Ordering::Acquire)).circuit.state()
    }

    /// Closes the circuit and forgets what it counted. Permits given out before count for nothing.
    pub fn reset(&self, now: Instant) -> Option<Transition> {
        let from = update(&self.word, |word| {
            let word = Word::unpack(word);
            (word.next(Circuit::CLOSED).pack(), word.circuit.state())
        });
        self.last_failure.store(0, Ordering::Relaxed);
        let change = Transition { at: now, from, to: State::Closed, why: Why::Reset };
        (from != State::Closed).then(|| self.note(change))
    }

    #[inline]
    fn admit(&self, now: Instant) -> Result<(Ticket, Option<Transition>), Rejection> {
        let (admission, transition) = update(&self.word, |word| {
            let word = Word::unpack(word);
            let (next, admission) = word.admit(&self.config, now);
            (next.pack(), (admission, word.change_to(&next, now)))
        });
        let transition = transition.map(|change| self.note(change));
        match admission {
            Ok(generation) => Ok((Ticket { generation, started: now }, transition)),
            Err(rejection) => Err(rejection),
        }
    }

    /// Counts a verdict, if the state that admitted the call still stands.
    #[inline]
    fn record(
        &self,
        ticket: Ticket,
        now: Instant,
        took: Duration,
        verdict: Verdict,
    ) -> Option<Transition> {
        if verdict.is_failure() {
            self.last_failure.store(now.as_nanos(), Ordering::Relaxed);
        }
        let slow = self.config.slow_call_duration.is_some_and(|bound| took >= bound);
        let change = update(&self.word, |word| {
            let word = Word::unpack(word);
            let (next, why) = word.record(&self.config, ticket.generation, now, verdict, slow);
            (next.pack(), why.map(|why| word.transition(&next, now, why)))
        });
        match change {
            Some(change) => Some(self.note(change)),
            None => self.judge(ticket, now, verdict, slow),
        }
    }

    /// Adds the verdict to the window, and opens the circuit when the window says so.
    #[inline]
    fn judge(
        &self,
        ticket: Ticket,
        now: Instant,
        verdict: Verdict,
        slow: bool,
    ) -> Option<Transition> {
        let window = self.window.as_ref()?;
        let word = Word::unpack(self.word.load(Ordering::Acquire));
        let counts = word.generation == ticket.generation
            && matches!(word.circuit, Circuit::Closed { .. })
            && verdict != Verdict::None;
        if !counts {
            return None;
        }
        let sample = Sample { failure: verdict.is_failure(), slow };
        let why = window.record(ticket.generation, now, sample, &self.config)?;
        let change = update(&self.word, |word| {
            let word = Word::unpack(word);
            match word.trip(&self.config, ticket.generation, now) {
                Some(next) => (next.pack(), Some(word.transition(&next, now, why))),
                None => (word.pack(), None),
            }
        });
        change.map(|change| self.note(change))
    }

    #[cold]
    fn note(&self, change: Transition) -> Transition {
        *lock(&self.last_transition) = Some(change);
        change
    }
}

impl Permit<'_> {
    /// The dependency did its work. Says what that changed.
    #[inline]
    pub fn success(self, now: Instant) -> Option<Transition> {
        self.verdict(now, Verdict::Success)
    }

    /// The dependency failed or was too slow. Says what that changed.
    #[inline]
    pub fn failure(self, now: Instant) -> Option<Transition> {
        self.verdict(now, Verdict::Failure)
    }

    /// Counts a verdict of any kind.
    #[inline]
    pub fn verdict(self, now: Instant, verdict: Verdict) -> Option<Transition> {
        let Self { breaker, ticket, .. } = self;
        std::mem::forget(self); // The verdict takes the place of what dropping would do.
        breaker.record(ticket, now, now.since(ticket.started), verdict)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.breaker.record(self.ticket, self.now, Duration::ZERO, Verdict::None);
    }
}

/// What an outcome says about the dependency.
fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        // A permanent failure is an answer: the dependency lives.
        Outcome::Success => Verdict::Success,
        Outcome::TimedOut { .. } => Verdict::Failure,
        Outcome::Rejected(_) => Verdict::None,
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
}

impl CircuitBreaker {
    fn settle(&self, frame: &mut Frame, cx: &mut Cx<'_>, verdict: Verdict) {
        let Some(ticket) = frame.ticket.take() else { return };
        if let Some(change) = self.record(ticket, cx.now, Duration::from_nanos(frame.took), verdict)
        {
            cx.emit(Kind::CircuitChanged(change));
        }
    }
}

impl Pattern for Arc<CircuitBreaker> {
    type Frame = Frame;
    const HEEDS_SUCCESS: bool = true;

    #[inline]
    fn holds(frame: &Frame) -> bool {
        frame.ticket.is_some()
    }

    #[inline]
    fn start(&self, cx: &mut Cx<'_>) -> (Frame, Step) {
        match self.admit(cx.now) {
            Ok((ticket, change)) => {
                if let Some(change) = change {
                    cx.emit(Kind::CircuitChanged(change));
                }
                (Frame { ticket: Some(ticket), took: 0 }, Step::Call)
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
}

fn nanos_since(now: Instant, started: Instant) -> u64 {
    now.as_nanos().saturating_sub(started.as_nanos())
}

/// The reason a rejected call is given.
pub(super) fn refusal(probing: bool, retry_after: Option<Duration>) -> Rejection {
    let reason = if probing { Reason::ProbesTaken } else { Reason::CircuitOpen };
    Rejection::new(reason, retry_after)
}

#[cfg(test)]
mod tests;
