//! Changes of several operations: whole, or not at all.

use super::super::MAX_OPERATIONS;
use super::*;
use crate::{
    event::State,
    policies::{circuit_breaker::CircuitBreakerConfig, retry::RetryConfig, timeout::TimeoutConfig},
    timer::DefaultTimer,
};
use std::time::Duration;

fn timeout(seconds: u64) -> PolicyConfig {
    let limit = Duration::from_secs(seconds);
    PolicyConfig::Timeout(TimeoutConfig { limit, ..TimeoutConfig::default() })
}

fn names(registry: &Registry) -> Vec<String> {
    registry.operations().iter().map(|one| one.name().to_string()).collect()
}

#[test]
fn nothing_changes_before_the_commit_and_everything_with_it() {
    let registry = Registry::default();
    let old = registry.register("old", vec![timeout(1)]).unwrap();
    let gone = registry.register("gone", vec![]).unwrap();
    let mut change = registry.change();
    change.set("old", vec![timeout(2)], Some(&[timeout(1)])).unwrap();
    let new = change.set("new", vec![timeout(3)], None).unwrap();
    change.remove("gone");
    assert_eq!(
        (names(&registry), old.policies()),
        (vec!["gone".into(), "old".into()], vec![timeout(1)])
    );
    change.commit().unwrap();
    assert_eq!(
        (names(&registry), old.policies()),
        (vec!["new".into(), "old".into()], vec![timeout(2)])
    );
    assert_eq!(registry.find("new").unwrap().policies(), new.policies());
    assert_eq!(gone.name().to_string(), "gone", "a handle goes on working");
}

#[test]
fn a_registry_without_room_stays_as_it_was() {
    let registry = Registry::default();
    let old = registry.register("old", vec![timeout(1)]).unwrap();
    (1..MAX_OPERATIONS).for_each(|n| drop(registry.register(&n.to_string(), vec![]).unwrap()));
    let mut change = registry.change();
    change.set("old", vec![timeout(2)], None).unwrap();
    change.set("one", vec![], None).unwrap();
    change.set("two", vec![], None).unwrap();
    change.remove("1");
    assert_eq!(change.commit(), Err(RegistryError::Full));
    assert_eq!(old.policies(), [timeout(1)]);
    assert!(registry.find("1").is_some() && registry.find("one").is_none());
    let mut change = registry.change();
    change.set("one", vec![], None).unwrap();
    change.remove("1");
    assert_eq!(change.commit(), Ok(()), "who leaves makes room");
    assert_eq!(names(&registry).len(), MAX_OPERATIONS);
}

#[test]
fn a_name_that_was_taken_meanwhile_stops_all_of_it() {
    let registry = Registry::default();
    let old = registry.register("old", vec![timeout(1)]).unwrap();
    let mut change = registry.change();
    change.set("old", vec![timeout(2)], None).unwrap();
    change.set("new", vec![], None).unwrap();
    registry.register("new", vec![timeout(9)]).unwrap();
    assert_eq!(change.commit(), Err(RegistryError::Duplicate("new".into())));
    assert_eq!(old.policies(), [timeout(1)]);
}

#[test]
fn invalid_policies_and_names_are_refused_before_the_commit() {
    let registry = Registry::default();
    let mut change = registry.change();
    let none = PolicyConfig::Retry(RetryConfig { max_attempts: 0, ..RetryConfig::default() });
    assert!(matches!(change.set("a", vec![none], None), Err(RegistryError::Config(_))));
    assert!(matches!(change.set("", vec![], None), Err(RegistryError::InvalidName(_))));
    change.commit().unwrap();
    assert!(names(&registry).is_empty());
}

#[test]
fn modes_switched_by_hand_stay_also_when_it_is_between_plan_and_commit() {
    let registry = Registry::default();
    let operation = registry.register("a", vec![timeout(1)]).unwrap();
    let mut change = registry.change();
    change.set("a", vec![timeout(2)], Some(&[timeout(1)])).unwrap();
    operation.set_mode("timeout", Mode::Shadow);
    change.commit().unwrap();
    assert_eq!(operation.policies(), [timeout(2).with_mode(Mode::Shadow)]);
    let mut change = registry.change();
    change.set("a", vec![timeout(3)], None).unwrap();
    change.commit().unwrap();
    assert_eq!(operation.policies(), [timeout(3)], "without a before the configuration decides");
}

#[test]
fn the_brake_holds_for_operations_that_come_with_a_change() {
    let registry = Registry::default();
    let mut change = registry.change();
    let operation: Operation<DefaultTimer> = change.set("a", vec![], None).unwrap();
    registry.pause_repeats(true);
    change.commit().unwrap();
    assert!(operation.pipeline().repeats_are_paused());
}

#[test]
fn a_mode_switched_by_hand_stays_and_so_does_what_the_circuit_knows() {
    let breaker = |threshold: u32, mode: Mode| {
        let config = CircuitBreakerConfig {
            failure_threshold: Some(threshold),
            mode,
            ..CircuitBreakerConfig::default()
        };
        vec![PolicyConfig::CircuitBreaker(config)]
    };
    let registry = Registry::default();
    let operation = registry.register("one", breaker(1, Mode::Off)).unwrap();
    operation.set_mode("circuit_breaker", Mode::Enforce);
    operation.run(|_| Err::<(), _>(())).blocking().unwrap_err();
    assert!(operation.circuit().unwrap().refuses());
    let with_timeout = |mut policies: Vec<PolicyConfig>| {
        policies.push(timeout(1));
        policies
    };
    // The file says off, an operator said otherwise: what changes beside it closes nothing.
    let mut change = registry.change();
    let next = with_timeout(breaker(1, Mode::Off));
    change.set("one", next.clone(), Some(&breaker(1, Mode::Off))).unwrap();
    assert!(operation.circuit().unwrap().refuses(), "nothing changes before the commit");
    change.commit().unwrap();
    assert!(operation.circuit().unwrap().refuses());
    // Switched off by the file, it forgets, and only with the commit.
    let mut change = registry.change();
    change.set("one", breaker(1, Mode::Enforce), Some(&next)).unwrap();
    change.commit().unwrap();
    let mut change = registry.change();
    change.set("one", breaker(1, Mode::Off), Some(&breaker(1, Mode::Enforce))).unwrap();
    assert!(operation.circuit().unwrap().refuses());
    change.commit().unwrap();
    let circuit = operation.circuit().unwrap();
    assert_eq!((circuit.state, circuit.mode), (State::Closed, Mode::Off));
}
