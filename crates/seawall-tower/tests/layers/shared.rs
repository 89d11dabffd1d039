//! Answers that more than one caller gets: at once, or later.

use super::{ms, operation};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall_tower::{CacheConfig, CacheLayer, ClientLayer, CoalesceConfig, CoalesceLayer};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tower::{Layer, Service, ServiceExt, service_fn};

type Plain = Request<Full<Bytes>>;

fn get(path: &str) -> Plain {
    Request::get(format!("http://there{path}")).body(Full::default()).unwrap()
}

fn with(path: &str, name: &str, value: &str) -> Plain {
    Request::get(format!("http://there{path}")).header(name, value).body(Full::default()).unwrap()
}

/// Counts its calls, and answers each after 100 ms with its number and its path. Paths say what else it does.
fn origin(
    calls: &Arc<AtomicU32>,
) -> impl Service<Plain, Response = Response<Full<Bytes>>, Error = std::io::Error, Future: Send>
+ Clone
+ Send
+ 'static {
    let calls = calls.clone();
    service_fn(move |request: Plain| {
        let call = calls.fetch_add(1, SeqCst) + 1;
        async move {
            tokio::time::sleep(ms(100)).await;
            let path = request.uri().path().to_owned();
            if path.contains("broken") || (path.contains("once") && call > 1) {
                return Err(std::io::Error::other(format!("broken {call}")));
            }
            let mut answer =
                Response::builder().header("x-call", call).header("connection", "x-hop");
            answer = answer.header("x-hop", "here").header("transfer-encoding", "chunked");
            if path.contains("5xx") && call > 1 {
                answer = answer.status(StatusCode::BAD_GATEWAY);
            }
            for (word, name, value) in [
                ("private", "cache-control", "private"),
                ("nostore", "cache-control", "max-age=60, no-store"),
                ("second", "cache-control", "max-age=1"),
                ("setcookie", "set-cookie", "a=b"),
                ("vary", "vary", "accept-language"),
                ("varystar", "vary", "*"),
            ] {
                if path.contains(word) {
                    answer = answer.header(name, value);
                }
            }
            let long = if path.contains("long") { "x".repeat(2_000) } else { String::new() };
            Ok(answer.body(Full::from(format!("{call} {path}{long}"))).unwrap())
        }
    })
}

async fn text<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(
    answer: Response<B>,
) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn equal_requests_at_once_share_one_call() {
    let calls = Arc::default();
    let layer = CoalesceLayer::new(CoalesceConfig { max_body: 1_000, ..Default::default() });
    let client = layer.layer(origin(&calls));
    let ask = |request: Plain| client.clone().oneshot(request);
    let (a, b, c) = tokio::join!(ask(get("/a")), ask(get("/a")), ask(get("/b")));
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    for name in ["connection", "x-hop", "transfer-encoding"] {
        assert!(!b.headers().contains_key(name), "{name} is of one connection");
    }
    let texts = [text(a).await, text(b).await, text(c).await];
    assert_eq!(texts, ["1 /a", "1 /a", "2 /b"]);
    assert_eq!(layer.in_flight(), 0);
    // Later is not at once.
    assert_eq!(text(ask(get("/a")).await.unwrap()).await, "3 /a");
    // An error is shared, too: otherwise all would ask again of what is down.
    let (a, b) = tokio::join!(ask(get("/broken")), ask(get("/broken")));
    let told = [a.err().unwrap().to_string(), b.err().unwrap().to_string()];
    assert_eq!(told, ["broken 4", "broken 4"]);
    // What is too long to be kept reaches each whole.
    let (a, b) = tokio::join!(ask(get("/long")), ask(get("/long")));
    let lengths = [text(a.unwrap()).await.len(), text(b.unwrap()).await.len()];
    assert_eq!((lengths, calls.load(SeqCst)), ([2_007, 2_007], 6));
}

#[tokio::test(start_paused = true)]
async fn private_responses_are_not_shared() {
    let calls = Arc::default();
    let client = CoalesceLayer::new(CoalesceConfig::default()).layer(origin(&calls));
    let post = || Request::post("http://there/").body(Full::default()).unwrap();
    for pair in [
        [post(), post()],
        [with("/", "authorization", "a"), with("/", "authorization", "a")],
        [with("/", "cookie", "a"), with("/", "cookie", "a")],
        [with("/", "range", "bytes=0-1"), with("/", "range", "bytes=0-1")],
        [with("/", "accept", "text/html"), with("/", "accept", "text/plain")],
    ] {
        calls.store(0, SeqCst);
        let [one, other] = pair.map(|request| client.clone().oneshot(request));
        let (one, other) = tokio::join!(one, other);
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(calls.load(SeqCst), 2);
    }
    // Where the credentials tell requests apart, equal ones share.
    let config =
        CoalesceConfig { headers: vec![http::header::AUTHORIZATION], ..Default::default() };
    let client = CoalesceLayer::new(config).layer(origin(&calls));
    let ask = |who: &str| client.clone().oneshot(with("/", "authorization", who));
    calls.store(0, SeqCst);
    let (a, b, c) = tokio::join!(ask("a"), ask("a"), ask("c"));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn when_the_sender_leaves_another_caller_sends() {
    let calls = Arc::default();
    let layer = CoalesceLayer::new(CoalesceConfig { max_keys: 1, ..Default::default() });
    let client = layer.layer(origin(&calls));
    let first = tokio::time::timeout(ms(50), client.clone().oneshot(get("/a")));
    let (first, second) = tokio::join!(first, client.clone().oneshot(get("/a")));
    assert!(first.is_err());
    assert_eq!((text(second.unwrap()).await.as_str(), calls.load(SeqCst)), ("2 /a", 2));
    // Beyond the bound everybody asks alone.
    let ask = |path: &str| client.clone().oneshot(get(path));
    let (a, b, c) = tokio::join!(ask("/a"), ask("/b"), ask("/b"));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(calls.load(SeqCst), 5);
}

fn cache(config: CacheConfig) -> CacheLayer {
    CacheLayer::new(config).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_stands_in_for_an_error() {
    let stale_for = Duration::from_secs(60);
    for path in ["/once", "/5xx"] {
        let calls = Arc::default();
        let client = cache(CacheConfig { stale_for, ..Default::default() }).layer(origin(&calls));
        let ask = || client.clone().oneshot(get(path));
        let first = ask().await.unwrap();
        assert!(!first.headers().contains_key("cache-status"));
        tokio::time::advance(Duration::from_secs(59)).await;
        let second = ask().await.unwrap();
        assert_eq!(second.headers()["cache-status"], "seawall; hit; fwd=stale");
        assert_eq!(
            (second.status(), second.headers()["age"].to_str().unwrap()),
            (StatusCode::OK, "59")
        );
        assert_eq!(text(second).await, format!("1 {path}"));
        assert_eq!(calls.load(SeqCst), 2, "it was asked first");
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = ask().await;
        assert!(third.is_err() || third.unwrap().status() == StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test(start_paused = true)]
async fn alternatives_replace_our_own_refusals() {
    let operation = operation(r#"[{"type": "circuit_breaker", "failure_threshold": 1}]"#);
    let calls = Arc::default();
    let inner = ClientLayer::new(operation).layer(origin(&calls));
    let client = cache(CacheConfig::default()).layer(inner);
    for expected in 1..=5 {
        let answer = client.clone().oneshot(get("/once")).await.unwrap();
        assert_eq!(text(answer).await, "1 /once");
        assert_eq!(calls.load(SeqCst), expected.min(2), "the open circuit asks no more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_saves_the_call() {
    let calls = Arc::default();
    let config = CacheConfig { ttl: Duration::from_secs(10), ..Default::default() };
    let layer = cache(config);
    let client = layer.layer(origin(&calls));
    let ask = |path: &'static str| {
        let (calls, client) = (calls.clone(), client.clone());
        async move {
            calls.store(0, SeqCst);
            client.clone().oneshot(get(path)).await.unwrap();
            tokio::time::advance(Duration::from_secs(2)).await;
            let again = client.oneshot(get(path)).await.unwrap();
            let hit = again.headers().contains_key("cache-status");
            assert_eq!(hit, calls.load(SeqCst) == 1, "{path}");
            hit
        }
    };
    assert!(ask("/plain").await);
    for path in ["/private", "/nostore", "/second", "/setcookie", "/varystar"] {
        assert!(!ask(path).await, "{path}");
    }
    // Another language is another answer, and a request that will have none of it gets none of it.
    calls.store(0, SeqCst);
    for (name, value, expected) in [
        ("accept-language", "de", 1),
        ("accept-language", "de", 1),
        ("accept-language", "en", 2),
        ("cache-control", "no-cache", 3),
        ("authorization", "me", 4),
        ("cache-control", "no-store", 5),
    ] {
        client.clone().oneshot(with("/vary", name, value)).await.unwrap();
        assert_eq!(calls.load(SeqCst), expected, "{name}: {value}");
    }
    layer.clear();
    assert!(layer.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_keeps_no_more_than_it_may() {
    let calls = Arc::default();
    let config = CacheConfig { max_bytes: 10_000, max_body: 1_000, ..Default::default() };
    let layer = cache(config);
    let client = layer.layer(origin(&calls));
    for n in 0..200 {
        client.clone().oneshot(get(&format!("/{n}"))).await.unwrap();
    }
    assert!((1..=40).contains(&layer.len()), "{} answers of 300 bytes", layer.len());
    let long = client.oneshot(get("/long")).await.unwrap();
    assert_eq!(text(long).await.len(), 2_009);
    let wrong = CacheConfig { max_bytes: 1, stale_for: Duration::MAX, ..Default::default() };
    let told = CacheLayer::new(wrong).unwrap_err().to_string();
    assert!(told.contains("max_bytes") && told.contains("stale_for"), "{told}");
}
