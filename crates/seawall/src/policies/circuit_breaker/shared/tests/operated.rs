//! What an operator does on one instance, and what the others have of it.

use super::*;

#[test]
fn a_reset_closes_all() {
    let mut fleet = Fleet::new(3, &config());
    fleet.instances[0].fail(at(0));
    fleet.settle(at(0));
    fleet.instances[2].breaker().reset(at(100));
    fleet.settle(at(101));
    fleet.beat(at(200));
    assert_eq!(fleet.states(at(200)), [State::Closed; 3]);
    // Also while another probes.
    let mut fleet = Fleet::expired(2);
    fleet.calls(at(1_001));
    fleet.settle(at(1_001));
    let (_, probe) = fleet.calls(at(1_002)).remove(0);
    fleet.settle(at(1_003));
    fleet.instances[1].breaker().reset(at(1_004));
    fleet.settle(at(1_005));
    assert_eq!(fleet.states(at(1_005)), [State::Closed; 2]);
    probe.failure(at(1_006));
    fleet.settle(at(1_007));
    assert_eq!(fleet.states(at(1_007)), [State::Closed; 2], "that was before");
}

#[test]
fn what_is_forced_on_one_instance_is_its_own_and_it_joins_the_others_afterwards() {
    let mut fleet = Fleet::new(2, &config());
    fleet.instances[0].breaker().force(at(0), Force::Open, "a drill", None);
    fleet.settle(at(1));
    assert_eq!(fleet.states(at(1)), [State::ForcedOpen, State::Closed]);
    fleet.instances[1].fail(at(2));
    fleet.settle(at(3));
    fleet.beat(at(4));
    assert_eq!(fleet.states(at(4)), [State::ForcedOpen, State::Open]);
    fleet.instances[0].breaker().reset(at(5));
    fleet.settle(at(6));
    assert_eq!(fleet.states(at(6)), [State::Open; 2], "it let go, and the circuit of all is open");
    // Forced closed, it says nothing of its failures.
    let mut fleet = Fleet::new(2, &config());
    fleet.instances[0].breaker().force(at(0), Force::Closed, "a drill", Some(at(100)));
    fleet.instances[0].fail(at(1));
    fleet.beat(at(2));
    assert_eq!(fleet.states(at(2)), [State::ForcedClosed, State::Closed]);
    fleet.instances[1].fail(at(50));
    fleet.settle(at(50));
    assert_eq!(fleet.states(at(60)), [State::ForcedClosed, State::Open]);
    drop(fleet.instances[0].call(at(101)));
    fleet.settle(at(102));
    assert_eq!(fleet.states(at(102)), [State::Open; 2]);
}

#[test]
fn a_breaker_that_does_not_act_keeps_to_itself() {
    for mode in [Mode::Shadow, Mode::Off] {
        let mut fleet = Fleet::new(2, &config());
        fleet.instances[0].pipeline.set_mode("circuit_breaker", mode);
        if mode == Mode::Shadow {
            fleet.instances[0].fail(at(0));
        }
        fleet.settle(at(1));
        fleet.beat(at(2));
        assert_eq!(fleet.states(at(2))[1], State::Closed, "{mode:?}");
        assert_eq!(fleet.instances[0].view(at(2)).shared, None);
        fleet.instances[0].pipeline.set_mode("circuit_breaker", Mode::Off);
        fleet.instances[1].fail(at(3));
        fleet.settle(at(3));
        fleet.beat(at(4));
        assert_eq!(fleet.states(at(4)), [State::Closed, State::Open]);
        // Back again it learns what the others know.
        fleet.instances[0].pipeline.set_mode("circuit_breaker", Mode::Enforce);
        fleet.beat(at(5));
        assert_eq!(fleet.states(at(5)), [State::Open; 2], "{mode:?}");
    }
}

#[test]
fn two_breakers_of_one_name_in_one_process_are_two_instances() {
    let named = config().shared(SharedCircuit::default().name("payments".to_owned()));
    let policies = [named.clone().into(), named.into()];
    let pipeline = Pipeline::build("op", &policies).unwrap();
    let circuits = pipeline.shared_circuits();
    let names: Vec<_> = circuits.iter().map(|one| (one.name(), one.member())).collect();
    assert_eq!(names, [("payments", "0/op".into()), ("payments", "1/op".into())]);
    assert!(circuits[0].is_same(&pipeline.shared_circuits()[0]));
    assert!(!circuits[0].is_same(&circuits[1]));
}

#[test]
fn odd_settings_are_refused() {
    let wrong = |shared: SharedCircuit| {
        CircuitBreaker::new(breaker().shared(shared)).unwrap_err().problems.remove(0).path
    };
    let shared = SharedCircuit::default;
    assert_eq!(wrong(shared().name("a{b}".to_owned())), "shared.name");
    assert_eq!(wrong(shared().timeout(Duration::ZERO)), "shared.timeout");
    assert_eq!(wrong(shared().timeout(ms(3_000))), "shared.timeout");
    assert_eq!(wrong(shared().lease(ms(200)).timeout(ms(100))), "shared.lease");
}
