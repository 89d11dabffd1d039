//! Tests of what the policies do to requests.

use crate::support::{Answer, Gateway, Upstream, eventually, nobody, respond, send};
use http::Method;
use http_body_util::Full;
use std::time::{Duration, Instant};

const RETRY: &str =
    "{ type: retry, max_attempts: 3, backoff: { base_delay: 5ms, max_delay: 10ms } }";

fn attempts_seen(upstream: &Upstream) -> Vec<String> {
    let seen = upstream.seen().into_iter();
    seen.map(|(_, _, headers)| headers["x-seawall-attempt"].to_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_passes_is_repeated() {
    let upstream = Upstream::statuses(&[503, 500, 200]).await;
    let gateway = Gateway::before(&upstream, RETRY).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.text(), answer.header("x-seawall-attempts")), ("200", "3"));
    assert_eq!(attempts_seen(&upstream), ["1", "2", "3"]);
    let counts = gateway.counts("only").await;
    assert_eq!((&counts["retries_executed"], &counts["attempts"]), (&2.into(), &3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_own_error_is_the_answer_when_every_attempt_ended_in_it() {
    let upstream = Upstream::statuses(&[503, 502, 500]).await;
    let gateway = Gateway::before(&upstream, RETRY).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (500, "500"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unrepeatable_requests_are_sent_once() {
    let post = |gateway: &Gateway, header: Option<(&'static str, &'static str)>| {
        let mut request = gateway.request(Method::POST, "/");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.body(Full::from("payload")).unwrap()
    };
    for (protocol, repeatable, header, expected) in [
        ("http", "auto", None, 1),
        ("http", "auto", Some(("idempotency-key", "k1")), 3),
        ("http", "always", None, 3),
        ("openai", "auto", None, 3),
        ("anthropic", "auto", None, 3),
        ("gemini", "auto", None, 3),
        ("openai", "never", Some(("idempotency-key", "k1")), 1),
        // The client counts its attempts itself.
        ("openai", "auto", Some(("x-seawall-attempt", "2")), 1),
    ] {
        let upstream = Upstream::statuses(&[503]).await;
        let gateway = Gateway::start(&format!(
            "upstreams:\n  only: {{ endpoints: ['{}'], protocol: {protocol}, repeatable: {repeatable}, policies: [{RETRY}] }}\n\
             routes: [{{ path: '/*', upstream: only }}]\n",
            upstream.endpoint()
        ))
        .await;
        send(post(&gateway, header)).await;
        assert_eq!(upstream.calls(), expected, "{protocol} {repeatable} {header:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_longer_than_is_kept_is_sent_once() {
    let upstream = Upstream::start(|_, request| async {
        let length = http_body_util::BodyExt::collect(request.into_body()).await.unwrap();
        respond(503, length.to_bytes().len().to_string())
    })
    .await;
    let gateway = Gateway::start(&format!(
        "limits: {{ max_replay_bytes: 1000 }}\nupstreams:\n  only: {{ endpoints: ['{}'], protocol: openai, policies: [{RETRY}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    let answer = gateway.post("/", vec![7; 5_000]).await;
    assert_eq!((answer.text(), upstream.calls()), ("5000", 1));
    gateway.post("/", vec![7; 900]).await;
    assert_eq!(upstream.calls(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_waited_for() {
    let upstream = Upstream::start(|n, _| async move {
        let mut response = respond(if n == 0 { 503 } else { 200 }, "");
        response.headers_mut().insert("retry-after-ms", "300".parse().unwrap());
        response
    })
    .await;
    let gateway = Gateway::before(&upstream, RETRY).await;
    let start = Instant::now();
    assert_eq!(gateway.get("/").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_holds_for_each_key() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'] }}\n\
         routes: [{{ path: '/*', upstream: only, rate_limit: {{ rate: 2, per: 1h, burst: 1, key: header:authorization }} }}]\n",
        upstream.endpoint()
    ))
    .await;
    let ask = async |key: &str| {
        let request = gateway.request(Method::GET, "/").header("authorization", key);
        send(request.body(Full::default()).unwrap()).await
    };
    for _ in 0..3 {
        assert_eq!(ask("Bearer one").await.status, 200);
    }
    let refused = ask("Bearer one").await;
    let problem = refused.problem(429);
    assert_eq!(
        (&problem["policy"], &problem["reason"]),
        (&"rate_limiter".into(), &"rate_limited".into())
    );
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1700..=1801).contains(&wait), "{wait} s");
    assert!(!refused.text().contains("Bearer"));
    assert_eq!(ask("Bearer two").await.status, 200);
    assert_eq!(upstream.calls(), 4);
    assert_eq!(gateway.counts("route /*").await["rejections"]["rate_limited"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_circuit_refuses_without_a_call_and_lets_a_probe_through() {
    let upstream = Upstream::statuses(&[500, 500, 500, 200]).await;
    let policy = "{ type: circuit_breaker, failure_threshold: 3, recovery_timeout: 300ms }";
    let gateway = Gateway::before(&upstream, policy).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 500);
    }
    let refused = gateway.get("/").await;
    let problem = refused.problem(503);
    assert_eq!(problem["reason"], "circuit_open");
    assert_eq!((refused.header("retry-after"), refused.header("x-seawall-circuit")), ("1", "open"));
    assert_eq!(refused.header("x-seawall-attempts"), "0");
    assert_eq!(upstream.calls(), 3);

    let circuit = gateway.circuit("only").await;
    assert_eq!((&circuit["state"], &circuit["openings_in_a_row"]), (&"open".into(), &1.into()));
    let why = circuit["last_transition"]["reason"].as_str().unwrap();
    assert_eq!(why, "3 consecutive failures reached failure_threshold 3");

    eventually("the circuit closes", async || gateway.get("/").await.status == 200).await;
    assert_eq!(gateway.circuit("only").await["state"], "closed");
    assert_eq!(gateway.get("/").await.header("x-seawall-circuit"), "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_failures_open_nothing_and_are_passed_on() {
    let upstream = Upstream::statuses(&[404]).await;
    let policy = format!("{{ type: circuit_breaker, failure_threshold: 1 }}, {RETRY}");
    let gateway = Gateway::before(&upstream, &policy).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").await.status, 404);
    }
    assert_eq!(upstream.calls(), 5);
}

fn with_fallback(first: &Upstream, second: &Upstream, policies: &str) -> String {
    format!(
        "upstreams:\n  first: {{ endpoints: ['{}'], policies: [{policies}] }}\n  \
         second: {{ endpoints: ['{}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: first, fallback: [second] }}]\n",
        first.endpoint(),
        second.endpoint()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_upstream_stands_in_for_errors_timeouts_and_refusals() {
    let hung = Upstream::start(|_, _| std::future::pending()).await;
    let broken = Upstream::statuses(&[503]).await;
    let good = Upstream::start(|_, request| async {
        respond(
            200,
            http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes(),
        )
    })
    .await;
    for (first, policies) in [
        (&broken, ""),
        (&broken, "{ type: circuit_breaker, failure_threshold: 1 }"),
        (&hung, "{ type: timeout, limit: 50ms }"),
    ] {
        let gateway = Gateway::start(&with_fallback(first, &good, policies)).await;
        for _ in 0..2 {
            let request = gateway.request(Method::PUT, "/").body(Full::from("payload")).unwrap();
            let answer = send(request).await;
            let told = (answer.status.as_u16(), answer.text(), answer.header("x-seawall-upstream"));
            assert_eq!(told, (200, "payload", "second"), "{policies}");
        }
        assert_eq!(gateway.counts("route /*").await["fallbacks"], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_upstreams_answer_is_the_answer_and_the_requests_own_fault_is_not_asked_again() {
    let (broken, worse) = (Upstream::statuses(&[503]).await, Upstream::statuses(&[502]).await);
    let gateway = Gateway::start(&with_fallback(&broken, &worse, "")).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-seawall-upstream")), (502, "second"));

    let (strict, unasked) = (Upstream::statuses(&[422]).await, Upstream::statuses(&[200]).await);
    let gateway = Gateway::start(&with_fallback(&strict, &unasked, "")).await;
    assert_eq!(gateway.get("/").await.status, 422);
    assert_eq!(unasked.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_upstream_is_a_504_and_its_call_is_cancelled() {
    let hung = Upstream::start(|_, _| std::future::pending()).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'], attempt_timeout: 80ms, policies: [{{ type: bulkhead, max_concurrent: 1 }}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        hung.endpoint()
    ))
    .await;
    for _ in 0..2 {
        let answer = gateway.get("/").await;
        let problem = answer.problem(504);
        assert_eq!(problem["detail"], "only: no answer within 80ms");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let counts = gateway.counts("only").await;
    assert_eq!((&counts["timeouts"], &counts["in_flight"]), (&2.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_bulkhead_is_a_503_and_a_queue_is_served() {
    let slow = Upstream::start(|_, _| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        respond(200, "slow")
    })
    .await;
    let policy = "{ type: bulkhead, max_concurrent: 1, max_queued: 1, max_wait: 10s }";
    let gateway = Gateway::before(&slow, policy).await;
    let (a, b, c) = tokio::join!(gateway.get("/"), gateway.get("/"), gateway.get("/"));
    let mut answers = [a, b, c];
    answers.sort_by_key(|answer: &Answer| answer.status.as_u16());
    assert_eq!(answers.each_ref().map(|answer| answer.status.as_u16()), [200, 200, 503]);
    assert_eq!(answers[2].problem(503)["reason"], "bulkhead_full");
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_clients_get_errors_in_their_own_words_and_a_hint_whether_to_retry() {
    let upstream = Upstream::statuses(&[500]).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  chat: {{ endpoints: ['{}'], protocol: openai, policies: [{{ type: circuit_breaker, failure_threshold: 1 }}] }}\n\
         routes: [{{ path: '/*', upstream: chat }}]\n",
        upstream.endpoint()
    ))
    .await;
    gateway.get("/v1/models").await;
    let refused = gateway.get("/v1/models").await;
    // It did not run: the client may come back, and is told when.
    let told = (refused.header("x-should-retry"), refused.header("retry-after").is_empty());
    assert_eq!((refused.status.as_u16(), told), (503, ("", false)));
    let error = &refused.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&"server_error".into(), &"circuit_open".into()));
    assert!(error["message"].is_string());

    // It ran and failed, as often as it may: coming back would multiply the attempts.
    let gateway = Gateway::start(&format!(
        "upstreams:\n  chat: {{ endpoints: ['http://{}'], protocol: openai, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: chat }}]\n",
        nobody().await
    ))
    .await;
    let failed = gateway.get("/v1/models").await;
    let told = (failed.header("x-should-retry"), failed.header("retry-after"));
    assert_eq!((failed.status.as_u16(), told), (502, ("false", "")));
    assert_eq!(failed.json().get("retry_after"), None);
}
