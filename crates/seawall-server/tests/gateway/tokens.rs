//! Limits of tokens: an estimate is taken before a call, and settled with what its answer reports.

use crate::support::{Answer, Gateway, Upstream, client, eventually, respond, send};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// A body in pieces; an endless one stays open behind them.
struct Pieces {
    pieces: VecDeque<Bytes>,
    is_endless: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.is_endless => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

/// A gateway with a limit of 10,000 tokens in 31 days along its only route: none flows back while a test runs.
async fn gateway(upstream: &Upstream, protocol: &str) -> Gateway {
    Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'], protocol: {protocol}, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only, rate_limit: {{ tokens: {{ rate: 10000, per: 31d }} }} }}]\n",
        upstream.endpoint()
    ))
    .await
}

/// An upstream that answers with this, as a document or as a stream whose body comes in pieces of so many bytes.
async fn answering(status: u16, kind: &'static str, text: &'static str, piece: usize) -> Upstream {
    Upstream::start(move |_, _| async move {
        let pieces = text.as_bytes().chunks(piece).map(Bytes::from_static).collect();
        let body = Body::new(Pieces { pieces, is_endless: false });
        let mut response = respond(status, body);
        response.headers_mut().insert("content-type", kind.parse().unwrap());
        response
    })
    .await
}

async fn left(gateway: &Gateway) -> u64 {
    let limits = gateway.get("/internal/resilience/rate-limits/route%20%2F*").await.json();
    limits["limiters"][0]["quota"]["remaining"].as_u64().unwrap()
}

async fn ask(gateway: &Gateway, path: &str, body: &'static str) -> Answer {
    gateway.post(path, body).await
}

/// What one answer of this kind leaves of the limit, whatever pieces it comes in.
async fn used(
    protocol: &str,
    path: &str,
    status: u16,
    kind: &'static str,
    text: &'static str,
) -> u64 {
    let mut all = Vec::new();
    for piece in [1, 7, usize::MAX] {
        let upstream = answering(status, kind, text, piece).await;
        let gateway = gateway(&upstream, protocol).await;
        let answer = ask(&gateway, path, r#"{"model":"m","max_tokens":500}"#).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, text));
        let taken = 10_000 - left(&gateway).await;
        all.push(taken);
    }
    all.dedup();
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all[0]
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

#[tokio::test(flavor = "multi_thread")]
async fn what_each_api_reports_is_settled_however_its_answer_is_cut() {
    for (protocol, path, kind, text, tokens) in [
        (
            "openai",
            "/v1/chat/completions",
            JSON,
            r#"{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":100}}"#,
            120,
        ),
        (
            "openai",
            "/v1/chat/completions",
            EVENTS,
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n\
             data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":100}}\n\ndata: [DONE]\n\n",
            120,
        ),
        (
            "openai",
            "/v1/responses",
            EVENTS,
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n\
             event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":30,\"output_tokens\":70}}}\n\n",
            100,
        ),
        (
            "anthropic",
            "/v1/messages",
            EVENTS,
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":200,\"output_tokens\":1}}}\n\n\
             event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n\
             event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":45}}\n\n\
             event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            250,
        ),
        (
            "gemini",
            "/v1beta/models/g:streamGenerateContent",
            EVENTS,
            "data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":1}}\n\n\
             data: {\"candidates\":[{\"index\":0,\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":21}}\n\n",
            30,
        ),
    ] {
        assert_eq!(used(protocol, path, 200, kind, text).await, tokens, "{protocol} {path} {kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_reported_counts_as_expected_and_a_failure_as_nothing() {
    let path = "/v1/chat/completions";
    // 30 bytes of a request are about 8 tokens.
    assert_eq!(used("openai", path, 200, JSON, r#"{"choices":[]}"#).await, 508);
    assert_eq!(
        used(
            "openai",
            path,
            200,
            JSON,
            r#"{"usage":{"prompt_tokens":-5,"completion_tokens":1e99}}"#
        )
        .await,
        508
    );
    assert_eq!(used("openai", path, 500, JSON, r#"{"usage":{"prompt_tokens":20}}"#).await, 0);
    assert_eq!(used("openai", path, 400, JSON, "{}").await, 0);
    // A stream without a report: the request as expected, and an event is about a token.
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n\
                  data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    assert_eq!(used("openai", path, 200, EVENTS, stream).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_expected_is_a_debt_and_answers_are_asked_for_in_plain() {
    let text = r#"{"usage":{"prompt_tokens":20,"completion_tokens":30000}}"#;
    let upstream = answering(200, JSON, text, usize::MAX).await;
    let gateway = gateway(&upstream, "openai").await;
    let request = gateway.request(Method::POST, "/v1/chat/completions");
    let request = request.header("accept-encoding", "gzip, br").body(Full::from("{}")).unwrap();
    assert_eq!(send(request).await.status, 200);
    assert_eq!(upstream.seen()[0].2["accept-encoding"], "identity");
    let refused = ask(&gateway, "/v1/chat/completions", "{}").await;
    let problem = refused.problem(429);
    assert_eq!(problem["reason"], "rate_limited");
    // 20,020 tokens of debt and what is expected of this one, at 10,000 in 31 days.
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    let whole = 31 * 86_400;
    assert!(wait > 2 * whole && wait < 3 * whole, "{wait}");
    // What uses no tokens passes.
    assert_eq!(gateway.get("/v1/models").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_has_used_what_it_got() {
    let upstream = Upstream::start(|_, _| async {
        let first = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}}\n\n\
                     event: content_block_delta\ndata: {\"delta\":{\"text\":\"a\"}}\n\n\
                     event: content_block_delta\ndata: {\"delta\":{\"text\":\"b\"}}\n\n";
        let pieces = [Bytes::from_static(first.as_bytes())].into();
        let body = Body::new(Pieces { pieces, is_endless: true });
        let mut response = respond(200, body);
        response.headers_mut().insert("content-type", EVENTS.parse().unwrap());
        response
    })
    .await;
    let gateway = gateway(&upstream, "anthropic").await;
    let request = gateway
        .request(Method::POST, "/v1/messages")
        .body(Full::from(r#"{"max_tokens":900}"#))
        .unwrap();
    let mut body = client().request(request).await.unwrap().into_body();
    assert!(body.frame().await.is_some());
    assert!(left(&gateway).await < 9_200, "reserved");
    drop(body);
    eventually("it is settled", || async { left(&gateway).await == 9_898 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_tokens_have_limits_beside_one_another_and_for_each_key() {
    let upstream =
        answering(200, JSON, r#"{"usage":{"prompt_tokens":400,"completion_tokens":0}}"#, 9).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'], protocol: openai, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only, rate_limit: {{ key: 'header:x-who', rate: 3, per: 1h, tokens: {{ rate: 1000, per: 1h }} }} }}]\n",
        upstream.endpoint()
    ))
    .await;
    let ask = async |who: &str, body: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-who", who.parse().unwrap());
        let mut request = gateway.request(Method::POST, "/v1/chat/completions");
        *request.headers_mut().unwrap() = headers;
        send(request.body(Full::from(body)).unwrap()).await.status.as_u16()
    };
    let small = r#"{"max_tokens":1}"#;
    // The third would pass by their number, and by its own tokens, but not by those of the first two.
    let large = r#"{"max_tokens":300}"#;
    assert_eq!(
        [ask("a", small).await, ask("a", small).await, ask("a", large).await],
        [200, 200, 429]
    );
    assert_eq!(ask("b", large).await, 200, "each has limits of its own");
}
