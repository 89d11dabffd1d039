//! Bodies on their way: who is to blame for a slow one, and what becomes of one that cannot be kept.

use crate::{
    support::{Gateway, HttpClient, Upstream, eventually, nobody, raw, respond},
    wire::Pieces,
};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Reads the whole body and says how long it is.
async fn measuring() -> Upstream {
    Upstream::start(|_, request| async {
        match BodyExt::collect(request.into_body()).await {
            Ok(body) => respond(200, body.to_bytes().len().to_string()),
            Err(_) => respond(400, "half a body"),
        }
    })
    .await
}

async fn before(endpoints: &str, limits: &str) -> Gateway {
    Gateway::start(&format!(
        "limits: {{ max_replay_bytes: 100, {limits} }}\n\
         upstreams:\n  only:\n    endpoints: [{endpoints}]\n    policies:\n      \
         - {{ type: circuit_breaker, failure_threshold: 1 }}\n      \
         - {{ type: timeout, limit: 500ms }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("it hangs");
    String::from_utf8_lossy(&answer).into_owned()
}

const HEAD: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";

/// Uploads 1000 bytes in ten pieces, with a pause after each.
async fn upload(gateway: &Gateway, head: &str, is_chunked: bool, pause: Duration) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(format!("{HEAD}{head}\r\n").as_bytes()).await.unwrap();
    let piece = "x".repeat(100);
    for _ in 0..10 {
        let framed = if is_chunked { format!("64\r\n{piece}\r\n") } else { piece.clone() };
        if stream.write_all(framed.as_bytes()).await.is_err() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    if is_chunked {
        let _ = stream.write_all(b"0\r\n\r\n").await;
    }
    read_all(stream).await
}

/// Uploads 1000 bytes in ten pieces over HTTP/2, with a pause after each.
async fn upload_over_http2(gateway: &Gateway, pause: Duration) -> (StatusCode, String) {
    let (pieces, body) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for _ in 0..10 {
            if pieces.send(Ok(Bytes::from_static(&[b'x'; 100]))).is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
    });
    let client: Client<_, Pieces> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let asking = async {
        let request = gateway.request(Method::POST, "/").body(Pieces(body)).unwrap();
        let response = client.request(request).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("it hangs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_stands_while_the_client_is_waited_for() {
    let upstream = measuring().await;
    let gateway = before(&format!("'{}'", upstream.endpoint()), "min_upload_rate: 0").await;
    for (head, is_chunked) in [
        ("content-length: 1000\r\n", false),
        ("transfer-encoding: chunked\r\n", true),
        ("content-length: 1000\r\nexpect: 100-continue\r\n", false),
    ] {
        // Three times the limit in all.
        let answer = upload(&gateway, head, is_chunked, Duration::from_millis(150)).await;
        assert!(answer.contains("HTTP/1.1 200 OK"), "{head}: {answer}");
        assert!(answer.contains("1000"), "{head}: {answer}");
    }
    let answer = upload_over_http2(&gateway, Duration::from_millis(150)).await;
    assert_eq!(answer, (StatusCode::OK, "1000".into()));
    let counts = gateway.counts("only").await;
    assert_eq!((&counts["failed_calls"], &counts["in_flight"]), (&0.into(), &0.into()));
    assert_eq!(gateway.circuit("only").await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_hangs_behind_a_slow_upload_is_to_blame() {
    let upstream = Upstream::start(|_, request| async {
        let _ = BodyExt::collect(request.into_body()).await;
        std::future::pending().await
    })
    .await;
    let gateway = before(&format!("'{}'", upstream.endpoint()), "min_upload_rate: 0").await;
    let answer =
        upload(&gateway, "content-length: 1000\r\n", false, Duration::from_millis(80)).await;
    assert!(answer.contains("504"), "{answer}");
    assert_eq!(gateway.circuit("only").await["state"], "open");

    let gateway = before(&format!("'{}'", upstream.endpoint()), "min_upload_rate: 0").await;
    let (status, answer) = upload_over_http2(&gateway, Duration::from_millis(80)).await;
    assert_eq!(status, 504, "{answer}");
    assert_eq!(gateway.circuit("only").await["state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_read_is_to_blame() {
    // The kernel accepts, and nobody reads: the client has more to send than all buffers on the way hold.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = before(&format!("'http://{address}'"), "max_body_bytes: 67108864").await;
    let answer = gateway.post("/", vec![b'x'; 60 << 20]);
    answer.await.problem(504);
    assert_eq!(gateway.circuit("only").await["state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_below_the_least_rate_is_told_and_nobody_else_is_to_blame() {
    let upstream = measuring().await;
    let limits = "client_timeout: 300ms, min_upload_rate: 100000";
    let gateway = before(&format!("'{}'", upstream.endpoint()), limits).await;
    let answer =
        upload(&gateway, "content-length: 1000\r\n", false, Duration::from_millis(150)).await;
    assert!(answer.contains("408") && answer.contains("min_upload_rate"), "{answer}");
    let (status, answer) = upload_over_http2(&gateway, Duration::from_millis(150)).await;
    assert!(status == 408 && answer.contains("min_upload_rate"), "{status}: {answer}");
    assert_eq!(gateway.circuit("only").await["state"], "closed");
    let counts = gateway.counts("only").await;
    assert_eq!(counts["failed_calls"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_within_its_body_blames_nobody() {
    let upstream = measuring().await;
    let gateway = before(&format!("'{}'", upstream.endpoint()), "min_upload_rate: 0").await;
    for sent in [0, 50, 101, 500, 999] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let body = "x".repeat(sent);
        let request = format!("{HEAD}content-length: 1000\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(stream);
    }
    eventually("nothing is in flight", async || gateway.counts("only").await["in_flight"] == 0)
        .await;
    assert_eq!(gateway.counts("only").await["failed_calls"], 0);
    assert_eq!(gateway.circuit("only").await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_kept_goes_to_whoever_takes_the_connection() {
    let upstream = measuring().await;
    let (good, bad) = (upstream.endpoint(), nobody().await);
    let long = "x".repeat(1000);
    // The next endpoint, whichever is first; then a fallback.
    let gateway = before(&format!("'http://{bad}', '{good}'"), "").await;
    for _ in 0..2 {
        assert_eq!(gateway.post("/", long.clone()).await.text(), "1000");
    }
    let gateway = Gateway::start(&format!(
        "limits: {{ max_replay_bytes: 100 }}\n\
         upstreams:\n  first: {{ endpoints: ['http://{bad}'], policies: [] }}\n  second: {{ endpoints: ['{good}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: first, fallback: [second] }}]\n"
    ))
    .await;
    assert_eq!(gateway.post("/", long).await.text(), "1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_kept_is_sent_again_when_nothing_was_taken() {
    let address = nobody().await;
    let gateway = Gateway::start(&format!(
        "limits: {{ max_replay_bytes: 100 }}\n\
         upstreams:\n  only:\n    endpoints: ['http://{address}']\n    policies:\n      \
         - {{ type: retry, max_attempts: 20, backoff: {{ base_delay: 100ms }}, budget: null }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await;
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while request.iter().filter(|byte| **byte == b'y').count() < 1000 {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).await.unwrap();
            request.extend_from_slice(&piece[..length]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        stream
    });
    assert_eq!(gateway.post("/", "y".repeat(1000)).await.text(), "ok");
    drop(late.await);
}

/// A gateway with one place, before an upstream whose first answer is long: a plain body, or an event stream.
async fn one_place(kind: &'static str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(move |n, _| async move {
        let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n";
        let body =
            if n == 0 { event.repeat((32 << 20) / event.len()) } else { "data: [DONE]\n\n".into() };
        let mut response = respond(200, body);
        response.headers_mut().insert("content-type", kind.parse().unwrap());
        response
    })
    .await;
    let gateway = Gateway::start(&format!(
        "limits: {{ write_timeout: 300ms }}\n\
         upstreams:\n  only:\n    endpoints: ['{}']\n    protocol: openai\n    policies:\n      \
         - {{ type: bulkhead, max_concurrent: 1, max_queued: 0 }}\n      \
         - {{ type: circuit_breaker, failure_threshold: 1 }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    (upstream, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_gives_its_place_back() {
    for kind in ["text/plain", "text/event-stream"] {
        for is_http2 in [false, true] {
            let (upstream, gateway) = one_place(kind).await;
            // Both stay open, and nobody reads on.
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            let mut response = None;
            if is_http2 {
                let client: HttpClient =
                    Client::builder(TokioExecutor::new()).http2_only(true).build_http();
                let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
                response = Some(client.request(request).await.unwrap());
            } else {
                stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            }
            eventually("it was asked", async || upstream.calls() == 1).await;
            eventually("the place is free", async || gateway.get("/").await.status == 200).await;
            assert_eq!(gateway.circuit("only").await["state"], "closed", "{kind} {is_http2}");
            assert_eq!(gateway.counts("only").await["failed_calls"], 0, "{kind} {is_http2}");
            drop((stream, response));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_413_reaches_a_client_that_is_still_sending() {
    let upstream = measuring().await;
    let gateway = before(&format!("'{}'", upstream.endpoint()), "max_body_bytes: 1000").await;
    let long = "x".repeat(4 << 20);
    for run in 0..10 {
        let announced = format!("{HEAD}content-length: {}\r\n\r\n{long}", long.len());
        let answer = raw(&gateway, announced.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "run {run}: {answer}");
        let chunked = format!(
            "{HEAD}transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
            long.len()
        );
        let answer = raw(&gateway, chunked.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "run {run}, in chunks: {answer}");
    }
    assert_eq!(gateway.circuit("only").await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_retry_after_goes_to_a_healthy_fallback_at_once() {
    let limited = Upstream::start(|_, _| async {
        let mut response = respond(429, "slow down");
        response.headers_mut().insert("retry-after", "30".parse().unwrap());
        response
    })
    .await;
    let backup = Upstream::statuses(&[200]).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  first: {{ endpoints: ['{}'], policies: [{{ type: retry }}] }}\n  second: {{ endpoints: ['{}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: first, fallback: [second] }}]\n",
        limited.endpoint(),
        backup.endpoint()
    ))
    .await;
    // The client gives up after 30 seconds, as long as the wait would be.
    let answer = gateway.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-seawall-upstream")), (200, "second"));
    assert_eq!(limited.calls(), 1);
}
