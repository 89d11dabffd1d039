//! Tests of the layer around a server.

use super::{ms, operation};
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response, StatusCode},
    routing::get,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use seawall::{
    Class, CustomFrame, CustomPolicy, Cx, Failure, Outcome, Pipeline, Policy, Registry, Step,
};
use seawall_tower::{ServerLayer, TokioTimer};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tower::{Layer, ServiceExt, service_fn};

async fn ask(router: &Router, path: &str, client: &str) -> Response<Body> {
    let request = Request::get(path).header("x-client", client).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn problem(response: Response<Body>) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("retry-after"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_for_each_client_and_excluded_paths_are_free() {
    let operation =
        operation(r#"[{"type": "rate_limiter", "rate": 2, "per": "1m", "keyed": true}]"#);
    let layer = ServerLayer::new(operation.clone())
        .key(|parts| parts.headers.get("x-client").cloned())
        .exclude(["/health", "/docs/", "/"]);
    let here = || async { "here" };
    let router = Router::new()
        .route("/", get(here))
        .route("/work", get(here))
        .route("/health", get(here))
        .route("/health/live", get(here))
        .route("/healthz-admin", get(here))
        .route("/docs", get(here))
        .layer(layer);
    for _ in 0..2 {
        assert_eq!(ask(&router, "/work", "one").await.status(), 200);
    }
    let refused = ask(&router, "/work", "one").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    assert_eq!(problem(refused).await["reason"], "rate_limited");
    assert_eq!(ask(&router, "/work", "two").await.status(), 200);
    let counted = operation.counts().total_calls;
    for path in ["/health", "/health/live", "/docs", "/"] {
        assert_eq!(ask(&router, path, "one").await.status(), 200, "{path}");
    }
    assert_eq!(operation.counts().total_calls, counted, "excluded paths are not counted");
    assert_eq!(ask(&router, "/healthz-admin", "one").await.status(), 429);
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_known_by_its_address() {
    let layer = ServerLayer::new(operation(
        r#"[{"type": "rate_limiter", "rate": 1, "per": "1m", "keyed": true}]"#,
    ))
    .key(|parts| parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()));
    let router = Router::new().route("/", get(|| async { "here" })).layer(layer);
    let mut statuses = Vec::new();
    for peer in ["192.0.2.1:1000", "192.0.2.1:1001", "192.0.2.2:1000"] {
        let peer: SocketAddr = peer.parse().unwrap();
        let request = Request::get("/").extension(ConnectInfo(peer)).body(Body::empty()).unwrap();
        statuses.push(router.clone().oneshot(request).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_a_504() {
    let operation = operation(r#"[{"type": "timeout", "limit": "100ms"}]"#);
    let slow = || async { tokio::time::sleep(ms(5_000)).await };
    let router = Router::new().route("/", get(slow)).layer(ServerLayer::new(operation.clone()));
    let answer = ask(&router, "/", "one").await;
    assert_eq!(answer.status(), 504);
    assert_eq!(problem(answer).await["reason"], "timed_out");
    assert_eq!((operation.counts().timeouts, operation.counts().in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_of_three_finds_a_place() {
    let operation = operation(r#"[{"type": "bulkhead", "max_concurrent": 1}]"#);
    let slow = || async { tokio::time::sleep(ms(50)).await };
    let router = Router::new().route("/", get(slow)).layer(ServerLayer::new(operation));
    let (a, b, c) =
        tokio::join!(ask(&router, "/", "a"), ask(&router, "/", "b"), ask(&router, "/", "c"));
    let statuses = [a.status(), b.status(), c.status()].map(|status| status.as_u16());
    assert_eq!(statuses, [200, 503, 503]);
    assert_eq!(problem(c).await["reason"], "bulkhead_full");
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_handler_open_the_circuit_and_its_answers_pass_untouched() {
    let operation = operation(r#"[{"type": "circuit_breaker", "failure_threshold": 5}]"#);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = move |request: Request<Body>| {
        counted.fetch_add(1, SeqCst);
        let status = StatusCode::try_from(&request.uri().path()[1..]).unwrap();
        async move { (status, "its own words") }
    };
    let router = Router::new().fallback(handler).layer(ServerLayer::new(operation));
    for path in ["/400", "/404", "/408", "/425", "/429", "/499"].repeat(2) {
        // The client's own fault is no failure of ours.
        assert_eq!(ask(&router, path, "one").await.status().as_str(), &path[1..]);
    }
    for path in ["/500", "/501", "/503", "/504", "/599"] {
        let answer = ask(&router, path, "one").await;
        assert_eq!(answer.status().as_str(), &path[1..]);
        assert!(!answer.headers().contains_key("x-seawall-circuit"), "it is not ours");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "its own words");
    }
    let refused = ask(&router, "/200", "one").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["x-seawall-circuit"], "open");
    assert_eq!(problem(refused).await["reason"], "circuit_open");
    assert_eq!(calls.load(SeqCst), 17);
}

#[tokio::test]
async fn a_handler_that_panics_counts_and_gives_its_place_back() {
    let operation = operation(
        r#"[{"type": "circuit_breaker", "failure_threshold": 1}, {"type": "bulkhead", "max_concurrent": 1}]"#,
    );
    let router = Router::new()
        .route("/", get(|| async { std::panic::resume_unwind(Box::new("burnt down")) as () }))
        .layer(ServerLayer::new(operation.clone()));
    let request = Request::get("/").body(Body::empty()).unwrap();
    assert!(tokio::spawn(router.oneshot(request)).await.unwrap_err().is_panic());
    let pipeline = operation.pipeline();
    assert_eq!(pipeline.bulkhead().unwrap().in_use(), 0);
    assert_eq!(pipeline.circuit_breaker().unwrap().state(), seawall::State::Open);
    assert_eq!(operation.counts().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_handled_once_whatever_the_policies_say() {
    let operation =
        operation(r#"[{"type": "retry", "max_attempts": 3, "backoff": {"base_delay": "10ms"}}]"#);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = move || {
        counted.fetch_add(1, SeqCst);
        async { StatusCode::SERVICE_UNAVAILABLE }
    };
    let never_left = Failure { unsent: true, ..Failure::new(Class::Transient) };
    for layer in [
        ServerLayer::new(operation.clone()),
        ServerLayer::new(operation.clone()).classify(move |_, _| Outcome::Failure(never_left)),
    ] {
        let before = calls.load(SeqCst);
        let router = Router::new().route("/", get(handler.clone())).layer(layer);
        assert_eq!(ask(&router, "/", "one").await.status(), 503);
        assert_eq!(calls.load(SeqCst), before + 1);
    }
    assert_eq!(operation.counts().retries_executed, 0, "nor is a second time waited for");
}

#[tokio::test(start_paused = true)]
async fn a_place_is_taken_until_the_last_byte_of_the_answer() {
    let operation = operation(r#"[{"type": "bulkhead", "max_concurrent": 1}]"#);
    let long = || async {
        let text = Full::<Bytes>::from("long").with_trailers(async { None });
        Body::new(text)
    };
    let router = Router::new().route("/", get(long)).layer(ServerLayer::new(operation.clone()));
    let first = ask(&router, "/", "one").await;
    assert_eq!(ask(&router, "/", "two").await.status(), 503);
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "long");
    let left = ask(&router, "/", "two").await;
    assert_eq!(left.status(), 200);
    drop(left);
    assert_eq!(operation.pipeline().bulkhead().unwrap().in_use(), 0);
    let counts = operation.counts();
    assert_eq!((counts.successful_calls, counts.abandoned_calls, counts.in_flight), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_services_own_error_passes_and_counts() {
    let operation = operation(r#"[{"type": "circuit_breaker", "failure_threshold": 1}]"#);
    let broken = service_fn(async |_: Request<Body>| Err::<Response<Body>, _>("broken"));
    let service = ServerLayer::new(operation.clone()).layer(broken);
    let ask = || Request::get("/").body(Body::empty()).unwrap();
    assert_eq!(service.clone().oneshot(ask()).await.err(), Some("broken"));
    assert_eq!(operation.pipeline().circuit_breaker().unwrap().state(), seawall::State::Open);
    assert_eq!(service.oneshot(ask()).await.unwrap().status(), 503);
}

/// A user-written policy that has a failed call made again, repeatable or not.
#[derive(Debug)]
struct Stubborn;

impl CustomPolicy for Stubborn {
    fn frame(&self) -> Box<dyn CustomFrame> {
        Box::new(Self)
    }
}

impl CustomFrame for Stubborn {
    fn inner_done(&mut self, _: &mut Cx<'_>, outcome: Outcome) -> Step {
        if matches!(outcome, Outcome::Failure(_)) { Step::Call } else { Step::Finish(outcome) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_copy_is_not_handled_again_and_the_first_answer_stands() {
    let registry = Registry::builder().timer(TokioTimer).build();
    let policies = [Policy::Custom(Arc::new(Stubborn))];
    let operation = registry.register_pipeline(Pipeline::new("tested", policies)).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = move || {
        counted.fetch_add(1, SeqCst);
        async { (StatusCode::SERVICE_UNAVAILABLE, "its own words") }
    };
    let router = Router::new().route("/", get(handler)).layer(ServerLayer::new(operation));
    let answer = ask(&router, "/", "one").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "its own words");
    assert_eq!(calls.load(SeqCst), 1);
}
