//! The stores of counts: one state for all calls, or one for each key.

use crate::{
    attributes::Key,
    keyed::Keyed,
    sync::{AtomicU64, Mutex, Ordering, lock, update},
    time::Instant,
};

/// A state that several threads share.
pub(super) trait Cell: Default {
    type Value: Clone + Default;
    /// Applies a transition, maybe several times, until it sticks.
    fn update<T>(&self, transition: impl FnMut(&mut Self::Value) -> T) -> T;
    fn read(&self) -> Self::Value;
}

impl Cell for AtomicU64 {
    type Value = u64;
    #[inline]
    fn update<T>(&self, mut transition: impl FnMut(&mut u64) -> T) -> T {
        update(self, |mut word| {
            let answer = transition(&mut word);
            (word, answer)
        })
    }
    fn read(&self) -> u64 {
        self.load(Ordering::Acquire)
    }
}

impl<S: Clone + Default> Cell for Mutex<S> {
    type Value = S;
    fn update<T>(&self, mut transition: impl FnMut(&mut S) -> T) -> T {
        transition(&mut lock(self))
    }
    fn read(&self) -> S {
        lock(self).clone()
    }
}

/// The state of a limiter: the one door to it.
#[derive(Debug)]
pub(super) enum State<C: Cell> {
    One(C),
    Keyed(Keyed<C::Value>),
}

impl<C: Cell> State<C> {
    /// An empty store: for all calls together, or for at most this many keys.
    pub(super) fn new(max_keys: Option<u32>) -> Self {
        max_keys.map_or_else(|| Self::One(C::default()), |most| Self::Keyed(Keyed::new(most)))
    }

    /// Applies a transition to the state of `key`. `idle_from` says from when on, in nanoseconds, a state is as good as a
    /// new one, and may be forgotten.
    #[inline]
    pub(super) fn update<T>(
        &self,
        key: Key,
        now: Instant,
        idle_from: impl Fn(&C::Value) -> u64,
        transition: impl FnMut(&mut C::Value) -> T,
    ) -> T {
        match self {
            Self::One(cell) => cell.update(transition),
            Self::Keyed(keyed) => keyed.update(key, now, C::Value::default, idle_from, transition),
        }
    }

    /// Changes the state of `key` where it has one.
    pub(super) fn change(&self, key: Key, change: impl FnMut(&mut C::Value)) {
        match self {
            Self::One(cell) => cell.update(change),
            Self::Keyed(keyed) => keyed.change(key, change),
        }
    }

    /// A copy of the state of `key`.
    pub(super) fn read(&self, key: Key) -> C::Value {
        match self {
            Self::One(cell) => cell.read(),
            Self::Keyed(keyed) => keyed.peek(key).unwrap_or_default(),
        }
    }

    /// The keys that have a state of their own, in no order.
    pub(super) fn each_key(&self) -> Vec<Key> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Keyed(keyed) => keyed.all().into_iter().map(|(key, _)| key).collect(),
        }
    }

    /// The number of keys that have a state; 0 if there is one for all calls.
    pub(super) fn keys(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Keyed(keyed) => keyed.len(),
        }
    }
}
