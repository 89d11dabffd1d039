//! The store is lost, forgets, or the connector falls silent.

use super::*;

#[test]
fn without_the_store_each_goes_on_alone_and_together_when_it_is_back() {
    let mut fleet = Fleet::new(3, &config());
    fleet.instances[0].fail(at(0));
    fleet.settle(at(0));
    for instance in &fleet.instances {
        assert!(!instance.circuits.is_degraded(at(1)));
        assert!(instance.circuits.lost(at(500)) && !instance.circuits.lost(at(501)));
        assert!(instance.circuits.is_degraded(at(501)));
        assert!(instance.view(at(501)).shared.unwrap().degraded);
        assert_eq!(instance.heard(|kind| matches!(kind, Kind::StoreLost { .. })), 1);
    }
    assert_eq!(fleet.states(at(501)), [State::Open; 3], "they keep what they know");
    let probes = fleet.calls(at(1_001));
    assert_eq!(probes.len(), 3, "each probes");
    for (n, probe) in probes {
        if n == 2 {
            probe.failure(at(1_002))
        } else {
            probe.success(at(1_002))
        };
    }
    let before = [State::Closed, State::Closed, State::Open];
    assert_eq!(fleet.states(at(1_002)), before);
    fleet.beat(at(1_500));
    // The first to come back closed it, since nobody held the right to probe.
    assert_eq!(fleet.states(at(1_500)), [State::Closed; 3]);
    assert_eq!(fleet.instances[0].heard(|kind| matches!(kind, Kind::StoreFound { .. })), 2);
}

#[test]
fn what_opened_while_the_store_was_lost_opens_all_when_it_is_back() {
    let mut fleet = Fleet::new(2, &config());
    fleet.instances.iter().for_each(|instance| _ = instance.circuits.lost(at(0)));
    fleet.instances[1].fail(at(100));
    fleet.beat(at(200));
    assert_eq!(fleet.states(at(200)), [State::Open; 2]);
    // Unless its time was over by then: it probes alone.
    let mut fleet = Fleet::new(2, &config());
    fleet.instances.iter().for_each(|instance| _ = instance.circuits.lost(at(0)));
    fleet.instances[1].fail(at(100));
    fleet.beat(at(1_200));
    assert_eq!(fleet.states(at(1_200)), [State::Closed, State::Open]);
    fleet.instances[1].call(at(1_201)).expect("it may probe").success(at(1_202));
    fleet.settle(at(1_203));
    assert_eq!(fleet.states(at(1_203)), [State::Closed; 2]);
}

#[test]
fn a_connector_that_falls_silent_holds_nobody_up() {
    let fleet = Fleet::expired(1);
    for now in 1_000..4_000 {
        assert!(fleet.calls(at(now)).is_empty(), "it may not probe at {now}");
    }
    assert_eq!(fleet.calls(at(4_000)).len(), 1);
    assert!(fleet.instances[0].circuits.is_degraded(at(4_000)));
}

#[test]
fn a_store_that_has_forgotten_learns_from_the_instances() {
    for own in [false, true] {
        let mut fleet = Fleet::new(2, &config());
        fleet.instances[0].fail(at(0));
        fleet.settle(at(0));
        // Another server took its place, which had not heard of the last changes.
        fleet.store = Store::default();
        if own {
            fleet.beat_of(0, at(100));
        } else {
            fleet.beat_of(1, at(100));
        }
        assert!(fleet.store.records[&0].open.is_some());
        fleet.beat(at(200));
        assert_eq!(fleet.states(at(200)), [State::Open; 2]);
        // An old state of it is no longer believed.
        let old = fleet.store.clone();
        fleet.instances[0].breaker().reset(at(300));
        fleet.settle(at(300));
        fleet.store = old;
        fleet.beat(at(400));
        fleet.beat(at(500));
        assert_eq!(fleet.states(at(500)), [State::Closed; 2]);
        assert!(fleet.store.records[&0].open.is_none());
    }
}

#[test]
fn one_that_starts_with_an_open_circuit_opens_those_who_know_nothing_and_follows_those_who_do() {
    let saved = {
        let fleet = Fleet::new(1, &config());
        fleet.instances[0].fail(at(0));
        fleet.instances[0].breaker().snapshot(at(0))
    };
    let restored = || {
        let instance = Instance::new(7, config());
        instance.breaker().restore(at(100), &saved, ms(100));
        assert_eq!(instance.state(at(100)), State::Open);
        instance
    };
    let mut fleet = Fleet::new(1, &config());
    fleet.instances.push(restored());
    fleet.beat_of(1, at(100));
    assert_eq!(fleet.states(at(100)), [State::Open; 2]);
    let mut fleet = Fleet::new(1, &config());
    fleet.instances[0].fail(at(0));
    fleet.settle(at(0));
    fleet.instances[0].breaker().reset(at(50));
    fleet.settle(at(50));
    fleet.instances.push(restored());
    fleet.beat_of(1, at(100));
    assert_eq!(fleet.states(at(100)), [State::Closed; 2], "it closed since");
}

#[test]
fn a_probe_of_one_that_was_cut_off_gives_way_to_that_of_the_others() {
    let mut fleet = Fleet::expired(2);
    fleet.instances[0].circuits.lost(at(1_000));
    let alone = fleet.instances[0].call(at(1_001)).expect("it is alone");
    assert!(fleet.instances[1].call(at(1_001)).is_err());
    let reports = fleet.instances[1].pending(at(1_002));
    fleet.exchange(1, at(1_002), &reports);
    let probe = fleet.instances[1].call(at(1_003)).expect("it holds the lease");
    fleet.settle(at(1_004));
    assert_eq!(fleet.states(at(1_005)), [State::Open, State::HalfOpen]);
    alone.success(at(1_006));
    fleet.settle(at(1_007));
    assert_eq!(fleet.states(at(1_007)), [State::Open, State::HalfOpen]);
    probe.success(at(1_008));
    fleet.settle(at(1_009));
    assert_eq!(fleet.states(at(1_009)), [State::Closed; 2]);
}
