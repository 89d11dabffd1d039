//! A state for each key, bounded.
//!
//! A state is idle from an instant on: then the key is as good as never seen, so forgetting it loses
//! nothing. A shard that is full forgets such keys; when there is none, further keys share one state, so
//! that a flood of keys can neither use up memory nor slip past the limit.

use crate::{
    attributes::Key,
    sync::{Mutex, lock},
    time::{Instant, is_due},
};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Shards keep threads out of each other's way. Each is full by itself, so they must not be small: chance
/// would fill one long before the others.
const SHARDS: usize = 64;
const LEAST_KEYS_A_SHARD: usize = 512;

#[derive(Debug)]
pub(crate) struct Keyed<S> {
    shards: Box<[Mutex<Shard<S>>]>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Shard<S> {
    states: HashMap<Key, S, BuildHasherDefault<KeyIsHash>>,
    /// The state of all keys that found no place.
    overflow: S,
    /// No key can be idle before this instant, so looking for one would be in vain.
    sweep_at: u64,
    /// When one was last looked for.
    swept_at: u64,
}

impl<S: Default + Clone> Keyed<S> {
    pub(crate) fn new(max_keys: u32) -> Self {
        let shards = (max_keys as usize / LEAST_KEYS_A_SHARD).clamp(1, SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            capacity: (max_keys as usize).div_ceil(shards),
        }
    }

    /// Applies a transition to the key's state; a key never seen has the default one. `idle_from` says from
    /// when on, in nanoseconds, a state is as good as that.
    #[inline]
    pub(crate) fn update<T>(
        &self,
        key: Key,
        now: Instant,
        idle_from: impl Fn(&S) -> u64,
        transition: impl FnOnce(&mut S) -> T,
    ) -> T {
        let mut shard = lock(self.shard(key));
        if let Some(state) = shard.states.get_mut(&key) {
            return transition(state);
        }
        if shard.states.len() >= self.capacity {
            shard.forget_idle(now, &idle_from);
        }
        if shard.states.len() >= self.capacity {
            return transition(&mut shard.overflow);
        }
        let mut state = S::default();
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

    pub(crate) fn peek(&self, key: Key) -> S {
        let shard = lock(self.shard(key));
        match shard.states.get(&key) {
            Some(state) => state.clone(),
            None if shard.states.len() < self.capacity => S::default(),
            None => shard.overflow.clone(),
        }
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
    /// Forgets the keys that are idle. Under a flood of busy keys it looks only when one can have become idle.
    #[cold]
    fn forget_idle(&mut self, now: Instant, idle_from: &impl Fn(&S) -> u64) {
        let set_back = is_due(now, self.swept_at, 0) && now.as_nanos() < self.swept_at;
        if now.as_nanos() < self.sweep_at && !set_back {
            return;
        }
        self.swept_at = now.as_nanos();
        self.states.retain(|_, state| idle_from(state) > now.as_nanos());
        self.sweep_at = self.states.values().map(idle_from).min().unwrap_or(0);
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
