//! Tests of what responses say about a rate limit.

use super::{ms, operation};
use axum::{Router, body::Body, routing::get};
use http::{HeaderMap, Request};
use seawall::{Key, PolicyConfig, Registry};
use seawall_tower::{ServerLayer, TokioTimer, write_rate_limit};
use tower::ServiceExt;

async fn ask(router: &Router, path: &str) -> (u16, HeaderMap) {
    let request = Request::get(path).header("x-client", "one").body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    (answer.status().as_u16(), answer.headers().clone())
}

fn router(policies: &str) -> Router {
    let layer = ServerLayer::new(operation(policies))
        .key(|parts| parts.headers.get("x-client").cloned())
        .exclude(["/health"]);
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/own", get(|| async { ([("ratelimit", "\"mine\";r=1")], "here") }))
        .route("/health", get(|| async { "here" }))
        .layer(layer)
}

#[tokio::test(start_paused = true)]
async fn every_answer_says_what_is_left() {
    let router = router(r#"[{"type": "rate_limiter", "rate": 2, "per": "1m", "keyed": true}]"#);
    for (status, left) in
        [(200, "\"tested\";r=1;t=30"), (200, "\"tested\";r=0;t=60"), (429, "\"tested\";r=0;t=60")]
    {
        let (answered, headers) = ask(&router, "/").await;
        assert_eq!((answered, &headers["ratelimit"]), (status, &left.parse().unwrap()));
        assert_eq!(headers["ratelimit-policy"], "\"tested\";q=2;w=60");
        assert_eq!(headers.contains_key("retry-after"), status == 429);
    }
    tokio::time::advance(ms(30_000)).await;
    assert_eq!(ask(&router, "/").await.1["ratelimit"], "\"tested\";r=0;t=60");
    // What is not limited says nothing.
    assert!(!ask(&router, "/health").await.1.contains_key("ratelimit"));
}

#[tokio::test(start_paused = true)]
async fn the_services_own_word_stays() {
    let router = router(r#"[{"type": "rate_limiter", "rate": 2, "per": "1m"}]"#);
    let (_, headers) = ask(&router, "/own").await;
    let all: Vec<_> = headers.get_all("ratelimit").iter().collect();
    assert_eq!(all, ["\"mine\";r=1"]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_that_is_nearest_is_named_and_one_that_does_not_act_is_not() {
    let check = |name: &str, policies: &str, expected: Option<(&str, &str)>| {
        let policies: Vec<PolicyConfig> = serde_json::from_str(policies).unwrap();
        let registry = Registry::builder().timer(TokioTimer).build();
        let operation = registry.register(name, policies).unwrap();
        let mut headers = HeaderMap::new();
        write_rate_limit(&mut headers, &operation, Key::NONE);
        let text = |field: &str| headers.get(field).map(|value| value.to_str().unwrap().to_owned());
        let expected = expected.map(|(left, policy)| (left.to_owned(), policy.to_owned()));
        assert_eq!(text("ratelimit").zip(text("ratelimit-policy")), expected, "{name}");
    };
    check("none", "[]", None);
    check(
        "shadow",
        r#"[{"type": "rate_limiter", "rate": 2, "per": "1s", "mode": "shadow"}]"#,
        None,
    );
    check(
        r#"two "limits"\"#,
        r#"[{"type": "rate_limiter", "rate": 9, "per": "1s", "also": [{"rate": 5, "burst": 2, "per": "1h"}]}]"#,
        Some((r#""two \"limits\"\\";r=7;t=0"#, r#""two \"limits\"\\";q=7;w=3600"#)),
    );
    check(
        "two limiters",
        r#"[{"type": "rate_limiter", "rate": 9, "per": "1s"}, {"type": "rate_limiter", "rate": 5, "per": "10ms"}]"#,
        Some(("\"two limiters\";r=5;t=0", "\"two limiters\";q=5")),
    );
    check(
        "größer",
        r#"[{"type": "rate_limiter", "rate": 2, "per": "1s"}]"#,
        Some(("\"default\";r=2;t=0", "\"default\";q=2;w=1")),
    );
}
