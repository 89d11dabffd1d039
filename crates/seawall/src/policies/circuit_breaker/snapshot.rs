//! Circuits as plain data: what outlives a process, and how the next one restores it.

use super::{
    CircuitBreaker, CircuitBreakerConfig, CircuitView,
    cell::{Cell, Cells},
    circuit::{Circuit, Force, MOST_OPENINGS, Word},
    marks::OpenEnd,
};
use crate::{
    attributes::Key,
    event::{State, Transition, Why},
    sync::{lock, update},
    time::Instant,
};
use std::{cmp::Reverse, sync::Arc, time::Duration};

/// The most circuits of one keyed breaker that are in a snapshot: those that last longest.
const MOST_KEYS: usize = 1_000;

/// The state of a circuit that is not closed, as plain data. It holds lengths of time and no instants, so that it means the
/// same on another clock; whoever keeps it notes when it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CircuitSnapshot {
    /// The key that the circuit belongs to; none if the breaker has one circuit for all calls.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub key: Option<Key>,
    /// The state of the circuit; never [`State::Closed`] in a snapshot that a breaker made.
    pub state: State,
    /// How long the state still lasted: until an open circuit lets its first probe through, or until a forced state ends by
    /// itself. None for a half-open circuit, and for a forced state without an end.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::config::duration::option"))]
    pub left: Option<Duration>,
    /// How often the circuit had opened since it was last closed, up to 63. The next open time grows with it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub openings: u32,
    /// The reason of the operator who forced the state; none if nobody did.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub reason: Option<String>,
}

impl CircuitView {
    /// The viewed state as plain data; none for a closed circuit, which a new one equals.
    fn snapshot(&self, key: Option<Key>, now: Instant) -> Option<CircuitSnapshot> {
        let ends = self.next_probe_at.or_else(|| self.forced.as_ref()?.until);
        (self.state != State::Closed).then(|| CircuitSnapshot {
            key,
            state: self.state,
            left: ends.map(|at| at.since(now)),
            openings: self.openings,
            reason: self.forced.as_ref().map(|forced| forced.reason.to_string()),
        })
    }
}

impl CircuitSnapshot {
    /// How long the state lasts, for an order among snapshots.
    fn lasts(&self) -> Duration {
        let endless = if self.state.is_forced() { Duration::MAX } else { Duration::ZERO };
        self.left.unwrap_or(endless)
    }
}

impl Word {
    /// The word after a circuit took up a state that was saved `age` ago; none where it keeps its own. An open circuit is
    /// open for the time that was left, and never for longer than `config` would keep it open now. One that was half-open,
    /// or whose time is over, lets a probe through.
    fn restored(
        self,
        config: &CircuitBreakerConfig,
        now: Instant,
        saved: &CircuitSnapshot,
        age: Duration,
    ) -> Option<Self> {
        // What happened since the start is newer than what was saved.
        if !matches!(self.circuit.as_of(now), Circuit::Closed { .. }) {
            return None;
        }
        let left = saved.left.map(|left| left.saturating_sub(age));
        let is_over = left == Some(Duration::ZERO);
        let openings = saved.openings.clamp(1, MOST_OPENINGS);
        let forced = |force| Circuit::forced(force, now, left.map(|left| now + left));
        let circuit = match saved.state {
            State::Open if !is_over => {
                let left = left.unwrap_or_default().min(config.longest_open_time(openings));
                Circuit::Open { until: OpenEnd::at(now + left), openings }
            }
            State::ForcedOpen if !is_over => forced(Force::Open),
            State::Open | State::HalfOpen | State::ForcedOpen => {
                Circuit::Open { until: OpenEnd::OVER, openings }
            }
            State::ForcedClosed if !is_over => forced(Force::Closed),
            State::Disabled if !is_over => forced(Force::Disabled),
            State::Closed | State::ForcedClosed | State::Disabled => return None,
        };
        Some(self.next(circuit))
    }
}

impl Cell {
    fn restore(
        &self,
        config: &CircuitBreakerConfig,
        now: Instant,
        saved: &CircuitSnapshot,
        age: Duration,
    ) -> Option<Transition> {
        let (change, circuit) = update(&self.word, |word| {
            let word = Word::unpack(word);
            match word.restored(config, now, saved, age) {
                Some(next) => {
                    let change = word.transition(&next, now, Why::Restored);
                    (next.pack(), Some((change, next.circuit)))
                }
                None => (word.pack(), None),
            }
        })?;
        let change = self.note(change);
        if let Circuit::Forced { until, .. } = circuit {
            let mut history = lock(&self.history);
            history.reason = saved.reason.as_deref().map(Arc::from);
            history.forced_until = until.and(saved.left).map(|left| now + left.saturating_sub(age));
        }
        Some(change)
    }
}

impl CircuitBreaker {
    /// The circuits that are not closed, as plain data. Of a keyed breaker: those of its keys, the longest lasting first, up to
    /// a thousand; the circuit that keys without a place share is not among them.
    pub fn snapshot(&self, now: Instant) -> Vec<CircuitSnapshot> {
        if let Cells::One(cell) = &self.cells {
            return cell.view(now, &self.config).snapshot(None, now).into_iter().collect();
        }
        let views = self.views(now).into_iter();
        let mut all: Vec<_> =
            views.filter_map(|(key, view)| view.snapshot(Some(key), now)).collect();
        all.sort_by_key(|one| Reverse(one.lasts()));
        all.truncate(MOST_KEYS);
        all
    }

    /// Takes up the states of a snapshot that was taken `age` ago, wherever a circuit is closed; others know something newer
    /// and keep their state. A circuit is never open for longer than this breaker's configuration allows, whatever the
    /// snapshot says. Returns the last change of state, if there was one.
    ///
    /// Circuits of keys are found again only if the keys are equal in both processes ([`Key::from_hash`]; [`Key::of`] hashes
    /// with a secret of the process). Where the breaker has no place for a key, or was not keyed and is now, or the other way
    /// round, a circuit is left out.
    pub fn restore(
        &self,
        now: Instant,
        snapshot: &[CircuitSnapshot],
        age: Duration,
    ) -> Option<Transition> {
        let restore = |saved: &CircuitSnapshot| match (&self.cells, saved.key) {
            (Cells::One(cell), None) => cell.restore(&self.config, now, saved, age),
            (Cells::Keyed(keyed), Some(key)) => {
                let cell = keyed.cell(key, now, &self.config);
                let is_shared = Arc::ptr_eq(&cell, &keyed.overflow);
                (!is_shared).then(|| cell.restore(&self.config, now, saved, age))?
            }
            _ => None,
        };
        snapshot.iter().filter_map(restore).last()
    }
}
