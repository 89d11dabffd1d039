//! Views of circuits for operators, and what an operator can do: reset, force, forget.

use super::{
    CircuitBreaker, CircuitBreakerConfig,
    cell::{Cell, Cells, History},
    circuit::{Circuit, Force, Word},
    marks::{ForceEnd, LONGEST_FORCE, OpenEnd},
    shared::SharedCircuitView,
};
use crate::{
    attributes::Key,
    event::{State, Transition, Why},
    policy::Mode,
    sync::{Ordering, lock, update},
    time::Instant,
    window::Tally,
};
use std::sync::Arc;

/// A snapshot of a circuit breaker, for people and programs that watch it.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitView {
    /// The state that decides about the next call. Of a keyed breaker, that of its worst circuit. Whether it
    /// acts on calls depends on the mode: see [`refuses`](Self::refuses).
    pub state: State,
    /// The mode of the breaker in its pipeline; [`Mode::Enforce`] for a breaker outside of any.
    pub mode: Mode,
    /// When the circuit entered this state; none if it never changed.
    pub since: Option<Instant>,
    /// While closed, the consecutive failures so far; while open or half-open, the failures that opened it, in a row
    /// or in the window.
    pub failure_count: u32,
    /// How often the circuit has opened since it was last closed, up to 63.
    pub openings: u32,
    /// When an open circuit lets its first probe through.
    pub next_probe_at: Option<Instant>,
    /// When the ramp-up after closing ends and all calls pass again.
    pub ramps_until: Option<Instant>,
    /// The calls in the window while the circuit is closed; none if there is no window.
    pub window: Option<Tally>,
    /// When the last failure was recorded.
    pub last_failure: Option<Instant>,
    /// The last change of state, with its reason.
    pub last_transition: Option<Transition>,
    /// The change that ended the last closed time: since when the circuit is broken, and why. It stays the same while
    /// probes follow one another, so that an outage is one outage however many of them fail.
    pub broken: Option<Transition>,
    /// The reason and the end of a state that an operator forced.
    pub forced: Option<Forced>,
    /// The number of circuits and of those that are not closed, if there is one for each key; none if one is for all.
    pub keys: Option<KeyedCounts>,
    /// How it stands with the other instances; none if the circuit is not shared, or the breaker does not act.
    pub shared: Option<SharedCircuitView>,
}

impl CircuitView {
    /// Whether calls are refused now: the circuit is open, or forced open, and the breaker acts.
    pub fn refuses(&self) -> bool {
        self.mode == Mode::Enforce && self.state.is_open()
    }

    /// Whether calls would be refused if the breaker, now in shadow, acted.
    pub fn would_refuse(&self) -> bool {
        self.mode == Mode::Shadow && self.state.is_open()
    }

    /// Explains the state in words: the operator's reason, or what opened the circuit and what followed. None where it never
    /// changed.
    pub fn why(&self) -> Option<String> {
        if let Some(forced) = &self.forced {
            return Some(format!("forced: {}", forced.reason));
        }
        let last = self.last_transition?;
        match self.broken {
            Some(broken) if broken.at != last.at => {
                Some(format!("{}; then {}", broken.why, last.why))
            }
            _ => Some(last.why.to_string()),
        }
    }
}

/// A state forced by an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forced {
    /// The reason that the operator gave.
    pub reason: Arc<str>,
    /// When the forced state ends by itself; none if it does not.
    pub until: Option<Instant>,
}

/// The number of circuits of a breaker that has one for each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyedCounts {
    /// The number of circuits that are kept now.
    pub known: usize,
    /// The number of circuits that are not closed.
    pub not_closed: usize,
}

impl Cell {
    pub(super) fn view(&self, now: Instant, config: &CircuitBreakerConfig) -> CircuitView {
        let word = self.word();
        let circuit = word.circuit.as_of(now);
        let last_failure = self.last_failure.load(Ordering::Relaxed);
        let history = lock(&self.history);
        let forced = match circuit {
            Circuit::Forced { until, .. } => Some(Forced {
                reason: history.reason.clone().unwrap_or_else(|| "".into()),
                until: until
                    .and_then(|until| until.left(now, LONGEST_FORCE))
                    .map(|left| now + left),
            }),
            _ => None,
        };
        CircuitView {
            state: circuit.state(),
            mode: Mode::Enforce,
            since: match word.circuit {
                // What was forced for a time ended then, whether or not a call came since.
                Circuit::Forced { .. } if circuit != word.circuit => history.forced_until,
                _ => history.last.map(|change| change.at),
            },
            failure_count: match circuit {
                Circuit::Closed { failures, .. } => failures,
                Circuit::Open { .. } | Circuit::HalfOpen { .. } => {
                    history.broken.map_or(0, |broken| failures_of(broken.why))
                }
                Circuit::Forced { .. } => 0,
            },
            openings: circuit.openings(),
            next_probe_at: match circuit {
                Circuit::Open { until, openings } => {
                    let left = until.left(now, config.longest_open_time(openings));
                    Some(now + left.unwrap_or_default())
                }
                _ => None,
            },
            ramps_until: match circuit {
                Circuit::Closed { ramp, .. } => ramp.left(now, config).map(|left| now + left),
                _ => None,
            },
            window: match circuit {
                Circuit::Closed { .. } => {
                    self.window.as_ref().map(|window| window.tally(word.generation, now))
                }
                _ => None,
            },
            last_failure: (last_failure > 0).then(|| Instant::from_nanos(last_failure)),
            last_transition: history.last,
            broken: history.broken,
            forced,
            keys: None,
            shared: self.link.as_ref().map(|link| link.view(now)),
        }
    }
}

impl Circuit {
    /// A circuit that is forced until an instant; without an end if there is none, or it lies too far ahead to be
    /// stored.
    pub(super) fn forced(force: Force, now: Instant, until: Option<Instant>) -> Self {
        let until = until.filter(|until| until.since(now) <= LONGEST_FORCE).map(ForceEnd::at);
        Self::Forced { force, until }
    }
}

/// The failures that a circuit opened for.
fn failures_of(why: Why) -> u32 {
    match why {
        Why::ConsecutiveFailures { threshold } => threshold,
        Why::FailureRatio { failures, .. } => failures,
        _ => 0,
    }
}

impl CircuitBreaker {
    /// The circuit as the next call would meet it, with the cause of its state. Of a keyed breaker: the worst of its
    /// circuits, and their number.
    pub fn view(&self, now: Instant) -> CircuitView {
        let keyed = match &self.cells {
            Cells::One(cell) => return cell.view(now, &self.config),
            Cells::Keyed(keyed) => keyed,
        };
        let all = self.views(now);
        let not_closed = all.iter().filter(|(_, view)| view.state != State::Closed).count();
        let keys = Some(KeyedCounts { known: all.len(), not_closed });
        let shared = keyed.overflow.view(now, &self.config);
        let views = all.into_iter().map(|(_, view)| view).chain([shared]);
        let worst = views.min_by_key(|view| view.state.refuses_less());
        let worst = worst.unwrap_or_else(|| Cell::new(&self.config, None).view(now, &self.config));
        let shared = worst.shared.or_else(|| Some(self.sharing.as_ref()?.view(now)));
        CircuitView { keys, shared, ..worst }
    }

    /// The circuits of a keyed breaker, by key, in no order; none where one is for all.
    pub fn views(&self, now: Instant) -> Vec<(Key, CircuitView)> {
        match &self.cells {
            Cells::One(_) => Vec::new(),
            Cells::Keyed(keyed) => {
                let all = keyed.by_key.all().into_iter();
                all.map(|(key, cell)| (key, cell.view(now, &self.config))).collect()
            }
        }
    }

    /// Closes the circuit and forgets what it counted; of a keyed breaker, all of them. Permits that were given out before
    /// no longer count. Returns the change of state, if there was one.
    pub fn reset(&self, now: Instant) -> Option<Transition> {
        self.change_all(now, Why::Reset, |word| word.next(Circuit::CLOSED), None)
    }

    /// Forces a state, for `reason`, until an instant or until [`reset`](Self::reset). Forced open, an
    /// expired circuit probes; otherwise it closes. Of a keyed breaker, all circuits known now.
    pub fn force(
        &self,
        now: Instant,
        force: Force,
        reason: &str,
        until: Option<Instant>,
    ) -> Option<Transition> {
        let circuit = Circuit::forced(force, now, until);
        self.change_all(now, Why::Forced, |word| word.next(circuit), Some((reason.into(), until)))
    }

    /// Inherits the state of the breaker that it replaces, which had another configuration: open stays open for the time
    /// that is left, unless that is more than this one would be open, and what an operator forced stays forced. Counts start
    /// from 0. Circuits by key are not inherited.
    pub(crate) fn take_over(&self, former: &Self) {
        let (Cells::One(cell), Cells::One(former)) = (&self.cells, &former.cells) else { return };
        let circuit = match former.word().circuit {
            Circuit::Closed { .. } => return,
            // Its probes report to the former one: the next call is a probe.
            Circuit::HalfOpen { openings, .. } => Circuit::Open { until: OpenEnd::OVER, openings },
            other => other,
        };
        update(&cell.word, |word| (Word::unpack(word).next(circuit).pack(), ()));
        cell.last_failure.store(former.last_failure.load(Ordering::Relaxed), Ordering::Relaxed);
        let known = lock(&former.history);
        let mut history = lock(&cell.history);
        history.last = known.last;
        history.broken = known.broken;
        history.reason.clone_from(&known.reason);
        history.forced_until = known.forced_until;
    }

    /// Closes the circuit and forgets its state, since its mode is off or was off: what was recorded before says nothing
    /// about the dependency now. With `forced_too` also what an operator forced. Returns the change of state, where the
    /// instant is given.
    pub(crate) fn forget(&self, at: Option<Instant>, forced_too: bool) -> Option<Transition> {
        let mut last = None;
        self.each_cell(|cell| {
            let left = update(&cell.word, |word| {
                let word = Word::unpack(word);
                match word.circuit {
                    Circuit::Forced { .. } if !forced_too => (word.pack(), None),
                    circuit => (word.next(Circuit::CLOSED).pack(), Some(circuit.state())),
                }
            });
            let Some(from) = left else { return };
            cell.last_failure.store(0, Ordering::Relaxed);
            let change = |at| Transition { at, from, to: State::Closed, why: Why::SwitchedOff };
            let change = at.filter(|_| from != State::Closed).map(change);
            *lock(&cell.history) = History { last: change, ..History::default() };
            cell.link.iter().for_each(|link| link.forgot());
            last = change.or(last);
        });
        last
    }

    fn each_cell(&self, mut visit: impl FnMut(&Cell)) {
        if let Cells::Keyed(keyed) = &self.cells {
            keyed.by_key.all().iter().for_each(|(_, cell)| visit(cell));
        }
        visit(self.cells.shared());
    }

    fn change_all(
        &self,
        now: Instant,
        why: Why,
        change: impl Fn(Word) -> Word,
        forced: Option<(Arc<str>, Option<Instant>)>,
    ) -> Option<Transition> {
        let mut last = None;
        self.each_cell(|cell| {
            let (from, to) = update(&cell.word, |word| {
                let word = Word::unpack(word);
                let next = change(word);
                (next.pack(), (word.circuit.as_of(now).state(), next.circuit.state()))
            });
            cell.last_failure.store(0, Ordering::Relaxed);
            if from != to || forced.is_some() {
                last = Some(cell.note(Transition { at: now, from, to, why }));
                let (reason, until) = forced.clone().unzip();
                let mut history = lock(&cell.history);
                (history.reason, history.forced_until) = (reason, until.flatten());
            }
        });
        last
    }
}
