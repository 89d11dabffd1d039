//! Permits that leave the caller's thread: with one circuit for all, and with one for each key.

use super::*;

fn breakers(config: &CircuitBreakerConfig) -> [Arc<CircuitBreaker>; 2] {
    [false, true].map(|keyed| {
        let config = CircuitBreakerConfig { keyed, ..config.clone() };
        Arc::new(CircuitBreaker::new(config).unwrap())
    })
}

fn at(milliseconds: u64) -> Instant {
    Instant::from_millis(1_000_000 + milliseconds)
}

fn tenant() -> Key {
    Key::of("tenant")
}

fn acquire(breaker: &Arc<CircuitBreaker>, milliseconds: u64) -> Result<Permit, Rejection> {
    breaker.try_acquire_owned(at(milliseconds), tenant())
}

/// Circuits that have just opened, by a call that another thread made.
fn opened() -> [Arc<CircuitBreaker>; 2] {
    let breakers = breakers(&CircuitBreakerConfig { failure_threshold: Some(1), ..three() });
    for breaker in &breakers {
        let permit = acquire(breaker, 0).unwrap();
        let change = std::thread::spawn(move || permit.failure(at(0))).join().unwrap();
        assert_eq!(change.map(|change| change.to), Some(State::Open));
        assert_eq!(breaker.state_of(at(0), tenant()), State::Open);
        assert_eq!(acquire(breaker, 1).unwrap_err().reason, Reason::CircuitOpen);
    }
    breakers
}

#[test]
fn a_failure_recorded_on_another_thread_opens_the_circuit_of_its_key() {
    let [_, keyed] = opened();
    assert!(keyed.try_acquire_owned(at(1), Key::of("another")).is_ok());
}

#[test]
fn a_permit_outlives_every_other_handle_on_its_breaker() {
    for breaker in breakers(&three()) {
        let left = Arc::downgrade(&breaker);
        let permit = acquire(&breaker, 0).unwrap();
        drop(breaker);
        assert_eq!(left.strong_count(), 1);
        assert_eq!(permit.failure(at(1)), None);
        assert_eq!(left.strong_count(), 0);
    }
}

#[test]
fn a_probe_whose_thread_panics_gives_its_place_to_another() {
    for breaker in opened() {
        let probe = acquire(&breaker, 10_001).unwrap();
        assert_eq!(probe.transition.map(|change| change.to), Some(State::HalfOpen));
        assert_eq!(acquire(&breaker, 10_002).unwrap_err().reason, Reason::ProbesTaken);
        let ended = std::thread::spawn(move || {
            let _probe = probe;
            std::panic::resume_unwind(Box::new("the call panics"));
        });
        assert!(ended.join().is_err());
        let probe = acquire(&breaker, 10_003).unwrap();
        let change = probe.success(at(10_004)).unwrap();
        assert_eq!((change.from, change.to), (State::HalfOpen, State::Closed));
    }
}

#[test]
fn a_late_report_changes_no_newer_state() {
    let config = CircuitBreakerConfig { failure_threshold: Some(1), ..three() };
    for breaker in breakers(&config) {
        let (fails, is_dropped) = (acquire(&breaker, 0).unwrap(), acquire(&breaker, 0).unwrap());
        breaker.force(at(1), Force::Open, "moved", None);
        breaker.reset(at(2));
        let change = std::thread::spawn(move || {
            drop(is_dropped);
            fails.failure(at(3))
        });
        assert_eq!(change.join().unwrap(), None);
        assert_eq!(breaker.state_of(at(3), tenant()), State::Closed);
        // One of the state that is in force opens it as ever.
        assert!(acquire(&breaker, 4).unwrap().failure(at(4)).is_some());
    }
}

#[test]
fn a_key_with_a_permit_out_is_not_evicted() {
    let config = CircuitBreakerConfig { max_keys: 1, failure_threshold: Some(1), ..three() };
    let [_, keyed] = breakers(&config);
    let permit = acquire(&keyed, 0).unwrap();
    for key in 0..10_u64 {
        drop(keyed.try_acquire_owned(at(1_000_000), Key::of(key)));
    }
    permit.failure(at(1_000_001));
    assert_eq!(keyed.state_of(at(1_000_001), tenant()), State::Open);
}
