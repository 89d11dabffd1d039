//! A request that comes back, and the bound on requests in flight.

use crate::{
    support::{Gateway, HttpClient, Upstream, client, eventually, raw, respond, send},
    wire::Pieces,
};
use axum::body::Body;
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{
        mpsc::{self, UnboundedSender},
        watch,
    },
};

/// An address that leads to another one, which is named later: what a name or a load balancer can be.
struct Detour {
    address: SocketAddr,
    to: watch::Sender<Option<SocketAddr>>,
}

impl Detour {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to, target) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let target = *target.borrow();
                tokio::spawn(async move {
                    let mut next = TcpStream::connect(target.unwrap()).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut next).await;
                });
            }
        });
        Self { address, to }
    }
}

/// A gateway whose circuit opens at the first failure, and that would try three times.
async fn before(address: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        "upstreams:\n  only: {{ endpoints: ['http://{address}'], repeatable: always, policies: \
         [{{ type: circuit_breaker, failure_threshold: 1 }}, {{ type: retry, max_attempts: 3 }}] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    ))
    .await
}

async fn refused(gateway: &Gateway, reason: &str) -> String {
    let page = gateway.get("/metrics").await;
    let start = format!("seawall_requests_refused_total{{reason=\"{reason}\"}} ");
    let line = page.text().lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    line.unwrap_or_else(|| panic!("no {start}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_back_is_answered_once() {
    let detour = Detour::new().await;
    let gateway = before(detour.address).await;
    detour.to.send_replace(Some(gateway.address));
    let problem = gateway.post("/a", "x").await.problem(508);
    assert_eq!((&problem["reason"], &problem["title"]), (&"loop".into(), &"Loop detected".into()));
    assert_eq!(refused(&gateway, "loop").await, "1", "it went round once, and was not retried");
    assert_eq!(gateway.circuit("only").await["state"], "closed", "the way is configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_at_each_other_are_a_loop_too() {
    let detour = Detour::new().await;
    let one = before(detour.address).await;
    let other = before(one.address).await;
    detour.to.send_replace(Some(other.address));
    for gateway in [&one, &other] {
        gateway.get("/").await.problem(508);
    }
    for gateway in [&one, &other] {
        assert_eq!(refused(gateway, "loop").await, "1");
        assert_eq!(gateway.circuit("only").await["state"], "closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_behind_each_other_are_none_and_each_says_so_on_both_sides() {
    let upstream = Upstream::start(|_, _| async {
        let mut response = respond(200, "deep");
        response.headers_mut().append("via", "1.0 inner".parse().unwrap());
        response.headers_mut().append("via", "1.1 cache (a, b)".parse().unwrap());
        response
    })
    .await;
    let inner = before(upstream.address).await;
    let outer = before(inner.address).await;
    let request = outer.request(Method::GET, "/").header("via", "1.0 fred");
    let answer = send(request.body(Full::default()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "deep"));

    let (_, _, sent) = upstream.seen().remove(0);
    let there: Vec<&str> = sent["via"].to_str().unwrap().split(", ").collect();
    let back: Vec<&str> = answer.header("via").split(", ").collect();
    assert_eq!((there.len(), there[0]), (3, "1.0 fred"));
    assert_eq!((back.len(), &back[..3]), (5, &["1.0 inner", "1.1 cache (a", "b)"][..]));
    assert!(there[1].starts_with("1.1 seawall-") && there[2].starts_with("1.1 seawall-"));
    assert_eq!((there[1], there[2]), (back[4], back[3]), "the way back is the way there");
    assert_ne!(there[1], there[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn via_names_the_version_that_was_received() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = before(upstream.address).await;
    let old = b"GET / HTTP/1.0\r\n\r\n";
    assert!(raw(&gateway, old).await.contains("via: 1.1 seawall-"));
    let two: HttpClient = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
    assert_eq!(two.request(request).await.unwrap().status(), 200);
    let via = |n: usize| upstream.seen()[n].2["via"].to_str().unwrap().to_owned();
    assert!(via(0).starts_with("1.0 seawall-"), "{}", via(0));
    assert!(via(1).starts_with("2.0 seawall-"), "{}", via(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_bounded_to_the_last_byte() {
    // The headers come at once, the body when it is sent.
    let bodies: Arc<Mutex<Vec<UnboundedSender<_>>>> = Arc::default();
    let held = bodies.clone();
    let upstream = Upstream::start(move |_, _| {
        let (sender, receiver) = mpsc::unbounded_channel();
        held.lock().unwrap().push(sender);
        async move { respond(200, Body::new(Pieces(receiver))) }
    })
    .await;
    let gateway = Gateway::start(&format!(
        "limits: {{ max_in_flight: 2 }}\n\
         upstreams:\n  only: {{ endpoints: ['{}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    ))
    .await;
    let client = client();
    let mut open = Vec::new();
    for _ in 0..2 {
        let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
        open.push(client.request(request).await.unwrap());
    }
    let answer = gateway.get("/").await;
    assert_eq!(answer.problem(503)["reason"], "in_flight");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("x-correlation-id").len(), 16);
    assert_eq!(refused(&gateway, "in_flight").await, "1");
    assert_eq!(gateway.get("/livez").await.status, 200, "the control plane answers beyond it");

    for body in bodies.lock().unwrap().drain(..1) {
        body.send(Ok(Bytes::from("end"))).unwrap();
    }
    let body = open.remove(0).into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "end");
    // One ended with its last byte, the other with its client.
    drop(open);
    eventually("both places are free", async || {
        let page = gateway.get("/metrics").await;
        page.text().contains("\nseawall_requests_in_flight 0\n")
    })
    .await;
    let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
    assert_eq!(client.request(request).await.unwrap().status(), 200);
}
