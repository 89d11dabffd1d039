//! Around reqwest's client, over real sockets.

use super::{ms, operation};
use axum::{Router, body::Body, extract::State, http::Request, response::IntoResponse};
use http::StatusCode;
use http_body_util::Full;
use seawall::{CallerFault, Classify, Error, Outcome, Reason};
use seawall_tower::{
    ClientLayer, ClientRequest, Deadline, DeadlineHeader, HttpClassify, SendThrough,
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower::Layer;

const RETRY: &str =
    r#"{"type": "retry", "max_attempts": 3, "backoff": {"base_delay": "1ms"}, "budget": null}"#;

/// The statuses that a server answers in turn, the last one for ever, and the requests that it saw.
#[derive(Clone)]
struct Script(&'static [u16], Arc<Mutex<Vec<Request<Body>>>>);

impl Script {
    /// A header of each request seen.
    fn seen(&self, header: &str) -> Vec<String> {
        let text = |request: &Request<Body>| {
            Some(request.headers().get(header)?.to_str().ok()?.to_owned())
        };
        self.1.lock().unwrap().iter().filter_map(text).collect()
    }
}

async fn answer(State(script): State<Script>, request: Request<Body>) -> impl IntoResponse {
    let mut seen = script.1.lock().unwrap();
    let status = script.0[seen.len().min(script.0.len() - 1)];
    seen.push(request);
    (StatusCode::from_u16(status).unwrap(), [("retry-after-ms", "30")], "an answer")
}

/// A server on a port of its own, its address, and what it sees.
async fn serve(statuses: &'static [u16]) -> (String, Script) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Script(statuses, Arc::default());
    let router = Router::new().fallback(answer).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/path?q=1"), script)
}

/// A server that reads one request's beginning, writes these bytes, and closes or waits for ever.
async fn serve_bytes(bytes: &'static [u8], closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        assert!(stream.read(&mut [0; 4096]).await? > 0);
        stream.write_all(bytes).await?;
        if !closes {
            std::future::pending::<()>().await;
        }
        io::Result::Ok(())
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn repeatable_requests_are_sent_again_after_the_requested_pause() {
    let client = reqwest::Client::new();
    let streamed = || reqwest::Body::wrap(Full::new(bytes::Bytes::from("payload")));
    for (name, request, expected) in [
        ("get", (|c, u| c.get(u)) as fn(&reqwest::Client, &str) -> reqwest::RequestBuilder, 3),
        ("put", |c, u| c.put(u).body("payload"), 3),
        ("post", |c, u| c.post(u).body("payload"), 1),
        ("a post with a key", |c, u| c.post(u).header("idempotency-key", "k").body("payload"), 3),
    ] {
        let (url, script) = serve(&[503, 503, 200]).await;
        let layer = ClientLayer::new(operation(&format!("[{RETRY}]")));
        let start = Instant::now();
        let answer = request(&client, &url).send_through(&layer).await.unwrap();
        assert_eq!(answer.status(), if expected == 3 { 200 } else { 503 }, "{name}");
        assert_eq!(script.seen("x-seawall-attempt"), ["1", "2", "3"][..expected], "{name}");
        if expected == 3 {
            assert!(start.elapsed() >= ms(60), "{name}: twice 30 ms were asked for");
        }
        // The response is as reqwest's own.
        assert_eq!(answer.url().as_str(), url, "{name}");
        assert_eq!(answer.content_length(), Some(9), "{name}");
        assert!(answer.remote_addr().is_some(), "{name}");
        assert_eq!(answer.text().await.unwrap(), "an answer", "{name}");
    }
    // A stream is sent once, whatever its method says.
    let (url, script) = serve(&[503, 200]).await;
    let layer = ClientLayer::new(operation(&format!("[{RETRY}]")));
    let answer = client.put(&url).body(streamed()).send_through(&layer).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), script.seen("x-seawall-attempt")),
        (503, vec!["1".into()])
    );
}

#[tokio::test]
async fn a_refused_connection_has_sent_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let operation = operation(&format!("[{RETRY}]"));
    let layer = ClientLayer::new(operation.clone());
    let client = reqwest::Client::new();
    let error = client.post(&url).body("payload").send_through(&layer).await.unwrap_err();
    assert!(matches!(&error, Error::Inner(error) if error.is_connect()), "{error:?}");
    assert_eq!(operation.counts().attempts, 3);
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert!(boxed.to_string().contains(&url), "it prints reqwest's own error: {boxed}");
    let back = boxed.downcast_ref::<Error<reqwest::Error>>();
    assert!(matches!(back, Some(Error::Inner(error)) if error.is_connect()));
}

#[tokio::test]
async fn a_stream_is_not_sent_a_second_time_though_its_connection_was_refused() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let operation = operation(&format!("[{RETRY}]"));
    let body = reqwest::Body::wrap(Full::new(bytes::Bytes::from("payload")));
    let request = reqwest::Client::new().put(&url).body(body);
    let error = request.send_through(&ClientLayer::new(operation.clone())).await.unwrap_err();
    assert!(matches!(error, Error::Inner(_)), "{error:?}");
    assert_eq!(operation.counts().attempts, 1);
}

#[tokio::test]
async fn the_next_hop_learns_how_long_it_may_take() {
    let (url, script) = serve(&[200]).await;
    let operation = operation("[]");
    let caller = Deadline(operation.now() + Duration::from_secs(5));
    let layer = ClientLayer::new(operation).until(caller).send_deadline(DeadlineHeader::Envoy);
    reqwest::Client::new().get(&url).send_through(&layer).await.unwrap();
    let told: u64 = script.seen("x-envoy-expected-rq-timeout-ms")[0].parse().unwrap();
    assert!((1..=5_000).contains(&told), "{told}");
    let passed = layer.until(Deadline(seawall::Instant::EPOCH));
    let error = reqwest::Client::new().get(&url).send_through(&passed).await.unwrap_err();
    assert!(error.is_timed_out(), "{error:?}");
    assert_eq!(script.1.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn permits_are_held_to_the_end_of_the_body_and_one_that_breaks_off_has_failed() {
    let operation = operation(
        r#"[{"type": "circuit_breaker", "failure_threshold": 1}, {"type": "bulkhead", "max_concurrent": 1}]"#,
    );
    let in_use = || operation.pipeline().bulkhead().unwrap().in_use();
    let layer = ClientLayer::new(operation.clone());
    let client = reqwest::Client::new();
    let (url, _) = serve(&[200]).await;
    let answer = client.get(&url).send_through(&layer).await.unwrap();
    assert_eq!(in_use(), 1);
    answer.bytes().await.unwrap();
    assert_eq!(in_use(), 0);
    let url = serve_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nan a", true).await;
    let answer = client.get(&url).send_through(&layer).await.unwrap();
    assert!(answer.bytes().await.is_err());
    assert_eq!(in_use(), 0);
    let error = client.get(&url).send_through(&layer).await.unwrap_err();
    let Error::Rejected(rejection) = error else { panic!("{error:?}") };
    assert_eq!(rejection.reason, Reason::CircuitOpen);
}

#[tokio::test]
async fn a_hung_server_is_cut_off_by_the_operation_or_by_reqwest() {
    let url = serve_bytes(b"", false).await;
    let layer = ClientLayer::new(operation(r#"[{"type": "timeout", "limit": "50ms"}]"#));
    let error = reqwest::Client::new().get(&url).send_through(&layer).await.unwrap_err();
    assert!(error.is_timed_out(), "{error:?}");
    let url = serve_bytes(b"", false).await;
    let request = reqwest::Client::new().get(&url).timeout(ms(50));
    let error = request.send_through(&ClientLayer::new(operation("[]"))).await.unwrap_err();
    assert!(matches!(&error, Error::Inner(error) if error.is_timeout()), "{error:?}");
}

#[tokio::test]
async fn a_request_that_cannot_be_made_blames_nobody_else() {
    let operation = operation(r#"[{"type": "circuit_breaker", "failure_threshold": 1}]"#);
    let layer = ClientLayer::new(operation.clone());
    let error = reqwest::Client::new().get("no address").send_through(&layer).await.unwrap_err();
    assert!(matches!(&error, Error::Inner(error) if error.is_builder()), "{error:?}");
    assert_eq!(operation.counts().total_calls, 0);
    let Error::Inner(error) = error else { return };
    assert_eq!(
        HttpClassify.classify(&Err::<reqwest::Response, _>(error)),
        Outcome::CallerFault(CallerFault::Request)
    );
}

#[tokio::test]
async fn a_fallback_answers_with_another_server() {
    let (url, _) = serve(&[503]).await;
    let (backup, seen) = serve(&[200]).await;
    let client = reqwest::Client::new();
    let second = client.clone();
    let layer = ClientLayer::new(operation("[]")).fallback(
        move |mut request: reqwest::Request, failed: Result<reqwest::Response, Error<_>>| {
            assert_eq!(failed.unwrap().status(), 503);
            *request.url_mut() = backup.parse().unwrap();
            second.execute(request)
        },
    );
    let answer = client.get(&url).header("x-own", "kept").send_through(&layer).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(seen.seen("x-own"), ["kept"]);
    // A stream has no second copy: its own answer comes back.
    let body = reqwest::Body::wrap(Full::new(bytes::Bytes::from("payload")));
    let answer = client.put(&url).body(body).send_through(&layer).await.unwrap();
    assert_eq!(answer.status(), 503);
}

#[tokio::test]
async fn the_layer_makes_a_service_of_the_client() {
    let (url, script) = serve(&[503, 200]).await;
    let service = ClientLayer::new(operation(&format!("[{RETRY}]"))).layer(reqwest::Client::new());
    let request = service.get_ref().get(&url).build().unwrap();
    assert!(request.copy().is_some());
    assert_eq!(service.send(request).await.unwrap().status(), 200);
    assert_eq!(script.seen("x-seawall-attempt"), ["1", "2"]);
}
