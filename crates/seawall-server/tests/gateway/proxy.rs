//! Tests of what passes through the gateway, and how.

use crate::support::{Gateway, Upstream, nobody, respond, send};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};

#[tokio::test(flavor = "multi_thread")]
async fn routes_decide_by_path_and_method() {
    let (files, rest) = (Upstream::statuses(&[201]).await, Upstream::statuses(&[202]).await);
    let gateway = Gateway::start(&format!(
        "upstreams:\n  files: {{ endpoints: ['{}'] }}\n  rest: {{ endpoints: ['{}'] }}\n\
         routes:\n  - {{ path: /files/*, upstream: files, methods: [GET, HEAD] }}\n  \
         - {{ path: /v1/models, upstream: rest }}\n  - {{ path: /v1/*, upstream: rest, methods: [POST] }}\n",
        files.endpoint(),
        rest.endpoint()
    ))
    .await;
    for (method, path, status) in [
        (Method::GET, "/files/a/b?c=d&e=%20", 201),
        (Method::HEAD, "/files/", 201),
        (Method::POST, "/files/a", 405),
        (Method::DELETE, "/v1/models", 202),
        (Method::POST, "/v1/chat", 202),
        (Method::GET, "/v1/chat", 405),
        (Method::GET, "/filesystem", 404),
        (Method::GET, "/", 404),
    ] {
        let request = gateway.request(method.clone(), path).body(Full::default()).unwrap();
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{method} {path}");
        match status {
            405 => {
                answer.problem(405);
                let allowed = if path == "/files/a" { "GET, HEAD" } else { "POST" };
                assert_eq!(answer.header("allow"), allowed);
            }
            404 => assert_eq!(answer.problem(404)["title"], "No route"),
            _ => assert_eq!(answer.header("x-seawall-attempts"), "1"),
        }
        assert_eq!(answer.header("x-correlation-id").len(), 16, "{method} {path}");
    }
    let paths: Vec<_> = files.seen().into_iter().map(|(_, path, _)| path).collect();
    assert_eq!(paths, ["/files/a/b?c=d&e=%20", "/files/"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_pass_both_ways_and_those_of_a_connection_stay_behind() {
    let upstream = Upstream::start(|_, _| async {
        Response::builder()
            .header("x-answer", "yes")
            .header("connection", "x-private, close")
            .header("x-private", "not for the client")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(Body::from("ok"))
            .unwrap()
    })
    .await;
    let gateway = Gateway::before(&upstream, "").await;
    let request = gateway
        .request(Method::GET, "/")
        .header("x-question", "why")
        .header("connection", "x-hop")
        .header("x-hop", "not for the upstream")
        .header("te", "trailers")
        .header("x-forwarded-for", "10.1.2.3")
        .header("x-correlation-id", "my-own-id")
        .body(Full::default())
        .unwrap();
    let answer = send(request).await;

    let (_, _, sent) = upstream.seen().remove(0);
    assert_eq!(sent["x-question"], "why");
    assert!(!sent.contains_key("x-hop"));
    assert_eq!(sent["host"], upstream.address.to_string());
    assert_eq!(sent["x-forwarded-host"], gateway.address.to_string());
    assert_eq!(sent["x-forwarded-for"], "127.0.0.1", "nobody said to trust this client");
    assert_eq!(sent["x-correlation-id"], "my-own-id");
    assert_eq!(sent["x-seawall-attempt"], "1");

    assert_eq!(answer.header("x-answer"), "yes");
    assert!(!answer.headers.contains_key("x-private"));
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(answer.header("x-correlation-id"), "my-own-id");
    assert_eq!(answer.header("x-seawall-upstream"), "only");
    assert_eq!(answer.header("x-seawall-circuit"), "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsound_correlation_id_is_replaced() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = Gateway::before(&upstream, "").await;
    for id in ["", "with space", &"x".repeat(129)] {
        let request = gateway.request(Method::GET, "/").header("x-correlation-id", id);
        let answer = send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.header("x-correlation-id").len(), 16, "{id:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_both_ways_to_the_byte() {
    let echo = Upstream::start(|_, request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        respond(200, body)
    })
    .await;
    let gateway = Gateway::before(&echo, "").await;
    // Kept whole for another attempt; and longer than that, passed on once.
    for length in [0, 1, 900_000, 10_000_000] {
        let body: Bytes = (0..length).map(|n: u32| (n.wrapping_mul(31) >> 3) as u8).collect();
        let answer = gateway.post("/", body.clone()).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{length} bytes came back as {}", answer.body.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_stay_without() {
    let upstream = Upstream::start(|_, request| async move {
        match request.uri().path() {
            "/204" => respond(204, ""),
            "/304" => respond(304, ""),
            _ => respond(200, "the body that HEAD does not get"),
        }
    })
    .await;
    let policies = "{ type: bulkhead, max_concurrent: 1 }";
    let gateway = Gateway::before(&upstream, policies).await;
    for (method, path, status) in
        [(Method::GET, "/204", 204), (Method::GET, "/304", 304), (Method::HEAD, "/", 200)]
    {
        let request = gateway.request(method, path).body(Full::default()).unwrap();
        let answer = send(request).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0));
    }
    // Their places are back, or these would have been refused.
    assert_eq!(gateway.counts("only").await["in_flight"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_take_turns_and_one_that_is_down_costs_no_attempt() {
    let (one, other) = (Upstream::statuses(&[200]).await, Upstream::statuses(&[200]).await);
    let down = nobody().await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}', 'http://{down}', '{}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        one.endpoint(),
        other.endpoint()
    ))
    .await;
    for _ in 0..9 {
        let answer = gateway.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-seawall-attempts")), (200, "1"));
    }
    assert_eq!((one.calls(), other.calls()), (3, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_an_endpoint_comes_first() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}/base/'] }}\nroutes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    gateway.get("/v1/models?limit=3").await;
    assert_eq!(upstream.seen()[0].1, "/base/v1/models?limit=3");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_without_a_listener_is_a_502_that_names_it() {
    let down = nobody().await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  gone: {{ endpoints: ['http://{down}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: gone }}]\n"
    ))
    .await;
    let problem = gateway.get("/").await.problem(502);
    assert!(problem["detail"].as_str().unwrap().contains("gone"), "{problem}");
    assert_eq!(problem["reason"], "connect");
}
