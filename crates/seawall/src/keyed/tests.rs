//! The bounded map against one that is not.

use super::*;
use crate::random::Random;
use std::collections::HashMap;

/// The key of a number, equal in each run, whatever the secret of the process is.
fn numbered(number: u64) -> Key {
    Key::from_hash(Random::new(number).bits())
}

/// Sets the key's word to `until` and says what it was.
fn put(keyed: &Keyed<u64>, key: Key, now: u64, until: u64) -> u64 {
    let swap = |word: &mut u64| std::mem::replace(word, until);
    keyed.update(key, Instant::from_nanos(now), u64::default, |word| *word, swap)
}

#[test]
fn below_its_bound_it_is_a_map_that_forgets_only_what_is_over() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let keyed = Keyed::new(100_000);
        let mut model: HashMap<Key, u64> = HashMap::new();
        let mut now = 1_000;
        for _ in 0..2_000 {
            now += random.below(20);
            let key = numbered(random.below(200));
            let until = now + random.below(300);
            let was = put(&keyed, key, now, until);
            let known = model.insert(key, until).unwrap_or(0);
            // A word that is over says as little as none.
            assert_eq!(was.max(now), known.max(now), "seed {seed}");
        }
    }
}

#[test]
fn a_million_keys_take_the_place_of_those_allowed() {
    let keyed = Keyed::new(1_000);
    for n in 0..1_000_000 {
        put(&keyed, numbered(n), 10, 1_000);
        if n % 100_000 == 0 {
            assert!(keyed.len() <= 1_024, "{}", keyed.len());
        }
    }
    assert!(keyed.len() >= 900, "{}", keyed.len());
    // When they are idle, new ones take their place.
    assert_eq!(put(&keyed, Key::of(7), 2_000, 3_000), 0);
    assert_eq!(put(&keyed, Key::of(7), 2_001, 3_001), 3_000);
}

#[test]
fn beyond_its_bound_keys_share_a_word_and_see_the_same() {
    let keyed = Keyed::new(1);
    assert_eq!(put(&keyed, Key::of(1), 10, 100), 0);
    assert_eq!(put(&keyed, Key::of(2), 10, 200), 0);
    assert_eq!(put(&keyed, Key::of(3), 10, 300), 200, "the third shares with the second");
    assert_eq!([1, 2, 4].map(|key| keyed.peek(Key::of(key))), [Some(100), Some(300), Some(300)]);
}

#[test]
fn a_key_that_took_nothing_takes_no_place() {
    let keyed = Keyed::<u64>::new(10);
    keyed.update(Key::of(1), Instant::from_nanos(10), u64::default, |word| *word, |_| ());
    assert_eq!(keyed.len(), 0);
}

#[test]
fn keys_share_a_word_only_where_the_map_is_nearly_full() {
    for bound in [1, 7, 100, 511, 512, 2_000, 30_000, 100_000] {
        let keyed = Keyed::new(bound);
        let fitting = u64::from(bound) * 9 / 10;
        for n in 0..fitting {
            assert_eq!(put(&keyed, numbered(n), 10, 1_000), 0, "key {n} of {bound}");
        }
        assert_eq!(keyed.len() as u64, fitting);
    }
}

#[test]
fn keys_made_of_small_numbers_spread_evenly_over_all_shards() {
    let keyed = Keyed::new(1_000_000);
    for number in 0..100_000_u64 {
        put(&keyed, Key::of(number), 10, 1_000);
    }
    let in_each: Vec<_> = keyed.shards.iter().map(|shard| lock(shard).states.len()).collect();
    assert_eq!(in_each.len(), SHARDS);
    // 1 562 each, give or take 39: eight times that is chance's once in many lifetimes.
    assert!(in_each.iter().all(|keys| (1_250..1_875).contains(keys)), "{in_each:?}");
}
