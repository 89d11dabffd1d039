//! Streams: event by event, permits to the last byte, and nobody pays for who has left.

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
struct Fed(mpsc::UnboundedReceiver<Result<&'static str, ()>>, Arc<AtomicBool>);

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

async fn open(gateway: &Gateway) -> http::Response<hyper::body::Incoming> {
    let request = gateway.request(Method::GET, "/stream").body(Full::default()).unwrap();
    client().request(request).await.unwrap()
}

async fn next(body: &mut hyper::body::Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = tokio::time::timeout(std::time::Duration::from_secs(20), body.frame());
    frame.await.expect("a piece in time").map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_one_by_one_and_the_place_is_held_to_the_last() {
    let (upstream, mut feeds, _) = streaming().await;
    let gateway = gateway(&upstream, "openai").await;
    let response = open(&gateway).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let feed = feeds.recv().await.unwrap();
    let mut body = response.into_body();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_without_its_last_word_is_a_failure() {
    for (protocol, good, bad) in [
        (
            "openai",
            "data: {\"choices\":[{\"finish_reason\": \"stop\"}]}\n\n",
            "data: {\"n\":1}\n\n",
        ),
        (
            "anthropic",
            "event: message_stop\ndata: {}\n\n",
            "event: content_block_delta\ndata: {}\n\n",
        ),
        ("anthropic", "event: message_stop\ndata: {}\n\n", "event: error\ndata: {}\n\n"),
    ] {
        for (event, state) in [(good, "closed"), (bad, "open")] {
            let (upstream, mut feeds, _) = streaming().await;
            let gateway = gateway(&upstream, protocol).await;
            let mut body = open(&gateway).await.into_body();
            let feed = feeds.recv().await.unwrap();
            feed.send(Ok(event)).unwrap();
            drop(feed);
            while next(&mut body).await.is_some() {}
            eventually(&format!("{protocol}: {state} after {event}"), async || {
                gateway.counts("only").await["in_flight"] == 0
                    && gateway.circuit("only").await["state"] == state
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_says_so_in_the_clients_protocol() {
    for (protocol, expected) in
        [("openai", "\"type\":\"upstream_error\""), ("anthropic", "event: error\ndata:")]
    {
        let (upstream, mut feeds, _) = streaming().await;
        let gateway = gateway(&upstream, protocol).await;
        let mut body = open(&gateway).await.into_body();
        let feed = feeds.recv().await.unwrap();
        feed.send(Ok("data: {\"half")).unwrap();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "data: {\"half");
        feed.send(Err(())).unwrap();
        let farewell = next(&mut body).await.unwrap().unwrap();
        let farewell = std::str::from_utf8(&farewell).unwrap();
        assert!(farewell.starts_with("\n\n") && farewell.contains(expected), "{farewell}");
        assert!(next(&mut body).await.is_none());
        eventually("it counts as a failure", async || {
            gateway.circuit("only").await["state"] == "open"
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_body_that_breaks_off_breaks_off_for_the_client_too() {
    let (upstream, mut feeds, _) = streaming().await;
    let gateway = gateway(&upstream, "http").await;
    let mut body = open(&gateway).await.into_body();
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok("data: x\n\n")).unwrap();
    next(&mut body).await.unwrap().unwrap();
    feed.send(Err(())).unwrap();
    assert!(next(&mut body).await.unwrap().is_err(), "a clean end would be a lie");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_ended() {
    let (upstream, mut feeds, dropped) = streaming().await;
    let gateway = gateway(&upstream, "openai").await;
    let mut body = open(&gateway).await.into_body();
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok("data: 1\n\n")).unwrap();
    next(&mut body).await.unwrap().unwrap();
    let farewell = next(&mut body).await.unwrap().unwrap();
    assert!(std::str::from_utf8(&farewell).unwrap().contains("nothing came for 400ms"));
    eventually("the upstream's call is cancelled", async || dropped.load(Ordering::SeqCst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_client_leaves_the_upstream_is_cancelled_and_nobody_is_blamed() {
    let (upstream, mut feeds, dropped) = streaming().await;
    let gateway = gateway(&upstream, "openai").await;
    let mut body = open(&gateway).await.into_body();
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok("data: 1\n\n")).unwrap();
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
