//! HTTP's rules for messages: whom they are for, how long they are, what stands before and behind them.

use crate::support::{Gateway, HttpClient, Upstream, eventually, raw, respond, saying};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

async fn before(address: SocketAddr, limits: &str) -> Gateway {
    Gateway::start(&format!(
        "limits: {{ {limits} }}\nupstreams:\n  only: {{ endpoints: ['http://{address}'], \
         policies: [{{ type: circuit_breaker, failure_threshold: 1 }}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await
}

/// An upstream that reads until a request ends like this, then answers and hangs up; with what it read.
async fn reading(until: &'static str, answer: &'static [u8]) -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let read = Arc::new(Mutex::new(String::new()));
    let noted = read.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move {
                let (mut all, mut piece) = (Vec::new(), [0; 4096]);
                while !String::from_utf8_lossy(&all).ends_with(until) {
                    match stream.read(&mut piece).await {
                        Ok(count) if count > 0 => all.extend_from_slice(&piece[..count]),
                        _ => break,
                    }
                }
                *noted.lock().unwrap() = String::from_utf8_lossy(&all).into_owned();
                let _ = stream.write_all(answer).await;
            });
        }
    });
    (address, read)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_once_whom_it_is_for_and_how_long_it_is() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = before(upstream.address, "client_timeout: 5s").await;
    let host = "host: 127.0.0.1\r\n";
    for (what, head, status) in [
        ("no host", "GET PATH HTTP/1.1\r\n".to_owned(), "400"),
        ("two hosts", format!("GET PATH HTTP/1.1\r\n{host}host: b\r\n"), "400"),
        ("the same host twice", format!("GET PATH HTTP/1.1\r\n{host}{host}"), "400"),
        ("two hosts, old", format!("GET PATH HTTP/1.0\r\n{host}{host}"), "400"),
        ("an empty host", "GET PATH HTTP/1.1\r\nhost:\r\n".into(), "400"),
        ("no host at all", "GET PATH HTTP/1.1\r\nhost: a b\r\n".into(), "400"),
        (
            "both lengths",
            format!(
                "POST PATH HTTP/1.1\r\n{host}content-length: 4\r\ntransfer-encoding: chunked\r\n"
            ),
            "400",
        ),
        (
            "both lengths, the other way round",
            format!(
                "POST PATH HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"
            ),
            "400",
        ),
        (
            "an unknown coding",
            format!("POST PATH HTTP/1.1\r\n{host}transfer-encoding: gzip, chunked\r\n"),
            "501",
        ),
    ] {
        for path in ["/", "/internal/resilience/health", "/livez"] {
            let head = head.replace("PATH", path);
            let next = format!("GET /smuggled HTTP/1.1\r\n{host}\r\n");
            let answer = raw(&gateway, format!("{head}\r\n0\r\n\r\n{next}").as_bytes()).await;
            let (first, rest) = answer.split_at(answer.len().min(12));
            assert!(first.ends_with(status), "{what}: {answer}");
            assert!(rest.contains("application/problem+json"), "{what}: {answer}");
            assert!(!rest.contains("HTTP/1.1 "), "{what}: the connection went on: {answer}");
        }
    }
    assert_eq!(upstream.calls(), 0);
    let page = gateway.get("/metrics").await;
    assert!(page.text().contains("seawall_requests_refused_total{reason=\"malformed\"} 27\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_request_with_two_lengths_is_refused() {
    let upstream = Upstream::start(|_, request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        respond(200, body)
    })
    .await;
    let gateway = before(upstream.address, "client_timeout: 5s").await;
    // Bodies that look like heads, one behind the other, in pieces that tear lines apart.
    let innocent = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                    30\r\nx\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n0\r\n\r\n\
                    POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 41\r\n\r\n\
                    transfer-encoding: x\r\ncontent-length: 3\r\n";
    let guilty = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n0\r\n\r\n";
    let all = format!("{innocent}{innocent}{guilty}");
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut from, mut to) = stream.split();
    let mut answers = Vec::new();
    let write = async {
        for piece in all.as_bytes().chunks(13) {
            to.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        tokio::time::timeout(Duration::from_secs(20), from.read_to_end(&mut answers)).await
    };
    let (_, read) = tokio::join!(write, read);
    let _ = read.expect("the connection is closed");
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 400 Bad Request").count(), 1, "{answers}");
    assert_eq!(upstream.calls(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_length_beside_a_transfer_coding_is_none() {
    for said in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 900\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
    ] {
        let gateway = before(saying(said).await, "").await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = raw(&gateway, request.as_bytes()).await;
        assert!(!answer.contains("content-length"), "{answer}");
        assert!(answer.ends_with("5\r\nwhole\r\n0\r\n\r\n"), "{answer}");
    }
    let said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let gateway = before(saying(said).await, "").await;
    assert_eq!(gateway.get("/").await.problem(502)["reason"], "broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_no_length_says_so() {
    for (head, length) in [
        ("POST / HTTP/1.1\r\ncontent-length: 0\r\n", true),
        ("POST / HTTP/1.1\r\n", true),
        ("PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n", true),
        ("DELETE / HTTP/1.1\r\ncontent-length: 0\r\n", true),
        ("DELETE / HTTP/1.1\r\n", false),
        ("GET / HTTP/1.1\r\n", false),
    ] {
        let (address, read) = reading("\r\n\r\n", OK).await;
        let gateway = before(address, "").await;
        let end = if head.contains("chunked") { "0\r\n\r\n" } else { "" };
        let request = format!("{head}host: a\r\nconnection: close\r\n\r\n{end}");
        assert!(raw(&gateway, request.as_bytes()).await.starts_with("HTTP/1.1 200"), "{head}");
        let read = read.lock().unwrap().clone();
        assert_eq!(read.matches("content-length: 0\r\n").count(), usize::from(length), "{read}");
        assert!(!read.contains("transfer-encoding"), "{read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_without_a_body_are_those_of_the_upstream_or_none() {
    for (method, said, expected) in [
        (
            "HEAD",
            &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 30\r\n\r\n"[..],
            Some("30"),
        ),
        ("HEAD", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", Some("0")),
        (
            "HEAD",
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
            None,
        ),
        (
            "GET",
            b"HTTP/1.1 204 No Content\r\nconnection: close\r\ncontent-length: 30\r\n\r\n",
            None,
        ),
        (
            "GET",
            b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\ncontent-length: 30\r\n\r\n",
            Some("30"),
        ),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\netag: \"a\"\r\n\r\n", None),
        (
            "HEAD",
            b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\ncontent-length: 30\r\n\r\n",
            Some("30"),
        ),
    ] {
        let gateway = before(saying(said).await, "").await;
        // The second shows that the first left nothing in the connection.
        let request = format!(
            "{method} / HTTP/1.1\r\nhost: a\r\n\r\n{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(&gateway, request.as_bytes()).await;
        let lengths: Vec<_> =
            answer.lines().filter_map(|l| l.strip_prefix("content-length: ")).collect();
        let expected: Vec<_> = expected.into_iter().chain(expected).collect();
        assert_eq!(lengths, expected, "{method}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{method}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{method}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_outlives_a_slow_head() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = before(upstream.address, "client_timeout: 300ms").await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut answer = [0; 4096];
    for _ in 0..3 {
        stream.write_all(request).await.unwrap();
        let count = stream.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "{count} bytes came");
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    // Half a head is given up, on a connection that was used before, too.
    stream.write_all(b"GET / HTTP/1.1\r\nhos").await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
    assert!(matches!(end.expect("it waits for ever"), Ok(0) | Err(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_in_the_end() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = before(upstream.address, "client_timeout: 60s, keep_alive_timeout: 200ms").await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    // `raw` reads until the connection is closed, and waits for less than `client_timeout`.
    assert!(raw(&gateway, request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    // The time of an answer is not idle.
    let slow = Upstream::start(|_, _| async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        respond(200, "late")
    })
    .await;
    let gateway = before(slow.address, "keep_alive_timeout: 200ms").await;
    assert!(raw(&gateway, request.as_bytes()).await.ends_with("late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_of_http2_is_closed_in_the_end() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = before(upstream.address, "client_timeout: 60s, keep_alive_timeout: 200ms").await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let running = tokio::spawn(connection);
    let request = gateway.request(Method::GET, "/").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
    assert!(ended.is_ok(), "it is kept open for ever");
}

/// A body with trailers behind it.
struct Frames(VecDeque<Frame<Bytes>>);

impl Frames {
    fn new(text: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("abc"));
        trailers.insert("x-forwarded-for", HeaderValue::from_static("1.1.1.1"));
        Self([Frame::data(Bytes::from_static(text.as_bytes())), Frame::trailers(trailers)].into())
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_a_request_reach_the_upstream() {
    let body = "4\r\nbody\r\n0\r\nX-Checksum: abc\r\nhost: evil\r\n\r\n";
    for limits in ["", "max_replay_bytes: 2"] {
        for method in ["POST", "GET"] {
            let (address, read) = reading("abc\r\n\r\n", OK).await;
            let gateway = before(address, limits).await;
            let request = format!(
                "{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntrailer: X-Checksum\r\n\
                 transfer-encoding: chunked\r\n\r\n{body}"
            );
            let answer = raw(&gateway, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{limits}: {answer}");
            let read = read.lock().unwrap().to_ascii_lowercase();
            assert!(read.contains("\r\ntrailer: x-checksum\r\n"), "{limits}: {read}");
            assert!(
                read.ends_with("4\r\nbody\r\n0\r\nx-checksum: abc\r\n\r\n"),
                "{limits}: {read}"
            );
            assert_eq!(read.matches("host: ").count(), 2, "{read}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_an_http2_request_reach_the_upstream_unannounced() {
    let (address, read) = reading("abc\r\n\r\n", OK).await;
    let gateway = before(address, "").await;
    let client: Client<_, _> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let request = gateway.request(Method::POST, "/").body(Frames::new("body")).unwrap();
    assert_eq!(client.request(request).await.unwrap().status(), 200);
    let read = read.lock().unwrap().clone();
    assert!(read.contains("\r\ntrailer: x-checksum\r\n"), "{read}");
    assert!(read.ends_with("4\r\nbody\r\n0\r\nx-checksum: abc\r\n\r\n"), "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_an_answer_reach_whoever_reads_them() {
    let said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: X-Checksum\r\n\r\n\
                 4\r\nbody\r\n0\r\nx-checksum: abc\r\nset-cookie: a=b\r\n\r\n";
    for (te, expected) in [
        ("te: gzip;q=0.5, Trailers\r\n", "0\r\nx-checksum: abc\r\n\r\n"),
        ("", "body\r\n0\r\n\r\n"),
    ] {
        let (address, read) = reading("\r\n\r\n", said).await;
        let gateway = before(address, "").await;
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: te, close\r\n{te}\r\n");
        let answer = raw(&gateway, request.as_bytes()).await.to_ascii_lowercase();
        assert!(answer.contains("\r\ntrailer: x-checksum\r\n"), "{answer}");
        assert!(answer.ends_with(expected), "{answer}");
        let read = read.lock().unwrap().clone();
        assert_eq!(read.contains("\r\nte: trailers\r\n"), !te.is_empty(), "{read}");
        assert_eq!(read.contains("\r\nconnection: te\r\n"), !te.is_empty(), "{read}");
    }
    let gateway = before(saying(said).await, "").await;
    let client: HttpClient = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
    let body = client.request(request).await.unwrap().into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap();
    assert_eq!((trailers.len(), &trailers["x-checksum"]), (1, &HeaderValue::from_static("abc")));
}

#[tokio::test(flavor = "multi_thread")]
async fn early_hints_come_before_the_answer_and_other_interim_responses_as_they_are() {
    let said = b"HTTP/1.1 100 Continue\r\n\r\n\
                 HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n\
                 HTTP/1.1 103 Early Hints\r\nlink: </b.css>; rel=preload\r\n\r\n\
                 HTTP/1.1 199 Odd\r\n\r\n\
                 HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let gateway = before(saying(said).await, "").await;
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = raw(&gateway, request.as_bytes()).await;
    let parts = answer.split("HTTP/1.1 ").skip(1);
    let statuses: Vec<_> = parts.filter_map(|part| part.lines().next()).collect();
    let one = ["103 Early Hints", "103 Early Hints", "199 Interim", "200 OK"];
    assert_eq!(statuses, [one, one].concat(), "{answer}");
    assert_eq!(answer.matches("link: </a.css>; rel=preload\r\n").count(), 2, "{answer}");
    assert!(!answer.contains("x-hop"), "{answer}");
    // They know nothing of interim responses, or have no way to get them.
    let old = raw(&gateway, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("\r\n\r\nok"), "{old}");
    let client: HttpClient = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn early_hints_do_not_wait_for_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
        stream.write_all(hint).await.unwrap();
        wait.await.unwrap();
        stream.write_all(OK).await.unwrap();
    });
    let gateway = before(address, "").await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut piece = [0; 4096];
    let early = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
    let count = early.expect("the hint waits for the answer").unwrap();
    assert!(piece[..count].starts_with(b"HTTP/1.1 103"));
    go.send(()).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200") && rest.ends_with("ok"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_in_flight_by_refused_requests() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = before(upstream.address, "").await;
    for _ in 0..3 {
        let _ = raw(&gateway, b"GET / HTTP/1.1\r\n\r\n").await;
        let request = Request::builder().uri(format!("http://{}/", gateway.address));
        let _ = crate::support::send(request.body(Full::default()).unwrap()).await;
    }
    eventually("nothing is in flight", async || {
        let page = gateway.get("/metrics").await;
        page.text().contains("\nseawall_requests_in_flight 0\n")
    })
    .await;
}
