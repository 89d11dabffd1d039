//! Around a server.

use super::{ms, operation};
use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
    routing::get,
};
use http_body_util::BodyExt;
use seawall_tower::ServerLayer;
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tower::ServiceExt;

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
        .exclude(["/health", "/docs/"]);
    let here = || async { "here" };
    let router = Router::new()
        .route("/", get(here))
        .route("/health", get(here))
        .route("/health/live", get(here))
        .route("/healthz-admin", get(here))
        .route("/docs", get(here))
        .layer(layer);
    for _ in 0..2 {
        assert_eq!(ask(&router, "/", "one").await.status(), 200);
    }
    let refused = ask(&router, "/", "one").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    assert_eq!(problem(refused).await["reason"], "rate_limited");
    assert_eq!(ask(&router, "/", "two").await.status(), 200);
    let counted = operation.counts().total_calls;
    for path in ["/health", "/health/live", "/docs"] {
        assert_eq!(ask(&router, path, "one").await.status(), 200, "{path}");
    }
    assert_eq!(operation.counts().total_calls, counted, "excluded paths are not counted");
    assert_eq!(ask(&router, "/healthz-admin", "one").await.status(), 429);
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
        async move {
            let bad = request.uri().path() == "/bad";
            let status =
                if bad { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NOT_FOUND };
            (status, "its own words")
        }
    };
    let router = Router::new().fallback(handler).layer(ServerLayer::new(operation));
    for _ in 0..10 {
        // The client's own fault is no failure of ours.
        assert_eq!(ask(&router, "/missing", "one").await.status(), 404);
    }
    for _ in 0..5 {
        let answer = ask(&router, "/bad", "one").await;
        assert_eq!(answer.status(), 500);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "its own words");
    }
    let refused = ask(&router, "/bad", "one").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(problem(refused).await["reason"], "circuit_open");
    assert_eq!(calls.load(SeqCst), 15);
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
