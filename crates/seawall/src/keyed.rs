//! A state for each key, bounded.
//!
//! A state expires: from `idle_from` on it says no more than a new one, so evicting it is lossless. A shard that is full
//! evicts such keys; where there is none, further keys share one state, so that a flood of keys can neither use up memory
//! nor slip past the limit.

use crate::{
    attributes::Key,
    sync::{Mutex, lock},
    time::{Instant, is_due, nanos},
};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    time::Duration,
};

/// Shards keep threads out of each other's way. Each is full by itself, so they must not be small: chance
/// would fill one long before the others.
const SHARDS: usize = 64;
const LEAST_KEYS_A_SHARD: usize = 512;

#[derive(Debug)]
pub(crate) struct Keyed<S> {
    shards: Box<[Mutex<Shard<S>>]>,
    /// Keys that a shard may hold.
    capacity: usize,
    /// Idle keys are looked for at most this often, in nanoseconds.
    pause: u64,
}

#[derive(Debug)]
struct Shard<S> {
    states: HashMap<Key, S, BuildHasherDefault<KeyIsHash>>,
    /// The state of all keys that found no place.
    overflow: S,
    /// No key can be idle before this instant, so looking for one would be in vain.
    sweep_at: u64,
    /// When an expired state was last looked for.
    swept_at: u64,
}

impl<S: Default + Clone> Keyed<S> {
    /// A map of at most about this many keys, in which a key that was never seen has the default state.
    pub(crate) fn new(max_keys: u32) -> Self {
        Self::with_overflow(max_keys, &S::default(), Duration::ZERO)
    }
}

impl<S: Clone> Keyed<S> {
    /// A map of at most about this many keys; those that find no place share clones of `overflow`. A full map looks
    /// for idle keys once in each `pause` at most.
    pub(crate) fn with_overflow(max_keys: u32, overflow: &S, pause: Duration) -> Self {
        let shards = (max_keys as usize / LEAST_KEYS_A_SHARD).clamp(1, SHARDS);
        let shard = || {
            Mutex::new(Shard {
                states: HashMap::default(),
                overflow: overflow.clone(),
                sweep_at: 0,
                swept_at: 0,
            })
        };
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            capacity: (max_keys as usize).div_ceil(shards),
            pause: nanos(pause),
        }
    }

    /// Applies a transition to the key's state; a key never seen has a `fresh` one. `idle_from` says from when on, in
    /// nanoseconds, a state is as good as that.
    #[inline]
    pub(crate) fn update<T>(
        &self,
        key: Key,
        now: Instant,
        fresh: impl FnOnce() -> S,
        idle_from: impl Fn(&S) -> u64,
        transition: impl FnOnce(&mut S) -> T,
    ) -> T {
        let mut shard = lock(self.shard(key));
        if let Some(state) = shard.states.get_mut(&key) {
            return transition(state);
        }
        if shard.states.len() >= self.capacity {
            shard.evict_idle(now, self.pause, &idle_from);
        }
        if shard.states.len() >= self.capacity {
            return transition(&mut shard.overflow);
        }
        let mut state = fresh();
        let answer = transition(&mut state);
        if idle_from(&state) > now.as_nanos() {
            shard.states.insert(key, state);
        }
        answer
    }

    /// Changes the state that the key has, its own or the shared one.
    pub(crate) fn change(&self, key: Key, change: impl FnOnce(&mut S)) {
        let mut shard = lock(self.shard(key));
        let shard = &mut *shard;
        change(shard.states.get_mut(&key).unwrap_or(&mut shard.overflow));
    }

    /// The state of this key, if it has one of its own.
    pub(crate) fn find(&self, key: Key) -> Option<S> {
        lock(self.shard(key)).states.get(&key).cloned()
    }

    /// The state that the next call of this key meets: its own, the shared one where there is no place, or none as yet.
    pub(crate) fn peek(&self, key: Key) -> Option<S> {
        let shard = lock(self.shard(key));
        let full = || (shard.states.len() >= self.capacity).then_some(&shard.overflow);
        shard.states.get(&key).or_else(full).cloned()
    }

    /// All keys with their states, in no order.
    pub(crate) fn all(&self) -> Vec<(Key, S)> {
        let pairs = |shard: &Mutex<Shard<S>>| -> Vec<(Key, S)> {
            lock(shard).states.iter().map(|(key, state)| (*key, state.clone())).collect()
        };
        self.shards.iter().flat_map(pairs).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).states.len()).sum()
    }

    fn shard(&self, key: Key) -> &Mutex<Shard<S>> {
        // The map inside uses the low bits and the top seven; the shard takes others.
        &self.shards[(key.hash() >> 32) as usize % self.shards.len()]
    }
}

impl<S> Shard<S> {
    /// Evicts the keys that are idle. Under a flood of busy keys it looks only when one can have become idle.
    #[cold]
    fn evict_idle(&mut self, now: Instant, pause: u64, idle_from: &impl Fn(&S) -> u64) {
        let set_back = is_due(now, self.swept_at, 0) && now.as_nanos() < self.swept_at;
        if now.as_nanos() < self.sweep_at && !set_back {
            return;
        }
        self.swept_at = now.as_nanos();
        self.states.retain(|_, state| idle_from(state) > now.as_nanos());
        let earliest = self.states.values().map(idle_from).min().unwrap_or(0);
        self.sweep_at = earliest.max(now.as_nanos().saturating_add(pause));
    }
}

/// Hashes nothing: a [`Key`] is a hash already.
#[derive(Debug, Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests;
