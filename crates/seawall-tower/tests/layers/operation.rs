//! Around a service of any kind.

use super::operation;
use seawall::{Attributes, Class, Error, Outcome, State};
use seawall_tower::OperationLayer;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};
use tower::{Layer, Service, ServiceExt, service_fn};

const RETRY: &str = r#"[{"type": "retry", "max_attempts": 3, "backoff": {"base_delay": "10ms"}}]"#;

/// Doubles a number, but only when asked for the third time.
fn reluctant() -> (
    impl Service<u32, Response = u32, Error = &'static str, Future: Send> + Clone + Send + 'static,
    Arc<AtomicU32>,
) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let service = service_fn(move |item: u32| {
        let is_third = counted.fetch_add(1, SeqCst) == 2;
        std::future::ready(if is_third { Ok(item * 2) } else { Err("not now") })
    });
    (service, asked)
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_made_again() {
    let (service, asked) = reluctant();
    let service = OperationLayer::new(operation(RETRY)).layer(service);
    assert_eq!(service.oneshot(21).await, Ok(42));
    assert_eq!(asked.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_user_says_what_may_be_sent_again() {
    let (service, asked) = reluctant();
    let odd_once =
        |item: &u32| Attributes { repeatable: item.is_multiple_of(2), ..Attributes::default() };
    let service = OperationLayer::new(operation(RETRY)).describe(odd_once).layer(service);
    assert_eq!(service.clone().oneshot(21).await, Err(Error::Inner("not now")));
    assert_eq!(asked.load(SeqCst), 1);
    assert_eq!(service.oneshot(20).await, Ok(40));
    assert_eq!(asked.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_user_says_what_a_failure_is() {
    let breaker = operation(r#"[{"type": "circuit_breaker", "failure_threshold": 1}]"#);
    let lucky = |result: &Result<u32, &'static str>| match result {
        Ok(13) => Outcome::failure(Class::Transient),
        _ => Outcome::Success,
    };
    let same = service_fn(async |item: u32| if item == 0 { Err("nothing") } else { Ok(item) });
    let service = OperationLayer::new(breaker.clone()).classify(lucky).layer(same);
    let circuit = || breaker.pipeline().circuit_breaker().unwrap().state();
    assert_eq!(service.clone().oneshot(0).await, Err(Error::Inner("nothing")));
    assert_eq!(circuit(), State::Closed);
    assert_eq!(service.clone().oneshot(13).await, Ok(13), "a failure, and still the answer");
    assert_eq!(circuit(), State::Open);
    assert!(service.oneshot(1).await.unwrap_err().is_rejected());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_whole_even_if_it_is_described_as_a_stream() {
    let bulkhead = operation(r#"[{"type": "bulkhead", "max_concurrent": 1}]"#);
    let streamed = |_: &u32| Attributes { streamed: true, ..Attributes::default() };
    let same = service_fn(async |item: u32| Ok::<_, &'static str>(item));
    let service = OperationLayer::new(bulkhead.clone()).describe(streamed).layer(same);
    assert_eq!(service.oneshot(1).await, Ok(1));
    let counts = bulkhead.counts();
    assert_eq!((counts.successful_calls, counts.abandoned_calls, counts.in_flight), (1, 0, 0));
    assert_eq!(bulkhead.pipeline().bulkhead().unwrap().in_use(), 0);
}
