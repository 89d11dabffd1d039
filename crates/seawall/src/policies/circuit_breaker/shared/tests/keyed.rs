//! A circuit for each key, shared.

use super::*;

fn keyed() -> CircuitBreakerConfig {
    config().keyed(true)
}

fn key(n: u64) -> Key {
    Key::from_hash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Fleet {
    fn states_of(&self, now: Instant, key: Key) -> Vec<State> {
        self.instances.iter().map(|instance| instance.breaker().state_of(now, key)).collect()
    }
}

#[test]
fn each_key_has_its_own_circuit_everywhere() {
    let mut fleet = Fleet::new(2, &keyed());
    fleet.instances[0].call_of(at(0), key(1)).unwrap().failure(at(0));
    fleet.settle(at(0));
    assert_eq!(fleet.states_of(at(0), key(1)), [State::Open; 2]);
    assert_eq!(fleet.states_of(at(0), key(2)), [State::Closed; 2]);
    assert!(fleet.instances[1].call_of(at(1), key(2)).is_ok());
    // One that comes later learns of all that are open.
    fleet.instances[1].call_of(at(1), key(3)).unwrap().failure(at(1));
    fleet.settle(at(1));
    fleet.instances.push(Instance::new(2, keyed()));
    fleet.beat(at(2));
    for n in [1, 3] {
        assert_eq!(fleet.states_of(at(2), key(n)), [State::Open; 3]);
    }
    assert_eq!(fleet.instances[2].view(at(2)).keys.unwrap().not_closed, 2);
    // One probe for each key.
    fleet.beat(at(1_010));
    let calls = |fleet: &Fleet, now, key| -> Vec<Probe> {
        fleet.instances.iter().filter_map(|instance| instance.call_of(now, key).ok()).collect()
    };
    for n in [1, 3] {
        assert!(calls(&fleet, at(1_010), key(n)).is_empty());
    }
    fleet.settle(at(1_011));
    for n in [1, 3] {
        let mut probes = calls(&fleet, at(1_012), key(n));
        assert_eq!(probes.len(), 1);
        probes.remove(0).success(at(1_013));
    }
    fleet.settle(at(1_014));
    for n in [1, 3] {
        assert_eq!(fleet.states_of(at(1_014), key(n)), [State::Closed; 3]);
    }
}

#[test]
fn a_circuit_that_was_evicted_or_is_new_counts_as_knowing_what_the_breaker_knows() {
    let mut fleet = Fleet::new(2, &keyed().max_keys(1));
    let open = |fleet: &mut Fleet, now: u64, key: Key| {
        fleet.instances[0].call_of(at(now), key).unwrap().failure(at(now));
        fleet.settle(at(now));
        fleet.states_of(at(now), key)
    };
    assert_eq!(open(&mut fleet, 0, key(1)), [State::Open; 2]);
    fleet.instances[0].breaker().reset(at(1));
    fleet.settle(at(1));
    // The circuit of the first key gives way, and comes back; the store still has its last change.
    let later = 100_000;
    fleet.beat(at(later));
    drop(fleet.instances[0].call_of(at(later), key(2)));
    let later = 2 * later;
    fleet.beat(at(later));
    assert_eq!(open(&mut fleet, later, key(1))[0], State::Open);
    assert_eq!(fleet.store.records[&key(1).hash()].open.map(|open| open.1), Some(1));
}
