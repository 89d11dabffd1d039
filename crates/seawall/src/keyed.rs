//! One word of state for each key, bounded.
//!
//! A word is an instant in nanoseconds; when it has passed, the key is as good as never seen, so
//! forgetting it loses nothing. A shard that is full forgets such keys; when there is none, further
//! keys share one word, so that a flood of keys can neither use up memory nor slip past the limit.

use crate::{
    Instant,
    sync::{Mutex, lock},
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
pub(crate) struct Keyed {
    shards: Box<[Mutex<Shard>]>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Shard {
    words: HashMap<u64, u64, BuildHasherDefault<KeyIsHash>>,
    /// The word of all keys that found no place.
    overflow: u64,
    /// No key can be idle before this instant, so looking for one would be in vain.
    sweep_at: u64,
}

impl Keyed {
    pub(crate) fn new(max_keys: u32) -> Self {
        let shards = (max_keys as usize / LEAST_KEYS_A_SHARD).clamp(1, SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            capacity: (max_keys as usize).div_ceil(shards),
        }
    }

    /// Applies a transition to the key's word; a key never seen has 0.
    #[inline]
    pub(crate) fn update<T>(
        &self,
        key: u64,
        now: Instant,
        transition: impl FnOnce(u64) -> (u64, T),
    ) -> T {
        let mut shard = lock(self.shard(key));
        if let Some(word) = shard.words.get_mut(&key) {
            let (new, answer) = transition(*word);
            *word = new;
            return answer;
        }
        if shard.words.len() >= self.capacity {
            shard.forget_idle(now);
        }
        if shard.words.len() >= self.capacity {
            let (new, answer) = transition(shard.overflow);
            shard.overflow = new;
            return answer;
        }
        let (new, answer) = transition(0);
        if new > now.as_nanos() {
            shard.words.insert(key, new);
        }
        answer
    }

    pub(crate) fn peek(&self, key: u64) -> u64 {
        let shard = lock(self.shard(key));
        match shard.words.get(&key) {
            Some(word) => *word,
            None if shard.words.len() < self.capacity => 0,
            None => shard.overflow,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).words.len()).sum()
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        // The map inside uses the low bits and the top seven; the shard takes others.
        &self.shards[(key >> 32) as usize % self.shards.len()]
    }
}

impl Shard {
    /// Forgets the keys whose instant has passed. Under a flood of busy keys it looks only when one
    /// can have become idle.
    fn forget_idle(&mut self, now: Instant) {
        if now.as_nanos() < self.sweep_at {
            return;
        }
        self.words.retain(|_, word| *word > now.as_nanos());
        self.sweep_at = self.words.values().copied().min().unwrap_or(0);
    }
}

/// Keys are hashes already, made by the driver with a secret of its own.
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
