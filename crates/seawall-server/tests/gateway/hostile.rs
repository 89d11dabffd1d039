//! Peers that misbehave: each gets a clear answer or a closed connection, and the gateway lives on.

use crate::support::{Gateway, Upstream, eventually, raw, respond, saying};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

async fn echo() -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_, request| async {
        match http_body_util::BodyExt::collect(request.into_body()).await {
            Ok(body) => respond(200, body.to_bytes()),
            Err(_) => respond(400, "half a body"),
        }
    })
    .await;
    let gateway = Gateway::start(&format!(
        "limits: {{ max_body_bytes: 1000, max_replay_bytes: 100, max_connections: 20, client_timeout: 300ms }}\n\
         upstreams:\n  only: {{ endpoints: ['{}'], policies: [{{ type: circuit_breaker, failure_threshold: 1 }}] }}\nroutes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    (upstream, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_get_an_error_or_are_cut_off() {
    let (_upstream, gateway) = echo().await;
    let long = "x".repeat(2_000);
    let headers = "a: b\r\n".repeat(5_000);
    let huge = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(1_000_000));
    for (what, bytes, expected) in [
        ("garbage", "\u{1}\u{2}garbage\r\n\r\n".to_owned(), "400"),
        ("too many headers", format!("GET / HTTP/1.1\r\n{headers}\r\n"), "431"),
        ("a huge target", huge, "431"),
        (
            "a body over the limit, announced",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\nconnection: close\r\n\r\n"
                .into(),
            "413",
        ),
        (
            "a body over the limit, in chunks",
            format!(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n7d0\r\n{long}\r\n0\r\n\r\n"
            ),
            "413",
        ),
        (
            "a body over the limit, after some of it was passed on",
            format!(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                 c8\r\n{}\r\n3e8\r\n{}\r\n0\r\n\r\n",
                &long[..200],
                &long[..1000]
            ),
            "413",
        ),
        (
            "a body that falls silent after some of it was passed on",
            format!(
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900\r\nconnection: close\r\n\r\n{}",
                &long[..500]
            ),
            "408",
        ),
        (
            "a body that never comes",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\nconnection: close\r\n\r\nhalf"
                .into(),
            "408",
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".into(),
            "400",
        ),
    ] {
        let answer = raw(&gateway, bytes.as_bytes()).await;
        let status = answer.strip_prefix("HTTP/1.1 ").unwrap_or("no answer");
        assert!(status.starts_with(expected), "{what}: {answer}");
    }
    assert_eq!(gateway.post("/", "still here").await.text(), "still here");
    assert_eq!(gateway.circuit("only").await["state"], "closed", "the upstream is not to blame");
    eventually("nothing is in flight", async || gateway.counts("only").await["in_flight"] == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_finishes_its_head_is_cut_off() {
    let (_upstream, gateway) = echo().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest);
    let _ =
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("it waits for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_and_are_served() {
    let (upstream, gateway) = echo().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    // The idle ones are cut off for saying nothing; then there is room.
    assert_eq!(gateway.post("/", "patient").await.text(), "patient");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_upstreams_are_a_502_and_count_as_failures() {
    static LONG: [u8; 600_000] = [b'h'; 600_000];
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("garbage", b"\x01\x02\x03 nonsense\r\n\r\n"),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-le"),
        ("a head without an end", &LONG),
    ] {
        let address = saying(bytes).await;
        let gateway = Gateway::start(&format!(
            "upstreams:\n  only: {{ endpoints: ['http://{address}'], attempt_timeout: 5s, policies: [] }}\n\
             routes: [{{ path: '/*', upstream: only }}]\n"
        ))
        .await;
        let problem = gateway.get("/").await.problem(502);
        assert_eq!(problem["reason"], "broken", "{what}");
        let counts = gateway.counts("only").await;
        assert_eq!(
            (&counts["failed_calls"], &counts["in_flight"]),
            (&1.into(), &0.into()),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_shorter_than_promised_breaks_off_for_the_client() {
    let address = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['http://{address}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await;
    // The pieces and the end may reach the gateway together or apart: each time all of it passes on.
    for nth in 1..=30 {
        let answer = raw(&gateway, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("only this"), "{nth}: {answer}");
        assert!(answer.contains("content-length: 100"), "the client must be able to tell");
    }
    eventually("they count as failures", async || {
        gateway.counts("only").await["failed_calls"] == 30
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_swallows_connections_is_given_up_in_time() {
    // Nobody accepts: the kernel answers for a while, then nobody does.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['http://{address}'], attempt_timeout: 200ms, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await;
    gateway.get("/").await.problem(504);
    drop(listener);
    gateway.get("/").await.problem(502);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_does_not_answer_at_all_is_given_up_after_connect_timeout() {
    // A listener with room for one, and many who knock: the kernel leaves further ones without an answer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let knocking: Vec<_> = (0..16).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    eventually("nobody more is let in", async || {
        let more = TcpStream::connect(address);
        tokio::time::timeout(Duration::from_millis(200), more).await.is_err()
    })
    .await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['http://{address}'], connect_timeout: 150ms, attempt_timeout: 60s, policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await;
    assert_eq!(gateway.get("/").await.problem(502)["reason"], "connect");
    drop((listener, knocking));
}
