//! A gateway, upstreams with programmable answers, and a client.

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use seawall_config::{Format, load_str};
use seawall_server::{GatewayConfig, Inputs, Server, Startup, Stop};
use serde_json::Value;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A gateway in this process, stopped when dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    stop: Stop,
    pub(crate) running: Option<JoinHandle<bool>>,
}

impl Gateway {
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::start_with_keys(yaml, "").await
    }

    pub(crate) async fn start_with_keys(yaml: &str, keys: &str) -> Self {
        let yaml = format!("listen: 127.0.0.1:0\n{yaml}");
        let config: GatewayConfig = load_str("test.yaml", &yaml, Format::Yaml)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Self::of(Server::bind(&config, keys).await.unwrap())
    }

    /// With a configuration from a file, in which secrets may stand.
    pub(crate) async fn start_file(file: &std::path::Path) -> Self {
        let startup = Startup::read(Inputs::file(file)).unwrap_or_else(|error| panic!("{error}"));
        Self::of(Server::start(startup, Vec::new()).await.unwrap())
    }

    fn of(server: Server) -> Self {
        let (address, stop) = (server.address(), server.stop());
        Self { address, stop, running: Some(tokio::spawn(server.run())) }
    }

    /// One upstream with these policies, and every path goes there.
    pub(crate) async fn before(upstream: &Upstream, policies: &str) -> Self {
        let endpoint = upstream.endpoint();
        Self::start(&format!(
            "upstreams:\n  only: {{ endpoints: ['{endpoint}'], policies: [{policies}] }}\n\
             routes: [{{ path: '/*', upstream: only }}]\n"
        ))
        .await
    }

    pub(crate) fn stop(&self) {
        self.stop.now();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        http::Request::builder().method(method).uri(format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        send(self.request(Method::POST, path).body(Full::new(body.into())).unwrap()).await
    }

    /// The circuit of this upstream, as the control plane shows it.
    pub(crate) async fn circuit(&self, name: &str) -> Value {
        let path = format!("/internal/resilience/circuit-breakers/{name}");
        self.get(&path).await.json()
    }

    /// The counters of one operation.
    pub(crate) async fn counts(&self, operation: &str) -> Value {
        let all = self.get("/internal/resilience/metrics").await.json();
        all["operations"][operation].clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.now();
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A problem document of this status.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        problem
    }
}

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn client() -> HttpClient {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http()
}

pub(crate) async fn send(request: http::Request<Full<Bytes>>) -> Answer {
    let exchange = async {
        let response = client().request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    };
    tokio::time::timeout(Duration::from_secs(30), exchange).await.expect("an answer in time")
}

/// An upstream on a free port, that notes what it was sent.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<(Method, String, HeaderMap)>>>,
    serving: JoinHandle<()>,
}

impl Upstream {
    /// Answers request number `n`, from 0, with `answer(n, request)`.
    pub(crate) async fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(usize, Request) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response> + Send + 'static,
    {
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let count = Arc::new(AtomicUsize::new(0));
        let note = seen.clone();
        let app = Router::new().fallback(move |request: Request| {
            let path = request.uri().to_string();
            let entry = (request.method().clone(), path, request.headers().clone());
            note.lock().unwrap().push(entry);
            answer(count.fetch_add(1, Ordering::SeqCst), request)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, seen, serving }
    }

    /// Answers with these statuses in turn, the last one for ever; the body is the status.
    pub(crate) async fn statuses(statuses: &'static [u16]) -> Self {
        Self::start(move |n, _| async move {
            let status = statuses[n.min(statuses.len() - 1)];
            respond(status, status.to_string())
        })
        .await
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<(Method, String, HeaderMap)> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn respond(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

/// Sends bytes as they are; what comes back until the connection is closed.
pub(crate) async fn raw(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    // The other side may hang up before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("it hangs");
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upstream that answers everybody with these bytes, and hangs up.
pub(crate) async fn saying(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(bytes).await;
            });
        }
    });
    address
}

/// An address without a listener.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Asks until the answer is yes, for at most twenty seconds.
pub(crate) async fn eventually<F, Fut>(what: &str, mut ask: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < Duration::from_secs(20), "not in twenty seconds: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An upstream that fails until it is healed.
pub(crate) async fn sick() -> (Upstream, Arc<AtomicBool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let state = healed.clone();
    let upstream = Upstream::start(move |_, _| {
        let status = if state.load(Ordering::SeqCst) { 200 } else { 503 };
        async move { respond(status, status.to_string()) }
    })
    .await;
    (upstream, healed)
}
