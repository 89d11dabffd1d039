//! Tests of what windows keep, and of what the strip of an hour shows.

use super::*;

#[test]
fn a_minute_shows_its_worst() {
    let sign = |state| sign_of(state, Mode::Enforce);
    assert_eq!(worse('-', sign(State::Closed)), 'c');
    assert_eq!(worse('c', sign(State::Open)), 'o');
    assert_eq!(worse('o', sign(State::HalfOpen)), 'o');
    assert_eq!(worse('h', '-'), 'h');
    assert_eq!(worse('c', sign_of(State::Open, Mode::Shadow)), 's');
    assert_eq!(sign_of(State::Open, Mode::Off), '-');
}

/// An operation with a circuit of one failure, and its window.
fn circuit() -> (crate::runtime::Registry, Operation, Window) {
    let registry = seawall::Registry::builder().timer(seawall_tower::TokioTimer).build();
    let config = seawall::CircuitBreakerConfig {
        failure_threshold: Some(1),
        recovery_timeout: Duration::from_millis(1),
        ..Default::default()
    };
    let breaker = seawall::PolicyConfig::CircuitBreaker(config);
    let operation = registry.register("a", vec![breaker]).unwrap();
    (registry, operation, Window::default())
}

#[tokio::test(start_paused = true)]
async fn the_strip_has_what_came_and_went_between_two_looks() {
    let (registry, operation, mut window) = circuit();
    let start = registry.now();
    window.advance(&operation, start);
    // Open, half-open and closed again, all within a second.
    operation.run(|_| Err::<(), _>(())).blocking().unwrap_err();
    tokio::time::advance(Duration::from_millis(500)).await;
    operation.run(|_| Ok::<_, ()>(())).blocking().unwrap();
    window.advance(&operation, start + Duration::from_secs(1));
    assert_eq!(operation.circuit().unwrap().state, State::Closed);
    assert_eq!(window.strip(), "o");
    // The minutes after it have nothing of it.
    window.advance(&operation, start + Duration::from_secs(61));
    window.advance(&operation, start + Duration::from_secs(62));
    assert_eq!(window.strip(), "oc");
    // In shadow the same is what it would have done.
    operation.set_mode("circuit_breaker", Mode::Shadow);
    operation.run(|_| Err::<(), _>(())).blocking().unwrap_err();
    window.advance(&operation, start + Duration::from_secs(63));
    assert_eq!(window.strip(), "os");
    assert_eq!(window.watched(&operation, start + Duration::from_secs(963)).open_for, None);
    operation.set_mode("circuit_breaker", Mode::Enforce);
    window.advance(&operation, start + Duration::from_secs(64));
    assert!(window.watched(&operation, start + Duration::from_secs(963)).open_for.is_some());
}

#[test]
fn a_minute_keeps_its_last_second_and_begins_on_time() {
    let (registry, operation, mut window) = circuit();
    let start = registry.now();
    let at = |millis| start + Duration::from_millis(millis);
    window.advance(&operation, start);
    window.advance(&operation, at(59_500));
    operation.run(|_| Ok::<_, ()>(())).blocking().unwrap();
    window.advance(&operation, at(60_700));
    operation.run(|_| Ok::<_, ()>(())).blocking().unwrap();
    window.advance(&operation, at(119_900));
    assert_eq!(window.minutes().map(|one| one.calls).collect::<Vec<_>>(), [1, 1]);
    // The looks are late; the minutes are not.
    window.advance(&operation, at(120_100));
    assert_eq!(window.minute_number(), 3);
    window.advance(&operation, at(300_000));
    assert_eq!((window.minute_number(), window.strip().len()), (6, 6));
}

#[test]
fn an_hour_is_kept_minute_by_minute() {
    let registry = seawall::Registry::builder().timer(seawall_tower::TokioTimer).build();
    let breaker = seawall::PolicyConfig::CircuitBreaker(Default::default());
    let operation = registry.register("a", vec![breaker]).unwrap();
    let start = registry.now();
    let mut window = Window::default();
    for minute in 0..70_u64 {
        for second in [0, 20, 40] {
            if second == 20 && minute == 65 {
                operation.run(|_| Err::<(), _>(())).blocking().unwrap_err();
            }
            window.advance(&operation, start + Duration::from_secs(minute * 60 + second));
        }
    }
    assert_eq!((window.minutes().count(), window.minute_number()), (60, 70));
    let busy: Vec<u64> = window.minutes().map(|minute| minute.calls).collect();
    assert_eq!(busy.iter().sum::<u64>(), 1, "{busy:?}");
    assert_eq!(window.minutes().nth(55).unwrap().failed, 1, "in the minute it happened");
    assert_eq!(window.strip(), "c".repeat(60));
}
