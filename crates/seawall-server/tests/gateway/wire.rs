//! HTTP on the wire: versions, framing, and what a gateway may not change of a message.

use crate::support::{Gateway, Upstream, raw, respond, saying};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{Method, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// A gateway before an address that is not one of ours.
async fn before(address: std::net::SocketAddr) -> Gateway {
    Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['http://{address}'], policies: [{{ type: circuit_breaker, failure_threshold: 1 }}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await
}

/// Head and body of a raw answer.
fn parted(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_and_lengths_are_understood_both_ways() {
    let upstream = Upstream::start(|_, request| async move {
        let chunked = request.uri().path() == "/chunked";
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let pieces = body.chunks(3).map(|piece| Ok::<_, String>(Bytes::copy_from_slice(piece)));
        let pieces: Vec<_> = pieces.collect();
        if !chunked {
            return respond(200, body);
        }
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        pieces.into_iter().for_each(|piece| sender.send(piece).unwrap());
        respond(200, Body::new(Pieces(receiver)))
    })
    .await;
    let gateway = Gateway::before(&upstream, "").await;
    let sent = [
        "content-length: 11\r\n\r\nhello world",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n",
    ];
    for framing in sent {
        let request = |path: &str| {
            format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{framing}")
        };
        let answer = raw(&gateway, request("/length").as_bytes()).await;
        let (head, body) = parted(&answer);
        assert!(head.contains("content-length: 11"), "{head}");
        assert_eq!(body, "hello world");

        let answer = raw(&gateway, request("/chunked").as_bytes()).await;
        let (head, body) = parted(&answer);
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(!head.contains("content-length"), "{head}");
        let text: String = body.split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(text, "hello world", "{body}");
    }
    // A body that is kept has a length for the upstream, however it came.
    for (_, _, headers) in upstream.seen() {
        assert_eq!(headers["content-length"], "11");
        assert!(!headers.contains_key("transfer-encoding"));
    }
}

/// A body in pieces, without a length.
pub(crate) struct Pieces(pub(crate) tokio::sync::mpsc::UnboundedReceiver<Result<Bytes, String>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = String;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, String>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(hyper::body::Frame::data)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_2_is_served_as_any_other() {
    let upstream = Upstream::start(|_, request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::builder().header("x-length", body.len()).body(Body::from(body)).unwrap()
    })
    .await;
    let gateway = Gateway::before(&upstream, "").await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    for length in [0, 5, 3_000_000] {
        let body = Bytes::from(vec![7; length]);
        let request = gateway
            .request(Method::POST, "/a?b=c")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Full::new(body.clone()))
            .unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
        assert_eq!(response.headers()["x-length"], length.to_string());
        assert_eq!(response.headers()["x-seawall-upstream"], "only");
        let came = response.into_body().collect().await.unwrap().to_bytes();
        assert!(came == body, "{length} bytes came back as {}", came.len());
    }
    let (_, path, headers) = upstream.seen().remove(0);
    assert_eq!(path, "/a?b=c");
    assert_eq!(headers["host"], upstream.address.to_string());
    assert_eq!(headers["x-forwarded-host"], gateway.address.to_string());
    // HTTP/2 may part them; HTTP/1.1 knows one field only (RFC 9113, 8.2.3).
    let cookies: Vec<_> = headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_http_1_0_is_passed_on_in_the_gateways_own_version() {
    for (bytes, body) in [
        (&b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold"[..], "old"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end"),
    ] {
        let gateway = before(saying(bytes).await).await;
        // Two on one connection: an old upstream must not cost the client its connection.
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n\
                       GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answers = raw(&gateway, request.as_bytes()).await;
        assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answers}");
        assert_eq!(answers.matches(body).count(), 2, "{answers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_gets_an_answer_that_it_understands() {
    let upstream = Upstream::start(|_, _| async {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        sender.send(Ok(Bytes::from("no chunks, please"))).unwrap();
        respond(200, Body::new(Pieces(receiver)))
    })
    .await;
    let gateway = Gateway::before(&upstream, "").await;
    let answer = raw(&gateway, b"GET / HTTP/1.0\r\n\r\n").await;
    let (head, body) = parted(&answer);
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, "no chunks, please");
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_of_bodies_that_do_not_come_are_passed_on() {
    for (method, said) in [
        ("HEAD", &b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\netag: \"a\"\r\n\r\n"[..]),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 30\r\netag: \"a\"\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\netag: \"a\"\r\n\r\n"),
    ] {
        let gateway = before(saying(said).await).await;
        let request = format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = raw(&gateway, request.as_bytes()).await;
        let (head, body) = parted(&answer);
        assert!(head.contains("etag: \"a\""), "{answer}");
        if method == "HEAD" {
            assert!(head.contains("content-length: 30"), "{answer}");
        }
        assert_eq!(body, "", "{answer}");
        assert_eq!(gateway.circuit("only").await["state"], "closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_after_the_promised_length_are_not_passed_on() {
    let said = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
    let gateway = before(saying(said).await).await;
    for _ in 0..5 {
        let answer = gateway.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "body"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_name_no_path_are_the_clients_fault() {
    let upstream = Upstream::statuses(&[200]).await;
    let policy = "{ type: circuit_breaker, failure_threshold: 1 }";
    let gateway = Gateway::before(&upstream, policy).await;
    for target in ["CONNECT example.com:443", "OPTIONS *"] {
        let request = format!("{target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = raw(&gateway, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{target}: {answer}");
    }
    assert_eq!(gateway.circuit("only").await["state"], "closed", "the upstream is not to blame");
    // Behind the endpoint's own path this one is longer than an address may be.
    let behind = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['{}/base'], policies: [{policy}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    let request =
        format!("GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "x".repeat(65_530));
    let answer = raw(&behind, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{}", &answer[..300.min(answer.len())]);
    assert_eq!(behind.circuit("only").await["state"], "closed", "the upstream is not to blame");
    // The whole address in place of a path is what a proxy is sent: only its path counts.
    let whole =
        b"GET http://elsewhere/x?y=z HTTP/1.1\r\nhost: elsewhere\r\nconnection: close\r\n\r\n";
    assert!(raw(&gateway, whole).await.starts_with("HTTP/1.1 200"));
    assert_eq!(upstream.seen()[0].1, "/x?y=z");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_not_passed_on_and_none_is_believed() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = Gateway::before(&upstream, "").await;
    let request =
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n";
    assert!(raw(&gateway, request).await.starts_with("HTTP/1.1 200"));
    assert!(!upstream.seen()[0].2.contains_key("upgrade"));

    let said = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let gateway = before(saying(said).await).await;
    let answer = raw(&gateway, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert_eq!(gateway.circuit("only").await["state"], "open", "it is a failure");
}
