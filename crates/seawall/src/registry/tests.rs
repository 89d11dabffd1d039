//! Operations by name, and what is counted of them.

use super::*;
use crate::{
    backoff::{Backoff, Jitter},
    error::Error,
    event::{Event, Kind, Why},
    policies::{
        Policy, PolicyConfig,
        circuit_breaker::{CircuitBreakerConfig, Force},
        fallback::FallbackConfig,
        retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use std::{cell::Cell, future::ready, sync::Mutex, time::Duration};

fn run<F: IntoFuture>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future.into_future())
}

fn retry() -> PolicyConfig {
    let backoff = Backoff {
        base_delay: Duration::from_millis(1),
        jitter: Jitter::None,
        ..Backoff::default()
    };
    PolicyConfig::Retry(RetryConfig { max_attempts: 3, backoff, ..RetryConfig::default() })
}

fn breaker() -> PolicyConfig {
    let config = CircuitBreakerConfig { failure_threshold: Some(1), ..Default::default() };
    PolicyConfig::CircuitBreaker(config)
}

#[test]
fn a_call_is_counted() {
    let registry = Registry::default();
    let operation = registry.operation("answer").unwrap();
    assert_eq!(run(operation.call(async || Ok::<_, ()>(42))), Ok(42));
    let counts = operation.counts();
    assert_eq!((counts.total_calls, counts.successful_calls, counts.in_flight), (1, 1, 0));
}

#[test]
fn retries_are_counted_and_the_error_surfaces() {
    let registry = Registry::default();
    let operation = registry.register("retried", vec![retry()]).unwrap();
    let calls = Cell::new(0);
    let call = |good_from: u32| {
        calls.set(0);
        run(operation.call(|| {
            calls.set(calls.get() + 1);
            ready(if calls.get() >= good_from { Ok(calls.get()) } else { Err("not yet") })
        }))
    };
    assert_eq!(call(3), Ok(3));
    assert_eq!(operation.counts().retries_executed, 2);
    assert_eq!(call(99), Err(Error::Inner("not yet")));
    let counts = operation.counts();
    assert_eq!((calls.get(), counts.failed_calls, counts.retries_executed), (3, 1, 4));
}

#[test]
fn a_timeout_names_the_operation_and_its_limit() {
    let limit = Duration::from_millis(20);
    let policies = vec![PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() })];
    let operation = Registry::default().register("slow", policies).unwrap();
    let answer = run(operation.call(std::future::pending::<Result<(), ()>>));
    let Err(Error::TimedOut(elapsed)) = answer else { panic!("{answer:?}") };
    assert_eq!((&*elapsed.operation, elapsed.limit), ("slow", limit));
    assert_eq!((operation.counts().timeouts, operation.counts().timed_out_calls), (1, 1));
}

#[test]
fn a_fallback_is_called_with_the_error() {
    let policies = vec![PolicyConfig::Fallback(FallbackConfig::default()), breaker()];
    let operation = Registry::default().register("falls back", policies).unwrap();
    let call = || {
        let stand_in = |error: Error<&str>| ready(Ok(format!("instead of: {error:?}")));
        run(operation.run(|_| ready(Err("down"))).fallback(stand_in))
    };
    assert_eq!(call().unwrap(), "instead of: Inner(\"down\")");
    assert!(call().unwrap().contains("CircuitOpen"));
    assert_eq!(operation.counts().fallbacks, 2);
}

#[test]
fn plain_functions_are_called_on_this_thread() {
    let operation = Registry::default().register("plain", vec![retry()]).unwrap();
    let here = std::thread::current().id();
    let mut calls = 0;
    let answer = operation
        .run(|_| {
            assert_eq!(std::thread::current().id(), here);
            calls += 1;
            if calls < 3 { Err("not yet") } else { Ok(calls) }
        })
        .blocking();
    assert_eq!(answer, Ok(3));
    assert_eq!(operation.counts().attempts, 3);
}

#[test]
fn handles_of_one_name_share_their_state() {
    let registry = Registry::default();
    registry.register("shared", vec![breaker()]).unwrap();
    let one = registry.operation("shared").unwrap();
    assert!(run(one.call(async || Err::<(), _>("down"))).is_err());
    let other = registry.clone().find("shared").unwrap();
    assert!(run(other.call(async || Ok::<_, ()>(()))).unwrap_err().is_rejected());
    assert_eq!(one.counts(), other.counts());
    assert_eq!(registry.operations().len(), 1);
}

#[test]
fn threads_that_ask_for_one_name_get_one_operation() {
    let registry = Registry::default();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let operation = registry.operation("one").unwrap();
                operation.run(|_| Ok::<_, ()>(())).blocking().unwrap();
            });
        }
    });
    assert_eq!(registry.find("one").unwrap().counts().total_calls, 8);
}

#[test]
fn names_are_bounded_and_unique() {
    let registry = Registry::default();
    for wrong in ["", "line\nbreak", "\u{7f}", &"x".repeat(201)] {
        let told = registry.operation(wrong).unwrap_err();
        assert!(matches!(told, RegistryError::InvalidName(_)), "{told}");
    }
    registry.operation(&"ü".repeat(200)).unwrap();
    registry.register("twice", Vec::new()).unwrap();
    let told = registry.register("twice", Vec::new()).unwrap_err();
    assert_eq!(told, RegistryError::Duplicate("twice".into()));
    let told = Registry::builder().preset("prod").err().unwrap();
    assert_eq!(told, RegistryError::UnknownPreset("prod".into()));
    let told = told.to_string();
    assert!(
        told.contains("\"prod\"") && told.contains("simple, development, production"),
        "{told}"
    );
    let wrong =
        PolicyConfig::Timeout(TimeoutConfig { limit: Duration::ZERO, ..Default::default() });
    let told = registry.register("wrong", vec![retry(), wrong]).unwrap_err().to_string();
    assert!(told.starts_with("policies[1].limit: "), "{told}");
}

#[test]
fn there_are_only_so_many() {
    let registry = Registry::default();
    for n in 0..MAX_OPERATIONS {
        registry.register(&n.to_string(), Vec::new()).unwrap();
    }
    assert_eq!(registry.operation("one more").unwrap_err(), RegistryError::Full);
    assert!(registry.operation("77").is_ok(), "what is there stays there");
}

#[test]
fn health_names_the_circuits_that_are_not_closed() {
    let registry = Registry::default();
    for name in ["good", "bad"] {
        registry.register(name, vec![breaker()]).unwrap();
    }
    registry.register("without", Vec::new()).unwrap();
    assert!(registry.health().is_healthy());
    let bad = registry.find("bad").unwrap();
    assert!(run(bad.call(async || Err::<(), _>(()))).is_err());
    let health = registry.health();
    assert_eq!(health.open, [Name::from("bad")]);
    assert_eq!((health.total_circuit_breakers, health.total_operations), (2, 3));
    assert!(!health.is_healthy());
}

#[derive(Default)]
struct Noted(Mutex<Vec<String>>);

impl Observer for Noted {
    fn observe(&self, event: &Event<'_>) {
        if let Kind::CircuitChanged(change) = event.kind {
            let mut noted = self.0.lock().unwrap();
            noted.push(format!("{}: {:?} → {:?}", event.operation, change.from, change.to));
            assert!(change.to != State::Closed || change.why == Why::Reset);
        }
    }
}

#[test]
fn circuits_are_restored_by_name() {
    let registry = Registry::default();
    for name in ["bad", "good", "forced", "gone", "off"] {
        let operation = registry.register(name, vec![breaker()]).unwrap();
        if name == "forced" {
            operation.force_circuit(Force::Open, "a drill", None);
        } else if name != "good" {
            assert!(run(operation.call(async || Err::<(), _>(()))).is_err());
        }
    }
    registry.register("plain", vec![retry()]).unwrap();
    let mut saved = registry.circuits();
    let names: Vec<&str> = saved.keys().map(|name| &**name).collect();
    assert_eq!(names, ["bad", "forced", "gone", "off"], "those that are not closed");
    saved.insert("plain".into(), saved["bad"].clone());

    let noted = Arc::new(Noted::default());
    let registry = Registry::builder().observer(noted.clone()).build();
    for name in ["bad", "good", "forced", "off"] {
        registry.register(name, vec![breaker()]).unwrap();
    }
    registry.register("plain", vec![retry()]).unwrap();
    registry.find("off").unwrap().set_mode("circuit_breaker", Mode::Off);
    let unknown = registry.restore_circuits(&saved, Duration::ZERO);
    assert_eq!(unknown, [Name::from("gone"), Name::from("plain")]);
    let lines = noted.0.lock().unwrap().clone();
    assert_eq!(lines, ["bad: Closed → Open", "forced: Closed → ForcedOpen"]);
    assert_eq!(registry.health().open, [Name::from("bad"), Name::from("forced")]);
    let circuit = |name: &str| registry.find(name).unwrap().circuit().unwrap();
    assert_eq!(circuit("forced").why().as_deref(), Some("forced: a drill"));
    assert_eq!(circuit("off").state, State::Closed, "a breaker that is off remembers nothing");
    assert_eq!(registry.restore_circuits(&BTreeMap::new(), Duration::ZERO), []);
}

#[test]
fn a_reset_reaches_observers_and_metrics() {
    let noted = Arc::new(Noted::default());
    let registry = Registry::builder().observer(noted.clone()).build();
    let operation = registry.register("watched", vec![breaker()]).unwrap();
    assert!(run(operation.call(async || Err::<(), _>(()))).is_err());
    assert_eq!(operation.reset_circuit(), Some((State::Open, State::Closed)));
    assert_eq!(operation.reset_circuit(), Some((State::Closed, State::Closed)));
    let lines = noted.0.lock().unwrap().clone();
    assert_eq!(lines, ["watched: Closed → Open", "watched: Open → Closed"]);
    let (spent, since) = operation.metrics().circuit_times(registry.now());
    assert!(since.is_some() && spent[State::Open as usize] > Duration::ZERO);
    let without = registry.register("without", Vec::new()).unwrap();
    assert_eq!(without.reset_circuit(), None);
}

#[test]
fn a_pipeline_made_in_code_is_counted_too() {
    let registry = Registry::default();
    let policy = breaker().build().unwrap();
    assert!(matches!(policy, Policy::CircuitBreaker(_)));
    let operation = registry.register_pipeline(Pipeline::new("own", [policy])).unwrap();
    assert!(run(operation.call(async || Err::<(), _>(()))).is_err());
    assert_eq!((operation.counts().failed_calls, operation.policies().len()), (1, 1));
    assert_eq!(registry.health().open, [Name::from("own")]);
}

#[test]
fn a_policy_that_did_not_change_keeps_its_state() {
    let registry = Registry::default();
    let operation = registry.register("swapped", vec![breaker(), retry()]).unwrap();
    let failing = || run(operation.call(|| ready(Err::<(), _>("down"))));
    failing().unwrap_err();
    assert!(failing().unwrap_err().is_rejected());
    // The circuit stays open, whatever changes around it.
    let limit = Duration::from_secs(1);
    let timeout = PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() });
    operation.reconfigure(&[timeout.clone(), breaker()]).unwrap();
    assert!(failing().unwrap_err().is_rejected());
    assert_eq!(operation.policies(), [timeout.clone(), breaker()]);
    // Its mode alone is no change of it.
    operation.reconfigure(&[breaker().with_mode(Mode::Shadow)]).unwrap();
    assert!(!failing().unwrap_err().is_rejected());
    assert_eq!(operation.policies(), [breaker().with_mode(Mode::Shadow)]);
    operation.set_mode("circuit_breaker", Mode::Enforce);
    assert!(failing().unwrap_err().is_rejected());
    // Another threshold is another breaker, that goes on where the former stood.
    let other = |threshold| {
        let failure_threshold = Some(threshold);
        [PolicyConfig::CircuitBreaker(CircuitBreakerConfig {
            failure_threshold,
            ..Default::default()
        })]
    };
    operation.reconfigure(&other(9)).unwrap();
    assert!(failing().unwrap_err().is_rejected(), "still open");
    let view = operation.pipeline().circuit_breaker().unwrap().view(operation.now());
    assert!(view.broken.is_some_and(|change| change.from == State::Closed), "{view:?}");
    operation.reset_circuit().unwrap();
    let until = operation.now() + Duration::from_secs(600);
    operation.force_circuit(Force::Open, "by hand", Some(until)).unwrap();
    operation.reconfigure(&other(8)).unwrap();
    let view = operation.pipeline().circuit_breaker().unwrap().view(operation.now());
    assert_eq!((view.state, &*view.forced.unwrap().reason), (State::ForcedOpen, "by hand"));
    // What is wrong changes nothing.
    let wrong =
        PolicyConfig::Timeout(TimeoutConfig { limit: Duration::ZERO, ..Default::default() });
    assert!(operation.reconfigure(&[wrong]).is_err());
    assert_eq!(operation.policies().len(), 1);
    assert_eq!(operation.counts().total_calls, 6, "the counters are the operation's");
}

#[test]
fn the_brake_holds_for_all_operations_also_later_ones() {
    let registry = Registry::default();
    let early = registry.register("early", vec![retry()]).unwrap();
    registry.pause_repeats(true);
    let late = registry.register("late", vec![retry()]).unwrap();
    let attempts = |operation: &Operation| {
        let _ = run(operation.call(|| ready(Err::<(), _>("down"))));
        operation.counts().attempts
    };
    assert_eq!((attempts(&early), attempts(&late)), (1, 1));
    early.reconfigure(&[retry(), breaker()]).unwrap();
    assert_eq!((attempts(&early), early.counts().repeats_paused), (2, 2));
    registry.pause_repeats(false);
    assert_eq!(attempts(&late), 4);
}

#[test]
fn a_forced_circuit_is_reported_and_shown() {
    let registry = Registry::default();
    let operation = registry.register("forced", vec![breaker()]).unwrap();
    operation.force_circuit(Force::Open, "drill", None).unwrap();
    assert!(run(operation.call(|| ready(Ok::<_, ()>(1)))).unwrap_err().is_rejected());
    assert_eq!(registry.health().open.len(), 1);
    assert_eq!(operation.reset_circuit(), Some((State::ForcedOpen, State::Closed)));
    assert!(run(operation.call(|| ready(Ok::<_, ()>(1)))).is_ok());
}

#[test]
fn new_operations_start_from_defaults_of_ones_own() {
    let defaults = |name: &str| match name {
        "wrong" => vec![PolicyConfig::Timeout(TimeoutConfig {
            limit: Duration::ZERO,
            ..Default::default()
        })],
        name if name.starts_with("db_") => vec![breaker()],
        _ => vec![retry()],
    };
    let registry = Registry::builder().defaults(defaults).build();
    assert_eq!(registry.operation("db_users").unwrap().policies(), [breaker()]);
    assert_eq!(registry.operation("prices").unwrap().policies(), [retry()]);
    assert!(registry.operation("wrong").unwrap_err().to_string().contains("limit"));
    let own = registry.register("own", vec![]).unwrap();
    assert_eq!(own.policies(), []);
}

#[test]
fn a_circuit_in_shadow_refuses_nobody_and_is_not_counted_as_refusing() {
    let registry = Registry::default();
    let operation = registry.register("watched", vec![breaker()]).unwrap();
    operation.set_mode("circuit_breaker", Mode::Shadow);
    let failing = || run(operation.call(|| ready(Err::<(), _>("down")))).unwrap_err();
    for _ in 0..3 {
        assert!(!failing().is_rejected());
    }
    let circuit = operation.circuit().unwrap();
    assert_eq!((circuit.state, circuit.mode), (State::Open, Mode::Shadow));
    assert!(circuit.would_refuse() && !circuit.refuses());
    let health = registry.health();
    assert!(health.is_healthy(), "{health:?}");
    assert_eq!(health.would_refuse, [Name::from("watched")]);
    // What it saw in shadow counts when it acts.
    operation.set_mode("circuit_breaker", Mode::Enforce);
    assert!(failing().is_rejected());
    assert_eq!(registry.health().open, [Name::from("watched")]);
    assert!(operation.circuit().unwrap().refuses());
}

#[test]
fn a_circuit_that_is_off_forgets_and_begins_closed() {
    use Mode::{Enforce, Off};
    type Switch = fn(&Operation, Mode);
    let by_hand: Switch = |operation, mode| {
        assert_eq!(operation.set_mode("circuit_breaker", mode), 1);
    };
    let by_file: Switch =
        |operation, mode| operation.reconfigure(&[breaker().with_mode(mode)]).unwrap();
    let with_another_number: Switch = |operation, mode| {
        let recovery_timeout = Duration::from_secs(77);
        let PolicyConfig::CircuitBreaker(config) = breaker() else { unreachable!() };
        let config = CircuitBreakerConfig { recovery_timeout, ..config };
        operation.reconfigure(&[PolicyConfig::CircuitBreaker(config).with_mode(mode)]).unwrap();
    };
    for (off, on) in
        [(by_hand, by_hand), (by_file, by_file), (by_hand, by_file), (with_another_number, by_file)]
    {
        let registry = Registry::default();
        let operation = registry.register("switched", vec![breaker()]).unwrap();
        let failing = || run(operation.call(|| ready(Err::<(), _>("down")))).unwrap_err();
        failing();
        assert!(failing().is_rejected());
        off(&operation, Off);
        let circuit = operation.circuit().unwrap();
        assert_eq!((circuit.state, circuit.mode), (State::Closed, Off));
        assert_eq!((circuit.broken, circuit.last_failure), (None, None));
        assert_eq!(circuit.last_transition.map(|change| change.why), Some(Why::SwitchedOff));
        assert!(registry.health().is_healthy());
        assert!(!failing().is_rejected());
        let (spent, _) = operation.metrics().circuit_times(operation.now());
        on(&operation, Enforce);
        let again = operation.metrics().circuit_times(operation.now()).0;
        assert_eq!(spent[State::Open as usize], again[State::Open as usize], "it is not open");
        assert!(!failing().is_rejected(), "it begins closed");
        assert!(failing().is_rejected(), "and counts again");
    }
}

#[test]
fn a_state_forced_in_mode_off_holds_once_the_breaker_acts() {
    let registry = Registry::default();
    let operation = registry.register("held", vec![breaker()]).unwrap();
    operation.force_circuit(Force::Open, "before", None).unwrap();
    operation.set_mode("circuit_breaker", Mode::Off);
    assert_eq!(operation.circuit().unwrap().state, State::Closed, "all is forgotten");
    operation.force_circuit(Force::Open, "meanwhile", None).unwrap();
    assert!(run(operation.call(|| ready(Ok::<_, ()>(1)))).is_ok(), "and it is off still");
    assert!(registry.health().is_healthy());
    operation.set_mode("circuit_breaker", Mode::Enforce);
    assert!(run(operation.call(|| ready(Ok::<_, ()>(1)))).unwrap_err().is_rejected());
}

#[test]
fn a_refusal_of_an_inner_operation_is_counted_by_the_outer_one() {
    use crate::{outcome::Outcome, run::Attempt};
    let registry = Registry::default();
    let inner = registry.register("inner", vec![breaker()]).unwrap();
    let outer = registry.register("outer", vec![]).unwrap();
    let classify = |result: &Result<(), Error<&str>>| match result {
        Ok(()) => Outcome::Success,
        Err(error) => error.outcome(|_| Outcome::failure(crate::outcome::Class::Transient)),
    };
    for _ in 0..4 {
        let call = |_: Attempt| inner.run(|_| Err("down")).blocking();
        outer.run(call).classify(classify).blocking().unwrap_err();
    }
    let (inner, outer) = (inner.counts(), outer.counts());
    for counts in [&inner, &outer] {
        assert_eq!((counts.attempts, counts.failed_attempts), (1, 1), "{counts:?}");
        assert_eq!((counts.failed_calls, counts.rejected_calls), (1, 3), "{counts:?}");
        assert_eq!(counts.rejections["circuit_open"], 3, "{counts:?}");
    }
}

#[test]
fn an_attempt_that_a_timeout_cuts_off_has_failed() {
    let registry = Registry::default();
    let limit = Duration::from_millis(5);
    let timeout = PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() });
    let operation = registry.register("slow", vec![timeout]).unwrap();
    let hang = || std::future::pending::<Result<(), &str>>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(runtime.block_on(operation.call(hang)).unwrap_err().is_timed_out());
    let counts = operation.counts();
    assert_eq!((counts.attempts, counts.failed_attempts, counts.timed_out_calls), (1, 1, 1));
}

#[test]
fn an_operation_is_had_or_registered_and_never_with_other_policies_than_asked_for() {
    let registry = Registry::default();
    let retry = |max_attempts| {
        vec![PolicyConfig::Retry(RetryConfig { max_attempts, ..Default::default() })]
    };
    let made = registry.get_or_register("prices", retry(4)).unwrap();
    made.set_mode("retry", Mode::Shadow);
    let had = registry.get_or_register("prices", retry(4)).unwrap();
    assert!(Arc::ptr_eq(&made.registered, &had.registered), "modes switched by hand do not matter");
    for other in [retry(5), Vec::new()] {
        let told = registry.get_or_register("prices", other).unwrap_err();
        assert_eq!(told, RegistryError::OtherPolicies("prices".into()));
        assert!(told.to_string().contains("`reconfigure`"), "{told}");
    }
    let told = registry.register("prices", retry(4)).unwrap_err().to_string();
    assert!(told.contains("exists already") && told.contains("`get_or_register`"), "{told}");
}
