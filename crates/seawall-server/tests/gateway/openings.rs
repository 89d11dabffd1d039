//! The opening of an answer: while nothing of it has come, another attempt or upstream can take its place.

use crate::{
    streams::Fed,
    support::{Answer, Gateway, Upstream, client, eventually, respond, send},
};
use axum::{body::Body, response::Response};
use http::Method;
use http_body_util::{BodyExt, Full};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::mpsc;

/// What follows the pieces of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    End,
    Death,
    Silence,
    /// A comment again and again, for ever.
    Pings,
}

fn body(pieces: &'static [&'static str], then: Then) -> Body {
    let (feed, fed) = mpsc::unbounded_channel();
    for piece in pieces {
        feed.send(Ok(*piece)).unwrap();
    }
    tokio::spawn(async move {
        match then {
            Then::End => {}
            Then::Death => {
                // The headers are out first.
                tokio::time::sleep(Duration::from_millis(20)).await;
                let _ = feed.send(Err(()));
            }
            Then::Silence => feed.closed().await,
            Then::Pings => {
                while feed.send(Ok(": ping\n\n")).is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    });
    Body::new(Fed(fed, Arc::new(AtomicBool::new(false))))
}

pub(crate) fn answer(kind: &str, pieces: &'static [&'static str], then: Then) -> Response {
    let mut response = respond(200, body(pieces, then));
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    response
}

pub(crate) const EVENTS: &str = "text/event-stream";
const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const CHAT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// Openings in which nothing of an answer has come yet, by protocol and content type.
const FAILED: &[(&str, &str, &[&str], Then)] = &[
    ("openai", EVENTS, &[], Then::Death),
    ("openai", EVENTS, &[], Then::Silence),
    ("openai", EVENTS, &[], Then::End),
    ("openai", EVENTS, &[": hello\n\n", ROLE], Then::Death),
    ("openai", EVENTS, &[ROLE], Then::Silence),
    ("openai", EVENTS, &[ROLE], Then::End),
    ("openai", EVENTS, &[ROLE, "data: {\"choices\":[{\"delta\":{\"content\":\"half"], Then::Death),
    ("openai", EVENTS, &[ROLE], Then::Pings),
    ("openai", EVENTS, &["data: {\"error\":{\"message\":\"overloaded\"}}\n\n"], Then::End),
    (
        "openai",
        EVENTS,
        &["data: {\"id\":1,\"error\":{\"code\":502},\"choices\":[]}\n\n"],
        Then::End,
    ),
    ("openai", EVENTS, &[CREATED, "data: {\"type\":\"response.failed\"}\n\n"], Then::Silence),
    ("openai", EVENTS, &[CREATED], Then::Death),
    ("openai", EVENTS, &[], Then::Pings),
    ("openai", "application/json", &[], Then::Death),
    ("openai", "application/json", &[], Then::Silence),
    ("anthropic", EVENTS, &[START, PING], Then::Death),
    ("anthropic", EVENTS, &[START, PING], Then::End),
    ("anthropic", EVENTS, &[START], Then::Silence),
    (
        "anthropic",
        EVENTS,
        &[
            START,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
        ],
        Then::End,
    ),
    ("gemini", EVENTS, &["{\n  \"error\": {\n    \"code\": 503\n  }\n}\n"], Then::End),
    ("gemini", EVENTS, &["data: {\"error\":{\"code\":500}}\r\n\r\n"], Then::Silence),
    (
        "gemini",
        EVENTS,
        &["data: {\"candidates\":[{\"content\":{\"parts\":[]}}]}\r\n\r\n"],
        Then::Death,
    ),
    ("gemini", EVENTS, &[], Then::End),
    ("http", "application/json", &[], Then::Death),
    ("http", "application/json", &[], Then::Silence),
    ("openai", "application/json", &["\n", "  \n"], Then::Death),
    ("http", "application/json", &[" "], Then::Silence),
    ("http", EVENTS, &[": hello\r\n\r\n"], Then::Pings),
    ("http", EVENTS, &[], Then::Death),
    ("http", EVENTS, &[], Then::Silence),
];

fn good(protocol: &str, kind: &str) -> &'static [&'static str] {
    match (protocol, kind) {
        ("openai", EVENTS) => &[ROLE, CHAT, "data: [DONE]\n\n"],
        ("anthropic", _) => &[START, STOP],
        ("gemini", _) => &["data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n"],
        _ => &["{}"],
    }
}

const RETRY: &str = "{ type: retry, max_attempts: 2, backoff: { base_delay: 1ms, min_delay: 1ms, max_delay: 2ms } }";

/// Two upstreams, the second the fallback of the first.
async fn pair(
    first: &Upstream,
    second: &Upstream,
    (protocol, fields, route): (&str, &str, &str),
) -> Gateway {
    Gateway::start(&format!(
        "upstreams:\n  first: {{ endpoints: ['{}'], protocol: {protocol}, {fields} }}\n  \
         second: {{ endpoints: ['{}'], protocol: {protocol}, {fields} }}\n\
         routes: [{{ path: '/*', upstream: first, fallback: [second], {route} }}]\n",
        first.endpoint(),
        second.endpoint(),
    ))
    .await
}

async fn get(gateway: &Gateway) -> Answer {
    send(gateway.request(Method::GET, "/v1/answer").body(Full::default()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_fails_before_its_first_content_is_asked_for_again() {
    for (protocol, kind, pieces, then) in FAILED {
        let told = format!("{protocol} {kind} {pieces:?} {then:?}");
        let upstream = Upstream::start(move |n, _| async move {
            match n {
                0 => answer(kind, pieces, *then),
                _ => answer(kind, good(protocol, kind), Then::End),
            }
        })
        .await;
        let gateway = Gateway::start(&format!(
            "upstreams:\n  only: {{ endpoints: ['{}'], protocol: {protocol}, first_byte_timeout: 500ms, policies: [{RETRY}] }}\n\
             routes: [{{ path: '/*', upstream: only }}]\n",
            upstream.endpoint()
        ))
        .await;
        let answer = get(&gateway).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-seawall-attempts")),
            (200, "2"),
            "{told}"
        );
        assert_eq!(answer.text(), good(protocol, kind).concat(), "{told}");
        assert_eq!(gateway.counts("only").await["retries_executed"], 1, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_fails_before_its_first_content_falls_back() {
    for (protocol, kind, pieces, then) in FAILED {
        let told = format!("{protocol} {kind} {pieces:?} {then:?}");
        let broken = Upstream::start(move |_, _| async move { answer(kind, pieces, *then) }).await;
        let sound =
            Upstream::start(
                move |_, _| async move { answer(kind, good(protocol, kind), Then::End) },
            )
            .await;
        let fields = "policies: [{ type: circuit_breaker, failure_threshold: 1, recovery_timeout: 1h }], first_byte_timeout: 500ms";
        let gateway = pair(&broken, &sound, (protocol, fields, "")).await;
        let answer = get(&gateway).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-seawall-upstream")),
            (200, "second"),
            "{told}"
        );
        assert_eq!(answer.text(), good(protocol, kind).concat(), "{told}");
        assert_eq!(gateway.circuit("first").await["state"], "open", "{told}");
        assert_eq!(gateway.circuit("second").await["state"], "closed", "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_behind_the_headers_ends_with_the_attempt_or_the_pause_too() {
    for fields in ["attempt_timeout: 200ms", "stream_idle_timeout: 200ms"] {
        let silent = Upstream::start(|_, _| async { answer(EVENTS, &[], Then::Silence) }).await;
        let sound =
            Upstream::start(|_, _| async { answer(EVENTS, good("openai", EVENTS), Then::End) })
                .await;
        let fields = format!("policies: [], {fields}");
        let gateway = pair(&silent, &sound, ("openai", &fields, "")).await;
        let answer = get(&gateway).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-seawall-upstream")), (200, "second"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_first_content_an_answer_is_the_answer() {
    let upstream =
        Upstream::start(|_, _| async { answer(EVENTS, &[ROLE, CHAT], Then::Death) }).await;
    let unasked = Upstream::statuses(&[200]).await;
    let fields = format!("policies: [{RETRY}], first_byte_timeout: 5s");
    let gateway = pair(&upstream, &unasked, ("openai", &fields, "")).await;
    let answer = get(&gateway).await;
    let added = answer.text().strip_prefix(&*[ROLE, CHAT].concat()).unwrap();
    assert!(added.starts_with("data: {\"error\":"), "{added}");
    assert_eq!((upstream.calls(), unasked.calls()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failing_stream_is_the_answer_if_no_other_upstream_is_left() {
    let failing =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    let upstream =
        Upstream::start(move |_, _| async move { respond_events(&[START, failing]) }).await;
    let policies =
        format!("{{ type: circuit_breaker, failure_threshold: 2, recovery_timeout: 1h }}, {RETRY}");
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'], protocol: anthropic, policies: [{policies}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    for _ in 0..2 {
        let answer = get(&gateway).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, &*[START, failing].concat()));
    }
    assert_eq!(upstream.calls(), 4);
    assert_eq!(gateway.circuit("only").await["state"], "open");
}

fn respond_events(pieces: &[&str]) -> Response {
    let mut response = respond(200, pieces.concat());
    response.headers_mut().insert("content-type", EVENTS.parse().unwrap());
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_held_for_a_bounded_time_and_a_bounded_number_of_events() {
    let long = Box::leak(
        format!("data: {{\"type\":\"response.created\",\"pad\":\"{}\"}}\n\n", "x".repeat(200_000))
            .into_boxed_str(),
    );
    let many: &'static [&'static str] = vec![CREATED; 64].leak();
    let large: &'static [&'static str] = vec![&*long; 3].leak();
    for (hold, pieces) in
        [("100ms", &[CREATED][..]), ("0s", &[CREATED]), ("1h", many), ("1h", large)]
    {
        let upstream =
            Upstream::start(move |_, _| async move { answer(EVENTS, pieces, Then::Silence) }).await;
        let gateway = Gateway::start(&format!(
            "upstreams:\n  only: {{ endpoints: ['{}'], protocol: openai, hold_headers: {hold}, policies: [] }}\n\
             routes: [{{ path: '/*', upstream: only }}]\n",
            upstream.endpoint()
        ))
        .await;
        let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
        let asking = tokio::time::timeout(Duration::from_secs(20), client().request(request));
        let mut body = asking.await.expect("headers in time").unwrap().into_body();
        let (mut came, all) = (0, pieces.concat().len());
        while came < all {
            came += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
        assert_eq!(came, all, "{hold}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_contents_clock_runs_on_when_the_headers_are_out() {
    let many: &'static [&'static str] = vec![CREATED; 64].leak();
    let upstream =
        Upstream::start(move |_, _| async move { answer(EVENTS, many, Then::Pings) }).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'], protocol: openai, first_byte_timeout: 500ms, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    let answer = get(&gateway).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("no content came within 500ms"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn hangs_of_all_upstreams_are_answered_within_the_total() {
    for (attempt, calls) in [("100ms", 1), ("1h", 0)] {
        for headers in [true, false] {
            let hanging = async || {
                Upstream::start(move |_, _| async move {
                    if headers {
                        return answer(EVENTS, &[], Then::Silence);
                    }
                    std::future::pending().await
                })
                .await
            };
            let (first, second) = (hanging().await, hanging().await);
            let fields = format!("policies: [], attempt_timeout: {attempt}");
            let gateway =
                pair(&first, &second, ("anthropic", &fields, "total_timeout: 600ms")).await;
            let answer = get(&gateway).await;
            let problem = answer.problem(504);
            assert_eq!(
                (&problem["type"], &problem["error"]["type"]),
                (&"error".into(), &"timeout_error".into())
            );
            assert_eq!((first.calls(), second.calls()), (1, calls), "{attempt} {headers}");
            eventually("both calls are over", async || {
                gateway.counts("first").await["in_flight"] == 0
                    && gateway.counts("second").await["in_flight"] == 0
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_first_byte_is_a_timeout_and_an_answer_that_broke_off_is_not() {
    for (then, status, counter) in
        [(Then::Silence, 504, "timed_out_calls"), (Then::Death, 502, "failed_calls")]
    {
        let upstream =
            Upstream::start(move |_, _| async move { answer("text/plain", &[], then) }).await;
        let gateway = Gateway::start(&format!(
            "upstreams:\n  only: {{ endpoints: ['{}'], first_byte_timeout: 200ms, policies: [] }}\n\
             routes: [{{ path: '/*', upstream: only }}]\n",
            upstream.endpoint()
        ))
        .await;
        get(&gateway).await.problem(status);
        assert_eq!(gateway.counts("only").await[counter], 1, "{then:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_may_not_be_repeated_are_not_retried() {
    let upstream = Upstream::start(|_, _| async { answer("text/plain", &[], Then::Death) }).await;
    let gateway = Gateway::before(&upstream, RETRY).await;
    gateway.post("/", "once").await.problem(502);
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_and_quiet_subscriptions_pass() {
    let empty = Upstream::start(|n, _| async move { respond([200, 204, 304][n % 3], "") }).await;
    let gateway = Gateway::before(&empty, "").await;
    for status in [200, 204, 304] {
        assert_eq!(gateway.get("/").await.status, status);
    }
    let stream = Upstream::start(|_, _| async { answer(EVENTS, &[CHAT], Then::End) }).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'], protocol: openai, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        stream.endpoint()
    ))
    .await;
    let head = send(gateway.request(Method::HEAD, "/").body(Full::default()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, EVENTS));

    let quiet = Upstream::start(|_, _| async { answer(EVENTS, &[], Then::Silence) }).await;
    let gateway = Gateway::before(&quiet, "{ type: timeout, limit: 5s }").await;
    let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
    let asking = tokio::time::timeout(Duration::from_secs(20), client().request(request));
    assert_eq!(asking.await.expect("headers in time").unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_speak_the_clients_api() {
    let upstream = Upstream::statuses(&[500]).await;
    let gateway = Gateway::start(&format!(
        "limits: {{ max_body_bytes: 10 }}\nupstreams:\n  claude: {{ endpoints: ['{}'], protocol: anthropic, policies: [{{ type: circuit_breaker, failure_threshold: 1 }}] }}\n\
         routes:\n  - {{ path: /v1/messages, upstream: claude, methods: [POST] }}\n  - {{ path: /limited, upstream: claude, rate_limit: {{ rate: 1, per: 1h }} }}\n",
        upstream.endpoint()
    ))
    .await;
    let asked = async |method: Method, path: &str, body: &'static str| {
        let request = gateway.request(method, path).header("anthropic-version", "2023-06-01");
        send(request.body(Full::from(body)).unwrap()).await
    };
    asked(Method::POST, "/v1/messages", "").await;
    asked(Method::GET, "/limited", "").await;
    for (method, path, body, status, kind) in [
        (Method::POST, "/v1/messages", "more than ten bytes", 413, "request_too_large"),
        (Method::POST, "/v1/messages", "", 503, "overloaded_error"),
        (Method::GET, "/limited", "", 429, "rate_limit_error"),
        (Method::GET, "/nowhere", "", 404, "not_found_error"),
        (Method::GET, "/v1/messages", "", 405, "invalid_request_error"),
    ] {
        let answer = asked(method, path, body).await;
        let problem = answer.problem(status);
        assert_eq!(
            (&problem["type"], &problem["error"]["type"]),
            (&"error".into(), &kind.into()),
            "{path}"
        );
        assert_eq!(problem["error"]["message"], problem["detail"]);
        assert_eq!(answer.header("x-should-retry"), "");
        assert_eq!(answer.headers.contains_key("retry-after"), matches!(status, 429 | 503));
    }
}
