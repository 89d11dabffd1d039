//! Tests of streams: event by event, permits held to the last byte, and calls cancelled when the client has left.

use crate::support::{Gateway, Upstream, client, eventually, respond};
use axum::body::Body;
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// A body fed by a channel; says when it is dropped.
pub(crate) struct Fed(
    pub(crate) mpsc::UnboundedReceiver<Result<&'static str, ()>>,
    pub(crate) Arc<AtomicBool>,
);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| match piece? {
            Ok(text) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Err(()) => Some(Err("it breaks off".into())),
        })
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

type Feed = mpsc::UnboundedSender<Result<&'static str, ()>>;

/// An upstream whose answers are event streams; each request hands out a feed.
async fn streaming() -> (Upstream, mpsc::UnboundedReceiver<Feed>, Arc<AtomicBool>) {
    let (feeds, fed) = mpsc::unbounded_channel();
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    let upstream = Upstream::start(move |_, _| {
        let (feed, body) = mpsc::unbounded_channel();
        feeds.send(feed).unwrap();
        let body = Body::new(Fed(body, flag.clone()));
        async move {
            let mut response = respond(200, body);
            let kind = "text/event-stream; charset=utf-8".parse().unwrap();
            response.headers_mut().insert("content-type", kind);
            response
        }
    })
    .await;
    (upstream, fed, dropped)
}

const POLICIES: &str = "{ type: circuit_breaker, failure_threshold: 1, recovery_timeout: 1h }, \
                        { type: bulkhead, max_concurrent: 1 }";

async fn gateway(upstream: &Upstream, protocol: &str) -> Gateway {
    Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}'], protocol: {protocol}, stream_idle_timeout: 400ms, policies: [{POLICIES}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await
}

/// Asks, and feeds the first piece: headers are held until there is one.
async fn open(
    gateway: &Gateway,
    feeds: &mut mpsc::UnboundedReceiver<Feed>,
    first: &'static str,
) -> (Feed, http::Response<hyper::body::Incoming>) {
    let request = gateway.request(Method::GET, "/stream").body(Full::default()).unwrap();
    let asking = client().request(request);
    let feeding = async {
        let feed = feeds.recv().await.unwrap();
        feed.send(Ok(first)).unwrap();
        feed
    };
    let (response, feed) = tokio::join!(asking, feeding);
    (feed, response.unwrap())
}

async fn next(body: &mut hyper::body::Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = tokio::time::timeout(std::time::Duration::from_secs(20), body.frame());
    frame.await.expect("a piece in time").map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_one_by_one_and_the_place_is_held_to_the_last() {
    let (upstream, mut feeds, _) = streaming().await;
    let gateway = gateway(&upstream, "openai").await;
    let first = "data: {\"n\":0}\n\n";
    let (feed, response) = open(&gateway, &mut feeds, first).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut body = response.into_body();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), first);
    for event in ["data: {\"n\":1}\n\n", "data: {\"n\":2}\n\n"] {
        feed.send(Ok(event)).unwrap();
        // The next one is sent only after this one has come through.
        assert_eq!(next(&mut body).await.unwrap().unwrap(), event);
    }
    assert_eq!(gateway.counts("only").await["in_flight"], 1);
    assert_eq!(gateway.get("/another").await.problem(503)["reason"], "bulkhead_full");
    feed.send(Ok("data: [DONE]\n\n")).unwrap();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "data: [DONE]\n\n");
    drop(feed);
    assert!(next(&mut body).await.is_none());
    eventually("the end is counted", async || {
        let counts = gateway.counts("only").await;
        counts["in_flight"] == 0 && counts["successful_calls"] == 1
    })
    .await;
    assert_eq!(gateway.circuit("only").await["state"], "closed");
}

const CHAT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\": \"stop\"}]}\n\n";
const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":3,\"delta\":\"a\"}\n\n";
const BLOCK: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n";

/// How a stream of these pieces ends for its client and for the circuit.
async fn ended(protocol: &str, pieces: &[&'static str], clean: bool) -> (String, String) {
    let (upstream, mut feeds, _) = streaming().await;
    let gateway = gateway(&upstream, protocol).await;
    let (feed, response) = open(&gateway, &mut feeds, pieces[0]).await;
    for piece in &pieces[1..] {
        feed.send(Ok(piece)).unwrap();
    }
    let mut got = Vec::new();
    let mut body = response.into_body();
    if !clean {
        // What the upstream has not written yet when it breaks off does not count as sent.
        let whole = pieces.iter().filter(|piece| piece.ends_with("\n\n"));
        let whole = whole.map(|piece| piece.len()).sum();
        while got.len() < whole {
            got.extend_from_slice(&next(&mut body).await.unwrap().unwrap());
        }
        feed.send(Err(())).unwrap();
    }
    drop(feed);
    while let Some(piece) = next(&mut body).await {
        got.extend_from_slice(&piece.expect("a body that ends"));
    }
    eventually("the end is counted", async || gateway.counts("only").await["in_flight"] == 0).await;
    let state = gateway.circuit("only").await["state"].as_str().unwrap().to_owned();
    (state, String::from_utf8(got).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_circuit_counts_a_stream_by_its_own_last_event() {
    for (protocol, pieces, state) in [
        ("openai", &[CHAT, STOP][..], "closed"),
        ("openai", &[CHAT, "data: [DONE]\r\n\r\n"], "closed"),
        ("openai", &[DELTA, "data: {\"type\":\"response.completed\"}\n\n"], "closed"),
        ("openai", &[DELTA, "event: response.incomplete\rdata: {}\r\r"], "closed"),
        ("openai", &["data: {\"type\":\"speech.audio.done\"}\n\n"], "closed"),
        ("openai", &[CHAT, "data: {\"choices\":[{\"finish_reason\":\"error\"}]}\n\n"], "open"),
        (
            "openai",
            &[CHAT, "data: {\"id\":1,\"error\":{}, \"error\":{\"a\":1}}\n\n", "data: [DONE]\n\n"],
            "open",
        ),
        ("openai", &[DELTA, "data: {\"type\":\"response.failed\"}\n\n"], "open"),
        ("openai", &[DELTA, "event: error\ndata: {\"message\":\"x\"}\n\n"], "open"),
        ("anthropic", &[BLOCK, "event: message_stop\ndata: {}\n\n"], "closed"),
        ("anthropic", &[BLOCK, "event: error\ndata: {}\n\n"], "open"),
    ] {
        let (counted, got) = ended(protocol, pieces, true).await;
        assert_eq!((&*counted, &got), (state, &pieces.concat()), "{protocol} {pieces:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_too_early_is_a_failure_and_says_so_in_the_clients_form() {
    for (protocol, first, half, error) in [
        (
            "openai",
            CHAT,
            "data: {\"choices\":[{\"del",
            "data: {\"error\":{\"code\":\"upstream_error\",",
        ),
        (
            "openai",
            DELTA,
            "event: response.comple",
            "event: error\ndata: {\"code\":\"upstream_error\",",
        ),
        ("anthropic", BLOCK, "event: message_st", "event: error\ndata: {\"error\":{\"message\":"),
    ] {
        for pieces in [&[first][..], &[first, half]] {
            for clean in [true, false] {
                let (counted, got) = ended(protocol, pieces, clean).await;
                assert_eq!(counted, "open", "{protocol} {pieces:?}");
                let added = got.strip_prefix(first).unwrap_or_else(|| panic!("{got:?}"));
                let data = added.trim_end().rsplit("data: ").next().unwrap();
                serde_json::from_str::<serde_json::Value>(data).unwrap();
                assert!(added.starts_with(error) && added.ends_with("}\n\n"), "{added:?}");
            }
        }
    }
    let (_, got) = ended("openai", &[DELTA], true).await;
    assert!(got.contains("\"sequence_number\":4,\"type\":\"error\""), "{got}");
    let (_, got) = ended("anthropic", &[BLOCK], true).await;
    assert!(
        got.contains("\"type\":\"api_error\"}") && got.contains("\"type\":\"error\"}"),
        "{got}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_behind_the_end_is_a_success() {
    for (protocol, pieces) in [
        ("openai", [CHAT, "data: [DONE]\n\n"]),
        ("openai", [DELTA, "event: response.completed\ndata: {}\n\n"]),
        ("anthropic", [BLOCK, "data: {\"type\":\"message_stop\"}\n\n"]),
    ] {
        let (counted, got) = ended(protocol, &pieces, false).await;
        assert_eq!((&*counted, got), ("closed", pieces.concat()), "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_promised_length_has_room_for_an_error_event() {
    let address = crate::support::saying(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 500\r\n\r\n\
          event: content_block_delta\r\ndata: {}\r\n\r\ndata: half an ev",
    )
    .await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['http://{address}'], protocol: anthropic, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await;
    let answer = gateway.get("/v1/messages").await;
    let added =
        answer.text().strip_prefix("event: content_block_delta\r\ndata: {}\r\n\r\n").unwrap();
    assert!(added.starts_with("event: error\ndata: {"), "{added}");
    assert!(!answer.headers.contains_key("content-length"));
    assert_eq!(gateway.counts("only").await["failed_calls"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_with_the_whole_answer_leaves_a_success() {
    let (upstream, mut feeds, _) = streaming().await;
    let gateway = gateway(&upstream, "openai").await;
    let (_feed, response) = open(&gateway, &mut feeds, "data: [DONE]\n\n").await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    drop(body);
    eventually("it counts as a success", async || {
        gateway.counts("only").await["successful_calls"] == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_body_that_breaks_off_breaks_off_for_the_client_too() {
    let (upstream, mut feeds, _) = streaming().await;
    let gateway = gateway(&upstream, "http").await;
    let (feed, response) = open(&gateway, &mut feeds, "data: x\n\n").await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    feed.send(Err(())).unwrap();
    assert!(next(&mut body).await.unwrap().is_err(), "a clean end would be a lie");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_ended() {
    let (upstream, mut feeds, dropped) = streaming().await;
    let gateway = gateway(&upstream, "openai").await;
    let (_feed, response) = open(&gateway, &mut feeds, "data: 1\n\n").await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    let farewell = next(&mut body).await.unwrap().unwrap();
    assert!(std::str::from_utf8(&farewell).unwrap().contains("nothing came for 400ms"));
    eventually("the upstream's call is cancelled", async || dropped.load(Ordering::SeqCst)).await;
}

/// As under a preset: a limit for the whole around the retries, and one for each attempt inside of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_last_longer_than_an_attempt_and_all_of_them_may() {
    let (upstream, mut feeds, _) = streaming().await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only:\n    endpoints: ['{}']\n    policies:\n      \
         - {{ type: timeout, limit: 2500ms }}\n      \
         - {{ type: circuit_breaker, failure_threshold: 1 }}\n      \
         - {{ type: retry, max_attempts: 3 }}\n      \
         - {{ type: timeout, limit: 2s }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    let began = std::time::Instant::now();
    let (feed, response) = open(&gateway, &mut feeds, "data: 1\n\n").await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    while began.elapsed() < std::time::Duration::from_secs(3) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        feed.send(Ok("data: more\n\n")).unwrap();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "data: more\n\n");
    }
    drop(feed);
    assert!(next(&mut body).await.is_none());
    eventually("the stream counts as a success", async || {
        let counts = gateway.counts("only").await;
        counts["successful_calls"] == 1 && counts["timeouts"] == 0
    })
    .await;
    assert_eq!(gateway.circuit("only").await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_client_leaves_the_upstream_is_cancelled_and_nobody_is_blamed() {
    let (upstream, mut feeds, dropped) = streaming().await;
    let gateway = gateway(&upstream, "openai").await;
    let (_feed, response) = open(&gateway, &mut feeds, "data: 1\n\n").await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    drop(body);
    eventually("the upstream's call is cancelled", async || dropped.load(Ordering::SeqCst)).await;
    eventually("the place is back", async || {
        let counts = gateway.counts("only").await;
        counts["in_flight"] == 0 && counts["abandoned_calls"] == 1
    })
    .await;
    assert_eq!(gateway.circuit("only").await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_client_leaves_before_the_answer_the_call_is_cancelled_too() {
    let hung = Upstream::start(|_, _| std::future::pending()).await;
    let gateway = Gateway::before(&hung, POLICIES).await;
    let request = gateway.request(Method::GET, "/").body(Full::<Bytes>::default()).unwrap();
    let asking = tokio::spawn(client().request(request));
    eventually("the upstream is asked", async || hung.calls() == 1).await;
    asking.abort();
    eventually("the place is back", async || {
        let counts = gateway.counts("only").await;
        counts["in_flight"] == 0 && counts["abandoned_calls"] == 1
    })
    .await;
    assert_eq!(gateway.circuit("only").await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_passed_on_while_it_comes() {
    let (seen, mut arrived) = mpsc::unbounded_channel();
    let upstream = Upstream::start(move |_, request| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                seen.send(frame.into_data().unwrap().len()).unwrap();
            }
            respond(200, "all of it")
        }
    })
    .await;
    let gateway = Gateway::start(&format!(
        "limits: {{ max_replay_bytes: 10 }}\nupstreams:\n  only: {{ endpoints: ['{}'] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    let (pieces, body) = mpsc::channel(1);
    let body = Pieces(body);
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let request = gateway.request(Method::POST, "/").body(body).unwrap();
    let asking = tokio::spawn(client.build_http().request(request));
    for _ in 0..3 {
        pieces.send(Bytes::from(vec![1; 100])).await.unwrap();
        // The next piece is sent only after the upstream has this one.
        let mut came = 0;
        while came < 100 {
            came += arrived.recv().await.unwrap();
        }
        assert_eq!(came, 100);
    }
    drop(pieces);
    assert_eq!(asking.await.unwrap().unwrap().status(), 200);
}

/// A request's body out of a channel.
struct Pieces(mpsc::Receiver<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
