//! One circuit with what it counted; and where each key has its own, all of them.

use super::{
    circuit::{Circuit, Word},
    shared::{Link, Sharing},
};
use crate::{
    attributes::Key,
    event::{State, Transition},
    keyed::Keyed,
    policies::circuit_breaker::CircuitBreakerConfig,
    sync::{AtomicU64, Mutex, Ordering, lock},
    time::{Instant, is_due},
    window::{Ring, Window},
};
use std::{sync::Arc, time::Duration};

/// One circuit: an atomic word, and a window where one is configured.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) word: AtomicU64,
    pub(super) window: Option<Ring>,
    /// When the last failure was recorded, in nanoseconds; 0 for never. For display only.
    pub(super) last_failure: AtomicU64,
    /// When the circuit was last asked, in nanoseconds; kept only if cells can be evicted.
    last_used: AtomicU64,
    /// Written at changes of state, read by views; never on the path of a call.
    pub(super) history: Mutex<History>,
    /// What ties it to the circuit of other instances, where it is shared.
    pub(super) link: Option<Box<Link>>,
}

/// The history of a circuit: the causes of its present state.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) last: Option<Transition>,
    /// The change that ended the last closed time, while failed probes follow it.
    pub(super) broken: Option<Transition>,
    /// The reason of the operator who forced the state.
    pub(super) reason: Option<Arc<str>>,
    /// When the forced state ends by itself: from then on the circuit is in another state, whether or not a call came
    /// since.
    pub(super) forced_until: Option<Instant>,
}

impl Cell {
    pub(super) fn new(config: &CircuitBreakerConfig, link: Option<Box<Link>>) -> Self {
        Self {
            word: AtomicU64::new(Word::CLOSED.pack()),
            window: config.window.as_ref().map(|window| Ring::new(window, config.bounds())),
            last_failure: AtomicU64::new(0),
            last_used: AtomicU64::new(0),
            history: Mutex::default(),
            link,
        }
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    /// Whether a call may begin to probe: of a shared circuit one instance probes for all.
    #[inline]
    pub(super) fn may_probe(&self, now: Instant) -> bool {
        self.link.as_ref().is_none_or(|link| link.may_probe(now))
    }

    /// Notes a change that calls or an operator made.
    #[cold]
    pub(super) fn note(&self, change: Transition) -> Transition {
        self.remember(change);
        if let Some(link) = &self.link {
            link.changed(&change);
        }
        change
    }

    /// Keeps a change for views.
    pub(super) fn remember(&self, change: Transition) -> Transition {
        let mut history = lock(&self.history);
        history.last = Some(change);
        history.broken = match change.to {
            State::Open | State::HalfOpen => history.broken.or(Some(change)),
            _ => None,
        };
        if !change.to.is_forced() {
            history.reason = None;
        }
        change
    }
}

/// The circuits of one breaker: one for all calls, or one for each key.
#[derive(Debug)]
pub(super) enum Cells {
    One(Cell),
    Keyed(KeyedCells),
}

impl Cells {
    pub(super) fn new(config: &CircuitBreakerConfig, sharing: Option<&Arc<Sharing>>) -> Self {
        if config.keyed {
            Self::Keyed(KeyedCells::new(config, sharing.cloned()))
        } else {
            let link = sharing.map(|sharing| Link::new(sharing.clone(), Key::NONE).into());
            Self::One(Cell::new(config, link))
        }
    }

    /// The circuit of this key, new where it was not known; none where all calls share one.
    #[inline]
    pub(super) fn own(
        &self,
        key: Key,
        now: Instant,
        config: &CircuitBreakerConfig,
    ) -> Option<Arc<Cell>> {
        match self {
            Self::One(_) => None,
            Self::Keyed(keyed) => Some(keyed.cell(key, now, config)),
        }
    }

    /// The circuit that calls share which have none of their own.
    #[inline]
    pub(super) fn shared(&self) -> &Cell {
        match self {
            Self::One(cell) => cell,
            Self::Keyed(keyed) => &keyed.overflow,
        }
    }
}

/// Circuits by key. At the bound, those are evicted that are closed, held by no call, and not asked for a while; where there
/// is none, further keys share one circuit.
#[derive(Debug)]
pub(super) struct KeyedCells {
    pub(super) by_key: Keyed<Arc<Cell>>,
    pub(super) overflow: Arc<Cell>,
    /// A closed circuit that was asked within this time still counts.
    rest: Duration,
    sharing: Option<Arc<Sharing>>,
}

impl KeyedCells {
    fn new(config: &CircuitBreakerConfig, sharing: Option<Arc<Sharing>>) -> Self {
        // No other instance has the keys that found no place here.
        let overflow = Arc::new(Cell::new(config, None));
        let rest = match config.window {
            Some(Window::Time(length)) => length,
            _ => config.recovery_timeout,
        };
        // Under a flood of keys it looks some times in that while, not at every call.
        let by_key = Keyed::with_overflow(config.max_keys, &overflow, rest / 16);
        Self { by_key, overflow, rest, sharing }
    }

    pub(super) fn cell(&self, key: Key, now: Instant, config: &CircuitBreakerConfig) -> Arc<Cell> {
        let link = || Some(Link::new(self.sharing.clone()?, key).into());
        let fresh = || Arc::new(Cell::new(config, link()));
        self.by_key.update(
            key,
            now,
            fresh,
            |cell| self.idle_from(cell, now),
            |cell| {
                cell.last_used.store(now.as_nanos(), Ordering::Relaxed);
                cell.clone()
            },
        )
    }

    fn idle_from(&self, cell: &Arc<Cell>, now: Instant) -> u64 {
        let mut used = Instant::from_nanos(cell.last_used.load(Ordering::Relaxed));
        if is_due(now, used.as_nanos(), 0) && used > now {
            // The clock was set back since: its rest begins now.
            used = now;
            cell.last_used.store(used.as_nanos(), Ordering::Relaxed);
        }
        let closed = matches!(cell.word().circuit, Circuit::Closed { .. });
        let held = Arc::strong_count(cell) > 1;
        // A circuit that is held or not closed may be idle later, so it is looked at again.
        (if closed && !held { used } else { used.max(now) } + self.rest)
            .as_nanos()
            .saturating_add(1)
    }
}
