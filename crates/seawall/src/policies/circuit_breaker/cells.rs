//! One circuit with what it counted, and the bounded map of them where each key has its own.

use super::circuit::{Circuit, Word};
use crate::{
    attributes::Key,
    event::{State, Transition},
    policies::circuit_breaker::CircuitBreakerConfig,
    sync::{AtomicU64, Mutex, Ordering, lock},
    time::{Instant, is_due, nanos},
    window::{Ring, Window},
};
use std::{collections::HashMap, ops::Deref, sync::Arc, time::Duration};

/// One circuit: an atomic word, and a window where one is configured.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) word: AtomicU64,
    pub(super) window: Option<Ring>,
    /// When the last failure was recorded, in nanoseconds; 0 for never. For display only.
    pub(super) last_failure: AtomicU64,
    /// When it was last asked, in nanoseconds; kept only where cells are forgotten.
    last_used: AtomicU64,
    /// Written at changes of state, read by views; never on the path of a call.
    pub(super) history: Mutex<History>,
}

/// How a circuit came to be as it is.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) last: Option<Transition>,
    /// The change that ended the last closed time, while failed probes follow it.
    pub(super) broken: Option<Transition>,
    /// What the operator said who forced the state.
    pub(super) reason: Option<Arc<str>>,
    /// When that ends by itself: from then on it is in another state, whether or not a call came since.
    pub(super) forced_until: Option<Instant>,
}

impl Cell {
    pub(super) fn new(config: &CircuitBreakerConfig) -> Self {
        Self {
            word: AtomicU64::new(Word::CLOSED.pack()),
            window: config.window.as_ref().map(|window| Ring::new(window, config.bounds())),
            last_failure: AtomicU64::new(0),
            last_used: AtomicU64::new(0),
            history: Mutex::default(),
        }
    }

    #[inline]
    pub(super) fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    #[cold]
    pub(super) fn note(&self, change: Transition) -> Transition {
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

/// A circuit in use: one for all, or one that the map shares out.
#[derive(Debug)]
pub(super) enum CellRef<'a> {
    One(&'a Cell),
    Shared(Arc<Cell>),
}

impl Deref for CellRef<'_> {
    type Target = Cell;
    #[inline]
    fn deref(&self) -> &Cell {
        match self {
            Self::One(cell) => cell,
            Self::Shared(cell) => cell,
        }
    }
}

#[derive(Debug)]
pub(super) enum Cells {
    One(Cell),
    Keyed(Keyed),
}

impl Cells {
    pub(super) fn new(config: &CircuitBreakerConfig) -> Self {
        if config.keyed { Self::Keyed(Keyed::new(config)) } else { Self::One(Cell::new(config)) }
    }
}

/// Circuits by key. At the bound, those are forgotten that are closed and rest; where none is, further keys
/// share one circuit.
#[derive(Debug)]
pub(super) struct Keyed {
    shards: Box<[Mutex<Shard>]>,
    /// Keys a shard may hold.
    capacity: usize,
    overflow: Arc<Cell>,
    /// A closed circuit that was asked within this time still counts.
    rest: Duration,
}

#[derive(Debug, Default)]
struct Shard {
    cells: HashMap<Key, Arc<Cell>>,
    /// Looking for cells at rest before this instant, in nanoseconds, would be in vain.
    sweep_at: u64,
}

const SHARDS: usize = 16;
const LEAST_KEYS_A_SHARD: usize = 512;

impl Keyed {
    fn new(config: &CircuitBreakerConfig) -> Self {
        let most = config.max_keys as usize;
        let shards = (most / LEAST_KEYS_A_SHARD).clamp(1, SHARDS);
        let rest = match config.window {
            Some(Window::Time(length)) => length,
            _ => config.recovery_timeout,
        };
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            capacity: most.div_ceil(shards),
            overflow: Arc::new(Cell::new(config)),
            rest,
        }
    }

    /// The circuit of this key, new where it was not known.
    pub(super) fn cell(&self, key: Key, now: Instant, config: &CircuitBreakerConfig) -> Arc<Cell> {
        let mut shard = lock(self.shard(key));
        if !shard.cells.contains_key(&key) {
            if shard.cells.len() >= self.capacity {
                shard.forget(now, self.rest);
            }
            if shard.cells.len() >= self.capacity {
                return self.overflow.clone();
            }
            shard.cells.insert(key, Arc::new(Cell::new(config)));
        }
        let cell = &shard.cells[&key];
        cell.last_used.store(now.as_nanos(), Ordering::Relaxed);
        cell.clone()
    }

    /// The circuit of this key, if there is one.
    pub(super) fn find(&self, key: Key) -> Option<Arc<Cell>> {
        lock(self.shard(key)).cells.get(&key).cloned()
    }

    /// All keys with their circuits, in no order.
    pub(super) fn all(&self) -> Vec<(Key, Arc<Cell>)> {
        let pairs = |shard: &Mutex<Shard>| -> Vec<(Key, Arc<Cell>)> {
            lock(shard).cells.iter().map(|(key, cell)| (*key, cell.clone())).collect()
        };
        self.shards.iter().flat_map(pairs).collect()
    }

    pub(super) fn overflow(&self) -> &Arc<Cell> {
        &self.overflow
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[(key.hash() >> 32) as usize % self.shards.len()]
    }
}

impl Shard {
    /// Forgets circuits that are closed, held by no call, and not asked for a while.
    fn forget(&mut self, now: Instant, rest: Duration) {
        // Under a flood of keys it looks some times in that while, not at every call.
        let pause = rest / 16;
        if !is_due(now, self.sweep_at, nanos(pause)) {
            return;
        }
        let since = (now - rest).as_nanos();
        self.cells.retain(|_, cell| {
            let closed = matches!(cell.word().circuit, Circuit::Closed { .. });
            let mut used = cell.last_used.load(Ordering::Relaxed);
            if is_due(now, used, 0) && used > now.as_nanos() {
                // The clock was set back since: its rest begins now.
                used = now.as_nanos();
                cell.last_used.store(used, Ordering::Relaxed);
            }
            !closed || used >= since || Arc::strong_count(cell) > 1
        });
        self.sweep_at = (now + pause).as_nanos();
    }
}
